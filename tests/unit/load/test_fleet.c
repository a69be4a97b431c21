// Whole runs against a server in a thread that reads as slowly as it is told, and compares every
// byte that comes with the bytes that should.
#include "load/fleet.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"

#define PEERS_MAX 64
#define TRIES 5

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct peer {
    size_t at;  // In the requests' block: what comes next.
};

static struct {
    pthread_t thread;
    struct pollfd watched[PEERS_MAX + 1];
    struct peer peers[PEERS_MAX + 1];
    unsigned count;
    const struct load_requests *requests;
    size_t read_bytes_max;  // At a time.
    int receive_buffer;     // Bytes; 0: the kernel's choice.
    unsigned pause_us;      // Before every read.
    bool is_mute;
    atomic_bool stop;
    atomic_ullong answered, accepted, wrong;
} server;

static struct load_options options;
static struct load_result result;

static void serve_bytes(struct peer *peer, int fd, const char *data, size_t bytes) {
    const struct load_requests *requests = server.requests;
    size_t whole = requests->offsets[1];
    while (bytes > 0) {
        size_t part = CV_MIN(bytes, whole - peer->at);
        server.wrong += memcmp(data, requests->block + peer->at, part) != 0;
        data += part;
        bytes -= part;
        peer->at += part;
        if (peer->at == whole) {
            peer->at = 0;
            server.answered += !server.is_mute;
            server.wrong += !server.is_mute && write(fd, answer, sizeof(answer) - 1) < 0;
        }
    }
}

static void *serve(void *unused) {
    (void)unused;
    char *data = malloc(server.read_bytes_max);
    while (!server.stop) {
        (void)poll(server.watched, server.count, 10);
        for (unsigned i = server.count - 1; i > 0; i--) {
            if (server.watched[i].revents == 0) {
                continue;
            }
            if (server.pause_us > 0) {
                usleep(server.pause_us);
            }
            ssize_t bytes = read(server.watched[i].fd, data, server.read_bytes_max);
            if (bytes > 0) {
                serve_bytes(&server.peers[i], server.watched[i].fd, data, (size_t)bytes);
            } else {
                close(server.watched[i].fd);
                server.watched[i] = server.watched[--server.count];
                server.peers[i] = server.peers[server.count];
            }
        }
        if (server.watched[0].revents != 0 && server.count <= PEERS_MAX) {
            int fd = accept(server.watched[0].fd, NULL, NULL);
            server.watched[server.count] = (struct pollfd){.fd = fd, .events = POLLIN};
            server.peers[server.count++] = (struct peer){0};
            server.accepted++;
        }
    }
    free(data);
    return NULL;
}

static void start_server(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (server.receive_buffer > 0) {
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &server.receive_buffer, sizeof(int));
    }
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listener, PEERS_MAX), 0);
    options.address_bytes = sizeof(options.address);
    getsockname(listener, (struct sockaddr *)&options.address, &options.address_bytes);
    memset(server.peers, 0, sizeof(server.peers));
    server.watched[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    server.count = 1;
    server.answered = server.accepted = server.wrong = 0;
    server.stop = false;
    server.requests = &options.requests;
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void stop_server(void) {
    server.stop = true;
    pthread_join(server.thread, NULL);
    for (unsigned i = 0; i < server.count; i++) {
        close(server.watched[i].fd);
    }
}

// One POST with so many bytes of a body that differs from byte to byte.
static void set_requests(size_t body_bytes, unsigned depth) {
    const char *why = NULL;
    char *body = malloc(body_bytes);
    for (size_t i = 0; i < body_bytes; i++) {
        body[i] = (char)('a' + (i * 7 + i / 251) % 26);
    }
    struct load_request_source source = {
        .path = "/", .host = "test", .body = body, .body_bytes = body_bytes};
    assert_int_equal(load_requests_from_source(&options.requests, &source, depth, &why), 0);
    free(body);
    options.depth = depth;
}

static int set_up(void **state) {
    (void)state;
    memset(&server, 0, sizeof(server));
    server.read_bytes_max = 65536;
    options = (struct load_options){
        .threads = 1, .connections = 4, .seconds = 5, .timeout_seconds = 10, .depth = 1};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    load_requests_deinit(&options.requests);
    return 0;
}

static void run_all(void) {
    const char *why = "";
    start_server();
    int status = load_fleet_run(&options, &result, NULL, &why);
    stop_server();
    assert_string_equal(status == 0 ? "" : why, "");
    assert_int_equal(server.wrong, 0);
    assert_int_equal(result.tally.answers, server.answered);
}

static void check_no_errors(void) {
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++) {
        assert_int_equal(result.errors[i], 0);
    }
}

// For what a machine can spoil that stands still for a moment: one run of a few is as it should be.
static void run_until(bool (*is_right)(void)) {
    for (unsigned tries = 0; tries < TRIES; tries++) {
        run_all();
        if (is_right()) {
            return;
        }
    }
    fail_msg("%u runs: %llu answers, %llu latencies, lane %f, core %f", TRIES,
             (unsigned long long)result.tally.answers, (unsigned long long)result.latency.count,
             result.lane_busy, result.core_busy);
}

static void test_fleet_sends_whole_what_sockets_take_in_pieces(void **state) {
    (void)state;
    set_requests(100000, 8);
    server.receive_buffer = 4096;
    server.read_bytes_max = 7001;
    options.request_count = 100;
    options.seconds = 20;
    run_all();
    check_no_errors();
    assert_int_equal(result.tally.answers, 100);
    assert_int_equal(result.bytes_sent, 100 * options.requests.offsets[1]);
}

static void test_fleet_deals_requests_and_connections_to_its_lanes(void **state) {
    (void)state;
    set_requests(1, 2);
    options.threads = 3;
    options.connections = 11;
    options.idle = 5;
    options.request_count = 1000;
    run_all();
    check_no_errors();
    assert_int_equal(result.tally.answers, 1000);
    assert_int_equal(result.requests_sent, 1000);
    assert_int_equal(result.latency.count, 1000);
    assert_int_equal(result.connects, 16);
    assert_int_equal(server.accepted, 16);
    assert_true(result.ended_ns > result.began_ns);
    assert_true(result.lane_busy > 0 && result.lane_busy < 1.05);
}

static bool others_had_the_core(void) {
    return result.core_busy >= result.lane_busy + 0.1 && result.core_busy <= 1;
}

static void test_fleet_tells_that_others_had_its_core(void **state) {
    (void)state;
    cpu_set_t cores;
    int core = 0;
    char list[16];
    assert_int_equal(sched_getaffinity(0, sizeof(cores), &cores), 0);
    while (!CPU_ISSET((unsigned)core, &cores)) {
        core++;
    }
    snprintf(list, sizeof(list), "%d", core);
    pid_t other = fork();
    if (other == 0) {
        CPU_ZERO(&cores);
        CPU_SET((unsigned)core, &cores);
        sched_setaffinity(0, sizeof(cores), &cores);
        alarm(60);
        for (volatile uint64_t i = 0;; i++) {
        }
    }
    set_requests(1, 1);
    options.seconds = 1;
    options.cores = list;
    run_until(others_had_the_core);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    options.cores = NULL;
    check_no_errors();
}

static bool latencies_are_of_half_the_time(void) {
    return result.tally.answers == 100 && result.latency.count >= 30 && result.latency.count <= 60;
}

static void test_fleet_gives_warm_up_no_latencies(void **state) {
    (void)state;
    set_requests(1, 1);
    options.seconds = 0.2;
    options.warmup_seconds = 0.1;
    options.rate = 500;
    run_until(latencies_are_of_half_the_time);
    check_no_errors();
}

static bool rate_was_kept(void) {
    return result.tally.answers >= 499 && result.tally.answers <= 502;
}

static void test_fleet_spreads_the_rate_over_its_lanes(void **state) {
    (void)state;
    set_requests(1, 4);
    options.threads = 4;
    options.connections = 8;
    options.seconds = 0.5;
    options.rate = 1001;
    run_until(rate_was_kept);
    check_no_errors();
}

static bool four_connections_waited_four_times(void) {
    return result.errors[LOAD_ERROR_TIMEOUT] >= 12;  // And more: 4 is the least that 0.5 s hold.
}

static void test_fleet_counts_a_latency_for_every_request_of_a_mute_server(void **state) {
    (void)state;
    set_requests(1, 1);
    server.is_mute = true;
    options.seconds = 0.5;
    options.timeout_seconds = 0.1;
    options.rate = 100;
    run_until(four_connections_waited_four_times);
    assert_int_equal(result.tally.answers, 0);
    assert_int_equal(result.latency.count, 50);
    assert_true(load_histogram_at(&result.latency, 0.5) > 50000000);
}

// Due all along the second, and none was sent.
static bool latencies_fill_the_second(void) {
    uint64_t half = load_histogram_at(&result.latency, 0.5);
    uint64_t most = load_histogram_at(&result.latency, 0.9);
    return half > 495000000 && half < 505000000 && most > 895000000 && most < 905000000 &&
           result.ended_ns - result.began_ns < UINT64_C(8000000000);
}

static void test_fleet_counts_a_billion_unsent_requests_at_once(void **state) {
    (void)state;
    set_requests(1, 1);
    server.is_mute = true;
    options.seconds = 1;
    options.timeout_seconds = 0.1;
    options.rate = 1e9;
    run_until(latencies_fill_the_second);
    assert_int_equal(result.latency.count, 1000000000);
    assert_int_equal(result.unsent + result.requests_sent, 1000000000);
}

static void test_fleet_counts_no_more_unsent_requests_than_asked_for(void **state) {
    (void)state;
    set_requests(1, 1);
    server.is_mute = true;
    options.seconds = 0.3;
    options.timeout_seconds = 0.1;
    options.rate = 10000;
    options.request_count = 100;
    run_all();
    assert_int_equal(result.unsent + result.requests_sent, 100);
}

static unsigned progress_calls;
static struct load_progress progress_last;

static void on_progress(const struct load_progress *progress) {
    progress_calls++;
    progress_last = *progress;
}

static void test_fleet_tells_how_far_it_is(void **state) {
    (void)state;
    const char *why;
    set_requests(1, 1);
    options.seconds = 1.3;
    start_server();
    assert_int_equal(load_fleet_run(&options, &result, on_progress, &why), 0);
    stop_server();
    assert_in_range(progress_calls, 1, 4);
    assert_int_equal(progress_last.open, 4);
    assert_in_range(progress_last.answers, 1, result.tally.answers);
    assert_int_equal(progress_last.errors, 0);
    assert_true(progress_last.seconds > 0.3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fleet_sends_whole_what_sockets_take_in_pieces, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fleet_deals_requests_and_connections_to_its_lanes,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fleet_tells_that_others_had_its_core, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fleet_gives_warm_up_no_latencies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fleet_spreads_the_rate_over_its_lanes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_fleet_counts_a_latency_for_every_request_of_a_mute_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fleet_counts_a_billion_unsent_requests_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_fleet_counts_no_more_unsent_requests_than_asked_for,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fleet_tells_how_far_it_is, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
