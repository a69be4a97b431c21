// The kernel's list of symbols: what is a function, in which order, and what it hides.
#include "profile/kallsyms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int read_text(struct cv_kallsyms *kallsyms, const char *text) {
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

    assert_non_null(file);
    int error = cv_kallsyms_read(kallsyms, file);
    fclose(file);
    return error;
}

static void test_kallsyms_finds_functions_of_every_kind(void **state) {
    static const char text[] = "ffffffff81000300 t local\n"
                               "ffffffff81000100 T __first\n"
                               "ffffffff81000100 T first\n"
                               "ffffffff81000200 D data\n"
                               "ffffffffc0000000 t in_module\t[nf_tables]\n"
                               "ffffffffc0001000 t bpf_prog_1234_sample\t[bpf]\n"
                               "nonsense\n"
                               "ffffffff81000400 W weak";
    static const struct {
        uint64_t address;
        const char *name;
        const char *module;
    } cases[] = {
        {0xffffffff81000100, "first", ""},
        {0xffffffff810002ff, "first", ""},
        {0xffffffff81000300, "local", ""},
        {0xffffffff81000fff, "weak", ""},
        {0xffffffffc0000010, "in_module", "nf_tables"},
        {UINT64_MAX, "bpf_prog_1234_sample", "bpf"},
    };
    struct cv_kallsyms kallsyms = {0};

    (void)state;
    assert_int_equal(read_text(&kallsyms, text), 0);
    assert_false(kallsyms.is_hidden);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        const struct cv_kallsyms_function *found = cv_kallsyms_find(&kallsyms, cases[i].address);
        assert_non_null(found);
        assert_string_equal(found->name, cases[i].name);
        assert_string_equal(found->module, cases[i].module);
    }
    assert_null(cv_kallsyms_find(&kallsyms, 0xffffffff810000ff));
    cv_kallsyms_deinit(&kallsyms);
}

static void test_kallsyms_tells_that_addresses_are_hidden(void **state) {
    struct cv_kallsyms kallsyms = {0};

    (void)state;
    assert_int_equal(read_text(&kallsyms, "0000000000000000 T first\n0000000000000000 T next\n"),
                     0);
    assert_true(kallsyms.is_hidden);
    assert_null(cv_kallsyms_find(&kallsyms, 0xffffffff81000100));
    cv_kallsyms_deinit(&kallsyms);
}

static void test_kallsyms_refuses_an_empty_file(void **state) {
    struct cv_kallsyms kallsyms = {0};
    FILE *file = fopen("/dev/null", "re");

    (void)state;
    assert_non_null(file);
    assert_int_equal(cv_kallsyms_read(&kallsyms, file), -EIO);
    fclose(file);
    assert_null(cv_kallsyms_find(&kallsyms, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kallsyms_finds_functions_of_every_kind),
        cmocka_unit_test(test_kallsyms_tells_that_addresses_are_hidden),
        cmocka_unit_test(test_kallsyms_refuses_an_empty_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
