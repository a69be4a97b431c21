// Addresses are compared in their binary form, so that [::1]:80 and [0:0::1]:80 are one.
#include "server/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/span.h"

#define UNIX_PREFIX "unix:"
#define UNIX_PREFIX_BYTES (sizeof(UNIX_PREFIX) - 1)

_Static_assert(CV_SETTINGS_PATH_BYTES >
                   UNIX_PREFIX_BYTES + sizeof(((struct sockaddr_un *)0)->sun_path),
               "every unix address has room for its text");

static void make_unix(struct cv_address *address, const char *path, size_t path_bytes) {
    *address = (struct cv_address){0};
    struct sockaddr_un *socket = (struct sockaddr_un *)&address->socket;
    socket->sun_family = AF_UNIX;
    memcpy(socket->sun_path, path, path_bytes);
    address->socket_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_bytes + 1);
    snprintf(address->text, sizeof(address->text), UNIX_PREFIX "%s", socket->sun_path);
}

static bool parse_unix(const char *path, struct cv_address *address, const char **reason) {
    size_t path_bytes = strlen(path);
    if (path_bytes == 0) {
        *reason = "the path of the unix socket is missing";
        return false;
    }
    if (path_bytes >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        *reason = "the path of a unix socket has at most 107 bytes";
        return false;
    }
    make_unix(address, path, path_bytes);
    return true;
}

// Splits HOST:PORT or [HOST]:PORT at its last colon; `host` gets the part without brackets.
static bool split_host(const char *text, char *host, size_t host_room, const char **port,
                       bool *bracketed) {
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return false;
    }
    size_t length = (size_t)(colon - text);
    *bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    if (*bracketed) {
        text++;
        length -= 2;
    }
    if (length >= host_room) {
        return false;
    }
    memcpy(host, text, length);
    host[length] = '\0';
    *port = colon + 1;
    return true;
}

bool cv_address_parse(const char *text, struct cv_address *address, const char **reason) {
    if (strncmp(text, UNIX_PREFIX, UNIX_PREFIX_BYTES) == 0) {
        return parse_unix(text + UNIX_PREFIX_BYTES, address, reason);
    }
    char host[INET6_ADDRSTRLEN];
    const char *port_text;
    bool bracketed;
    if (!split_host(text, host, sizeof(host), &port_text, &bracketed)) {
        *reason = "an address is written ADDR:PORT, [IPv6]:PORT or unix:PATH";
        return false;
    }
    uint64_t port = 0;
    if (!cv_span_to_uint64(cv_span_of(port_text), UINT16_MAX, &port) || port == 0) {
        *reason = "a port is a number from 1 to 65535";
        return false;
    }
    struct cv_address found = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&found.socket;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&found.socket;
    if (!bracketed && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        found.socket_bytes = sizeof(*v4);
    } else if (bracketed && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        found.socket_bytes = sizeof(*v6);
    } else {
        *reason = "the host is an IPv4 address or an IPv6 address in brackets; names are not "
                  "looked up";
        return false;
    }
    snprintf(found.text, sizeof(found.text), "%s", text);
    *address = found;
    return true;
}

int cv_address_of_socket(int fd, struct cv_address *address) {
    struct cv_address found = {.socket_bytes = sizeof(found.socket)};
    if (getsockname(fd, (struct sockaddr *)&found.socket, &found.socket_bytes) < 0) {
        return -errno;
    }
    char host[INET6_ADDRSTRLEN];
    if (found.socket.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&found.socket;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(found.text, sizeof(found.text), "%s:%u", host, ntohs(v4->sin_port));
    } else if (found.socket.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&found.socket;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(found.text, sizeof(found.text), "[%s]:%u", host, ntohs(v6->sin6_port));
    } else if (found.socket.ss_family == AF_UNIX) {
        const struct sockaddr_un *local = (const struct sockaddr_un *)&found.socket;
        size_t path_bytes = strnlen(local->sun_path, sizeof(local->sun_path) - 1);
        if (path_bytes == 0) {
            return -EAFNOSUPPORT;  // Unnamed or abstract.
        }
        struct cv_address named;
        make_unix(&named, local->sun_path, path_bytes);
        found = named;
    } else {
        return -EAFNOSUPPORT;
    }
    *address = found;
    return 0;
}

bool cv_address_equal(const struct cv_address *a, const struct cv_address *b) {
    if (a->socket.ss_family != b->socket.ss_family) {
        return false;
    }
    if (a->socket.ss_family == AF_INET) {
        const struct sockaddr_in *left = (const struct sockaddr_in *)&a->socket;
        const struct sockaddr_in *right = (const struct sockaddr_in *)&b->socket;
        return left->sin_port == right->sin_port && left->sin_addr.s_addr == right->sin_addr.s_addr;
    }
    if (a->socket.ss_family == AF_INET6) {
        const struct sockaddr_in6 *left = (const struct sockaddr_in6 *)&a->socket;
        const struct sockaddr_in6 *right = (const struct sockaddr_in6 *)&b->socket;
        return left->sin6_port == right->sin6_port &&
               memcmp(&left->sin6_addr, &right->sin6_addr, sizeof(left->sin6_addr)) == 0;
    }
    return a->socket.ss_family == AF_UNIX && strcmp(cv_address_path(a), cv_address_path(b)) == 0;
}

const char *cv_address_path(const struct cv_address *address) {
    return ((const struct sockaddr_un *)&address->socket)->sun_path;
}

bool cv_address_is_loopback(const struct cv_address *address) {
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)(const void *)&address->socket;
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)(const void *)&address->socket;
    if (address->socket.ss_family == AF_INET) {
        return ntohl(ipv4->sin_addr.s_addr) >> 24 == 127;
    }
    return address->socket.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&ipv6->sin6_addr);
}
