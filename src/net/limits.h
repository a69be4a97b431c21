// Limits and timeouts every connection lives under. Read by workers as a whole block that is
// replaced, never changed, when the configuration is read again.
#ifndef CV_NET_LIMITS_H
#define CV_NET_LIMITS_H

#include <stdint.h>

#define CV_LIMITS_MEMORY_BYTES_MIN (16u << 20)  // What a worker cannot do without.
#define CV_LIMITS_MEMORY_BYTES_MAX (1ull << 50)

struct cv_limits {
    uint32_t header_timeout_ms;  // First byte of a head (or accept) to its last.
    uint32_t idle_timeout_ms;    // Between requests.
    uint32_t
        body_grace_ms;  // Before the body's rate is looked at; then windows of the same length.
    uint32_t body_rate_min;      // Bytes per second a request body must keep up; 0: no minimum.
    uint32_t write_timeout_ms;   // Without any progress of a send.
    uint32_t linger_timeout_ms;  // Half-closed after an error answer, reading on.
    uint32_t head_bytes_max;     // Request line and fields.
    uint32_t target_bytes_max;
    uint32_t fields_max;
    uint32_t pipeline_max;      // Requests of one connection answered before others get their turn.
    uint32_t output_bytes_max;  // Queued output of a connection at which its receiving stops.
    uint32_t zero_copy_bytes_min;          // Of a body sent from where it lies; 0: all are copied.
    uint32_t connections_max;              // Per worker; 0: the descriptor limit minus 500.
    uint32_t connections_per_address_max;  // Per worker; 0: no cap.
    uint32_t lag_max_ms;        // Of work that waits, before new requests are shed; 0: none are.
    uint32_t lag_hold_ms;       // So long must it be longer; 0: nothing is shed.
    uint32_t retry_after_s;     // What a client is told that was sent away for a while.
    uint64_t memory_bytes_max;  // Per worker, of pool and slabs; 0: a share of the machine's.
    uint64_t body_bytes_max;    // Default of routes that set none.
};

#endif
