// The admin address: a small HTTP/1.1 server on the main thread, driven by the caller's poll(2).
//
// It is for people and monitors, not for load: few connections, one request each, everything under
// one time limit. What is answered is the caller's business (struct cv_admin_options).
#ifndef CV_SERVER_ADMIN_H
#define CV_SERVER_ADMIN_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_ADMIN_CONNECTIONS_MAX 16u
#define CV_ADMIN_POLLS (CV_ADMIN_CONNECTIONS_MAX + 1)
#define CV_ADMIN_HEAD_BYTES_MAX 8192u
#define CV_ADMIN_TIMEOUT_MS 5000u  // From accept to the last byte of the answer.

struct cv_admin_reply {
    uint16_t status;              // 200 at first.
    struct cv_span content_type;  // text/plain at first; static.
    char *body;                   // owned
    size_t body_bytes;
    size_t capacity;
    bool is_out_of_memory;  // Then a 500 is sent.
};

// Answers one request: `method` is GET (HEAD counts as that), POST or DELETE; `path` is without the
// query; both are as they came.
typedef void (*cv_admin_fn)(void *context, uint16_t method, struct cv_span path,
                            struct cv_span query, struct cv_admin_reply *reply);

struct cv_admin;

// Takes the listening socket. Returns 0 or -errno, with the socket closed.
CV_MUST_USE int cv_admin_create(struct cv_admin **admin, int listener_taken, cv_admin_fn answer,
                                void *context);
void cv_admin_destroy(struct cv_admin *admin);  // NULL is ignored.

// Fills what to wait for (-1 where there is nothing) and lowers `*timeout_ms` (-1: none) to the
// next time limit.
void cv_admin_prepare(const struct cv_admin *admin, uint64_t now_ns,
                      struct pollfd polls[CV_ADMIN_POLLS], int *timeout_ms);

// Does what poll(2) found, and ends connections that are over their time.
void cv_admin_handle(struct cv_admin *admin, uint64_t now_ns,
                     const struct pollfd polls[CV_ADMIN_POLLS]);

// Appends to the body.
void cv_admin_reply_write(struct cv_admin_reply *reply, struct cv_span text);
void cv_admin_reply_format(struct cv_admin_reply *reply, const char *format, ...) CV_PRINTF(2, 3);

// The whole of a request's life but the sockets: reads the head in `input`; when it is complete (or
// hopeless) sets `*output` to the bytes of the answer, to be freed, and returns true.
// `output->data` may be NULL for want of memory.
CV_MUST_USE bool cv_admin_answer(struct cv_span input, cv_admin_fn answer, void *context,
                                 struct cv_span *output);

#endif
