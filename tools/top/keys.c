// Sequences of xterm and all that follow it: ESC [ parameters final byte (ECMA-48 section 5.4), and
// ESC O letter, which cursor keys send in application mode.
#include "top/keys.h"

#include <stdbool.h>
#include <string.h>

#define ESCAPE '\033'

static const struct {
    const char *sequence;  // Behind the escape.
    int key;
} known[] = {
    {"[A", TOP_KEY_UP},         {"[B", TOP_KEY_DOWN},  {"[C", TOP_KEY_RIGHT},
    {"[D", TOP_KEY_LEFT},       {"OA", TOP_KEY_UP},    {"OB", TOP_KEY_DOWN},
    {"OC", TOP_KEY_RIGHT},      {"OD", TOP_KEY_LEFT},  {"[5~", TOP_KEY_PAGE_UP},
    {"[6~", TOP_KEY_PAGE_DOWN}, {"[H", TOP_KEY_HOME},  {"[F", TOP_KEY_END},
    {"OH", TOP_KEY_HOME},       {"OF", TOP_KEY_END},   {"[1~", TOP_KEY_HOME},
    {"[4~", TOP_KEY_END},       {"[7~", TOP_KEY_HOME}, {"[8~", TOP_KEY_END},
    {"[Z", TOP_KEY_BACK_TAB},
};

static int meaning(const char *sequence) {
    for (size_t i = 0; i < CV_ARRAY_COUNT(known); i++) {
        if (strcmp(sequence, known[i].sequence) == 0) {
            return known[i].key;
        }
    }
    return TOP_KEY_NONE;
}

// `length` bytes of a sequence, its escape not among them.
static bool is_complete(const char *sequence, unsigned length) {
    char last = sequence[length - 1];
    if (sequence[0] == '[') {
        return length > 1 && last >= '@' && last <= '~';
    }
    return sequence[0] != 'O' || length == 2;
}

int top_keys_feed(struct top_keys *keys, char byte) {
    if (byte == ESCAPE) {
        int before = top_keys_flush(keys);
        keys->sequence[keys->length++] = byte;
        return before;
    }
    if (keys->length == 0) {
        bool is_key = (byte >= ' ' && byte <= '~') || byte == '\t' || byte == '\f';
        return is_key ? byte : TOP_KEY_NONE;
    }
    keys->sequence[keys->length++] = byte;
    keys->sequence[keys->length] = '\0';
    if (is_complete(keys->sequence + 1, keys->length - 1)) {
        keys->length = 0;
        return meaning(keys->sequence + 1);
    }
    if (keys->length == TOP_KEYS_SEQUENCE_MAX - 1) {
        keys->length = 0;
    }
    return TOP_KEY_NONE;
}

int top_keys_flush(struct top_keys *keys) {
    bool is_lone = keys->length == 1;
    keys->length = 0;
    return is_lone ? TOP_KEY_ESCAPE : TOP_KEY_NONE;
}
