// How many connections each client address holds on this worker, for the cap per address. IPv6
// clients count by their /64, the smallest block one site gets (RFC 6177). Single thread.
#ifndef CV_NET_ADMISSION_H
#define CV_NET_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/peer.h"

struct cv_admission;

// Room for `connections_max` addresses at once. NULL when memory is exhausted.
CV_MUST_USE struct cv_admission *cv_admission_create(uint32_t connections_max);
void cv_admission_destroy(struct cv_admission *admission);

// Counts one connection of `peer`, unless it has `count_max` already. Unix peers always enter.
bool cv_admission_enter(struct cv_admission *admission, const struct cv_peer *peer,
                        uint32_t count_max);

// Takes one back that entered.
void cv_admission_leave(struct cv_admission *admission, const struct cv_peer *peer);

#endif
