// What a reload replaces as a whole: the settings, and the modules they name, copied into memory
// while the supervisor's rights allow to read them.
#ifndef CV_SERVER_BUNDLE_H
#define CV_SERVER_BUNDLE_H

#include <stddef.h>

#include "base/compiler.h"
#include "server/settings.h"

struct cv_bundle {
    struct cv_settings settings;
    int module_fd[CV_SETTINGS_MODULES_MAX];  // owned
};

// Opens every module of `bundle->settings`. Returns 0, or -errno with one line in `message` and no
// module open.
CV_MUST_USE int cv_bundle_open_modules(struct cv_bundle *bundle, char *message,
                                       size_t message_bytes);

// Closes the modules.
void cv_bundle_close(struct cv_bundle *bundle);

// Opens the access log that `settings` name for appending; `*fd` is the caller's, -1 when there is
// none. Returns 0, or -errno with one line in `message`.
CV_MUST_USE int cv_bundle_open_log(const struct cv_settings *settings, int *fd, char *message,
                                   size_t message_bytes);

#endif
