// Escapes, and the choice of the copying, made once before main.
#include "json/escape.h"

#include <stdint.h>
#include <string.h>

struct cv_escape_ops cv_escape_chosen;

bool cv_escape_force(enum cv_simd simd) {
    if (simd > cv_cpu_simd())
        return false;
#ifdef __x86_64__
    if (simd == CV_SIMD_AVX2) {
        cv_escape_chosen = cv_escape_avx2;
        return true;
    }
#endif
    cv_escape_chosen = cv_escape_scalar;
    return simd == CV_SIMD_SCALAR;
}

__attribute__((constructor)) static void choose(void) {
    (void)cv_escape_force(cv_cpu_simd());
}

char *cv_escape_byte(char *out, char byte) {
    static const char hex[] = "0123456789abcdef";
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    unsigned char code = (unsigned char)byte;
    char letter = code < 0x20 ? letters[code] : byte;

    out[0] = '\\';
    if (letter != '\0') {
        out[1] = letter;
        return out + 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = hex[code >> 4];
    out[5] = hex[code & 15];
    return out + 6;
}

char *cv_escape_text(char *out, const char *data, size_t length) {
    while (length > 0) {
        size_t run = cv_escape_chosen.copy_run(out, data, length);

        out += run;
        data += run;
        length -= run;
        if (length > 0) {
            out = cv_escape_byte(out, *data++);
            length--;
        }
    }
    return out;
}
