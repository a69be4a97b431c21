// Listening sockets: in-use detection, taking over, dealing out, paths.
#include "server/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/address.h"

static struct cv_sockets sockets;
static struct cv_sockets others;
static struct cv_settings settings;
static char directory[32];
static char message[512];

static int set_up(void **state) {
    (void)state;
    memset(&sockets, 0, sizeof(sockets));
    memset(&others, 0, sizeof(others));
    memset(&settings, 0, sizeof(settings));
    settings.worker_count = 2;
    strcpy(directory, "/tmp/covet-test-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int tear_down(void **state) {
    (void)state;
    cv_sockets_close(&sockets, CV_SOCKETS_UNLINK_OWNED);
    cv_sockets_close(&others, CV_SOCKETS_UNLINK_OWNED);
    return rmdir(directory);
}

static void add_address(const char *text) {
    const char *why = "";
    assert_true(cv_address_parse(text, &settings.listen[settings.listen_count], &why));
    settings.listen_count++;
}

// A loopback port that is free now.
static uint16_t add_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    char text[32];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    close(fd);
    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(address.sin_port));
    add_address(text);
    return ntohs(address.sin_port);
}

static void add_path(const char *name) {
    char text[64];
    snprintf(text, sizeof(text), "unix:%s/%s", directory, name);
    add_address(text);
}

static int open_sockets(struct cv_sockets *into) {
    message[0] = '\0';
    return cv_sockets_open(into, &settings, message, sizeof(message));
}

static void test_sockets_are_one_per_worker_and_one_per_path(void **state) {
    (void)state;
    struct stat status;
    add_port();
    add_path("s");
    assert_int_equal(open_sockets(&sockets), 0);
    assert_int_equal(sockets.count, 3);
    assert_int_equal(sockets.group[0].count, 2);
    assert_int_equal(sockets.group[1].count, 1);
    assert_int_equal(stat(cv_address_path(&settings.listen[1]), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0666);
    cv_sockets_close(&sockets, CV_SOCKETS_UNLINK_OWNED);
    assert_int_equal(stat(cv_address_path(&settings.listen[1]), &status), -1);
}

static void test_sockets_say_who_holds_an_address(void **state) {
    (void)state;
    char expected[64];
    snprintf(expected, sizeof(expected), "is in use by process %d (", (int)getpid());
    add_port();
    assert_int_equal(open_sockets(&sockets), 0);
    assert_int_equal(open_sockets(&others), 69);
    assert_non_null(strstr(message, expected));
    settings.listen_count = 0;
    add_path("s");
    assert_int_equal(open_sockets(&others), 0);
    struct cv_sockets third = {0};
    assert_int_equal(open_sockets(&third), 69);
    assert_non_null(strstr(message, expected));
}

static void test_sockets_open_nothing_when_one_address_is_in_use(void **state) {
    (void)state;
    add_port();
    assert_int_equal(open_sockets(&sockets), 0);
    add_path("s");
    struct stat status;
    assert_int_equal(open_sockets(&others), 69);
    assert_int_equal(others.count, 0);
    assert_int_equal(stat(cv_address_path(&settings.listen[1]), &status), -1);
}

static void test_sockets_replace_a_dead_path_and_nothing_else(void **state) {
    (void)state;
    add_path("s");
    const char *path = cv_address_path(&settings.listen[0]);
    assert_int_equal(open_sockets(&sockets), 0);
    cv_sockets_close(&sockets, CV_SOCKETS_KEEP_PATHS);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(open_sockets(&sockets), 0);
    cv_sockets_close(&sockets, CV_SOCKETS_UNLINK_OWNED);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(open_sockets(&sockets), 69);
    assert_non_null(strstr(message, "is not a socket"));
    assert_int_equal(unlink(path), 0);
}

static void test_sockets_refuse_what_cannot_be_bound_with_78(void **state) {
    (void)state;
    add_address("192.0.2.1:18000");  // TEST-NET-1, nobody's address.
    assert_int_equal(open_sockets(&sockets), 78);
    settings.listen_count = 0;
    add_address("unix:/nonexistent/directory/s");
    assert_int_equal(open_sockets(&sockets), 78);
}

// Hands copies of all sockets to another set, as a new process gets them.
static void take_all(bool is_activated) {
    for (uint32_t i = 0; i < sockets.count; i++) {
        int copy = dup(sockets.fd[i]);
        assert_int_equal(cv_sockets_take(&others, copy, is_activated), 0);
    }
}

static void test_sockets_taken_over_are_not_opened_again(void **state) {
    (void)state;
    add_port();
    add_path("s");
    assert_int_equal(open_sockets(&sockets), 0);
    take_all(false);
    assert_int_equal(open_sockets(&others), 0);
    assert_int_equal(others.count, 3);
    // One that never served leaves the path to the one before.
    cv_sockets_close(&others, CV_SOCKETS_UNLINK_OPENED);
    assert_int_equal(access(cv_address_path(&settings.listen[1]), F_OK), 0);
}

static void test_sockets_grow_with_the_workers_and_never_shrink(void **state) {
    (void)state;
    add_port();
    assert_int_equal(open_sockets(&sockets), 0);
    take_all(false);
    settings.worker_count = 4;
    assert_int_equal(open_sockets(&others), 0);
    assert_int_equal(others.count, 4);
    cv_sockets_close(&others, CV_SOCKETS_KEEP_PATHS);
    take_all(false);
    settings.worker_count = 1;
    assert_int_equal(open_sockets(&others), 0);
    assert_int_equal(others.count, 2);
}

static void test_sockets_keep_unwanted_groups_until_told(void **state) {
    (void)state;
    add_path("old");
    add_port();
    assert_int_equal(open_sockets(&sockets), 0);
    take_all(false);
    const char *path = strdup(cv_address_path(&settings.listen[0]));
    assert_non_null(path);
    settings.listen[0] = settings.listen[1];
    settings.listen_count = 1;
    assert_int_equal(open_sockets(&others), 0);
    assert_int_equal(others.count, 3);
    assert_int_equal(access(path, F_OK), 0);
    cv_sockets_close_unwanted(&others);
    assert_int_equal(others.count, 2);
    assert_int_equal(access(path, F_OK), -1);
    free((void *)(uintptr_t)path);
}

static void test_sockets_of_a_service_manager_replace_the_default_only(void **state) {
    (void)state;
    add_port();
    assert_int_equal(open_sockets(&sockets), 0);
    take_all(true);
    settings.listen_count = 0;
    settings.listen_default = true;
    add_address("192.0.2.1:18000");
    assert_int_equal(open_sockets(&others), 0);
    assert_int_equal(others.count, 2);
    settings.listen_default = false;
    assert_int_equal(open_sockets(&others), 78);
}

static void test_sockets_refuse_descriptors_that_do_not_listen(void **state) {
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int file = dup(STDERR_FILENO);
    assert_int_equal(cv_sockets_take(&sockets, fd, false), -EINVAL);
    assert_int_equal(cv_sockets_take(&sockets, file, false), -ENOTSOCK);
    assert_int_equal(sockets.count, 0);
    close(fd);
    close(file);
}

// A connection under way, without waiting for it.
static int knock(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)connect(fd, (struct sockaddr *)&address, sizeof(address));
    return fd;
}

static bool is_connected(int fd) {
    struct pollfd one = {.fd = fd, .events = POLLOUT};
    int error = -1;
    socklen_t bytes = sizeof(error);
    return poll(&one, 1, 50) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 &&
           error == 0;
}

static void test_deaf_sockets_keep_their_queue_and_take_nobody(void **state) {
    (void)state;
    char data[8];
    settings.worker_count = 1;
    uint16_t port = add_port();
    add_path("s");
    assert_int_equal(open_sockets(&sockets), 0);
    int before = knock(port);
    assert_true(is_connected(before));
    cv_sockets_deafen(&sockets);
    int behind = knock(port);
    assert_false(is_connected(behind));
    int accepted = accept(sockets.fd[0], NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(send(before, "asked", 5, 0), 5);
    assert_int_equal(recv(accepted, data, sizeof(data), 0), 5);
    assert_int_equal(fcntl(sockets.fd[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(accept(sockets.fd[0], NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    close(behind);
    close(accepted);
    close(before);
}

static void test_deafening_spares_the_sockets_of_a_service_manager(void **state) {
    (void)state;
    settings.worker_count = 1;
    uint16_t port = add_port();
    assert_int_equal(open_sockets(&others), 0);
    int given = dup(others.fd[0]);
    assert_int_equal(cv_sockets_take(&sockets, given, true), 0);
    assert_int_equal(open_sockets(&sockets), 0);
    cv_sockets_deafen(&sockets);
    int client = knock(port);
    assert_true(is_connected(client));
    close(client);
}

static void test_sockets_are_dealt_to_workers_without_a_gap(void **state) {
    (void)state;
    static int own[CV_SOCKETS_MAX];
    static int foreign[CV_SOCKETS_MAX];
    static const uint32_t worker_counts[] = {1, 2, 3, 5, 8};
    static const uint32_t socket_counts[] = {1, 2, 3, 4, 7};
    for (size_t w = 0; w < CV_ARRAY_COUNT(worker_counts); w++) {
        for (size_t s = 0; s < CV_ARRAY_COUNT(socket_counts); s++) {
            uint32_t uses[8] = {0};
            struct cv_sockets dealt = {.group_count = 1, .count = socket_counts[s]};
            dealt.group[0] =
                (struct cv_sockets_group){.count = socket_counts[s], .is_wanted = true};
            for (uint32_t i = 0; i < dealt.count; i++) {
                dealt.fd[i] = (int)i;
            }
            for (uint32_t i = 0; i < worker_counts[w]; i++) {
                uint32_t own_count;
                uint32_t foreign_count;
                cv_sockets_deal(&dealt, i, worker_counts[w], own, &own_count, foreign,
                                &foreign_count);
                assert_true(own_count >= 1);
                assert_int_equal(own_count + foreign_count, dealt.count);
                for (uint32_t j = 0; j < own_count; j++) {
                    uses[own[j]]++;
                }
            }
            for (uint32_t i = 0; i < dealt.count; i++) {
                assert_true(uses[i] >= 1);
            }
        }
    }
}

static void test_sockets_tell_their_tcp_ports_ascending_and_once(void **state) {
    (void)state;
    uint16_t port[COVET_STATS_PORTS_MAX] = {0};
    const char *const addresses[] = {"127.0.0.1:8443", "[::1]:80", "unix:/tmp/s", "127.0.0.2:8443",
                                     "127.0.0.1:65535"};
    assert_int_equal(cv_sockets_ports(&sockets, port), 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(addresses); i++) {
        const char *why = "";
        struct cv_sockets_group *group = &sockets.group[sockets.group_count++];
        assert_true(cv_address_parse(addresses[i], &group->address, &why));
        group->is_wanted = true;
    }
    assert_int_equal(cv_sockets_ports(&sockets, port), 3);
    assert_int_equal(port[0], 80);
    assert_int_equal(port[1], 8443);
    assert_int_equal(port[2], 65535);
    sockets.group[1].is_wanted = false;  // Kept until a hand-over is sure; nobody serves it.
    assert_int_equal(cv_sockets_ports(&sockets, port), 2);
    assert_int_equal(port[0], 8443);
}

static void test_sockets_leave_out_ports_that_do_not_fit(void **state) {
    (void)state;
    uint16_t port[COVET_STATS_PORTS_MAX] = {0};
    for (uint32_t i = 0; i < COVET_STATS_PORTS_MAX + 4; i++) {
        char text[32];
        const char *why = "";
        struct cv_sockets_group *group = &sockets.group[sockets.group_count++];
        snprintf(text, sizeof(text), "127.0.0.1:%u", 9000 - i);
        assert_true(cv_address_parse(text, &group->address, &why));
        group->is_wanted = true;
    }
    assert_int_equal(cv_sockets_ports(&sockets, port), COVET_STATS_PORTS_MAX);
    assert_int_equal(port[0], 9000 - COVET_STATS_PORTS_MAX - 3);
    assert_int_equal(port[COVET_STATS_PORTS_MAX - 1], 9000 - 4);
}

int main(void) {
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(test_sockets_are_one_per_worker_and_one_per_path),
        WITH_DIRECTORY(test_sockets_say_who_holds_an_address),
        WITH_DIRECTORY(test_sockets_open_nothing_when_one_address_is_in_use),
        WITH_DIRECTORY(test_sockets_replace_a_dead_path_and_nothing_else),
        WITH_DIRECTORY(test_sockets_refuse_what_cannot_be_bound_with_78),
        WITH_DIRECTORY(test_sockets_taken_over_are_not_opened_again),
        WITH_DIRECTORY(test_sockets_grow_with_the_workers_and_never_shrink),
        WITH_DIRECTORY(test_sockets_keep_unwanted_groups_until_told),
        WITH_DIRECTORY(test_sockets_of_a_service_manager_replace_the_default_only),
        WITH_DIRECTORY(test_sockets_refuse_descriptors_that_do_not_listen),
        WITH_DIRECTORY(test_sockets_tell_their_tcp_ports_ascending_and_once),
        WITH_DIRECTORY(test_sockets_leave_out_ports_that_do_not_fit),
        WITH_DIRECTORY(test_deaf_sockets_keep_their_queue_and_take_nobody),
        WITH_DIRECTORY(test_deafening_spares_the_sockets_of_a_service_manager),
        cmocka_unit_test(test_sockets_are_dealt_to_workers_without_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
