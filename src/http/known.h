// Field names that have a slot in struct cv_parser_head: found with one multiplication and one
// compare, however many there are.
#ifndef CV_HTTP_KNOWN_H
#define CV_HTTP_KNOWN_H

#include <stdint.h>

#include "base/span.h"
#include "http/parser.h"

#define CV_KNOWN_TEXT_BYTES 16u

// What the bytes in front of a colon have to be. A byte is folded (ORed) before it is compared, so
// 0x20 ignores the case of a letter and 0xff any byte. Shorter names hold the LF before them as
// well, which makes their length right too.
struct cv_known_name {
    char text[CV_KNOWN_TEXT_BYTES];
    char fold[CV_KNOWN_TEXT_BYTES];
};

// The perfect hash and what it leads to; made before main from the names in known.c.
struct cv_known_table {
    struct cv_known_name name[CV_FIELD_KNOWN_COUNT + 1];
    uint8_t slot[64];  // enum cv_known_field; CV_FIELD_KNOWN_COUNT where no name belongs.
};

extern struct cv_known_table cv_known_table;

// The slot of a name that ends in these four bytes, little-endian. Longer ones and shorter ones
// share slots with the names; the compare tells them apart.
static inline uint32_t cv_known_hash(uint32_t last_bytes, uint32_t name_bytes) {
    return ((last_bytes | 0x20202020u) + name_bytes) * 0x95b1de3bu >> 26;
}

// The whole compare, for names of CV_KNOWN_TEXT_BYTES and more.
bool cv_known_is(enum cv_known_field known, const char *name, uint32_t name_bytes);

// The known field of this name (ASCII case ignored); CV_FIELD_KNOWN_COUNT when it is none of them.
enum cv_known_field cv_known_find(struct cv_span name);

// The name as the RFCs write it in lower case.
struct cv_span cv_known_text(enum cv_known_field known);

#endif
