// Stacks added up: a tree of functions, each with the weight of all stacks that pass it.
#ifndef CV_PROFILE_FLAME_TREE_H
#define CV_PROFILE_FLAME_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"
#include "profile/symbols.h"

#define CV_FLAME_TREE_NODES_MAX (1u << 22)

struct cv_flame_node {
    struct cv_frame frame;  // name borrowed
    uint64_t total;         // weight of the stacks that pass or end here
    uint64_t own;           // of those that end here
    uint32_t parent;
    uint32_t first_child;   // 0: none
    uint32_t next_sibling;  // 0: none
    uint32_t depth;         // 0: the root
};

struct cv_flame_tree {
    struct cv_flame_node *nodes;  // owned; nodes[0] is the root, whose name is "all"
    uint32_t count;
    uint32_t capacity;
};

// Returns 0 or -ENOMEM.
CV_MUST_USE int cv_flame_tree_init(struct cv_flame_tree *tree);
void cv_flame_tree_deinit(struct cv_flame_tree *tree);

// The child of `parent` for `frame`, made where it is not there; 0 when memory is exhausted or the
// tree is full.
CV_MUST_USE uint32_t cv_flame_tree_child(struct cv_flame_tree *tree, uint32_t parent,
                                         struct cv_frame frame);

// Counts a stack that ends at `node`.
void cv_flame_tree_weigh(struct cv_flame_tree *tree, uint32_t node, uint64_t weight);

// Brings siblings into the order of their names, numbers in them by value.
void cv_flame_tree_sort(struct cv_flame_tree *tree);

// Writes one line per stack, "outer;inner weight", as stackcollapse scripts do; the names of the
// kernel's functions end in "_[k]". Errors stay in `file`.
void cv_flame_tree_write(const struct cv_flame_tree *tree, FILE *file);

#endif
