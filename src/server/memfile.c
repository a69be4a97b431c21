#include "server/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // Linux 6.3; before it every memory file may be executed.
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static int make_file(const char *path) {
    const char *slash = strrchr(path, '/');
    char name[64];  // Below the kernel's limit of 249 bytes; seen in /proc/PID/maps.
    size_t length = strnlen(slash != NULL ? slash + 1 : path, sizeof(name) - 1);
    memcpy(name, slash != NULL ? slash + 1 : path, length);
    name[length] = '\0';
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    return fd < 0 ? -errno : fd;
}

static int copy(int to, int from) {
    for (;;) {
        ssize_t sent = sendfile(to, from, NULL, CV_MEMFILE_BYTES_MAX);
        if (sent == 0) {
            return 0;
        }
        if (sent < 0 && errno != EINTR) {
            return -errno;
        }
    }
}

int cv_memfile_copy(const char *path) {
    struct stat status;
    // O_NONBLOCK: opening a FIFO must not wait for its other end.
    int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (from < 0) {
        return -errno;
    }
    int to = -EINVAL;
    if (fstat(from, &status) < 0) {
        to = -errno;
    } else if (S_ISREG(status.st_mode)) {
        to = status.st_size > (off_t)CV_MEMFILE_BYTES_MAX ? -EFBIG : make_file(path);
    }
    if (to >= 0) {
        int error = copy(to, from);
        if (error == 0 && fcntl(to, F_ADD_SEALS, SEALS) < 0) {
            error = -errno;
        }
        if (error != 0) {
            close(to);
            to = error;
        }
    }
    close(from);
    return to;
}
