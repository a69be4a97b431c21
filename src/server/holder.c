// /proc/net/tcp and tcp6 give the inodes of listening sockets on the port; the first process with
// one of them among its descriptors is the answer. Addresses are matched loosely: a listener on the
// wildcard address is in the way of every address, and one is enough to name.
#include "server/holder.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/span.h"

#define INODES_MAX 512u
#define STATE_LISTEN 0x0au  // TCP_LISTEN, include/net/tcp_states.h

static uint16_t port_of(const struct cv_address *address) {
    return address->socket.ss_family == AF_INET6
               ? ntohs(((const struct sockaddr_in6 *)&address->socket)->sin6_port)
               : ntohs(((const struct sockaddr_in *)&address->socket)->sin_port);
}

// The address as these files write it: 32-bit words in host order, in hexadecimal.
static void format_hex(const struct cv_address *address, char out[33]) {
    const uint8_t *bytes;
    size_t word_count = 1;
    if (address->socket.ss_family == AF_INET6) {
        bytes = (const uint8_t *)&((const struct sockaddr_in6 *)&address->socket)->sin6_addr;
        word_count = 4;
    } else {
        bytes = (const uint8_t *)&((const struct sockaddr_in *)&address->socket)->sin_addr;
    }
    for (size_t i = 0; i < word_count; i++) {
        uint32_t word;
        memcpy(&word, bytes + 4 * i, sizeof(word));
        snprintf(out + 8 * i, 9, "%08X", word);
    }
}

static bool is_wildcard(const char *hex) {
    return strspn(hex, "0") == strlen(hex);
}

static size_t read_inodes(const char *path, const struct cv_address *address,
                          unsigned long inodes[INODES_MAX], size_t count) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return count;
    }
    char wanted[33];
    format_hex(address, wanted);
    char line[512];
    while (count < INODES_MAX && fgets(line, sizeof(line), file) != NULL) {
        char local[33];
        unsigned port;
        unsigned state;
        unsigned long inode;
        if (sscanf(line, " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*d %lu", local,
                   &port, &state, &inode) != 4) {
            continue;
        }
        if (state == STATE_LISTEN && port == port_of(address) && inode != 0 &&
            (is_wildcard(local) || is_wildcard(wanted) || strcmp(local, wanted) == 0)) {
            inodes[count++] = inode;
        }
    }
    fclose(file);
    return count;
}

static bool process_has(const char *pid, const unsigned long *inodes, size_t count) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return false;
    }
    bool found = false;
    const struct dirent *entry;
    while (!found && (entry = readdir(directory)) != NULL) {
        char target[64];
        unsigned long inode;
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);
        if (length <= 0) {
            continue;
        }
        target[length] = '\0';
        if (sscanf(target, "socket:[%lu]", &inode) != 1) {
            continue;
        }
        for (size_t i = 0; i < count && !found; i++) {
            found = inodes[i] == inode;
        }
    }
    closedir(directory);
    return found;
}

void cv_holder_name(struct cv_holder *holder, pid_t pid) {
    char path[64];
    *holder = (struct cv_holder){.pid = pid};
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    if (fgets(holder->name, sizeof(holder->name), file) != NULL) {
        holder->name[strcspn(holder->name, "\n")] = '\0';
    }
    fclose(file);
    for (char *at = holder->name; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("-_.:/", *at) == NULL) {
            *at = '?';
        }
    }
}

bool cv_holder_find(const struct cv_address *address, struct cv_holder *holder) {
    unsigned long inodes[INODES_MAX];
    size_t count = read_inodes("/proc/net/tcp", address, inodes, 0);
    count = read_inodes("/proc/net/tcp6", address, inodes, count);
    DIR *directory = count > 0 ? opendir("/proc") : NULL;
    if (directory == NULL) {
        return false;
    }
    bool found = false;
    const struct dirent *entry;
    while (!found && (entry = readdir(directory)) != NULL) {
        uint64_t pid;
        if (cv_span_to_uint64(cv_span_of(entry->d_name), INT32_MAX, &pid) &&
            process_has(entry->d_name, inodes, count)) {
            cv_holder_name(holder, (pid_t)pid);
            found = true;
        }
    }
    closedir(directory);
    return found;
}
