// Reading field values: lookups in a parsed head, token lists, cookies, and the checks that keep
// what an application says from becoming protocol (RFC 9110 section 5).
#ifndef CV_HTTP_HEADERS_H
#define CV_HTTP_HEADERS_H

#include <stdbool.h>

#include "base/span.h"
#include "http/parser.h"

// The value of the first field of this kind.
static inline bool cv_headers_get(const struct cv_parser_head *head, const char *data,
                                  enum cv_known_field known, struct cv_span *value) {
    uint8_t index = head->known[known];

    if (index == CV_PARSER_NO_FIELD)
        return false;
    *value = cv_parser_span(data, head->field[index].value);
    return true;
}

// The value of the first field called `name` (ASCII case ignored). `data` is the first byte of the
// head.
bool cv_headers_find(const struct cv_parser_head *head, const char *data, struct cv_span name,
                     struct cv_span *value);

// Walks a comma list (RFC 9110 section 5.6.1), empty members skipped, members trimmed; commas
// inside quoted strings do not split. Start with `*rest` = the value; returns false at the end.
bool cv_headers_next_member(struct cv_span *rest, struct cv_span *member);

// Is `token` (case ignored) a member of the comma list `value`?
bool cv_headers_list_has(struct cv_span value, struct cv_span token);

// The value of the first cookie called `name` (case-sensitive) in a Cookie field (RFC 6265 section
// 4.2.1), quotes taken off.
bool cv_headers_cookie(struct cv_span cookie, struct cv_span name, struct cv_span *value);

// token = 1*tchar (RFC 9110 section 5.6.2).
bool cv_headers_is_token(struct cv_span text);

// field-value bytes: VCHAR, obs-text, SP and HTAB, no space at either end (RFC 9110 section 5.5).
bool cv_headers_is_value(struct cv_span text);

// Measures a text that ends in NUL: its length if it is such a value, else SIZE_MAX.
size_t cv_headers_value_length(const char *text);

// host[:port] as a Host field or an authority may hold it (RFC 9110 section 7.2, RFC 3986
// section 3.2.2): a registered name, an IPv4 address or a bracketed IPv6 address, then a port of at
// most five digits, up to 65535, or an empty one. Empty is right; a port without a host is not.
// Stricter than RFC 3986 in two points: no ',' in a name, which would be a list of hosts, and no
// IPvFuture.
bool cv_headers_is_host(struct cv_span text);

#endif
