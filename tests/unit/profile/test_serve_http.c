// The web server of `covet-prof serve`: whom it answers, what it sends, and how it bears bad
// clients.
#include "profile/serve_http.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND_NS 1000000000ull
#define BIG_BYTES 3000000u
#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

static struct cv_serve_http *http;
static struct sockaddr_un address;
static socklen_t address_bytes;
static char big[BIG_BYTES];
static char received[BIG_BYTES + 8192];
static size_t received_bytes;

static void answer(void *context, struct cv_span path, struct cv_serve_http_reply *reply) {
    (void)context;
    if (cv_span_equal(path, CV_SPAN("/big"))) {
        reply->body = cv_span_make(big, sizeof(big));
    } else if (cv_span_equal(path, CV_SPAN("/events"))) {
        reply->is_stream = true;
        reply->content_type = CV_SPAN("text/event-stream");
        reply->body = CV_SPAN("retry: 1\n\n");
    } else {
        reply->body = CV_SPAN("fine\n");
    }
}

static int set_up(void **state) {
    static const char *const hosts[] = {"monitor.example"};
    static const struct cv_serve_http_options options = {
        .answer = answer, .hosts = hosts, .host_count = 1};
    (void)state;
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    address_bytes = sizeof(address);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    // Autobind: an abstract name of the kernel's choice (unix(7)).
    if (bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &address_bytes) < 0) {
        return 1;
    }
    return cv_serve_http_create(&http, fd, &options);
}

static int tear_down(void **state) {
    (void)state;
    cv_serve_http_destroy(http);
    return 0;
}

static int dial(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, address_bytes), 0);
    return fd;
}

// One round of the loop at a time of our own; returns the timeout it would have slept.
static int turn(uint64_t now_ns) {
    struct pollfd polls[CV_SERVE_HTTP_POLLS];
    int timeout_ms = -1;
    cv_serve_http_prepare(http, now_ns, polls, &timeout_ms);
    assert_true(poll(polls, CV_SERVE_HTTP_POLLS, 0) >= 0);
    cv_serve_http_handle(http, now_ns, polls);
    return timeout_ms;
}

static void say(int fd, const char *text) {
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

// Reads into `received`, which ends in NUL, until nothing more comes. Returns whether the
// connection has ended.
static bool read_all(int fd) {
    unsigned idle = 0;
    received_bytes = 0;
    while (idle < 5) {
        turn(SECOND_NS);
        ssize_t got = recv(fd, received + received_bytes, sizeof(received) - 1 - received_bytes, 0);
        if (got == 0) {
            received[received_bytes] = '\0';
            return true;
        }
        received_bytes += got > 0 ? (size_t)got : 0;
        idle = got > 0 ? 0 : idle + 1;
    }
    received[received_bytes] = '\0';
    return false;
}

static void check_status(int status) {
    char line[32];
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (strncmp(received, line, strlen(line)) != 0) {
        fail_msg("not %d: %.40s", status, received);
    }
}

static int open_stream(void) {
    int fd = dial();
    say(fd, GET("/events"));
    assert_false(read_all(fd));
    check_status(200);
    return fd;
}

static void test_serve_http_answers_or_refuses(void **state) {
    (void)state;
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {GET("/"), 200},
        {GET("/metrics?x=y"), 200},
        {"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
        {"GET / HTTP/1.0\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\nHost: LocalHost:9464\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\nHost: 127.0.0.1:9464\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\nHost: 192.0.2.7\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\nHost: [::1]:9464\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\nHost: Monitor.example:9464\r\n\r\n", 200},
        {"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
        // A foreign name that was made to resolve to this address (DNS rebinding).
        {"GET / HTTP/1.1\r\nHost: evil.example:9464\r\n\r\n", 421},
        {"GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421},
        {"GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 421},
        {"GET / HTTP/1.1\r\nHost: notmonitor.example\r\n\r\n", 421},
        {"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 421},
        {"GET / HTTP/1.1\r\nHost: localhost:9464\r\nOrigin: http://localhost:9464\r\n\r\n", 200},
        {"GET / HTTP/1.1\r\nHost: localhost:9464\r\nOrigin: http://localhost:9465\r\n\r\n", 403},
        {"GET / HTTP/1.1\r\nHost: localhost:9464\r\nOrigin: https://localhost:9464\r\n\r\n", 403},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n", 403},
        {"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405},
        {"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 405},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\nHost: localhost\n\n", 400},
        {"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505},
        {"\x16\x03\x01\r\n\r\n", 400},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        int fd = dial();
        say(fd, cases[i].request);
        assert_true(read_all(fd));
        check_status(cases[i].status);
        assert_non_null(strstr(received, "\r\nConnection: close\r\n"));
        assert_non_null(strstr(received, "\r\nContent-Security-Policy: default-src 'none'; "));
        assert_int_equal(strstr(received, "\r\nAllow: GET, HEAD\r\n") != NULL,
                         cases[i].status == 405);
        close(fd);
    }
}

static void test_serve_http_sends_no_body_for_head(void **state) {
    (void)state;
    static const char *const paths[] = {"/", "/events"};
    for (size_t i = 0; i < CV_ARRAY_COUNT(paths); i++) {
        char request[64];
        snprintf(request, sizeof(request), "HEAD %s HTTP/1.1\r\nHost: localhost\r\n\r\n", paths[i]);
        int fd = dial();
        say(fd, request);
        assert_true(read_all(fd));
        assert_string_equal(received + received_bytes - 4, "\r\n\r\n");
        close(fd);
    }
    assert_int_equal(cv_serve_http_stream_count(http), 0);
}

static void test_serve_http_serves_a_client_byte_by_byte(void **state) {
    (void)state;
    static const char request[] = GET("/x");
    int fd = dial();
    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        assert_int_equal(send(fd, request + i, 1, 0), 1);
        turn(SECOND_NS);
    }
    assert_true(read_all(fd));
    check_status(200);
    close(fd);
    turn(SECOND_NS);
    assert_int_equal(turn(SECOND_NS), -1);  // Nobody is left, nothing to wait for.
}

static void test_serve_http_sends_an_answer_larger_than_the_socket_takes(void **state) {
    (void)state;
    memset(big, 'b', sizeof(big));
    int fd = dial();
    say(fd, GET("/big"));
    assert_true(read_all(fd));
    const char *body = strstr(received, "\r\n\r\n") + 4;
    assert_int_equal(received_bytes - (size_t)(body - received), sizeof(big));
    assert_memory_equal(body, big, sizeof(big));
    close(fd);
}

static void test_serve_http_ends_a_silent_client_in_time(void **state) {
    (void)state;
    static const char *const said[] = {"", "GET / HT", GET("/big")};
    for (size_t i = 0; i < CV_ARRAY_COUNT(said); i++) {
        int fd = dial();
        say(fd, said[i]);
        turn(SECOND_NS);
        turn(SECOND_NS);
        assert_in_range(turn(SECOND_NS), 1, CV_SERVE_HTTP_TIMEOUT_MS);
        turn(SECOND_NS + (CV_SERVE_HTTP_TIMEOUT_MS - 1) * 1000000ull);
        assert_int_not_equal(turn(SECOND_NS), -1);
        turn(SECOND_NS + CV_SERVE_HTTP_TIMEOUT_MS * 1000000ull);
        assert_int_equal(turn(SECOND_NS), -1);
        close(fd);
    }
}

static void test_serve_http_prefers_a_new_client_to_one_that_keeps_it_waiting(void **state) {
    (void)state;
    int fd[CV_SERVE_HTTP_CONNECTIONS_MAX + 1];
    char byte;
    for (size_t i = 0; i < CV_ARRAY_COUNT(fd); i++) {
        fd[i] = dial();
        turn(SECOND_NS + i);
    }
    say(fd[CV_SERVE_HTTP_CONNECTIONS_MAX], GET("/"));
    assert_true(read_all(fd[CV_SERVE_HTTP_CONNECTIONS_MAX]));
    check_status(200);
    assert_int_equal(recv(fd[0], &byte, 1, 0), 0);  // The one that had waited longest.
    assert_int_equal(recv(fd[1], &byte, 1, 0), -1);
    for (size_t i = 0; i < CV_ARRAY_COUNT(fd); i++) {
        close(fd[i]);
    }
}

static void test_serve_http_closes_on_an_endless_head(void **state) {
    (void)state;
    static char garbage[2 * CV_SERVE_HTTP_HEAD_BYTES_MAX];
    memset(garbage, 'a', sizeof(garbage));
    memcpy(garbage, "GET /", 5);
    int fd = dial();
    assert_true(send(fd, garbage, sizeof(garbage), 0) > 0);
    assert_true(read_all(fd));
    check_status(414);
    close(fd);
}

static void test_serve_http_publishes_to_every_stream(void **state) {
    (void)state;
    int fd[2] = {open_stream(), open_stream()};
    assert_non_null(strstr(received, "\r\nContent-Type: text/event-stream\r\n"));
    assert_null(strstr(received, "Content-Length"));
    assert_non_null(strstr(received, "\r\n\r\nretry: 1\n\n"));
    assert_int_equal(cv_serve_http_stream_count(http), 2);
    for (int i = 0; i < 3; i++) {
        cv_serve_http_publish(http, CV_SPAN("data: 1\n\n"));
        for (size_t j = 0; j < CV_ARRAY_COUNT(fd); j++) {
            assert_false(read_all(fd[j]));
            assert_string_equal(received, "data: 1\n\n");
        }
    }
    assert_int_equal(turn(SECOND_NS), -1);  // A stream has no time limit.
    close(fd[0]);
    turn(SECOND_NS);
    assert_int_equal(cv_serve_http_stream_count(http), 1);
    cv_serve_http_publish(http, CV_SPAN("data: 2\n\n"));
    assert_false(read_all(fd[1]));
    assert_string_equal(received, "data: 2\n\n");
    close(fd[1]);
}

static void test_serve_http_drops_a_stream_that_does_not_read(void **state) {
    (void)state;
    int slow = open_stream();
    int good = open_stream();
    memset(big, 'e', sizeof(big));
    big[sizeof(big) - 1] = '\n';
    big[sizeof(big) - 2] = '\n';
    for (unsigned i = 0; i < CV_SERVE_HTTP_LATE_MAX + 1; i++) {
        assert_int_equal(cv_serve_http_stream_count(http), 2);
        cv_serve_http_publish(http, cv_span_make(big, sizeof(big)));
        assert_false(read_all(good));
        assert_int_equal(received_bytes, sizeof(big));
    }
    cv_serve_http_publish(http, CV_SPAN("data: 3\n\n"));
    assert_int_equal(cv_serve_http_stream_count(http), 1);
    assert_false(read_all(good));
    assert_string_equal(received, "data: 3\n\n");
    close(slow);
    close(good);
}

static void test_serve_http_forgives_a_stream_that_reads_again(void **state) {
    (void)state;
    int fd = open_stream();
    memset(big, 'e', sizeof(big));
    for (unsigned i = 0; i < 3 * CV_SERVE_HTTP_LATE_MAX; i++) {
        cv_serve_http_publish(http, cv_span_make(big, sizeof(big)));
        if (i % 3 == 2) {
            assert_false(read_all(fd));
            assert_int_equal(received_bytes, sizeof(big));  // Two of three were missed.
        }
    }
    assert_int_equal(cv_serve_http_stream_count(http), 1);
    close(fd);
}

static void test_serve_http_keeps_places_for_others_beside_streams(void **state) {
    (void)state;
    int fd[CV_SERVE_HTTP_STREAMS_MAX];
    for (size_t i = 0; i < CV_ARRAY_COUNT(fd); i++) {
        fd[i] = open_stream();
    }
    int next = dial();
    say(next, GET("/events"));
    assert_true(read_all(next));
    check_status(503);
    close(next);
    next = dial();
    say(next, GET("/metrics"));
    assert_true(read_all(next));
    check_status(200);
    close(next);
    for (size_t i = 0; i < CV_ARRAY_COUNT(fd); i++) {
        close(fd[i]);
    }
}

static void test_serve_http_ends_a_stream_whose_client_talks_on(void **state) {
    (void)state;
    int fd = open_stream();
    say(fd, GET("/"));
    assert_true(read_all(fd));
    assert_int_equal(cv_serve_http_stream_count(http), 0);
    close(fd);
}

static void test_serve_http_create_closes_the_listener_it_cannot_use(void **state) {
    static const struct cv_serve_http_options options = {.answer = answer};
    struct cv_serve_http *none = NULL;
    (void)state;
    assert_int_equal(cv_serve_http_create(&none, 1000000, &options), -EBADF);
    assert_null(none);
}

int main(void) {
#define WITH_HTTP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_HTTP(test_serve_http_answers_or_refuses),
        WITH_HTTP(test_serve_http_sends_no_body_for_head),
        WITH_HTTP(test_serve_http_serves_a_client_byte_by_byte),
        WITH_HTTP(test_serve_http_sends_an_answer_larger_than_the_socket_takes),
        WITH_HTTP(test_serve_http_ends_a_silent_client_in_time),
        WITH_HTTP(test_serve_http_prefers_a_new_client_to_one_that_keeps_it_waiting),
        WITH_HTTP(test_serve_http_closes_on_an_endless_head),
        WITH_HTTP(test_serve_http_publishes_to_every_stream),
        WITH_HTTP(test_serve_http_drops_a_stream_that_does_not_read),
        WITH_HTTP(test_serve_http_forgives_a_stream_that_reads_again),
        WITH_HTTP(test_serve_http_keeps_places_for_others_beside_streams),
        WITH_HTTP(test_serve_http_ends_a_stream_whose_client_talks_on),
        cmocka_unit_test(test_serve_http_create_closes_the_listener_it_cannot_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
