// Open addressing, at most half full.
#include "profile/names.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SLOTS_MIN 1024u

static char **find_slot(char **slots, size_t slot_count, struct cv_span text) {
    size_t at = XXH3_64bits(text.data, text.length) & (slot_count - 1);

    while (slots[at] != NULL && !cv_span_equal(cv_span_of(slots[at]), text))
        at = (at + 1) & (slot_count - 1);
    return &slots[at];
}

static bool grow(struct cv_names *names) {
    size_t slot_count = CV_MAX(2 * names->slot_count, SLOTS_MIN);
    char **slots = calloc(slot_count, sizeof(*slots));

    if (slots == NULL)
        return false;
    for (size_t i = 0; i < names->slot_count; i++) {
        if (names->slots[i] != NULL)
            *find_slot(slots, slot_count, cv_span_of(names->slots[i])) = names->slots[i];
    }
    free(names->slots);
    names->slots = slots;
    names->slot_count = slot_count;
    return true;
}

const char *cv_names_add(struct cv_names *names, struct cv_span text) {
    if (2 * names->count >= names->slot_count && !grow(names))
        return NULL;
    char **slot = find_slot(names->slots, names->slot_count, text);
    if (*slot == NULL) {
        *slot = cv_span_duplicate(text);
        names->count += *slot != NULL;
    }
    return *slot;
}

void cv_names_deinit(struct cv_names *names) {
    for (size_t i = 0; i < names->slot_count; i++)
        free(names->slots[i]);
    free(names->slots);
    *names = (struct cv_names){0};
}
