// What the simulated server serves. Every answer follows from the request's nonce, so a client can
// tell a right one from any other:
//
//   GET  /hello/N            "hello N"                    at once, copied
//   GET  /bytes/N/COUNT      the pattern of N             at once, from the request's memory
//   GET  /stream/N/COUNT     the same, in chunks, as fast as it is taken
//   GET  /known/N/COUNT      the same, streamed with its length known
//   GET  /later/N/MS         "later N"                    after that time
//   GET  /across/N           "across N"                   by way of another worker
//   GET  /swap/N             "swap N"                     a route that is replaced now and then
//   GET  /rich/N/a%20b?x=%41+ {"rich":N}                  with a bit of everything that takes
//   memory POST /echo/N             the body POST /upload/N           "took COUNT" the body looked
//   at as it comes POST /early/N            "early N"                    before the body
#ifndef SIM_APPLICATION_H
#define SIM_APPLICATION_H

struct covet_app;

// Registers the routes: the init function of a generation.
int sim_application_init(struct covet_app *app);

// Replaces the route /swap/N of an application that is served. Returns 0, -ENOMEM.
int sim_application_swap(struct covet_app *app);

// Requests that a handler has in hand. 0 when a run is over.
unsigned sim_application_pending(void);

#endif
