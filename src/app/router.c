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

// A place to come back to: the segment at `at`, which `node` continues with.
struct fork {
    uint32_t node;
    uint32_t at;
    uint8_t param_count;
    uint8_t next;  // enum way: what has not been tried yet.
};

enum way { WAY_INTEGER, WAY_NAME, WAY_REST, WAY_NONE };

struct search {
    const struct cv_router *router;
    struct cv_match *match;
    const char *path;
    size_t length;
    size_t direct_end;  // From here on a window would reach beyond the path.
    size_t tail_start;  // Where in the path the copy begins.
    uint32_t fork_count;
    uint16_t method;
    CV_CACHE_ALIGNED char tail[2 * WINDOW_BYTES];
    struct fork fork[CV_PATTERN_SEGMENTS_MAX];
};

// Chooses among the routes of one pattern; notes their methods for a 405.
static inline bool choose(const struct cv_router *router, const struct cv_router_leaf *leaf,
                          uint16_t method, struct cv_match *match) {
    if ((leaf->takes & method) == 0) {
        match->allowed |= leaf->methods;
        return false;
    }
    match->route = router->routes[leaf->route + leaf->of[__builtin_ctz(method)]];
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

static CV_NOINLINE const struct cv_router_slot *find_long(const struct cv_router *router,
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
    struct cv_router_words words = {{word, word, word, word}};
    const struct cv_router_slot *slot =
        slot_of(router, cv_router_hash_words(&words, path.length, router->seed));

    return slot->length == path.length && cv_router_load(slot->text) == word ? slot : NULL;
}

static inline const struct cv_router_slot *find_static(const struct cv_router *router,
                                                       struct cv_span path) {
    struct cv_router_words words;
    size_t offset[4];
    uint64_t different = 0;

    if (path.length > CV_ROUTER_SLOT_TEXT_BYTES)
        return path.length > router->static_bytes_max ? NULL : find_long(router, path);
    if (path.length < WORD_BYTES)
        return find_short(router, path);
    cv_router_word_offsets(path.length, offset);
    for (int i = 0; i < 4; i++)
        words.word[i] = cv_router_load(path.data + offset[i]);
    const struct cv_router_slot *slot =
        slot_of(router, cv_router_hash_words(&words, path.length, router->seed));
    for (int i = 0; i < 4; i++)
        different |= words.word[i] ^ cv_router_load(slot->text + offset[i]);
    return different == 0 && slot->length == path.length ? slot : NULL;
}

// Patterns with parameters.

// The 16 bytes of the path from `at` on; zeros behind its end, where `at` may be as well.
static inline const char *window(const struct search *search, size_t at) {
    return at < search->direct_end ? search->path + at : search->tail + (at - search->tail_start);
}

static inline __m128i load(const void *at) {
    return _mm_loadu_si128(at);
}

// One bit for each byte that is equal.
static inline unsigned equal_bytes(__m128i a, __m128i b) {
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(a, b));
}

// The end of the segment that begins at `at`.
static inline size_t segment_end(const struct search *search, size_t at) {
    for (; at < search->length; at += WINDOW_BYTES) {
        unsigned found = equal_bytes(load(window(search, at)), _mm_set1_epi8('/'));

        if (found != 0)
            return at + (size_t)__builtin_ctz(found);
    }
    return search->length;
}

static bool is_long_int(struct cv_span text) {
    bool negative = text.length > 0 && text.data[0] == '-';
    struct cv_span digits = cv_span_make(text.data + negative, text.length - negative);
    uint64_t value;

    return digits.length <= 19 && cv_span_to_uint64(digits, (uint64_t)INT64_MAX + negative, &value);
}

static inline bool is_int(const struct search *search, size_t at, size_t end) {
    // Bytes below '0' become large ones.
    __m128i value = _mm_sub_epi8(load(window(search, at)), _mm_set1_epi8('0'));
    unsigned digits = equal_bytes(value, _mm_min_epu8(value, _mm_set1_epi8(9)));
    size_t length = end - at;

    if (length - 1 < WINDOW_BYTES && (~digits & ((1u << length) - 1)) == 0)
        return true;
    return is_long_int(cv_span_make(search->path + at, length));
}

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

// The child for the path's next byte, or 0. At the end that byte is 0, and so is the vector of a
// node without children: that is child 0 of none, which is 0 again.
static inline uint32_t text_child(const struct cv_router *router, const struct cv_router_node *node,
                                  char next) {
    __m128i byte = _mm_set1_epi8(next);
    unsigned found = equal_bytes(load(node->first), byte);

    if (found != 0)
        return node->children + (uint32_t)__builtin_ctz(found);
    return CV_UNLIKELY(node->child_count > CV_ROUTER_VECTOR_BYTES) ? wide_child(router, node, byte)
                                                                   : 0;
}

static inline void push(struct search *search, struct fork fork) {
    CV_DEBUG_ASSERT(search->fork_count < CV_PATTERN_SEGMENTS_MAX);
    search->fork[search->fork_count++] = fork;
}

static inline struct fork fork_at(const struct search *search, uint32_t node, size_t at) {
    return (struct fork){node, (uint32_t)at, search->match->param_count, WAY_INTEGER};
}

static inline void take_param(struct search *search, size_t at, size_t end) {
    search->match->param[search->match->param_count++] = cv_span_make(search->path + at, end - at);
}

// Takes the segment at `fork` as a parameter, in the ways that are left. Returns the node to go on
// with, `*at` behind the segment; 0 when that is no way, or `*found` when {name...} took it all.
static uint32_t take_segment(struct search *search, struct fork fork, size_t *at, bool *found) {
    const struct cv_router *router = search->router;
    const struct cv_router_node *node = &router->node[fork.node];
    size_t end = segment_end(search, fork.at);

    *at = end;
    if (fork.next == WAY_INTEGER && node->integer != 0 && is_int(search, fork.at, end)) {
        if (node->name != 0 || node->rest != 0)
            push(search, (struct fork){fork.node, fork.at, fork.param_count, WAY_NAME});
        take_param(search, fork.at, end);
        return node->integer;
    }
    if (fork.next <= WAY_NAME && node->name != 0 && end > fork.at) {
        if (node->rest != 0)
            push(search, (struct fork){fork.node, fork.at, fork.param_count, WAY_REST});
        take_param(search, fork.at, end);
        return node->name;
    }
    if (node->rest != 0 &&
        choose(router, &router->leaf[node->rest], search->method, search->match)) {
        take_param(search, fork.at, search->length);
        *found = true;
    }
    return 0;
}

// Goes back to the last fork that leads on. As take_segment; 0 without `*found` when there is none.
static uint32_t go_back(struct search *search, size_t *at, bool *found) {
    uint32_t index = 0;

    while (index == 0 && !*found && search->fork_count > 0) {
        struct fork fork = search->fork[--search->fork_count];

        search->match->param_count = fork.param_count;
        index = take_segment(search, fork, at, found);
    }
    return index;
}

static bool find_by_tree(struct search *search) {
    const struct cv_router *router = search->router;
    struct cv_match *match = search->match;
    uint32_t index = 0;
    size_t at = 0;
    bool found = false;

    do {
        const struct cv_router_node *node = &router->node[index];
        const char *bytes = window(search, at);
        uint32_t child = 0;

        if ((~equal_bytes(load(bytes), load(node->text)) & node->text_mask) == 0) {
            char next = bytes[node->text_bytes];
            bool may_be_param = node->has_params && next == '/';

            at += node->text_bytes;
            child = text_child(router, node, next);
            if (child != 0) {
                if (may_be_param)
                    push(search, fork_at(search, index, at + 1));
                index = child;
                at++;
                continue;
            }
            if (may_be_param)
                child = take_segment(search, fork_at(search, index, at + 1), &at, &found);
            else if (at == search->length && node->leaf != 0 &&
                     choose(router, &router->leaf[node->leaf], search->method, match))
                return true;
        }
        index = child != 0 || found ? child : go_back(search, &at, &found);
    } while (index != 0);
    return found;
}

// Copies the last bytes of the path, all if it is short, and puts zeros behind them.
static inline void copy_tail(struct search *search) {
    const char *path = search->path;
    size_t length = search->length;
    size_t kept = CV_MIN(length, (size_t)WINDOW_BYTES);

    memset(search->tail, 0, sizeof(search->tail));
    if (length >= WINDOW_BYTES) {
        memcpy(search->tail, path + length - WINDOW_BYTES, WINDOW_BYTES);
    } else if (length >= WORD_BYTES) {
        memcpy(search->tail, path, WORD_BYTES);
        memcpy(search->tail + length - WORD_BYTES, path + length - WORD_BYTES, WORD_BYTES);
    } else {
        uint64_t word = cv_router_load_short(path, length);

        memcpy(search->tail, &word, sizeof(word));
    }
    search->tail_start = length - kept;
    search->direct_end = length < WINDOW_BYTES ? 0 : length - WINDOW_BYTES + 1;
}

static bool search_tree(const struct cv_router *router, uint16_t method, struct cv_span path,
                        struct cv_match *match) {
    struct search search;

    search.router = router;
    search.match = match;
    search.path = path.data;
    search.length = path.length;
    search.fork_count = 0;
    search.method = method;
    copy_tail(&search);
    return find_by_tree(&search);
}

enum cv_router_result cv_router_match(const struct cv_router *router, uint16_t method,
                                      struct cv_span path, struct cv_match *match) {
    const struct cv_router_slot *slot;

    match->route = NULL;
    match->allowed = 0;
    match->param_count = 0;
    if (path.length == 0 || path.data[0] != '/')
        return CV_ROUTER_NOT_FOUND;
    slot = find_static(router, path);
    if (slot != NULL && choose(router, &slot->leaf, method, match))
        return CV_ROUTER_FOUND;
    if (router->has_tree && path.length <= UINT32_MAX && search_tree(router, method, path, match))
        return CV_ROUTER_FOUND;
    return match->allowed != 0 ? CV_ROUTER_METHOD_NOT_ALLOWED : CV_ROUTER_NOT_FOUND;
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
