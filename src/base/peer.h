// The address of a client, small enough to stand in every connection record.
#ifndef CV_BASE_PEER_H
#define CV_BASE_PEER_H

#include <stdint.h>

enum cv_peer_family { CV_PEER_UNKNOWN, CV_PEER_IPV4, CV_PEER_IPV6, CV_PEER_UNIX };

struct cv_peer {
    uint8_t family;  // enum cv_peer_family
    uint8_t reserved;
    uint16_t port;        // Host order.
    uint8_t address[16];  // IPv4: the first 4 bytes. Network order.
};

#endif
