// Unwinding tables (.eh_frame) of x86-64: how a function's caller is found from any instruction.
//
// Every compiler writes them by default, for exceptions, debuggers and profilers alike; nothing in
// the running program maintains them (psABI for x86-64, section 3.7; DWARF 5, section 6.4). Tables
// are untrusted input: whatever is wrong in them ends a search or an unwinding, nothing else.
#ifndef CV_PROFILE_CFI_H
#define CV_PROFILE_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "bpf/stacks.h"

#define CV_CFI_REGISTERS COVET_STACK_REGISTERS

struct cv_cfi_function {
    uint64_t start;  // addresses as the file has them, `end` excluded
    uint64_t end;
    uint32_t offset;  // of its entry (FDE) in the section
};

// The tables of one file.
struct cv_cfi {
    const uint8_t *bytes;  // borrowed: the section
    size_t byte_count;
    uint64_t address;                   // of the section, as the file has it
    struct cv_cfi_function *functions;  // owned; ascending, not overlapping
    size_t function_count;
};

enum cv_cfi_rule {
    CV_CFI_SAME,         // the register is not touched
    CV_CFI_UNDEFINED,    // lost; of the return address: there is no caller
    CV_CFI_AT,           // saved at frame address + offset
    CV_CFI_IS,           // is frame address + offset
    CV_CFI_REGISTER,     // in another register, number `offset`
    CV_CFI_AT_COMPUTED,  // saved where the expression says
    CV_CFI_IS_COMPUTED,  // is what the expression says
};

// What to do to leave one instruction's frame. The frame address (CFA) is the value of rsp before
// the call. An expression lies `offset` bytes into the section: its length, then its operations.
struct cv_cfi_row {
    bool
        is_signal_frame;  // the return address is no call's: the instruction itself was interrupted
    bool frame_is_computed;
    uint8_t frame_register;  // unless computed: frame address = register + frame_offset
    int64_t frame_offset;
    struct {
        uint8_t rule;  // enum cv_cfi_rule
        int64_t offset;
    } registers[CV_CFI_REGISTERS];
};

// A thread's registers and the copy of its stack.
struct cv_cfi_thread {
    uint64_t registers[CV_CFI_REGISTERS];
    const uint8_t *stack;  // borrowed
    uint64_t stack_start;
    size_t stack_bytes;
};

// Lists the functions of a section. `bytes` are borrowed until cv_cfi_deinit. Returns 0 or -ENOMEM;
// broken tables give fewer functions.
CV_MUST_USE int cv_cfi_init(struct cv_cfi *cfi, const uint8_t *bytes, size_t byte_count,
                            uint64_t address);
void cv_cfi_deinit(struct cv_cfi *cfi);

// The function that holds `address`, or NULL.
const struct cv_cfi_function *cv_cfi_find(const struct cv_cfi *cfi, uint64_t address);

// How to leave the frame at `address` of `function`. Returns false when the table is broken or uses
// what no compiler writes.
CV_MUST_USE bool cv_cfi_row(const struct cv_cfi *cfi, const struct cv_cfi_function *function,
                            uint64_t address, struct cv_cfi_row *row);

// Makes `thread` its caller's. Returns false when there is none or when what is needed lies outside
// the copied stack; `thread` is then as before.
CV_MUST_USE bool cv_cfi_step(const struct cv_cfi *cfi, const struct cv_cfi_row *row,
                             struct cv_cfi_thread *thread);

#endif
