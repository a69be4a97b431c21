// A new covet that does not come up leaves the old one in charge, so that one is remembered until
// the next hand-over.
#include "profile/target.h"

#include "profile/successor.h"

void cv_target_aim(struct cv_target *target, const struct cv_running *running) {
    target->running = *running;
    target->start_ns = cv_successor_start_ns(running);
}

bool cv_target_look(struct cv_target *target) {
    struct cv_running next;
    bool is_there = cv_running_refresh(&target->running) == 0;
    bool has_successor = is_there
                             ? cv_successor_find_child(&target->running, &next)
                             : cv_successor_find_heir(&target->running, target->start_ns, &next);
    if (has_successor) {
        target->before = is_there ? target->running : (struct cv_running){0};
        cv_target_aim(target, &next);
    } else if (!is_there && target->before.supervisor_pid > 0 &&
               cv_running_refresh(&target->before) == 0) {
        cv_target_aim(target, &target->before);
        target->before = (struct cv_running){0};
    } else {
        return is_there;
    }
    return true;
}
