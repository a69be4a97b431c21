// The timer wheel beside a plain table of deadlines, over centuries of simulated time.
#include "timer/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TOP_SLOT_MS (1ull << 30)  // A slot of the highest level.
#define ROUND_MS (1ull << 36)     // All of the highest level.

static struct cv_wheel wheel;

static uint64_t random_next(uint64_t *seed) {
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 24;
}

struct probe {
    struct cv_timer timer;
    uint64_t at_ms;  // wheel.now_ms in the callback.
    unsigned expired;
    unsigned order;  // Counted over all probes.
    void (*action)(struct probe *probe);
    struct probe *other;
};

static unsigned order_last;

static void on_probe(struct cv_timer *timer) {
    struct probe *probe = CV_CONTAINER_OF(timer, struct probe, timer);

    assert_false(cv_timer_armed(timer));
    probe->expired++;
    probe->at_ms = wheel.now_ms;
    probe->order = ++order_last;
    if (probe->action != NULL)
        probe->action(probe);
}

static void init_probes(struct probe *probes, size_t count) {
    memset(probes, 0, count * sizeof(*probes));
    order_last = 0;
    for (size_t i = 0; i < count; i++)
        probes[i].timer.on_expiry = on_probe;
}

static void test_wheel_without_timers_wakes_nobody(void **state) {
    (void)state;
    cv_wheel_init(&wheel, 12345);
    assert_true(cv_wheel_next_ms(&wheel) == CV_WHEEL_NEVER);
    assert_int_equal(cv_wheel_run(&wheel, 99999), 0);
    assert_true(cv_wheel_next_ms(&wheel) == CV_WHEEL_NEVER);
    assert_int_equal(wheel.now_ms, 99999);
}

static void test_wheel_expires_at_the_deadline_and_not_before(void **state) {
    static const uint64_t starts[] = {
        0, 1, 63, 64, 4095, 1000000007, TOP_SLOT_MS - 1, ROUND_MS - 1, ROUND_MS, 5 * ROUND_MS - 70};
    static const uint64_t waits[] = {1,
                                     2,
                                     62,
                                     63,
                                     64,
                                     65,
                                     4095,
                                     4096,
                                     5000,
                                     262144,
                                     300000,
                                     16777216,
                                     TOP_SLOT_MS - 1,
                                     TOP_SLOT_MS,
                                     3 * TOP_SLOT_MS + 5,
                                     ROUND_MS - 1,
                                     ROUND_MS,
                                     7 * ROUND_MS + 3};

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(starts); i++) {
        for (size_t j = 0; j < CV_ARRAY_COUNT(waits); j++) {
            uint64_t deadline_ms = starts[i] + waits[j];
            struct probe probe;

            init_probes(&probe, 1);
            cv_wheel_init(&wheel, starts[i]);
            cv_wheel_start(&wheel, &probe.timer, deadline_ms);
            assert_true(cv_timer_armed(&probe.timer));
            assert_int_equal(wheel.count, 1);
            assert_int_equal(cv_wheel_run(&wheel, deadline_ms - 1), 0);
            assert_int_equal(probe.expired, 0);
            assert_true(cv_wheel_next_ms(&wheel) == deadline_ms);
            assert_int_equal(cv_wheel_run(&wheel, deadline_ms), 1);
            assert_int_equal(probe.expired, 1);
            assert_int_equal(wheel.count, 0);
            assert_true(cv_wheel_next_ms(&wheel) == CV_WHEEL_NEVER);
        }
    }
}

static void test_wheel_wakes_at_most_once_per_level(void **state) {
    uint64_t seed = 3;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint64_t now_ms = random_next(&seed) >> (random_next(&seed) % 40);
        uint64_t wait_ms =
            (random_next(&seed) % (ROUND_MS - TOP_SLOT_MS)) >> (random_next(&seed) % 36);
        struct probe probe;
        unsigned wakes = 0;

        init_probes(&probe, 1);
        cv_wheel_init(&wheel, now_ms);
        cv_wheel_start(&wheel, &probe.timer, now_ms + wait_ms);
        while (probe.expired == 0) {
            uint64_t next_ms = cv_wheel_next_ms(&wheel);

            assert_true(next_ms <= now_ms + wait_ms);
            assert_true(next_ms > wheel.now_ms || wait_ms == 0);
            cv_wheel_run(&wheel, next_ms);
            wakes++;
        }
        assert_true(probe.at_ms == now_ms + wait_ms);
        assert_in_range(wakes, 1, CV_WHEEL_LEVELS);
    }
}

static void test_wheel_past_deadline_expires_at_the_next_run(void **state) {
    struct probe probes[3];

    (void)state;
    init_probes(probes, 3);
    cv_wheel_init(&wheel, 1000);
    cv_wheel_start(&wheel, &probes[0].timer, 10);
    cv_wheel_start(&wheel, &probes[1].timer, 1000);
    cv_wheel_start(&wheel, &probes[2].timer, 0);
    assert_true(cv_wheel_next_ms(&wheel) == 1000);
    assert_int_equal(cv_wheel_run(&wheel, 1000), 3);
    assert_int_equal(probes[0].expired + probes[1].expired + probes[2].expired, 3);
}

static void test_wheel_start_moves_an_armed_timer(void **state) {
    struct probe probe;

    (void)state;
    init_probes(&probe, 1);
    cv_wheel_init(&wheel, 0);
    cv_wheel_start(&wheel, &probe.timer, 50);
    cv_wheel_start(&wheel, &probe.timer, 100000);
    assert_int_equal(wheel.count, 1);
    assert_int_equal(cv_wheel_run(&wheel, 99999), 0);
    cv_wheel_start(&wheel, &probe.timer, 99999 + 10);
    assert_int_equal(cv_wheel_run(&wheel, 99999 + 10), 1);
    assert_int_equal(cv_wheel_run(&wheel, 200000), 0);
    assert_int_equal(probe.expired, 1);
}

static void test_wheel_stop_leaves_no_wake_up_behind(void **state) {
    struct probe probes[2];

    (void)state;
    init_probes(probes, 2);
    cv_wheel_init(&wheel, 0);
    cv_wheel_stop(&wheel, &probes[0].timer);
    for (uint64_t wait_ms = 1; wait_ms < 4 * ROUND_MS; wait_ms *= 3) {
        cv_wheel_start(&wheel, &probes[0].timer, wait_ms);
        cv_wheel_start(&wheel, &probes[1].timer, wait_ms);
        cv_wheel_stop(&wheel, &probes[0].timer);
        assert_false(cv_timer_armed(&probes[0].timer));
        assert_true(cv_wheel_next_ms(&wheel) <= wait_ms);
        cv_wheel_stop(&wheel, &probes[1].timer);
        assert_true(cv_wheel_next_ms(&wheel) == CV_WHEEL_NEVER);
        assert_int_equal(wheel.count, 0);
    }
    assert_int_equal(cv_wheel_run(&wheel, 9 * ROUND_MS), 0);
}

static void stop_other(struct probe *probe) {
    cv_wheel_stop(&wheel, &probe->other->timer);
}

static void test_wheel_callback_may_stop_another_that_is_due(void **state) {
    struct probe probes[3];

    (void)state;
    init_probes(probes, 3);
    cv_wheel_init(&wheel, 0);
    for (size_t i = 0; i < 3; i++)
        cv_wheel_start(&wheel, &probes[i].timer, 100 + i);
    probes[0].action = stop_other;
    probes[0].other = &probes[1];
    assert_int_equal(cv_wheel_run(&wheel, 500), 2);
    assert_int_equal(probes[0].expired, 1);
    assert_int_equal(probes[1].expired, 0);
    assert_int_equal(probes[2].expired, 1);
    assert_false(cv_timer_armed(&probes[1].timer));
    assert_int_equal(wheel.count, 0);
}

static void start_other_later(struct probe *probe) {
    cv_wheel_start(&wheel, &probe->other->timer, wheel.now_ms + 1000);
}

static void test_wheel_callback_may_move_another_that_is_due(void **state) {
    struct probe probes[2];

    (void)state;
    init_probes(probes, 2);
    cv_wheel_init(&wheel, 0);
    cv_wheel_start(&wheel, &probes[0].timer, 100);
    cv_wheel_start(&wheel, &probes[1].timer, 100);
    probes[0].action = start_other_later;
    probes[0].other = &probes[1];
    assert_int_equal(cv_wheel_run(&wheel, 200), 1);
    assert_true(cv_timer_armed(&probes[1].timer));
    assert_int_equal(cv_wheel_run(&wheel, 1199), 0);
    assert_int_equal(cv_wheel_run(&wheel, 1200), 1);
    assert_int_equal(probes[1].expired, 1);
}

static void start_self_in_the_past(struct probe *probe) {
    cv_wheel_start(&wheel, &probe->timer, 0);
}

static void test_wheel_timer_armed_for_the_past_in_a_callback_waits_for_the_next_run(void **state) {
    struct probe probe;

    (void)state;
    init_probes(&probe, 1);
    cv_wheel_init(&wheel, 0);
    probe.action = start_self_in_the_past;
    cv_wheel_start(&wheel, &probe.timer, 10);
    for (unsigned run = 1; run <= 5; run++) {
        assert_int_equal(cv_wheel_run(&wheel, 1000), 1);
        assert_int_equal(probe.expired, run);
        assert_true(cv_wheel_next_ms(&wheel) == 1000);
    }
    cv_wheel_stop(&wheel, &probe.timer);
}

static void test_wheel_expires_in_order_of_deadlines(void **state) {
    enum { COUNT = 1000 };
    static struct probe probes[COUNT];
    uint64_t seed = 11;

    (void)state;
    init_probes(probes, COUNT);
    cv_wheel_init(&wheel, 777);
    for (size_t i = 0; i < COUNT; i++)
        cv_wheel_start(&wheel, &probes[i].timer, 778 + random_next(&seed) % 300000);
    assert_int_equal(cv_wheel_run(&wheel, 400000), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t j = i + 1; j < COUNT; j++) {
            if (probes[i].timer.deadline_ms != probes[j].timer.deadline_ms)
                assert_true((probes[i].timer.deadline_ms < probes[j].timer.deadline_ms) ==
                            (probes[i].order < probes[j].order));
        }
    }
}

// The model: which timers are armed, for when, and in which run they were armed.
enum { MODEL_COUNT = 200 };

static struct model {
    struct cv_timer timer;
    bool armed;
    uint64_t deadline_ms;
    uint64_t armed_in_run;
} models[MODEL_COUNT];

static uint64_t model_seed;
static uint64_t run_now;  // Number of the run under way, or of the last one.
static bool running;

static uint64_t random_wait_ms(void) {
    return random_next(&model_seed) >> (random_next(&model_seed) % 40);
}

static void model_start(struct model *model) {
    uint64_t now_ms = wheel.now_ms;
    uint64_t wait_ms = random_wait_ms();

    model->deadline_ms = now_ms + wait_ms;
    if (random_next(&model_seed) % 16 == 0)
        model->deadline_ms = now_ms - now_ms / 3;
    model->armed = true;
    model->armed_in_run = running ? run_now : 0;
    cv_wheel_start(&wheel, &model->timer, model->deadline_ms);
}

static void model_stop(struct model *model) {
    model->armed = false;
    cv_wheel_stop(&wheel, &model->timer);
    assert_false(cv_timer_armed(&model->timer));
}

static void on_model(struct cv_timer *timer) {
    struct model *model = CV_CONTAINER_OF(timer, struct model, timer);
    struct model *other = &models[random_next(&model_seed) % MODEL_COUNT];

    assert_true(model->armed);
    assert_true(model->deadline_ms <= wheel.now_ms);
    assert_true(model->armed_in_run != run_now);
    model->armed = false;
    switch (random_next(&model_seed) % 8) {
    case 0:
        model_start(model);
        break;
    case 1:
        model_start(other);
        break;
    case 2:
        model_stop(other);
        break;
    default:
        break;
    }
}

static void model_check_next(void) {
    uint64_t earliest_ms = CV_WHEEL_NEVER;
    uint32_t count = 0;

    for (size_t i = 0; i < MODEL_COUNT; i++) {
        assert_int_equal(models[i].armed, cv_timer_armed(&models[i].timer));
        if (models[i].armed) {
            earliest_ms = CV_MIN(earliest_ms, CV_MAX(models[i].deadline_ms, wheel.now_ms));
            count++;
        }
    }
    uint64_t next_ms = cv_wheel_next_ms(&wheel);
    assert_int_equal(wheel.count, count);
    assert_true((next_ms == CV_WHEEL_NEVER) == (count == 0));
    assert_true(next_ms <= earliest_ms);
    assert_true(next_ms > wheel.now_ms || earliest_ms == wheel.now_ms);
}

static void model_run(uint64_t now_ms) {
    run_now++;
    running = true;
    cv_wheel_run(&wheel, now_ms);
    running = false;
    assert_true(wheel.now_ms == now_ms);
    for (size_t i = 0; i < MODEL_COUNT; i++) {
        if (models[i].armed && models[i].deadline_ms <= now_ms)
            assert_int_equal(models[i].armed_in_run, run_now);
    }
}

static void test_wheel_random_use_agrees_with_a_table(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        model_seed = seed;
        memset(models, 0, sizeof(models));
        for (size_t i = 0; i < MODEL_COUNT; i++)
            models[i].timer.on_expiry = on_model;
        run_now = 0;
        // Half of them begin shortly before the highest level wraps around.
        cv_wheel_init(&wheel, seed % 2 == 0 ? seed * ROUND_MS - 5000 : seed * 1000);
        for (int step = 0; step < 8000; step++) {
            struct model *model = &models[random_next(&model_seed) % MODEL_COUNT];

            switch (random_next(&model_seed) % 4) {
            case 0:
            case 1:
                model_start(model);
                break;
            case 2:
                model_stop(model);
                break;
            default:
                if (random_next(&model_seed) % 2 == 0 && wheel.count > 0)
                    model_run(cv_wheel_next_ms(&wheel));
                else
                    model_run(wheel.now_ms + random_wait_ms() / 8);
            }
            model_check_next();
        }
        for (size_t i = 0; i < MODEL_COUNT; i++)
            model_stop(&models[i]);
        assert_true(cv_wheel_next_ms(&wheel) == CV_WHEEL_NEVER);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wheel_without_timers_wakes_nobody),
        cmocka_unit_test(test_wheel_expires_at_the_deadline_and_not_before),
        cmocka_unit_test(test_wheel_wakes_at_most_once_per_level),
        cmocka_unit_test(test_wheel_past_deadline_expires_at_the_next_run),
        cmocka_unit_test(test_wheel_start_moves_an_armed_timer),
        cmocka_unit_test(test_wheel_stop_leaves_no_wake_up_behind),
        cmocka_unit_test(test_wheel_callback_may_stop_another_that_is_due),
        cmocka_unit_test(test_wheel_callback_may_move_another_that_is_due),
        cmocka_unit_test(test_wheel_timer_armed_for_the_past_in_a_callback_waits_for_the_next_run),
        cmocka_unit_test(test_wheel_expires_in_order_of_deadlines),
        cmocka_unit_test(test_wheel_random_use_agrees_with_a_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
