// A table of fixed size with a free list: a completion names its send by slot and generation, as it
// names a connection.
#include "net/zerocopy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

int cv_zerocopy_init(struct cv_zerocopy *zerocopy) {
    *zerocopy = (struct cv_zerocopy){0};
    zerocopy->send = calloc(CV_ZEROCOPY_SENDS_MAX, sizeof(*zerocopy->send));
    return zerocopy->send != NULL ? 0 : -ENOMEM;
}

void cv_zerocopy_deinit(struct cv_zerocopy *zerocopy) {
    free(zerocopy->send);
    *zerocopy = (struct cv_zerocopy){0};
}

struct cv_zerocopy_send *cv_zerocopy_begin(struct cv_zerocopy *zerocopy, struct cv_conn *conn,
                                           struct cv_outseg *segment) {
    struct cv_zerocopy_send *send;
    if (zerocopy->free_head != 0) {
        send = &zerocopy->send[zerocopy->free_head - 1];
        zerocopy->free_head = send->next;
    } else if (zerocopy->used < CV_ZEROCOPY_SENDS_MAX) {
        send = &zerocopy->send[zerocopy->used++];
    } else {
        return NULL;
    }
    send->conn = conn;
    send->segment = segment;
    send->has_sent = false;
    cv_outq_pin(segment);
    zerocopy->count++;
    return send;
}

struct cv_zerocopy_send *cv_zerocopy_at(const struct cv_zerocopy *zerocopy, uint32_t slot,
                                        uint32_t generation) {
    CV_ASSERT(slot < zerocopy->used);
    struct cv_zerocopy_send *send = &zerocopy->send[slot];
    CV_ASSERT(send->conn != NULL && send->generation == generation);
    return send;
}

void cv_zerocopy_end(struct cv_zerocopy *zerocopy, struct cv_zerocopy_send *send,
                     struct cv_pool *pool) {
    struct cv_outseg *segment = send->segment;
    send->conn = NULL;
    send->segment = NULL;
    send->generation++;
    send->next = zerocopy->free_head;
    zerocopy->free_head = cv_zerocopy_slot(zerocopy, send) + 1;
    zerocopy->count--;
    cv_outq_unpin(segment, pool);
}
