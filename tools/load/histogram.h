// Latencies in nanoseconds, counted in a fixed table: no allocation, no lock, one owner.
//
// HDR style: exact below 128 ns, then 128 buckets to each power of two, so that the middle of a
// bucket is within 0.4 % of every value in it, up to 137 s. What is above goes to the last bucket;
// the true maximum is kept apart.
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

// The smallest recorded value that is not below `fraction` (0..1) of all values: the middle of its
// bucket, never above `max_ns` nor below `min_ns`; `min_ns` and `max_ns` themselves for the first
// and the last value; 0 of an empty histogram.
uint64_t load_histogram_at(const struct load_histogram *histogram, double fraction);

// Where `ns` is counted; `*low` and `*width` of that bucket, for whoever wants the buckets
// themselves. The last bucket has no upper end.
uint32_t load_histogram_bucket(uint64_t ns);
void load_histogram_range(uint32_t bucket, uint64_t *low_ns, uint64_t *width_ns);

#endif
