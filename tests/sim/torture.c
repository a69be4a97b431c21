#include "sim/torture.h"

#include "sim/kernel.h"

struct sim_torture sim_torture;

bool sim_torture_excuses(const struct sim_socket *socket) {
    uint32_t id = sim_socket_id(socket);
    if (!sim_torture.has_struck || (sim_torture.excused_id != 0 && sim_torture.excused_id != id)) {
        return false;
    }
    sim_torture.excused_id = id;
    return true;
}
