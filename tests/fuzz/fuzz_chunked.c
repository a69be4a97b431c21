// Chunked bodies: the same bytes, whole and in pieces, give the same data and the same end.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum cv_chunked_result result;
    size_t used;
    size_t bytes;
    char *data;  // owned
};

static void feed_piece(struct cv_chunked *decoder, const uint8_t *data, size_t size,
                       struct outcome *outcome) {
    char *copy = malloc(size == 0 ? 1 : size);  // As long as it says, for the sanitizer.
    size_t at = 0;

    CV_ASSERT(copy != NULL);
    memcpy(copy, data, size);
    do {
        struct cv_span found;
        size_t used;

        outcome->result =
            cv_chunked_feed(decoder, cv_span_make(copy + at, size - at), &used, &found);
        CV_ASSERT(used <= size - at);
        at += used;
        if (outcome->result != CV_CHUNKED_DATA)
            break;
        CV_ASSERT(found.length > 0 && found.data + found.length == copy + at);
        memcpy(outcome->data + outcome->bytes, found.data, found.length);
        outcome->bytes += found.length;
    } while (at < size);
    outcome->used += at;
    free(copy);
}

static struct outcome decode(const uint8_t *data, size_t size, size_t step) {
    struct outcome outcome = {.data = malloc(size == 0 ? 1 : size)};
    struct cv_chunked decoder;

    CV_ASSERT(outcome.data != NULL);
    cv_chunked_init(&decoder);
    for (size_t at = 0; at < size; at += step) {
        feed_piece(&decoder, data + at, CV_MIN(step, size - at), &outcome);
        if (outcome.result == CV_CHUNKED_DONE || outcome.result == CV_CHUNKED_REFUSED)
            break;
    }
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct outcome whole = decode(data + 1, size - 1, size - 1);
    struct outcome pieces = decode(data + 1, size - 1, 1 + data[0] % 32);

    CV_ASSERT(whole.bytes == pieces.bytes && whole.used == pieces.used);
    CV_ASSERT(memcmp(whole.data, pieces.data, whole.bytes) == 0);
    CV_ASSERT((whole.result == CV_CHUNKED_DONE) == (pieces.result == CV_CHUNKED_DONE));
    CV_ASSERT((whole.result == CV_CHUNKED_REFUSED) == (pieces.result == CV_CHUNKED_REFUSED));
    free(whole.data);
    free(pieces.data);
    return 0;
}
