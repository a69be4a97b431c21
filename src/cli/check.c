// Features are found out by doing them (ring/probe.h); limits and sysctls are read. Everything runs
// as the calling user with its rights, which is also how covet would start.
#include "cli/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "base/cpu.h"
#include "ring/probe.h"

#define EXIT_NO_RING 71
#define NOFILE_WANTED 65536u
#define MEMLOCK_WANTED (64u * 1024u * 1024u)

static void print_line(FILE *out, const char *feature, bool is_good, const char *value,
                       const char *why) {
    fprintf(out, "%-24s %-4s %-12s %s\n", feature, is_good ? "yes" : "no", value, why);
}

static bool read_word(const char *path, char *word, size_t word_bytes) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool found = fgets(word, (int)word_bytes, file) != NULL;
    if (found) {
        word[strcspn(word, "\n")] = '\0';
    }
    fclose(file);
    return found;
}

static void print_kernel(FILE *out) {
    struct utsname name;
    unsigned major = 0;
    unsigned minor = 0;
    if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) {
        return;
    }
    char version[24];
    snprintf(version, sizeof(version), "%u.%u", major, minor);
    print_line(out, "kernel 6.1 or newer", major > 6 || (major == 6 && minor >= 1), version,
               "covet is written for it");
    print_line(out, "kernel 6.6 or newer", major > 6 || (major == 6 && minor >= 6), version,
               "full speed");
}

static void print_sysctl(FILE *out) {
    char word[16];
    if (read_word("/proc/sys/kernel/io_uring_disabled", word, sizeof(word))) {
        print_line(out, "io_uring for everybody", strcmp(word, "0") == 0, word,
                   "kernel.io_uring_disabled: 1 needs kernel.io_uring_group or CAP_SYS_ADMIN, "
                   "2 refuses all");
    }
    if (read_word("/proc/sys/net/core/somaxconn", word, sizeof(word))) {
        unsigned length = 0;
        bool is_long = sscanf(word, "%u", &length) == 1 && length >= 4096;
        print_line(out, "long accept queue", is_long, word,
                   "net.core.somaxconn: connections that wait while a worker is busy");
    }
}

static void print_limit(FILE *out, const char *feature, int resource, uint64_t wanted,
                        const char *why) {
    struct rlimit limit;
    char value[24];
    if (getrlimit((__rlimit_resource_t)resource, &limit) < 0) {
        return;
    }
    if (limit.rlim_max == RLIM_INFINITY) {
        snprintf(value, sizeof(value), "unlimited");
    } else {
        snprintf(value, sizeof(value), "%llu", (unsigned long long)limit.rlim_max);
    }
    print_line(out, feature, limit.rlim_max >= wanted, value, why);
}

static bool print_features(FILE *out) {
    struct cv_probe_line lines[CV_PROBE_LINES_MAX];
    size_t count = cv_probe_run(lines);
    bool is_enough = true;
    for (size_t i = 0; i < count; i++) {
        print_line(out, lines[i].feature, lines[i].available, lines[i].required ? "required" : "",
                   lines[i].why);
        is_enough &= lines[i].available || !lines[i].required;
    }
    return is_enough;
}

int cv_check_print(FILE *out) {
    print_kernel(out);
    print_sysctl(out);
    bool is_enough = print_features(out);
    print_limit(out, "descriptor limit", RLIMIT_NOFILE, NOFILE_WANTED,
                "RLIMIT_NOFILE: each worker serves this many connections less 500");
    print_limit(out, "locked memory limit", RLIMIT_MEMLOCK, MEMLOCK_WANTED,
                "RLIMIT_MEMLOCK: rings and buffers count against it unless covet starts as root");
    print_line(out, "AVX2", cv_cpu_simd() == CV_SIMD_AVX2, cv_cpu_simd_name(cv_cpu_simd()),
               "wide instructions for parsing; scalar code is used without them");
    return is_enough ? 0 : EXIT_NO_RING;
}
