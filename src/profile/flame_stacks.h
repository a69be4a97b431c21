// Records of the kernel's side made into a tree: thread, its functions, the kernel's functions.
#ifndef CV_PROFILE_FLAME_STACKS_H
#define CV_PROFILE_FLAME_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "bpf/stacks.h"
#include "profile/flame_tree.h"
#include "profile/symbols.h"

// A thread that sleeps.
struct cv_flame_sleeper {
    uint32_t thread_id;
    uint32_t node;  // where its stack ends in the tree; 0: it is awake
    uint64_t since_ns;
};

struct cv_flame_stacks {
    struct cv_symbols *symbols;         // borrowed
    struct cv_flame_tree tree;          // weights: samples, or microseconds asleep
    const bool *is_wanted;              // borrowed, by worker's index; NULL: all threads
    uint64_t start_ns;                  // CLOCK_MONOTONIC; no sleep began earlier
    struct cv_flame_sleeper *sleepers;  // owned; ascending by thread
    size_t sleeper_count;
    uint64_t stack_count;       // samples or sleeps in the tree
    uint64_t incomplete_count;  // of them, those whose outermost functions are missing
    uint64_t stack_top;         // where the stack of the last record ends; 0: it has none
    bool is_out_of_memory;      // something is missing in the tree
};

// Returns 0 or -ENOMEM.
CV_MUST_USE int cv_flame_stacks_init(struct cv_flame_stacks *stacks, struct cv_symbols *symbols,
                                     uint64_t start_ns);
void cv_flame_stacks_deinit(struct cv_flame_stacks *stacks);

// Takes one record in.
void cv_flame_stacks_add(struct cv_flame_stacks *stacks, const struct covet_stack_record *record);

// Counts the sleeps that are not over at `end_ns`.
void cv_flame_stacks_end(struct cv_flame_stacks *stacks, uint64_t end_ns);

#endif
