// Numbers as JSON text (RFC 8259 section 6).
//
// Every function writes at `out`, which has CV_NUMBER_ROOM_BYTES of room, and returns the end of
// what it wrote; what is behind that end is undefined.
#ifndef CV_JSON_NUMBER_H
#define CV_JSON_NUMBER_H

#include <stdint.h>

// The longest text is "-1.2345678901234567e-100" or "-0.0000012345678901234567".
#define CV_NUMBER_BYTES_MAX 25u
#define CV_NUMBER_ROOM_BYTES 48u

char *cv_number_write_uint64(char *out, uint64_t value);
char *cv_number_write_int64(char *out, int64_t value);

// The shortest decimal that reads back as `value`, the one closest to it when there are several,
// in the form of ECMAScript's Number::toString: 1, 0.1, 1e+21, 1e-7. Only minus zero differs: it
// keeps its sign, "-0". `value` is finite.
char *cv_number_write_double(char *out, double value);

// The same for what reads back as the float.
char *cv_number_write_float(char *out, float value);

#endif
