// Files of limits: read, or refused with one line that names the file and the place.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "profile/budget.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct cv_budget budget;
    char message[512] = "", path[32];
    int file = memfd_create("budget", MFD_CLOEXEC);
    CV_ASSERT(file >= 0 && write(file, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    int error = cv_budget_read(&budget, path, message, sizeof(message));
    CV_ASSERT(memchr(message, '\0', sizeof(message)) != NULL && strchr(message, '\n') == NULL);
    if (error != 0) {
        CV_ASSERT(strncmp(message, path, strlen(path)) == 0);
    } else {
        CV_ASSERT(budget.limit_count >= 1 && budget.limit_count <= CV_BUDGET_LIMITS_MAX);
        CV_ASSERT(budget.seconds >= 0);
        for (size_t i = 0; i < budget.limit_count; i++) {
            CV_ASSERT(memchr(budget.limits[i].name, '\0', CV_BUDGET_NAME_BYTES) != NULL);
            CV_ASSERT(budget.limits[i].allowed >= 0);
        }
    }
    (void)close(file);
    return 0;
}
