// A double holds nanoseconds exactly to 2^53, a hundred days; `began_ns` is added after it.
#include "load/pace.h"

#include "base/assert.h"

static void look_ahead(struct load_pace *pace) {
    double offset_ns = ((double)pace->taken + pace->phase) * 1e9 / pace->rate;
    uint64_t room_ns = pace->ends_ns > pace->began_ns ? pace->ends_ns - pace->began_ns : 0;
    pace->next_ns = offset_ns < (double)room_ns ? pace->began_ns + (uint64_t)offset_ns : UINT64_MAX;
}

void load_pace_begin(struct load_pace *pace, double rate, double phase, uint64_t began_ns,
                     uint64_t ends_ns) {
    CV_ASSERT(rate > 0);
    CV_ASSERT(phase >= 0 && phase <= 1);
    *pace =
        (struct load_pace){.began_ns = began_ns, .ends_ns = ends_ns, .rate = rate, .phase = phase};
    look_ahead(pace);
}

uint64_t load_pace_take(struct load_pace *pace) {
    uint64_t start_ns = pace->next_ns;
    CV_DEBUG_ASSERT(start_ns != UINT64_MAX);
    pace->taken++;
    look_ahead(pace);
    return start_ns;
}

void load_pace_skip(struct load_pace *pace, uint64_t count) {
    pace->taken += count;
    look_ahead(pace);
}

void load_pace_end(struct load_pace *pace, uint64_t ends_ns) {
    if (ends_ns >= pace->ends_ns) {
        return;
    }
    pace->ends_ns = ends_ns;
    look_ahead(pace);
}
