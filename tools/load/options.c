// One table says what there is: getopt, --help and the checks read it. What the requests are made
// of is collected on the way and written out at the end, when everything is known.
#include "load/options.h"

#include <covet/app.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/cpu.h"
#include "base/span.h"
#include "load/slurp.h"
#include "load/target.h"

#define EXIT_USAGE 64
#define EXIT_NOT_RUN 1
#define DAY_SECONDS 86400.0

enum kind {
    KIND_COUNT,     // unsigned
    KIND_COUNT64,   // uint64_t
    KIND_BYTES,     // uint64_t
    KIND_DURATION,  // double, seconds
    KIND_RATE,      // double, per second
    KIND_TEXT,      // const char *
    KIND_FLAG,      // bool
    KIND_FIELD,
    KIND_CORES,
    KIND_HELP,
    KIND_VERSION,
};

// What the command line says, before it is made into options.
struct draft {
    struct load_options options;
    const char *method;
    const char *body;
    const char *file;
    uint64_t upload_bytes;
    bool quiet;
    const char *fields[LOAD_FIELD_COUNT_MAX];
    unsigned field_count;
};

struct row {
    char letter;       // 0: there is only the long name.
    const char *name;  // Long.
    const char *argument;
    enum kind kind;
    size_t offset;  // In struct draft.
    double min, max;
    const char *help;
};

#define DRAFT(member) offsetof(struct draft, member)
#define OPTION(member) offsetof(struct draft, options.member)

static const struct row rows[] = {
    {'t', "threads", "N", KIND_COUNT, OPTION(threads), 1, 256,
     "Threads, each with its own ring and connections (1)"},
    {'c', "connections", "N", KIND_COUNT, OPTION(connections), 1, 4e6, "Connections in all (64)"},
    {'d', "duration", "TIME", KIND_DURATION, OPTION(seconds), 0.001, DAY_SECONDS,
     "How long requests are sent (10s)"},
    {'n', "requests", "N", KIND_COUNT64, OPTION(request_count), 1, 1e15,
     "Stop after N requests; without -d no time ends it"},
    {'p', "depth", "N", KIND_COUNT, OPTION(depth), 1, LOAD_DEPTH_MAX,
     "Requests sent at once on a connection, pipelined (1)"},
    {0, "rate", "R", KIND_RATE, OPTION(rate), 1e-3, 1e9,
     "Send R requests a second in all, on time whatever the\n"
     "answers do; latency counts from the intended time.\n"
     "Without it each answer calls for the next request"},
    {'H', "header", "'NAME: VALUE'", KIND_FIELD, 0, 0, 0,
     "A header field; repeatable. Host replaces the URL's"},
    {'X', "method", "METHOD", KIND_TEXT, DRAFT(method), 0, 0, "GET, or POST where there is a body"},
    {'b', "body", "TEXT|@FILE", KIND_TEXT, DRAFT(body), 0, 0, "The body of every request"},
    {0, "file", "FILE", KIND_TEXT, DRAFT(file), 0, 0,
     "Several requests, sent in turn: lines of\n"
     "[METHOD] PATH [BODY|@FILE], indented lines are fields"},
    {0, "upload", "BYTES", KIND_BYTES, DRAFT(upload_bytes), 1, 1e15,
     "A body of so many bytes, streamed"},
    {0, "reconnect", "N", KIND_COUNT, OPTION(reconnect), 1, 4e9,
     "A new connection after every N requests"},
    {0, "idle", "N", KIND_COUNT, OPTION(idle), 1, 4e6,
     "Open N further connections that say nothing"},
    {0, "timeout", "TIME", KIND_DURATION, OPTION(timeout_seconds), 0.001, DAY_SECONDS,
     "For one answer (10s)"},
    {0, "warmup", "TIME", KIND_DURATION, OPTION(warmup_seconds), 0, DAY_SECONDS,
     "Answers before that are counted, but not timed (0)"},
    {0, "client-addresses", "N", KIND_COUNT, OPTION(client_addresses), 1, 250,
     "Connect from 127.0.0.2 and on, N addresses in turn, to\n"
     "have more ports (as many as needed)"},
    {0, "cores", "LIST", KIND_CORES, OPTION(cores), 0, 0,
     "Pin threads to these cores, such as 1 or 2-5, in turn"},
    {0, "json", NULL, KIND_FLAG, OPTION(json), 0, 0, "Print one JSON object"},
    {'q', "quiet", NULL, KIND_FLAG, DRAFT(quiet), 0, 0, "No line of progress on a terminal"},
    {'V', "version", NULL, KIND_VERSION, 0, 0, 0, "Print the version"},
    {'h', "help", NULL, KIND_HELP, 0, 0, 0, "Print this"},
};

#define ROW_COUNT CV_ARRAY_COUNT(rows)
#define GETOPT_FIRST 256  // Long options; above every letter.

static _Noreturn CV_PRINTF(2, 3) void fail(int status, const char *format, ...) {
    va_list arguments;
    fputs("covet-load: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs(status == EXIT_USAGE ? "\ncovet-load --help lists the options\n" : "\n", stderr);
    exit(status);
}

struct unit {
    const char *suffix;
    double factor;
};

static const struct unit durations[] = {{"", 1},   {"us", 1e-6}, {"ms", 1e-3}, {"s", 1},
                                        {"m", 60}, {"h", 3600},  {NULL, 0}};
static const struct unit thousands[] = {{"", 1},    {"k", 1e3}, {"K", 1e3},
                                        {"m", 1e6}, {"M", 1e6}, {NULL, 0}};
static const struct unit kibis[] = {{"", 1},        {"k", 1024},    {"K", 1024},    {"m", 1 << 20},
                                    {"M", 1 << 20}, {"g", 1 << 30}, {"G", 1 << 30}, {NULL, 0}};

// Digits with at most one point, then one of `units`. strtod alone takes much more.
static bool read_scaled(const char *text, const struct unit *units, double *value) {
    size_t digits = strspn(text, "0123456789.");
    const char *point = strchr(text, '.');
    if (!isdigit((unsigned char)text[0]) || digits > 24 ||
        (point != NULL && strchr(point + 1, '.') != NULL)) {
        return false;
    }
    for (; units->suffix != NULL; units++) {
        if (strcmp(units->suffix, text + digits) == 0) {
            *value = strtod(text, NULL) * units->factor;
            return true;
        }
    }
    return false;
}

// As the user knows the option: by its letter where it has one.
static const char *spelling(const struct row *row) {
    static char text[40];
    if (row->letter != 0) {
        snprintf(text, sizeof(text), "-%c", row->letter);
    } else {
        snprintf(text, sizeof(text), "--%s", row->name);
    }
    return text;
}

static double read_number(const struct row *row, const char *text) {
    static const struct {
        const struct unit *units;
        const char *what;
    } kinds[] = {
        [KIND_COUNT] = {thousands, "count"},       [KIND_COUNT64] = {thousands, "count"},
        [KIND_BYTES] = {kibis, "number of bytes"}, [KIND_DURATION] = {durations, "duration"},
        [KIND_RATE] = {thousands, "rate"},
    };
    double value;
    bool is_whole = row->kind <= KIND_BYTES;
    if (!read_scaled(text, kinds[row->kind].units, &value) ||
        (is_whole && value != (double)(uint64_t)value)) {
        fail(EXIT_USAGE, "%s: '%s' is no %s", spelling(row), text, kinds[row->kind].what);
    }
    if (value < row->min || value > row->max) {
        fail(EXIT_USAGE, "%s: '%s' is not from %.15g to %.15g", spelling(row), text, row->min,
             row->max);
    }
    return value;
}

static void print_option(const struct row *row) {
    char left[64];
    int length =
        snprintf(left, sizeof(left), "  %c%c%c --%s", row->letter != 0 ? '-' : ' ',
                 row->letter != 0 ? row->letter : ' ', row->letter != 0 ? ',' : ' ', row->name);
    if (row->argument != NULL) {
        snprintf(left + length, sizeof(left) - (size_t)length, " %s", row->argument);
    }
    printf("%-30s", left);
    for (const char *help = row->help; *help != '\0'; help++) {
        putchar(*help);
        if (*help == '\n') {
            printf("%30s", "");
        }
    }
    putchar('\n');
}

static _Noreturn void print_help(void) {
    puts("usage: covet-load [OPTION]... URL\n"
         "\n"
         "Loads an HTTP/1.1 server and says what it did. URL is http://HOST[:PORT][/PATH] or\n"
         "unix:/path/of/socket[:/PATH]. Only the method, the path and Host are sent, unless -H or\n"
         "a body say more.\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        print_option(&rows[i]);
    }
    puts("\nTIME is in seconds or ends in us, ms, s, m or h; N and R may end in k or M (of 1000),\n"
         "BYTES in k, M or G (of 1024). Exit status: 0 the run is done, errors are in the report;\n"
         "1 it could not begin, or nothing was answered; 3 the generator was the bottleneck;\n"
         "64 bad options.");
    exit(0);
}

static _Noreturn void print_version(void) {
    puts("covet-load " COVET_VERSION);
    exit(0);
}

static const char *check_cores(const struct row *row, const char *text) {
    uint16_t cpus[CV_CPU_LIST_MAX];
    size_t count;
    const char *reason;
    if (!cv_cpu_list_parse(cv_span_of(text), cpus, &count, &reason)) {
        fail(EXIT_USAGE, "%s: '%s': %s", spelling(row), text, reason);
    }
    return text;
}

static void add_field(struct draft *draft, const char *field) {
    if (draft->field_count == LOAD_FIELD_COUNT_MAX) {
        fail(EXIT_USAGE, "-H: more than %u fields", LOAD_FIELD_COUNT_MAX);
    }
    draft->fields[draft->field_count++] = field;
}

static void set(struct draft *draft, const struct row *row, const char *text) {
    void *place = (char *)draft + row->offset;
    switch (row->kind) {
    case KIND_COUNT:
        *(unsigned *)place = (unsigned)read_number(row, text);
        break;
    case KIND_COUNT64:
    case KIND_BYTES:
        *(uint64_t *)place = (uint64_t)read_number(row, text);
        break;
    case KIND_DURATION:
    case KIND_RATE:
        *(double *)place = read_number(row, text);
        break;
    case KIND_TEXT:
        *(const char **)place = text;
        break;
    case KIND_FLAG:
        *(bool *)place = true;
        break;
    case KIND_FIELD:
        add_field(draft, text);
        break;
    case KIND_CORES:
        *(const char **)place = check_cores(row, text);
        break;
    case KIND_HELP:
        print_help();
    case KIND_VERSION:
        print_version();
    }
}

static const struct row *find(int found) {
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (found == rows[i].letter || found == GETOPT_FIRST + (int)i) {
            return &rows[i];
        }
    }
    return NULL;
}

// The letters and names as getopt wants them.
static void fill_getopt(struct option names[ROW_COUNT + 1], char letters[2 * ROW_COUNT + 2]) {
    *letters++ = ':';  // A missing value is told apart from an unknown option.
    for (size_t i = 0; i < ROW_COUNT; i++) {
        bool has_value = rows[i].argument != NULL;
        names[i] = (struct option){.name = rows[i].name,
                                   .has_arg = has_value ? required_argument : no_argument,
                                   .val = GETOPT_FIRST + (int)i};
        if (rows[i].letter != 0) {
            *letters++ = rows[i].letter;
            if (has_value) {
                *letters++ = ':';
            }
        }
    }
    *letters = '\0';
    names[ROW_COUNT] = (struct option){0};
}

static const char *walk(struct draft *draft, int argc, char **argv) {
    struct option names[ROW_COUNT + 1];
    char letters[2 * ROW_COUNT + 2];
    fill_getopt(names, letters);
    opterr = 0;
    optind = 0;  // Starts getopt again, for tests.
    for (int found; (found = getopt_long(argc, argv, letters, names, NULL)) != -1;) {
        const struct row *row = find(found);
        if (row != NULL) {
            set(draft, row, optarg);
        } else if (found == ':') {
            fail(EXIT_USAGE, "%s needs a value", argv[optind - 1]);
        } else if (optopt > 0 && optopt < GETOPT_FIRST) {
            fail(EXIT_USAGE, "there is no option -%c", optopt);
        } else {
            fail(EXIT_USAGE, "there is no option %s, or it takes no value", argv[optind - 1]);
        }
    }
    if (optind == argc) {
        fail(EXIT_USAGE, "the URL is missing");
    }
    if (optind + 1 < argc) {
        fail(EXIT_USAGE, "one URL, please: '%s' is too much", argv[optind + 1]);
    }
    return argv[optind];
}

// What is right by itself and makes no sense together.
static void check_together(const struct draft *draft) {
    const struct load_options *options = &draft->options;
    if (options->connections < options->threads) {
        fail(EXIT_USAGE, "-c: %u connections are too few for %u threads", options->connections,
             options->threads);
    }
    if (options->warmup_seconds >= options->seconds) {
        fail(EXIT_USAGE, "--warmup: nothing is left of the %g seconds", options->seconds);
    }
    if (draft->file != NULL && (draft->body != NULL || draft->upload_bytes > 0)) {
        fail(EXIT_USAGE, "--file says the bodies; leave out -b and --upload");
    }
    if (draft->body != NULL && draft->upload_bytes > 0) {
        fail(EXIT_USAGE, "-b and --upload are two bodies");
    }
    if (draft->upload_bytes > 0 && options->depth > 1) {
        fail(EXIT_USAGE, "--upload: an upload cannot be pipelined, leave out -p");
    }
}

// Is the server where 127.0.0.2 can be connected from?
static bool is_loopback(const struct load_target *target) {
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&target->address;
    return ipv4->sin_family == AF_INET && ntohl(ipv4->sin_addr.s_addr) >> 24 == 127;
}

static char *read_body(const char *body, struct load_request_source *source) {
    char *data = NULL;
    source->body = body;
    if (body == NULL) {
        return NULL;
    }
    source->body_bytes = strlen(body);
    if (body[0] == '@') {
        int result = load_slurp(body + 1, LOAD_BLOCK_BYTES_MAX, &data, &source->body_bytes);
        if (result != 0) {
            fail(EXIT_USAGE, "-b: %s: %s", body + 1, strerror(-result));
        }
        source->body = data;
    }
    return data;
}

static void make_requests(struct draft *draft, const struct load_target *target) {
    struct load_request_source source = {
        .method = draft->method,
        .path = target->path,
        .host = target->host,
        .fields = draft->fields,
        .field_count = draft->field_count,
        .stream_bytes = draft->upload_bytes,
    };
    struct load_options *options = &draft->options;
    const char *why;
    int result;
    if (draft->file != NULL) {
        if (strcmp(target->path, "/") != 0) {
            fail(EXIT_USAGE, "--file says the paths; leave '%s' out of the URL", target->path);
        }
        result =
            load_requests_from_file(&options->requests, draft->file, &source, options->depth, &why);
    } else {
        char *data = read_body(draft->body, &source);
        result = load_requests_from_source(&options->requests, &source, options->depth, &why);
        free(data);
    }
    if (result != 0) {
        fail(EXIT_USAGE, "%s", why);
    }
}

static bool is_plain_word(const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-_./:=,@%+[]";
    return word[0] != '\0' && word[strspn(word, plain)] == '\0';
}

// Words with anything special in them in quotes.
static char *join_command(int argc, char **argv) {
    char *command = NULL;
    size_t bytes;
    FILE *out = open_memstream(&command, &bytes);
    for (int i = 0; out != NULL && i < argc; i++) {
        fputs(i == 0 ? "" : " ", out);
        if (is_plain_word(argv[i])) {
            fputs(argv[i], out);
            continue;
        }
        fputc('\'', out);
        for (const char *at = argv[i]; *at != '\0'; at++) {
            fputs(*at == '\'' ? "'\\'" : "", out);
            fputc(*at, out);
        }
        fputc('\'', out);
    }
    if (out == NULL || fclose(out) != 0) {
        fail(EXIT_NOT_RUN, "no memory");
    }
    return command;
}

void load_options_read(struct load_options *options, int argc, char **argv) {
    struct draft draft = {
        .options = {.threads = 1, .connections = 64, .depth = 1, .timeout_seconds = 10},
    };
    struct load_target target;
    const char *why;
    char *command = join_command(argc, argv);  // Before getopt sorts the words.
    const char *url = walk(&draft, argc, argv);
    if (draft.options.seconds == 0) {
        draft.options.seconds = draft.options.request_count > 0 ? DAY_SECONDS : 10;
    }
    check_together(&draft);
    if (load_target_parse(&target, url, &why) != 0) {
        fail(EXIT_USAGE, "%s", why);
    }
    make_requests(&draft, &target);
    if (load_target_resolve(&target, &why) != 0) {
        fail(EXIT_NOT_RUN, "%s", why);
    }
    if (draft.options.client_addresses > 0 && !is_loopback(&target)) {
        fail(EXIT_USAGE, "--client-addresses needs a server at 127.0.0.1");
    }
    *options = draft.options;
    options->address = target.address;
    options->address_bytes = target.address_bytes;
    options->url = url;
    options->command = command;
    options->progress = !draft.quiet && isatty(STDERR_FILENO);
    load_target_deinit(&target);
}

void load_options_deinit(struct load_options *options) {
    load_requests_deinit(&options->requests);
    free((void *)(uintptr_t)options->command);
    *options = (struct load_options){0};
}
