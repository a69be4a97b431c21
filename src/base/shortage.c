#include "base/shortage.h"

#include <errno.h>
#include <stddef.h>

#include "base/compiler.h"

static const struct shortage {
    int error;
    bool is_of_process;
    const char *remedy;
} shortages[] = {
    {EMFILE, true, "; raise ulimit -n (LimitNOFILE=)"},
    {ENFILE, true, "; raise sysctl fs.file-max"},
    {ENOMEM, true, "; raise the memory limit (ulimit -v, MemoryMax=) or use fewer workers"},
    {ENOBUFS, true, "; raise the memory limit (ulimit -v, MemoryMax=) or use fewer workers"},
    // Of fork(2) and pthread_create(3).
    {EAGAIN, true, "; raise ulimit -u (LimitNPROC=, TasksMax=) or ulimit -v, or use fewer workers"},
    {EFBIG, false, "; raise ulimit -f (LimitFSIZE=)"},
    {ENOSPC, false, "; make room on that file system"},
    {EDQUOT, false, "; raise the quota there"},
    {EROFS, false, "; that file system is mounted read-only"},
};

static const struct shortage *find(int error) {
    for (size_t i = 0; i < CV_ARRAY_COUNT(shortages); i++) {
        if (shortages[i].error == (error < 0 ? -error : error)) {
            return &shortages[i];
        }
    }
    return NULL;
}

const char *cv_shortage_remedy(int error) {
    const struct shortage *found = find(error);
    return found != NULL ? found->remedy : "";
}

bool cv_shortage_is(int error) {
    const struct shortage *found = find(error);
    return found != NULL && found->is_of_process;
}
