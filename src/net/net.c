// The table is one mapping, populated as records are used; a free record is the head of a list, so
// the most recently used one, still in the cache, comes first. Lists link records by index, which
// is half the size of a pointer.
#include "net/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "metrics/counter.h"
#include "net/admission.h"
#include "net/listener.h"

#define TABLE_MARGIN 512u  // Accepted before a cancelled accept ends.

static struct cv_conn *at(const struct cv_net *net, uint32_t index_plus_1) {
    return &net->table[index_plus_1 - 1];
}

static uint32_t connections_max(const struct cv_net *net) {
    uint32_t room = net->table_count - TABLE_MARGIN;
    uint32_t wanted = net->limits->connections_max;
    return wanted == 0 ? room : CV_MIN(wanted, room);
}

int cv_net_init(struct cv_net *net, uint32_t descriptors_max) {
    // 500 descriptors stay for everything else; a very low limit is shared half and half.
    uint32_t room = descriptors_max > 1000 ? descriptors_max - 500 : descriptors_max / 2;
    net->table_count = room + TABLE_MARGIN;
    net->table = mmap(NULL, net->table_count * sizeof(*net->table), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (net->table == MAP_FAILED) {
        net->table = NULL;
        return -ENOMEM;
    }
    net->quiet = calloc(CV_NET_QUIET_SENDS_MAX, sizeof(*net->quiet));
    if (net->quiet == NULL || cv_zerocopy_init(&net->zero_copy) != 0) {
        cv_net_deinit(net);
        return -ENOMEM;
    }
    net->openings_left = UINT32_MAX;
    cv_net_set_limits(net, net->limits);
    return 0;
}

void cv_net_deinit(struct cv_net *net) {
    cv_listener_deinit_all(net);
    cv_admission_destroy(net->admission);
    free(net->quiet);
    net->quiet = NULL;
    cv_zerocopy_deinit(&net->zero_copy);
    if (net->table != NULL) {
        (void)munmap(net->table, net->table_count * sizeof(*net->table));
        net->table = NULL;
    }
}

void cv_net_set_limits(struct cv_net *net, const struct cv_limits *limits) {
    net->limits = limits;
    net->connections_max = connections_max(net);
    net->zero_copy_min = limits->zero_copy_bytes_min > 0 && cv_ring_features(net->ring)->zero_copy
                             ? limits->zero_copy_bytes_min
                             : SIZE_MAX;
    if (limits->connections_per_address_max > 0 && net->admission == NULL) {
        // Without memory for the table the cap cannot hold, and serving goes on without it.
        net->admission = cv_admission_create(net->table_count);
    }
    cv_listener_adjust(net);
}

static struct cv_conn *take_record(struct cv_net *net) {
    if (net->free_head != 0) {
        struct cv_conn *conn = at(net, net->free_head);
        net->free_head = conn->next;
        return conn;
    }
    if (net->table_used == net->table_count) {
        return NULL;
    }
    struct cv_conn *conn = &net->table[net->table_used];
    conn->index = net->table_used++;
    return conn;
}

void cv_net_list_slow(struct cv_conn *conn) {
    struct cv_net *net = conn->net;
    conn->flags |= CV_CONN_LISTED;
    conn->next = 0;
    if (net->listed_tail != 0) {
        at(net, net->listed_tail)->next = conn->index + 1;
    } else {
        net->listed_head = conn->index + 1;
    }
    net->listed_tail = conn->index + 1;
}

void cv_net_starve(struct cv_conn *conn) {
    struct cv_net *net = conn->net;
    conn->flags |= CV_CONN_STARVED;
    conn->starved_next = 0;
    if (net->starved_tail != 0) {
        at(net, net->starved_tail)->starved_next = conn->index + 1;
    } else {
        net->starved_head = conn->index + 1;
    }
    net->starved_tail = conn->index + 1;
}

void cv_net_note(struct cv_conn *conn) {
    struct cv_net *net = conn->net;
    CV_ASSERT(cv_net_has_room_to_note(net));
    conn->flags |= CV_CONN_NOTED;
    net->quiet[net->quiet_count++] = conn->index;
}

void cv_net_free(struct cv_conn *conn) {
    struct cv_net *net = conn->net;
    conn->state = CV_CONN_FREE;
    conn->generation++;
    conn->next = net->free_head;
    net->free_head = conn->index + 1;
    net->open_count--;
    cv_counter_set(net->stats, COVET_COUNTER_CONNECTIONS_OPEN, net->open_count);
    cv_listener_adjust(net);
}

static void turn_away(struct cv_net *net, int descriptor, enum covet_counter reason) {
    cv_counter_add(net->stats, reason, 1);
    cv_ring_close(net->ring, descriptor,
                  covet_user_data(COVET_OP_CLOSE, net->worker_index, 0, UINT32_MAX));
}

void cv_net_open(struct cv_net *net, int descriptor) {
    cv_counter_add(net->stats, COVET_COUNTER_CONNECTIONS_ACCEPTED, 1);
    if (CV_UNLIKELY(net->openings_left == 0)) {
        net->turned_away++;
        turn_away(net, descriptor, COVET_COUNTER_CLOSED_OVERLOAD);
        return;
    }
    struct cv_conn *conn = take_record(net);
    if (conn == NULL) {
        turn_away(net, descriptor, COVET_COUNTER_CLOSED_LIMIT);
        return;
    }
    net->openings_left -= net->openings_left != UINT32_MAX;
    net->open_count++;
    cv_counter_set(net->stats, COVET_COUNTER_CONNECTIONS_OPEN, net->open_count);
    conn->net = net;
    cv_conn_open(conn, descriptor);
}

void cv_net_complete(struct cv_net *net, const struct cv_completion *completion) {
    uint32_t index = covet_user_data_slot(completion->user_data);
    enum covet_op op = (enum covet_op)covet_user_data_op(completion->user_data);
    if (index < net->table_used && (op == COVET_OP_RECV || op == COVET_OP_SEND)) {
        struct cv_conn *conn = &net->table[index];
        // Records outlive their operations, so another generation here would be our own mistake.
        CV_ASSERT(conn->generation == covet_user_data_generation(completion->user_data));
        if (op == COVET_OP_RECV) {
            cv_conn_complete_receive(conn, completion);
        } else {
            cv_conn_complete_send(conn, completion);
        }
    }
    if (CV_UNLIKELY(op == COVET_OP_ZERO_COPY)) {
        uint32_t generation = covet_user_data_generation(completion->user_data);
        cv_conn_complete_zero_copy(cv_zerocopy_at(&net->zero_copy, index, generation), completion);
    }
    // Cancels and closes speak only of failures, and those mean that there was nothing left to do,
    // but for one.
    if (CV_UNLIKELY(op == COVET_OP_CANCEL && completion->result == -ENOENT) &&
        index < net->table_used &&
        net->table[index].generation == covet_user_data_generation(completion->user_data)) {
        cv_conn_complete_cancel(&net->table[index]);
    }
    if (completion->buffer != CV_RING_NO_BUFFER) {
        cv_ring_give_back(net->ring, completion->buffer);
    }
}

void cv_net_submitted(struct cv_net *net) {
    net->quiet_submitted = net->quiet_count;
    net->is_quiet_sent = false;
}

void cv_net_sent(struct cv_net *net) {
    net->is_quiet_sent = true;
}

void cv_net_settle(struct cv_net *net) {
    uint32_t over = net->quiet_submitted;
    if (!net->is_quiet_sent) {
        return;
    }
    for (uint32_t i = 0; i < over; i++) {
        if (i + CV_NET_OUTPUT_AHEAD < over) {
            cv_net_prefetch_output(net, net->quiet[i + CV_NET_OUTPUT_AHEAD]);
        }
        cv_conn_settle(&net->table[net->quiet[i]]);
    }
    net->quiet_count -= over;
    net->quiet_submitted = 0;
    memmove(net->quiet, net->quiet + over, net->quiet_count * sizeof(*net->quiet));
}

// Receives of starved connections are armed again when a buffer is free. All of them, because each
// waits for data before it takes one: the first may stay silent. Those that find none starve again,
// behind.
static void feed_starved(struct cv_net *net) {
    uint32_t last = net->starved_tail;
    if (last == 0 || cv_ring_buffers_lent(net->ring) == cv_ring_buffers_total(net->ring)) {
        return;
    }
    for (uint32_t current = 0; current != last;) {
        current = net->starved_head;
        struct cv_conn *conn = at(net, current);
        net->starved_head = conn->starved_next;
        if (net->starved_head == 0) {
            net->starved_tail = 0;
        }
        cv_conn_feed(conn);
    }
}

bool cv_net_run(struct cv_net *net) {
    uint32_t last = net->listed_tail;
    while (net->listed_head != 0) {
        uint32_t current = net->listed_head;
        struct cv_conn *conn = at(net, current);
        net->listed_head = conn->next;
        if (net->listed_head == 0) {
            net->listed_tail = 0;
        }
        cv_conn_run(conn);
        if (current == last) {
            break;
        }
    }
    feed_starved(net);
    return net->listed_head != 0;
}

void cv_net_drain(struct cv_net *net) {
    net->draining = net->ends_connections = true;
    for (uint32_t i = 0; i < net->table_used; i++) {
        struct cv_conn *conn = &net->table[i];
        if (conn->state == CV_CONN_OPEN) {
            conn->ops->on_drain(conn);
        }
        if (conn->state == CV_CONN_OPEN) {
            // Nobody is waited for whose end the kernel lost.
            cv_conn_look_again(conn);
        }
    }
}

uint32_t cv_net_close_all(struct cv_net *net) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < net->table_used; i++) {
        struct cv_conn *conn = &net->table[i];
        if (cv_conn_is_alive(conn)) {
            count++;
            cv_conn_close(conn, COVET_COUNTER_CLOSED_DRAIN);
        }
    }
    return count;
}

bool cv_net_is_idle(const struct cv_net *net) {
    return net->open_count == 0;
}
