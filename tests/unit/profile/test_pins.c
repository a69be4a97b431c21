// The directory of pinned maps: whose it is, what is removed and what is left alone.
#include "profile/pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DIRECTORY "/sys/fs/bpf/covet-test-pins"

// -1 where bpf(2) is refused.
static int make_map(void) {
    return bpf_map_create(BPF_MAP_TYPE_ARRAY, "test", 4, 8, 1, NULL);
}

static mode_t mode_of(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 ? about.st_mode & 0777 : 0;
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

static int open_or_skip(struct cv_pins *pins, bool readable) {
    pid_t holder = 0;
    int map = make_map();
    if (map < 0) {
        print_message("bpf(2) is refused here\n");
        skip();
    }
    assert_int_equal(cv_pins_open(pins, DIRECTORY, readable, &holder), 0);
    return map;
}

static void test_what_is_pinned_goes_with_the_directory(void **state) {
    (void)state;
    struct cv_pins pins;
    int map = open_or_skip(&pins, false);
    assert_int_equal(mode_of(DIRECTORY), 0700);
    assert_int_equal(cv_pins_add(&pins, "uring_stats", map, false), 0);
    assert_int_equal(mode_of(DIRECTORY "/uring_stats"), 0600);
    assert_int_equal(cv_pins_add(&pins, "uring_stats", map, false), -EEXIST);
    cv_pins_close(&pins, false);
    assert_false(exists(DIRECTORY));
    close(map);
}

static void test_readable_is_for_everybody(void **state) {
    (void)state;
    struct cv_pins pins;
    int map = open_or_skip(&pins, true);
    assert_int_equal(mode_of(DIRECTORY), 0755);
    assert_int_equal(cv_pins_add(&pins, "net_stats", map, true), 0);
    assert_int_equal(mode_of(DIRECTORY "/net_stats"), 0644);
    cv_pins_close(&pins, false);
    close(map);
}

static void test_a_last_snapshot_is_replaced_or_cleaned(void **state) {
    (void)state;
    struct cv_pins pins;
    pid_t holder = 0;
    int map = open_or_skip(&pins, true);
    assert_int_equal(cv_pins_add(&pins, "net_stats", map, false), 0);
    cv_pins_close(&pins, true);
    assert_true(exists(DIRECTORY "/net_stats"));

    assert_int_equal(cv_pins_open(&pins, DIRECTORY, false, &holder), 0);
    assert_false(exists(DIRECTORY "/net_stats"));
    assert_int_equal(mode_of(DIRECTORY), 0700);
    assert_int_equal(cv_pins_add(&pins, "net_stats", map, false), 0);
    assert_int_equal(cv_pins_add(&pins, "drop_reasons", map, false), 0);
    cv_pins_close(&pins, true);

    assert_int_equal(cv_pins_clean(DIRECTORY, &holder), 2);
    assert_false(exists(DIRECTORY));
    assert_int_equal(cv_pins_clean(DIRECTORY, &holder), -ENOENT);
    close(map);
}

static void test_what_is_not_ours_is_left_alone(void **state) {
    (void)state;
    struct cv_pins pins;
    pid_t holder = 0;
    int map = open_or_skip(&pins, false);
    assert_int_equal(bpf_obj_pin(map, DIRECTORY "/of_another"), 0);
    cv_pins_close(&pins, false);
    assert_true(exists(DIRECTORY "/of_another"));
    assert_int_equal(cv_pins_clean(DIRECTORY, &holder), 0);
    assert_true(exists(DIRECTORY "/of_another"));
    assert_int_equal(unlink(DIRECTORY "/of_another"), 0);
    assert_int_equal(rmdir(DIRECTORY), 0);
    close(map);
}

static void test_directories_of_others_are_refused(void **state) {
    (void)state;
    struct cv_pins pins;
    pid_t holder = 0;
    int map = open_or_skip(&pins, false);
    if (geteuid() != 0) {
        cv_pins_close(&pins, false);
        close(map);
        skip();
    }
    assert_int_equal(chown(DIRECTORY, 65534, 65534), 0);
    cv_pins_close(&pins, true);
    assert_int_equal(cv_pins_open(&pins, DIRECTORY, false, &holder), -EUSERS);
    assert_int_equal(cv_pins_clean(DIRECTORY, &holder), -EUSERS);
    assert_int_equal(rename(DIRECTORY, DIRECTORY "-2"), 0);
    assert_int_equal(chown(DIRECTORY "-2", 0, 0), 0);
    assert_int_equal(symlink(DIRECTORY "-2", DIRECTORY), 0);
    assert_int_equal(cv_pins_open(&pins, DIRECTORY, false, &holder), -ENOTDIR);
    assert_int_equal(unlink(DIRECTORY), 0);
    assert_int_equal(rmdir(DIRECTORY "-2"), 0);
    close(map);
}

static void test_only_a_bpf_file_system_is_cleaned(void **state) {
    (void)state;
    pid_t holder = 0;
    char directory[] = "/tmp/cv-XXXXXX", file[sizeof(directory) + 16];
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof(file), "%s/listeners", directory);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(cv_pins_clean(directory, &holder), -EMEDIUMTYPE);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void test_another_process_that_has_it_is_named(void **state) {
    (void)state;
    struct cv_pins pins;
    pid_t holder = 0;
    int ready[2];
    char byte;
    int map = make_map();
    if (map < 0) {
        print_message("bpf(2) is refused here\n");
        skip();
    }
    assert_int_equal(pipe(ready), 0);
    pid_t other = fork();
    assert_true(other >= 0);
    if (other == 0) {
        if (cv_pins_open(&pins, DIRECTORY, false, &holder) == 0 && write(ready[1], "", 1) == 1) {
            pause();
        }
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(cv_pins_open(&pins, DIRECTORY, false, &holder), -EBUSY);
    assert_int_equal(holder, other);
    holder = 0;
    assert_int_equal(cv_pins_clean(DIRECTORY, &holder), -EBUSY);
    assert_int_equal(holder, other);
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    assert_int_equal(cv_pins_clean(DIRECTORY, &holder), 0);
    assert_false(exists(DIRECTORY));
    close(ready[0]);
    close(ready[1]);
    close(map);
}

static void test_places_that_are_no_bpffs_are_refused(void **state) {
    (void)state;
    static const char *const paths[] = {"/tmp/covet-pins", "/nonexistent/covet", "covet-pins",
                                        "/covet-pins"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct cv_pins pins;
        pid_t holder = 0;
        assert_int_equal(cv_pins_open(&pins, paths[i], false, &holder), -EMEDIUMTYPE);
        assert_false(exists(paths[i]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_pinned_goes_with_the_directory),
        cmocka_unit_test(test_readable_is_for_everybody),
        cmocka_unit_test(test_a_last_snapshot_is_replaced_or_cleaned),
        cmocka_unit_test(test_what_is_not_ours_is_left_alone),
        cmocka_unit_test(test_directories_of_others_are_refused),
        cmocka_unit_test(test_only_a_bpf_file_system_is_cleaned),
        cmocka_unit_test(test_another_process_that_has_it_is_named),
        cmocka_unit_test(test_places_that_are_no_bpffs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
