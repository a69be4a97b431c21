// When shedding begins and ends, what a round runs, and how its budget changes; over a clock of the
// test's, with echoes that take as long as it says.
#include "serve/shed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS 1000000ull
#define US 1000ull

static struct cv_limits limits;
static struct cv_shed shed;
static uint64_t now_ns;
static struct cv_shed_work work;

static int set_up(void **state) {
    (void)state;
    limits = (struct cv_limits){.lag_max_ms = 50, .lag_hold_ms = 100};
    shed = (struct cv_shed){0};
    now_ns = 1000 * MS;
    work = (struct cv_shed_work){.count = 1};
    return 0;
}

static void look(void) {
    cv_shed_look(&shed, &limits, now_ns, &work);
}

// Behind it nine requests wait, that may take any time.
static void send(void) {
    assert_false(shed.is_away);
    cv_shed_on_sent(&shed, now_ns, &work);
    work.count += 9;
    work.ns += 10000 * MS;
}

static void echo_after(uint64_t ns) {
    send();
    now_ns += ns;
    cv_shed_on_echo(&shed, &limits, now_ns, &work);
    look();
}

static void start(void) {
    while (!shed.is_on) {
        echo_after(60 * MS);
    }
}

// `count` requests of `cost_ns` each want to run. Returns how many do.
static uint32_t offer(uint32_t count, uint64_t cost_ns) {
    uint32_t admitted = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (cv_shed_admit(&shed, &limits, now_ns)) {
            admitted++;
            now_ns += cost_ns;
        }
    }
    return admitted;
}

static void test_shed_begins_after_echoes_late_for_long_enough(void **state) {
    (void)state;
    echo_after(60 * MS);
    assert_false(shed.is_on);
    echo_after(60 * MS);
    assert_false(shed.is_on);  // 60 ms since the first one was seen to be late.
    echo_after(60 * MS);
    assert_true(shed.is_on);
}

static void test_shed_begins_while_the_echo_is_still_away(void **state) {
    (void)state;
    send();
    now_ns += 51 * MS;
    look();
    now_ns += 99 * MS;
    look();
    assert_false(shed.is_on);
    now_ns += 1 * MS;
    look();
    assert_true(shed.is_on);
}

static void test_shed_takes_no_single_slow_turn_for_overload(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        send();
        now_ns += 400 * MS;  // One handler, then all that waits is served in no time.
        look();
        cv_shed_on_echo(&shed, &limits, now_ns, &work);
        echo_after(1 * MS);
        assert_false(shed.is_on);
    }
}

static void test_shed_takes_no_few_slow_requests_for_overload(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        cv_shed_on_sent(&shed, now_ns, &work);
        now_ns += 400 * MS;
        work.count += CV_SHED_REQUESTS_MIN;
        work.ns += 400 * MS;
        look();
        cv_shed_on_echo(&shed, &limits, now_ns, &work);
        assert_false(shed.is_on);
    }
}

static void test_shed_takes_no_stolen_processor_for_overload(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        cv_shed_on_sent(&shed, now_ns, &work);
        now_ns += 400 * MS;  // A thousand requests were answered, which take 50 ms.
        work.count += 1000;
        work.ns += 50 * MS;
        look();
        cv_shed_on_echo(&shed, &limits, now_ns, &work);
        assert_false(shed.is_on);
    }
}

// Of each echo's `ns` the thread waited `waited_ns` for a processor.
static bool begins_after_echoes(uint64_t ns, uint64_t waited_ns) {
    for (int i = 0; i < 100 && !shed.is_on; i++) {
        send();
        now_ns += ns;
        work.waited_ns += waited_ns;
        cv_shed_on_echo(&shed, &limits, now_ns, &work);
        look();
    }
    return shed.is_on;
}

static void test_shed_takes_no_work_that_was_kept_from_running_for_overload(void **state) {
    (void)state;
    assert_false(begins_after_echoes(90 * MS, 45 * MS));
    assert_true(begins_after_echoes(150 * MS, 50 * MS));
}

static void test_shed_subtracts_no_wait_of_before(void **state) {
    (void)state;
    work.waited_ns = 1000 * MS;
    echo_after(60 * MS);
    echo_after(60 * MS);
    echo_after(60 * MS);
    assert_true(shed.is_on);
}

static bool wants_echo(uint64_t after_ns, uint64_t further) {
    struct cv_shed_work then = {.count = work.count + further, .ns = work.ns};
    return cv_shed_wants_echo(&shed, &limits, now_ns + after_ns, &then);
}

static void test_shed_is_switched_off_by_either_option(void **state) {
    (void)state;
    limits.lag_hold_ms = 0;
    for (int i = 0; i < 10; i++) {
        echo_after(1000 * MS);
        assert_false(shed.is_on);
    }
    limits.lag_hold_ms = 100;
    limits.lag_max_ms = 0;
    assert_false(wants_echo(1000 * MS, 1));
}

static void test_shed_sends_echoes_only_where_requests_are(void **state) {
    (void)state;
    cv_shed_on_sent(&shed, now_ns, &work);
    assert_false(wants_echo(100 * MS, 1));
    cv_shed_on_echo(&shed, &limits, now_ns, &work);
    assert_false(wants_echo(100 * MS, 0));
    assert_true(wants_echo(100 * MS, 1));
    assert_false(wants_echo(24 * MS, 1));
    assert_true(wants_echo(25 * MS, 1));
    start();
    assert_true(wants_echo(0, 1));
}

static void test_shed_ignores_an_echo_nobody_sent(void **state) {
    (void)state;
    now_ns += 1000 * MS;
    cv_shed_on_echo(&shed, &limits, now_ns, &work);
    assert_int_equal(shed.late_since_ns, 0);
}

static const struct {
    const char *name;
    uint64_t cost_ns;
    uint32_t admitted;
} rounds[] = {
    {"cheap requests have half a millisecond", 5 * US, 100},
    {"usual ones the same", 50 * US, 10},
    {"slow ones are eight", 1 * MS, 8},
    {"however slow", 200 * MS, 8},
};

static void test_shed_runs_what_the_budget_is_worth_and_no_more(void **state) {
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(rounds); i++) {
        (void)set_up(NULL);
        start();
        uint32_t admitted = offer(1000, rounds[i].cost_ns);
        if (admitted != rounds[i].admitted) {
            fail_msg("%s: %u", rounds[i].name, admitted);
        }
        assert_int_equal(offer(1000, rounds[i].cost_ns), 0);
        assert_int_equal(shed.shed_total, 2000 - admitted);
        send();
        cv_shed_on_echo(&shed, &limits, now_ns, &work);
        assert_int_equal(offer(1000, rounds[i].cost_ns), rounds[i].admitted);
    }
}

static void test_shed_opens_little_more_than_it_can_take(void **state) {
    (void)state;
    assert_int_equal(cv_shed_openings(&shed), UINT32_MAX);
    start();
    assert_int_equal(cv_shed_openings(&shed), CV_SHED_REQUESTS_MIN);
    (void)offer(1000, 5 * US);
    assert_int_equal(cv_shed_openings(&shed), 112);
}

// Clients of either kind against a worker that is shedding: rounds as they come, for `ms`.
struct clients {
    uint32_t waiting;   // Ask again when they have their answer.
    uint32_t per_ms;    // Ask anyway.
    uint32_t cost_us;   // Of a request.
    uint32_t answered;  // Since the beginning.
    uint32_t refused;
    uint64_t longest_ns;  // Round.
};

static void run(struct clients *clients, uint32_t ms) {
    uint64_t first_ns = now_ns;
    uint32_t asked = 0;
    while (now_ns < first_ns + ms * MS && shed.is_on) {
        uint32_t due = (uint32_t)((now_ns - first_ns) * clients->per_ms / MS);
        uint32_t came = clients->waiting + due - asked;
        uint64_t begin_ns = now_ns;
        asked = due;
        send();
        cv_shed_on_echo(&shed, &limits, now_ns, &work);
        uint32_t admitted = offer(came, clients->cost_us * US);
        now_ns += (came - admitted) * 5 * US + 20 * US;
        clients->answered += admitted;
        clients->refused += came - admitted;
        clients->longest_ns = CV_MAX(clients->longest_ns, now_ns - begin_ns);
        look();
    }
}

static void test_shed_keeps_rounds_short_under_twice_the_load(void **state) {
    struct clients clients = {.per_ms = 40, .cost_us = 50};
    (void)state;
    start();
    run(&clients, 10000);
    assert_true(shed.is_on);
    assert_true(clients.answered > 150000);
    assert_true(clients.longest_ns < 4 * MS);
}

static void test_shed_ends_soon_when_the_load_fits_again(void **state) {
    struct clients clients = {.per_ms = 10, .cost_us = 50};
    (void)state;
    start();
    run(&clients, 1000);
    assert_false(shed.is_on);
    assert_true(clients.refused < clients.answered / 100);
}

static void test_shed_ends_when_nobody_asks_any_more(void **state) {
    (void)state;
    start();
    (void)offer(1000, 50 * US);
    for (int i = 0; i < 12 && shed.is_on; i++) {
        now_ns += 100 * MS;
        look();
    }
    assert_false(shed.is_on);
}

static void test_shed_ends_for_clients_that_wait_if_all_can_be_heard(void **state) {
    struct clients clients = {.waiting = 64, .cost_us = 50};
    (void)state;
    start();
    run(&clients, 1000);
    assert_false(shed.is_on);
}

static void test_shed_admits_more_while_the_worker_has_nothing_to_do(void **state) {
    (void)state;
    start();
    // 64 requests at once, then a pause: twice what eight requests of 50 us can be spread over.
    for (int i = 0; i < 200; i++) {
        send();
        (void)offer(64, 50 * US);
        now_ns += 1 * MS;
        cv_shed_on_echo(&shed, &limits, now_ns, &work);
        look();
        now_ns += 4 * MS;
        look();
    }
    assert_false(shed.is_on);
}

// Bursts that take longer than the lag, with long pauses: the time of a pause is no request's, and
// however long it goes on, the budget stays a number.
static void test_shed_gives_each_burst_its_budget_for_ever(void **state) {
    (void)state;
    start();
    for (int i = 0; i < 300; i++) {
        uint32_t admitted = offer(1000, 1 * MS);
        if (admitted < 8 || (i > 20 && admitted < 25)) {
            fail_msg("burst %d: %u, growth %u, on %d", i, admitted, shed.growth, shed.is_on);
        }
        send();
        cv_shed_on_echo(&shed, &limits, now_ns, &work);
        cv_shed_on_sent(&shed, now_ns, &work);
        cv_shed_on_echo(&shed, &limits, now_ns, &work);
        look();
        now_ns += 300 * MS;
        look();
    }
}

static void test_shed_hears_most_clients_that_wait_even_if_they_are_too_many(void **state) {
    struct clients clients = {.waiting = 1000, .cost_us = 50};
    (void)state;
    start();
    run(&clients, 2000);
    clients = (struct clients){.waiting = 1000, .cost_us = 50};
    run(&clients, 4000);
    assert_true(shed.is_on);
    assert_true(clients.answered > 40000);
    assert_true(clients.longest_ns < 50 * MS);
}

static void test_shed_returns_to_short_rounds_when_clients_no_longer_wait(void **state) {
    struct clients clients = {.waiting = 1000, .cost_us = 50};
    (void)state;
    start();
    run(&clients, 2000);
    clients = (struct clients){.per_ms = 40, .cost_us = 50};
    run(&clients, 10000);
    clients = (struct clients){.per_ms = 40, .cost_us = 50};
    run(&clients, 4000);
    assert_true(shed.is_on);
    assert_true(clients.longest_ns < 4 * MS);
}

#define SHED_TEST(function) cmocka_unit_test_setup(function, set_up)

int main(void) {
    const struct CMUnitTest tests[] = {
        SHED_TEST(test_shed_begins_after_echoes_late_for_long_enough),
        SHED_TEST(test_shed_begins_while_the_echo_is_still_away),
        SHED_TEST(test_shed_takes_no_single_slow_turn_for_overload),
        SHED_TEST(test_shed_takes_no_few_slow_requests_for_overload),
        SHED_TEST(test_shed_takes_no_stolen_processor_for_overload),
        SHED_TEST(test_shed_takes_no_work_that_was_kept_from_running_for_overload),
        SHED_TEST(test_shed_subtracts_no_wait_of_before),
        SHED_TEST(test_shed_is_switched_off_by_either_option),
        SHED_TEST(test_shed_sends_echoes_only_where_requests_are),
        SHED_TEST(test_shed_ignores_an_echo_nobody_sent),
        SHED_TEST(test_shed_runs_what_the_budget_is_worth_and_no_more),
        SHED_TEST(test_shed_opens_little_more_than_it_can_take),
        SHED_TEST(test_shed_keeps_rounds_short_under_twice_the_load),
        SHED_TEST(test_shed_ends_soon_when_the_load_fits_again),
        SHED_TEST(test_shed_ends_when_nobody_asks_any_more),
        SHED_TEST(test_shed_ends_for_clients_that_wait_if_all_can_be_heard),
        SHED_TEST(test_shed_admits_more_while_the_worker_has_nothing_to_do),
        SHED_TEST(test_shed_gives_each_burst_its_budget_for_ever),
        SHED_TEST(test_shed_hears_most_clients_that_wait_even_if_they_are_too_many),
        SHED_TEST(test_shed_returns_to_short_rounds_when_clients_no_longer_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
