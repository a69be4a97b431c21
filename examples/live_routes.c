/* Routes that change while the server runs.
 *
 *     PUT    /pages/{name}   serves the body at /NAME from now on; a second PUT replaces it
 *     DELETE /pages/{name}   and not any more
 *
 * A page is the context of its route. Requests that are open keep the page they found; when the
 * last one is finished, on_removed frees it. "teapot" has no route at first: the administrator may
 * give it one, curl --unix-socket /run/covet/PID/admin -X POST
 * 'http://a/routes?method=GET&pattern=/tea&handler=teapot'.
 */
#include <covet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct page {
    size_t length;
    char text[];
};

static void show(struct covet_request *request, struct covet_response *response) {
    const struct page *page = covet_request_context(request);

    covet_response_body(response, "text/plain; charset=utf-8", page->text, page->length,
                        COVET_COPY);
}

static struct page *new_page(struct covet_span text) {
    struct page *page = malloc(sizeof(*page) + text.length);

    if (page != NULL) {
        page->length = text.length;
        if (text.length > 0)
            memcpy(page->text, text.data, text.length);
    }
    return page;
}

/* The pattern of a page; -EINVAL for a name that would not be plain text in it. */
static int name_pattern(struct covet_request *request, char *pattern, size_t room) {
    struct covet_span name = covet_request_param(request, "name");

    if (name.length + 2 > room || memchr(name.data, '{', name.length) != NULL)
        return -EINVAL;
    snprintf(pattern, room, "/%.*s", (int)name.length, name.data);
    return 0;
}

static void put_page(struct covet_request *request, struct covet_response *response) {
    struct covet_app *app = covet_worker_app(covet_request_worker(request));
    struct covet_route_options options = {0};
    char pattern[256], why[256] = "this name cannot be a path";
    int result = name_pattern(request, pattern, sizeof(pattern));

    options.methods = COVET_GET;
    options.pattern = pattern;
    options.handler = show;
    options.context = new_page(covet_request_body(request));
    options.on_removed = free;
    options.why = why;
    options.why_bytes = sizeof(why);
    if (options.context == NULL) {
        covet_response_error(response, 503);
        return;
    }
    if (result == 0)
        result = covet_route_replace(app, &options);
    if (result != 0) {
        free(options.context);
        covet_response_status(response, result == -EINVAL ? 400 : 503);
        covet_response_text(response, why);
        return;
    }
    covet_response_status(response, 201);
    covet_response_text(response, pattern);
}

static void delete_page(struct covet_request *request, struct covet_response *response) {
    struct covet_app *app = covet_worker_app(covet_request_worker(request));
    char pattern[256];
    int result = name_pattern(request, pattern, sizeof(pattern));

    if (result == 0)
        result = covet_route_remove(app, COVET_GET, pattern);
    if (result != 0)
        covet_response_error(response, result == -ENOENT ? 404 : 400);
    else
        covet_response_empty(response);
}

static void teapot(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_status(response, 418);
    covet_response_text(response, "short and stout\n");
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    covet_route(app, COVET_PUT, "/pages/{name}", put_page, NULL);
    covet_route(app, COVET_DELETE, "/pages/{name}", delete_page, NULL);
    return covet_handler(app, "teapot", teapot, NULL);
}
