// What a client said, as handlers ask for it (<covet/request.h>): views into the head and the body
// where they can be used as they are, else decoded into the request's arena.
#include <arpa/inet.h>
#include <errno.h>

#include "app/request.h"
#include "http/headers.h"
#include "http/target.h"

_Static_assert((int)COVET_PEER_UNKNOWN == (int)CV_PEER_UNKNOWN &&
                   (int)COVET_PEER_IPV4 == (int)CV_PEER_IPV4 &&
                   (int)COVET_PEER_IPV6 == (int)CV_PEER_IPV6 &&
                   (int)COVET_PEER_UNIX == (int)CV_PEER_UNIX,
               "public and internal address families are the same numbers");

#define NOTHING ((struct covet_span){0})

static struct covet_span show(struct cv_span span) {
    return (struct covet_span){span.data, span.length};
}

static struct covet_span show_slice(const struct covet_request *request,
                                    struct cv_parser_slice slice) {
    return show(cv_parser_span(request->base, slice));
}

unsigned covet_request_method(const struct covet_request *request) {
    return request->head->method;
}

struct covet_span covet_request_method_text(const struct covet_request *request) {
    return show_slice(request, request->head->method_text);
}

struct covet_span covet_request_path(const struct covet_request *request) {
    return show(request->path);
}

struct covet_span covet_request_path_raw(const struct covet_request *request) {
    return show_slice(request, request->head->path);
}

static struct cv_span query_of(const struct covet_request *request) {
    return cv_parser_span(request->base, request->head->query);
}

struct covet_span covet_request_query_raw(const struct covet_request *request) {
    return request->head->query.length == 0 ? NOTHING : show(query_of(request));
}

struct covet_span covet_request_authority(const struct covet_request *request) {
    return show_slice(request, request->head->authority);
}

int covet_request_version_minor(const struct covet_request *request) {
    return request->head->version_minor;
}

struct covet_span covet_request_param(const struct covet_request *request, const char *name) {
    struct cv_span wanted = cv_span_of(name);

    for (uint32_t i = 0; i < request->match.param_count; i++)
        if (cv_span_equal(request->match.route->param_name[i], wanted))
            return show(request->match.param[i]);
    return NOTHING;
}

int covet_request_param_int(const struct covet_request *request, const char *name, int64_t *value) {
    struct covet_span text = covet_request_param(request, name);
    bool negative = text.length > 0 && text.data[0] == '-';
    uint64_t size;

    if (text.data == NULL)
        return -ENOENT;
    if (!cv_span_to_uint64(cv_span_make(text.data + negative, text.length - negative),
                           (uint64_t)INT64_MAX + negative, &size))
        return -EINVAL;
    *value = negative ? (int64_t)(0 - size) : (int64_t)size;
    return 0;
}

// Pairs of a query or a form.

static bool decode(struct covet_request *request, struct cv_span text, struct cv_span *value) {
    char *out;

    if (text.length == 0 || (memchr(text.data, '%', text.length) == NULL &&
                             memchr(text.data, '+', text.length) == NULL)) {
        *value = text;
        return true;
    }
    out = cv_arena_alloc(&request->arena, text.length);
    if (out == NULL || !cv_target_decode_component(text, out, &value->length))
        return false;
    value->data = out;
    return true;
}

static struct covet_span find_pair(struct covet_request *request, struct cv_span pairs,
                                   const char *wanted) {
    struct cv_span name, value;

    while (cv_target_next_pair(&pairs, &name, &value))
        if (decode(request, name, &name) && cv_span_equal(name, cv_span_of(wanted)))
            return decode(request, value, &value) ? show(value) : NOTHING;
    return NOTHING;
}

static bool next_pair(struct covet_request *request, struct cv_span pairs, size_t *at,
                      struct covet_span *name, struct covet_span *value) {
    struct cv_span rest, one_name, one_value;

    if (*at >= pairs.length)
        return false;
    rest = cv_span_make(pairs.data + *at, pairs.length - *at);
    while (cv_target_next_pair(&rest, &one_name, &one_value)) {
        if (!decode(request, one_name, &one_name) || !decode(request, one_value, &one_value))
            continue;
        *at = pairs.length - rest.length;
        *name = show(one_name);
        *value = show(one_value);
        return true;
    }
    *at = pairs.length;
    return false;
}

struct covet_span covet_request_query(struct covet_request *request, const char *name) {
    return find_pair(request, query_of(request), name);
}

bool covet_request_query_next(struct covet_request *request, size_t *at, struct covet_span *name,
                              struct covet_span *value) {
    return next_pair(request, query_of(request), at, name, value);
}

static struct cv_span form_of(const struct covet_request *request) {
    struct cv_span type;
    const char *end;

    if (!cv_headers_get(request->head, request->base, CV_FIELD_CONTENT_TYPE, &type))
        return (struct cv_span){0};
    end = type.length == 0 ? NULL : memchr(type.data, ';', type.length);
    if (end != NULL)
        type.length = (size_t)(end - type.data);
    if (!cv_span_equal_nocase(cv_span_trim(type), CV_SPAN("application/x-www-form-urlencoded")))
        return (struct cv_span){0};
    return request->body;
}

struct covet_span covet_request_form(struct covet_request *request, const char *name) {
    return find_pair(request, form_of(request), name);
}

bool covet_request_form_next(struct covet_request *request, size_t *at, struct covet_span *name,
                             struct covet_span *value) {
    return next_pair(request, form_of(request), at, name, value);
}

// Fields.

struct covet_span covet_request_header(const struct covet_request *request, const char *name) {
    struct cv_span value;

    return cv_headers_find(request->head, request->base, cv_span_of(name), &value) ? show(value)
                                                                                   : NOTHING;
}

bool covet_request_header_at(const struct covet_request *request, size_t index,
                             struct covet_span *name, struct covet_span *value) {
    if (index >= request->head->field_count)
        return false;
    *name = show_slice(request, request->head->field[index].name);
    *value = show_slice(request, request->head->field[index].value);
    return true;
}

struct covet_span covet_request_cookie(const struct covet_request *request, const char *name) {
    const struct cv_parser_head *head = request->head;
    struct cv_span wanted = cv_span_of(name), field, value;

    if (!cv_headers_get(head, request->base, CV_FIELD_COOKIE, &field))
        return NOTHING;
    if (cv_headers_cookie(field, wanted, &value))
        return show(value);
    if ((head->repeated & 1u << CV_FIELD_COOKIE) == 0)
        return NOTHING;
    // Clients send one field; some proxies cut it into several.
    for (uint32_t i = head->known[CV_FIELD_COOKIE] + 1u; i < head->field_count; i++) {
        struct cv_span other = cv_parser_span(request->base, head->field[i].name);

        if (cv_span_equal_nocase(other, CV_SPAN("cookie")) &&
            cv_headers_cookie(cv_parser_span(request->base, head->field[i].value), wanted, &value))
            return show(value);
    }
    return NOTHING;
}

// The client.

void covet_request_peer(struct covet_request *request, struct covet_peer *peer) {
    const struct cv_peer *from = request->sink->ops->peer(request->sink);

    peer->family = (enum covet_peer_family)from->family;
    peer->port = from->port;
    memcpy(peer->address, from->address, sizeof(peer->address));
}

struct covet_span covet_request_peer_text(struct covet_request *request) {
    const struct cv_peer *from = request->sink->ops->peer(request->sink);
    bool ipv4 = from->family == CV_PEER_IPV4;
    char *text;

    if (from->family == CV_PEER_UNIX)
        return show(CV_SPAN("unix"));
    if (!ipv4 && from->family != CV_PEER_IPV6)
        return show(CV_SPAN("unknown"));
    text = cv_arena_alloc(&request->arena, INET6_ADDRSTRLEN);
    if (text == NULL ||
        inet_ntop(ipv4 ? AF_INET : AF_INET6, from->address, text, INET6_ADDRSTRLEN) == NULL)
        return NOTHING;
    return show(cv_span_of(text));
}

// The body.

struct covet_span covet_request_body(const struct covet_request *request) {
    return show(request->body);
}

int64_t covet_request_content_length(const struct covet_request *request) {
    if (!request->head->has_content_length)
        return -1;
    return (int64_t)CV_MIN(request->head->content_length, (uint64_t)INT64_MAX);
}

int covet_request_on_body(struct covet_request *request, covet_body_fn on_body, void *context) {
    const struct cv_route *route = request->match.route;

    if (route == NULL || !route->stream_body)
        return -EINVAL;
    if (request->state == CV_REQUEST_FINISHED)
        return -EALREADY;
    request->on_body = on_body;
    request->on_body_context = context;
    return 0;
}

void covet_request_pause_body(struct covet_request *request, bool paused) {
    request->body_paused = paused;
    cv_request_tell_pause(request);
}

// Keeping it.

void covet_request_defer(struct covet_request *request) {
    request->deferred = true;
}

void covet_request_on_abort(struct covet_request *request, covet_abort_fn on_abort, void *context) {
    request->on_abort = on_abort;
    request->on_abort_context = context;
}

bool covet_request_aborted(const struct covet_request *request) {
    return request->aborted;
}

void *covet_request_context(const struct covet_request *request) {
    return request->match.route == NULL ? NULL : request->match.route->context;
}

void *covet_request_user_data(const struct covet_request *request) {
    return request->user_data;
}

void covet_request_set_user_data(struct covet_request *request, void *user_data) {
    request->user_data = user_data;
}

struct covet_response *covet_request_response(struct covet_request *request) {
    return &request->response;
}

struct covet_worker *covet_request_worker(const struct covet_request *request) {
    return request->worker;
}

void *covet_request_alloc(struct covet_request *request, size_t bytes) {
    return cv_arena_alloc(&request->arena, bytes);
}

char *covet_request_copy(struct covet_request *request, struct covet_span span) {
    return cv_arena_copy(&request->arena, cv_span_make(span.data, span.length));
}
