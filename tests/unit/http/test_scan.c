#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/scan.h"
#include "support/guard.h"

static struct t_guard guard;

static int set_up(void **state) {
    (void)state;
    guard = t_guard_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    t_guard_destroy(guard);
    cv_scan_force(cv_cpu_simd());
    return 0;
}

// The sets, spelt out from the RFCs and not from the table under test.
static bool is_alnum(int byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z');
}

static bool is_control(int byte) {
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

static bool is_token(int byte) {
    return is_alnum(byte) || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool is_target(int byte) {
    return byte > 0x20 && byte < 0x7f && strchr("\"#<>\\^`", byte) == NULL;
}

static bool is_host(int byte) {
    return is_alnum(byte) || (byte != 0 && strchr("-._~!$&'()*+;=", byte) != NULL);
}

static void test_scan_classes_are_those_of_the_rfcs(void **state) {
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        assert_int_equal(cv_scan_is((char)byte, CV_SCAN_CONTROL), is_control(byte));
        assert_int_equal(cv_scan_is((char)byte, CV_SCAN_TOKEN), is_token(byte));
        assert_int_equal(cv_scan_is((char)byte, CV_SCAN_TARGET), is_target(byte));
        assert_int_equal(cv_scan_is((char)byte, CV_SCAN_HOST), is_host(byte));
    }
}

// Checks every bit that the contract promises, for bytes at either end of the memory.
static void check_bits(const char *data, size_t length, size_t from) {
    for (size_t k = 0; k < 2; k++) {
        const char *copy =
            k == 0 ? t_guard_at_end(guard, data, length) : t_guard_at_begin(guard, data, length);
        struct cv_scan_bits bits = cv_scan_chosen.bits((struct cv_scan_text){copy, length}, from);

        for (size_t i = 0; i < 64; i++) {
            bool there = from + i < length;
            unsigned char byte = there ? (unsigned char)data[from + i] : 0;
            bool excused = byte == '`' || byte == '|';

            assert_int_equal(bits.control >> i & 1, there && is_control(byte));
            if (!excused)
                assert_int_equal(bits.not_token >> i & 1, there && !is_token(byte));
        }
    }
}

static void each_byte_at_each_place(enum cv_simd simd) {
    static const size_t lengths[] = {64, 128, 191};
    char data[192];

    if (!cv_scan_force(simd))
        skip();
    for (size_t k = 0; k < CV_ARRAY_COUNT(lengths); k++) {
        memset(data, 'a', sizeof(data));
        for (size_t at = lengths[k] - 64; at < lengths[k]; at++) {
            for (int byte = 0; byte < 256; byte++) {
                data[at] = (char)byte;
                check_bits(data, lengths[k], lengths[k] - 64);
            }
            data[at] = 'a';
        }
    }
}

static void test_scan_scalar_classifies_each_byte_at_each_place(void **state) {
    (void)state;
    each_byte_at_each_place(CV_SIMD_SCALAR);
}

static void test_scan_avx2_classifies_each_byte_at_each_place(void **state) {
    (void)state;
    each_byte_at_each_place(CV_SIMD_AVX2);
}

static void every_length(enum cv_simd simd) {
    char data[200];

    if (!cv_scan_force(simd))
        skip();
    for (size_t length = 0; length <= sizeof(data); length++) {
        for (size_t i = 0; i < length; i++)
            data[i] = (char)(i * 37 + length);
        for (size_t from = 0; from <= length; from++)
            check_bits(data, length, from);
    }
}

static void test_scan_scalar_reads_nothing_outside_any_length(void **state) {
    (void)state;
    every_length(CV_SIMD_SCALAR);
}

static void test_scan_avx2_reads_nothing_outside_any_length(void **state) {
    (void)state;
    every_length(CV_SIMD_AVX2);
}

static void targets(enum cv_simd simd) {
    char data[130];

    if (!cv_scan_force(simd))
        skip();
    for (size_t length = 0; length <= sizeof(data); length++) {
        for (size_t at = 0; at <= length; at++) {
            // One byte that ends a target, or none, and a '?' before, behind or nowhere.
            for (size_t query = 0; query <= length; query += 7) {
                size_t from = (at * 3 + query) % (length + 1);

                memset(data, '/', length);
                if (query < length)
                    data[query] = '?';
                if (at < length)
                    data[at] = ' ';
                struct cv_scan_text text = {t_guard_at_end(guard, data, length), length};
                struct cv_scan_target target = cv_scan_chosen.target(text, from);
                size_t end = at < from ? length : at;
                assert_int_equal(target.end, end);
                assert_int_equal(target.query,
                                 query < from || query > end || query == at ? end : query);
            }
        }
    }
    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 64; at++) {
            memset(data, 'a', 64);
            data[at] = (char)byte;
            struct cv_scan_text text = {data, 64};
            assert_int_equal(cv_scan_chosen.target(text, 0).end, is_target(byte) ? 64 : at);
        }
    }
}

static void test_scan_scalar_finds_the_end_and_the_query_of_a_target(void **state) {
    (void)state;
    targets(CV_SIMD_SCALAR);
}

static void test_scan_avx2_finds_the_end_and_the_query_of_a_target(void **state) {
    (void)state;
    targets(CV_SIMD_AVX2);
}

// The bytes of a name, and perhaps of a colon and a port below 60000, before the first byte that
// can be in neither.
static size_t usual_host(const char *host) {
    size_t name = 0, bytes;

    while (is_host((unsigned char)host[name]))
        name++;
    bytes = name;
    if (host[bytes] == ':')
        bytes += 1 + strspn(host + bytes + 1, "0123456789");
    bool goes_on = is_host((unsigned char)host[bytes]) || (bytes > name && host[bytes] == ':');
    return name > 0 && (bytes - name <= 5 || (bytes - name == 6 && host[name + 1] < '6')) &&
                   !goes_on
               ? bytes
               : 0;
}

static void hosts(enum cv_simd simd) {
    static const char *const ends[] = {"",       ":",       ":8",   ":80", ":8080", ":59999",
                                       ":60000", ":000080", ":80:", "::",  ":a"};
    char data[120] = {0};

    if (!cv_scan_force(simd))
        skip();
    for (int byte = 0; byte < 256; byte++) {
        for (size_t bytes = 0; bytes <= 33; bytes++) {
            for (size_t at = 0; at <= bytes; at++) {
                const char *end = ends[(at + bytes) % CV_ARRAY_COUNT(ends)];
                size_t length = bytes + strlen(end);

                memset(data, '/', sizeof(data) - 1);
                memset(data + 40, 'a', bytes);
                memcpy(data + 40 + bytes, end, strlen(end));
                if (at < bytes)
                    data[40 + at] = (char)byte;
                // One byte behind it.
                struct cv_scan_text text = {t_guard_at_end(guard, data, 41 + length), 41 + length};
                size_t found = cv_scan_chosen.host(text, 40), wanted = usual_host(data + 40);
                if (found != wanted)
                    assert_true(found == 0 && wanted > 31);
            }
        }
    }
    // A short text outside which nothing may be read.
    memset(data, 'a', sizeof(data));
    for (size_t length = 2; length <= 40; length++) {
        data[length - 1] = '\r';
        struct cv_scan_text text = {t_guard_at_begin(guard, data, length), length};
        assert_int_equal(cv_scan_chosen.host(text, length / 2), length - 1 - length / 2);
        data[length - 1] = 'a';
    }
}

static void test_scan_scalar_knows_a_usual_host(void **state) {
    (void)state;
    hosts(CV_SIMD_SCALAR);
}

static void test_scan_avx2_knows_a_usual_host(void **state) {
    (void)state;
    hosts(CV_SIMD_AVX2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_classes_are_those_of_the_rfcs),
        cmocka_unit_test(test_scan_scalar_classifies_each_byte_at_each_place),
        cmocka_unit_test(test_scan_avx2_classifies_each_byte_at_each_place),
        cmocka_unit_test(test_scan_scalar_reads_nothing_outside_any_length),
        cmocka_unit_test(test_scan_avx2_reads_nothing_outside_any_length),
        cmocka_unit_test(test_scan_scalar_finds_the_end_and_the_query_of_a_target),
        cmocka_unit_test(test_scan_avx2_finds_the_end_and_the_query_of_a_target),
        cmocka_unit_test(test_scan_scalar_knows_a_usual_host),
        cmocka_unit_test(test_scan_avx2_knows_a_usual_host),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
