// Handlers' buckets end at powers of two of nanoseconds, the profiler's at powers of two
// thousandfold: 2^10 is near enough to 1000 that both share the columns of a scale, while every
// bucket keeps its own end for the figures. The profiler begins two buckets later.
#include "top/distribution.h"

#include <math.h>
#include <string.h>

#define HANDLER_SHIFT 8u  // Bucket i ends at 2^(i + 8) ns (<covet/abi.h>).
#define LATENCY_FIRST 2u

_Static_assert(TOP_DISTRIBUTION_BUCKETS == COVET_HISTOGRAM_BUCKETS, "a column for each bucket");
_Static_assert(TOP_DISTRIBUTION_BUCKETS == COVET_LATENCY_BUCKET_COUNT + LATENCY_FIRST,
               "both scales end in the same column");
_Static_assert(sizeof(TOP_DISTRIBUTION_SCALE) - 1 == TOP_DISTRIBUTION_BUCKETS,
               "as wide as they are");

struct top_distribution top_distribution_of_handlers(const struct covet_histogram *histogram) {
    struct top_distribution distribution = {.count = 0};
    for (unsigned i = 0; i < COVET_HISTOGRAM_BUCKETS; i++) {
        bool is_last = i == COVET_HISTOGRAM_BUCKETS - 1;
        distribution.counts[i] = histogram->bucket[i];
        distribution.count += histogram->bucket[i];
        distribution.ends_ns[i] = is_last ? UINT64_MAX : UINT64_C(1) << (i + HANDLER_SHIFT);
    }
    return distribution;
}

struct top_distribution top_distribution_of_latency(const struct covet_latency *latency) {
    static const uint64_t ends[] = {
#define END(name, bound) bound,
        COVET_LATENCY_BUCKETS(END)
#undef END
    };
    struct top_distribution distribution = {.ends_ns = {250, 500}};
    uint64_t counts[COVET_LATENCY_BUCKET_COUNT];
    memcpy(counts, latency, sizeof(counts));
    for (unsigned i = 0; i < COVET_LATENCY_BUCKET_COUNT; i++) {
        distribution.counts[LATENCY_FIRST + i] = counts[i];
        distribution.ends_ns[LATENCY_FIRST + i] = ends[i];
        distribution.count += counts[i];
    }
    return distribution;
}

double top_distribution_at(const struct top_distribution *distribution, double share) {
    uint64_t seen = 0;
    if (distribution->count == 0) {
        return NAN;
    }
    for (unsigned i = 0; i < TOP_DISTRIBUTION_BUCKETS - 1; i++) {
        seen += distribution->counts[i];
        if (seen > 0 && (double)seen >= share * (double)distribution->count) {
            return (double)distribution->ends_ns[i];
        }
    }
    return INFINITY;
}
