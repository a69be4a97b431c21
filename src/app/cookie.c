// Set-Cookie (RFC 6265 section 4.1.1). Nothing is quoted or encoded on the way: what a cookie
// cannot hold is refused, because every encoding is somebody's guess.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "app/request.h"
#include "http/headers.h"

#define FIXED_BYTES 128u  // Everything but the application's texts.

static bool is_value(struct cv_span text) {
    if (text.length >= 2 && text.data[0] == '"' && text.data[text.length - 1] == '"')
        text = cv_span_make(text.data + 1, text.length - 2);
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c <= 0x20 || c >= 0x7f || c == '"' || c == ',' || c == ';' || c == '\\')
            return false;
    }
    return true;
}

static bool is_attribute(const char *text) {
    for (; text != NULL && *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c >= 0x7f || c == ';')
            return false;
    }
    return true;
}

static size_t length_of(const char *text) {
    return text == NULL ? 0 : strlen(text);
}

static size_t write_cookie(char *out, size_t bytes, const struct covet_cookie *cookie) {
    static const char *const same_site[] = {"Lax", "Strict", "None"};
    char max_age[40] = "";

    if (cookie->max_age_s != 0)
        snprintf(max_age, sizeof(max_age), "; Max-Age=%" PRId64,
                 cookie->max_age_s < 0 ? 0 : cookie->max_age_s);
    return (size_t)snprintf(
        out, bytes, "%s=%s%s%s%s%s%s; SameSite=%s%s%s", cookie->name, cookie->value,
        cookie->path == NULL ? "" : "; Path=", cookie->path == NULL ? "" : cookie->path,
        cookie->domain == NULL ? "" : "; Domain=", cookie->domain == NULL ? "" : cookie->domain,
        max_age, same_site[cookie->same_site], cookie->secure ? "; Secure" : "",
        cookie->script_access ? "" : "; HttpOnly");
}

int covet_response_cookie(struct covet_response *response, const struct covet_cookie *cookie) {
    struct covet_request *request = cv_response_request(response);
    struct cv_span name;
    size_t bytes;
    char *text;

    if (cookie == NULL || cookie->name == NULL || cookie->value == NULL ||
        (unsigned)cookie->same_site > COVET_SAME_SITE_NONE)
        return -EINVAL;
    if (response->state != CV_RESPONSE_OPEN && response->state != CV_RESPONSE_LEAVING)
        return -EALREADY;
    name = cv_span_of(cookie->name);
    bytes = name.length + strlen(cookie->value) + length_of(cookie->path) +
            length_of(cookie->domain) + FIXED_BYTES;
    text = bytes > CV_LINES_BYTES_MAX ? NULL : cv_arena_alloc(&request->arena, bytes);
    if (text == NULL || !cv_headers_is_token(name) || !is_value(cv_span_of(cookie->value)) ||
        !is_attribute(cookie->path) || !is_attribute(cookie->domain)) {
        response->refused = true;
        cv_response_complain(response, CV_SPAN("Set-Cookie"), "the cookie cannot be sent");
        return -EBADMSG;
    }
    write_cookie(text, bytes, cookie);
    return covet_response_header(response, "Set-Cookie", text);
}
