// What the simulated server serves. Every answer follows from the request's nonce, so a client can
// tell a right one from any other:
//
//   GET  /hello/N            "hello N"                    at once, copied
//   GET  /bytes/N/COUNT      the pattern of N             at once, from the request's memory
//   GET  /stream/N/COUNT     the same, in chunks, as fast as it is taken; with trailers at times
//   GET  /known/N/COUNT      the same, streamed with its length known
//   GET  /empty/N            204 or 304                   with a body that is not sent
//   GET  /cut/N/COUNT        some of the pattern of N     and then its connection ends
//   GET  /later/N/MS         "later N"                    after that time
//   GET  /across/N           "across N"                   by way of another worker
//   GET  /swap/N             "swap N"                     a route that is replaced now and then
//   GET  /rich/N/a%20b?..    {"rich":N}                   with all that takes memory
//   POST /echo/N             the body
//   POST /upload/N           "took COUNT"                 the body looked at as it comes
//   POST /early/N            "early N"                    before the body
//   POST /relay/N            the body                     streamed out as it comes in
#ifndef SIM_APPLICATION_H
#define SIM_APPLICATION_H

#include <stdint.h>

struct covet_app;
struct cv_pool;

// Registers the routes: the init function of a generation.
int sim_application_init(struct covet_app *app);

// Replaces the route /swap/N of an application that is served. Returns 0, -ENOMEM.
int sim_application_swap(struct covet_app *app);

// A worker's memory. Borrowed until it is destroyed.
const struct cv_pool *sim_application_pool(uint32_t worker);

// Requests that a handler has in hand. 0 when a run is over.
unsigned sim_application_pending(void);

#endif
