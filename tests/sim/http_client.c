// An HTTP/1.1 client that knows the right answers: it writes requests, pipelined, whole or in
// pieces, and holds what comes back against a list of what must come, byte by byte, keeping none of
// it. It is strict about the end of a connection too: a server may close one that misbehaves, or
// is slow, or was told to close, and no other.
#include "sim/client.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "net/limits.h"
#include "sim/kernel.h"
#include "sim/lag.h"
#include "sim/pattern.h"
#include "sim/text.h"
#include "sim/torture.h"
#include "sim/world.h"

#define DEPTH_MAX 16u
#define HEAD_BYTES_MAX 2048u
#define HEAD_PIECE_BYTES 256u  // Most heads are shorter.
#define OUTPUT_BYTES_MAX (512u * 1024u)
#define SMALL_BYTES_MAX 2048u
#define LARGE_BYTES_MAX 150000u
#define AHEAD_BYTES_MAX 4096u   // There is room for it whenever it arrives.
#define HUGE_BYTES_MAX 350000u  // Of what is streamed to it: more than is queued for it at once.
#define MS_NS 1000000ull
// Less than every time-out of the server; a client that was quiet for longer may be closed.
#define PATIENCE_NS (900 * MS_NS)
#define SLOW_EARLY_MS 1000u  // A slow reader may be given up so long before its time-out.
// How much later than due a time-out may be: timers share wake-ups, operations are delayed.
#define LATE_NS (100 * MS_NS)
#define CATCH_UP_NS (1100 * MS_NS)  // Behind a long turn, they wait for what was missed.
#define PACE_NS_MAX (4 * MS_NS)     // Of one that does not wait for answers.
#define RETRY_NS_MAX (20 * MS_NS)   // Of one that does, and asks again when it is refused.
// Turns of its worker, and time in the listener's queue, after which a client is being starved.
#define TURNS_MAX 60u
#define TURNS_SCARCE_MAX 300u  // Where receive buffers or completions do not suffice for all.
#define QUEUED_NS_MAX (2000 * MS_NS)
#define STALLED_WINDOW_BYTES 4096u
// A send that is to go out whole is seen to go on only when it has, so that must not take long.
#define STEADY_WINDOW_BYTES 16384u
#define STEADY_NS (200 * MS_NS)
#define DRIBBLE_NS (400 * MS_NS)
#define REFUSED_NS (200 * MS_NS)
#define UNREAD_BYTES_MAX 10000u
#define LEFT_NS (500 * MS_NS)  // Who has ended, and all its answers, is let go by then.
#define CROWDED_IDLE_MS 2000u

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
    RELAY,
    MISSING,
    BAD,
    CUT,
    EMPTY,
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
    bool is_old;      // HTTP/1.0,
    bool keeps;       // and wants to ask again.
    bool may_wait;    // It asks whether its body is wanted,
    bool was_told;    // and was told so.
    bool must_close;  // The server drains, and answers last requests.
    int status;       // Of a refusal that is asked for, or excused. 0: what its kind says.
};

enum state { IN_HEAD, IN_BODY, IN_SIZE, IN_CHUNK, BEHIND_CHUNK, IN_TRAILERS, UP_TO_END };

struct sim_client {
    uint64_t wake_at_ns;  // Most steps look at this alone.
    uint32_t index;
    struct sim_socket *socket;  // NULL: none
    uint8_t *output;            // Requests not sent yet; its own in every run.
    size_t output_length, output_sent;
    size_t hold_at;  // Of `output`: what is behind it waits to be wanted. 0: nothing does.
    uint32_t expected_first, expected_count;
    uint32_t requests_left;  // On this connection.
    uint32_t depth;
    enum state state;
    size_t head_length;
    uint64_t body_left, body_at;
    bool has_trailer;  // Of the answer that is taken.
    bool closes;       // The server said so.
    bool is_refused;   // Too slow, it said.
    bool has_ended;
    uint64_t ended_ns;
    bool was_late;  // Quiet for so long that the server may have given up.
    bool is_slow, is_tiny, is_small;
    bool is_steady;                    // It reads a little all the time, however long that takes.
    bool stalls;                       // It will stop for good,
    bool is_unread;                    // in the middle of an answer, not of a request.
    bool is_idle;                      // between two requests,
    bool is_stalled;                   // It has,
    uint64_t may_end_ns, must_end_ns;  // and that is when the server gives up,
    uint64_t dribble_ns;               // whatever it sends then of a head. 0: nothing.
    uint64_t held_ns;                  // Time that had passed in turns when it began to count.
    bool is_patient;                   // Who is refused waits for a while.
    uint64_t pace_ns;                  // Between its requests, whether they are answered or not,
    uint64_t ask_at_ns;                // and when the next one is due; 0: as soon as it may.
    uint64_t progress_ns;  // When bytes of ours last went out, or an answer was complete.
    uint64_t begun_ns;     // When the connection was made.
    uint64_t asked_ns;     // When what is being sent was begun,
    uint64_t first_ns;     // and its first byte went out.
    uint64_t answered_ns;  // When the last answer was complete; 0: none was.
    size_t head_bytes;     // Of the request written last, in what it had to send then.
    // Behind what every step looks at.
    struct expectation expected[DEPTH_MAX];
    char head[HEAD_BYTES_MAX + 1];
};

struct sim_world_state sim_world;

// Requests.
static void put(struct sim_client *client, const char *text) {
    char *at = (char *)client->output + client->output_length;
    client->output_length += (size_t)(sim_text_put(at, text) - at);
}

static void put_number(struct sim_client *client, uint64_t number, uint32_t base) {
    char *at = (char *)client->output + client->output_length;
    client->output_length += (size_t)(sim_text_number(at, number, base) - at);
}

static void put_pattern(struct sim_client *client, size_t length, uint64_t nonce, uint64_t offset) {
    sim_pattern_fill(client->output + client->output_length, length, nonce, offset);
    client->output_length += length;
}

static void put_chunk_size(struct sim_client *client, size_t size) {
    static const char *const extensions[] = {";a=b", ";a", ";a=\"b \\\"c\"", ";a=b;c"};
    size_t from = client->output_length;
    put_number(client, size, 16);
    for (size_t i = from; sim_random_chance(&sim.random, 50) && i < client->output_length; i++) {
        client->output[i] = (uint8_t)toupper(client->output[i]);
    }
    if (sim_random_chance(&sim.random, 50)) {
        put(client, extensions[sim_random_below(&sim.random, CV_ARRAY_COUNT(extensions))]);
    }
    put(client, "\r\n");
}

static void put_chunked(struct sim_client *client, size_t count, uint64_t nonce) {
    size_t at = 0;
    while (at < count) {
        size_t piece = sim_random_size(&sim.random, 8192);
        piece = CV_MIN(count - at, piece);
        put_chunk_size(client, piece);
        put_pattern(client, piece, nonce, at);
        put(client, "\r\n");
        at += piece;
    }
    put(client, sim_random_chance(&sim.random, 100) ? "0\r\nX-Trailer: 1\r\nX-Other: 2\r\n\r\n"
                                                    : "0\r\n\r\n");
}

static void put_fields(struct sim_client *client, const struct expectation *expected) {
    put(client, expected->is_old ? " HTTP/1.0\r\nHost: sim:" : " HTTP/1.1\r\nHost: sim:");
    put_number(client, client->index, 10);
    put(client, "\r\n");
    if (sim_random_chance(&sim.random, 200)) {
        size_t filler = sim_random_size(&sim.random, 200);
        put(client, "User-Agent: model/1.0\r\nAccept: */*\r\nX-Filler: ");
        memset(client->output + client->output_length, '0', filler);
        client->output_length += filler;
        put(client, "\r\n");
    }
    if (expected->keeps) {
        put(client, "Connection: keep-alive\r\n");
    }
    if (expected->asks_to_close && !expected->is_old) {
        put(client, "Connection: close\r\n");
    }
}

static void put_body(struct sim_client *client, struct expectation *expected, size_t count) {
    bool is_chunked = !expected->is_old && sim_random_chance(&sim.random, 400);
    if (count > 0 && !expected->is_old && sim_random_chance(&sim.random, 50)) {
        put(client, "Expect: 100-continue\r\n");
        expected->may_wait = true;
    }
    if (is_chunked) {
        put(client, "Transfer-Encoding: chunked\r\n\r\n");
        client->head_bytes = client->output_length;
        put_chunked(client, count, expected->nonce);
    } else {
        put(client, "Content-Length: ");
        put_number(client, count, 10);
        put(client, "\r\n\r\n");
        client->head_bytes = client->output_length;
        put_pattern(client, count, expected->nonce, 0);
    }
    if (expected->may_wait && !client->stalls && !client->is_slow &&
        sim_random_chance(&sim.random, 500)) {
        client->hold_at = client->head_bytes;
    }
}

static size_t body_size(enum kind kind) {
    uint32_t large = kind == STREAM || kind == KNOWN ? HUGE_BYTES_MAX : LARGE_BYTES_MAX;
    uint32_t max =
        sim_random_chance(&sim.random, 30 + sim.plan.large_in_thousand) ? large : SMALL_BYTES_MAX;
    return sim_random_size(&sim.random, max) - 1;
}

static enum kind choose_any(void) {
    static const struct {
        enum kind kind;
        uint32_t weight;
    } all[] = {{HELLO, 330}, {RELAY, 50},   {SWAP, 60},   {BYTES, 120}, {STREAM, 60},
               {KNOWN, 40},  {LATER, 20},   {ACROSS, 50}, {ECHO, 120},  {UPLOAD, 80},
               {EARLY, 20},  {MISSING, 30}, {EMPTY, 15},  {CUT, 5}};
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
    [HELLO] = "/hello",   [SWAP] = "/swap",   [BYTES] = "/bytes",   [STREAM] = "/stream",
    [KNOWN] = "/known",   [LATER] = "/later", [ACROSS] = "/across", [ECHO] = "/echo",
    [UPLOAD] = "/upload", [EARLY] = "/early", [RELAY] = "/relay",   [MISSING] = "/missing",
    [EMPTY] = "/empty",   [CUT] = "/cut",     [RICH] = "/rich"};

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
    static const struct {
        int status;
        const char *text;
    } all[] = {
        {400, "GET /hello/1\r\n\r\n"},
        {400, "GET /hello/1 HTTP/1.1\r\n\r\n"},
        {400, "GET /hello/1 HTTP/1.1\r\nHost : sim\r\n\r\n"},
        {400, "POST /echo/1 HTTP/1.1\r\nHost: sim\r\nContent-Length: 5\r\nContent-Length: "
              "6\r\n\r\nabcde"},
        {400, "POST /echo/1 HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"},
        {400, "\x16\x03\x01\x02 hello\r\n\r\n"},
        {413, "POST /echo/1 HTTP/1.1\r\nHost: sim\r\nContent-Length: 1000001\r\n\r\n"},
        {413,
         "POST /upload/1 HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\nF4241\r\n"},
        {413, "HEAD /hello/1 HTTP/1.1\r\nHost: sim\r\nContent-Length: 1000001\r\n\r\n"},
    };
    uint32_t which = sim_random_below(&sim.random, CV_ARRAY_COUNT(all));
    expected->kind = BAD;
    expected->status = all[which].status;
    expected->is_head = all[which].text[0] == 'H';
    put(client, all[which].text);
    if (!client->is_tiny && sim_random_chance(&sim.random, 500)) {
        // Not read any more, it must not make the end a reset that overtakes the refusal.
        put_pattern(client, sim_random_size(&sim.random, UNREAD_BYTES_MAX), 1, 0);
    }
    client->requests_left = 0;
}

static bool is_pattern(enum kind kind) {
    return kind == BYTES || kind == STREAM || kind == KNOWN || kind == ECHO || kind == RELAY ||
           kind == CUT;
}

static bool takes_body(enum kind kind) {
    return kind == ECHO || kind == UPLOAD || kind == EARLY || kind == RELAY;
}

static void write_request(struct sim_client *client) {
    struct expectation *expected =
        &client->expected[(client->expected_first + client->expected_count++) % DEPTH_MAX];
    client->requests_left--;
    *expected = (struct expectation){
        .kind = choose_kind(),
        .nonce = sim_random_below(&sim.random, 1000000000),
        .is_old = sim_random_chance(&sim.random, 10),
        .must_close = sim_socket_is_draining(client->socket),
    };
    if (expected->kind == CUT && client->expected_count > 1) {
        expected->kind = HELLO;  // Answers before it would be cut too.
    }
    if (!client->stalls && sim_strikes(SIM_BAD_REQUEST, 10)) {
        put_bad(client, expected);
        return;
    }
    expected->keeps = expected->is_old && sim_random_chance(&sim.random, 500);
    size_t count = body_size(expected->kind);
    // The last bytes of a connection matter most where they are lent to the kernel.
    uint32_t ends_in_thousand = client->requests_left == 0    ? 500
                                : count >= SIM_LENT_BYTES_MIN ? 200
                                                              : 0;
    expected->asks_to_close =
        expected->is_old ? !expected->keeps : sim_random_chance(&sim.random, ends_in_thousand);
    // What is behind an answer that may end its connection is not answered.
    if (expected->asks_to_close || expected->is_old || expected->kind == CUT) {
        client->requests_left = 0;
    }
    const char *path = paths[expected->kind];
    bool has_body = takes_body(expected->kind);
    expected->is_head = !has_body && expected->kind != CUT && sim_random_chance(&sim.random, 50);
    expected->count = is_pattern(expected->kind) ? count : 0;
    put(client, has_body ? "POST " : expected->is_head ? "HEAD " : "GET ");
    put(client, path);
    put(client, "/");
    put_number(client, expected->nonce, 10);
    if (is_pattern(expected->kind) && !has_body) {
        put(client, "/");
        put_number(client, count, 10);
    } else if (expected->kind == LATER) {
        put(client, "/");
        put_number(client, sim_random_size(&sim.random, 300), 10);
    }
    if (expected->kind == RICH) {
        put(client, "/a%20b?z&x=%41+");
    }
    put_fields(client, expected);
    if (has_body) {
        put_body(client, expected, count);
    } else {
        put(client, "\r\n");
        client->head_bytes = client->output_length;
    }
    sim_event(path, expected->nonce, count);
    if (expected->kind == UPLOAD) {
        (void)sim_text_number(sim_text_put(expected->text, "took "), count, 10);
    } else if (expected->kind == RICH) {
        char *end =
            sim_text_number(sim_text_put(expected->text, "{\"rich\":"), expected->nonce, 10);
        (void)sim_text_put(end, "}");
    } else if (!is_pattern(expected->kind) && expected->kind != MISSING &&
               expected->kind != EMPTY) {
        char *end = sim_text_put(expected->text, path + 1);
        (void)sim_text_number(sim_text_put(end, " "), expected->nonce, 10);
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

// Told by its nonce, as an answer without a body is: see the application.
static bool has_trailer(const struct expectation *expected) {
    return !expected->is_old && expected->status == 0 &&
           ((expected->kind == STREAM && expected->nonce % 8 == 0) ||
            (expected->kind == RICH && expected->nonce % 2 != 0));
}

static int empty_status(const struct expectation *expected) {
    return expected->nonce % 2 == 0 ? 204 : 304;
}

static void finish_answer(struct sim_client *client) {
    const struct expectation *expected = &client->expected[client->expected_first];
    if (expected->kind == CUT) {
        wrong(client, "an answer that was cut looks whole");
    }
    if (expected->kind != MISSING && expected->kind != BAD && !expected->is_head &&
        client->body_at != answer_length(expected)) {
        wrong(client, "an answer is too short");
    }
    client->closes = client->closes || expected->kind == BAD;
    client->expected_first = (client->expected_first + 1) % DEPTH_MAX;
    client->expected_count--;
    if (client->expected_count == 0) {
        client->hold_at = 0;
    }
    client->state = IN_HEAD;
    client->head_length = 0;
    client->progress_ns = client->answered_ns = sim.now_ns;
    client->held_ns = sim.held_ns;
    sim_world.answers++;
    sim_event("answered", expected->kind, expected->nonce);
}

struct head {
    int status;
    bool has_length, is_chunked, closes, says_retry;
    uint64_t length;
};

// The field's value, if the line is of that field.
static const char *field(const char *line, const char *name) {
    size_t length = strlen(name);
    return strncmp(line, name, length) == 0 ? line + length : NULL;
}

static struct head parse_head(const struct sim_client *client) {
    struct head head = {0};
    const char *line = field(client->head, "HTTP/1.1 ");
    if (line == NULL) {
        wrong(client, "an answer does not begin with a status line");
    }
    head.status = (int)strtol(line, NULL, 10);
    while (*(line = strchr(line, '\n') + 1) != '\r') {
        const char *value;
        if ((value = field(line, "Content-Length: ")) != NULL) {
            head.has_length = true;
            head.length = strtoull(value, NULL, 10);
        } else if (field(line, "Transfer-Encoding: chunked\r\n") != NULL) {
            head.is_chunked = true;
        } else if (field(line, "Connection: close\r\n") != NULL) {
            head.closes = true;
        } else if (field(line, "Retry-After: 1\r\n") != NULL) {
            head.says_retry = true;
        }
    }
    return head;
}

// By a worker that sheds, or has too many connections.
static bool may_be_refused(struct sim_client *client) {
    if (sim_lag_refusal(sim_socket_worker(client->socket))) {
        sim_world.refusals++;
        if (client->is_patient) {
            client->ask_at_ns = sim.now_ns + sim_random_below(&sim.random, RETRY_NS_MAX);
        }
        return true;
    }
    return sim_world.is_crowded;
}

// It has sent all but a body that may not be wanted.
static bool is_held(const struct sim_client *client) {
    return client->hold_at != 0 && client->output_sent == client->hold_at;
}

// Where nothing follows, the length is that of what does not; 204 and 304 have none.
static void check_length(const struct sim_client *client, const struct head *head) {
    const struct expectation *expected = &client->expected[client->expected_first];
    bool is_empty = head->status == 204 || head->status == 304;
    if (is_empty && (head->has_length || head->is_chunked)) {
        wrong(client, "an answer without a body has a length");
    }
    if (expected->is_head && expected->status == 0 && head->has_length &&
        expected->kind != MISSING && head->length != answer_length(expected)) {
        wrong(client, "the head alone has another length");
    }
}

static void read_head(struct sim_client *client) {
    client->head[client->head_length] = '\0';
    client->head_length = 0;
    const struct head head = parse_head(client);
    if (client->expected_count == 0) {
        // A time-out is told to who was slow.
        if (head.status != 408 || !client->was_late) {
            sim_fail("client %u: an answer nobody asked for: %s", client->index, client->head);
        }
        client->closes = client->is_refused = true;
        client->state = UP_TO_END;
        return;
    }
    struct expectation *expected = &client->expected[client->expected_first];
    if (head.status == 100) {
        if (!expected->may_wait || expected->was_told) {
            wrong(client, "it is told to go on, and did not ask");
        }
        expected->was_told = true;
        client->hold_at = client->expected_count == 1 ? 0 : client->hold_at;
        return;
    }
    client->closes = client->closes || head.closes;
    client->body_at = 0;
    client->has_trailer = false;
    if (head.status == 408 && is_held(client)) {
        wrong(client, "it waits to be told to go on, and is told that it is slow");
    }
    if (head.status == 408 && client->was_late) {
        client->closes = client->is_refused = true;
        client->state = UP_TO_END;
        return;
    }
    bool is_refused = head.status == 503 && head.says_retry && may_be_refused(client);
    if (is_refused ||
        ((head.status == 503 || head.status == 500) && sim_torture_excuses(client->socket))) {
        expected->kind = MISSING;
        expected->status = head.status;
    }
    int wanted = expected->status != 0       ? expected->status
                 : expected->kind == MISSING ? 404
                 : expected->kind == EMPTY   ? empty_status(expected)
                                             : 200;
    if (head.status != wanted) {
        wrong(client, client->head);
    }
    if (!head.closes &&
        (expected->kind == BAD || expected->must_close || expected->asks_to_close)) {
        wrong(client, "the connection ends with an answer that does not say so");
    }
    check_length(client, &head);
    if (wanted == 204 || wanted == 304) {
        finish_answer(client);
        return;
    }
    if (head.has_length && head.is_chunked) {
        wrong(client, "an answer has a length and chunks");
    }
    if (expected->is_head) {
        finish_answer(client);
    } else if (head.is_chunked) {
        client->state = IN_SIZE;
    } else if (head.has_length) {
        client->body_left = head.length;
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

// Bytes of the head that ends behind `from`, 0 if none does. Its end may lie across two pieces.
static size_t end_of_head(const char *head, size_t from, size_t length) {
    const char *end = head + from;
    while ((end = memchr(end, '\n', length - (size_t)(end - head))) != NULL) {
        end++;
        if (end - head >= 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0) {
            return (size_t)(end - head);
        }
    }
    return 0;
}

static size_t take_head(struct sim_client *client, const uint8_t *data, size_t length) {
    size_t had = client->head_length;
    size_t piece = CV_MIN(length, (size_t)CV_MIN(HEAD_PIECE_BYTES, HEAD_BYTES_MAX - had));
    memcpy(client->head + had, data, piece);
    client->head_length = had + piece;
    size_t end = end_of_head(client->head, had, client->head_length);
    if (end != 0) {
        piece = end - had;
        client->head_length = end;
        read_head(client);
    } else if (client->head_length == HEAD_BYTES_MAX) {
        wrong(client, "an answer's head has no end");
    }
    return piece;
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
        if (take_line(client, data[0])) {
            if (strcmp(client->head, "\r\n") != 0) {
                client->has_trailer = strcmp(client->head, "X-Trailer: 1\r\n") == 0;
            } else if (has_trailer(&client->expected[client->expected_first]) !=
                           client->has_trailer &&
                       !sim_torture_excuses(client->socket)) {
                wrong(client, "an answer has no trailer, or one too many");
            } else {
                finish_answer(client);
            }
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
        // A queue that is full lets it try again.
        if (!sim_world.is_ending && !sim_world.is_crowded && !sim_may(SIM_ABORT)) {
            sim_fail("client %u finds nobody listening", client->index);
        }
        client->wake_at_ns = sim_world.is_ending ? UINT64_MAX : sim.now_ns + 100 * MS_NS;
        return;
    }
    client->output_length = client->output_sent = client->hold_at = 0;
    client->expected_count = 0;
    client->requests_left = sim_random_size(&sim.random, 200);
    client->depth = sim_random_size(&sim.random, DEPTH_MAX);
    client->state = IN_HEAD;
    client->head_length = 0;
    client->closes = client->has_ended = client->was_late = false;
    client->is_refused = false;
    client->stalls = sim_strikes(SIM_STALL, 200);
    client->is_unread = client->stalls && sim_random_chance(&sim.random, 200);
    client->is_stalled = client->is_idle = false;
    client->is_slow = !client->stalls && sim_strikes(SIM_SLOW, 50);
    client->is_tiny = !client->stalls && sim_strikes(SIM_TINY_PIECES, 20);
    client->is_steady =
        !client->stalls && !client->is_slow && !client->is_tiny && sim_strikes(SIM_SLOW, 50);
    client->is_small = !client->stalls && !client->is_steady && sim_random_chance(&sim.random, 100);
    client->depth = client->stalls || client->is_steady ? 1 : client->depth;
    client->is_patient = sim_may(SIM_BUSY) && sim_random_chance(&sim.random, 500);
    client->pace_ns = 0;
    if (!client->stalls && !client->is_steady && sim_strikes(SIM_FLOOD, 500)) {
        client->pace_ns = sim_random_size(&sim.random, PACE_NS_MAX);
        client->depth = DEPTH_MAX;
    }
    client->ask_at_ns = sim.now_ns;
    client->dribble_ns = 0;
    client->progress_ns = client->begun_ns = sim.now_ns;
    client->held_ns = sim.held_ns;
    client->answered_ns = 0;
    uint32_t window = client->is_small ? sim_random_between(&sim.random, 1, 2000)
                                       : sim_random_between(&sim.random, 4096, 400000);
    sim_socket_set_window(client->socket, client->is_unread   ? STALLED_WINDOW_BYTES
                                          : client->is_steady ? STEADY_WINDOW_BYTES
                                                              : window);
}

static void leave(struct sim_client *client, bool reset) {
    sim_world.lost += client->expected_count;
    bool was_refused = sim_socket_was_too_many(client->socket);
    sim_socket_close(client->socket, reset);
    client->socket = NULL;
    client->wake_at_ns = was_refused ? sim.now_ns + REFUSED_NS : 0;
}

// The end of its connection is the right one for an answer that is never whole.
static bool is_to_be_cut(const struct sim_client *client) {
    return client->expected_count > 0 && client->expected[client->expected_first].kind == CUT;
}

// A crowded server ends connections on which nobody asks.
static bool may_be_in_the_way(const struct sim_client *client) {
    bool is_unsent =
        client->expected_count == 1 && client->output_length > 0 && client->output_sent == 0;
    return sim_world.is_crowded && (client->expected_count == 0 || is_unsent);
}

// The server said that it ends the connection: behind this answer, not within it. Who sent more
// than it took, or reads slowly, may lose the rest of it (RFC 9112, 9.6).
static bool was_told_the_end(const struct sim_client *client) {
    bool is_within = client->state != IN_HEAD || client->head_length > 0;
    bool is_prompt = client->expected_count == 1 && client->output_length == 0 &&
                     client->expected[client->expected_first].kind != BAD;
    return client->closes && (!is_within || !is_prompt || client->is_refused);
}

// May the server have ended the connection? `client` has answers to come.
static bool may_be_closed(const struct sim_client *client) {
    return was_told_the_end(client) || is_to_be_cut(client) ||
           sim_socket_was_struck(client->socket) || sim_world.is_stopped || client->was_late ||
           sim_torture_excuses(client->socket) || may_be_in_the_way(client) ||
           sim_socket_was_too_many(client->socket);
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
    if (client->state == UP_TO_END && !is_reset && !client->is_refused && !is_cut(client) &&
        !is_to_be_cut(client)) {
        finish_answer(client);
    }
    bool is_idle =
        client->expected_count == 0 && client->state == IN_HEAD && client->head_length == 0;
    bool is_turned_away = client->answered_ns == 0 && client->state == IN_HEAD &&
                          client->head_length == 0 && !may_be_closed(client) &&
                          sim_lag_turned_away(sim_socket_worker(client->socket));
    if (is_turned_away) {
        leave(client, false);
        client->wake_at_ns = sim.now_ns + sim_random_below(&sim.random, RETRY_NS_MAX);
        return;
    }
    if (client->expected_count == 0 && client->head_length > 0 && !is_reset && !client->was_late &&
        !sim_world.is_stopped && !sim_socket_was_struck(client->socket) &&
        !sim_torture_excuses(client->socket)) {
        client->head[client->head_length] = '\0';
        sim_fail("client %u: bytes nobody asked for: %s", client->index, client->head);
    }
    if (!is_idle && !may_be_closed(client)) {
        wrong(client, is_reset ? "a reset instead of an answer" : "an end instead of an answer");
    }
    if (is_idle && !client->closes && !client->has_ended && !sim_world.is_ending &&
        !may_be_closed(client)) {
        wrong(client, "a connection was ended for no reason");
    }
    leave(client, false);
}

// Works out when the server is to end the connection of a client that from now on sends nothing,
// `sent` bytes of a request being out: not before any moment at which its deadline can have begun,
// and not much later than the last.
static void stall_request(struct sim_client *client, size_t sent) {
    const struct cv_limits *limits = sim_world.limits;
    uint64_t accepted_ns = sim_socket_accepted_ns(client->socket);
    uint64_t first_ns = client->answered_ns == 0 ? accepted_ns : client->first_ns;
    uint64_t last_ns = first_ns;
    uint64_t least_ms = limits->header_timeout_ms;
    uint64_t most_ms = least_ms;
    if (accepted_ns == 0) {
        return;
    }
    if (sent == 0 && client->answered_ns != 0) {
        last_ns = client->answered_ns;
        most_ms = limits->idle_timeout_ms;
        // A worker that is short of connections waits less long.
        least_ms = sim_world.is_crowded ? CV_MIN(most_ms, CROWDED_IDLE_MS) : most_ms;
    } else if (sent >= client->head_bytes) {
        // Its rate is not looked at in the first window, nor while the handler pauses.
        first_ns = client->first_ns;
        last_ns = sim.now_ns;
        least_ms = 2 * (uint64_t)limits->body_grace_ms;
        most_ms = 3 * (uint64_t)limits->body_grace_ms + limits->linger_timeout_ms;
    }
    client->is_stalled = true;
    client->is_idle = sent == 0;
    client->dribble_ns =
        sent > 0 && sent < client->head_bytes && sim_random_chance(&sim.random, 500)
            ? sim.now_ns + DRIBBLE_NS
            : 0;
    client->may_end_ns = first_ns + (least_ms - 1) * MS_NS;  // Deadlines are whole milliseconds.
    client->must_end_ns = last_ns + most_ms * MS_NS + LATE_NS;
}

// It goes on after all, just in time, whatever its worker does then. What is delayed beside that is
// not in time.
static bool goes_on_in_time(const struct sim_client *client) {
    return client->is_stalled && client->output_sent < client->head_bytes && client->hold_at == 0 &&
           client->output_length < AHEAD_BYTES_MAX && client->may_end_ns > sim.now_ns + MS_NS &&
           !sim_world.is_crowded && !sim_may(SIM_DELAY) && sim_random_chance(&sim.random, 700);
}

static void go_on_in_time(struct sim_client *client) {
    sim_socket_send_at(client->socket, client->output + client->output_sent,
                       client->output_length - client->output_sent, client->may_end_ns - MS_NS);
    client->output_length = client->output_sent = 0;
    client->is_stalled = client->is_idle = false;
}

// It takes nothing more of an answer. Whether the peer still reads bytes that are sent without a
// copy is looked at once in a time-out.
static void stall_answer(struct sim_client *client) {
    bool may_lend = sim_world.limits->zero_copy_bytes_min > 0 || sim_may(SIM_RELOAD);
    uint64_t most_ms = (may_lend ? 2 : 1) * (uint64_t)sim_world.limits->write_timeout_ms;
    client->is_stalled = true;
    client->may_end_ns = 0;
    if (sim_random_chance(&sim.random, 500)) {
        // All of it is taken, by a peer that is heard of no more.
        sim_socket_set_window(client->socket, HUGE_BYTES_MAX);
        sim_socket_freeze(client->socket);
        most_ms += sim_world.limits->idle_timeout_ms;
    }
    client->must_end_ns = sim.now_ns + most_ms * MS_NS + 2 * LATE_NS;
}

static void send_some(struct sim_client *client) {
    size_t end = client->hold_at != 0 ? client->hold_at : client->output_length;
    size_t left = end - client->output_sent;
    size_t length = left;
    bool is_last = client->stalls && !client->is_unread && sim_random_chance(&sim.random, 150);
    if (is_last) {
        length =
            sim_random_chance(&sim.random, 300) ? 0 : sim_random_below(&sim.random, (uint32_t)left);
    } else if (client->is_tiny) {
        length = 1;
    } else if (!sim_random_chance(&sim.random, 700)) {
        length = sim_random_size(&sim.random, (uint32_t)left);
    }
    length = sim_socket_send(client->socket, client->output + client->output_sent, length);
    if (length > 0) {
        client->progress_ns = sim.now_ns;
        if (client->output_sent == 0) {
            client->first_ns = sim.now_ns;
            client->held_ns = sim.held_ns;
        }
    }
    client->output_sent += length;
    if (is_last) {
        stall_request(client, client->output_sent);
        if (goes_on_in_time(client)) {
            go_on_in_time(client);
        }
        return;
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
    if (client->pace_ns > 0) {
        uint64_t due = (sim.now_ns - client->ask_at_ns) / client->pace_ns + 1;
        count = (uint32_t)CV_MIN(due, (uint64_t)DEPTH_MAX);
        client->ask_at_ns += due * client->pace_ns;
    }
    client->asked_ns = sim.now_ns;
    while (count > 0 && client->requests_left > 0 && client->expected_count < client->depth &&
           client->hold_at == 0 && client->output_length + 2 * LARGE_BYTES_MAX < OUTPUT_BYTES_MAX) {
        write_request(client);
        count--;
    }
}

static void take_some(struct sim_client *client) {
    size_t length;
    client->was_late =
        client->was_late || (sim_world.is_ending && sim_socket_is_under_way(client->socket));
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
    if (client->is_unread && client->body_left > STALLED_WINDOW_BYTES &&
        (client->state == IN_BODY || client->state == IN_CHUNK)) {
        stall_answer(client);
    }
}

static void await_end(struct sim_client *client) {
    if (sim_world.is_ending && !sim_world.is_stopped) {
        uint64_t last_ns = sim_world.end_ns + sim_world.drain_idle_ms * MS_NS + 2 * LATE_NS;
        client->must_end_ns = client->is_idle ? last_ns : CV_MAX(client->must_end_ns, last_ns);
    }
    client->was_late = client->was_late || sim.now_ns >= client->may_end_ns || sim_world.is_ending;
    if (client->dribble_ns != 0 && sim.now_ns >= client->dribble_ns &&
        client->output_sent + 1 < client->head_bytes) {
        client->output_sent +=
            sim_socket_send(client->socket, client->output + client->output_sent, 1);
        client->dribble_ns = sim.now_ns + DRIBBLE_NS;
    }
    if (!client->is_unread) {
        take_some(client);
    } else if (sim_socket_is_ended(client->socket) || sim_socket_is_reset(client->socket)) {
        leave(client, true);
    }
    uint64_t held_ns = sim.held_ns - client->held_ns;
    uint64_t late_ns = held_ns > 0 ? held_ns + CATCH_UP_NS : 0;
    if (client->socket != NULL && sim.now_ns > client->must_end_ns + late_ns &&
        !sim_world.is_stopped) {
        wrong(client, "it stopped long ago, and is still connected");
    }
}

// A client that has asked and reads is answered soon, whatever the others do. (To one that has
// ended its direction sends are tried by a timer.)
static void check_starvation(const struct sim_client *client) {
    if (client->has_ended && client->expected_count == 0 &&
        sim.now_ns - CV_MAX(client->ended_ns, client->answered_ns) >
            LEFT_NS * sim_world.time_scale &&
        sim_socket_accepted_ns(client->socket) != 0) {
        wrong(client, "it has ended, and all its answers, and is not let go");
    }
    if (sim.now_ns - client->begun_ns > QUEUED_NS_MAX * sim_world.time_scale &&
        !sim_world.is_crowded && sim_socket_accepted_ns(client->socket) == 0) {
        wrong(client, "nobody accepts its connection");
    }
    if (sim_socket_idle_turns(client->socket) <= TURNS_MAX) {
        return;
    }
    enum kind kind = client->expected[client->expected_first].kind;
    bool is_quick = kind != LATER && kind != ACROSS && !(kind == UPLOAD && sim_may(SIM_SLOW));
    bool is_scarce = sim_may(SIM_NO_BUFFERS) || sim_may(SIM_SMALL_CQ);
    if (client->expected_count > 0 && client->output_length == 0 && is_quick && !client->is_slow &&
        !client->is_steady && !client->has_ended && !sim_socket_is_full(client->socket) &&
        !sim_socket_is_under_way(client->socket) &&
        sim_socket_idle_turns(client->socket) > (is_scarce ? TURNS_SCARCE_MAX : TURNS_MAX)) {
        wrong(client, "others are served, and it is not");
    }
}

// Who only waits for answers is never late, however long they take.
static bool is_late(const struct sim_client *client) {
    bool is_waiting = client->expected_count > 0 && client->output_length == 0 && !client->is_slow;
    uint64_t slow_ns = (sim_world.limits->write_timeout_ms - SLOW_EARLY_MS) * MS_NS;
    // What a slow reader takes of one send is not seen before it is over.
    if (client->is_slow && sim.now_ns - client->begun_ns >= slow_ns) {
        return true;
    }
    // A worker that is short of connections does not wait longer for those that are idle.
    uint64_t patience_ns = PATIENCE_NS * (sim_world.is_crowded ? 1 : sim_world.time_scale);
    return !is_waiting &&
           (sim.now_ns - client->progress_ns >= patience_ns ||
            (client->output_length > 0 && sim.now_ns - client->asked_ns >= patience_ns));
}

// Whether there is nothing it could do before the server does something: most clients, most of the
// time.
static bool is_waiting(const struct sim_client *client) {
    bool may_ask = client->expected_count < client->depth && sim.now_ns >= client->ask_at_ns;
    bool has_more = client->requests_left > 0
                        ? may_ask || sim_world.is_enough
                        : client->expected_count == 0 || sim_may(SIM_HALF_CLOSE);
    return !has_more && !client->has_ended && (client->output_length == 0 || is_held(client)) &&
           !client->is_slow && !sim_socket_has_news(client->socket);
}

// Some ask on until a server that drains ends their connections.
static bool goes_on(const struct sim_client *client) {
    return sim_world.is_ending && !sim_world.is_stopped && client->index % 4 == 0;
}

static CV_NOINLINE void act(struct sim_client *client) {
    if (client->socket == NULL) {
        if (!sim_world.is_enough) {
            begin(client);
        }
        return;
    }
    // Most of those that wait to be accepted do so: a queue of connections whose clients are gone
    // would be all that is ever accepted.
    bool is_queued = sim_socket_accepted_ns(client->socket) == 0;
    if (sim_strikes(SIM_ABORT, 2) && (!is_queued || sim_random_chance(&sim.random, 100))) {
        leave(client, sim_random_chance(&sim.random, 500));
        return;
    }
    if (client->is_stalled) {
        await_end(client);
        return;
    }
    check_starvation(client);
    if (is_waiting(client)) {
        return;
    }
    client->was_late = client->was_late || is_late(client);
    if (client->output_length == 0 && client->requests_left > 0 && !client->has_ended) {
        if (sim_world.is_enough && !goes_on(client)) {
            client->requests_left = 0;
        } else if (client->expected_count < client->depth && sim.now_ns >= client->ask_at_ns) {
            ask(client);
        }
    }
    if (client->output_length > 0) {
        if (!is_held(client)) {
            send_some(client);
        }
    } else if (client->requests_left == 0 && !client->has_ended &&
               !sim_socket_is_under_way(client->socket) && sim_strikes(SIM_HALF_CLOSE, 100)) {
        client->has_ended = true;
        client->ended_ns = sim.now_ns;
        sim_socket_shutdown(client->socket);
    }
    take_some(client);
    if (client->socket != NULL && client->is_steady && client->expected_count > 0 &&
        client->output_length == 0) {
        client->wake_at_ns = sim.now_ns + STEADY_NS;
    }
    if (client->socket != NULL && client->expected_count == 0 && client->output_length == 0 &&
        client->requests_left == 0 && !client->closes && !client->has_ended) {
        leave(client, false);
    }
}

static void step(struct sim_client *client) {
    if (sim.now_ns >= client->wake_at_ns) {
        act(client);
    }
}

static uint64_t wake_at_ns(const struct sim_client *client) {
    if (client->socket != NULL && client->is_stalled && client->must_end_ns >= sim.now_ns) {
        return client->dribble_ns > sim.now_ns ? CV_MIN(client->dribble_ns, client->must_end_ns + 1)
                                               : client->must_end_ns + 1;
    }
    bool will_ask = client->socket != NULL && client->requests_left > 0;
    if (will_ask && client->ask_at_ns > sim.now_ns) {
        return CV_MAX(client->ask_at_ns, client->wake_at_ns);
    }
    return client->wake_at_ns > sim.now_ns ? client->wake_at_ns : UINT64_MAX;
}

static bool is_done(const struct sim_client *client) {
    return client->socket == NULL && (sim_world.is_enough || sim_world.is_ending);
}

static struct sim_client *create(uint32_t index) {
    static uint8_t outputs[SIM_CLIENTS_MAX][OUTPUT_BYTES_MAX];
    struct sim_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        sim_fail("the simulation itself is out of memory");
    }
    client->index = index;
    client->output = outputs[index];
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
    free(client);
}

// `GET /bytes/7/100 HTTP/1.1" 200 100 ...`: status and bytes follow from the request.
static void see_log_line(const char *line) {
    char method[8], kind[16];
    unsigned long long nonce, count = 0, bytes;
    int status, length = 0;
    const char *request = strchr(line, '"');
    if (request == NULL ||
        sscanf(request, "\"%7s /%15[a-z]/%llu%n", method, kind, &nonce, &length) != 3) {
        return;  // Of no request that has a right answer.
    }
    (void)sscanf(request + length, "/%llu", &count);
    const char *behind = strchr(request + 1, '"');
    if (behind == NULL || sscanf(behind, "\" %d %llu", &status, &bytes) != 2) {
        sim_fail("a line of the access log is not whole: %s", line);
    }
    if (strcmp(kind, "missing") == 0 && status == 200) {
        sim_fail("what is missing is logged as %d", status);
    }
    bool is_bytes = strcmp(kind, "bytes") == 0;
    bool is_stream = strcmp(kind, "stream") == 0 || strcmp(kind, "known") == 0;
    char text[40];
    size_t text_length =
        (size_t)(sim_text_number(sim_text_put(sim_text_put(text, kind), " "), nonce, 10) - text);
    bool is_text = strcmp(kind, "hello") == 0 || strcmp(kind, "swap") == 0;
    if (status == 200 && is_stream && bytes > count) {
        sim_fail("an answer is logged with %llu bytes: %s", bytes, line);
    }
    if (status == 200 && (is_bytes || is_text) &&
        bytes != (strcmp(method, "HEAD") == 0 ? 0
                  : is_bytes                  ? count
                                              : text_length)) {
        sim_fail("an answer is logged with %llu bytes: %s", bytes, line);
    }
}

const struct sim_client_kind sim_http_client = {
    .name = "http",
    .create = create,
    .step = step,
    .wake_at_ns = wake_at_ns,
    .is_done = is_done,
    .describe = describe,
    .destroy = destroy,
    .see_log_line = see_log_line,
};
