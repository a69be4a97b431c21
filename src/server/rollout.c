// Accounts. A worker that refuses a generation (its init hook failed) keeps the one before; it will
// never use the refused one, so that counts as released by it at once.
#include "server/rollout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/app.h"
#include "base/assert.h"
#include "base/log.h"
#include "server/worker.h"

#define POST_ATTEMPTS_MAX 1000u  // A millisecond apart.

struct cv_rollout_limits {
    struct cv_limits limits;
    uint32_t taken_count;
    struct cv_rollout_limits *next;
};

static int push_limits(struct cv_rollout *rollout, const struct cv_limits *limits) {
    struct cv_rollout_limits *block = calloc(1, sizeof(*block));
    if (block == NULL) {
        return -ENOMEM;
    }
    block->limits = *limits;
    block->next = rollout->limits;
    rollout->limits = block;
    return 0;
}

static void push_generation(struct cv_rollout *rollout, struct cv_generation *generation) {
    generation->number = ++rollout->last_number;
    generation->next = rollout->newest;
    rollout->newest = generation;
    rollout->generation_count++;
}

int cv_rollout_init(struct cv_rollout *rollout, struct cv_generation *first_taken,
                    const struct cv_limits *limits) {
    *rollout = (struct cv_rollout){0};
    push_generation(rollout, first_taken);
    return push_limits(rollout, limits);
}

static void free_limits(struct cv_rollout_limits *block) {
    while (block != NULL) {
        struct cv_rollout_limits *next = block->next;
        free(block);
        block = next;
    }
}

void cv_rollout_deinit(struct cv_rollout *rollout) {
    while (rollout->newest != NULL) {
        struct cv_generation *next = rollout->newest->next;
        cv_generation_destroy(rollout->newest);
        rollout->newest = next;
    }
    free_limits(rollout->limits);
    *rollout = (struct cv_rollout){0};
}

const struct cv_limits *cv_rollout_limits(const struct cv_rollout *rollout) {
    return &rollout->limits->limits;
}

static int post_patiently(struct cv_worker *worker, const struct cv_message *message) {
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    for (uint32_t i = 0; i < POST_ATTEMPTS_MAX; i++) {
        int result = cv_worker_post(worker, message);
        if (result != -EAGAIN) {
            return result;
        }
        nanosleep(&pause, NULL);
    }
    return -EAGAIN;
}

void cv_rollout_post(struct cv_rollout *rollout, const struct cv_message *message) {
    for (uint32_t i = 0; i < rollout->worker_count; i++) {
        int result = post_patiently(rollout->worker[i], message);
        if (result != 0) {
            cv_log(CV_LOG_ERROR, "worker_deaf", "worker=%u message=%d reason=\"%s\"", i,
                   (int)message->kind, strerror(-result));
        }
    }
}

int cv_rollout_adopt(struct cv_rollout *rollout, struct cv_generation *taken) {
    if (rollout->generation_count == CV_ROLLOUT_GENERATIONS_MAX) {
        cv_generation_destroy(taken);
        return -EBUSY;
    }
    push_generation(rollout, taken);
    struct cv_message message = {.kind = CV_MESSAGE_ADOPT, .pointer = taken->app};
    cv_rollout_post(rollout, &message);
    return 0;
}

int cv_rollout_set_limits(struct cv_rollout *rollout, const struct cv_limits *limits) {
    int result = push_limits(rollout, limits);
    if (result == 0) {
        struct cv_message message = {
            .kind = CV_MESSAGE_LIMITS,
            .pointer = &rollout->limits->limits,
        };
        cv_rollout_post(rollout, &message);
    }
    return result;
}

bool cv_rollout_reclaim(struct cv_rollout *rollout) {
    bool waits = false;
    for (struct cv_generation *generation = rollout->newest; generation != NULL;
         generation = generation->next) {
        waits |= cv_routes_reclaim(&generation->app->routes);
    }
    return waits;
}

static struct cv_generation *find(const struct cv_rollout *rollout, const void *app) {
    struct cv_generation *generation = rollout->newest;
    while (generation != NULL && generation->app != app) {
        generation = generation->next;
    }
    return generation;
}

static void remove_generation(struct cv_rollout *rollout, struct cv_generation *generation) {
    struct cv_generation **link = &rollout->newest;
    while (*link != generation) {
        link = &(*link)->next;
    }
    *link = generation->next;
    rollout->generation_count--;
    cv_log(CV_LOG_INFO, "generation_freed", "generation=%u", generation->number);
    cv_generation_destroy(generation);
}

static void release(struct cv_rollout *rollout, struct cv_generation *generation, uint64_t worker) {
    CV_ASSERT(worker < rollout->worker_count);
    if (generation->is_released[worker]) {
        return;
    }
    generation->is_released[worker] = true;
    if (++generation->released_count == rollout->worker_count) {
        remove_generation(rollout, generation);
    }
}

static enum cv_rollout_event on_adopted(struct cv_rollout *rollout,
                                        struct cv_generation *generation,
                                        const struct cv_message *message) {
    bool is_last = ++generation->adopted_count == rollout->worker_count;
    if (message->detail != 0) {
        cv_log(CV_LOG_ERROR, "generation_refused", "worker=%u generation=%u reason=\"%s\"",
               (unsigned)message->number, generation->number, strerror(-message->detail));
        generation->is_refused = true;
    }
    enum cv_rollout_event event = CV_ROLLOUT_NOTHING;
    if (is_last) {
        event = generation->is_refused ? CV_ROLLOUT_REFUSED : CV_ROLLOUT_ADOPTED;
    }
    if (message->detail != 0) {
        release(rollout, generation, message->number);
    }
    return event;
}

// A worker reads the newest limits it was told of, so those before them are free when all have
// them.
static void on_limits_taken(struct cv_rollout *rollout, const void *limits) {
    for (struct cv_rollout_limits *block = rollout->limits; block != NULL; block = block->next) {
        if (&block->limits != limits) {
            continue;
        }
        if (++block->taken_count == rollout->worker_count) {
            free_limits(block->next);
            block->next = NULL;
        }
        return;
    }
}

enum cv_rollout_event cv_rollout_on_message(struct cv_rollout *rollout,
                                            const struct cv_message *message) {
    if (message->kind == CV_MESSAGE_LIMITS_TAKEN) {
        on_limits_taken(rollout, message->pointer);
        return CV_ROLLOUT_NOTHING;
    }
    struct cv_generation *generation = find(rollout, message->pointer);
    if (generation == NULL) {
        return CV_ROLLOUT_NOTHING;
    }
    if (message->kind == CV_MESSAGE_ADOPTED) {
        return on_adopted(rollout, generation, message);
    }
    if (message->kind == CV_MESSAGE_RELEASED) {
        release(rollout, generation, message->number);
    }
    return CV_ROLLOUT_NOTHING;
}
