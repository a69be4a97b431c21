// The kernel's functions by address, from /proc/kallsyms: its own, its modules' and BPF programs.
#ifndef CV_PROFILE_KALLSYMS_H
#define CV_PROFILE_KALLSYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

struct cv_kallsyms_function {
    uint64_t address;
    const char *name;
    const char *module;  // "" for the kernel itself, "bpf" for programs
};

struct cv_kallsyms {
    struct cv_kallsyms_function *list;  // owned; ascending
    size_t count;
    char *text;      // owned: what names lie in
    bool is_hidden;  // addresses are all zero: kernel.kptr_restrict, or CAP_SYSLOG is missing
};

// Reads `file` (/proc/kallsyms, or a test's), into a zeroed `kallsyms`. Returns 0, -ENOMEM, or -EIO
// when there is nothing to read.
CV_MUST_USE int cv_kallsyms_read(struct cv_kallsyms *kallsyms, FILE *file);
void cv_kallsyms_deinit(struct cv_kallsyms *kallsyms);

// The function at or below `address`, or NULL.
const struct cv_kallsyms_function *cv_kallsyms_find(const struct cv_kallsyms *kallsyms,
                                                    uint64_t address);

#endif
