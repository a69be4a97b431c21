// GET  /                                    Hello, World!
// GET  /api/json                            {"message":"Hello, World!"}
// POST /echo                                the body, with its own type
// GET  /api/users/{id}                      {"id":"..."}
// GET  /api/users/{id}/posts/{post}/comments  {"id":"...","post":"...","comments":[]}
// GET  /healthz, /metrics                   for those who watch
#include "demo/demo.h"

#include <covet.h>

static void hello(struct covet_request *request, struct covet_response *response) {
    static const char text[] = "Hello, World!";

    (void)request;
    covet_response_body(response, "text/plain", text, sizeof(text) - 1, COVET_STATIC);
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

struct message {
    struct covet_span message;
};

COVET_JSON(message_json, struct message, COVET_JSON_FIELD(struct message, message));

static void json(struct covet_request *request, struct covet_response *response) {
    static const char text[] = "Hello, World!";
    struct message message = {.message = {text, sizeof(text) - 1}};

    (void)request;
    covet_response_json_struct(response, &message_json, &message);
}

// Parameters are UTF-8: a path that is not does not reach a handler.
struct user {
    struct covet_span id;
};

struct comments {
    struct covet_span id;
    struct covet_span post;
    struct covet_span *comments;
    size_t comment_count;
};

COVET_JSON(user_json, struct user, COVET_JSON_FIELD(struct user, id));

COVET_JSON(comments_json, struct comments, COVET_JSON_FIELD(struct comments, id),
           COVET_JSON_FIELD(struct comments, post),
           COVET_JSON_ARRAY(struct comments, comments, comment_count));

static void user(struct covet_request *request, struct covet_response *response) {
    struct user user = {.id = covet_request_param(request, "id")};

    covet_response_json_struct(response, &user_json, &user);
}

static void comments(struct covet_request *request, struct covet_response *response) {
    struct comments comments = {
        .id = covet_request_param(request, "id"),
        .post = covet_request_param(request, "post"),
    };

    covet_response_json_struct(response, &comments_json, &comments);
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
