// Pieces: how they are cut, in which order blocks come and go, and when a piece goes back.
#include "mem/piece.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem/poison.h"
#include "mem/pool.h"
#include "mem/slab.h"

#define PIECE_BYTES CV_SLAB_BLOCK_BYTES_MIN

static struct cv_slabs slabs;
static struct cv_piece *open_pieces;

static int make_slabs(void **state) {
    (void)state;
    cv_slab_init(&slabs);
    open_pieces = NULL;
    return 0;
}

static int end_slabs(void **state) {
    (void)state;
    cv_slab_deinit(&slabs);
    return 0;
}

// Takes one list of blocks apart. Returns how many there were.
static size_t take(size_t bytes, uint8_t **blocks) {
    size_t count = 0, found = 0;
    struct cv_pool_block *block = cv_piece_take(&slabs, &open_pieces, bytes, &count);

    for (; block != NULL && found < count; found++) {
        cv_poison_lift(block, sizeof(*block));
        struct cv_pool_block *next = block->next;

        cv_poison_clear(block, bytes);
        blocks[found] = (uint8_t *)block;
        block = next;
    }
    assert_null(block);
    assert_int_equal(found, count);
    return count;
}

static void test_piece_is_cut_without_a_gap_in_address_order(void **state) {
    uint8_t *blocks[PIECE_BYTES / 8] = {NULL};

    (void)state;
    for (size_t bytes = 8; bytes <= 1024; bytes *= 2) {
        size_t count = take(bytes, blocks);

        assert_int_equal(count, PIECE_BYTES / bytes);
        assert_int_equal((uintptr_t)blocks[0] % PIECE_BYTES, 0);
        for (size_t i = 0; i < count; i++) {
            assert_ptr_equal(blocks[i], blocks[0] + i * bytes);
            memset(blocks[i], 1, bytes);
        }
        assert_null(open_pieces);
    }
}

static void test_piece_goes_back_with_its_last_block(void **state) {
    uint8_t *blocks[PIECE_BYTES / 8] = {NULL};

    (void)state;
    for (size_t bytes = 8; bytes <= 1024; bytes *= 2) {
        size_t count = take(bytes, blocks);

        for (size_t i = 0; i < count; i++) {
            assert_int_equal(slabs.unused_count, 0);
            assert_true(i == 0 || open_pieces != NULL);
            cv_piece_give(&slabs, &open_pieces, bytes, blocks[(i * 7 + 3) % count]);
        }
        assert_null(open_pieces);
        assert_int_equal(slabs.unused_count, 1);
    }
}

static void test_piece_gives_what_came_back_before_it_cuts_another(void **state) {
    uint8_t *blocks[3][PIECE_BYTES / 256] = {{NULL}};
    uint8_t *again[PIECE_BYTES / 256] = {NULL};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(take(256, blocks[i]), 8);
    cv_piece_give(&slabs, &open_pieces, 256, blocks[0][5]);
    cv_piece_give(&slabs, &open_pieces, 256, blocks[1][2]);
    cv_piece_give(&slabs, &open_pieces, 256, blocks[1][3]);
    cv_piece_give(&slabs, &open_pieces, 256, blocks[2][7]);
    // The middle one of three leaves the list.
    for (size_t i = 0; i < 8; i++) {
        if (i != 2 && i != 3)
            cv_piece_give(&slabs, &open_pieces, 256, blocks[1][i]);
    }
    assert_int_equal(take(256, again), 1);
    assert_ptr_equal(again[0], blocks[2][7]);
    assert_int_equal(take(256, again), 1);
    assert_ptr_equal(again[0], blocks[0][5]);
    assert_null(open_pieces);
    // The lowest free block of the slabs: where the middle one was.
    assert_int_equal(take(256, again), 8);
    assert_ptr_equal(again[0], blocks[1][0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_piece_is_cut_without_a_gap_in_address_order,
                                        make_slabs, end_slabs),
        cmocka_unit_test_setup_teardown(test_piece_goes_back_with_its_last_block, make_slabs,
                                        end_slabs),
        cmocka_unit_test_setup_teardown(test_piece_gives_what_came_back_before_it_cuts_another,
                                        make_slabs, end_slabs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
