#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "http/headers.h"
#include "http/known.h"
#include "http/parser.h"
#include "http/scan.h"
#include "support/guard.h"

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"

// Every prefix of an input is PARTIAL. So a refused input ends with the byte that makes it wrong,
// and this table says not only that a head is refused but after which byte.
struct syntax_case {
    const char *name;
    struct cv_span input;
    int expected;  // enum cv_parser_refusal, CV_PARSER_OK for DONE, or STILL_PARTIAL.
};

#define STILL_PARTIAL (-1)

static const struct syntax_case syntax_cases[] = {
    // The request line.
    {"shortest head", CV_SPAN(LINE "Host:\r\n\r\n"), CV_PARSER_OK},
    {"nothing", CV_SPAN(""), STILL_PARTIAL},
    {"method alone", CV_SPAN("GET"), STILL_PARTIAL},
    {"method and space", CV_SPAN("GET "), STILL_PARTIAL},
    {"target alone", CV_SPAN("GET /abc"), STILL_PARTIAL},
    {"half a version", CV_SPAN("GET / HTTP/1"), STILL_PARTIAL},
    {"no end", CV_SPAN(LINE HOST "\r"), STILL_PARTIAL},
    {"no empty line", CV_SPAN(LINE HOST), STILL_PARTIAL},
    {"half a field", CV_SPAN(LINE "Host"), STILL_PARTIAL},
    {"half a value", CV_SPAN(LINE "Host: a"), STILL_PARTIAL},
    {"one empty line first", CV_SPAN("\r\n" LINE HOST "\r\n"), CV_PARSER_OK},
    {"two empty lines first", CV_SPAN("\r\n\r\n" LINE HOST "\r\n"), CV_PARSER_OK},
    {"eight empty lines first", CV_SPAN("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n" LINE HOST "\r\n"),
     CV_PARSER_OK},
    {"nine empty lines first", CV_SPAN("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r"),
     CV_PARSER_BAD_REQUEST_LINE},
    {"empty lines only", CV_SPAN("\r\n\r\n\r\n"), STILL_PARTIAL},
    {"LF first", CV_SPAN("\n"), CV_PARSER_BAD_LINE_END},
    {"CR without LF first", CV_SPAN("\rG"), CV_PARSER_BAD_LINE_END},
    {"two CR first", CV_SPAN("\r\r"), CV_PARSER_BAD_LINE_END},
    {"LF after an empty line", CV_SPAN("\r\n\n"), CV_PARSER_BAD_LINE_END},
    {"space first", CV_SPAN(" "), CV_PARSER_BAD_REQUEST_LINE},
    {"tab first", CV_SPAN("\t"), CV_PARSER_BAD_REQUEST_LINE},
    {"space after an empty line", CV_SPAN("\r\n "), CV_PARSER_BAD_REQUEST_LINE},
    {"NUL first", CV_SPAN("\0"), CV_PARSER_BAD_REQUEST_LINE},
    {"TLS ClientHello", CV_SPAN("\x16"), CV_PARSER_BAD_REQUEST_LINE},
    {"PROXY protocol 1", CV_SPAN("PROXY T"), CV_PARSER_BAD_TARGET},
    {"PROXY protocol 2", CV_SPAN("\r\n\r\n\0"), CV_PARSER_BAD_REQUEST_LINE},
    {"HTTP/2 preface", CV_SPAN("PRI * "), CV_PARSER_BAD_TARGET},
    {"byte order mark", CV_SPAN("\xef"), CV_PARSER_BAD_REQUEST_LINE},
    {"tab after the method", CV_SPAN("GET\t"), CV_PARSER_BAD_REQUEST_LINE},
    {"CR after the method", CV_SPAN("GET\r"), CV_PARSER_BAD_REQUEST_LINE},
    {"LF after the method", CV_SPAN("GET\n"), CV_PARSER_BAD_LINE_END},
    {"no token in the method: slash", CV_SPAN("GE/"), CV_PARSER_BAD_REQUEST_LINE},
    {"no token in the method: colon", CV_SPAN("GET:"), CV_PARSER_BAD_REQUEST_LINE},
    {"no token in the method: bracket", CV_SPAN("G("), CV_PARSER_BAD_REQUEST_LINE},
    {"no token in the method: NUL", CV_SPAN("GE\0"), CV_PARSER_BAD_REQUEST_LINE},
    {"no token in the method: 0x80", CV_SPAN("GET\x80"), CV_PARSER_BAD_REQUEST_LINE},
    {"response line", CV_SPAN("HTTP/"), CV_PARSER_BAD_REQUEST_LINE},
    {"lower-case method", CV_SPAN("get / HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"all token bytes", CV_SPAN("!#$%&'*+-.^_`|~0 / HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"one byte method", CV_SPAN("M / HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"16 byte method", CV_SPAN("ABCDEFGHIJKLMNOP / HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"16 byte method, open", CV_SPAN("ABCDEFGHIJKLMNOP"), STILL_PARTIAL},
    {"17 byte method", CV_SPAN("ABCDEFGHIJKLMNOPQ"), CV_PARSER_METHOD_TOO_LONG},
    {"17 bytes of method after empty lines", CV_SPAN("\r\n\r\nABCDEFGHIJKLMNOPQ"),
     CV_PARSER_METHOD_TOO_LONG},
    {"two spaces before the target", CV_SPAN("GET  "), CV_PARSER_BAD_REQUEST_LINE},
    {"HTTP/0.9", CV_SPAN("GET /\r"), CV_PARSER_BAD_REQUEST_LINE},
    {"HTTP/0.9 with LF", CV_SPAN("GET /\n"), CV_PARSER_BAD_REQUEST_LINE},
    {"no target", CV_SPAN("GET \r"), CV_PARSER_BAD_REQUEST_LINE},
    {"two spaces before the version", CV_SPAN("GET /  "), CV_PARSER_BAD_VERSION},
    {"space in the target", CV_SPAN("GET /a b"), CV_PARSER_BAD_VERSION},
    {"tab in the target", CV_SPAN("GET /a\t"), CV_PARSER_BAD_TARGET},
    {"tab before the target", CV_SPAN("GET \t"), CV_PARSER_BAD_TARGET},
    {"NUL in the target", CV_SPAN("GET /a\0"), CV_PARSER_BAD_TARGET},
    {"DEL in the target", CV_SPAN("GET /a\x7f"), CV_PARSER_BAD_TARGET},
    {"0x80 in the target", CV_SPAN("GET /a\x80"), CV_PARSER_BAD_TARGET},
    {"0xa0 in the target", CV_SPAN("GET /\xa0"), CV_PARSER_BAD_TARGET},
    {"UTF-8 in the target", CV_SPAN("GET /\xc3"), CV_PARSER_BAD_TARGET},
    {"fragment", CV_SPAN("GET /a#"), CV_PARSER_BAD_TARGET},
    {"quote in the target", CV_SPAN("GET /\""), CV_PARSER_BAD_TARGET},
    {"less in the target", CV_SPAN("GET /<"), CV_PARSER_BAD_TARGET},
    {"greater in the target", CV_SPAN("GET /a?>"), CV_PARSER_BAD_TARGET},
    {"backslash in the target", CV_SPAN("GET /\\"), CV_PARSER_BAD_TARGET},
    {"circumflex in the target", CV_SPAN("GET /^"), CV_PARSER_BAD_TARGET},
    {"backtick in the target", CV_SPAN("GET /`"), CV_PARSER_BAD_TARGET},
    {"braces and bar in the target", CV_SPAN("GET /{a}|b HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"broken escape is the path's", CV_SPAN("GET /%zz HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"brackets in the query", CV_SPAN("GET /?a[]=1 HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"relative target", CV_SPAN("GET i"), CV_PARSER_BAD_TARGET},
    {"target of a query alone", CV_SPAN("GET ?"), CV_PARSER_BAD_TARGET},
    {"other scheme", CV_SPAN("GET f"), CV_PARSER_BAD_TARGET},
    {"scheme that begins like ours", CV_SPAN("GET hxxp://a/ "), CV_PARSER_BAD_TARGET},
    {"scheme alone", CV_SPAN("GET http:// "), CV_PARSER_BAD_TARGET},
    {"scheme with one slash", CV_SPAN("GET http:/a/ "), CV_PARSER_BAD_TARGET},
    {"no authority", CV_SPAN("GET http:///a "), CV_PARSER_BAD_TARGET},
    {"no authority but a query", CV_SPAN("GET http://?a "), CV_PARSER_BAD_TARGET},
    {"https without authority", CV_SPAN("GET https:// "), CV_PARSER_BAD_TARGET},
    {"user in the authority", CV_SPAN("GET http://u@a/ "), CV_PARSER_BAD_TARGET},
    {"comma in the authority", CV_SPAN("GET http://a,b/ "), CV_PARSER_BAD_TARGET},
    {"port too large", CV_SPAN("GET http://a:65536/ "), CV_PARSER_BAD_TARGET},
    {"port without a host", CV_SPAN("GET http://:80/ "), CV_PARSER_BAD_TARGET},
    {"absolute form", CV_SPAN("GET http://a/b HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"absolute form, upper case", CV_SPAN("GET HTTP://a/b HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"absolute form, https", CV_SPAN("GET https://a HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"absolute form, one letter", CV_SPAN("GET http://a HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"absolute form without Host", CV_SPAN("GET http://a/ HTTP/1.1\r\n\r\n"), CV_PARSER_BAD_HOST},
    {"asterisk", CV_SPAN("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"asterisk for GET", CV_SPAN("GET * "), CV_PARSER_BAD_TARGET},
    {"asterisk and more", CV_SPAN("OPTIONS *a "), CV_PARSER_BAD_TARGET},
    {"authority form", CV_SPAN("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"authority form, IPv6", CV_SPAN("CONNECT [::1]:443 HTTP/1.1\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"CONNECT without port", CV_SPAN("CONNECT a "), CV_PARSER_BAD_TARGET},
    {"CONNECT with an empty port", CV_SPAN("CONNECT a: "), CV_PARSER_BAD_TARGET},
    {"CONNECT without host", CV_SPAN("CONNECT :443 "), CV_PARSER_BAD_TARGET},
    {"CONNECT with digits alone", CV_SPAN("CONNECT 443 "), CV_PARSER_BAD_TARGET},
    {"CONNECT with a path", CV_SPAN("CONNECT / "), CV_PARSER_BAD_TARGET},
    {"CONNECT with a URI", CV_SPAN("CONNECT http://a:80/ "), CV_PARSER_BAD_TARGET},
    {"CONNECT with port 65536", CV_SPAN("CONNECT a:65536 "), CV_PARSER_BAD_TARGET},
    {"authority form for GET", CV_SPAN("GET a"), CV_PARSER_BAD_TARGET},
    {"HTTP/1.0", CV_SPAN("GET / HTTP/1.0\r\n\r\n"), CV_PARSER_OK},
    {"HTTP/1.2", CV_SPAN("GET / HTTP/1.2\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"HTTP/1.9", CV_SPAN("GET / HTTP/1.9\r\n" HOST "\r\n"), CV_PARSER_OK},
    {"HTTP/2.0", CV_SPAN("GET / HTTP/2.0\r\n"), CV_PARSER_VERSION_UNSUPPORTED},
    {"HTTP/0.9 named", CV_SPAN("GET / HTTP/0.9\r\n"), CV_PARSER_VERSION_UNSUPPORTED},
    {"HTTP/3.9", CV_SPAN("GET / HTTP/3.9\r\n"), CV_PARSER_VERSION_UNSUPPORTED},
    {"HTTP/1.10", CV_SPAN("GET / HTTP/1.10"), CV_PARSER_BAD_VERSION},
    {"HTTP/11.1", CV_SPAN("GET / HTTP/11"), CV_PARSER_BAD_VERSION},
    {"HTTP/1", CV_SPAN("GET / HTTP/1\r"), CV_PARSER_BAD_VERSION},
    {"HTTP/1,1", CV_SPAN("GET / HTTP/1,"), CV_PARSER_BAD_VERSION},
    {"HTTP/1.x", CV_SPAN("GET / HTTP/1.x"), CV_PARSER_BAD_VERSION},
    {"HTTP/.1", CV_SPAN("GET / HTTP/."), CV_PARSER_BAD_VERSION},
    {"HTTP 1.1", CV_SPAN("GET / HTTP "), CV_PARSER_BAD_VERSION},
    {"http/1.1", CV_SPAN("GET / h"), CV_PARSER_BAD_VERSION},
    {"HTTPS/1.1", CV_SPAN("GET / HTTPS"), CV_PARSER_BAD_VERSION},
    {"space behind the version", CV_SPAN("GET / HTTP/1.1 "), CV_PARSER_BAD_VERSION},
    {"version ends in LF", CV_SPAN("GET / HTTP/1.1\n"), CV_PARSER_BAD_LINE_END},
    {"version ends in CR", CV_SPAN("GET / HTTP/1.1\rH"), CV_PARSER_BAD_LINE_END},
    {"version ends in CR CR", CV_SPAN("GET / HTTP/1.1\r\r"), CV_PARSER_BAD_LINE_END},
    {"CR at the version", CV_SPAN("GET / \r"), CV_PARSER_BAD_VERSION},
    // Field lines.
    {"no fields in HTTP/1.0", CV_SPAN("GET / HTTP/1.0\r\n\r\n"), CV_PARSER_OK},
    {"space before the colon", CV_SPAN(LINE "Host "), CV_PARSER_BAD_FIELD_NAME},
    {"tab before the colon", CV_SPAN(LINE "Host\t"), CV_PARSER_BAD_FIELD_NAME},
    {"no colon", CV_SPAN(LINE "Host\r"), CV_PARSER_BAD_FIELD_NAME},
    {"no colon, LF", CV_SPAN(LINE "Host\n"), CV_PARSER_BAD_FIELD_NAME},
    {"empty name", CV_SPAN(LINE ":"), CV_PARSER_BAD_FIELD_NAME},
    {"NUL in the name", CV_SPAN(LINE "Ho\0"), CV_PARSER_BAD_FIELD_NAME},
    {"0x80 in the name", CV_SPAN(LINE "Ho\x80"), CV_PARSER_BAD_FIELD_NAME},
    {"0xa0 behind the name", CV_SPAN(LINE "Host\xa0"), CV_PARSER_BAD_FIELD_NAME},
    {"quote in the name", CV_SPAN(LINE "\""), CV_PARSER_BAD_FIELD_NAME},
    {"slash in the name", CV_SPAN(LINE "a/"), CV_PARSER_BAD_FIELD_NAME},
    {"comma in the name", CV_SPAN(LINE "a,"), CV_PARSER_BAD_FIELD_NAME},
    {"DEL in the name", CV_SPAN(LINE "a\x7f"), CV_PARSER_BAD_FIELD_NAME},
    {"underscore in the name", CV_SPAN(LINE HOST "a_b: 1\r\n\r\n"), CV_PARSER_OK},
    {"all token bytes in a name", CV_SPAN(LINE HOST "!#$%&'*+-.^_`|~0aA:1\r\n\r\n"), CV_PARSER_OK},
    {"space before the first field", CV_SPAN(LINE " "), CV_PARSER_FOLDED_FIELD},
    {"tab before the first field", CV_SPAN(LINE "\t"), CV_PARSER_FOLDED_FIELD},
    {"folded field", CV_SPAN(LINE HOST "A: b\r\n "), CV_PARSER_FOLDED_FIELD},
    {"field folded with a tab", CV_SPAN(LINE HOST "A: b\r\n\t"), CV_PARSER_FOLDED_FIELD},
    {"name over two lines", CV_SPAN(LINE "Ho\r"), CV_PARSER_BAD_FIELD_NAME},
    {"value ends in LF", CV_SPAN(LINE "Host: a\n"), CV_PARSER_BAD_LINE_END},
    {"value holds CR", CV_SPAN(LINE "Host: a\rb"), CV_PARSER_BAD_LINE_END},
    {"value ends in CR CR", CV_SPAN(LINE "Host: a\r\r"), CV_PARSER_BAD_LINE_END},
    {"value holds NUL", CV_SPAN(LINE "Host: a\0"), CV_PARSER_BAD_FIELD_VALUE},
    {"value begins with NUL", CV_SPAN(LINE "Host:\0"), CV_PARSER_BAD_FIELD_VALUE},
    {"value holds 0x01", CV_SPAN(LINE "A: \x01"), CV_PARSER_BAD_FIELD_VALUE},
    {"value holds BEL", CV_SPAN(LINE "A: x\a"), CV_PARSER_BAD_FIELD_VALUE},
    {"value holds VT", CV_SPAN(LINE "A: x\v"), CV_PARSER_BAD_FIELD_VALUE},
    {"value holds FF", CV_SPAN(LINE "A: x\f"), CV_PARSER_BAD_FIELD_VALUE},
    {"value holds 0x1f", CV_SPAN(LINE "A: x\x1f"), CV_PARSER_BAD_FIELD_VALUE},
    {"value holds DEL", CV_SPAN(LINE "A: x\x7f"), CV_PARSER_BAD_FIELD_VALUE},
    {"value holds tabs", CV_SPAN(LINE HOST "A: x\ty\r\n\r\n"), CV_PARSER_OK},
    {"value holds obs-text", CV_SPAN(LINE HOST "A: \x80\xff\r\n\r\n"), CV_PARSER_OK},
    {"value of 0x85 and 0xa0", CV_SPAN(LINE HOST "A: \x85\xa0\r\n\r\n"), CV_PARSER_OK},
    {"empty value", CV_SPAN(LINE HOST "A:\r\n\r\n"), CV_PARSER_OK},
    {"value of blanks", CV_SPAN(LINE HOST "A: \t \r\n\r\n"), CV_PARSER_OK},
    {"value of colons", CV_SPAN(LINE HOST "A:::\r\n\r\n"), CV_PARSER_OK},
    {"LF instead of the empty line", CV_SPAN(LINE HOST "\n"), CV_PARSER_BAD_LINE_END},
    {"CR X instead of the empty line", CV_SPAN(LINE HOST "\rX"), CV_PARSER_BAD_LINE_END},
    {"CR CR instead of the empty line", CV_SPAN(LINE HOST "\r\r"), CV_PARSER_BAD_LINE_END},
    {"first wrong byte decides", CV_SPAN(LINE "Content-Length: x\r\nA\0"),
     CV_PARSER_BAD_FIELD_NAME},
    // Host.
    {"no Host", CV_SPAN(LINE "\r\n"), CV_PARSER_BAD_HOST},
    {"no Host in HTTP/1.2", CV_SPAN("GET / HTTP/1.2\r\n\r\n"), CV_PARSER_BAD_HOST},
    {"two Hosts", CV_SPAN(LINE HOST HOST "\r\n"), CV_PARSER_BAD_HOST},
    {"two Hosts, other case", CV_SPAN(LINE HOST "hOST: a\r\n\r\n"), CV_PARSER_BAD_HOST},
    {"two Hosts in HTTP/1.0", CV_SPAN("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), CV_PARSER_BAD_HOST},
    {"bad Host in HTTP/1.0", CV_SPAN("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), CV_PARSER_BAD_HOST},
    {"list of hosts", CV_SPAN(LINE "Host: a, b\r\n\r\n"), CV_PARSER_BAD_HOST},
    {"Host with a user", CV_SPAN(LINE "Host: u@a\r\n\r\n"), CV_PARSER_BAD_HOST},
    {"Host with a path", CV_SPAN(LINE "Host: a/b\r\n\r\n"), CV_PARSER_BAD_HOST},
    {"Host with obs-text", CV_SPAN(LINE "Host: a\xa0\r\n\r\n"), CV_PARSER_BAD_HOST},
    {"bad Host with an absolute form", CV_SPAN("GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n"),
     CV_PARSER_BAD_HOST},
    {"Host decides before Content-Length", CV_SPAN(LINE "Content-Length: x\r\n\r\n"),
     CV_PARSER_BAD_HOST},
    // Content-Length.
    {"length 0", CV_SPAN(LINE HOST "Content-Length: 0\r\n\r\n"), CV_PARSER_OK},
    {"length +1", CV_SPAN(LINE HOST "Content-Length: +1\r\n\r\n"), CV_PARSER_BAD_CONTENT_LENGTH},
    {"length -1", CV_SPAN(LINE HOST "Content-Length: -1\r\n\r\n"), CV_PARSER_BAD_CONTENT_LENGTH},
    {"length 0x5", CV_SPAN(LINE HOST "Content-Length: 0x5\r\n\r\n"), CV_PARSER_BAD_CONTENT_LENGTH},
    {"length 1e1", CV_SPAN(LINE HOST "Content-Length: 1e1\r\n\r\n"), CV_PARSER_BAD_CONTENT_LENGTH},
    {"length 1_0", CV_SPAN(LINE HOST "Content-Length: 1_0\r\n\r\n"), CV_PARSER_BAD_CONTENT_LENGTH},
    {"length 5.0", CV_SPAN(LINE HOST "Content-Length: 5.0\r\n\r\n"), CV_PARSER_BAD_CONTENT_LENGTH},
    {"length empty", CV_SPAN(LINE HOST "Content-Length:\r\n\r\n"), CV_PARSER_BAD_CONTENT_LENGTH},
    {"length blank", CV_SPAN(LINE HOST "Content-Length: \r\n\r\n"), CV_PARSER_BAD_CONTENT_LENGTH},
    {"length 5 5", CV_SPAN(LINE HOST "Content-Length: 5 5\r\n\r\n"), CV_PARSER_BAD_CONTENT_LENGTH},
    {"length 5, 5", CV_SPAN(LINE HOST "Content-Length: 5, 5\r\n\r\n"),
     CV_PARSER_BAD_CONTENT_LENGTH},
    {"length 5 and 0xa0", CV_SPAN(LINE HOST "Content-Length: 5\xa0\r\n\r\n"),
     CV_PARSER_BAD_CONTENT_LENGTH},
    {"length twice, equal", CV_SPAN(LINE HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
     CV_PARSER_BAD_CONTENT_LENGTH},
    {"length twice, different", CV_SPAN(LINE HOST "Content-Length: 5\r\ncontent-length: 6\r\n\r\n"),
     CV_PARSER_BAD_CONTENT_LENGTH},
    {"length of 19 digits", CV_SPAN(LINE HOST "Content-Length: 9223372036854775807\r\n\r\n"),
     CV_PARSER_OK},
    {"length above 2^63 - 1", CV_SPAN(LINE HOST "Content-Length: 9223372036854775808\r\n\r\n"),
     CV_PARSER_BAD_CONTENT_LENGTH},
    {"length of 20 digits", CV_SPAN(LINE HOST "Content-Length: 00000000000000000005\r\n\r\n"),
     CV_PARSER_BAD_CONTENT_LENGTH},
    {"length of 2^64 + 5", CV_SPAN(LINE HOST "Content-Length: 18446744073709551621\r\n\r\n"),
     CV_PARSER_BAD_CONTENT_LENGTH},
    {"name with underscore is another",
     CV_SPAN(LINE HOST "Content_Length: x\r\nTransfer_Encoding: x\r\n\r\n"), CV_PARSER_OK},
    // Transfer-Encoding.
    {"chunked", CV_SPAN(LINE HOST "Transfer-Encoding: chunked\r\n\r\n"), CV_PARSER_OK},
    {"Chunked", CV_SPAN(LINE HOST "TRANSFER-ENCODING: \t CHUNKED \t \r\n\r\n"), CV_PARSER_OK},
    {"chunked and length",
     CV_SPAN(LINE HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"length and chunked",
     CV_SPAN(LINE HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"unknown coding and length",
     CV_SPAN(LINE HOST "Content-Length: 5\r\nTransfer-Encoding: x\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"chunked in HTTP/1.0", CV_SPAN("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"chunked twice in a line", CV_SPAN(LINE HOST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"chunked twice in two lines",
     CV_SPAN(LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"chunked not last", CV_SPAN(LINE HOST "Transfer-Encoding: chunked, gzip\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"chunked not last over two lines",
     CV_SPAN(LINE HOST "Transfer-Encoding: chunked\r\nA: b\r\nTransfer-Encoding: gzip\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"chunked, identity", CV_SPAN(LINE HOST "Transfer-Encoding: chunked, identity\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"empty coding", CV_SPAN(LINE HOST "Transfer-Encoding:\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"empty second line",
     CV_SPAN(LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"comma before chunked", CV_SPAN(LINE HOST "Transfer-Encoding: , chunked\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"comma behind chunked", CV_SPAN(LINE HOST "Transfer-Encoding: chunked,\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"chunked with a parameter", CV_SPAN(LINE HOST "Transfer-Encoding: chunked;a=b\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"quoted chunked", CV_SPAN(LINE HOST "Transfer-Encoding: \"chunked\"\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"chunked and 0x85", CV_SPAN(LINE HOST "Transfer-Encoding: chunked\x85\r\n\r\n"),
     CV_PARSER_BAD_TRANSFER_ENCODING},
    {"VT before chunked", CV_SPAN(LINE HOST "Transfer-Encoding: \v"), CV_PARSER_BAD_FIELD_VALUE},
    {"gzip before chunked", CV_SPAN(LINE HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
     CV_PARSER_UNKNOWN_CODING},
    {"gzip before chunked over two lines",
     CV_SPAN(LINE HOST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"),
     CV_PARSER_UNKNOWN_CODING},
    {"gzip alone", CV_SPAN(LINE HOST "Transfer-Encoding: gzip\r\n\r\n"), CV_PARSER_UNKNOWN_CODING},
    {"identity", CV_SPAN(LINE HOST "Transfer-Encoding: identity\r\n\r\n"),
     CV_PARSER_UNKNOWN_CODING},
    {"xchunked", CV_SPAN(LINE HOST "Transfer-Encoding: xchunked\r\n\r\n"),
     CV_PARSER_UNKNOWN_CODING},
    {"chunke", CV_SPAN(LINE HOST "Transfer-Encoding: chunke\r\n\r\n"), CV_PARSER_UNKNOWN_CODING},
    // Connection, Upgrade, Expect.
    {"Connection no token", CV_SPAN(LINE HOST "Connection: a b\r\n\r\n"), CV_PARSER_BAD_CONNECTION},
    {"Connection no token in a second line",
     CV_SPAN(LINE HOST "Connection: close\r\nConnection: (\r\n\r\n"), CV_PARSER_BAD_CONNECTION},
    {"Connection quoted", CV_SPAN(LINE HOST "Connection: \"a, close\"\r\n\r\n"),
     CV_PARSER_BAD_CONNECTION},
    {"Connection empty", CV_SPAN(LINE HOST "Connection:\r\n\r\n"), CV_PARSER_OK},
    {"Upgrade no protocol", CV_SPAN(LINE HOST "Upgrade: a/b/c\r\n\r\n"), CV_PARSER_BAD_CONNECTION},
    {"Upgrade with an empty version", CV_SPAN(LINE HOST "Upgrade: a/\r\n\r\n"),
     CV_PARSER_BAD_CONNECTION},
    {"Upgrade of two", CV_SPAN(LINE HOST "Upgrade: h2c, HTTP/3.0\r\n\r\n"), CV_PARSER_OK},
    {"unknown expectation", CV_SPAN(LINE HOST "Expect: x\r\n\r\n"), CV_PARSER_UNKNOWN_EXPECTATION},
    {"one known, one unknown expectation", CV_SPAN(LINE HOST "Expect: 100-continue, x\r\n\r\n"),
     CV_PARSER_UNKNOWN_EXPECTATION},
    {"unknown expectation in a second line",
     CV_SPAN(LINE HOST "Expect: 100-continue\r\nExpect: y\r\n\r\n"), CV_PARSER_UNKNOWN_EXPECTATION},
    {"expectation with a parameter", CV_SPAN(LINE HOST "Expect: 100-continue;q=1\r\n\r\n"),
     CV_PARSER_UNKNOWN_EXPECTATION},
    {"expectation with obs-text", CV_SPAN(LINE HOST "Expect: 100-continue\xa0\r\n\r\n"),
     CV_PARSER_UNKNOWN_EXPECTATION},
    {"unknown expectation in HTTP/1.0", CV_SPAN("GET / HTTP/1.0\r\nExpect: x\r\n\r\n"),
     CV_PARSER_OK},
    // Longer ones, over several words of the index.
    {"browser request",
     CV_SPAN("GET /news/index.html?page=2&sort=date HTTP/1.1\r\n"
             "Host: www.example.org:8080\r\n"
             "Connection: keep-alive\r\n"
             "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
             "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
             "Accept-Encoding: gzip, deflate\r\n"
             "Cookie: session=0123456789abcdef0123456789abcdef; theme=\"dark\"\r\n\r\n"),
     CV_PARSER_OK},
    {"NUL in the last value of many",
     CV_SPAN("POST /a/long/path/to/somewhere/far/away/beyond/one/word HTTP/1.1\r\n" HOST
             "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
             "Cookie: session=0123456789abcdef0123456789abcdef; theme=\"dark\0"),
     CV_PARSER_BAD_FIELD_VALUE},
};

static const struct cv_parser_limits limits = {
    .head_bytes_max = 32768, .target_bytes_max = 8192, .fields_max = CV_PARSER_FIELDS_MAX};

static struct t_guard guard;

static int set_up(void **state) {
    (void)state;
    guard = t_guard_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_guard_destroy(guard);
    cv_scan_force(cv_cpu_simd());
    return 0;
}

// What the parser says about the first `length` bytes: the refusal, CV_PARSER_OK or STILL_PARTIAL.
// Checks on the way that place and surroundings do not matter. The head it leaves is that of the
// copy at the end of the memory.
static int answer_of(const char *data, size_t length, const struct cv_parser_limits *set,
                     struct cv_parser_head *head) {
    int answers[2];

    for (size_t k = 0; k < 2; k++) {
        const char *copy =
            k == 0 ? t_guard_at_begin(guard, data, length) : t_guard_at_end(guard, data, length);
        enum cv_parser_result result = cv_parser_feed(copy, length, set, head);

        answers[k] = result == CV_PARSER_PARTIAL ? STILL_PARTIAL : (int)head->refusal;
        assert_true(result != CV_PARSER_REFUSED || head->refusal != CV_PARSER_OK);
        assert_true(result != CV_PARSER_DONE || head->refusal == CV_PARSER_OK);
    }
    assert_int_equal(answers[0], answers[1]);
    return answers[1];
}

#define UNUSED 0xa5  // What heads are filled with before.

// The same for a head that comes in pieces: the first `cut` bytes, then `step` more at a time. Each
// piece lies elsewhere than the one before.
static int answer_in_pieces(const char *data, size_t length, size_t cut, size_t step,
                            const struct cv_parser_limits *set, struct cv_parser_head *head) {
    struct cv_parser_progress progress = {0};

    for (size_t bytes = cut;; bytes += step) {
        bytes = CV_MIN(bytes, length);
        const char *copy = t_guard_at_end(guard, data, bytes);
        // What is left in `head` is not of this request: such a name lies behind the text.
        for (size_t i = 0; i < CV_PARSER_FIELDS_MAX; i++)
            head->field[i].name = (struct cv_parser_slice){(uint16_t)bytes, 4};
        enum cv_parser_result result = cv_parser_resume(copy, bytes, set, head, &progress);

        for (size_t i = result == CV_PARSER_DONE ? head->field_count : 0; i < CV_PARSER_FIELDS_MAX;
             i++)
            memset(&head->field[i].name, UNUSED, sizeof(head->field[i].name));
        if (result != CV_PARSER_PARTIAL)
            return (int)head->refusal;
        if (bytes == length)
            return STILL_PARTIAL;
    }
}

static void check_answer(const char *name, size_t length, int answer, int expected) {
    if (answer != expected)
        fail_msg("%s, first %zu bytes: %d, not %d", name, length, answer, expected);
}

static void check_same_heads(const struct cv_parser_head *a, const struct cv_parser_head *b) {
    // Both were filled with the same byte before, so padding and unused fields are equal as well.
    assert_memory_equal(a, b, sizeof(*a));
}

// Whole, in two pieces cut anywhere, byte by byte, and in steps of other sizes.
static void check_in_pieces(const struct syntax_case *one) {
    struct cv_parser_head whole, pieces;
    size_t length = one->input.length;

    memset(&whole, UNUSED, sizeof(whole));
    answer_of(one->input.data, length, &limits, &whole);
    for (size_t cut = 0; cut <= length; cut++) {
        for (size_t k = 0; k < 3; k++) {
            size_t step = k == 0 ? 1 : k == 1 ? 7 : length + 1;
            memset(&pieces, UNUSED, sizeof(pieces));
            check_answer(one->name, cut,
                         answer_in_pieces(one->input.data, length, cut, step, &limits, &pieces),
                         one->expected);
            if (one->expected == CV_PARSER_OK)
                check_same_heads(&whole, &pieces);
        }
    }
}

static void check_syntax_case(const struct syntax_case *one) {
    static const char *const tails[] = {"\r\n\r\n", "GET / HTTP/1.1\r\n", "\0\n\r\n\n"};
    static char longer[1024];
    struct cv_parser_head head;
    size_t length = one->input.length;

    for (size_t cut = 0; cut < length; cut++)
        check_answer(one->name, cut, answer_of(one->input.data, cut, &limits, &head),
                     STILL_PARTIAL);
    check_answer(one->name, length, answer_of(one->input.data, length, &limits, &head),
                 one->expected);
    if (one->expected == CV_PARSER_OK)
        assert_int_equal(head.head_bytes, length);
    check_in_pieces(one);
    if (one->expected == STILL_PARTIAL)
        return;
    for (size_t k = 0; k < CV_ARRAY_COUNT(tails); k++) {
        size_t tail = CV_MAX(strlen(tails[k]), 5u);

        memcpy(longer, one->input.data, length);
        memset(longer + length, 0, 16);
        memcpy(longer + length, tails[k], strlen(tails[k]));
        check_answer(one->name, length + tail, answer_of(longer, length + tail, &limits, &head),
                     one->expected);
        if (one->expected == CV_PARSER_OK)
            assert_int_equal(head.head_bytes, length);
    }
}

static void run_syntax_cases(enum cv_simd simd) {
    if (!cv_scan_force(simd))
        skip();
    for (size_t i = 0; i < CV_ARRAY_COUNT(syntax_cases); i++)
        check_syntax_case(&syntax_cases[i]);
}

static void test_parser_scalar_answers_each_case_whole_and_at_each_cut(void **state) {
    (void)state;
    run_syntax_cases(CV_SIMD_SCALAR);
}

static void test_parser_avx2_answers_each_case_whole_and_at_each_cut(void **state) {
    (void)state;
    run_syntax_cases(CV_SIMD_AVX2);
}

static void parse(const char *data, struct cv_parser_head *head) {
    enum cv_parser_result result = cv_parser_feed(data, strlen(data), &limits, head);

    if (result != CV_PARSER_DONE)
        fail_msg("%s: result %d, %s", data, (int)result, cv_parser_reason(head->refusal));
}

static void check_slice(const char *data, struct cv_parser_slice slice, const char *expected) {
    struct cv_span span = cv_parser_span(data, slice);

    if (!cv_span_equal(span, cv_span_of(expected)))
        fail_msg("%s: \"%.*s\", not \"%s\"", data, (int)span.length, span.data, expected);
}

static void test_parser_finds_the_parts_of_a_target(void **state) {
    static const struct {
        const char *head;
        uint16_t method;
        enum cv_target_form form;
        const char *target, *path, *query, *authority;
    } cases[] = {
        {LINE HOST "\r\n", CV_METHOD_GET, CV_TARGET_ORIGIN, "/", "/", "", "a"},
        {"HEAD /a/b HTTP/1.1\r\nHost:  x:1 \r\n\r\n", CV_METHOD_HEAD, CV_TARGET_ORIGIN, "/a/b",
         "/a/b", "", "x:1"},
        {"POST /?q HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_POST, CV_TARGET_ORIGIN, "/?q", "/", "q",
         "a"},
        {"PUT /a? HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_PUT, CV_TARGET_ORIGIN, "/a?", "/a", "", "a"},
        {"DELETE /a?b?c/d HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_DELETE, CV_TARGET_ORIGIN, "/a?b?c/d",
         "/a", "b?c/d", "a"},
        {"PATCH //a HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_PATCH, CV_TARGET_ORIGIN, "//a", "//a", "",
         "a"},
        {"TRACE / HTTP/1.0\r\n\r\n", CV_METHOD_TRACE, CV_TARGET_ORIGIN, "/", "/", "", ""},
        {"BREW / HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_OTHER, CV_TARGET_ORIGIN, "/", "/", "", "a"},
        {"GETS / HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_OTHER, CV_TARGET_ORIGIN, "/", "/", "", "a"},
        {"\r\nOPTIONS * HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_OPTIONS, CV_TARGET_ASTERISK, "*", "",
         "", "a"},
        {"CONNECT b:1 HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_CONNECT, CV_TARGET_AUTHORITY, "b:1", "",
         "", "b:1"},
        {"GET http://b:80/c?d HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_GET, CV_TARGET_ABSOLUTE,
         "http://b:80/c?d", "/c", "d", "b:80"},
        {"GET https://b HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_GET, CV_TARGET_ABSOLUTE, "https://b",
         "", "", "b"},
        {"GET HtTp://b?/c HTTP/1.1\r\n" HOST "\r\n", CV_METHOD_GET, CV_TARGET_ABSOLUTE,
         "HtTp://b?/c", "", "/c", "b"},
        {"GET http://b/ HTTP/1.0\r\n\r\n", CV_METHOD_GET, CV_TARGET_ABSOLUTE, "http://b/", "/", "",
         "b"},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_parser_head head;

        memset(&head, UNUSED, sizeof(head));
        parse(cases[i].head, &head);
        assert_int_equal(head.method, cases[i].method);
        assert_int_equal(head.target_form, cases[i].form);
        check_slice(cases[i].head, head.target, cases[i].target);
        check_slice(cases[i].head, head.path, cases[i].path);
        check_slice(cases[i].head, head.query, cases[i].query);
        check_slice(cases[i].head, head.authority, cases[i].authority);
        assert_int_equal(head.head_bytes, strlen(cases[i].head));
    }
}

static void test_parser_says_where_the_body_ends_and_whether_the_connection_goes_on(void **state) {
    static const struct {
        const char *head;
        uint64_t content_length;
        bool has_content_length, chunked, keep_alive, expect_continue, upgrade;
    } cases[] = {
        {LINE HOST "\r\n", .keep_alive = true},
        {"GET / HTTP/1.0\r\n\r\n", .keep_alive = false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", .keep_alive = true},
        {"GET / HTTP/1.0\r\nConnection: a, keep-alive\r\n\r\n", .keep_alive = true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", .keep_alive = false},
        {"GET / HTTP/1.0\r\nConnection: keep-alivf\r\n\r\n", .keep_alive = false},
        {LINE HOST "Connection: close\r\n\r\n", .keep_alive = false},
        {LINE HOST "Connection: CLOSE\r\n\r\n", .keep_alive = false},
        {LINE HOST "Connection: keep-alive\r\nConnection: close\r\n\r\n", .keep_alive = false},
        {LINE HOST "Connection: , x,close ,\r\n\r\n", .keep_alive = false},
        {LINE HOST "Connection: closed\r\n\r\n", .keep_alive = true},
        {"GET / HTTP/1.5\r\n" HOST "\r\n", .keep_alive = true},
        {LINE HOST "Content-Length: 0\r\n\r\n", .keep_alive = true, .has_content_length = true},
        {LINE HOST "content-length:  0042 \r\n\r\n", .keep_alive = true, .has_content_length = true,
         .content_length = 42},
        {LINE HOST "Content-Length: 9223372036854775807\r\n\r\n", .keep_alive = true,
         .has_content_length = true, .content_length = INT64_MAX},
        {"PUT / HTTP/1.0\r\nContent-Length: 7\r\n\r\n", .has_content_length = true,
         .content_length = 7},
        {LINE HOST "Transfer-Encoding: chunked\r\n\r\n", .keep_alive = true, .chunked = true},
        {LINE HOST "Expect: 100-continue\r\n\r\n", .keep_alive = true, .expect_continue = true},
        {LINE HOST "expect: 100-Continue\r\n\r\n", .keep_alive = true, .expect_continue = true},
        {LINE HOST "Expect:\r\n\r\n", .keep_alive = true},
        {"PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", .keep_alive = false},
        {LINE HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", .keep_alive = true,
         .upgrade = true},
        {LINE HOST "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n\r\n",
         .keep_alive = true, .upgrade = true},
        {LINE HOST "Upgrade: websocket\r\n\r\n", .keep_alive = true},
        {LINE HOST "Connection: upgrade\r\n\r\n", .keep_alive = true},
        {"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", .keep_alive = false},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_parser_head head;

        memset(&head, UNUSED, sizeof(head));
        parse(cases[i].head, &head);
        if (head.content_length != cases[i].content_length ||
            head.has_content_length != cases[i].has_content_length ||
            head.chunked != cases[i].chunked || head.keep_alive != cases[i].keep_alive ||
            head.expect_continue != cases[i].expect_continue || head.upgrade != cases[i].upgrade)
            fail_msg("%s", cases[i].head);
    }
}

static void test_parser_knows_fields_by_name(void **state) {
    static const char *const values[CV_FIELD_KNOWN_COUNT] = {
        "a", "1", "chunked", "close", "100-continue", "b"};

    (void)state;
    for (size_t k = 0; k < CV_FIELD_KNOWN_COUNT; k++) {
        struct cv_span wanted = cv_known_text((enum cv_known_field)k);

        for (size_t at = 0; at <= wanted.length; at++) {
            char text[256];
            char name[64];
            struct cv_parser_head head;

            // The name in alternating case; then with one byte after the other changed.
            for (size_t i = 0; i < wanted.length; i++)
                name[i] = i % 2 == 0 && wanted.data[i] != '-' ? (char)(wanted.data[i] ^ 0x20)
                                                              : wanted.data[i];
            name[wanted.length] = '\0';
            if (at < wanted.length)
                name[at] = name[at] == '-' ? '_' : (name[at] | 0x20) == 'q' ? 'z' : 'q';
            bool is_host = k == CV_FIELD_HOST && at == wanted.length;
            snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s%s: %s\r\nX: y\r\n\r\n",
                     is_host ? "" : "Host: a\r\n", name, values[k] == NULL ? "v" : values[k]);
            parse(text, &head);
            for (size_t other = 0; other < CV_FIELD_KNOWN_COUNT; other++) {
                if (other == CV_FIELD_HOST)
                    assert_int_equal(head.known[other], 0);
                else if (other == k && at == wanted.length)
                    assert_int_equal(head.known[other], 1);
                else
                    assert_int_equal(head.known[other], CV_PARSER_NO_FIELD);
            }
            assert_int_equal(head.seen, 1u << CV_FIELD_HOST |
                                            (at == wanted.length && !is_host ? 1u << k : 0u));
            assert_int_equal(head.repeated, 0);
        }
    }
}

static void test_parser_finds_names_and_values_without_the_blanks_around(void **state) {
    static const char text[] = "\r\nGET / HTTP/1.1\r\n"
                               "Host:a\r\n"
                               "A: \t b \t c \t \r\n"
                               "B:\r\n"
                               "C: \t\r\n"
                               "D:\xa0 \x85\r\n"
                               "Cookie: 1\r\ncookie: 2\r\n\r\nrest";
    struct cv_parser_head head;

    (void)state;
    parse(text, &head);
    assert_int_equal(head.field_count, 7);
    check_slice(text, head.method_text, "GET");
    check_slice(text, head.field[0].name, "Host");
    check_slice(text, head.field[0].value, "a");
    check_slice(text, head.field[1].name, "A");
    check_slice(text, head.field[1].value, "b \t c");
    check_slice(text, head.field[2].value, "");
    check_slice(text, head.field[3].value, "");
    check_slice(text, head.field[4].value, "\xa0 \x85");
    assert_int_equal(head.known[CV_FIELD_COOKIE], 5);
    assert_int_equal(head.repeated, 1u << CV_FIELD_COOKIE);
    assert_int_equal(head.head_bytes, sizeof(text) - 1 - strlen("rest"));
    assert_int_equal(head.version_minor, 1);
}

// Feeds growing prefixes and checks that the answer comes with byte `at` and stays.
static void check_refused_at(const char *data, size_t length, const struct cv_parser_limits *set,
                             size_t at, int expected) {
    struct cv_parser_head head;
    size_t step = length / 700 + 1;

    for (size_t cut = 0; cut <= length; cut += cut + 4 > at && cut < at + 4 ? 1 : step)
        check_answer("limit", cut, answer_of(data, cut, set, &head),
                     cut < at ? STILL_PARTIAL : expected);
    check_answer("limit", length, answer_of(data, length, set, &head), expected);
    check_answer("limit", length, answer_in_pieces(data, length, 0, 1, set, &head), expected);
    check_answer("limit", at, answer_in_pieces(data, at, at - 1, 1, set, &head), expected);
}

static void run_limits(enum cv_simd simd) {
    static char text[CV_PARSER_HEAD_BYTES_MAX + 100];
    const struct cv_parser_limits small = {
        .head_bytes_max = 200, .target_bytes_max = 50, .fields_max = 3};
    const struct cv_parser_limits wide = {
        .head_bytes_max = 200, .target_bytes_max = 500, .fields_max = 3};
    const struct cv_parser_limits largest = {.head_bytes_max = CV_PARSER_HEAD_BYTES_MAX,
                                             .target_bytes_max = CV_PARSER_HEAD_BYTES_MAX,
                                             .fields_max = CV_PARSER_FIELDS_MAX};
    struct cv_parser_head head;
    size_t length;

    if (!cv_scan_force(simd))
        skip();
    // A target of 50 bytes passes, the 51st is refused when it comes.
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    check_refused_at(text, 150, &small, 4 + 51, CV_PARSER_TARGET_TOO_LONG);
    memcpy(text + 4 + 50, " HTTP/1.1\r\n" HOST "\r\n", 22);
    check_refused_at(text, 4 + 50 + 22, &small, 4 + 50 + 22, CV_PARSER_OK);
    text[4 + 50] = '#';
    check_refused_at(text, 4 + 51, &small, 4 + 51, CV_PARSER_BAD_TARGET);
    // A head that is full before its target ends: the target is what is too long.
    memset(text + 5, 'a', 300);
    check_refused_at(text, 300, &wide, 200, CV_PARSER_TARGET_TOO_LONG);
    // A head of 200 bytes passes, one of 201 is refused with the 200th.
    memset(text, 'a', 300);
    memcpy(text, LINE HOST "A:", 27);
    memcpy(text + 196, "\r\n\r\n", 4);
    check_refused_at(text, 200, &small, 200, CV_PARSER_OK);
    memcpy(text + 196, "a\r\n\r\n", 5);
    check_refused_at(text, 201, &small, 200, CV_PARSER_HEAD_TOO_LARGE);
    check_refused_at(text, 300, &small, 200, CV_PARSER_HEAD_TOO_LARGE);
    // Empty lines count.
    memmove(text + 2, text, 200);
    memcpy(text, "\r\n", 2);
    check_refused_at(text, 202, &small, 200, CV_PARSER_HEAD_TOO_LARGE);
    // The fourth field is refused with the first byte of its name.
    length = (size_t)snprintf(text, sizeof(text), LINE HOST "A:\r\nB:\r\n\r\n");
    check_refused_at(text, length, &small, length, CV_PARSER_OK);
    length = (size_t)snprintf(text, sizeof(text), LINE HOST "A:\r\nB:\r\nCCC:\r\n\r\n");
    check_refused_at(text, length, &small, strlen(LINE HOST "A:\r\nB:\r\nC"),
                     CV_PARSER_TOO_MANY_FIELDS);
    // A name of 256 bytes passes, the 257th byte is refused.
    length = strlen(LINE HOST);
    memcpy(text, LINE HOST, length);
    memset(text + length, 'n', 300);
    check_refused_at(text, length + 300, &limits, length + 257, CV_PARSER_FIELD_NAME_TOO_LONG);
    memcpy(text + length + 256, ":\r\n\r\n", 5);
    check_refused_at(text, length + 261, &limits, length + 261, CV_PARSER_OK);
    text[length + 256] = ' ';
    check_refused_at(text, length + 261, &limits, length + 257, CV_PARSER_BAD_FIELD_NAME);
    // The largest head: 65,535 bytes.
    memset(text, 'v', sizeof(text));
    memcpy(text, LINE HOST "A:", 27);
    memcpy(text + CV_PARSER_HEAD_BYTES_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(answer_of(text, CV_PARSER_HEAD_BYTES_MAX, &largest, &head), CV_PARSER_OK);
    assert_int_equal(head.field[1].value.length, CV_PARSER_HEAD_BYTES_MAX - 4 - 27);
    assert_int_equal(answer_of(text, CV_PARSER_HEAD_BYTES_MAX - 1, &largest, &head), STILL_PARTIAL);
    text[CV_PARSER_HEAD_BYTES_MAX - 4] = 'v';
    assert_int_equal(answer_of(text, CV_PARSER_HEAD_BYTES_MAX, &largest, &head),
                     CV_PARSER_BAD_LINE_END);
    memset(text + CV_PARSER_HEAD_BYTES_MAX - 4, 'v', 4);
    assert_int_equal(answer_of(text, CV_PARSER_HEAD_BYTES_MAX, &largest, &head),
                     CV_PARSER_HEAD_TOO_LARGE);
    assert_int_equal(answer_of(text, sizeof(text), &largest, &head), CV_PARSER_HEAD_TOO_LARGE);
}

static void test_parser_scalar_refuses_what_exceeds_a_limit_at_once(void **state) {
    (void)state;
    run_limits(CV_SIMD_SCALAR);
}

static void test_parser_avx2_refuses_what_exceeds_a_limit_at_once(void **state) {
    (void)state;
    run_limits(CV_SIMD_AVX2);
}

static void test_parser_takes_a_hundred_fields_and_no_more(void **state) {
    static char text[4096];
    struct cv_parser_head head;
    size_t length = (size_t)snprintf(text, sizeof(text), LINE HOST);

    (void)state;
    for (int i = 1; i < 100; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "N%d: v%d\r\n", i, i);
    memcpy(text + length, "\r\n", 3);
    parse(text, &head);
    assert_int_equal(head.field_count, 100);
    check_slice(text, head.field[99].value, "v99");
    memcpy(text + length, "N:\r\n\r\n", 7);
    assert_int_equal(cv_parser_feed(text, length + 6, &limits, &head), CV_PARSER_REFUSED);
    assert_int_equal(head.refusal, CV_PARSER_TOO_MANY_FIELDS);
}

// The densest marks there can be, behind any number of lines: what the parser notes of a head has a
// bounded place.
static void test_parser_survives_as_many_marks_as_fit_a_head(void **state) {
    static const char *const dense[] = {"\x01"
                                        "b:",
                                        "a:\r\n", "a\r\n", ":\x01",
                                        "\x01"
                                        "a\r\n:"};
    static char text[4096];
    struct cv_parser_head head;

    (void)state;
    for (size_t k = 0; k < CV_ARRAY_COUNT(dense); k++) {
        for (size_t lines = 0; lines <= 101; lines++) {
            size_t length = (size_t)snprintf(text, sizeof(text), LINE HOST);

            for (size_t i = 0; i < lines; i++)
                length += (size_t)snprintf(text + length, sizeof(text) - length, "a:\r\n");
            for (size_t i = 0; length < 1200; i++)
                text[length++] = dense[k][i % strlen(dense[k])];
            for (int simd = CV_SIMD_SCALAR; simd <= CV_SIMD_AVX2; simd++) {
                if (cv_scan_force((enum cv_simd)simd))
                    assert_true(answer_of(text, length, &limits, &head) > CV_PARSER_OK);
            }
        }
    }
    cv_scan_force(cv_cpu_simd());
}

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t random_below(uint32_t bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 32) % bound;
}

// A head, sometimes whole, of pieces of the table with some bytes changed.
static size_t random_head(char *out, size_t bytes_max) {
    static const char bytes[] = "\r\n\t :,;/?#aZ09-_\"\\\x7f\x80\xa0\xff\0\x01@[]";
    size_t length = 0;
    uint32_t pieces = 1 + random_below(4);

    for (uint32_t i = 0; i < pieces; i++) {
        struct cv_span piece =
            syntax_cases[random_below((uint32_t)CV_ARRAY_COUNT(syntax_cases))].input;
        size_t skipped =
            i == 0 || random_below(2) == 0 ? 0 : random_below((uint32_t)piece.length + 1);
        size_t kept = random_below(3) == 0 ? random_below((uint32_t)(piece.length - skipped) + 1)
                                           : piece.length - skipped;

        kept = CV_MIN(kept, bytes_max - length);
        memcpy(out + length, piece.data + skipped, kept);
        length += kept;
    }
    for (uint32_t changes = random_below(4); length > 0 && changes > 0; changes--) {
        uint32_t at = random_below((uint32_t)length);

        out[at] =
            random_below(2) == 0 ? bytes[random_below(sizeof(bytes) - 1)] : (char)random_below(256);
    }
    return length;
}

static double seconds(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// Mutated heads, each read with both searches, whole and in two pieces. COVET_PARSER_MUTATIONS=1e8
// does more of them than the 1.5 seconds that they get here.
static void test_parser_gives_one_answer_for_both_searches_and_any_cut(void **state) {
    const struct cv_parser_limits small = {
        .head_bytes_max = 400, .target_bytes_max = 60, .fields_max = 6};
    const char *wanted = getenv("COVET_PARSER_MUTATIONS");
    uint64_t runs_max = wanted == NULL ? 200000 : (uint64_t)strtod(wanted, NULL);
    double end = seconds() + (wanted == NULL ? 1.5 : 1e9);
    static struct cv_parser_head scalar, best, pieces;
    char data[1024];
    uint64_t runs = 0;
    uint64_t counts[3] = {0};

    (void)state;
    if (!cv_scan_force(CV_SIMD_AVX2))
        skip();
    memset(&scalar, UNUSED, sizeof(scalar));
    memset(&best, UNUSED, sizeof(best));
    memset(&pieces, UNUSED, sizeof(pieces));
    for (; runs < runs_max && (runs % 64 != 0 || seconds() < end); runs++) {
        size_t length = random_head(data, sizeof(data));
        size_t cut = random_below((uint32_t)length + 1);
        const struct cv_parser_limits *set = runs % 3 == 0 ? &small : &limits;
        const char *copy = t_guard_at_end(guard, data, length);
        struct cv_parser_progress progress = {0};

        enum cv_parser_result result = cv_scan_scalar.feed(data, length, set, &scalar);
        assert_int_equal(cv_scan_avx2.feed(copy, length, set, &best), result);
        const struct cv_scan_ops *ops = runs % 2 == 0 ? &cv_scan_avx2 : &cv_scan_scalar;
        enum cv_parser_result part = ops->resume(data, cut, set, &pieces, &progress);
        if (part == CV_PARSER_PARTIAL)
            part = ops->resume(copy, length, set, &pieces, &progress);
        assert_int_equal(part, result);
        counts[result]++;
        if (result == CV_PARSER_PARTIAL)
            continue;
        assert_int_equal(best.refusal, scalar.refusal);
        assert_int_equal(pieces.refusal, scalar.refusal);
        if (result == CV_PARSER_DONE) {
            size_t used = offsetof(struct cv_parser_head, field) +
                          scalar.field_count * sizeof(scalar.field[0]);
            assert_int_equal(memcmp(&scalar, &best, used), 0);
            assert_int_equal(memcmp(&scalar, &pieces, used), 0);
        }
    }
    // All kinds of heads were among them.
    assert_true(counts[0] > runs / 50 && counts[1] > runs / 50 && counts[2] > runs / 50);
}

// Feeds a head byte by byte and takes away the memory of what has been read, page by page. So bytes
// are read a bounded number of times, and the work is linear in the length of the head. What stays
// readable: bytes before `kept`, and the last `line_bytes_max`, where the line that is being read
// may begin.
static void check_no_byte_is_read_again(const char *head_text, size_t length, size_t kept,
                                        size_t line_bytes_max) {
    const struct cv_parser_limits largest = {.head_bytes_max = CV_PARSER_HEAD_BYTES_MAX,
                                             .target_bytes_max = CV_PARSER_HEAD_BYTES_MAX,
                                             .fields_max = CV_PARSER_FIELDS_MAX};
    struct cv_parser_progress progress = {0};
    static struct cv_parser_head head;
    char *copy = t_guard_at_begin(guard, head_text, length);
    size_t taken = kept;

    for (size_t bytes = 0; bytes < length; bytes++) {
        assert_int_equal(cv_parser_resume(copy, bytes, &largest, &head, &progress),
                         CV_PARSER_PARTIAL);
        for (; taken + T_GUARD_PAGE_BYTES + 128 + line_bytes_max <= CV_MIN(bytes, length - 5);
             taken += T_GUARD_PAGE_BYTES)
            assert_int_equal(mprotect(copy + taken, T_GUARD_PAGE_BYTES, PROT_NONE), 0);
        // The end of a line has its name looked up, and the end of the head the whole of it read.
        if (bytes + 4 == length)
            assert_int_equal(mprotect(copy, taken, PROT_READ | PROT_WRITE), 0);
    }
    assert_true(taken > length / 2);
    assert_int_equal(cv_parser_resume(copy, length, &largest, &head, &progress), CV_PARSER_DONE);
    assert_int_equal(head.head_bytes, length);
}

static void reads_no_byte_again(enum cv_simd simd) {
    static char text[CV_PARSER_HEAD_BYTES_MAX];
    size_t length = (size_t)snprintf(text, sizeof(text), LINE HOST);

    if (!cv_scan_force(simd))
        skip();
    // Many lines: those that are whole are not read again.
    for (int i = 0; i < 98; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "N%d: %0600d\r\n", i, i);
    memcpy(text + length, "\r\n", 2);
    check_no_byte_is_read_again(text, length + 2, 0, 700);
    // One line: but for its name nothing of it is read again.
    length = (size_t)snprintf(text, sizeof(text), LINE HOST "A: ");
    memset(text + length, 'v', sizeof(text) - length);
    memcpy(text + sizeof(text) - 4, "\r\n\r\n", 4);
    check_no_byte_is_read_again(text, sizeof(text), T_GUARD_PAGE_BYTES, 0);
}

static void test_parser_scalar_reads_no_byte_of_a_slow_head_again(void **state) {
    (void)state;
    reads_no_byte_again(CV_SIMD_SCALAR);
}

static void test_parser_avx2_reads_no_byte_of_a_slow_head_again(void **state) {
    (void)state;
    reads_no_byte_again(CV_SIMD_AVX2);
}

static void test_parser_has_a_status_and_a_reason_for_each_refusal(void **state) {
    (void)state;
    for (int i = CV_PARSER_OK + 1; i < CV_PARSER_REFUSAL_COUNT; i++) {
        assert_true(cv_parser_status((enum cv_parser_refusal)i) >= 400);
        assert_true(strlen(cv_parser_reason((enum cv_parser_refusal)i)) > 10);
    }
    assert_int_equal(cv_parser_status(CV_PARSER_METHOD_TOO_LONG), 501);
    assert_int_equal(cv_parser_status(CV_PARSER_TARGET_TOO_LONG), 414);
    assert_int_equal(cv_parser_status(CV_PARSER_VERSION_UNSUPPORTED), 505);
    assert_int_equal(cv_parser_status(CV_PARSER_HEAD_TOO_LARGE), 431);
    assert_int_equal(cv_parser_status(CV_PARSER_UNKNOWN_CODING), 501);
    assert_int_equal(cv_parser_status(CV_PARSER_UNKNOWN_EXPECTATION), 417);
    assert_int_equal(cv_parser_status(CV_PARSER_BAD_TRANSFER_ENCODING), 400);
}

static void test_parser_names_methods_both_ways(void **state) {
    (void)state;
    for (unsigned bit = 1; bit <= CV_METHOD_CONNECT; bit <<= 1) {
        const char *name = cv_parser_method_name((uint16_t)bit);

        assert_non_null(name);
        assert_int_equal(cv_parser_method(cv_span_of(name)), bit);
    }
    assert_null(cv_parser_method_name(CV_METHOD_OTHER));
    assert_int_equal(cv_parser_method(CV_SPAN("get")), CV_METHOD_OTHER);
    assert_int_equal(cv_parser_method(CV_SPAN("")), CV_METHOD_OTHER);
    assert_int_equal(cv_parser_method(CV_SPAN("OPTIONZ")), CV_METHOD_OTHER);
}

static void test_parser_forgets_what_a_head_refers_to(void **state) {
    (void)state;
    static const char text[] = "GET /a?b=c HTTP/1.1\r\nHost: a\r\nCookie: d=e\r\n\r\n";
    static const struct cv_parser_limits usual = {8192, 8192, 100};
    struct cv_parser_head head;
    struct cv_span value;

    assert_int_equal(cv_parser_feed(text, sizeof(text) - 1, &usual, &head), CV_PARSER_DONE);
    assert_true(cv_headers_find(&head, text, CV_SPAN("cookie"), &value));
    cv_parser_forget(&head);
    assert_false(cv_headers_find(&head, "", CV_SPAN("cookie"), &value));
    assert_int_equal(head.path.length + head.query.length + head.target.length, 0);
    assert_int_equal(head.known[CV_FIELD_COOKIE], CV_PARSER_NO_FIELD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parser_forgets_what_a_head_refers_to),
        cmocka_unit_test(test_parser_scalar_answers_each_case_whole_and_at_each_cut),
        cmocka_unit_test(test_parser_avx2_answers_each_case_whole_and_at_each_cut),
        cmocka_unit_test(test_parser_finds_the_parts_of_a_target),
        cmocka_unit_test(test_parser_says_where_the_body_ends_and_whether_the_connection_goes_on),
        cmocka_unit_test(test_parser_knows_fields_by_name),
        cmocka_unit_test(test_parser_finds_names_and_values_without_the_blanks_around),
        cmocka_unit_test(test_parser_scalar_refuses_what_exceeds_a_limit_at_once),
        cmocka_unit_test(test_parser_avx2_refuses_what_exceeds_a_limit_at_once),
        cmocka_unit_test(test_parser_takes_a_hundred_fields_and_no_more),
        cmocka_unit_test(test_parser_survives_as_many_marks_as_fit_a_head),
        cmocka_unit_test(test_parser_gives_one_answer_for_both_searches_and_any_cut),
        cmocka_unit_test(test_parser_scalar_reads_no_byte_of_a_slow_head_again),
        cmocka_unit_test(test_parser_avx2_reads_no_byte_of_a_slow_head_again),
        cmocka_unit_test(test_parser_has_a_status_and_a_reason_for_each_refusal),
        cmocka_unit_test(test_parser_names_methods_both_ways),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
