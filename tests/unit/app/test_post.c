#include <pthread.h>

#include "recorder.h"

static int init(struct covet_app *app) {
    (void)app;
    return 0;
}

struct pair {
    struct t_host *hosts;
    struct covet_app *app;
    struct covet_worker *worker[2];
};

static int setup(void **state) {
    struct pair *pair = malloc(sizeof(*pair));

    pair->hosts = malloc(T_WORKERS * sizeof(*pair->hosts));
    t_host_init(pair->hosts);
    pair->app = t_app(init);
    for (uint32_t i = 0; i < 2; i++)
        pair->worker[i] = t_attach(pair->app, &pair->hosts[i]);
    *state = pair;
    return 0;
}

static int teardown(void **state) {
    struct pair *pair = *state;

    for (uint32_t i = 0; i < 2; i++)
        cv_app_detach(pair->worker[i]);
    cv_app_destroy(pair->app);
    t_host_deinit(pair->hosts);
    free(pair->hosts);
    free(pair);
    return 0;
}

static char order[64];
static struct covet_worker *expected;

static void append(struct covet_worker *worker, void *context) {
    assert_ptr_equal(worker, expected);
    strcat(order, context);
}

static void test_post_runs_calls_there_in_order(void **state) {
    struct pair *pair = *state;

    order[0] = '\0';
    assert_int_equal(covet_post(pair->worker[0], 1, append, "a"), 0);
    assert_int_equal(covet_post(pair->worker[0], 1, append, "b"), 0);
    assert_int_equal(covet_post(pair->worker[1], 1, append, "c"), 0);
    assert_string_equal(order, "");
    expected = pair->worker[1];
    t_host_run_posts(&pair->hosts[1]);
    assert_string_equal(order, "abc");
    assert_int_equal(covet_post(pair->worker[0], 2, append, ""), -ESHUTDOWN);
    assert_int_equal(covet_post(pair->worker[0], T_WORKERS, append, ""), -EINVAL);
    assert_int_equal(covet_post(pair->worker[0], UINT32_MAX, append, ""), -EINVAL);
    assert_int_equal(covet_post(pair->worker[0], 1, NULL, ""), -EINVAL);
}

static void test_post_is_bounded(void **state) {
    struct pair *pair = *state;

    order[0] = '\0';
    expected = pair->worker[1];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 256; i++)
            assert_int_equal(covet_post(pair->worker[0], 1, append, ""), 0);
        assert_int_equal(covet_post(pair->worker[0], 1, append, ""), -EAGAIN);
        t_host_run_posts(&pair->hosts[1]);
    }
    // A full queue of the worker itself gives everything back as well.
    pair->hosts[1].post_room = 0;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(covet_post(pair->worker[0], 1, append, ""), -EAGAIN);
    pair->hosts[1].post_room = T_POSTS_MAX;
    assert_int_equal(covet_post(pair->worker[0], 1, append, ""), 0);
    t_host_run_posts(&pair->hosts[1]);
}

static void test_post_on_its_way_keeps_the_receiver(void **state) {
    struct pair *pair = *state;
    struct t_host *host = &pair->hosts[1];

    order[0] = '\0';
    expected = pair->worker[1];
    assert_int_equal(covet_post(pair->worker[0], 1, append, "x"), 0);
    cv_app_retire(pair->worker[1]);
    t_host_advance(host, 100);
    assert_int_equal(host->released_count, 0);
    t_host_run_posts(host);
    assert_string_equal(order, "x");
    t_host_advance(host, 100);
    assert_int_equal(host->released_count, 1);
    assert_int_equal(covet_post(pair->worker[0], 1, append, "y"), -ESHUTDOWN);
    assert_int_equal(host->wheel.count, 0);
}

static void test_post_to_a_worker_stopped_hard_is_dropped(void **state) {
    struct pair *pair = *state;

    order[0] = '\0';
    assert_int_equal(covet_post(pair->worker[0], 1, append, "x"), 0);
    cv_app_detach(pair->worker[1]);
    pair->worker[1] = NULL;
    t_host_run_posts(&pair->hosts[1]);
    assert_string_equal(order, "");
    assert_int_equal(covet_post(pair->worker[0], 1, append, "y"), -ESHUTDOWN);
}

// Two threads post to a third that takes leave in the middle: nothing is lost and nothing comes
// after.

#define ROUNDS 20000u

struct race {
    struct pair *pair;
    pthread_mutex_t lock;
    pthread_barrier_t start;
    _Atomic uint32_t accepted;
    uint32_t ran;
    bool over;
};

static struct race race;

static int locked_post(struct cv_env *env, uint32_t index, void (*fn)(void *), void *context) {
    int result;

    pthread_mutex_lock(&race.lock);
    result = t_env_post(env, index, fn, context);
    pthread_mutex_unlock(&race.lock);
    return result;
}

static void count_run(struct covet_worker *worker, void *context) {
    (void)worker;
    (void)context;
    assert_false(race.over);
    race.ran++;
}

static void *sender(void *context) {
    struct covet_worker *worker = context;

    pthread_barrier_wait(&race.start);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        int result = covet_post(worker, 1, count_run, NULL);

        if (result == 0)
            atomic_fetch_add(&race.accepted, 1);
        else if (result == -ESHUTDOWN)
            return NULL;
    }
    return NULL;
}

static void take_posts(struct t_host *host) {
    struct t_post post[T_POSTS_MAX];
    uint32_t count;

    pthread_mutex_lock(&race.lock);
    count = host->post_count;
    memcpy(post, host->post, count * sizeof(post[0]));
    host->post_count = 0;
    pthread_mutex_unlock(&race.lock);
    for (uint32_t i = 0; i < count; i++)
        post[i].fn(post[i].context);
}

static void test_post_loses_nothing_while_the_receiver_leaves(void **state) {
    struct pair *pair = *state;
    struct covet_worker *third;
    pthread_t thread[2];

    third = t_attach(pair->app, &pair->hosts[2]);
    memset(&race, 0, sizeof(race));
    pthread_mutex_init(&race.lock, NULL);
    pthread_barrier_init(&race.start, NULL, 3);
    for (uint32_t i = 0; i < T_WORKERS; i++)
        pair->hosts[i].env.post = locked_post;
    pthread_create(&thread[0], NULL, sender, pair->worker[0]);
    pthread_create(&thread[1], NULL, sender, third);
    pthread_barrier_wait(&race.start);
    bool retired = false;
    for (int turn = 0; pair->hosts[1].released_count == 0; turn++) {
        take_posts(&pair->hosts[1]);
        if (!retired && turn >= 50 && race.ran > 0) {
            retired = true;
            cv_app_retire(pair->worker[1]);
        }
        t_host_advance(&pair->hosts[1], 20);
    }
    race.over = true;
    pthread_join(thread[0], NULL);
    pthread_join(thread[1], NULL);
    take_posts(&pair->hosts[1]);
    assert_int_equal(race.ran, race.accepted);
    assert_true(race.ran > 0);
    cv_app_detach(third);
    pthread_barrier_destroy(&race.start);
    pthread_mutex_destroy(&race.lock);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_post_runs_calls_there_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_post_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_post_on_its_way_keeps_the_receiver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_post_to_a_worker_stopped_hard_is_dropped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_post_loses_nothing_while_the_receiver_leaves, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
