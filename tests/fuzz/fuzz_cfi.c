// Unwinding tables of a file that nobody vouches for: every function they name, every row, and
// steps from frame to frame over a stack of arbitrary bytes. The input: the section; its last 512
// bytes are the stack as well.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "profile/cfi.h"

#define ADDRESS 0x400000u
#define STACK_BYTES 512u
#define FUNCTIONS_MAX 64u
#define STEPS_MAX 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void unwind(const struct cv_cfi *cfi, uint64_t address, struct cv_cfi_thread thread) {
    struct cv_cfi_row row;
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        const struct cv_cfi_function *function = cv_cfi_find(cfi, address);
        if (function == NULL) {
            return;
        }
        CV_ASSERT(address >= function->start && address < function->end);
        struct cv_cfi_thread before = thread;
        if (!cv_cfi_row(cfi, function, address, &row)) {
            return;
        }
        if (!cv_cfi_step(cfi, &row, &thread)) {
            CV_ASSERT(memcmp(&before, &thread, sizeof(thread)) == 0);
            return;
        }
        address = thread.registers[COVET_STACK_RIP];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cv_cfi cfi;
    size_t stack_bytes = CV_MIN(size, (size_t)STACK_BYTES);
    uint8_t *section = malloc(CV_MAX(size, (size_t)1));
    uint8_t *stack = malloc(CV_MAX(stack_bytes, (size_t)1));
    CV_ASSERT(section != NULL && stack != NULL);
    memcpy(section, data, size);
    memcpy(stack, data + size - stack_bytes, stack_bytes);
    CV_ASSERT(cv_cfi_init(&cfi, section, size, ADDRESS) == 0);
    struct cv_cfi_thread thread = {
        .stack = stack, .stack_start = ADDRESS * 2, .stack_bytes = stack_bytes};
    for (size_t i = 0; i < CV_CFI_REGISTERS; i++) {
        thread.registers[i] = thread.stack_start + i * 8;
    }
    uint64_t end = 0;
    for (size_t i = 0; i < cfi.function_count && i < FUNCTIONS_MAX; i++) {
        const struct cv_cfi_function *function = &cfi.functions[i];
        CV_ASSERT(function->start >= end && function->end > function->start);
        end = function->end;
        unwind(&cfi, function->start, thread);
        unwind(&cfi, function->start + (function->end - function->start) / 2, thread);
        unwind(&cfi, function->end - 1, thread);
    }
    cv_cfi_deinit(&cfi);
    free(section);
    free(stack);
    return 0;
}
