// The rare parts of a head: what http/walk.h does not read itself, and the name of what is wrong.
#ifndef CV_HTTP_UNUSUAL_H
#define CV_HTTP_UNUSUAL_H

#include <stdint.h>

#include "base/compiler.h"
#include "http/parser.h"
#include "http/scan.h"

// All of these return DONE with `head_bytes` behind what they are called after, PARTIAL while it is
// not there, or REFUSED with the refusal in `head`.

// The empty lines before a request line.
CV_COLD enum cv_parser_result cv_unusual_start(struct cv_scan_text text,
                                               struct cv_parser_head *head);

// Any method and the space behind it, from `at` on.
CV_NOINLINE enum cv_parser_result cv_unusual_method(struct cv_scan_text text,
                                                    struct cv_parser_head *head, size_t at);

// Any target from `begin` on, and version and line end behind it. It is right up to `target.end`.
CV_NOINLINE enum cv_parser_result cv_unusual_target(struct cv_scan_text text,
                                                    const struct cv_parser_limits *limits,
                                                    struct cv_parser_head *head, size_t begin,
                                                    struct cv_scan_target target);

// Why neither a field nor the head's end begins at `head_bytes`. `mark` is where the name that
// begins there ends, at least by its first look, and behind it where the line does; the text's
// length for what is not there or is its last byte. Never DONE.
CV_COLD enum cv_parser_result cv_unusual_line(struct cv_scan_text text,
                                              const struct cv_parser_limits *limits,
                                              struct cv_parser_head *head, const uint16_t mark[2]);

#endif
