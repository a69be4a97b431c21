// Distributions of times on one scale: buckets that double, from below 256 ns to above a second.
#ifndef TOP_DISTRIBUTION_H
#define TOP_DISTRIBUTION_H

#include "observe/snapshot.h"

#define TOP_DISTRIBUTION_BUCKETS 24u

// Titles a column of as many glyphs: each mark begins at the bucket that ends there.
#define TOP_DISTRIBUTION_SCALE "  1us       1ms       1s"

struct top_distribution {
    uint64_t counts[TOP_DISTRIBUTION_BUCKETS];
    uint64_t ends_ns[TOP_DISTRIBUTION_BUCKETS];  // the last: UINT64_MAX
    uint64_t count;                              // of all buckets
};

struct top_distribution top_distribution_of_handlers(const struct covet_histogram *histogram);
struct top_distribution top_distribution_of_latency(const struct covet_latency *latency);

// The end of the bucket below which `share` (0 to 1) of all lie: INFINITY in the last bucket, NAN
// when nothing was counted.
double top_distribution_at(const struct top_distribution *distribution, double share);

#endif
