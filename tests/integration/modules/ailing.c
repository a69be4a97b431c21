/* A module that does what a handler should not; test_profile_stat.py builds it for the doctor.
 *
 *     GET /block/{ms:int}   sleeps in the worker
 *     GET /call/{n:int}     makes n system calls
 *     GET /fail             answers 500
 */
#define _GNU_SOURCE
#include <covet.h>
#include <unistd.h>

static void block(struct covet_request *request, struct covet_response *response) {
    int64_t ms = 0;

    covet_request_param_int(request, "ms", &ms);
    usleep((useconds_t)(ms * 1000));
    covet_response_text(response, "blocked\n");
}

static void call(struct covet_request *request, struct covet_response *response) {
    int64_t count = 0;

    covet_request_param_int(request, "n", &count);
    while (count-- > 0)
        (void)getppid();
    covet_response_text(response, "called\n");
}

static void fail(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_error(response, 500);
}

static void hello(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "hello\n");
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    covet_route(app, COVET_GET, "/healthz", hello, NULL);
    covet_route(app, COVET_GET, "/block/{ms:int}", block, NULL);
    covet_route(app, COVET_GET, "/call/{n:int}", call, NULL);
    return covet_route(app, COVET_GET, "/fail", fail, NULL);
}
