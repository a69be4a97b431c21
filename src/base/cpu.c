// Processor features and processor lists.
//
// The SIMD choice is made on the first call and kept in one atomic word. Threads that race there
// come to the same answer, so a relaxed store is all the order it needs.
#include "base/cpu.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "base/log.h"

#define UNDECIDED (-1)

static int decided = UNDECIDED;

static enum cv_simd best_simd(void) {
    // The AVX2 files are compiled for BMI1 and BMI2 as well.
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                __builtin_cpu_supports("bmi2");

    return avx2 ? CV_SIMD_AVX2 : CV_SIMD_SCALAR;
}

enum cv_simd cv_cpu_simd_choose(const char *wish, enum cv_simd best) {
    char quoted[64];

    if (wish == NULL || strcmp(wish, "avx512") == 0)
        return best;
    if (strcmp(wish, "avx2") == 0)
        return CV_MIN(CV_SIMD_AVX2, best);
    if (strcmp(wish, "scalar") == 0)
        return CV_SIMD_SCALAR;
    cv_log(CV_LOG_WARN, "simd_unknown", "COVET_SIMD=%s known=scalar,avx2,avx512",
           cv_log_quote(quoted, sizeof(quoted), cv_span_of(wish)));
    return best;
}

enum cv_simd cv_cpu_simd(void) {
    int simd = __atomic_load_n(&decided, __ATOMIC_RELAXED);

    if (CV_UNLIKELY(simd == UNDECIDED)) {
        simd = (int)cv_cpu_simd_choose(getenv("COVET_SIMD"), best_simd());
        __atomic_store_n(&decided, simd, __ATOMIC_RELAXED);
    }
    return (enum cv_simd)simd;
}

const char *cv_cpu_simd_name(enum cv_simd simd) {
    return simd == CV_SIMD_AVX2 ? "avx2" : "scalar";
}

// Splits off what stands before the first comma; `*rest` keeps what follows it.
static struct cv_span next_item(struct cv_span *rest, bool *last) {
    const char *comma = memchr(rest->data, ',', rest->length);
    size_t length = comma == NULL ? rest->length : (size_t)(comma - rest->data);
    struct cv_span item = cv_span_make(rest->data, length);

    *last = comma == NULL;
    if (!*last)
        *rest = cv_span_make(comma + 1, rest->length - length - 1);
    return item;
}

// Reads "N" or "N-M". Returns NULL or the reason it is not one.
static const char *parse_range(struct cv_span item, uint64_t *first, uint64_t *last) {
    const char *dash = item.length == 0 ? NULL : memchr(item.data, '-', item.length);
    struct cv_span from = item;
    struct cv_span to = item;

    if (dash != NULL) {
        from.length = (size_t)(dash - item.data);
        to = cv_span_make(dash + 1, item.length - from.length - 1);
    }
    if (!cv_span_to_uint64(from, UINT64_MAX, first) || !cv_span_to_uint64(to, UINT64_MAX, last))
        return "not a list of numbers and ranges such as 0-7,10";
    if (*first > CV_CPU_INDEX_MAX || *last > CV_CPU_INDEX_MAX)
        return "a number is above 8191";
    if (*first > *last)
        return "a range runs backwards";
    return NULL;
}

static bool contains(const uint16_t *cpus, size_t count, uint64_t cpu) {
    for (size_t i = 0; i < count; i++) {
        if (cpus[i] == cpu)
            return true;
    }
    return false;
}

bool cv_cpu_list_parse(struct cv_span text, uint16_t cpus[CV_CPU_LIST_MAX], size_t *count,
                       const char **reason) {
    size_t found = 0;
    bool last = text.length == 0;

    if (last) {
        *reason = "the list is empty";
        return false;
    }
    while (!last) {
        uint64_t cpu = 0;
        uint64_t cpu_last = 0;
        const char *wrong = parse_range(next_item(&text, &last), &cpu, &cpu_last);

        if (wrong != NULL) {
            *reason = wrong;
            return false;
        }
        for (; cpu <= cpu_last; cpu++) {
            if (contains(cpus, found, cpu))
                continue;
            if (found == CV_CPU_LIST_MAX) {
                *reason = "more than 256 processors";
                return false;
            }
            cpus[found++] = (uint16_t)cpu;
        }
    }
    *count = found;
    return true;
}

int cv_cpu_allowed(uint16_t *cpus, size_t cpus_max, size_t *count) {
    // Sized for the largest kernel: sched_getaffinity(2) refuses a mask smaller than the kernel's.
    cpu_set_t masks[(CV_CPU_INDEX_MAX + 1) / CPU_SETSIZE];
    size_t found = 0;

    if (sched_getaffinity(0, sizeof(masks), masks) != 0)
        return -errno;
    for (size_t cpu = 0; cpu <= CV_CPU_INDEX_MAX && found < cpus_max; cpu++) {
        if (CPU_ISSET_S(cpu, sizeof(masks), masks))
            cpus[found++] = (uint16_t)cpu;
    }
    *count = found;
    return 0;
}
