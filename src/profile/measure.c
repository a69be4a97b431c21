// Looking measures up. Names are compared one by one: it happens a few times a second at most.
#include "profile/measure.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/compiler.h"

#define COUNTER_NAME_BYTES 40u

enum own_measure {
#define OWN_ENUM(name, level, help) OWN_##name,
    CV_MEASURES(OWN_ENUM)
#undef OWN_ENUM
        OWN_COUNT
};

static const struct {
    const char *name;
    uint32_t level;
} own[OWN_COUNT] = {
#define OWN_ROW(name, level, help) {#name, level},
    CV_MEASURES(OWN_ROW)
#undef OWN_ROW
};

const char *cv_measure_name(unsigned number) {
    return number < OWN_COUNT ? own[number].name : NULL;
}

static const char *const counter_names[COVET_COUNTER_COUNT] = {
#define COUNTER_NAME(name, text, kind, help) #name,
    COVET_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
};

static char lower_names[COVET_COUNTER_COUNT][COUNTER_NAME_BYTES];

__attribute__((constructor)) static void lower_counter_names(void) {
    for (size_t i = 0; i < COVET_COUNTER_COUNT; i++) {
        for (size_t j = 0; counter_names[i][j] != '\0' && j < COUNTER_NAME_BYTES - 1; j++)
            lower_names[i][j] = (char)tolower((unsigned char)counter_names[i][j]);
    }
}

const char *cv_measure_counter_name(enum covet_counter counter) {
    return lower_names[counter];
}

bool cv_measure_is_gauge(enum covet_counter counter) {
    enum { COUNTER, GAUGE };
    static const uint8_t kinds[COVET_COUNTER_COUNT] = {
#define COUNTER_KIND(name, text, kind, help) [COVET_COUNTER_##name] = kind,
        COVET_COUNTERS(COUNTER_KIND)
#undef COUNTER_KIND
    };

    return kinds[counter] == GAUGE;
}

int cv_measure_syscall(const char *name) {
    static const struct {
        const char *name;
        int number;
    } calls[] = {
#define CALL(name, number) {#name, number},
        COVET_SYSCALLS(CALL)
#undef CALL
    };

    for (size_t i = 0; i < CV_ARRAY_COUNT(calls); i++) {
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].number;
    }
    return -1;
}

// All workers' calls of one number.
static uint64_t count_syscall(const struct cv_snapshot *change, uint32_t number) {
    uint64_t count = 0;

    for (size_t i = 0; i < change->syscall_count; i++) {
        if ((uint32_t)change->syscalls[i].key.syscall == number)
            count += change->syscalls[i].stats.count;
    }
    return count;
}

static uint64_t count_event(const struct cv_snapshot *change, uint32_t event) {
    uint64_t count = 0;

    for (size_t i = 0; i < change->net_count; i++) {
        if ((uint32_t)change->nets[i].key.event == event)
            count += change->nets[i].count;
    }
    return count;
}

static uint64_t sum_urings(const struct cv_snapshot *change, size_t member) {
    uint64_t sum = 0;

    for (size_t i = 0; i < change->uring_count; i++)
        sum += *(const uint64_t *)((const char *)&change->urings[i].stats + member);
    return sum;
}

static uint64_t count_drops(const struct cv_snapshot *change) {
    uint64_t count = 0;

    for (size_t i = 0; i < change->drop_count; i++)
        count += change->drops[i].count;
    return count;
}

// The ring's calls are known to the server itself: exact at every level.
static uint64_t count_enters(const struct cv_snapshot *change,
                             const struct cv_snapshot_worker *total, uint32_t level) {
    return level >= 2 ? count_syscall(change, SYS_io_uring_enter)
                      : total->counter[COVET_COUNTER_ENTERS];
}

static uint64_t count_accept_drops(const struct cv_snapshot *change) {
    uint64_t count = 0;

    for (size_t i = 0; i < change->listener_count; i++)
        count += change->listeners[i].drops;
    return count;
}

static uint64_t count_own(const struct cv_snapshot *change, const struct cv_snapshot_worker *total,
                          enum own_measure which, uint32_t level) {
    switch (which) {
    case OWN_syscalls:
        return total->bpf.syscalls;
    case OWN_other_syscalls:
        return total->bpf.syscalls - CV_MIN(total->bpf.syscalls, total->bpf.io_uring_enters);
    case OWN_io_uring_enter:
        return count_enters(change, total, level);
    case OWN_read_write_sendto_recvfrom:
        return count_syscall(change, SYS_read) + count_syscall(change, SYS_write) +
               count_syscall(change, SYS_sendto) + count_syscall(change, SYS_recvfrom);
    case OWN_context_switches:
        return total->voluntary_switches + total->involuntary_switches;
    case OWN_voluntary_switches:
        return total->voluntary_switches;
    case OWN_involuntary_switches:
        return total->involuntary_switches;
    case OWN_cpu_us:
        return total->cpu_ns / 1000;
    case OWN_migrations:
        return total->sched.migrations;
    case OWN_submissions:
        return sum_urings(change, offsetof(struct covet_uring_stats, submitted));
    case OWN_completions:
        return sum_urings(change, offsetof(struct covet_uring_stats, completed));
    case OWN_async_punts:
        return sum_urings(change, offsetof(struct covet_uring_stats, punted));
    case OWN_packet_drops:
        return count_drops(change);
    case OWN_accept_drops:
        return count_accept_drops(change);
    case OWN_cqe_overflow:
        return total->counter[COVET_COUNTER_CQ_OVERFLOWS];
    case OWN_COUNT:
        break;
    }
    return 0;
}

// Beside a profiler, some measures need what may be hidden from us.
static bool has_source(const struct cv_snapshot *change, const struct cv_snapshot_worker *total,
                       enum own_measure which) {
    switch (which) {
    case OWN_context_switches:
    case OWN_voluntary_switches:
    case OWN_involuntary_switches:
    case OWN_cpu_us:
        return total->has_proc;
    case OWN_accept_drops:
        return change->listener_count > 0;
    default:
        return true;
    }
}

static enum cv_measure_result give(struct cv_measure *measure, uint64_t count, uint32_t needed,
                                   bool is_there) {
    measure->count = is_there ? count : 0;
    measure->level_needed = needed;
    return is_there ? CV_MEASURE_OK : CV_MEASURE_ABSENT;
}

enum cv_measure_result cv_measure_read(struct cv_measure *measure, const struct cv_snapshot *change,
                                       const struct cv_snapshot_worker *total, const char *name) {
    uint32_t level = change->has_bpf ? change->info.level : 0;

    for (unsigned i = 0; i < OWN_COUNT; i++) {
        if (strcmp(own[i].name, name) == 0)
            return give(measure, count_own(change, total, i, level), own[i].level,
                        level >= own[i].level && has_source(change, total, i));
    }
    int number = cv_measure_syscall(name);
    if (number >= 0)
        return give(measure, count_syscall(change, (uint32_t)number), 2, level >= 2);
    for (uint32_t i = 0; i < COVET_NET_EVENT_COUNT; i++) {
        if (strcasecmp(cv_snapshot_net_event_name(i), name) == 0)
            return give(measure, count_event(change, i), 1, level >= 1);
    }
    for (unsigned i = 0; i < COVET_COUNTER_COUNT; i++) {
        if (!cv_measure_is_gauge(i) && strcmp(lower_names[i], name) == 0)
            return give(measure, total->counter[i], 0, true);
    }
    return CV_MEASURE_UNKNOWN;
}

bool cv_measure_exists(const char *name) {
    static const struct cv_snapshot nothing;
    static const struct cv_snapshot_worker nobody;
    struct cv_measure unused;

    return cv_measure_read(&unused, &nothing, &nobody, name) != CV_MEASURE_UNKNOWN;
}

double cv_measure_per_1000(uint64_t count, uint64_t requests) {
    return requests == 0 ? 0 : (double)count * 1000 / (double)requests;
}
