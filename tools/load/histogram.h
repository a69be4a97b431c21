// Latencies in nanoseconds, counted in a fixed table: no allocation, no lock, one owner.
//
// HDR style: 128 buckets to each power of two, so a value is known to better than 0.8 % from 128 ns
// to 137 s (exactly below that; above that in the last bucket, with the true maximum kept apart).
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stdint.h>

#define LOAD_HISTOGRAM_SUB_BITS 7u
#define LOAD_HISTOGRAM_NS_BITS 37u  // 2^37 ns = 137 s.
#define LOAD_HISTOGRAM_BUCKETS \
    ((LOAD_HISTOGRAM_NS_BITS - LOAD_HISTOGRAM_SUB_BITS + 1) << LOAD_HISTOGRAM_SUB_BITS)

struct load_histogram {
    uint64_t count, sum_ns, min_ns, max_ns;  // `min_ns` is 0 while `count` is.
    uint64_t buckets[LOAD_HISTOGRAM_BUCKETS];
};

// Counts `count` values of `ns`. A zeroed histogram is an empty one.
void load_histogram_record(struct load_histogram *histogram, uint64_t ns, uint64_t count);

// Adds what `other` counted.
void load_histogram_merge(struct load_histogram *histogram, const struct load_histogram *other);

// The smallest recorded value that `fraction` (0..1) of all values do not exceed: the middle of its
// bucket, never above `max_ns` nor below `min_ns`; 0 of an empty histogram.
uint64_t load_histogram_at(const struct load_histogram *histogram, double fraction);

#endif
