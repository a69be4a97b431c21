// The profiler that covet starts, against a covet played by a thread's end of the line and an
// attachment that does what the test says.
#include "profile/control.h"

#include <covet/abi.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "profile/commands.h"
#include "profile/session.h"
#include "profile/syscall_cost.h"

#define HOLDER 4242
#define COVET 100
#define SERVER 200

// The attachment: held for so many looks, then opened with this result.
static int held_looks;
static enum cv_attach_error open_error;
static int follow_error;
static int open_count, close_count;
static struct cv_running followed;
static pid_t followed_server;  // Of the last one; written behind all of it.

int __wrap_cv_attach_clean(const char *pin_dir, int *holder_pid);
int __wrap_cv_attach_clean(const char *pin_dir, int *holder_pid) {
    (void)pin_dir;
    if (held_looks > 0) {
        held_looks--;
        *holder_pid = HOLDER;
        return -EBUSY;
    }
    return 0;
}

enum cv_attach_error __wrap_cv_attach_open(struct cv_attach **attach,
                                           const struct cv_attach_options *options, char *message,
                                           size_t message_bytes);
enum cv_attach_error __wrap_cv_attach_open(struct cv_attach **attach,
                                           const struct cv_attach_options *options, char *message,
                                           size_t message_bytes) {
    (void)options;
    open_count++;
    snprintf(message, message_bytes, "needs \"everything\"");
    *attach = open_error == CV_ATTACH_OK ? (struct cv_attach *)&open_count : NULL;
    return open_error;
}

int __wrap_cv_attach_follow(struct cv_attach *attach, const struct cv_running *running);
int __wrap_cv_attach_follow(struct cv_attach *attach, const struct cv_running *running) {
    assert_ptr_equal(attach, &open_count);
    followed = *running;
    __atomic_store_n(&followed_server, running->server_pid, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&follow_error, __ATOMIC_SEQ_CST);
}

const char *__wrap_cv_attach_summary(const struct cv_attach *attach);
const char *__wrap_cv_attach_summary(const struct cv_attach *attach) {
    (void)attach;
    return "7 programs";
}

void __wrap_cv_attach_close(struct cv_attach *attach);
void __wrap_cv_attach_close(struct cv_attach *attach) {
    assert_ptr_equal(attach, &open_count);
    close_count++;
}

// System calls cost 100 ns bare and 350 ns with programs on them.
uint64_t __wrap_cv_syscall_cost_ns(void);
uint64_t __wrap_cv_syscall_cost_ns(void) {
    return open_count > 0 ? 350 : 100;
}

// The test needs its own.
void __wrap_cv_rights_reduce(void);
void __wrap_cv_rights_reduce(void) {
    assert_int_equal(open_count, 1);
}

// The covet at the other end.

static int pair[2];
static pthread_t thread;
static struct cv_attach_options options;
static int exit_code;

static void *profile(void *unused) {
    (void)unused;
    exit_code = cv_control_run(pair[1], &options);
    shutdown(pair[1], SHUT_RDWR);
    return NULL;
}

static int set_up(void **state) {
    (void)state;
    held_looks = open_count = close_count = 0;
    followed_server = -1;
    open_error = CV_ATTACH_OK;
    follow_error = 0;
    options = (struct cv_attach_options){.level = 2, .pin_dir = "/sys/fs/bpf/x"};
    return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
}

static int tear_down(void **state) {
    (void)state;
    return close(pair[1]);
}

static void begin(void) {
    assert_int_equal(pthread_create(&thread, NULL, profile, NULL), 0);
}

// Lets go of the line and waits for the profiler's end.
static int end(void) {
    close(pair[0]);
    pthread_join(thread, NULL);
    return exit_code;
}

static void tell(uint32_t server_pid) {
    struct covet_profile_target target = {
        .abi_version = COVET_ABI_VERSION,
        .supervisor_pid = COVET,
        .server_pid = server_pid,
        .port_count = 2,
        .port = {80, 8000},
        .stats_path = "/run/covet/100/stats",
    };
    assert_int_equal(send(pair[0], &target, sizeof(target), 0), sizeof(target));
}

static void wait_followed(pid_t server_pid) {
    for (int i = 0; __atomic_load_n(&followed_server, __ATOMIC_SEQ_CST) != server_pid; i++) {
        assert_true(i < 10000);
        usleep(1000);
    }
}

static const char *answer(void) {
    static char text[COVET_PROFILE_LINE_BYTES_MAX + 1];
    ssize_t length = recv(pair[0], text, sizeof(text) - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static void test_control_says_what_is_on_and_what_it_costs(void **state) {
    (void)state;
    begin();
    tell(SERVER);
    assert_string_equal(answer(),
                        "on level=2 server=200 pinned=/sys/fs/bpf/x programs=\"7 programs\" "
                        "cost=\"every system call of every process takes about 250 ns longer; "
                        "--profile 1 or off ends that\"");
    assert_int_equal(end(), 0);
    assert_int_equal(followed.supervisor_pid, COVET);
    assert_int_equal(followed.server_pid, SERVER);
    assert_int_equal(followed.port_count, 2);
    assert_int_equal(followed.ports[1], 8000);
    assert_string_equal(followed.stats_path, "/run/covet/100/stats");
    assert_string_equal(followed.root, "");
    assert_int_equal(close_count, 1);
}

static void test_control_of_level_1_costs_others_nothing(void **state) {
    (void)state;
    options.level = 1;
    begin();
    tell(SERVER);
    assert_non_null(strstr(answer(), "on level=1 "));
    assert_int_equal(end(), 0);
}

// Between servers it pauses, and it speaks once.
static void test_control_follows_every_target_and_says_so_once(void **state) {
    (void)state;
    begin();
    tell(0);
    tell(SERVER);
    assert_non_null(strstr(answer(), "server=200"));
    wait_followed(SERVER);
    tell(0);
    wait_followed(0);
    tell(SERVER + 1);
    wait_followed(SERVER + 1);
    assert_string_equal(answer(), "ok");
    assert_int_equal(recv(pair[0], &exit_code, 1, MSG_DONTWAIT), -1);
    assert_int_equal(end(), 0);
    assert_int_equal(open_count, 1);
}

static void test_control_is_silent_about_a_server_that_is_gone(void **state) {
    (void)state;
    follow_error = -ESRCH;
    begin();
    tell(SERVER);
    wait_followed(SERVER);
    __atomic_store_n(&follow_error, 0, __ATOMIC_SEQ_CST);
    tell(SERVER + 1);
    assert_non_null(strstr(answer(), "server=201"));
    assert_int_equal(end(), 0);
}

static void test_control_says_why_it_cannot_and_ends(void **state) {
    (void)state;
    static const struct {
        enum cv_attach_error error;
        int code;
        const char *remedy;
    } cases[] = {
        {CV_ATTACH_NO_RIGHTS, CV_EXIT_IMPOSSIBLE, "sudo covet-prof -p "},
        {CV_ATTACH_NO_BTF, CV_EXIT_IMPOSSIBLE, "covet-prof check"},
        {CV_ATTACH_NO_BPFFS, CV_EXIT_IMPOSSIBLE, "covet-prof check"},
        {CV_ATTACH_FAILED, CV_EXIT_FAILED, "covet-prof check"},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        open_error = cases[i].error;
        begin();
        const char *text = answer();
        assert_non_null(strstr(text, "off reason=\"needs \\\"everything\\\"\" remedy=\""));
        assert_non_null(strstr(text, cases[i].remedy));
        assert_int_equal(end(), cases[i].code);
        assert_int_equal(close_count, 0);
        close(pair[1]);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    }
    close(pair[0]);
}

// The profiler before is about to end; nobody need know, and nothing is loaded meanwhile.
static void test_control_waits_in_silence_for_the_one_before(void **state) {
    (void)state;
    held_looks = 3;
    begin();
    tell(SERVER);
    assert_non_null(strstr(answer(), "on level=2 server=200"));
    assert_int_equal(open_count, 1);
    assert_int_equal(end(), 0);
}

static void test_control_names_a_holder_that_stays_and_ends_with_covet(void **state) {
    (void)state;
    held_looks = 1000000;
    begin();
    tell(SERVER);
    const char *text = answer();
    assert_non_null(
        strstr(text, "off reason=\"/sys/fs/bpf/x belongs to the profiler with pid 4242"));
    assert_non_null(strstr(text, "COVET_PIN_DIR"));
    assert_int_equal(end(), 0);
    assert_int_equal(open_count, 0);
}

static void test_control_refuses_a_covet_of_another_version(void **state) {
    (void)state;
    struct covet_profile_target target = {.abi_version = COVET_ABI_VERSION + 1};
    begin();
    assert_true(send(pair[0], &target, sizeof(target), 0) > 0);
    assert_non_null(
        strstr(answer(), "off reason=\"covet-prof and covet are of different versions\""));
    assert_int_equal(end(), CV_EXIT_FAILED);
    assert_int_equal(close_count, 1);
}

int main(void) {
#define WITH_LINE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LINE(test_control_says_what_is_on_and_what_it_costs),
        WITH_LINE(test_control_of_level_1_costs_others_nothing),
        WITH_LINE(test_control_follows_every_target_and_says_so_once),
        WITH_LINE(test_control_is_silent_about_a_server_that_is_gone),
        WITH_LINE(test_control_says_why_it_cannot_and_ends),
        WITH_LINE(test_control_waits_in_silence_for_the_one_before),
        WITH_LINE(test_control_names_a_holder_that_stays_and_ends_with_covet),
        WITH_LINE(test_control_refuses_a_covet_of_another_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
