// Stacks added up, ordered, and written as text.
#include "profile/flame_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct cv_frame w0 = {"covet-w0", CV_ORIGIN_THREAD};
static const struct cv_frame w2 = {"covet-w2", CV_ORIGIN_THREAD};
static const struct cv_frame w10 = {"covet-w10", CV_ORIGIN_THREAD};
static const struct cv_frame turn = {"turn", CV_ORIGIN_SERVER};
static const struct cv_frame odd = {"odd;na\nme", CV_ORIGIN_MODULE};
static const struct cv_frame enter = {"enter", CV_ORIGIN_KERNEL};

// Counts a stack of up to three functions; one without a name ends it.
static void count(struct cv_flame_tree *tree, uint64_t weight, struct cv_frame a, struct cv_frame b,
                  struct cv_frame c) {
    const struct cv_frame frames[] = {a, b, c};
    uint32_t node = 0;

    for (size_t i = 0; i < CV_ARRAY_COUNT(frames) && frames[i].name != NULL; i++) {
        node = cv_flame_tree_child(tree, node, frames[i]);
        assert_int_not_equal(node, 0);
    }
    cv_flame_tree_weigh(tree, node, weight);
}

static void build(struct cv_flame_tree *tree) {
    const struct cv_frame none = {0};

    assert_int_equal(cv_flame_tree_init(tree), 0);
    count(tree, 3, w10, turn, none);
    count(tree, 5, w2, turn, enter);
    count(tree, 1, w2, turn, none);
    count(tree, 7, w2, turn, enter);
    count(tree, 0, w0, none, none);
    count(tree, 2, w0, odd, none);
}

static const struct cv_flame_node *child(const struct cv_flame_tree *tree, uint32_t parent,
                                         const char *name) {
    uint32_t at = tree->nodes[parent].first_child;

    while (at != 0 && strcmp(tree->nodes[at].frame.name, name) != 0)
        at = tree->nodes[at].next_sibling;
    assert_int_not_equal(at, 0);
    return &tree->nodes[at];
}

static void test_flame_tree_adds_up_along_the_stack(void **state) {
    struct cv_flame_tree tree;

    (void)state;
    build(&tree);
    assert_int_equal(tree.nodes[0].total, 18);
    assert_int_equal(tree.count, 8);
    const struct cv_flame_node *worker = child(&tree, 0, "covet-w2");
    assert_int_equal(worker->total, 13);
    assert_int_equal(worker->own, 0);
    const struct cv_flame_node *function = child(&tree, (uint32_t)(worker - tree.nodes), "turn");
    assert_int_equal(function->total, 13);
    assert_int_equal(function->own, 1);
    assert_int_equal(function->depth, 2);
    assert_int_equal(child(&tree, (uint32_t)(function - tree.nodes), "enter")->total, 12);
    cv_flame_tree_deinit(&tree);
}

static void test_flame_tree_keeps_origins_apart(void **state) {
    struct cv_flame_tree tree;
    const struct cv_frame user = {enter.name, CV_ORIGIN_LIBC};

    (void)state;
    assert_int_equal(cv_flame_tree_init(&tree), 0);
    assert_int_not_equal(cv_flame_tree_child(&tree, 0, enter), cv_flame_tree_child(&tree, 0, user));
    cv_flame_tree_deinit(&tree);
}

static void test_flame_tree_sorts_numbers_by_value(void **state) {
    static const char *const order[] = {"covet-w0", "covet-w2", "covet-w10"};
    struct cv_flame_tree tree;
    size_t i = 0;

    (void)state;
    build(&tree);
    cv_flame_tree_sort(&tree);
    uint32_t at = tree.nodes[0].first_child;
    for (; at != 0 && i < CV_ARRAY_COUNT(order); at = tree.nodes[at].next_sibling)
        assert_string_equal(tree.nodes[at].frame.name, order[i++]);
    assert_int_equal(at, 0);
    assert_int_equal(i, CV_ARRAY_COUNT(order));
    cv_flame_tree_deinit(&tree);
}

static void test_flame_tree_writes_a_line_per_stack(void **state) {
    struct cv_flame_tree tree;
    char *text = NULL;
    size_t bytes = 0;

    (void)state;
    build(&tree);
    FILE *file = open_memstream(&text, &bytes);
    assert_non_null(file);
    cv_flame_tree_write(&tree, file);
    fclose(file);
    assert_string_equal(text, "covet-w10;turn 3\n"
                              "covet-w2;turn 1\n"
                              "covet-w2;turn;enter_[k] 12\n"
                              "covet-w0;odd:na?me 2\n");
    free(text);
    cv_flame_tree_deinit(&tree);
}

static void test_flame_tree_grows(void **state) {
    static char names[20000][8];
    struct cv_flame_tree tree;

    (void)state;
    assert_int_equal(cv_flame_tree_init(&tree), 0);
    for (uint32_t i = 0; i < CV_ARRAY_COUNT(names); i++) {
        snprintf(names[i], sizeof(names[i]), "f%u", i);
        // Stacks of a hundred functions.
        uint32_t parent = i % 100 == 0 ? 0 : i;
        uint32_t node =
            cv_flame_tree_child(&tree, parent, (struct cv_frame){names[i], CV_ORIGIN_SERVER});
        assert_int_equal(node, i + 1);
        assert_int_equal(tree.nodes[node].depth, i % 100 + 1);
    }
    cv_flame_tree_weigh(&tree, CV_ARRAY_COUNT(names), 1);
    assert_int_equal(tree.nodes[0].total, 1);
    cv_flame_tree_deinit(&tree);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flame_tree_adds_up_along_the_stack),
        cmocka_unit_test(test_flame_tree_keeps_origins_apart),
        cmocka_unit_test(test_flame_tree_sorts_numbers_by_value),
        cmocka_unit_test(test_flame_tree_writes_a_line_per_stack),
        cmocka_unit_test(test_flame_tree_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
