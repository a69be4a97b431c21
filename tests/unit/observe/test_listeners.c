// Accept queues of real sockets on the loopback.
#include "observe/listeners.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"

static int open_socket(int type) {
    int fd = socket(AF_INET, type, 0);

    assert_true(fd >= 0);
    return fd;
}

// A listener of its own port that has room for `backlog` + 1 connections.
static int listen_on(struct sockaddr_in *address, int backlog) {
    int fd = open_socket(SOCK_STREAM);
    int on = 1;
    socklen_t length = sizeof(*address);

    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)address, length), 0);
    assert_int_equal(listen(fd, backlog), 0);
    getsockname(fd, (struct sockaddr *)address, &length);
    return fd;
}

static void wait_for_queue(int fd) {
    struct pollfd watched = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&watched, 1, 2000), 1);
    usleep(50000);  // For the connections behind the first.
}

static void test_listeners_queue_backlog_and_refusals_are_exact(void **state) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct cv_snapshot_listener listeners[COVET_STATS_PORTS_MAX];
    size_t count;
    int clients[4];
    int fd = listen_on(&address, 1);
    uint16_t ports[] = {ntohs(address.sin_port), 1};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        clients[i] = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
        (void)!connect(clients[i], (struct sockaddr *)&address, sizeof(address));
    }
    wait_for_queue(fd);
    cv_listeners_read(listeners, &count, getpid(), ports, 2);
    assert_int_equal(count, 1);
    assert_int_equal(listeners[0].port, ports[0]);
    assert_int_equal(listeners[0].sockets, 1);
    assert_int_equal(listeners[0].queue, 2);
    assert_int_equal(listeners[0].queue_max, 1);
    assert_int_equal(listeners[0].fullest_percent, 200);
    assert_int_equal(listeners[0].drops, 2);
    for (unsigned i = 0; i < 4; i++)
        close(clients[i]);
    close(fd);
}

static void test_listeners_of_one_port_are_added_up(void **state) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct cv_snapshot_listener listeners[COVET_STATS_PORTS_MAX];
    size_t count;
    int first = listen_on(&address, 10), second = listen_on(&address, 20);
    uint16_t port = ntohs(address.sin_port);

    (void)state;
    cv_listeners_read(listeners, &count, getpid(), &port, 1);
    assert_int_equal(count, 1);
    assert_int_equal(listeners[0].sockets, 2);
    assert_int_equal(listeners[0].queue, 0);
    assert_int_equal(listeners[0].queue_max, 30);
    assert_int_equal(listeners[0].drops, 0);
    close(first);
    close(second);
    cv_listeners_read(listeners, &count, getpid(), &port, 1);
    assert_int_equal(count, 0);
    cv_listeners_read(listeners, &count, getpid(), &port, 0);
    assert_int_equal(count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listeners_queue_backlog_and_refusals_are_exact),
        cmocka_unit_test(test_listeners_of_one_port_are_added_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
