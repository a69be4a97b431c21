// The choice of the vector pass, made once before main.
#include "json/index.h"

struct cv_index_ops cv_index_chosen;

bool cv_index_force(enum cv_simd simd) {
    if (simd > cv_cpu_simd())
        return false;
#ifdef __x86_64__
    if (simd == CV_SIMD_AVX2) {
        cv_index_chosen = cv_index_avx2;
        return true;
    }
#endif
    cv_index_chosen = cv_index_scalar;
    return simd == CV_SIMD_SCALAR;
}

__attribute__((constructor)) static void choose(void) {
    (void)cv_index_force(cv_cpu_simd());
}
