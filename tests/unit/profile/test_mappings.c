// Executable lines of /proc/PID/maps, and which of them holds an address.
#include "profile/mappings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char maps[] =
    "55a000000000-55a000001000 r--p 00000000 fd:01 77                         /usr/bin/covet\n"
    "55a000001000-55a000009000 r-xp 00001000 fd:01 77                         /usr/bin/covet\n"
    "7f0000000000-7f0000002000 r-xp 00001000 00:01 9                          /memfd:a b.so "
    "(deleted)\n"
    "7f0000002000-7f0000003000 rwxp 00000000 00:00 0 \n"
    "not a line\n"
    "7f0000003000-7f0000003000 r-xp 00000000 00:00 0                          empty\n"
    "7ffe00000000-7ffe00002000 r-xp 00000000 00:00 0                          [vdso]\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]";

static void test_mappings_keeps_executable_lines(void **state) {
    static const struct {
        uint64_t start, end, offset, inode;
        const char *path;
    } wanted[] = {
        {0x55a000001000, 0x55a000009000, 0x1000, 77, "/usr/bin/covet"},
        {0x7f0000000000, 0x7f0000002000, 0x1000, 9, "/memfd:a b.so (deleted)"},
        {0x7f0000002000, 0x7f0000003000, 0, 0, ""},
        {0x7ffe00000000, 0x7ffe00002000, 0, 0, "[vdso]"},
        {0xffffffffff600000, 0xffffffffff601000, 0, 0, "[vsyscall]"},
    };
    struct cv_mappings mappings = {0};

    (void)state;
    assert_int_equal(cv_mappings_parse(&mappings, strdup(maps)), 0);
    assert_int_equal(mappings.count, CV_ARRAY_COUNT(wanted));
    for (size_t i = 0; i < mappings.count; i++) {
        assert_int_equal(mappings.list[i].start, wanted[i].start);
        assert_int_equal(mappings.list[i].end, wanted[i].end);
        assert_int_equal(mappings.list[i].offset, wanted[i].offset);
        assert_int_equal(mappings.list[i].inode, wanted[i].inode);
        assert_string_equal(mappings.list[i].path, wanted[i].path);
    }
    cv_mappings_deinit(&mappings);
}

static void test_mappings_finds_by_address(void **state) {
    static const struct {
        uint64_t address;
        int index;
    } cases[] = {
        {0, -1},
        {0x55a000000fff, -1},
        {0x55a000001000, 0},
        {0x55a000008fff, 0},
        {0x55a000009000, -1},
        {0x7f0000001fff, 1},
        {0x7f0000002000, 2},
        {0xffffffffff600fff, 4},
        {UINT64_MAX, -1},
    };
    struct cv_mappings mappings = {0};

    (void)state;
    assert_null(cv_mappings_find(&mappings, 1));
    assert_int_equal(cv_mappings_parse(&mappings, strdup(maps)), 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        const struct cv_mapping *found = cv_mappings_find(&mappings, cases[i].address);
        if (cases[i].index < 0)
            assert_null(found);
        else
            assert_ptr_equal(found, &mappings.list[cases[i].index]);
    }
    cv_mappings_deinit(&mappings);
}

static void test_mappings_reads_this_process_twice(void **state) {
    struct cv_mappings mappings = {0};
    uint64_t here = (uint64_t)(uintptr_t)&test_mappings_reads_this_process_twice;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cv_mappings_read(&mappings, getpid()), 0);
        const struct cv_mapping *found = cv_mappings_find(&mappings, here);
        assert_non_null(found);
        assert_non_null(strstr(found->path, "test_mappings"));
    }
    assert_int_equal(cv_mappings_read(&mappings, INT32_MAX), -ESRCH);
    assert_non_null(cv_mappings_find(&mappings, here));  // As before.
    cv_mappings_deinit(&mappings);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mappings_keeps_executable_lines),
        cmocka_unit_test(test_mappings_finds_by_address),
        cmocka_unit_test(test_mappings_reads_this_process_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
