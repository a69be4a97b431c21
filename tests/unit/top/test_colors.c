// What a terminal can show, by its terminfo entry and the environment.
#include "top/colors.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/top_world.h"

// An entry with 14 numbers, the last of which is max_colors. Returns its size.
static size_t make_entry(unsigned char *entry, int magic, size_t name_bytes, size_t boolean_count,
                         int number_count, int colors) {
    size_t number_bytes = magic == 01036 ? 4 : 2;
    const size_t header[] = {(size_t)magic, name_bytes, boolean_count, (size_t)number_count, 0, 0};
    size_t at = 0;
    for (size_t i = 0; i < CV_ARRAY_COUNT(header); i++) {
        entry[at++] = (unsigned char)header[i];
        entry[at++] = (unsigned char)(header[i] >> 8);
    }
    memset(entry + at, 1, name_bytes + boolean_count);
    at += name_bytes + boolean_count;
    at += at % 2;
    for (int i = 0; i < number_count; i++) {
        long value = i == 13 ? colors : 4242;
        for (size_t byte = 0; byte < number_bytes; byte++) {
            entry[at++] = (unsigned char)(value >> (8 * byte));
        }
    }
    return at;
}

static void test_colors_are_read_out_of_an_entry(void **state) {
    static const struct {
        const char *name;
        int magic, number_count, colors, expected;
        size_t name_bytes, boolean_count;
    } cases[] = {
        {"eight", 0432, 14, 8, 8, 10, 4},
        {"odd sizes are evened out", 0432, 20, 256, 256, 10, 5},
        {"wide numbers", 01036, 14, 16777216, 16777216, 7, 3},
        {"absent", 0432, 14, -1, -1, 10, 4},
        {"no such number", 0432, 13, 8, 0, 10, 4},
        {"another magic", 0777, 14, 8, 0, 10, 4},
    };
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        unsigned char entry[256];
        size_t bytes = make_entry(entry, cases[i].magic, cases[i].name_bytes,
                                  cases[i].boolean_count, cases[i].number_count, cases[i].colors);
        int colors = top_colors_in_entry(entry, bytes);
        if (colors != cases[i].expected) {
            fail_msg("%s: %d", cases[i].name, colors);
        }
        for (size_t cut = 0; cut < bytes && cases[i].number_count == 14; cut++) {
            assert_int_equal(top_colors_in_entry(entry, cut), 0);
        }
    }
}

static void write_entry(const char *directory, const char *term, int colors) {
    unsigned char entry[256];
    char path[200];
    size_t bytes = make_entry(entry, 0432, 4, 4, 14, colors);
    snprintf(path, sizeof(path), "%s/%c", directory, term[0]);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/%c/%s", directory, term[0], term);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(entry, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static void test_colors_are_used_where_the_terminal_has_them(void **state) {
    char directory[] = "/tmp/test_colors.XXXXXX";
    static const struct {
        const char *name, *term, *colorterm, *no_color;
        bool expected;
    } cases[] = {
        {"described with eight", "t-eight", NULL, NULL, true},
        {"described with two", "t-two", "truecolor", NULL, false},
        {"described nowhere", "t-unknown", NULL, NULL, false},
        {"described nowhere, but it says so", "t-unknown", "truecolor", NULL, true},
        {"not wanted", "t-eight", "truecolor", "1", false},
        {"NO_COLOR is empty", "t-eight", NULL, "", true},
        {"no name", NULL, "truecolor", NULL, false},
        {"empty name", "", "truecolor", NULL, false},
        {"a path", "../t-eight", "truecolor", NULL, false},
    };
    (void)state;
    assert_non_null(mkdtemp(directory));
    write_entry(directory, "t-eight", 8);
    write_entry(directory, "t-two", 2);
    setenv("TERMINFO", directory, 1);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        bool wanted = top_colors_wanted(cases[i].term, cases[i].colorterm, cases[i].no_color);
        if (wanted != cases[i].expected) {
            fail_msg("%s: %d", cases[i].name, wanted);
        }
    }
    char command[64];
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

static void test_colors_know_utf8_by_the_locale(void **state) {
    (void)state;
    setenv("LC_ALL", "C.UTF-8", 1);
    assert_true(top_colors_has_utf8());
    setenv("LC_ALL", "C", 1);
    assert_false(top_colors_has_utf8());
    setenv("LC_ALL", "no_SUCH.locale", 1);
    assert_false(top_colors_has_utf8());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_colors_are_read_out_of_an_entry),
        cmocka_unit_test(test_colors_are_used_where_the_terminal_has_them),
        cmocka_unit_test(test_colors_know_utf8_by_the_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
