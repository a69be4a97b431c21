// covet-prof: one table of subcommands. Without one of their names, attach is meant, so that
// `sudo covet-prof` is enough.
#include <covet/app.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "profile/commands.h"

struct subcommand {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *help;
};

static const struct subcommand subcommands[] = {
    {"attach", cv_attach_main,
     "measure a running covet until Ctrl-C (what is meant without a name)"},
    {"run", cv_run_main, "start a covet and measure it from its first ring on"},
    {"stat", cv_stat_main, "show what is measured, per worker and per 1000 requests"},
    {"budget", cv_budget_main, "hold it to a file of limits; the exit code is the verdict"},
    {"diff", cv_diff_main, "compare two outputs of stat --json"},
    {"doctor", cv_doctor_main, "say what is wrong, the evidence and what to do"},
    {"check", cv_check_main, "say what this kernel and these rights allow, and why not"},
    {"clean", cv_clean_main, "remove the maps that a killed profiler has left"},
};

static void print_help(FILE *out) {
    fputs("usage: covet-prof [SUBCOMMAND] [OPTION]...\n\n"
          "What the kernel does for a running covet.\n\n",
          out);
    for (size_t i = 0; i < CV_ARRAY_COUNT(subcommands); i++) {
        fprintf(out, "  %-8s %s\n", subcommands[i].name, subcommands[i].help);
    }
    fputs("\ncovet-prof SUBCOMMAND --help lists its options; man covet-prof has it all.\n", out);
}

static char attach_name[] = "attach";

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("covet-prof " COVET_VERSION);
        return 0;
    }
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_help(stdout);
        return 0;
    }
    if (argc < 1) {
        return CV_EXIT_USAGE;
    }
    if (argc == 1 || argv[1][0] == '-') {
        argv[0] = attach_name;
        return cv_attach_main(argc, argv);
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(subcommands); i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0) {
            return subcommands[i].main(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "covet-prof: unknown subcommand %s\n", argv[1]);
    print_help(stderr);
    return CV_EXIT_USAGE;
}
