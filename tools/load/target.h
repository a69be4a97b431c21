// The URL: whom to connect to, and what to ask for unless a request file says it.
//
//   http://host[:port][/path][?query]      host: a name, an IPv4 address, an [IPv6] address
//   unix:/path/of/socket[:/path]           the second path begins at the first ":/"
#ifndef LOAD_TARGET_H
#define LOAD_TARGET_H

#include <sys/socket.h>

struct load_target {
    char name[256];  // What is looked up: no brackets, no port; empty for a unix socket.
    char port[8];
    char host[272];                   // The Host field's value.
    char *path;                       // Owned. Origin-form, "/" where the URL has none.
    struct sockaddr_storage address;  // Complete at once for a unix socket, else once resolved.
    socklen_t address_bytes;
};

// Takes a URL apart. Returns 0, or -EINVAL or -ENOMEM with a sentence in `*why` (until the next
// call), `*target` needs no deinit then. Whether `path` can be sent is not looked at.
int load_target_parse(struct load_target *target, const char *url, const char **why);

// Looks the name up; blocks. Of several addresses the first that takes a connection is chosen, the
// first of all when none does. Returns 0, or -ENOENT with a sentence in `*why`.
int load_target_resolve(struct load_target *target, const char **why);

void load_target_deinit(struct load_target *target);

#endif
