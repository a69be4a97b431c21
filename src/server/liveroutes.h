// /routes of the admin address: lists the routes of an application, and changes them while it
// serves. Main thread only.
#ifndef CV_SERVER_LIVEROUTES_H
#define CV_SERVER_LIVEROUTES_H

#include <stdint.h>

#include "base/span.h"
#include "server/admin.h"

struct covet_app;

// GET: one line per route, "GET,POST /pattern". POST: gives a pattern to a handler registered by
// covet_handler; DELETE: takes methods away from it. Queries are
//
//     method=GET         or method=GET,POST, or repeated
//     pattern=/x/{id}    whole, percent-encoded as any form value
//     handler=NAME       POST only
//     mode=add           POST only: 409 instead of replacing
//
// Whatever cannot be done is answered with a sentence: 400, 404 (no such handler or route), 409, or
// 503 (no memory, too many old tables in use, or `app` is NULL: a drained server has none).
void cv_liveroutes_answer(struct covet_app *app, uint16_t method, struct cv_span query,
                          struct cv_admin_reply *reply);

// One line: the current table's number, how many tables there are with those still in use, and the
// bytes the latter hold. 503 when `app` is NULL.
void cv_liveroutes_tables(struct covet_app *app, struct cv_admin_reply *reply);

#endif
