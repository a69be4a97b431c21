// What the fields the server acts on say together: which host is meant, where the body ends,
// whether the connection goes on (RFC 9112 sections 3.2, 6.3 and 9.3, RFC 9110 sections 7.2, 7.8
// and 10.1.1).
#ifndef CV_HTTP_FRAMING_H
#define CV_HTTP_FRAMING_H

#include <stdbool.h>

#include "base/compiler.h"
#include "http/parser.h"

// Judges the fields of a head whose syntax is right, and sets all members from `authority` to
// `upgrade`. `is_host` says that there is a Host whose value is known to be right. DONE, or REFUSED
// for, of several reasons, the first one in this order: Host, Content-Length, Transfer-Encoding,
// Connection, Upgrade, Expect.
CV_MUST_USE enum cv_parser_result cv_framing_judge(const char *data, struct cv_parser_head *head,
                                                   bool is_host);

#endif
