// An HTTP/1.1 client that knows the right answers: it writes requests, pipelined, whole or in
// pieces, and holds what comes back against a list of what must come, byte by byte, keeping none of
// it. It is strict about the end of a connection too: a server may close one that misbehaves, or
// is slow, or was told to close, and no other.
#include "sim/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "sim/kernel.h"
#include "sim/pattern.h"
#include "sim/torture.h"

#define DEPTH_MAX 16u
#define HEAD_BYTES_MAX 2048u
#define OUTPUT_BYTES_MAX (512u * 1024u)
#define SMALL_BYTES_MAX 2048u
#define LARGE_BYTES_MAX 150000u
#define MS_NS 1000000ull
// Less than every time-out of the server; a client that was quiet for longer may be closed.
#define PATIENCE_NS (900 * MS_NS)
#define SLOW_NS (4000 * MS_NS)

enum kind {
    HELLO,
    SWAP,
    BYTES,
    STREAM,
    KNOWN,
    LATER,
    ACROSS,
    ECHO,
    UPLOAD,
    EARLY,
    MISSING,
    BAD,
    RICH,  // Where it is asked for by its path alone.
    KIND_COUNT,
};

struct expectation {
    enum kind kind;
    uint64_t nonce;
    uint64_t count;  // Bytes of the answer where they are a pattern.
    char text[40];   // Else the answer.
    bool is_head;
    bool asks_to_close;
    bool is_old;  // HTTP/1.0
    int status;   // Of a refusal that is excused. 0: what its kind says.
};

enum state { IN_HEAD, IN_BODY, IN_SIZE, IN_CHUNK, BEHIND_CHUNK, IN_TRAILERS, UP_TO_END };

struct sim_client {
    uint32_t index;
    struct sim_socket *socket;  // NULL: none
    uint8_t *output;            // owned; requests not sent yet
    size_t output_length, output_sent;
    struct expectation expected[DEPTH_MAX];
    uint32_t expected_first, expected_count;
    uint32_t requests_left;  // On this connection.
    uint32_t depth;
    enum state state;
    char head[HEAD_BYTES_MAX + 1];
    size_t head_length;
    uint64_t body_left, body_at;
    bool closes;      // The server said so.
    bool is_refused;  // Too slow, it said.
    bool has_ended, has_erred;
    bool was_late;  // Quiet for so long that the server may have given up.
    bool is_slow, is_tiny, is_small;
    uint64_t wake_at_ns;
    uint64_t progress_ns;  // When bytes of ours last went out, or an answer was complete.
    uint64_t begun_ns;     // When the connection was made.
    uint64_t asked_ns;     // When what is being sent was begun.
};

struct sim_world_state sim_world;

// Requests.
__attribute__((format(printf, 2, 3))) static void put(struct sim_client *client, const char *format,
                                                      ...) {
    va_list list;
    va_start(list, format);
    int length = vsnprintf((char *)client->output + client->output_length,
                           OUTPUT_BYTES_MAX - client->output_length, format, list);
    va_end(list);
    client->output_length += (size_t)length;
}

static void put_pattern(struct sim_client *client, size_t length, uint64_t nonce, uint64_t offset) {
    sim_pattern_fill(client->output + client->output_length, length, nonce, offset);
    client->output_length += length;
}

static void put_chunked(struct sim_client *client, size_t count, uint64_t nonce) {
    size_t at = 0;
    while (at < count) {
        size_t piece = sim_random_size(&sim.random, 8192);
        piece = CV_MIN(count - at, piece);
        put(client, sim_random_chance(&sim.random, 50) ? "%zx;a=b\r\n" : "%zx\r\n", piece);
        put_pattern(client, piece, nonce, at);
        put(client, "\r\n");
        at += piece;
    }
    put(client, sim_random_chance(&sim.random, 100) ? "0\r\nX-Trailer: 1\r\n\r\n" : "0\r\n\r\n");
}

static void put_fields(struct sim_client *client, const struct expectation *expected) {
    put(client, " HTTP/1.%d\r\nHost: sim:%u\r\n", expected->is_old ? 0 : 1, client->index);
    if (sim_random_chance(&sim.random, 200)) {
        put(client, "User-Agent: model/1.0\r\nAccept: */*\r\nX-Filler: %0*d\r\n",
            (int)sim_random_size(&sim.random, 200), 0);
    }
    if (expected->asks_to_close && !expected->is_old) {
        put(client, "Connection: close\r\n");
    }
}

static void put_body(struct sim_client *client, const struct expectation *expected, size_t count) {
    bool is_chunked = !expected->is_old && sim_random_chance(&sim.random, 400);
    if (count > 0 && !expected->is_old && sim_random_chance(&sim.random, 50)) {
        put(client, "Expect: 100-continue\r\n");
    }
    if (is_chunked) {
        put(client, "Transfer-Encoding: chunked\r\n\r\n");
        put_chunked(client, count, expected->nonce);
    } else {
        put(client, "Content-Length: %zu\r\n\r\n", count);
        put_pattern(client, count, expected->nonce, 0);
    }
}

static size_t body_size(void) {
    uint32_t max = sim_random_chance(&sim.random, 30 + sim.plan.large_in_thousand)
                       ? LARGE_BYTES_MAX
                       : SMALL_BYTES_MAX;
    return sim_random_size(&sim.random, max) - 1;
}

static enum kind choose_any(void) {
    static const struct {
        enum kind kind;
        uint32_t weight;
    } all[] = {{HELLO, 400}, {SWAP, 60},  {BYTES, 120}, {STREAM, 60}, {KNOWN, 40},  {LATER, 20},
               {ACROSS, 50}, {ECHO, 120}, {UPLOAD, 80}, {EARLY, 20},  {MISSING, 30}};
    uint32_t at = sim_random_below(&sim.random, 1000);
    for (size_t i = 0; i < CV_ARRAY_COUNT(all); i++) {
        if (at < all[i].weight) {
            return all[i].kind;
        }
        at -= all[i].weight;
    }
    return HELLO;
}

static const char *const paths[KIND_COUNT] = {
    [HELLO] = "/hello",   [SWAP] = "/swap",   [BYTES] = "/bytes",     [STREAM] = "/stream",
    [KNOWN] = "/known",   [LATER] = "/later", [ACROSS] = "/across",   [ECHO] = "/echo",
    [UPLOAD] = "/upload", [EARLY] = "/early", [MISSING] = "/missing", [RICH] = "/rich"};

static enum kind choose_kind(void) {
    if (sim.plan.paths == NULL) {
        return choose_any();
    }
    enum kind kind;
    do {
        kind = (enum kind)sim_random_below(&sim.random, KIND_COUNT);
    } while (paths[kind] == NULL || strstr(sim.plan.paths, paths[kind]) == NULL);
    return kind;
}

static void put_bad(struct sim_client *client, struct expectation *expected) {
    static const char *const all[] = {
        "GET /hello/1\r\n\r\n",
        "GET /hello/1 HTTP/1.1\r\n\r\n",
        "GET /hello/1 HTTP/1.1\r\nHost : sim\r\n\r\n",
        "POST /echo/1 HTTP/1.1\r\nHost: sim\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        "POST /echo/1 HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "\x16\x03\x01\x02 hello\r\n\r\n",
    };
    expected->kind = BAD;
    put(client, "%s", all[sim_random_below(&sim.random, CV_ARRAY_COUNT(all))]);
    client->requests_left = 0;
    client->has_erred = true;
}

static bool is_pattern(enum kind kind) {
    return kind == BYTES || kind == STREAM || kind == KNOWN || kind == ECHO;
}

static void write_request(struct sim_client *client) {
    struct expectation *expected =
        &client->expected[(client->expected_first + client->expected_count++) % DEPTH_MAX];
    client->requests_left--;
    *expected = (struct expectation){
        .kind = choose_kind(),
        .nonce = sim_random_below(&sim.random, 1000000000),
        .is_old = sim_random_chance(&sim.random, 10),
    };
    if (sim_strikes(SIM_BAD_REQUEST, 10)) {
        put_bad(client, expected);
        return;
    }
    expected->asks_to_close =
        expected->is_old || (client->requests_left == 0 && sim_random_chance(&sim.random, 500));
    if (expected->asks_to_close) {
        client->requests_left = 0;
    }
    size_t count = body_size();
    unsigned long long nonce = expected->nonce;
    const char *path = paths[expected->kind];
    switch (expected->kind) {
    case BYTES:
    case STREAM:
    case KNOWN:
        expected->is_head = expected->kind == BYTES && sim_random_chance(&sim.random, 100);
        expected->count = count;
        put(client, "%s %s/%llu/%zu", expected->is_head ? "HEAD" : "GET", path, nonce, count);
        put_fields(client, expected);
        put(client, "\r\n");
        break;
    case LATER:
        put(client, "GET %s/%llu/%u", path, nonce, sim_random_size(&sim.random, 300));
        put_fields(client, expected);
        put(client, "\r\n");
        break;
    case RICH:
        expected->is_head = sim_random_chance(&sim.random, 200);
        put(client, "%s %s/%llu/a%%20b?z&x=%%41+", expected->is_head ? "HEAD" : "GET", path, nonce);
        put_fields(client, expected);
        put(client, "Cookie: c=1\r\n\r\n");
        break;
    case ECHO:
    case UPLOAD:
    case EARLY:
        expected->count = expected->kind == ECHO ? count : 0;
        put(client, "POST %s/%llu", path, nonce);
        put_fields(client, expected);
        put_body(client, expected, count);
        break;
    default:
        put(client, "GET %s/%llu", path, nonce);
        put_fields(client, expected);
        put(client, "\r\n");
        break;
    }
    sim_event(path, expected->nonce, count);
    if (expected->kind == UPLOAD) {
        (void)snprintf(expected->text, sizeof(expected->text), "took %zu", count);
    } else if (expected->kind == RICH) {
        (void)snprintf(expected->text, sizeof(expected->text), "{\"rich\":%llu}", nonce);
    } else if (!is_pattern(expected->kind) && expected->kind != MISSING) {
        (void)snprintf(expected->text, sizeof(expected->text), "%s %llu", path + 1, nonce);
    }
}

// Answers.
_Noreturn static void wrong(const struct sim_client *client, const char *what) {
    const struct expectation *expected = &client->expected[client->expected_first];
    sim_fail("client %u, connection %u: %s (request %s/%llu)", client->index,
             sim_socket_id(client->socket), what,
             expected->kind == BAD ? "bad" : paths[expected->kind],
             (unsigned long long)expected->nonce);
}

static uint64_t answer_length(const struct expectation *expected) {
    return expected->text[0] != '\0' ? strlen(expected->text) : expected->count;
}

static void finish_answer(struct sim_client *client) {
    const struct expectation *expected = &client->expected[client->expected_first];
    if (expected->kind != MISSING && expected->kind != BAD && !expected->is_head &&
        client->body_at != answer_length(expected)) {
        wrong(client, "an answer is too short");
    }
    client->closes = client->closes || expected->kind == BAD;
    client->expected_first = (client->expected_first + 1) % DEPTH_MAX;
    client->expected_count--;
    client->state = IN_HEAD;
    client->head_length = 0;
    client->progress_ns = sim.now_ns;
    sim_world.answers++;
    sim_event("answered", expected->kind, expected->nonce);
}

static const char *field(const struct sim_client *client, const char *name) {
    const char *at = strcasestr(client->head, name);
    return at == NULL ? NULL : at + strlen(name);
}

static void read_head(struct sim_client *client) {
    int status, minor;
    client->head[client->head_length] = '\0';
    if (sscanf(client->head, "HTTP/1.%d %d ", &minor, &status) != 2 || minor != 1) {
        wrong(client, "an answer does not begin with a status line");
    }
    client->head_length = 0;
    if (client->expected_count == 0) {
        // A time-out is told to who was slow.
        if (status != 408 || !client->was_late) {
            sim_fail("client %u: an answer nobody asked for: %s", client->index, client->head);
        }
        client->closes = client->is_refused = true;
        client->state = UP_TO_END;
        return;
    }
    struct expectation *expected = &client->expected[client->expected_first];
    if (status == 100) {
        return;
    }
    const char *length = field(client, "\r\nContent-Length: ");
    bool is_chunked = field(client, "\r\nTransfer-Encoding: chunked\r\n") != NULL;
    client->closes = client->closes || field(client, "\r\nConnection: close\r\n") != NULL;
    client->body_at = 0;
    if (status == 408 && client->was_late) {
        client->closes = client->is_refused = true;
        client->state = UP_TO_END;
        return;
    }
    if ((status == 503 || status == 500) && sim_torture_excuses(client->socket)) {
        expected->kind = MISSING;
        expected->status = status;
    }
    int wanted = expected->status != 0       ? expected->status
                 : expected->kind == MISSING ? 404
                 : expected->kind == BAD     ? 400
                                             : 200;
    if (status != wanted && !(expected->kind == BAD && status == 505)) {
        wrong(client, client->head);
    }
    if (length != NULL && is_chunked) {
        wrong(client, "an answer has a length and chunks");
    }
    if (expected->is_head) {
        finish_answer(client);
    } else if (is_chunked) {
        client->state = IN_SIZE;
    } else if (length != NULL) {
        client->body_left = strtoull(length, NULL, 10);
        client->state = IN_BODY;
        if (client->body_left == 0) {
            finish_answer(client);
        }
    } else if (client->closes || expected->is_old) {
        client->state = UP_TO_END;
    } else {
        wrong(client, "an answer without a length");
    }
}

static void check_body(struct sim_client *client, const uint8_t *data, size_t length) {
    const struct expectation *expected = &client->expected[client->expected_first];
    if (client->is_refused || expected->kind == MISSING || expected->kind == BAD) {
        client->body_at += length;
        return;
    }
    if (client->body_at + length > answer_length(expected)) {
        wrong(client, "an answer is too long");
    }
    bool is_right = expected->text[0] != '\0'
                        ? memcmp(expected->text + client->body_at, data, length) == 0
                        : sim_pattern_is(data, length, expected->nonce, client->body_at);
    if (!is_right) {
        size_t at = 0;
        while (expected->text[0] == '\0' &&
               data[at] == sim_pattern_at(expected->nonce, client->body_at + at)) {
            at++;
        }
        char what[80];
        (void)snprintf(what, sizeof(what), "an answer has other bytes, from %llu on: %02x",
                       (unsigned long long)client->body_at + at, data[at]);
        wrong(client, what);
    }
    client->body_at += length;
}

// Collects a line of a chunked body in `head`. Returns whether it is whole.
static bool take_line(struct sim_client *client, uint8_t byte) {
    if (client->head_length == HEAD_BYTES_MAX) {
        wrong(client, "a line has no end");
    }
    client->head[client->head_length++] = (char)byte;
    if (byte != '\n') {
        return false;
    }
    client->head[client->head_length] = '\0';
    client->head_length = 0;
    return true;
}

static size_t take_head(struct sim_client *client, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (client->head_length == HEAD_BYTES_MAX) {
            wrong(client, "an answer's head has no end");
        }
        client->head[client->head_length++] = (char)data[i];
        if (client->head_length >= 4 &&
            memcmp(client->head + client->head_length - 4, "\r\n\r\n", 4) == 0) {
            read_head(client);
            return i + 1;
        }
    }
    return length;
}

// Returns how much of `data` was used; not 0.
static size_t take(struct sim_client *client, const uint8_t *data, size_t length) {
    size_t piece;
    switch (client->state) {
    case IN_HEAD:
        return take_head(client, data, length);
    case IN_BODY:
    case IN_CHUNK:
        piece = (size_t)CV_MIN((uint64_t)length, client->body_left);
        check_body(client, data, piece);
        client->body_left -= piece;
        if (client->body_left == 0 && client->state == IN_BODY) {
            finish_answer(client);
        } else if (client->body_left == 0) {
            client->state = BEHIND_CHUNK;
        }
        return piece;
    case IN_SIZE:
        if (take_line(client, data[0])) {
            client->body_left = strtoull(client->head, NULL, 16);
            client->state = client->body_left > 0 ? IN_CHUNK : IN_TRAILERS;
        }
        return 1;
    case BEHIND_CHUNK:
        if (take_line(client, data[0])) {
            if (strcmp(client->head, "\r\n") != 0) {
                wrong(client, "a chunk has no end");
            }
            client->state = IN_SIZE;
        }
        return 1;
    case IN_TRAILERS:
        if (take_line(client, data[0]) && strcmp(client->head, "\r\n") == 0) {
            finish_answer(client);
        }
        return 1;
    case UP_TO_END:
        check_body(client, data, length);
        return length;
    }
    return length;
}

// A connection.
static void begin(struct sim_client *client) {
    client->socket = sim_connect();
    if (client->socket == NULL) {
        if (!sim_world.is_ending) {
            sim_fail("client %u finds nobody listening", client->index);
        }
        client->wake_at_ns = UINT64_MAX;
        return;
    }
    client->output_length = client->output_sent = 0;
    client->expected_count = 0;
    client->requests_left = sim_random_size(&sim.random, 200);
    client->depth = sim_random_size(&sim.random, DEPTH_MAX);
    client->state = IN_HEAD;
    client->head_length = 0;
    client->closes = client->has_ended = client->has_erred = client->was_late = false;
    client->is_refused = false;
    client->is_slow = sim_strikes(SIM_SLOW, 50);
    client->is_tiny = sim_strikes(SIM_TINY_PIECES, 20);
    client->is_small = sim_random_chance(&sim.random, 100);
    client->progress_ns = client->begun_ns = sim.now_ns;
    sim_socket_set_window(client->socket, client->is_small
                                              ? sim_random_between(&sim.random, 1, 2000)
                                              : sim_random_between(&sim.random, 4096, 400000));
}

static void leave(struct sim_client *client, bool reset) {
    sim_socket_close(client->socket, reset);
    client->socket = NULL;
    client->wake_at_ns = 0;
}

// May the server have ended the connection? `client` has answers to come.
static bool may_be_closed(const struct sim_client *client) {
    return client->closes || client->has_erred || sim_socket_was_struck(client->socket) ||
           sim_world.is_stopped || client->was_late || sim_torture_excuses(client->socket);
}

// An answer to HTTP/1.0 that ends with its connection, which was ended early by right.
static bool is_cut(const struct sim_client *client) {
    const struct expectation *expected = &client->expected[client->expected_first];
    return client->body_at < answer_length(expected) &&
           (sim_world.is_stopped || client->was_late || sim_socket_was_struck(client->socket) ||
            sim_torture_excuses(client->socket));
}

static void on_end(struct sim_client *client) {
    bool is_reset = sim_socket_is_reset(client->socket);
    if (client->state == UP_TO_END && !is_reset && !client->is_refused && !is_cut(client)) {
        finish_answer(client);
    }
    bool is_idle =
        client->expected_count == 0 && client->state == IN_HEAD && client->head_length == 0;
    if (!is_idle && !may_be_closed(client)) {
        wrong(client, is_reset ? "a reset instead of an answer" : "an end instead of an answer");
    }
    if (is_idle && !client->closes && !client->has_ended && !sim_world.is_ending &&
        !may_be_closed(client)) {
        wrong(client, "a connection was ended for no reason");
    }
    leave(client, false);
}

static void send_some(struct sim_client *client) {
    size_t left = client->output_length - client->output_sent;
    size_t length = left;
    if (client->is_tiny) {
        length = 1;
    } else if (!sim_random_chance(&sim.random, 700)) {
        length = sim_random_size(&sim.random, (uint32_t)left);
    }
    length = sim_socket_send(client->socket, client->output + client->output_sent, length);
    client->output_sent += length;
    if (length > 0) {
        client->progress_ns = sim.now_ns;
    }
    if (client->output_sent == client->output_length) {
        client->output_length = client->output_sent = 0;
    }
    if (client->is_slow) {
        client->wake_at_ns = sim.now_ns + sim_random_size(&sim.random, 4000) * MS_NS;
    }
}

static void ask(struct sim_client *client) {
    uint32_t count = sim_random_between(&sim.random, 1, client->depth);
    client->asked_ns = sim.now_ns;
    while (count > 0 && client->requests_left > 0 && client->expected_count < client->depth &&
           client->output_length + 2 * LARGE_BYTES_MAX < OUTPUT_BYTES_MAX) {
        write_request(client);
        count--;
    }
}

static void take_some(struct sim_client *client) {
    size_t length;
    const uint8_t *data = sim_socket_peek(client->socket, &length);
    if (length == 0) {
        if (sim_socket_is_ended(client->socket) || sim_socket_is_reset(client->socket)) {
            on_end(client);
        }
        return;
    }
    if (client->is_small || sim_random_chance(&sim.random, 100)) {
        length = sim_random_size(&sim.random, (uint32_t)length);
    }
    size_t at = 0;
    while (at < length) {
        at += take(client, data + at, length - at);
    }
    sim_socket_consume(client->socket, length);
}

// Who only waits for answers is never late, however long they take.
static bool is_late(const struct sim_client *client) {
    bool is_waiting = client->expected_count > 0 && client->output_length == 0 && !client->is_slow;
    // What a slow reader takes of one send is not seen before it is over.
    if (client->is_slow && sim.now_ns - client->begun_ns >= SLOW_NS) {
        return true;
    }
    return !is_waiting &&
           (sim.now_ns - client->progress_ns >= PATIENCE_NS ||
            (client->output_length > 0 && sim.now_ns - client->asked_ns >= PATIENCE_NS));
}

static void step(struct sim_client *client) {
    if (sim.now_ns < client->wake_at_ns) {
        return;
    }
    if (client->socket == NULL) {
        if (!sim_world.is_enough) {
            begin(client);
        }
        return;
    }
    client->was_late = client->was_late || is_late(client);
    if (sim_strikes(SIM_ABORT, 2)) {
        leave(client, sim_random_chance(&sim.random, 500));
        return;
    }
    if (client->output_length == 0 && client->requests_left > 0 && !client->has_ended) {
        if (sim_world.is_enough) {
            client->requests_left = 0;
        } else if (client->expected_count < client->depth) {
            ask(client);
        }
    }
    if (client->output_length > 0) {
        send_some(client);
    } else if (client->requests_left == 0 && !client->has_ended &&
               sim_strikes(SIM_HALF_CLOSE, 100)) {
        client->has_ended = true;
        sim_socket_shutdown(client->socket);
    }
    take_some(client);
    if (client->socket != NULL && client->expected_count == 0 && client->output_length == 0 &&
        client->requests_left == 0 && !client->closes && !client->has_ended) {
        leave(client, false);
    }
}

static uint64_t wake_at_ns(const struct sim_client *client) {
    return client->wake_at_ns > sim.now_ns ? client->wake_at_ns : UINT64_MAX;
}

static bool is_done(const struct sim_client *client) {
    return client->socket == NULL && (sim_world.is_enough || sim_world.is_ending);
}

static struct sim_client *create(uint32_t index) {
    struct sim_client *client = calloc(1, sizeof(*client));
    if (client == NULL || (client->output = malloc(OUTPUT_BYTES_MAX)) == NULL) {
        sim_fail("the simulation itself is out of memory");
    }
    client->index = index;
    return client;
}

static void describe(const struct sim_client *client, char *line, size_t bytes) {
    const struct expectation *expected = &client->expected[client->expected_first];
    const char *path = client->expected_count == 0     ? "nothing"
                       : paths[expected->kind] != NULL ? paths[expected->kind]
                                                       : "a refusal";
    (void)snprintf(
        line, bytes,
        "client %u: connection %u, waits for %s %llu and %u in all, at %llu; %zu bytes to "
        "send%s%s",
        client->index, client->socket != NULL ? sim_socket_id(client->socket) : 0, path,
        (unsigned long long)expected->nonce, client->expected_count,
        (unsigned long long)client->body_at, client->output_length - client->output_sent,
        client->has_ended ? ", has ended" : "", client->is_slow ? ", slow" : "");
}

static void destroy(struct sim_client *client) {
    if (client->socket != NULL) {
        leave(client, true);
    }
    free(client->output);
    free(client);
}

const struct sim_client_kind sim_http_client = {
    .name = "http",
    .create = create,
    .step = step,
    .wake_at_ns = wake_at_ns,
    .is_done = is_done,
    .describe = describe,
    .destroy = destroy,
};
