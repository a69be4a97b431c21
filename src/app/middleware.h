// The chain around handlers: what runs before, in order, and after, in reverse.
#ifndef CV_APP_MIDDLEWARE_H
#define CV_APP_MIDDLEWARE_H

#include <stdbool.h>
#include <stdint.h>

#include <covet/app.h>

#include "base/compiler.h"

#define CV_MIDDLEWARE_PER_GROUP_MAX 32u
#define CV_MIDDLEWARE_CHAIN_MAX 255u

struct cv_middleware {
    covet_before_fn before;  // May be NULL.
    covet_after_fn after;    // May be NULL.
    void *context;           // borrowed for the app's life
};

struct cv_middleware_list {
    struct cv_middleware *item;  // owned
    uint32_t count;
};

// Appends one. Returns 0, -EINVAL when there is no function, -ENOSPC or -ENOMEM.
CV_MUST_USE int cv_middleware_add(struct cv_middleware_list *list, uint32_t count_max,
                                  const struct cv_middleware *item);

// Makes `list` what `outer` holds followed by what `list` held. Returns 0, -ENOSPC or -ENOMEM.
CV_MUST_USE int cv_middleware_prepend(struct cv_middleware_list *list,
                                      const struct cv_middleware_list *outer);

void cv_middleware_deinit(struct cv_middleware_list *list);

// Runs the request's chain up to the handler. True: go on with it. False: the chain ended the way
// in; whether it answered or deferred is for the caller to see.
bool cv_middleware_enter(struct covet_request *request);

// Runs `after` of everything entered, in reverse.
void cv_middleware_leave(struct covet_request *request);

#endif
