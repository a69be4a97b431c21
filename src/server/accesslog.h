// The reading side of the access log: takes the lines of all workers' queues and writes them to one
// descriptor, on the main thread. It never holds a worker up: what cannot be written is dropped,
// line by line, and counted as dropped of the worker that wrote it.
#ifndef CV_SERVER_ACCESSLOG_H
#define CV_SERVER_ACCESSLOG_H

#include <stdbool.h>
#include <stdint.h>

#include <covet/abi.h>

#include "base/compiler.h"
#include "server/logqueue.h"

struct cv_accesslog {
    int fd;  // owned; -1: no access log
    bool is_regular;
    uint32_t queue_count;
    struct cv_logqueue *queue[COVET_WORKERS_MAX];  // owned
    uint32_t unfinished;  // The queue (+ 1) of whose line the file has a part; 0: of none.
    bool is_torn;         // The rest of the line that the file ends with was dropped.
    bool skips[COVET_WORKERS_MAX];  // The queue begins with the rest of a dropped line.
    uint32_t idle_rounds;
    uint64_t lost_lines;  // Since the last report.
    int lost_error;
    uint64_t report_at_ns;
};

#define CV_ACCESSLOG_INTERVAL_MS 20u  // Between looks while lines keep coming.

// Makes one queue per worker; takes `fd` (-1: none). Returns 0 or -ENOMEM.
CV_MUST_USE int cv_accesslog_init(struct cv_accesslog *log, int fd_taken, uint32_t worker_count);
void cv_accesslog_deinit(struct cv_accesslog *log);

// Writes what is queued to the old descriptor, then closes it and takes the new one.
void cv_accesslog_set_fd(struct cv_accesslog *log, int fd_taken);

// One look at all queues. Returns true when it must be called again in CV_ACCESSLOG_INTERVAL_MS,
// false when all writers will wake the main thread for their next line.
bool cv_accesslog_run(struct cv_accesslog *log, uint64_t now_ns);

#endif
