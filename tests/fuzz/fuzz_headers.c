// Field values as the server and handlers read them: every span that is found lies in the input,
// and what is judged by sixteen bytes at once is what a byte after the other says. The input: a
// name, a newline, a value.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/headers.h"
#include "http/known.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct cv_span part, struct cv_span whole) {
    CV_ASSERT(part.data >= whole.data);
    CV_ASSERT(part.data + part.length <= whole.data + whole.length);
}

static void check_list(struct cv_span name, struct cv_span value) {
    struct cv_span rest = value, member;
    bool is_there = false;
    while (cv_headers_next_member(&rest, &member)) {
        check_inside(member, value);
        CV_ASSERT(member.length > 0);
        is_there = is_there || cv_span_equal_nocase(member, name);
    }
    CV_ASSERT(rest.length == 0);
    CV_ASSERT(cv_headers_list_has(value, name) == is_there);
}

static void check_cookie(struct cv_span name, struct cv_span value) {
    struct cv_span found;
    if (cv_headers_cookie(value, name, &found)) {
        check_inside(found, value);
        CV_ASSERT(memchr(found.data, ';', found.length) == NULL);
    }
}

// RFC 9110 section 5.5.
static bool is_value(struct cv_span text) {
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        bool is_end = i == 0 || i + 1 == text.length;
        if ((byte < ' ' && byte != '\t') || byte == 0x7f ||
            (is_end && (byte == ' ' || byte == '\t'))) {
            return false;
        }
    }
    return true;
}

static void check_value(struct cv_span value) {
    char *text = malloc(value.length + 1);
    CV_ASSERT(text != NULL);
    memcpy(text, value.data, value.length);
    text[value.length] = '\0';
    CV_ASSERT(cv_headers_is_value(value) == is_value(value));
    size_t length = strlen(text);
    bool is_right = is_value(cv_span_make(text, length));
    CV_ASSERT(cv_headers_value_length(text) == (is_right ? length : SIZE_MAX));
    free(text);
}

static void check_name(struct cv_span name) {
    enum cv_known_field known = cv_known_find(name);
    if (known != CV_FIELD_KNOWN_COUNT) {
        CV_ASSERT(cv_span_equal_nocase(cv_known_text(known), name));
        CV_ASSERT(cv_headers_is_token(name));
    }
}

// A head that holds the field finds it again.
static void check_field(struct cv_span name, struct cv_span value) {
    static const struct cv_parser_limits limits = {
        .head_bytes_max = CV_PARSER_HEAD_BYTES_MAX, .target_bytes_max = 100, .fields_max = 10};
    static struct cv_parser_head head;
    struct cv_span found;
    char *text = malloc(name.length + value.length + 100);
    CV_ASSERT(text != NULL);
    char *end = mempcpy(text, "GET / HTTP/1.0\r\n", 16);
    end = mempcpy(end, name.data, name.length);
    end = mempcpy(end, ":", 1);
    end = mempcpy(end, value.data, value.length);
    end = mempcpy(end, "\r\n\r\n", 4);
    if (cv_headers_is_token(name) &&
        cv_parser_feed(text, (size_t)(end - text), &limits, &head) == CV_PARSER_DONE &&
        head.head_bytes == (size_t)(end - text) && head.field_count == 1) {
        CV_ASSERT(cv_headers_find(&head, text, name, &found));
        CV_ASSERT(cv_span_equal(found, cv_span_trim(value)));
        CV_ASSERT(!cv_headers_find(&head, text, CV_SPAN("X-Nobody-Sends-This"), &found));
        cv_parser_forget(&head);
        CV_ASSERT(head.field_count == 0);
        CV_ASSERT(!cv_headers_find(&head, text, name, &found));
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = malloc(CV_MAX(size, (size_t)1));  // As long as it says, for the sanitizer.
    CV_ASSERT(copy != NULL);
    memcpy(copy, data, size);
    const char *end = memchr(copy, '\n', size);
    if (end != NULL) {
        struct cv_span name = cv_span_make(copy, (size_t)(end - copy));
        struct cv_span value = cv_span_make(end + 1, size - name.length - 1);
        check_name(name);
        check_list(name, value);
        check_cookie(name, value);
        check_value(value);
        check_field(name, value);
        (void)cv_headers_is_host(value);
    }
    free(copy);
    return 0;
}
