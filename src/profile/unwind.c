#include "profile/unwind.h"

#include <string.h>

// Code without a table, from a just-in-time compiler for example, mostly keeps frame pointers:
// rbp holds the address of the caller's rbp, behind which lies the return address.
static bool step_by_frame_pointer(struct cv_cfi_thread *thread) {
    uint64_t frame = thread->registers[COVET_STACK_RBP];
    uint64_t offset = frame - thread->stack_start;
    uint64_t saved[2];

    if (frame < thread->registers[COVET_STACK_RSP] || thread->stack_bytes < sizeof(saved) ||
        offset > thread->stack_bytes - sizeof(saved))
        return false;
    memcpy(saved, thread->stack + offset, sizeof(saved));
    thread->registers[COVET_STACK_RBP] = saved[0];
    thread->registers[COVET_STACK_RIP] = saved[1];
    thread->registers[COVET_STACK_RSP] = frame + sizeof(saved);
    return saved[1] != 0;
}

static bool step(const struct cv_place *place, struct cv_cfi_thread *thread) {
    return place->cfi != NULL ? cv_cfi_step(place->cfi, &place->row, thread)
                              : step_by_frame_pointer(thread);
}

size_t cv_unwind(struct cv_symbols *symbols, struct cv_cfi_thread *thread,
                 struct cv_frame frames[CV_UNWIND_FRAMES_MAX], bool *is_complete) {
    // A return address is behind its call, which may be the last instruction of a function; what
    // was interrupted is the instruction itself.
    uint64_t behind = 0;
    size_t count = 0;

    *is_complete = false;
    do {
        const struct cv_place *place =
            cv_symbols_user(symbols, thread->registers[COVET_STACK_RIP] - behind);
        if (place == NULL)
            return 0;
        frames[count++] = place->frame;
        if (place->cfi != NULL && place->row.registers[COVET_STACK_RIP].rule == CV_CFI_UNDEFINED) {
            *is_complete = true;
            break;
        }
        behind = place->cfi != NULL && place->row.is_signal_frame ? 0 : 1;
        if (place->frame.origin == CV_ORIGIN_UNKNOWN || !step(place, thread))
            break;
    } while (count < CV_UNWIND_FRAMES_MAX);
    return count;
}
