// What perf/limit.c needs before its first turn: options, listener, answers. Included once, by it.
//
// The command line is one table and every value a number; a flag stores 1. The first group of
// options says what load it stands against, the second holds the alternatives measured for
// docs/notes/0002 and docs/notes/0003. Any failure ends the program.
#ifndef CV_PERF_LIMIT_SETUP_H
#define CV_PERF_LIMIT_SETUP_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define BLOCK_RESPONSES 256

// What follows the one answer of a connection. All but BY_SHUTDOWN and BY_PEER are in the
// submission of the answer itself.
enum closing {
    KEEP_OPEN,
    BY_CANCEL_DATA,  // --close: cancel the receive by its user_data, close.
    BY_CANCEL_FD,    // Cancel everything on the descriptor, close.
    BY_CLOSE,        // Close; right only with --recv-single, which leaves nothing armed.
    BY_SHUTDOWN,     // shutdown(2) once the answer is submitted, close when the receive has ended.
    BY_PEER,         // Nothing: the answer says close, the client closes, the receive ends.
    CLOSING_COUNT,
};

struct options {
    unsigned port, core, seconds;
    unsigned body_bytes;     // Of the answer.
    unsigned request_bytes;  // Not 0: a request is that many bytes, and not one of them is read.
    unsigned closing;        // An enum closing.

    unsigned direct;  // Accept into the ring's own descriptor table.
    unsigned fd_count_max;
    unsigned peer;                     // Ask for every client's address.
    unsigned recv_single;              // One receive per request, into the connection's own buffer.
    unsigned poll_first;               // A new connection's first receive waits before it looks.
    unsigned send_cqe;                 // Every send reports.
    unsigned send_counted;             // Every send reports, and the wait counts on it.
    unsigned wait_count, wait_us_min;  // Sleep until so many completions, or so long and one.
};

static struct options read_options(int argc, char **argv) {
    static const struct {
        const char *name;
        size_t offset;
        int takes_value;
    } table[] = {
        {"--port", offsetof(struct options, port), 1},
        {"--core", offsetof(struct options, core), 1},
        {"--seconds", offsetof(struct options, seconds), 1},
        {"--size", offsetof(struct options, body_bytes), 1},
        {"--notouch", offsetof(struct options, request_bytes), 1},
        {"--close", offsetof(struct options, closing), 0},
        {"--close-by", offsetof(struct options, closing), 1},
        {"--direct", offsetof(struct options, direct), 0},
        {"--fds", offsetof(struct options, fd_count_max), 1},
        {"--peer", offsetof(struct options, peer), 0},
        {"--recv-single", offsetof(struct options, recv_single), 0},
        {"--poll-first", offsetof(struct options, poll_first), 0},
        {"--send-counted", offsetof(struct options, send_counted), 0},
        {"--send-cqe", offsetof(struct options, send_cqe), 0},
        {"--wait", offsetof(struct options, wait_count), 1},
        {"--min-wait-us", offsetof(struct options, wait_us_min), 1},
    };
    static const char *const closings[CLOSING_COUNT] = {"no",    "cancel-data", "cancel-fd",
                                                        "close", "shutdown",    "peer"};
    struct options options = {
        .port = 8090, .core = ~0u, .body_bytes = 13, .fd_count_max = 16384, .wait_count = 1};

    for (int i = 1; i < argc; i++) {
        size_t at = 0, count = sizeof(table) / sizeof(table[0]);
        if (strcmp(argv[i], "--touch") == 0)
            continue;  // The default, to be said aloud.
        while (at < count && strcmp(table[at].name, argv[i]) != 0)
            at++;
        if (at == count || i + table[at].takes_value >= argc) {
            fprintf(stderr, "limit: unknown option or missing value: %s\n", argv[i]);
            exit(64);
        }
        unsigned value = 1;
        if (table[at].takes_value) {
            value = (unsigned)strtoul(argv[++i], NULL, 10);
            if (table[at].offset == offsetof(struct options, closing))
                while (value < CLOSING_COUNT && strcmp(closings[value], argv[i]) != 0)
                    value++;
        }
        *(unsigned *)((char *)&options + table[at].offset) = value;
    }
    if (options.closing >= CLOSING_COUNT) {
        fprintf(stderr,
                "limit: --close-by takes cancel-data, cancel-fd, close, shutdown or peer\n");
        exit(64);
    }
    return options;
}

// Whether the responder, not the client, ends a connection.
static bool closes_first(const struct options *options) {
    return options->closing != KEEP_OPEN && options->closing != BY_PEER;
}

static void require(int result, const char *what) {
    if (result >= 0)
        return;
    fprintf(stderr, "limit: %s: %s\n", what,
            strerror(result == -1 && errno != 0 ? errno : -result));
    exit(1);
}

static void *map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        require(-ENOMEM, "mmap");
    return memory;
}

static int open_listener(const struct options *options) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)options->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;

    require(listener, "socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // Accepted ones inherit both.
    setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);  // Loopback: nothing to control.
    require(bind(listener, (struct sockaddr *)&at, sizeof(at)), "bind");
    require(listen(listener, 4096), "listen");
    return listener;
}

// BLOCK_RESPONSES answers in a row, so that many pipelined requests take one send.
static char *make_block(const struct options *options, size_t *response_bytes) {
    static const char text[] = "Hello, World!";
    char head[256];
    int head_bytes =
        snprintf(head, sizeof(head),
                 "HTTP/1.1 200 OK\r\nContent-Length: %u\r\nContent-Type: text/plain\r\n"
                 "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n%s\r\n",
                 options->body_bytes, options->closing == KEEP_OPEN ? "" : "Connection: close\r\n");

    *response_bytes = (size_t)head_bytes + options->body_bytes;
    char *block = map(*response_bytes * BLOCK_RESPONSES);
    for (size_t i = 0; i < BLOCK_RESPONSES; i++) {
        char *at = block + i * *response_bytes;
        memcpy(at, head, (size_t)head_bytes);
        for (size_t k = 0; k < options->body_bytes; k++)
            at[(size_t)head_bytes + k] = text[k % (sizeof(text) - 1)];
    }
    return block;
}

#endif
