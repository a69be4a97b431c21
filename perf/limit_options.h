// The command line of perf/limit.c: one table. Included once, by it.
//
// Values are unsigned numbers (a flag stores 1, a choice its index) but the text of the answers.
// The first groups say what load the responder stands against; the last holds the alternatives
// measured for docs/notes/0002 and docs/notes/0003. What is not understood ends the program with
// status 64.
#ifndef CV_PERF_LIMIT_OPTIONS_H
#define CV_PERF_LIMIT_OPTIONS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_LEARNED (~0u)  // Value of request_bytes: each connection's first request tells it.
#define WORKERS_MAX 256

// What follows the one answer of a connection. All but BY_SHUTDOWN and BY_PEER are in the
// submission of the answer itself.
enum closing {
    KEEP_OPEN,
    BY_CANCEL_DATA,  // Cancel the receive by its user_data, close.
    BY_CANCEL_FD,    // Cancel everything on the descriptor, close.
    BY_CLOSE,        // Close; right only with --recv-single, which leaves nothing armed.
    BY_SHUTDOWN,     // shutdown(2) once the answer is submitted, close when the receive has ended.
    BY_PEER,         // Nothing: the answer says close, the client closes, the receive ends.
    CLOSING_COUNT,
};

struct options {
    unsigned port, core, workers;
    unsigned time_ms;        // Run so long; 0: until a signal.
    unsigned request_bytes;  // Not 0: a request is that many bytes, and not one of them is read.
    unsigned body_bytes;     // Of an answer.
    const char *type, *body;
    unsigned closing;  // An enum closing.
    unsigned stall_ms, stall_every_ms, stall_count;

    unsigned buffer_bytes, buffer_count;  // For receiving; a power of two of them.
    unsigned send_buffer_bytes;           // SO_SNDBUF; 0: the system's.
    unsigned defer_accept;                // Accept with the first bytes, not before.
    unsigned direct;                      // Accept into the ring's own descriptor table.
    unsigned fd_count_max;
    unsigned peer;                     // Ask for every client's address.
    unsigned recv_single;              // One receive per request, into the connection's own buffer.
    unsigned poll_first;               // A new connection's first receive waits before it looks.
    unsigned send_cqe;                 // Every send reports.
    unsigned send_counted;             // Every send reports, and the wait counts on it.
    unsigned wait_count, wait_us_min;  // Sleep until so many completions, or so long and one.
};

enum option_kind { FLAG, COUNT, SECONDS, TEXT, REQUEST, CLOSING };

#define OPTION(kind, name, member, low, high, argument, help) \
    { kind, name, offsetof(struct options, member), low, high, argument, help }
static const struct option {
    enum option_kind kind;
    const char *name;
    size_t offset;
    unsigned low, high;
    const char *argument, *help;
} option_table[] = {
    OPTION(COUNT, "--port", port, 1, 65535, "N", "listen on 127.0.0.1:N (8090)"),
    OPTION(COUNT, "--core", core, 0, 1023, "N", "run on that core; the k-th worker on core N+k"),
    OPTION(COUNT, "--workers", workers, 1, WORKERS_MAX, "N",
           "so many processes, each with a listener of its own (1)"),
    OPTION(SECONDS, "--seconds", time_ms, 0, 86400, "S", "end after S seconds (0: on TERM or INT)"),

    OPTION(COUNT, "--size", body_bytes, 0, 1u << 26, "BYTES", "body of an answer (13)"),
    OPTION(TEXT, "--body", body, 0, 0, "TEXT", "the body itself; repeated or cut to --size"),
    OPTION(TEXT, "--type", type, 0, 0, "TYPE", "its Content-Type (text/plain)"),
    OPTION(REQUEST, "--notouch", request_bytes, 1, 1u << 30, "BYTES|auto",
           "a request is so many bytes, unread; auto: as many as a connection's first one"),
    OPTION(CLOSING, "--close-by", closing, 0, 0, "HOW",
           "answer with Connection: close and end so: cancel-data, cancel-fd, close, shutdown, "
           "peer"),
    OPTION(FLAG, "--close", closing, 0, 0, NULL, "--close-by cancel-data"),
    OPTION(COUNT, "--stall-ms", stall_ms, 1, 60000, "M", "do nothing for M milliseconds,"),
    OPTION(SECONDS, "--stall-every", stall_every_ms, 0, 86400, "S", "every S seconds (1),"),
    OPTION(COUNT, "--stall-count", stall_count, 0, 1u << 20, "N", "N times (0: until the end)"),

    OPTION(COUNT, "--buffer-bytes", buffer_bytes, 64, 1u << 20, "N", "of one receive (1024)"),
    OPTION(COUNT, "--buffers", buffer_count, 1, 32768, "N", "of them, a power of two (4096)"),
    OPTION(COUNT, "--send-buffer", send_buffer_bytes, 1, 1u << 30, "N", "SO_SNDBUF"),
    OPTION(FLAG, "--defer-accept", defer_accept, 0, 0, NULL, "TCP_DEFER_ACCEPT"),
    OPTION(FLAG, "--direct", direct, 0, 0, NULL, "direct descriptors"),
    OPTION(COUNT, "--fds", fd_count_max, 8, 1u << 20, "N", "descriptors at most (the hard limit)"),
    OPTION(FLAG, "--peer", peer, 0, 0, NULL, "ask for every client's address"),
    OPTION(FLAG, "--recv-single", recv_single, 0, 0, NULL, "a receive per request"),
    OPTION(FLAG, "--poll-first", poll_first, 0, 0, NULL, "a first receive waits, then looks"),
    OPTION(FLAG, "--send-cqe", send_cqe, 0, 0, NULL, "every send reports"),
    OPTION(FLAG, "--send-counted", send_counted, 0, 0, NULL, "and the wait counts on it"),
    OPTION(COUNT, "--wait", wait_count, 1, 4096, "N", "sleep until N completions,"),
    OPTION(COUNT, "--min-wait-us", wait_us_min, 0, 1000000, "U", "or U microseconds and one"),
};
#undef OPTION
#define OPTION_COUNT (sizeof(option_table) / sizeof(option_table[0]))

static void print_help(void) {
    printf("limit: answers every HTTP request with the same bytes, and does nothing else.\n\n");
    for (size_t i = 0; i < OPTION_COUNT; i++)
        printf("  %-14s %-10s  %s\n", option_table[i].name,
               option_table[i].argument != NULL ? option_table[i].argument : "",
               option_table[i].help);
    printf("  %-14s %-10s  %s\n", "--touch", "", "look for the end of every request (default)");
    printf("\nOn TERM, INT or the end of its time: one line of JSON, the counts.\n");
    exit(0);
}

static void refuse(const char *name, const char *why) {
    fprintf(stderr, "limit: %s: %s (see --help)\n", name, why);
    exit(64);
}

static unsigned read_number(const struct option *option, const char *text) {
    char *end;
    double scale = option->kind == SECONDS ? 1000 : 1;
    errno = 0;
    double value = option->kind == SECONDS ? strtod(text, &end) : (double)strtoul(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || !(value >= option->low) ||
        value > option->high)
        refuse(option->name, "not a number it takes");
    return (unsigned)(value * scale);
}

static unsigned read_value(const struct option *option, const char *text) {
    static const char *const closings[CLOSING_COUNT] = {"no",    "cancel-data", "cancel-fd",
                                                        "close", "shutdown",    "peer"};
    if (option->kind == FLAG)
        return 1;
    if (option->kind == REQUEST && strcmp(text, "auto") == 0)
        return REQUEST_LEARNED;
    if (option->kind != CLOSING)
        return read_number(option, text);
    for (unsigned i = 0; i < CLOSING_COUNT; i++)
        if (strcmp(closings[i], text) == 0)
            return i;
    refuse(option->name, "takes no, cancel-data, cancel-fd, close, shutdown or peer");
    return 0;
}

static struct options read_options(int argc, char **argv) {
    struct options options = {.port = 8090,
                              .core = ~0u,
                              .workers = 1,
                              .type = "text/plain",
                              .body = "Hello, World!",
                              .body_bytes = ~0u,
                              .stall_every_ms = 1000,
                              .buffer_bytes = 1024,
                              .buffer_count = 4096,
                              .wait_count = 1};

    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        size_t at = 0;
        if (strcmp(name, "--help") == 0)
            print_help();
        if (strcmp(name, "--touch") == 0) {
            options.request_bytes = 0;
            continue;
        }
        while (at < OPTION_COUNT && strcmp(option_table[at].name, name) != 0)
            at++;
        if (at == OPTION_COUNT)
            refuse(name, "unknown option");
        const struct option *option = &option_table[at];
        if (option->argument != NULL && ++i == argc)
            refuse(name, "needs a value");
        char *member = (char *)&options + option->offset;
        if (option->kind == TEXT)
            *(const char **)member = argv[i];
        else
            *(unsigned *)member = read_value(option, argv[i]);
    }
    if ((options.buffer_count & (options.buffer_count - 1)) != 0)
        refuse("--buffers", "takes a power of two");
    if (options.body_bytes == ~0u)
        options.body_bytes = (unsigned)strlen(options.body);
    return options;
}

// Whether the responder, not the client, ends a connection.
static bool closes_first(const struct options *options) {
    return options->closing != KEEP_OPEN && options->closing != BY_PEER;
}

#endif
