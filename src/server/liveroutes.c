// A query is read into an order first, so that nothing is done by half.
#include "server/liveroutes.h"

#include <errno.h>
#include <string.h>

#include "app/app.h"
#include "http/parser.h"
#include "http/target.h"

#define TEXT_BYTES_MAX 1024u

struct order {
    unsigned methods;
    char pattern[TEXT_BYTES_MAX];
    char handler[TEXT_BYTES_MAX];
    enum cv_routes_mode mode;
    const char *wrong;  // NULL, or what is wrong with the query.
};

static void refuse(struct cv_admin_reply *reply, uint16_t status, const char *why) {
    reply->status = status;
    cv_admin_reply_format(reply, "%s\n", why);
}

static void show_methods(struct cv_admin_reply *reply, uint16_t methods) {
    const char *separator = "";
    for (; methods != 0; methods &= (uint16_t)(methods - 1)) {
        cv_admin_reply_format(reply, "%s%s", separator,
                              cv_parser_method_name((uint16_t)(methods & -methods)));
        separator = ",";
    }
}

static void show(void *context, const struct cv_router_entry *entry) {
    struct cv_admin_reply *reply = context;
    show_methods(reply, entry->methods);
    cv_admin_reply_format(reply, " %s\n", entry->route->pattern);
}

// The decoded value with a NUL behind it; false when it is not one text.
static bool decode(struct cv_span value, char out[TEXT_BYTES_MAX]) {
    size_t length;
    if (value.length >= TEXT_BYTES_MAX || !cv_target_decode_component(value, out, &length) ||
        (length > 0 && memchr(out, '\0', length) != NULL)) {
        return false;
    }
    out[length] = '\0';
    return true;
}

static bool take_methods(const char *text, unsigned *methods) {
    for (;;) {
        const char *comma = strchrnul(text, ',');
        uint16_t method = cv_parser_method(cv_span_make(text, (size_t)(comma - text)));
        if ((method & COVET_ANY_METHOD) == 0) {
            return false;
        }
        *methods |= method;
        if (*comma == '\0') {
            return true;
        }
        text = comma + 1;
    }
}

static bool take_pair(struct order *order, struct cv_span name, struct cv_span value) {
    char text[TEXT_BYTES_MAX];
    if (!decode(value, text)) {
        order->wrong = "a value cannot be decoded, or is too long";
    } else if (cv_span_equal(name, CV_SPAN("method"))) {
        if (!take_methods(text, &order->methods)) {
            order->wrong = "a method is one of GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";
        }
    } else if (cv_span_equal(name, CV_SPAN("pattern"))) {
        memcpy(order->pattern, text, sizeof(text));
    } else if (cv_span_equal(name, CV_SPAN("handler"))) {
        memcpy(order->handler, text, sizeof(text));
    } else if (cv_span_equal(name, CV_SPAN("mode"))) {
        order->mode = strcmp(text, "add") == 0 ? CV_ROUTES_ADD : CV_ROUTES_REPLACE;
        if (strcmp(text, "add") != 0 && strcmp(text, "replace") != 0) {
            order->wrong = "the mode is add or replace";
        }
    } else {
        order->wrong = "only method, pattern, handler and mode are known";
    }
    return order->wrong == NULL;
}

static bool read_order(struct order *order, struct cv_span query) {
    struct cv_span name, value;
    *order = (struct order){.mode = CV_ROUTES_REPLACE};
    while (cv_target_next_pair(&query, &name, &value)) {
        if (!take_pair(order, name, value)) {
            return false;
        }
    }
    if (order->methods == 0) {
        order->wrong = "which method? (method=GET)";
    } else if (order->pattern[0] == '\0') {
        order->wrong = "which pattern? (pattern=/path)";
    }
    return order->wrong == NULL;
}

static uint16_t status_of(int result) {
    switch (result) {
    case -EINVAL:
        return 400;
    case -ENOENT:
        return 404;
    case -EEXIST:
        return 409;
    default:
        return 503;
    }
}

static void report(const struct order *order, int result, const char *why,
                   struct cv_admin_reply *reply) {
    if (result != 0) {
        refuse(reply, status_of(result), why);
        return;
    }
    show_methods(reply, (uint16_t)order->methods);
    cv_admin_reply_format(reply, " %s\n", order->pattern);
}

static void refuse_handler(const struct covet_app *app, const char *name,
                           struct cv_admin_reply *reply) {
    reply->status = 404;
    cv_admin_reply_format(reply, "no handler \"%.200s\"; the application registered", name);
    for (const struct cv_app_handler *item = app->handlers; item != NULL; item = item->next) {
        cv_admin_reply_format(reply, " %s", item->name);
    }
    cv_admin_reply_write(reply, app->handlers == NULL ? CV_SPAN(" none\n") : CV_SPAN("\n"));
}

static void put(struct covet_app *app, const struct order *order, struct cv_admin_reply *reply) {
    char why[CV_APP_ERROR_BYTES] = "";
    const struct cv_app_handler *item = cv_app_find_handler(app, cv_span_of(order->handler));
    if (item == NULL) {
        refuse_handler(app, order->handler, reply);
        return;
    }
    const char *prefix = item->group == NULL ? "" : item->group->prefix;
    size_t prefix_bytes = strlen(prefix);
    if (strncmp(order->pattern, prefix, prefix_bytes) != 0) {
        reply->status = 400;
        cv_admin_reply_format(reply, "handler \"%s\" is for patterns that begin with \"%.400s\"\n",
                              item->name, prefix);
        return;
    }
    struct covet_route_options options = {
        .group = item->group,
        .methods = order->methods,
        .pattern = order->pattern + prefix_bytes,
        .handler = item->handler,
        .context = item->context,
    };
    int result = cv_app_put_route(app, &options, order->mode, why, sizeof(why));
    report(order, result, why, reply);
}

static void take_away(struct covet_app *app, const struct order *order,
                      struct cv_admin_reply *reply) {
    char why[CV_APP_ERROR_BYTES] = "";
    int result =
        cv_routes_remove(&app->routes, (uint16_t)order->methods, order->pattern, why, sizeof(why));
    report(order, result, why, reply);
}

// The last worker lets go of the application a moment before it ends.
static void refuse_drained(struct cv_admin_reply *reply) {
    refuse(reply, 503, "drained");
}

void cv_liveroutes_answer(struct covet_app *app, uint16_t method, struct cv_span query,
                          struct cv_admin_reply *reply) {
    struct order order;
    if (app == NULL) {
        refuse_drained(reply);
    } else if (method == CV_METHOD_GET) {
        cv_routes_list(&app->routes, show, reply);
    } else if (!read_order(&order, query)) {
        refuse(reply, 400, order.wrong);
    } else if (method == CV_METHOD_POST) {
        put(app, &order, reply);
    } else {
        take_away(app, &order, reply);
    }
}

void cv_liveroutes_tables(struct covet_app *app, struct cv_admin_reply *reply) {
    struct cv_routes_figures figures;
    if (app == NULL) {
        refuse_drained(reply);
        return;
    }
    cv_routes_measure(&app->routes, &figures);
    cv_admin_reply_format(reply, "number=%llu tables=%u retired_bytes=%zu\n",
                          (unsigned long long)figures.number, figures.table_count,
                          figures.retired_bytes);
}
