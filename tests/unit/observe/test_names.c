// Names of numbers, and the tables behind them compared with the system's own.
#include "observe/snapshot.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_names_are_those_of_the_kernels_tools(void **state) {
    (void)state;
    assert_string_equal(cv_snapshot_syscall_name(SYS_io_uring_enter), "io_uring_enter");
    assert_string_equal(cv_snapshot_syscall_name(0), "read");
    assert_string_equal(cv_snapshot_uring_op_name(IORING_OP_RECV), "RECV");
    assert_string_equal(cv_snapshot_net_event_name(TCP_RETRANSMIT), "TCP_RETRANSMIT");
    assert_string_equal(cv_snapshot_drop_reason_name(DROP_NO_SOCKET), "NO_SOCKET");
    assert_string_equal(cv_snapshot_drop_reason_name(DROP_OTHER), "OTHER");
}

static void test_names_of_unknown_numbers_are_question_marks(void **state) {
    (void)state;
    assert_string_equal(cv_snapshot_syscall_name(400), "?");  // A hole in the table.
    assert_string_equal(cv_snapshot_syscall_name(UINT32_MAX), "?");
    assert_string_equal(cv_snapshot_uring_op_name(COVET_URING_OP_COUNT), "?");
    assert_string_equal(cv_snapshot_net_event_name(COVET_NET_EVENT_COUNT), "?");
    assert_string_equal(cv_snapshot_drop_reason_name(DROP_OTHER + 1), "?");
    assert_string_equal(cv_snapshot_errno_name(0), "?");
    assert_string_equal(cv_snapshot_errno_name(INT64_MIN), "?");
    assert_string_equal(cv_snapshot_errno_name(100000), "?");
}

static void test_names_of_errors_are_those_of_errno_h(void **state) {
    static const struct {
        int number;
        const char *name;
    } cases[] = {
#define ERROR(name) {name, #name}
        ERROR(EPERM),      ERROR(EINTR),       ERROR(EAGAIN),     ERROR(EINVAL),
        ERROR(EPIPE),      ERROR(ELOOP),       ERROR(ETIME),      ERROR(EPROTO),
        ERROR(EBADFD),     ERROR(ENOTSOCK),    ERROR(EOPNOTSUPP), ERROR(EADDRINUSE),
        ERROR(ECONNRESET), ERROR(ENOBUFS),     ERROR(ENOTCONN),   ERROR(ETIMEDOUT),
        ERROR(EALREADY),   ERROR(EINPROGRESS), ERROR(EDQUOT),     ERROR(ECANCELED),
        ERROR(EMFILE),     ERROR(ENOMEM),      ERROR(EBADMSG),    ERROR(EOVERFLOW),
#undef ERROR
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(cv_snapshot_errno_name(cases[i].number), cases[i].name);
        assert_string_equal(cv_snapshot_errno_name(-cases[i].number), cases[i].name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_those_of_the_kernels_tools),
        cmocka_unit_test(test_names_of_unknown_numbers_are_question_marks),
        cmocka_unit_test(test_names_of_errors_are_those_of_errno_h),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
