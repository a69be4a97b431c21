// The whole server on the simulated kernel (tests/sim): the input says how the run is laid out,
// what clients send and do, and which way every choice of the simulation goes. What must hold is
// said in sim/kernel.h and fuzz/server_dialogue.h; and whatever was sent, all is over in the end.
//
//   byte 0       workers
//   bytes 1..4   which faults may happen: bits of enum sim_fault, the lowest first; none in which
//                time passes within turns
//   byte 5       N: the last N bytes of the input are choices, the first ones of the run. The
//   others
//                come from a generator that they seed
//   the rest     a script: bytes to be sent on one connection after the other. 0xfe begins an
//   order:
//                0 to 3     the connection that is meant from now on, made where there is none
//                h, a, c    it is closed one way; gone with a reset; closed
//                s          let the server have what was written so far
//                t and T    that many times 20 ms pass
//                w and W    it takes no more than 16 * W unread bytes
//                r          it reads no more, or goes on reading
//                f          the byte 0xfe
//
// COVET_FUZZ_TRACE=1 prints the timeline of what is run.
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/compiler.h"
#include "fuzz/server_application.h"
#include "fuzz/server_dialogue.h"
#include "sim/client.h"
#include "sim/kernel.h"
#include "sim/random.h"
#include "sim/world.h"

#define HEAD_BYTES 6u
#define CONNECTIONS_MAX 4u
#define ORDER 0xfe
#define WINDOW_BYTES 65536u
#define TICK_NS 20000000ull

struct connection {
    struct sim_socket *socket;  // NULL: none
    struct dialogue *dialogue;  // owned
    bool is_deaf;
    bool is_narrow;
    bool is_shut;
};

// The one client of the simulation: plays the script on all connections.
struct sim_client {
    struct connection connection[CONNECTIONS_MAX];
    uint32_t current;
    uint64_t wake_at_ns;
    bool has_played;
};

struct sim_world_state sim_world;

static struct {
    const uint8_t *script, *script_end;
    const uint8_t *choices, *choices_end;
} input;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Each run maps its workers' memory anew: clearing huge pages would take most of its time.
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    sim.is_traced = getenv("COVET_FUZZ_TRACE") != NULL;
    return prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

// Memory of a run that is over need not be kept for long, and large pieces come again at once.
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "quarantine_size_mb=8:malloc_context_size=6";
}

bool sim_random_choose(uint64_t *draw) {
    if (input.choices == input.choices_end) {
        return false;
    }
    // The most significant bits decide most.
    *draw = *input.choices++ * 0x0101010101010101u;
    return true;
}

// sim_fail leaves by it; libFuzzer must hear of that.
_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap__exit(int status) {
    (void)status;
    abort();
}

// One connection.
static void leave(struct connection *connection, bool reset) {
    sim_socket_close(connection->socket, reset);
    dialogue_destroy(connection->dialogue);
    *connection = (struct connection){0};
}

// A server that ends takes no more connections.
static void need(struct connection *connection) {
    if (connection->socket == NULL && !sim_world.is_ending &&
        (connection->socket = sim_connect()) != NULL) {
        connection->dialogue = dialogue_create();
        sim_socket_set_window(connection->socket, WINDOW_BYTES);
    }
}

static void listen_to(struct connection *connection) {
    size_t length;
    const uint8_t *data = sim_socket_peek(connection->socket, &length);
    dialogue_wait(connection->dialogue, connection->is_deaf || connection->is_narrow, sim.now_ns);
    if (connection->is_deaf) {
        return;
    }
    if (length > 0) {
        length = sim_random_chance(&sim.random, 800)
                     ? length
                     : sim_random_size(&sim.random, (uint32_t)length);
        dialogue_received(connection->dialogue, data, length, sim.now_ns);
        sim_socket_consume(connection->socket, length);
    } else if (sim_socket_is_ended(connection->socket) || sim_socket_is_reset(connection->socket)) {
        dialogue_ended(connection->dialogue, sim_socket_is_reset(connection->socket),
                       sim_world.is_stopped || sim_socket_was_struck(connection->socket) ||
                           sim_socket_was_too_many(connection->socket));
        leave(connection, false);
    }
}

// The script.
static void send_bytes(struct connection *connection) {
    size_t length = 0;
    while (input.script + length < input.script_end && input.script[length] != ORDER) {
        length++;
    }
    if (sim_random_chance(&sim.random, 300)) {
        length = sim_random_size(&sim.random, (uint32_t)length);
    }
    need(connection);
    if (connection->socket != NULL && !connection->is_shut) {
        (void)sim_socket_send(connection->socket, input.script, length);
        dialogue_sent(connection->dialogue, input.script, length, sim.now_ns);
    }
    input.script += length;
}

static uint8_t next_byte(void) {
    return input.script < input.script_end ? *input.script++ : 0;
}

static void obey(struct sim_client *client) {
    static const uint8_t literal = ORDER;
    struct connection *connection = &client->connection[client->current];
    uint8_t order = next_byte();
    sim_event("order", order, client->current);
    if (order >= '0' && order < '0' + CONNECTIONS_MAX) {
        client->current = (uint32_t)(order - '0');
        need(&client->connection[client->current]);
        return;
    }
    uint8_t number = order == 't' || order == 'w' ? next_byte() : 0;
    if (order == 't') {
        client->wake_at_ns = sim.now_ns + number * TICK_NS;
    }
    if (connection->socket == NULL) {
        return;
    }
    if (order == 'w') {
        sim_socket_set_window(connection->socket, 16u * number);
        connection->is_narrow = true;
    } else if (order == 'r') {
        connection->is_deaf = !connection->is_deaf;
    } else if (order == 'a' || order == 'c') {
        leave(connection, order == 'a');
    } else if (order == 'h' && !connection->is_shut) {
        connection->is_shut = true;
        sim_socket_shutdown(connection->socket);
        dialogue_half_closed(connection->dialogue);
    } else if (order == 'f' && !connection->is_shut) {
        (void)sim_socket_send(connection->socket, &literal, 1);
        dialogue_sent(connection->dialogue, &literal, 1, sim.now_ns);
    }
}

// Takes all that comes from now on, so that everything comes to an end.
static void end_script(struct sim_client *client) {
    client->has_played = true;
    sim_event("script ends", 0, 0);
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &client->connection[i];
        if (connection->socket != NULL) {
            connection->is_deaf = connection->is_narrow = false;
            sim_socket_set_window(connection->socket, WINDOW_BYTES);
        }
    }
}

static void step(struct sim_client *client) {
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (client->connection[i].socket != NULL) {
            listen_to(&client->connection[i]);
        }
    }
    if (sim.now_ns < client->wake_at_ns || client->has_played) {
        return;
    }
    if (input.script == input.script_end) {
        end_script(client);
    } else if (*input.script == ORDER) {
        input.script++;
        obey(client);
    } else {
        send_bytes(&client->connection[client->current]);
    }
}

static bool is_done(const struct sim_client *client) {
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (client->connection[i].socket != NULL) {
            return false;
        }
    }
    return client->has_played;
}

// When all is over a run whose end is left to chance waits for that.
static uint64_t wake_at_ns(const struct sim_client *client) {
    return is_done(client)      ? sim.now_ns + TICK_NS
           : client->has_played ? UINT64_MAX
                                : CV_MAX(client->wake_at_ns, sim.now_ns);
}

static void describe(const struct sim_client *client, char *line, size_t bytes) {
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (client->connection[i].socket != NULL) {
            dialogue_describe(client->connection[i].dialogue, line, bytes);
        }
    }
}

static struct sim_client *create(uint32_t index) {
    static struct sim_client client;
    (void)index;
    client = (struct sim_client){0};
    return &client;
}

static void destroy(struct sim_client *client) {
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (client->connection[i].socket != NULL) {
            leave(&client->connection[i], true);
        }
    }
}

const struct sim_client_kind sim_http_client = {
    .name = "script",
    .create = create,
    .step = step,
    .wake_at_ns = wake_at_ns,
    .is_done = is_done,
    .describe = describe,
    .destroy = destroy,
};

static uint64_t seed_of(const uint8_t *head, const uint8_t *choices, size_t count) {
    uint64_t seed = 0;
    for (size_t i = 0; i < HEAD_BYTES; i++) {
        seed = seed * 257 + head[i];
    }
    for (size_t i = 0; i < count; i++) {
        seed = seed * 0x100000001b3u + choices[i];
    }
    return seed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD_BYTES) {
        return 0;
    }
    size_t choices = CV_MIN((size_t)data[5], size - HEAD_BYTES);
    input.script = data + HEAD_BYTES;
    input.script_end = input.choices = data + size - choices;
    input.choices_end = data + size;
    struct sim_plan plan = {
        .seed = seed_of(data, input.choices, choices),
        .faults = ((uint64_t)data[1] | (uint64_t)data[2] << 8 | (uint64_t)data[3] << 16 |
                   (uint64_t)data[4] << 24) &
                  ((1ull << SIM_BUSY) - 1),
        .worker_count = 1 + data[0] % SIM_WORKERS_MAX,
        .client_count = 1,
    };
    (void)sim_run(&plan);
    server_application_reset();
    return 0;
}
