// Compiles a router: slots of the perfect hash and nodes of the tree grow in arrays of their own,
// then everything moves into one block.
//
// The perfect hash: keys are put into buckets by the high bits of their hash; a bucket's
// displacement is the first number that, xored to the low bits, sends all its keys to free slots.
// The largest buckets choose first. Keys of one bucket that agree in the low bits can never part,
// so after some failures another seed is tried, and now and then twice the slots.
//
// The tree: keys are sorted, so those that share a beginning are neighbours, and a node is what a
// range of them has in common from some byte on.
#include <errno.h>
#include <stdlib.h>

#include "app/router_layout.h"
#include "base/assert.h"
#include "http/parser.h"
#include "http/target.h"

#define DEAD_NODE 1u
#define SEEDS_MAX 64u
#define SEEDS_PER_SIZE 8u

struct array {
    void *data;  // owned
    uint32_t count;
    uint32_t room;
    uint32_t item_bytes;
};

struct build {
    const struct cv_router_entry *entry;
    uint32_t entry_count;
    bool failed;  // No memory.
    // The first entry of every pattern with parameters, by index in `entry`.
    uint32_t *dynamic;  // owned
    uint32_t dynamic_count;
    struct array nodes;
    struct array leaves;
    struct array wide;
    // Of the perfect hash.
    struct cv_router_slot *static_slot;  // owned; in the order of the entries
    uint64_t *hash;                      // owned; of each
    uint32_t static_count;
    uint32_t static_bytes_max;
    uint32_t *order;         // owned; static slots by bucket
    uint32_t *bucket_start;  // owned; in `order`
    uint32_t *displacement;  // owned
    uint32_t *place;         // owned; 1 + static slot, by slot; 0: free
    uint32_t bucket_bits;
    uint32_t slot_count;
    uint64_t seed;
    size_t text_bytes;  // Of long static paths.
};

// The index of `count` new zeroed items, one behind the other; 0 when there is no memory.
static uint32_t grow(struct build *build, struct array *array, uint32_t count) {
    uint32_t first = array->count;

    if (count > array->room - array->count) {
        uint32_t room = CV_MAX(2 * array->room, array->count + count + 64);
        // Aligned for nodes; realloc does not promise that.
        size_t bytes = ((size_t)room * array->item_bytes + CV_CACHE_LINE_BYTES - 1) /
                       CV_CACHE_LINE_BYTES * CV_CACHE_LINE_BYTES;
        void *data = build->failed ? NULL : aligned_alloc(CV_CACHE_LINE_BYTES, bytes);

        if (data == NULL) {
            build->failed = true;
            return 0;
        }
        if (array->count > 0)
            memcpy(data, array->data, (size_t)array->count * array->item_bytes);
        free(array->data);
        array->data = data;
        array->room = room;
    }
    memset((char *)array->data + (size_t)first * array->item_bytes, 0,
           (size_t)count * array->item_bytes);
    array->count += count;
    return first;
}

static const struct cv_route *route_at(const struct build *build, uint32_t index) {
    return build->entry[index].route;
}

static bool same_key(const struct cv_route *a, const struct cv_route *b) {
    return a->key_bytes == b->key_bytes && memcmp(a->key, b->key, a->key_bytes) == 0;
}

// The leaf of entries `first` to below `end`, which have one key.
static struct cv_router_leaf make_leaf(const struct build *build, uint32_t first, uint32_t end) {
    struct cv_router_leaf leaf = {.route = first};

    for (uint32_t i = first; i < end; i++) {
        uint16_t methods = build->entry[i].methods;

        leaf.methods |= methods;
        for (uint16_t rest = methods; rest != 0; rest &= (uint16_t)(rest - 1))
            leaf.of[__builtin_ctz(rest)] = (uint8_t)(i - first);
    }
    leaf.takes = leaf.methods;
    if ((leaf.methods & (CV_METHOD_GET | CV_METHOD_HEAD)) == CV_METHOD_GET) {
        leaf.takes |= CV_METHOD_HEAD;
        leaf.of[__builtin_ctz(CV_METHOD_HEAD)] = leaf.of[__builtin_ctz(CV_METHOD_GET)];
    }
    return leaf;
}

// The end of the entries that have the key of entry `first`.
static uint32_t key_end(const struct build *build, uint32_t first) {
    uint32_t end = first + 1;

    while (end < build->entry_count && same_key(route_at(build, first), route_at(build, end)))
        end++;
    return end;
}

// The tree. `low` and `high` are places in `dynamic`; all keys between agree before `depth`.

static struct cv_router_node *node_at(struct build *build, uint32_t index) {
    return (struct cv_router_node *)build->nodes.data + index;
}

static const struct cv_route *dynamic_route(const struct build *build, uint32_t at) {
    return route_at(build, build->dynamic[at]);
}

static unsigned char key_byte(const struct build *build, uint32_t at, uint32_t depth) {
    return (unsigned char)dynamic_route(build, at)->key[depth];
}

// The end of those from `low` on that have the same byte at `depth`.
static uint32_t byte_end(const struct build *build, uint32_t low, uint32_t high, uint32_t depth) {
    unsigned char byte = key_byte(build, low, depth);

    while (low < high && key_byte(build, low, depth) == byte)
        low++;
    return low;
}

static uint32_t common_text(const struct build *build, uint32_t low, uint32_t high,
                            uint32_t depth) {
    const struct cv_route *first = dynamic_route(build, low);
    const char *last = dynamic_route(build, high - 1)->key;
    uint32_t at = depth;

    // The '/' before a parameter belongs to the parameter. The last key has one if any key has.
    while (at < first->key_bytes && at - depth < CV_ROUTER_NODE_TEXT_BYTES &&
           first->key[at] == last[at] && !(last[at] == '/' && last[at + 1] == CV_PATTERN_PARAM))
        at++;
    return at - depth;
}

static uint32_t add_leaf(struct build *build, uint32_t at) {
    uint32_t index = grow(build, &build->leaves, 1);

    if (build->failed)
        return 0;
    ((struct cv_router_leaf *)build->leaves.data)[index] =
        make_leaf(build, build->dynamic[at], key_end(build, build->dynamic[at]));
    return index;
}

static void fill_node(struct build *build, uint32_t index, uint32_t low, uint32_t high,
                      uint32_t depth);

// The ways of a parameter: keys from `low` to `high` have it at `depth`.
static void fill_params(struct build *build, uint32_t index, uint32_t low, uint32_t high,
                        uint32_t depth) {
    node_at(build, index)->has_params = true;
    while (low < high && !build->failed) {
        uint32_t end = byte_end(build, low, high, depth + 1);
        char kind = (char)key_byte(build, low, depth + 1);
        uint32_t to =
            kind == CV_PATTERN_REST ? add_leaf(build, low) : grow(build, &build->nodes, 1);

        if (build->failed)
            return;
        if (kind == CV_PATTERN_REST)
            node_at(build, index)->rest = to;
        else if (kind == CV_PATTERN_INT)
            node_at(build, index)->integer = to;
        else
            node_at(build, index)->name = to;
        if (kind != CV_PATTERN_REST)
            fill_node(build, to, low, end, depth + 2);
        low = end;
    }
}

// Where in the keys from `low` to `end`, which have the same byte at `depth`, those begin that go
// on with a parameter there.
static uint32_t params_start(const struct build *build, uint32_t low, uint32_t end,
                             uint32_t depth) {
    if (key_byte(build, low, depth) != '/')
        return end;
    while (end > low && (char)key_byte(build, end - 1, depth + 1) == CV_PATTERN_PARAM)
        end--;
    return end;
}

static uint16_t count_children(const struct build *build, uint32_t low, uint32_t high,
                               uint32_t depth) {
    uint16_t count = 0;

    while (low < high) {
        uint32_t end = byte_end(build, low, high, depth);

        if (params_start(build, low, end, depth) > low)
            count++;
        low = end;
    }
    return count;
}

// Makes place for the children of a node and for their first bytes.
static void add_children(struct build *build, uint32_t index, uint16_t count) {
    uint32_t children = count > 0 ? grow(build, &build->nodes, count) : 0;
    uint32_t wide_bytes = count <= CV_ROUTER_VECTOR_BYTES
                              ? 0
                              : (count - 1) / CV_ROUTER_VECTOR_BYTES * CV_ROUTER_VECTOR_BYTES;
    uint32_t wide = wide_bytes > 0 ? grow(build, &build->wide, wide_bytes) : 0;

    if (build->failed || count == 0)
        return;
    node_at(build, index)->children = children;
    node_at(build, index)->child_count = count;
    node_at(build, index)->wide = wide;
}

// Notes the first byte of child `child`; behind the last one it is repeated to the vector's end.
static void set_first(struct build *build, uint32_t index, uint32_t child, unsigned char byte) {
    struct cv_router_node *node = node_at(build, index);
    uint8_t *vector = node->first;

    if (child >= CV_ROUTER_VECTOR_BYTES)
        vector = (uint8_t *)build->wide.data + node->wide +
                 (child / CV_ROUTER_VECTOR_BYTES - 1) * CV_ROUTER_VECTOR_BYTES;
    child %= CV_ROUTER_VECTOR_BYTES;
    memset(vector + child, child == 0 ? byte : vector[0], CV_ROUTER_VECTOR_BYTES - child);
    vector[child] = byte;
}

static void fill_children(struct build *build, uint32_t index, uint32_t low, uint32_t high,
                          uint32_t depth) {
    uint32_t child = 0;

    add_children(build, index, count_children(build, low, high, depth));
    while (low < high && !build->failed) {
        uint32_t end = byte_end(build, low, high, depth);
        uint32_t params = params_start(build, low, end, depth);

        if (params < end)
            fill_params(build, index, params, end, depth + 1);
        node_at(build, index)->has_fork |= low < params && params < end;
        if (params > low && !build->failed) {
            set_first(build, index, child, key_byte(build, low, depth));
            fill_node(build, node_at(build, index)->children + child, low, params, depth + 1);
            child++;
        }
        low = end;
    }
}

static void set_childless(struct cv_router_node *node) {
    memset(node->first, CV_PATTERN_PARAM, sizeof(node->first));
    node->children = DEAD_NODE;
}

static void fill_node(struct build *build, uint32_t index, uint32_t low, uint32_t high,
                      uint32_t depth) {
    uint32_t bytes = common_text(build, low, high, depth);
    const struct cv_route *first = dynamic_route(build, low);
    struct cv_router_node *node = node_at(build, index);

    memcpy(node->text, first->key + depth, bytes);
    node->text_bytes = (uint8_t)bytes;
    node->text_mask = (uint16_t)((1u << bytes) - 1);
    depth += bytes;
    if (first->key_bytes == depth) {
        uint32_t leaf = add_leaf(build, low++);

        node_at(build, index)->leaf = leaf;
    }
    set_childless(node_at(build, index));
    if (low < high)
        fill_children(build, index, low, high, depth);
}

static void make_dead(struct cv_router_node *node) {
    set_childless(node);
    memset(node->text, CV_PATTERN_PARAM, sizeof(node->text));
    node->text_mask = UINT16_MAX;
}

static void build_tree(struct build *build) {
    if (build->failed || build->dynamic_count == 0)
        return;
    (void)grow(build, &build->nodes, 2);
    (void)grow(build, &build->leaves, 1);
    if (build->failed)
        return;
    make_dead(node_at(build, DEAD_NODE));
    fill_node(build, 0, 0, build->dynamic_count, 0);
}

// The perfect hash.

static uint32_t bucket_of(const struct build *build, uint32_t key) {
    return (uint32_t)(build->hash[key] >> (64 - build->bucket_bits));
}

// Sorts the keys by bucket (counting), `bucket_start` saying where each begins.
static void fill_buckets(struct build *build) {
    uint32_t bucket_count = 1u << build->bucket_bits;
    uint32_t *start = build->bucket_start;

    memset(start, 0, (bucket_count + 1) * sizeof(*start));
    for (uint32_t key = 0; key < build->static_count; key++)
        start[bucket_of(build, key) + 1]++;
    for (uint32_t bucket = 0; bucket < bucket_count; bucket++)
        start[bucket + 1] += start[bucket];
    // `displacement` counts how far each bucket is filled, until it gets its real value.
    memset(build->displacement, 0, bucket_count * sizeof(*build->displacement));
    for (uint32_t key = 0; key < build->static_count; key++) {
        uint32_t bucket = bucket_of(build, key);

        build->order[start[bucket] + build->displacement[bucket]++] = key;
    }
}

// Puts the keys of a bucket where `displacement` sends them. False, with nothing put, when one of
// these slots is taken.
static bool put_bucket(struct build *build, uint32_t bucket, uint32_t displacement) {
    const uint32_t *start = build->bucket_start;

    for (uint32_t i = start[bucket]; i < start[bucket + 1]; i++) {
        uint32_t key = build->order[i];
        uint32_t at = ((uint32_t)build->hash[key] ^ displacement) & (build->slot_count - 1);

        if (build->place[at] != 0) {
            while (i-- > start[bucket]) {
                key = build->order[i];
                at = ((uint32_t)build->hash[key] ^ displacement) & (build->slot_count - 1);
                build->place[at] = 0;
            }
            return false;
        }
        build->place[at] = key + 1;
    }
    build->displacement[bucket] = displacement;
    return true;
}

static bool place_bucket(struct build *build, uint32_t bucket) {
    for (uint32_t displacement = 0; displacement < build->slot_count; displacement++)
        if (put_bucket(build, bucket, displacement))
            return true;
    return false;
}

static bool place_all(struct build *build) {
    uint32_t bucket_count = 1u << build->bucket_bits;
    uint32_t largest = 0;

    memset(build->place, 0, build->slot_count * sizeof(*build->place));
    for (uint32_t bucket = 0; bucket < bucket_count; bucket++)
        largest = CV_MAX(largest, build->bucket_start[bucket + 1] - build->bucket_start[bucket]);
    for (uint32_t size = largest; size > 0; size--) {
        for (uint32_t bucket = 0; bucket < bucket_count; bucket++) {
            if (build->bucket_start[bucket + 1] - build->bucket_start[bucket] == size &&
                !place_bucket(build, bucket))
                return false;
        }
    }
    return true;
}

static void hash_all(struct build *build) {
    uint32_t key = 0;

    for (uint32_t i = 0; i < build->entry_count; i = key_end(build, i)) {
        const struct cv_route *route = route_at(build, i);

        if (route->param_count == 0)
            build->hash[key++] = cv_router_hash(route->key, route->key_bytes, build->seed);
    }
}

static uint32_t power_of_two(uint32_t at_least) {
    return at_least <= 1 ? 1 : 1u << (32 - __builtin_clz(at_least - 1));
}

// Makes room for `build->slot_count` slots.
static void size_places(struct build *build) {
    free(build->place);
    build->place = malloc(build->slot_count * sizeof(*build->place));
    build->failed |= build->place == NULL;
}

static void build_static(struct build *build) {
    // Two buckets at least: a shift by 64 is none.
    uint32_t bucket_count = CV_MAX(power_of_two(build->static_count / 2), 2u);

    build->bucket_bits = (uint32_t)__builtin_ctz(bucket_count);
    build->slot_count = power_of_two(build->static_count + build->static_count / 4 + 1);
    build->hash = malloc((build->static_count + 1) * sizeof(*build->hash));
    build->order = malloc((build->static_count + 1) * sizeof(*build->order));
    build->bucket_start = malloc((bucket_count + 1) * sizeof(*build->bucket_start));
    build->displacement = malloc(bucket_count * sizeof(*build->displacement));
    if (build->hash == NULL || build->order == NULL || build->bucket_start == NULL ||
        build->displacement == NULL)
        build->failed = true;
    for (uint32_t attempt = 0; !build->failed && attempt < SEEDS_MAX; attempt++) {
        if (attempt % SEEDS_PER_SIZE == 0) {
            build->slot_count <<= attempt > 0;
            size_places(build);
            if (build->failed)
                return;
        }
        build->seed = cv_router_mix(attempt + 1, CV_ROUTER_SALT_3);
        hash_all(build);
        fill_buckets(build);
        if (place_all(build))
            return;
    }
    build->failed = true;
}

// The slot of the static pattern that entries `first` to below `end` have.
static struct cv_router_slot make_slot(struct build *build, uint32_t first, uint32_t end) {
    const struct cv_route *route = route_at(build, first);
    struct cv_router_slot slot = {
        .length = route->key_bytes,
        .leaf = make_leaf(build, first, end),
    };

    if (route->key_bytes > CV_ROUTER_SLOT_TEXT_BYTES) {
        slot.long_text = (uint32_t)build->text_bytes;
        build->text_bytes += route->key_bytes;
        return slot;
    }
    memcpy(slot.text, route->key, route->key_bytes);
    slot.is_plain = cv_target_path_is_plain(cv_span_make(route->key, route->key_bytes));
    if (slot.is_plain && (slot.leaf.takes & CV_METHOD_GET) != 0)
        slot.plain_get = route_at(build, first + slot.leaf.of[__builtin_ctz(CV_METHOD_GET)]);
    return slot;
}

static void sort_out(struct build *build) {
    uint32_t key = 0;

    build->dynamic = malloc((build->entry_count + 1) * sizeof(*build->dynamic));
    build->static_slot =
        aligned_alloc(CV_CACHE_LINE_BYTES, (build->entry_count + 1) * sizeof(*build->static_slot));
    if (build->dynamic == NULL || build->static_slot == NULL) {
        build->failed = true;
        return;
    }
    for (uint32_t i = 0, end; i < build->entry_count; i = end) {
        const struct cv_route *route = route_at(build, i);

        end = key_end(build, i);
        if (route->param_count > 0) {
            build->dynamic[build->dynamic_count++] = i;
            continue;
        }
        build->static_slot[key++] = make_slot(build, i, end);
        build->static_bytes_max = CV_MAX(build->static_bytes_max, route->key_bytes);
    }
    build->static_count = key;
}

// The block.

// Where the parts begin, in bytes from the block's start; each at a cache line.
struct layout {
    size_t slots;
    size_t nodes;
    size_t leaves;
    size_t routes;
    size_t displacements;
    size_t wide;
    size_t texts;
    size_t end;
};

static size_t behind(size_t start, size_t bytes) {
    return start + (bytes + CV_CACHE_LINE_BYTES - 1) / CV_CACHE_LINE_BYTES * CV_CACHE_LINE_BYTES;
}

static struct layout lay_out(const struct build *build, uint32_t worker_count) {
    struct layout layout;

    layout.slots = sizeof(struct cv_router) + worker_count * sizeof(struct cv_router_pins);
    layout.nodes = behind(layout.slots, build->slot_count * sizeof(struct cv_router_slot));
    layout.leaves = behind(layout.nodes, build->nodes.count * sizeof(struct cv_router_node));
    layout.routes = behind(layout.leaves, build->leaves.count * sizeof(struct cv_router_leaf));
    layout.displacements = behind(layout.routes, build->entry_count * sizeof(struct cv_route *));
    layout.wide = behind(layout.displacements, sizeof(uint32_t) << build->bucket_bits);
    layout.texts = behind(layout.wide, build->wide.count);
    layout.end = behind(layout.texts, build->text_bytes);
    return layout;
}

static void copy_array(void *to, const struct array *array) {
    if (array->count > 0)
        memcpy(to, array->data, (size_t)array->count * array->item_bytes);
}

static void copy_static(const struct build *build, struct cv_router_slot *slots, char *texts) {
    for (uint32_t i = 0; i < build->slot_count; i++) {
        if (build->place[i] != 0)
            slots[i] = build->static_slot[build->place[i] - 1];
        else
            slots[i] = (struct cv_router_slot){0};
    }
    for (uint32_t i = 0; i < build->static_count; i++) {
        const struct cv_router_slot *slot = &build->static_slot[i];

        if (slot->length > CV_ROUTER_SLOT_TEXT_BYTES)
            memcpy(texts + slot->long_text, route_at(build, slot->leaf.route)->key, slot->length);
    }
}

static uint16_t copy_routes(const struct build *build, const struct cv_route **routes) {
    uint16_t methods = 0;

    for (uint32_t i = 0; i < build->entry_count; i++) {
        routes[i] = build->entry[i].route;
        methods |= build->entry[i].methods;
    }
    return methods;
}

static struct cv_router *assemble(const struct build *build, uint32_t worker_count) {
    struct layout layout = lay_out(build, worker_count);
    char *block = aligned_alloc(CV_CACHE_LINE_BYTES, layout.end);
    struct cv_router *router = (struct cv_router *)(void *)block;

    if (block == NULL)
        return NULL;
    memset(block, 0, layout.slots);
    copy_static(build, (void *)(block + layout.slots), block + layout.texts);
    copy_array(block + layout.nodes, &build->nodes);
    copy_array(block + layout.leaves, &build->leaves);
    copy_array(block + layout.wide, &build->wide);
    memcpy(block + layout.displacements, build->displacement,
           sizeof(uint32_t) << build->bucket_bits);
    router->slot = (void *)(block + layout.slots);
    router->node = (void *)(block + layout.nodes);
    router->leaf = (void *)(block + layout.leaves);
    router->routes = (void *)(block + layout.routes);
    router->displacement = (void *)(block + layout.displacements);
    router->wide_first = (void *)(block + layout.wide);
    router->texts = block + layout.texts;
    router->seed = build->seed;
    router->bucket_shift = 64 - build->bucket_bits;
    router->slot_mask = build->slot_count - 1;
    router->static_bytes_max = build->static_bytes_max;
    router->has_tree = build->dynamic_count > 0;
    router->worker_count = worker_count;
    router->bytes = layout.end;
    router->methods = copy_routes(build, (void *)(block + layout.routes));
    return router;
}

struct cv_router *cv_router_build(const struct cv_router_entry *entry, uint32_t count,
                                  uint32_t worker_count) {
    struct cv_router *router = NULL;
    struct build build = {
        .entry = entry,
        .entry_count = count,
        .nodes = {.item_bytes = sizeof(struct cv_router_node)},
        .leaves = {.item_bytes = sizeof(struct cv_router_leaf)},
        .wide = {.item_bytes = 1},
    };

    sort_out(&build);
    if (!build.failed)
        build_static(&build);
    build_tree(&build);
    if (!build.failed)
        router = assemble(&build, worker_count);
    free(build.dynamic);
    free(build.static_slot);
    free(build.hash);
    free(build.order);
    free(build.bucket_start);
    free(build.displacement);
    free(build.place);
    free(build.nodes.data);
    free(build.leaves.data);
    free(build.wide.data);
    return router;
}

void cv_router_free(struct cv_router *router) {
    free(router);
}
