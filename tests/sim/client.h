// What a model client is to the world. Each kind (HTTP now) plays one end of connections, one after
// the other, knows the right answers, and ends the run by sim_fail when it gets another one.
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_LENT_BYTES_MIN 8192u  // Of an answer that may be sent without a copy.

struct cv_limits;
struct sim_client;

struct sim_client_kind {
    const char *name;
    struct sim_client *(*create)(uint32_t index);
    // Does a little of what it could: connects, sends, takes. The kernel's event count says whether
    // it did anything.
    void (*step)(struct sim_client *client);
    // Until when it does nothing of its own accord; UINT64_MAX: it waits for the server.
    uint64_t (*wake_at_ns)(const struct sim_client *client);
    // Whether it has all its answers, and needs no more.
    bool (*is_done)(const struct sim_client *client);
    // One line about what it waits for.
    void (*describe)(const struct sim_client *client, char *line, size_t bytes);
    void (*destroy)(struct sim_client *client);
    // Holds a line of the access log, without its end, against what was asked. NULL: it may be any.
    void (*see_log_line)(const char *line);
};

extern const struct sim_client_kind sim_http_client;

// What the world tells clients.
struct sim_world_state {
    uint64_t answers;                // Complete ones, of all clients.
    uint64_t refusals;               // Of these: for lag.
    uint64_t lost;                   // Requests that were open when their connections ended.
    const struct cv_limits *limits;  // Their times never change in a run.
    uint32_t time_scale;             // Longer than usual, where time passes within turns.
    uint64_t handler_ns;             // What a handler usually takes then.
    bool is_crowded;                 // There are fewer connections than clients may want.
    bool is_enough;                  // No new request is begun.
    bool is_ending;          // The server drains or stops: connections may end between requests,
    bool is_stopped;         // or anywhere.
    uint64_t end_ns;         // When that was told,
    uint64_t drain_idle_ms;  // and how long who asks nothing is waited for.
};
extern struct sim_world_state sim_world;

#endif
