// What the supervisor asks of settings as a whole.
#include "server/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/log.h"
#include "server/address.h"

const char *cv_settings_cores_text(const struct cv_settings *settings, char *out,
                                   size_t out_bytes) {
    size_t length = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < settings->cpu_count && length < out_bytes;) {
        uint32_t last = i;
        while (last + 1 < settings->cpu_count &&
               settings->cpu[last + 1] == settings->cpu[last] + 1) {
            last++;
        }
        int written = snprintf(out + length, out_bytes - length, last > i ? "%s%u-%u" : "%s%u",
                               i > 0 ? "," : "", settings->cpu[i], settings->cpu[last]);
        length += (size_t)CV_MAX(written, 0);
        i = last + 1;
    }
    return out;
}

static bool same_addresses(const struct cv_settings *a, const struct cv_settings *b) {
    bool same = a->listen_count == b->listen_count && a->listen_default == b->listen_default;
    for (uint32_t i = 0; same && i < a->listen_count; i++) {
        same = cv_address_equal(&a->listen[i], &b->listen[i]);
    }
    return same;
}

static bool same_cores(const struct cv_settings *a, const struct cv_settings *b) {
    return a->cpu_count == b->cpu_count && a->worker_count == b->worker_count &&
           memcmp(a->cpu, b->cpu, a->cpu_count * sizeof(a->cpu[0])) == 0;
}

void cv_settings_keep_fixed(const struct cv_settings *now, struct cv_settings *next) {
    bool listen = same_addresses(now, next);
    bool cores = same_cores(now, next);
    bool user = now->user == next->user && now->group == next->group;
    bool admin =
        now->admin_enabled == next->admin_enabled && strcmp(now->admin.text, next->admin.text) == 0;
    bool core_dumps = now->core_dumps == next->core_dumps;
    if (!listen || !cores || !user || !admin || !core_dumps) {
        cv_log(CV_LOG_WARN, "reload_partial",
               "changed=\"%s%s%s%s%s\" reason=\"needs a restart (USR2)\"", listen ? "" : " listen",
               cores ? "" : " cores", user ? "" : " user", admin ? "" : " admin",
               core_dumps ? "" : " core");
    }
    memcpy(next->listen, now->listen, sizeof(next->listen));
    next->listen_count = now->listen_count;
    next->listen_default = now->listen_default;
    memcpy(next->cpu, now->cpu, sizeof(next->cpu));
    next->cpu_count = now->cpu_count;
    next->worker_count = now->worker_count;
    next->user = now->user;
    next->group = now->group;
    memcpy(next->user_name, now->user_name, sizeof(next->user_name));
    next->admin_enabled = now->admin_enabled;
    next->admin = now->admin;
    next->core_dumps = now->core_dumps;
}
