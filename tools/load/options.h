// The command line. Every value is checked here; what is refused ends the program with a sentence
// on standard error and exit status 64.
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "load/requests.h"

struct load_options {
    unsigned threads;           // -t, 1
    unsigned connections;       // -c, 64; at least one for each thread
    double seconds;             // -d, 10; a day when there is -n and no -d
    double warmup_seconds;      // --warmup, 0: answers before that are counted but not timed
    unsigned depth;             // -p, 1
    double rate;                // --rate, requests per second over all connections; 0: closed loop
    unsigned reconnect;         // --reconnect, requests per connection; 0: no limit
    unsigned idle;              // --idle, further connections that are opened and say nothing
    uint64_t request_count;     // -n, stop after so many requests; 0: by time alone
    double timeout_seconds;     // --timeout, 10: of one answer
    unsigned client_addresses;  // --client-addresses, 0: by need; else 127.0.0.2 and on
    const char *cores;          // --cores LIST, one lane each in turn; a list that
                                // cv_cpu_list_parse takes, or NULL: not pinned
    bool json;                  // --json
    bool progress;              // Standard error is a terminal, and there is no --quiet.

    // From the URL and -H, -X, -b, --file, --upload.
    struct sockaddr_storage address;
    socklen_t address_bytes;
    const char *url;  // As given; borrowed from argv.
    struct load_requests requests;

    const char *command;  // Owned; the command line as a shell would take it.
};

// Parses; never returns on an error. Exits 64 when a value is refused, 1 when the host has no
// address; `--help` and `--version` print and exit 0. Texts are borrowed from `argv`.
void load_options_read(struct load_options *options, int argc, char **argv);
void load_options_deinit(struct load_options *options);

#endif
