// Errors and what helps against them.
#include "base/shortage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"

static void test_shortage_names_a_remedy_for_either_sign(void **state) {
    (void)state;
    assert_string_equal(cv_shortage_remedy(EMFILE), "; raise ulimit -n (LimitNOFILE=)");
    assert_string_equal(cv_shortage_remedy(-EMFILE), cv_shortage_remedy(EMFILE));
    assert_string_equal(cv_shortage_remedy(-ENOSPC), "; make room on that file system");
}

static void test_shortage_is_silent_where_nothing_helps(void **state) {
    (void)state;
    static const int others[] = {0, EACCES, EADDRINUSE, ENOENT, EINVAL};
    for (size_t i = 0; i < CV_ARRAY_COUNT(others); i++) {
        assert_string_equal(cv_shortage_remedy(others[i]), "");
        assert_false(cv_shortage_is(others[i]));
    }
}

static void test_shortage_separates_the_process_from_files(void **state) {
    (void)state;
    static const int of_process[] = {EMFILE, ENFILE, -ENOMEM, ENOBUFS, EAGAIN};
    static const int of_files[] = {ENOSPC, -EROFS, EFBIG, EDQUOT};
    for (size_t i = 0; i < CV_ARRAY_COUNT(of_process); i++) {
        assert_true(cv_shortage_is(of_process[i]));
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(of_files); i++) {
        assert_false(cv_shortage_is(of_files[i]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shortage_names_a_remedy_for_either_sign),
        cmocka_unit_test(test_shortage_is_silent_where_nothing_helps),
        cmocka_unit_test(test_shortage_separates_the_process_from_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
