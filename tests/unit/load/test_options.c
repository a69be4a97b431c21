// The command line: defaults, every option, every sentence of refusal with its exit status.
#include "load/options.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define URL "http://127.0.0.1:8000/x"
#define ARGUMENTS_MAX 32

static struct load_options options;
static char path[64];

// Words are separated by '|', since values have blanks.
static int split(const char *line, char *words, size_t words_bytes, char **argv) {
    int argc = 1;
    argv[0] = (char *)(uintptr_t) "covet-load";
    snprintf(words, words_bytes, "%s", line);
    for (char *rest = words; rest != NULL;) {
        assert_true(argc < ARGUMENTS_MAX);
        argv[argc++] = strsep(&rest, "|");
    }
    argv[argc] = NULL;
    return argc;
}

static void read_line(const char *line) {
    static char words[1024];
    static char *argv[ARGUMENTS_MAX + 1];
    load_options_deinit(&options);
    load_options_read(&options, split(line, words, sizeof(words), argv), argv);
}

struct ending {
    int status;
    char out[8192], error[1024];
};

static void read_end(int fd, char *text, size_t bytes) {
    size_t used = 0;
    for (ssize_t got; used + 1 < bytes && (got = read(fd, text + used, bytes - used - 1)) > 0;) {
        used += (size_t)got;
    }
    text[used] = '\0';
    close(fd);
}

// Reads a line that ends the program, in a child.
static struct ending end_of(const char *line) {
    struct ending ending;
    int out[2], error[2], status;
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(error), 0);
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(error[1], STDERR_FILENO);
        read_line(line);
        fflush(stdout);
        _exit(99);  // It has not ended.
    }
    close(out[1]);
    close(error[1]);
    read_end(out[0], ending.out, sizeof(ending.out));
    read_end(error[0], ending.error, sizeof(ending.error));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    ending.status = WEXITSTATUS(status);
    return ending;
}

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof(path), "/tmp/covet-test-load-options-%d", (int)getpid());
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    load_options_deinit(&options);
    unlink(path);
    return 0;
}

static void write_file(const char *text) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static const char *request_text(unsigned index) {
    static char text[1024];
    const char *data;
    size_t bytes = load_requests_span(&options.requests, index, 1, &data);
    assert_true(bytes < sizeof(text));
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    return text;
}

static void test_options_have_the_documented_defaults(void **state) {
    (void)state;
    read_line(URL);
    assert_int_equal(options.threads, 1);
    assert_int_equal(options.connections, 64);
    assert_true(options.seconds == 10);
    assert_true(options.warmup_seconds == 0);
    assert_int_equal(options.depth, 1);
    assert_true(options.rate == 0);
    assert_int_equal(options.reconnect, 0);
    assert_int_equal(options.idle, 0);
    assert_int_equal(options.request_count, 0);
    assert_true(options.timeout_seconds == 10);
    assert_int_equal(options.client_addresses, 0);
    assert_null(options.cores);
    assert_false(options.json);
    assert_string_equal(options.url, URL);
    assert_string_equal(options.command, "covet-load " URL);
    assert_string_equal(request_text(0), "GET /x HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n");
    const struct sockaddr_in *address = (const struct sockaddr_in *)&options.address;
    assert_int_equal(address->sin_family, AF_INET);
    assert_int_equal(ntohs(address->sin_port), 8000);
    assert_int_equal(options.address_bytes, sizeof(*address));
}

static void test_options_are_taken_by_letter_and_by_name(void **state) {
    static const char *const lines[] = {
        "-t|2|-c|100|-d|2|-p|16|-n|1000|-H|A: b|-X|PUT|-b|text|" URL,
        "--threads|2|--connections=100|--duration|2s|--depth|16|--requests|1k|--header|A: b|"
        "--method|PUT|--body|text|" URL,
        URL "|-t2|-c100|-d2000ms|-p16|-n1000|-HA: b|-XPUT|-btext",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        read_line(lines[i]);
        assert_int_equal(options.threads, 2);
        assert_int_equal(options.connections, 100);
        assert_true(options.seconds == 2);
        assert_int_equal(options.depth, 16);
        assert_int_equal(options.requests.depth, 16);
        assert_int_equal(options.request_count, 1000);
        assert_string_equal(options.url, URL);
        assert_string_equal(request_text(0), "PUT /x HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nA: b\r\n"
                                             "Content-Length: 4\r\n\r\ntext");
    }
    read_line("--rate|12.5k|--reconnect|7|--idle|10k|--timeout|500ms|--warmup|1|--client-addresses|"
              "3|--cores|0-1,3|--json|-q|" URL);
    assert_true(options.rate == 12500);
    assert_int_equal(options.reconnect, 7);
    assert_int_equal(options.idle, 10000);
    assert_true(options.timeout_seconds == 0.5);
    assert_true(options.warmup_seconds == 1);
    assert_int_equal(options.client_addresses, 3);
    assert_string_equal(options.cores, "0-1,3");
    assert_true(options.json);
    assert_false(options.progress);
}

static void test_options_durations_have_units(void **state) {
    static const struct {
        const char *line;
        double seconds;
    } cases[] = {
        {"-d|10|" URL, 10},       {"-d|10s|" URL, 10},    {"-d|1.5|" URL, 1.5},
        {"-d|500ms|" URL, 0.5},   {"-d|2m|" URL, 120},    {"-d|1h|" URL, 3600},
        {"-d|2000us|" URL, 2e-3}, {"-d|24h|" URL, 86400}, {"-n|5|" URL, 86400},
        {"-n|5|-d|3|" URL, 3},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        read_line(cases[i].line);
        assert_true(options.seconds > cases[i].seconds * 0.999999 &&
                    options.seconds < cases[i].seconds * 1.000001);
    }
}

static void test_options_uploads_have_sizes(void **state) {
    static const struct {
        const char *line;
        uint64_t bytes;
    } cases[] = {
        {"--upload|1|" URL, 1},
        {"--upload|64M|" URL, 64u << 20},
        {"--upload|1.5k|" URL, 1536},
        {"--upload|3g|" URL, UINT64_C(3) << 30},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        read_line(cases[i].line);
        assert_int_equal(options.requests.stream_bytes, cases[i].bytes);
        assert_non_null(options.requests.stream);
    }
    assert_string_equal(request_text(0), "POST /x HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
                                         "Content-Length: 3221225472\r\n\r\n");
}

static void test_options_bodies_and_requests_come_from_files(void **state) {
    char line[256];
    (void)state;
    write_file("/a\nPOST /b x\n");
    snprintf(line, sizeof(line), "-b|@%s|" URL, path);
    read_line(line);
    assert_string_equal(request_text(0), "POST /x HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
                                         "Content-Length: 13\r\n\r\n/a\nPOST /b x\n");
    snprintf(line, sizeof(line), "--file|%s|-X|PUT|-H|A: b|http://localhost:1/", path);
    read_line(line);
    assert_int_equal(options.requests.count, 2);
    assert_string_equal(request_text(0), "PUT /a HTTP/1.1\r\nHost: localhost:1\r\nA: b\r\n"
                                         "Content-Length: 0\r\n\r\n");
    assert_string_equal(request_text(1), "POST /b HTTP/1.1\r\nHost: localhost:1\r\nA: b\r\n"
                                         "Content-Length: 1\r\n\r\nx");
}

static void test_options_take_unix_sockets(void **state) {
    (void)state;
    read_line("unix:/run/socket:/path");
    assert_int_equal(options.address.ss_family, AF_UNIX);
    assert_string_equal(request_text(0), "GET /path HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

static void test_options_keep_the_command_as_a_shell_takes_it(void **state) {
    (void)state;
    read_line("-H|A: it's|" URL "?a=b&c|-b|");
    assert_string_equal(options.command,
                        "covet-load -H 'A: it'\\''s' 'http://127.0.0.1:8000/x?a=b&c' -b ''");
}

static void test_options_refuse_with_a_sentence(void **state) {
    static const struct {
        const char *line, *sentence;
    } cases[] = {
        {"-q", "the URL is missing"},
        {URL "|" URL, "one URL, please: '" URL "' is too much"},
        {"--frobnicate|" URL, "there is no option --frobnicate"},
        {"-Z|" URL, "there is no option -Z"},
        {"--json=1|" URL, "there is no option --json=1, or it takes no value"},
        {URL "|-c", "-c needs a value"},
        {URL "|--rate", "--rate needs a value"},
        {"--rate|12x|" URL, "--rate: '12x' is no rate"},
        {"--rate|0|" URL, "--rate: '0' is not from 0.001 to 1000000000"},
        {"--rate|-5|" URL, "--rate: '-5' is no rate"},
        {"--rate|inf|" URL, "--rate: 'inf' is no rate"},
        {"--rate||" URL, "--rate: '' is no rate"},
        {"-c|0|" URL, "-c: '0' is not from 1 to 4000000"},
        {"-c|1.5|" URL, "-c: '1.5' is no count"},
        {"-c| 5|" URL, "-c: ' 5' is no count"},
        {"-c|0x10|" URL, "-c: '0x10' is no count"},
        {"-c|1e3|" URL, "-c: '1e3' is no count"},
        {"-c|5M|" URL, "-c: '5M' is not from 1 to 4000000"},
        {"-t|257|" URL, "-t: '257' is not from 1 to 256"},
        {"-t|65|" URL, "-c: 64 connections are too few for 65 threads"},
        {"-p|1025|" URL, "-p: '1025' is not from 1 to 1024"},
        {"-d|0|" URL, "-d: '0' is not from 0.001 to 86400"},
        {"-d|10x|" URL, "-d: '10x' is no duration"},
        {"-d|1.2.3|" URL, "-d: '1.2.3' is no duration"},
        {"-d|99999999999999999999999999|" URL, "-d: '99999999999999999999999999' is no duration"},
        {"--timeout|-1|" URL, "--timeout: '-1' is no duration"},
        {"--warmup|10|" URL, "--warmup: nothing is left of the 10 seconds"},
        {"--upload|1T|" URL, "--upload: '1T' is no number of bytes"},
        {"--upload|5|-p|2|" URL, "--upload: an upload cannot be pipelined"},
        {"--upload|5|-b|x|" URL, "-b and --upload are two bodies"},
        {"--file|x|-b|y|" URL, "--file says the bodies"},
        {"--file|x|--upload|1|" URL, "--file says the bodies"},
        {"--file|/nowhere|" URL, "--file says the paths; leave '/x' out of the URL"},
        {"--file|/nowhere|http://127.0.0.1:8000", "/nowhere: No such file or directory"},
        {"-b|@/nowhere|" URL, "-b: /nowhere: No such file or directory"},
        {"-H|x|" URL, "the field 'x' has no colon"},
        {"-X|A B|" URL, "'A B' is no method"},
        {"http://127.0.0.1:8000/a b", "write it as %20"},
        {"--cores|1-|" URL, "--cores: '1-': "},
        {"--client-addresses|3|http://192.0.2.1/",
         "--client-addresses needs a server at 127.0.0.1"},
        {"--client-addresses|251|" URL, "--client-addresses: '251' is not from 1 to 250"},
        {"https://127.0.0.1/", "https:// is not spoken here"},
        {"127.0.0.1:8000", "'127.0.0.1:8000' begins with neither http:// nor unix:"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ending ending = end_of(cases[i].line);
        if (ending.status != 64 || strncmp(ending.error, "covet-load: ", 12) != 0 ||
            strstr(ending.error, cases[i].sentence) == NULL ||
            strstr(ending.error, "\ncovet-load --help lists the options\n") == NULL ||
            ending.out[0] != '\0') {
            fail_msg("%s: %d, '%s' instead of '%s'", cases[i].line, ending.status, ending.error,
                     cases[i].sentence);
        }
    }
}

static void test_options_end_with_1_when_the_host_has_no_address(void **state) {
    // A label of 64 bytes is none, so that no name server is asked.
    struct ending ending = end_of("http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                  "aaaaaaa.invalid/");
    (void)state;
    assert_int_equal(ending.status, 1);
    assert_non_null(strstr(ending.error, "has no address"));
    assert_null(strstr(ending.error, "--help"));
}

static void test_options_print_help_and_version(void **state) {
    static const char *const names[] = {
        "-t, --threads N",
        "-c, --connections N",
        "-d, --duration TIME",
        "-n, --requests N",
        "-p, --depth N",
        "--rate R",
        "-H, --header",
        "-X, --method METHOD",
        "-b, --body",
        "--file FILE",
        "--upload BYTES",
        "--reconnect N",
        "--idle N",
        "--timeout TIME",
        "--warmup TIME",
        "--client-addresses N",
        "--cores LIST",
        "--json",
        "-q, --quiet",
        "-V, --version",
        "-h, --help",
        "usage: covet-load [OPTION]... URL",
    };
    struct ending ending = end_of("--help");
    (void)state;
    assert_int_equal(ending.status, 0);
    assert_string_equal(ending.error, "");
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_non_null(strstr(ending.out, names[i]));
    }
    for (char *line = strtok(ending.out, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_true(strlen(line) <= 90);
    }
    ending = end_of("--version");
    assert_int_equal(ending.status, 0);
    assert_int_equal(strncmp(ending.out, "covet-load ", 11), 0);
    assert_non_null(strchr(ending.out, '.'));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_have_the_documented_defaults),
        cmocka_unit_test(test_options_are_taken_by_letter_and_by_name),
        cmocka_unit_test(test_options_durations_have_units),
        cmocka_unit_test(test_options_uploads_have_sizes),
        cmocka_unit_test(test_options_bodies_and_requests_come_from_files),
        cmocka_unit_test(test_options_take_unix_sockets),
        cmocka_unit_test(test_options_keep_the_command_as_a_shell_takes_it),
        cmocka_unit_test(test_options_refuse_with_a_sentence),
        cmocka_unit_test(test_options_end_with_1_when_the_host_has_no_address),
        cmocka_unit_test(test_options_print_help_and_version),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
