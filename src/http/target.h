// The request target's path and query: percent-decoding, dot segments, form values
// (RFC 3986 sections 2.1 and 5.2.4; application/x-www-form-urlencoded of the WHATWG URL standard).
#ifndef CV_HTTP_TARGET_H
#define CV_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/span.h"

// Decodes a path once into `out` (room for path.length bytes), then removes dot segments.
// Sets `*length`. False, with `*reason` (static text), when the path does not begin with '/' (an
// empty one stays empty), holds a broken escape, %2F (an encoded separator must not become a real
// one), NUL or '\' in any writing, or bytes that are not UTF-8 after decoding, or when dot segments
// lead above the root. `//` stays as it is. `out` is used either way.
CV_MUST_USE bool cv_target_decode_path(struct cv_span path, char *out, size_t *length,
                                       const char **reason);

// True only when decoding would return the path unchanged, so the caller can use it in place: no
// '%', no "/." and only bytes below 0x80.
bool cv_target_path_is_plain(struct cv_span path);

// Decodes a query or form component ('+' is a space) into `out` (room for text.length
// bytes) and sets `*length`; false for a broken escape.
CV_MUST_USE bool cv_target_decode_component(struct cv_span text, char *out, size_t *length);

// Walks name=value pairs separated by '&'; both still encoded. Start with `*rest` = the query;
// returns false at the end. Empty pairs are skipped; a pair without '=' has an empty value.
bool cv_target_next_pair(struct cv_span *rest, struct cv_span *name, struct cv_span *value);

#endif
