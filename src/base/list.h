// An intrusive doubly linked list: the nodes live inside the records, so linking allocates nothing
// and unlinking needs no search.
//
//   list.ring <-> node <-> node <-> (back to list.ring)
//
// The list's own node closes the ring, so no operation has a special case for the ends. A node that
// is in no list has NULL links; zeroed memory is such a node. Single thread.
#ifndef CV_BASE_LIST_H
#define CV_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct cv_list_node {
    struct cv_list_node *next;  // borrowed until cv_list_remove; NULL when in no list
    struct cv_list_node *prev;
};

struct cv_list {
    struct cv_list_node ring;
};

// The record whose member `member` is the node.
#define CV_LIST_ENTRY(node, type, member) CV_CONTAINER_OF(node, type, member)

// Visits every node, first to last. The body must not unlink any node.
#define CV_LIST_FOR_EACH(node, list) \
    for (struct cv_list_node *node = (list)->ring.next; (node) != &(list)->ring; \
         node = (node)->next)

// Visits every node, first to last. The body may unlink or free the visited node, no other.
#define CV_LIST_FOR_EACH_SAFE(node, list) \
    for (struct cv_list_node *node = (list)->ring.next, *node##_next = (node)->next; \
         (node) != &(list)->ring; node = node##_next, node##_next = (node)->next)

static inline void cv_list_init(struct cv_list *list) {
    list->ring.next = &list->ring;
    list->ring.prev = &list->ring;
}

static inline bool cv_list_empty(const struct cv_list *list) {
    return list->ring.next == &list->ring;
}

// Whether the node is in a list.
static inline bool cv_list_linked(const struct cv_list_node *node) {
    return node->next != NULL;
}

static inline void cv_list_push_back(struct cv_list *list, struct cv_list_node *node) {
    node->next = &list->ring;
    node->prev = list->ring.prev;
    list->ring.prev->next = node;
    list->ring.prev = node;
}

static inline void cv_list_push_front(struct cv_list *list, struct cv_list_node *node) {
    node->next = list->ring.next;
    node->prev = &list->ring;
    list->ring.next->prev = node;
    list->ring.next = node;
}

// Takes the node out of whatever list it is in; it must be in one.
static inline void cv_list_remove(struct cv_list_node *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = NULL;
    node->prev = NULL;
}

// The first node, still linked; NULL when the list is empty.
static inline struct cv_list_node *cv_list_first(const struct cv_list *list) {
    return cv_list_empty(list) ? NULL : list->ring.next;
}

// Unlinks and returns the first node; NULL when the list is empty.
static inline struct cv_list_node *cv_list_pop_front(struct cv_list *list) {
    struct cv_list_node *node = cv_list_first(list);

    if (node != NULL)
        cv_list_remove(node);
    return node;
}

// Moves every node of `from` behind those of `to`, in order; `from` is empty afterwards.
static inline void cv_list_move_back(struct cv_list *to, struct cv_list *from) {
    if (cv_list_empty(from))
        return;
    from->ring.next->prev = to->ring.prev;
    from->ring.prev->next = &to->ring;
    to->ring.prev->next = from->ring.next;
    to->ring.prev = from->ring.prev;
    cv_list_init(from);
}

#endif
