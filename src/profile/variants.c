// One table of programs; one pass over the kernel's types, of which there are some hundred
// thousand.
#include "profile/variants.h"

#include <bpf/btf.h>
#include <string.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "bpf/net.h"

#define TRACEPOINT_PREFIX "btf_trace_"
#define ITERATOR_PREFIX "bpf_iter_"
#define REASON_PREFIX "SKB_DROP_REASON_"

// What a program was written for: `argument` is the position of one whose type tells the form, not
// counting the tracepoint's private first one. A struct is given by pointer, an enum by value.
struct program {
    const char *name;
    const char *event;  // of a tracepoint; an iterator's begins with ITERATOR_PREFIX
    uint32_t level_min, level_max;
    uint32_t arguments_min;
    uint32_t argument;
    const char *type;  // NULL: any
};

static const struct program programs[] = {
    {"covet_task_rename", "task_rename", 1, 3, 2, 0, "task_struct"},
    {"covet_process_exit", "sched_process_exit", 1, 3, 1, 0, "task_struct"},
    {"covet_sys_enter", "sys_enter", 2, 3, 2, 0, "pt_regs"},
    {"covet_sys_exit", "sys_exit", 2, 3, 2, 0, "pt_regs"},
    {"covet_sched_switch", "sched_switch", 1, 3, 3, 1, "task_struct"},
    {"covet_sched_wakeup", "sched_wakeup", 1, 3, 1, 0, "task_struct"},
    {"covet_sched_wakeup_new", "sched_wakeup_new", 1, 3, 1, 0, "task_struct"},
    {"covet_submit_req", "io_uring_submit_req", 1, 3, 1, 0, "io_kiocb"},
    {"covet_submit_sqe", "io_uring_submit_sqe", 1, 3, 1, 0, "io_kiocb"},
    {"covet_req_failed", "io_uring_req_failed", 1, 3, 3, 1, "io_kiocb"},
    {"covet_complete_cqe", "io_uring_complete", 1, 3, 3, 2, "io_uring_cqe"},
    {"covet_complete_parts", "io_uring_complete", 1, 3, 5, 0, NULL},
    {"covet_queue_async_work", "io_uring_queue_async_work", 1, 3, 1, 0, "io_kiocb"},
    {"covet_poll_arm", "io_uring_poll_arm", 1, 3, 1, 0, "io_kiocb"},
    {"covet_cqe_overflow", "io_uring_cqe_overflow", 1, 3, 4, 0, NULL},
    {"covet_local_work_run", "io_uring_local_work_run", 1, 1, 1, 0, NULL},
    {"covet_retransmit", "tcp_retransmit_skb", 1, 3, 1, 0, "sock"},
    {"covet_retransmit_synack", "tcp_retransmit_synack", 1, 3, 1, 0, "sock"},
    {"covet_send_reset", "tcp_send_reset", 1, 3, 2, 0, "sock"},
    {"covet_receive_reset", "tcp_receive_reset", 1, 3, 1, 0, "sock"},
    {"covet_set_state", "inet_sock_set_state", 1, 3, 3, 0, "sock"},
    {"covet_drop", "kfree_skb", 1, 3, 3, 2, "skb_drop_reason"},
    {"covet_scan_tasks", "bpf_iter_task", 1, 3, 0, 0, NULL},
    {"covet_scan_memory", "bpf_iter_task_vma", 1, 3, 0, 0, NULL},
    {"covet_listeners", "bpf_iter_tcp", 1, 3, 0, 0, NULL},
};
_Static_assert(CV_ARRAY_COUNT(programs) <= CV_VARIANTS_MAX, "the choice has room for all programs");

static const char *const drop_reasons[] = {
#define REASON_NAME(name) #name,
    COVET_DROP_REASONS(REASON_NAME)
#undef REASON_NAME
};

static const struct btf_type *skip_modifiers(const struct btf *btf, uint32_t id) {
    const struct btf_type *type = btf__type_by_id(btf, id);
    while (type != NULL && (btf_is_mod(type) || btf_is_typedef(type))) {
        type = btf__type_by_id(btf, type->type);
    }
    return type;
}

static const char *name_of(const struct btf *btf, const struct btf_type *type) {
    const char *name = btf__name_by_offset(btf, type->name_off);
    return name != NULL ? name : "";
}

// The prototype behind `typedef void (*btf_trace_NAME)(void *, ...)`; NULL: it is something else.
static const struct btf_type *prototype_of(const struct btf *btf, const struct btf_type *type) {
    const struct btf_type *pointer = skip_modifiers(btf, type->type);
    const struct btf_type *prototype =
        pointer != NULL && btf_is_ptr(pointer) ? skip_modifiers(btf, pointer->type) : NULL;
    return prototype != NULL && btf_is_func_proto(prototype) && btf_vlen(prototype) > 0 ? prototype
                                                                                        : NULL;
}

static bool is_written_for(const struct program *program, const struct btf *btf,
                           const struct btf_type *prototype) {
    if (program->arguments_min == 0) {
        return true;
    }
    if (prototype == NULL || btf_vlen(prototype) - 1u < program->arguments_min) {
        return false;
    }
    if (program->type == NULL) {
        return true;
    }
    const struct btf_type *type =
        skip_modifiers(btf, btf_params(prototype)[program->argument + 1].type);
    if (type != NULL && btf_is_ptr(type)) {
        type = skip_modifiers(btf, type->type);
    }
    return type != NULL && strcmp(name_of(btf, type), program->type) == 0;
}

static void take_event(struct cv_variants *variants, const struct btf *btf, const char *event,
                       const struct btf_type *prototype) {
    bool is_known = false;
    for (size_t i = 0; i < CV_ARRAY_COUNT(programs); i++) {
        if (variants->state[i] == CV_VARIANT_ABSENT && strcmp(programs[i].event, event) == 0 &&
            !is_known && is_written_for(&programs[i], btf, prototype)) {
            variants->state[i] = CV_VARIANT_ON;
            is_known = true;
        }
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(programs); i++) {
        if (variants->state[i] == CV_VARIANT_ABSENT && strcmp(programs[i].event, event) == 0) {
            variants->state[i] = is_known ? CV_VARIANT_NOT_NEEDED : CV_VARIANT_UNKNOWN_FORM;
        }
    }
}

static void take_reasons(struct cv_variants *variants, const struct btf *btf,
                         const struct btf_type *type) {
    const struct btf_enum *entry = btf_enum(type);
    for (uint32_t i = 0; i < btf_vlen(type); i++, entry++) {
        const char *name = btf__name_by_offset(btf, entry->name_off);
        if (entry->val < 0 || entry->val >= (int32_t)CV_VARIANTS_REASONS ||
            strncmp(name, REASON_PREFIX, strlen(REASON_PREFIX)) != 0) {
            continue;
        }
        for (size_t reason = 0; reason < DROP_OTHER; reason++) {
            if (strcmp(name + strlen(REASON_PREFIX), drop_reasons[reason]) == 0) {
                variants->reasons[entry->val] = (uint8_t)reason;
            }
        }
    }
}

static bool begins_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void take_type(struct cv_variants *variants, const struct btf *btf,
                      const struct btf_type *type) {
    const char *name = name_of(btf, type);
    if (btf_is_typedef(type) && begins_with(name, TRACEPOINT_PREFIX)) {
        const char *event = name + strlen(TRACEPOINT_PREFIX);
        const struct btf_type *prototype = prototype_of(btf, type);
        take_event(variants, btf, event, prototype);
        if (strcmp(event, "kfree_skb") == 0 && prototype != NULL) {
            variants->drop_has_socket = btf_vlen(prototype) >= 5;
        }
    } else if (btf_is_func(type) && begins_with(name, ITERATOR_PREFIX)) {
        take_event(variants, btf, name, NULL);
    } else if (btf_is_enum(type) && strcmp(name, "skb_drop_reason") == 0) {
        take_reasons(variants, btf, type);
    }
}

// Two tracepoints may be one event under an old and a new name.
static void drop_old_name(struct cv_variants *variants, const char *old, const char *new) {
    size_t old_index = 0, new_index = 0;
    for (size_t i = 0; i < CV_ARRAY_COUNT(programs); i++) {
        if (strcmp(programs[i].event, old) == 0) {
            old_index = i;
        } else if (strcmp(programs[i].event, new) == 0) {
            new_index = i;
        }
    }
    if (variants->state[new_index] == CV_VARIANT_ON) {
        variants->state[old_index] = CV_VARIANT_NOT_NEEDED;
    } else if (variants->state[old_index] == CV_VARIANT_ON) {
        variants->state[new_index] = CV_VARIANT_NOT_NEEDED;
    }
}

void cv_variants_choose(struct cv_variants *variants, const struct btf *kernel, uint32_t level) {
    *variants = (struct cv_variants){0};
    for (size_t i = 0; i < CV_ARRAY_COUNT(programs); i++) {
        bool needed = level >= programs[i].level_min && level <= programs[i].level_max;
        variants->state[i] = needed ? CV_VARIANT_ABSENT : CV_VARIANT_NOT_NEEDED;
    }
    memset(variants->reasons, DROP_OTHER, sizeof(variants->reasons));
    for (uint32_t id = 1; id < btf__type_cnt(kernel); id++) {
        take_type(variants, kernel, btf__type_by_id(kernel, id));
    }
    drop_old_name(variants, "io_uring_submit_sqe", "io_uring_submit_req");
}

size_t cv_variants_count(void) {
    return CV_ARRAY_COUNT(programs);
}

const char *cv_variants_program(size_t index) {
    CV_ASSERT(index < CV_ARRAY_COUNT(programs));
    return programs[index].name;
}

const char *cv_variants_event(size_t index) {
    CV_ASSERT(index < CV_ARRAY_COUNT(programs));
    return programs[index].event;
}

const char *cv_variants_reason(enum cv_variant_state state) {
    switch (state) {
    case CV_VARIANT_ABSENT:
        return "no such tracepoint";
    case CV_VARIANT_UNKNOWN_FORM:
        return "unknown form";
    default:
        return "";
    }
}
