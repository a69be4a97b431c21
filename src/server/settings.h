// Everything the command line and the configuration file say, checked and in its final form.
#ifndef CV_SERVER_SETTINGS_H
#define CV_SERVER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <covet/abi.h>

#include "base/log.h"
#include "net/limits.h"

#define CV_SETTINGS_LISTEN_MAX 16u
#define CV_SETTINGS_MODULES_MAX 16u
#define CV_SETTINGS_PATH_BYTES 256u
#define CV_SETTINGS_CPUS_MAX COVET_WORKERS_MAX

struct cv_address {
    struct sockaddr_storage socket;
    socklen_t socket_bytes;
    char text[CV_SETTINGS_PATH_BYTES];  // As given: 127.0.0.1:8000, [::1]:8000, unix:/path
};

struct cv_settings {
    uint16_t cpu[CV_SETTINGS_CPUS_MAX];  // Cores to use, those that exist.
    uint32_t cpu_count;
    uint32_t worker_count;  // Worker i runs on cpu[i % cpu_count].
    struct cv_address listen[CV_SETTINGS_LISTEN_MAX];
    uint32_t listen_count;
    bool listen_default;  // Nobody named an address: LISTEN_FDS replaces them.
    char module[CV_SETTINGS_MODULES_MAX][CV_SETTINGS_PATH_BYTES];
    uint32_t module_count;
    char config[CV_SETTINGS_PATH_BYTES];      // Empty: none.
    char access_log[CV_SETTINGS_PATH_BYTES];  // Empty: none; "-": standard output.
    bool admin_enabled;
    struct cv_address admin;
    uid_t user;  // To become; equal to the starting user when there is nothing to drop.
    gid_t group;
    char user_name[64];
    bool allow_root;
    bool core_dumps;         // --core
    uint32_t profile_level;  // 1 to 3; 0: no profiler is started.
    uint32_t drain_ms;       // Hard limit of a drain.
    enum cv_log_level log_level;
    struct cv_limits limits;
};

// After a reload: options that live as long as the process get the values of `now` back, and one
// log line names those that would have changed.
void cv_settings_keep_fixed(const struct cv_settings *now, struct cv_settings *next);

// The cores as a list with ranges, "0-3,6"; cut off where `out` ends. Returns `out`.
const char *cv_settings_cores_text(const struct cv_settings *settings, char *out, size_t out_bytes);

#endif
