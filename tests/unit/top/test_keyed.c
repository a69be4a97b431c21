// Entries found by their key.
#include "top/keyed.h"

#include "support/top_world.h"

static void test_keyed_finds_every_entry_and_no_other(void **state) {
    struct cv_snapshot_net list[] = {
        {{0, 5}, 1}, {{1, 0}, 2}, {{1, UINT32_MAX}, 3}, {{UINT32_MAX, 0}, 4}};
    static const uint32_t absent[][2] = {{0, 0}, {0, 6}, {1, 1}, {2, 0}, {UINT32_MAX, 1}};
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(list); i++) {
        assert_ptr_equal(top_keyed_find(list, CV_ARRAY_COUNT(list), sizeof(list[0]),
                                        list[i].key.port, list[i].key.event),
                         &list[i]);
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(absent); i++) {
        assert_null(top_keyed_find(list, CV_ARRAY_COUNT(list), sizeof(list[0]), absent[i][0],
                                   absent[i][1]));
    }
    assert_null(top_keyed_find(NULL, 0, sizeof(list[0]), 0, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyed_finds_every_entry_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
