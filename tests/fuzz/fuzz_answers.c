// Answers as covet-load reads them: however the bytes are cut, and whether or not the fast path may
// take answers it has seen, the same answers end in the same places.
//
// The input: how to cut, how many are owed and whether requests are HEAD, then the bytes.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "load/answers.h"
#include "load/requests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct load_tally tally;
    uint8_t kinds[UINT8_MAX + 1];  // As many as may be owed, and one the connection's end brings.
    bool is_refused, is_closing;
    uint32_t request_index;
    int at_end;
};

static struct outcome read_answers(const struct load_requests *requests, struct load_shape *shapes,
                                   const uint8_t *data, size_t size, size_t step, unsigned owed) {
    struct outcome outcome = {0};
    struct load_reader reader = {0};
    for (size_t at = 0; at < size && !outcome.is_refused; at += step) {
        size_t bytes = CV_MIN(step, size - at);
        char *copy = malloc(bytes);  // As long as it says, for the sanitizer.
        CV_ASSERT(copy != NULL);
        memcpy(copy, data + at, bytes);
        uint64_t before = outcome.tally.answers;
        int result = load_reader_feed(&reader, requests, shapes, copy, bytes, owed, &outcome.tally,
                                      outcome.kinds + before);
        free(copy);
        CV_ASSERT(outcome.tally.answers - before <= owed);
        owed -= (unsigned)(outcome.tally.answers - before);
        outcome.is_refused = result < 0;
        CV_ASSERT(result < 0 || (uint64_t)result == outcome.tally.answers - before);
    }
    outcome.at_end =
        load_reader_end(&reader, &outcome.tally, &outcome.kinds[outcome.tally.answers]);
    outcome.is_closing = reader.closing;
    outcome.request_index = reader.request_index;
    return outcome;
}

static void check_equal(const struct outcome *a, const struct outcome *b) {
    CV_ASSERT(a->tally.answers == b->tally.answers);
    CV_ASSERT(memcmp(a->tally.status, b->tally.status, sizeof(a->tally.status)) == 0);
    CV_ASSERT(a->tally.shed == b->tally.shed);
    CV_ASSERT(memcmp(a->kinds, b->kinds, a->tally.answers) == 0);
    CV_ASSERT(a->tally.body_bytes == b->tally.body_bytes);
    CV_ASSERT(a->is_refused == b->is_refused && a->is_closing == b->is_closing);
    CV_ASSERT(a->request_index == b->request_index && a->at_end == b->at_end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct load_shape shapes[2], none[2];
    if (size < 3) {
        return 0;
    }
    bool head_only[2] = {data[2] & 1, data[2] & 2};
    struct load_requests requests = {.count = 1 + (data[2] >> 2 & 1), .head_only = head_only};
    unsigned owed = data[1];
    size_t step = 1 + data[0];
    data += 3;
    size -= 3;
    // Byte by byte no head is ever there as a whole: all is read by the slow path.
    memset(none, 0, sizeof(none));
    struct outcome slow = read_answers(&requests, none, data, size, 1, owed);
    CV_ASSERT(slow.tally.verified == slow.tally.answers);
    CV_ASSERT(none[0].same_bytes == 0 && none[1].same_bytes == 0);

    memset(shapes, 0, sizeof(shapes));
    struct outcome whole = read_answers(&requests, shapes, data, size, CV_MAX(size, 1), owed);
    check_equal(&whole, &slow);
    struct outcome pieces = read_answers(&requests, shapes, data, size, step, owed);
    check_equal(&pieces, &slow);
    return 0;
}
