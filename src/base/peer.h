// The address of a client, small enough to stand in every connection record.
#ifndef CV_BASE_PEER_H
#define CV_BASE_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum cv_peer_family { CV_PEER_UNKNOWN, CV_PEER_IPV4, CV_PEER_IPV6, CV_PEER_UNIX };

struct cv_peer {
    uint8_t family;  // enum cv_peer_family
    uint8_t reserved;
    uint16_t port;        // Host order.
    uint8_t address[16];  // IPv4: the first 4 bytes. Network order.
};

// Whether it is known to be no process of this machine, as far as its address alone can tell.
static inline bool cv_peer_is_remote(const struct cv_peer *peer) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};  // ::ffff:0:0/96
    static const uint8_t loopback[16] = {[15] = 1};
    switch ((enum cv_peer_family)peer->family) {
    case CV_PEER_IPV4:
        return peer->address[0] != 127;
    case CV_PEER_IPV6:
        return memcmp(peer->address, loopback, sizeof(loopback)) != 0 &&
               (memcmp(peer->address, mapped, sizeof(mapped)) != 0 || peer->address[12] != 127);
    case CV_PEER_UNKNOWN:
    case CV_PEER_UNIX:
        break;
    }
    return false;
}

#endif
