// Options: one table says what there is. The command line, the configuration file, --help and the
// documentation are read against it or printed from it.
//
// The order of strength: command line, then the file named by --config, then the defaults. A list
// option (--listen, --module) given on the command line replaces the file's list.
#ifndef CV_CLI_OPTIONS_H
#define CV_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"
#include "server/settings.h"

enum cv_options_action {
    CV_OPTIONS_SERVE,
    CV_OPTIONS_CHECK,
    CV_OPTIONS_HELP,
    CV_OPTIONS_VERSION,
};

struct cv_options_result {
    enum cv_options_action action;
    int exit_code;       // 0; 64: the command line is wrong; 78: the configuration file is
    char message[1024];  // What is wrong, one line without a newline; empty when nothing is.
    char warning[1024];  // Worth saying though nothing is wrong; may be empty.
};

// Reads defaults, file and command line into `settings`, complete and checked. Can be called again
// with the same arguments, to read the file again. Returns result->exit_code; `*settings` is
// written only when it is 0 and the action is to serve.
CV_MUST_USE int cv_options_read(int argc, char *const argv[], struct cv_settings *settings,
                                struct cv_options_result *result);

void cv_options_print_usage(FILE *out);
void cv_options_print_help(FILE *out);

struct cv_option {
    const char *name;      // Without the two dashes; also the key in a configuration file.
    const char *argument;  // As help shows it; NULL for a switch.
    uint8_t kind;          // How the text is read, see options.c.
    bool command_line_only;
    bool is_list;   // May be given again.
    size_t offset;  // Of its member in struct cv_settings, for the plain kinds.
    uint64_t min;   // For numbers, in the member's unit.
    uint64_t max;
    const char *initial;  // The default as one would type it; NULL: none, or see the help.
    const char *help;     // Lines separated by newlines.
};

// The table, for documentation and tests.
const struct cv_option *cv_options_table(size_t *count);

#endif
