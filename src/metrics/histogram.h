// The handler-time histogram of a worker: powers of two from 256 ns to 1.07 s (layout and bucket
// rule: <covet/abi.h>). Its owner alone records; any thread may read.
#ifndef CV_METRICS_HISTOGRAM_H
#define CV_METRICS_HISTOGRAM_H

#include <covet/abi.h>
#include <stdint.h>

#include "base/compiler.h"

#define CV_HISTOGRAM_FIRST_SHIFT 8u  // The first bucket ends at 2^8 ns.

// The bucket that counts `ns`.
static inline uint32_t cv_histogram_bucket(uint64_t ns) {
    // One less, because a bucket includes its end; at least the first bucket, also for 0.
    uint64_t below = (ns - (ns != 0)) | ((1u << CV_HISTOGRAM_FIRST_SHIFT) - 1);
    uint32_t bucket = 64 - (uint32_t)__builtin_clzll(below) - CV_HISTOGRAM_FIRST_SHIFT;

    return CV_MIN(bucket, COVET_HISTOGRAM_BUCKETS - 1);
}

// The longest time that `bucket` counts; UINT64_MAX for the last one.
static inline uint64_t cv_histogram_bucket_end_ns(uint32_t bucket) {
    return bucket >= COVET_HISTOGRAM_BUCKETS - 1 ? UINT64_MAX
                                                 : 1ull << (bucket + CV_HISTOGRAM_FIRST_SHIFT);
}

// Counts one handler that took `ns`.
void cv_histogram_record(struct covet_histogram *histogram, uint64_t ns);

// Counts `count` handlers (at least one) that took `ns` together, each with its share.
void cv_histogram_record_shared(struct covet_histogram *histogram, uint64_t ns, uint64_t count);

// Copies a histogram that may be written meanwhile. The copy's `count` is the sum of its buckets.
void cv_histogram_read(const struct covet_histogram *histogram, struct covet_histogram *copy);

#endif
