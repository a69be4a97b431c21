// Combined log format, the one log tools read without being told. Bytes a client chose are escaped
// as Apache httpd does (\xhh), so no client can forge a line or a quote.
#include "serve/access.h"

#include <arpa/inet.h>
#include <string.h>

#include "http/headers.h"

struct line {
    char bytes[CV_ACCESS_LINE_BYTES_MAX];
    size_t length;
};

static void add(struct line *line, struct cv_span text) {
    size_t room = sizeof(line->bytes) - 1 - line->length;  // One byte stays for the line feed.
    size_t part = text.length < room ? text.length : room;
    memcpy(line->bytes + line->length, text.data, part);
    line->length += part;
}

static void add_number(struct line *line, uint64_t value) {
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    add(line, cv_span_make(digits + at, sizeof(digits) - at));
}

static void add_escaped(struct line *line, struct cv_span text, size_t bytes_max) {
    static const char hex[] = "0123456789abcdef";
    size_t end = line->length + bytes_max;
    for (size_t i = 0; i < text.length && line->length < end; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if (byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\') {
            char escape[4] = {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
            add(line, cv_span_make(escape, sizeof(escape)));
        } else {
            add(line, cv_span_make(&text.data[i], 1));
        }
    }
}

static void add_field(struct line *line, const struct cv_parser_head *head, const char *base,
                      struct cv_span name) {
    struct cv_span value;
    add(line, CV_SPAN(" \""));
    if (head != NULL && cv_headers_find(head, base, name, &value)) {
        add_escaped(line, value, 384);
    } else {
        add(line, CV_SPAN("-"));
    }
    add(line, CV_SPAN("\""));
}

void cv_access_format_peer(char out[CV_ACCESS_PEER_BYTES], const struct cv_peer *peer) {
    int family = peer->family == CV_PEER_IPV6 ? AF_INET6 : AF_INET;
    memcpy(out, "-", 2);
    if (peer->family == CV_PEER_UNIX) {
        memcpy(out, "unix:", 6);
    } else if (peer->family != CV_PEER_UNKNOWN) {
        (void)inet_ntop(family, peer->address, out, CV_ACCESS_PEER_BYTES);
    }
}

void cv_access_write(struct cv_access *access, const struct cv_clock *clock,
                     const struct cv_peer *peer, const struct cv_parser_head *head,
                     const char *base, uint16_t status, uint64_t body_bytes) {
    struct line line = {.length = 0};
    char address[CV_ACCESS_PEER_BYTES];
    if (clock->realtime_s != access->shown_s || access->moment[0] == '\0') {
        access->shown_s = clock->realtime_s;
        cv_clock_format_clf(access->moment, clock->realtime_s);
    }
    cv_access_format_peer(address, peer);
    add(&line, cv_span_of(address));
    add(&line, CV_SPAN(" - - ["));
    add(&line, cv_span_of(access->moment));
    add(&line, CV_SPAN("] \""));
    if (head != NULL) {
        add_escaped(&line, cv_parser_span(base, head->method_text), 16);
        add(&line, CV_SPAN(" "));
        add_escaped(&line, cv_parser_span(base, head->target), 768);
        add(&line, CV_SPAN(" HTTP/1."));
        add_number(&line, head->version_minor);
    } else {
        add(&line, CV_SPAN("-"));
    }
    add(&line, CV_SPAN("\" "));
    add_number(&line, status);
    add(&line, CV_SPAN(" "));
    add_number(&line, body_bytes);
    add_field(&line, head, base, CV_SPAN("referer"));
    add_field(&line, head, base, CV_SPAN("user-agent"));
    line.bytes[line.length++] = '\n';
    access->put(access->context, cv_span_make(line.bytes, line.length));
}
