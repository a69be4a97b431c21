// The kernel's side as it was compiled: its structs are the host's, its programs pass the verifier
// cheaply, its maps print as they should.
#include "profile/skeleton.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/net.h"
#include "bpf/sched.h"
#include "bpf/syscalls.h"
#include "bpf/uring.h"
#include "bpf/workers.h"
#include "profile/pins.h"
#include "profile/variants.h"

// CMocka needs these four before it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PIN_DIR "/sys/fs/bpf/covet-test-skeleton"
#define GOLDEN "tests/golden/"
#define VERIFIED_MAX 6000u  // Instructions that the verifier looks at; the largest has two thirds.

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments) {
    (void)level;
    (void)format;
    (void)arguments;
    return 0;
}

// Structs of both sides.
struct field {
    const char *structure;
    size_t bytes;
    const char *name;
    size_t offset;
};
#define FIELD(structure, name) \
    { #structure, sizeof(struct structure), #name, offsetof(struct structure, name) }

static const struct field fields[] = {
    FIELD(covet_syscall_key, worker),
    FIELD(covet_syscall_key, syscall),
    FIELD(covet_other_syscall_key, role),
    FIELD(covet_other_syscall_key, syscall),
    FIELD(covet_syscall_stats, count),
    FIELD(covet_syscall_stats, avg_busy_ns),
    FIELD(covet_syscall_stats, last_error),
    FIELD(covet_uring_key, worker),
    FIELD(covet_uring_key, opcode),
    FIELD(covet_uring_stats, submitted),
    FIELD(covet_uring_stats, overflows),
    FIELD(covet_uring_stats, last_error),
    FIELD(covet_sched_stats, voluntary_switches),
    FIELD(covet_sched_stats, max_runq_ns),
    FIELD(covet_net_key, port),
    FIELD(covet_net_key, event),
    FIELD(covet_drop_key, reason),
    FIELD(covet_worker_stats, name),
    FIELD(covet_worker_stats, cpu),
    FIELD(covet_worker_stats, requests),
    FIELD(covet_worker_stats, completions_per_100_enters),
    FIELD(covet_profile_info, kernel),
    FIELD(covet_profile_info, targets),
    FIELD(covet_profile_info, attached_realtime),
    FIELD(covet_latency, lt_1us),
    FIELD(covet_latency, longer),
    FIELD(covet_target, net),
    FIELD(covet_thread, woken_ns),
    FIELD(covet_worker, requests_base),
    FIELD(covet_scan, address),
};

static size_t offset_of(const struct btf *btf, const struct btf_type *type, const char *name) {
    for (uint32_t i = 0; i < btf_vlen(type); i++) {
        if (strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), name) == 0) {
            return btf_member_bit_offset(type, i) / 8;
        }
    }
    return SIZE_MAX;
}

// No padding: it would be printed.
static void check_full(const struct btf *btf, const struct btf_type *type, const char *name) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < btf_vlen(type); i++) {
        assert_int_equal(btf_member_bit_offset(type, i) / 8, bytes);
        bytes += (size_t)btf__resolve_size(btf, btf_members(type)[i].type);
    }
    if (bytes != type->size) {
        fail_msg("struct %s has padding: %zu of %u bytes are members", name, bytes, type->size);
    }
}

static void test_both_sides_see_the_same_structs(void **state) {
    (void)state;
    struct covet_bpf *bpf = covet_bpf__open();
    assert_non_null(bpf);
    const struct btf *btf = bpf_object__btf(bpf->obj);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        int id = btf__find_by_name_kind(btf, fields[i].structure, BTF_KIND_STRUCT);
        assert_true(id > 0);
        const struct btf_type *type = btf__type_by_id(btf, (uint32_t)id);
        assert_int_equal(type->size, fields[i].bytes);
        assert_int_equal(offset_of(btf, type, fields[i].name), fields[i].offset);
    }
    covet_bpf__destroy(bpf);
}

static void test_what_is_pinned_has_no_padding(void **state) {
    (void)state;
    static const char *const names[] = {
        "covet_syscall_key",  "covet_other_syscall_key", "covet_syscall_stats", "covet_uring_key",
        "covet_uring_stats",  "covet_sched_stats",       "covet_net_key",       "covet_drop_key",
        "covet_worker_stats", "covet_latency",           "covet_profile_info",
    };
    struct covet_bpf *bpf = covet_bpf__open();
    assert_non_null(bpf);
    const struct btf *btf = bpf_object__btf(bpf->obj);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int id = btf__find_by_name_kind(btf, names[i], BTF_KIND_STRUCT);
        assert_true(id > 0);
        check_full(btf, btf__type_by_id(btf, (uint32_t)id), names[i]);
    }
    covet_bpf__destroy(bpf);
}

// Programs and maps in the kernel; nothing is attached. NULL where bpf(2) is refused.
static struct covet_bpf *load(uint32_t level) {
    struct cv_variants variants;
    struct btf *kernel = btf__load_vmlinux_btf();
    struct covet_bpf *bpf = covet_bpf__open();
    assert_non_null(bpf);
    if (kernel == NULL) {
        covet_bpf__destroy(bpf);
        return NULL;
    }
    cv_variants_choose(&variants, kernel, level);
    btf__free(kernel);
    for (size_t i = 0; i < cv_variants_count(); i++) {
        struct bpf_program *program =
            bpf_object__find_program_by_name(bpf->obj, cv_variants_program(i));
        assert_non_null(program);
        (void)bpf_program__set_autoload(program, variants.state[i] == CV_VARIANT_ON);
    }
    bpf->rodata->covet_level = level;
    int status = covet_bpf__load(bpf);
    if (status == -EPERM) {
        covet_bpf__destroy(bpf);
        return NULL;
    }
    assert_int_equal(status, 0);
    return bpf;
}

static void test_every_level_loads_and_verifies_cheaply(void **state) {
    (void)state;
    for (uint32_t level = 1; level <= 3; level++) {
        struct covet_bpf *bpf = load(level);
        if (bpf == NULL) {
            print_message("bpf(2) is refused here\n");
            skip();
        }
        struct bpf_program *program;
        bpf_object__for_each_program(program, bpf->obj) {
            struct bpf_prog_info info = {0};
            uint32_t bytes = sizeof(info);
            if (!bpf_program__autoload(program)) {
                continue;
            }
            assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &bytes), 0);
            if (level == 3) {
                print_message("%-26s %5u instructions verified\n", bpf_program__name(program),
                              info.verified_insns);
            }
            assert_in_range(info.verified_insns, 1, VERIFIED_MAX);
        }
        covet_bpf__destroy(bpf);
    }
}

// Dumps.
static void put(struct covet_bpf *bpf, const char *name, const void *key, const void *value) {
    int fd = bpf_object__find_map_fd_by_name(bpf->obj, name);
    assert_true(fd >= 0);
    assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), 0);
}

// One entry each, so that no order of a hash map matters; every member has a value of its own.
static void fill(struct covet_bpf *bpf) {
    uint32_t worker = 3, zero = 0;
    uint64_t count = 17;
    struct covet_syscall_stats call = {1, 2, 3, 4, 5, 6, -11};
    struct covet_latency latency;
    for (uint32_t i = 0; i < COVET_LATENCY_BUCKET_COUNT; i++) {
        ((uint64_t *)&latency)[i] = i;
    }
    put(bpf, "worker_stats", &worker,
        &(struct covet_worker_stats){"covet-w3", 4711, 3, 1, 2, 3, 4, 5, 6});
    put(bpf, "profile_info", &zero,
        &(struct covet_profile_info){"0.1.0", "6.18.0", 2, 3, 10, 11, 12, 22, 1, 2, 5, 6});
    put(bpf, "syscall_stats", &(struct covet_syscall_key){3, SYS_io_uring_enter}, &call);
    put(bpf, "other_syscall_stats", &(struct covet_other_syscall_key){COVET_MAIN, SYS_futex},
        &call);
    put(bpf, "syscall_latency", &(struct covet_syscall_key){3, SYS_recvfrom}, &latency);
    put(bpf, "uring_stats", &(struct covet_uring_key){3, IORING_OP_RECV},
        &(struct covet_uring_stats){1, 2, 3, 4, 5, 6, 7, 8, -104});
    put(bpf, "uring_latency", &(struct covet_uring_key){3, IORING_OP_SEND_ZC}, &latency);
    put(bpf, "sched_stats", &worker, &(struct covet_sched_stats){1, 2, 3, 4, 5, 6, 7});
    put(bpf, "runq_latency", &worker, &latency);
    put(bpf, "net_stats", &(struct covet_net_key){8000, TCP_RESET_RECEIVED}, &count);
    put(bpf, "drop_reasons", &(struct covet_drop_key){8000, DROP_SOCKET_BACKLOG}, &count);
}

static const char *const maps[] = {
    "worker_stats",    "profile_info", "syscall_stats", "other_syscall_stats",
    "syscall_latency", "uring_stats",  "uring_latency", "sched_stats",
    "runq_latency",    "net_stats",    "drop_reasons",
};

static char *read_all(FILE *file) {
    size_t bytes = 65536;
    char *text = calloc(1, bytes);
    assert_non_null(text);
    assert_non_null(file);
    assert_true(fread(text, 1, bytes - 1, file) < bytes - 1);
    return text;
}

static void check_dump(const char *name) {
    char line[256];
    snprintf(line, sizeof(line),
             "PATH=$PATH:/usr/sbin:/sbin bpftool map dump pinned " PIN_DIR "/%s", name);
    FILE *pipe = popen(line, "re");
    char *dumped = read_all(pipe);
    assert_int_equal(pclose(pipe), 0);
    snprintf(line, sizeof(line), GOLDEN "%s.dump", name);
    if (getenv("COVET_TEST_GOLDEN_WRITE") != NULL) {
        FILE *file = fopen(line, "we");
        assert_non_null(file);
        fputs(dumped, file);
        assert_int_equal(fclose(file), 0);
    }
    FILE *file = fopen(line, "re");
    char *golden = read_all(file);
    assert_int_equal(fclose(file), 0);
    assert_string_equal(dumped, golden);
    free(golden);
    free(dumped);
}

static void test_dumps_of_bpftool_are_as_in_tests_golden(void **state) {
    (void)state;
    struct cv_pins pins;
    pid_t holder = 0;
    struct covet_bpf *bpf = load(3);
    if (bpf == NULL || system("PATH=$PATH:/usr/sbin:/sbin bpftool version >/dev/null 2>&1") != 0) {
        print_message("bpf(2) is refused here, or there is no bpftool\n");
        skip();
    }
    fill(bpf);
    assert_int_equal(cv_pins_open(&pins, PIN_DIR, false, &holder), 0);
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        int fd = bpf_object__find_map_fd_by_name(bpf->obj, maps[i]);
        assert_int_equal(cv_pins_add(&pins, maps[i], fd, false), 0);
    }
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        check_dump(maps[i]);
    }
    cv_pins_close(&pins, false);
    assert_int_equal(access(PIN_DIR, F_OK), -1);
    covet_bpf__destroy(bpf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_see_the_same_structs),
        cmocka_unit_test(test_what_is_pinned_has_no_padding),
        cmocka_unit_test(test_every_level_loads_and_verifies_cheaply),
        cmocka_unit_test(test_dumps_of_bpftool_are_as_in_tests_golden),
    };
    libbpf_set_print(quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
