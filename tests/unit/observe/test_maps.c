// Reading pinned maps; they are real ones, so this needs root and a kernel with bpf(2).
#include "observe/maps.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/pinned_maps.h"

struct entry {
    uint32_t key[2];
    uint64_t value;
};

static struct cv_map open_map(const char *name) {
    struct cv_map map = {.fd = -1};

    assert_int_equal(cv_map_open(&map, t_pins, name, 8, 8), 0);
    return map;
}

static void test_map_is_read_in_order_of_its_keys(void **state) {
    static const struct entry put[] = {{{2, 0}, 20}, {{0, 426}, 7}, {{0, 1}, 6}, {{1, 300}, 9}};
    static const size_t order[] = {2, 1, 3, 0};
    struct entry *entries;
    size_t count;
    int fd = t_map_create(8, 8, 64);

    (void)state;
    for (size_t i = 0; i < 4; i++)
        t_map_put(fd, put[i].key, &put[i].value);
    t_map_pin(fd, "ordered");
    struct cv_map map = open_map("ordered");
    assert_int_equal(map.entries_max, 64);
    assert_int_equal(cv_map_read(&map, sizeof(struct entry), offsetof(struct entry, value),
                                 (void **)&entries, &count),
                     0);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_memory_equal(&entries[i], &put[order[i]], sizeof(struct entry));
    free(entries);
    cv_map_close(&map);
    cv_map_close(&map);
    t_unpin("ordered");
}

static void test_map_that_is_empty_or_full_is_read(void **state) {
    struct entry *entries;
    size_t count = 99;
    int fd = t_map_create(8, 8, 3);

    (void)state;
    t_map_pin(dup(fd), "small");
    struct cv_map map = open_map("small");
    assert_int_equal(cv_map_read(&map, sizeof(struct entry), 8, (void **)&entries, &count), 0);
    assert_int_equal(count, 0);
    free(entries);
    for (uint32_t i = 0; i < 3; i++)
        t_map_put(fd, (uint32_t[2]){i, 0}, &(uint64_t){i});
    assert_int_equal(cv_map_read(&map, sizeof(struct entry), 8, (void **)&entries, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(entries[2].value, 2);
    free(entries);
    cv_map_close(&map);
    close(fd);
    t_unpin("small");
}

static void test_map_value_is_looked_up(void **state) {
    uint64_t value = 0;
    int fd = t_map_create(8, 8, 4);

    (void)state;
    t_map_put(fd, (uint32_t[2]){1, 2}, &(uint64_t){42});
    t_map_pin(fd, "one");
    struct cv_map map = open_map("one");
    assert_int_equal(cv_map_lookup(&map, (uint32_t[2]){1, 2}, &value), 0);
    assert_int_equal(value, 42);
    assert_int_equal(cv_map_lookup(&map, (uint32_t[2]){2, 1}, &value), -ENOENT);
    cv_map_close(&map);
    t_unpin("one");
}

static void test_map_of_another_layout_is_refused(void **state) {
    static const struct {
        uint32_t key_bytes, value_bytes, entries_max;
    } cases[] = {{4, 8, 4}, {8, 16, 4}, {8, 8, CV_MAPS_ENTRIES_MAX + 1}};
    struct cv_map map = {.fd = -7};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int fd = t_map_create(cases[i].key_bytes, cases[i].value_bytes, cases[i].entries_max);
        t_map_pin(fd, "other");
        assert_int_equal(cv_map_open(&map, t_pins, "other", 8, 8), -EPROTO);
        assert_int_equal(map.fd, -7);
        t_unpin("other");
    }
    assert_int_equal(cv_map_open(&map, t_pins, "absent", 8, 8), -ENOENT);
}

// Keys that come and go beside those that stay.
struct churn {
    int fd;
    atomic_bool is_over;
};

static void *churn(void *context) {
    struct churn *churn = context;

    for (uint32_t i = 0; !atomic_load(&churn->is_over); i++) {
        uint32_t key[2] = {i % 64, 1000};
        t_map_put(churn->fd, key, &(uint64_t){i});
        t_map_remove(churn->fd, key);
    }
    return NULL;
}

static void test_map_entries_that_stay_come_exactly_once_under_change(void **state) {
    enum { STAYING = 200, READS = 300 };
    struct churn beside = {.fd = t_map_create(8, 8, 512)};
    pthread_t thread;

    (void)state;
    for (uint32_t i = 0; i < STAYING; i++)
        t_map_put(beside.fd, (uint32_t[2]){i, 5}, &(uint64_t){i});
    t_map_pin(dup(beside.fd), "busy");
    struct cv_map map = open_map("busy");
    assert_int_equal(pthread_create(&thread, NULL, churn, &beside), 0);
    for (unsigned reading = 0; reading < READS; reading++) {
        struct entry *entries;
        size_t count, staying = 0;

        assert_int_equal(cv_map_read(&map, sizeof(struct entry), 8, (void **)&entries, &count), 0);
        for (size_t i = 0; i < count; i++) {
            if (entries[i].key[1] == 5) {
                assert_int_equal(entries[i].key[0], staying);
                assert_int_equal(entries[i].value, staying);
                staying++;
            }
        }
        assert_int_equal(staying, STAYING);
        free(entries);
    }
    atomic_store(&beside.is_over, true);
    pthread_join(thread, NULL);
    cv_map_close(&map);
    close(beside.fd);
    t_unpin("busy");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_is_read_in_order_of_its_keys),
        cmocka_unit_test(test_map_that_is_empty_or_full_is_read),
        cmocka_unit_test(test_map_value_is_looked_up),
        cmocka_unit_test(test_map_of_another_layout_is_refused),
        cmocka_unit_test(test_map_entries_that_stay_come_exactly_once_under_change),
    };

    if (!t_pins_begin())
        return 77;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    t_pins_end();
    return failed;
}
