// The line between the supervisor and its server: a SOCK_SEQPACKET pair, so a message is whole or
// not there, and the end of one process is an end of file for the other.
//
// Both ends are always the same program image (the server is forked, never executed), so payloads
// are plain structs. Descriptors ride along with SCM_RIGHTS.
#ifndef CV_SERVER_CONTROL_H
#define CV_SERVER_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define CV_CONTROL_FDS_MAX 32u
#define CV_CONTROL_PAYLOAD_BYTES_MAX 32768u

enum cv_control_kind {
    // Supervisor to server.
    CV_CONTROL_RELOAD = 1,  // payload: struct cv_settings; fds: its modules, in order
    CV_CONTROL_LOG,         // fds: the access log from now on; none: no access log
    CV_CONTROL_DRAIN,       // number: the hard limit, ms
    // Server to supervisor.
    CV_CONTROL_READY,        // Every worker accepts. payload: the kernel features used, text
    CV_CONTROL_RELOADED,     // number: 0, or 1 when the old generation stays
    CV_CONTROL_WANT_RELOAD,  // Somebody asked for it at the admin address.
    CV_CONTROL_WANT_DRAIN,
};

struct cv_control_message {
    uint32_t kind;  // enum cv_control_kind
    uint32_t payload_bytes;
    uint64_t number;
    uint32_t fd_count;
    uint32_t reserved;
    int fd[CV_CONTROL_FDS_MAX];  // Sent: borrowed. Received: owned by the receiver.
    char payload[CV_CONTROL_PAYLOAD_BYTES_MAX];
};

// Makes the pair, both ends close-on-exec and non-blocking. Returns 0 or -errno.
CV_MUST_USE int cv_control_open(int pair[2]);

// Sends one message; waits at most a second for room. Returns 0, or -errno (-EPIPE: the other end
// is gone).
CV_MUST_USE int cv_control_send(int fd, const struct cv_control_message *message);

// The same for a message that is only a kind and a number.
CV_MUST_USE int cv_control_tell(int fd, enum cv_control_kind kind, uint64_t number);

// Receives one message. Returns 1 with the message, 0 at the end of file, -EAGAIN when there is
// none, -EBADMSG for a malformed one (its descriptors closed), or another -errno.
CV_MUST_USE int cv_control_receive(int fd, struct cv_control_message *message);

#endif
