// Made-up records of threads of this process: samples, sleeps, and what is lost between.
#include "profile/flame_stacks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MS 1000000ull
#define START (50 * MS)

static struct cv_symbols *symbols;
static struct cv_flame_stacks stacks;
static char *text;

// Some function of this program, whose tables lead from it to nowhere: the stack is empty.
static uint64_t own_address(void) {
    return (uint64_t)(uintptr_t)&own_address + 1;
}

static void give(enum covet_stack_event event, uint32_t thread_id, const char *name,
                 uint64_t time_ns, uint64_t rip) {
    static struct covet_stack_record record;

    memset(&record, 0, offsetof(struct covet_stack_record, stack));
    record.head = (struct covet_stack_head){event, thread_id, time_ns};
    memcpy(record.name, name, strnlen(name, sizeof(record.name)));
    record.registers[COVET_STACK_RIP] = rip;
    cv_flame_stacks_add(&stacks, &record);
}

// What was counted, as folded text.
static const char *folded(void) {
    size_t bytes = 0;

    free(text);
    text = NULL;
    FILE *file = open_memstream(&text, &bytes);
    assert_non_null(file);
    cv_flame_tree_write(&stacks.tree, file);
    fclose(file);
    return text;
}

static void test_flame_stacks_count_samples_by_thread(void **state) {
    (void)state;
    give(COVET_STACK_RUNNING, 11, "covet-w0", START, own_address());
    give(COVET_STACK_RUNNING, 11, "covet-w0", START, own_address());
    give(COVET_STACK_RUNNING, 12, "a name of 16 by!", START, 0);
    assert_string_equal(folded(), "covet-w0;[incomplete];own_address 2\na name of 16 by! 1\n");
    assert_int_equal(stacks.stack_count, 3);
    assert_int_equal(stacks.incomplete_count, 2);
    assert_int_equal(stacks.stack_top, 0);
}

static void test_flame_stacks_take_wanted_workers_alone(void **state) {
    static const char *const names[] = {"covet-w0",  "covet-w1",   "covet-w10", "covet-w255",
                                        "covet-w1x", "covet-w256", "covet-w",   "covet"};
    bool is_wanted[256] = {[1] = true, [255] = true};

    (void)state;
    stacks.is_wanted = is_wanted;
    for (size_t i = 0; i < CV_ARRAY_COUNT(names); i++)
        give(COVET_STACK_RUNNING, 11, names[i], START, 0);
    assert_string_equal(folded(), "covet-w1 1\ncovet-w255 1\n");
    assert_int_equal(stacks.stack_count, 2);
}

static void test_flame_stacks_measure_sleeps(void **state) {
    (void)state;
    give(COVET_STACK_BLOCKED, 11, "covet-w0", START + 1 * MS, 0);
    give(COVET_STACK_BLOCKED, 12, "covet-w1", START + 2 * MS, 0);
    give(COVET_STACK_RESUMED, 11, "", START + 4 * MS, 0);
    give(COVET_STACK_RESUMED, 11, "", START + 9 * MS, 0);  // It was only put off its core.
    give(COVET_STACK_BLOCKED, 11, "covet-w0", START + 10 * MS, 0);
    give(COVET_STACK_RESUMED, 11, "", START + 11 * MS, 0);
    give(COVET_STACK_RESUMED, 13, "", START + 11 * MS, 0);  // Nobody saw it fall asleep.
    assert_string_equal(folded(), "covet-w0 4000\n");
    cv_flame_stacks_end(&stacks, START + 20 * MS);
    assert_string_equal(folded(), "covet-w0 4000\ncovet-w1 18000\n");
    assert_int_equal(stacks.stack_count, 3);
}

static void test_flame_stacks_count_old_sleeps_from_the_start(void **state) {
    (void)state;
    give(COVET_STACK_ASLEEP, 11, "covet-w0", START + 3 * MS, 0);
    give(COVET_STACK_BLOCKED, 12, "covet-w1", START - 3 * MS, 0);
    cv_flame_stacks_end(&stacks, START + 20 * MS);
    assert_string_equal(folded(), "covet-w0 20000\ncovet-w1 20000\n");
}

static void test_flame_stacks_survive_lost_records(void **state) {
    (void)state;
    // The end of the first sleep is lost: nobody knows when it was.
    give(COVET_STACK_BLOCKED, 11, "covet-w0", START + 1 * MS, 0);
    give(COVET_STACK_BLOCKED, 11, "covet-w0", START + 8 * MS, 0);
    give(COVET_STACK_RESUMED, 11, "", START + 9 * MS, 0);
    // Time that runs backwards between cores counts nothing.
    give(COVET_STACK_BLOCKED, 11, "covet-w0", START + 12 * MS, 0);
    give(COVET_STACK_RESUMED, 11, "", START + 11 * MS, 0);
    assert_string_equal(folded(), "covet-w0 1000\n");
}

static void test_flame_stacks_keep_many_sleepers_apart(void **state) {
    char name[16];

    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "iou-wrk-%u", i * 7 % 300);
        give(COVET_STACK_BLOCKED, i * 7 % 300 + 1, name, START, 0);
    }
    for (uint32_t i = 0; i < 300; i++)
        give(COVET_STACK_RESUMED, i + 1, "", START + (i + 1) * MS, 0);
    assert_int_equal(stacks.sleeper_count, 300);
    for (uint32_t i = 1; i < stacks.tree.count; i++) {
        uint32_t number = (uint32_t)strtoul(stacks.tree.nodes[i].frame.name + 8, NULL, 10);
        assert_int_equal(stacks.tree.nodes[i].total, (number + 1) * 1000);
    }
}

static int set_up(void **state) {
    (void)state;
    if (cv_symbols_create(&symbols, getpid()) != 0)
        return -1;
    return cv_flame_stacks_init(&stacks, symbols, START);
}

static int tear_down(void **state) {
    (void)state;
    assert_false(stacks.is_out_of_memory);
    cv_flame_stacks_deinit(&stacks);
    cv_symbols_destroy(symbols);
    free(text);
    text = NULL;
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_flame_stacks_count_samples_by_thread),
        TEST(test_flame_stacks_take_wanted_workers_alone),
        TEST(test_flame_stacks_measure_sleeps),
        TEST(test_flame_stacks_count_old_sleeps_from_the_start),
        TEST(test_flame_stacks_survive_lost_records),
        TEST(test_flame_stacks_keep_many_sleepers_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
