// Plain TCP and unix sockets: bytes are what they are.
#include "net/transport.h"

#include "net/conn.h"

const struct cv_transport cv_transport_plain = {
    .on_bytes = cv_conn_deliver,
    .flush = cv_conn_send,
    .end = cv_conn_half_close,
};
