// Opening connections straight into a ring's descriptor table.
//
// Two ways, the same outcome: one linked chain of ring operations (socket, options, bind, connect;
// Linux 6.7, with bind 6.11), or system calls for all but the connect. The first chain that fails
// before its connect shows that this kernel lacks something, and everything goes the other way
// from then on.
#ifndef LOAD_DIAL_H
#define LOAD_DIAL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "load/ring.h"

struct load_dialer {
    const struct sockaddr_storage *address;  // borrowed
    socklen_t address_bytes;
    unsigned client_count;        // Client addresses, from 127.0.0.2 on; 0: the kernel's choice.
    struct sockaddr_in *clients;  // owned; `client_count` of them
    bool local;                   // TCP to a loopback address.
    bool chained;                 // By one chain of ring operations.
};

// Returns 0 or -ENOMEM. `address` stays until deinit.
int load_dialer_init(struct load_dialer *dialer, const struct sockaddr_storage *address,
                     socklen_t address_bytes, unsigned client_count);
void load_dialer_deinit(struct load_dialer *dialer);

// Begins to connect place `file`, which is empty, of the ring's table. `turn` picks the client
// address. Exactly one completion follows: with `connect_data` that of the connect, 0 or -errno;
// or, when the connect was not come to, with `failed_data` -errno (see load_dialer_fall_back).
// Returns 0, or -errno when nothing was begun and no completion follows.
int load_dialer_start(struct load_dialer *dialer, struct load_ring *ring, unsigned file,
                      unsigned turn, uint64_t connect_data, uint64_t failed_data);

// After a completion with `failed_data`: start again, it will go the other way.
void load_dialer_fall_back(struct load_dialer *dialer);

// Whether `address` is an IPv4 loopback address, whose clients may have many addresses.
bool load_dialer_is_loopback4(const struct sockaddr_storage *address);

#endif
