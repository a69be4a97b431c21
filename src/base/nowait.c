// RWF_NOWAIT asks the kernel for it, for this one write: sockets understand it, pipes since Linux
// 6.4. What does not (a terminal, a pipe on an older kernel) is asked whether it has room: a pipe
// with room takes PIPE_BUF bytes (pipe(7)), unless another writer comes in between.
#include "base/nowait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t plain_write(int fd, const void *data, size_t bytes) {
    ssize_t written = write(fd, data, bytes);
    return written < 0 ? -errno : written;
}

ssize_t cv_nowait_write(int fd, const void *data, size_t bytes) {
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        return plain_write(fd, data, bytes);
    }
    struct iovec part = {(void *)(uintptr_t)data, bytes};
    ssize_t written = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
    if (written >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) {
        return written < 0 ? -errno : written;
    }
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    if (poll(&room, 1, 0) == 0) {
        return -EAGAIN;
    }
    return plain_write(fd, data, CV_MIN(bytes, (size_t)PIPE_BUF));
}
