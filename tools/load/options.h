// The command line. Every value is checked here; what is refused ends the program with usage on
// standard error and exit status 64.
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "load/requests.h"

struct load_options {
    unsigned threads;           // -t, 1
    unsigned connections;       // -c, 64
    double seconds;             // -d, 10; "10", "10s", "500ms", "1m"
    double warmup_seconds;      // --warmup, 0: answers before that are counted but not timed
    unsigned depth;             // -p, 1
    double rate;                // --rate, requests per second over all connections; 0: closed loop
    unsigned reconnect;         // --reconnect, requests per connection; 0: no limit
    unsigned idle;              // --idle, further connections that are opened and say nothing
    uint64_t request_count;     // -n, stop after so many requests; 0: by time alone
    double timeout_seconds;     // --timeout, 10: of one answer
    unsigned client_addresses;  // --client-addresses, 0: by need; else 127.0.0.2 and on
    const char *cores;          // --cores LIST, one lane each in turn; NULL: not pinned
    bool json;                  // --json
    bool progress;              // A line on a terminal, unless --quiet.

    // From the URL and -H, -X, -b/--body, --file, --upload.
    struct sockaddr_storage address;
    socklen_t address_bytes;
    const char *url;  // As given.
    struct load_requests requests;
};

// Parses; never returns on an error. `--help` and `--version` print and exit 0.
void load_options_read(struct load_options *options, int argc, char **argv);
void load_options_deinit(struct load_options *options);

#endif
