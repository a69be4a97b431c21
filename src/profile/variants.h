// Which of the programs in bpf/ a kernel can run.
//
// The prototypes of tracepoints change between kernels. Each program here names the tracepoint and
// the form of its arguments that it was written for; what a kernel has stands in its BTF. Pure: a
// description of any kernel will do.
#ifndef CV_PROFILE_VARIANTS_H
#define CV_PROFILE_VARIANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CV_VARIANTS_MAX 32u
#define CV_VARIANTS_REASONS 256u

struct btf;

enum cv_variant_state {
    CV_VARIANT_ON,
    CV_VARIANT_NOT_NEEDED,    // not at this level, or another form of it is on
    CV_VARIANT_ABSENT,        // this kernel has no such tracepoint
    CV_VARIANT_UNKNOWN_FORM,  // it has, with arguments that no program here was written for
};

struct cv_variants {
    enum cv_variant_state state[CV_VARIANTS_MAX];
    uint8_t reasons[CV_VARIANTS_REASONS];  // enum covet_drop_reason of each of the kernel's
    bool drop_has_socket;                  // kfree_skb gives the socket
};

// Chooses for the kernel that `kernel` describes and a `level` of 1 to 3.
void cv_variants_choose(struct cv_variants *variants, const struct btf *kernel, uint32_t level);

// The programs: `index` is below cv_variants_count(), the strings are static. An event is one
// tracepoint or iterator, which several programs may be written for; one of them is on at most.
size_t cv_variants_count(void);
const char *cv_variants_program(size_t index);
const char *cv_variants_event(size_t index);

// Why a program is off: "no such tracepoint"; "" unless it is absent or of unknown form.
const char *cv_variants_reason(enum cv_variant_state state);

#endif
