/* The same as a program of its own, linked with libcovet; it takes covet's options. */
#include <covet.h>

static void hello(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "Hello, World!\n");
}

static int init(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/", hello, NULL);
}

int main(int argc, char **argv) {
    return covet_main(argc, argv, init);
}
