#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/known.h"

static void test_known_finds_each_name_in_any_case(void **state) {
    (void)state;
    for (int known = 0; known < CV_FIELD_KNOWN_COUNT; known++) {
        struct cv_span text = cv_known_text((enum cv_known_field)known);
        char name[64];

        for (size_t i = 0; i < text.length; i++)
            name[i] =
                text.data[i] != '-' && i % 2 == 0 ? (char)(text.data[i] ^ 0x20) : text.data[i];
        assert_int_equal(cv_known_find(text), known);
        assert_int_equal(cv_known_find(cv_span_make(name, text.length)), known);
    }
}

static void test_known_finds_no_name_with_one_byte_changed_added_or_missing(void **state) {
    (void)state;
    for (int known = 0; known < CV_FIELD_KNOWN_COUNT; known++) {
        struct cv_span text = cv_known_text((enum cv_known_field)known);
        char name[64];

        for (size_t at = 0; at < text.length; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memcpy(name, text.data, text.length);
                if (byte == text.data[at] ||
                    ((byte | 0x20) == text.data[at] && text.data[at] != '-' && byte >= 'A'))
                    continue;
                name[at] = (char)byte;
                assert_int_equal(cv_known_find(cv_span_make(name, text.length)),
                                 CV_FIELD_KNOWN_COUNT);
            }
        }
        memcpy(name + 1, text.data, text.length);
        name[0] = 'x';
        assert_int_equal(cv_known_find(cv_span_make(name, text.length + 1)), CV_FIELD_KNOWN_COUNT);
        name[0] = text.data[0];
        assert_int_equal(cv_known_find(cv_span_make(text.data + 1, text.length - 1)),
                         CV_FIELD_KNOWN_COUNT);
        assert_int_equal(cv_known_find(cv_span_make(text.data, text.length - 1)),
                         CV_FIELD_KNOWN_COUNT);
    }
    assert_int_equal(cv_known_find(CV_SPAN("")), CV_FIELD_KNOWN_COUNT);
    assert_int_equal(cv_known_find(CV_SPAN("te")), CV_FIELD_KNOWN_COUNT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_finds_each_name_in_any_case),
        cmocka_unit_test(test_known_finds_no_name_with_one_byte_changed_added_or_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
