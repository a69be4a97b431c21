// The choice of the check, made once before main so that the request path never asks.
#include "json/utf8.h"

struct cv_utf8_ops cv_utf8_chosen;

bool cv_utf8_force(enum cv_simd simd) {
    if (simd > cv_cpu_simd())
        return false;
#ifdef __x86_64__
    if (simd == CV_SIMD_AVX2) {
        cv_utf8_chosen = cv_utf8_avx2;
        return true;
    }
#endif
    cv_utf8_chosen = cv_utf8_scalar;
    return simd == CV_SIMD_SCALAR;
}

__attribute__((constructor)) static void choose(void) {
    (void)cv_utf8_force(cv_cpu_simd());
}
