// One connection goes through three states: reading the head, writing the answer, lingering until
// the client has closed its side (closing with unread bytes would reset the connection and could
// destroy the answer on its way).
//
// A request that carries an Origin field is refused: it comes from a script in a browser, which has
// no business here even if it can reach a loopback port.
#include "server/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/head.h"
#include "http/headers.h"
#include "http/parser.h"

#define MS_NS 1000000ull
#define ACCEPT_PAUSE_NS (1000 * MS_NS)

enum state { STATE_FREE, STATE_READING, STATE_WRITING, STATE_LINGERING };

struct connection {
    int fd;
    enum state state;
    uint64_t deadline_ns;
    size_t input_bytes;
    struct cv_span output;  // owned: to be freed
    size_t sent_bytes;
    char input[CV_ADMIN_HEAD_BYTES_MAX];
};

struct cv_admin {
    int listener;
    uint64_t accept_at_ns;  // Not before; after an error that would come again at once.
    cv_admin_fn answer;
    void *context;
    struct connection connection[CV_ADMIN_CONNECTIONS_MAX];
};

static const struct cv_parser_limits parser_limits = {
    .head_bytes_max = CV_ADMIN_HEAD_BYTES_MAX,
    .target_bytes_max = 1024,
    .fields_max = 64,
};

void cv_admin_reply_write(struct cv_admin_reply *reply, struct cv_span text) {
    if (reply->is_out_of_memory || text.length == 0) {
        return;
    }
    size_t wanted = reply->body_bytes + text.length;
    if (wanted > reply->capacity) {
        size_t capacity = CV_MAX(2 * reply->capacity, CV_MAX(wanted, (size_t)4096));
        char *body = realloc(reply->body, capacity);
        if (body == NULL) {
            reply->is_out_of_memory = true;
            return;
        }
        reply->body = body;
        reply->capacity = capacity;
    }
    memcpy(reply->body + reply->body_bytes, text.data, text.length);
    reply->body_bytes = wanted;
}

void cv_admin_reply_format(struct cv_admin_reply *reply, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length > 0) {
        cv_admin_reply_write(reply, cv_span_make(text, CV_MIN((size_t)length, sizeof(text) - 1)));
    }
}

static void refuse(struct cv_admin_reply *reply, uint16_t status, const char *why) {
    reply->status = status;
    cv_admin_reply_format(reply, "%s\n", why);
}

static void fill_reply(const struct cv_parser_head *head, enum cv_parser_result result,
                       const char *data, cv_admin_fn answer, void *context,
                       struct cv_admin_reply *reply) {
    struct cv_span origin;
    if (result == CV_PARSER_REFUSED) {
        refuse(reply, cv_parser_status(head->refusal), cv_parser_reason(head->refusal));
        return;
    }
    if (cv_headers_find(head, data, CV_SPAN("Origin"), &origin)) {
        refuse(reply, 403, "not for scripts of web pages");
        return;
    }
    if ((head->method & (CV_METHOD_GET | CV_METHOD_HEAD | CV_METHOD_POST | CV_METHOD_DELETE)) ==
        0) {
        refuse(reply, 501, "only GET, HEAD, POST and DELETE are understood here");
        return;
    }
    uint16_t method = head->method == CV_METHOD_HEAD ? CV_METHOD_GET : head->method;
    answer(context, method, cv_parser_span(data, head->path), cv_parser_span(data, head->query),
           reply);
}

// Head and body in one block of memory.
static struct cv_span join(struct cv_admin_reply *reply, bool with_body) {
    char date[CV_CLOCK_DATE_BYTES + 1];
    cv_clock_format_date(date, cv_clock_realtime_ms() / 1000);
    struct cv_head head = {
        .status = reply->status,
        .content_type = reply->content_type,
        .date = cv_span_make(date, CV_CLOCK_DATE_BYTES),
        .fields = CV_SPAN("Cache-Control: no-store\r\n"),
        .content_length = reply->body_bytes,
        .body = CV_HEAD_LENGTH,
        .close = true,
    };
    char *bytes = malloc(cv_head_bytes_max(&head) + reply->body_bytes);
    if (bytes == NULL) {
        return cv_span_make(NULL, 0);
    }
    size_t length = cv_head_write(bytes, &head);
    if (with_body && reply->body_bytes > 0) {
        memcpy(bytes + length, reply->body, reply->body_bytes);
        length += reply->body_bytes;
    }
    return cv_span_make(bytes, length);
}

bool cv_admin_answer(struct cv_span input, cv_admin_fn answer, void *context,
                     struct cv_span *output) {
    struct cv_parser_head head;
    enum cv_parser_result result = cv_parser_feed(input.data, input.length, &parser_limits, &head);
    if (result == CV_PARSER_PARTIAL) {
        return false;
    }
    struct cv_admin_reply reply = {
        .status = 200,
        .content_type = CV_SPAN("text/plain; charset=utf-8"),
    };
    fill_reply(&head, result, input.data, answer, context, &reply);
    if (reply.is_out_of_memory) {
        reply.status = 500;
        reply.body_bytes = 0;
    }
    bool with_body = result != CV_PARSER_DONE || head.method != CV_METHOD_HEAD;
    *output = join(&reply, with_body);
    free(reply.body);
    return true;
}

int cv_admin_create(struct cv_admin **admin_out, int listener_taken, cv_admin_fn answer,
                    void *context) {
    int flags = fcntl(listener_taken, F_GETFL);
    struct cv_admin *admin = calloc(1, sizeof(*admin));
    if (admin == NULL || flags < 0 || fcntl(listener_taken, F_SETFL, flags | O_NONBLOCK) < 0) {
        int error = admin == NULL ? -ENOMEM : -errno;
        free(admin);
        close(listener_taken);
        return error;
    }
    admin->listener = listener_taken;
    admin->answer = answer;
    admin->context = context;
    *admin_out = admin;
    return 0;
}

static void close_connection(struct connection *connection) {
    close(connection->fd);
    free((void *)(uintptr_t)connection->output.data);
    connection->output = cv_span_make(NULL, 0);
    connection->state = STATE_FREE;
}

void cv_admin_destroy(struct cv_admin *admin) {
    if (admin == NULL) {
        return;
    }
    for (uint32_t i = 0; i < CV_ADMIN_CONNECTIONS_MAX; i++) {
        if (admin->connection[i].state != STATE_FREE) {
            close_connection(&admin->connection[i]);
        }
    }
    close(admin->listener);
    free(admin);
}

static struct connection *find_free(struct cv_admin *admin) {
    for (uint32_t i = 0; i < CV_ADMIN_CONNECTIONS_MAX; i++) {
        if (admin->connection[i].state == STATE_FREE) {
            return &admin->connection[i];
        }
    }
    return NULL;
}

void cv_admin_prepare(const struct cv_admin *admin, uint64_t now_ns,
                      struct pollfd polls[CV_ADMIN_POLLS], int *timeout_ms) {
    bool has_room = false;
    for (uint32_t i = 0; i < CV_ADMIN_CONNECTIONS_MAX; i++) {
        const struct connection *connection = &admin->connection[i];
        bool is_free = connection->state == STATE_FREE;
        has_room |= is_free;
        polls[i + 1] = (struct pollfd){
            .fd = is_free ? -1 : connection->fd,
            .events = connection->state == STATE_WRITING ? POLLOUT : POLLIN,
        };
        if (!is_free) {
            cv_clock_lower_timeout(timeout_ms, now_ns, connection->deadline_ns);
        }
    }
    bool is_paused = now_ns < admin->accept_at_ns;
    polls[0] =
        (struct pollfd){.fd = has_room && !is_paused ? admin->listener : -1, .events = POLLIN};
    if (is_paused) {
        cv_clock_lower_timeout(timeout_ms, now_ns, admin->accept_at_ns);
    }
}

static void accept_one(struct cv_admin *admin, uint64_t now_ns) {
    struct connection *connection = find_free(admin);
    if (connection == NULL) {
        return;
    }
    int fd = accept4(admin->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            cv_log(CV_LOG_WARN, "admin_accept_failed", "reason=\"%s\"", strerror(errno));
            admin->accept_at_ns = now_ns + ACCEPT_PAUSE_NS;
        }
        return;
    }
    connection->fd = fd;
    connection->state = STATE_READING;
    connection->deadline_ns = now_ns + CV_ADMIN_TIMEOUT_MS * MS_NS;
    connection->input_bytes = 0;
    connection->sent_bytes = 0;
}

// Returns the bytes moved, 0 for "not now"; -1 when the connection is over.
static ssize_t settle(ssize_t result) {
    if (result > 0) {
        return result;
    }
    return result < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static bool write_answer(struct connection *connection) {
    struct cv_span left = cv_span_make(connection->output.data + connection->sent_bytes,
                                       connection->output.length - connection->sent_bytes);
    ssize_t sent = settle(send(connection->fd, left.data, left.length, MSG_NOSIGNAL));
    if (sent < 0) {
        return false;
    }
    connection->sent_bytes += (size_t)sent;
    if (connection->sent_bytes == connection->output.length) {
        shutdown(connection->fd, SHUT_WR);
        connection->state = STATE_LINGERING;
    }
    return true;
}

static bool read_request(struct cv_admin *admin, struct connection *connection) {
    ssize_t got = settle(recv(connection->fd, connection->input + connection->input_bytes,
                              sizeof(connection->input) - connection->input_bytes, 0));
    if (got <= 0) {
        return got == 0;
    }
    connection->input_bytes += (size_t)got;
    struct cv_span input = cv_span_make(connection->input, connection->input_bytes);
    if (!cv_admin_answer(input, admin->answer, admin->context, &connection->output)) {
        return connection->input_bytes < sizeof(connection->input);
    }
    if (connection->output.data == NULL) {
        return false;
    }
    connection->state = STATE_WRITING;
    return write_answer(connection);
}

static bool linger(struct connection *connection) {
    return settle(recv(connection->fd, connection->input, sizeof(connection->input), 0)) >= 0;
}

static bool step(struct cv_admin *admin, struct connection *connection) {
    switch (connection->state) {
    case STATE_READING:
        return read_request(admin, connection);
    case STATE_WRITING:
        return write_answer(connection);
    case STATE_LINGERING:
        return linger(connection);
    case STATE_FREE:
        break;
    }
    return true;
}

void cv_admin_handle(struct cv_admin *admin, uint64_t now_ns,
                     const struct pollfd polls[CV_ADMIN_POLLS]) {
    for (uint32_t i = 0; i < CV_ADMIN_CONNECTIONS_MAX; i++) {
        struct connection *connection = &admin->connection[i];
        if (connection->state == STATE_FREE) {
            continue;
        }
        bool goes_on = polls[i + 1].revents == 0 || step(admin, connection);
        if (!goes_on || now_ns >= connection->deadline_ns) {
            close_connection(connection);
        }
    }
    if (polls[0].revents != 0) {
        accept_one(admin, now_ns);
    }
}
