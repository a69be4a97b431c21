// The decoder goes byte by byte through everything but data, and over data in one step, so a large
// chunk costs nothing per byte. Its answer depends on the bytes alone, never on how they were cut.
//
// What is not data is bounded twice: each chunk's extensions by themselves, and all of it together
// by OVERHEAD_FREE_BYTES plus one byte for each byte of data. A chunk of five bytes has as much
// framing as data ("5" CRLF, CRLF), so chunks that large pass however many they are; chunks of one
// byte are refused after about four thousand.
#include "http/chunked.h"

#include "http/scan.h"

#define OVERHEAD_FREE_BYTES 16384u
#define SIZE_DIGITS_MAX 16u

enum state {
    SIZE,
    EXTENSION_BEGIN,  // Behind ';'.
    EXTENSION_NAME,
    EXTENSION_EQUALS,  // Behind '='.
    EXTENSION_TOKEN,
    EXTENSION_QUOTED,
    EXTENSION_ESCAPE,  // Behind '\' in a quoted string.
    EXTENSION_END,     // Behind the closing quote.
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_BEGIN,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE,
    REFUSED,
};

void cv_chunked_init(struct cv_chunked *decoder) {
    *decoder = (struct cv_chunked){.state = SIZE};
}

static int hex_value(char byte) {
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte = (char)(byte | 0x20);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

// Where an extension, or the size itself, is followed by a further extension or the line's end.
static enum state after_part(char byte) {
    if (byte == ';')
        return EXTENSION_BEGIN;
    return byte == '\r' ? SIZE_LF : REFUSED;
}

static enum state read_size(struct cv_chunked *decoder, char byte) {
    int digit = hex_value(byte);

    if (digit < 0)
        return decoder->digits > 0 ? after_part(byte) : REFUSED;
    // Below 2^63, so that sums of a size and what the caller has cannot wrap.
    if (decoder->digits == SIZE_DIGITS_MAX || decoder->chunk_left >> 59 != 0)
        return REFUSED;
    decoder->digits++;
    decoder->chunk_left = decoder->chunk_left << 4 | (unsigned)digit;
    return SIZE;
}

static enum state read_extension(struct cv_chunked *decoder, char byte) {
    bool token = cv_scan_is(byte, CV_SCAN_TOKEN);
    bool text = !cv_scan_is(byte, CV_SCAN_CONTROL);

    if (++decoder->line_bytes > CV_CHUNKED_EXTENSION_BYTES_MAX)
        return REFUSED;
    switch (decoder->state) {
    case EXTENSION_BEGIN:
        return token ? EXTENSION_NAME : REFUSED;
    case EXTENSION_NAME:
        if (byte == '=')
            return EXTENSION_EQUALS;
        return token ? EXTENSION_NAME : after_part(byte);
    case EXTENSION_EQUALS:
        if (byte == '"')
            return EXTENSION_QUOTED;
        return token ? EXTENSION_TOKEN : REFUSED;
    case EXTENSION_TOKEN:
        return token ? EXTENSION_TOKEN : after_part(byte);
    case EXTENSION_QUOTED:
        if (byte == '"')
            return EXTENSION_END;
        if (byte == '\\')
            return EXTENSION_ESCAPE;
        return text ? EXTENSION_QUOTED : REFUSED;
    case EXTENSION_ESCAPE:
        return text ? EXTENSION_QUOTED : REFUSED;
    default:
        return after_part(byte);
    }
}

static enum state end_size_line(struct cv_chunked *decoder) {
    if (decoder->overhead_bytes > OVERHEAD_FREE_BYTES + decoder->data_bytes)
        return REFUSED;
    decoder->line_bytes = 0;
    return decoder->chunk_left == 0 ? TRAILER_BEGIN : DATA;
}

static enum state read_trailer(struct cv_chunked *decoder, char byte) {
    bool token = cv_scan_is(byte, CV_SCAN_TOKEN);

    if (++decoder->line_bytes > CV_CHUNKED_TRAILER_BYTES_MAX)
        return REFUSED;
    switch (decoder->state) {
    case TRAILER_BEGIN:
        if (byte == '\r')
            return LAST_LF;
        return token ? TRAILER_NAME : REFUSED;
    case TRAILER_NAME:
        if (byte == ':')
            return TRAILER_VALUE;
        return token ? TRAILER_NAME : REFUSED;
    case TRAILER_VALUE:
        if (byte == '\r')
            return TRAILER_LF;
        return cv_scan_is(byte, CV_SCAN_CONTROL) ? REFUSED : TRAILER_VALUE;
    case TRAILER_LF:
        return byte == '\n' ? TRAILER_BEGIN : REFUSED;
    default:
        return byte == '\n' ? DONE : REFUSED;
    }
}

// The state behind a byte that is not data.
static enum state read_byte(struct cv_chunked *decoder, char byte) {
    decoder->overhead_bytes++;
    switch (decoder->state) {
    case SIZE:
        return read_size(decoder, byte);
    case SIZE_LF:
        return byte == '\n' ? end_size_line(decoder) : REFUSED;
    case DATA_CR:
        return byte == '\r' ? DATA_LF : REFUSED;
    case DATA_LF:
        decoder->digits = 0;
        return byte == '\n' ? SIZE : REFUSED;
    case TRAILER_BEGIN:
    case TRAILER_NAME:
    case TRAILER_VALUE:
    case TRAILER_LF:
    case LAST_LF:
        return read_trailer(decoder, byte);
    default:
        return read_extension(decoder, byte);
    }
}

static struct cv_span take_data(struct cv_chunked *decoder, struct cv_span input) {
    size_t bytes = CV_MIN(input.length, decoder->chunk_left);

    decoder->chunk_left -= bytes;
    decoder->data_bytes += bytes;
    if (decoder->chunk_left == 0)
        decoder->state = DATA_CR;
    return cv_span_make(input.data, bytes);
}

uint64_t cv_chunked_announced(const struct cv_chunked *decoder) {
    return decoder->state == DATA ? decoder->chunk_left : 0;
}

enum cv_chunked_result cv_chunked_feed(struct cv_chunked *decoder, struct cv_span input,
                                       size_t *used, struct cv_span *data) {
    size_t at = 0;

    *data = cv_span_make(NULL, 0);
    while (at < input.length && decoder->state != DATA && decoder->state < DONE) {
        decoder->state = (uint8_t)read_byte(decoder, input.data[at]);
        at++;
    }
    if (decoder->state == DATA && at < input.length) {
        *data = take_data(decoder, cv_span_make(input.data + at, input.length - at));
        *used = at + data->length;
        return CV_CHUNKED_DATA;
    }
    *used = at;
    if (decoder->state == DONE)
        return CV_CHUNKED_DONE;
    return decoder->state == REFUSED ? CV_CHUNKED_REFUSED : CV_CHUNKED_PARTIAL;
}

size_t cv_chunked_write_prefix(char out[CV_CHUNKED_PREFIX_BYTES_MAX], uint64_t bytes) {
    size_t digits = (67 - (size_t)__builtin_clzll(bytes | 1)) / 4;

    for (size_t i = digits; i > 0; i--) {
        out[i - 1] = "0123456789abcdef"[bytes & 15];
        bytes >>= 4;
    }
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}
