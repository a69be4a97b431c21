// Strict: a URL with parts that would be dropped silently (user, fragment) or that mean another
// protocol is refused with a sentence.
#include "load/target.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/span.h"
#include "http/headers.h"
#include "load/reason.h"

#define HTTP "http://"
#define HTTPS "https://"
#define UNIX "unix:"
#define TRY_MS 2000  // For one address to take a connection.

static bool has_prefix(const char *text, const char *prefix) {
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static int set_path(struct load_target *target, const char *path, const char **why) {
    int length = asprintf(&target->path, "%s%s", path[0] == '/' ? "" : "/", path);
    return length < 0 ? load_reason_give(why, -ENOMEM, "no memory for the URL") : 0;
}

static int parse_unix(struct load_target *target, const char *url, const char **why) {
    struct sockaddr_un *address = (struct sockaddr_un *)&target->address;
    const char *path = url + strlen(UNIX);
    const char *split = strstr(path, ":/");
    size_t path_bytes = split == NULL ? strlen(path) : (size_t)(split - path);
    if (path_bytes == 0) {
        return load_reason_give(why, -EINVAL, "'%.200s' names no socket: unix:/path/of/socket",
                                url);
    }
    if (path_bytes >= sizeof(address->sun_path)) {
        return load_reason_give(why, -EINVAL, "the path of a unix socket has at most %zu bytes",
                                sizeof(address->sun_path) - 1);
    }
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, path_bytes);
    target->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes + 1);
    snprintf(target->host, sizeof(target->host), "localhost");
    return set_path(target, split == NULL ? "/" : split + 1, why);
}

// Splits "name:port", "name", "[v6]:port", "[v6]".
static bool split_authority(struct load_target *target, struct cv_span authority) {
    struct cv_span name = authority;
    struct cv_span port = CV_SPAN("80");
    const char *name_end = memchr(authority.data, ':', authority.length);
    bool is_bracketed = authority.data[0] == '[';
    if (is_bracketed) {
        name_end = memchr(authority.data, ']', authority.length);
        if (name_end++ == NULL) {
            return false;
        }
    }
    if (name_end != NULL) {
        name.length = (size_t)(name_end - authority.data);
        if (name.length + 1 < authority.length) {  // "host:" has the default port.
            port = cv_span_make(name_end + 1, authority.length - name.length - 1);
        }
    }
    if (is_bracketed) {
        name = cv_span_make(name.data + 1, name.length - 2);
    }
    uint64_t number;
    if (!cv_span_to_uint64(port, UINT16_MAX, &number) || number == 0 || name.length == 0 ||
        name.length >= sizeof(target->name)) {
        return false;
    }
    memcpy(target->name, name.data, name.length);
    snprintf(target->port, sizeof(target->port), "%u", (unsigned)number);
    // The default port is left out, as RFC 9110 section 4.2.3 has it.
    snprintf(target->host, sizeof(target->host), is_bracketed ? "[%s]%s%s" : "%s%s%s", target->name,
             number == 80 ? "" : ":", number == 80 ? "" : target->port);
    return true;
}

static int parse_http(struct load_target *target, const char *url, const char **why) {
    const char *rest = url + strlen(HTTP);
    struct cv_span authority = cv_span_make(rest, strcspn(rest, "/?#"));
    if (memchr(authority.data, '@', authority.length) != NULL) {
        return load_reason_give(why, -EINVAL, "'%.200s' names a user; use -H 'Authorization: ...'",
                                url);
    }
    if (!cv_headers_is_host(authority) || authority.length == 0 ||
        !split_authority(target, authority)) {
        return load_reason_give(why, -EINVAL, "'%.200s' is no host, or its port is none",
                                strndupa(authority.data, CV_MIN(authority.length, 200)));
    }
    return set_path(target, authority.data + authority.length, why);
}

int load_target_parse(struct load_target *target, const char *url, const char **why) {
    *target = (struct load_target){0};
    if (has_prefix(url, HTTPS)) {
        return load_reason_give(
            why, -EINVAL, "https:// is not spoken here: covet-load measures HTTP/1.1 without TLS");
    }
    if (has_prefix(url, HTTP)) {
        return parse_http(target, url, why);
    }
    if (has_prefix(url, UNIX)) {
        return parse_unix(target, url, why);
    }
    return load_reason_give(why, -EINVAL, "'%.200s' begins with neither http:// nor unix:", url);
}

static bool takes_connection(const struct addrinfo *info) {
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    bool is_open = connect(fd, info->ai_addr, info->ai_addrlen) == 0;
    if (!is_open && errno == EINPROGRESS) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        int error = 0;
        socklen_t bytes = sizeof(error);
        is_open = poll(&ready, 1, TRY_MS) == 1 &&
                  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && error == 0;
    }
    close(fd);
    return is_open;
}

// A server may listen on one of "localhost"'s two addresses only.
static const struct addrinfo *choose(const struct addrinfo *first) {
    if (first->ai_next == NULL) {
        return first;
    }
    for (const struct addrinfo *info = first; info != NULL; info = info->ai_next) {
        if (takes_connection(info)) {
            return info;
        }
    }
    return first;
}

int load_target_resolve(struct load_target *target, const char **why) {
    if (target->address.ss_family == AF_UNIX) {
        return 0;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    int error = getaddrinfo(target->name, target->port, &hints, &found);
    if (error != 0) {
        return load_reason_give(why, -ENOENT, "'%s' has no address: %s", target->name,
                                error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    }
    const struct addrinfo *chosen = choose(found);
    memcpy(&target->address, chosen->ai_addr, chosen->ai_addrlen);
    target->address_bytes = chosen->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

void load_target_deinit(struct load_target *target) {
    free(target->path);
    *target = (struct load_target){0};
}
