// Workers on their own threads and real rings, driven by messages as the main thread does, and by
// clients over TCP. Each worker has a port of its own here, so a test knows who answers.
#include "server/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <covet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "app/app.h"
#include "base/clock.h"
#include "demo/demo.h"
#include "metrics/counter.h"
#include "ring/ring.h"
#include "server/lastwords.h"
#include "server/logqueue.h"

#define WORKERS 2u
#define PATIENCE_MS 20000
#define REQUESTS_STEADY 10000

static _Atomic uint64_t allocation_count;
static _Atomic int64_t live_count;      // Blocks handed out and not given back.
static _Atomic uint64_t failing_count;  // The allocation of this count fails; 0: none.

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void __real_free(void *memory);
void __wrap_free(void *memory);

static bool allocation_fails(void) {
    return atomic_fetch_add(&allocation_count, 1) + 1 == atomic_load(&failing_count);
}

static void *note(void *memory) {
    atomic_fetch_add(&live_count, memory != NULL);
    return memory;
}

void *__wrap_malloc(size_t bytes) {
    return allocation_fails() ? NULL : note(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes) {
    return allocation_fails() ? NULL : note(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *memory, size_t bytes) {
    atomic_fetch_add(&allocation_count, 1);
    return memory == NULL ? note(__real_realloc(memory, bytes)) : __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    return allocation_fails() ? NULL : note(__real_aligned_alloc(alignment, bytes));
}

void __wrap_free(void *memory) {
    atomic_fetch_sub(&live_count, memory != NULL);
    __real_free(memory);
}

// The next write of a ring is one that the kernel refuses.
static _Atomic bool next_write_fails;

void __real_cv_ring_write(struct cv_ring *ring, int descriptor, const void *data, uint32_t bytes,
                          uint64_t user_data);
void __wrap_cv_ring_write(struct cv_ring *ring, int descriptor, const void *data, uint32_t bytes,
                          uint64_t user_data);
void __wrap_cv_ring_write(struct cv_ring *ring, int descriptor, const void *data, uint32_t bytes,
                          uint64_t user_data) {
    bool fails = atomic_exchange(&next_write_fails, false);
    __real_cv_ring_write(ring, fails ? -1 : descriptor, data, bytes, user_data);
}

static struct {
    _Atomic uint32_t deferred_count;
    _Atomic uint32_t abort_count;
    _Atomic uint32_t exit_count;
    _Atomic uint32_t sleeping_count;
    _Atomic bool has_note;
} seen;

static void answer_deferred(struct covet_worker *worker, void *context) {
    struct covet_request *request = context;
    (void)worker;
    (void)covet_response_text(covet_request_response(request), "late");
}

static void on_abort(struct covet_request *request, void *context) {
    (void)request, (void)context;
    atomic_fetch_add(&seen.abort_count, 1);
}

// `GET /defer/{ms}`: answered by a timer, whether or not the client is still there.
static void handle_defer(struct covet_request *request, struct covet_response *response) {
    int64_t ms = 0;
    (void)response;
    (void)covet_request_param_int(request, "ms", &ms);
    covet_request_defer(request);
    covet_request_on_abort(request, on_abort, NULL);
    assert_non_null(
        covet_timer_start(covet_request_worker(request), (uint64_t)ms, answer_deferred, request));
    atomic_fetch_add(&seen.deferred_count, 1);
}

static void take_note(struct covet_worker *worker, void *context) {
    (void)worker, (void)context;
    atomic_store(&seen.has_note, true);
}

static void leave_note(struct covet_worker *worker, void *context) {
    assert_int_equal(covet_post(worker, 0, take_note, NULL), 0);
    answer_deferred(worker, context);
}

// `GET /note`: worker 0 hears of it as the last thing that is done.
static void handle_note(struct covet_request *request, struct covet_response *response) {
    (void)response;
    covet_request_defer(request);
    covet_request_on_abort(request, on_abort, NULL);
    assert_non_null(covet_timer_start(covet_request_worker(request), 200, leave_note, request));
    atomic_fetch_add(&seen.deferred_count, 1);
}

struct errand {
    struct covet_request *request;
    uint32_t home;
    uint32_t visited;
};

static void come_home(struct covet_worker *worker, void *context) {
    struct errand *errand = context;
    char text[64];
    assert_int_equal(covet_worker_index(worker), errand->home);
    snprintf(text, sizeof(text), "worker %u asked worker %u", errand->home, errand->visited);
    (void)covet_response_text(covet_request_response(errand->request), text);
    free(errand);
}

static void go_out(struct covet_worker *worker, void *context) {
    struct errand *errand = context;
    errand->visited = covet_worker_index(worker);
    assert_int_equal(covet_post(worker, errand->home, come_home, errand), 0);
}

// `GET /ask/{worker}`: a call to another worker and one back.
static void handle_ask(struct covet_request *request, struct covet_response *response) {
    struct covet_worker *worker = covet_request_worker(request);
    int64_t target = 0;
    struct errand *errand = malloc(sizeof(*errand));
    (void)covet_request_param_int(request, "worker", &target);
    *errand = (struct errand){request, covet_worker_index(worker), UINT32_MAX};
    int status = covet_post(worker, (uint32_t)target, go_out, errand);
    if (status != 0) {
        free(errand);
        (void)covet_response_error(response, 503);
        return;
    }
    covet_request_defer(request);
}

// `GET /bytes/{count}`: that many.
static void handle_bytes(struct covet_request *request, struct covet_response *response) {
    int64_t count = 0;
    (void)covet_request_param_int(request, "count", &count);
    char *bytes = covet_request_alloc(request, (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        bytes[i] = (char)('a' + i % 23);
    }
    (void)covet_response_body(response, "text/plain", bytes, (size_t)count, COVET_REQUEST);
}

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

// `GET /sleep`: keeps the worker from its loop for a while.
static void handle_sleep(struct covet_request *request, struct covet_response *response) {
    (void)request;
    atomic_fetch_add(&seen.sleeping_count, 1);
    sleep_ms(300);
    (void)covet_response_text(response, "slept");
}

static void handle_name(struct covet_request *request, struct covet_response *response) {
    (void)covet_response_text(response, covet_request_context(request));
}

static void on_exit_hook(struct covet_worker *worker, void *context) {
    (void)worker, (void)context;
    atomic_fetch_add(&seen.exit_count, 1);
}

static struct covet_app *make_app(const char *name) {
    static int key;
    struct covet_app *app = cv_app_create();
    assert_non_null(app);
    assert_int_equal(cv_demo_init(app), 0);
    assert_int_equal(covet_route(app, COVET_GET, "/defer/{ms:int}", handle_defer, NULL), 0);
    assert_int_equal(covet_route(app, COVET_GET, "/note", handle_note, NULL), 0);
    assert_int_equal(covet_route(app, COVET_GET, "/ask/{worker:int}", handle_ask, NULL), 0);
    assert_int_equal(covet_route(app, COVET_GET, "/bytes/{count:int}", handle_bytes, NULL), 0);
    assert_int_equal(covet_route(app, COVET_GET, "/sleep", handle_sleep, NULL), 0);
    assert_int_equal(covet_route(app, COVET_GET, "/name", handle_name, (void *)(uintptr_t)name), 0);
    assert_int_equal(covet_on_worker(app, NULL, on_exit_hook, &key), 0);
    assert_int_equal(cv_app_seal(app), 0);
    return app;
}

static struct {
    struct cv_stats stats;
    struct cv_limits limits;
    struct covet_app *app;
    struct cv_logqueue *log[WORKERS];
    struct cv_worker *worker[WORKERS];
    int listener[WORKERS];
    uint16_t port[WORKERS];
    int eventfd;
    struct cv_mailbox mailbox;
    bool is_stopped[WORKERS];
} server;

static const struct cv_limits usual_limits = {
    .header_timeout_ms = 10000,
    .idle_timeout_ms = 60000,
    .body_grace_ms = 5000,
    .body_rate_min = 500,
    .write_timeout_ms = 30000,
    .linger_timeout_ms = 2000,
    .head_bytes_max = 32768,
    .target_bytes_max = 8192,
    .fields_max = 100,
    .pipeline_max = 128,
    .output_bytes_max = 256 * 1024,
    .body_bytes_max = 1024 * 1024,
};

// Takes the next message of `kind` from any worker; others on the way are taken note of.
static struct cv_message await_message(enum cv_message_kind kind) {
    uint64_t deadline_ns = cv_clock_monotonic_ns() + PATIENCE_MS * 1000000ull;
    struct cv_message message;
    for (;;) {
        while (cv_mailbox_take(&server.mailbox, &message)) {
            if (message.kind == CV_MESSAGE_STOPPED) {
                server.is_stopped[message.number] = true;
            }
            if (message.kind == kind) {
                return message;
            }
        }
        uint64_t now_ns = cv_clock_monotonic_ns();
        if (now_ns >= deadline_ns) {
            fail_msg("no message of kind %d", (int)kind);
        }
        struct pollfd readable = {.fd = server.eventfd, .events = POLLIN};
        uint64_t count;
        if (poll(&readable, 1, (int)((deadline_ns - now_ns) / 1000000u) + 1) > 0) {
            (void)!read(server.eventfd, &count, sizeof(count));
        }
    }
}

static int open_listener(uint16_t *port, int send_buffer_bytes) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    assert_true(descriptor >= 0);
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (send_buffer_bytes != 0) {
        (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes,
                         sizeof(send_buffer_bytes));
    }
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(descriptor, 512), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return descriptor;
}

static uint16_t first_cpu(void) {
    cpu_set_t cpus;
    uint16_t cpu = 0;
    assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
    while (!CPU_ISSET(cpu, &cpus)) {
        cpu++;
    }
    return cpu;
}

static struct cv_worker_options worker_options(uint32_t index) {
    return (struct cv_worker_options){
        .index = index,
        .count = WORKERS,
        .cpu = first_cpu(),
        .stats = &server.stats,
        .limits = &server.limits,
        .app = server.app,
        .log = server.log[index],
        .listener = &server.listener[index],
        .listener_count = 1,
        .foreign = &server.listener[1 - index],
        .foreign_count = 1,
        .descriptors_max = 2000,
        .main_mailbox = &server.mailbox,
        .main_eventfd = server.eventfd,
        .all = server.worker,
    };
}

static void prepare(const struct cv_limits *limits, int send_buffer_bytes) {
    memset(&server, 0, sizeof(server));
    memset(&seen, 0, sizeof(seen));
    server.limits = *limits;
    server.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(server.eventfd >= 0);
    cv_mailbox_init(&server.mailbox);
    assert_int_equal(cv_stats_create(&server.stats, NULL, WORKERS), 0);
    server.app = make_app("first");
    for (uint32_t i = 0; i < WORKERS; i++) {
        server.listener[i] = open_listener(&server.port[i], send_buffer_bytes);
        server.log[i] = cv_logqueue_create();
        assert_non_null(server.log[i]);
    }
}

static void clean_up(void) {
    for (uint32_t i = 0; i < WORKERS; i++) {
        cv_logqueue_destroy(server.log[i]);
    }
    cv_app_destroy(server.app);
    cv_stats_close(&server.stats);
    (void)close(server.eventfd);
}

static void start(const struct cv_limits *limits, int send_buffer_bytes) {
    prepare(limits, send_buffer_bytes);
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct cv_worker_options options = worker_options(i);
        assert_int_equal(cv_worker_create(&server.worker[i], &options), 0);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        assert_int_equal(cv_worker_start(server.worker[i]), 0);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        assert_int_equal(await_message(CV_MESSAGE_READY).detail, 0);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        (void)close(server.listener[i]);
    }
}

static void tell(uint32_t index, enum cv_message_kind kind, uint64_t number, const void *pointer) {
    struct cv_message message = {
        .kind = kind, .number = number, .pointer = (void *)(uintptr_t)pointer};
    assert_int_equal(cv_worker_post(server.worker[index], &message), 0);
}

static void await_stopped(uint32_t index) {
    while (!server.is_stopped[index]) {
        (void)await_message(CV_MESSAGE_STOPPED);
    }
}

static void stop_all(void) {
    for (uint32_t i = 0; i < WORKERS; i++) {
        if (!server.is_stopped[i]) {
            tell(i, CV_MESSAGE_STOP, 0, NULL);
        }
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        await_stopped(i);
        cv_worker_join(server.worker[i]);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        cv_worker_destroy(server.worker[i]);
    }
    clean_up();
}

static int set_up(void **state) {
    (void)state;
    start(&usual_limits, 0);
    return 0;
}

static int set_up_small_buffers(void **state) {
    (void)state;
    start(&usual_limits, 4096);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    stop_all();
    return 0;
}

static uint64_t counter(uint32_t index, enum covet_counter which) {
    return cv_counter_read(cv_stats_worker(&server.stats, index), which);
}

static bool becomes(uint32_t index, enum covet_counter which, uint64_t value) {
    for (int i = 0; i < PATIENCE_MS / 10 && counter(index, which) != value; i++) {
        sleep_ms(10);
    }
    return counter(index, which) == value;
}

static int dial_with(uint32_t index, int receive_buffer_bytes) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(server.port[index]),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    assert_true(client >= 0);
    (void)setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (receive_buffer_bytes != 0) {
        (void)setsockopt(client, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                         sizeof(receive_buffer_bytes));
    }
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    return client;
}

static int dial(uint32_t index) {
    return dial_with(index, 0);
}

static void say(int client, const char *text) {
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void get(int client, const char *path) {
    char text[256];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    say(client, text);
}

// recv(2) that goes on after EINTR: the end of an earlier ring interrupts whoever closed it.
static ssize_t receive(int client, void *data, size_t bytes) {
    ssize_t got;
    do {
        got = recv(client, data, bytes, 0);
    } while (got < 0 && errno == EINTR);
    return got;
}

// Reads one answer with a Content-Length. Returns its body's length, -1 when it did not come.
static ssize_t hear(int client, char *body, size_t body_bytes) {
    static char head[4096];
    size_t length = 0, body_length = 0;
    while (length < sizeof(head) - 1) {
        if (receive(client, head + length, 1) != 1) {
            return -1;
        }
        head[++length] = '\0';
        if (length >= 4 && memcmp(head + length - 4, "\r\n\r\n", 4) == 0) {
            break;
        }
    }
    const char *field = strstr(head, "Content-Length: ");
    assert_non_null(field);
    size_t wanted = strtoul(field + 16, NULL, 10);
    assert_true(wanted < body_bytes);
    while (body_length < wanted) {
        ssize_t part = receive(client, body + body_length, wanted - body_length);
        if (part <= 0) {
            return -1;
        }
        body_length += (size_t)part;
    }
    body[wanted] = '\0';
    return (ssize_t)wanted;
}

static void assert_hears(int client, const char *expected) {
    char body[4096] = "";
    assert_true(hear(client, body, sizeof(body)) >= 0);
    assert_string_equal(body, expected);
}

static void assert_ended(int client) {
    char byte;
    ssize_t got = receive(client, &byte, 1);
    if (got != 0) {
        fail_msg("no end, but %zd: %s", got, got < 0 ? strerror(errno) : "a byte");
    }
}

static uint32_t thread_count(void) {
    uint32_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (const struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(tasks);
    return count;
}

static void test_worker_answers(void **state) {
    (void)state;
    for (uint32_t i = 0; i < WORKERS; i++) {
        int client = dial(i);
        get(client, "/");
        assert_hears(client, "Hello, World!");
        get(client, "/api/users/7");
        assert_hears(client, "{\"id\":\"7\"}");
        say(client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nping");
        assert_hears(client, "ping");
        assert_int_equal(counter(i, COVET_COUNTER_CONNECTIONS_OPEN), 1);
        (void)close(client);
        assert_true(becomes(i, COVET_COUNTER_CONNECTIONS_OPEN, 0));
    }
}

static void test_worker_asks_another_worker(void **state) {
    (void)state;
    int first = dial(0), second = dial(1);
    for (int i = 0; i < 200; i++) {
        get(first, "/ask/1");
        get(second, "/ask/0");
        assert_hears(first, "worker 0 asked worker 1");
        assert_hears(second, "worker 1 asked worker 0");
    }
    get(first, "/ask/0");
    assert_hears(first, "worker 0 asked worker 0");
    get(first, "/ask/2");
    assert_hears(first, "503 Service Unavailable\n");
    (void)close(first);
    (void)close(second);
}

static void test_worker_finishes_what_a_slow_reader_asked_for(void **state) {
    static char body[40001];
    (void)state;
    // Nobody else gives the worker a reason to wake up, so the send alone must go on.
    for (size_t bytes = 2000; bytes <= 40000; bytes += 2000) {
        int client = dial_with(0, 2048);
        char path[64];
        snprintf(path, sizeof(path), "/bytes/%zu", bytes);
        get(client, path);
        sleep_ms(30);
        ssize_t length = hear(client, body, sizeof(body));
        if (length != (ssize_t)bytes) {
            fail_msg("an answer of %zu bytes stopped on its way", bytes);
        }
        for (size_t i = 0; i < bytes; i++) {
            assert_int_equal(body[i], 'a' + i % 23);
        }
        (void)close(client);
    }
}

static void test_worker_finishes_pipelined_answers_for_a_late_reader(void **state) {
    static char body[4001];
    (void)state;
    int client = dial_with(0, 2048);
    // One by one: each answer is a send of its own, until one finds the socket full.
    for (int i = 0; i < 60; i++) {
        get(client, "/bytes/3000");
        sleep_ms(5);
    }
    for (int i = 0; i < 60; i++) {
        if (hear(client, body, sizeof(body)) != 3000) {
            fail_msg("answer %d stopped on its way", i);
        }
    }
    (void)close(client);
}

static void test_worker_adopts_a_new_application_and_finishes_the_old_requests(void **state) {
    (void)state;
    struct covet_app *second = make_app("second");
    int waiting = dial(0), other = dial(0);
    get(waiting, "/defer/1200");
    get(other, "/name");
    assert_hears(other, "first");
    while (atomic_load(&seen.deferred_count) == 0) {
        sleep_ms(1);
    }
    tell(0, CV_MESSAGE_ADOPT, 0, second);
    struct cv_message adopted = await_message(CV_MESSAGE_ADOPTED);
    assert_ptr_equal(adopted.pointer, second);
    assert_int_equal(adopted.detail, 0);
    get(other, "/name");
    assert_hears(other, "second");
    assert_int_equal(atomic_load(&seen.exit_count), 0);
    assert_hears(waiting, "late");
    struct cv_message released = await_message(CV_MESSAGE_RELEASED);
    assert_ptr_equal(released.pointer, server.app);
    assert_int_equal(released.number, 0);
    assert_int_equal(atomic_load(&seen.exit_count), 1);
    (void)close(waiting);
    (void)close(other);
    stop_all();
    cv_app_destroy(second);
    start(&usual_limits, 0);
}

static void test_worker_drained_waits_for_what_every_generation_owes(void **state) {
    (void)state;
    struct covet_app *second = make_app("second");
    int client = dial(0);
    get(client, "/defer/700");
    while (atomic_load(&seen.deferred_count) == 0) {
        sleep_ms(1);
    }
    tell(0, CV_MESSAGE_ADOPT, 0, second);
    (void)await_message(CV_MESSAGE_ADOPTED);
    struct linger reset = {.l_onoff = 1};
    (void)setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    (void)close(client);
    while (atomic_load(&seen.abort_count) == 0) {
        sleep_ms(1);
    }
    tell(0, CV_MESSAGE_DRAIN, 100, NULL);
    bool first_released = false, second_released = false;
    for (int i = 0; i < 2; i++) {
        struct cv_message released = await_message(CV_MESSAGE_RELEASED);
        first_released = first_released || released.pointer == server.app;
        second_released = second_released || released.pointer == second;
    }
    assert_true(first_released && second_released);
    assert_int_equal(atomic_load(&seen.exit_count), 2);
    await_stopped(0);
    stop_all();
    cv_app_destroy(second);
    start(&usual_limits, 0);
}

// The message is queued in the very turn in which the worker ends.
static void test_worker_wakes_another_one_before_it_ends(void **state) {
    (void)state;
    int client = dial(1);
    get(client, "/note");
    while (atomic_load(&seen.deferred_count) == 0) {
        sleep_ms(1);
    }
    tell(1, CV_MESSAGE_DRAIN, 100, NULL);
    struct linger reset = {.l_onoff = 1};
    (void)setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    (void)close(client);
    await_stopped(1);
    for (int i = 0; i < PATIENCE_MS && !atomic_load(&seen.has_note); i++) {
        sleep_ms(1);
    }
    assert_true(atomic_load(&seen.has_note));
    stop_all();
    start(&usual_limits, 0);
}

static void test_worker_takes_new_limits(void **state) {
    (void)state;
    struct cv_limits strict = usual_limits;
    int client = dial(0);
    strict.target_bytes_max = 10;
    tell(0, CV_MESSAGE_LIMITS, 0, &strict);
    assert_ptr_equal(await_message(CV_MESSAGE_LIMITS_TAKEN).pointer, &strict);
    get(client, "/api/users/1");
    assert_hears(client, "414 URI Too Long: the request target is too long\n");
    (void)close(client);
    tell(0, CV_MESSAGE_LIMITS, 0, &server.limits);
    (void)await_message(CV_MESSAGE_LIMITS_TAKEN);
}

// A handler blocks while the time-out of clients ends; each of them has said something meanwhile.
static void check_hears_behind_sleeps(uint32_t sleep_count, uint32_t idle_timeout_ms) {
    struct cv_limits strict = usual_limits;
    int clients[100];
    int blocker = dial(0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(clients); i++) {
        clients[i] = dial(0);
        get(clients[i], "/");
        assert_hears(clients[i], "Hello, World!");
    }
    // In force from each one's next answer on, and those come close together.
    strict.idle_timeout_ms = idle_timeout_ms;
    tell(0, CV_MESSAGE_LIMITS, 0, &strict);
    (void)await_message(CV_MESSAGE_LIMITS_TAKEN);
    for (size_t i = 0; i < CV_ARRAY_COUNT(clients); i++) {
        get(clients[i], "/");
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(clients); i++) {
        assert_hears(clients[i], "Hello, World!");
    }
    uint32_t slept = atomic_load(&seen.sleeping_count);
    for (uint32_t i = 0; i < sleep_count; i++) {
        get(blocker, "/sleep");
    }
    while (atomic_load(&seen.sleeping_count) == slept) {
        sleep_ms(1);
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(clients); i++) {
        get(clients[i], "/");
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(clients); i++) {
        assert_hears(clients[i], "Hello, World!");
    }
    // And who has said nothing is still timed out.
    for (size_t i = 0; i < CV_ARRAY_COUNT(clients); i++) {
        assert_ended(clients[i]);
        (void)close(clients[i]);
    }
    (void)close(blocker);
    tell(0, CV_MESSAGE_LIMITS, 0, &server.limits);
    (void)await_message(CV_MESSAGE_LIMITS_TAKEN);
}

static void test_worker_hears_what_it_missed_before_its_timers_judge(void **state) {
    (void)state;
    check_hears_behind_sleeps(8, 2000);
}

// Deadlines share wake-ups of 64 ms: one of these ends shortly before the second sleep does.
static void test_worker_hears_what_it_missed_when_timers_are_hardly_late(void **state) {
    (void)state;
    for (uint32_t idle_timeout_ms = 440; idle_timeout_ms <= 560; idle_timeout_ms += 60) {
        check_hears_behind_sleeps(2, idle_timeout_ms);
    }
}

static void test_worker_drains_idle_and_busy_connections(void **state) {
    (void)state;
    int idle = dial(0), busy = dial(0);
    get(idle, "/");
    assert_hears(idle, "Hello, World!");
    get(busy, "/defer/300");
    while (atomic_load(&seen.deferred_count) == 0) {
        sleep_ms(1);
    }
    uint64_t start_ns = cv_clock_monotonic_ns();
    tell(0, CV_MESSAGE_DRAIN, 100, NULL);
    assert_ended(idle);
    assert_hears(busy, "late");
    assert_ended(busy);
    (void)close(idle);
    (void)close(busy);
    await_stopped(0);
    assert_true(cv_clock_monotonic_ns() - start_ns < 5000000000u);
    assert_int_equal(counter(0, COVET_COUNTER_CONNECTIONS_OPEN), 0);
    // The other one serves on.
    int client = dial(1);
    get(client, "/");
    assert_hears(client, "Hello, World!");
    (void)close(client);
}

static void test_worker_stops_with_connections_open(void **state) {
    int client[8];
    (void)state;
    for (size_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        client[i] = dial(0);
        get(client[i], "/");
        assert_hears(client[i], "Hello, World!");
    }
    tell(0, CV_MESSAGE_STOP, 0, NULL);
    assert_int_equal(await_message(CV_MESSAGE_STOPPED).detail, CV_ARRAY_COUNT(client));
    for (size_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        assert_ended(client[i]);
        (void)close(client[i]);
    }
}

static void test_worker_stops_although_a_client_comes_at_the_same_time(void **state) {
    (void)state;
    int sleeper = dial(0);
    get(sleeper, "/sleep");
    while (atomic_load(&seen.sleeping_count) == 0) {
        sleep_ms(1);
    }
    // While its thread is away the message comes first, then the connection.
    tell(0, CV_MESSAGE_STOP, 0, NULL);
    sleep_ms(50);
    int late = dial(0);
    (void)await_message(CV_MESSAGE_STOPPED);
    (void)close(sleeper);
    (void)close(late);
}

static void test_worker_makes_no_thread_under_load(void **state) {
    (void)state;
    uint32_t before = thread_count();
    int client[32];
    char body[256];
    for (size_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        client[i] = dial((uint32_t)i % WORKERS);
    }
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
            get(client[i], "/api/json");
        }
        for (size_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
            assert_int_equal(hear(client[i], body, sizeof(body)), 27);
        }
        assert_int_equal(thread_count(), before);
    }
    for (size_t i = 0; i < CV_ARRAY_COUNT(client); i++) {
        (void)close(client[i]);
    }
    assert_true(becomes(0, COVET_COUNTER_CONNECTIONS_OPEN, 0));
    assert_int_equal(thread_count(), before);
}

static void test_worker_allocates_nothing_per_request(void **state) {
    static const char *const paths[] = {"/", "/api/json", "/api/users/42", "/none"};
    (void)state;
    int client = dial(0);
    char body[256];
    // The pool takes each size of block from the system once.
    for (int i = 0; i < 1000; i++) {
        get(client, paths[i % 4]);
        assert_true(hear(client, body, sizeof(body)) > 0);
    }
    uint64_t before = atomic_load(&allocation_count);
    for (int i = 0; i < REQUESTS_STEADY; i++) {
        get(client, paths[i % 4]);
        if (hear(client, body, sizeof(body)) <= 0) {
            fail_msg("request %d was not answered", i);
        }
    }
    assert_int_equal(atomic_load(&allocation_count) - before, 0);
    (void)close(client);
}

static void test_worker_idle_does_not_wake_up(void **state) {
    (void)state;
    int client = dial(0);
    get(client, "/");
    assert_hears(client, "Hello, World!");
    sleep_ms(50);
    uint64_t before = counter(0, COVET_COUNTER_ENTERS);
    sleep_ms(1000);
    get(client, "/");
    assert_hears(client, "Hello, World!");
    assert_in_range(counter(0, COVET_COUNTER_ENTERS) - before, 1, 4);
    (void)close(client);
}

// On kernels without ring messages, and for a call to itself, a worker is woken by a write.
static void test_worker_repeats_a_wake_up_that_failed(void **state) {
    (void)state;
    int client = dial(0);
    atomic_store(&next_write_fails, true);
    get(client, "/ask/0");
    assert_hears(client, "worker 0 asked worker 0");
    assert_false(atomic_load(&next_write_fails));
    (void)close(client);
}

static void test_worker_wakes_the_main_thread_again_when_that_failed(void **state) {
    struct pollfd readable = {.fd = server.eventfd, .events = POLLIN};
    uint64_t count;
    (void)state;
    // The workers' start woke it as well.
    while (poll(&readable, 1, 0) == 1) {
        assert_int_equal(read(server.eventfd, &count, sizeof(count)), sizeof(count));
    }
    tell(0, CV_MESSAGE_LOG, 1, NULL);
    int client = dial(0);
    atomic_store(&next_write_fails, true);
    get(client, "/");  // The reader of the log is asleep.
    assert_hears(client, "Hello, World!");
    assert_int_equal(poll(&readable, 1, PATIENCE_MS), 1);
    assert_false(atomic_load(&next_write_fails));
    (void)close(client);
}

// Runs one worker with its n-th allocation failing. Returns whether it started all the same, which
// it does when it makes fewer.
static bool starts_without(uint64_t n) {
    struct cv_worker_options options = worker_options(0);
    struct cv_worker *worker;
    atomic_store(&failing_count, atomic_load(&allocation_count) + n);
    int status = cv_worker_create(&worker, &options);
    if (status == 0) {
        server.worker[0] = worker;
        assert_int_equal(cv_worker_start(worker), 0);
        status = await_message(CV_MESSAGE_READY).detail;
        atomic_store(&failing_count, 0);
        if (status == 0) {
            tell(0, CV_MESSAGE_STOP, 0, NULL);
        }
        await_stopped(0);
        cv_worker_join(worker);
        cv_worker_destroy(worker);
    }
    atomic_store(&failing_count, 0);
    assert_true(status == 0 || status == -ENOMEM);
    return status == 0;
}

static void test_worker_without_memory_does_not_start_and_leaves_nothing(void **state) {
    uint64_t n = 0;
    bool has_started;
    (void)state;
    do {
        int64_t before = atomic_load(&live_count);
        prepare(&usual_limits, 0);
        has_started = starts_without(++n);
        (void)close(server.listener[0]);
        (void)close(server.listener[1]);
        clean_up();
        assert_int_equal(atomic_load(&live_count), before);
    } while (!has_started);
    assert_in_range(n, 10, 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SMALL(name) cmocka_unit_test_setup_teardown(name, set_up_small_buffers, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_worker_answers),
        TEST(test_worker_asks_another_worker),
        TEST_SMALL(test_worker_finishes_what_a_slow_reader_asked_for),
        TEST_SMALL(test_worker_finishes_pipelined_answers_for_a_late_reader),
        TEST(test_worker_adopts_a_new_application_and_finishes_the_old_requests),
        TEST(test_worker_drained_waits_for_what_every_generation_owes),
        TEST(test_worker_wakes_another_one_before_it_ends),
        TEST(test_worker_takes_new_limits),
        TEST(test_worker_hears_what_it_missed_before_its_timers_judge),
        TEST(test_worker_hears_what_it_missed_when_timers_are_hardly_late),
        TEST(test_worker_drains_idle_and_busy_connections),
        TEST(test_worker_stops_with_connections_open),
        TEST(test_worker_stops_although_a_client_comes_at_the_same_time),
        TEST(test_worker_makes_no_thread_under_load),
        TEST(test_worker_allocates_nothing_per_request),
        TEST(test_worker_idle_does_not_wake_up),
        TEST(test_worker_repeats_a_wake_up_that_failed),
        TEST(test_worker_wakes_the_main_thread_again_when_that_failed),
        cmocka_unit_test(test_worker_without_memory_does_not_start_and_leaves_nothing),
    };
    cv_lastwords_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
