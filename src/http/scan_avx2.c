// The search with AVX2: a byte's class from two table look-ups, one per nibble (pshufb), ANDed.
//
// Each bit of a table entry stands for a set of rows (high nibbles) that share a set of columns
// (low nibbles); a byte is in the class when row and column have a bit in common. Bytes from 0x80
// have no row and pshufb gives them no column either, so they are in no class. No load touches a
// byte outside the text: the last ones are loaded from its end backwards and their bits shifted
// into place, and a text that is shorter than a vector is copied first.
#ifdef __x86_64__

#include <immintrin.h>
#include <string.h>

#include "http/known.h"
#include "http/scan.h"

#define SHORT_BYTES 32u  // Less than that is copied to where 64 may be loaded.
#define INLINE static inline __attribute__((always_inline))

// Look-ups are per half of a vector, so tables stand in both.
#define TWICE(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

INLINE __m256i load(const char *data) {
    return _mm256_loadu_si256((const __m256i *)(const void *)data);
}

#define ALL_32(byte) \
    { \
        (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte), \
            (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte), \
            (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte), (byte) \
    }

static const char all_0f[32] __attribute__((aligned(32))) = ALL_32(0x0f);
static const char all_60[32] __attribute__((aligned(32))) = ALL_32(0x60);
static const char all_query[32] __attribute__((aligned(32))) = ALL_32('?');

// One load. A compiler that sees the value makes it from a word again and again, in three steps.
INLINE __m256i constant(const char bytes[32]) {
    __m256i vector;
    __asm__("vmovdqa %1, %0" : "=x"(vector) : "m"(*(const __m256i *)(const void *)bytes));
    return vector;
}

INLINE uint32_t mask(__m256i matches) {
    return (uint32_t)_mm256_movemask_epi8(matches);
}

// The bits that a byte's row and its column have in common.
INLINE __m256i common(__m256i bytes, __m256i rows, __m256i columns) {
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), constant(all_0f));
    return _mm256_and_si256(_mm256_shuffle_epi8(rows, high), _mm256_shuffle_epi8(columns, bytes));
}

INLINE uint32_t not_in(__m256i bytes, __m256i rows, __m256i columns) {
    return mask(_mm256_cmpeq_epi8(common(bytes, rows, columns), _mm256_setzero_si256()));
}

// Both classes from one pair of look-ups. Eight bits hold them but for two token bytes:
//
//     bit    1     2        4     8        10     20        40    80
//     row    2     3        4, 6  5, 7     5      0, 1      1     7
//     column +     0 to 9   not 0 0 to a   f (_)  not 9     9     f (DEL)
//                                 and e           (not HTAB)
//     token bytes, without ` and |                control bytes
INLINE struct cv_scan_bits scan_32(const char *data) {
    const __m256i rows = TWICE(0x20, 0x60, 0x01, 0x02, 0x04, 0x18, 0x04, (char)0x88,  // 0 to 7.
                               0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i columns = TWICE(0x2a, 0x2f, 0x2e, 0x2f, 0x2f, 0x2f, 0x2f, 0x2f,  // 0 to 7.
                                  0x2e, 0x4e, 0x2d, 0x25, 0x24, 0x25, 0x2d, (char)0xb4);
    __m256i classes = common(load(data), rows, columns);
    // Adding 0x60 carries any of the control bits, and no other, into the sign.
    uint32_t control = mask(_mm256_add_epi8(classes, constant(all_60)));
    uint32_t none = mask(_mm256_cmpeq_epi8(classes, _mm256_setzero_si256()));
    return (struct cv_scan_bits){control, none};
}

INLINE struct cv_scan_bits scan_block(const char *data) {
    struct cv_scan_bits low = scan_32(data);
    struct cv_scan_bits high = scan_32(data + 32);
    uint64_t control = low.control | high.control << 32;

    return (struct cv_scan_bits){control, low.not_token | high.not_token << 32 | control};
}

// Where 32 bytes can be loaded that begin with, or at least hold, what is at `at`.
INLINE size_t load_place(struct cv_scan_text text, size_t at) {
    return text.length < SHORT_BYTES ? at : CV_MIN(at, text.length - 32);
}

INLINE struct cv_scan_bits scan_rest(struct cv_scan_text text, size_t from) {
    size_t rest = text.length - from;
    size_t place = load_place(text, from);
    struct cv_scan_bits bits = scan_32(text.data + place);

    bits.control >>= from - place;
    bits.not_token >>= from - place;
    if (rest > 32) {
        // Fewer than 64 bytes are left: the two halves overlap.
        struct cv_scan_bits high = scan_32(text.data + text.length - 32);
        bits.control |= high.control << (rest - 32);
        bits.not_token |= high.not_token << (rest - 32);
    }
    bits.control = _bzhi_u64(bits.control, rest);
    bits.not_token = _bzhi_u64(bits.not_token | bits.control, rest);
    return bits;
}

INLINE uint32_t not_target(__m256i bytes) {
    // Bits 1, 2, 4, 8, 16, 32 stand for the rows 2 to 7.
    const __m256i rows = TWICE(0, 0, 1, 2, 4, 8, 16, 32, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i columns = TWICE(0x2e, 0x3f, 0x3e, 0x3e, 0x3f, 0x3f, 0x3f, 0x3f,  // 0 to 7.
                                  0x3f, 0x3f, 0x3f, 0x3f, 0x35, 0x3f, 0x35, 0x1f);
    return not_in(bytes, rows, columns);
}

struct target_bits {
    uint32_t stops;
    uint32_t queries;
};

INLINE struct target_bits target_32(const char *data) {
    __m256i bytes = load(data);
    return (struct target_bits){not_target(bytes),
                                mask(_mm256_cmpeq_epi8(bytes, constant(all_query)))};
}

// A target that is long, or is close to the end of the text.
CV_NOINLINE static struct cv_scan_target scan_long_target(struct cv_scan_text text, size_t from) {
    size_t query = SIZE_MAX;

    for (size_t at = from;; at += 32) {
        size_t place = load_place(text, at);
        struct target_bits bits = target_32(text.data + place);
        // The end of the text stops as well, and comes before the end of a load that was moved.
        uint64_t stops = (uint64_t)bits.stops >> (at - place) |
                         UINT64_C(1) << CV_MIN(text.length - at, (size_t)32);
        uint64_t queries = (uint64_t)bits.queries >> (at - place);
        size_t end = at + (size_t)_tzcnt_u64(stops);

        if (queries != 0)
            query = CV_MIN(query, at + (size_t)_tzcnt_u64(queries));
        if (end < at + 32)
            return (struct cv_scan_target){end, CV_MIN(query, end)};
    }
}

INLINE struct cv_scan_target scan_near_target(struct cv_scan_text text, size_t from) {
    if (CV_LIKELY(text.length - from >= 32)) {
        struct target_bits bits = target_32(text.data + from);
        if (CV_LIKELY(bits.stops != 0))
            return (struct cv_scan_target){from + _tzcnt_u32(bits.stops),
                                           from + _tzcnt_u32(bits.stops | bits.queries)};
    }
    return (struct cv_scan_target){text.length, text.length};
}

INLINE struct cv_scan_target scan_target(struct cv_scan_text text, size_t from) {
    struct cv_scan_target target = scan_near_target(text, from);
    return CV_LIKELY(target.end < text.length) ? target : scan_long_target(text, from);
}

// No branch depends on whether there is a port, which is nothing to predict: what is asked for
// holds in both cases.
INLINE size_t scan_host(struct cv_scan_text text, size_t from) {
    // Bits 1, 4, 8, 16, 32 stand for the rows 2 and 4 to 7; in row 3 are the digits 2, the colon
    // 128 and 64 for what else there is.
    const __m256i rows = TWICE(0, 0, 1, (char)0xc2, 4, 8, 16, 32, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i columns = TWICE(0x2a, 0x3f, 0x3e, 0x3e, 0x3f, 0x3e, 0x3f, 0x3f,  // 0 to 7.
                                  0x3f, 0x3f, (char)0xbd, 0x55, 0x14, 0x55, 0x35, 0x1c);
    size_t place = load_place(text, from);
    __m256i classes = common(load(text.data + place), rows, columns);
    uint32_t others = mask(_mm256_cmpeq_epi8(classes, _mm256_setzero_si256())) >> (from - place);

    if (CV_UNLIKELY(others == 0))
        return 0;
    uint32_t bytes = _tzcnt_u32(others);
    uint32_t colons = mask(classes) >> (from - place) | 1u << bytes;
    uint32_t no_digits = ~mask(_mm256_slli_epi16(classes, 6)) >> (from - place);
    uint32_t name_bytes = _tzcnt_u32(colons);
    bool is_port = _bzhi_u32(no_digits, bytes) >> name_bytes >> 1 == 0;
    bool fits = cv_scan_port_fits(text.data + from + name_bytes, bytes - name_bytes);
    return name_bytes > 0 && fits && is_port ? bytes : 0;
}

INLINE bool is_name(const char *colon, const struct cv_known_name *name) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(colon - CV_KNOWN_TEXT_BYTES));
    __m128i fold = _mm_loadu_si128((const __m128i *)(const void *)name->fold);
    __m128i wanted = _mm_loadu_si128((const __m128i *)(const void *)name->text);
    return _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_or_si128(bytes, fold), wanted)) == 0xffff;
}

INLINE struct cv_scan_text with_room(struct cv_scan_text text, char block[64]) {
    if (text.length >= SHORT_BYTES)
        return text;
    memset(block, 0, 64);
    memcpy(block, text.data, text.length);
    return (struct cv_scan_text){block, text.length};
}

// Whatever comes next may be compiled for any x86-64, and some processors take more than a hundred
// nanoseconds over an SSE instruction while the upper halves are in use. The compiler does this
// where it sees a call, but not on every path to one.
INLINE void end_vectors(void) {
    _mm256_zeroupper();
}

#include "http/walk.h"

// For tests, which do not know about the room that is needed.

static struct cv_scan_bits bits(struct cv_scan_text text, size_t from) {
    char block[64];

    text = with_room(text, block);
    return text.length - from >= 64 ? scan_block(text.data + from) : scan_rest(text, from);
}

static struct cv_scan_target target(struct cv_scan_text text, size_t from) {
    char block[64];

    return scan_target(with_room(text, block), from);
}

static size_t host(struct cv_scan_text text, size_t from) {
    char block[64];

    return scan_host(with_room(text, block), from);
}

const struct cv_scan_ops cv_scan_avx2 = {feed, resume, bits, target, host};

#endif
