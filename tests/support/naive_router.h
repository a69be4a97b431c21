// A second router, written as the documentation reads: every route is tried, the best one wins.
#ifndef T_SUPPORT_NAIVE_ROUTER_H
#define T_SUPPORT_NAIVE_ROUTER_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/parser.h"

#define T_NAIVE_ROUTES_MAX 64u

struct t_naive {
    char *pattern[T_NAIVE_ROUTES_MAX];
    uint16_t methods[T_NAIVE_ROUTES_MAX];
    uint32_t count;
};

struct t_naive_result {
    const char *pattern;  // NULL: none
    uint16_t methods;     // Of the route.
    uint16_t allowed;     // Of all routes that match the path.
};

static inline void t_naive_add(struct t_naive *naive, const char *pattern, uint16_t methods) {
    if (naive->count == T_NAIVE_ROUTES_MAX)
        abort();
    naive->pattern[naive->count] = strdup(pattern);
    naive->methods[naive->count++] = methods;
}

static inline void t_naive_clear(struct t_naive *naive) {
    while (naive->count > 0)
        free(naive->pattern[--naive->count]);
}

static inline bool t_naive_is_int(const char *text, size_t length) {
    size_t digits = length - (length > 0 && text[0] == '-');
    char copy[24];

    if (digits < 1 || digits > 19 || strspn(text + (length - digits), "0123456789") < digits)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    errno = 0;
    (void)strtoll(copy, NULL, 10);
    return errno == 0;
}

// False when it does not match, else the ranks of its segments as letters: lower sorts first.
static inline bool t_naive_rank(const char *pattern, const char *path, char *rank) {
    while (*pattern == '/' && *path == '/') {
        size_t p = strcspn(++pattern, "/"), s = strcspn(++path, "/");
        bool is_param = pattern[0] == '{';

        if (is_param && memcmp(pattern + p - 4, "...}", 4) == 0) {
            *rank++ = 'd';
            *rank = '\0';
            return true;
        }
        if (!is_param) {
            if (p != s || memcmp(pattern, path, p) != 0)
                return false;
            *rank++ = 'a';
        } else if (p > 5 && memcmp(pattern + p - 5, ":int}", 5) == 0) {
            if (!t_naive_is_int(path, s))
                return false;
            *rank++ = 'b';
        } else {
            if (s == 0)
                return false;
            *rank++ = 'c';
        }
        pattern += p;
        path += s;
    }
    *rank = '\0';
    return *pattern == '\0' && *path == '\0';
}

// `path` ends in NUL and holds no other one.
static inline struct t_naive_result t_naive_match(const struct t_naive *naive, uint16_t method,
                                                  const char *path) {
    struct t_naive_result best = {NULL, 0, 0};
    char best_rank[80] = "", rank[80];
    bool best_is_exact = false;

    for (uint32_t i = 0; i < naive->count; i++) {
        uint16_t methods = naive->methods[i];
        bool is_exact = (methods & method) != 0;
        bool takes = is_exact || (method == CV_METHOD_HEAD && (methods & CV_METHOD_GET) != 0);

        if (!t_naive_rank(naive->pattern[i], path, rank))
            continue;
        best.allowed |= methods;
        if (!takes)
            continue;
        int order = best.pattern == NULL ? -1 : strcmp(rank, best_rank);
        // Of one pattern, a route that takes HEAD itself comes before one that takes GET.
        if (order < 0 || (order == 0 && is_exact && !best_is_exact)) {
            best.pattern = naive->pattern[i];
            best.methods = methods;
            best_is_exact = is_exact;
            strcpy(best_rank, rank);
        }
    }
    return best;
}

#endif
