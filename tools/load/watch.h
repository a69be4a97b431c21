// The server's CPU, when the server is on this machine and its threads can be seen: who listens on
// the address is found in /proc, and its busiest thread says whether it or the generator is full.
//
// Looked at are the processes that hold a listening socket of that address, in the table of the
// process or of one of its threads, and what descends from them. Never this process, and of process
// 1, which may hold the sockets of others, no descendants. A server in another network namespace,
// or of another user without root, is not seen.
#ifndef LOAD_WATCH_H
#define LOAD_WATCH_H

#include <sys/socket.h>

struct load_watch;  // The threads found at the beginning and their CPU time.

// Finds the server behind `address`. NULL when it is not here or cannot be seen.
struct load_watch *load_watch_begin(const struct sockaddr *address);

// The busiest thread's share of one core since `begin`, 0..1; threads that have begun since count,
// those that have ended do not. -1 for NULL, or when no thread is left. Frees the watch.
// `*core_busy` is the same with what a thread waited for a core while others had it, and with what
// interrupts and the hypervisor took of its core (core.h): a server may have no room though its own
// share is small.
double load_watch_end(struct load_watch *watch, double *core_busy);

#endif
