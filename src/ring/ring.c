// The real ring. Set-up walks down a ladder of flags until the kernel agrees; every sub-feature
// beyond flags is found out by doing it, never by the kernel's version. The ring is made disabled:
// the restriction list can only be set then, and enabling it makes the calling thread its one
// submitter (IORING_SETUP_SINGLE_ISSUER). See docs/notes/0001-core.md for why this shape.
#include "ring/ring.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <liburing.h>

#include "base/assert.h"
#include "base/clock.h"
#include "ring/bufring.h"
#include "ring/compat.h"
#include "ring/probe.h"

#define SHORTAGE_PAUSE_NS 1000000
#define ALARM covet_user_data(COVET_OP_ALARM, 0, 0, 0)
#define ALARM_NONE UINT64_MAX
#define ALARM_SOMETIME (UINT64_MAX - 1)  // It stands, and must be set anew to be relied upon.

struct cv_ring {
    struct io_uring uring;
    struct cv_bufring buffers;
    struct cv_ring_features features;
    uint64_t enters;
    uint32_t bundle_bytes;   // Of the first completion in the queue, this much is taken already,
    uint32_t bundle_buffer;  // and this buffer is the next one of it.
    uint64_t alarm_ns;       // When the kernel's time-out ends a wait, or one of ALARM_...
    struct __kernel_timespec alarm_in;  // As it was set last; read when that is submitted.
    bool enabled;
    bool has_places;                                 // For registered memory.
    bool all_submitted;                              // The last submission left nothing queued.
    uint64_t has_memory[CV_RING_MEMORIES_MAX / 64];  // Bit set: the index is registered.
};

// Every opcode the operations in ring.h use, and with them all that a restricted ring allows.
static const uint8_t opcodes[] = {
    IORING_OP_ACCEPT,       IORING_OP_RECV,    IORING_OP_SEND,    IORING_OP_SENDMSG,
    IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE,   IORING_OP_READ,    IORING_OP_WRITE,
    IORING_OP_MSG_RING,     IORING_OP_SEND_ZC, IORING_OP_TIMEOUT, IORING_OP_TIMEOUT_REMOVE,
};

// Register calls that are still needed once the restrictions hold.
static const uint8_t register_opcodes[] = {
    IORING_REGISTER_ENABLE_RINGS,   IORING_REGISTER_PBUF_RING,  IORING_UNREGISTER_PBUF_RING,
    IORING_REGISTER_RING_FDS,       IORING_UNREGISTER_RING_FDS, IORING_REGISTER_IOWQ_MAX_WORKERS,
    IORING_REGISTER_BUFFERS_UPDATE,
};

static int restrict_operations(struct io_uring *uring) {
    struct io_uring_restriction
        list[CV_ARRAY_COUNT(opcodes) + CV_ARRAY_COUNT(register_opcodes) + 1];
    uint32_t count = 0;
    memset(list, 0, sizeof(list));
    for (size_t i = 0; i < CV_ARRAY_COUNT(opcodes); i++) {
        list[count].opcode = IORING_RESTRICTION_SQE_OP;
        list[count++].sqe_op = opcodes[i];
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(register_opcodes); i++) {
        list[count].opcode = IORING_RESTRICTION_REGISTER_OP;
        list[count++].register_op = register_opcodes[i];
    }
    list[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    list[count++].sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
    // liburing 2.3 declares io_uring_register_restrictions but does not export it.
    return io_uring_register((unsigned)uring->ring_fd, IORING_REGISTER_RESTRICTIONS, list, count);
}

static int set_up(struct cv_ring *ring, uint32_t completions) {
    static const unsigned ladder[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
            IORING_SETUP_COOP_TASKRUN,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN,
        IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN,
        0,
    };
    int status = -EINVAL;
    for (size_t i = 0; i < CV_ARRAY_COUNT(ladder) && status == -EINVAL; i++) {
        do {
            struct io_uring_params params = {
                .flags = ladder[i] | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP |
                         IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED,
                .cq_entries = completions,
            };
            status = io_uring_queue_init_params(CV_RING_SUBMISSIONS, &ring->uring, &params);
            if (status == 0) {
                ring->features.defer_taskrun = (ladder[i] & IORING_SETUP_DEFER_TASKRUN) != 0;
                ring->features.message_ring = (params.features & IORING_FEAT_MIN_TIMEOUT) != 0;
                // Lending came with 6.0 and its report with 6.2; 6.10 made it fast enough.
                ring->features.bundles = cv_probe_has_bundles(params.features);
                ring->features.zero_copy = (params.features & IORING_FEAT_RECVSEND_BUNDLE) != 0;
                ring->features.completions = params.cq_entries;
            }
            // Before Linux 6.10 the queue needs contiguous memory: a smaller one may still be had.
            completions /= 2;
        } while (status == -ENOMEM && completions >= CV_RING_COMPLETIONS_MIN);
    }
    return status;
}

// What the kernel charges for a ring's queues: both rings and the submission entries.
static uint64_t locked_bytes(uint32_t completions) {
    return completions * sizeof(struct io_uring_cqe) +
           CV_RING_SUBMISSIONS * (sizeof(struct io_uring_sqe) + sizeof(uint32_t)) + 4096;
}

static uint32_t completions_for(const struct cv_ring_options *options) {
    uint32_t wanted = CV_RING_COMPLETIONS_MIN;
    while (
        wanted < CV_RING_COMPLETIONS_MAX && wanted < 2 * options->connections_max &&
        (options->locked_bytes_max == 0 || locked_bytes(2 * wanted) <= options->locked_bytes_max)) {
        wanted *= 2;
    }
    return wanted;
}

int cv_ring_create(struct cv_ring **out, const struct cv_ring_options *options) {
    struct cv_ring *ring = calloc(1, sizeof(*ring));
    if (ring == NULL) {
        return -ENOMEM;
    }
    ring->alarm_ns = ALARM_NONE;
    uint32_t buffer_count = options->buffer_count != 0 ? options->buffer_count : CV_RING_BUFFERS;
    int status = cv_bufring_init(&ring->buffers, buffer_count);
    if (status < 0) {
        goto fail_free;
    }
    status = set_up(ring, completions_for(options));
    if (status < 0) {
        goto fail_buffers;
    }
    (void)io_uring_ring_dontfork(&ring->uring);
    // The places only; memory comes later. Without them lending pins its pages each time.
    ring->has_places = io_uring_register_buffers_sparse(&ring->uring, CV_RING_MEMORIES_MAX) == 0;
    // A kernel without restrictions still serves; the start-up line says so.
    ring->features.restricted = restrict_operations(&ring->uring) == 0;
    *out = ring;
    return 0;

fail_buffers:
    cv_bufring_deinit(&ring->buffers);
fail_free:
    free(ring);
    return status;
}

int cv_ring_enable(struct cv_ring *ring) {
    CV_ASSERT(!ring->enabled);
    int status =
        io_uring_register((unsigned)ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (status < 0) {
        return status;
    }
    ring->enabled = true;
    status = cv_bufring_register(&ring->buffers, &ring->uring);
    if (status < 0) {
        return status;
    }
    // Both only save time or bound threads; a kernel that refuses them serves as well.
    (void)io_uring_register_ring_fd(&ring->uring);
    unsigned int workers_max[2] = {2, 2};
    (void)io_uring_register_iowq_max_workers(&ring->uring, workers_max);
    return 0;
}

void cv_ring_destroy(struct cv_ring *ring) {
    if (ring == NULL) {
        return;
    }
    io_uring_queue_exit(&ring->uring);
    cv_bufring_deinit(&ring->buffers);
    free(ring);
}

const struct cv_ring_features *cv_ring_features(const struct cv_ring *ring) {
    return &ring->features;
}

int cv_ring_descriptor(const struct cv_ring *ring) {
    return ring->uring.ring_fd;
}

// Completions must be taken before more is submitted, or there is no memory for requests.
static bool is_short_of_room(int status) {
    return status == -EBUSY || status == -EAGAIN || status == -ENOMEM;
}

// Trying again at once would be a loop on a system without memory.
static void breathe(void) {
    const struct timespec pause = {.tv_nsec = SHORTAGE_PAUSE_NS};
    (void)nanosleep(&pause, NULL);
}

static void breathe_unless_ready(const struct cv_ring *ring) {
    if (io_uring_cq_ready(&ring->uring) == 0) {
        breathe();
    }
}

static struct io_uring_sqe *next_submission(struct cv_ring *ring) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    while (CV_UNLIKELY(sqe == NULL)) {
        ring->enters++;
        int status = io_uring_submit(&ring->uring);
        // The kernel may want completions taken first. They wait in its own list and submitting
        // goes on once task work has run, which a wait-less enter does.
        if (is_short_of_room(status)) {
            ring->enters++;
            (void)io_uring_get_events(&ring->uring);
            breathe_unless_ready(ring);
        }
        sqe = io_uring_get_sqe(&ring->uring);
    }
    return sqe;
}

void cv_ring_accept(struct cv_ring *ring, int descriptor, bool multishot, uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    io_uring_prep_accept(sqe, descriptor, NULL, NULL, SOCK_CLOEXEC);
    if (multishot) {
        sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
    }
    sqe->user_data = user_data;
}

void cv_ring_receive(struct cv_ring *ring, int descriptor, bool poll_first, uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    io_uring_prep_recv_multishot(sqe, descriptor, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = CV_BUFRING_GROUP;
    if (poll_first) {
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    }
    sqe->user_data = user_data;
}

void cv_ring_receive_bundle(struct cv_ring *ring, int descriptor, uint32_t bytes_max,
                            uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    CV_ASSERT(ring->features.bundles);
    io_uring_prep_recv(sqe, descriptor, NULL, bytes_max, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = CV_BUFRING_GROUP;
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST | IORING_RECVSEND_BUNDLE;
    sqe->user_data = user_data;
}

// MSG_WAITALL with MSG_DONTWAIT resolves a send while it is submitted: all of it went out, or it
// fails with what did (io_uring/net.c, REQ_F_NOWAIT), and failures are never silent.
static const int send_flags[] = {
    [CV_RING_SEND_SOME] = 0,
    [CV_RING_SEND_ALL] = MSG_WAITALL,
    [CV_RING_SEND_MORE] = MSG_WAITALL | MSG_MORE,
    [CV_RING_SEND_NOW] = MSG_DONTWAIT,
    [CV_RING_SEND_QUIET] = MSG_WAITALL | MSG_DONTWAIT,
};

static void finish_send(struct io_uring_sqe *sqe, enum cv_ring_send_mode mode, uint64_t user_data) {
    if (mode == CV_RING_SEND_QUIET) {
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    sqe->user_data = user_data;
}

void cv_ring_send(struct cv_ring *ring, int descriptor, const void *data, size_t bytes,
                  enum cv_ring_send_mode mode, uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    io_uring_prep_send(sqe, descriptor, data, bytes, send_flags[mode]);
    finish_send(sqe, mode, user_data);
}

void cv_ring_sendmsg(struct cv_ring *ring, int descriptor, const struct msghdr *message,
                     enum cv_ring_send_mode mode, uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    io_uring_prep_sendmsg(sqe, descriptor, message, (unsigned)send_flags[mode]);
    finish_send(sqe, mode, user_data);
}

void cv_ring_send_zero_copy(struct cv_ring *ring, int descriptor, const void *data, size_t bytes,
                            uint32_t memory, uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    io_uring_prep_send_zc(sqe, descriptor, data, bytes, 0, IORING_SEND_ZC_REPORT_USAGE);
    if (memory != CV_RING_NO_MEMORY) {
        sqe->ioprio |= IORING_RECVSEND_FIXED_BUF;
        sqe->buf_index = (uint16_t)memory;
    }
    sqe->user_data = user_data;
}

void cv_ring_read(struct cv_ring *ring, int descriptor, void *data, uint32_t bytes,
                  uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    io_uring_prep_read(sqe, descriptor, data, bytes, 0);
    sqe->user_data = user_data;
}

void cv_ring_write(struct cv_ring *ring, int descriptor, const void *data, uint32_t bytes,
                   uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    io_uring_prep_write(sqe, descriptor, data, bytes, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = user_data;
}

void cv_ring_cancel(struct cv_ring *ring, uint64_t target, uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    io_uring_prep_cancel64(sqe, target, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = user_data;
}

void cv_ring_close(struct cv_ring *ring, int descriptor, uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    io_uring_prep_close(sqe, descriptor);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = user_data;
}

void cv_ring_message(struct cv_ring *ring, int ring_descriptor, uint64_t message_user_data,
                     uint64_t user_data) {
    struct io_uring_sqe *sqe = next_submission(ring);
    io_uring_prep_msg_ring(sqe, ring_descriptor, 0, message_user_data, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = user_data;
}

// A time-out of the wait itself is armed and disarmed in each turn that sleeps (docs/notes/0003 has
// the price). This one stays in the kernel from turn to turn. Deadlines mostly move away, so it is
// left where it is, ends a wait too early now and then, and is set anew after that. A wait without
// end needs none.
static void set_alarm(struct cv_ring *ring, uint64_t deadline_ns) {
    if (CV_LIKELY(deadline_ns >= ring->alarm_ns)) {
        return;
    }
    bool is_set = ring->alarm_ns != ALARM_NONE;
    struct io_uring_sqe *sqe = next_submission(ring);
    // Read here, since as late as it is set now it goes off for all waits to come.
    uint64_t now_ns = cv_clock_monotonic_ns();
    uint64_t in_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    ring->alarm_in = (struct __kernel_timespec){
        .tv_sec = (long long)(in_ns / 1000000000u),
        .tv_nsec = (long long)(in_ns % 1000000000u),
    };
    ring->alarm_ns = deadline_ns;
    if (is_set) {
        io_uring_prep_timeout_update(sqe, &ring->alarm_in, ALARM, 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    } else {
        io_uring_prep_timeout(sqe, &ring->alarm_in, 0, 0);
    }
    sqe->user_data = ALARM;
}

// Gone off, or not to be had. An alarm that was to be moved while it went off is missed or busy;
// its own completion is then on its way.
static void on_alarm(struct cv_ring *ring, int32_t result) {
    if (result == -ENOENT || result == -EALREADY) {
        return;
    }
    ring->alarm_ns = ALARM_NONE;
    if (CV_UNLIKELY(result == -ENOMEM)) {
        breathe();
    }
}

int cv_ring_wait(struct cv_ring *ring, uint64_t now_ns, uint64_t deadline_ns) {
    cv_bufring_publish(&ring->buffers);
    bool waits = deadline_ns > now_ns;
    if (io_uring_cq_ready(&ring->uring) > 0) {
        waits = false;
        if (io_uring_sq_ready(&ring->uring) == 0) {
            ring->all_submitted = true;
            return 0;
        }
    }
    if (waits) {
        set_alarm(ring, deadline_ns);
    }
    ring->enters++;
    int status = waits ? io_uring_submit_and_wait(&ring->uring, 1)
                       : io_uring_submit_and_get_events(&ring->uring);
    ring->all_submitted = io_uring_sq_ready(&ring->uring) == 0;
    if (CV_UNLIKELY(!ring->all_submitted) && ring->alarm_ns != ALARM_NONE) {
        ring->alarm_ns = ALARM_SOMETIME;  // Its time may begin when the rest is submitted.
    }
    // A signal, or no room: all part of the day. What was not submitted stays queued for the next
    // call.
    if (CV_UNLIKELY(is_short_of_room(status))) {
        breathe_unless_ready(ring);
        return 0;
    }
    return status >= 0 || status == -EINTR ? 0 : status;
}

void cv_ring_submit(struct cv_ring *ring) {
    cv_bufring_publish(&ring->buffers);
    if (io_uring_sq_ready(&ring->uring) > 0) {
        ring->enters++;
        (void)io_uring_submit(&ring->uring);
    }
    ring->all_submitted = io_uring_sq_ready(&ring->uring) == 0;
}

bool cv_ring_is_settled(const struct cv_ring *ring) {
    return ring->all_submitted && io_uring_cq_ready(&ring->uring) == 0 &&
           !io_uring_cq_has_overflow(&ring->uring);
}

// A receive that filled several buffers is one completion. Here it becomes one for each of them;
// what has no room among `count_max` waits for the next call. Returns false in that case.
static bool take_apart(struct cv_ring *ring, const struct io_uring_cqe *cqe,
                       struct cv_completion *completions, uint32_t *count, uint32_t count_max) {
    uint32_t bytes = (uint32_t)cqe->res;
    uint32_t buffer =
        ring->bundle_bytes > 0 ? ring->bundle_buffer : cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    while (ring->bundle_bytes < bytes) {
        uint32_t length = CV_MIN(bytes - ring->bundle_bytes, CV_RING_BUFFER_BYTES);
        if (*count == count_max) {
            ring->bundle_buffer = buffer;
            return false;
        }
        ring->bundle_bytes += length;
        completions[(*count)++] = (struct cv_completion){
            .user_data = cqe->user_data,
            .result = (int32_t)length,
            .more = (cqe->flags & IORING_CQE_F_MORE) != 0 || ring->bundle_bytes < bytes,
            .buffer = buffer,
        };
        uint32_t next = cv_bufring_next(&ring->buffers, buffer);
        cv_bufring_lend(&ring->buffers, buffer);
        buffer = next;
    }
    ring->bundle_bytes = 0;
    return true;
}

uint32_t cv_ring_reap(struct cv_ring *ring, struct cv_completion *completions, uint32_t count_max) {
    struct io_uring_cqe *cqe;
    unsigned head;
    uint32_t count = 0;
    uint32_t taken = 0;
    bool starved = false;
    io_uring_for_each_cqe(&ring->uring, head, cqe) {
        if (count == count_max) {
            break;
        }
        if (CV_UNLIKELY(cqe->res > (int32_t)CV_RING_BUFFER_BYTES) &&
            (cqe->flags & IORING_CQE_F_BUFFER) != 0) {
            if (!take_apart(ring, cqe, completions, &count, count_max)) {
                break;
            }
            taken++;
            continue;
        }
        taken++;
        if (CV_UNLIKELY(cqe->user_data == ALARM)) {
            on_alarm(ring, cqe->res);
            continue;
        }
        struct cv_completion *completion = &completions[count++];
        completion->user_data = cqe->user_data;
        completion->result = cqe->res;
        completion->more = (cqe->flags & IORING_CQE_F_MORE) != 0;
        completion->is_free = (cqe->flags & IORING_CQE_F_NOTIF) != 0;
        if (CV_UNLIKELY(completion->is_free)) {
            completion->result = ((uint32_t)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED) != 0;
        }
        completion->buffer = CV_RING_NO_BUFFER;
        if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
            completion->buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
            cv_bufring_lend(&ring->buffers, completion->buffer);
        } else if (CV_UNLIKELY(cqe->res == -ENOBUFS)) {
            starved = true;
        }
    }
    if (CV_UNLIKELY(starved)) {
        cv_bufring_widen(&ring->buffers);
    }
    io_uring_cq_advance(&ring->uring, taken);
    return count;
}

uint64_t cv_ring_enters(const struct cv_ring *ring) {
    return ring->enters;
}

uint32_t cv_ring_overflows(const struct cv_ring *ring) {
    return *ring->uring.cq.koverflow;
}

uint8_t *cv_ring_buffer(const struct cv_ring *ring, uint32_t buffer) {
    return cv_bufring_data(&ring->buffers, buffer);
}

void cv_ring_retain(struct cv_ring *ring, uint32_t buffer) {
    cv_bufring_retain(&ring->buffers, buffer);
}

void cv_ring_give_back(struct cv_ring *ring, uint32_t buffer) {
    cv_bufring_give_back(&ring->buffers, buffer);
}

uint32_t cv_ring_buffers_lent(const struct cv_ring *ring) {
    return ring->buffers.lent;
}

uint32_t cv_ring_buffers_total(const struct cv_ring *ring) {
    return ring->buffers.count;
}

static int update_memory(struct cv_ring *ring, uint32_t index, void *memory, size_t bytes) {
    struct iovec vector = {memory, bytes};
    struct io_uring_rsrc_update2 update = {
        .offset = index,
        .data = (uint64_t)(uintptr_t)&vector,
        .nr = 1,
    };
    int status = io_uring_register((unsigned)ring->uring.ring_fd, IORING_REGISTER_BUFFERS_UPDATE,
                                   &update, sizeof(update));
    return status == 1 ? 0 : status < 0 ? status : -EINVAL;
}

int cv_ring_add_memory(struct cv_ring *ring, uint32_t index, void *memory, size_t bytes) {
    if (index >= CV_RING_MEMORIES_MAX || !ring->has_places) {
        return -ENOSPC;
    }
    CV_ASSERT(!cv_ring_has_memory(ring, index));
    int status = update_memory(ring, index, memory, bytes);
    if (status == 0) {
        ring->has_memory[index / 64] |= 1ull << (index % 64);
    }
    return status;
}

void cv_ring_remove_memory(struct cv_ring *ring, uint32_t index) {
    if (cv_ring_has_memory(ring, index)) {
        // Cannot fail: an empty place needs nothing.
        (void)update_memory(ring, index, NULL, 0);
        ring->has_memory[index / 64] &= ~(1ull << (index % 64));
    }
}

bool cv_ring_has_memory(const struct cv_ring *ring, uint32_t index) {
    return index < CV_RING_MEMORIES_MAX &&
           (ring->has_memory[index / 64] & 1ull << (index % 64)) != 0;
}

void cv_ring_shutdown(struct cv_ring *ring, int descriptor, int how) {
    (void)ring;
    (void)shutdown(descriptor, how);
}

void cv_ring_reset_on_close(struct cv_ring *ring, int descriptor) {
    (void)ring;
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

uint32_t cv_ring_unacknowledged(struct cv_ring *ring, int descriptor) {
    (void)ring;
    int bytes = 0;
    return ioctl(descriptor, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (uint32_t)bytes : 0;
}

int cv_ring_accept_now(struct cv_ring *ring, int descriptor) {
    (void)ring;
    // O_NONBLOCK would reach everyone who shares the listener, a successor's multishot accept
    // included, so the queue is looked at first; the time-out covers a neighbour that takes what
    // was seen.
    struct timeval brief = {.tv_usec = 1000};
    struct pollfd readable = {.fd = descriptor, .events = POLLIN};
    (void)setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
    if (poll(&readable, 1, 0) <= 0) {
        return -EAGAIN;
    }
    int accepted = accept4(descriptor, NULL, NULL, SOCK_CLOEXEC);
    return accepted >= 0 ? accepted : -errno;
}

void cv_ring_peer(struct cv_ring *ring, int descriptor, struct cv_peer *peer) {
    (void)ring;
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
        struct sockaddr_storage storage;
    } address = {.storage = {.ss_family = AF_UNSPEC}};
    socklen_t bytes = sizeof(address);
    *peer = (struct cv_peer){.family = CV_PEER_UNKNOWN};
    if (getpeername(descriptor, &address.any, &bytes) != 0) {
        return;
    }
    if (address.any.sa_family == AF_INET) {
        peer->family = CV_PEER_IPV4;
        peer->port = ntohs(address.ipv4.sin_port);
        memcpy(peer->address, &address.ipv4.sin_addr, sizeof(address.ipv4.sin_addr));
    } else if (address.any.sa_family == AF_INET6) {
        peer->family = CV_PEER_IPV6;
        peer->port = ntohs(address.ipv6.sin6_port);
        memcpy(peer->address, &address.ipv6.sin6_addr, sizeof(address.ipv6.sin6_addr));
    } else if (address.any.sa_family == AF_UNIX) {
        peer->family = CV_PEER_UNIX;
    }
}
