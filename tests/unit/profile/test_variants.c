// Which programs are chosen for which kernel: prototypes as Linux 5.15, 6.1, 6.6, 6.12 and 6.18
// have them, written out here and made into BTF, and those of the kernel that runs.
#include "profile/variants.h"

#include <bpf/btf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/net.h"

// A prototype is the types of its arguments: "task_struct*" a pointer to that struct, "void*",
// "enum" the kernel's enum of drop reasons, any other word an int.
struct tracepoint {
    const char *name;
    const char *arguments;
};

#define COMMON \
    {"task_rename", "task_struct* char"}, {"sched_process_exit", "task_struct*"}, \
        {"sys_enter", "pt_regs* long"}, {"sys_exit", "pt_regs* long"}, \
        {"sched_wakeup", "task_struct*"}, {"sched_wakeup_new", "task_struct*"}, \
        {"tcp_retransmit_skb", "sock* sk_buff*"}, \
        {"tcp_retransmit_synack", "sock* request_sock*"}, {"tcp_receive_reset", "sock*"}, \
        {"inet_sock_set_state", "sock* int int"}, { \
        "unrelated", "void*" \
    }
#define COMMON_6 \
    COMMON, {"sched_switch", "bool task_struct* task_struct* int"}, \
        {"io_uring_req_failed", "io_uring_sqe* io_kiocb* int"}, \
        {"io_uring_queue_async_work", "io_kiocb* int"}, \
        {"io_uring_poll_arm", "io_kiocb* int int"}, { \
        "io_uring_cqe_overflow", "void* u64 int int void*" \
    }
#define SEVEN_PARTS "void* void* u64 int int u64 u64"

static const struct tracepoint linux_5_15[] = {
    COMMON,
    {"sched_switch", "bool task_struct* task_struct*"},
    {"tcp_send_reset", "sock* sk_buff*"},
    {"kfree_skb", "sk_buff* void*"},
    {"io_uring_submit_sqe", "void* void* u8 u64 int bool bool"},
    {"io_uring_complete", "void* u64 int int"},
    {"io_uring_queue_async_work", "void* int void* io_wq_work* int"},
    {"io_uring_poll_arm", "void* void* u8 u64 int int"},
    {NULL, NULL},
};

static const struct tracepoint linux_6_1[] = {
    COMMON_6,
    {"tcp_send_reset", "sock* sk_buff*"},
    {"kfree_skb", "sk_buff* void* enum"},
    {"io_uring_submit_sqe", "io_kiocb* bool"},
    {"io_uring_complete", SEVEN_PARTS},
    {"io_uring_local_work_run", "void* int int"},
    {NULL, NULL},
};

static const struct tracepoint linux_6_6[] = {
    COMMON_6,
    {"tcp_send_reset", "sock* sk_buff*"},
    {"kfree_skb", "sk_buff* void* enum"},
    {"io_uring_submit_req", "io_kiocb*"},
    {"io_uring_complete", SEVEN_PARTS},
    {"io_uring_local_work_run", "void* int int"},
    {NULL, NULL},
};

static const struct tracepoint linux_6_12[] = {
    COMMON_6,
    {"tcp_send_reset", "sock* sk_buff* int"},
    {"kfree_skb", "sk_buff* void* enum sock*"},
    {"io_uring_submit_req", "io_kiocb*"},
    {"io_uring_complete", SEVEN_PARTS},
    {"io_uring_local_work_run", "void* int int"},
    {NULL, NULL},
};

static const struct tracepoint linux_6_18[] = {
    COMMON_6,
    {"tcp_send_reset", "sock* sk_buff* int"},
    {"kfree_skb", "sk_buff* void* enum sock*"},
    {"io_uring_submit_req", "io_kiocb*"},
    {"io_uring_complete", "io_ring_ctx* void* io_uring_cqe*"},
    {"io_uring_local_work_run", "void* int int"},
    {NULL, NULL},
};

static int type_of(struct btf *btf, const char *word, size_t length) {
    char name[40];
    if (word[length - 1] != '*') {
        const char *wanted = strncmp(word, "enum", length) == 0 ? "skb_drop_reason" : "int";
        int id = btf__find_by_name(btf, wanted);
        assert_true(id > 0);
        return id;
    }
    snprintf(name, sizeof(name), "%.*s", (int)length - 1, word);
    if (strcmp(name, "void") == 0) {
        return btf__add_ptr(btf, 0);
    }
    int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
    if (id < 0) {
        id = btf__add_struct(btf, name, 0);
    }
    return btf__add_ptr(btf, btf__add_const(btf, id));
}

static void add_tracepoint(struct btf *btf, const struct tracepoint *tracepoint) {
    char name[64];
    int types[8];
    int count = 0;
    for (const char *word = tracepoint->arguments; *word != '\0';) {
        size_t length = strcspn(word, " ");
        types[count++] = type_of(btf, word, length);
        word += length;
        word += strspn(word, " ");
    }
    int private_data = btf__add_ptr(btf, 0);
    int prototype = btf__add_func_proto(btf, 0);
    assert_int_equal(btf__add_func_param(btf, "__data", private_data), 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(btf__add_func_param(btf, "argument", types[i]), 0);
    }
    snprintf(name, sizeof(name), "btf_trace_%s", tracepoint->name);
    assert_true(btf__add_typedef(btf, name, btf__add_ptr(btf, prototype)) > 0);
}

static void add_iterator(struct btf *btf, const char *name) {
    int prototype = btf__add_func_proto(btf, 0);
    assert_true(btf__add_func(btf, name, BTF_FUNC_GLOBAL, prototype) > 0);
}

// The numbers of reasons differ between kernels, as they do here.
static struct btf *describe(const struct tracepoint *tracepoints) {
    struct btf *btf = btf__new_empty();
    assert_non_null(btf);
    assert_true(btf__add_int(btf, "int", 4, BTF_INT_SIGNED) > 0);
    assert_true(btf__add_enum(btf, "skb_drop_reason", 4) > 0);
    assert_int_equal(btf__add_enum_value(btf, "SKB_NOT_DROPPED_YET", 0), 0);
    assert_int_equal(btf__add_enum_value(btf, "SKB_DROP_REASON_NO_SOCKET", 7), 0);
    assert_int_equal(btf__add_enum_value(btf, "SKB_DROP_REASON_TCP_ZEROWINDOW", 9), 0);
    assert_int_equal(btf__add_enum_value(btf, "SKB_DROP_REASON_XDP", 10), 0);
    assert_int_equal(btf__add_enum_value(btf, "SKB_DROP_REASON_SUBSYS_MASK", 0xffff0000), 0);
    for (; tracepoints->name != NULL; tracepoints++) {
        add_tracepoint(btf, tracepoints);
    }
    add_iterator(btf, "bpf_iter_task");
    add_iterator(btf, "bpf_iter_task_vma");
    add_iterator(btf, "bpf_iter_tcp");
    return btf;
}

static enum cv_variant_state state_of(const struct cv_variants *variants, const char *program) {
    for (size_t i = 0; i < cv_variants_count(); i++) {
        if (strcmp(cv_variants_program(i), program) == 0) {
            return variants->state[i];
        }
    }
    fail_msg("no program %s", program);
    return CV_VARIANT_ABSENT;
}

struct expected {
    const char *program;
    enum cv_variant_state state;
};

static void check(const struct tracepoint *tracepoints, uint32_t level,
                  const struct expected *expected) {
    struct cv_variants variants;
    struct btf *btf = describe(tracepoints);
    cv_variants_choose(&variants, btf, level);
    for (; expected->program != NULL; expected++) {
        if (state_of(&variants, expected->program) != expected->state) {
            fail_msg("%s is %d, not %d", expected->program, state_of(&variants, expected->program),
                     expected->state);
        }
    }
    btf__free(btf);
}

static uint32_t count_on(const struct cv_variants *variants) {
    uint32_t count = 0;
    for (size_t i = 0; i < cv_variants_count(); i++) {
        count += variants->state[i] == CV_VARIANT_ON;
    }
    return count;
}

// Of 5.15 covet itself wants nothing; the other programs still work there.
static void test_linux_5_15_has_no_ring_events_that_are_known(void **state) {
    (void)state;
    check(linux_5_15, 2,
          (const struct expected[]){
              {"covet_submit_req", CV_VARIANT_ABSENT},
              {"covet_submit_sqe", CV_VARIANT_UNKNOWN_FORM},
              {"covet_complete_cqe", CV_VARIANT_UNKNOWN_FORM},
              {"covet_complete_parts", CV_VARIANT_UNKNOWN_FORM},
              {"covet_queue_async_work", CV_VARIANT_UNKNOWN_FORM},
              {"covet_poll_arm", CV_VARIANT_UNKNOWN_FORM},
              {"covet_cqe_overflow", CV_VARIANT_ABSENT},
              {"covet_drop", CV_VARIANT_UNKNOWN_FORM},
              {"covet_sched_switch", CV_VARIANT_ON},
              {"covet_sys_enter", CV_VARIANT_ON},
              {"covet_send_reset", CV_VARIANT_ON},
              {"covet_listeners", CV_VARIANT_ON},
              {NULL, 0},
          });
}

static void test_linux_6_1_submits_under_the_old_name(void **state) {
    (void)state;
    check(linux_6_1, 2,
          (const struct expected[]){
              {"covet_submit_req", CV_VARIANT_NOT_NEEDED},
              {"covet_submit_sqe", CV_VARIANT_ON},
              {"covet_complete_cqe", CV_VARIANT_NOT_NEEDED},
              {"covet_complete_parts", CV_VARIANT_ON},
              {"covet_drop", CV_VARIANT_ON},
              {"covet_queue_async_work", CV_VARIANT_ON},
              {NULL, 0},
          });
}

static void test_linux_6_6_and_6_12_complete_in_parts(void **state) {
    (void)state;
    static const struct expected expected[] = {
        {"covet_submit_req", CV_VARIANT_ON},
        {"covet_submit_sqe", CV_VARIANT_NOT_NEEDED},
        {"covet_complete_cqe", CV_VARIANT_NOT_NEEDED},
        {"covet_complete_parts", CV_VARIANT_ON},
        {NULL, 0},
    };
    check(linux_6_6, 2, expected);
    check(linux_6_12, 2, expected);
}

static void test_linux_6_18_completes_with_the_entry_itself(void **state) {
    (void)state;
    check(linux_6_18, 3,
          (const struct expected[]){
              {"covet_submit_req", CV_VARIANT_ON},
              {"covet_complete_cqe", CV_VARIANT_ON},
              {"covet_complete_parts", CV_VARIANT_NOT_NEEDED},
              {"covet_drop", CV_VARIANT_ON},
              {NULL, 0},
          });
}

static void test_levels_take_what_they_need(void **state) {
    (void)state;
    check(linux_6_18, 1,
          (const struct expected[]){
              {"covet_sys_enter", CV_VARIANT_NOT_NEEDED},
              {"covet_sys_exit", CV_VARIANT_NOT_NEEDED},
              {"covet_local_work_run", CV_VARIANT_ON},
              {NULL, 0},
          });
    check(linux_6_18, 2,
          (const struct expected[]){
              {"covet_sys_enter", CV_VARIANT_ON},
              {"covet_sys_exit", CV_VARIANT_ON},
              {"covet_local_work_run", CV_VARIANT_NOT_NEEDED},
              {NULL, 0},
          });
}

static void test_every_program_has_a_reason_to_be_off_or_is_on(void **state) {
    (void)state;
    static const struct tracepoint *const kernels[] = {linux_6_1, linux_6_6, linux_6_12,
                                                       linux_6_18};
    for (size_t k = 0; k < sizeof(kernels) / sizeof(kernels[0]); k++) {
        struct cv_variants variants;
        struct btf *btf = describe(kernels[k]);
        cv_variants_choose(&variants, btf, 2);
        for (size_t i = 0; i < cv_variants_count(); i++) {
            assert_string_equal(cv_variants_reason(variants.state[i]), "");
        }
        // All but the other forms of submission and completion, and what level 1 alone has.
        assert_int_equal(count_on(&variants), cv_variants_count() - 3);
        btf__free(btf);
    }
    assert_string_equal(cv_variants_reason(CV_VARIANT_ABSENT), "no such tracepoint");
    assert_string_equal(cv_variants_reason(CV_VARIANT_UNKNOWN_FORM), "unknown form");
}

static void test_drop_reasons_are_told_by_name(void **state) {
    (void)state;
    struct cv_variants variants;
    struct btf *btf = describe(linux_6_12);
    cv_variants_choose(&variants, btf, 1);
    assert_int_equal(variants.reasons[7], DROP_NO_SOCKET);
    assert_int_equal(variants.reasons[9], DROP_TCP_ZEROWINDOW);
    assert_int_equal(variants.reasons[10], DROP_OTHER);
    assert_int_equal(variants.reasons[0], DROP_OTHER);
    assert_true(variants.drop_has_socket);
    btf__free(btf);
    btf = describe(linux_6_6);
    cv_variants_choose(&variants, btf, 1);
    assert_false(variants.drop_has_socket);
    btf__free(btf);
}

static void test_a_kernel_without_anything_turns_all_off(void **state) {
    (void)state;
    struct cv_variants variants;
    struct btf *btf = btf__new_empty();
    cv_variants_choose(&variants, btf, 2);
    assert_int_equal(count_on(&variants), 0);
    assert_int_equal(state_of(&variants, "covet_listeners"), CV_VARIANT_ABSENT);
    btf__free(btf);
}

static void test_the_kernel_that_runs_is_understood(void **state) {
    (void)state;
    struct cv_variants variants;
    struct btf *btf = btf__load_vmlinux_btf();
    if (btf == NULL) {
        print_message("this kernel has no BTF\n");
        skip();
    }
    cv_variants_choose(&variants, btf, 2);
    for (size_t i = 0; i < cv_variants_count(); i++) {
        if (variants.state[i] == CV_VARIANT_UNKNOWN_FORM) {
            fail_msg("%s has a form that is not known", cv_variants_event(i));
        }
    }
    assert_int_equal(state_of(&variants, "covet_sched_switch"), CV_VARIANT_ON);
    btf__free(btf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linux_5_15_has_no_ring_events_that_are_known),
        cmocka_unit_test(test_linux_6_1_submits_under_the_old_name),
        cmocka_unit_test(test_linux_6_6_and_6_12_complete_in_parts),
        cmocka_unit_test(test_linux_6_18_completes_with_the_entry_itself),
        cmocka_unit_test(test_levels_take_what_they_need),
        cmocka_unit_test(test_every_program_has_a_reason_to_be_off_or_is_on),
        cmocka_unit_test(test_drop_reasons_are_told_by_name),
        cmocka_unit_test(test_a_kernel_without_anything_turns_all_off),
        cmocka_unit_test(test_the_kernel_that_runs_is_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
