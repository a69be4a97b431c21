// One table of options; each subcommand takes some of them.
#include "profile/arguments.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "bpf/shared.h"
#include "profile/commands.h"

#define LEVEL_DEFAULT 2u
#define LEVEL_MAX 3u
#define LONG_ONLY 256  // Above every character.

struct row {
    char letter;  // 0: there is only the long name.
    const char *name;
    const char *argument;  // NULL: it takes none.
    enum cv_argument kind;
    const char *help;  // NULL: not for users.
};

static const struct row rows[] = {
    {'p', "pid", "PID", CV_ARGUMENT_PID,
     "the covet with this process id, its supervisor's or its server's\n"
     "(default: the only one there is)"},
    {0, "level", "N", CV_ARGUMENT_LEVEL,
     "1: rings, scheduling, TCP; 2: system calls too, each of which takes\n"
     "a little longer then, in every process (default); 3: latencies too"},
    {0, "pin-dir", "DIR", CV_ARGUMENT_PIN_DIR,
     "pin the maps there, on a bpf file system (default: $COVET_PIN_DIR,\n"
     "else " COVET_PIN_DIR ")"},
    {0, "keep", NULL, CV_ARGUMENT_KEEP, "leave the maps pinned at the end, as a last snapshot"},
    {0, "readable", NULL, CV_ARGUMENT_READABLE, "let every user read the maps"},
    {'v', "verbose", NULL, CV_ARGUMENT_VERBOSE, "say each change of what is measured"},
    {0, "json", NULL, CV_ARGUMENT_JSON, "print JSON"},
    {0, "control", "FD", CV_ARGUMENT_CONTROL, NULL},
};

const char *cv_arguments_pin_dir(void) {
    const char *directory = getenv("COVET_PIN_DIR");
    return directory != NULL && directory[0] != '\0' ? directory : COVET_PIN_DIR;
}

static void print_usage(FILE *out, const char *name, unsigned accepted) {
    fprintf(out, "usage: covet-prof %s", name);
    for (size_t i = 0; i < CV_ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        if ((accepted & row->kind) == 0 || row->help == NULL) {
            continue;
        }
        char letter[3] = {'-', row->letter, '\0'};
        fprintf(out, " [%s%s%s%s]", row->letter != 0 ? letter : "--",
                row->letter != 0 ? "" : row->name, row->argument != NULL ? " " : "",
                row->argument != NULL ? row->argument : "");
    }
    fputs((accepted & CV_ARGUMENT_COMMAND) != 0 ? " -- PROGRAM [ARGUMENT]...\n" : "\n", out);
}

static void print_help(const char *name, unsigned accepted) {
    print_usage(stdout, name, accepted);
    for (size_t i = 0; i < CV_ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        char left[32];
        if ((accepted & row->kind) == 0 || row->help == NULL) {
            continue;
        }
        snprintf(left, sizeof(left), "%c%c%s--%s %s", row->letter != 0 ? '-' : ' ',
                 row->letter != 0 ? row->letter : ' ', row->letter != 0 ? ", " : "  ", row->name,
                 row->argument != NULL ? row->argument : "");
        printf("  %-19s ", left);
        for (const char *line = row->help; *line != '\0';) {
            size_t length = strcspn(line, "\n");
            printf("%.*s\n", (int)length, line);
            line += length;
            if (*line == '\n') {
                printf("  %-19s ", "");
                line++;
            }
        }
    }
}

static int refuse(const char *name, unsigned accepted, const char *what, const char *text) {
    fprintf(stderr, "covet-prof %s: %s%s\n", name, what, text);
    print_usage(stderr, name, accepted);
    return CV_EXIT_USAGE;
}

static bool take_number(const char *text, uint64_t min, uint64_t max, uint64_t *number) {
    return cv_span_to_uint64(cv_span_of(text), max, number) && *number >= min;
}

static bool take(struct cv_arguments *arguments, const struct row *row, const char *text) {
    uint64_t number = 0;
    bool is_right = true;
    switch (row->kind) {
    case CV_ARGUMENT_PID:
        is_right = take_number(text, 1, INT_MAX, &number);
        arguments->pid = (pid_t)number;
        break;
    case CV_ARGUMENT_LEVEL:
        is_right = take_number(text, 1, LEVEL_MAX, &number);
        arguments->attach.level = (uint32_t)number;
        break;
    case CV_ARGUMENT_CONTROL:
        is_right = take_number(text, 0, INT_MAX, &number);
        arguments->control_fd = (int)number;
        break;
    case CV_ARGUMENT_PIN_DIR:
        is_right = text[0] == '/';
        arguments->attach.pin_dir = text;
        break;
    case CV_ARGUMENT_KEEP:
        arguments->attach.keep = true;
        break;
    case CV_ARGUMENT_READABLE:
        arguments->attach.readable = true;
        break;
    case CV_ARGUMENT_VERBOSE:
        arguments->is_verbose = true;
        break;
    case CV_ARGUMENT_JSON:
        arguments->is_json = true;
        break;
    case CV_ARGUMENT_COMMAND:
        break;
    }
    return is_right;
}

// getopt's tables of the accepted options; `+` ends them at the first other word.
static void list_options(unsigned accepted, char *letters,
                         struct option options[CV_ARRAY_COUNT(rows) + 2]) {
    size_t count = 0;
    *letters++ = '+';
    *letters++ = ':';
    *letters++ = 'h';
    options[count++] = (struct option){.name = "help", .val = 'h'};
    for (size_t i = 0; i < CV_ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        if ((accepted & row->kind) == 0) {
            continue;
        }
        options[count++] = (struct option){
            .name = row->name,
            .has_arg = row->argument != NULL ? required_argument : no_argument,
            .val = LONG_ONLY + (int)i,
        };
        if (row->letter != 0) {
            *letters++ = row->letter;
            if (row->argument != NULL) {
                *letters++ = ':';
            }
        }
    }
    *letters = '\0';
    options[count] = (struct option){0};
}

static const struct row *row_of(int found) {
    for (size_t i = 0; i < CV_ARRAY_COUNT(rows); i++) {
        if (found == LONG_ONLY + (int)i || (rows[i].letter != 0 && found == rows[i].letter)) {
            return &rows[i];
        }
    }
    return NULL;
}

int cv_arguments_read(int argc, char **argv, unsigned accepted, struct cv_arguments *arguments) {
    char letters[2 * CV_ARRAY_COUNT(rows) + 4];
    struct option options[CV_ARRAY_COUNT(rows) + 2];
    int found;
    *arguments = (struct cv_arguments){
        .attach = {.level = LEVEL_DEFAULT, .pin_dir = cv_arguments_pin_dir()},
        .control_fd = -1,
    };
    list_options(accepted, letters, options);
    optind = 0;  // Starts anew, whoever called it before (getopt(3)).
    opterr = 0;
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        found = getopt_long(argc, argv, letters, options, NULL);
        if (found == -1) {
            break;
        }
        if (found == 'h') {
            print_help(argv[0], accepted);
            return 0;
        }
        const struct row *row = row_of(found);
        if (found == '?' || found == ':' || row == NULL) {
            const char *what = found == ':' ? "a value is missing: " : "unknown option ";
            return refuse(argv[0], accepted, what, argv[at]);
        }
        if (!take(arguments, row, optarg)) {
            char what[64];
            snprintf(what, sizeof(what), "--%s cannot be ", row->name);
            return refuse(argv[0], accepted, what, optarg);
        }
    }
    arguments->command = argv + optind;
    if ((accepted & CV_ARGUMENT_COMMAND) != 0 && optind == argc) {
        return refuse(argv[0], accepted, "a program to start is missing", "");
    }
    if ((accepted & CV_ARGUMENT_COMMAND) == 0 && optind < argc) {
        return refuse(argv[0], accepted, "unexpected argument ", argv[optind]);
    }
    return -1;
}
