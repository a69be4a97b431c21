// The inside of a compiled router, shared by those who build it, search it and pin it. One block:
//
//   struct cv_router | a line of pins per worker | slots | nodes | leaves | routes | displacements
//                    | first bytes of wide nodes | texts of long static paths
//
// Everything but the pins and the list fields is written once, before it is published. Indexes of 0
// mean "none": node 0 is the root, which is nobody's child, and leaf 0 is not used. Node 1 is dead:
// its text is in no path, and nothing comes behind it.
#ifndef CV_APP_ROUTER_LAYOUT_H
#define CV_APP_ROUTER_LAYOUT_H

#include <emmintrin.h>
#include <stdatomic.h>

#include "app/router.h"

// The routes of one pattern. `of[b]` is where the route for method bit b lies behind `route`.
struct cv_router_leaf {
    uint16_t takes;    // Methods with a route, HEAD included where GET has one.
    uint16_t methods;  // As registered, for Allow.
    uint32_t route;    // In `routes`.
    uint8_t of[8];
};

#define CV_ROUTER_SLOT_TEXT_BYTES 32u

// A static pattern in the perfect hash: a cache line.
struct cv_router_slot {
    char text[CV_ROUTER_SLOT_TEXT_BYTES];  // The path, then zeros, if it fits.
    uint32_t length;                       // Of the path; 0: the slot is empty.
    union {
        bool is_plain;       // If it fits: sent by a client, the path means itself.
        uint32_t long_text;  // If it does not: where it is in `texts`.
    };
    struct cv_router_leaf leaf;
    const struct cv_route *plain_get;  // The route of a plain path for GET, or NULL.
} CV_CACHE_ALIGNED;

#define CV_ROUTER_VECTOR_BYTES 16u
#define CV_ROUTER_NODE_TEXT_BYTES (CV_ROUTER_VECTOR_BYTES - 1)  // One more is read behind it.

// A place in the tree, reached by a byte in the parent's vector or by a parameter: a cache line.
struct cv_router_node {
    // The next byte of each child, in the order of the children; what is left repeats the first, so
    // that a search from the low end never finds it. Without children, CV_PATTERN_PARAM: it leads
    // to the dead node.
    uint8_t first[CV_ROUTER_VECTOR_BYTES];
    char text[CV_ROUTER_VECTOR_BYTES];  // What the path must go on with, then zeros.
    uint32_t children;                  // The first child; the others follow it.
    uint32_t wide;                      // In `wide_first`: the bytes of children 16 and up.
    uint32_t integer;                   // Child behind "/{name:int}", which follows the text.
    uint32_t name;                      // Child behind "/{name}".
    uint32_t rest;                      // Leaf of "/{name...}".
    uint32_t leaf;                      // Of paths that end here.
    uint16_t text_mask;                 // A bit for each byte of the text.
    uint16_t child_count;
    uint8_t text_bytes;
    bool has_params;  // One of integer, name, rest is set.
    bool has_fork;    // Then, too, there is a child for '/'.
} CV_CACHE_ALIGNED;

// A worker's own line in a table.
struct cv_router_pins {
    _Atomic uint32_t count;  // Open requests of the worker; written by it alone.
    // The writer's notes on a retired table.
    bool has_passed;  // The worker has passed a turn since.
    uint64_t turn;    // Where it was at the time.
} CV_CACHE_ALIGNED;

struct cv_router {
    // Where the parts lie, all in this block.
    const struct cv_router_slot *slot;
    const struct cv_router_node *node;
    const struct cv_router_leaf *leaf;
    const struct cv_route *const *routes;
    const uint32_t *displacement;
    const uint8_t *wide_first;
    const char *texts;
    uint64_t seed;
    uint32_t bucket_shift;  // Bucket of a hash: its high bits.
    uint32_t slot_mask;
    uint32_t static_bytes_max;  // The longest static path.
    bool has_tree;
    uint16_t methods;
    // app/routes
    uint64_t number;
    size_t bytes;  // Of the block.
    uint32_t worker_count;
    struct cv_router *next;  // While retired.
    struct cv_router_pins pins[];
} CV_CACHE_ALIGNED;

_Static_assert(sizeof(struct cv_router_slot) == CV_CACHE_LINE_BYTES, "a hit is one line");
_Static_assert(sizeof(struct cv_router_node) == CV_CACHE_LINE_BYTES, "a step is one line");
_Static_assert(sizeof(struct cv_router_pins) == CV_CACHE_LINE_BYTES, "workers share no line");

// The hash of a static path.
//
// Up to 32 bytes are four words, overlapping where the path is shorter; below 8 bytes one word,
// the missing bytes being 0. They are read once, for the hash and for the comparison.
struct cv_router_words {
    uint64_t first;
    uint64_t second;
    uint64_t third;
    uint64_t last;
};

static inline uint64_t cv_router_load(const char *at) {
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

// 1 to 7 bytes as a word.
static inline uint64_t cv_router_load_short(const char *at, size_t length) {
    uint32_t low, high;

    if (length >= 4) {
        memcpy(&low, at, 4);
        memcpy(&high, at + length - 4, 4);
        return low | (uint64_t)high << (8 * (length - 4));
    }
    // First, middle and last: all there are of up to three.
    return (uint64_t)(unsigned char)at[0] |
           (uint64_t)(unsigned char)at[length / 2] << (8 * (length / 2)) |
           (uint64_t)(unsigned char)at[length - 1] << (8 * (length - 1));
}

static inline uint64_t cv_router_mix(uint64_t a, uint64_t b) {
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// Of a text of 8 to 32 bytes.
static inline struct cv_router_words cv_router_words(const char *text, size_t length) {
    return (struct cv_router_words){
        cv_router_load(text),
        cv_router_load(text + CV_MIN((size_t)8, length - 8)),
        cv_router_load(text + CV_MAX(length, (size_t)16) - 16),
        cv_router_load(text + length - 8),
    };
}

#define CV_ROUTER_SALT_1 0x9e3779b97f4a7c15u  // Odd numbers without a pattern.
#define CV_ROUTER_SALT_2 0xd6e8feb86659fd93u
#define CV_ROUTER_SALT_3 0xa0761d6478bd642fu

static inline uint64_t cv_router_hash_words(struct cv_router_words words, size_t length,
                                            uint64_t seed) {
    return cv_router_mix(words.first ^ seed ^ length, words.second ^ CV_ROUTER_SALT_1) ^
           cv_router_mix(words.third ^ CV_ROUTER_SALT_2, words.last ^ CV_ROUTER_SALT_3 ^ seed);
}

// Of a text of 1 to 7 bytes, as a word.
static inline uint64_t cv_router_hash_short(uint64_t word, size_t length, uint64_t seed) {
    return cv_router_mix(word ^ seed ^ length, word ^ CV_ROUTER_SALT_1);
}

// Of a text of more than 32 bytes.
uint64_t cv_router_hash_long(const char *text, size_t length, uint64_t seed);

static inline uint64_t cv_router_hash(const char *text, size_t length, uint64_t seed) {
    if (length > CV_ROUTER_SLOT_TEXT_BYTES)
        return cv_router_hash_long(text, length, seed);
    if (length < 8)
        return cv_router_hash_short(cv_router_load_short(text, length), length, seed);
    return cv_router_hash_words(cv_router_words(text, length), length, seed);
}

#endif
