// Writing to a descriptor that somebody else reads, or has stopped reading, without ever waiting
// for it. O_NONBLOCK is not for that: it would reach everyone who shares the open file, a shell for
// example.
#ifndef CV_BASE_NOWAIT_H
#define CV_BASE_NOWAIT_H

#include <stddef.h>
#include <sys/types.h>

#include "base/compiler.h"

// Writes at most `bytes`. Returns how many were, or -errno; -EAGAIN where writing would wait. A
// regular file takes everything at once and counts as one that never waits. To a pipe, up to
// PIPE_BUF bytes leave whole or not at all. Async-signal-safe; changes errno. SIGPIPE and SIGXFSZ
// are the caller's to ignore.
CV_MUST_USE ssize_t cv_nowait_write(int fd, const void *data, size_t bytes);

#endif
