// What a worker promises about requests it sheds when work waits too long, checked whatever the
// server itself thinks (docs/notes/0019-overload.md): lag.c stands between the files of the server,
// through the linker, and sees every echo, every request that asks whether it may run, and the end
// of every turn. A promise that is broken ends the run.
#ifndef SIM_LAG_H
#define SIM_LAG_H

#include <stdbool.h>
#include <stdint.h>

void sim_lag_init(void);

// The handler of a request takes time now, as the seed decides; for handlers.
void sim_lag_burn(void);

// A client has got a 503 that asks it to come back, or an end before any answer. False: the worker
// has refused no more requests, or turned away no more connections, than were seen already.
bool sim_lag_refusal(uint32_t worker);
bool sim_lag_turned_away(uint32_t worker);

// Whether any of these workers still sheds. It must not for long behind the last one it shed.
bool sim_lag_is_shedding(uint32_t worker_count);

// All clients are gone. `lost` requests were open when their connections ended, so that nobody saw
// whether they were refused.
void sim_lag_end(uint32_t worker_count, uint64_t lost);

#endif
