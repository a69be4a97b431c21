// Watching a server: found behind every kind of address, its busiest thread's share, nobody found.
#include "load/watch.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char socket_path[] = "/tmp/covet-test-watch";

// A listening socket of any port, at `address`, whose port is filled in.
static int listen_at(struct sockaddr_storage *address, bool v6_only) {
    int family = address->ss_family;
    socklen_t bytes = sizeof(struct sockaddr_un);
    if (family == AF_UNIX) {
        unlink(socket_path);
    } else {
        bytes = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    }
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int value = v6_only;
    if (family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof(value)) < 0) {
        close(fd);
        return -1;
    }
    if (bind(fd, (struct sockaddr *)address, bytes) < 0 || listen(fd, 8) < 0) {
        close(fd);
        return -1;
    }
    bytes = sizeof(*address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &bytes), 0);
    return fd;
}

static struct sockaddr_storage ipv4(uint32_t host) {
    struct sockaddr_storage address = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(host);
    return address;
}

static struct sockaddr_storage ipv6(struct in6_addr host) {
    struct sockaddr_storage address = {0};
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&address;
    in->sin6_family = AF_INET6;
    in->sin6_addr = host;
    return address;
}

static struct sockaddr_storage unix_address(void) {
    struct sockaddr_storage address = {0};
    struct sockaddr_un *un = (struct sockaddr_un *)&address;
    un->sun_family = AF_UNIX;
    snprintf(un->sun_path, sizeof(un->sun_path), "%s", socket_path);
    return address;
}

static void burn(void) {
    for (volatile uint64_t i = 0;; i++) {
    }
}

enum server {
    IDLE,
    BUSY,
    BUSY_THREAD,
    BUSY_CHILD,  // Which does not hold the socket.
    OWN_TABLE,   // A busy thread alone holds it, in a table of its own.
};

static enum server server_kind;
static atomic_bool has_begun;

static void *burn_thread(void *unused) {
    (void)unused;
    if (server_kind == OWN_TABLE && unshare(CLONE_FILES) != 0) {
        _exit(1);
    }
    has_begun = true;
    burn();
    return NULL;
}

// A process that holds `fd` and does what its kind says; the caller's copy of `fd` is closed.
static pid_t start_server(int fd, enum server kind) {
    pthread_t thread;
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setpgid(0, 0);
        alarm(20);
        server_kind = kind;
        if (kind == BUSY_THREAD || kind == OWN_TABLE) {
            pthread_create(&thread, NULL, burn_thread, NULL);
            while (!has_begun) {
                sched_yield();
            }
        }
        if (kind == OWN_TABLE) {
            close(fd);
        }
        if (kind == BUSY_CHILD && fork() == 0) {
            close(fd);
            alarm(20);
            burn();
        }
        (void)!write(ready[1], &byte, 1);
        if (kind == BUSY) {
            burn();
        }
        for (;;) {
            pause();
        }
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(fd);
    return pid;
}

static void stop_server(pid_t pid) {
    kill(-pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void sleep_ms(long ms) {
    struct timespec time = {.tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

static double core_busy;  // What the last watch said of the core.

static double watch_for(const struct sockaddr_storage *address, long ms) {
    struct load_watch *watch = load_watch_begin((const struct sockaddr *)address);
    sleep_ms(ms);
    return load_watch_end(watch, &core_busy);
}

static void test_watch_finds_who_listens_behind_each_kind_of_address(void **state) {
    static const struct {
        const char *name;
        uint32_t listen4, connect4;  // Host order; 0 for connect4: the same.
    } cases[] = {
        {"the address itself", 0x7f000001, 0x7f000001},
        {"every address", 0, 0x7f000001},
        {"every address, another one of this machine", 0, 0x7f000005},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sockaddr_storage address = ipv4(cases[i].listen4);
        int fd = listen_at(&address, false);
        assert_true(fd >= 0);
        pid_t pid = start_server(fd, IDLE);
        ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(cases[i].connect4);
        double share = watch_for(&address, 50);
        if (share < 0 || share > 0.5) {
            fail_msg("%s: %f", cases[i].name, share);
        }
        stop_server(pid);
    }
}

static void test_watch_finds_who_listens_on_ipv6_and_unix_sockets(void **state) {
    struct sockaddr_storage addresses[] = {ipv6(in6addr_loopback), ipv6(in6addr_any),
                                           unix_address()};
    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        int fd = listen_at(&addresses[i], true);
        if (fd < 0) {
            assert_true(addresses[i].ss_family == AF_INET6);
            print_message("skipped: no IPv6 here\n");
            continue;
        }
        pid_t pid = start_server(fd, IDLE);
        if (addresses[i].ss_family == AF_INET6) {
            ((struct sockaddr_in6 *)&addresses[i])->sin6_addr = in6addr_loopback;
        }
        double share = watch_for(&addresses[i], 50);
        assert_true(share >= 0 && share <= 0.5);
        stop_server(pid);
    }
    unlink(socket_path);
}

static void test_watch_finds_ipv4_served_by_an_ipv6_socket(void **state) {
    struct sockaddr_storage address = ipv6(in6addr_any);
    int fd = listen_at(&address, false);
    (void)state;
    if (fd < 0) {
        skip();
    }
    pid_t pid = start_server(fd, IDLE);
    struct sockaddr_storage target = ipv4(0x7f000001);
    ((struct sockaddr_in *)&target)->sin_port = ((struct sockaddr_in6 *)&address)->sin6_port;
    assert_true(watch_for(&target, 20) >= 0);
    stop_server(pid);
}

static void test_watch_gives_the_share_of_the_busiest_thread(void **state) {
    static const enum server kinds[] = {BUSY, BUSY_THREAD, BUSY_CHILD, OWN_TABLE};
    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct sockaddr_storage address = ipv4(0x7f000001);
        pid_t pid = start_server(listen_at(&address, false), kinds[i]);
        // A thread that never sleeps gets some of a core, on a crowded machine not at once.
        double share = 0;
        for (unsigned tries = 0; tries < 20 && share >= 0 && share < 0.05; tries++) {
            share = watch_for(&address, 200);
        }
        stop_server(pid);
        if (share < 0.05 || share > 1) {
            fail_msg("server of kind %d: %f", (int)kinds[i], share);
        }
    }
}

static void test_watch_tells_that_the_core_is_shared(void **state) {
    struct sockaddr_storage address = ipv4(0x7f000001);
    cpu_set_t all, one;
    unsigned core = 0;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    while (!CPU_ISSET(core, &all)) {
        core++;
    }
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    pid_t pid = start_server(listen_at(&address, false), BUSY);
    pid_t other = fork();
    if (other == 0) {
        alarm(20);
        burn();
    }
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
    // A machine that stands still meanwhile gives neither of them its half.
    double share = 1;
    for (unsigned tries = 0; tries < 5 && (share > 0.8 || core_busy < share + 0.1); tries++) {
        share = watch_for(&address, 500);
    }
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    stop_server(pid);
    if (share > 0.8 || core_busy < share + 0.1 || core_busy > 1) {
        fail_msg("%f of %f", share, core_busy);
    }
}

static void test_watch_finds_nobody_where_nobody_listens(void **state) {
    struct sockaddr_storage address = ipv4(0x7f000001);
    int fd = listen_at(&address, false);
    (void)state;
    // We ourselves do, and are no server to be watched.
    assert_null(load_watch_begin((const struct sockaddr *)&address));
    pid_t pid = start_server(fd, IDLE);
    struct sockaddr_storage other = ipv4(0x7f000002);
    ((struct sockaddr_in *)&other)->sin_port = ((struct sockaddr_in *)&address)->sin_port;
    assert_null(load_watch_begin((const struct sockaddr *)&other));
    stop_server(pid);
    assert_null(load_watch_begin((const struct sockaddr *)&address));
    address = unix_address();
    assert_null(load_watch_begin((const struct sockaddr *)&address));
    assert_true(load_watch_end(NULL, &core_busy) == -1 && core_busy == -1);
}

static void test_watch_survives_the_server(void **state) {
    struct sockaddr_storage address = ipv4(0x7f000001);
    pid_t pid = start_server(listen_at(&address, false), IDLE);
    struct load_watch *watch = load_watch_begin((const struct sockaddr *)&address);
    (void)state;
    assert_non_null(watch);
    stop_server(pid);
    assert_true(load_watch_end(watch, &core_busy) == -1 && core_busy == -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch_finds_who_listens_behind_each_kind_of_address),
        cmocka_unit_test(test_watch_finds_who_listens_on_ipv6_and_unix_sockets),
        cmocka_unit_test(test_watch_finds_ipv4_served_by_an_ipv6_socket),
        cmocka_unit_test(test_watch_gives_the_share_of_the_busiest_thread),
        cmocka_unit_test(test_watch_tells_that_the_core_is_shared),
        cmocka_unit_test(test_watch_finds_nobody_where_nobody_listens),
        cmocka_unit_test(test_watch_survives_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
