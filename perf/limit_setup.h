// What perf/limit.c needs before its first turn: memory, listeners, answers. Included once, by it.
//
// Any failure ends the program.
#ifndef CV_PERF_LIMIT_SETUP_H
#define CV_PERF_LIMIT_SETUP_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "limit_options.h"

#define BLOCK_BYTES_MIN 65536  // Of answers in a row,
#define BLOCK_ANSWERS_MAX 256  // but no more than so many.

static void require(int result, const char *what) {
    if (result >= 0)
        return;
    fprintf(stderr, "limit: %s: %s\n", what,
            strerror(result == -1 && errno != 0 ? errno : -result));
    exit(1);
}

// Zero, and no page of it there before it is written.
static void *map(size_t bytes, int sharing) {
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        require(-ENOMEM, "mmap");
    return memory;
}

// A table of direct descriptors is limited when it is made.
static void limit_descriptors(struct options *options, unsigned most) {
    struct rlimit limit;
    require(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    if (options->fd_count_max == 0)
        options->fd_count_max = limit.rlim_max < most ? (unsigned)limit.rlim_max : most;
    if (options->direct)
        return;
    limit = (struct rlimit){options->fd_count_max, options->fd_count_max};
    require(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

static void pin(unsigned core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    require(sched_setaffinity(0, sizeof(cores), &cores), "pin");
}

static void set(int listener, int level, int name, int value) {
    require(setsockopt(listener, level, name, &value, sizeof(value)), "setsockopt");
}

// What is set here, accepted sockets inherit.
static int open_listener(const struct options *options) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)options->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    require(listener, "socket");
    set(listener, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options->workers > 1)
        set(listener, SOL_SOCKET, SO_REUSEPORT, 1);
    set(listener, IPPROTO_TCP, TCP_NODELAY, 1);
    setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);  // Loopback: nothing to control.
    if (options->defer_accept)
        set(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
    if (options->send_buffer_bytes > 0)
        set(listener, SOL_SOCKET, SO_SNDBUF, (int)(options->send_buffer_bytes / 2));  // It doubles.
    require(bind(listener, (struct sockaddr *)&at, sizeof(at)), "bind");
    require(listen(listener, 4096), "listen");
    return listener;
}

struct block {
    char *answers;  // `count` of them in a row, so that those to pipelined requests take one send.
    size_t answer_bytes, count;
};

static struct block make_block(const struct options *options) {
    char head[512];
    int head_bytes = snprintf(head, sizeof(head),
                              "HTTP/1.1 200 OK\r\nContent-Length: %u\r\nContent-Type: %s\r\n"
                              "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n%s\r\n",
                              options->body_bytes, options->type,
                              options->closing == KEEP_OPEN ? "" : "Connection: close\r\n");
    size_t text_bytes = strlen(options->body);
    struct block block = {.answer_bytes = (size_t)head_bytes + options->body_bytes};

    if ((size_t)head_bytes >= sizeof(head) || (text_bytes == 0 && options->body_bytes > 0))
        refuse("--type or --body", "makes no answer");
    block.count = BLOCK_BYTES_MIN / block.answer_bytes + 1;
    if (block.count > BLOCK_ANSWERS_MAX)
        block.count = BLOCK_ANSWERS_MAX;
    block.answers = map(block.answer_bytes * block.count, MAP_PRIVATE);
    for (size_t i = 0; i < block.count; i++) {
        char *at = block.answers + i * block.answer_bytes;
        memcpy(at, head, (size_t)head_bytes);
        for (size_t k = 0; k < options->body_bytes; k++)
            at[(size_t)head_bytes + k] = options->body[k % text_bytes];
    }
    return block;
}

#endif
