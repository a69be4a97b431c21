// Telling a service manager how things stand: the sd_notify protocol (sd_notify(3)), one datagram
// to the socket named by NOTIFY_SOCKET.
#ifndef CV_SERVER_NOTIFY_H
#define CV_SERVER_NOTIFY_H

#include "base/compiler.h"

// Sends `state`, lines like READY=1. Without NOTIFY_SOCKET in the environment it does nothing and
// returns 0; else 0 or -errno, which is worth a log line and nothing more.
int cv_notify_send(const char *state);

// A printf for cv_notify_send; at most 511 bytes are sent.
int cv_notify_format(const char *format, ...) CV_PRINTF(1, 2);

#endif
