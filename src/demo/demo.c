// GET  /                                    Hello, World!
// GET  /api/json                            {"message":"Hello, World!"}
// POST /echo                                the body, with its own type
// GET  /api/users/{id}                      {"id":"..."}
// GET  /api/users/{id}/posts/{post}/comments  {"id":"...","post":"...","comments":[]}
// GET  /healthz, /metrics                   for those who watch
#include "demo/demo.h"

#include <covet.h>
#include <string.h>

static void hello(struct covet_request *request, struct covet_response *response) {
    static const char text[] = "Hello, World!";

    (void)request;
    covet_response_body(response, "text/plain", text, sizeof(text) - 1, COVET_STATIC);
}

static void json(struct covet_request *request, struct covet_response *response) {
    static const char text[] = "{\"message\":\"Hello, World!\"}";

    (void)request;
    covet_response_body(response, "application/json", text, sizeof(text) - 1, COVET_STATIC);
}

static void healthz(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_body(response, "text/plain", "ok", 2, COVET_STATIC);
}

static void metrics(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_metrics_respond(response);
}

static void echo(struct covet_request *request, struct covet_response *response) {
    struct covet_span body = covet_request_body(request);
    struct covet_span type = covet_request_header(request, "Content-Type");

    if (type.length > 0)
        covet_response_header_span(response, "Content-Type", type);
    covet_response_body(response, "application/octet-stream", body.data, body.length,
                        COVET_REQUEST);
}

// JSON text in memory of the request. Parameters are UTF-8 already, so only quotes, backslashes and
// control bytes need an escape (RFC 8259 section 7).
struct text {
    char *data;
    size_t length;
};

#define ESCAPED_BYTES_MAX 6u  // \u001f

static void put(struct text *text, const char *piece) {
    size_t length = strlen(piece);

    memcpy(text->data + text->length, piece, length);
    text->length += length;
}

static void put_escaped(struct text *text, struct covet_span value) {
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < value.length; i++) {
        unsigned char c = (unsigned char)value.data[i];

        if (c == '"' || c == '\\') {
            text->data[text->length++] = '\\';
        } else if (c < 0x20) {
            put(text, "\\u00");
            text->data[text->length++] = hex[c >> 4];
            text->data[text->length++] = hex[c & 15];
            continue;
        }
        text->data[text->length++] = (char)c;
    }
}

static void user(struct covet_request *request, struct covet_response *response) {
    struct covet_span id = covet_request_param(request, "id");
    size_t bytes = id.length * ESCAPED_BYTES_MAX + 16;
    struct text text = {covet_request_alloc(request, bytes), 0};

    if (text.data == NULL) {
        covet_response_error(response, 500);
        return;
    }
    put(&text, "{\"id\":\"");
    put_escaped(&text, id);
    put(&text, "\"}");
    covet_response_body(response, "application/json", text.data, text.length, COVET_REQUEST);
}

static void comments(struct covet_request *request, struct covet_response *response) {
    struct covet_span id = covet_request_param(request, "id");
    struct covet_span post = covet_request_param(request, "post");
    size_t bytes = (id.length + post.length) * ESCAPED_BYTES_MAX + 64;
    struct text text = {covet_request_alloc(request, bytes), 0};

    if (text.data == NULL) {
        covet_response_error(response, 500);
        return;
    }
    put(&text, "{\"id\":\"");
    put_escaped(&text, id);
    put(&text, "\",\"post\":\"");
    put_escaped(&text, post);
    put(&text, "\",\"comments\":[]}");
    covet_response_body(response, "application/json", text.data, text.length, COVET_REQUEST);
}

int cv_demo_init(struct covet_app *app) {
    // What fails is remembered by the app and refuses it as a whole.
    covet_route(app, COVET_GET, "/", hello, NULL);
    covet_route(app, COVET_GET, "/api/json", json, NULL);
    covet_route(app, COVET_POST, "/echo", echo, NULL);
    covet_route(app, COVET_GET, "/api/users/{id}", user, NULL);
    covet_route(app, COVET_GET, "/api/users/{id}/posts/{post}/comments", comments, NULL);
    covet_route(app, COVET_GET, "/healthz", healthz, NULL);
    return covet_route(app, COVET_GET, "/metrics", metrics, NULL);
}
