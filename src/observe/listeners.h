// Accept queues, asked of the kernel by sock_diag(7): no rights needed, exact.
#ifndef CV_OBSERVE_LISTENERS_H
#define CV_OBSERVE_LISTENERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "observe/snapshot.h"

// Fills `listeners`, of which there are `port_count`, with what listens on the TCP ports `ports` in
// the network namespace of process `pid`, and sets their number; 0 when the kernel does not tell
// (no tcp_diag) or the namespace is another one that the caller may not enter.
void cv_listeners_read(struct cv_snapshot_listener *listeners, size_t *listener_count, pid_t pid,
                       const uint16_t *ports, uint32_t port_count);

#endif
