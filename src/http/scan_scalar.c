// The byte classes, and the search in plain C: one table look-up per byte.
//
// A target may hold more than RFC 3986 allows: browsers send {, } and | unescaped in queries, and
// these mean nothing to anybody on the way. Refused are the bytes that do: '#' starts a fragment,
// '\' is a separator to some, '"', '<', '>', '^' and '`' are markup and quoting. Above 0x7e
// nothing is allowed; a client has to escape it.
#include "http/scan.h"

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

static void index_bytes(const char *data, size_t length, struct cv_scan_index *index) {
    struct cv_scan_run run = {0, 0};
    size_t word = 0;
    bool ended = false;

    for (; word * 64 < length && !ended; word++) {
        size_t count = length - word * 64 < 64 ? length - word * 64 : 64;
        uint64_t behind_end = count < 64 ? ~UINT64_C(0) << count : 0;
        uint64_t control = 0;
        uint64_t token = 0;

        for (size_t bit = 0; bit < count; bit++) {
            uint64_t class = cv_scan_class[(unsigned char)data[word * 64 + bit]];

            control |= (class & CV_SCAN_CONTROL) << bit;
            token |= (class & CV_SCAN_TOKEN) / CV_SCAN_TOKEN << bit;
        }
        index->control[word] = control | behind_end;
        index->not_token[word] = ~token;
        ended = cv_scan_run_ends(&run, control);
    }
    index->control[word] = ~UINT64_C(0);
    index->not_token[word] = ~UINT64_C(0);
}

static size_t target_bytes(const char *data, size_t length, size_t *query) {
    size_t count = 0;
    while (count < length && data[count] != '?' && cv_scan_is(data[count], CV_SCAN_TARGET)) {
        count++;
    }
    *query = count;
    while (count < length && cv_scan_is(data[count], CV_SCAN_TARGET)) {
        count++;
    }
    return count;
}

const struct cv_scan_ops cv_scan_scalar = {index_bytes, target_bytes};
