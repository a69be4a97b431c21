// Open addressing with linear probing; deletion moves later entries of the run back, so there are
// no tombstones and a lookup ends at the first empty place. The table is at most half full.
#include "net/admission.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"

struct entry {
    struct cv_peer key;  // Address without port; family CV_PEER_UNKNOWN: empty.
    uint32_t count;
};

struct cv_admission {
    uint64_t seed;  // Clients choose addresses; they must not choose places.
    uint32_t mask;
    struct entry entry[];
};

static struct cv_peer key_of(const struct cv_peer *peer) {
    struct cv_peer key = {.family = peer->family};
    memcpy(key.address, peer->address, peer->family == CV_PEER_IPV6 ? 8 : 4);
    return key;
}

static uint32_t home_of(const struct cv_admission *admission, const struct cv_peer *key) {
    return (uint32_t)XXH3_64bits_withSeed(key, sizeof(*key), admission->seed) & admission->mask;
}

static bool is_countable(const struct cv_peer *peer) {
    return peer->family == CV_PEER_IPV4 || peer->family == CV_PEER_IPV6;
}

// The place of `key`, or the empty one where it belongs.
static uint32_t find(const struct cv_admission *admission, const struct cv_peer *key) {
    uint32_t place = home_of(admission, key);
    while (admission->entry[place].key.family != CV_PEER_UNKNOWN &&
           memcmp(&admission->entry[place].key, key, sizeof(*key)) != 0) {
        place = (place + 1) & admission->mask;
    }
    return place;
}

struct cv_admission *cv_admission_create(uint32_t connections_max) {
    uint32_t places = 16;
    while (places < 2 * connections_max) {
        places *= 2;
    }
    struct cv_admission *admission =
        calloc(1, sizeof(*admission) + places * sizeof(admission->entry[0]));
    if (admission != NULL) {
        admission->mask = places - 1;
        if (getrandom(&admission->seed, sizeof(admission->seed), GRND_NONBLOCK) < 0) {
            admission->seed = (uint64_t)(uintptr_t)admission;
        }
    }
    return admission;
}

void cv_admission_destroy(struct cv_admission *admission) {
    free(admission);
}

bool cv_admission_enter(struct cv_admission *admission, const struct cv_peer *peer,
                        uint32_t count_max) {
    if (!is_countable(peer)) {
        return true;
    }
    struct cv_peer key = key_of(peer);
    struct entry *entry = &admission->entry[find(admission, &key)];
    if (entry->count >= count_max) {
        return false;
    }
    entry->key = key;
    entry->count++;
    return true;
}

void cv_admission_leave(struct cv_admission *admission, const struct cv_peer *peer) {
    if (!is_countable(peer)) {
        return;
    }
    struct cv_peer key = key_of(peer);
    uint32_t hole = find(admission, &key);
    CV_ASSERT(admission->entry[hole].count > 0);
    if (--admission->entry[hole].count > 0) {
        return;
    }
    admission->entry[hole] = (struct entry){0};
    for (uint32_t place = (hole + 1) & admission->mask;
         admission->entry[place].key.family != CV_PEER_UNKNOWN;
         place = (place + 1) & admission->mask) {
        uint32_t home = home_of(admission, &admission->entry[place].key);
        // Movable unless its home lies behind the hole on the way to it.
        if (((place - home) & admission->mask) >= ((place - hole) & admission->mask)) {
            admission->entry[hole] = admission->entry[place];
            admission->entry[place] = (struct entry){0};
            hole = place;
        }
    }
}
