// A feature counts as there when an operation that needs it gave the right result, whatever the
// kernel's version or feature bits say: distributions back-port, and sandboxes refuse.
#include "ring/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <liburing.h>

#include "ring/bufring.h"
#include "ring/compat.h"
#include "ring/ring.h"

#define PROBE_BUFFERS 8u

// Waits shortly for one completion; -ETIME when none comes.
static int take_completion(struct io_uring *uring, struct io_uring_cqe *taken) {
    struct io_uring_cqe *cqe = NULL;
    struct __kernel_timespec timeout = {.tv_nsec = 200 * 1000 * 1000};
    int status = io_uring_submit_and_wait_timeout(uring, &cqe, 1, &timeout, NULL);
    if (cqe == NULL) {
        return status < 0 ? status : -ETIME;
    }
    *taken = *cqe;
    io_uring_cqe_seen(uring, cqe);
    return 0;
}

static bool receives_multishot(struct io_uring *uring) {
    int pair[2];
    struct cv_bufring buffers;
    struct io_uring_cqe cqe;
    bool works = false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return false;
    }
    if (cv_bufring_init(&buffers, PROBE_BUFFERS) == 0) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(uring);
        if (cv_bufring_register(&buffers, uring) == 0 && sqe != NULL) {
            io_uring_prep_recv_multishot(sqe, pair[0], NULL, 0, 0);
            sqe->flags |= IOSQE_BUFFER_SELECT;
            sqe->buf_group = CV_BUFRING_GROUP;
            sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
            works = io_uring_submit(uring) == 1 && write(pair[1], "x", 1) == 1 &&
                    take_completion(uring, &cqe) == 0 && cqe.res == 1 &&
                    (cqe.flags & IORING_CQE_F_BUFFER) != 0 && (cqe.flags & IORING_CQE_F_MORE) != 0;
        }
        // The end of file ends the receive, so nothing is left that could write into the slab.
        (void)shutdown(pair[1], SHUT_RDWR);
        (void)take_completion(uring, &cqe);
        (void)io_uring_unregister_buf_ring(uring, CV_BUFRING_GROUP);
        cv_bufring_deinit(&buffers);
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
    return works;
}

// One that is moved from far away to now goes off.
static bool times_out(struct io_uring *uring) {
    struct __kernel_timespec far = {.tv_sec = 1000}, soon = {.tv_nsec = 1};
    struct io_uring_cqe cqe;
    struct io_uring_sqe *sqe = io_uring_get_sqe(uring);
    struct io_uring_sqe *moving = io_uring_get_sqe(uring);
    if (sqe == NULL || moving == NULL) {
        return false;
    }
    io_uring_prep_timeout(sqe, &far, 0, 0);
    sqe->user_data = 1;
    io_uring_prep_timeout_update(moving, &soon, 1, 0);
    moving->flags |= IOSQE_CQE_SKIP_SUCCESS;
    moving->user_data = 2;
    return take_completion(uring, &cqe) == 0 && cqe.user_data == 1 && cqe.res == -ETIME;
}

// The last one asked of `uring`.
static bool accepts_multishot(struct io_uring *uring) {
    // An autobound abstract socket: no file, no port.
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t bytes = sizeof(address);
    struct io_uring_cqe cqe;
    bool works = false;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct io_uring_sqe *sqe = io_uring_get_sqe(uring);
    if (sqe != NULL && listener >= 0 && client >= 0 &&
        bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0 &&
        listen(listener, 4) == 0 &&
        getsockname(listener, (struct sockaddr *)&address, &bytes) == 0) {
        io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
        if (io_uring_submit(uring) == 1 &&
            connect(client, (struct sockaddr *)&address, bytes) == 0 &&
            take_completion(uring, &cqe) == 0 && cqe.res >= 0) {
            works = (cqe.flags & IORING_CQE_F_MORE) != 0;
            (void)close(cqe.res);
        }
    }
    // The accept ends with the ring.
    (void)close(listener);
    (void)close(client);
    return works;
}

static bool sends_messages(struct io_uring *uring) {
    struct io_uring_cqe cqe;
    struct io_uring_sqe *sqe = io_uring_get_sqe(uring);
    struct io_uring other;
    bool works = false;
    if (sqe == NULL || io_uring_queue_init(4, &other, 0) != 0) {
        return false;
    }
    io_uring_prep_msg_ring(sqe, other.ring_fd, 0, 42, 0);
    works = take_completion(uring, &cqe) == 0 && cqe.res == 0 &&
            take_completion(&other, &cqe) == 0 && cqe.user_data == 42;
    io_uring_queue_exit(&other);
    return works;
}

// A datagram of a loopback socket to itself: copied on its way there, but reported as it should be.
static bool sends_without_copy(struct io_uring *uring) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof(address);
    struct io_uring_cqe sent, notice;
    struct io_uring_sqe *sqe = NULL;
    bool works = false;
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor >= 0 && bind(descriptor, (struct sockaddr *)&address, bytes) == 0 &&
        getsockname(descriptor, (struct sockaddr *)&address, &bytes) == 0 &&
        connect(descriptor, (struct sockaddr *)&address, bytes) == 0) {
        sqe = io_uring_get_sqe(uring);
    }
    if (sqe != NULL) {
        io_uring_prep_send_zc(sqe, descriptor, "x", 1, 0, IORING_SEND_ZC_REPORT_USAGE);
        works = take_completion(uring, &sent) == 0 && sent.res == 1 &&
                (sent.flags & IORING_CQE_F_MORE) != 0 && take_completion(uring, &notice) == 0 &&
                (notice.flags & IORING_CQE_F_NOTIF) != 0;
    }
    (void)close(descriptor);
    return works;
}

static bool restricts_operations(void) {
    struct cv_ring *ring;
    struct cv_ring_options options = {.connections_max = 1, .buffer_count = PROBE_BUFFERS};
    if (cv_ring_create(&ring, &options) != 0) {
        return false;
    }
    bool restricted = cv_ring_features(ring)->restricted;
    cv_ring_destroy(ring);
    return restricted;
}

size_t cv_probe_run(struct cv_probe_line *lines) {
    struct io_uring uring;
    struct io_uring_params deferred = {.flags =
                                           IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    struct io_uring_params plain = {0};
    bool has_deferred = io_uring_queue_init_params(64, &uring, &deferred) == 0;
    bool has_ring = has_deferred || io_uring_queue_init_params(64, &uring, &plain) == 0;
    uint32_t features = has_deferred ? deferred.features : plain.features;
    bool receives = has_ring && receives_multishot(&uring);
    bool messages = has_ring && sends_messages(&uring);
    bool sends = has_ring && sends_without_copy(&uring);
    bool times = has_ring && times_out(&uring);
    bool accepts = has_ring && accepts_multishot(&uring);
    size_t count = 0;
    lines[count++] =
        (struct cv_probe_line){"io_uring", has_ring, true, "every socket is served by it"};
    lines[count++] = (struct cv_probe_line){
        "deferred task work", has_deferred, false,
        "completions run when the worker asks for them, not in between (Linux 6.1)"};
    lines[count++] = (struct cv_probe_line){"time-outs", times, true,
                                            "one wakes a worker for its next timer (Linux 5.17)"};
    lines[count++] =
        (struct cv_probe_line){"no lost completions", (features & IORING_FEAT_NODROP) != 0, true,
                               "a full completion queue waits instead of dropping (Linux 5.5)"};
    lines[count++] =
        (struct cv_probe_line){"multishot receive", receives, true,
                               "one submission serves a connection's life (Linux 6.0)"};
    lines[count++] = (struct cv_probe_line){"multishot accept", accepts, true,
                                            "one submission accepts every connection (Linux 5.19)"};
    lines[count++] =
        (struct cv_probe_line){"ring messages", messages, false,
                               "workers wake each other without a system call (Linux 5.18)"};
    lines[count++] = (struct cv_probe_line){
        "fast ring messages", (features & IORING_FEAT_MIN_TIMEOUT) != 0, false,
        "below Linux 6.11 an eventfd wakes faster and is used instead"};
    lines[count++] = (struct cv_probe_line){
        "zero-copy send", sends && (features & IORING_FEAT_RECVSEND_BUNDLE) != 0, false,
        "large bodies go to other machines without being copied (Linux 6.10)"};
    lines[count++] = (struct cv_probe_line){
        "bundled receive", receives && cv_probe_has_bundles(features), false,
        "a long body comes in few pieces of work, not in one per buffer (Linux 6.16)"};
    lines[count++] = (struct cv_probe_line){
        "operation restrictions", has_ring && restricts_operations(), false,
        "a taken-over worker cannot open files through its ring (Linux 5.10)"};
    if (has_ring) {
        io_uring_queue_exit(&uring);
    }
    return count;
}

bool cv_probe_has_bundles(uint32_t ring_features) {
    struct utsname name;
    unsigned major, minor;
    return (ring_features & IORING_FEAT_RECVSEND_BUNDLE) != 0 && uname(&name) == 0 &&
           sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 16));
}

// The value of kernel.io_uring_disabled, or 0 where there is no such sysctl (before Linux 6.6).
static int io_uring_disabled(void) {
    char digit = '0';
    int file = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        if (read(file, &digit, 1) != 1) {
            digit = '0';
        }
        (void)close(file);
    }
    return digit - '0';
}

void cv_probe_explain(int error, char *text, size_t text_bytes) {
    struct utsname name = {.release = "unknown"};
    struct rlimit memlock = {0};
    (void)uname(&name);
    (void)getrlimit(RLIMIT_MEMLOCK, &memlock);
    int disabled = io_uring_disabled();
    const char *code = strerrorname_np(error < 0 ? -error : error);
    switch (error < 0 ? -error : error) {
    case EPERM:
    case EACCES:
        if (disabled != 0) {
            (void)snprintf(text, text_bytes,
                           "io_uring is switched off here: kernel.io_uring_disabled=%d; set it "
                           "to 0 with: sysctl kernel.io_uring_disabled=0",
                           disabled);
        } else {
            (void)snprintf(text, text_bytes,
                           "io_uring was refused (%s), most likely by a seccomp profile; in a "
                           "container allow io_uring_setup, io_uring_enter and "
                           "io_uring_register, e.g. --security-opt seccomp=PROFILE",
                           code);
        }
        break;
    case ENOSYS:
        (void)snprintf(text, text_bytes,
                       "no io_uring (ENOSYS): kernel %s was built without it, or a seccomp "
                       "profile hides it; covet needs Linux 6.1 or newer and io_uring_setup, "
                       "io_uring_enter, io_uring_register allowed",
                       name.release);
        break;
    case ENOMEM:
        (void)snprintf(text, text_bytes,
                       "no memory for a ring (ENOMEM): the locked-memory limit is %llu KiB; "
                       "raise it (ulimit -l, LimitMEMLOCK=), start as root, or use fewer "
                       "workers or a lower --connections-max",
                       (unsigned long long)(memlock.rlim_cur / 1024));
        break;
    case EMFILE:
    case ENFILE:
        (void)snprintf(text, text_bytes,
                       "no descriptor left for a ring (%s): raise ulimit -n or LimitNOFILE=", code);
        break;
    default:
        (void)snprintf(text, text_bytes,
                       "io_uring set-up failed (%s) on kernel %s; covet needs Linux 6.1 or newer",
                       code != NULL ? code : "unknown error", name.release);
        break;
    }
}
