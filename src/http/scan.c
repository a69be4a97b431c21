// The choice of the vector search, made once before main so that no caller can come too early and
// the request path never asks.
#include "http/scan.h"

struct cv_scan_ops cv_scan_chosen;

bool cv_scan_force(enum cv_simd simd) {
    if (simd > cv_cpu_simd()) {
        return false;
    }
#ifdef __x86_64__
    if (simd == CV_SIMD_AVX2) {
        cv_scan_chosen = cv_scan_avx2;
        return true;
    }
#endif
    cv_scan_chosen = cv_scan_scalar;
    return simd == CV_SIMD_SCALAR;
}

__attribute__((constructor)) static void choose(void) {
    (void)cv_scan_force(cv_cpu_simd());
}
