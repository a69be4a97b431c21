// An interval as JSON.
#include "top/json.h"

#include "support/top_world.h"

static struct top_screen screen;

static const char *json_at(uint32_t level) {
    screen.length = 0;
    t_top_begin(level);
    top_json_write(&screen, &t_top_sample);
    *top_screen_room(&screen, 1) = '\0';
    t_top_end();
    return screen.bytes;
}

static void assert_has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) {
        fail_msg("no %s in %s", part, text);
    }
}

static void test_json_is_one_line(void **state) {
    (void)state;
    const char *text = json_at(3);
    assert_int_equal(text[0], '{');
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_true(strlen(text) > 4096);  // It did not fit at first.
}

static void test_json_has_counters_by_their_names(void **state) {
    (void)state;
    const char *text = json_at(2);
    assert_has(text, "{\"server\":{\"supervisor_pid\":1000,\"server_pid\":1001,"
                     "\"server_starts\":2,\"start_realtime_s\":0,\"ports\":[8000]}");
    assert_has(text, "\"interval_ns\":1000000000,\"profile\":{\"level\":2,");
    assert_has(text, "\"total\":{\"counters\":{\"requests\":6000,\"responses_1xx\":0,"
                     "\"responses_2xx\":6000,");
    assert_has(text, "{\"worker\":2,\"thread_id\":4713,\"cpu\":2,\"counters\":{\"requests\":3000,");
    assert_has(text, "\"p50_ns\":1024,\"p90_ns\":1024,\"p99_ns\":16384,\"p999_ns\":16384}");
    assert_has(text, "\"proc\":{\"cpu_ns\":500000000,\"runq_ns\":100000000,"
                     "\"voluntary_switches\":40,\"involuntary_switches\":7}");
    assert_has(text, "\"bpf\":{\"requests\":1000,\"syscalls\":200,"
                     "\"syscalls_per_1000_requests\":0,\"io_uring_enters\":100,"
                     "\"completions\":2000,\"completions_per_100_enters\":0}");
}

static void test_json_has_null_for_what_is_not_there(void **state) {
    (void)state;
    t_top_begin(0);
    t_top_sample.change.workers[0].has_proc = false;
    t_top_sample.change.workers[0].handler_time = (struct covet_histogram){.count = 0};
    screen.length = 0;
    top_json_write(&screen, &t_top_sample);
    *top_screen_room(&screen, 1) = '\0';
    t_top_end();
    assert_has(screen.bytes, "\"profile\":null");
    assert_has(screen.bytes, "\"handler_time\":{\"count\":0,\"sum_ns\":0,\"p50_ns\":null,"
                             "\"p90_ns\":null,\"p99_ns\":null,\"p999_ns\":null},\"proc\":null,"
                             "\"bpf\":null}");
}

static int end(void **state) {
    (void)state;
    top_screen_deinit(&screen);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_is_one_line),
        cmocka_unit_test(test_json_has_counters_by_their_names),
        cmocka_unit_test(test_json_has_null_for_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
