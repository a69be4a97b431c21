// The begin and the end of a text, and the space between its parts. See token.h.
#include "json/token.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

const char *cv_token_fail(struct covet_json_reader *reader, const char *at, int error,
                          const char *reason) {
    if (reader->error == 0) {
        bool is_over = at >= reader->last && error == -EBADMSG;

        reader->error = error;
        reader->reason = is_over ? "the text ends too early" : reason;
        reader->error_at = CV_MIN(at, reader->begin + reader->length);
    }
    return NULL;
}

void *cv_token_alloc(struct covet_json_reader *reader, const char *at, size_t bytes) {
    struct covet_json_memory *memory = reader->memory;
    void *block;

    if (memory == NULL || bytes > memory->bytes_left) {
        cv_token_fail(reader, at, -E2BIG, "more memory is needed than is allowed");
        return NULL;
    }
    memory->bytes_left -= bytes;
    block = memory->alloc(memory->context, bytes);
    if (block == NULL)
        cv_token_fail(reader, at, -ENOMEM, "no memory");
    return block;
}

static bool is_space(char byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// Documents that do not end in a bracket are rare: a single scalar, or a mistake. They are copied,
// with a bracket behind.
static bool put_guard_behind(struct covet_json_reader *reader) {
    size_t length = (size_t)(reader->end - reader->begin);
    size_t bytes_left = reader->memory == NULL ? 0 : reader->memory->bytes_left;
    ptrdiff_t start = reader->at - reader->begin;
    char *copy;

    // A mistake needs no memory to be one, only to be found.
    if (length >= bytes_left && (*reader->at == '{' || *reader->at == '['))
        return cv_token_fail(reader, reader->last, -EBADMSG, "") != NULL;
    copy = cv_token_alloc(reader, reader->begin, length + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, reader->begin, length);
    copy[length] = ']';
    reader->begin = reader->validated = copy;
    reader->at = copy + start;
    reader->last = copy + length;
    reader->end = reader->window = copy + length + 1;
    return true;
}

bool cv_token_open(struct covet_json_reader *reader, const char *data, size_t length,
                   struct covet_json_memory *memory) {
    const char *end = data + length;

    reader->begin = reader->at = reader->window = reader->validated = data;
    reader->length = length;
    reader->memory = memory;
    reader->error = 0;
    reader->reason = NULL;
    reader->depth = 0;
    reader->objects = 0;
    reader->first = true;
    while (end > data && is_space(end[-1]))
        end--;
    reader->end = reader->last = end;
    if (end == data)
        return cv_token_fail(reader, end, -EBADMSG, "") != NULL;
    if (length > UINT32_MAX)
        return cv_token_fail(reader, data, -EBADMSG, "longer than 4 GiB") != NULL;
    while (is_space(*reader->at))
        reader->at++;
    reader->window = end;  // No position is inside.
    return end[-1] == '}' || end[-1] == ']' || put_guard_behind(reader);
}

bool cv_token_close(struct covet_json_reader *reader, const char *at) {
    if (at == reader->last)
        return true;
    at = cv_token_skip_space(reader, at);
    return cv_token_fail(reader, at, -EBADMSG, "something stands behind the value") != NULL;
}

const char *cv_token_skip_spaces(const char *at, const char *end) {
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i blank = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' ')),
                                     _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n')));
        __m128i other = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t')),
                                     _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\r')));
        unsigned rest = ~(unsigned)_mm_movemask_epi8(_mm_or_si128(blank, other)) & 0xffff;

        if (rest != 0)
            return at + __builtin_ctz(rest);
    }
#endif
    while (is_space(*at))
        at++;
    return at;
}

uint64_t cv_token_last_word(const struct covet_json_reader *reader, size_t left) {
    uint64_t word = 0;

    if (reader->end - reader->begin < (ptrdiff_t)sizeof(word)) {
        memcpy(&word, reader->end - left, left);
        return word;
    }
    memcpy(&word, reader->end - sizeof(word), sizeof(word));
    return word >> 8 * (sizeof(word) - left);
}

const char *cv_token_find_value(struct covet_json_reader *reader, const char *at) {
    if (at == NULL)
        return NULL;
    at = cv_token_skip_space(reader, at);
    if (*at != ':')
        return cv_token_fail(reader, at, -EBADMSG, "a colon is expected behind a key");
    return cv_token_skip_space(reader, at + 1);
}
