// A call lies in a slot of the receiver's box; the worker's message carries only the slot's
// address. The sender finds a free slot by trying from a place of its own, so senders rarely meet.
#include "app/post.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "app/app.h"
#include "base/assert.h"

#define CLOSED 0x80000000u

struct slot {
    _Atomic bool taken;
    covet_post_fn call;
    void *context;
    struct cv_post_box *box;
};

struct cv_post_box {
    _Atomic uint32_t state;       // CLOSED | calls on their way
    bool shut;                    // Its worker is gone. The worker's thread only.
    struct covet_worker *worker;  // borrowed until closed
    struct slot slot[CV_POST_CALLS_MAX];
};

struct cv_post_box *cv_post_create(struct covet_worker *worker) {
    struct cv_post_box *box = calloc(1, sizeof(*box));

    if (box == NULL)
        return NULL;
    box->worker = worker;
    for (uint32_t i = 0; i < CV_POST_CALLS_MAX; i++)
        box->slot[i].box = box;
    return box;
}

void cv_post_destroy(struct cv_post_box *box) {
    free(box);
}

bool cv_post_close(struct cv_post_box *box) {
    uint32_t none = 0;

    return atomic_compare_exchange_strong(&box->state, &none, CLOSED);
}

void cv_post_shut(struct cv_post_box *box) {
    atomic_fetch_or(&box->state, CLOSED);
    box->shut = true;
}

static void give_back(struct slot *slot) {
    struct cv_post_box *box = slot->box;

    atomic_store_explicit(&slot->taken, false, memory_order_release);
    atomic_fetch_sub(&box->state, 1);
}

// On the receiving worker's thread.
static void run(void *context) {
    struct slot *slot = context;
    struct cv_post_box *box = slot->box;

    if (!box->shut)
        slot->call(box->worker, slot->context);
    give_back(slot);
}

static struct slot *take_slot(struct cv_post_box *box, uint32_t sender_index) {
    for (uint32_t i = 0; i < CV_POST_CALLS_MAX; i++) {
        struct slot *slot = &box->slot[(sender_index * 61u + i) % CV_POST_CALLS_MAX];
        bool taken = false;

        if (!atomic_load_explicit(&slot->taken, memory_order_relaxed) &&
            atomic_compare_exchange_strong_explicit(&slot->taken, &taken, true,
                                                    memory_order_acquire, memory_order_relaxed))
            return slot;
    }
    return NULL;
}

// Announces one more call to the box, so that it cannot close. False when it has.
static bool announce(struct cv_post_box *box) {
    uint32_t state = atomic_load(&box->state);

    do {
        if ((state & CLOSED) != 0)
            return false;
    } while (!atomic_compare_exchange_weak(&box->state, &state, state + 1));
    return true;
}

int covet_post(struct covet_worker *worker, uint32_t worker_index, covet_post_fn call,
               void *context) {
    struct cv_env *env = worker->env;
    struct cv_post_box *box;
    struct slot *slot;
    int error;

    if (worker_index >= env->worker_count || worker_index >= COVET_WORKERS_MAX || call == NULL)
        return -EINVAL;
    box = atomic_load_explicit(&worker->app->box[worker_index], memory_order_acquire);
    if (box == NULL || !announce(box))
        return -ESHUTDOWN;
    slot = take_slot(box, env->worker_index);
    if (slot == NULL) {
        atomic_fetch_sub(&box->state, 1);
        return -EAGAIN;
    }
    slot->call = call;
    slot->context = context;
    error = env->post(env, worker_index, run, slot);
    if (error != 0)
        give_back(slot);
    return error;
}
