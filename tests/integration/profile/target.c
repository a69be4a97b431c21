// A server that does exactly what it is told, for the profiler's counts: it names its thread as a
// worker, has counter pages as covet has, and reads commands, one a line, from standard input. It
// says its port when it is ready, and "ok" after each command.
//
//   calls N              getppid(2)
//   nops N M             N NOPs in one io_uring_enter, every M-th of them IOSQE_ASYNC (0: none)
//   invalid              one operation that there is not
//   poll N               a multishot poll of a pipe that becomes readable N times
//   sqpoll N             N NOPs to a ring that a kernel thread polls
//   serve N              N more requests in the counter pages, then an empty io_uring_enter
//   worker NAME N        N getppid in a thread that is named after its first call
//   accept N             takes N connections and closes them
//   sleep MS             off the core
#include <arpa/inet.h>
#include <covet/abi.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DIE_IF(condition) \
    do { \
        if (condition) { \
            perror(#condition); \
            exit(1); \
        } \
    } while (0)

static struct io_uring ring;
static struct covet_stats_worker *worker;
static int listener, port;

static void listen_somewhere(int backlog) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    DIE_IF(bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0);
    DIE_IF(listen(listener, backlog) < 0);
    DIE_IF(getsockname(listener, (struct sockaddr *)&address, &length) < 0);
    port = ntohs(address.sin_port);
}

static void make_pages(void) {
    char path[200];
    struct timespec now;
    size_t bytes = sizeof(struct covet_stats_header) + sizeof(struct covet_stats_worker);
    snprintf(path, sizeof(path), "%s/covet", getenv("XDG_RUNTIME_DIR"));
    (void)mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/covet/%d", getenv("XDG_RUNTIME_DIR"), getpid());
    DIE_IF(mkdir(path, 0755) < 0);
    strcat(path, "/stats");
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    DIE_IF(fd < 0 || ftruncate(fd, (off_t)bytes) < 0);
    struct covet_stats_header *header =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    DIE_IF(header == MAP_FAILED);
    clock_gettime(CLOCK_MONOTONIC, &now);
    *header = (struct covet_stats_header){
        .magic = COVET_STATS_MAGIC,
        .abi_version = COVET_ABI_VERSION,
        .worker_count = 1,
        .header_bytes = sizeof(*header),
        .worker_bytes = sizeof(*worker),
        .total_bytes = bytes,
        .start_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
        .supervisor_pid = (uint32_t)getpid(),
        .server_pid = (uint32_t)getpid(),
        .server_starts = 1,
        .port_count = 1,
        .port = {(uint16_t)port},
    };
    worker = (struct covet_stats_worker *)(header + 1);
    worker->thread_id = (uint32_t)gettid();
    worker->counter[COVET_COUNTER_REQUESTS] = 1000000;  // Those before the profiler came.
}

static void take(struct io_uring *from, int count) {
    struct io_uring_cqe *cqe;
    for (int i = 0; i < count; i++) {
        DIE_IF(io_uring_wait_cqe(from, &cqe) < 0);
        io_uring_cqe_seen(from, cqe);
    }
}

static void submit_nops(struct io_uring *to, int count, int every) {
    for (int i = 0; i < count; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(to);
        io_uring_prep_nop(sqe);
        sqe->user_data = (uint64_t)i;
        if (every > 0 && i % every == 0) {
            sqe->flags |= IOSQE_ASYNC;
        }
    }
    DIE_IF(io_uring_submit(to) != count);
}

static void submit_invalid(void) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_nop(sqe);
    sqe->opcode = 200;
    (void)io_uring_submit(&ring);
    take(&ring, 1);
}

static void poll_often(int count) {
    int ends[2];
    DIE_IF(pipe(ends) < 0);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_poll_multishot(sqe, ends[0], POLLIN);
    sqe->user_data = 0xabcdef;
    DIE_IF(io_uring_submit(&ring) != 1);
    for (int i = 0; i < count; i++) {
        char byte = 0;
        DIE_IF(write(ends[1], &byte, 1) != 1);
        take(&ring, 1);
        DIE_IF(read(ends[0], &byte, 1) != 1);
    }
}

static void submit_polled(int count) {
    struct io_uring other;
    struct io_uring_params params = {.flags = IORING_SETUP_SQPOLL};
    DIE_IF(io_uring_queue_init_params(64, &other, &params) < 0);
    submit_nops(&other, count, 0);
    take(&other, count);
    io_uring_queue_exit(&other);
}

static void serve(uint64_t count) {
    worker->counter[COVET_COUNTER_REQUESTS] += count;
    (void)syscall(SYS_io_uring_enter, ring.ring_fd, 0, 0, 0, NULL, 0);
}

static void call(int count) {
    for (int i = 0; i < count; i++) {
        (void)syscall(SYS_getppid);
    }
}

struct job {
    char name[16];
    int count;
};

static void *run_worker(void *context) {
    const struct job *job = context;
    (void)syscall(SYS_gettid);
    prctl(PR_SET_NAME, job->name);
    call(job->count);
    return NULL;
}

static void start_worker(const char *name, int count) {
    struct job job = {.count = count};
    pthread_t thread;
    snprintf(job.name, sizeof(job.name), "%s", name);
    DIE_IF(pthread_create(&thread, NULL, run_worker, &job) != 0);
    pthread_join(thread, NULL);
}

static void obey(const char *line) {
    char name[16];
    int count, more;
    if (sscanf(line, "calls %d", &count) == 1) {
        call(count);
    } else if (sscanf(line, "nops %d %d", &count, &more) == 2) {
        submit_nops(&ring, count, more);
        take(&ring, count);
    } else if (strncmp(line, "invalid", 7) == 0) {
        submit_invalid();
    } else if (sscanf(line, "poll %d", &count) == 1) {
        poll_often(count);
    } else if (sscanf(line, "sqpoll %d", &count) == 1) {
        submit_polled(count);
    } else if (sscanf(line, "serve %d", &count) == 1) {
        serve((uint64_t)count);
    } else if (sscanf(line, "worker %15s %d", name, &count) == 2) {
        start_worker(name, count);
    } else if (sscanf(line, "accept %d", &count) == 1) {
        while (count-- > 0) {
            close(accept(listener, NULL, NULL));
        }
    } else if (sscanf(line, "sleep %d", &count) == 1) {
        usleep((useconds_t)count * 1000);
    } else {
        fprintf(stderr, "no such command: %s", line);
        exit(64);
    }
}

int main(int argc, char **argv) {
    char line[100];
    prctl(PR_SET_NAME, "covet-w0");
    listen_somewhere(argc > 1 ? atoi(argv[1]) : 16);
    make_pages();
    DIE_IF(io_uring_queue_init(256, &ring, 0) < 0);
    printf("%d\n", port);
    while (fflush(stdout) == 0 && fgets(line, sizeof(line), stdin) != NULL) {
        obey(line);
        puts("ok");
    }
    return 0;
}
