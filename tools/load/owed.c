// Requests given to connections and taken off them again, with their starts.
#include "load/lane_state.h"

#define LATE_NS LOAD_NS_PER_MS

static struct load_run *run_at(struct load_lane *lane, uint32_t index, uint32_t position) {
    return &lane->runs[(size_t)index * (lane->run_mask + 1) + (position & lane->run_mask)];
}

static void give(struct load_lane *lane, uint32_t index, uint32_t count, uint64_t since_ns) {
    struct load_connection *c = &lane->connections[index];
    struct load_run *last = run_at(lane, index, c->run_first + c->run_count - 1);

    if (c->run_count > 0 && last->since_ns == since_ns) {
        last->count += count;
    } else {
        *run_at(lane, index, c->run_first + c->run_count++) = (struct load_run){since_ns, count};
    }
    if (c->owed == 0) {
        c->since_ns = lane->now_ns;
    }
    c->owed += count;
    c->unsent += count;
    c->left -= count;
    lane->owed += count;
    lane->to_give -= count;
    load_lane_mark_dirty(lane, index);
}

// How many requests the connection can be given.
static uint32_t room_of(const struct load_lane *lane, const struct load_connection *c) {
    uint64_t room = load_lane_depth(lane) - c->owed;
    room = CV_MIN(room, c->left);
    return c->state == LOAD_OPEN && lane->phase == LOAD_PHASE_RUN
               ? (uint32_t)CV_MIN(room, lane->to_give)
               : 0;
}

void load_owed_take(struct load_lane *lane, uint32_t index, uint32_t count, enum load_kind kind) {
    struct load_connection *c = &lane->connections[index];
    bool timed = kind != LOAD_KIND_COUNT && lane->now_ns >= lane->timed_from_ns;
    c->owed -= count;
    lane->owed -= count;
    while (count > 0) {
        struct load_run *run = run_at(lane, index, c->run_first);
        uint32_t part = run->count < count ? (uint32_t)run->count : count;
        if (timed) {
            load_histogram_record(&lane->result.latency_of[kind], lane->now_ns - run->since_ns,
                                  part);
        }
        run->count -= part;
        count -= part;
        if (run->count == 0) {
            c->run_first++;
            c->run_count--;
        }
    }
}

// There is room on the connection: the closed loop fills it, the open loop notes it.
void load_owed_offer(struct load_lane *lane, uint32_t index) {
    struct load_connection *c = &lane->connections[index];
    uint32_t room = room_of(lane, c);
    if (room == 0) {
        return;
    }
    if (!lane->open_loop) {
        give(lane, index, room, lane->now_ns);
    } else if (!c->has_room) {
        c->has_room = true;
        load_queue_push(&lane->rooms, index);
    }
}

// Gives what is due to connections with room, one request each in turn.
void load_owed_give_due(struct load_lane *lane) {
    while (lane->rooms.count > 0 && lane->to_give > 0 &&
           load_pace_is_due(&lane->pace, lane->now_ns)) {
        uint32_t index = load_queue_pop(&lane->rooms);
        lane->connections[index].has_room = false;
        if (room_of(lane, &lane->connections[index]) > 0) {
            uint64_t start_ns = load_pace_take(&lane->pace);
            lane->result.late += lane->now_ns - start_ns > LATE_NS;
            give(lane, index, 1, start_ns);
            load_owed_offer(lane, index);
        }
    }
}
