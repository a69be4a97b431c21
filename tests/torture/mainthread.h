// What the main thread and the supervisor take memory for, without the simulator.
#ifndef TORTURE_MAINTHREAD_H
#define TORTURE_MAINTHREAD_H

void mainthread_run(const void *context);

#endif
