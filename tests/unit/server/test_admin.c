// The admin server: what it answers, and how it bears bad clients.
#include "server/admin.h"

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

#include "http/parser.h"

#define SECOND_NS 1000000000ull

static char seen[64];

static void answer(void *context, uint16_t method, struct cv_span path, struct cv_span query,
                   struct cv_admin_reply *reply) {
    (void)context;
    snprintf(seen, sizeof(seen), "%s %.*s%s%.*s", cv_parser_method_name(method), (int)path.length,
             path.data, query.length > 0 ? "?" : "", (int)query.length, query.data);
    if (cv_span_equal(path, CV_SPAN("/big"))) {
        for (int i = 0; i < 100000; i++) {
            cv_admin_reply_format(reply, "%06d\n", i);
        }
        return;
    }
    cv_admin_reply_write(reply, CV_SPAN("fine\n"));
}

static void test_admin_answers_or_refuses(void **state) {
    (void)state;
    static const struct {
        const char *input;
        const char *status;  // NULL: not complete.
        const char *seen;
        const char *end;
    } cases[] = {
        {"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "GET /x", "\r\n\r\nfine\n"},
        {"GET /x?y HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "GET /x?y", "\r\n\r\nfine\n"},
        {"DELETE /x?y=%2f HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "DELETE /x?y=%2f",
         "fine\n"},
        {"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "GET /x", "\r\n\r\n"},
        {"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 200 ", "POST /x",
         "fine\n"},
        {"GET /x HTTP/1.0\r\n\r\n", "HTTP/1.1 200 ", "GET /x", "fine\n"},
        {"PUT /x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501 ", "", "\n"},
        {"GET /x HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "", "\n"},
        {"GET /x HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 ", "", "\n"},
        {"POST /x HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n", "HTTP/1.1 403 ", "", "\n"},
        {"GET /x HTTP/1.1\r\nHost: a\r\n", NULL, "", NULL},
        {"", NULL, "", NULL},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_span output = {NULL, 0};
        seen[0] = '\0';
        bool is_answered = cv_admin_answer(cv_span_of(cases[i].input), answer, NULL, &output);
        assert_int_equal(is_answered, cases[i].status != NULL);
        assert_string_equal(seen, cases[i].seen);
        if (!is_answered) {
            continue;
        }
        size_t end_length = strlen(cases[i].end);
        assert_memory_equal(output.data, cases[i].status, strlen(cases[i].status));
        assert_true(output.length > end_length);
        assert_memory_equal(output.data + output.length - end_length, cases[i].end, end_length);
        assert_non_null(memmem(output.data, output.length, "Connection: close\r\n", 19));
        free((void *)(uintptr_t)output.data);
    }
}

static struct cv_admin *admin;
static struct sockaddr_un address;
static socklen_t address_bytes;

static int set_up(void **state) {
    (void)state;
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    address_bytes = sizeof(address);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    // Autobind: an abstract name of the kernel's choice (unix(7)).
    if (bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &address_bytes) < 0) {
        return 1;
    }
    return cv_admin_create(&admin, fd, answer, NULL);
}

static int tear_down(void **state) {
    (void)state;
    cv_admin_destroy(admin);
    return 0;
}

static int dial(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, address_bytes), 0);
    return fd;
}

// One round of the loop at a time of our own; returns the timeout it would have slept.
static int turn(uint64_t now_ns) {
    struct pollfd polls[CV_ADMIN_POLLS];
    int timeout_ms = -1;
    cv_admin_prepare(admin, now_ns, polls, &timeout_ms);
    assert_true(poll(polls, CV_ADMIN_POLLS, 0) >= 0);
    cv_admin_handle(admin, now_ns, polls);
    return timeout_ms;
}

static size_t read_all(int fd, uint64_t now_ns, bool *has_ended) {
    char buffer[65536];
    size_t total = 0;
    *has_ended = false;
    for (int i = 0; i < 1000 && !*has_ended; i++) {
        turn(now_ns);
        ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
        total += got > 0 ? (size_t)got : 0;
        *has_ended = got == 0;
    }
    return total;
}

static void test_admin_serves_a_client_byte_by_byte(void **state) {
    (void)state;
    static const char request[] = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    bool has_ended;
    int fd = dial();
    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        assert_int_equal(send(fd, request + i, 1, 0), 1);
        turn(SECOND_NS);
    }
    assert_true(read_all(fd, SECOND_NS, &has_ended) > 0);
    assert_true(has_ended);
    close(fd);
    turn(SECOND_NS);
    assert_int_equal(turn(SECOND_NS), -1);  // Nobody is left, nothing to wait for.
}

static void test_admin_sends_an_answer_larger_than_the_socket_takes(void **state) {
    (void)state;
    static const char request[] = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
    bool has_ended;
    int fd = dial();
    assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
    assert_true(read_all(fd, SECOND_NS, &has_ended) > 700000);
    assert_true(has_ended);
    close(fd);
}

static void test_admin_ends_a_silent_client_in_time(void **state) {
    (void)state;
    char byte;
    int fd = dial();
    turn(SECOND_NS);
    assert_in_range(turn(SECOND_NS), 1, CV_ADMIN_TIMEOUT_MS);
    turn(SECOND_NS + (CV_ADMIN_TIMEOUT_MS - 1) * 1000000ull);
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    turn(SECOND_NS + CV_ADMIN_TIMEOUT_MS * 1000000ull);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static void test_admin_lets_clients_wait_when_it_is_full(void **state) {
    (void)state;
    int fd[CV_ADMIN_CONNECTIONS_MAX + 1];
    bool has_ended;
    for (size_t i = 0; i < CV_ARRAY_COUNT(fd); i++) {
        fd[i] = dial();
        turn(SECOND_NS);
    }
    static const char request[] = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    int last = fd[CV_ADMIN_CONNECTIONS_MAX];
    assert_int_equal(send(last, request, sizeof(request) - 1, 0), sizeof(request) - 1);
    assert_int_equal(read_all(last, SECOND_NS, &has_ended), 0);
    close(fd[0]);
    assert_true(read_all(last, SECOND_NS, &has_ended) > 0);
    assert_true(has_ended);
    for (size_t i = 1; i < CV_ARRAY_COUNT(fd); i++) {
        close(fd[i]);
    }
}

static void test_admin_closes_on_an_endless_head(void **state) {
    (void)state;
    static char garbage[2 * CV_ADMIN_HEAD_BYTES_MAX];
    bool has_ended;
    memset(garbage, 'a', sizeof(garbage));
    memcpy(garbage, "GET /", 5);
    int fd = dial();
    assert_true(send(fd, garbage, sizeof(garbage), 0) > 0);
    read_all(fd, SECOND_NS, &has_ended);
    assert_true(has_ended);
    close(fd);
}

int main(void) {
#define WITH_ADMIN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admin_answers_or_refuses),
        WITH_ADMIN(test_admin_serves_a_client_byte_by_byte),
        WITH_ADMIN(test_admin_sends_an_answer_larger_than_the_socket_takes),
        WITH_ADMIN(test_admin_ends_a_silent_client_in_time),
        WITH_ADMIN(test_admin_lets_clients_wait_when_it_is_full),
        WITH_ADMIN(test_admin_closes_on_an_endless_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
