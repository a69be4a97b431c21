// One connection as its client sees it: what it has asked for, by the bytes it has sent, and
// whether what comes back is right. The answers are read strictly (RFC 9112): a byte that no answer
// may hold there ends the run by sim_fail, and so does
//
//   - an answer nobody asked for, or to a request whose head is not there yet,
//   - a field that the application did not set (response injection),
//   - an echo of other bytes than were sent,
//   - an answer that does not come, or is cut, unless the client gave a reason for that,
//   - anything but one error and the end behind bytes that are no request.
#ifndef FUZZ_SERVER_DIALOGUE_H
#define FUZZ_SERVER_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dialogue;

struct dialogue *dialogue_create(void);
void dialogue_destroy(struct dialogue *dialogue);

// The next bytes that were sent. `now_ns` of this and the others never decreases.
void dialogue_sent(struct dialogue *dialogue, const uint8_t *data, size_t length, uint64_t now_ns);
void dialogue_half_closed(struct dialogue *dialogue);

// The next bytes that came.
void dialogue_received(struct dialogue *dialogue, const uint8_t *data, size_t length,
                       uint64_t now_ns);

// To be called now and then: who sends half a request, or does not read (`is_stalled`), for so long
// is late, and may be cut off.
void dialogue_wait(struct dialogue *dialogue, bool is_stalled, uint64_t now_ns);

// The connection has ended: by a reset, or else by a FIN. `is_excused`: whatever was due.
void dialogue_ended(struct dialogue *dialogue, bool is_reset, bool is_excused);

// One line about what it waits for.
void dialogue_describe(const struct dialogue *dialogue, char *line, size_t bytes);

#endif
