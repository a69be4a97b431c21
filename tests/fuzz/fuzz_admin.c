// A request at the admin address, up to the orders that change routes: one well-formed answer, as
// covet-load reads it, or none as long as the head is not whole.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "base/assert.h"
#include "http/parser.h"
#include "load/answers.h"
#include "load/requests.h"
#include "server/admin.h"
#include "server/liveroutes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handle(struct covet_request *request, struct covet_response *response) {
    (void)request, (void)response;
}

static struct covet_app *make_app(void) {
    struct covet_app *app = cv_app_create();
    CV_ASSERT(app != NULL);
    CV_ASSERT(covet_route(app, COVET_GET, "/old/{id}", handle, NULL) == 0);
    CV_ASSERT(covet_handler(app, "plain", handle, NULL) == 0);
    CV_ASSERT(cv_app_seal(app) == 0);
    return app;
}

static void answer(void *context, uint16_t method, struct cv_span path, struct cv_span query,
                   struct cv_admin_reply *reply) {
    struct covet_app *app = context;
    if (cv_span_equal(path, CV_SPAN("/routes"))) {
        cv_liveroutes_answer(app, method, query, reply);
    } else {
        cv_liveroutes_tables(app, reply);
    }
}

// By covet-load's reader, as the answer to GET or HEAD.
static void check_answer(struct cv_span output, bool is_head) {
    static struct load_shape shape;
    struct load_requests requests = {.count = 1, .head_only = &is_head};
    struct load_tally tally = {0};
    struct load_reader reader = {0};
    memset(&shape, 0, sizeof(shape));
    uint8_t kind;
    int answers =
        load_reader_feed(&reader, &requests, &shape, output.data, output.length, 1, &tally, &kind);
    CV_ASSERT(answers == 1);
    CV_ASSERT(reader.closing);
    for (size_t i = 0; i < output.length; i++) {
        CV_ASSERT(output.data[i] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct covet_app *app = make_app();
    struct cv_span output = {0};
    char *copy = malloc(CV_MAX(size, (size_t)1));
    CV_ASSERT(copy != NULL);
    memcpy(copy, data, size);
    if (cv_admin_answer(cv_span_make(copy, size), answer, app, &output)) {
        bool is_head = size >= 5 && memmem(copy, size, "HEAD ", 5) != NULL && output.length >= 4 &&
                       memcmp(output.data + output.length - 4, "\r\n\r\n", 4) == 0;
        CV_ASSERT(output.data != NULL);
        check_answer(output, is_head);
    }
    free((void *)(uintptr_t)output.data);
    free(copy);
    cv_app_destroy(app);
    return 0;
}
