// Whole files, pipes, and files that are too large or not there.
#include "load/slurp.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof(path), "/tmp/covet-test-slurp-%d", (int)getpid());
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static void write_bytes(size_t bytes) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (size_t i = 0; i < bytes; i++) {
        fputc((int)(i % 251), file);
    }
    assert_int_equal(fclose(file), 0);
}

static void check_bytes(const char *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal((unsigned char)data[i], i % 251);
    }
    assert_int_equal(data[bytes], 0);
}

static void test_slurp_reads_files_of_every_size(void **state) {
    static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 4097, 8191, 8192, 100000};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *data = NULL;
        size_t bytes = SIZE_MAX;
        write_bytes(sizes[i]);
        assert_int_equal(load_slurp(path, 100000, &data, &bytes), 0);
        assert_int_equal(bytes, sizes[i]);
        check_bytes(data, bytes);
        free(data);
    }
}

static void test_slurp_refuses_what_is_too_large(void **state) {
    char *data = NULL;
    size_t bytes = 7;
    (void)state;
    write_bytes(1001);
    assert_int_equal(load_slurp(path, 1000, &data, &bytes), -EFBIG);
    assert_int_equal(load_slurp("/dev/zero", 100000, &data, &bytes), -EFBIG);
    assert_null(data);
    assert_int_equal(bytes, 7);
}

static void test_slurp_says_why_it_cannot_read(void **state) {
    char *data = NULL;
    size_t bytes;
    (void)state;
    assert_int_equal(load_slurp("/nowhere/at/all", 10, &data, &bytes), -ENOENT);
    assert_int_equal(load_slurp("", 10, &data, &bytes), -ENOENT);
    assert_int_equal(load_slurp("/", 10, &data, &bytes), -EISDIR);
    assert_null(data);
}

static void test_slurp_reads_a_pipe_to_its_end(void **state) {
    int ends[2];
    char name[64];
    char *data = NULL;
    size_t bytes;
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "some text", 9), 9);
    close(ends[1]);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", ends[0]);
    assert_int_equal(load_slurp(name, 100, &data, &bytes), 0);
    assert_int_equal(bytes, 9);
    assert_string_equal(data, "some text");
    free(data);
    close(ends[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slurp_reads_files_of_every_size),
        cmocka_unit_test(test_slurp_refuses_what_is_too_large),
        cmocka_unit_test(test_slurp_says_why_it_cannot_read),
        cmocka_unit_test(test_slurp_reads_a_pipe_to_its_end),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
