// How much memory there is: the machine's, and the limits of the control groups above us, read from
// files the test writes.
#include "server/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

#define GIB (1ull << 30)
#define PAGE 4096

static const char *groups;  // /proc/self/cgroup; NULL: there is none.
static struct {
    const char *path;
    const char *text;
} limit[4];
static long page_count;

FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__real_fopen(const char *path, const char *mode);
long __wrap_sysconf(int name);

static FILE *open_text(const char *text) {
    FILE *file = tmpfile();
    assert_non_null(file);
    (void)fputs(text, file);
    rewind(file);
    return file;
}

FILE *__wrap_fopen(const char *path, const char *mode) {
    (void)mode;
    if (strcmp(path, "/proc/self/cgroup") == 0 && groups != NULL)
        return open_text(groups);
    for (size_t i = 0; i < CV_ARRAY_COUNT(limit); i++) {
        if (limit[i].path != NULL && strcmp(path, limit[i].path) == 0)
            return open_text(limit[i].text);
    }
    errno = ENOENT;
    return NULL;
}

long __wrap_sysconf(int name) {
    return name == _SC_PHYS_PAGES ? page_count : PAGE;
}

static int set_up(void **state) {
    (void)state;
    groups = NULL;
    memset(limit, 0, sizeof(limit));
    page_count = (long)(8 * GIB / PAGE);
    return 0;
}

static void set_limit(size_t i, const char *path, const char *text) {
    limit[i].path = path;
    limit[i].text = text;
}

static void test_memory_is_the_machines_without_control_groups(void **state) {
    (void)state;
    assert_int_equal(cv_memory_available_bytes(), 8 * GIB);
    groups = "12:memory:/old\n";
    assert_int_equal(cv_memory_available_bytes(), 8 * GIB);
}

static void test_memory_is_what_the_strictest_group_above_allows(void **state) {
    (void)state;
    groups = "1:name=systemd:/x\n0::/a/b\n";
    set_limit(0, "/sys/fs/cgroup/a/b/memory.max", "max\n");
    assert_int_equal(cv_memory_available_bytes(), 8 * GIB);
    set_limit(1, "/sys/fs/cgroup/a/memory.max", "3221225472\n");
    assert_int_equal(cv_memory_available_bytes(), 3 * GIB);
    set_limit(2, "/sys/fs/cgroup/memory.max", "2147483648\n");
    assert_int_equal(cv_memory_available_bytes(), 2 * GIB);
    set_limit(3, "/sys/fs/cgroup/other/memory.max", "1\n");
    assert_int_equal(cv_memory_available_bytes(), 2 * GIB);
}

static void test_memory_of_a_container_is_its_roots(void **state) {
    (void)state;
    groups = "0::/\n";
    set_limit(0, "/sys/fs/cgroup/memory.max", "1073741824\n");
    assert_int_equal(cv_memory_available_bytes(), GIB);
}

static void test_memory_is_the_machines_where_a_limit_cannot_be_read(void **state) {
    (void)state;
    groups = "0::/\n";
    set_limit(0, "/sys/fs/cgroup/memory.max", "");
    assert_int_equal(cv_memory_available_bytes(), 8 * GIB);
    set_limit(0, "/sys/fs/cgroup/memory.max", "99999999999999999999999\n");
    assert_int_equal(cv_memory_available_bytes(), 8 * GIB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_memory_is_the_machines_without_control_groups, set_up),
        cmocka_unit_test_setup(test_memory_is_what_the_strictest_group_above_allows, set_up),
        cmocka_unit_test_setup(test_memory_of_a_container_is_its_roots, set_up),
        cmocka_unit_test_setup(test_memory_is_the_machines_where_a_limit_cannot_be_read, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
