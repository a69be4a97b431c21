// This program's own stack, unwound by its own tables.
#include "profile/unwind.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#define STACK_BYTES_MAX 65536u

static struct cv_symbols *symbols;
static struct cv_cfi_thread thread;
static uint64_t stack_end;
static _Alignas(8) uint8_t copy[STACK_BYTES_MAX];

// Registers and stack as a sample has them. The copy is made word by word: what lies between the
// variables of an instrumented program is none of memcpy's business.
__attribute__((noinline, no_sanitize("address"))) static void sample(void) {
    ucontext_t context;

    getcontext(&context);
    const greg_t *from = context.uc_mcontext.gregs;
    static const int order[CV_CFI_REGISTERS] = {
        REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
        REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    for (size_t i = 0; i < CV_CFI_REGISTERS; i++)
        thread.registers[i] = (uint64_t)from[order[i]];
    thread.stack = copy;
    thread.stack_start = thread.registers[COVET_STACK_RSP] & ~7ull;
    thread.stack_bytes = CV_MIN(thread.stack_bytes, stack_end - thread.stack_start);
    const volatile uint64_t *at = (const volatile uint64_t *)(uintptr_t)thread.stack_start;
    uint64_t *to = (uint64_t *)(void *)copy;
    for (size_t i = 0; i < thread.stack_bytes / 8; i++)
        to[i] = at[i];
}

__attribute__((noinline)) static int inner(int value) {
    sample();
    return value + 1;
}

// Its frame holds a lot, and is aligned by hand.
__attribute__((noinline)) static int middle(int value) {
    __attribute__((aligned(64))) volatile char buffer[3000];

    buffer[value] = 1;
    return inner(buffer[value]) + buffer[value];
}

__attribute__((noinline)) static int outer(int value) {
    return middle(value) * 2 + 1;
}

// Fills `thread` as if sampled in inner, with at most so much of the stack.
__attribute__((noinline)) static void sample_inner(size_t stack_bytes) {
    thread = (struct cv_cfi_thread){.stack_bytes = stack_bytes};
    assert_true(outer(3) > 0);
}

static void test_unwind_finds_every_caller(void **state) {
    static const char *const names[] = {"sample", "inner",        "middle",
                                        "outer",  "sample_inner", "test_unwind_finds_every_caller"};
    struct cv_frame frames[CV_UNWIND_FRAMES_MAX];
    bool is_complete;

    (void)state;
    sample_inner(sizeof(copy));
    size_t count = cv_unwind(symbols, &thread, frames, &is_complete);
    assert_true(count > CV_ARRAY_COUNT(names));
    for (size_t i = 0; i < CV_ARRAY_COUNT(names); i++) {
        assert_string_equal(frames[i].name, names[i]);
        assert_int_equal(frames[i].origin, CV_ORIGIN_SERVER);  // this process's program
    }
    assert_true(is_complete);
    assert_string_equal(frames[count - 1].name, "_start");
}

static void test_unwind_says_when_the_copy_was_too_short(void **state) {
    struct cv_frame frames[CV_UNWIND_FRAMES_MAX];
    bool is_complete = true;

    (void)state;
    sample_inner(2048);
    size_t count = cv_unwind(symbols, &thread, frames, &is_complete);
    assert_false(is_complete);
    assert_true(count >= 1 && count <= 3);
    assert_string_equal(frames[0].name, "sample");
}

static void test_unwind_takes_frame_pointers_where_no_table_is(void **state) {
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // rbp points to word 2: the caller's rbp, and an address in it.
    uint64_t words[] = {0, 0, 0, (uint64_t)(uintptr_t)&inner + 1, 0, 0};
    const struct timespec pause = {.tv_nsec = 120000000};
    struct cv_frame frames[CV_UNWIND_FRAMES_MAX];
    bool is_complete = true;

    (void)state;
    assert_true(code != MAP_FAILED);
    nanosleep(&pause, NULL);  // Mappings are not read again more often.
    thread = (struct cv_cfi_thread){
        .stack = (const uint8_t *)words, .stack_start = 0x7000, .stack_bytes = sizeof(words)};
    thread.registers[COVET_STACK_RIP] = (uint64_t)(uintptr_t)code + 16;
    thread.registers[COVET_STACK_RSP] = 0x7000;
    thread.registers[COVET_STACK_RBP] = 0x7010;
    assert_in_range(cv_unwind(symbols, &thread, frames, &is_complete), 2, CV_UNWIND_FRAMES_MAX);
    assert_string_equal(frames[0].name, "[anonymous]");
    assert_string_equal(frames[1].name, "inner");
    assert_false(is_complete);
    munmap(code, 4096);
}

static void test_unwind_stops_where_nothing_is(void **state) {
    struct cv_frame frames[CV_UNWIND_FRAMES_MAX];
    bool is_complete = true;

    (void)state;
    thread = (struct cv_cfi_thread){.stack_start = 0x7000};
    thread.registers[COVET_STACK_RIP] = 1;
    assert_int_equal(cv_unwind(symbols, &thread, frames, &is_complete), 1);
    assert_string_equal(frames[0].name, "[unknown]");
    assert_false(is_complete);
}

static int set_up(void **state) {
    pthread_attr_t attributes;
    void *start;
    size_t bytes;

    (void)state;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0 ||
        pthread_attr_getstack(&attributes, &start, &bytes) != 0)
        return -1;
    stack_end = (uint64_t)(uintptr_t)start + bytes;
    pthread_attr_destroy(&attributes);
    return cv_symbols_create(&symbols, getpid());
}

static int tear_down(void **state) {
    (void)state;
    cv_symbols_destroy(symbols);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unwind_finds_every_caller),
        cmocka_unit_test(test_unwind_says_when_the_copy_was_too_short),
        cmocka_unit_test(test_unwind_takes_frame_pointers_where_no_table_is),
        cmocka_unit_test(test_unwind_stops_where_nothing_is),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
