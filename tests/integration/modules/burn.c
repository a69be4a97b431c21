/* Requests of a known cost: GET /burn/{us} keeps the processor busy for so many microseconds. */
#include <covet.h>
#include <stdint.h>
#include <time.h>

static int64_t now_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void burn(struct covet_request *request, struct covet_response *response) {
    int64_t end_ns = now_ns(), us = 0;

    if (covet_request_param_int(request, "us", &us) != 0 || us < 0 || us > 1000000) {
        covet_response_error(response, 400);
        return;
    }
    end_ns += us * 1000;
    while (now_ns() < end_ns) {
    }
    covet_response_text(response, "burnt\n");
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/burn/{us:int}", burn, NULL);
}
