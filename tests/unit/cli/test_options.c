// Options: every one by its name, good and bad values, the file against the command line.
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cpu.h"

#define ARGUMENTS_MAX 24

static struct cv_settings settings;
static struct cv_options_result result;
static char path[64];

// Reads a command line given as words separated by single spaces.
static int read_line(const char *line) {
    static char words[2048];
    char *argv[ARGUMENTS_MAX + 2] = {"covet"};
    int argc = 1;
    snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc <= ARGUMENTS_MAX);
        argv[argc++] = word;
    }
    memset(&settings, 0, sizeof(settings));
    return cv_options_read(argc, argv, &settings, &result);
}

static void write_file(const char *text) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int read_file(const char *text, const char *more) {
    char line[1024];
    write_file(text);
    snprintf(line, sizeof(line), "--config %s %s", path, more);
    return read_line(line);
}

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof(path), "/tmp/covet-test-options-%d", (int)getpid());
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static void test_options_have_the_documented_defaults(void **state) {
    (void)state;
    assert_int_equal(read_line(""), 0);
    const struct cv_limits *limits = &settings.limits;
    assert_int_equal(settings.listen_count, 1);
    assert_string_equal(settings.listen[0].text, "127.0.0.1:8000");
    assert_true(settings.listen_default);
    assert_true(settings.admin_enabled);
    assert_string_equal(settings.admin.text, "");
    assert_string_equal(settings.access_log, "");
    assert_int_equal(settings.module_count, 0);
    assert_int_equal(settings.drain_ms, 30000);
    assert_int_equal(settings.log_level, CV_LOG_INFO);
    assert_int_equal(settings.profile_level, 2);
    assert_int_equal(settings.worker_count, settings.cpu_count);
    assert_int_equal(limits->header_timeout_ms, 10000);
    assert_int_equal(limits->idle_timeout_ms, 15000);
    assert_int_equal(limits->body_grace_ms, 10000);
    assert_int_equal(limits->body_rate_min, 16384);
    assert_int_equal(limits->write_timeout_ms, 30000);
    assert_int_equal(limits->linger_timeout_ms, 1000);
    assert_int_equal(limits->head_bytes_max, 32768);
    assert_int_equal(limits->target_bytes_max, 8192);
    assert_int_equal(limits->fields_max, 100);
    assert_int_equal(limits->body_bytes_max, 1048576);
    assert_int_equal(limits->pipeline_max, 128);
    assert_int_equal(limits->output_bytes_max, 262144);
    assert_int_equal(limits->connections_max, 0);
    assert_int_equal(limits->connections_per_address_max, 0);
}

static void test_options_read_times_and_sizes(void **state) {
    (void)state;
    assert_int_equal(read_line("--header-timeout 0.5 --idle-timeout 1.25 --drain 0 "
                               "--write-timeout=86400 --linger-timeout 0.001"),
                     0);
    assert_int_equal(settings.limits.header_timeout_ms, 500);
    assert_int_equal(settings.limits.idle_timeout_ms, 1250);
    assert_int_equal(settings.drain_ms, 0);
    assert_int_equal(settings.limits.write_timeout_ms, 86400000);
    assert_int_equal(settings.limits.linger_timeout_ms, 1);
    assert_int_equal(read_line("--body-max 3g --header-max 1K --output-max 2M --body-rate-min 0"),
                     0);
    assert_int_equal(settings.limits.body_bytes_max, 3221225472);
    assert_int_equal(settings.limits.head_bytes_max, 1024);
    assert_int_equal(settings.limits.output_bytes_max, 2097152);
    assert_int_equal(settings.limits.body_rate_min, 0);
}

static void test_options_read_lists_and_names(void **state) {
    (void)state;
    assert_int_equal(read_line("--listen 127.0.0.1:1 --listen [::1]:2 --listen unix:/x "
                               "--module a.so --module b.so --admin off --access-log - "
                               "--log-level debug --core --workers 3"),
                     0);
    assert_int_equal(settings.listen_count, 3);
    assert_false(settings.listen_default);
    assert_string_equal(settings.listen[0].text, "127.0.0.1:1");
    assert_string_equal(settings.listen[2].text, "unix:/x");
    assert_int_equal(settings.module_count, 2);
    assert_string_equal(settings.module[1], "b.so");
    assert_false(settings.admin_enabled);
    assert_string_equal(settings.access_log, "-");
    assert_int_equal(settings.log_level, CV_LOG_DEBUG);
    assert_true(settings.core_dumps);
    assert_int_equal(settings.worker_count, 3);
}

static void test_options_read_the_profile_level(void **state) {
    (void)state;
    static const struct {
        const char *line;
        uint32_t level;
    } cases[] = {{"--profile off", 0}, {"--profile 0", 0}, {"--profile 1", 1}, {"--profile=3", 3}};
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        assert_int_equal(read_line(cases[i].line), 0);
        assert_int_equal(settings.profile_level, cases[i].level);
    }
}

static void test_options_refuse_bad_command_lines_with_64(void **state) {
    (void)state;
    static const char *const cases[] = {
        "--nonsense",
        "-x",
        "word",
        "--listen 127.0.0.1:1 word",
        "--listen",
        "--check=yes",
        "--memory-max 15m",
        "--memory-max 1025t",
        "--lag-max -1",
        "--retry-after 0",
        "--listen 127.0.0.1",
        "--listen 127.0.0.1:1 --listen 127.0.0.1:1",
        "--cores",
        "--cores=",
        "--cores a",
        "--cores 1-",
        "--cores 3-1",
        "--cores 8191",
        "--workers 0",
        "--workers 257",
        "--workers -1",
        "--workers 1x",
        "--admin nowhere",
        "--log-level loud",
        "--profile 4",
        "--profile on",
        "--profile -1",
        "--profile=",
        "--header-timeout 0",
        "--header-timeout 0.0001",
        "--header-timeout 1.",
        "--header-timeout .5",
        "--header-timeout 10s",
        "--header-timeout -1",
        "--header-timeout 86400.001",
        "--header-timeout 99999999999999999999",
        "--drain x",
        "--body-max k",
        "--body-max 1kk",
        "--body-max -1",
        "--body-max 1t",
        "--body-max 9223372036854775808",
        "--body-max 8589934592g",
        "--header-max 255",
        "--header-max 65536",
        "--fields-max 101",
        "--fields-max 1k",
        "--output-max 4095",
        "--access-log=",
        "--module=",
        "--user no-such-user-here",
        // Parts that are not built do not exist.
        "--root .",
        "--seccomp off",
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        if (read_line(cases[i]) != 64) {
            fail_msg("%s: %d %s", cases[i], result.exit_code, result.message);
        }
        assert_true(strlen(result.message) > 0);
    }
}

static void test_options_say_what_else_is_wanted(void **state) {
    (void)state;
    assert_int_equal(read_line("--help"), 0);
    assert_int_equal(result.action, CV_OPTIONS_HELP);
    assert_int_equal(read_line("-h"), 0);
    assert_int_equal(result.action, CV_OPTIONS_HELP);
    assert_int_equal(read_line("--version --config /nonexistent"), 0);
    assert_int_equal(result.action, CV_OPTIONS_VERSION);
    assert_int_equal(read_line("--check"), 0);
    assert_int_equal(result.action, CV_OPTIONS_CHECK);
}

static void test_options_leave_missing_cores_out_with_one_warning(void **state) {
    (void)state;
    uint16_t allowed[CV_CPU_INDEX_MAX + 1];
    size_t count;
    char line[64];
    assert_int_equal(cv_cpu_allowed(allowed, CV_ARRAY_COUNT(allowed), &count), 0);
    snprintf(line, sizeof(line), "--cores %u,8000-8002,8005", allowed[0]);
    assert_int_equal(read_line(line), 0);
    assert_int_equal(settings.cpu_count, 1);
    assert_int_equal(settings.cpu[0], allowed[0]);
    assert_non_null(strstr(result.warning, "cores=8000-8002,8005 "));
    assert_int_equal(read_line(""), 0);
    assert_string_equal(result.warning, "");
    assert_int_equal(read_line("--cores 8000"), 64);
    assert_non_null(strstr(result.message, "8000"));
}

static void test_options_of_the_file_count_unless_the_command_line_speaks(void **state) {
    (void)state;
    static const char text[] = "listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\nmodule = f.so\n"
                               "idle-timeout = 3\nbody-max = 2m\nallow-root = no\ncore = yes\n";
    assert_int_equal(read_file(text, ""), 0);
    assert_int_equal(settings.listen_count, 2);
    assert_string_equal(settings.listen[1].text, "127.0.0.1:2");
    assert_string_equal(settings.module[0], "f.so");
    assert_int_equal(settings.limits.idle_timeout_ms, 3000);
    assert_int_equal(settings.limits.body_bytes_max, 2097152);
    assert_true(settings.core_dumps);
    assert_string_equal(settings.config, path);

    assert_int_equal(read_file(text, "--listen 127.0.0.1:9 --idle-timeout 4 --module c.so"), 0);
    assert_int_equal(settings.listen_count, 1);
    assert_string_equal(settings.listen[0].text, "127.0.0.1:9");
    assert_int_equal(settings.module_count, 1);
    assert_string_equal(settings.module[0], "c.so");
    assert_int_equal(settings.limits.idle_timeout_ms, 4000);
    assert_int_equal(settings.limits.body_bytes_max, 2097152);
}

static void test_options_refuse_bad_files_with_78_and_the_line(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *more;
        const char *expected;
    } cases[] = {
        {"nonsense = 1\n", "", ":1: unknown key 'nonsense'"},
        {"\nidle-timeout = x\n", "", ":2: idle-timeout: 'x' is not a time"},
        // Wrong by itself, though the command line overrides it.
        {"idle-timeout = x\n", "--idle-timeout 3", ":1: idle-timeout: 'x' is not a time"},
        {"idle-timeout = 1\nidle-timeout = 2\n", "", ":2: 'idle-timeout' is given twice"},
        {"config = x\n", "", ":1: 'config' is for the command line only"},
        {"help = yes\n", "", ":1: 'help' is for the command line only"},
        {"core = maybe\n", "", ":1: core: 'maybe' is not yes or no"},
        {"listen = 1:2:3\n", "", ":1: listen: '1:2:3': the host is"},
        {"user = no-such-user-here\n", "", "user: there is no user 'no-such-user-here'"},
        {"cores = 8000\n", "", "cores: none of these is here"},
        {"--listen = 127.0.0.1:1\n", "", ":1: unknown key '--listen'"},
    };
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        int code = read_file(cases[i].text, cases[i].more);
        if (code != 78 || strstr(result.message, cases[i].expected) == NULL) {
            fail_msg("%s: %d %s", cases[i].text, code, result.message);
        }
    }
    assert_int_equal(read_line("--config /nonexistent"), 78);
    assert_int_equal(read_file("idle-timeout = 1\n", "--workers 0"), 64);
}

static void test_options_can_be_read_again(void **state) {
    (void)state;
    assert_int_equal(read_file("idle-timeout = 3\n", "--workers 2"), 0);
    assert_int_equal(settings.limits.idle_timeout_ms, 3000);
    assert_int_equal(read_file("idle-timeout = 5\n", "--workers 2"), 0);
    assert_int_equal(settings.limits.idle_timeout_ms, 5000);
    assert_int_equal(settings.worker_count, 2);
}

static void test_options_never_become_root_by_default(void **state) {
    (void)state;
    if (geteuid() != 0) {
        print_message("only root has a user to drop\n");
        assert_int_equal(read_line("--user root"), 64);
        return;
    }
    unsetenv("SUDO_UID");
    unsetenv("SUDO_GID");
    assert_int_equal(read_line(""), 0);
    assert_string_equal(settings.user_name, "nobody");
    assert_int_not_equal(settings.user, 0);
    assert_int_equal(read_line("--user root"), 64);
    assert_int_equal(read_line("--user root --allow-root"), 0);
    assert_int_equal(settings.user, 0);
    setenv("SUDO_UID", "0", 1);
    assert_int_equal(read_line(""), 0);
    assert_string_equal(settings.user_name, "nobody");
    setenv("SUDO_UID", "54321", 1);
    setenv("SUDO_GID", "54322", 1);
    assert_int_equal(read_line(""), 0);
    assert_int_equal(settings.user, 54321);
    assert_int_equal(settings.group, 54322);
    assert_int_equal(read_line("--user nobody"), 0);
    assert_string_equal(settings.user_name, "nobody");
    unsetenv("SUDO_UID");
    unsetenv("SUDO_GID");
}

// Every option is in the help and, with its default, in the documentation.
static void test_options_are_all_documented(void **state) {
    (void)state;
    static char help[16384];
    static char page[32768];
    size_t count;
    const struct cv_option *table = cv_options_table(&count);
    FILE *out = fmemopen(help, sizeof(help) - 1, "w");
    assert_non_null(out);
    cv_options_print_help(out);
    fclose(out);
    FILE *file = fopen("docs/OPTIONS.md", "re");
    if (file == NULL) {
        print_message("docs/OPTIONS.md is not below the current directory\n");
    } else {
        assert_true(fread(page, 1, sizeof(page) - 1, file) > 0);
        fclose(file);
    }
    for (size_t i = 0; i < count; i++) {
        char text[128];
        snprintf(text, sizeof(text), "  --%s ", table[i].name);
        if (strstr(help, text) == NULL) {
            fail_msg("not in the help: %s", text);
        }
        snprintf(text, sizeof(text), "\n| `--%s", table[i].name);
        const char *row = strstr(page, text);
        if (file != NULL && row == NULL) {
            fail_msg("not in docs/OPTIONS.md: --%s", table[i].name);
        }
        if (file != NULL && table[i].initial != NULL) {
            snprintf(text, sizeof(text), " %s |", table[i].initial);
            const char *end = strchr(row + 1, '\n');
            const char *found = strstr(row, text);
            if (found == NULL || found > end) {
                fail_msg("docs/OPTIONS.md has another default of --%s", table[i].name);
            }
        }
    }
}

int main(void) {
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_have_the_documented_defaults),
        cmocka_unit_test(test_options_read_times_and_sizes),
        cmocka_unit_test(test_options_read_lists_and_names),
        cmocka_unit_test(test_options_read_the_profile_level),
        cmocka_unit_test(test_options_refuse_bad_command_lines_with_64),
        cmocka_unit_test(test_options_say_what_else_is_wanted),
        cmocka_unit_test(test_options_leave_missing_cores_out_with_one_warning),
        WITH_FILE(test_options_of_the_file_count_unless_the_command_line_speaks),
        WITH_FILE(test_options_refuse_bad_files_with_78_and_the_line),
        WITH_FILE(test_options_can_be_read_again),
        cmocka_unit_test(test_options_never_become_root_by_default),
        cmocka_unit_test(test_options_are_all_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
