// The copying with AVX2, 32 bytes at a time; short texts: escape_avx2.h.
#ifdef __x86_64__

#include "json/escape_avx2.h"

const struct cv_escape_avx2_constants cv_escape_avx2_constants = {
    // 0 would find itself at its own place, so another byte stands there.
    .quotes = {[0] = 1,
               ['"' & 15] = '"',
               ['\\' & 15] = '\\',
               [16] = 1,
               [16 + ('"' & 15)] = '"',
               [16 + ('\\' & 15)] = '\\'},
    .space = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ',
              ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '},
    .window = {-1, -1, -1, -1, -1, -1, -1, -1},
};

// Up to 3 bytes: first, middle and last one are all there are.
static bool copy_tiny(char *out, const char *data, size_t length) {
    if (length == 0)
        return true;
    char first = data[0];
    char middle = data[length / 2];
    char last = data[length - 1];

    out[0] = first;
    out[length / 2] = middle;
    out[length - 1] = last;
    __m256i bytes = _mm256_set1_epi32((unsigned char)first | (unsigned char)middle << 8 |
                                      (unsigned char)last << 16 | 'x' << 24);
    return cv_escape_avx2_is_plain(
        cv_escape_avx2_not_plain(cv_escape_avx2_load_constants(), bytes));
}

static bool copy_plain(char *out, const char *data, size_t length) {
    const struct cv_escape_avx2_constants *constants = cv_escape_avx2_load_constants();

    if (length < 4)
        return copy_tiny(out, data, length);
    if (length <= 32)
        return cv_escape_avx2_copy(out, data, length);

    __m256i last = cv_escape_avx2_load(data + length - 32);
    __m256i found = cv_escape_avx2_not_plain(constants, last);
    for (size_t at = 0; at < length - 32; at += 32) {
        __m256i bytes = cv_escape_avx2_load(data + at);

        cv_escape_avx2_store(out + at, bytes);
        found = _mm256_or_si256(found, cv_escape_avx2_not_plain(constants, bytes));
    }
    cv_escape_avx2_store(out + length - 32, last);
    return cv_escape_avx2_is_plain(found);
}

static uint32_t find_escapes(__m256i bytes) {
    const struct cv_escape_avx2_constants *constants = cv_escape_avx2_load_constants();
    __m256i not_control =
        _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, cv_escape_avx2_load(constants->space)), bytes);

    return ~(uint32_t)_mm256_movemask_epi8(not_control) |
           (uint32_t)_mm256_movemask_epi8(cv_escape_avx2_quotes(constants, bytes));
}

static size_t copy_run(char *out, const char *data, size_t length) {
    size_t at = 0;

    for (; length - at >= 32; at += 32) {
        __m256i bytes = cv_escape_avx2_load(data + at);
        uint32_t found = find_escapes(bytes);

        cv_escape_avx2_store(out + at, bytes);
        if (found != 0)
            return at + _tzcnt_u32(found);
    }
    return at + cv_escape_scalar.copy_run(out + at, data + at, length - at);
}

const struct cv_escape_ops cv_escape_avx2 = {copy_plain, copy_run};

#endif
