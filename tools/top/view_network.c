// TCP of the server's ports: who waits to be accepted, what was sent again, reset or dropped, and
// how connections end.
#include <inttypes.h>
#include <math.h>

#include "top/facts.h"
#include "top/keyed.h"
#include "top/views.h"

enum { PORT, SOCKETS, QUEUE, QUEUE_MAX, FULLEST, DROPS, COLUMN_COUNT };

static const struct top_column columns[COLUMN_COUNT] = {
    [PORT] = {.title = "Listening on port",
              .kind = TOP_CELL_PORT,
              .width = 17,
              .meaning = "one line for each port"},
    [SOCKETS] = {.title = "sockets", .width = 7, .meaning = "listening sockets: one a worker"},
    [QUEUE] = {.title = "queue", .width = 6, .meaning = "connections that wait for accept"},
    [QUEUE_MAX] = {.title = "max",
                   .width = 6,
                   .meaning = "the most that may wait: the backlog of listen(2)"},
    [FULLEST] = {.title = "fullest %",
                 .unit = TOP_PERCENT,
                 .width = 9,
                 .warn = 25,
                 .bad = 75,
                 .meaning = "how full the queue of the worst socket is"},
    [DROPS] = {.title = "drops since",
               .width = 11,
               .bad = 1,
               .meaning = "connections refused since the baseline, most for a full queue"},
};

static void add_listeners(struct top_table *table, const struct cv_snapshot *since) {
    for (size_t i = 0; i < since->listener_count; i++) {
        const struct cv_snapshot_listener *listener = &since->listeners[i];
        struct top_cell *cells = top_table_add(table)->cells;
        cells[PORT].value = listener->port;
        cells[SOCKETS].value = listener->sockets;
        cells[QUEUE].value = listener->queue;
        cells[QUEUE_MAX].value = listener->queue_max;
        cells[FULLEST].value = listener->fullest_percent;
        cells[DROPS].value = (double)listener->drops;
    }
}

static void write_connections(struct top_page *page, const struct top_sample *sample,
                              const uint64_t *change, const uint64_t *since) {
    static const struct {
        enum covet_counter counter;
        const char *name;
    } ends[] = {
        {COVET_COUNTER_CLOSED_CLIENT, "  by the client"},
        {COVET_COUNTER_CLOSED_RESET, "  reset by the client"},
        {COVET_COUNTER_CLOSED_SERVER, "  by the server, as asked"},
        {COVET_COUNTER_CLOSED_IDLE, "  idle for too long"},
        {COVET_COUNTER_CLOSED_HEADER, "  head too slow"},
        {COVET_COUNTER_CLOSED_BODY, "  body too slow"},
        {COVET_COUNTER_CLOSED_WRITE, "  client read too slowly"},
        {COVET_COUNTER_CLOSED_ERROR, "  request not understood"},
        {COVET_COUNTER_CLOSED_DRAIN, "  the server was stopping"},
        {COVET_COUNTER_CLOSED_LIMIT, "  too many connections"},
        {COVET_COUNTER_CLOSED_SPARED, "  idle, and room was needed"},
        {COVET_COUNTER_CLOSED_OVERLOAD, "  the server was overloaded"},
    };
    struct top_facts facts;
    uint64_t closed = 0, closed_since = 0;
    for (size_t i = 0; i < CV_ARRAY_COUNT(ends); i++) {
        closed += change[ends[i].counter];
        closed_since += since[ends[i].counter];
    }
    top_facts_begin(&facts, page, "Connections", "% of since");
    top_page_print(page, 12, TOP_HEAD, "(%" PRIu64 " open)",
                   change[COVET_COUNTER_CONNECTIONS_OPEN]);
    top_facts_add(&facts, "accepted",
                  top_sample_rate(&sample->change, change[COVET_COUNTER_CONNECTIONS_ACCEPTED]),
                  (double)since[COVET_COUNTER_CONNECTIONS_ACCEPTED], NAN, 0);
    top_facts_add(&facts, "closed", top_sample_rate(&sample->change, closed), (double)closed_since,
                  NAN, 0);
    for (size_t i = 0; i < CV_ARRAY_COUNT(ends); i++) {
        uint64_t count = since[ends[i].counter];
        if (count > 0) {
            top_facts_add(&facts, ends[i].name,
                          top_sample_rate(&sample->change, change[ends[i].counter]), (double)count,
                          top_sample_per(count, closed_since, 100), 0);
        }
    }
}

static uint64_t event_count(const struct cv_snapshot *snapshot, uint32_t event) {
    uint64_t count = 0;
    for (size_t i = 0; i < snapshot->net_count; i++) {
        count += snapshot->nets[i].key.event == event ? snapshot->nets[i].count : 0;
    }
    return count;
}

static void write_tcp(struct top_page *page, const struct top_sample *sample,
                      uint64_t accepted_since) {
    static const struct {
        enum covet_net_event event;
        const char *name;
        double warn;
    } events[] = {
        {TCP_RETRANSMIT, "segments sent again", 1},
        {TCP_RETRANSMIT_SYNACK, "SYN-ACKs sent again", 1},
        {TCP_RESET_SENT, "resets sent", 0},
        {TCP_RESET_RECEIVED, "resets received", 0},
        {TCP_ACCEPTED, "connections established", 0},
        {TCP_CLOSED, "connections closed", 0},
    };
    _Static_assert(CV_ARRAY_COUNT(events) == COVET_NET_EVENT_COUNT, "all of them");
    const struct cv_snapshot *change = &sample->change, *since = &sample->since;
    struct top_facts facts;
    if (top_sample_level(change) == 0) {
        top_facts_begin(&facts, page, "TCP of the whole host", "");
        top_facts_add(&facts, "segments sent again",
                      top_sample_rate(change, change->host_retransmits),
                      (double)since->host_retransmits, NAN, 0);
        top_facts_add(&facts, "accept queue overflows",
                      top_sample_rate(change, change->host_listen_overflows),
                      (double)since->host_listen_overflows, NAN, 1);
        top_facts_say(&facts, "A profiler tells this server's own: sudo covet-prof");
        return;
    }
    top_facts_begin(&facts, page, "TCP of these ports", "per 1000 conn");
    for (size_t i = 0; i < CV_ARRAY_COUNT(events); i++) {
        uint64_t count = event_count(since, events[i].event);
        top_facts_add(&facts, events[i].name,
                      top_sample_rate(change, event_count(change, events[i].event)), (double)count,
                      top_sample_per(count, accepted_since, 1000), events[i].warn);
    }
}

static void write_drops(struct top_page *page, const struct top_sample *sample) {
    const struct cv_snapshot *change = &sample->change, *since = &sample->since;
    struct top_facts facts;
    bool is_empty = true;
    if (top_sample_level(change) == 0) {
        return;
    }
    top_facts_begin(&facts, page, "Packets dropped, why", "port");
    for (size_t i = 0; i < since->drop_count; i++) {
        struct covet_drop_key key = since->drops[i].key;
        const struct cv_snapshot_drop *now =
            top_keyed_find(change->drops, change->drop_count, sizeof(*now), key.port, key.reason);
        if (since->drops[i].count > 0) {
            top_facts_add(&facts, cv_snapshot_drop_reason_name(key.reason),
                          top_sample_rate(change, now != NULL ? now->count : 0),
                          (double)since->drops[i].count, key.port, 1);
            is_empty = false;
        }
    }
    if (is_empty) {
        top_facts_say(&facts, "none since the baseline");
    }
}

static void write_network(struct top_page *page, const struct top_sample *sample,
                          struct top_choice *choice) {
    static struct top_table table;
    const uint64_t *change = sample->change_total.workers[0].counter;
    const uint64_t *since = sample->since_total.workers[0].counter;
    top_table_begin(&table, columns, COLUMN_COUNT, 1);
    add_listeners(&table, &sample->since);
    top_view_table(page, &table, choice);
    page->frozen = 0;  // The titles belong to the first of four lists.
    if (table.row_count == 0) {
        top_page_line(page);
        top_page_put(page, 0, TOP_DIM, "no TCP port is known");
    }
    write_tcp(page, sample, since[COVET_COUNTER_CONNECTIONS_ACCEPTED]);
    write_drops(page, sample);
    write_connections(page, sample, change, since);
}

const struct top_view top_view_network = {
    .name = "network",
    .title = "Network",
    .about = "Accept queues, TCP of the server's ports, and how connections end.",
    .choice = {.is_total = true, .sorted = PORT},
    .columns = columns,
    .column_count = COLUMN_COUNT,
    .write = write_network,
};
