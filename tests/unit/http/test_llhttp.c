// The request parser and the chunked decoder beside llhttp, on requests of our own: llhttp.data,
// which llhttp_cases.js has written and explains. They agree, or the disagreement is of a class
// that is argued below.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/chunked.h"
#include "http/parser.h"

#define BYTES_MAX 16384u
#define CASES_MIN 1500u

// The assembler copies the file in, from where make runs.
__asm__(".pushsection .rodata\n"
        "llhttp_data:\n.incbin \"tests/unit/http/llhttp.data\"\n.byte 0\n"
        ".popsection\n");
extern const char llhttp_data[] __asm__("llhttp_data");

struct class {
    int refusal;  // enum cv_parser_refusal
    const char *code;
    const char *why;
    unsigned seen;
};

// We refuse, llhttp does not.
static struct class stricter[] = {
    {CV_PARSER_BAD_REQUEST_LINE, NULL, "RFC 9112 section 3: one space, and a version", 0},
    {CV_PARSER_BAD_TARGET, NULL, "section 3.2, RFC 3986: forms by method, no fragment or quote", 0},
    {CV_PARSER_BAD_VERSION, NULL, "section 2.3: RTSP and ICE are no HTTP", 0},
    {CV_PARSER_VERSION_UNSUPPORTED, NULL, "RFC 9110 section 15.6.6: 505 for HTTP/0.9, HTTP/2.0", 0},
    {CV_PARSER_BAD_LINE_END, NULL, "section 2.2: only CRLF may come before a request line", 0},
    {CV_PARSER_BAD_HOST, NULL, "section 3.2: 400 for no Host, for two, and for no uri-host", 0},
    {CV_PARSER_BAD_CONTENT_LENGTH, NULL, "section 6.3: lengths end below 2^63 here", 0},
    {CV_PARSER_BAD_TRANSFER_ENCODING, NULL, "section 6.1: in HTTP/1.0, or without a coding", 0},
    {CV_PARSER_UNKNOWN_CODING, NULL, "section 6.1: 501 for a coding that is not understood", 0},
    {CV_PARSER_BAD_CONNECTION, NULL, "RFC 9110 section 7.6.1: Connection is a list of tokens", 0},
    {CV_PARSER_OK, NULL, "section 7.1.1: extensions have names and values; sizes below 2^63", 0},
    {CV_PARSER_UNKNOWN_EXPECTATION, NULL, "RFC 9110 section 10.1.1: 417", 0},
};

// llhttp refuses, we do not.
static struct class laxer[] = {
    {0, "HPE_INVALID_METHOD", "RFC 9110 section 9.1: any token is a method; 405 answers it", 0},
    {0, "HPE_INVALID_VERSION", "RFC 9110 section 2.5: HTTP/1.2 is served as HTTP/1.1", 0},
    {0, "HPE_INVALID_CONTENT_LENGTH", "RFC 9110 section 6.5.1: in a trailer, which is dropped", 0},
};

// Text in the form of the file.
struct text {
    char data[BYTES_MAX];
    size_t length;
};

static void add(struct text *text, const char *plain) {
    size_t length = strlen(plain);
    assert_true(text->length + length < BYTES_MAX);
    memcpy(text->data + text->length, plain, length + 1);
    text->length += length;
}

static void add_escaped(struct text *text, struct cv_span bytes) {
    for (size_t i = 0; i < bytes.length; i++) {
        char out[8];
        unsigned char byte = (unsigned char)bytes.data[i];
        const char *format = byte == '\r'               ? "\\r"
                             : byte == '\n'             ? "\\n"
                             : byte == '\t'             ? "\\t"
                             : byte == '\\'             ? "\\\\"
                             : byte < ' ' || byte > '~' ? "\\x%02x"
                                                        : "%c";
        (void)snprintf(out, sizeof(out), format, byte);
        add(text, out);
    }
}

static size_t unescape(char *out, const char *text, size_t length) {
    static const char letters[] = "r\rn\nt\t\\\\";
    size_t bytes = 0;
    for (size_t at = 0; at < length; at++) {
        assert_true(bytes < BYTES_MAX);
        if (text[at] == '\\' && text[at + 1] == 'x') {
            char digits[3] = {text[at + 2], text[at + 3], '\0'};
            out[bytes++] = (char)strtoul(digits, NULL, 16);
            at += 3;
        } else if (text[at] == '\\') {
            at++;
            out[bytes++] = strchr(letters, text[at])[1];
        } else {
            out[bytes++] = text[at];
        }
    }
    return bytes;
}

// What we make of a case. `text` has all lines but the first, and the verdict without a code.
struct reading {
    struct text text;
    bool is_refused;
    enum cv_parser_refusal refusal;  // CV_PARSER_OK: of a chunked body.
};

static void add_head(struct text *text, const char *data, const struct cv_parser_head *head) {
    char version[8];
    bool is_upgrade = head->upgrade || head->method == CV_METHOD_CONNECT;
    add(text, "> ");
    add_escaped(text, cv_parser_span(data, head->method_text));
    (void)snprintf(version, sizeof(version), " %u ", head->version_minor);
    add(text, version);
    add(text, is_upgrade ? "upgrade " : head->keep_alive ? "keep " : "close ");
    add_escaped(text, cv_parser_span(data, head->target));
    for (size_t i = 0; i < head->field_count; i++) {
        add(text, "\n: ");
        add_escaped(text, cv_parser_span(data, head->field[i].name));
        add(text, ": ");
        add_escaped(text, cv_parser_span(data, head->field[i].value));
    }
    add(text, "\n");
}

// Returns the bytes of a body, SIZE_MAX where it does not come to its end.
static size_t read_body(struct reading *reading, const struct cv_parser_head *head,
                        struct cv_span input) {
    static struct text body;
    struct cv_chunked decoder;
    enum cv_chunked_result result = CV_CHUNKED_DATA;
    size_t at = 0;
    body.length = 0;
    add(&body, "= ");
    cv_chunked_init(&decoder);
    if (!head->chunked && input.length < head->content_length) {
        return SIZE_MAX;
    }
    if (!head->chunked) {
        at = (size_t)head->content_length;
        add_escaped(&body, cv_span_make(input.data, at));
    }
    while (head->chunked && result == CV_CHUNKED_DATA) {
        struct cv_span piece;
        size_t used;
        result = cv_chunked_feed(&decoder, cv_span_make(input.data + at, input.length - at), &used,
                                 &piece);
        add_escaped(&body, piece);
        at += used;
    }
    reading->is_refused = result == CV_CHUNKED_REFUSED;
    if (head->chunked && result != CV_CHUNKED_DONE) {
        return SIZE_MAX;
    }
    add(&body, "\n");
    add(&reading->text, body.data);
    return at;
}

static bool is_empty_lines(struct cv_span text) {
    while (text.length >= 2 && memcmp(text.data, "\r\n", 2) == 0) {
        text = cv_span_make(text.data + 2, text.length - 2);
    }
    return text.length == 0 || (text.length == 1 && text.data[0] == '\r');
}

static void read_case(struct reading *reading, struct cv_span rest) {
    static const struct cv_parser_limits limits = {
        .head_bytes_max = 32768, .target_bytes_max = 8192, .fields_max = CV_PARSER_FIELDS_MAX};
    static struct cv_parser_head head;
    *reading = (struct reading){0};
    for (;;) {
        enum cv_parser_result result = cv_parser_feed(rest.data, rest.length, &limits, &head);
        if (result != CV_PARSER_DONE) {
            reading->is_refused = result == CV_PARSER_REFUSED;
            reading->refusal = reading->is_refused ? head.refusal : CV_PARSER_OK;
            add(&reading->text, is_empty_lines(rest) ? "! accept" : "! partial");
            return;
        }
        add_head(&reading->text, rest.data, &head);
        rest = cv_span_make(rest.data + head.head_bytes, rest.length - head.head_bytes);
        size_t used = read_body(reading, &head, rest);
        if (used == SIZE_MAX) {
            add(&reading->text, "! partial");
            return;
        }
        if (!head.keep_alive || head.upgrade || head.method == CV_METHOD_CONNECT) {
            add(&reading->text, "! accept");
            return;
        }
        rest = cv_span_make(rest.data + used, rest.length - used);
    }
}

// Comparing.
static unsigned surprises;

static void find_class(struct class *classes, size_t count, int refusal, struct cv_span code,
                       struct cv_span sent) {
    for (size_t i = 0; i < count; i++) {
        bool is_it = classes[i].code == NULL ? classes[i].refusal == refusal
                                             : cv_span_equal(code, cv_span_of(classes[i].code));
        if (is_it) {
            classes[i].seen++;
            return;
        }
    }
    print_error("refusal %d, llhttp %.*s: %.*s\n", refusal, (int)code.length, code.data,
                (int)sent.length, sent.data);
    surprises++;
}

static struct cv_span line_at(const char *text) {
    return cv_span_make(text, strcspn(text, "\n"));
}

static bool is_prefix(struct cv_span prefix, struct cv_span text) {
    return prefix.length <= text.length && memcmp(prefix.data, text.data, prefix.length) == 0;
}

// `*at` is the first line of a case, and then that of the next one.
static void compare_case(const char **at) {
    static struct reading reading;
    static char sent[BYTES_MAX];
    struct cv_span first = line_at(*at);
    struct cv_span sent_text = cv_span_make(first.data + 2, first.length - 2);
    const char *body = first.data + first.length + 1;
    const char *verdict = *body == '!' ? body : strstr(body, "\n!") + 1;
    struct cv_span theirs = cv_span_make(body, (size_t)(verdict - body));
    struct cv_span code = cv_span_make(verdict + 2, line_at(verdict).length - 2);
    bool they_refuse = is_prefix(CV_SPAN("HPE_"), code);

    assert_true(is_prefix(CV_SPAN("< "), first));
    read_case(&reading, cv_span_make(sent, unescape(sent, sent_text.data, sent_text.length)));
    const char *our_verdict = strstr(reading.text.data, "! ");
    struct cv_span ours =
        cv_span_make(reading.text.data, (size_t)(our_verdict - reading.text.data));
    if (reading.is_refused && !they_refuse) {
        assert_true(is_prefix(ours, theirs));
        find_class(stricter, CV_ARRAY_COUNT(stricter), (int)reading.refusal, code, sent_text);
    } else if (!reading.is_refused && they_refuse) {
        assert_true(is_prefix(theirs, ours));
        find_class(laxer, CV_ARRAY_COUNT(laxer), CV_PARSER_OK, code, sent_text);
    } else if (!reading.is_refused && (!cv_span_equal(ours, theirs) ||
                                       strncmp(our_verdict + 2, code.data, code.length) != 0)) {
        print_error("< %.*s\nis to us\n%s\n", (int)sent_text.length, sent_text.data,
                    reading.text.data);
        surprises++;
    }
    *at = verdict + line_at(verdict).length + 1;
}

static void check_classes(const struct class *classes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        print_message("%4u cases: %s\n", classes[i].seen, classes[i].why);
        assert_in_range(classes[i].seen, 1, CASES_MIN);
    }
}

static void test_llhttp_and_the_parser_agree_but_for_what_is_argued(void **state) {
    const char *at = strchr(llhttp_data, '\n') + 1;
    unsigned cases = 0;
    (void)state;
    for (; *at != '\0'; cases++) {
        compare_case(&at);
    }
    assert_int_equal(surprises, 0);
    assert_in_range(cases, CASES_MIN, UINT32_MAX);
    check_classes(stricter, CV_ARRAY_COUNT(stricter));
    check_classes(laxer, CV_ARRAY_COUNT(laxer));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llhttp_and_the_parser_agree_but_for_what_is_argued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
