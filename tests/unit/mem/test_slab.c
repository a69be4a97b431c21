// Slabs: what they are mapped from, how the buddy allocator splits and joins, which slabs are kept,
// and that any address can be asked for.
#include "mem/slab.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "mem/poison.h"

#define MIB ((size_t)1024 * 1024)

// The system as the tests see it.
static bool has_hugetlb;
static bool has_transparent;
static bool is_misaligned;
static const char *thp_text;
static int maps_allowed;  // -1: all.
static unsigned maps;
static unsigned unmaps;

void *__real_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t bytes);
int __wrap_munmap(void *address, size_t bytes);
int __wrap_madvise(void *address, size_t bytes, int advice);
ssize_t __real_read(int fd, void *into, size_t bytes);
ssize_t __wrap_read(int fd, void *into, size_t bytes);

void *__wrap_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset) {
    if ((flags & MAP_HUGETLB) != 0 && !has_hugetlb)
        return MAP_FAILED;
    if (maps_allowed == 0)
        return MAP_FAILED;
    if (maps_allowed > 0)
        maps_allowed--;
    // Aligned, as reserved pages always are and other memory from Linux 6.7 on, or not.
    uint8_t *room = __real_mmap(address, bytes + 2 * CV_SLAB_BYTES, protection,
                                MAP_PRIVATE | MAP_ANONYMOUS, fd, offset);
    size_t before = -(uintptr_t)room % CV_SLAB_BYTES + (is_misaligned ? 4096 : 0);

    maps++;
    if (before > 0)
        __real_munmap(room, before);
    __real_munmap(room + before + bytes, 2 * CV_SLAB_BYTES - before);
    return room + before;
}

int __wrap_munmap(void *address, size_t bytes) {
    unmaps += bytes == CV_SLAB_BYTES;
    return __real_munmap(address, bytes);
}

int __wrap_madvise(void *address, size_t bytes, int advice) {
    assert_int_equal((uintptr_t)address % CV_SLAB_BYTES, 0);
    assert_int_equal(bytes, CV_SLAB_BYTES);
    assert_int_equal(advice, MADV_HUGEPAGE);
    errno = EINVAL;
    return has_transparent ? 0 : -1;
}

ssize_t __wrap_read(int fd, void *into, size_t bytes) {
    if (thp_text == NULL)
        return __real_read(fd, into, bytes);
    assert_true(strlen(thp_text) < bytes);
    memcpy(into, thp_text, strlen(thp_text));
    return (ssize_t)strlen(thp_text);
}

static struct cv_slabs slabs;

static int make_slabs(void **state) {
    (void)state;
    has_hugetlb = false;
    has_transparent = true;
    is_misaligned = false;
    thp_text = "always [madvise] never\n";
    maps_allowed = -1;
    maps = 0;
    unmaps = 0;
    cv_slab_init(&slabs);
    return 0;
}

static int end_slabs(void **state) {
    (void)state;
    cv_slab_deinit(&slabs);
    return 0;
}

static void test_slab_says_what_backs_it(void **state) {
    static const struct {
        bool hugetlb;
        bool transparent;
        const char *text;
        enum cv_slab_pages expected;
    } cases[] = {
        {true, true, "always [madvise] never\n", CV_SLAB_HUGETLB},
        {false, true, "always [madvise] never\n", CV_SLAB_TRANSPARENT},
        {false, true, "[always] madvise never\n", CV_SLAB_TRANSPARENT},
        {false, true, "always madvise [never]\n", CV_SLAB_PLAIN},
        {false, false, "always [madvise] never\n", CV_SLAB_PLAIN},
    };

    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        has_hugetlb = cases[i].hugetlb;
        has_transparent = cases[i].transparent;
        thp_text = cases[i].text;
        void *memory = cv_slab_acquire(&slabs, 1);

        assert_non_null(memory);
        for (int pages = 0; pages < CV_SLAB_PAGES_COUNT; pages++)
            assert_int_equal(slabs.count[pages], pages == (int)cases[i].expected ? 1 : 0);
        cv_slab_deinit(&slabs);
        for (int pages = 0; pages < CV_SLAB_PAGES_COUNT; pages++)
            assert_int_equal(slabs.count[pages], 0);
    }
}

static void test_slab_prepare_maps_the_first_one_only(void **state) {
    (void)state;
    maps_allowed = 0;
    cv_slab_prepare(&slabs);
    assert_int_equal(slabs.unused_count, 0);
    maps_allowed = -1;
    for (int i = 0; i < 3; i++)
        cv_slab_prepare(&slabs);
    assert_int_equal(maps, 1);
    assert_int_equal(slabs.unused_count, 1);
    assert_non_null(cv_slab_acquire(&slabs, CV_SLAB_BYTES));
    cv_slab_prepare(&slabs);
    assert_int_equal(maps, 1);
}

static void test_slab_is_aligned_wherever_the_kernel_maps_it(void **state) {
    (void)state;
    is_misaligned = true;
    for (int i = 0; i < 3; i++) {
        uint8_t *memory = cv_slab_acquire(&slabs, CV_SLAB_BYTES);

        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % CV_SLAB_BYTES, 0);
        memory[0] = memory[CV_SLAB_BYTES - 1] = 1;
    }
}

static void test_slab_blocks_are_aligned_to_their_size_and_apart(void **state) {
    enum { COUNT = 64 };
    uint8_t *blocks[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        size_t bytes = (size_t)2048 << i % 8;

        blocks[i] = cv_slab_acquire(&slabs, bytes - i % 2 * 100);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % bytes, 0);
        memset(blocks[i], (int)i, bytes);
    }
    for (size_t i = 0; i < COUNT; i++) {
        size_t bytes = (size_t)2048 << i % 8;

        for (size_t at = 0; at < bytes; at += 64)
            assert_int_equal(blocks[i][at], i);
        cv_slab_release(&slabs, blocks[i], bytes);
    }
    assert_int_equal(slabs.unused_count, 1);
}

static void test_slab_joins_what_is_free(void **state) {
    enum { COUNT = 1024 };
    static void *blocks[COUNT];

    // A whole slab of the smallest blocks, given back in three orders; then it is whole again.
    (void)state;
    for (size_t order = 0; order < 3; order++) {
        for (size_t i = 0; i < COUNT; i++)
            blocks[i] = cv_slab_acquire(&slabs, 2048);
        assert_int_equal(maps, 1);
        assert_int_equal(slabs.unused_count, 0);
        for (size_t i = 0; i < COUNT; i++)
            cv_slab_release(&slabs,
                            blocks[order == 0   ? i
                                   : order == 1 ? COUNT - 1 - i
                                                : i * 389 % COUNT],
                            2048);
        assert_int_equal(slabs.unused_count, 1);
        void *whole = cv_slab_acquire(&slabs, CV_SLAB_BYTES);

        assert_int_equal(maps, 1);
        cv_slab_release(&slabs, whole, CV_SLAB_BYTES);
    }
}

static void test_slab_uses_the_smallest_block_that_fits(void **state) {
    (void)state;
    uint8_t *first = cv_slab_acquire(&slabs, 2048);
    uint8_t *large = cv_slab_acquire(&slabs, MIB);
    uint8_t *second = cv_slab_acquire(&slabs, 2048);
    uint8_t *third = cv_slab_acquire(&slabs, 4096);

    assert_ptr_equal(second, first + 2048);
    assert_ptr_equal(third, first + 4096);
    assert_ptr_equal(large, first + MIB);
    cv_slab_release(&slabs, first, 2048);
    assert_ptr_equal(cv_slab_acquire(&slabs, 100), first);
}

static void test_slab_keeps_one_that_is_unused_and_unmaps_the_rest(void **state) {
    enum { COUNT = 5 };
    void *blocks[COUNT];

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        blocks[i] = cv_slab_acquire(&slabs, CV_SLAB_BYTES);
    assert_int_equal(maps, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        cv_slab_release(&slabs, blocks[i], CV_SLAB_BYTES);
    assert_int_equal(unmaps, COUNT - 1);
    assert_int_equal(slabs.unused_count, 1);
    // At the edge of a slab nothing is mapped or unmapped any more.
    for (int round = 0; round < 100; round++)
        cv_slab_release(&slabs, cv_slab_acquire(&slabs, MIB), MIB);
    assert_int_equal(maps, COUNT);
    assert_int_equal(unmaps, COUNT - 1);
}

static void test_slab_fills_the_lowest_first(void **state) {
    (void)state;
    void *low = cv_slab_acquire(&slabs, CV_SLAB_BYTES);
    void *high = cv_slab_acquire(&slabs, MIB);
    uint32_t index;

    cv_slab_release(&slabs, low, CV_SLAB_BYTES);
    void *block = cv_slab_acquire(&slabs, 2048);
    assert_true(cv_slab_find(&slabs, block, 2048, &index));
    assert_int_equal(index, 0);
    assert_true(cv_slab_find(&slabs, high, MIB, &index));
    assert_int_equal(index, 1);
}

static void test_slab_gives_null_when_nothing_can_be_mapped(void **state) {
    (void)state;
    maps_allowed = 0;
    for (int round = 0; round < 3; round++)
        assert_null(cv_slab_acquire(&slabs, 2048));
    assert_int_equal(slabs.end, 0);
    maps_allowed = 1;  // An unaligned one needs a second map.
    is_misaligned = true;
    assert_null(cv_slab_acquire(&slabs, 2048));
    is_misaligned = false;
    maps_allowed = 1;
    assert_non_null(cv_slab_acquire(&slabs, 2048));
    assert_null(cv_slab_acquire(&slabs, CV_SLAB_BYTES));
    assert_non_null(cv_slab_acquire(&slabs, MIB));
}

static void test_slab_find_tells_memory_of_slabs_from_all_other(void **state) {
    static const char text[] = "static";
    uint32_t index = 77;
    uint8_t on_stack;

    (void)state;
    assert_false(cv_slab_find(&slabs, text, 1, &index));  // No slab at all.
    uint8_t *block = cv_slab_acquire(&slabs, CV_SLAB_BYTES);
    uint8_t *foreign = malloc(3 * MIB);
    const void *others[] = {
        text, &on_stack, foreign, NULL, block - 1, (void *)-1ull, block + CV_SLAB_BYTES};

    for (size_t i = 0; i < CV_ARRAY_COUNT(others); i++) {
        assert_false(cv_slab_find(&slabs, others[i], 1, &index));
        assert_false(cv_slab_find(&slabs, others[i], SIZE_MAX, &index));
    }
    assert_int_equal(index, 77);
    assert_true(cv_slab_find(&slabs, block, CV_SLAB_BYTES, &index));
    assert_int_equal(index, 0);
    assert_true(cv_slab_find(&slabs, block + CV_SLAB_BYTES - 1, 1, &index));
    assert_true(cv_slab_find(&slabs, block + 5, 0, &index));
    assert_false(cv_slab_find(&slabs, block + 1, CV_SLAB_BYTES, &index));
    free(foreign);
}

// What a watcher was told, as a set.
static uint8_t *watched[64];

static void on_added(void *context, uint32_t index, void *memory, size_t bytes) {
    assert_ptr_equal(context, watched);
    assert_true(index < CV_ARRAY_COUNT(watched));
    assert_null(watched[index]);
    assert_int_equal(bytes, CV_SLAB_BYTES);
    watched[index] = memory;
}

static void on_removed(void *context, uint32_t index) {
    assert_ptr_equal(context, watched);
    assert_non_null(watched[index]);
    watched[index] = NULL;
}

static void check_watched(void) {
    for (uint32_t i = 0; i < CV_ARRAY_COUNT(watched); i++) {
        uint32_t index = UINT32_MAX;

        if (watched[i] == NULL)
            continue;
        assert_true(cv_slab_find(&slabs, watched[i] + i, 100, &index));
        assert_int_equal(index, i);
    }
}

static void test_slab_tells_a_watcher_of_every_one(void **state) {
    enum { COUNT = 40 };
    void *blocks[COUNT] = {NULL};
    uint64_t seed = 1;
    size_t live = 0;

    (void)state;
    blocks[0] = cv_slab_acquire(&slabs, CV_SLAB_BYTES);
    cv_slab_watch(&slabs, on_added, on_removed, watched);
    assert_ptr_equal(watched[0], blocks[0]);
    live = 1;
    for (int round = 0; round < 2000; round++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        void **block = &blocks[(seed >> 33) % COUNT];

        if (*block != NULL) {
            cv_slab_release(&slabs, *block, CV_SLAB_BYTES);
            *block = NULL;
            live--;
        } else {
            *block = cv_slab_acquire(&slabs, CV_SLAB_BYTES);
            live++;
        }
        if (round % 50 == 0)
            check_watched();
    }
    size_t known = 0;
    for (size_t i = 0; i < CV_ARRAY_COUNT(watched); i++)
        known += watched[i] != NULL;
    assert_int_equal(known, live + slabs.unused_count);
    cv_slab_watch(&slabs, NULL, NULL, NULL);
    for (size_t i = 0; i < CV_ARRAY_COUNT(watched); i++)
        assert_null(watched[i]);
}

static void test_slab_deinit_tells_the_watcher(void **state) {
    (void)state;
    cv_slab_watch(&slabs, on_added, on_removed, watched);
    assert_non_null(cv_slab_acquire(&slabs, 2048));
    assert_non_null(watched[0]);
    cv_slab_deinit(&slabs);
    assert_null(watched[0]);
}

static void test_slab_random_use_never_hands_out_a_block_twice(void **state) {
    enum { SLOTS = 600, ROUNDS = 100000 };
    static struct {
        uint8_t *block;
        size_t bytes;
        uint8_t mark;
    } slots[SLOTS];
    uint64_t seed = 7;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        size_t at = (size_t)(seed >> 33) % SLOTS;

        if (slots[at].block != NULL) {
            assert_int_equal(slots[at].block[0], slots[at].mark);
            assert_int_equal(slots[at].block[slots[at].bytes - 1], slots[at].mark);
            cv_slab_release(&slabs, slots[at].block, slots[at].bytes);
            slots[at].block = NULL;
            continue;
        }
        slots[at].bytes = (size_t)1 << (seed >> 40) % 18;
        slots[at].bytes += (size_t)(seed >> 50) % slots[at].bytes;
        slots[at].mark = (uint8_t)round;
        slots[at].block = cv_slab_acquire(&slabs, slots[at].bytes);
        assert_non_null(slots[at].block);
        slots[at].block[0] = slots[at].mark;
        slots[at].block[slots[at].bytes - 1] = slots[at].mark;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].block != NULL)
            cv_slab_release(&slabs, slots[i].block, slots[i].bytes);
    }
    assert_int_equal(slabs.unused_count, 1);
    assert_int_equal(slabs.count[CV_SLAB_TRANSPARENT], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slab_says_what_backs_it, make_slabs, end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_prepare_maps_the_first_one_only, make_slabs,
                                        end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_is_aligned_wherever_the_kernel_maps_it,
                                        make_slabs, end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_blocks_are_aligned_to_their_size_and_apart,
                                        make_slabs, end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_joins_what_is_free, make_slabs, end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_uses_the_smallest_block_that_fits, make_slabs,
                                        end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_keeps_one_that_is_unused_and_unmaps_the_rest,
                                        make_slabs, end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_fills_the_lowest_first, make_slabs, end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_gives_null_when_nothing_can_be_mapped, make_slabs,
                                        end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_find_tells_memory_of_slabs_from_all_other,
                                        make_slabs, end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_tells_a_watcher_of_every_one, make_slabs,
                                        end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_deinit_tells_the_watcher, make_slabs, end_slabs),
        cmocka_unit_test_setup_teardown(test_slab_random_use_never_hands_out_a_block_twice,
                                        make_slabs, end_slabs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
