// Names for the addresses of one process, and how to leave the frames at them.
//
// Everything is found from outside: /proc/PID/maps says which file is behind an address, also for
// files that are deleted, replaced, in memory only, or in a container's root. Files and addresses
// are read once. Symbols that a file lacks are taken from its file of debugging symbols, by
// build id below /usr/lib/debug. Not thread-safe.
#ifndef CV_PROFILE_SYMBOLS_H
#define CV_PROFILE_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "profile/cfi.h"

// Whose code it is.
enum cv_origin {
    CV_ORIGIN_THREAD,  // no code: a thread's name
    CV_ORIGIN_SERVER,
    CV_ORIGIN_MODULE,  // handlers loaded with --module
    CV_ORIGIN_LIBURING,
    CV_ORIGIN_LIBC,
    CV_ORIGIN_OTHER,  // any other library, code made while running
    CV_ORIGIN_KERNEL,
    CV_ORIGIN_BPF,
    CV_ORIGIN_UNKNOWN,  // nothing is at that address
    CV_ORIGIN_COUNT
};

// A function on a stack.
struct cv_frame {
    const char *name;  // one pointer per text: equal names are equal pointers
    enum cv_origin origin;
};

// What is at an address.
struct cv_place {
    uint64_t address;
    struct cv_frame frame;     // a function, or [file+address] where it has no name
    const struct cv_cfi *cfi;  // NULL: no unwinding table covers it
    struct cv_cfi_row row;
};

struct cv_symbols;

// Reads what process `pid` has mapped. Returns 0 with an owned `*symbols`, or -errno: -EACCES
// without the right to look into it (PTRACE_MODE_READ), -ESRCH when it is gone.
CV_MUST_USE int cv_symbols_create(struct cv_symbols **symbols, pid_t pid);
void cv_symbols_destroy(struct cv_symbols *symbols);

// What is at an address of the process, or of the kernel. Mappings are read again for an address
// that nobody knows. The result stays until the next call, its name until cv_symbols_destroy. NULL
// when memory is exhausted.
CV_MUST_USE const struct cv_place *cv_symbols_user(struct cv_symbols *symbols, uint64_t address);
CV_MUST_USE const struct cv_place *cv_symbols_kernel(struct cv_symbols *symbols, uint64_t address);

// The one pointer of any other text among the names, or NULL.
CV_MUST_USE const char *cv_symbols_name(struct cv_symbols *symbols, const char *text);

// Whether the kernel hides its addresses from this process, so that its functions are "[kernel]".
bool cv_symbols_kernel_is_hidden(const struct cv_symbols *symbols);

// "server", "liburing", ...
const char *cv_symbols_origin_name(enum cv_origin origin);

#endif
