// The real ring on socket pairs and TCP over loopback: what the kernel promises, and the traps that
// docs/notes/0001-core.md and 0002 rest on.
#include "ring/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define MS 1000000ull
#define BUFFERS 8u
#define TAGS 64u

// Longer than a machine stands still. What must not wait has a time-out beyond it, or none.
#define A_MOMENT (1000 * MS)

static struct cv_ring *ring;
static int pair[2];  // [0] is the ring's end.

static struct cv_ring *make_ring(uint32_t buffer_count) {
    struct cv_ring_options options = {.connections_max = 100, .buffer_count = buffer_count};
    struct cv_ring *made = NULL;
    assert_int_equal(cv_ring_create(&made, &options), 0);
    return made;
}

static int set_up(void **state) {
    (void)state;
    ring = make_ring(BUFFERS);
    assert_int_equal(cv_ring_enable(ring), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cv_ring_destroy(ring);
    ring = NULL;
    (void)close(pair[0]);
    (void)close(pair[1]);
    return 0;
}

// For `timeout_ns`, or without end.
static int wait_for(struct cv_ring *whose, uint64_t timeout_ns) {
    uint64_t now_ns = cv_clock_monotonic_ns();
    return cv_ring_wait(whose, now_ns, timeout_ns == UINT64_MAX ? UINT64_MAX : now_ns + timeout_ns);
}

// The next completion within five seconds; false when there is none.
static bool next(struct cv_completion *completion) {
    uint64_t deadline_ns = cv_clock_monotonic_ns() + 5000 * MS;
    do {
        if (cv_ring_reap(ring, completion, 1) == 1) {
            return true;
        }
        assert_int_equal(wait_for(ring, 20 * MS), 0);
    } while (cv_clock_monotonic_ns() < deadline_ns);
    return cv_ring_reap(ring, completion, 1) == 1;
}

static struct cv_completion take(uint64_t user_data) {
    struct cv_completion completion;
    if (!next(&completion)) {
        fail_msg("no completion, wanted %llu", (unsigned long long)user_data);
    }
    assert_int_equal(completion.user_data, user_data);
    return completion;
}

static void take_nothing(void) {
    struct cv_completion completion;
    assert_int_equal(cv_ring_reap(ring, &completion, 1), 0);
}

// Submits what is queued and sees to it that nothing comes, though a wait may end early.
static void expect_nothing_for(uint64_t ns) {
    uint64_t now_ns = cv_clock_monotonic_ns(), deadline_ns = now_ns + ns;
    while (now_ns < deadline_ns) {
        assert_int_equal(cv_ring_wait(ring, now_ns, deadline_ns), 0);
        take_nothing();
        now_ns = cv_clock_monotonic_ns();
    }
    assert_true(now_ns < deadline_ns + A_MOMENT);
}

static void expect_nothing(void) {
    expect_nothing_for(20 * MS);
}

static int listen_tcp(struct sockaddr_in *address) {
    socklen_t bytes = sizeof(*address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)address, sizeof(*address)), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)address, &bytes), 0);
    return listener;
}

static int dial_tcp(const struct sockaddr_in *address) {
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client >= 0);
    assert_int_equal(connect(client, (const struct sockaddr *)address, sizeof(*address)), 0);
    return client;
}

static bool becomes_readable(int descriptor, int ms) {
    struct pollfd readable = {.fd = descriptor, .events = POLLIN};
    return poll(&readable, 1, ms) == 1;
}

static bool child_succeeds(void (*body)(void)) {
    int status = 0;
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool child_aborts(void (*body)(void)) {
    int status = 0;
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        body();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_ring_refuses_registrations_it_does_not_need(void **state) {
    int descriptors[1] = {0};
    (void)state;
    if (!cv_ring_features(ring)->restricted) {
        skip();
    }
    assert_int_equal(syscall(__NR_io_uring_register, cv_ring_descriptor(ring),
                             IORING_REGISTER_FILES, descriptors, 1),
                     -1);
    assert_int_equal(errno, EACCES);
    assert_int_equal(syscall(__NR_io_uring_register, cv_ring_descriptor(ring),
                             IORING_REGISTER_PERSONALITY, NULL, 0),
                     -1);
    assert_int_equal(errno, EACCES);
}

static void test_ring_does_nothing_before_it_is_enabled(void **state) {
    (void)state;
    struct cv_ring *other = make_ring(BUFFERS);
    cv_ring_send(other, pair[0], "x", 1, CV_RING_SEND_ALL, 1);
    assert_int_equal(wait_for(other, 0), -EBADFD);
    cv_ring_destroy(other);
}

static void *enable_elsewhere(void *context) {
    return (void *)(intptr_t)cv_ring_enable(context);
}

static void test_ring_belongs_to_the_thread_that_enabled_it(void **state) {
    (void)state;
    struct cv_ring *other = make_ring(BUFFERS);
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(pthread_create(&thread, NULL, enable_elsewhere, other), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((intptr_t)result, 0);
    // By its descriptor: the number under which a ring is registered means something else in each
    // thread.
    if (cv_ring_features(other)->defer_taskrun) {
        assert_int_equal(syscall(__NR_io_uring_enter, cv_ring_descriptor(other), 1, 0, 0, NULL, 0),
                         -1);
        assert_int_equal(errno, EEXIST);
    }
    cv_ring_destroy(other);
}

static void test_ring_sizes_its_completions(void **state) {
    static const struct {
        uint32_t connections;
        uint64_t locked_bytes_max;
        uint32_t completions;
    } cases[] = {
        {1, 0, 4096},       {2048, 0, 4096},     {2049, 0, 8192},
        {10000, 0, 32768},  {1000000, 0, 65536}, {1000000, 512 * 1024, 16384},
        {1, 1 << 30, 4096}, {1000000, 1, 4096},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_ring_options options = {
            .connections_max = cases[i].connections,
            .locked_bytes_max = cases[i].locked_bytes_max,
            .buffer_count = BUFFERS,
        };
        struct cv_ring *other = NULL;
        assert_int_equal(cv_ring_create(&other, &options), 0);
        assert_int_equal(cv_ring_features(other)->completions, cases[i].completions);
        cv_ring_destroy(other);
    }
}

static uint64_t waited_ns(uint64_t timeout_ns) {
    uint64_t start_ns = cv_clock_monotonic_ns();
    assert_int_equal(wait_for(ring, timeout_ns), 0);
    return cv_clock_monotonic_ns() - start_ns;
}

static void test_ring_waits_as_long_as_it_was_told(void **state) {
    struct cv_completion completion;
    (void)state;
    assert_true(waited_ns(0) < A_MOMENT);
    uint64_t ns = waited_ns(30 * MS);
    assert_true(ns >= 30 * MS && ns < A_MOMENT);
    take_nothing();
    cv_ring_receive(ring, pair[0], true, 7);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_true(waited_ns(UINT64_MAX) < A_MOMENT);
    assert_true(waited_ns(UINT64_MAX) < A_MOMENT);  // One is there already.
    assert_int_equal(cv_ring_reap(ring, &completion, 1), 1);
    cv_ring_give_back(ring, completion.buffer);
}

// A wait that data ends, so that it leaves its time-out behind; a receive is armed.
static void wait_for_data(uint64_t timeout_ns) {
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_true(waited_ns(timeout_ns) < A_MOMENT);
    cv_ring_give_back(ring, take(7).buffer);
}

// Its one time-out is moved to where the next wait ends if that is nearer, and else left: then a
// wait may end before its time, but once.
static void test_ring_waits_no_longer_after_a_longer_wait(void **state) {
    static const uint64_t timeouts_ms[] = {5000, 4000, 3000, 2000};
    (void)state;
    cv_ring_receive(ring, pair[0], true, 7);
    for (size_t i = 0; i < CV_ARRAY_COUNT(timeouts_ms); i++) {
        wait_for_data(timeouts_ms[i] * MS);
    }
    uint64_t ns = waited_ns(10 * MS);
    assert_true(ns >= 10 * MS && ns < A_MOMENT);
    take_nothing();
}

// As after a long turn, whose clock was read before it.
static void test_ring_wait_begins_when_it_is_called(void **state) {
    (void)state;
    uint64_t now_ns = cv_clock_monotonic_ns();
    assert_int_equal(cv_ring_wait(ring, now_ns - 5 * A_MOMENT, now_ns + 20 * MS), 0);
    uint64_t ns = cv_clock_monotonic_ns() - now_ns;
    assert_true(ns >= 20 * MS && ns < A_MOMENT);
    take_nothing();
    assert_int_equal(cv_ring_wait(ring, now_ns - 5 * A_MOMENT, now_ns), 0);
    assert_true(cv_clock_monotonic_ns() - now_ns < 2 * A_MOMENT);
}

static void test_ring_wakes_once_for_a_time_out_that_has_moved_away(void **state) {
    (void)state;
    cv_ring_receive(ring, pair[0], true, 7);
    wait_for_data(10 * MS);
    uint64_t enters = cv_ring_enters(ring);
    expect_nothing_for(100 * MS);
    assert_in_range(cv_ring_enters(ring) - enters, 1, 2);
}

// As a process finds it that was stopped: the time-out has gone off, and nobody has heard of it.
static void test_ring_sets_a_time_out_anew_that_went_off_unheard(void **state) {
    (void)state;
    cv_ring_receive(ring, pair[0], true, 7);
    for (int i = 0; i < 20; i++) {
        wait_for_data((2 + (uint64_t)i % 3) * MS);
        (void)nanosleep(&(struct timespec){.tv_nsec = (2 + i % 4) * (long)MS}, NULL);
        expect_nothing_for((1 + (uint64_t)i % 2) * MS);
    }
}

static void test_ring_enters_the_kernel_once_per_wait_and_not_without_need(void **state) {
    struct cv_completion completion;
    (void)state;
    uint64_t enters = cv_ring_enters(ring);
    cv_ring_receive(ring, pair[0], true, 7);
    assert_int_equal(wait_for(ring, 0), 0);
    assert_int_equal(cv_ring_enters(ring), enters + 1);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(wait_for(ring, 5000 * MS), 0);
    assert_int_equal(cv_ring_enters(ring), enters + 2);
    // A completion that waits, nothing queued: no call.
    assert_int_equal(wait_for(ring, 5000 * MS), 0);
    assert_int_equal(cv_ring_enters(ring), enters + 2);
    // Something queued: one call, which does not wait.
    cv_ring_send(ring, pair[0], "y", 1, CV_RING_SEND_ALL, 8);
    assert_true(waited_ns(5000 * MS) < A_MOMENT);
    assert_int_equal(cv_ring_enters(ring), enters + 3);
    assert_int_equal(cv_ring_reap(ring, &completion, 1), 1);
    cv_ring_give_back(ring, completion.buffer);
    cv_ring_submit(ring);
    assert_int_equal(cv_ring_enters(ring), enters + 3);
}

static void test_ring_loses_nothing_when_its_queue_is_full(void **state) {
    static bool seen[5000];
    static uint64_t values[5000];
    struct cv_completion completion[TAGS];
    uint32_t count = 0;
    (void)state;
    int counter = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    assert_true(counter >= 0);
    assert_int_equal(write(counter, &(uint64_t){5000}, sizeof(uint64_t)), sizeof(uint64_t));
    memset(seen, 0, sizeof(seen));
    for (uint32_t i = 0; i < 5000; i++) {
        cv_ring_read(ring, counter, &values[i], sizeof(values[i]), i);
    }
    uint64_t deadline_ns = cv_clock_monotonic_ns() + 20000 * MS;
    while (count < 5000 && cv_clock_monotonic_ns() < deadline_ns) {
        assert_int_equal(wait_for(ring, 20 * MS), 0);
        uint32_t taken = cv_ring_reap(ring, completion, TAGS);
        for (uint32_t i = 0; i < taken; i++) {
            assert_true(completion[i].user_data < 5000 && !seen[completion[i].user_data]);
            assert_int_equal(completion[i].result, sizeof(uint64_t));
            seen[completion[i].user_data] = true;
        }
        count += taken;
    }
    assert_int_equal(count, 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(values[i], 1);
    }
    (void)close(counter);
}

static void test_ring_quiet_send_is_over_without_a_word(void **state) {
    char bytes[8];
    (void)state;
    cv_ring_receive(ring, pair[0], true, 7);
    expect_nothing();
    for (int i = 0; i < 100; i++) {
        struct iovec vector[] = {{"ab", 2}, {"cde", 3}};
        struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};
        if (i % 2 == 0) {
            cv_ring_send(ring, pair[0], "abcde", 5, CV_RING_SEND_QUIET, 8);
        } else {
            cv_ring_sendmsg(ring, pair[0], &message, CV_RING_SEND_QUIET, 8);
        }
        assert_int_equal(wait_for(ring, 1 * MS), 0);
        take_nothing();
        assert_true(cv_ring_is_settled(ring));
        assert_int_equal(recv(pair[1], bytes, sizeof(bytes), MSG_DONTWAIT), 5);
        assert_memory_equal(bytes, "abcde", 5);
    }
    expect_nothing();
}

static void test_ring_quiet_send_does_not_end_a_wait(void **state) {
    static const uint64_t timeouts_ms[] = {1, 5, 20, 100, 150};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(timeouts_ms); i++) {
        cv_ring_send(ring, pair[0], "abc", 3, CV_RING_SEND_QUIET, 8);
        uint64_t ns = waited_ns(timeouts_ms[i] * MS);
        assert_true(ns >= timeouts_ms[i] * MS && ns < timeouts_ms[i] * MS + A_MOMENT);
        take_nothing();
    }
}

static void test_ring_quiet_send_that_falls_short_says_so_at_once(void **state) {
    static char bytes[65536], received[sizeof(bytes)];
    size_t sent = 0;
    int small = 4608;
    (void)state;
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    for (int i = 0; i < 2; i++) {
        cv_ring_send(ring, pair[0], bytes, sizeof(bytes), CV_RING_SEND_QUIET, 8);
        assert_true(waited_ns(5000 * MS) < A_MOMENT);
        assert_false(cv_ring_is_settled(ring));
        struct cv_completion completion = take(8);
        assert_true(completion.result == -EAGAIN ||
                    (completion.result > 0 && completion.result < (int32_t)sizeof(bytes)));
        sent += completion.result > 0 ? (size_t)completion.result : 0;
        assert_true(cv_ring_is_settled(ring));
    }
    // What it said is what the peer has, to the byte.
    size_t length = 0;
    for (ssize_t part; (part = recv(pair[1], received, sizeof(received), MSG_DONTWAIT)) > 0;) {
        length += (size_t)part;
    }
    assert_int_equal(length, sent);
}

static void test_ring_sends_all_or_says_how_much(void **state) {
    static uint8_t bytes[1 << 20], received[1 << 20];
    size_t length = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 131 >> 3);
    }
    struct iovec vector[] = {{bytes, 1000}, {bytes + 1000, sizeof(bytes) - 1000}};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};
    cv_ring_sendmsg(ring, pair[0], &message, CV_RING_SEND_ALL, 5);
    while (length < sizeof(bytes)) {
        assert_int_equal(wait_for(ring, 0), 0);
        ssize_t part = recv(pair[1], received + length, sizeof(received) - length, MSG_DONTWAIT);
        length += part > 0 ? (size_t)part : 0;
    }
    assert_int_equal(take(5).result, sizeof(bytes));
    assert_memory_equal(bytes, received, sizeof(bytes));
}

static void test_ring_send_to_nobody_is_an_error_and_no_signal(void **state) {
    (void)state;
    (void)shutdown(pair[1], SHUT_RDWR);
    static const enum cv_ring_send_mode modes[] = {CV_RING_SEND_SOME, CV_RING_SEND_ALL,
                                                   CV_RING_SEND_QUIET};
    for (size_t i = 0; i < CV_ARRAY_COUNT(modes); i++) {
        cv_ring_send(ring, pair[0], "x", 1, modes[i], 3);
        assert_int_equal(take(3).result, -EPIPE);
    }
}

static void test_ring_send_now_takes_what_fits_and_never_waits(void **state) {
    static char bytes[1 << 22];
    (void)state;
    cv_ring_send(ring, pair[0], bytes, sizeof(bytes), CV_RING_SEND_NOW, 5);
    int32_t sent = take(5).result;
    assert_in_range(sent, 1, sizeof(bytes) - 1);
    // With a peer that has ended a send that waits would be tried until it blocks a thread.
    (void)shutdown(pair[1], SHUT_WR);
    for (int i = 0; i < 200; i++) {
        cv_ring_send(ring, pair[0], bytes, sizeof(bytes), CV_RING_SEND_NOW, 6);
        assert_int_equal(take(6).result, -EAGAIN);
    }
}

static void test_ring_cancels_a_send_that_waits_for_room(void **state) {
    static char bytes[1 << 22];
    (void)state;
    cv_ring_send(ring, pair[0], bytes, sizeof(bytes), CV_RING_SEND_ALL, 5);
    expect_nothing();
    cv_ring_cancel(ring, 5, 6);
    struct cv_completion cancelled = take(5);
    assert_true(cancelled.result == -ECANCELED ||
                (cancelled.result > 0 && cancelled.result < (int32_t)sizeof(bytes)));
    assert_false(cancelled.more);
    expect_nothing();  // The cancel itself is silent.
}

static void test_ring_receives_into_lent_buffers(void **state) {
    (void)state;
    cv_ring_receive(ring, pair[0], true, 7);
    for (int i = 0; i < 50; i++) {
        char text[16];
        int length = snprintf(text, sizeof(text), "message %d", i);
        assert_int_equal(write(pair[1], text, (size_t)length), length);
        struct cv_completion completion = take(7);
        assert_int_equal(completion.result, length);
        assert_true(completion.more);
        assert_int_equal(cv_ring_buffers_lent(ring), 1);
        assert_memory_equal(cv_ring_buffer(ring, completion.buffer), text, (size_t)length);
        cv_ring_give_back(ring, completion.buffer);
        assert_int_equal(cv_ring_buffers_lent(ring), 0);
    }
}

static void test_ring_takes_a_receive_of_many_buffers_apart(void **state) {
    static const uint32_t batches[] = {1, 3, TAGS};
    static uint8_t sent[3 * CV_RING_BUFFER_BYTES + 100], received[sizeof(sent)];
    (void)state;
    if (!cv_ring_features(ring)->bundles) {
        skip();
    }
    for (size_t i = 0; i < sizeof(sent); i++) {
        sent[i] = (uint8_t)(i * 7 + i / 4096);
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(batches); i++) {
        struct cv_completion completion[TAGS];
        size_t length = 0, pieces = 0, receives = 0;
        bool more = false;
        assert_int_equal(write(pair[1], sent, sizeof(sent)), sizeof(sent));
        while (length < sizeof(sent)) {
            if (!more) {
                // One receive need not bring all there is.
                cv_ring_receive_bundle(ring, pair[0], (uint32_t)(sizeof(sent) - length), 7);
                more = true;
                receives++;
            }
            assert_int_equal(wait_for(ring, UINT64_MAX), 0);
            uint32_t count = cv_ring_reap(ring, completion, batches[i]);
            assert_in_range(count, 1, batches[i]);
            for (uint32_t k = 0; k < count; k++) {
                assert_int_equal(completion[k].user_data, 7);
                assert_in_range(completion[k].result, 1, CV_RING_BUFFER_BYTES);
                assert_true(more);
                memcpy(received + length, cv_ring_buffer(ring, completion[k].buffer),
                       (size_t)completion[k].result);
                length += (size_t)completion[k].result;
                more = completion[k].more;
                pieces++;
            }
            while (count > 0) {
                cv_ring_give_back(ring, completion[--count].buffer);
            }
        }
        assert_int_equal(length, sizeof(sent));
        assert_memory_equal(sent, received, sizeof(sent));
        assert_true(pieces >= 4 && receives < pieces);
        assert_false(more);
        assert_int_equal(cv_ring_buffers_lent(ring), 0);
    }
}

static void test_ring_starved_receive_ends_and_goes_on_when_buffers_are_back(void **state) {
    static uint8_t sent[BUFFERS * CV_RING_BUFFER_BYTES * 2], received[sizeof(sent)];
    struct cv_completion completion;
    uint32_t held[BUFFERS], held_count = 0, starved = 0;
    size_t length = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(sent); i++) {
        sent[i] = (uint8_t)(i * 7 + i / 4096);
    }
    assert_int_equal(write(pair[1], sent, sizeof(sent)), sizeof(sent));
    cv_ring_receive(ring, pair[0], true, 7);
    uint64_t enters = cv_ring_enters(ring);
    while (length < sizeof(sent) && next(&completion)) {
        if (completion.result > 0) {
            assert_true(held_count < BUFFERS);
            memcpy(received + length, cv_ring_buffer(ring, completion.buffer),
                   (size_t)completion.result);
            length += (size_t)completion.result;
            held[held_count++] = completion.buffer;
        }
        if (!completion.more) {
            assert_int_equal(completion.result, -ENOBUFS);
            assert_int_equal(completion.buffer, CV_RING_NO_BUFFER);
            assert_int_equal(cv_ring_buffers_lent(ring), BUFFERS);
            starved++;
            while (held_count > 0) {
                cv_ring_give_back(ring, held[--held_count]);
            }
            cv_ring_receive(ring, pair[0], true, 7);
        }
    }
    while (held_count > 0) {
        cv_ring_give_back(ring, held[--held_count]);
    }
    assert_int_equal(length, sizeof(sent));
    assert_memory_equal(sent, received, sizeof(sent));
    assert_true(starved >= 1);
    assert_true(cv_ring_enters(ring) - enters < 40);
    assert_int_equal(cv_ring_buffers_lent(ring), 0);
}

static void test_ring_starved_receive_of_an_idle_socket_waits_with_poll_first(void **state) {
    struct cv_completion completion;
    uint32_t held[BUFFERS];
    static char page[CV_RING_BUFFER_BYTES];
    (void)state;
    cv_ring_receive(ring, pair[0], true, 7);
    for (uint32_t i = 0; i < BUFFERS; i++) {
        assert_int_equal(write(pair[1], page, sizeof(page)), sizeof(page));
        held[i] = take(7).buffer;
    }
    int idle[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, idle), 0);
    cv_ring_receive(ring, idle[0], true, 8);
    uint64_t deadline_ns = cv_clock_monotonic_ns() + 20 * MS;
    do {
        assert_int_equal(wait_for(ring, 20 * MS), 0);
        while (cv_ring_reap(ring, &completion, 1) == 1) {
            assert_int_not_equal(completion.user_data, 8);
        }
    } while (cv_clock_monotonic_ns() < deadline_ns);
    cv_ring_receive(ring, idle[0], false, 9);
    bool ended = false;
    while (!ended && next(&completion)) {
        ended = completion.user_data == 9 && completion.result == -ENOBUFS;
    }
    assert_true(ended);
    for (uint32_t i = 0; i < BUFFERS; i++) {
        cv_ring_give_back(ring, held[i]);
    }
    (void)close(idle[0]);
    (void)close(idle[1]);
}

static void test_ring_gives_data_before_the_end(void **state) {
    struct sockaddr_in address;
    (void)state;
    int listener = listen_tcp(&address);
    for (int resets = 0; resets < 2; resets++) {
        int client = dial_tcp(&address);
        int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        struct linger hard = {.l_onoff = resets};
        cv_ring_receive(ring, server, true, 7);
        expect_nothing();
        (void)setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        assert_int_equal(write(client, "last", 4), 4);
        struct cv_completion data = take(7);
        assert_int_equal(data.result, 4);
        cv_ring_give_back(ring, data.buffer);
        (void)close(client);
        struct cv_completion end = take(7);
        assert_int_equal(end.result, resets ? -ECONNRESET : 0);
        assert_int_equal(end.buffer, CV_RING_NO_BUFFER);
        assert_false(end.more);
        (void)close(server);
    }
    (void)close(listener);
}

static void test_ring_cancel_ends_the_receive(void **state) {
    (void)state;
    cv_ring_receive(ring, pair[0], true, 7);
    expect_nothing();
    cv_ring_cancel(ring, 7, 8);
    struct cv_completion end = take(7);
    assert_int_equal(end.result, -ECANCELED);
    assert_false(end.more);
    expect_nothing();
    cv_ring_cancel(ring, 7, 8);
    assert_int_equal(take(8).result, -ENOENT);
}

static void test_ring_close_behind_a_cancel_says_goodbye(void **state) {
    struct sockaddr_in address;
    char byte;
    (void)state;
    int listener = listen_tcp(&address);
    int client = dial_tcp(&address);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    cv_ring_receive(ring, server, true, 7);
    expect_nothing();
    cv_ring_cancel(ring, 7, 8);
    cv_ring_close(ring, server, 9);
    assert_int_equal(take(7).result, -ECANCELED);
    assert_true(becomes_readable(client, 5000));
    assert_int_equal(recv(client, &byte, 1, MSG_DONTWAIT), 0);
    (void)close(client);
    (void)close(listener);
}

static void test_ring_close_alone_leaves_the_receive_armed(void **state) {
    struct sockaddr_in address;
    (void)state;
    int listener = listen_tcp(&address);
    int client = dial_tcp(&address);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    cv_ring_receive(ring, server, true, 7);
    expect_nothing();
    cv_ring_close(ring, server, 9);
    expect_nothing();
    // The reason for the cancel: no FIN, and bytes still arrive under the old tag.
    assert_false(becomes_readable(client, 100));
    assert_int_equal(write(client, "late", 4), 4);
    struct cv_completion late = take(7);
    assert_int_equal(late.result, 4);
    cv_ring_give_back(ring, late.buffer);
    cv_ring_cancel(ring, 7, 8);
    assert_int_equal(take(7).result, -ECANCELED);
    assert_true(becomes_readable(client, 5000));
    (void)close(client);
    (void)close(listener);
}

static void test_ring_answer_and_close_go_in_one_batch(void **state) {
    struct sockaddr_in address;
    char bytes[16];
    (void)state;
    int listener = listen_tcp(&address);
    int client = dial_tcp(&address);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    cv_ring_receive(ring, server, true, 7);
    expect_nothing();
    uint64_t enters = cv_ring_enters(ring);
    cv_ring_send(ring, server, "bye", 3, CV_RING_SEND_ALL, 6);
    cv_ring_cancel(ring, 7, 8);
    cv_ring_close(ring, server, 9);
    cv_ring_submit(ring);
    assert_int_equal(cv_ring_enters(ring), enters + 1);
    assert_int_equal(take(6).result, 3);
    assert_int_equal(take(7).result, -ECANCELED);
    assert_int_equal(recv(client, bytes, sizeof(bytes), 0), 3);
    assert_int_equal(recv(client, bytes, sizeof(bytes), 0), 0);
    (void)close(client);
    (void)close(listener);
}

static uint32_t lend_one(void) {
    cv_ring_receive(ring, pair[0], true, 7);
    assert_int_equal(write(pair[1], "x", 1), 1);
    return take(7).buffer;
}

static void test_ring_retained_buffer_goes_back_with_its_last_holder(void **state) {
    (void)state;
    uint32_t buffer = lend_one();
    cv_ring_retain(ring, buffer);
    cv_ring_retain(ring, buffer);
    cv_ring_give_back(ring, buffer);
    cv_ring_give_back(ring, buffer);
    assert_int_equal(cv_ring_buffers_lent(ring), 1);
    assert_int_equal(*cv_ring_buffer(ring, buffer), 'x');
    cv_ring_give_back(ring, buffer);
    assert_int_equal(cv_ring_buffers_lent(ring), 0);
    assert_int_equal(cv_ring_buffers_total(ring), BUFFERS);
}

static uint32_t shared_buffer;

static void give_back_twice(void) {
    struct cv_ring *own = ring;
    cv_ring_give_back(own, shared_buffer);
    cv_ring_give_back(own, shared_buffer);
}

static void retain_a_free_one(void) {
    cv_ring_retain(ring, shared_buffer == 0 ? 1 : 0);
}

static void ask_for_one_too_high(void) {
    (void)cv_ring_buffer(ring, BUFFERS);
}

// Forks inherit neither ring nor buffers, so the child makes its own.
static void in_child_with_a_lent_buffer(void (*body)(void)) {
    ring = make_ring(BUFFERS);
    if (cv_ring_enable(ring) == 0) {
        shared_buffer = lend_one();
        body();
    }
}

static void child_gives_back_twice(void) {
    in_child_with_a_lent_buffer(give_back_twice);
}

static void child_retains_a_free_one(void) {
    in_child_with_a_lent_buffer(retain_a_free_one);
}

static void child_asks_for_one_too_high(void) {
    in_child_with_a_lent_buffer(ask_for_one_too_high);
}

static void test_ring_asserts_that_buffers_are_used_as_lent(void **state) {
    (void)state;
    assert_true(child_aborts(child_gives_back_twice));
    assert_true(child_aborts(child_retains_a_free_one));
    assert_true(child_aborts(child_asks_for_one_too_high));
}

static void test_ring_accepts_until_it_is_cancelled(void **state) {
    struct sockaddr_in address;
    struct cv_completion completion;
    int client[10];
    (void)state;
    int listener = listen_tcp(&address);
    cv_ring_accept(ring, listener, true, 5);
    for (size_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        client[i] = dial_tcp(&address);
        completion = take(5);
        assert_true(completion.result >= 0 && completion.more);
        assert_int_equal(fcntl(completion.result, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        (void)close(completion.result);
        (void)close(client[i]);
    }
    cv_ring_cancel(ring, 5, 6);
    completion = take(5);
    assert_int_equal(completion.result, -ECANCELED);
    assert_false(completion.more);
    (void)close(listener);
}

static void accept_without_descriptors(void) {
    struct sockaddr_in address;
    struct cv_completion completion;
    int client[4];
    ring = make_ring(BUFFERS);
    assert_int_equal(cv_ring_enable(ring), 0);
    int listener = listen_tcp(&address);
    for (size_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        client[i] = dial_tcp(&address);
    }
    int free_one = dup(listener);
    struct rlimit limit = {(rlim_t)free_one, (rlim_t)free_one};
    (void)close(free_one);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cv_ring_accept(ring, listener, true, 5);
    completion = take(5);
    assert_int_equal(completion.result, -EMFILE);
    assert_false(completion.more);
    // The client waits in the queue meanwhile, and is served when there is a descriptor again.
    (void)close(client[3]);
    cv_ring_accept(ring, listener, true, 5);
    completion = take(5);
    assert_true(completion.result >= 0);
    assert_int_equal(take(5).result, -EMFILE);
}

static void test_ring_accept_ends_without_descriptors_and_goes_on_later(void **state) {
    (void)state;
    assert_true(child_succeeds(accept_without_descriptors));
}

static void test_ring_accepts_one_when_it_is_to(void **state) {
    struct sockaddr_in address;
    (void)state;
    int listener = listen_tcp(&address);
    int client[2] = {dial_tcp(&address), dial_tcp(&address)};
    for (int i = 0; i < 2; i++) {
        cv_ring_accept(ring, listener, false, 5);
        struct cv_completion completion = take(5);
        assert_true(completion.result >= 0 && !completion.more);
        expect_nothing();
        (void)close(completion.result);
        (void)close(client[i]);
    }
    (void)close(listener);
}

static void test_ring_accept_now_never_waits(void **state) {
    struct sockaddr_in address;
    (void)state;
    int listener = listen_tcp(&address);
    uint64_t start_ns = cv_clock_monotonic_ns();
    assert_int_equal(cv_ring_accept_now(ring, listener), -EAGAIN);
    assert_true(cv_clock_monotonic_ns() - start_ns < A_MOMENT);
    int client = dial_tcp(&address);
    int server = cv_ring_accept_now(ring, listener);
    assert_true(server >= 0);
    assert_int_equal(fcntl(server, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(cv_ring_accept_now(ring, listener), -EAGAIN);
    (void)close(server);
    (void)close(client);
    (void)close(listener);
}

static void test_ring_tells_the_peer(void **state) {
    struct sockaddr_in address;
    struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t bytes = sizeof(address);
    struct cv_peer peer;
    (void)state;
    cv_ring_peer(ring, pair[0], &peer);
    assert_int_equal(peer.family, CV_PEER_UNIX);
    int listener = listen_tcp(&address);
    int client = dial_tcp(&address);
    int server = cv_ring_accept_now(ring, listener);
    assert_int_equal(getsockname(client, (struct sockaddr *)&address, &bytes), 0);
    cv_ring_peer(ring, server, &peer);
    assert_int_equal(peer.family, CV_PEER_IPV4);
    assert_int_equal(peer.port, ntohs(address.sin_port));
    assert_memory_equal(peer.address, ((const uint8_t[]){127, 0, 0, 1}), 4);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    cv_ring_peer(ring, listener, &peer);
    assert_int_equal(peer.family, CV_PEER_UNKNOWN);

    listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bytes = sizeof(address6);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address6, bytes) != 0) {
        return;  // No IPv6 here.
    }
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address6, &bytes), 0);
    client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address6, bytes), 0);
    server = cv_ring_accept_now(ring, listener);
    cv_ring_peer(ring, server, &peer);
    assert_int_equal(peer.family, CV_PEER_IPV6);
    assert_memory_equal(peer.address, &in6addr_loopback, 16);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
}

struct correspondent {
    struct cv_ring *ring;
    int other;  // Ring descriptor.
    uint64_t own_tag;
    bool is_first;
    uint32_t received;
    int status;
};

#define ROUNDS 200u

static void *correspond(void *context) {
    struct correspondent *self = context;
    struct cv_completion completion;
    self->status = cv_ring_enable(self->ring);
    uint64_t deadline_ns = cv_clock_monotonic_ns() + 5000 * MS;
    bool owes = self->is_first;
    while (self->status == 0 && self->received < ROUNDS && cv_clock_monotonic_ns() < deadline_ns) {
        if (owes) {
            cv_ring_message(self->ring, self->other, self->own_tag, 1);
            owes = false;
        }
        self->status = wait_for(self->ring, 20 * MS);
        while (cv_ring_reap(self->ring, &completion, 1) == 1) {
            if (completion.user_data == 1) {
                owes = true;  // The other one is not enabled yet.
            } else {
                self->received++;
                owes = true;
            }
        }
    }
    if (owes && self->status == 0) {
        cv_ring_message(self->ring, self->other, self->own_tag, 1);
        cv_ring_submit(self->ring);
    }
    return NULL;
}

// Sends `bytes` of `data` to a reader over TCP and takes both completions. Returns the first
// result.
static int32_t send_zero_copy(const uint8_t *data, size_t bytes, uint32_t memory) {
    struct sockaddr_in address;
    int listener = listen_tcp(&address);
    int client = dial_tcp(&address);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(server >= 0);
    cv_ring_send_zero_copy(ring, server, data, bytes, memory, 7);
    struct cv_completion sent = take(7);
    assert_false(sent.is_free);
    if (sent.result > 0) {
        assert_true(sent.more);
        static uint8_t got[1 << 20];
        assert_int_equal(recv(client, got, (size_t)sent.result, MSG_WAITALL), sent.result);
        assert_memory_equal(got, data, (size_t)sent.result);
    }
    if (sent.more) {
        struct cv_completion freed = take(7);
        assert_true(freed.is_free && !freed.more);
        assert_in_range(freed.result, 0, 1);
    }
    expect_nothing();
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    return sent.result;
}

#define MEMORY_BYTES (2u << 20)

static uint8_t *map_memory(void) {
    uint8_t *memory =
        mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    for (size_t i = 0; i < MEMORY_BYTES; i++) {
        memory[i] = (uint8_t)(i * 31 >> 5);
    }
    return memory;
}

static void test_ring_sends_without_a_copy_and_says_when_the_memory_is_free(void **state) {
    (void)state;
    if (!cv_ring_features(ring)->zero_copy) {
        skip();
    }
    uint8_t *memory = map_memory();
    assert_int_equal(send_zero_copy(memory, 100000, CV_RING_NO_MEMORY), 100000);
    assert_int_equal(send_zero_copy(memory + 12345, 1, CV_RING_NO_MEMORY), 1);
    (void)munmap(memory, MEMORY_BYTES);
}

static void test_ring_sends_from_registered_memory(void **state) {
    (void)state;
    if (!cv_ring_features(ring)->zero_copy) {
        skip();
    }
    uint8_t *memory = map_memory();
    uint32_t last = CV_RING_MEMORIES_MAX - 1;
    assert_false(cv_ring_has_memory(ring, 3));
    assert_int_equal(cv_ring_add_memory(ring, 3, memory, MEMORY_BYTES), 0);
    assert_int_equal(cv_ring_add_memory(ring, last, memory, MEMORY_BYTES), 0);
    assert_true(cv_ring_has_memory(ring, 3) && cv_ring_has_memory(ring, last));
    assert_false(cv_ring_has_memory(ring, 2) || cv_ring_has_memory(ring, CV_RING_NO_MEMORY));
    assert_int_equal(send_zero_copy(memory + 4321, 100000, 3), 100000);
    assert_int_equal(send_zero_copy(memory + MEMORY_BYTES - 100, 100, last), 100);
    // A place can be used again.
    cv_ring_remove_memory(ring, 3);
    cv_ring_remove_memory(ring, 3);
    assert_false(cv_ring_has_memory(ring, 3));
    assert_int_equal(send_zero_copy(memory, 1000, 3), -EFAULT);
    assert_int_equal(cv_ring_add_memory(ring, 3, memory + MEMORY_BYTES / 2, MEMORY_BYTES / 2), 0);
    assert_int_equal(send_zero_copy(memory + MEMORY_BYTES / 2, 100000, 3), 100000);
    assert_int_equal(send_zero_copy(memory, 1000, 3), -EFAULT);
    // What cannot be registered is only not registered.
    assert_int_equal(cv_ring_add_memory(ring, CV_RING_MEMORIES_MAX, memory, MEMORY_BYTES), -ENOSPC);
    assert_true(cv_ring_add_memory(ring, 9, NULL, MEMORY_BYTES) < 0);
    assert_false(cv_ring_has_memory(ring, 9));
    (void)munmap(memory, MEMORY_BYTES);
}

static void test_ring_tells_what_is_not_acknowledged(void **state) {
    struct sockaddr_in address;
    static uint8_t bytes[1 << 20];
    (void)state;
    int listener = listen_tcp(&address);
    int small = 4096;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(cv_ring_unacknowledged(ring, server), 0);
    cv_ring_send(ring, server, bytes, sizeof(bytes), CV_RING_SEND_SOME, 7);
    assert_true(take(7).result > 0);
    uint32_t before = cv_ring_unacknowledged(ring, server);
    assert_true(before > 0);
    assert_true(recv(client, bytes, 4096, MSG_WAITALL) > 0);
    for (int i = 0; i < 100 && cv_ring_unacknowledged(ring, server) == before; i++) {
        (void)usleep(10000);
        assert_true(recv(client, bytes, 1024, MSG_DONTWAIT) != 0);
    }
    assert_true(cv_ring_unacknowledged(ring, server) < before);
    assert_int_equal(cv_ring_unacknowledged(ring, -1), 0);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
}

static void test_ring_messages_go_between_threads(void **state) {
    struct correspondent both[2] = {{.own_tag = 100, .is_first = true}, {.own_tag = 200}};
    pthread_t thread[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        both[i].ring = make_ring(BUFFERS);
    }
    for (int i = 0; i < 2; i++) {
        both[i].other = cv_ring_descriptor(both[1 - i].ring);
        assert_int_equal(pthread_create(&thread[i], NULL, correspond, &both[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(both[i].status, 0);
    }
    assert_int_equal(both[0].received, ROUNDS);
    assert_int_equal(both[1].received, ROUNDS);
    for (int i = 0; i < 2; i++) {
        cv_ring_destroy(both[i].ring);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_ring_refuses_registrations_it_does_not_need),
        TEST(test_ring_does_nothing_before_it_is_enabled),
        TEST(test_ring_belongs_to_the_thread_that_enabled_it),
        TEST(test_ring_sizes_its_completions),
        TEST(test_ring_waits_as_long_as_it_was_told),
        TEST(test_ring_waits_no_longer_after_a_longer_wait),
        TEST(test_ring_wait_begins_when_it_is_called),
        TEST(test_ring_wakes_once_for_a_time_out_that_has_moved_away),
        TEST(test_ring_sets_a_time_out_anew_that_went_off_unheard),
        TEST(test_ring_enters_the_kernel_once_per_wait_and_not_without_need),
        TEST(test_ring_loses_nothing_when_its_queue_is_full),
        TEST(test_ring_quiet_send_is_over_without_a_word),
        TEST(test_ring_quiet_send_does_not_end_a_wait),
        TEST(test_ring_quiet_send_that_falls_short_says_so_at_once),
        TEST(test_ring_sends_all_or_says_how_much),
        TEST(test_ring_send_to_nobody_is_an_error_and_no_signal),
        TEST(test_ring_send_now_takes_what_fits_and_never_waits),
        TEST(test_ring_cancels_a_send_that_waits_for_room),
        TEST(test_ring_receives_into_lent_buffers),
        TEST(test_ring_starved_receive_ends_and_goes_on_when_buffers_are_back),
        TEST(test_ring_takes_a_receive_of_many_buffers_apart),
        TEST(test_ring_starved_receive_of_an_idle_socket_waits_with_poll_first),
        TEST(test_ring_gives_data_before_the_end),
        TEST(test_ring_cancel_ends_the_receive),
        TEST(test_ring_close_behind_a_cancel_says_goodbye),
        TEST(test_ring_close_alone_leaves_the_receive_armed),
        TEST(test_ring_answer_and_close_go_in_one_batch),
        TEST(test_ring_retained_buffer_goes_back_with_its_last_holder),
        TEST(test_ring_asserts_that_buffers_are_used_as_lent),
        TEST(test_ring_accepts_until_it_is_cancelled),
        TEST(test_ring_accept_ends_without_descriptors_and_goes_on_later),
        TEST(test_ring_accepts_one_when_it_is_to),
        TEST(test_ring_accept_now_never_waits),
        TEST(test_ring_tells_the_peer),
        TEST(test_ring_sends_without_a_copy_and_says_when_the_memory_is_free),
        TEST(test_ring_sends_from_registered_memory),
        TEST(test_ring_tells_what_is_not_acknowledged),
        TEST(test_ring_messages_go_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
