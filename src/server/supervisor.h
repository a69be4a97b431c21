// The supervisor: the process one starts. It keeps its rights and the sockets, and does nothing
// else than open things, start the server, watch it and replace it. It parses no byte of a client.
#ifndef CV_SERVER_SUPERVISOR_H
#define CV_SERVER_SUPERVISOR_H

#include <stddef.h>

#include "base/compiler.h"
#include "server/generation.h"
#include "server/settings.h"

struct cv_supervisor_options {
    const struct cv_settings *settings;  // borrowed for the call, as all below
    // Reads the settings again. Returns 0, or another value with one line in `message`.
    int (*read_settings)(void *context, struct cv_settings *settings, char *message,
                         size_t message_bytes);
    void *context;
    struct cv_generation_source source;
    char *const *argv;  // To start this program again.
};

// Serves until told to stop. Returns the exit code, after a log line when it is not 0. The process
// must have one thread; its signal handling is changed for good.
CV_MUST_USE int cv_supervisor_run(const struct cv_supervisor_options *options);

#endif
