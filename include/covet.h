/* covet's application interface: everything a module or an embedding program needs.
 *
 * A module is a shared object with one entry:
 *
 *     #include <covet.h>
 *
 *     static void hello(struct covet_request *request, struct covet_response *response) {
 *         (void)request;
 *         covet_response_text(response, "Hello, World!");
 *     }
 *
 *     COVET_MODULE;
 *
 *     int covet_module_init(struct covet_app *app) {
 *         return covet_route(app, COVET_GET, "/", hello, NULL);
 *     }
 *
 * Rules that hold everywhere:
 * - One worker is one thread. A handler runs on the worker that received the request and uses that
 *   request, its response and its worker on that thread only. What crosses workers goes through
 *   covet_post. Nothing here blocks; a handler that blocks stops every client of its worker.
 * - Functions returning int return 0, or a negative errno value; they never set errno.
 * - Text comes back as struct covet_span: borrowed bytes, not ending in NUL.
 * - Text handed in as const char * ends in NUL and is copied unless the function says otherwise.
 * - Passing NULL for an app, group, worker, request or response is a mistake that ends the program.
 */
#ifndef COVET_H
#define COVET_H

#include <covet/app.h>
#include <covet/json.h>
#include <covet/memory.h>
#include <covet/metrics.h>
#include <covet/request.h>
#include <covet/response.h>
#include <covet/span.h>
#include <covet/worker.h>

#endif
