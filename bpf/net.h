/* TCP of the server's ports (level 1 and up).
 *
 * Pinned: `net_stats` {struct covet_net_key: uint64_t}, `drop_reasons` {struct covet_drop_key:
 * uint64_t}, and `listeners`, a file to `cat`: a line per listening socket with its accept queue
 * (port, queue, max, drops). These events come in interrupts on any core, so they are told by local
 * port and network namespace, not by thread, and counted atomically.
 */
#ifndef COVET_BPF_NET_H
#define COVET_BPF_NET_H

#include "shared.h"

/* COVET_NET_EVENTS(X) lists X(name, what it means). */
#define COVET_NET_EVENTS(X) \
    X(TCP_RETRANSMIT, "segments sent again") \
    X(TCP_RETRANSMIT_SYNACK, "SYN-ACKs sent again") \
    X(TCP_RESET_SENT, "resets sent") \
    X(TCP_RESET_RECEIVED, "resets received") \
    X(TCP_ACCEPTED, "connections established, before accept") \
    X(TCP_CLOSED, "connections closed")

enum covet_net_event {
#define COVET_NET_ENUM(name, help) name,
    COVET_NET_EVENTS(COVET_NET_ENUM)
#undef COVET_NET_ENUM
        COVET_NET_EVENT_COUNT
};

struct covet_net_key {
    uint32_t port;
    enum covet_net_event event;
};

/* Why the kernel dropped a packet for one of the ports. Its own numbers differ between kernels, so
 * these are ours; COVET_DROP_REASONS(X) lists X(name), the kernel's being SKB_DROP_REASON_name. */
#define COVET_DROP_REASONS(X) \
    X(NO_SOCKET) \
    X(TCP_CSUM) \
    X(SOCKET_FILTER) \
    X(SOCKET_BACKLOG) \
    X(SOCKET_RCVBUFF) \
    X(PROTO_MEM) \
    X(TCP_FLAGS) \
    X(TCP_ZEROWINDOW) \
    X(TCP_OLD_DATA) \
    X(TCP_OVERWINDOW) \
    X(TCP_OFOMERGE) \
    X(TCP_RFC7323_PAWS) \
    X(TCP_OLD_SEQUENCE) \
    X(TCP_INVALID_SEQUENCE) \
    X(TCP_RESET) \
    X(TCP_INVALID_SYN) \
    X(TCP_CLOSE) \
    X(TCP_OLD_ACK) \
    X(TCP_TOO_OLD_ACK) \
    X(TCP_ABORT_ON_DATA) \
    X(TCP_OFO_QUEUE_PRUNE) \
    X(TCP_OFO_DROP) \
    X(NETFILTER_DROP) \
    X(NOT_SPECIFIED)

enum covet_drop_reason {
#define COVET_DROP_ENUM(name) DROP_##name,
    COVET_DROP_REASONS(COVET_DROP_ENUM)
#undef COVET_DROP_ENUM
        DROP_OTHER
};

struct covet_drop_key {
    uint32_t port;
    enum covet_drop_reason reason;
};

#endif
