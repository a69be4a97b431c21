// Made-up unwinding tables: rows, expressions, steps, and broken bytes.
#include "profile/cfi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECTION 0x10000u
#define STACK 0x7000u
#define RBX 3u

// A section in the making.
struct section {
    uint8_t bytes[1024];
    size_t count;
    size_t common;  // where the last CIE begins
};

static void put(struct section *section, const void *bytes, size_t count) {
    assert_true(section->count + count <= sizeof(section->bytes));
    memcpy(section->bytes + section->count, bytes, count);
    section->count += count;
}

static void put_word(struct section *section, uint32_t word) {
    put(section, &word, sizeof(word));
}

static void put_length(struct section *section, size_t begin) {
    uint32_t length = (uint32_t)(section->count - begin - sizeof(length));

    memcpy(section->bytes + begin, &length, sizeof(length));
}

// As compilers begin: factors 1 and -8, return address in 16, pointers of 4 bytes relative to their
// place; the frame address is rsp + 8, below which the return address lies.
static void put_common(struct section *section, const char *augmentation) {
    static const uint8_t factors[] = {1, 0x78, 16};
    static const uint8_t rules[] = {0x0c, 7, 8, 0x90, 1};
    uint8_t augmentation_bytes = 1, encoding = 0x1b, version = 1;

    section->common = section->count;
    put_word(section, 0);
    put_word(section, 0);
    put(section, &version, 1);
    put(section, augmentation, strlen(augmentation) + 1);
    put(section, factors, sizeof(factors));
    put(section, &augmentation_bytes, 1);
    put(section, &encoding, 1);
    put(section, rules, sizeof(rules));
    put_length(section, section->common);
}

static void put_function(struct section *section, uint64_t start, uint32_t bytes,
                         const uint8_t *rules, size_t rules_bytes) {
    size_t begin = section->count;

    put_word(section, 0);
    put_word(section, (uint32_t)(section->count - section->common));
    put_word(section, (uint32_t)(start - (SECTION + section->count)));
    put_word(section, bytes);
    put(section, "", 1);  // no augmentation data
    put(section, rules, rules_bytes);
    put_length(section, begin);
}

#define PUT_FUNCTION(section, start, bytes, ...) \
    put_function(section, start, bytes, (const uint8_t[]){__VA_ARGS__}, \
                 sizeof((const uint8_t[]){__VA_ARGS__}))

#define PLAIN 0x20000u
#define TABLE 0x20100u
#define ALIGNED 0x20200u
#define FIRST 0x20300u
#define SIGNAL 0x20400u
#define ODD 0x20500u

static void build(struct section *section) {
    *section = (struct section){0};
    put_common(section, "zR");
    // Not in order of addresses: a section need not be.
    PUT_FUNCTION(section, FIRST, 0x40, 0x07, 16);  // undefined: rip
    // push rbp at 1, mov rsp,rbp at 4; pop at 0x10, and what follows is as before.
    PUT_FUNCTION(section, PLAIN, 0x40, 0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x4c, 0x0a, 0xc6,
                 0x0c, 7, 8, 0x42, 0x0b);
    // A procedure linkage table: rsp + 8 + (((rip & 15) >= 11) << 3).
    PUT_FUNCTION(section, TABLE, 0x40, 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33,
                 0x24, 0x22);
    // A frame aligned by hand: its address lies at rbp - 8, rbx where rbp points to, rbp as well.
    PUT_FUNCTION(section, ALIGNED, 0x40, 0x0f, 3, 0x76, 0x78, 6, 0x10, 3, 2, 0x76, 0, 0x10, 6, 2,
                 0x76, 0);
    // Operations that no compiler writes.
    PUT_FUNCTION(section, ODD, 0x10, 0x3e);
    put_common(section, "zRS");
    PUT_FUNCTION(section, SIGNAL, 0x10, 0x0f, 3, 0x77, 16, 6, 0x10, 16, 2, 0x77, 24);
}

static void open_section(struct cv_cfi *cfi, struct section *section) {
    build(section);
    assert_int_equal(cv_cfi_init(cfi, section->bytes, section->count, SECTION), 0);
}

static bool find_row(const struct cv_cfi *cfi, uint64_t address, struct cv_cfi_row *row) {
    const struct cv_cfi_function *function = cv_cfi_find(cfi, address);

    assert_non_null(function);
    return cv_cfi_row(cfi, function, address, row);
}

static void test_cfi_lists_functions_by_address(void **state) {
    static const struct {
        uint64_t address;
        uint64_t start;  // 0: none
    } cases[] = {
        {0, 0},
        {PLAIN - 1, 0},
        {PLAIN, PLAIN},
        {PLAIN + 0x3f, PLAIN},
        {PLAIN + 0x40, 0},
        {TABLE + 5, TABLE},
        {SIGNAL, SIGNAL},
        {ODD + 0xf, ODD},
        {ODD + 0x10, 0},
        {UINT64_MAX, 0},
    };
    struct section section;
    struct cv_cfi cfi;

    (void)state;
    open_section(&cfi, &section);
    assert_int_equal(cfi.function_count, 6);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        const struct cv_cfi_function *found = cv_cfi_find(&cfi, cases[i].address);
        assert_int_equal(found != NULL ? found->start : 0, cases[i].start);
    }
    cv_cfi_deinit(&cfi);
}

static void test_cfi_keeps_the_first_of_functions_that_overlap(void **state) {
    struct section section = {0};
    struct cv_cfi cfi;

    (void)state;
    put_common(&section, "zR");
    PUT_FUNCTION(&section, PLAIN, 0x40, 0x00);
    PUT_FUNCTION(&section, PLAIN + 0x10, 0x10, 0x00);
    PUT_FUNCTION(&section, PLAIN + 0x3f, 0x40, 0x00);
    PUT_FUNCTION(&section, PLAIN + 0x40, 0x10, 0x00);
    assert_int_equal(cv_cfi_init(&cfi, section.bytes, section.count, SECTION), 0);
    assert_int_equal(cfi.function_count, 2);
    assert_int_equal(cfi.functions[0].start, PLAIN);
    assert_int_equal(cfi.functions[1].start, PLAIN + 0x40);
    cv_cfi_deinit(&cfi);
}

static void test_cfi_takes_offsets_too_large_to_multiply(void **state) {
    struct section section = {0};
    struct cv_cfi cfi;
    struct cv_cfi_row row;

    (void)state;
    put_common(&section, "zR");
    // offset_extended rbx by 2^62, a frame at rsp + -2^62, both by the factor -8: 0 modulo 2^64.
    PUT_FUNCTION(&section, PLAIN, 0x40, 0x05, 3, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                 0x40, 0x12, 7, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40);
    assert_int_equal(cv_cfi_init(&cfi, section.bytes, section.count, SECTION), 0);
    assert_true(find_row(&cfi, PLAIN, &row));
    assert_int_equal(row.registers[RBX].offset, 0);
    assert_int_equal(row.frame_offset, 0);
    cv_cfi_deinit(&cfi);
}

static void test_cfi_row_follows_the_instructions(void **state) {
    static const struct {
        uint64_t offset;
        uint8_t frame_register;
        int64_t frame_offset;
        bool saves_rbp;
    } cases[] = {
        {0, 7, 8, false},    {1, 7, 16, true},    {3, 7, 16, true},
        {4, 6, 16, true},    {0xf, 6, 16, true},  {0x10, 7, 8, false},
        {0x11, 7, 8, false}, {0x12, 6, 16, true}, {0x3f, 6, 16, true},
    };
    struct section section;
    struct cv_cfi cfi;
    struct cv_cfi_row row;

    (void)state;
    open_section(&cfi, &section);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        assert_true(find_row(&cfi, PLAIN + cases[i].offset, &row));
        assert_int_equal(row.frame_register, cases[i].frame_register);
        assert_int_equal(row.frame_offset, cases[i].frame_offset);
        assert_int_equal(row.registers[COVET_STACK_RBP].rule,
                         cases[i].saves_rbp ? CV_CFI_AT : CV_CFI_SAME);
        assert_int_equal(row.registers[COVET_STACK_RIP].rule, CV_CFI_AT);
        assert_int_equal(row.registers[COVET_STACK_RIP].offset, -8);
        assert_false(row.is_signal_frame);
    }
    assert_false(find_row(&cfi, ODD, &row));
    cv_cfi_deinit(&cfi);
}

// A stack of words; word i lies at STACK + 8 * i.
static struct cv_cfi_thread thread_on(const uint64_t *words, size_t count, uint64_t rip,
                                      uint64_t rsp, uint64_t rbp) {
    struct cv_cfi_thread thread = {.stack = (const uint8_t *)words,
                                   .stack_start = STACK,
                                   .stack_bytes = count * sizeof(*words)};

    thread.registers[COVET_STACK_RIP] = rip;
    thread.registers[COVET_STACK_RSP] = rsp;
    thread.registers[COVET_STACK_RBP] = rbp;
    thread.registers[RBX] = 0xb;
    return thread;
}

static bool step(const struct cv_cfi *cfi, struct cv_cfi_thread *thread) {
    struct cv_cfi_row row;

    assert_true(find_row(cfi, thread->registers[COVET_STACK_RIP], &row));
    return cv_cfi_step(cfi, &row, thread);
}

static void test_cfi_step_finds_the_caller(void **state) {
    // word 0 1 2: locals, 3: rbp, 4: return address, 5: the caller's
    static const uint64_t plain[] = {1, 2, 3, 0x7777, 0x4444, 5, 6, 7};
    // What an aligned frame holds: word 1: its address, 2: saved rbp and rbx
    static const uint64_t aligned[] = {1, STACK + 48, 0x8888, 3, 4, 0x5555, 6, 7};
    static const struct {
        const uint64_t *words;
        uint64_t rip, rsp, rbp;
        uint64_t caller_rip, caller_rsp, caller_rbp, caller_rbx;
    } cases[] = {
        {plain, PLAIN, STACK + 32, 9, 0x4444, STACK + 40, 9, 0xb},
        {plain, PLAIN + 1, STACK + 24, 9, 0x4444, STACK + 40, 0x7777, 0xb},
        {plain, PLAIN + 8, STACK, STACK + 24, 0x4444, STACK + 40, 0x7777, 0xb},
        {plain, TABLE + 0x20, STACK + 32, 9, 0x4444, STACK + 40, 9, 0xb},
        {plain, TABLE + 0x2b, STACK + 24, 9, 0x4444, STACK + 40, 9, 0xb},
        {aligned, ALIGNED, STACK, STACK + 16, 0x5555, STACK + 48, 0x8888, 0x8888},
    };
    struct section section;
    struct cv_cfi cfi;

    (void)state;
    open_section(&cfi, &section);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_cfi_thread thread =
            thread_on(cases[i].words, 8, cases[i].rip, cases[i].rsp, cases[i].rbp);
        assert_true(step(&cfi, &thread));
        assert_int_equal(thread.registers[COVET_STACK_RIP], cases[i].caller_rip);
        assert_int_equal(thread.registers[COVET_STACK_RSP], cases[i].caller_rsp);
        assert_int_equal(thread.registers[COVET_STACK_RBP], cases[i].caller_rbp);
        assert_int_equal(thread.registers[RBX], cases[i].caller_rbx);
    }
    cv_cfi_deinit(&cfi);
}

static void test_cfi_step_through_a_signal_may_go_to_another_stack(void **state) {
    // The interrupted registers: rsp at word 2, rip at word 3.
    static const uint64_t words[] = {0, 1, STACK - 0x1000, PLAIN + 2};
    struct section section;
    struct cv_cfi cfi;
    struct cv_cfi_row row;

    (void)state;
    open_section(&cfi, &section);
    assert_true(find_row(&cfi, SIGNAL, &row));
    assert_true(row.is_signal_frame);
    struct cv_cfi_thread thread = thread_on(words, 4, SIGNAL, STACK, 0);
    assert_true(cv_cfi_step(&cfi, &row, &thread));
    assert_int_equal(thread.registers[COVET_STACK_RIP], PLAIN + 2);
    assert_int_equal(thread.registers[COVET_STACK_RSP], STACK - 0x1000);
    cv_cfi_deinit(&cfi);
}

static void test_cfi_step_stops_without_changing_anything(void **state) {
    static const uint64_t words[] = {1, 2, 3, 0};
    static const struct {
        uint64_t rip, rsp, rbp;
    } cases[] = {
        {FIRST, STACK, 0},                   // nobody has called it
        {PLAIN, STACK + 24, 0},              // the return address is 0
        {PLAIN, STACK + 32, 0},              // beyond what was copied
        {PLAIN, STACK + 25, 0},              // half of it
        {PLAIN, STACK - 8, 0},               // before it
        {PLAIN, UINT64_MAX - 3, 0},          // around the end of all addresses
        {PLAIN + 8, STACK + 16, STACK - 8},  // a frame pointer that points nowhere
        {PLAIN + 8, STACK + 24, STACK},      // a stack that does not shrink
        {ALIGNED, STACK, STACK},             // a frame address that cannot be read
    };
    struct section section;
    struct cv_cfi cfi;

    (void)state;
    open_section(&cfi, &section);
    for (size_t i = 0; i < CV_ARRAY_COUNT(cases); i++) {
        struct cv_cfi_thread thread = thread_on(words, 4, cases[i].rip, cases[i].rsp, cases[i].rbp);
        struct cv_cfi_thread before = thread;
        assert_false(step(&cfi, &thread));
        assert_memory_equal(&thread, &before, sizeof(thread));
    }
    cv_cfi_deinit(&cfi);
}

// Looks at everything a section offers, in memory of exactly its size, so that a sanitizer sees
// each byte that is read outside. Returns how many steps succeeded.
static unsigned use_all(const uint8_t *bytes, size_t count) {
    static const uint64_t words[] = {STACK, STACK + 8, STACK + 16, STACK + 24, 5, 6, 7, 8};
    uint8_t *exact = malloc(CV_MAX(count, 1));
    unsigned stepped = 0;
    struct cv_cfi cfi;
    struct cv_cfi_row row;

    assert_non_null(exact);
    memcpy(exact, bytes, count);
    assert_int_equal(cv_cfi_init(&cfi, exact, count, SECTION), 0);
    for (size_t i = 0; i < cfi.function_count; i++) {
        for (uint64_t offset = 0; offset < 0x40; offset += 3) {
            struct cv_cfi_thread thread = thread_on(words, 8, 1, STACK + 8, STACK + 16);
            if (cv_cfi_row(&cfi, &cfi.functions[i], cfi.functions[i].start + offset, &row))
                stepped += cv_cfi_step(&cfi, &row, &thread);
        }
    }
    cv_cfi_deinit(&cfi);
    free(exact);
    return stepped;
}

static void test_cfi_survives_cut_and_changed_sections(void **state) {
    struct section section;

    (void)state;
    build(&section);
    assert_int_equal(use_all(section.bytes, 0), 0);
    assert_true(use_all(section.bytes, section.count) > 10);
    for (size_t count = 0; count <= section.count; count++)
        use_all(section.bytes, count);
    for (size_t i = 0; i < section.count; i++) {
        for (unsigned value = 0; value < 256; value += value < 0x30 ? 1 : 7) {
            uint8_t kept = section.bytes[i];
            section.bytes[i] = (uint8_t)value;
            use_all(section.bytes, section.count);
            section.bytes[i] = kept;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cfi_lists_functions_by_address),
        cmocka_unit_test(test_cfi_keeps_the_first_of_functions_that_overlap),
        cmocka_unit_test(test_cfi_takes_offsets_too_large_to_multiply),
        cmocka_unit_test(test_cfi_row_follows_the_instructions),
        cmocka_unit_test(test_cfi_step_finds_the_caller),
        cmocka_unit_test(test_cfi_step_through_a_signal_may_go_to_another_stack),
        cmocka_unit_test(test_cfi_step_stops_without_changing_anything),
        cmocka_unit_test(test_cfi_survives_cut_and_changed_sections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
