// A sleep is two records: its stack when it begins, and its end. Records of one thread are in
// order, but some may be lost: a sleep that begins twice counts from the second time, an end
// without a beginning counts nothing.
#include "profile/flame_stacks.h"

#include <covet/abi.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "profile/unwind.h"

#define NS_PER_US 1000u

int cv_flame_stacks_init(struct cv_flame_stacks *stacks, struct cv_symbols *symbols,
                         uint64_t start_ns) {
    *stacks = (struct cv_flame_stacks){.symbols = symbols, .start_ns = start_ns};
    return cv_flame_tree_init(&stacks->tree);
}

void cv_flame_stacks_deinit(struct cv_flame_stacks *stacks) {
    cv_flame_tree_deinit(&stacks->tree);
    free(stacks->sleepers);
    stacks->sleepers = NULL;
    stacks->sleeper_count = 0;
}

static bool is_wanted(const struct cv_flame_stacks *stacks, const char *name) {
    struct cv_span start = CV_SPAN("covet-w");
    uint64_t index;

    if (stacks->is_wanted == NULL)
        return true;
    return strncmp(name, start.data, start.length) == 0 &&
           cv_span_to_uint64(cv_span_of(name + start.length), COVET_WORKERS_MAX - 1, &index) &&
           stacks->is_wanted[index];
}

// One function further in. Returns 0 for 0, so that a failure needs one look at the end.
static uint32_t descend(struct cv_flame_stacks *stacks, uint32_t node, struct cv_frame frame) {
    if (node == 0 || frame.name == NULL)
        return 0;
    return cv_flame_tree_child(&stacks->tree, node, frame);
}

static uint32_t descend_named(struct cv_flame_stacks *stacks, uint32_t node, const char *name,
                              enum cv_origin origin) {
    return descend(stacks, node, (struct cv_frame){cv_symbols_name(stacks->symbols, name), origin});
}

static uint32_t descend_user(struct cv_flame_stacks *stacks, uint32_t node,
                             const struct covet_stack_record *record) {
    struct cv_frame frames[CV_UNWIND_FRAMES_MAX];
    struct cv_cfi_thread thread = {
        .stack = record->stack,
        .stack_start = record->stack_start,
        .stack_bytes = CV_MIN(record->stack_bytes, sizeof(record->stack)),
    };
    bool is_complete;

    stacks->stack_top = 0;
    if (record->registers[COVET_STACK_RIP] == 0)
        return node;  // One of the kernel's own threads for the server.
    memcpy(thread.registers, record->registers, sizeof(thread.registers));
    size_t count = cv_unwind(stacks->symbols, &thread, frames, &is_complete);
    if (count == 0)
        return 0;
    // The first function of a thread begins where its stack does. Failing that, what could be read.
    stacks->stack_top =
        is_complete ? thread.registers[COVET_STACK_RSP] : record->stack_start + thread.stack_bytes;
    if (!is_complete) {
        stacks->incomplete_count++;
        node = descend_named(stacks, node, "[incomplete]", CV_ORIGIN_UNKNOWN);
    }
    while (count > 0)
        node = descend(stacks, node, frames[--count]);
    return node;
}

// How many of the innermost functions of a sleeper's stack say only that it sleeps: of a program in
// a tracepoint, the way from __schedule to itself, too. A thread that was asleep before has none.
static uint32_t count_sleep(struct cv_flame_stacks *stacks, const struct covet_stack_record *record,
                            uint32_t count) {
    uint32_t sleep_count = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct cv_place *place = cv_symbols_kernel(stacks->symbols, record->kernel[i]);
        const char *name = place != NULL ? place->frame.name : "";
        if (strcmp(name, "__schedule") == 0 ||
            (sleep_count == i && strncmp(name, "schedule", strlen("schedule")) == 0))
            sleep_count = i + 1;
    }
    return sleep_count;
}

static uint32_t descend_kernel(struct cv_flame_stacks *stacks, uint32_t node,
                               const struct covet_stack_record *record) {
    uint32_t count = CV_MIN(record->kernel_count, COVET_STACK_KERNEL_MAX);

    // A kernel that hides its names has one frame, not a tower of it.
    if (count > 0 && cv_symbols_kernel_is_hidden(stacks->symbols))
        return descend_named(stacks, node, "[kernel]", CV_ORIGIN_KERNEL);
    uint32_t first =
        record->head.event == COVET_STACK_RUNNING ? 0 : count_sleep(stacks, record, count);
    for (; count > first; count--) {
        const struct cv_place *place =
            cv_symbols_kernel(stacks->symbols, record->kernel[count - 1]);
        node = place == NULL ? 0 : descend(stacks, node, place->frame);
    }
    return node;
}

// Where the record's stack ends in the tree; 0 when memory is exhausted.
static uint32_t find_node(struct cv_flame_stacks *stacks, const struct covet_stack_record *record,
                          const char *name) {
    // The root is node 0, which stands for failure below it.
    uint32_t node = cv_flame_tree_child(
        &stacks->tree, 0,
        (struct cv_frame){cv_symbols_name(stacks->symbols, name), CV_ORIGIN_THREAD});

    node = descend_kernel(stacks, descend_user(stacks, node, record), record);
    if (node == 0)
        stacks->is_out_of_memory = true;
    else
        stacks->stack_count++;
    return node;
}

static struct cv_flame_sleeper *find_sleeper(struct cv_flame_stacks *stacks, uint32_t thread_id,
                                             size_t *place) {
    size_t low = 0, high = stacks->sleeper_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stacks->sleepers[middle].thread_id < thread_id)
            low = middle + 1;
        else
            high = middle;
    }
    *place = low;
    return low < stacks->sleeper_count && stacks->sleepers[low].thread_id == thread_id
               ? &stacks->sleepers[low]
               : NULL;
}

static struct cv_flame_sleeper *add_sleeper(struct cv_flame_stacks *stacks, uint32_t thread_id) {
    size_t place;
    struct cv_flame_sleeper *sleeper = find_sleeper(stacks, thread_id, &place);

    if (sleeper != NULL)
        return sleeper;
    struct cv_flame_sleeper *grown =
        reallocarray(stacks->sleepers, stacks->sleeper_count + 1, sizeof(*grown));
    if (grown == NULL) {
        stacks->is_out_of_memory = true;
        return NULL;
    }
    stacks->sleepers = grown;
    memmove(&grown[place + 1], &grown[place], (stacks->sleeper_count - place) * sizeof(*grown));
    stacks->sleeper_count++;
    grown[place] = (struct cv_flame_sleeper){.thread_id = thread_id};
    return &grown[place];
}

static void wake(struct cv_flame_stacks *stacks, struct cv_flame_sleeper *sleeper,
                 uint64_t now_ns) {
    if (sleeper->node != 0 && now_ns > sleeper->since_ns)
        cv_flame_tree_weigh(&stacks->tree, sleeper->node, (now_ns - sleeper->since_ns) / NS_PER_US);
    sleeper->node = 0;
}

static void fall_asleep(struct cv_flame_stacks *stacks, const struct covet_stack_record *record,
                        const char *name) {
    struct cv_flame_sleeper *sleeper = add_sleeper(stacks, record->head.thread_id);

    if (sleeper == NULL)
        return;
    sleeper->node = find_node(stacks, record, name);
    sleeper->since_ns = record->head.event == COVET_STACK_ASLEEP
                            ? stacks->start_ns
                            : CV_MAX(record->head.time_ns, stacks->start_ns);
}

void cv_flame_stacks_add(struct cv_flame_stacks *stacks, const struct covet_stack_record *record) {
    char name[COVET_THREAD_NAME_BYTES + 1] = "";
    struct cv_flame_sleeper *sleeper;
    size_t place;

    if (record->head.event == COVET_STACK_RESUMED) {
        sleeper = find_sleeper(stacks, record->head.thread_id, &place);
        if (sleeper != NULL)
            wake(stacks, sleeper, record->head.time_ns);
        return;
    }
    memcpy(name, record->name, COVET_THREAD_NAME_BYTES);
    if (!is_wanted(stacks, name))
        return;
    if (record->head.event != COVET_STACK_RUNNING) {
        fall_asleep(stacks, record, name);
        return;
    }
    uint32_t node = find_node(stacks, record, name);
    if (node != 0)
        cv_flame_tree_weigh(&stacks->tree, node, 1);
}

void cv_flame_stacks_end(struct cv_flame_stacks *stacks, uint64_t end_ns) {
    for (size_t i = 0; i < stacks->sleeper_count; i++)
        wake(stacks, &stacks->sleepers[i], end_ns);
}
