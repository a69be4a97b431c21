// Chains are put together once, when the application is sealed, so that a request walks one array.
// How far it came is kept in the request: leaving undoes exactly what was entered, once.
#include "app/middleware.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/request.h"

int cv_middleware_add(struct cv_middleware_list *list, uint32_t count_max,
                      const struct cv_middleware *item) {
    struct cv_middleware *grown;

    if (item->before == NULL && item->after == NULL)
        return -EINVAL;
    if (list->count == count_max)
        return -ENOSPC;
    grown = realloc(list->item, (list->count + 1) * sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    grown[list->count] = *item;
    list->item = grown;
    list->count++;
    return 0;
}

int cv_middleware_prepend(struct cv_middleware_list *list, const struct cv_middleware_list *outer) {
    struct cv_middleware *joined;
    uint32_t count = outer->count + list->count;

    if (outer->count == 0)
        return 0;
    if (count > CV_MIDDLEWARE_CHAIN_MAX)
        return -ENOSPC;
    joined = malloc(count * sizeof(*joined));
    if (joined == NULL)
        return -ENOMEM;
    memcpy(joined, outer->item, outer->count * sizeof(*joined));
    if (list->count > 0)
        memcpy(joined + outer->count, list->item, list->count * sizeof(*joined));
    free(list->item);
    list->item = joined;
    list->count = count;
    return 0;
}

void cv_middleware_deinit(struct cv_middleware_list *list) {
    free(list->item);
    *list = (struct cv_middleware_list){0};
}

bool cv_middleware_enter(struct covet_request *request) {
    while (request->entered < request->chain_count) {
        const struct cv_middleware *item = &request->chain[request->entered++];

        if (item->before == NULL)
            continue;
        // An answer ends the way in whatever the function returned: there is nothing left to do.
        if (item->before(request, &request->response, item->context) != COVET_NEXT ||
            request->response.state != CV_RESPONSE_OPEN)
            return false;
    }
    return true;
}

void cv_middleware_leave(struct covet_request *request) {
    while (request->entered > 0) {
        const struct cv_middleware *item = &request->chain[--request->entered];

        if (item->after != NULL)
            item->after(request, &request->response, item->context);
    }
}
