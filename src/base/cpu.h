// What the processor can do, and which of them the process may use.
#ifndef CV_BASE_CPU_H
#define CV_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

#define CV_CPU_LIST_MAX 256u    // As many as there can be workers.
#define CV_CPU_INDEX_MAX 8191u  // The most an x86 kernel can be built for (NR_CPUS_RANGE_END).

// The code paths there are, the better one last.
enum cv_simd { CV_SIMD_SCALAR, CV_SIMD_AVX2 };

// The path every codec takes, the same for the life of the process: the best one this processor
// has, or what the environment variable COVET_SIMD (scalar, avx2, avx512) asks for if it has that.
// avx512 means the best there is. Any thread.
enum cv_simd cv_cpu_simd(void);

// The choice itself, for `wish` as given in COVET_SIMD (NULL: not set). A wish that is not known is
// logged and ignored; one that is not supported gives the next best.
enum cv_simd cv_cpu_simd_choose(const char *wish, enum cv_simd best);

// "scalar" or "avx2".
const char *cv_cpu_simd_name(enum cv_simd simd);

// Reads a list such as "0-7,10" in the order written, each number once. Returns false with a
// sentence in `*reason` (static text) when it is not a list, a number is above CV_CPU_INDEX_MAX, a
// range runs backwards or there are more than CV_CPU_LIST_MAX numbers; `*count` is unchanged then,
// the contents of `cpus` are not defined.
CV_MUST_USE bool cv_cpu_list_parse(struct cv_span text, uint16_t cpus[CV_CPU_LIST_MAX],
                                   size_t *count, const char **reason);

// The processors this thread may run on, lowest first, at most `cpus_max` of them. Returns 0 or
// -errno; `*count` is written only on success.
CV_MUST_USE int cv_cpu_allowed(uint16_t *cpus, size_t cpus_max, size_t *count);

#endif
