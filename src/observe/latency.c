// Shares of what the histograms counted.
#include "observe/snapshot.h"

#include "base/assert.h"
#include "metrics/histogram.h"

_Static_assert(sizeof(struct covet_latency) == COVET_LATENCY_BUCKET_COUNT * sizeof(uint64_t),
               "a latency is its buckets and nothing else");

// The first bucket up to which at least `share` of all was counted; `count` when there is nothing.
static uint32_t bucket_of_share(const uint64_t *buckets, uint32_t count, double share) {
    uint64_t total = 0, below = 0;

    CV_ASSERT(share >= 0 && share <= 1);
    for (uint32_t i = 0; i < count; i++)
        total += buckets[i];
    for (uint32_t i = 0; i < count; i++) {
        below += buckets[i];
        if (below > 0 && (double)below >= share * (double)total)
            return i;
    }
    return count;
}

uint64_t cv_snapshot_latency_ns(const struct covet_latency *latency, double share) {
    static const uint64_t bounds[] = {
#define BOUND(name, bound) bound,
        COVET_LATENCY_BUCKETS(BOUND)
#undef BOUND
    };
    // The buckets as a table: the struct has a member for each, so that dumps are labelled.
    uint32_t bucket = bucket_of_share((const uint64_t *)latency, COVET_LATENCY_BUCKET_COUNT, share);

    _Static_assert(CV_ARRAY_COUNT(bounds) == COVET_LATENCY_BUCKET_COUNT, "a bound for each");
    return bucket == COVET_LATENCY_BUCKET_COUNT ? 0 : bounds[bucket];
}

uint64_t cv_snapshot_handler_ns(const struct covet_histogram *histogram, double share) {
    uint32_t bucket = bucket_of_share(histogram->bucket, COVET_HISTOGRAM_BUCKETS, share);

    return bucket == COVET_HISTOGRAM_BUCKETS ? 0 : cv_histogram_bucket_end_ns(bucket);
}
