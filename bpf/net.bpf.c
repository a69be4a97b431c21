/* TCP of the server's ports. Most of these events come in interrupts, whatever thread they hit:
 * they are told by network namespace and local port. */
#include "net.h"
#include "threads.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define NO_HEADER 0xffff /* sk_buff: the transport header is not known yet */

enum {
    TCP_ESTABLISHED = 1,
    TCP_SYN_RECV = 3,
    TCP_TIME_WAIT = 6,
    TCP_CLOSE = 7,
    TCP_LISTEN = 10,
    TCP_NEW_SYN_RECV = 12,
};

#define REASONS_MAX 256u

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct covet_net_key);
    __type(value, uint64_t);
} net_stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct covet_drop_key);
    __type(value, uint64_t);
} drop_reasons SEC(".maps");

/* enum covet_drop_reason of each of the kernel's reasons, and whether its tracepoint gives the
 * socket (6.11 and newer); set before loading. */
const volatile uint8_t covet_reasons[REASONS_MAX];
const volatile bool covet_drop_has_socket;

static const uint64_t none;

static __always_inline bool is_ours(const struct net *net, uint16_t port) {
    return (uint64_t)net == covet_target.net &&
           (covet_target.ports[port / 64] & (1ull << (port % 64))) != 0;
}

static __always_inline void count(uint16_t port, enum covet_net_event event) {
    struct covet_net_key key = {.port = port, .event = event};
    uint64_t *counter = covet_entry(&net_stats, &key, &none);
    if (counter != NULL)
        __sync_fetch_and_add(counter, 1);
}

static __always_inline void count_socket(const struct sock *sk, enum covet_net_event event) {
    uint16_t port = sk->__sk_common.skc_num;
    if (is_ours(sk->__sk_common.skc_net.net, port))
        count(port, event);
}

/* The port a received TCP segment is for; 0: it is none, or too early to tell. */
static __always_inline uint16_t destination(const struct sk_buff *skb) {
    const uint8_t *network = skb->head + skb->network_header;
    const uint8_t *transport = skb->head + skb->transport_header;
    uint8_t protocol = 0;
    uint16_t port = 0;

    if (skb->transport_header == NO_HEADER || skb->transport_header <= skb->network_header)
        return 0;
    if (skb->protocol == bpf_htons(ETH_P_IP))
        bpf_probe_read_kernel(&protocol, 1, network + 9);
    else if (skb->protocol == bpf_htons(ETH_P_IPV6))
        bpf_probe_read_kernel(&protocol, 1, network + 6);
    if (protocol != IPPROTO_TCP || bpf_probe_read_kernel(&port, sizeof(port), transport + 2) != 0)
        return 0;
    return bpf_ntohs(port);
}

/* Those two states have sockets so small that they name no protocol, and no protocol but TCP. */
static __always_inline bool is_tcp(const struct sock *sk) {
    uint32_t state = sk->__sk_common.skc_state;
    return state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV || sk->sk_protocol == IPPROTO_TCP;
}

SEC("tp_btf/tcp_retransmit_skb")
int covet_retransmit(uint64_t *ctx) {
    const struct sock *sk = (void *)ctx[0];
    if (sk != NULL)
        count_socket(sk, TCP_RETRANSMIT);
    return 0;
}

SEC("tp_btf/tcp_retransmit_synack")
int covet_retransmit_synack(uint64_t *ctx) {
    const struct sock *sk = (void *)ctx[0];
    if (sk != NULL)
        count_socket(sk, TCP_RETRANSMIT_SYNACK);
    return 0;
}

/* Without a socket the reset answers a segment: for a connection that is gone, most of the time. */
SEC("tp_btf/tcp_send_reset")
int covet_send_reset(uint64_t *ctx) {
    const struct sock *sk = (void *)ctx[0];
    const struct sk_buff *skb = (void *)ctx[1];
    if (sk != NULL) {
        count_socket(sk, TCP_RESET_SENT);
    } else if (skb != NULL) {
        const struct net_device *device = skb->dev;
        uint16_t port = destination(skb);
        if (device != NULL && is_ours(device->nd_net.net, port))
            count(port, TCP_RESET_SENT);
    }
    return 0;
}

SEC("tp_btf/tcp_receive_reset")
int covet_receive_reset(uint64_t *ctx) {
    const struct sock *sk = (void *)ctx[0];
    if (sk != NULL)
        count_socket(sk, TCP_RESET_RECEIVED);
    return 0;
}

/* At the end a socket has given its port back already, but not forgotten it. */
SEC("tp_btf/inet_sock_set_state")
int covet_set_state(uint64_t *ctx) {
    const struct sock *sk = (void *)ctx[0];
    int before = (int)ctx[1], after = (int)ctx[2];
    uint16_t port = 0;

    if (sk == NULL || sk->sk_protocol != IPPROTO_TCP ||
        (uint64_t)sk->__sk_common.skc_net.net != covet_target.net)
        return 0;
    bpf_core_read(&port, sizeof(port), &((const struct inet_sock *)sk)->inet_sport);
    port = bpf_ntohs(port);
    if (!is_ours(sk->__sk_common.skc_net.net, port))
        return 0;
    if (before == TCP_SYN_RECV && after == TCP_ESTABLISHED)
        count(port, TCP_ACCEPTED);
    else if (after == TCP_CLOSE && before != TCP_LISTEN && before != TCP_SYN_RECV &&
             before != TCP_CLOSE)
        count(port, TCP_CLOSED);
    return 0;
}

static __always_inline void count_drop(uint16_t port, uint32_t kernel_reason) {
    struct covet_drop_key key = {.port = port, .reason = DROP_OTHER};
    if (kernel_reason < REASONS_MAX) {
        barrier_var(
            kernel_reason); /* Else the mask, which the verifier needs, is optimized away. */
        key.reason = covet_reasons[kernel_reason & (REASONS_MAX - 1)];
    }
    uint64_t *counter = covet_entry(&drop_reasons, &key, &none);
    if (counter != NULL)
        __sync_fetch_and_add(counter, 1);
}

/* The packet tells the port. What was given to a socket has left its device; then the socket tells,
 * and where the kernel does not give it the port alone must do. */
SEC("tp_btf/kfree_skb")
int covet_drop(uint64_t *ctx) {
    const struct sk_buff *skb = (void *)ctx[0];
    uint32_t reason = (uint32_t)ctx[2];
    const struct sock *sk = NULL;
    uint16_t port;

    if (covet_target.net == 0)
        return 0;
    if (covet_drop_has_socket)
        sk = (void *)ctx[3];
    if (sk != NULL) {
        port = sk->__sk_common.skc_num;
        if (is_ours(sk->__sk_common.skc_net.net, port) && is_tcp(sk))
            count_drop(port, reason);
        return 0;
    }
    port = destination(skb);
    if (port == 0)
        return 0;
    const struct net_device *device = skb->dev;
    const struct net *net = device != NULL ? device->nd_net.net : (void *)covet_target.net;
    if (is_ours(net, port))
        count_drop(port, reason);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
