// One pointer per text, through growth.
#include "profile/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define NAMES 5000

static void test_names_gives_one_pointer_per_text(void **state) {
    struct cv_names names = {0};
    const char *first[NAMES];
    char text[32];

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < NAMES; i++) {
            int length = snprintf(text, sizeof(text), "name %d and more", i);
            const char *name = cv_names_add(&names, cv_span_make(text, (size_t)length));
            assert_string_equal(name, text);
            if (round == 0)
                first[i] = name;
            else
                assert_ptr_equal(name, first[i]);
        }
        assert_int_equal(names.count, NAMES);
    }
    cv_names_deinit(&names);
}

static void test_names_takes_a_span_without_its_surroundings(void **state) {
    struct cv_names names = {0};

    (void)state;
    const char *part = cv_names_add(&names, cv_span_make("function.cold", 8));
    assert_string_equal(part, "function");
    assert_ptr_equal(part, cv_names_add(&names, CV_SPAN("function")));
    assert_string_equal(cv_names_add(&names, CV_SPAN("")), "");
    cv_names_deinit(&names);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_gives_one_pointer_per_text),
        cmocka_unit_test(test_names_takes_a_span_without_its_surroundings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
