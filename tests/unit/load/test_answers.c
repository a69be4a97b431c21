// Answers: every case whole, cut at every byte and byte by byte, with and without the fast path.
#include "load/answers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/span.h"
#include "load/requests.h"

// No answer follows these answers but on purpose.
#define OWED 4
#define ANSWERS_MAX 1024  // Of one outcome.

struct answer_case {
    const char *name;
    struct cv_span input;
    int expected;      // Answers, or -EBADMSG.
    int at_end;        // What load_reader_end says then.
    unsigned status;   // Of all answers, 0: none is complete.
    unsigned answers;  // In the tally behind the end.
    uint64_t body_bytes;
    bool head_only;
};

#define OK "HTTP/1.1 200 OK\r\n"
#define HELLO OK "Content-Length: 5\r\n\r\nhello"

static const struct answer_case cases[] = {
    {"nothing", CV_SPAN(""), 0, 0, 0, 0, 0, false},
    {"one answer", CV_SPAN(HELLO), 1, 0, 200, 1, 5, false},
    {"three answers", CV_SPAN(HELLO HELLO HELLO), 3, 0, 200, 3, 15, false},
    {"no body", CV_SPAN(OK "Content-Length: 0\r\n\r\n"), 1, 0, 200, 1, 0, false},
    {"no bodies", CV_SPAN(OK "Content-Length: 0\r\n\r\n" OK "Content-Length: 0\r\n\r\n"), 2, 0, 200,
     2, 0, false},
    {"a Date", CV_SPAN(OK "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length:5\r\n\r\nhello"),
     1, 0, 200, 1, 5, false},
    {"blanks around the length", CV_SPAN(OK "CONTENT-LENGTH: \t 2 \t\r\n\r\nab"), 1, 0, 200, 1, 2,
     false},
    {"leading zeros", CV_SPAN(OK "Content-Length: 0002\r\n\r\nab"), 1, 0, 200, 1, 2, false},
    {"a reason of bytes",
     CV_SPAN("HTTP/1.1 404 Nicht \xffgefunden!\tja\r\nContent-Length: 1\r\n\r\nx"), 1, 0, 404, 1, 1,
     false},
    {"an empty reason", CV_SPAN("HTTP/1.1 500 \r\nContent-Length: 1\r\n\r\nx"), 1, 0, 500, 1, 1,
     false},
    {"no reason at all", CV_SPAN("HTTP/1.1 302\r\nContent-Length: 1\r\n\r\nx"), 1, 0, 302, 1, 1,
     false},
    {"HTTP/1.2", CV_SPAN("HTTP/1.2 200 OK\r\nContent-Length: 1\r\n\r\nx"), 1, 0, 200, 1, 1, false},
    {"names that only look alike",
     CV_SPAN(OK "Content-Lengt: 9\r\nContent-Lengths: 9\r\nX-Content-Length: 9\r\n"
                "Transfer-Encoding2: chunked\r\nConnection-: close\r\nContent-Length: 1\r\n\r\nx"),
     1, 0, 200, 1, 1, false},
    {"field values of any text",
     CV_SPAN(OK "A:\r\nB: Content-Length: 7\r\nC: \t\xe4\xf6, \"\r\nContent-Length: 1\r\n\r\nx"), 1,
     0, 200, 1, 1, false},
    {"a body that looks like an answer",
     CV_SPAN(OK "Content-Length: 19\r\n\r\nHTTP/1.1 500 OK\r\n\r\n" HELLO), 2, 0, 200, 2, 24,
     false},
    {"204", CV_SPAN("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"), 2, 0, 204, 2,
     0, false},
    {"304 with a length", CV_SPAN("HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\n\r\n"), 1, 0,
     304, 1, 0, false},
    {"HEAD", CV_SPAN(OK "Content-Length: 70\r\n\r\n" OK "Content-Length: 70\r\n\r\n"), 2, 0, 200, 2,
     0, true},
    {"HEAD of chunks", CV_SPAN(OK "Transfer-Encoding: chunked\r\n\r\n"), 1, 0, 200, 1, 0, true},
    {"HEAD without framing", CV_SPAN(OK "\r\n" OK "\r\n"), 2, 0, 200, 2, 0, true},
    {"chunks", CV_SPAN(OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"),
     1, 0, 200, 1, 5, false},
    {"chunks twice",
     CV_SPAN(OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" OK
                "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
     2, 0, 200, 2, 2, false},
    {"chunks of other sizes behind the same head",
     CV_SPAN(OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" OK
                "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n2\r\nab\r\n0\r\n\r\n" OK
                "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
     3, 0, 200, 3, 5, false},
    {"no chunks", CV_SPAN(OK "Transfer-Encoding: , Chunked ,\r\n\r\n0\r\n\r\n"), 1, 0, 200, 1, 0,
     false},
    {"chunks and a trailer",
     CV_SPAN(OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n" HELLO),
     2, 0, 200, 2, 6, false},
    {"until the end", CV_SPAN(OK "\r\nall of it"), 0, 1, 200, 1, 9, false},
    {"nothing until the end", CV_SPAN(OK "Connection: close\r\n\r\n"), 0, 1, 200, 1, 0, false},
    {"HTTP/1.0 until the end", CV_SPAN("HTTP/1.0 200 OK\r\n\r\nxy"), 0, 1, 200, 1, 2, false},
    {"HTTP/1.0 with a length", CV_SPAN("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nxignored"), 1,
     0, 200, 1, 1, false},
    {"HTTP/1.0 that stays",
     CV_SPAN("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx"
             "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx"),
     2, 0, 200, 2, 2, false},
    {"what follows the last answer",
     CV_SPAN(OK "Connection: x , cLose\r\nContent-Length: 1\r\n\r\nx!" HELLO), 1, 0, 200, 1, 1,
     false},
    {"close that is part of a word",
     CV_SPAN(OK
             "Connection: closed, close-, enclose, \"close\"\r\nContent-Length: 1\r\n\r\nx" HELLO),
     2, 0, 200, 2, 6, false},
    {"100 before the answer", CV_SPAN("HTTP/1.1 100 Continue\r\n\r\n" HELLO HELLO), 2, 0, 200, 2,
     10, false},
    {"103 with fields, twice",
     CV_SPAN("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: close\r\n\r\n"
             "HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n" HELLO HELLO),
     2, 0, 200, 2, 10, false},
    {"100 and nothing", CV_SPAN("HTTP/1.1 100 Continue\r\n\r\n"), 0, 0, 0, 0, 0, false},
    {"a cut status line", CV_SPAN("HTTP/1.1 2"), 0, -EPIPE, 0, 0, 0, false},
    {"a cut head", CV_SPAN(OK "Content-Length: 5\r\n\r"), 0, -EPIPE, 0, 0, 0, false},
    {"a cut body", CV_SPAN(HELLO OK "Content-Length: 5\r\n\r\nhell"), 1, -EPIPE, 200, 1, 9, false},
    {"a cut body of nothing yet", CV_SPAN(OK "Content-Length: 5\r\n\r\n"), 0, -EPIPE, 0, 0, 0,
     false},
    {"cut chunks", CV_SPAN(OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r"), 0, -EPIPE,
     0, 0, 3, false},
    {"the longest length", CV_SPAN(OK "Content-Length: 9223372036854775807\r\n\r\nx"), 0, -EPIPE, 0,
     0, 1, false},
    {"a longer one", CV_SPAN(OK "Content-Length: 9223372036854775808"), -EBADMSG, -EPIPE, 0, 0, 0,
     false},
    {"a length of 2^64", CV_SPAN(OK "Content-Length: 18446744073709551616"), -EBADMSG, -EPIPE, 0, 0,
     0, false},
    {"no digits", CV_SPAN(OK "Content-Length: \r"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"a sign", CV_SPAN(OK "Content-Length: +"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"minus", CV_SPAN(OK "Content-Length: -"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"hexadecimal", CV_SPAN(OK "Content-Length: 0x"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"a list of lengths", CV_SPAN(OK "Content-Length: 5,"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"a blank in the length", CV_SPAN(OK "Content-Length: 5 5"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"two lengths", CV_SPAN(OK "Content-Length: 5\r\nContent-Length:"), -EBADMSG, -EPIPE, 0, 0, 0,
     false},
    {"length and chunks", CV_SPAN(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"chunks and length", CV_SPAN(OK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
     -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"chunks in HTTP/1.0", CV_SPAN("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
     -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"chunked twice", CV_SPAN(OK "Transfer-Encoding: chunked, chunked\r"), -EBADMSG, -EPIPE, 0, 0,
     0, false},
    {"chunked twice in two fields",
     CV_SPAN(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r"), -EBADMSG, -EPIPE, 0,
     0, 0, false},
    {"another coding", CV_SPAN(OK "Transfer-Encoding: gzip,"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"identity", CV_SPAN(OK "Transfer-Encoding: identity\r"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"chunked with something behind", CV_SPAN(OK "Transfer-Encoding: chunkedchunkedchunked\r"),
     -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"bad chunks", CV_SPAN(OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd"), -EBADMSG, -EPIPE, 0,
     0, 3, false},
    {"101", CV_SPAN("HTTP/1.1 101 Switching Protocols\r\n\r\n"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"no HTTP", CV_SPAN("S"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"lower case", CV_SPAN("h"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"HTTP/2.0", CV_SPAN("HTTP/2"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"HTTP/1", CV_SPAN("HTTP/1 "), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"HTTP/1.10", CV_SPAN("HTTP/1.10"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"an empty line first", CV_SPAN("\r"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"a status of two digits", CV_SPAN("HTTP/1.1 20 "), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"a status of four digits", CV_SPAN("HTTP/1.1 2000"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"status 099", CV_SPAN("HTTP/1.1 099"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"status 600", CV_SPAN("HTTP/1.1 600"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"LF alone", CV_SPAN("HTTP/1.1 200 OK\n"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"LF behind the status", CV_SPAN("HTTP/1.1 200\n"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"CR alone", CV_SPAN("HTTP/1.1 200 OK\rx"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"a control byte in the reason", CV_SPAN("HTTP/1.1 200 O\1"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"byte 0 in a value", CV_SPAN(OK "A: \0"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"byte 0 in Connection", CV_SPAN(OK "Connection: \0"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"a folded line", CV_SPAN(OK "A: b\r\n "), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"a blank before the colon", CV_SPAN(OK "Content-Length "), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"no name", CV_SPAN(OK ":"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"no colon", CV_SPAN(OK "Content-Length\r"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"LF behind a field", CV_SPAN(OK "A: b\n"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"LF as the last line", CV_SPAN(OK "A: b\r\n\n"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"CR X as the last line", CV_SPAN(OK "A: b\r\n\rX"), -EBADMSG, -EPIPE, 0, 0, 0, false},
    {"a byte behind the last body", CV_SPAN(HELLO "!"), -EBADMSG, -EPIPE, 200, 1, 5, false},
    {"an answer too many", CV_SPAN(HELLO HELLO HELLO HELLO "H"), -EBADMSG, -EPIPE, 200, 4, 20,
     false},
};

#define CASE_COUNT (sizeof(cases) / sizeof(cases[0]))

static bool one_head_only;
static struct load_requests one = {.count = 1, .depth = OWED, .head_only = &one_head_only};
static struct load_shape shapes[4];

// What a reader made of some bytes.
struct outcome {
    struct load_reader reader;
    struct load_tally tally;
    uint8_t kinds[ANSWERS_MAX];
    unsigned owed;
    int result;  // The sum, or the first error.
    int at_end;
};

static void feed_piece(struct outcome *outcome, const struct load_requests *requests,
                       const char *data, size_t bytes) {
    char *copy = malloc(bytes + 1);  // As long as it says, for the sanitizer.
    assert_non_null(copy);
    char *end = copy + 1 + bytes;
    memcpy(end - bytes, data, bytes);
    assert_true(outcome->tally.answers + outcome->owed < ANSWERS_MAX);
    int result =
        load_reader_feed(&outcome->reader, requests, shapes, end - bytes, bytes, outcome->owed,
                         &outcome->tally, outcome->kinds + outcome->tally.answers);
    free(copy);
    if (result < 0) {
        outcome->result = result;
    } else if (outcome->result >= 0) {
        assert_true((unsigned)result <= outcome->owed);
        outcome->owed -= (unsigned)result;
        outcome->result += result;
    }
}

// Feeds `input` in two pieces, the first of `cut` bytes, or, with `step`, in pieces of that size.
static struct outcome run(const struct load_requests *requests, struct cv_span input, size_t cut,
                          size_t step, unsigned until_verify) {
    struct outcome outcome = {.owed = OWED, .reader = {.until_verify = (uint8_t)until_verify}};
    feed_piece(&outcome, requests, input.data, cut);
    for (size_t at = cut; at < input.length && outcome.result >= 0;) {
        size_t bytes = step == 0 || step > input.length - at ? input.length - at : step;
        feed_piece(&outcome, requests, input.data + at, bytes);
        at += bytes;
    }
    outcome.at_end =
        load_reader_end(&outcome.reader, &outcome.tally, &outcome.kinds[outcome.tally.answers]);
    return outcome;
}

static void check(const struct answer_case *wanted, const struct outcome *outcome, const char *how,
                  size_t cut) {
    unsigned digit = wanted->status / 100;
    if (outcome->result != wanted->expected || outcome->at_end != wanted->at_end ||
        outcome->tally.answers != wanted->answers ||
        outcome->tally.status[digit] != wanted->answers ||
        outcome->tally.body_bytes != wanted->body_bytes ||
        outcome->tally.verified > outcome->tally.answers) {
        fail_msg("%s, %s %zu: result %d, at end %d, %llu answers, %llu body bytes", wanted->name,
                 how, cut, outcome->result, outcome->at_end,
                 (unsigned long long)outcome->tally.answers,
                 (unsigned long long)outcome->tally.body_bytes);
    }
}

static void test_answers_are_what_each_case_says_whole_and_in_pieces(void **state) {
    (void)state;
    for (size_t i = 0; i < CASE_COUNT; i++) {
        struct cv_span input = cases[i].input;
        one_head_only = cases[i].head_only;
        // Extra bytes are one too many only when nothing more is owed.
        for (size_t cut = 0; cut <= input.length; cut++) {
            memset(shapes, 0, sizeof(shapes));
            struct outcome outcome = run(&one, input, cut, 0, 0);
            check(&cases[i], &outcome, "cut at", cut);
            // The same again, with what has been learned and the fast path open from the start.
            outcome = run(&one, input, cut, 0, LOAD_VERIFY_EVERY);
            check(&cases[i], &outcome, "again, cut at", cut);
        }
        for (size_t step = 1; step < 8; step++) {
            memset(shapes, 0, sizeof(shapes));
            struct outcome outcome = run(&one, input, 0, step, 0);
            check(&cases[i], &outcome, "in pieces of", step);
        }
    }
}

// Feeds `count` times `answer` in one piece; each time all of them are answers.
static void feed_many(struct outcome *outcome, const struct load_requests *requests,
                      const char *answer, unsigned count) {
    static char text[65536];
    size_t bytes = strlen(answer);
    assert_true(count * bytes <= sizeof(text));
    for (unsigned i = 0; i < count; i++) {
        memcpy(text + i * bytes, answer, bytes);
    }
    outcome->owed += count;
    int before = outcome->result;
    feed_piece(outcome, requests, text, count * bytes);
    assert_int_equal(outcome->result - before, (int)count);
}

static int set_up(void **state) {
    (void)state;
    memset(shapes, 0, sizeof(shapes));
    one_head_only = false;
    return 0;
}

static void test_answers_take_the_slow_path_every_64th_time(void **state) {
    struct outcome outcome = {0};
    (void)state;
    feed_many(&outcome, &one, HELLO, 64);
    assert_int_equal(outcome.tally.verified, 1);
    feed_many(&outcome, &one, HELLO, 1);
    assert_int_equal(outcome.tally.verified, 2);
    for (unsigned i = 0; i < 640; i++) {
        feed_many(&outcome, &one, HELLO, 1);
    }
    assert_int_equal(outcome.tally.verified, 12);
    assert_int_equal(outcome.tally.answers, 64 + 1 + 640);
    assert_int_equal(outcome.tally.status[2], 64 + 1 + 640);
    assert_int_equal(outcome.tally.body_bytes, (64 + 1 + 640) * 5);
}

static void test_answers_of_one_connection_speed_up_the_next(void **state) {
    struct outcome first = {0}, second = {0};
    (void)state;
    feed_many(&first, &one, HELLO, 1);
    second.reader.until_verify = LOAD_VERIFY_EVERY;
    feed_many(&second, &one, HELLO, 10);
    assert_int_equal(second.tally.verified, 0);
    // A new connection begins with the slow path all the same.
    second = (struct outcome){0};
    feed_many(&second, &one, HELLO, 1);
    assert_int_equal(second.tally.verified, 1);
}

// Each differs from HELLO in one place; none may be taken for it.
static void test_answers_that_differ_in_any_byte_of_the_head_are_read_anew(void **state) {
    static const struct {
        const char *answer;
        unsigned digit;
        uint64_t body_bytes;
    } others[] = {
        {"HTTP/1.1 500 OK\r\nContent-Length: 5\r\n\r\nhello", 5, 5},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell", 2, 4},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!", 2, 6},
        {"HTTP/1.1 200 OK\r\nContent-Lengt_: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 2,
         0},
        {"HTTP/1.1 204 OK\r\nContent-Length: 5\r\n\r\n", 2, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct outcome outcome = {0};
        feed_many(&outcome, &one, HELLO, 2);
        feed_many(&outcome, &one, others[i].answer, 1);
        assert_int_equal(outcome.tally.verified, 2);
        assert_int_equal(outcome.tally.status[others[i].digit], others[i].digit == 2 ? 3 : 1);
        assert_int_equal(outcome.tally.body_bytes, 10 + others[i].body_bytes);
        feed_many(&outcome, &one, HELLO, 3);
        assert_int_equal(outcome.tally.body_bytes, 25 + others[i].body_bytes);
    }
}

static void test_answers_every_flipped_bit_of_a_known_head_is_noticed(void **state) {
    char text[] = HELLO;
    size_t head_bytes = sizeof(text) - 1 - 5;
    (void)state;
    for (size_t bit = 0; bit < head_bytes * 8; bit++) {
        struct outcome known = {0}, fresh = {0};
        set_up(NULL);
        feed_many(&known, &one, HELLO, 1);
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        known.owed = 1;
        known.tally = (struct load_tally){0};
        known.result = 0;
        feed_piece(&known, &one, text, sizeof(text) - 1);
        memset(shapes, 0, sizeof(shapes));
        fresh.owed = 1;
        feed_piece(&fresh, &one, text, sizeof(text) - 1);
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(known.result, fresh.result);
        assert_memory_equal(&known.tally, &fresh.tally, sizeof(fresh.tally));
        assert_int_equal(known.reader.state, fresh.reader.state);
        assert_int_equal(known.reader.body_left, fresh.reader.body_left);
    }
}

static void test_answers_follow_the_order_of_the_requests(void **state) {
    static const bool head_only[] = {false, true, false};
    static const struct load_requests three = {.count = 3, .depth = 9, .head_only = head_only};
    struct outcome outcome = {0};
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        feed_many(&outcome, &three, OK "Content-Length: 3\r\n\r\nabc", 1);
        assert_int_equal(outcome.reader.request_index, 1);
        feed_many(&outcome, &three, OK "Content-Length: 99\r\n\r\n", 1);  // To HEAD.
        feed_many(&outcome, &three, "HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx", 1);
        assert_int_equal(outcome.reader.request_index, 0);
    }
    assert_int_equal(outcome.tally.status[2], 10);
    assert_int_equal(outcome.tally.status[4], 5);
    assert_int_equal(outcome.tally.body_bytes, 20);
    // The three take the slow path when they are new, then none does until 63 have followed the
    // last.
    assert_int_equal(outcome.tally.verified, 3);
}

static void test_answers_tell_served_from_shed_one_by_one(void **state) {
#define SHED "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
#define ERROR "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
    static const char text[] = HELLO HELLO SHED HELLO SHED SHED ERROR;
    static const uint8_t kinds[] = {LOAD_KIND_SERVED, LOAD_KIND_SERVED, LOAD_KIND_SHED,
                                    LOAD_KIND_SERVED, LOAD_KIND_SHED,   LOAD_KIND_SHED,
                                    LOAD_KIND_OTHER};
    (void)state;
    for (size_t step = 1; step < sizeof(text); step++) {
        struct outcome outcome = {.owed = sizeof(kinds)};
        for (size_t at = 0; at < sizeof(text) - 1; at += step) {
            feed_piece(&outcome, &one, text + at, CV_MIN(step, sizeof(text) - 1 - at));
        }
        assert_int_equal(outcome.result, sizeof(kinds));
        assert_memory_equal(outcome.kinds, kinds, sizeof(kinds));
        assert_int_equal(outcome.tally.shed, 3);
        assert_int_equal(outcome.tally.status[2], 3);
        assert_int_equal(outcome.tally.status[5], 4);
    }
}

static void test_answers_are_refused_when_none_is_owed(void **state) {
    struct outcome outcome = {0};
    (void)state;
    feed_piece(&outcome, &one, "", 0);
    assert_int_equal(outcome.result, 0);
    feed_piece(&outcome, &one, "H", 1);
    assert_int_equal(outcome.result, -EBADMSG);
    // And for good.
    outcome = (struct outcome){.reader = outcome.reader, .owed = 1};
    feed_piece(&outcome, &one, HELLO, sizeof(HELLO) - 1);
    assert_int_equal(outcome.result, -EBADMSG);
    // A known answer is as much too many as another.
    outcome = (struct outcome){.owed = 2};
    feed_piece(&outcome, &one, HELLO HELLO HELLO, 3 * (sizeof(HELLO) - 1));
    assert_int_equal(outcome.result, -EBADMSG);
    assert_int_equal(outcome.tally.answers, 2);
}

static void test_answers_say_that_the_connection_ends(void **state) {
    struct outcome outcome = {0};
    uint8_t kind = LOAD_KIND_COUNT;
    (void)state;
    feed_many(&outcome, &one, HELLO, 1);
    assert_false(outcome.reader.closing);
    feed_many(&outcome, &one, OK "Connection: close\r\nContent-Length: 1\r\n\r\nx", 1);
    assert_true(outcome.reader.closing);
    feed_piece(&outcome, &one, "anything", 8);
    assert_int_equal(outcome.result, 2);
    assert_int_equal(load_reader_end(&outcome.reader, &outcome.tally, &kind), 0);

    outcome = (struct outcome){.owed = 1};
    feed_piece(&outcome, &one, OK "\r\nx", sizeof(OK "\r\nx") - 1);
    assert_false(outcome.reader.closing);
    assert_int_equal(load_reader_end(&outcome.reader, &outcome.tally, &kind), 1);
    assert_int_equal(kind, LOAD_KIND_SERVED);
    assert_true(outcome.reader.closing);
    assert_int_equal(outcome.tally.status[2], 1);
}

static void test_answers_that_close_are_not_learned(void **state) {
    struct outcome outcome = {.owed = 1};
    (void)state;
    feed_many(&outcome, &one, OK "Connection: close\r\nContent-Length: 1\r\n\r\nx", 1);
    assert_int_equal(shapes[0].same_bytes, 0);
    outcome = (struct outcome){.owed = 1, .reader = {.until_verify = 9}};
    feed_many(&outcome, &one, OK "Connection: close\r\nContent-Length: 1\r\n\r\nx", 1);
    assert_true(outcome.reader.closing);
}

static void test_answers_heads_have_a_longest_one(void **state) {
    static char text[LOAD_HEAD_BYTES_MAX + 64];
    static const char begin[] = OK "Content-Length: 0\r\nA: ";
    (void)state;
    for (int excess = 0; excess <= 1; excess++) {
        size_t bytes = LOAD_HEAD_BYTES_MAX + (size_t)excess;
        memset(text, 'a', bytes);
        memcpy(text, begin, sizeof(begin) - 1);
        memcpy(text + bytes - 4, "\r\n\r\n", 4);
        for (size_t step = 1; step <= bytes; step += bytes / 3) {
            struct outcome outcome = run(&one, cv_span_make(text, bytes), 0, step, 0);
            assert_int_equal(outcome.result, excess == 0 ? 1 : -EBADMSG);
        }
    }
}

static void test_answers_with_long_heads_are_not_learned_but_read(void **state) {
    static char text[2048];
    (void)state;
    for (int excess = 0; excess <= 1; excess++) {
        struct outcome outcome = {0};
        size_t head_bytes = LOAD_SHAPE_BYTES + (size_t)excess;
        set_up(NULL);
        memset(text, 'a', head_bytes);
        memcpy(text, OK "Content-Length: 2\r\nA: ", sizeof(OK "Content-Length: 2\r\nA: ") - 1);
        memcpy(text + head_bytes - 4, "\r\n\r\nhi", 7);
        feed_many(&outcome, &one, text, 10);
        assert_int_equal(outcome.tally.verified, excess == 0 ? 1 : 10);
        assert_int_equal(outcome.tally.body_bytes, 20);
    }
}

static void test_answers_of_chunks_are_known_by_all_their_bytes(void **state) {
    struct outcome outcome = {0};
    (void)state;
    feed_many(&outcome, &one, OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 10);
    assert_int_equal(outcome.tally.verified, 1);
    assert_int_equal(outcome.tally.body_bytes, 10);
    feed_many(&outcome, &one, OK "Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n", 1);
    assert_int_equal(outcome.tally.verified, 2);
}

static void test_answers_bodies_may_come_in_many_reads(void **state) {
    static char body[10000];
    static const char head[] = OK "Content-Length: 100000\r\n\r\n";
    struct outcome outcome = {0};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        outcome.owed = 1;
        feed_piece(&outcome, &one, head, sizeof(head) - 1);
        for (unsigned part = 0; part < 10; part++) {
            assert_int_equal(outcome.result, (int)i);
            feed_piece(&outcome, &one, body, sizeof(body));
        }
        assert_int_equal(outcome.result, (int)i + 1);
    }
    assert_int_equal(outcome.tally.verified, 1);
    assert_int_equal(outcome.tally.body_bytes, 300000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_what_each_case_says_whole_and_in_pieces),
        cmocka_unit_test_setup(test_answers_take_the_slow_path_every_64th_time, set_up),
        cmocka_unit_test_setup(test_answers_of_one_connection_speed_up_the_next, set_up),
        cmocka_unit_test_setup(test_answers_that_differ_in_any_byte_of_the_head_are_read_anew,
                               set_up),
        cmocka_unit_test_setup(test_answers_every_flipped_bit_of_a_known_head_is_noticed, set_up),
        cmocka_unit_test_setup(test_answers_follow_the_order_of_the_requests, set_up),
        cmocka_unit_test_setup(test_answers_tell_served_from_shed_one_by_one, set_up),
        cmocka_unit_test_setup(test_answers_are_refused_when_none_is_owed, set_up),
        cmocka_unit_test_setup(test_answers_say_that_the_connection_ends, set_up),
        cmocka_unit_test_setup(test_answers_that_close_are_not_learned, set_up),
        cmocka_unit_test_setup(test_answers_heads_have_a_longest_one, set_up),
        cmocka_unit_test_setup(test_answers_with_long_heads_are_not_learned_but_read, set_up),
        cmocka_unit_test_setup(test_answers_of_chunks_are_known_by_all_their_bytes, set_up),
        cmocka_unit_test_setup(test_answers_bodies_may_come_in_many_reads, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
