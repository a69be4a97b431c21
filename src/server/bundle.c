// A module is copied, not kept open, so that the file may be replaced while a reload is under way
// (server/memfile).
#include "server/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/shortage.h"
#include "server/memfile.h"

int cv_bundle_open_log(const struct cv_settings *settings, int *fd, char *message,
                       size_t message_bytes) {
    const char *path = settings->access_log;
    if (path[0] == '\0') {
        *fd = -1;
        return 0;
    }
    int opened = strcmp(path, "-") == 0
                     ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                     : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (opened < 0) {
        int error = errno;
        snprintf(message, message_bytes, "access log %s: %s%s", path, strerror(error),
                 cv_shortage_remedy(error));
        return -error;
    }
    *fd = opened;
    return 0;
}

void cv_bundle_close(struct cv_bundle *bundle) {
    for (uint32_t i = 0; i < bundle->settings.module_count; i++) {
        if (bundle->module_fd[i] >= 0) {
            close(bundle->module_fd[i]);
        }
    }
    bundle->settings.module_count = 0;
}

int cv_bundle_open_modules(struct cv_bundle *bundle, char *message, size_t message_bytes) {
    uint32_t count = bundle->settings.module_count;
    for (uint32_t i = 0; i < count; i++) {
        int fd = cv_memfile_copy(bundle->settings.module[i]);
        if (fd < 0) {
            // What can be full is the memory that the file is copied to.
            snprintf(message, message_bytes, "module %s: %s%s", bundle->settings.module[i],
                     strerror(-fd), fd == -ENOSPC ? "; free memory" : cv_shortage_remedy(fd));
            bundle->settings.module_count = i;
            cv_bundle_close(bundle);
            return fd;
        }
        bundle->module_fd[i] = fd;
    }
    return 0;
}
