// A bucket's number is the value's exponent and its next SUB_BITS bits, so that buckets follow each
// other without a gap:
//
//      0 ..  127   [n, n + 1)                              below 2^7: the value itself
//    128 ..  255   [2^7 + s, + 1)       s = 0 .. 127       2^7: still exact
//    256 ..  383   [2^8 + 2 s, + 2)                        2^8
//    ...
//   3840 .. 3967   [2^36 + 2^29 s, + 2^29)                 2^36
#include "load/histogram.h"

#define SUB_BITS LOAD_HISTOGRAM_SUB_BITS
#define SUB_COUNT (1u << SUB_BITS)
#define LAST_BUCKET (LOAD_HISTOGRAM_BUCKETS - 1)

uint32_t load_histogram_bucket(uint64_t ns) {
    if (ns < SUB_COUNT) {
        return (uint32_t)ns;
    }
    unsigned exponent = 63 - (unsigned)__builtin_clzll(ns);
    if (exponent >= LOAD_HISTOGRAM_NS_BITS) {
        return LAST_BUCKET;
    }
    unsigned shift = exponent - SUB_BITS;
    return (shift << SUB_BITS) + (uint32_t)(ns >> shift);
}

void load_histogram_range(uint32_t bucket, uint64_t *low_ns, uint64_t *width_ns) {
    unsigned shift = bucket < 2 * SUB_COUNT ? 0 : (bucket >> SUB_BITS) - 1;
    *low_ns = (uint64_t)(bucket - (shift << SUB_BITS)) << shift;
    *width_ns = UINT64_C(1) << shift;
}

void load_histogram_record(struct load_histogram *histogram, uint64_t ns, uint64_t count) {
    if (count == 0) {
        return;
    }
    if (histogram->count == 0 || ns < histogram->min_ns) {
        histogram->min_ns = ns;
    }
    if (ns > histogram->max_ns) {
        histogram->max_ns = ns;
    }
    histogram->count += count;
    histogram->sum_ns += ns * count;
    histogram->buckets[load_histogram_bucket(ns)] += count;
}

void load_histogram_merge(struct load_histogram *histogram, const struct load_histogram *other) {
    if (other->count == 0) {
        return;
    }
    if (histogram->count == 0 || other->min_ns < histogram->min_ns) {
        histogram->min_ns = other->min_ns;
    }
    if (other->max_ns > histogram->max_ns) {
        histogram->max_ns = other->max_ns;
    }
    histogram->count += other->count;
    histogram->sum_ns += other->sum_ns;
    for (uint32_t i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++) {
        histogram->buckets[i] += other->buckets[i];
    }
}

// The rank, from 1, of the value that ends the first `fraction` of `count`. Products such as
// 0.07 * 100 come out a hair above the whole number they stand for; they must not round up past it.
static uint64_t rank_of(double fraction, uint64_t count) {
    double exact = fraction * (double)count;
    uint64_t rank = (uint64_t)exact;
    if (exact - (double)rank > exact * 1e-12) {
        rank++;
    }
    return rank == 0 ? 1 : rank;
}

uint64_t load_histogram_at(const struct load_histogram *histogram, double fraction) {
    if (histogram->count == 0 || !(fraction > 0)) {
        return histogram->min_ns;
    }
    uint64_t rank = fraction < 1 ? rank_of(fraction, histogram->count) : histogram->count;
    if (rank == 1) {
        return histogram->min_ns;
    }
    if (rank >= histogram->count) {
        return histogram->max_ns;
    }
    uint32_t bucket = 0;
    for (uint64_t seen = histogram->buckets[0]; seen < rank;) {
        seen += histogram->buckets[++bucket];
    }
    uint64_t low, width;
    load_histogram_range(bucket, &low, &width);
    uint64_t middle = low + width / 2;
    if (bucket == LAST_BUCKET || middle > histogram->max_ns) {
        return histogram->max_ns;
    }
    return middle < histogram->min_ns ? histogram->min_ns : middle;
}
