// What sits between the ring and a protocol, in both directions: received bytes pass through it on
// their way up, queued output on its way down. Plain TCP passes them on as they are; TLS will be a
// second implementation. The calls run on the connection's worker.
#ifndef CV_NET_TRANSPORT_H
#define CV_NET_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

struct cv_conn;

struct cv_transport {
    // Bytes came from the peer, lent for the call: hand what they mean to cv_conn_deliver.
    void (*on_bytes)(struct cv_conn *conn, const uint8_t *data, size_t length);
    // The protocol queued output: get it on its way with cv_conn_send.
    void (*flush)(struct cv_conn *conn);
    // The protocol will queue no more and all of it is sent: say good-bye to the peer, then
    // cv_conn_half_close.
    void (*end)(struct cv_conn *conn);
};

extern const struct cv_transport cv_transport_plain;

#endif
