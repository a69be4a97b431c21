// Connections counted by address, beside a plain array of counts.
#include "net/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#define ADDRESSES 300u
#define COUNT_MAX 5u

static struct cv_peer ipv4(uint32_t number, uint16_t port) {
    struct cv_peer peer = {.family = CV_PEER_IPV4, .port = port};
    memcpy(peer.address, &number, sizeof(number));
    return peer;
}

static struct cv_peer ipv6(uint32_t network, uint32_t host) {
    struct cv_peer peer = {.family = CV_PEER_IPV6, .port = (uint16_t)host};
    memcpy(peer.address + 4, &network, sizeof(network));
    memcpy(peer.address + 12, &host, sizeof(host));
    return peer;
}

static void test_admission_counts_an_address_whatever_its_port(void **state) {
    (void)state;
    struct cv_admission *admission = cv_admission_create(100);
    struct cv_peer first = ipv4(1, 1000), again = ipv4(1, 2000), other = ipv4(2, 1000);
    assert_true(cv_admission_enter(admission, &first, 2));
    assert_true(cv_admission_enter(admission, &again, 2));
    assert_false(cv_admission_enter(admission, &first, 2));
    assert_true(cv_admission_enter(admission, &other, 2));
    cv_admission_leave(admission, &again);
    assert_true(cv_admission_enter(admission, &first, 2));
    assert_false(cv_admission_enter(admission, &again, 2));
    cv_admission_destroy(admission);
}

static void test_admission_counts_ipv6_by_its_network(void **state) {
    (void)state;
    struct cv_admission *admission = cv_admission_create(100);
    struct cv_peer one = ipv6(7, 1), two = ipv6(7, 2), other = ipv6(8, 1);
    assert_true(cv_admission_enter(admission, &one, 1));
    assert_false(cv_admission_enter(admission, &two, 1));
    assert_true(cv_admission_enter(admission, &other, 1));
    cv_admission_destroy(admission);
}

static void test_admission_tells_families_apart(void **state) {
    (void)state;
    struct cv_admission *admission = cv_admission_create(100);
    struct cv_peer v4 = ipv4(0, 0), v6 = ipv6(0, 0);
    assert_true(cv_admission_enter(admission, &v4, 1));
    assert_true(cv_admission_enter(admission, &v6, 1));
    assert_false(cv_admission_enter(admission, &v4, 1));
    cv_admission_destroy(admission);
}

static void test_admission_never_refuses_a_unix_peer(void **state) {
    (void)state;
    struct cv_admission *admission = cv_admission_create(1);
    struct cv_peer peer = {.family = CV_PEER_UNIX};
    for (int i = 0; i < 100; i++) {
        assert_true(cv_admission_enter(admission, &peer, 1));
    }
    for (int i = 0; i < 100; i++) {
        cv_admission_leave(admission, &peer);
    }
    cv_admission_destroy(admission);
}

static uint32_t seed;

static uint32_t chance(uint32_t below) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static struct cv_peer numbered(uint32_t number) {
    return number % 2 == 0 ? ipv4(number * 2654435761u, (uint16_t)chance(65536))
                           : ipv6(number, chance(1000));
}

static void test_admission_agrees_with_an_array(void **state) {
    uint32_t count[ADDRESSES] = {0};
    (void)state;
    seed = (uint32_t)time(NULL);
    print_message("seed %u\n", seed);
    // As many places as addresses at once, so that runs are long and deletion moves entries.
    struct cv_admission *admission = cv_admission_create(ADDRESSES);
    for (uint32_t step = 0; step < 200000; step++) {
        uint32_t number = chance(ADDRESSES);
        struct cv_peer peer = numbered(number);
        if (chance(2) == 0) {
            bool entered = cv_admission_enter(admission, &peer, COUNT_MAX);
            assert_int_equal(entered, count[number] < COUNT_MAX);
            count[number] += entered;
        } else if (count[number] > 0) {
            cv_admission_leave(admission, &peer);
            count[number]--;
        }
    }
    for (uint32_t number = 0; number < ADDRESSES; number++) {
        struct cv_peer peer = numbered(number);
        for (; count[number] > 0; count[number]--) {
            cv_admission_leave(admission, &peer);
        }
        assert_true(cv_admission_enter(admission, &peer, 1));
    }
    cv_admission_destroy(admission);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_admission_counts_an_address_whatever_its_port),
        cmocka_unit_test(test_admission_counts_ipv6_by_its_network),
        cmocka_unit_test(test_admission_tells_families_apart),
        cmocka_unit_test(test_admission_never_refuses_a_unix_peer),
        cmocka_unit_test(test_admission_agrees_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
