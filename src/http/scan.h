// Byte classes and the vector code behind the request parser.
//
// A head is read 64 bytes at a time into two words: bit i tells about byte i. Two are enough. CR
// and LF are themselves control bytes, so the first control byte of a line is either its CR or an
// error; the colon is no token byte, so the first byte of a line that is none is either the colon
// or an error. What is made of them stands in http/walk.h, which is compiled once per instruction
// set.
#ifndef CV_HTTP_SCAN_H
#define CV_HTTP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "http/parser.h"

struct cv_scan_bits {
    uint64_t control;    // CTL but HTAB: what no field value may hold.
    uint64_t not_token;  // Not tchar: what no field name may hold. Perhaps ` and | as well.
};

struct cv_scan_text {
    const char *data;
    size_t length;
};

struct cv_scan_target {
    size_t end;    // Behind the bytes that a request target may hold.
    size_t query;  // The first '?' among them, or `end`.
};

struct cv_scan_ops {
    // cv_parser_feed and cv_parser_resume.
    enum cv_parser_result (*feed)(const char *data, size_t length,
                                  const struct cv_parser_limits *limits,
                                  struct cv_parser_head *head);
    enum cv_parser_result (*resume)(const char *data, size_t length,
                                    const struct cv_parser_limits *limits,
                                    struct cv_parser_head *head,
                                    struct cv_parser_progress *progress);

    // The rest is what they are made of, for tests. Nothing outside the text is read.

    // The bits of up to 64 bytes from `from` on; those behind the end are clear.
    struct cv_scan_bits (*bits)(struct cv_scan_text text, size_t from);

    // The target that begins at or before `from`.
    struct cv_scan_target (*target)(struct cv_scan_text text, size_t from);

    // How many bytes are at `from` of a registered name or an IPv4 address, and perhaps a port for
    // which cv_scan_port_fits, with a byte behind them that can be in neither. 0 when that is not
    // what is there, or where it is not found out in one step. `from` is inside the text.
    size_t (*host)(struct cv_scan_text text, size_t from);
};

extern const struct cv_scan_ops cv_scan_scalar;
extern const struct cv_scan_ops cv_scan_avx2;

// The best ones for this processor; set before main runs.
extern struct cv_scan_ops cv_scan_chosen;

// For tests: makes `simd` the chosen one, false when this processor lacks it. Not thread-safe.
bool cv_scan_force(enum cv_simd simd);

// Classes of one byte.
enum {
    CV_SCAN_CONTROL = 1 << 0,  // CTL but HTAB (RFC 5234 appendix B.1).
    CV_SCAN_TOKEN = 1 << 1,    // tchar (RFC 9110 section 5.6.2).
    CV_SCAN_TARGET = 1 << 2,   // VCHAR without "#<>\^` (why: see scan_scalar.c).
    CV_SCAN_HOST = 1 << 3,     // reg-name (RFC 3986 section 3.2.2) without '%' and ','.
};
extern const uint8_t cv_scan_class[256];

// Is a colon with digits behind it, `bytes` in all, a port at first sight? Below 60000 it is; five
// digits that begin higher may be too much. True for 0 bytes as well.
static inline bool cv_scan_port_fits(const char *colon, size_t bytes) {
    return bytes <= 5 || (bytes == 6 && colon[1] < '6');
}

static inline bool cv_scan_is(char byte, unsigned classes) {
    return (cv_scan_class[(unsigned char)byte] & classes) != 0;
}

#endif
