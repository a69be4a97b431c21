// Access-log lines on their way from one worker to the main thread: one writer, one reader, a byte
// ring, no lock and no wait. A line that does not fit is dropped and counted by the caller.
#ifndef CV_SERVER_LOGQUEUE_H
#define CV_SERVER_LOGQUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_LOGQUEUE_BYTES \
    (1024u * 1024u)  // A power of two. Mapped lazily: unused pages cost nothing.

struct cv_logqueue;

CV_MUST_USE struct cv_logqueue *cv_logqueue_create(void);  // NULL: no memory
void cv_logqueue_destroy(struct cv_logqueue *queue);

// Writer. Appends whole lines; false when there is no room.
bool cv_logqueue_put(struct cv_logqueue *queue, struct cv_span line);

// Writer, once per turn after putting lines: true when the reader sleeps and must be woken (once).
bool cv_logqueue_wants_wake(struct cv_logqueue *queue);

// Reader. The longest run of bytes ready now, in place (whole lines but where the ring wraps);
// empty when there is none. Give it back with cv_logqueue_consume.
struct cv_span cv_logqueue_peek(struct cv_logqueue *queue);
void cv_logqueue_consume(struct cv_logqueue *queue, size_t bytes);

// Reader. Gives back bytes that are lost, with the ends of `lines` lines among them.
void cv_logqueue_drop(struct cv_logqueue *queue, size_t bytes, uint64_t lines);

// Writer. The lines dropped by the reader since the last call.
uint64_t cv_logqueue_take_dropped(struct cv_logqueue *queue);

// Reader, before it sleeps: asks for a wake-up. False when bytes are there already (do not sleep).
bool cv_logqueue_sleep(struct cv_logqueue *queue);

#endif
