// Whole frames, drawn into a terminal that the test plays: whatever the size, nothing leaves it.
#include "top/frame.h"

#include <ctype.h>
#include <stdio.h>

#include "support/top_world.h"
#include "top/keys.h"

#define WIDTH_MAX 220u
#define HEIGHT_MAX 60u

static struct top_dashboard dashboard;
static struct top_screen screen;

// What a terminal shows: one byte a cell; glyphs beyond ASCII as '#'.
static struct {
    char cells[HEIGHT_MAX][WIDTH_MAX + 1];
    unsigned width, height, row, column;
} played;

static void play_sequence(const char *parameters, char final) {
    unsigned row, column;
    if (final == 'H') {
        assert_int_equal(sscanf(parameters, "%u;%u", &row, &column), 2);
        assert_in_range(row, 1, played.height);
        assert_in_range(column, 1, played.width);
        played.row = row - 1;
        played.column = column - 1;
    } else if (final == 'K') {
        for (unsigned i = played.column; i < played.width; i++) {
            played.cells[played.row][i] = ' ';
        }
    } else if (final == 'J') {
        for (unsigned i = played.row; i < played.height; i++) {
            memset(played.cells[i], ' ', played.width);
        }
    } else {
        assert_true(final == 'm' || final == 'h' || final == 'l');
    }
}

static void play(unsigned width, unsigned height) {
    played.width = width;
    played.height = height;
    for (unsigned i = 0; i < height; i++) {
        memset(played.cells[i], '~', width);  // What was there before must be gone.
        played.cells[i][width] = '\0';
    }
    for (const char *at = screen.bytes; at < screen.bytes + screen.length; at++) {
        if (*at == '\033') {
            char parameters[32] = "";
            size_t length = 0;
            assert_int_equal(*++at, '[');
            while (!isalpha((unsigned char)*++at)) {
                assert_true(length < sizeof(parameters) - 1);
                parameters[length++] = *at;
            }
            play_sequence(parameters, *at);
        } else if (((unsigned char)*at & 0xc0) != 0x80) {
            assert_true((unsigned char)*at >= ' ');
            assert_true(played.column < width);  // No glyph beyond the edge.
            played.cells[played.row][played.column++] = (unsigned char)*at < 0x80 ? *at : '#';
        }
    }
    for (unsigned i = 0; i < height; i++) {
        assert_null(strchr(played.cells[i], '~'));
    }
}

static void draw(unsigned width, unsigned height) {
    top_frame_draw(&screen, &dashboard, width, height);
    play(width, height);
}

static void begin(uint32_t level) {
    dashboard.sample = *t_top_begin(level);
    top_dashboard_begin(&dashboard, 1, 0);
    screen.way.has_utf8 = true;
    screen.way.has_colors = true;
}

static int end(void **state) {
    (void)state;
    t_top_end();
    top_screen_deinit(&screen);
    return 0;
}

static void assert_row(unsigned row, const char *words) {
    if (!t_top_begins(played.cells[row], words)) {
        fail_msg("row %u: '%s', not '%s'", row, played.cells[row], words);
    }
}

static void test_frame_fills_any_terminal_exactly(void **state) {
    static const unsigned sizes[][2] = {{60, 10},  {61, 11},  {80, 24},  {81, 10},
                                        {132, 43}, {200, 50}, {219, 59}, {59, 10},
                                        {60, 9},   {10, 3},   {1, 1},    {5, 40}};
    (void)state;
    for (uint32_t level = 0; level <= 3; level++) {
        begin(level);
        for (unsigned i = 0; i < CV_ARRAY_COUNT(sizes); i++) {
            for (int view = '1'; view < '1' + (int)TOP_VIEW_COUNT; view++) {
                top_dashboard_key(&dashboard, view);
                draw(sizes[i][0], sizes[i][1]);
                top_dashboard_key(&dashboard, 't');
                top_dashboard_key(&dashboard, TOP_KEY_END);
                top_dashboard_key(&dashboard, TOP_KEY_RIGHT);
                draw(sizes[i][0], sizes[i][1]);
                top_dashboard_key(&dashboard, 'h');
                draw(sizes[i][0], sizes[i][1]);
            }
        }
        t_top_end();
    }
}

static void test_frame_says_who_is_watched(void **state) {
    (void)state;
    begin(2);
    draw(100, 24);
    assert_row(0, "covet-top server 1001 up 1h00m restarts 1 every 1s since baseline 10s");
    assert_row(1, "port 8000 core 0-2 level 2: 21 programs of covet-prof");
    assert_row(2, "requests/s 6000");
    assert_non_null(strstr(played.cells[2], "##      max 6000"));
    assert_row(3, "1 Workers 2 System calls 3 Ring 4 Network 5 Latency");
    assert_row(4, "requests");
    assert_row(5, "worker core");
    assert_row(6, "workers");
    assert_row(23, "sorted by worker: a thread of the server");
}

static void test_frame_says_that_nothing_is_attached(void **state) {
    (void)state;
    begin(0);
    draw(80, 24);
    assert_row(1, "port 8000 core 0-2 level 0: no profiler to start it: sudo covet-prof");
    snprintf(dashboard.sample.now.bpf_note, sizeof(dashboard.sample.now.bpf_note),
             "the maps may not be read: sudo covet-top");
    draw(80, 24);
    assert_row(1, "port 8000 core 0-2 level 0: the maps may not be read: sudo covet-top");
}

static void test_frame_says_that_the_server_is_gone_for_now(void **state) {
    (void)state;
    begin(0);
    dashboard.sample.now.server.server_pid = 0;
    for (unsigned i = 0; i < T_TOP_WORKERS; i++) {
        dashboard.sample.now.workers[i].thread_id = 0;
    }
    draw(80, 24);
    assert_row(0, "covet-top no server: waiting for its restart up 1h00m restarts 1");
    assert_row(1, "port 8000 core level 0");
}

static void test_frame_lists_cores_in_ranges(void **state) {
    static const struct {
        uint32_t cpus[T_TOP_WORKERS];
        const char *expected;
    } cases[] = {
        {{0, 1, 2}, "port 8000 core 0-2 "},     {{5, 5, 5}, "port 8000 core 5 "},
        {{9, 0, 1}, "port 8000 core 0-1,9 "},   {{8191, 3, 7}, "port 8000 core 3,7,8191 "},
        {{99999, 3, 7}, "port 8000 core 3,7 "},
    };
    (void)state;
    begin(0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        for (unsigned worker = 0; worker < T_TOP_WORKERS; worker++) {
            dashboard.sample.now.workers[worker].cpu = cases[i].cpus[worker];
        }
        draw(80, 24);
        assert_row(1, cases[i].expected);
    }
}

static void test_frame_shows_pauses_and_the_first_moment(void **state) {
    (void)state;
    begin(0);
    top_dashboard_key(&dashboard, 'p');
    draw(80, 24);
    assert_row(0, "covet-top PAUSED server 1001");
    dashboard.sample.has_change = false;
    dashboard.sample.requests.count = 0;
    draw(80, 24);
    assert_row(2, "requests/s  ");
    assert_row(4, "measuring ...");
}

static void test_frame_scrolls_below_its_titles(void **state) {
    (void)state;
    begin(2);
    // 10 rows: four of header, two of titles, three of four lines, one at the bottom.
    draw(60, 10);
    assert_row(6, "workers");
    assert_row(8, "w1");
    assert_non_null(strstr(played.cells[9], "1-3 of 4"));
    top_dashboard_key(&dashboard, TOP_KEY_END);
    draw(60, 10);
    assert_row(5, "worker");
    assert_row(6, "w0");
    assert_row(8, "w2");
    assert_non_null(strstr(played.cells[9], "2-4 of 4"));
    top_dashboard_key(&dashboard, TOP_KEY_UP);
    draw(60, 10);
    assert_row(6, "workers");
}

static void test_frame_brings_the_sorted_column_into_sight(void **state) {
    (void)state;
    begin(2);
    for (unsigned i = 0; i + 1 < top_views[0]->column_count; i++) {
        top_dashboard_key(&dashboard, 's');
        draw(60, 24);
    }
    assert_non_null(strstr(played.cells[4], "moved"));
    assert_row(23, "sorted by moved since: ");
    top_dashboard_key(&dashboard, 's');
    draw(60, 24);
    // The fixed column is in sight anyway: nothing moves.
    assert_non_null(strstr(played.cells[4], "moved"));
    top_dashboard_key(&dashboard, 's');
    draw(60, 24);
    assert_row(5, "worker core /s");
}

static void test_frame_shows_help_of_the_view(void **state) {
    (void)state;
    begin(2);
    top_dashboard_key(&dashboard, '3');
    top_dashboard_key(&dashboard, 'h');
    draw(80, 24);
    assert_row(4, "Ring");
    assert_row(5, "What the workers ask the kernel for");
    assert_row(23, "h or Escape: back");
}

static void test_frame_that_is_too_small_says_so(void **state) {
    (void)state;
    begin(0);
    draw(40, 9);
    assert_row(0, "40x9: too small");
    assert_row(1, "needs 60x10");
}

static void test_frame_as_text_has_all_rows_and_columns(void **state) {
    (void)state;
    begin(2);
    screen.length = 0;
    top_frame_text(&screen, &dashboard, TOP_PAGE_WIDTH_MAX);
    *top_screen_room(&screen, 1) = '\0';
    t_top_assert_line(screen.bytes, "covet-top server 1001");
    t_top_assert_line(screen.bytes,
                      "worker core /s p50 p99 open % % enter sysc 100 ent in out idle "
                      "forced 4xx 5xx since");
    t_top_assert_line(screen.bytes, "w2 2 3000");
    assert_null(strchr(screen.bytes, '\033'));
    assert_null(strstr(screen.bytes, " \n"));
}

#define FRAME_TEST(function) cmocka_unit_test_teardown(function, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        FRAME_TEST(test_frame_fills_any_terminal_exactly),
        FRAME_TEST(test_frame_says_who_is_watched),
        FRAME_TEST(test_frame_says_that_nothing_is_attached),
        FRAME_TEST(test_frame_says_that_the_server_is_gone_for_now),
        FRAME_TEST(test_frame_lists_cores_in_ranges),
        FRAME_TEST(test_frame_shows_pauses_and_the_first_moment),
        FRAME_TEST(test_frame_scrolls_below_its_titles),
        FRAME_TEST(test_frame_brings_the_sorted_column_into_sight),
        FRAME_TEST(test_frame_shows_help_of_the_view),
        FRAME_TEST(test_frame_that_is_too_small_says_so),
        FRAME_TEST(test_frame_as_text_has_all_rows_and_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
