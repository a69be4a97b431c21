// The pool and the arena beside malloc and beside bare floors.
//
// Sizes are 8 to 1024 bytes, small ones oftener, in an order shuffled before each batch. Every
// block is written to, since a program would. The floors know each size's class beforehand and
// check and count nothing: a pop and a push, an addition.
#include <stdlib.h>

#include "bench.h"
#include "mem/arena.h"
#include "mem/pool.h"
#include "mem/remote.h"

#define SIZE_COUNT 4096u
#define BATCH_COUNT 1000u  // Blocks out at a time in pool/batch_1000.
#define REQUEST_COUNT 32u  // Allocations between two resets in arena/alloc.
#define FLOOR_BYTES 65536u

struct link {
    struct link *next;
};

static struct cv_pool pool;
static struct cv_arena arena;
static uint32_t order[SIZE_COUNT];
static uint16_t sizes[SIZE_COUNT];   // Shuffled.
static uint8_t classes[SIZE_COUNT];  // Of sizes, for the floors.
static uint16_t small[SIZE_COUNT];   // What requests ask an arena for.
static uint32_t batch_order[BATCH_COUNT];
static void *blocks[BATCH_COUNT];
static struct link *floor_free[8];
static uint8_t floor_memory[FLOOR_BYTES];

static size_t size_of(uint32_t index) {
    uint32_t log2 = 3 + index % 8 * (1 + index / 8 % 2) / 2;  // Half of them in the lower classes.
    size_t most = (size_t)1 << CV_MIN(log2, 10u);

    return most - index % (most / 2);
}

static void shuffle(void *context) {
    (void)context;
    bench_shuffle(order, SIZE_COUNT);
    bench_shuffle(batch_order, BATCH_COUNT);
    for (uint32_t i = 0; i < SIZE_COUNT; i++) {
        sizes[i] = (uint16_t)size_of(order[i]);
        classes[i] = (uint8_t)cv_pool_class(sizes[i]);
        small[i] = (uint16_t)(1 + order[i] % 96);
    }
}

static void touch(void *block) {
    if (block == NULL)
        abort();
    *(volatile uint8_t *)block = 1;
}

// pool/alloc_free: one block at a time.
static void run_pool(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = sizes[i % SIZE_COUNT];
        void *block = cv_pool_acquire(&pool, bytes);

        touch(block);
        cv_pool_release(&pool, block, bytes);
    }
}

static void run_malloc(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        void *block = malloc(sizes[i % SIZE_COUNT]);

        touch(block);
        free(block);
    }
}

static void *floor_pop(uint32_t class_index) {
    struct link *block = floor_free[class_index];

    floor_free[class_index] = block->next;
    return block;
}

static void floor_push(uint32_t class_index, void *block) {
    ((struct link *)block)->next = floor_free[class_index];
    floor_free[class_index] = block;
    bench_clobber(floor_free);
}

static void run_freelist(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t class_index = classes[i % SIZE_COUNT];
        void *block = floor_pop(class_index);

        touch(block);
        floor_push(class_index, block);
    }
}

// pool/alloc_free_64: the same with a size the compiler knows.
static void run_pool_64(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        void *block = cv_pool_acquire(&pool, 64);

        touch(block);
        cv_pool_release(&pool, block, 64);
        bench_clobber(&pool);
    }
}

static void run_malloc_64(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        void *block = malloc(64);

        touch(block);
        free(block);
    }
}

static void run_freelist_64(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        void *block = floor_pop(3);

        touch(block);
        floor_push(3, block);
    }
}

// pool/covet_alloc: blocks that any thread may free, freed by the thread they are from.
static void run_public(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        void *block = cv_remote_alloc(&pool, sizes[i % SIZE_COUNT]);

        touch(block);
        cv_remote_free(block);
    }
}

// pool/batch_1000: a thousand blocks, then all of them back in another order.
static void run_pool_batch(void *context, uint32_t count) {
    (void)context;
    for (uint32_t done = 0; done < count; done += BATCH_COUNT) {
        for (uint32_t i = 0; i < BATCH_COUNT; i++) {
            blocks[i] = cv_pool_acquire(&pool, sizes[i]);
            touch(blocks[i]);
        }
        for (uint32_t i = 0; i < BATCH_COUNT; i++)
            cv_pool_release(&pool, blocks[batch_order[i]], sizes[batch_order[i]]);
    }
}

static void run_malloc_batch(void *context, uint32_t count) {
    (void)context;
    for (uint32_t done = 0; done < count; done += BATCH_COUNT) {
        for (uint32_t i = 0; i < BATCH_COUNT; i++) {
            blocks[i] = malloc(sizes[i]);
            touch(blocks[i]);
        }
        for (uint32_t i = 0; i < BATCH_COUNT; i++)
            free(blocks[batch_order[i]]);
    }
}

static void run_freelist_batch(void *context, uint32_t count) {
    (void)context;
    for (uint32_t done = 0; done < count; done += BATCH_COUNT) {
        for (uint32_t i = 0; i < BATCH_COUNT; i++) {
            blocks[i] = floor_pop(classes[i]);
            touch(blocks[i]);
        }
        for (uint32_t i = 0; i < BATCH_COUNT; i++)
            floor_push(classes[batch_order[i]], blocks[batch_order[i]]);
    }
}

// arena/alloc: one allocation; a reset every REQUEST_COUNT of them is part of it.
static void run_arena(void *context, uint32_t count) {
    (void)context;
    for (uint32_t done = 0; done < count; done += REQUEST_COUNT) {
        const uint16_t *sizes_of_request = &small[done % SIZE_COUNT];

        for (uint32_t i = 0; i < REQUEST_COUNT; i++)
            touch(cv_arena_alloc(&arena, sizes_of_request[i]));
        cv_arena_reset(&arena);
    }
}

static void run_malloc_arena(void *context, uint32_t count) {
    (void)context;
    for (uint32_t i = 0; i < count; i++) {
        void *block = malloc(small[i % SIZE_COUNT]);

        touch(block);
        free(block);
    }
}

static void run_bump(void *context, uint32_t count) {
    (void)context;
    for (uint32_t done = 0; done < count; done += REQUEST_COUNT) {
        const uint16_t *sizes_of_request = &small[done % SIZE_COUNT];
        uint8_t *at = floor_memory;

        for (uint32_t i = 0; i < REQUEST_COUNT; i++) {
            touch(at);
            at += (sizes_of_request[i] + 15u) & ~15u;
        }
        bench_keep((uintptr_t)at);
    }
}

static void fill_floor(void) {
    // Enough of each class for a batch, in a memory order as a pool would have it.
    for (uint32_t class_index = 0; class_index < 8; class_index++) {
        size_t bytes = cv_pool_class_bytes(class_index);
        uint8_t *memory = malloc(BATCH_COUNT * bytes);

        if (memory == NULL)
            abort();
        for (uint32_t i = BATCH_COUNT; i-- > 0;)
            floor_push(class_index, memory + i * bytes);
    }
}

void bench_mem(void) {
    static const struct bench benches[] = {
        {.name = "pool/alloc_free", .impl = "covet", .run = run_pool},
        {.name = "pool/alloc_free", .impl = "glibc", .run = run_malloc},
        {.name = "pool/alloc_free", .impl = "floor", .run = run_freelist},
        {.name = "pool/alloc_free_64", .impl = "covet", .run = run_pool_64},
        {.name = "pool/alloc_free_64", .impl = "glibc", .run = run_malloc_64},
        {.name = "pool/alloc_free_64", .impl = "floor", .run = run_freelist_64},
        {.name = "pool/covet_alloc", .impl = "covet", .run = run_public},
        {.name = "pool/covet_alloc", .impl = "glibc", .run = run_malloc},
        {.name = "pool/batch_1000", .impl = "covet", .run = run_pool_batch},
        {.name = "pool/batch_1000", .impl = "glibc", .run = run_malloc_batch},
        {.name = "pool/batch_1000", .impl = "floor", .run = run_freelist_batch},
        {.name = "arena/alloc", .impl = "covet", .run = run_arena},
        {.name = "arena/alloc", .impl = "glibc", .run = run_malloc_arena},
        {.name = "arena/alloc", .impl = "floor", .run = run_bump},
    };

    cv_pool_init(&pool);
    cv_arena_init(&arena, &pool);
    fill_floor();
    for (size_t i = 0; i < CV_ARRAY_COUNT(benches); i++) {
        struct bench bench = benches[i];

        bench.prepare = shuffle;
        bench.multiple = bench.run == run_pool_batch || bench.run == run_malloc_batch ||
                                 bench.run == run_freelist_batch
                             ? BATCH_COUNT
                             : REQUEST_COUNT;
        bench_add(&bench);
    }
}
