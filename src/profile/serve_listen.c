// Names are not looked up: what a name means can change, and then the page would be served to
// somebody else.
#include "profile/serve_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/span.h"

#define BACKLOG 64

// Splits HOST:PORT or [HOST]:PORT. An IPv6 address without brackets has more than one colon.
static bool split(const char *text, char host[CV_SERVE_LISTEN_TEXT_BYTES], const char **port) {
    const char *colon = strrchr(text, ':');
    size_t length = colon == NULL ? 0 : (size_t)(colon - text);
    bool bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
    if (length == 0 || length >= CV_SERVE_LISTEN_TEXT_BYTES ||
        bracketed != (strchr(text, ':') != colon)) {
        return false;
    }
    *port = colon + 1;
    snprintf(host, CV_SERVE_LISTEN_TEXT_BYTES, "%.*s", (int)(bracketed ? length - 2 : length),
             bracketed ? text + 1 : text);
    return true;
}

static bool resolve(const char *text, struct addrinfo **found) {
    static const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
    };
    char host[CV_SERVE_LISTEN_TEXT_BYTES];
    const char *port;
    uint64_t number;
    // getaddrinfo(3) of glibc takes 65536 for 0.
    return split(text, host, &port) && cv_span_to_uint64(cv_span_of(port), UINT16_MAX, &number) &&
           getaddrinfo(host, port, &hints, found) == 0;
}

static bool is_loopback(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static int bind_and_listen(const struct addrinfo *address) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0) {
        return -errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

static void write_bound(int fd, char bound[CV_SERVE_LISTEN_TEXT_BYTES]) {
    struct sockaddr_storage address = {0};
    socklen_t bytes = sizeof(address);
    char host[CV_SERVE_LISTEN_TEXT_BYTES - 10] = "";
    char port[8] = "";
    getsockname(fd, (struct sockaddr *)&address, &bytes);
    getnameinfo((const struct sockaddr *)&address, bytes, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(bound, CV_SERVE_LISTEN_TEXT_BYTES, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
             host, port);
}

int cv_serve_listen_open(const char *text, bool allow_remote,
                         char bound[CV_SERVE_LISTEN_TEXT_BYTES], char *message,
                         size_t message_bytes) {
    struct addrinfo *address;
    if (!resolve(text, &address)) {
        snprintf(message, message_bytes,
                 "--listen %s: an address is written 127.0.0.1:9464 or [::1]:9464", text);
        return -EINVAL;
    }
    int fd = -EPERM;
    if (!allow_remote && !is_loopback(address->ai_addr)) {
        snprintf(message, message_bytes,
                 "--listen %s: others can reach this address; say --allow-remote if they may",
                 text);
    } else if ((fd = bind_and_listen(address)) < 0) {
        snprintf(message, message_bytes, "--listen %s: %s", text, strerror(-fd));
    } else {
        write_bound(fd, bound);
    }
    freeaddrinfo(address);
    return fd;
}
