// Connections opened both ways, the chain in the ring and the system calls, must not differ.
#include "load/dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"

#define CONNECTED 1u
#define FAILED 2u

static struct load_ring ring;
static struct load_dialer dialer;
static struct sockaddr_storage address;
static socklen_t address_bytes;
static int listener = -1;
static char path[108];

static int open_ring(void **state) {
    (void)state;
    const char *why;
    assert_int_equal(load_ring_open(&ring, 8, &why), 0);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    load_dialer_deinit(&dialer);
    load_ring_close(&ring);
    if (listener >= 0) {
        close(listener);
    }
    if (path[0] != '\0') {
        unlink(path);
    }
    listener = -1;
    path[0] = '\0';
    return 0;
}

static void listen_at(const void *at, socklen_t bytes) {
    listener = socket(((const struct sockaddr *)at)->sa_family, SOCK_STREAM, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, at, bytes), 0);
    assert_int_equal(listen(listener, 16), 0);
    address_bytes = sizeof(address);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &address_bytes), 0);
}

static void listen_ipv4(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listen_at(&at, sizeof(at));
}

static void start(unsigned client_count, bool chained) {
    assert_int_equal(load_dialer_init(&dialer, &address, address_bytes, client_count), 0);
    dialer.chained = chained;
}

// Dials place `file` and waits for the one completion that must come of it.
static int dial(unsigned file, unsigned turn, unsigned *data) {
    struct io_uring_cqe *cqe;
    int status = load_dialer_start(&dialer, &ring, file, turn, CONNECTED, FAILED);
    if (status < 0) {
        *data = 0;
        return status;
    }
    assert_int_equal(load_ring_enter(&ring, 1, UINT64_C(2000000000)), 0);
    assert_int_equal(io_uring_cq_ready(&ring.uring), 1);
    assert_int_equal(io_uring_peek_cqe(&ring.uring, &cqe), 0);
    *data = (unsigned)cqe->user_data;
    status = cqe->res;
    io_uring_cq_advance(&ring.uring, 1);
    return status;
}

// Sends a byte through place `file` and gives the peer's end of the connection.
static int use(unsigned file, struct sockaddr_storage *client) {
    socklen_t bytes = sizeof(*client);
    int peer = accept(listener, (struct sockaddr *)client, &bytes);
    char byte = 0;
    struct io_uring_sqe *sqe = load_ring_sqe(&ring);
    io_uring_prep_send(sqe, (int)file, "x", 1, 0);
    sqe->flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
    assert_int_equal(load_ring_enter(&ring, 0, 0), 0);
    assert_int_equal(read(peer, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    return peer;
}

static void check_clients(bool chained) {
    struct sockaddr_storage client = {0};
    unsigned data;
    listen_ipv4();
    start(3, chained);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(dial(i, i, &data), 0);
        assert_int_equal(data, CONNECTED);
        int peer = use(i, &client);
        struct sockaddr_in ipv4;
        memcpy(&ipv4, &client, sizeof(ipv4));
        assert_int_equal(ntohl(ipv4.sin_addr.s_addr), INADDR_LOOPBACK + 1 + i % 3);
        close(peer);
    }
}

static void test_dial_by_a_chain_takes_client_addresses_in_turn(void **state) {
    (void)state;
    check_clients(true);
    if (!dialer.chained) {
        skip();
    }
}

static void test_dial_by_calls_takes_client_addresses_in_turn(void **state) {
    (void)state;
    check_clients(false);
}

static void check_unix(bool chained) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct sockaddr_storage client = {0};
    unsigned data;
    snprintf(path, sizeof(path), "/tmp/test_dial.%d", getpid());
    strcpy(at.sun_path, path);
    listen_at(&at, sizeof(at));
    start(0, chained);
    assert_int_equal(dial(0, 0, &data), 0);
    assert_int_equal(data, CONNECTED);
    close(use(0, &client));
}

static void test_dial_reaches_unix_sockets(void **state) {
    check_unix(true);
    (void)close_all(state);
    (void)open_ring(state);
    check_unix(false);
}

static void test_dial_says_that_it_was_refused(void **state) {
    (void)state;
    for (int way = 0; way < 2; way++) {
        unsigned data;
        listen_ipv4();
        close(listener);
        listener = -1;
        start(0, way == 0);
        assert_int_equal(dial(0, 0, &data), -ECONNREFUSED);
        assert_int_equal(data, CONNECTED);
        load_dialer_deinit(&dialer);
    }
}

static void test_dial_tells_a_chain_that_breaks_from_a_refusal(void **state) {
    (void)state;
    unsigned data;
    listen_ipv4();
    address.ss_family = AF_MAX;  // No kernel has it: the first link fails, and all others with it.
    start(0, true);
    assert_true(dial(0, 0, &data) < 0);
    assert_int_equal(data, FAILED);
    load_dialer_fall_back(&dialer);
    assert_true(dial(0, 0, &data) < 0);
    assert_int_equal(data, 0);

    address.ss_family = AF_INET;
    unsigned connected;
    assert_int_equal(dial(0, 0, &connected), 0);
    assert_int_equal(connected, CONNECTED);
}

static void test_dial_by_calls_needs_an_empty_place_of_the_table(void **state) {
    (void)state;
    unsigned data;
    listen_ipv4();
    start(0, false);
    assert_true(dial(8, 0, &data) < 0);  // One beyond the table.
    assert_int_equal(data, 0);
}

static void test_dial_knows_loopback_addresses(void **state) {
    (void)state;
    struct sockaddr_storage any = {0};
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&any;
    static const struct {
        sa_family_t family;
        uint32_t host;
        bool expected;
    } cases[] = {
        {AF_INET, 0x7f000001, true},  {AF_INET, 0x7fffffff, true},   {AF_INET, 0x80000001, false},
        {AF_INET, 0x0a00007f, false}, {AF_INET6, 0x7f000001, false}, {AF_UNIX, 0x7f000001, false},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        ipv4->sin_family = cases[i].family;
        ipv4->sin_addr.s_addr = htonl(cases[i].host);
        assert_int_equal(load_dialer_is_loopback4(&any), cases[i].expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dial_by_a_chain_takes_client_addresses_in_turn,
                                        open_ring, close_all),
        cmocka_unit_test_setup_teardown(test_dial_by_calls_takes_client_addresses_in_turn,
                                        open_ring, close_all),
        cmocka_unit_test_setup_teardown(test_dial_reaches_unix_sockets, open_ring, close_all),
        cmocka_unit_test_setup_teardown(test_dial_says_that_it_was_refused, open_ring, close_all),
        cmocka_unit_test_setup_teardown(test_dial_tells_a_chain_that_breaks_from_a_refusal,
                                        open_ring, close_all),
        cmocka_unit_test_setup_teardown(test_dial_by_calls_needs_an_empty_place_of_the_table,
                                        open_ring, close_all),
        cmocka_unit_test(test_dial_knows_loopback_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
