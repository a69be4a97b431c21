// The search. A static pattern that has the method wins over everything, so the perfect hash is
// asked first; then the tree of the patterns with parameters:
//
//   GET /users/{id:int}         "/users/" --+-- int         (GET)
//   GET /users/{name}/posts                 +-- name -- "/posts" (GET)
//   GET /files/{rest...}     \- "/files/" --- rest          (GET)
//
// A node's children by text come before those by parameter. Where both may go on, a fork remembers
// the place: when a branch fails, the search goes on at the last fork. A node stands for one
// beginning of a pattern and each of its segments takes one of the path, so no node is visited
// twice: the worst path costs what the tree holds and not the number of ways through it.
//
// No byte outside the path is read. A word that would reach beyond the end is loaded so that it
// ends there, and shifted down; what is missing is 0, which no text holds.
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
#define SLASHES (0x0101010101010101u * (uint64_t)'/')

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
    const char *data;  // The path, or its copy.
    const char *path;  // As given: what parameters point into.
    size_t length;
    size_t last_word;  // Where the last word of the path begins.
    uint16_t method;
    uint32_t fork_count;
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
        return find_long(router, path);
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

// The bytes of the path from `at` on, which is inside it.
static inline uint64_t word_at(const struct search *search, size_t at) {
    size_t from = CV_MIN(at, search->last_word);

    return cv_router_load(search->data + from) >> (8 * (at - from));
}

// The end of the segment that begins at `at`.
static inline size_t segment_end(const struct search *search, size_t at) {
    for (; at < search->length; at += WORD_BYTES) {
        uint64_t other = word_at(search, at) ^ SLASHES;
        // The lowest bit set is that of the first byte that is 0 now; those above may be wrong.
        uint64_t found = (other - 0x0101010101010101u) & ~other & 0x8080808080808080u;

        if (found != 0)
            return at + (size_t)__builtin_ctzll(found) / 8;
    }
    return search->length;
}

static bool is_int(struct cv_span text) {
    bool negative = text.length > 0 && text.data[0] == '-';
    struct cv_span digits = cv_span_make(text.data + negative, text.length - negative);
    uint64_t value;

    return digits.length <= 19 && cv_span_to_uint64(digits, (uint64_t)INT64_MAX + negative, &value);
}

// Does the path go on with the node's text?
static inline bool has_text(const struct search *search, const struct cv_router_node *node,
                            size_t at) {
    size_t bytes = node->text_bytes;
    uint64_t text;

    if (bytes == 0)
        return true;
    if (search->length - at < bytes)
        return false;
    text = word_at(search, at) ^ cv_router_load(node->text);
    if (bytes <= WORD_BYTES)
        return text << (8 * (WORD_BYTES - bytes)) == 0;
    return text == 0 && (word_at(search, at + WORD_BYTES) ^ cv_router_load(node->text + WORD_BYTES))
                                << (8 * (2 * WORD_BYTES - bytes)) ==
                            0;
}

static uint32_t wide_child(const struct cv_router *router, const struct cv_router_node *node,
                           __m128i byte) {
    const uint8_t *first = router->wide_first + node->wide;

    for (uint32_t base = CV_ROUTER_VECTOR_BYTES; base < node->child_count;
         base += CV_ROUTER_VECTOR_BYTES) {
        __m128i vector = _mm_loadu_si128((const __m128i *)(const void *)first);
        int found = _mm_movemask_epi8(_mm_cmpeq_epi8(vector, byte));

        if (found != 0)
            return node->children + base + (uint32_t)__builtin_ctz((unsigned)found);
        first += CV_ROUTER_VECTOR_BYTES;
    }
    return 0;
}

// The child for the path's next byte, or 0.
static inline uint32_t text_child(const struct cv_router *router, const struct cv_router_node *node,
                                  char next) {
    __m128i byte = _mm_set1_epi8(next);
    __m128i vector = _mm_load_si128((const __m128i *)(const void *)node->first);
    int found = _mm_movemask_epi8(_mm_cmpeq_epi8(vector, byte));

    if (node->child_count == 0)
        return 0;
    if (CV_LIKELY(found != 0))
        return node->children + (uint32_t)__builtin_ctz((unsigned)found);
    return node->child_count > CV_ROUTER_VECTOR_BYTES ? wide_child(router, node, byte) : 0;
}

static inline void push(struct search *search, struct fork fork) {
    CV_DEBUG_ASSERT(search->fork_count < CV_PATTERN_SEGMENTS_MAX);
    search->fork[search->fork_count++] = fork;
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
    if (fork.next == WAY_INTEGER && node->integer != 0 &&
        is_int(cv_span_make(search->path + fork.at, end - fork.at))) {
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

static bool find_by_tree(struct search *search) {
    const struct cv_router *router = search->router;
    struct cv_match *match = search->match;
    uint32_t index = 0;
    size_t at = 0;

    for (;;) {
        const struct cv_router_node *node = &router->node[index];
        struct fork fork = {index, 0, match->param_count, WAY_NONE};
        bool found = false;

        index = 0;
        if (has_text(search, node, at)) {
            at += node->text_bytes;
            fork.at = (uint32_t)at;
            fork.next = node->has_params ? WAY_INTEGER : WAY_NONE;
            if (at < search->length) {
                index = text_child(router, node, search->data[at]);
            } else if (node->leaf != 0 &&
                       choose(router, &router->leaf[node->leaf], search->method, match)) {
                return true;
            }
        }
        if (index != 0) {
            if (fork.next != WAY_NONE)
                push(search, fork);
            at++;
            continue;
        }
        if (fork.next != WAY_NONE)
            index = take_segment(search, fork, &at, &found);
        while (index == 0 && !found) {
            if (search->fork_count == 0)
                return false;
            fork = search->fork[--search->fork_count];
            match->param_count = fork.param_count;
            index = take_segment(search, fork, &at, &found);
        }
        if (found)
            return true;
    }
}

static bool search_tree(const struct cv_router *router, uint16_t method, struct cv_span path,
                        struct cv_match *match) {
    struct search search;
    char copy[2 * WORD_BYTES];

    search.router = router;
    search.match = match;
    search.path = path.data;
    search.data = path.data;
    search.length = path.length;
    search.last_word = path.length - WORD_BYTES;
    search.method = method;
    search.fork_count = 0;
    if (path.length < WORD_BYTES) {
        uint64_t word = cv_router_load_short(path.data, path.length);

        memcpy(copy, &word, sizeof(word));
        memset(copy + sizeof(word), 0, sizeof(word));
        search.data = copy;
        search.last_word = WORD_BYTES;
    }
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
