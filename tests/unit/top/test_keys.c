// Bytes of a terminal as keys, in whatever pieces they come.
#include "top/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KEYS_MAX 16

// Feeds `bytes`, then lets time pass. Gives the keys in order.
static size_t keys_of(const char *bytes, int *keys) {
    struct top_keys state = {.length = 0};
    size_t count = 0;
    for (const char *at = bytes; *at != '\0'; at++) {
        int key = top_keys_feed(&state, *at);
        if (key != TOP_KEY_NONE) {
            assert_true(count < KEYS_MAX);
            keys[count++] = key;
        }
    }
    int last = top_keys_flush(&state);
    if (last != TOP_KEY_NONE) {
        keys[count++] = last;
    }
    assert_int_equal(top_keys_flush(&state), TOP_KEY_NONE);
    return count;
}

static void test_keys_are_read(void **state) {
    static const struct {
        const char *name, *bytes;
        int keys[4];
    } cases[] = {
        {"letters and digits", "q1+", {'q', '1', '+'}},
        {"tab and form feed", "\t\f", {'\t', '\f'}},
        {"cursor keys",
         "\033[A\033[B\033[C\033[D",
         {TOP_KEY_UP, TOP_KEY_DOWN, TOP_KEY_RIGHT, TOP_KEY_LEFT}},
        {"cursor keys in application mode", "\033OA\033OB", {TOP_KEY_UP, TOP_KEY_DOWN}},
        {"pages", "\033[5~\033[6~", {TOP_KEY_PAGE_UP, TOP_KEY_PAGE_DOWN}},
        {"home and end of three kinds",
         "\033[H\033[4~\033[7~\033OF",
         {TOP_KEY_HOME, TOP_KEY_END, TOP_KEY_HOME, TOP_KEY_END}},
        {"back tab", "\033[Z", {TOP_KEY_BACK_TAB}},
        {"a lone escape", "\033", {TOP_KEY_ESCAPE}},
        {"two escapes", "\033\033", {TOP_KEY_ESCAPE, TOP_KEY_ESCAPE}},
        {"escape before a sequence", "\033\033[A", {TOP_KEY_ESCAPE, TOP_KEY_UP}},
        {"unknown sequence, none of its letters a key", "\033[15;2~q", {'q'}},
        {"alt and a letter", "\033qh", {'h'}},
        {"mouse report", "\033[<0;10;20Mq", {'q'}},
        {"endless sequence is dropped", "\033[11111111111111111111", {'1', '1', '1', '1'}},
        {"incomplete sequence", "\033[1", {TOP_KEY_NONE}},
        {"control and high bytes", "\001\r\x7f\xc3\xa4", {TOP_KEY_NONE}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int keys[KEYS_MAX + 1];
        size_t count = keys_of(cases[i].bytes, keys);
        for (size_t at = 0; at < 4 && (at < count || cases[i].keys[at] != 0); at++) {
            if (at >= count || keys[at] != cases[i].keys[at]) {
                fail_msg("%s: key %zu", cases[i].name, at);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
