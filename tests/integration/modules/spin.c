/* Work whose place on a stack is known: each answer takes about a millisecond in spin_here. */
#include <covet.h>
#include <time.h>

#define SPIN_NS 1000000

__attribute__((noinline)) static unsigned spin_here(unsigned value) {
    struct timespec from, now;
    volatile unsigned result = value;

    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        for (unsigned i = 0; i < 20000; i++)
            result = result * 1664525u + 1013904223u;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - from.tv_sec) * 1000000000 + now.tv_nsec - from.tv_nsec < SPIN_NS);
    return result;
}

/* A frame of 20 kB, as handlers with buffers have: more than one would copy of a stack by habit. */
__attribute__((noinline)) static unsigned with_buffer(unsigned value) {
    volatile char buffer[20000];

    buffer[value % sizeof(buffer)] = (char)value;
    return spin_here(value) + (unsigned)buffer[value % sizeof(buffer)];
}

static void answer_late(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, with_buffer(1) == 0 ? "zero\n" : "done\n");
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    covet_route(app, COVET_GET, "/healthz", answer_late, NULL);
    return covet_route(app, COVET_GET, "/", answer_late, NULL);
}
