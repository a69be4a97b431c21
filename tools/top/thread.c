#include "top/thread.h"

#include <stdio.h>

#include "base/compiler.h"

void top_thread_name(char out[TOP_QUANTITY_BYTES], double thread) {
    static const char *const roles[] = {
        [COVET_WORKER] = "worker", [COVET_MAIN] = "main",   [COVET_IO_WQ] = "io-wq",
        [COVET_SQPOLL] = "sqpoll", [COVET_OTHER] = "other",
    };
    if (thread < 0) {
        snprintf(out, TOP_QUANTITY_BYTES, "workers");
    } else if (thread < top_thread_of_role(COVET_WORKER)) {
        snprintf(out, TOP_QUANTITY_BYTES, "w%.0f", thread);
    } else {
        unsigned role = (unsigned)(thread - top_thread_of_role(COVET_WORKER));
        snprintf(out, TOP_QUANTITY_BYTES, "%s", role < CV_ARRAY_COUNT(roles) ? roles[role] : "?");
    }
}
