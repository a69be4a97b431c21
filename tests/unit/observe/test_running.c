// Finding a covet on machines that are made up: run directories and processes in a tree.
#include "observe/running.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/proc_world.h"

static struct cv_running running;
static char message[200];

static int set_up(void **state) {
    (void)state;
    t_world_begin();
    unsetenv("RUNTIME_DIRECTORY");
    unsetenv("XDG_RUNTIME_DIR");
    running = (struct cv_running){.supervisor_pid = -1};
    message[0] = '\0';
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_world_end();
    return 0;
}

static int find(pid_t pid) {
    return cv_running_find_below(&running, t_root, pid, message, sizeof(message));
}

// A covet of user `uid` with its directory in `base`, its server's number being one more.
static void start_covet(const char *base, int pid, unsigned uid) {
    char name[96], numbers[16];

    snprintf(name, sizeof(name), "%s/%d/stats", base, pid);
    t_world_pages(name, (unsigned)pid, (unsigned)pid + 1);
    snprintf(numbers, sizeof(numbers), "%d", pid);
    t_world_process(pid, 1, numbers, uid, 1);
    snprintf(numbers, sizeof(numbers), "%d", pid + 1);
    t_world_process(pid + 1, pid, numbers, uid, 1);
}

static void check_found(int pid) {
    assert_int_equal(running.supervisor_pid, pid);
    assert_int_equal(running.server_pid, pid + 1);
    assert_int_equal(running.port_count, 2);
    assert_int_equal(running.ports[1], 8080);
}

static void test_running_finds_the_only_one_in_every_place(void **state) {
    static const char *const places[] = {"run/covet", "run/user/1000/covet", "tmp/covet-1000"};

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(places); i++) {
        start_covet(places[i], 50, geteuid());
        assert_int_equal(find(0), 0);
        check_found(50);
        t_world_end();
        t_world_begin();
    }
}

static void test_running_finds_it_where_variables_point(void **state) {
    (void)state;
    start_covet("srv/covet", 50, geteuid());
    assert_int_equal(find(0), -ESRCH);
    setenv("RUNTIME_DIRECTORY", "/srv/covet", 1);
    assert_int_equal(find(0), 0);
    check_found(50);
    unsetenv("RUNTIME_DIRECTORY");
    setenv("XDG_RUNTIME_DIR", "/srv", 1);
    assert_int_equal(find(0), 0);
    check_found(50);
}

static void test_running_finds_it_where_its_own_variables_point(void **state) {
    static const char environment[] = "A=1\0RUNTIME_DIRECTORY=/srv/covet\0B=2";

    (void)state;
    start_covet("srv/covet", 50, geteuid());
    t_world_write_bytes("proc/50/environ", environment, sizeof(environment));
    assert_int_equal(find(0), -ESRCH);
    assert_int_equal(find(50), 0);
    check_found(50);
}

static void test_running_takes_the_pid_of_the_server_too(void **state) {
    (void)state;
    start_covet("run/covet", 50, geteuid());
    start_covet("run/covet", 60, geteuid());
    assert_int_equal(find(61), 0);
    check_found(60);
    assert_int_equal(find(50), 0);
    check_found(50);
}

static void test_running_refuses_another_child_of_a_covet(void **state) {
    (void)state;
    start_covet("run/covet", 50, geteuid());
    t_world_process(52, 50, "52", geteuid(), 1);
    assert_int_equal(find(52), -ESRCH);
    assert_non_null(strstr(message, "process 52 is no covet"));
    assert_int_equal(running.supervisor_pid, -1);
}

static void test_running_asks_which_when_there_are_several(void **state) {
    (void)state;
    start_covet("run/covet", 50, geteuid());
    start_covet("tmp/covet-7", 60, geteuid());
    assert_int_equal(find(0), -ENOTUNIQ);
    assert_string_equal(message, "2 covets are running (50 60): choose one with -p PID");
}

static void test_running_says_that_there_is_none(void **state) {
    (void)state;
    assert_int_equal(find(0), -ESRCH);
    assert_non_null(strstr(message, "no covet is running"));
    assert_int_equal(find(50), -ESRCH);
    assert_string_equal(message, "no process 50 is running here");
    t_world_process(50, 1, "50", 0, 1);
    assert_int_equal(find(50), -ESRCH);
    assert_non_null(strstr(message, "process 50 is no covet"));
}

static void test_running_ignores_pages_whose_process_is_gone(void **state) {
    (void)state;
    t_world_pages("run/covet/50/stats", 50, 51);
    assert_int_equal(find(0), -ESRCH);
    // Or has its number from another, later on.
    t_world_process(50, 1, "50", geteuid(), UINT32_MAX);
    assert_int_equal(find(0), -ESRCH);
    assert_int_equal(find(50), -ESRCH);
}

// As of a covet in a container with the same /run: here its numbers are other processes'.
static void test_running_ignores_pages_whose_server_has_another_parent(void **state) {
    (void)state;
    t_world_pages("run/covet/1/stats", 1, 2);
    t_world_process(1, 0, "1", 0, 1);
    t_world_process(2, 0, "2", 0, 1);
    assert_int_equal(find(0), -ESRCH);
    assert_int_equal(find(1), -ESRCH);
    start_covet("run/covet", 50, geteuid());
    assert_int_equal(find(0), 0);
    check_found(50);
}

static void test_running_ignores_pages_that_another_user_has_put_there(void **state) {
    char path[128];

    (void)state;
    if (geteuid() != 0)
        skip();
    start_covet("tmp/covet-7", 50, 1000);
    snprintf(path, sizeof(path), "%s/tmp/covet-7/50/stats", t_root);
    assert_int_equal(chown(path, 1000, 1000), 0);
    assert_int_equal(find(0), 0);
    assert_int_equal(chown(path, 1001, 1001), 0);
    assert_int_equal(find(0), -ESRCH);
    assert_int_equal(find(50), -ESRCH);
}

static void test_running_ignores_what_are_no_pages(void **state) {
    (void)state;
    t_world_process(50, 1, "50", geteuid(), 1);
    t_world_write("run/covet/50/stats", "");
    t_world_write("run/covet/other/stats", "");
    assert_int_equal(find(0), -ESRCH);
}

static void test_running_says_when_it_is_of_another_version(void **state) {
    char path[128];
    FILE *file;
    uint32_t version = COVET_ABI_VERSION + 1;

    (void)state;
    start_covet("run/covet", 50, geteuid());
    snprintf(path, sizeof(path), "%s/run/covet/50/stats", t_root);
    file = fopen(path, "r+e");
    assert_non_null(file);
    fseek(file, offsetof(struct covet_stats_header, abi_version), SEEK_SET);
    fwrite(&version, sizeof(version), 1, file);
    fclose(file);
    assert_int_equal(find(50), -EPROTO);
    assert_non_null(strstr(message, "another version"));
    assert_int_equal(find(0), -EPROTO);
}

// A container: other numbers inside, and a root of its own.
static void start_in_container(void) {
    t_world_process(1200, 900, "1200\t1", geteuid(), 1);
    t_world_process(1207, 1200, "1207\t8", geteuid(), 1);
    t_world_pages("proc/1200/root/run/covet/1/stats", 1, 8);
}

static void test_running_finds_one_in_a_container_by_either_pid(void **state) {
    (void)state;
    start_in_container();
    assert_int_equal(find(0), -ESRCH);
    assert_int_equal(find(1200), 0);
    assert_int_equal(running.supervisor_pid, 1200);
    assert_int_equal(running.server_pid, 1207);
    running = (struct cv_running){0};
    assert_int_equal(find(1207), 0);
    assert_int_equal(running.supervisor_pid, 1200);
    assert_int_equal(running.server_pid, 1207);
}

static void test_running_does_not_take_ours_for_that_of_a_container(void **state) {
    (void)state;
    // Ours has the number that the other has inside.
    start_covet("run/covet", 1, geteuid());
    t_world_process(1200, 900, "1200\t1", geteuid(), 1);
    assert_int_equal(find(1200), -ESRCH);
}

static void test_running_refresh_follows_the_server(void **state) {
    char path[128];

    (void)state;
    start_covet("run/covet", 50, geteuid());
    assert_int_equal(find(50), 0);
    snprintf(path, sizeof(path), "%s/run/covet/50/stats", t_root);
    remove(path);
    t_world_pages("run/covet/50/stats", 50, 0);
    assert_int_equal(cv_running_refresh(&running), 0);
    assert_int_equal(running.server_pid, 0);
    snprintf(path, sizeof(path), "%s/proc/50/stat", t_root);
    remove(path);
    assert_int_equal(cv_running_refresh(&running), -ESRCH);
}

static void test_running_refresh_follows_the_server_in_a_container(void **state) {
    (void)state;
    start_in_container();
    assert_int_equal(find(1200), 0);
    t_world_process(1207, 1, "1207\t8", geteuid(), 1);
    t_world_process(1300, 1200, "1300\t8", geteuid(), 1);
    assert_int_equal(cv_running_refresh(&running), 0);
    assert_int_equal(running.server_pid, 1300);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_running_finds_the_only_one_in_every_place),
        WITH_WORLD(test_running_finds_it_where_variables_point),
        WITH_WORLD(test_running_finds_it_where_its_own_variables_point),
        WITH_WORLD(test_running_takes_the_pid_of_the_server_too),
        WITH_WORLD(test_running_refuses_another_child_of_a_covet),
        WITH_WORLD(test_running_asks_which_when_there_are_several),
        WITH_WORLD(test_running_says_that_there_is_none),
        WITH_WORLD(test_running_ignores_pages_whose_process_is_gone),
        WITH_WORLD(test_running_ignores_pages_whose_server_has_another_parent),
        WITH_WORLD(test_running_ignores_pages_that_another_user_has_put_there),
        WITH_WORLD(test_running_ignores_what_are_no_pages),
        WITH_WORLD(test_running_says_when_it_is_of_another_version),
        WITH_WORLD(test_running_finds_one_in_a_container_by_either_pid),
        WITH_WORLD(test_running_does_not_take_ours_for_that_of_a_container),
        WITH_WORLD(test_running_refresh_follows_the_server),
        WITH_WORLD(test_running_refresh_follows_the_server_in_a_container),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
