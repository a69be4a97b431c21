// Nodes refer to each other by index, so the array may move. A function has few callees, so they
// are a list.
#include "profile/flame_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int cv_flame_tree_init(struct cv_flame_tree *tree) {
    tree->capacity = 4096;
    tree->nodes = calloc(tree->capacity, sizeof(*tree->nodes));
    if (tree->nodes == NULL)
        return -ENOMEM;
    tree->nodes[0].frame = (struct cv_frame){"all", CV_ORIGIN_THREAD};
    tree->count = 1;
    return 0;
}

void cv_flame_tree_deinit(struct cv_flame_tree *tree) {
    free(tree->nodes);
    *tree = (struct cv_flame_tree){0};
}

static bool grow(struct cv_flame_tree *tree) {
    if (tree->count < tree->capacity)
        return true;
    if (tree->capacity >= CV_FLAME_TREE_NODES_MAX)
        return false;
    void *grown = reallocarray(tree->nodes, 2 * tree->capacity, sizeof(*tree->nodes));
    if (grown == NULL)
        return false;
    tree->nodes = grown;
    tree->capacity *= 2;
    return true;
}

uint32_t cv_flame_tree_child(struct cv_flame_tree *tree, uint32_t parent, struct cv_frame frame) {
    uint32_t child = tree->nodes[parent].first_child;

    while (child != 0 && (tree->nodes[child].frame.name != frame.name ||
                          tree->nodes[child].frame.origin != frame.origin))
        child = tree->nodes[child].next_sibling;
    if (child != 0)
        return child;
    if (!grow(tree))
        return 0;
    child = tree->count++;
    tree->nodes[child] = (struct cv_flame_node){
        .frame = frame,
        .parent = parent,
        .next_sibling = tree->nodes[parent].first_child,
        .depth = tree->nodes[parent].depth + 1,
    };
    tree->nodes[parent].first_child = child;
    return child;
}

void cv_flame_tree_weigh(struct cv_flame_tree *tree, uint32_t node, uint64_t weight) {
    tree->nodes[node].own += weight;
    for (; node != 0; node = tree->nodes[node].parent)
        tree->nodes[node].total += weight;
    tree->nodes[0].total += weight;
}

static int compare_nodes(const void *a, const void *b, void *nodes) {
    const struct cv_flame_node *left = (struct cv_flame_node *)nodes + *(const uint32_t *)a;
    const struct cv_flame_node *right = (struct cv_flame_node *)nodes + *(const uint32_t *)b;
    int order = strverscmp(left->frame.name, right->frame.name);

    return order != 0 ? order : (int)left->frame.origin - (int)right->frame.origin;
}

static void sort_children(struct cv_flame_tree *tree, uint32_t parent, uint32_t *children) {
    uint32_t *link = &tree->nodes[parent].first_child;
    size_t count = 0;

    for (uint32_t child = *link; child != 0; child = tree->nodes[child].next_sibling)
        children[count++] = child;
    if (count < 2)
        return;
    qsort_r(children, count, sizeof(*children), compare_nodes, tree->nodes);
    for (size_t i = 0; i < count; i++) {
        *link = children[i];
        link = &tree->nodes[children[i]].next_sibling;
    }
    *link = 0;
}

void cv_flame_tree_sort(struct cv_flame_tree *tree) {
    uint32_t *children = calloc(tree->count, sizeof(*children));

    if (children == NULL)
        return;  // Any order shows the same.
    for (uint32_t parent = 0; parent < tree->count; parent++)
        sort_children(tree, parent, children);
    free(children);
}

// A name of a function may hold what separates functions here.
static void write_name(const struct cv_frame *frame, FILE *file) {
    for (const char *at = frame->name; *at != '\0'; at++)
        fputc(*at == ';' ? ':' : (unsigned char)*at < ' ' ? '?' : *at, file);
    if (frame->origin == CV_ORIGIN_KERNEL || frame->origin == CV_ORIGIN_BPF)
        fputs("_[k]", file);
}

static void write_path(const struct cv_flame_tree *tree, uint32_t node, FILE *file) {
    if (tree->nodes[node].parent != 0) {
        write_path(tree, tree->nodes[node].parent, file);
        fputc(';', file);
    }
    write_name(&tree->nodes[node].frame, file);
}

void cv_flame_tree_write(const struct cv_flame_tree *tree, FILE *file) {
    for (uint32_t node = 1; node < tree->count; node++) {
        if (tree->nodes[node].own == 0)
            continue;
        write_path(tree, node, file);
        fprintf(file, " %" PRIu64 "\n", tree->nodes[node].own);
    }
}
