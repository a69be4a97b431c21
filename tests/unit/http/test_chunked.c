#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/chunked.h"
#include "support/guard.h"

struct outcome {
    enum cv_chunked_result result;
    size_t used;  // Bytes read in all.
    size_t data_bytes;
    char data[512];
};

static struct t_guard guard;

static int set_up(void **state) {
    (void)state;
    guard = t_guard_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_guard_destroy(guard);
    return 0;
}

// Feeds all of `input`, which is one piece, until it is used up or the answer is final.
static void feed_piece(struct cv_chunked *decoder, struct cv_span input, struct outcome *outcome) {
    const char *copy = t_guard_at_end(guard, input.data, input.length);
    size_t at = 0;

    do {
        size_t used = SIZE_MAX;
        struct cv_span data;

        outcome->result =
            cv_chunked_feed(decoder, cv_span_make(copy + at, input.length - at), &used, &data);
        assert_true(used <= input.length - at);
        assert_true(outcome->result == CV_CHUNKED_DATA ? data.length > 0 : data.length == 0);
        if (outcome->data_bytes + data.length <= sizeof(outcome->data) && data.length > 0)
            memcpy(outcome->data + outcome->data_bytes, data.data, data.length);
        outcome->data_bytes += data.length;
        at += used;
    } while (outcome->result == CV_CHUNKED_DATA);
    outcome->used += at;
}

// Feeds `input` in pieces of `piece` bytes.
static void feed(struct cv_span input, size_t piece, struct outcome *outcome) {
    struct cv_chunked decoder;

    cv_chunked_init(&decoder);
    *outcome = (struct outcome){.result = CV_CHUNKED_PARTIAL};
    for (size_t at = 0; at < input.length && outcome->result == CV_CHUNKED_PARTIAL; at += piece) {
        size_t bytes = CV_MIN(piece, input.length - at);

        feed_piece(&decoder, cv_span_make(input.data + at, bytes), outcome);
        assert_int_equal(decoder.data_bytes, outcome->data_bytes);
        assert_int_equal(decoder.data_bytes + decoder.overhead_bytes, outcome->used);
    }
}

// A refused body ends with the byte that makes it wrong: every prefix of an input is PARTIAL.
static const struct {
    const char *name;
    struct cv_span input;
    enum cv_chunked_result expected;
    const char *data;
} cases[] = {
    {"empty body", CV_SPAN("0\r\n\r\n"), CV_CHUNKED_DONE, ""},
    {"one chunk", CV_SPAN("5\r\nhello\r\n0\r\n\r\n"), CV_CHUNKED_DONE, "hello"},
    {"two chunks", CV_SPAN("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), CV_CHUNKED_DONE, "abcde"},
    {"both cases of digits", CV_SPAN("a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n"),
     CV_CHUNKED_DONE, "0123456789abcdefghij"},
    {"data that looks like framing", CV_SPAN("7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"), CV_CHUNKED_DONE,
     "\r\n0\r\n\r\n"},
    {"16 digits", CV_SPAN("0000000000000002\r\nab\r\n0000000000000000\r\n\r\n"), CV_CHUNKED_DONE,
     "ab"},
    {"17 digits", CV_SPAN("00000000000000002"), CV_CHUNKED_REFUSED, ""},
    {"largest size", CV_SPAN("7fffffffffffffff\r\nab"), CV_CHUNKED_PARTIAL, "ab"},
    {"size of 2^63", CV_SPAN("8000000000000000"), CV_CHUNKED_REFUSED, ""},
    {"size of 2^64 - 1", CV_SPAN("ffffffffffffffff"), CV_CHUNKED_REFUSED, ""},
    {"size of 2^64 + 2", CV_SPAN("10000000000000002"), CV_CHUNKED_REFUSED, ""},
    {"no size", CV_SPAN("\r"), CV_CHUNKED_REFUSED, ""},
    {"no size but an extension", CV_SPAN(";"), CV_CHUNKED_REFUSED, ""},
    {"sign", CV_SPAN("+"), CV_CHUNKED_REFUSED, ""},
    {"minus", CV_SPAN("-"), CV_CHUNKED_REFUSED, ""},
    {"0x", CV_SPAN("0x"), CV_CHUNKED_REFUSED, ""},
    {"g", CV_SPAN("g"), CV_CHUNKED_REFUSED, ""},
    {"underscore", CV_SPAN("1_"), CV_CHUNKED_REFUSED, ""},
    {"at sign", CV_SPAN("@"), CV_CHUNKED_REFUSED, ""},
    {"obs-text", CV_SPAN("\xb5"), CV_CHUNKED_REFUSED, ""},
    {"space before the size", CV_SPAN(" "), CV_CHUNKED_REFUSED, ""},
    {"space behind the size", CV_SPAN("5 "), CV_CHUNKED_REFUSED, ""},
    {"tab behind the size", CV_SPAN("5\t"), CV_CHUNKED_REFUSED, ""},
    {"bare LF behind the size", CV_SPAN("5\n"), CV_CHUNKED_REFUSED, ""},
    {"bare CR behind the size", CV_SPAN("5\rh"), CV_CHUNKED_REFUSED, ""},
    {"NUL in the size", CV_SPAN("5\0"), CV_CHUNKED_REFUSED, ""},
    {"data too long", CV_SPAN("2\r\nabc"), CV_CHUNKED_REFUSED, "ab"},
    {"LF behind the data", CV_SPAN("2\r\nab\n"), CV_CHUNKED_REFUSED, "ab"},
    {"CR alone behind the data", CV_SPAN("2\r\nab\r2"), CV_CHUNKED_REFUSED, "ab"},
    {"no CRLF behind the data", CV_SPAN("2\r\nab0"), CV_CHUNKED_REFUSED, "ab"},
    {"empty line between chunks", CV_SPAN("1\r\na\r\n\r"), CV_CHUNKED_REFUSED, "a"},
    {"extension", CV_SPAN("1;a\r\nx\r\n0;b\r\n\r\n"), CV_CHUNKED_DONE, "x"},
    {"extension with a value", CV_SPAN("1;a=b\r\nx\r\n0\r\n\r\n"), CV_CHUNKED_DONE, "x"},
    {"extensions", CV_SPAN("1;a=b;c;d=\"e\"\r\nx\r\n0\r\n\r\n"), CV_CHUNKED_DONE, "x"},
    {"quoted value", CV_SPAN("1;a=\"\\\"; \t\\\\\xff\"\r\nx\r\n0\r\n\r\n"), CV_CHUNKED_DONE, "x"},
    {"empty quoted value", CV_SPAN("1;a=\"\"\r\nx\r\n0\r\n\r\n"), CV_CHUNKED_DONE, "x"},
    {"extension without a name", CV_SPAN("1;\r"), CV_CHUNKED_REFUSED, ""},
    {"second extension without a name", CV_SPAN("1;a;;"), CV_CHUNKED_REFUSED, ""},
    {"extension without a value", CV_SPAN("1;a=\r"), CV_CHUNKED_REFUSED, ""},
    {"space before the name", CV_SPAN("1; "), CV_CHUNKED_REFUSED, ""},
    {"space behind the name", CV_SPAN("1;a "), CV_CHUNKED_REFUSED, ""},
    {"space before the value", CV_SPAN("1;a= "), CV_CHUNKED_REFUSED, ""},
    {"two equals", CV_SPAN("1;a=b="), CV_CHUNKED_REFUSED, ""},
    {"LF in the name", CV_SPAN("1;a\n"), CV_CHUNKED_REFUSED, ""},
    {"LF in the value", CV_SPAN("1;a=b\n"), CV_CHUNKED_REFUSED, ""},
    {"CR in a quoted value", CV_SPAN("1;a=\"\r"), CV_CHUNKED_REFUSED, ""},
    {"LF in a quoted value", CV_SPAN("1;a=\"\n"), CV_CHUNKED_REFUSED, ""},
    {"NUL in a quoted value", CV_SPAN("1;a=\"\0"), CV_CHUNKED_REFUSED, ""},
    {"escaped LF", CV_SPAN("1;a=\"\\\n"), CV_CHUNKED_REFUSED, ""},
    {"text behind a quoted value", CV_SPAN("1;a=\"b\"c"), CV_CHUNKED_REFUSED, ""},
    {"CR alone behind an extension", CV_SPAN("1;a\r\r"), CV_CHUNKED_REFUSED, ""},
    {"trailer", CV_SPAN("0\r\nA: b\r\n\r\n"), CV_CHUNKED_DONE, ""},
    {"trailers", CV_SPAN("1\r\nx\r\n0\r\nA: b\r\nContent-Length:9\r\nC:\r\n\r\n"), CV_CHUNKED_DONE,
     "x"},
    {"trailer without a name", CV_SPAN("0\r\n:"), CV_CHUNKED_REFUSED, ""},
    {"trailer without a colon", CV_SPAN("0\r\nA\r"), CV_CHUNKED_REFUSED, ""},
    {"space before a trailer's colon", CV_SPAN("0\r\nA "), CV_CHUNKED_REFUSED, ""},
    {"folded trailer", CV_SPAN("0\r\nA: b\r\n "), CV_CHUNKED_REFUSED, ""},
    {"NUL in a trailer", CV_SPAN("0\r\nA: \0"), CV_CHUNKED_REFUSED, ""},
    {"trailer ends in LF", CV_SPAN("0\r\nA: b\n"), CV_CHUNKED_REFUSED, ""},
    {"CR in a trailer", CV_SPAN("0\r\nA: b\rc"), CV_CHUNKED_REFUSED, ""},
    {"XX behind the last chunk", CV_SPAN("0\r\nXX\r"), CV_CHUNKED_REFUSED, ""},
    {"LF as the last line", CV_SPAN("0\r\n\n"), CV_CHUNKED_REFUSED, ""},
    {"CR X as the last line", CV_SPAN("0\r\n\rX"), CV_CHUNKED_REFUSED, ""},
    {"LF behind the last size", CV_SPAN("0\n"), CV_CHUNKED_REFUSED, ""},
    {"no last chunk", CV_SPAN("1\r\nx\r\n"), CV_CHUNKED_PARTIAL, "x"},
    {"half the end", CV_SPAN("0\r\n\r"), CV_CHUNKED_PARTIAL, ""},
};

static void check_outcome(const char *name, size_t cut, const struct outcome *outcome,
                          enum cv_chunked_result expected, const char *data, size_t used) {
    if (outcome->result != expected || outcome->used != used ||
        outcome->data_bytes != strlen(data) ||
        memcmp(outcome->data, data, outcome->data_bytes) != 0)
        fail_msg("%s, cut %zu: result %d, %zu bytes used", name, cut, (int)outcome->result,
                 outcome->used);
}

static void test_chunked_answers_each_case_in_pieces_of_every_size(void **state) {
    struct outcome outcome;

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        for (size_t piece = 1; piece <= cases[i].input.length; piece++) {
            feed(cases[i].input, piece, &outcome);
            check_outcome(cases[i].name, piece, &outcome, cases[i].expected, cases[i].data,
                          cases[i].input.length);
        }
    }
}

static void test_chunked_answers_each_case_cut_once_at_every_byte(void **state) {
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_span input = cases[i].input;

        for (size_t cut = 0; cut < input.length; cut++) {
            struct outcome outcome = {.result = CV_CHUNKED_PARTIAL};
            struct cv_chunked decoder;

            cv_chunked_init(&decoder);
            feed_piece(&decoder, cv_span_make(input.data, cut), &outcome);
            assert_int_equal(outcome.result, CV_CHUNKED_PARTIAL);
            assert_int_equal(outcome.used, cut);
            feed_piece(&decoder, cv_span_make(input.data + cut, input.length - cut), &outcome);
            check_outcome(cases[i].name, cut, &outcome, cases[i].expected, cases[i].data,
                          input.length);
        }
    }
}

static void test_chunked_leaves_what_follows_the_body(void **state) {
    static const char next[] = "GET / HTTP/1.1\r\n";
    char text[128];
    struct outcome outcome;
    struct cv_chunked decoder;

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        size_t length = cases[i].input.length;

        if (cases[i].expected == CV_CHUNKED_PARTIAL)
            continue;
        memcpy(text, cases[i].input.data, length);
        memcpy(text + length, next, sizeof(next));
        cv_chunked_init(&decoder);
        outcome = (struct outcome){.used = 0};
        feed_piece(&decoder, cv_span_make(text, length + sizeof(next)), &outcome);
        check_outcome(cases[i].name, 0, &outcome, cases[i].expected, cases[i].data, length);
        // And the answer stays what it was.
        feed_piece(&decoder, cv_span_make(next, sizeof(next)), &outcome);
        check_outcome(cases[i].name, 1, &outcome, cases[i].expected, cases[i].data, length);
    }
}

// Feeds `count` chunks of `bytes` bytes each; returns how many were taken.
static size_t chunks_taken(size_t bytes, size_t count) {
    char chunk[128];
    size_t length = (size_t)snprintf(chunk, sizeof(chunk), "%zx\r\n", bytes);
    struct outcome outcome = {.result = CV_CHUNKED_PARTIAL};
    struct cv_chunked decoder;

    memset(chunk + length, 'x', bytes);
    memcpy(chunk + length + bytes, "\r\n", 2);
    length += bytes + 2;
    cv_chunked_init(&decoder);
    for (size_t i = 0; i < count; i++) {
        feed_piece(&decoder, cv_span_make(chunk, length), &outcome);
        if (outcome.result == CV_CHUNKED_REFUSED)
            return i;
    }
    return count;
}

static void test_chunked_refuses_a_flood_of_tiny_chunks(void **state) {
    (void)state;
    // 5 bytes of framing for 1 of data: 16,384 + n < 5 n + 3 from the 4,096th on.
    assert_int_equal(chunks_taken(1, 100000), 4096);
    assert_in_range(chunks_taken(4, 100000), 4096, 99999);
    assert_int_equal(chunks_taken(5, 100000), 100000);
    assert_int_equal(chunks_taken(16, 200000), 200000);
}

static void test_chunked_bounds_the_extensions_of_a_chunk(void **state) {
    char text[2048];
    struct outcome outcome;

    (void)state;
    memset(text, 'e', sizeof(text));
    memcpy(text, "1;", 2);
    // The bound is on what follows the first ';', the line's CR included.
    memcpy(text + 2 + CV_CHUNKED_EXTENSION_BYTES_MAX - 1, "\r\nx\r\n", 5);
    feed(cv_span_make(text, 2 + CV_CHUNKED_EXTENSION_BYTES_MAX - 1 + 5), 1, &outcome);
    assert_int_equal(outcome.result, CV_CHUNKED_PARTIAL);
    assert_int_equal(outcome.data_bytes, 1);
    // The next chunk has the same room.
    memset(text, 'e', sizeof(text));
    memcpy(text, "1;a\r\nx\r\n1;", 10);
    memcpy(text + 10 + CV_CHUNKED_EXTENSION_BYTES_MAX - 1, "\r\nx\r\n", 5);
    feed(cv_span_make(text, 10 + CV_CHUNKED_EXTENSION_BYTES_MAX - 1 + 5), 7, &outcome);
    assert_int_equal(outcome.result, CV_CHUNKED_PARTIAL);
    assert_int_equal(outcome.data_bytes, 2);
    memset(text + 2, 'e', sizeof(text) - 2);
    memcpy(text, "1;", 2);
    feed(cv_span_make(text, sizeof(text)), 3, &outcome);
    assert_int_equal(outcome.result, CV_CHUNKED_REFUSED);
    assert_int_equal(outcome.used, 2 + CV_CHUNKED_EXTENSION_BYTES_MAX + 1);
}

static void test_chunked_bounds_the_trailer_section(void **state) {
    char text[16384];
    size_t last = 3 + CV_CHUNKED_TRAILER_BYTES_MAX;
    struct outcome outcome;

    (void)state;
    memset(text, 't', sizeof(text));
    memcpy(text, "0\r\nA:", 5);
    memcpy(text + last - 4, "\r\n\r\n", 4);
    feed(cv_span_make(text, sizeof(text)), 100, &outcome);
    assert_int_equal(outcome.result, CV_CHUNKED_DONE);
    assert_int_equal(outcome.used, last);
    memset(text + last - 4, 't', 4);
    memcpy(text + last - 3, "\r\n\r\n", 4);
    feed(cv_span_make(text, sizeof(text)), 100, &outcome);
    assert_int_equal(outcome.result, CV_CHUNKED_REFUSED);
    assert_int_equal(outcome.used, last + 1);
}

static void test_chunked_writes_prefixes_it_can_read(void **state) {
    static const struct {
        uint64_t bytes;
        const char *expected;
    } prefixes[] = {
        {1, "1\r\n"},
        {9, "9\r\n"},
        {10, "a\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {255, "ff\r\n"},
        {256, "100\r\n"},
        {0x123456789abcdef, "123456789abcdef\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };
    char out[CV_CHUNKED_PREFIX_BYTES_MAX];

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(prefixes); i++) {
        size_t length = cv_chunked_write_prefix(out, prefixes[i].bytes);

        assert_int_equal(length, strlen(prefixes[i].expected));
        assert_memory_equal(out, prefixes[i].expected, length);
    }
    for (unsigned bit = 0; bit < 63; bit++) {
        struct cv_chunked decoder;
        struct cv_span data;
        size_t used;
        size_t length = cv_chunked_write_prefix(out, UINT64_C(1) << bit);

        cv_chunked_init(&decoder);
        assert_int_equal(cv_chunked_feed(&decoder, cv_span_make(out, length), &used, &data),
                         CV_CHUNKED_PARTIAL);
        assert_true(decoder.chunk_left == UINT64_C(1) << bit);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked_answers_each_case_in_pieces_of_every_size),
        cmocka_unit_test(test_chunked_answers_each_case_cut_once_at_every_byte),
        cmocka_unit_test(test_chunked_leaves_what_follows_the_body),
        cmocka_unit_test(test_chunked_refuses_a_flood_of_tiny_chunks),
        cmocka_unit_test(test_chunked_bounds_the_extensions_of_a_chunk),
        cmocka_unit_test(test_chunked_bounds_the_trailer_section),
        cmocka_unit_test(test_chunked_writes_prefixes_it_can_read),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
