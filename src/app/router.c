// The search. A static pattern that has the method wins over everything, so the perfect hash is
// asked first; then the tree of the patterns with parameters:
//
//   GET /users/{id:int}         "/" --+-- "users" --+-- /int                (GET)
//   GET /users/{name}/posts           |             +-- /name -- "/posts"   (GET)
//   GET /files/{rest...}              +-- "files" ----- /rest               (GET)
//
// A node's children by text come before those by parameter. Where both may go on, a fork remembers
// the place: when a branch fails, the search goes on at the last fork. A node stands for one
// beginning of a pattern and each of its segments takes one of the path, so no node is visited
// twice: the worst path costs what the tree holds and not the number of ways through it.
//
// The path is looked at through a window of 16 bytes. No byte outside the path is read: where the
// window would reach beyond the end, it lies on a copy of the last bytes with zeros behind them,
// and 0 is in no pattern.
#include "app/router.h"

#include "app/router_layout.h"
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

#define WORD_BYTES 8u
#define WINDOW_BYTES 16u

// Where a search is: at `node`, `at` being what it may go on with.
struct place {
    const struct cv_router_node *node;  // NULL: nowhere
    const char *at;
};

// A place to come back to: the segment at `at`, as a parameter behind `node`.
struct fork {
    const struct cv_router_node *node;
    const char *at;
    uint8_t param_count;
    uint8_t next;  // enum way: what has not been tried yet.
};

enum way { WAY_INTEGER, WAY_NAME, WAY_REST };

struct search {
    const struct cv_router *router;
    struct cv_match *match;
    const char *end;          // Of the path.
    const char *direct_end;   // From here on a window would reach beyond the path.
    uintptr_t tail_distance;  // From a place in the path to the same in the copy.
    uint32_t fork_count;
    uint16_t method;
    char tail[2 * WINDOW_BYTES];
    struct fork fork[CV_PATTERN_SEGMENTS_MAX];
};

static const struct place nowhere = {NULL, NULL};

// The route of a pattern for one of the methods it takes.
static inline const struct cv_route *route_of(const struct cv_router *router,
                                              const struct cv_router_leaf *leaf, uint16_t method) {
    return router->routes[leaf->route + leaf->of[__builtin_ctz(method)]];
}

// Chooses among the routes of one pattern; notes their methods for a 405.
static inline bool choose(const struct cv_router *router, const struct cv_router_leaf *leaf,
                          uint16_t method, struct cv_match *match) {
    if ((leaf->takes & method) == 0) {
        match->allowed |= leaf->methods;
        return false;
    }
    match->route = route_of(router, leaf, method);
    return true;
}

// Static patterns.

static inline const struct cv_router_slot *slot_of(const struct cv_router *router, uint64_t hash) {
    uint32_t displacement = router->displacement[hash >> router->bucket_shift];

    return &router->slot[((uint32_t)hash ^ displacement) & router->slot_mask];
}

uint64_t cv_router_hash_long(const char *text, size_t length, uint64_t seed) {
    uint64_t hash = seed ^ length;
    size_t at = 0;

    for (; length - at > 2 * WORD_BYTES; at += 2 * WORD_BYTES)
        hash = cv_router_mix(hash ^ cv_router_load(text + at),
                             cv_router_load(text + at + WORD_BYTES) ^ CV_ROUTER_SALT_1);
    return cv_router_mix(hash ^ cv_router_load(text + length - 2 * WORD_BYTES),
                         cv_router_load(text + length - WORD_BYTES) ^ CV_ROUTER_SALT_2 ^ seed);
}

static inline const struct cv_router_slot *find_long(const struct cv_router *router,
                                                     struct cv_span path) {
    const struct cv_router_slot *slot =
        slot_of(router, cv_router_hash_long(path.data, path.length, router->seed));

    return slot->length == path.length &&
                   memcmp(router->texts + slot->long_text, path.data, path.length) == 0
               ? slot
               : NULL;
}

static inline const struct cv_router_slot *find_short(const struct cv_router *router,
                                                      struct cv_span path) {
    uint64_t word = cv_router_load_short(path.data, path.length);
    const struct cv_router_slot *slot =
        slot_of(router, cv_router_hash_short(word, path.length, router->seed));

    return slot->length == path.length && cv_router_load(slot->text) == word ? slot : NULL;
}

// A path of WORD_BYTES to CV_ROUTER_SLOT_TEXT_BYTES.
static CV_ALWAYS_INLINE const struct cv_router_slot *find_words(const struct cv_router *router,
                                                                struct cv_span path) {
    struct cv_router_words words = cv_router_words(path.data, path.length);
    const struct cv_router_slot *slot =
        slot_of(router, cv_router_hash_words(words, path.length, router->seed));
    struct cv_router_words known = cv_router_words(slot->text, path.length);
    uint64_t different = (words.first ^ known.first) | (words.second ^ known.second) |
                         (words.third ^ known.third) | (words.last ^ known.last);

    return (different | (slot->length ^ path.length)) == 0 ? slot : NULL;
}

// Patterns with parameters.

// The 16 bytes of the path from `at` on; zeros behind its end, where `at` may be as well. Every
// path ends at another byte, so a branch would be guessed wrong once per search.
static inline const char *window(const struct search *search, const char *at) {
    const char *copy = (const char *)((uintptr_t)at + search->tail_distance);

    return __builtin_expect_with_probability(at >= search->direct_end, 1, 0.5) ? copy : at;
}

static inline __m128i load(const void *at) {
    return _mm_loadu_si128(at);
}

// One bit for each byte that is equal.
static inline unsigned equal_bytes(__m128i a, __m128i b) {
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(a, b));
}

// The end of the segment that begins at `at`: the next '/', or the zeros behind the path. One
// guess, that it is near, is right nearly always; which of the two it is would be guessed wrong too
// often.
static inline const char *segment_end(const struct search *search, const char *at) {
    for (;; at += WINDOW_BYTES) {
        __m128i bytes = load(window(search, at));
        unsigned slashes = equal_bytes(bytes, _mm_set1_epi8('/'));
        unsigned ends = slashes | equal_bytes(bytes, _mm_setzero_si128());

        if (CV_LIKELY(ends != 0)) {
            unsigned is_slash = slashes & ends & -ends;
            at += __builtin_ctz(ends);
            if (CV_LIKELY((is_slash != 0) | (at >= search->end)))
                return at;
            at -= WINDOW_BYTES - 1;  // A NUL inside the path.
        }
    }
}

static bool is_long_int(struct cv_span text) {
    bool negative = text.length > 0 && text.data[0] == '-';
    struct cv_span digits = cv_span_make(text.data + negative, text.length - negative);
    uint64_t value;

    return digits.length <= 19 && cv_span_to_uint64(digits, (uint64_t)INT64_MAX + negative, &value);
}

static inline bool is_int(const struct search *search, const char *at, const char *end) {
    // Bytes below '0' become large ones.
    __m128i value = _mm_sub_epi8(load(window(search, at)), _mm_set1_epi8('0'));
    unsigned digits = equal_bytes(value, _mm_min_epu8(value, _mm_set1_epi8(9)));
    size_t length = (size_t)(end - at);

    if (length - 1 < WINDOW_BYTES && (~digits & ((1u << length) - 1)) == 0)
        return true;
    return is_long_int(cv_span_make(at, length));
}

// The child for a byte behind the first 16 of a node, or 0.
static uint32_t wide_child(const struct cv_router *router, const struct cv_router_node *node,
                           __m128i byte) {
    const uint8_t *first = router->wide_first + node->wide;

    for (uint32_t base = CV_ROUTER_VECTOR_BYTES; base < node->child_count;
         base += CV_ROUTER_VECTOR_BYTES) {
        unsigned found = equal_bytes(load(first), byte);

        if (found != 0)
            return node->children + base + (uint32_t)__builtin_ctz(found);
        first += CV_ROUTER_VECTOR_BYTES;
    }
    return 0;
}

static inline void push(struct search *search, const struct cv_router_node *node, const char *at,
                        enum way next) {
    CV_DEBUG_ASSERT(search->fork_count < CV_PATTERN_SEGMENTS_MAX);
    search->fork[search->fork_count++] =
        (struct fork){node, at, search->match->param_count, (uint8_t)next};
}

static inline struct place take_param(struct search *search, const char *at, const char *end,
                                      uint32_t child) {
    search->match->param[search->match->param_count++] = cv_span_make(at, (size_t)(end - at));
    return (struct place){&search->router->node[child], end};
}

// Takes the segment at `at` as a parameter behind `node`, in the ways from `next` on. {name...}
// takes all that is left: then the match has its route and the place is nowhere.
static CV_ALWAYS_INLINE struct place take_segment(struct search *search,
                                                  const struct cv_router_node *node, const char *at,
                                                  enum way next) {
    const char *end = segment_end(search, at);

    if (next == WAY_INTEGER && node->integer != 0 && is_int(search, at, end)) {
        if (node->name != 0 || node->rest != 0)
            push(search, node, at, WAY_NAME);
        return take_param(search, at, end, node->integer);
    }
    if (next <= WAY_NAME && node->name != 0 && end > at) {
        if (node->rest != 0)
            push(search, node, at, WAY_REST);
        return take_param(search, at, end, node->name);
    }
    if (node->rest != 0 &&
        choose(search->router, &search->router->leaf[node->rest], search->method, search->match))
        (void)take_param(search, at, search->end, 0);
    return nowhere;
}

// Goes on at the last fork that leads somewhere.
static CV_NOINLINE struct place go_back(struct search *search) {
    struct place place = nowhere;

    while (place.node == NULL && search->match->route == NULL && search->fork_count > 0) {
        struct fork fork = search->fork[--search->fork_count];

        search->match->param_count = fork.param_count;
        place = take_segment(search, fork.node, fork.at, (enum way)fork.next);
    }
    return place;
}

static inline struct place enter_child(struct search *search, const struct cv_router_node *node,
                                       uint32_t child, const char *at) {
    if (CV_UNLIKELY(node->has_fork) && *at == '/')
        push(search, node, at + 1, WAY_INTEGER);
    return (struct place){&search->router->node[child], at + 1};
}

// One node further; nowhere when the branch ends here, with or without a route.
static inline struct place step(struct search *search, struct place place) {
    const struct cv_router_node *node = place.node;
    const char *bytes = window(search, place.at);

    if ((~equal_bytes(load(bytes), load(node->text)) & node->text_mask) != 0)
        return nowhere;

    // The next byte; at the end it is 0, which no child has.
    const char *at = place.at + node->text_bytes;
    char next = bytes[node->text_bytes];
    __m128i vector = _mm_set1_epi8(next);
    unsigned found = equal_bytes(vector, load(node->first));
    if (found != 0)
        return enter_child(search, node, node->children + (uint32_t)__builtin_ctz(found), at);
    if (CV_UNLIKELY(node->child_count > CV_ROUTER_VECTOR_BYTES)) {
        uint32_t child = wide_child(search->router, node, vector);

        if (child != 0)
            return enter_child(search, node, child, at);
    }
    if (next == '/' && node->has_params)
        return take_segment(search, node, at + 1, WAY_INTEGER);
    if (at == search->end && node->leaf != 0)
        (void)choose(search->router, &search->router->leaf[node->leaf], search->method,
                     search->match);
    return nowhere;
}

static bool find_by_tree(struct search *search, const char *path) {
    struct place place = {search->router->node, path};

    for (;;) {
        do
            place = step(search, place);
        while (place.node != NULL);
        if (search->match->route != NULL)
            return true;
        place = go_back(search);
        if (place.node == NULL)
            return search->match->route != NULL;
    }
}

// Copies the last bytes of the path, all if it is short, and puts zeros behind them.
static inline void copy_tail(struct search *search, struct cv_span path) {
    size_t kept = CV_MIN(path.length, (size_t)WINDOW_BYTES);

    memset(search->tail, 0, sizeof(search->tail));
    if (path.length >= WINDOW_BYTES) {
        memcpy(search->tail, path.data + path.length - WINDOW_BYTES, WINDOW_BYTES);
    } else if (path.length >= WORD_BYTES) {
        memcpy(search->tail, path.data, WORD_BYTES);
        memcpy(search->tail + path.length - WORD_BYTES, path.data + path.length - WORD_BYTES,
               WORD_BYTES);
    } else {
        uint64_t word = cv_router_load_short(path.data, path.length);

        memcpy(search->tail, &word, sizeof(word));
    }
    search->tail_distance = (uintptr_t)search->tail - (uintptr_t)(search->end - kept);
    search->direct_end = path.length < WINDOW_BYTES ? path.data : search->end - kept + 1;
}

// Apart, so that a static path pays for no place on the stack.
static CV_NOINLINE enum cv_router_result search_tree(const struct cv_router *router,
                                                     uint16_t method, struct cv_span path,
                                                     struct cv_match *match) {
    struct search search;

    search.router = router;
    search.match = match;
    search.end = path.data + path.length;
    search.fork_count = 0;
    search.method = method;
    copy_tail(&search, path);
    if (router->has_tree && find_by_tree(&search, path.data))
        return CV_ROUTER_FOUND;
    return match->allowed != 0 ? CV_ROUTER_METHOD_NOT_ALLOWED : CV_ROUTER_NOT_FOUND;
}

// `slot` is that of a static pattern, or NULL.
static CV_ALWAYS_INLINE enum cv_router_result match_behind(const struct cv_router *router,
                                                           uint16_t method, struct cv_span path,
                                                           const struct cv_router_slot *slot,
                                                           struct cv_match *match) {
    if (slot != NULL && choose(router, &slot->leaf, method, match))
        return CV_ROUTER_FOUND;
    return search_tree(router, method, path, match);
}

// These two apart, so that none of the three saves more registers than it needs.
static CV_NOINLINE enum cv_router_result match_long(const struct cv_router *router, uint16_t method,
                                                    struct cv_span path, struct cv_match *match) {
    return match_behind(router, method, path, find_long(router, path), match);
}

static CV_NOINLINE enum cv_router_result match_short(const struct cv_router *router,
                                                     uint16_t method, struct cv_span path,
                                                     struct cv_match *match) {
    return match_behind(router, method, path, find_short(router, path), match);
}

enum cv_router_result cv_router_match(const struct cv_router *router, uint16_t method,
                                      struct cv_span path, struct cv_match *match) {
    match->route = NULL;
    match->allowed = 0;
    match->param_count = 0;
    if (path.length == 0 || path.data[0] != '/')
        return CV_ROUTER_NOT_FOUND;
    if (path.length > router->static_bytes_max)
        return search_tree(router, method, path, match);
    if (path.length < WORD_BYTES)
        return match_short(router, method, path, match);
    if (path.length > CV_ROUTER_SLOT_TEXT_BYTES)
        return match_long(router, method, path, match);
    return match_behind(router, method, path, find_words(router, path), match);
}

const struct cv_route *cv_router_find_plain(const struct cv_router *router, uint16_t method,
                                            struct cv_span path) {
    const struct cv_router_slot *slot;

    // Long paths are few, and what finds them takes registers from the others. 0 wraps around.
    if (path.length - 1 >= CV_MIN(router->static_bytes_max, CV_ROUTER_SLOT_TEXT_BYTES))
        return NULL;
    slot = path.length < WORD_BYTES ? find_short(router, path) : find_words(router, path);
    if (slot == NULL)
        return NULL;
    // One load: whoever waits for the route waits for all before it as well.
    if (CV_LIKELY(method == CV_METHOD_GET))
        return slot->plain_get;
    if ((slot->leaf.takes & method) == 0 || !slot->is_plain)
        return NULL;
    return route_of(router, &slot->leaf, method);
}

uint16_t cv_router_methods(const struct cv_router *router) {
    return router->methods;
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
