// What was asked is found by the server's own codecs, but over all bytes from the front of a
// request on, in one piece: the server saw them in other pieces, among other connections.
#include "fuzz/server_dialogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "http/chunked.h"
#include "http/parser.h"
#include "sim/client.h"
#include "sim/kernel.h"

#define LINE_BYTES_MAX 20000u  // More than the longest head the server takes and reflects.
// Less than every time-out of the simulated server.
#define PATIENCE_NS 900000000ull
#define HASH_START 0xcbf29ce484222325u

// A request whose head was sent whole.
struct question {
    bool is_head;
    bool is_old;        // HTTP/1.0
    bool is_echo;       // POST /echo
    bool is_reflect;    // Its handler puts what the client says into the answer's head.
    bool may_continue;  // It expects a 100.
    bool is_whole;      // Its body was sent too,
    uint64_t length;    // of so many bytes,
    uint64_t hash;      // these.
};

enum place { IN_HEAD, IN_BODY, IN_SIZE, IN_CHUNK, BEHIND_CHUNK, IN_TRAILERS, UP_TO_END };

struct dialogue {
    // Asked.
    uint8_t *sent;  // owned
    size_t sent_length, sent_room;
    size_t read_at;          // Up to here it is known what `sent` says.
    struct question *asked;  // owned
    uint32_t asked_count, asked_room;
    bool is_in_body;
    bool is_chunked;
    struct cv_chunked chunked;
    uint64_t body_left;
    bool is_refused;  // What follows is no request, or no body,
    bool is_last;     // or means nothing.
    bool has_half_closed;
    // Answered.
    uint32_t answered;
    enum place place;
    char line[LINE_BYTES_MAX + 1];
    size_t line_length;
    uint64_t left;
    uint64_t length, hash;  // Of the body so far.
    int status;
    bool has_continued;
    bool closes;
    // In time.
    uint64_t progress_ns;
    uint64_t begun_ns;  // When the request was begun that is half sent.
    bool is_late;       // With what it has begun to send, or with reading.
    bool was_idle;      // For so long that the server may have ended the connection.
};

static _Noreturn void wrong(const struct dialogue *dialogue, const char *what) {
    char line[256];
    dialogue_describe(dialogue, line, sizeof(line));
    sim_fail("%s: %s", what, line);
}

void dialogue_describe(const struct dialogue *dialogue, char *line, size_t bytes) {
    (void)snprintf(
        line, bytes, "%u requests, %u answers, place %d, %zu bytes sent, %zu known%s%s%s",
        dialogue->asked_count, dialogue->answered, (int)dialogue->place, dialogue->sent_length,
        dialogue->read_at, dialogue->is_refused ? ", no request" : "",
        dialogue->has_half_closed ? ", half closed" : "", dialogue->is_late ? ", late" : "");
}

static void *must(void *memory) {
    if (memory == NULL) {
        sim_fail("the simulation itself is out of memory");
    }
    return memory;
}

struct dialogue *dialogue_create(void) {
    struct dialogue *dialogue = must(malloc(sizeof(*dialogue)));
    memset(dialogue, 0, sizeof(*dialogue));
    dialogue->progress_ns = dialogue->begun_ns = sim.now_ns;
    return dialogue;
}

void dialogue_destroy(struct dialogue *dialogue) {
    free(dialogue->sent);
    free(dialogue->asked);
    free(dialogue);
}

static uint64_t hash_on(uint64_t hash, const void *data, size_t length) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    }
    return hash;
}

// Asked.
static struct question *newest(struct dialogue *dialogue) {
    return &dialogue->asked[dialogue->asked_count - 1];
}

static bool is_below(struct cv_span path, struct cv_span prefix) {
    return path.length >= prefix.length && memcmp(path.data, prefix.data, prefix.length) == 0;
}

static void add_question(struct dialogue *dialogue, const char *base,
                         const struct cv_parser_head *head) {
    struct cv_span path = cv_parser_span(base, head->path);
    if (dialogue->asked_count == dialogue->asked_room) {
        dialogue->asked_room = dialogue->asked_room * 2 + 8;
        dialogue->asked =
            must(realloc(dialogue->asked, dialogue->asked_room * sizeof(*dialogue->asked)));
    }
    dialogue->asked[dialogue->asked_count++] = (struct question){
        .is_head = head->method == CV_METHOD_HEAD,
        .is_old = head->version_minor == 0,
        .is_echo = head->method == CV_METHOD_POST && cv_span_equal(path, CV_SPAN("/echo")),
        // Escapes may spell it otherwise.
        .is_reflect = is_below(path, CV_SPAN("/reflect/")) ||
                      memchr(path.data, '%', path.length) != NULL ||
                      memchr(path.data, '.', path.length) != NULL,
        .may_continue = head->expect_continue,
        .hash = HASH_START,
    };
    dialogue->is_in_body = true;
    dialogue->is_chunked = head->chunked;
    dialogue->body_left = head->content_length;
    cv_chunked_init(&dialogue->chunked);
    dialogue->is_last = !head->keep_alive || head->method == CV_METHOD_CONNECT;
}

static void add_body(struct dialogue *dialogue, const void *data, size_t length) {
    struct question *question = newest(dialogue);
    question->length += length;
    question->hash = hash_on(question->hash, data, length);
}

static void end_body(struct dialogue *dialogue) {
    newest(dialogue)->is_whole = true;
    dialogue->is_in_body = false;
}

// Each of the next three returns whether there may be more to find out.
static bool read_chunks(struct dialogue *dialogue, struct cv_span rest) {
    struct cv_span data;
    size_t used;
    enum cv_chunked_result result = cv_chunked_feed(&dialogue->chunked, rest, &used, &data);
    dialogue->read_at += used;
    if (result == CV_CHUNKED_DATA) {
        add_body(dialogue, data.data, data.length);
    } else if (result == CV_CHUNKED_DONE) {
        end_body(dialogue);
    }
    dialogue->is_refused = result == CV_CHUNKED_REFUSED;
    return result == CV_CHUNKED_DATA || result == CV_CHUNKED_DONE;
}

static bool read_length(struct dialogue *dialogue, struct cv_span rest) {
    size_t length = (size_t)CV_MIN((uint64_t)rest.length, dialogue->body_left);
    add_body(dialogue, rest.data, length);
    dialogue->read_at += length;
    dialogue->body_left -= length;
    if (dialogue->body_left > 0) {
        return false;
    }
    end_body(dialogue);
    return true;
}

// With the widest limits there are: who has narrower ones refuses more, and says so.
static bool read_question(struct dialogue *dialogue, struct cv_span rest) {
    static const struct cv_parser_limits limits = {.head_bytes_max = CV_PARSER_HEAD_BYTES_MAX,
                                                   .target_bytes_max = CV_PARSER_HEAD_BYTES_MAX,
                                                   .fields_max = CV_PARSER_FIELDS_MAX};
    static struct cv_parser_head head;
    enum cv_parser_result result = cv_parser_feed(rest.data, rest.length, &limits, &head);
    dialogue->is_refused = result == CV_PARSER_REFUSED;
    if (result != CV_PARSER_DONE) {
        return false;
    }
    dialogue->read_at += head.head_bytes;
    add_question(dialogue, rest.data, &head);
    return true;
}

static void find_questions(struct dialogue *dialogue) {
    for (bool more = true; more && !dialogue->is_refused;) {
        struct cv_span rest = cv_span_make((const char *)dialogue->sent + dialogue->read_at,
                                           dialogue->sent_length - dialogue->read_at);
        more = dialogue->is_in_body ? dialogue->is_chunked ? read_chunks(dialogue, rest)
                                                           : read_length(dialogue, rest)
               : dialogue->is_last ? false
                                    : read_question(dialogue, rest);
    }
}

static bool is_half_sent(const struct dialogue *dialogue) {
    return dialogue->is_in_body ||
           (!dialogue->is_last && dialogue->read_at < dialogue->sent_length);
}

void dialogue_sent(struct dialogue *dialogue, const uint8_t *data, size_t length, uint64_t now_ns) {
    if (dialogue->sent_length + length > dialogue->sent_room) {
        dialogue->sent_room = 2 * (dialogue->sent_length + length);
        dialogue->sent = must(realloc(dialogue->sent, dialogue->sent_room));
    }
    uint32_t asked_before = dialogue->asked_count;
    // The first request's time runs from the connection's beginning.
    if (!is_half_sent(dialogue) && dialogue->sent_length > 0) {
        dialogue->begun_ns = now_ns;
    }
    memcpy(dialogue->sent + dialogue->sent_length, data, length);
    dialogue->sent_length += length;
    dialogue->progress_ns = now_ns;
    find_questions(dialogue);
    if (dialogue->asked_count > asked_before) {
        dialogue->begun_ns = now_ns;
    }
}

void dialogue_half_closed(struct dialogue *dialogue) {
    dialogue->has_half_closed = true;
}

// Answered.
// NULL: the answer is to what is no request, or is not whole.
static const struct question *current(const struct dialogue *dialogue) {
    return dialogue->answered < dialogue->asked_count ? &dialogue->asked[dialogue->answered] : NULL;
}

static void finish_answer(struct dialogue *dialogue) {
    const struct question *question = current(dialogue);
    if (question != NULL && question->is_echo && dialogue->status == 200 &&
        (!question->is_whole || question->length != dialogue->length ||
         question->hash != dialogue->hash)) {
        wrong(dialogue, "an echo of other bytes than were sent");
    }
    dialogue->answered++;
    dialogue->place = IN_HEAD;
    dialogue->has_continued = false;
    sim_world.answers++;
    sim_event("answered", (uint64_t)dialogue->status, dialogue->length);
}

static bool is_token(const char *text, size_t length) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < length; i++) {
        char byte = text[i];
        bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        if (!is_letter && !(byte >= '0' && byte <= '9') &&
            (byte == '\0' || strchr(others, byte) == NULL)) {
            return false;
        }
    }
    return length > 0;
}

// A line's end without its CRLF; no other control byte is in a head.
static char *end_line(const struct dialogue *dialogue, char *line) {
    char *end = line;
    while ((unsigned char)*end >= ' ' || *end == '\t') {
        end++;
    }
    if (*end != '\r' || end[1] != '\n') {
        wrong(dialogue, "a head holds a control byte");
    }
    *end = '\0';
    return end + 2;
}

static uint64_t take_number(const struct dialogue *dialogue, const char *text, int base) {
    char *end;
    size_t digits = strspn(text, base == 16 ? "0123456789abcdefABCDEF" : "0123456789");
    uint64_t value = strtoull(text, &end, base);
    if (digits == 0 || digits > 16 || text[digits] != '\0') {
        wrong(dialogue, "a length is no number");
    }
    return value;
}

struct answer_fields {
    uint64_t length;
    uint32_t seen;
    bool has_length, is_chunked;
};

static void take_field(struct dialogue *dialogue, char *line, struct answer_fields *fields) {
    static const char *const names[] = {
        "Content-Length", "Transfer-Encoding", "Connection",  "Date",  "Content-Type",
        "X-Reflect",      "Set-Cookie",        "Retry-After", "Allow", "Location",
    };
    char *colon = strchr(line, ':');
    uint32_t name = 0;
    if (colon == NULL || !is_token(line, (size_t)(colon - line)) || colon[1] != ' ') {
        wrong(dialogue, "a line of a head is no field");
    }
    *colon = '\0';
    const char *value = colon + 2;
    while (name < CV_ARRAY_COUNT(names) && strcmp(line, names[name]) != 0) {
        name++;
    }
    if (name == CV_ARRAY_COUNT(names)) {
        wrong(dialogue, "a field that nobody has set");
    }
    if ((fields->seen >> name & 1) != 0) {
        wrong(dialogue, "a field is there twice");
    }
    fields->seen |= 1u << name;
    if (name == 0) {
        fields->has_length = true;
        fields->length = take_number(dialogue, value, 10);
    } else if (name == 1) {
        fields->is_chunked = strcmp(value, "chunked") == 0;
        if (!fields->is_chunked) {
            wrong(dialogue, "a coding that is not chunked");
        }
    } else if (name == 2) {
        dialogue->closes = strcmp(value, "close") == 0;
        if (!dialogue->closes && strcmp(value, "keep-alive") != 0) {
            wrong(dialogue, "a Connection that says nothing known");
        }
    }
}

static void take_interim(struct dialogue *dialogue) {
    const struct question *question = current(dialogue);
    if (dialogue->status != 100 || question == NULL || !question->may_continue ||
        dialogue->has_continued) {
        wrong(dialogue, "an interim answer that nobody expects");
    }
    dialogue->has_continued = true;
}

// To which request is the final answer, and may it be?
static void take_final(struct dialogue *dialogue) {
    const struct question *question = current(dialogue);
    bool is_error = dialogue->status >= 400;
    if (question == NULL &&
        !(is_error && dialogue->closes && (dialogue->is_refused || dialogue->is_late))) {
        wrong(dialogue, "an answer nobody asked for");
    }
    if (dialogue->status == 500 && question != NULL && !question->is_reflect) {
        wrong(dialogue, "a handler did not answer");
    }
    if (question != NULL && !question->is_whole && dialogue->is_refused &&
        dialogue->answered + 1 == dialogue->asked_count && !dialogue->closes) {
        wrong(dialogue, "a connection goes on behind a wrong body");
    }
}

static void take_head(struct dialogue *dialogue) {
    char *line = dialogue->line;
    struct answer_fields fields = {0};
    char *next = end_line(dialogue, line);
    if (memcmp(line, "HTTP/1.1 ", 9) != 0 || strspn(line + 9, "0123456789") != 3 ||
        line[12] != ' ' || line[9] < '1' || line[9] > '5') {
        wrong(dialogue, "an answer does not begin with a status line");
    }
    dialogue->status = atoi(line + 9);
    for (line = next; *line != '\r'; line = next) {
        next = end_line(dialogue, line);
        take_field(dialogue, line, &fields);
    }
    dialogue->length = 0;
    dialogue->hash = HASH_START;
    if (dialogue->status < 200) {
        take_interim(dialogue);
        return;
    }
    if ((fields.seen >> 3 & 1) == 0 || (fields.has_length && fields.is_chunked)) {
        wrong(dialogue, "an answer without a date, or with two lengths");
    }
    take_final(dialogue);
    const struct question *question = current(dialogue);
    bool is_bare = (question != NULL && question->is_head) || dialogue->status == 204 ||
                   dialogue->status == 304;
    if (is_bare) {
        finish_answer(dialogue);
    } else if (fields.is_chunked) {
        if (question != NULL && question->is_old) {
            wrong(dialogue, "chunks for HTTP/1.0");
        }
        dialogue->place = IN_SIZE;
    } else if (fields.has_length) {
        dialogue->left = fields.length;
        dialogue->place = IN_BODY;
        if (fields.length == 0) {
            finish_answer(dialogue);
        }
    } else if (dialogue->closes && question != NULL && question->is_old) {
        dialogue->place = UP_TO_END;
    } else {
        wrong(dialogue, "an answer without a length");
    }
}

static void take_body(struct dialogue *dialogue, const uint8_t *data, size_t length) {
    dialogue->length += length;
    dialogue->hash = hash_on(dialogue->hash, data, length);
    dialogue->left -= length;
}

// Collects bytes up to the end of a line, or of a head. Returns whether it is there.
static bool collect(struct dialogue *dialogue, uint8_t byte, const char *ending) {
    size_t length = strlen(ending);
    if (dialogue->line_length == LINE_BYTES_MAX) {
        wrong(dialogue, "a line has no end");
    }
    dialogue->line[dialogue->line_length++] = (char)byte;
    dialogue->line[dialogue->line_length] = '\0';
    bool is_there = dialogue->line_length >= length &&
                    memcmp(dialogue->line + dialogue->line_length - length, ending, length) == 0;
    dialogue->line_length = is_there ? 0 : dialogue->line_length;
    return is_there;
}

static void take_line(struct dialogue *dialogue) {
    struct answer_fields fields = {0};
    bool is_empty = strcmp(dialogue->line, "\r\n") == 0;
    (void)end_line(dialogue, dialogue->line);
    if (dialogue->place == IN_SIZE) {
        dialogue->left = take_number(dialogue, dialogue->line, 16);
        dialogue->place = dialogue->left > 0 ? IN_CHUNK : IN_TRAILERS;
    } else if (dialogue->place == BEHIND_CHUNK) {
        if (!is_empty) {
            wrong(dialogue, "a chunk has no end");
        }
        dialogue->place = IN_SIZE;
    } else if (is_empty) {
        finish_answer(dialogue);
    } else {
        take_field(dialogue, dialogue->line, &fields);
    }
}

// Returns how many bytes were used; not 0.
static size_t take(struct dialogue *dialogue, const uint8_t *data, size_t length) {
    size_t piece = length;
    switch (dialogue->place) {
    case IN_HEAD:
        if (dialogue->closes) {
            wrong(dialogue, "bytes behind the last answer");
        }
        if (collect(dialogue, data[0], "\r\n\r\n")) {
            take_head(dialogue);
        }
        return 1;
    case IN_BODY:
    case IN_CHUNK:
        piece = (size_t)CV_MIN((uint64_t)length, dialogue->left);
        take_body(dialogue, data, piece);
        if (dialogue->left == 0 && dialogue->place == IN_BODY) {
            finish_answer(dialogue);
        } else if (dialogue->left == 0) {
            dialogue->place = BEHIND_CHUNK;
        }
        return piece;
    case UP_TO_END:
        take_body(dialogue, data, length);
        return length;
    case IN_SIZE:
    case BEHIND_CHUNK:
    case IN_TRAILERS:
        if (collect(dialogue, data[0], "\r\n")) {
            take_line(dialogue);
        }
        return 1;
    }
    return piece;
}

void dialogue_received(struct dialogue *dialogue, const uint8_t *data, size_t length,
                       uint64_t now_ns) {
    for (size_t at = 0; at < length;) {
        at += take(dialogue, data + at, length - at);
    }
    dialogue->progress_ns = now_ns;
}

// In time.
void dialogue_wait(struct dialogue *dialogue, bool is_stalled, uint64_t now_ns) {
    bool is_quiet = now_ns - dialogue->progress_ns >= PATIENCE_NS;
    bool is_slow = is_half_sent(dialogue) && now_ns - dialogue->begun_ns >= PATIENCE_NS;
    dialogue->was_idle = dialogue->was_idle || is_quiet;
    dialogue->is_late = dialogue->is_late || is_slow || (is_quiet && is_stalled);
}

// Answers that must have come: to what is whole, and to what is wrong.
static uint32_t due(const struct dialogue *dialogue) {
    uint32_t whole = dialogue->asked_count - (dialogue->is_in_body ? 1 : 0);
    return whole + (dialogue->is_refused ? 1 : 0);
}

// Who sends more behind the last request it announced may lose the answer (RFC 9112 section 9.6).
static bool is_overrun(const struct dialogue *dialogue) {
    return dialogue->is_last && !dialogue->is_in_body && !dialogue->is_refused &&
           dialogue->read_at < dialogue->sent_length;
}

void dialogue_ended(struct dialogue *dialogue, bool is_reset, bool is_excused) {
    if (is_excused || dialogue->is_late || (is_reset && is_overrun(dialogue))) {
        return;
    }
    if (dialogue->place == UP_TO_END && !is_reset) {
        finish_answer(dialogue);
    }
    if (dialogue->place != IN_HEAD || dialogue->line_length > 0) {
        wrong(dialogue, is_reset ? "a reset in the middle of an answer" : "an answer is cut");
    }
    if (dialogue->closes) {
        return;
    }
    if (dialogue->answered < due(dialogue)) {
        wrong(dialogue, is_reset ? "a reset instead of an answer" : "an end instead of an answer");
    }
    if (dialogue->is_refused) {
        wrong(dialogue, "the answer to what is no request does not close");
    }
    if (!dialogue->has_half_closed && !dialogue->was_idle && !sim_world.is_ending) {
        wrong(dialogue, "a connection was ended for no reason");
    }
}
