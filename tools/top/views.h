// The five views, one file each.
#ifndef TOP_VIEWS_H
#define TOP_VIEWS_H

#include "top/view.h"

extern const struct top_view top_view_workers;   // a line per worker
extern const struct top_view top_view_syscalls;  // system calls
extern const struct top_view top_view_ring;      // ring operations by opcode
extern const struct top_view top_view_network;   // accept queues, TCP, ends of connections
extern const struct top_view top_view_latency;   // distributions of times

#endif
