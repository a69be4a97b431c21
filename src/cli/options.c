// The option table and its readers.
//
// A draft collects what is said, later sayings over earlier ones; once everything is said, the
// parts that depend on this machine and on each other (cores, workers, user) are settled. Values of
// the file that the command line overrides are still checked, so that a file is right or wrong by
// itself.
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cpu.h"
#include "base/span.h"
#include "cli/config.h"
#include "http/parser.h"
#include "server/address.h"

#define EXIT_USAGE 64
#define EXIT_CONFIG 78

enum kind {
    KIND_SECONDS,  // uint32_t, milliseconds
    KIND_BYTES,    // uint32_t
    KIND_BYTES64,  // uint64_t
    KIND_COUNT,    // uint32_t
    KIND_SWITCH,   // bool
    KIND_PATH,     // char[CV_SETTINGS_PATH_BYTES]
    KIND_LEVEL,
    KIND_LISTEN,
    KIND_MODULE,
    KIND_ADMIN,
    KIND_PROFILE,
    KIND_CORES,
    KIND_WORKERS,
    KIND_USER,
    KIND_CHECK,
    KIND_VERSION,
    KIND_HELP,
};

#define SETTING(member) offsetof(struct cv_settings, member)
#define LIMIT(member) offsetof(struct cv_settings, limits.member)
#define DAY_MS 86400000u
#define GIB (1u << 30)
#define PROFILE_MAX 3u

static const struct cv_option table[] = {
    {"cores", "LIST", KIND_CORES,
     .help = "Cores to use, one worker each, such as 0-7,10\n"
             "(default: all the process may use)"},
    {"workers", "N", KIND_WORKERS, .min = 1, .max = COVET_WORKERS_MAX,
     .help = "Workers on those cores (default: one per core)"},
    {"listen", "ADDRESS", KIND_LISTEN, .is_list = true, .initial = "127.0.0.1:8000",
     .help = "ADDR:PORT, [IPv6]:PORT or unix:PATH; may be repeated"},
    {"module", "FILE.so", KIND_MODULE, .is_list = true,
     .help = "Application to load; may be repeated (default: the demo)"},
    {"config", "FILE", KIND_PATH, .command_line_only = true, .offset = SETTING(config),
     .help = "Read these options from FILE: lines of key = value, the\n"
             "keys being the names of this list; # begins a comment"},
    {"user", "NAME", KIND_USER,
     .help = "User to serve as when started as root (default: the one\n"
             "that called sudo, else nobody)"},
    {"admin", "ADDRESS|off", KIND_ADMIN,
     .help = "Where /metrics, /healthz, /routes, /reload and /drain are\n"
             "(default: unix:/run/covet/PID/admin)"},
    {"profile", "off|0|1|2|3", KIND_PROFILE, .initial = "2",
     .help = "How much covet-prof measures beside the server: 1 rings,\n"
             "scheduling, TCP; 2 system calls too, each of which takes a\n"
             "little longer then, in every process; 3 latencies too; off\n"
             "or 0: it is not started (counter pages are there always)"},
    {"drain", "SECONDS", KIND_SECONDS, .offset = SETTING(drain_ms), .max = DAY_MS, .initial = "30",
     .help = "How long a stop waits for requests in progress"},
    {"access-log", "FILE|-", KIND_PATH, .offset = SETTING(access_log),
     .help = "Write a line per request; - is standard output\n(default: none)"},
    {"log-level", "LEVEL", KIND_LEVEL, .initial = "info", .help = "error, warn, info or debug"},
    {"check", NULL, KIND_CHECK, .command_line_only = true,
     .help = "Print what this kernel gives and exit"},
    {"allow-root", NULL, KIND_SWITCH, .offset = SETTING(allow_root),
     .help = "Serve as root if --user says so"},
    {"core", NULL, KIND_SWITCH, .offset = SETTING(core_dumps),
     .help = "Let a crash leave a core dump"},
    {"header-timeout", "SECONDS", KIND_SECONDS, .offset = LIMIT(header_timeout_ms), .min = 1,
     .max = DAY_MS, .initial = "10", .help = "For a whole request head"},
    {"idle-timeout", "SECONDS", KIND_SECONDS, .offset = LIMIT(idle_timeout_ms), .min = 1,
     .max = DAY_MS, .initial = "15", .help = "Between requests of a connection"},
    {"body-timeout", "SECONDS", KIND_SECONDS, .offset = LIMIT(body_grace_ms), .min = 1,
     .max = DAY_MS, .initial = "10",
     .help = "Time after which, and windows over which, the rate of a\nrequest body is judged"},
    {"body-rate-min", "BYTES", KIND_BYTES, .offset = LIMIT(body_rate_min), .max = GIB,
     .initial = "16k", .help = "Per second a request body must keep up; 0: no minimum"},
    {"write-timeout", "SECONDS", KIND_SECONDS, .offset = LIMIT(write_timeout_ms), .min = 1,
     .max = DAY_MS, .initial = "30", .help = "Without progress of an answer"},
    {"linger-timeout", "SECONDS", KIND_SECONDS, .offset = LIMIT(linger_timeout_ms), .min = 1,
     .max = DAY_MS, .initial = "1",
     .help = "Reading on after an error answer, before the connection\nis closed"},
    {"header-max", "BYTES", KIND_BYTES, .offset = LIMIT(head_bytes_max), .min = 256,
     .max = CV_PARSER_HEAD_BYTES_MAX, .initial = "32k", .help = "Request line and fields"},
    {"target-max", "BYTES", KIND_BYTES, .offset = LIMIT(target_bytes_max), .min = 64,
     .max = CV_PARSER_HEAD_BYTES_MAX, .initial = "8k", .help = "Request target"},
    {"fields-max", "N", KIND_COUNT, .offset = LIMIT(fields_max), .min = 1,
     .max = CV_PARSER_FIELDS_MAX, .initial = "100", .help = "Fields of a request"},
    {"body-max", "BYTES", KIND_BYTES64, .offset = LIMIT(body_bytes_max), .max = INT64_MAX,
     .initial = "1m", .help = "Request body, where a route sets no limit of its own"},
    {"pipeline-max", "N", KIND_COUNT, .offset = LIMIT(pipeline_max), .min = 1, .max = 65535,
     .initial = "128", .help = "Pipelined requests answered in a row"},
    {"output-max", "BYTES", KIND_BYTES, .offset = LIMIT(output_bytes_max), .min = 4096, .max = GIB,
     .initial = "256k", .help = "Queued output of a connection at which receiving stops"},
    {"zero-copy-min", "BYTES", KIND_BYTES, .offset = LIMIT(zero_copy_bytes_min), .max = GIB,
     .initial = "32k", .help = "Bodies sent without a copy to other machines; 0: none"},
    {"connections-max", "N", KIND_COUNT, .offset = LIMIT(connections_max), .max = 1u << 24,
     .initial = "0", .help = "Per worker; 0: its descriptor limit minus 500"},
    {"connections-per-address-max", "N", KIND_COUNT, .offset = LIMIT(connections_per_address_max),
     .max = 1u << 24, .initial = "0", .help = "Per worker and client address; 0: no cap"},
    {"memory-max", "BYTES", KIND_BYTES64, .offset = LIMIT(memory_bytes_max),
     .max = CV_LIMITS_MEMORY_BYTES_MAX, .initial = "0",
     .help = "Per worker, for connections and requests; 0: its share of half\n"
             "of what the machine or the control group has"},
    {"lag-max", "SECONDS", KIND_SECONDS, .offset = LIMIT(lag_max_ms), .max = DAY_MS,
     .initial = "0.05",
     .help = "When work waits for longer, new requests are answered 503;\n"
             "0: never"},
    {"lag-hold", "SECONDS", KIND_SECONDS, .offset = LIMIT(lag_hold_ms), .max = DAY_MS,
     .initial = "0.1", .help = "So long must it wait for longer, turn after turn; 0: never"},
    {"retry-after", "N", KIND_COUNT, .offset = LIMIT(retry_after_s), .min = 1, .max = 86400,
     .initial = "1", .help = "Seconds after which a client that got 503 may try again"},
    {"version", NULL, KIND_VERSION, .command_line_only = true,
     .help = "Print the version and exit"},
    {"help", NULL, KIND_HELP, .command_line_only = true, .help = "Print this and exit"},
};

#define OPTION_COUNT CV_ARRAY_COUNT(table)
#define GETOPT_FIRST 256  // Above every character, so that ? and : mean errors only.

struct draft {
    struct cv_settings settings;
    uint16_t cpu[CV_CPU_LIST_MAX];
    size_t cpu_count;  // 0: all there are.
    uint32_t workers;  // 0: one per core.
    enum cv_options_action action;
    bool is_set[OPTION_COUNT];  // By the file or the command line.
    bool from_file[OPTION_COUNT];
};

struct reason {
    char *text;
    size_t bytes;
};

// Says why a value is refused.
static CV_PRINTF(2, 3) int refuse(struct reason reason, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason.text, reason.bytes, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

const struct cv_option *cv_options_table(size_t *count) {
    *count = OPTION_COUNT;
    return table;
}

static const struct cv_option *find(const char *name) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

static size_t index_of(const struct cv_option *option) {
    return (size_t)(option - table);
}

// Seconds with at most three decimals, as milliseconds.
static bool read_seconds(const char *text, uint64_t *ms) {
    const char *point = strchr(text, '.');
    struct cv_span whole = cv_span_of(text);
    uint64_t fraction = 0;
    if (point != NULL) {
        struct cv_span decimals = cv_span_of(point + 1);
        whole.length = (size_t)(point - text);
        if (decimals.length > 3 || !cv_span_to_uint64(decimals, 999, &fraction)) {
            return false;
        }
        for (size_t i = decimals.length; i < 3; i++) {
            fraction *= 10;
        }
    }
    uint64_t seconds;
    if (!cv_span_to_uint64(whole, UINT32_MAX, &seconds)) {
        return false;
    }
    *ms = seconds * 1000 + fraction;
    return true;
}

// A number with an optional k, m or g (of 1024).
static bool read_bytes(const char *text, uint64_t *bytes) {
    static const char suffixes[] = "kmg";
    struct cv_span digits = cv_span_of(text);
    unsigned shift = 0;
    if (digits.length > 1) {
        char last = (char)(digits.data[digits.length - 1] | 0x20);
        const char *suffix = strchr(suffixes, last);
        if (suffix != NULL) {
            shift = 10 * (unsigned)(suffix - suffixes + 1);
            digits.length--;
        }
    }
    uint64_t number;
    if (!cv_span_to_uint64(digits, UINT64_MAX >> shift, &number)) {
        return false;
    }
    *bytes = number << shift;
    return true;
}

static bool read_number(const struct cv_option *option, const char *text, uint64_t *value) {
    switch ((enum kind)option->kind) {
    case KIND_SECONDS:
        return read_seconds(text, value);
    case KIND_BYTES:
    case KIND_BYTES64:
        return read_bytes(text, value);
    default:
        return cv_span_to_uint64(cv_span_of(text), UINT64_MAX, value);
    }
}

static int refuse_number(const struct cv_option *option, const char *text, struct reason reason) {
    if (option->kind == KIND_SECONDS) {
        return refuse(reason, "'%s' is not a time from %g to %g seconds", text,
                      (double)option->min / 1000, (double)option->max / 1000);
    }
    const char *what = option->kind == KIND_BYTES || option->kind == KIND_BYTES64
                           ? "number of bytes (k, m, g allowed)"
                           : "number";
    return refuse(reason, "'%s' is not a %s from %llu to %llu", text, what,
                  (unsigned long long)option->min, (unsigned long long)option->max);
}

static int set_number(struct draft *draft, const struct cv_option *option, const char *text,
                      struct reason reason) {
    uint64_t value;
    if (!read_number(option, text, &value) || value < option->min || value > option->max) {
        return refuse_number(option, text, reason);
    }
    char *member = (char *)&draft->settings + option->offset;
    if (option->kind == KIND_WORKERS) {
        draft->workers = (uint32_t)value;
    } else if (option->kind == KIND_BYTES64) {
        memcpy(member, &value, sizeof(value));
    } else {
        uint32_t narrow = (uint32_t)value;
        memcpy(member, &narrow, sizeof(narrow));
    }
    return 0;
}

static int set_switch(struct draft *draft, const struct cv_option *option, const char *text,
                      struct reason reason) {
    bool value = true;
    if (text != NULL) {  // From the file.
        bool yes = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
        bool no = strcmp(text, "no") == 0 || strcmp(text, "false") == 0;
        if (!yes && !no) {
            return refuse(reason, "'%s' is not yes or no", text);
        }
        value = yes;
    }
    memcpy((char *)&draft->settings + option->offset, &value, sizeof(value));
    return 0;
}

static int copy_path(char path[CV_SETTINGS_PATH_BYTES], const char *text, struct reason reason) {
    size_t length = strlen(text);
    if (length == 0) {
        return refuse(reason, "a path is missing");
    }
    if (length >= CV_SETTINGS_PATH_BYTES) {
        return refuse(reason, "a path has at most %u bytes", CV_SETTINGS_PATH_BYTES - 1);
    }
    memcpy(path, text, length + 1);
    return 0;
}

static int set_listen(struct draft *draft, const char *text, struct reason reason) {
    struct cv_settings *settings = &draft->settings;
    const char *why;
    if (settings->listen_count == CV_SETTINGS_LISTEN_MAX) {
        return refuse(reason, "at most %u addresses", CV_SETTINGS_LISTEN_MAX);
    }
    struct cv_address *address = &settings->listen[settings->listen_count];
    if (!cv_address_parse(text, address, &why)) {
        return refuse(reason, "'%s': %s", text, why);
    }
    for (uint32_t i = 0; i < settings->listen_count; i++) {
        if (cv_address_equal(&settings->listen[i], address)) {
            return refuse(reason, "'%s' is given twice", text);
        }
    }
    settings->listen_count++;
    return 0;
}

static int set_module(struct draft *draft, const char *text, struct reason reason) {
    struct cv_settings *settings = &draft->settings;
    if (settings->module_count == CV_SETTINGS_MODULES_MAX) {
        return refuse(reason, "at most %u modules", CV_SETTINGS_MODULES_MAX);
    }
    int result = copy_path(settings->module[settings->module_count], text, reason);
    if (result == 0) {
        settings->module_count++;
    }
    return result;
}

static int set_admin(struct draft *draft, const char *text, struct reason reason) {
    const char *why;
    draft->settings.admin_enabled = strcmp(text, "off") != 0;
    if (draft->settings.admin_enabled && !cv_address_parse(text, &draft->settings.admin, &why)) {
        return refuse(reason, "'%s': %s", text, why);
    }
    return 0;
}

static int set_profile(struct draft *draft, const char *text, struct reason reason) {
    uint64_t level = 0;
    if (strcmp(text, "off") != 0 && !cv_span_to_uint64(cv_span_of(text), PROFILE_MAX, &level)) {
        return refuse(reason, "'%s' is not off, 0, 1, 2 or 3", text);
    }
    draft->settings.profile_level = (uint32_t)level;
    return 0;
}

static int set_user(struct draft *draft, const char *text, struct reason reason) {
    if (text[0] == '\0' || strlen(text) >= sizeof(draft->settings.user_name)) {
        return refuse(reason, "'%s' is not a user name", text);
    }
    snprintf(draft->settings.user_name, sizeof(draft->settings.user_name), "%s", text);
    return 0;
}

static int set_cores(struct draft *draft, const char *text, struct reason reason) {
    const char *why;
    if (!cv_cpu_list_parse(cv_span_of(text), draft->cpu, &draft->cpu_count, &why)) {
        return refuse(reason, "'%s': %s", text, why);
    }
    return 0;
}

static int set_value(struct draft *draft, const struct cv_option *option, const char *text,
                     struct reason reason) {
    switch ((enum kind)option->kind) {
    case KIND_SECONDS:
    case KIND_BYTES:
    case KIND_BYTES64:
    case KIND_COUNT:
    case KIND_WORKERS:
        return set_number(draft, option, text, reason);
    case KIND_SWITCH:
        return set_switch(draft, option, text, reason);
    case KIND_PATH:
        return copy_path((char *)&draft->settings + option->offset, text, reason);
    case KIND_LEVEL:
        return cv_log_level_parse(cv_span_of(text), &draft->settings.log_level)
                   ? 0
                   : refuse(reason, "'%s' is not error, warn, info or debug", text);
    case KIND_LISTEN:
        return set_listen(draft, text, reason);
    case KIND_MODULE:
        return set_module(draft, text, reason);
    case KIND_ADMIN:
        return set_admin(draft, text, reason);
    case KIND_PROFILE:
        return set_profile(draft, text, reason);
    case KIND_CORES:
        return set_cores(draft, text, reason);
    case KIND_USER:
        return set_user(draft, text, reason);
    case KIND_CHECK:
        draft->action = CV_OPTIONS_CHECK;
        return 0;
    case KIND_VERSION:
        draft->action = CV_OPTIONS_VERSION;
        return 0;
    case KIND_HELP:
        draft->action = CV_OPTIONS_HELP;
        return 0;
    }
    return refuse(reason, "not an option");
}

// Sets one option; the first value of a list takes the place of the default.
static int set_option(struct draft *draft, const struct cv_option *option, const char *text,
                      struct reason reason) {
    size_t index = index_of(option);
    if (!draft->is_set[index] && option->kind == KIND_LISTEN) {
        draft->settings.listen_count = 0;
        draft->settings.listen_default = false;
    }
    draft->is_set[index] = true;
    return set_value(draft, option, text, reason);
}

static void set_defaults(struct draft *draft) {
    *draft = (struct draft){.settings = {.admin_enabled = true, .listen_default = true}};
    char text[128];
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (table[i].initial != NULL) {
            int result =
                set_value(draft, &table[i], table[i].initial, (struct reason){text, sizeof(text)});
            CV_ASSERT(result == 0);
        }
    }
}

struct file_reader {
    struct draft *draft;
    struct draft scratch;  // Takes what the command line overrides.
    const bool *on_command_line;
};

static int set_from_file(void *context, const char *key, const char *value, char *text,
                         size_t text_bytes) {
    struct file_reader *reader = context;
    char why[256];
    const struct cv_option *option = find(key);
    if (option == NULL) {
        return refuse((struct reason){text, text_bytes}, "unknown key '%s'", key);
    }
    size_t index = index_of(option);
    if (option->command_line_only) {
        return refuse((struct reason){text, text_bytes}, "'%s' is for the command line only", key);
    }
    struct draft *draft = reader->on_command_line[index] ? &reader->scratch : reader->draft;
    if (draft->is_set[index] && !option->is_list) {
        return refuse((struct reason){text, text_bytes}, "'%s' is given twice", key);
    }
    draft->from_file[index] = true;
    int result = set_option(draft, option, value, (struct reason){why, sizeof(why)});
    if (result != 0) {
        snprintf(text, text_bytes, "%s: %s", key, why);
    }
    return result;
}

static void fill_getopt(struct option long_options[OPTION_COUNT + 1]) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        long_options[i] = (struct option){
            .name = table[i].name,
            .has_arg = table[i].argument != NULL ? required_argument : no_argument,
            .val = GETOPT_FIRST + (int)i,
        };
    }
    long_options[OPTION_COUNT] = (struct option){0};
}

// Walks the command line and sets what it says. A first look only finds out which options there
// are, where the file is, and whether something other than serving is wanted.
static int walk_command_line(int argc, char *const argv[], struct draft *draft, bool first_look,
                             struct cv_options_result *result) {
    struct option long_options[OPTION_COUNT + 1];
    char why[256];
    fill_getopt(long_options);
    opterr = 0;
    optind = 0;  // Starts getopt again.
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        int found = getopt_long(argc, argv, "+:h", long_options, NULL);
        if (found == -1) {
            break;
        }
        if (found == 'h') {
            draft->action = CV_OPTIONS_HELP;
            continue;
        }
        if (found == ':') {
            snprintf(result->message, sizeof(result->message), "option %s needs a value", argv[at]);
            return EXIT_USAGE;
        }
        if (found < GETOPT_FIRST) {
            snprintf(result->message, sizeof(result->message), "unknown option %s", argv[at]);
            return EXIT_USAGE;
        }
        const struct cv_option *option = &table[found - GETOPT_FIRST];
        if (first_look && option->kind < KIND_CHECK && option->offset != SETTING(config)) {
            draft->is_set[index_of(option)] = true;
            continue;
        }
        if (set_option(draft, option, optarg, (struct reason){why, sizeof(why)}) != 0) {
            snprintf(result->message, sizeof(result->message), "option --%s: %s", option->name,
                     why);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        snprintf(result->message, sizeof(result->message), "unexpected argument '%s'",
                 argv[optind]);
        return EXIT_USAGE;
    }
    return 0;
}

// A value that is right by itself and wrong on this machine: blamed on whoever gave it.
static CV_PRINTF(4, 5) int blame(const struct draft *draft, struct cv_options_result *result,
                                 const char *name, const char *format, ...) {
    char why[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    bool from_file = draft->from_file[index_of(find(name))];
    snprintf(result->message, sizeof(result->message), "%s%s: %s", from_file ? "" : "option --",
             name, why);
    return from_file ? EXIT_CONFIG : EXIT_USAGE;
}

static void append(char *text, size_t text_bytes, const char *format, unsigned number) {
    size_t length = strlen(text);
    snprintf(text + length, text_bytes - length, format, number);
}

static bool has_cpu(const uint16_t *cpus, size_t count, uint16_t cpu) {
    for (size_t i = 0; i < count; i++) {
        if (cpus[i] == cpu) {
            return true;
        }
    }
    return false;
}

// Writes cores as ranges.
static const char *name_cores(const uint16_t *missing, size_t count, char *list,
                              size_t list_bytes) {
    list[0] = '\0';
    for (size_t i = 0; i < count;) {
        size_t last = i;
        while (last + 1 < count && missing[last + 1] == missing[last] + 1) {
            last++;
        }
        append(list, list_bytes, i == 0 ? "%u" : ",%u", missing[i]);
        if (last > i) {
            append(list, list_bytes, "-%u", missing[last]);
        }
        i = last + 1;
    }
    return list;
}

static int settle_cores(struct draft *draft, struct cv_options_result *result) {
    struct cv_settings *settings = &draft->settings;
    uint16_t allowed[CV_CPU_INDEX_MAX + 1];
    uint16_t missing[CV_CPU_LIST_MAX];
    size_t allowed_count;
    size_t missing_count = 0;
    int error = cv_cpu_allowed(allowed, CV_ARRAY_COUNT(allowed), &allowed_count);
    if (error != 0) {
        return blame(draft, result, "cores", "%s", strerror(-error));
    }
    settings->cpu_count = 0;
    if (draft->cpu_count == 0) {
        settings->cpu_count = (uint32_t)CV_MIN(allowed_count, CV_SETTINGS_CPUS_MAX);
        memcpy(settings->cpu, allowed, settings->cpu_count * sizeof(allowed[0]));
    }
    for (size_t i = 0; i < draft->cpu_count; i++) {
        if (has_cpu(allowed, allowed_count, draft->cpu[i])) {
            settings->cpu[settings->cpu_count++] = draft->cpu[i];
        } else {
            missing[missing_count++] = draft->cpu[i];
        }
    }
    char list[256];
    name_cores(missing, missing_count, list, sizeof(list));
    if (settings->cpu_count == 0) {
        return blame(draft, result, "cores",
                     "none of these is here, or allowed to this process: %s", list);
    }
    if (missing_count > 0) {
        snprintf(result->warning, sizeof(result->warning),
                 "cores=%s reason=\"not here, or not allowed to this process; left out\"", list);
    }
    settings->worker_count = draft->workers != 0 ? draft->workers : settings->cpu_count;
    return 0;
}

// A number in the environment; 0 when there is none.
static uint32_t environment_id(const char *variable) {
    const char *text = getenv(variable);
    uint64_t id;
    return text != NULL && cv_span_to_uint64(cv_span_of(text), UINT32_MAX - 1, &id) ? (uint32_t)id
                                                                                    : 0;
}

static void use_entry(struct cv_settings *settings, const struct passwd *entry) {
    settings->user = entry->pw_uid;
    settings->group = entry->pw_gid;
    snprintf(settings->user_name, sizeof(settings->user_name), "%s", entry->pw_name);
}

// A user by number, known to the system or not.
static void use_id(struct cv_settings *settings, uint32_t user, uint32_t group) {
    const struct passwd *entry = getpwuid(user);
    if (entry != NULL) {
        use_entry(settings, entry);
        return;
    }
    settings->user = user;
    settings->group = group;
    snprintf(settings->user_name, sizeof(settings->user_name), "%u", user);
}

static bool use_name(struct cv_settings *settings, const char *name) {
    const struct passwd *entry = getpwnam(name);
    uint64_t id;
    if (entry != NULL) {
        use_entry(settings, entry);
    } else if (cv_span_to_uint64(cv_span_of(name), UINT32_MAX - 1, &id)) {
        use_id(settings, (uint32_t)id, (uint32_t)id);
    } else {
        return false;
    }
    return true;
}

static int settle_user(struct draft *draft, struct cv_options_result *result) {
    struct cv_settings *settings = &draft->settings;
    char name[sizeof(settings->user_name)];
    bool is_root = geteuid() == 0;
    memcpy(name, settings->user_name, sizeof(name));
    if (name[0] != '\0') {
        if (!use_name(settings, name)) {
            return blame(draft, result, "user", "there is no user '%s'", name);
        }
        if (!is_root && settings->user != geteuid()) {
            return blame(draft, result, "user", "only root can become another user");
        }
    } else if (!is_root) {
        use_id(settings, geteuid(), getegid());
    } else if (environment_id("SUDO_UID") != 0) {
        uint32_t user = environment_id("SUDO_UID");
        uint32_t group = environment_id("SUDO_GID");
        use_id(settings, user, group != 0 ? group : user);
    } else if (!use_name(settings, "nobody")) {
        return blame(draft, result, "user", "there is no user 'nobody'; name another");
    }
    if (settings->user == 0 && !settings->allow_root) {
        return blame(draft, result, "user", "serving as root needs --allow-root");
    }
    return 0;
}

// A worker takes its memory in pieces of 2 MiB; with a handful of them nothing would be left of the
// levels at which it becomes careful.
static int settle_memory(struct draft *draft, struct cv_options_result *result) {
    uint64_t bytes = draft->settings.limits.memory_bytes_max;
    return bytes == 0 || bytes >= CV_LIMITS_MEMORY_BYTES_MIN
               ? 0
               : blame(draft, result, "memory-max", "a worker needs 16m or more; 0 is the default");
}

static int settle(struct draft *draft, struct cv_options_result *result) {
    int code = settle_cores(draft, result);
    code = code != 0 ? code : settle_memory(draft, result);
    return code != 0 ? code : settle_user(draft, result);
}

int cv_options_read(int argc, char *const argv[], struct cv_settings *settings,
                    struct cv_options_result *result) {
    struct draft draft;
    struct file_reader reader;
    *result = (struct cv_options_result){0};

    // What the command line gives must be known before the file is read.
    set_defaults(&reader.scratch);
    result->exit_code = walk_command_line(argc, argv, &reader.scratch, true, result);
    result->action = reader.scratch.action;
    if (result->exit_code != 0 || result->action != CV_OPTIONS_SERVE) {
        return result->exit_code;
    }
    set_defaults(&draft);
    if (reader.scratch.settings.config[0] != '\0') {
        bool on_command_line[OPTION_COUNT];
        memcpy(on_command_line, reader.scratch.is_set, sizeof(on_command_line));
        memset(reader.scratch.is_set, 0, sizeof(reader.scratch.is_set));
        reader.draft = &draft;
        reader.on_command_line = on_command_line;
        if (cv_config_read(reader.scratch.settings.config, set_from_file, &reader, result->message,
                           sizeof(result->message)) != 0) {
            return result->exit_code = EXIT_CONFIG;
        }
    }
    result->exit_code = walk_command_line(argc, argv, &draft, false, result);
    if (result->exit_code == 0) {
        result->exit_code = settle(&draft, result);
    }
    if (result->exit_code == 0) {
        *settings = draft.settings;
    }
    return result->exit_code;
}

void cv_options_print_usage(FILE *out) {
    fputs(
        "usage: covet [--cores LIST] [--workers N] [--listen ADDR:PORT|[v6]:PORT|unix:PATH]...\n"
        "             [--module FILE.so]... [--config FILE] [--user NAME]\n"
        "             [--admin unix:PATH|ADDR:PORT|off] [--profile off|0|1|2|3] [--drain SECONDS]\n"
        "             [--access-log FILE|-] [--log-level LEVEL] [--LIMIT VALUE]... [--check]\n"
        "             [--version] [--help]\n",
        out);
}

#define HELP_COLUMN 40

static void print_option(FILE *out, const struct cv_option *option) {
    char left[HELP_COLUMN * 2];
    snprintf(left, sizeof(left), "  --%s %s", option->name,
             option->argument != NULL ? option->argument : "");
    fprintf(out, "%-*s", HELP_COLUMN, left);
    for (const char *line = option->help; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        fprintf(out, "%.*s", (int)length, line);
        line += length;
        if (*line == '\n') {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            line++;
        }
    }
    if (option->initial != NULL) {
        fprintf(out, " (default %s)", option->initial);
    }
    fputc('\n', out);
}

void cv_options_print_help(FILE *out) {
    cv_options_print_usage(out);
    fputs("\nAn HTTP/1.1 server on io_uring, one pinned worker per core.\n\n", out);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        print_option(out, &table[i]);
    }
    fputs(
        "\nSECONDS may have decimals; BYTES may end in k, m or g.\n"
        "Signals: TERM, INT drain and stop (again: at once); HUP reads the configuration and the\n"
        "modules again and reopens the logs; USR2 hands the sockets to the new binary.\n"
        "Exit codes: 0 stopped; 64 bad options; 69 address in use; 71 no io_uring, or too few\n"
        "descriptors or processes or too little memory; 78 bad configuration or module.\n",
        out);
}
