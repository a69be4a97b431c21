// Field values, read where they lie. Lists are split at commas outside quoted strings; what is
// inside a member is the caller's to judge.
#include "http/headers.h"

#include <arpa/inet.h>
#include <immintrin.h>

#include "http/known.h"
#include "http/scan.h"

#define IPV6_BYTES_MAX 45u  // Six groups and a dotted IPv4 address.

bool cv_headers_find(const struct cv_parser_head *head, const char *data, struct cv_span name,
                     struct cv_span *value) {
    enum cv_known_field known = cv_known_find(name);

    if (known != CV_FIELD_KNOWN_COUNT)
        return cv_headers_get(head, data, known, value);
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct cv_parser_field *field = &head->field[i];

        if (cv_span_equal_nocase(cv_parser_span(data, field->name), name)) {
            *value = cv_parser_span(data, field->value);
            return true;
        }
    }
    return false;
}

// The bytes before the first comma outside quotes (RFC 9110 section 5.6.4). A quoted string that is
// never closed reaches to the end.
static size_t member_bytes(struct cv_span list) {
    bool quoted = false;
    size_t i = 0;

    for (; i < list.length && (quoted || list.data[i] != ','); i++) {
        if (list.data[i] == '"')
            quoted = !quoted;
        else if (quoted && list.data[i] == '\\' && i + 1 < list.length)
            i++;
    }
    return i;
}

bool cv_headers_next_member(struct cv_span *rest, struct cv_span *member) {
    while (rest->length > 0) {
        size_t bytes = member_bytes(*rest);
        size_t used = CV_MIN(bytes + 1, rest->length);  // The comma too.

        *member = cv_span_trim(cv_span_make(rest->data, bytes));
        *rest = cv_span_make(rest->data + used, rest->length - used);
        if (member->length > 0)
            return true;
    }
    return false;
}

bool cv_headers_list_has(struct cv_span value, struct cv_span token) {
    struct cv_span member;

    while (cv_headers_next_member(&value, &member)) {
        if (cv_span_equal_nocase(member, token))
            return true;
    }
    return false;
}

// The bytes before the first `stop`, or all of them.
static size_t bytes_before(struct cv_span text, char stop) {
    const char *found = text.length == 0 ? NULL : memchr(text.data, stop, text.length);

    return found == NULL ? text.length : (size_t)(found - text.data);
}

static struct cv_span without_quotes(struct cv_span text) {
    if (text.length >= 2 && text.data[0] == '"' && text.data[text.length - 1] == '"')
        return cv_span_make(text.data + 1, text.length - 2);
    return text;
}

bool cv_headers_cookie(struct cv_span cookie, struct cv_span name, struct cv_span *value) {
    while (cookie.length > 0) {
        size_t bytes = bytes_before(cookie, ';');
        size_t used = CV_MIN(bytes + 1, cookie.length);
        struct cv_span pair = cv_span_trim(cv_span_make(cookie.data, bytes));
        size_t name_bytes = bytes_before(pair, '=');

        if (name_bytes < pair.length &&
            cv_span_equal(cv_span_trim(cv_span_make(pair.data, name_bytes)), name)) {
            struct cv_span text =
                cv_span_make(pair.data + name_bytes + 1, pair.length - name_bytes - 1);

            *value = without_quotes(cv_span_trim(text));
            return true;
        }
        cookie = cv_span_make(cookie.data + used, cookie.length - used);
    }
    return false;
}

bool cv_headers_is_token(struct cv_span text) {
    for (size_t i = 0; i < text.length; i++) {
        if (!cv_scan_is(text.data[i], CV_SCAN_TOKEN))
            return false;
    }
    return text.length > 0;
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

#define ALL_16 0xffffu
#define PAGE_BYTES 4096u

// One bit for each of sixteen bytes that is no control byte. HTAB, which is none in a value, is one
// here.
static CV_ALWAYS_INLINE unsigned no_controls(__m128i bytes) {
    const __m128i space = _mm_set1_epi8(' ');
    __m128i controls = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    __m128i others = _mm_cmpeq_epi8(_mm_max_epu8(bytes, space), bytes);

    return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(controls, others));
}

static bool has_no_control(__m128i bytes) {
    return no_controls(bytes) == ALL_16;
}

static CV_ALWAYS_INLINE __m128i load_16(const char *bytes) {
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

static __m128i load_8(const char *bytes) {
    return _mm_loadl_epi64((const __m128i *)(const void *)bytes);
}

static CV_NOINLINE bool is_value_by_bytes(struct cv_span text) {
    if (text.length > 0 && (is_blank(text.data[0]) || is_blank(text.data[text.length - 1])))
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (cv_scan_is(text.data[i], CV_SCAN_CONTROL))
            return false;
    }
    return true;
}

bool cv_headers_is_value(struct cv_span text) {
    const char *at = text.data, *end = text.data + text.length;
    bool is_plain = false;

    if (text.length >= 16) {
        while (at + 16 < end && has_no_control(load_16(at)))
            at += 16;
        is_plain = at + 16 >= end && has_no_control(load_16(end - 16));
    } else if (text.length >= 8) {
        is_plain = has_no_control(_mm_unpacklo_epi64(load_8(at), load_8(end - 8)));
    }
    return CV_LIKELY(is_plain) ? *text.data != ' ' && end[-1] != ' ' : is_value_by_bytes(text);
}

static CV_NOINLINE size_t value_length_by_bytes(const char *text) {
    struct cv_span value = cv_span_of(text);

    return cv_headers_is_value(value) ? value.length : SIZE_MAX;
}

// Looks for the end and for wrong bytes at once. Loads reach beyond the end, but into no other
// page.
CV_READS_BEYOND size_t cv_headers_value_length(const char *text) {
    const char *at = text;
    unsigned wrong;

    do {
        if (CV_UNLIKELY(((uintptr_t)at & (PAGE_BYTES - 1)) > PAGE_BYTES - 16))
            return value_length_by_bytes(text);
        wrong = no_controls(load_16(at)) ^ ALL_16;
        at += 16;
    } while (wrong == 0);
    at += __builtin_ctz(wrong) - 16;
    if (CV_UNLIKELY(*at != '\0' || at == text || *text == ' ' || at[-1] == ' '))
        return value_length_by_bytes(text);
    return (size_t)(at - text);
}

static bool is_hex(char byte) {
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

// The length of the registered name or IPv4 address at the start of `text`; 0 for a broken escape.
static size_t name_bytes(struct cv_span text) {
    size_t i = 0;

    while (i < text.length) {
        if (cv_scan_is(text.data[i], CV_SCAN_HOST)) {
            i++;
        } else if (text.data[i] == '%') {
            if (text.length - i < 3 || !is_hex(text.data[i + 1]) || !is_hex(text.data[i + 2]))
                return 0;
            i += 3;
        } else {
            break;
        }
    }
    return i;
}

// The length of the bracketed IPv6 address at the start of `text`, 0 when there is none.
static size_t literal_bytes(struct cv_span text) {
    char address[IPV6_BYTES_MAX + 1];
    unsigned char binary[16];
    size_t end = bytes_before(text, ']');
    size_t bytes = end - 1;

    if (end == text.length || bytes > IPV6_BYTES_MAX)
        return 0;
    memcpy(address, text.data + 1, bytes);
    address[bytes] = '\0';
    // A NUL inside would end the address early, but no field value and no target holds one.
    return strlen(address) == bytes && inet_pton(AF_INET6, address, binary) == 1 ? end + 1 : 0;
}

static bool is_port(struct cv_span text) {
    uint64_t port;

    return text.length == 0 || (text.length <= 5 && cv_span_to_uint64(text, 65535, &port));
}

bool cv_headers_is_host(struct cv_span text) {
    if (text.length == 0)
        return true;
    size_t host = text.data[0] == '[' ? literal_bytes(text) : name_bytes(text);
    if (host == 0)
        return false;
    if (host == text.length)
        return true;
    return text.data[host] == ':' &&
           is_port(cv_span_make(text.data + host + 1, text.length - host - 1));
}
