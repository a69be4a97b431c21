/* A module that leaves its worker LEFT descriptors, and gives them back when it is asked to. */
#include <covet.h>
#include <fcntl.h>
#include <unistd.h>

COVET_MODULE;

#define LEFT 30
#define HOARD_MAX 1024

static int hoard[HOARD_MAX];
static int count;

static void give_back(int most) {
    while (most-- > 0 && count > 0) {
        close(hoard[--count]);
    }
}

static int begin(struct covet_worker *worker, void *context) {
    (void)worker, (void)context;
    while (count < HOARD_MAX && (hoard[count] = open("/dev/null", O_RDONLY)) >= 0) {
        count++;
    }
    give_back(LEFT);
    return 0;
}

static void hello(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "hello");
}

static void release(struct covet_request *request, struct covet_response *response) {
    (void)request;
    give_back(HOARD_MAX);
    covet_response_text(response, "given back");
}

int covet_module_init(struct covet_app *app) {
    int status = covet_on_worker(app, begin, NULL, hoard);
    status = status != 0 ? status : covet_route(app, COVET_GET, "/healthz", hello, NULL);
    status = status != 0 ? status : covet_route(app, COVET_GET, "/", hello, NULL);
    return status != 0 ? status : covet_route(app, COVET_GET, "/release", release, NULL);
}
