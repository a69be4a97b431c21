// Recording is three additions to words that only the owner writes. A reader may come between them,
// so it never relies on `count`: it sums the buckets it has read.
#include "metrics/histogram.h"

static void add(uint64_t *word, uint64_t value) {
    __atomic_store_n(word, *word + value, __ATOMIC_RELAXED);
}

void cv_histogram_record(struct covet_histogram *histogram, uint64_t ns) {
    add(&histogram->sum_ns, ns);
    add(&histogram->count, 1);
    add(&histogram->bucket[cv_histogram_bucket(ns)], 1);
}

void cv_histogram_record_shared(struct covet_histogram *histogram, uint64_t ns, uint64_t count) {
    add(&histogram->sum_ns, ns);
    add(&histogram->count, count);
    add(&histogram->bucket[cv_histogram_bucket(ns / count)], count);
}

void cv_histogram_read(const struct covet_histogram *histogram, struct covet_histogram *copy) {
    copy->sum_ns = __atomic_load_n(&histogram->sum_ns, __ATOMIC_RELAXED);
    copy->count = 0;
    for (uint32_t i = 0; i < COVET_HISTOGRAM_BUCKETS; i++) {
        copy->bucket[i] = __atomic_load_n(&histogram->bucket[i], __ATOMIC_RELAXED);
        copy->count += copy->bucket[i];
    }
}
