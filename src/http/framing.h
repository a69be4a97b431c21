// What the fields the server acts on say together: which host is meant, where the body ends,
// whether the connection goes on (RFC 9112 sections 3.2, 6.3 and 9.3, RFC 9110 sections 7.2, 7.8
// and 10.1.1).
#ifndef CV_HTTP_FRAMING_H
#define CV_HTTP_FRAMING_H

#include <stdbool.h>

#include "base/compiler.h"
#include "http/parser.h"

// What most requests without a body say: of the fields that are judged, one Host. Its value, that
// of the first field, is right. Does what cv_framing_judge would, or returns false.
static inline bool cv_framing_is_plain(struct cv_parser_head *head) {
    const uint32_t judged = (1u << CV_FIELD_CONTENT_TYPE) - 1;

    if ((head->seen & judged) != 1u << CV_FIELD_HOST || head->repeated != 0 ||
        head->version_minor == 0 || head->target_form != CV_TARGET_ORIGIN)
        return false;
    head->refusal = CV_PARSER_OK;
    head->authority = head->field[0].value;
    head->content_length = 0;
    head->has_content_length = false;
    head->chunked = false;
    head->keep_alive = true;
    head->expect_continue = false;
    head->upgrade = false;
    return true;
}

// Judges the fields of a head whose syntax is right, and sets all members from `authority` to
// `upgrade`. `is_host` says that there is a Host whose value is known to be right. DONE, or REFUSED
// for, of several reasons, the first one in this order: Host, Content-Length, Transfer-Encoding,
// Connection, Upgrade, Expect.
CV_MUST_USE enum cv_parser_result cv_framing_judge(const char *data, struct cv_parser_head *head,
                                                   bool is_host);

#endif
