// A connection goes through these states:
//
//   READING ── head complete ──> WRITING ── all sent ──> LINGERING ── client closed ──> FREE
//                  │
//                  └─ a stream ──> STREAMING ── client closed, or too slow ──> FREE
//
// Lingering, because closing with unread bytes would reset the connection and could destroy the
// answer on its way. All but streaming has one deadline, counted from accept.
//
// An event is one block of memory that all streams send from and the last one frees, so a stream
// holds at most one event, and many streams cost no more copies than one.
#include "profile/serve_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "http/head.h"
#include "http/headers.h"
#include "http/parser.h"

#define MS_NS 1000000ull
#define ACCEPT_PAUSE_NS (1000 * MS_NS)
// What the kernel may hold of a stream: else a client that stopped reading would show after
// megabytes only.
#define STREAM_SEND_BYTES (128 << 10)

#define SAFETY_FIELDS \
    "Cache-Control: no-store\r\n" \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; " \
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; " \
    "frame-ancestors 'none'\r\n" \
    "Cross-Origin-Resource-Policy: same-origin\r\n" \
    "Referrer-Policy: no-referrer\r\n" \
    "X-Content-Type-Options: nosniff\r\n" \
    "X-Frame-Options: DENY\r\n"

enum state { STATE_FREE, STATE_READING, STATE_WRITING, STATE_LINGERING, STATE_STREAMING };

// Bytes on their way to one or more clients.
struct block {
    uint32_t holders;
    size_t length;
    char data[];
};

struct connection {
    int fd;
    enum state state;
    uint64_t deadline_ns;
    size_t input_bytes;
    struct block *output;  // held; NULL: nothing to send
    size_t sent_bytes;
    uint32_t late;  // Events missed in a row.
    char input[CV_SERVE_HTTP_HEAD_BYTES_MAX];
};

struct cv_serve_http {
    int listener;
    uint64_t accept_at_ns;  // Not before; after an error that would come again at once.
    struct cv_serve_http_options options;
    struct connection connection[CV_SERVE_HTTP_CONNECTIONS_MAX];
};

static const struct cv_parser_limits parser_limits = {
    .head_bytes_max = CV_SERVE_HTTP_HEAD_BYTES_MAX,
    .target_bytes_max = 1024,
    .fields_max = 64,
};

static struct block *make_block(size_t bytes_max) {
    struct block *block = malloc(sizeof(*block) + bytes_max);
    if (block != NULL) {
        block->holders = 1;
        block->length = 0;
    }
    return block;
}

static void release_block(struct block *block) {
    if (block != NULL && --block->holders == 0) {
        free(block);
    }
}

static void append(struct block *block, struct cv_span text) {
    if (text.length > 0) {
        memcpy(block->data + block->length, text.data, text.length);
        block->length += text.length;
    }
}

// The host of `authority` (host[:port], already found well-formed) without port and brackets.
static struct cv_span host_of(struct cv_span authority) {
    if (authority.length > 0 && authority.data[0] == '[') {
        const char *end = memchr(authority.data, ']', authority.length);
        return cv_span_make(authority.data + 1, (size_t)(end - authority.data - 1));
    }
    const char *colon = memchr(authority.data, ':', authority.length);
    return cv_span_make(authority.data,
                        colon == NULL ? authority.length : (size_t)(colon - authority.data));
}

static bool is_address(struct cv_span host) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.length >= sizeof(text)) {
        return false;
    }
    memcpy(text, host.data, host.length);
    text[host.length] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_name(struct cv_span host, const char *name) {
    return host.length == strlen(name) && strncasecmp(host.data, name, host.length) == 0;
}

// May this be asked for under this name? HTTP/1.0 may leave it out; no browser does.
static bool allows_host(const struct cv_serve_http_options *options, struct cv_span authority) {
    struct cv_span host = host_of(authority);
    bool allowed = authority.length == 0 || is_address(host) || is_name(host, "localhost");
    for (uint32_t i = 0; i < options->host_count && !allowed; i++) {
        allowed = is_name(host, options->hosts[i]);
    }
    return allowed;
}

// Does the request come from one of our own pages, or from no page at all?
static bool allows_origin(const struct cv_parser_head *head, const char *data,
                          struct cv_span authority) {
    struct cv_span origin;
    if (!cv_headers_get(head, data, CV_FIELD_ORIGIN, &origin)) {
        return true;
    }
    struct cv_span scheme = CV_SPAN("http://");
    return origin.length == scheme.length + authority.length &&
           cv_span_equal(cv_span_make(origin.data, scheme.length), scheme) &&
           cv_span_equal(cv_span_make(origin.data + scheme.length, authority.length), authority);
}

static void refuse(struct cv_serve_http_reply *reply, uint16_t status, const char *why) {
    reply->status = status;
    reply->body = cv_span_of(why);
}

static void fill_reply(struct cv_serve_http *http, const struct cv_parser_head *head,
                       enum cv_parser_result result, const char *data,
                       struct cv_serve_http_reply *reply) {
    if (result == CV_PARSER_REFUSED) {
        refuse(reply, cv_parser_status(head->refusal), cv_parser_reason(head->refusal));
        return;
    }
    struct cv_span authority = cv_parser_span(data, head->authority);
    if (!allows_host(&http->options, authority)) {
        refuse(reply, 421,
               "not served under this name: use an address or localhost, or start with "
               "--host NAME\n");
    } else if (!allows_origin(head, data, authority)) {
        refuse(reply, 403, "not for pages of other sites\n");
    } else if ((head->method & (CV_METHOD_GET | CV_METHOD_HEAD)) == 0) {
        refuse(reply, 405, "only GET and HEAD are understood here\n");
    } else {
        http->options.answer(http->options.context, cv_parser_span(data, head->path), reply);
    }
    if (reply->is_stream && cv_serve_http_stream_count(http) == CV_SERVE_HTTP_STREAMS_MAX) {
        reply->is_stream = false;
        refuse(reply, 503, "too many open pages: close one\n");
    }
}

// Head and body in one block.
static struct block *join(const struct cv_serve_http_reply *reply, bool with_body) {
    char date[CV_CLOCK_DATE_BYTES + 1];
    cv_clock_format_date(date, cv_clock_realtime_ms() / 1000);
    struct cv_head head = {
        .status = reply->status,
        .content_type = reply->content_type,
        .date = cv_span_make(date, CV_CLOCK_DATE_BYTES),
        .fields = reply->status == 405 ? CV_SPAN(SAFETY_FIELDS "Allow: GET, HEAD\r\n")
                                       : CV_SPAN(SAFETY_FIELDS),
        .content_length = reply->body.length,
        .body = reply->is_stream ? CV_HEAD_NONE : CV_HEAD_LENGTH,
        .close = true,
    };
    struct block *block = make_block(cv_head_bytes_max(&head) + reply->body.length);
    if (block != NULL) {
        block->length = cv_head_write(block->data, &head);
        append(block, with_body ? reply->body : cv_span_make(NULL, 0));
    }
    return block;
}

// Reads the head in `connection->input`; when it is complete, or hopeless, there is an answer in
// `output` and the state is its. Returns false when there is no memory.
static bool answer(struct cv_serve_http *http, struct connection *connection) {
    struct cv_parser_head head;
    enum cv_parser_result result =
        cv_parser_feed(connection->input, connection->input_bytes, &parser_limits, &head);
    if (result == CV_PARSER_PARTIAL) {
        return true;
    }
    struct cv_serve_http_reply reply = {
        .status = 200,
        .content_type = CV_SPAN("text/plain; charset=utf-8"),
    };
    fill_reply(http, &head, result, connection->input, &reply);
    bool is_head = result == CV_PARSER_DONE && head.method == CV_METHOD_HEAD;
    connection->output = join(&reply, !is_head);
    connection->state = reply.is_stream && !is_head ? STATE_STREAMING : STATE_WRITING;
    if (connection->state == STATE_STREAMING) {
        int bytes = STREAM_SEND_BYTES;
        setsockopt(connection->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
    return connection->output != NULL;
}

int cv_serve_http_create(struct cv_serve_http **http_out, int listener_taken,
                         const struct cv_serve_http_options *options) {
    int flags = fcntl(listener_taken, F_GETFL);
    struct cv_serve_http *http = calloc(1, sizeof(*http));
    if (http == NULL || flags < 0 || fcntl(listener_taken, F_SETFL, flags | O_NONBLOCK) < 0) {
        int error = http == NULL ? -ENOMEM : -errno;
        free(http);
        close(listener_taken);
        return error;
    }
    http->listener = listener_taken;
    http->options = *options;
    *http_out = http;
    return 0;
}

static void close_connection(struct connection *connection) {
    close(connection->fd);
    release_block(connection->output);
    connection->output = NULL;
    connection->state = STATE_FREE;
}

void cv_serve_http_destroy(struct cv_serve_http *http) {
    if (http == NULL) {
        return;
    }
    for (uint32_t i = 0; i < CV_SERVE_HTTP_CONNECTIONS_MAX; i++) {
        if (http->connection[i].state != STATE_FREE) {
            close_connection(&http->connection[i]);
        }
    }
    close(http->listener);
    free(http);
}

uint32_t cv_serve_http_stream_count(const struct cv_serve_http *http) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < CV_SERVE_HTTP_CONNECTIONS_MAX; i++) {
        count += http->connection[i].state == STATE_STREAMING;
    }
    return count;
}

void cv_serve_http_prepare(const struct cv_serve_http *http, uint64_t now_ns,
                           struct pollfd polls[CV_SERVE_HTTP_POLLS], int *timeout_ms) {
    for (uint32_t i = 0; i < CV_SERVE_HTTP_CONNECTIONS_MAX; i++) {
        const struct connection *connection = &http->connection[i];
        polls[i + 1] = (struct pollfd){.fd = -1};
        if (connection->state == STATE_FREE) {
            continue;
        }
        polls[i + 1].fd = connection->fd;
        polls[i + 1].events = connection->state == STATE_WRITING ? 0 : POLLIN;
        if (connection->output != NULL) {
            polls[i + 1].events |= POLLOUT;
        }
        if (connection->state != STATE_STREAMING) {
            cv_clock_lower_timeout(timeout_ms, now_ns, connection->deadline_ns);
        }
    }
    bool is_paused = now_ns < http->accept_at_ns;
    polls[0] = (struct pollfd){.fd = is_paused ? -1 : http->listener, .events = POLLIN};
    if (is_paused) {
        cv_clock_lower_timeout(timeout_ms, now_ns, http->accept_at_ns);
    }
}

// A place for a new connection. When all are taken, the one that has been waiting longest for its
// client gives way, so that idle clients cannot keep others out; there are more places than
// streams, so there is one.
static struct connection *make_room(struct cv_serve_http *http) {
    struct connection *oldest = NULL;
    for (uint32_t i = 0; i < CV_SERVE_HTTP_CONNECTIONS_MAX; i++) {
        struct connection *connection = &http->connection[i];
        if (connection->state == STATE_FREE) {
            return connection;
        }
        if (connection->state != STATE_STREAMING &&
            (oldest == NULL || connection->deadline_ns < oldest->deadline_ns)) {
            oldest = connection;
        }
    }
    CV_ASSERT(oldest != NULL);
    close_connection(oldest);
    return oldest;
}

static void accept_one(struct cv_serve_http *http, uint64_t now_ns) {
    int fd = accept4(http->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            http->accept_at_ns = now_ns + ACCEPT_PAUSE_NS;
        }
        return;
    }
    struct connection *connection = make_room(http);
    connection->fd = fd;
    connection->state = STATE_READING;
    connection->deadline_ns = now_ns + CV_SERVE_HTTP_TIMEOUT_MS * MS_NS;
    connection->input_bytes = 0;
    connection->sent_bytes = 0;
    connection->late = 0;
}

// Returns the bytes moved, 0 for "not now"; -1 when the connection is over.
static ssize_t settle(ssize_t result) {
    if (result > 0) {
        return result;
    }
    return result < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static bool write_output(struct connection *connection) {
    struct block *output = connection->output;
    ssize_t sent = settle(send(connection->fd, output->data + connection->sent_bytes,
                               output->length - connection->sent_bytes, MSG_NOSIGNAL));
    if (sent < 0) {
        return false;
    }
    connection->sent_bytes += (size_t)sent;
    if (connection->sent_bytes < output->length) {
        return true;
    }
    release_block(output);
    connection->output = NULL;
    connection->sent_bytes = 0;
    connection->late = 0;
    if (connection->state == STATE_WRITING) {
        shutdown(connection->fd, SHUT_WR);
        connection->state = STATE_LINGERING;
    }
    return true;
}

static bool read_request(struct cv_serve_http *http, struct connection *connection) {
    ssize_t got = settle(recv(connection->fd, connection->input + connection->input_bytes,
                              sizeof(connection->input) - connection->input_bytes, 0));
    if (got <= 0) {
        return got == 0;
    }
    connection->input_bytes += (size_t)got;
    if (!answer(http, connection)) {
        return false;
    }
    return connection->output == NULL ? connection->input_bytes < sizeof(connection->input)
                                      : write_output(connection);
}

// What a client sends behind its request is read and forgotten; a stream's client has nothing to
// say, so there it is the end.
static bool read_rest(struct connection *connection) {
    ssize_t got = settle(recv(connection->fd, connection->input, sizeof(connection->input), 0));
    return connection->state == STATE_STREAMING ? got == 0 : got >= 0;
}

static bool step(struct cv_serve_http *http, struct connection *connection, short events) {
    if ((events & POLLOUT) != 0 && connection->output != NULL) {
        return write_output(connection);
    }
    if (connection->state == STATE_WRITING) {  // POLLERR or POLLHUP: it cannot be sent any more.
        return false;
    }
    return connection->state == STATE_READING ? read_request(http, connection)
                                              : read_rest(connection);
}

void cv_serve_http_handle(struct cv_serve_http *http, uint64_t now_ns,
                          const struct pollfd polls[CV_SERVE_HTTP_POLLS]) {
    for (uint32_t i = 0; i < CV_SERVE_HTTP_CONNECTIONS_MAX; i++) {
        struct connection *connection = &http->connection[i];
        if (connection->state == STATE_FREE) {
            continue;
        }
        short events = polls[i + 1].revents;
        bool goes_on = events == 0 || step(http, connection, events);
        bool is_late = connection->state != STATE_STREAMING && now_ns >= connection->deadline_ns;
        if (!goes_on || is_late) {
            close_connection(connection);
        }
    }
    if (polls[0].revents != 0) {
        accept_one(http, now_ns);
    }
}

void cv_serve_http_publish(struct cv_serve_http *http, struct cv_span event) {
    struct block *block = make_block(event.length);
    if (block == NULL) {
        return;  // The streams miss one event.
    }
    append(block, event);
    for (uint32_t i = 0; i < CV_SERVE_HTTP_CONNECTIONS_MAX; i++) {
        struct connection *connection = &http->connection[i];
        if (connection->state != STATE_STREAMING) {
            continue;
        }
        if (connection->output != NULL) {
            if (++connection->late > CV_SERVE_HTTP_LATE_MAX) {
                close_connection(connection);
            }
            continue;
        }
        block->holders++;
        connection->output = block;
        if (!write_output(connection)) {
            close_connection(connection);
        }
    }
    release_block(block);
}
