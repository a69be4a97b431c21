/* The smallest module: covet --module hello.so */
#include <covet.h>

static void hello(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "Hello, World!\n");
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/", hello, NULL);
}
