// Requests: what is written out for a source or a file, what is refused, where runs of them lie.
#include "load/requests.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);

// How many more requests for memory are granted; below 0: all.
static int grants = -1;

static bool is_granted(void) {
    return grants < 0 || grants-- > 0;
}

void *__wrap_malloc(size_t bytes) {
    return is_granted() ? __real_malloc(bytes) : NULL;
}

void *__wrap_calloc(size_t count, size_t bytes) {
    return is_granted() ? __real_calloc(count, bytes) : NULL;
}

void *__wrap_realloc(void *block, size_t bytes) {
    return is_granted() ? __real_realloc(block, bytes) : NULL;
}

static struct load_requests requests;
static const char *why;
static char folder[64], path[96];

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/covet-test-requests-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/list", folder);
    return 0;
}

static int tear_down(void **state) {
    char name[128];
    (void)state;
    snprintf(name, sizeof(name), "%s/body", folder);
    unlink(name);
    unlink(path);
    return rmdir(folder);
}

static void write_file(const char *name, const char *text, size_t bytes) {
    char full[128];
    snprintf(full, sizeof(full), "%s/%s", folder, name);
    FILE *file = fopen(full, "we");
    assert_non_null(file);
    fwrite(text, 1, bytes, file);
    assert_int_equal(fclose(file), 0);
}

// The `index`-th of the block as text.
static const char *text_of(unsigned index) {
    static char text[4096];
    const char *data;
    size_t bytes = load_requests_span(&requests, index, 1, &data);
    assert_true(bytes < sizeof(text));
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    return text;
}

static void test_requests_are_written_as_the_source_says(void **state) {
    static const char *const some[] = {"Accept: */*", "x-a:  \tb c\t "};
    static const char *const host[] = {"HOST: other:81", "A:"};
    static const struct {
        struct load_request_source source;
        const char *expected;
        bool head_only;
    } cases[] = {
        {{.path = "/"}, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", false},
        {{.path = "/a?b=c&d=%20"}, "GET /a?b=c&d=%20 HTTP/1.1\r\nHost: h\r\n\r\n", false},
        {{.path = "/", .method = "HEAD"}, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", true},
        {{.path = "/", .method = "head"}, "head / HTTP/1.1\r\nHost: h\r\n\r\n", false},
        {{.path = "*", .method = "OPTIONS"}, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", false},
        {{.path = "/", .fields = some, .field_count = 2},
         "GET / HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nx-a: b c\r\n\r\n",
         false},
        {{.path = "/", .fields = host, .field_count = 2},
         "GET / HTTP/1.1\r\nHost: other:81\r\nA: \r\n\r\n",
         false},
        {{.path = "/", .body = "a\0\r\n", .body_bytes = 4},
         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\na",
         false},
        {{.path = "/", .body = "", .body_bytes = 0},
         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
         false},
        {{.path = "/", .method = "PUT"},
         "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
         false},
        {{.path = "/", .method = "PATCH"},
         "PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
         false},
        {{.path = "/", .method = "DELETE", .body = "x", .body_bytes = 1},
         "DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
         false},
        {{.path = "/", .stream_bytes = UINT64_C(5000000000)},
         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000000\r\n\r\n",
         false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct load_request_source source = cases[i].source;
        source.host = "h";
        assert_int_equal(load_requests_from_source(&requests, &source, 1, &why), 0);
        assert_int_equal(requests.count, 1);
        assert_string_equal(text_of(0), cases[i].expected);
        assert_int_equal(requests.head_only[0], cases[i].head_only);
        assert_int_equal(requests.stream_bytes, source.stream_bytes);
        assert_int_equal(requests.stream != NULL, source.stream_bytes > 0);
        load_requests_deinit(&requests);
        assert_null(requests.block);
    }
}

static void test_requests_refuse_what_cannot_be_sent(void **state) {
    static const struct {
        const char *method, *path, *host, *fields[2], *reason;
    } cases[] = {
        {"", "/", "h", {NULL}, "'' is no method"},
        {"GE T", "/", "h", {NULL}, "'GE T' is no method"},
        {"GET\r\nA: b", "/", "h", {NULL}, "is no method"},
        {"CONNECT", "/", "h", {NULL}, "CONNECT"},
        {NULL, "", "h", {NULL}, "does not begin with '/'"},
        {NULL, "x", "h", {NULL}, "does not begin with '/'"},
        {NULL, "*", "h", {NULL}, "does not begin with '/'"},
        {NULL, "http://h/", "h", {NULL}, "does not begin with '/'"},
        {NULL, "/a b", "h", {NULL}, "write it as %20"},
        {NULL, "/a\tb", "h", {NULL}, "write it as %09"},
        {NULL, "/a\r\n", "h", {NULL}, "write it as %0D"},
        {NULL, "/\x7f", "h", {NULL}, "write it as %7F"},
        {NULL, "/\xc3\xa4", "h", {NULL}, "write it as %C3"},
        {NULL, "/a#b", "h", {NULL}, "'#'"},
        {NULL, "/", "a b", {NULL}, "'a b' is no host"},
        {NULL, "/", "h", {"Host: a/b"}, "'a/b' is no host"},
        {NULL, "/", "h", {"Host: a", "host: b"}, "Host is given twice"},
        {NULL, "/", "h", {"no colon"}, "no colon"},
        {NULL, "/", "h", {""}, "no colon"},
        {NULL, "/", "h", {": x"}, "'' is no field name"},
        {NULL, "/", "h", {"A : x"}, "'A ' is no field name"},
        {NULL, "/", "h", {" A: x"}, "' A' is no field name"},
        {NULL, "/", "h", {"A\n: x"}, "is no field name"},
        {NULL, "/", "h", {"A: x\r\nB: y"}, "the field 'A' holds a control byte"},
        {NULL, "/", "h", {"A: x\x7f"}, "holds a control byte"},
        {NULL, "/", "h", {"content-length: 1"}, "'content-length' is set by the body alone"},
        {NULL, "/", "h", {"Transfer-Encoding: chunked"}, "is set by the body alone"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct load_request_source source = {
            .method = cases[i].method,
            .path = cases[i].path,
            .host = cases[i].host,
            .fields = cases[i].fields,
            .field_count = cases[i].fields[1] != NULL   ? 2
                           : cases[i].fields[0] != NULL ? 1
                                                        : 0,
        };
        why = NULL;
        assert_int_equal(load_requests_from_source(&requests, &source, 1, &why), -EINVAL);
        assert_non_null(why);
        if (strstr(why, cases[i].reason) == NULL) {
            fail_msg("case %zu: '%s' instead of '%s'", i, why, cases[i].reason);
        }
        assert_null(requests.block);
    }
}

static void test_requests_can_be_sent_in_runs_from_any_index(void **state) {
    static const char list[] = "/a\n/bb 1\n/ccc\n";
    static const unsigned depths[] = {1, 2, 3, 4, 16, LOAD_DEPTH_MAX};
    static const struct load_request_source base = {.host = "h"};
    (void)state;
    write_file("list", list, sizeof(list) - 1);
    for (size_t i = 0; i < COUNT(depths); i++) {
        unsigned depth = depths[i];
        assert_int_equal(load_requests_from_file(&requests, path, &base, depth, &why), 0);
        assert_int_equal(requests.count, 3);
        assert_int_equal(requests.depth, depth);
        for (unsigned index = 0; index < 3; index++) {
            for (unsigned run = 1; run <= depth; run++) {
                const char *data, *single;
                size_t bytes = load_requests_span(&requests, index, run, &data);
                size_t at = 0;
                for (unsigned k = 0; k < run; k++) {
                    size_t single_bytes =
                        load_requests_span(&requests, (index + k) % 3, 1, &single);
                    assert_true(at + single_bytes <= bytes);
                    assert_memory_equal(data + at, single, single_bytes);
                    at += single_bytes;
                }
                assert_int_equal(at, bytes);
                if (run == 32) {
                    run = depth - 1;  // The longest is enough.
                }
            }
        }
        load_requests_deinit(&requests);
    }
}

static void test_requests_of_a_file_are_those_of_its_lines(void **state) {
    static const char list[] = "# A list.\r\n"
                               "\n"
                               "GET /\r\n"
                               "/api/users/7\n"
                               " \t\n"
                               "POST \t /echo  {\"a\": 1} \n"
                               "  Content-Type: application/json\r\n"
                               "\tx-b: own\n"
                               "PUT /blob @body\n"
                               "HEAD /last";
    static const char *const fields[] = {"X-A: base", "X-B: base"};
    static const struct load_request_source base = {
        .host = "h", .fields = fields, .field_count = 2};
    static const char *const expected[] = {
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: base\r\nX-B: base\r\n\r\n",
        "GET /api/users/7 HTTP/1.1\r\nHost: h\r\nX-A: base\r\nX-B: base\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nx-b: own\r\n"
        "X-A: base\r\nContent-Length: 9\r\n\r\n{\"a\": 1} ",
        "PUT /blob HTTP/1.1\r\nHost: h\r\nX-A: base\r\nX-B: base\r\nContent-Length: 7\r\n\r\n"
        "a\r\n\r\nbc",
        "HEAD /last HTTP/1.1\r\nHost: h\r\nX-A: base\r\nX-B: base\r\n\r\n",
    };
    (void)state;
    write_file("list", list, sizeof(list) - 1);
    write_file("body", "a\r\n\r\nbc", 7);
    assert_int_equal(load_requests_from_file(&requests, path, &base, 2, &why), 0);
    assert_int_equal(requests.count, COUNT(expected));
    for (unsigned i = 0; i < COUNT(expected); i++) {
        assert_string_equal(text_of(i), expected[i]);
        assert_int_equal(requests.head_only[i], i == 4);
    }
    load_requests_deinit(&requests);
}

static void test_requests_of_a_file_take_method_and_host_from_the_base(void **state) {
    static const char list[] = "/a\nGET /b\n Host: other\n";
    static const struct load_request_source base = {.host = "h", .method = "OPTIONS"};
    (void)state;
    write_file("list", list, sizeof(list) - 1);
    assert_int_equal(load_requests_from_file(&requests, path, &base, 1, &why), 0);
    assert_string_equal(text_of(0), "OPTIONS /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_string_equal(text_of(1), "GET /b HTTP/1.1\r\nHost: other\r\n\r\n");
    load_requests_deinit(&requests);
}

static void test_requests_name_the_line_that_is_wrong(void **state) {
    static const struct {
        const char *list;
        const char *reason;
        int error;
    } cases[] = {
        {"", ": no request in it", -EINVAL},
        {"# nothing\n\n", ": no request in it", -EINVAL},
        {"/\nGET", ":2: 'GET' is no path, and no path follows it", -EINVAL},
        {"/\n\nget /x\n", ":3: 'get' is no method", -EINVAL},
        {"http://h/ x\n", ":1: 'http://h/' is no method", -EINVAL},
        {"GET x\n/\n", ":1: the path 'x' does not begin", -EINVAL},
        {"GET /\n/#\n/\n", ":2: in '/#'", -EINVAL},
        {"GET / HTTP/1.1\n", ":1: a request here is METHOD PATH BODY", -EINVAL},
        {" A: b\n/\n", ":1: an indented line is a field", -EINVAL},
        {"/\n A b\n", ":2: the field 'A b' has no colon", -EINVAL},
        {"/\n A: b\n Content-Length: 3\n", ":3: 'Content-Length' is set", -EINVAL},
        {"/\n Host: a\n Host: b\n/x", ":1: Host is given twice", -EINVAL},
        {"/\nPOST /y @missing\n", "missing: No such file", -ENOENT},
        {"CONNECT /\n", ":1: CONNECT", -EINVAL},
    };
    static const struct load_request_source base = {.host = "h"};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_file("list", cases[i].list, strlen(cases[i].list));
        int result = load_requests_from_file(&requests, path, &base, 1, &why);
        if (result != cases[i].error || strncmp(why, path, strlen(path)) != 0 ||
            strstr(why, cases[i].reason) == NULL) {
            fail_msg("case %zu: %d, '%s' instead of '%s'", i, result, why, cases[i].reason);
        }
    }
    write_file("list", "/ a\0b\n", 6);
    assert_int_equal(load_requests_from_file(&requests, path, &base, 1, &why), -EINVAL);
    assert_non_null(strstr(why, ":1: a byte 0"));
    assert_int_equal(load_requests_from_file(&requests, "/nowhere", &base, 1, &why), -ENOENT);
    assert_string_equal(why, "/nowhere: No such file or directory");
}

static void test_requests_of_a_file_have_a_largest_number(void **state) {
    static char list[3 * (LOAD_REQUEST_COUNT_MAX + 1)];
    static const struct load_request_source base = {.host = "h"};
    (void)state;
    for (size_t i = 0; i < sizeof(list); i += 3) {
        memcpy(list + i, "/x\n", 3);
    }
    write_file("list", list, sizeof(list) - 3);
    assert_int_equal(load_requests_from_file(&requests, path, &base, LOAD_DEPTH_MAX, &why), 0);
    assert_int_equal(requests.count, LOAD_REQUEST_COUNT_MAX);
    load_requests_deinit(&requests);
    write_file("list", list, sizeof(list));
    assert_int_equal(load_requests_from_file(&requests, path, &base, 1, &why), -E2BIG);
    assert_non_null(strstr(why, ":4097: more than 4096 requests"));
}

static void test_requests_have_a_largest_number_of_fields(void **state) {
    static char list[8 * (LOAD_FIELD_COUNT_MAX + 2)] = "/\n";
    static const char *const fields[] = {"B: base"};
    struct load_request_source base = {.host = "h", .fields = fields, .field_count = 1};
    (void)state;
    for (unsigned i = 0; i < LOAD_FIELD_COUNT_MAX - 1; i++) {
        strcat(list, " A: b\n");
    }
    write_file("list", list, strlen(list));
    assert_int_equal(load_requests_from_file(&requests, path, &base, 1, &why), 0);
    load_requests_deinit(&requests);
    strcat(list, " A: b\n");
    write_file("list", list, strlen(list));
    assert_int_equal(load_requests_from_file(&requests, path, &base, 1, &why), -EINVAL);
    assert_non_null(strstr(why, ":1: more than 64 fields"));
    strcat(list, " A: b\n");
    write_file("list", list, strlen(list));
    assert_int_equal(load_requests_from_file(&requests, path, &base, 1, &why), -EINVAL);
    assert_non_null(strstr(why, ":66: more than 64 fields"));
}

static void test_requests_written_out_have_a_largest_size(void **state) {
    size_t body_bytes = LOAD_BLOCK_BYTES_MAX / 4;
    char *body = calloc(1, body_bytes);
    struct load_request_source source = {
        .path = "/", .host = "h", .body = body, .body_bytes = body_bytes};
    (void)state;
    assert_non_null(body);
    assert_int_equal(load_requests_from_source(&requests, &source, 2, &why), 0);
    assert_int_equal(requests.offsets[3], 3 * requests.offsets[1]);
    load_requests_deinit(&requests);
    assert_int_equal(load_requests_from_source(&requests, &source, 3, &why), -E2BIG);
    assert_non_null(strstr(why, "256 MiB"));
    free(body);
}

static void test_requests_are_not_pipelined_when_streamed(void **state) {
    struct load_request_source source = {.path = "/", .host = "h", .stream_bytes = 1};
    (void)state;
    assert_int_equal(load_requests_from_source(&requests, &source, 2, &why), -EINVAL);
    assert_string_equal(why, "an upload cannot be pipelined");
}

static void test_requests_stream_bytes_without_a_pattern(void **state) {
    struct load_request_source source = {.path = "/", .host = "h", .stream_bytes = 1};
    unsigned counts[256] = {0};
    (void)state;
    assert_int_equal(load_requests_from_source(&requests, &source, 1, &why), 0);
    for (size_t i = 0; i < LOAD_STREAM_BYTES; i++) {
        counts[(unsigned char)requests.stream[i]]++;
    }
    for (unsigned i = 0; i < 256; i++) {
        assert_in_range(counts[i], 3700, 4500);  // Of 4,096 on average.
    }
    load_requests_deinit(&requests);
}

// Fails the first request for memory, then the second, until all are granted.
static unsigned count_failures(bool is_file, const struct load_request_source *source) {
    for (unsigned failures = 0;; failures++) {
        int result;
        why = NULL;
        grants = (int)failures;
        result = is_file ? load_requests_from_file(&requests, path, source, 4, &why)
                         : load_requests_from_source(&requests, source, 1, &why);
        grants = -1;
        if (result == 0) {
            load_requests_deinit(&requests);
            return failures;
        }
        assert_int_equal(result, -ENOMEM);
        assert_non_null(why);
        assert_null(requests.block);
    }
}

static void test_requests_say_when_there_is_no_memory(void **state) {
    static const char list[] = "/a\nPOST /b @body\nPOST /c @body\n";
    static char body[3000];
    struct load_request_source source = {.path = "/", .host = "h", .stream_bytes = 1};
    (void)state;
    assert_int_equal(count_failures(false, &source), 4);  // Block, offsets, HEAD or not, stream.
    write_file("list", list, sizeof(list) - 1);
    write_file("body", body, sizeof(body));
    source = (struct load_request_source){.host = "h"};
    assert_in_range(count_failures(true, &source), 6, 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_written_as_the_source_says),
        cmocka_unit_test(test_requests_refuse_what_cannot_be_sent),
        cmocka_unit_test(test_requests_can_be_sent_in_runs_from_any_index),
        cmocka_unit_test(test_requests_of_a_file_are_those_of_its_lines),
        cmocka_unit_test(test_requests_of_a_file_take_method_and_host_from_the_base),
        cmocka_unit_test(test_requests_name_the_line_that_is_wrong),
        cmocka_unit_test(test_requests_of_a_file_have_a_largest_number),
        cmocka_unit_test(test_requests_have_a_largest_number_of_fields),
        cmocka_unit_test(test_requests_written_out_have_a_largest_size),
        cmocka_unit_test(test_requests_are_not_pipelined_when_streamed),
        cmocka_unit_test(test_requests_stream_bytes_without_a_pattern),
        cmocka_unit_test(test_requests_say_when_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
