// A timer's place is the highest group of 6 bits in which its deadline differs from `now_ms`: that
// group is the level, the deadline's value there the slot.
//
//   now       0000 000001 000010 011001
//   deadline  0000 000001 000111 000011   first difference in group 1: level 1, slot 7
//
// So all timers of a level expire before those of the next one, a level's slots are all ahead of
// the present one, and the earliest deadline is in the lowest slot of the lowest level in use. When
// `now_ms` reaches the beginning of a slot, its timers are placed again at least one level lower;
// in level 0 they are due. The top level alone wraps around: its slots come in turn from the one
// after the present one, and a timer that is a whole turn or more away is placed again there.
#include "timer/wheel.h"

#include "base/assert.h"

#define SLOT_BITS 6u
#define TOP (CV_WHEEL_LEVELS - 1)
#define TOP_SHIFT (TOP * SLOT_BITS)

_Static_assert(CV_WHEEL_SLOTS == 1u << SLOT_BITS, "a level's slots have a bit each in uint64_t");

void cv_wheel_init(struct cv_wheel *wheel, uint64_t now_ms) {
    *wheel = (struct cv_wheel){.now_ms = now_ms};
    for (size_t level = 0; level < CV_WHEEL_LEVELS; level++) {
        for (size_t slot = 0; slot < CV_WHEEL_SLOTS; slot++)
            cv_list_init(&wheel->slot[level][slot]);
    }
}

static void place(struct cv_wheel *wheel, struct cv_timer *timer) {
    uint64_t deadline_ms = CV_MAX(timer->deadline_ms, wheel->now_ms);
    uint64_t difference = (deadline_ms ^ wheel->now_ms) | 1;
    uint32_t group = (63 - (uint32_t)__builtin_clzll(difference)) / SLOT_BITS;
    uint32_t level = CV_MIN(group, TOP);
    uint64_t slot = (deadline_ms >> (level * SLOT_BITS)) % CV_WHEEL_SLOTS;

    cv_list_push_back(&wheel->slot[level][slot], &timer->link);
    wheel->occupied[level] |= 1ull << slot;
}

// Unlinks the timer. The slot of a timer that is alone is found from its neighbour, the slot's own
// node: the timer does not say where it was placed.
static void unplace(struct cv_wheel *wheel, struct cv_timer *timer) {
    struct cv_list_node *neighbour = timer->link.next;
    bool alone = neighbour == timer->link.prev;
    uintptr_t offset = (uintptr_t)neighbour - (uintptr_t)wheel->slot;

    cv_list_remove(&timer->link);
    if (alone && offset < sizeof(wheel->slot)) {  // Else it was on the list of due timers.
        size_t index = offset / sizeof(struct cv_list);

        wheel->occupied[index / CV_WHEEL_SLOTS] &= ~(1ull << (index % CV_WHEEL_SLOTS));
    }
}

void cv_wheel_start(struct cv_wheel *wheel, struct cv_timer *timer, uint64_t deadline_ms) {
    CV_ASSERT(timer->on_expiry != NULL);
    cv_wheel_stop(wheel, timer);
    timer->deadline_ms = deadline_ms;
    place(wheel, timer);
    wheel->count++;
}

void cv_wheel_stop(struct cv_wheel *wheel, struct cv_timer *timer) {
    if (!cv_timer_armed(timer))
        return;
    unplace(wheel, timer);
    wheel->count--;
}

struct position {
    uint64_t begin_ms;  // CV_WHEEL_NEVER when no slot is in use.
    uint32_t level;
    uint32_t slot;
};

// The first slot in use.
static struct position first_position(const struct cv_wheel *wheel) {
    uint32_t level = 0;

    while (level < CV_WHEEL_LEVELS && wheel->occupied[level] == 0)
        level++;
    if (level == CV_WHEEL_LEVELS)
        return (struct position){.begin_ms = CV_WHEEL_NEVER};

    uint64_t occupied = wheel->occupied[level];
    uint32_t shift = level * SLOT_BITS;
    if (level < TOP) {
        uint32_t slot = (uint32_t)__builtin_ctzll(occupied);
        uint64_t round = wheel->now_ms >> (shift + SLOT_BITS);

        return (struct position){((round << SLOT_BITS) | slot) << shift, level, slot};
    }
    // Rotated so that bit 0 is the slot after the present one.
    uint64_t next = (wheel->now_ms >> TOP_SHIFT) + 1;
    uint32_t turn = (uint32_t)(next % CV_WHEEL_SLOTS);
    uint64_t rotated = occupied >> turn | occupied << ((CV_WHEEL_SLOTS - turn) % CV_WHEEL_SLOTS);
    uint64_t at = next + (uint64_t)__builtin_ctzll(rotated);

    return (struct position){at << TOP_SHIFT, TOP, (uint32_t)(at % CV_WHEEL_SLOTS)};
}

uint64_t cv_wheel_next_ms(const struct cv_wheel *wheel) {
    return first_position(wheel).begin_ms;
}

// Moves the time to `now_ms` and all timers due by then to `due`, in order of their deadlines.
static void advance(struct cv_wheel *wheel, uint64_t now_ms, struct cv_list *due) {
    for (;;) {
        struct position first = first_position(wheel);

        if (first.begin_ms > now_ms)
            break;

        struct cv_list timers;
        cv_list_init(&timers);
        cv_list_move_back(&timers, &wheel->slot[first.level][first.slot]);
        wheel->occupied[first.level] &= ~(1ull << first.slot);
        wheel->now_ms = first.begin_ms;
        if (first.level == 0) {
            cv_list_move_back(due, &timers);
            continue;
        }
        for (struct cv_list_node *node; (node = cv_list_pop_front(&timers)) != NULL;)
            place(wheel, CV_LIST_ENTRY(node, struct cv_timer, link));
    }
    wheel->now_ms = now_ms;
}

uint32_t cv_wheel_run(struct cv_wheel *wheel, uint64_t now_ms) {
    struct cv_list due;
    uint32_t expired = 0;

    CV_ASSERT(now_ms >= wheel->now_ms);
    cv_list_init(&due);
    advance(wheel, now_ms, &due);
    // The callbacks come after all lists are settled: they may arm and stop any timer, one of `due`
    // included.
    for (struct cv_list_node *node; (node = cv_list_pop_front(&due)) != NULL; expired++) {
        struct cv_timer *timer = CV_LIST_ENTRY(node, struct cv_timer, link);

        wheel->count--;
        timer->on_expiry(timer);
    }
    return expired;
}
