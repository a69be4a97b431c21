// The command line.
#ifndef TOP_OPTIONS_H
#define TOP_OPTIONS_H

#include <stdbool.h>
#include <sys/types.h>

#define TOP_SECONDS_MIN 0.1
#define TOP_SECONDS_MAX 3600.0

struct top_options {
    pid_t pid;            // -p; 0: the only covet there is
    double seconds;       // -i, 1: the interval
    bool once;            // --once: one interval, as text
    bool json;            // --json: an object a line
    unsigned view;        // --view: index in top_views (view.h)
    const char *pin_dir;  // --pin-dir, else $COVET_PIN_DIR; borrowed. NULL: the usual one
};

// Parses. What is refused ends the program with a sentence on standard error and status 64, --help
// and
// --version print and end it with 0.
void top_options_read(struct top_options *options, int argc, char **argv);

#endif
