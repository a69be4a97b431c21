// A tree with one level per path segment. Each node keeps its children by kind, in the order of
// precedence; trying them in that order and coming back when a branch fails gives the best match.
//
//   GET /users/{id:int}         root -- "users" --+-- int   (GET)
//   GET /users/{name}/posts                       +-- name -- "posts" (GET)
//   GET /files/{rest...}             \- "files" --- rest    (GET)
//
// A request visits each node at most once, since a node stands for one prefix of the path, so the
// worst path costs what the tree holds and not the number of ways through it. Routes of one pattern
// but other methods share a node.
#include "app/router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "http/parser.h"

_Static_assert((int)COVET_GET == (int)CV_METHOD_GET && (int)COVET_HEAD == (int)CV_METHOD_HEAD &&
                   (int)COVET_POST == (int)CV_METHOD_POST && (int)COVET_PUT == (int)CV_METHOD_PUT &&
                   (int)COVET_DELETE == (int)CV_METHOD_DELETE &&
                   (int)COVET_OPTIONS == (int)CV_METHOD_OPTIONS &&
                   (int)COVET_PATCH == (int)CV_METHOD_PATCH &&
                   (int)COVET_TRACE == (int)CV_METHOD_TRACE &&
                   (int)COVET_CONNECT == (int)CV_METHOD_CONNECT,
               "public and internal methods are the same bits");

enum segment_kind { SEGMENT_TEXT, SEGMENT_INT, SEGMENT_NAME, SEGMENT_REST };

struct segment {
    enum segment_kind kind;
    struct cv_span text;  // The plain text, or the parameter's name.
};

struct leaf {                      // One route that ends at a node.
    struct leaf *next;             // owned
    const struct cv_route *route;  // borrowed until cv_router_deinit
};

struct cv_router_node {
    struct cv_span text;             // SEGMENT_TEXT; borrowed from the pattern that made the node
    struct cv_router_node *sibling;  // owned; the next text child of the same parent
    struct cv_router_node *texts;    // owned
    struct cv_router_node *integer;  // owned
    struct cv_router_node *name;     // owned
    struct leaf *leaves;             // owned; paths that end here
    struct leaf *rests;              // owned; {name...} below this node
};

void cv_router_init(struct cv_router *router) {
    *router = (struct cv_router){0};
}

static void free_leaves(struct leaf *leaf) {
    while (leaf != NULL) {
        struct leaf *next = leaf->next;

        free(leaf);
        leaf = next;
    }
}

static void free_node(struct cv_router_node *node) {
    while (node != NULL) {
        struct cv_router_node *sibling = node->sibling;

        free_node(node->texts);
        free_node(node->integer);
        free_node(node->name);
        free_leaves(node->leaves);
        free_leaves(node->rests);
        free(node);
        node = sibling;
    }
}

void cv_router_deinit(struct cv_router *router) {
    free_node(router->root);
    *router = (struct cv_router){0};
}

// Patterns.

static bool is_name(struct cv_span text) {
    if (text.length == 0 || text.length > CV_ROUTER_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return true;
}

static bool ends_with(struct cv_span text, struct cv_span end) {
    return text.length >= end.length &&
           memcmp(text.data + text.length - end.length, end.data, end.length) == 0;
}

// Returns NULL, or what is wrong with the segment.
static const char *parse_segment(struct cv_span text, struct segment *segment) {
    static const struct cv_span int_end = {":int", 4};
    static const struct cv_span rest_end = {"...", 3};

    *segment = (struct segment){SEGMENT_TEXT, text};
    if (text.length == 0 || text.data[0] != '{') {
        if (text.length > 0 && (memchr(text.data, '{', text.length) != NULL ||
                                memchr(text.data, '}', text.length) != NULL))
            return "a parameter must be a whole segment";
        return NULL;
    }
    if (text.data[text.length - 1] != '}')
        return "a parameter must be a whole segment";

    struct cv_span name = cv_span_make(text.data + 1, text.length - 2);
    segment->kind = SEGMENT_NAME;
    if (ends_with(name, int_end)) {
        segment->kind = SEGMENT_INT;
        name.length -= int_end.length;
    } else if (ends_with(name, rest_end)) {
        segment->kind = SEGMENT_REST;
        name.length -= rest_end.length;
    }
    segment->text = name;
    return is_name(name) ? NULL : "a parameter is {name}, {name:int} or {name...}";
}

// A path that no request can have after decoding would be a route never reached.
static bool is_reachable(struct cv_span text) {
    return !cv_span_equal(text, CV_SPAN(".")) && !cv_span_equal(text, CV_SPAN(".."));
}

// Cuts the pattern into segments. Returns NULL, or what is wrong with it.
static const char *parse_pattern(const char *pattern, struct segment *segments, uint32_t *count) {
    size_t length = strlen(pattern);
    const char *at = pattern, *end = pattern + length;
    const char *wrong = NULL;

    if (length == 0 || pattern[0] != '/')
        return "a pattern begins with '/'";
    if (length > CV_ROUTER_PATTERN_BYTES_MAX)
        return "the pattern is too long";
    for (*count = 0; wrong == NULL && at < end; (*count)++) {
        const char *start = ++at;

        if (*count == CV_ROUTER_SEGMENTS_MAX)
            return "too many segments";
        if (*count > 0 && segments[*count - 1].kind == SEGMENT_REST)
            return "{name...} must be the last segment";
        at = memchr(start, '/', (size_t)(end - start));
        at = at == NULL ? end : at;
        wrong = parse_segment(cv_span_make(start, (size_t)(at - start)), &segments[*count]);
        if (wrong == NULL && segments[*count].kind == SEGMENT_TEXT &&
            !is_reachable(segments[*count].text))
            wrong = "no path keeps a dot segment";
    }
    return wrong;
}

static const char *take_names(struct cv_route *route, const struct segment *segments,
                              uint32_t count) {
    route->param_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (segments[i].kind == SEGMENT_TEXT)
            continue;
        if (route->param_count == CV_ROUTER_PARAMS_MAX)
            return "too many parameters";
        for (uint32_t p = 0; p < route->param_count; p++)
            if (cv_span_equal(route->param_name[p], segments[i].text))
                return "a parameter name is used twice";
        route->param_name[route->param_count++] = segments[i].text;
    }
    return NULL;
}

// Building.

static struct cv_router_node **child_slot(struct cv_router_node *parent,
                                          const struct segment *segment) {
    struct cv_router_node **slot;

    if (segment->kind == SEGMENT_INT)
        return &parent->integer;
    if (segment->kind == SEGMENT_NAME)
        return &parent->name;
    for (slot = &parent->texts; *slot != NULL; slot = &(*slot)->sibling)
        if (cv_span_equal((*slot)->text, segment->text))
            break;
    return slot;
}

// Walks down to the node a pattern ends at, making what is missing. Returns where the route's leaf
// goes; NULL without memory.
static struct leaf **reach(struct cv_router *router, const struct segment *segments,
                           uint32_t count) {
    struct cv_router_node **slot = &router->root;

    for (uint32_t i = 0;; i++) {
        if (*slot == NULL) {
            *slot = calloc(1, sizeof(**slot));
            if (*slot == NULL)
                return NULL;
            if (i > 0)
                (*slot)->text = segments[i - 1].text;
        }
        if (i == count)
            return &(*slot)->leaves;
        if (segments[i].kind == SEGMENT_REST)
            return &(*slot)->rests;
        slot = child_slot(*slot, &segments[i]);
    }
}

static int refuse(const struct cv_route *route, const char *why, char *error, size_t error_bytes) {
    snprintf(error, error_bytes, "route \"%.200s\": %s", route->pattern, why);
    return -EINVAL;
}

static int refuse_conflict(const struct cv_route *route, const struct cv_route *other, char *error,
                           size_t error_bytes) {
    uint16_t common = route->methods & other->methods;
    uint16_t first = (uint16_t)(common & -common);

    snprintf(error, error_bytes,
             "route \"%.200s\" matches the same paths with %s as route \"%.200s\"", route->pattern,
             cv_parser_method_name(first), other->pattern);
    return -EEXIST;
}

int cv_router_add(struct cv_router *router, struct cv_route *route, char *error,
                  size_t error_bytes) {
    struct segment segments[CV_ROUTER_SEGMENTS_MAX];
    uint32_t count = 0;
    const char *wrong = parse_pattern(route->pattern, segments, &count);

    if (wrong == NULL)
        wrong = take_names(route, segments, count);
    if (wrong == NULL && (route->methods == 0 || (route->methods & ~COVET_ANY_METHOD) != 0))
        wrong = "its methods must be some of GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";
    if (wrong != NULL)
        return refuse(route, wrong, error, error_bytes);

    struct leaf **leaves = reach(router, segments, count);
    struct leaf *leaf = calloc(1, sizeof(*leaf));
    if (leaves == NULL || leaf == NULL) {
        free(leaf);
        snprintf(error, error_bytes, "route \"%.200s\": no memory", route->pattern);
        return -ENOMEM;
    }
    for (const struct leaf *other = *leaves; other != NULL; other = other->next) {
        if ((other->route->methods & route->methods) != 0) {
            free(leaf);
            return refuse_conflict(route, other->route, error, error_bytes);
        }
    }
    leaf->route = route;
    leaf->next = *leaves;
    *leaves = leaf;
    router->methods |= route->methods;
    return 0;
}

// Matching.

static bool is_int(struct cv_span text) {
    bool negative = text.length > 0 && text.data[0] == '-';
    struct cv_span digits = cv_span_make(text.data + negative, text.length - negative);
    uint64_t value;

    return digits.length <= 19 && cv_span_to_uint64(digits, (uint64_t)INT64_MAX + negative, &value);
}

// Chooses among the routes of one pattern; notes their methods for a 405.
static bool choose(const struct leaf *leaves, uint16_t method, struct cv_match *match) {
    uint16_t methods = 0;

    for (const struct leaf *leaf = leaves; leaf != NULL; leaf = leaf->next)
        methods |= leaf->route->methods;
    match->allowed |= methods;
    if (method == CV_METHOD_HEAD && (methods & CV_METHOD_HEAD) == 0)
        method = CV_METHOD_GET;
    for (const struct leaf *leaf = leaves; leaf != NULL; leaf = leaf->next) {
        if ((leaf->route->methods & method) != 0) {
            match->route = leaf->route;
            return true;
        }
    }
    return false;
}

static bool descend(const struct cv_router_node *node, uint16_t method, const char *at,
                    const char *end, struct cv_match *match);

static bool enter(const struct cv_router_node *child, uint16_t method, const char *at,
                  const char *end, struct cv_match *match) {
    if (at == end)
        return choose(child->leaves, method, match);
    return descend(child, method, at + 1, end, match);
}

// As `enter`, with the segment as a parameter that is taken back when the branch fails.
static bool enter_param(const struct cv_router_node *child, uint16_t method, struct cv_span segment,
                        const char *end, struct cv_match *match) {
    if (child == NULL)
        return false;
    match->param[match->param_count++] = segment;
    if (enter(child, method, segment.data + segment.length, end, match))
        return true;
    match->param_count--;
    return false;
}

// `at` is the first byte of a segment. The recursion is as deep as the longest pattern.
static bool descend(const struct cv_router_node *node, uint16_t method, const char *at,
                    const char *end, struct cv_match *match) {
    const char *slash = memchr(at, '/', (size_t)(end - at));
    const char *stop = slash == NULL ? end : slash;
    struct cv_span segment = cv_span_make(at, (size_t)(stop - at));

    for (const struct cv_router_node *text = node->texts; text != NULL; text = text->sibling) {
        if (!cv_span_equal(text->text, segment))
            continue;
        if (enter(text, method, stop, end, match))
            return true;
        break;
    }
    if (node->integer != NULL && is_int(segment) &&
        enter_param(node->integer, method, segment, end, match))
        return true;
    if (segment.length > 0 && enter_param(node->name, method, segment, end, match))
        return true;
    if (node->rests == NULL || !choose(node->rests, method, match))
        return false;
    match->param[match->param_count++] = cv_span_make(at, (size_t)(end - at));
    return true;
}

enum cv_router_result cv_router_match(const struct cv_router *router, uint16_t method,
                                      struct cv_span path, struct cv_match *match) {
    match->route = NULL;
    match->allowed = 0;
    match->param_count = 0;
    if (router->root == NULL || path.length == 0 || path.data[0] != '/')
        return CV_ROUTER_NOT_FOUND;
    if (descend(router->root, method, path.data + 1, path.data + path.length, match))
        return CV_ROUTER_FOUND;
    return match->allowed != 0 ? CV_ROUTER_METHOD_NOT_ALLOWED : CV_ROUTER_NOT_FOUND;
}

struct cv_span cv_router_allow_text(uint16_t methods, char out[CV_ROUTER_ALLOW_BYTES_MAX]) {
    size_t length = 0;

    methods |= CV_METHOD_OPTIONS;
    if ((methods & CV_METHOD_GET) != 0)
        methods |= CV_METHOD_HEAD;
    for (uint16_t rest = methods; rest != 0; rest &= (uint16_t)(rest - 1)) {
        const char *name = cv_parser_method_name((uint16_t)(rest & -rest));
        size_t bytes = strlen(name);

        CV_ASSERT(length + bytes + 2 <= CV_ROUTER_ALLOW_BYTES_MAX);
        if (length > 0) {
            memcpy(out + length, ", ", 2);
            length += 2;
        }
        memcpy(out + length, name, bytes);
        length += bytes;
    }
    return cv_span_make(out, length);
}
