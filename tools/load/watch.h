// The server's CPU, when the server is on this machine and its threads can be seen: who listens on
// the address is found in /proc, and its busiest thread says whether it or the generator is full.
#ifndef LOAD_WATCH_H
#define LOAD_WATCH_H

#include <sys/socket.h>

struct load_watch; /* threads found at begin: task ids and their CPU time */

// Finds the server behind `address`. NULL when it is not here or cannot be seen.
struct load_watch *load_watch_begin(const struct sockaddr *address);

// The busiest thread's share of one core since `begin`, 0..1; frees the watch. -1 for NULL.
double load_watch_end(struct load_watch *watch);

#endif
