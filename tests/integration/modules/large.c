/* GET /large/{bytes} answers so many bytes, up to 40 million, from where they lie. */
#include <covet.h>
#include <stdlib.h>

#define BYTES_MAX 40000000

static char bytes[BYTES_MAX];

static void large(struct covet_request *request, struct covet_response *response) {
    int64_t length = 0;

    if (covet_request_param_int(request, "bytes", &length) != 0 || length < 0 ||
        length > BYTES_MAX) {
        covet_response_error(response, 400);
        return;
    }
    covet_response_body(response, "application/octet-stream", bytes, (size_t)length, COVET_STATIC);
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/large/{bytes:int}", large, NULL);
}
