// The last words of a crashing server: one log line with the signal, the address, the thread and a
// backtrace as module+offset (for addr2line), then the signal's default action.
#ifndef CV_SERVER_LASTWORDS_H
#define CV_SERVER_LASTWORDS_H

// Main thread, once: installs the handlers for SEGV, BUS, ABRT, FPE and ILL. Handlers that a
// checking tool installed before still run after ours.
void cv_lastwords_install(void);

// Every thread that shall be able to speak after its stack overflowed, once: gives the calling
// thread a small stack for the handler, freed when the thread ends.
void cv_lastwords_thread(void);

// Main thread, after modules were loaded or unloaded: takes note of where objects are, because
// asking the dynamic loader is not allowed in a signal handler.
void cv_lastwords_refresh(void);

#endif
