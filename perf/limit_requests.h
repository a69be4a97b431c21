// Where a request ends, for perf/limit.c, which asks for nothing else. Included once, by it.
//
// Two ways. Touched: every head is searched for its blank line, and that of a POST, PUT or PATCH
// for its length. Not touched: bytes are counted, since the client of a benchmark sends the same
// request again and again; how long it is is given, or learned from a connection's first one.
#ifndef CV_PERF_LIMIT_REQUESTS_H
#define CV_PERF_LIMIT_REQUESTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES_MAX 2048  // Of one that arrives in pieces.

struct reader {
    uint32_t request_bytes;  // Of every request; 0: not known.
    uint32_t held_bytes;     // Of a head whose end is not there yet.
    size_t part_bytes;       // Of a request: those still to come, or with request_bytes those seen.
};

// Head and body of the request that begins there; 0: its head does not end there.
static size_t request_length(const char *head, size_t length) {
    const char *blank = memmem(head, length, "\r\n\r\n", 4);
    if (blank == NULL)
        return 0;
    size_t bytes = (size_t)(blank - head) + 4;
    const char *field = *head == 'P' ? memmem(head, bytes, "ength: ", 7) : NULL;  // Either case.
    return bytes + (field != NULL ? strtoul(field + 7, NULL, 10) : 0);
}

// The same of the request that began with the bytes in `held`. Adds to them while the head lacks
// its end.
static size_t next_length(struct reader *reader, char *held, const char *data, size_t length) {
    size_t room = HEAD_BYTES_MAX - reader->held_bytes;
    size_t taken = length < room ? length : room;
    size_t whole;

    if (reader->held_bytes == 0 && (whole = request_length(data, length)) > 0)
        return whole;
    memcpy(held + reader->held_bytes, data, taken);
    whole = request_length(held, reader->held_bytes + taken);
    if (whole == 0) {
        reader->held_bytes += (uint32_t)taken;
        if (reader->held_bytes == HEAD_BYTES_MAX) {
            fprintf(stderr, "limit: a head of more than %d bytes came in pieces\n", HEAD_BYTES_MAX);
            exit(1);
        }
    }
    return whole;
}

// Requests whose last byte is among `length` more bytes of a connection. `held` has room for
// HEAD_BYTES_MAX bytes, the connection's own.
static size_t count_requests(struct reader *reader, char *held, bool learns, const char *data,
                             size_t length) {
    size_t count = 0;

    if (learns && reader->request_bytes == 0 && length > 0) {
        reader->request_bytes = (uint32_t)next_length(reader, held, data, length);
        reader->part_bytes = reader->held_bytes;
        if (reader->request_bytes == 0)
            return 0;
    }
    if (reader->request_bytes > 0) {
        reader->part_bytes += length;
        count = reader->part_bytes / reader->request_bytes;
        reader->part_bytes -= count * reader->request_bytes;
        return count;
    }
    while (length > 0) {
        if (reader->part_bytes == 0) {
            size_t whole = next_length(reader, held, data, length);
            if (whole == 0)
                break;
            reader->part_bytes = whole - reader->held_bytes;
            reader->held_bytes = 0;
        }
        size_t taken = length < reader->part_bytes ? length : reader->part_bytes;
        data += taken;
        length -= taken;
        reader->part_bytes -= taken;
        count += reader->part_bytes == 0;
    }
    return count;
}

#endif
