// The intrusive list: order, removal, and the links of nodes in no list.
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct item {
    int value;
    struct cv_list_node link;
};

static struct item items[5];

static int make_items(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++)
        items[i] = (struct item){.value = i};
    return 0;
}

// Checks the order in both directions.
static void check_values(const struct cv_list *list, const char *expected) {
    char forward[16] = "";
    char backward[16] = "";
    size_t count = 0;

    CV_LIST_FOR_EACH(node, list) {
        forward[count++] = (char)('0' + CV_LIST_ENTRY(node, struct item, link)->value);
        assert_ptr_equal(node->next->prev, node);
        assert_ptr_equal(node->prev->next, node);
    }
    for (struct cv_list_node *node = list->ring.prev; node != &list->ring; node = node->prev)
        backward[--count] = (char)('0' + CV_LIST_ENTRY(node, struct item, link)->value);
    assert_string_equal(forward, expected);
    assert_string_equal(backward, expected);
}

static void test_list_keeps_order_of_pushes(void **state) {
    struct cv_list list;

    (void)state;
    cv_list_init(&list);
    assert_true(cv_list_empty(&list));
    assert_null(cv_list_first(&list));
    assert_null(cv_list_pop_front(&list));
    cv_list_push_back(&list, &items[1].link);
    cv_list_push_back(&list, &items[2].link);
    cv_list_push_front(&list, &items[0].link);
    assert_false(cv_list_empty(&list));
    assert_ptr_equal(cv_list_first(&list), &items[0].link);
    check_values(&list, "012");
    assert_ptr_equal(cv_list_pop_front(&list), &items[0].link);
    check_values(&list, "12");
}

static void test_list_removes_first_middle_last_and_only(void **state) {
    struct cv_list list;

    (void)state;
    cv_list_init(&list);
    for (int i = 0; i < 5; i++) {
        assert_false(cv_list_linked(&items[i].link));
        cv_list_push_back(&list, &items[i].link);
        assert_true(cv_list_linked(&items[i].link));
    }
    cv_list_remove(&items[2].link);
    assert_false(cv_list_linked(&items[2].link));
    check_values(&list, "0134");
    cv_list_remove(&items[0].link);
    cv_list_remove(&items[4].link);
    check_values(&list, "13");
    cv_list_remove(&items[1].link);
    cv_list_remove(&items[3].link);
    check_values(&list, "");
    assert_true(cv_list_empty(&list));
}

static void test_list_move_back_joins_in_order(void **state) {
    struct cv_list to;
    struct cv_list from;

    (void)state;
    cv_list_init(&to);
    cv_list_init(&from);
    cv_list_move_back(&to, &from);
    check_values(&to, "");
    cv_list_push_back(&from, &items[0].link);
    cv_list_push_back(&from, &items[1].link);
    cv_list_move_back(&to, &from);
    check_values(&to, "01");
    check_values(&from, "");
    cv_list_push_back(&from, &items[2].link);
    cv_list_move_back(&to, &from);
    check_values(&to, "012");
    cv_list_move_back(&to, &from);
    check_values(&to, "012");
}

static void test_list_safe_loop_survives_removal_of_the_visited(void **state) {
    struct cv_list list;

    (void)state;
    cv_list_init(&list);
    for (int i = 0; i < 5; i++)
        cv_list_push_back(&list, &items[i].link);
    CV_LIST_FOR_EACH_SAFE(node, &list) {
        if (CV_LIST_ENTRY(node, struct item, link)->value % 2 == 0)
            cv_list_remove(node);
    }
    check_values(&list, "13");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_list_keeps_order_of_pushes, make_items),
        cmocka_unit_test_setup(test_list_removes_first_middle_last_and_only, make_items),
        cmocka_unit_test_setup(test_list_move_back_joins_in_order, make_items),
        cmocka_unit_test_setup(test_list_safe_loop_survives_removal_of_the_visited, make_items),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
