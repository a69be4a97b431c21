// The listening sockets, owned by the supervisor for as long as there is one: opened, inherited
// from a service manager or from the supervisor before, dealt out to the workers.
//
// Sockets of one address form a group. TCP addresses have one socket per worker (SO_REUSEPORT), so
// that the kernel spreads connections; a unix path has one that all workers accept on.
#ifndef CV_SERVER_SOCKETS_H
#define CV_SERVER_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "server/settings.h"

#define CV_SOCKETS_GROUPS_MAX (2 * CV_SETTINGS_LISTEN_MAX)
#define CV_SOCKETS_MAX (CV_SETTINGS_LISTEN_MAX * COVET_WORKERS_MAX)

struct cv_sockets_group {
    struct cv_address address;
    uint32_t count;     // Its sockets.
    bool is_wanted;     // Else it is only kept until the hand-over is sure.
    bool is_activated;  // Given by a service manager: never opened, enlarged or unlinked by us.
    bool is_owned;      // A unix path that is ours to unlink.
    bool is_taken;      // Came with cv_sockets_take: somebody else may still need the path.
};

struct cv_sockets {
    struct cv_sockets_group group[CV_SOCKETS_GROUPS_MAX];
    uint32_t group_count;
    uint32_t count;
    int fd[CV_SOCKETS_MAX];  // owned
    uint8_t group_index[CV_SOCKETS_MAX];
};

// Takes over listening sockets before cv_sockets_open. `is_activated`: from a service manager.
// Returns 0, or -ENOTSOCK, -EINVAL (not listening), -EAFNOSUPPORT or -ENOSPC with nothing closed.
CV_MUST_USE int cv_sockets_take(struct cv_sockets *sockets, int fd, bool is_activated);

// Makes the sockets that `settings` ask for and that were not taken over. Returns 0, or an exit
// code (69: in use; 78: cannot be had) with one line in `message`; close what there is then.
CV_MUST_USE int cv_sockets_open(struct cv_sockets *sockets, const struct cv_settings *settings,
                                char *message, size_t message_bytes);

// The sockets worker `index` of `count` accepts on (`own`) and all others (`foreign`); both arrays
// have room for CV_SOCKETS_MAX.
void cv_sockets_deal(const struct cv_sockets *sockets, uint32_t index, uint32_t count, int *own,
                     uint32_t *own_count, int *foreign, uint32_t *foreign_count);

// Closes the groups nobody wants any more and unlinks their paths.
void cv_sockets_close_unwanted(struct cv_sockets *sockets);

// From now on whoever connects over TCP gets no answer, and what is queued stays: the queues that
// workers empty remain empty until they close them, so nobody is reset. Who knocked meanwhile
// knocks again a second later and is refused then. Sockets of a service manager, which listens on,
// are left alone.
void cv_sockets_deafen(const struct cv_sockets *sockets);

enum cv_sockets_paths {
    CV_SOCKETS_KEEP_PATHS,     // Another supervisor has taken over.
    CV_SOCKETS_UNLINK_OPENED,  // This one never took over: only what cv_sockets_open made.
    CV_SOCKETS_UNLINK_OWNED,
};

// Closes everything and removes unix paths as told.
void cv_sockets_close(struct cv_sockets *sockets, enum cv_sockets_paths paths);

// Writes the TCP ports of the wanted addresses, ascending and each once; the highest are left out
// where more than COVET_STATS_PORTS_MAX are in use. Returns how many were written.
uint32_t cv_sockets_ports(const struct cv_sockets *sockets, uint16_t port[COVET_STATS_PORTS_MAX]);

// Writes the wanted addresses, separated by commas; returns `out`.
const char *cv_sockets_text(const struct cv_sockets *sockets, char *out, size_t out_bytes);

// One listening socket at an address, as above but alone: the admin address. A unix path gets
// `mode` and `group`. Returns the descriptor, or a negated exit code with a message.
CV_MUST_USE int cv_sockets_open_one(const struct cv_address *address, mode_t mode, gid_t group,
                                    char *message, size_t message_bytes);

#endif
