// The byte classes, and the search in plain C: one table look-up per byte.
//
// A target may hold more than RFC 3986 allows: browsers send {, } and | unescaped in queries, and
// these mean nothing to anybody on the way. Refused are the bytes that do: '#' starts a fragment,
// '\' is a separator to some, '"', '<', '>', '^' and '`' are markup and quoting. Above 0x7e
// nothing is allowed; a client has to escape it.
#include "http/scan.h"

#include <string.h>

#include "http/known.h"

enum {
    C = CV_SCAN_CONTROL,
    V = CV_SCAN_TARGET,                                 // Only a target may hold it.
    T = CV_SCAN_TARGET | CV_SCAN_TOKEN,                 // % and |
    H = CV_SCAN_TARGET | CV_SCAN_HOST,                  // ( ) ; =
    A = CV_SCAN_TARGET | CV_SCAN_TOKEN | CV_SCAN_HOST,  // Letters, digits and the like.
    K = CV_SCAN_TOKEN,                                  // # ^ `
};

const uint8_t cv_scan_class[256] = {
    //      _0 _1 _2 _3 _4 _5 _6 _7 _8 _9 _a _b _c _d _e _f
    /* 0 */ C, C, C, C, C, C, C, C, C, 0, C, C, C, C, C, C,
    /* 1 */ C, C, C, C, C, C, C, C, C, C, C, C, C, C, C, C,
    /* 2 */ 0, A, 0, K, A, T, A, A, H, H, A, A, V, A, A, V,
    /* 3 */ A, A, A, A, A, A, A, A, A, A, V, H, 0, H, 0, V,
    /* 4 */ V, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    /* 5 */ A, A, A, A, A, A, A, A, A, A, A, V, 0, V, K, A,
    /* 6 */ K, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    /* 7 */ A, A, A, A, A, A, A, A, A, A, A, V, T, V, A, C,
};

#define INLINE static inline

// The bits of `count` bytes, at most 64.
static struct cv_scan_bits scan_bytes(const char *data, size_t count) {
    struct cv_scan_bits bits = {0, 0};

    for (size_t i = 0; i < count; i++) {
        uint64_t class = cv_scan_class[(unsigned char)data[i]];

        bits.control |= (class & CV_SCAN_CONTROL) << i;
        bits.not_token |= ((class & CV_SCAN_TOKEN) / CV_SCAN_TOKEN ^ 1) << i;
    }
    return bits;
}

INLINE struct cv_scan_bits scan_block(const char *data) {
    return scan_bytes(data, 64);
}

INLINE struct cv_scan_bits scan_rest(struct cv_scan_text text, size_t from) {
    return scan_bytes(text.data + from, text.length - from);
}

INLINE struct cv_scan_target scan_target(struct cv_scan_text text, size_t from) {
    struct cv_scan_target target = {from, from};

    while (target.query < text.length && text.data[target.query] != '?' &&
           cv_scan_is(text.data[target.query], CV_SCAN_TARGET))
        target.query++;
    target.end = target.query;
    while (target.end < text.length && cv_scan_is(text.data[target.end], CV_SCAN_TARGET))
        target.end++;
    return target;
}

INLINE struct cv_scan_target scan_near_target(struct cv_scan_text text, size_t from) {
    return scan_target(text, from);
}

INLINE size_t scan_host(struct cv_scan_text text, size_t from) {
    size_t at = from, colon;

    while (at < text.length && cv_scan_is(text.data[at], CV_SCAN_HOST))
        at++;
    colon = at;
    if (at == from || at == text.length || text.data[at] != ':')
        return at < text.length ? at - from : 0;
    while (++at < text.length && text.data[at] >= '0' && text.data[at] <= '9')
        continue;
    bool goes_on =
        at < text.length && (text.data[at] == ':' || cv_scan_is(text.data[at], CV_SCAN_HOST));
    bool fits = cv_scan_port_fits(text.data + colon, at - colon);
    return at == text.length || goes_on || !fits ? 0 : at - from;
}

INLINE bool is_name(const char *colon, const struct cv_known_name *name) {
    uint64_t halves[2], fold[2], wanted[2];

    memcpy(halves, colon - CV_KNOWN_TEXT_BYTES, sizeof(halves));
    memcpy(fold, name->fold, sizeof(fold));
    memcpy(wanted, name->text, sizeof(wanted));
    return (halves[0] | fold[0]) == wanted[0] && (halves[1] | fold[1]) == wanted[1];
}

INLINE struct cv_scan_text with_room(struct cv_scan_text text, char block[64]) {
    (void)block;
    return text;
}

INLINE void end_vectors(void) {
}

#include "http/walk.h"

static struct cv_scan_bits bits(struct cv_scan_text text, size_t from) {
    return scan_bytes(text.data + from, CV_MIN(text.length - from, (size_t)64));
}

const struct cv_scan_ops cv_scan_scalar = {feed, resume, bits, scan_target, scan_host};
