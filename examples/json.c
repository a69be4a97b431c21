/* JSON in and out by one description: POST /items answers the item it was sent, with its total.
 *
 *     curl -d '{"name":"lamp","price":9.5,"quantity":2}' -H 'Content-Type: application/json' \
 *          http://127.0.0.1:8000/items
 */
#include <covet.h>

struct size {
    uint32_t width;
    uint32_t height;
};

struct item {
    struct covet_span name;
    double price;
    uint32_t quantity;
    struct covet_span *tags;
    size_t tag_count;
    struct size *size;
    double total;
    bool has_total;
};

COVET_JSON(size_json, struct size, COVET_JSON_FIELD(struct size, width),
           COVET_JSON_FIELD(struct size, height));

COVET_JSON(item_json, struct item, COVET_JSON_FIELD(struct item, name),
           COVET_JSON_FIELD(struct item, price), COVET_JSON_FIELD(struct item, quantity),
           COVET_JSON_ARRAY(struct item, tags, tag_count, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_POINTER(struct item, size, size_json, .flags = COVET_JSON_OPTIONAL),
           COVET_JSON_FIELD(struct item, total, .flags = COVET_JSON_OPTIONAL,
                            COVET_JSON_PRESENT(struct item, has_total)));

static void post_item(struct covet_request *request, struct covet_response *response) {
    struct item item;

    /* What cannot be read is answered by covet: 400, 413, 415, 422. */
    if (covet_request_json(request, &item_json, &item) != 0)
        return;
    item.total = item.price * item.quantity;
    item.has_total = true;
    covet_response_json_struct(response, &item_json, &item);
}

COVET_MODULE;

int covet_module_init(struct covet_app *app) {
    return covet_route(app, COVET_POST, "/items", post_item, NULL);
}
