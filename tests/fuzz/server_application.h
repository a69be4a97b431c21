// What the fuzzed server serves: the demo's routes, and
//
//   GET  /reflect/{value}    what the client says in a field, a cookie and a trailer, or as
//   Location GET  /stream/{count}     so many bytes, as fast as they are taken, in chunks or up to
//   the end GET  /later/{ms}         an answer after that time GET  /across             an answer
//   by way of another worker POST /upload             the body taken as it comes, with pauses; its
//   length POST /early              an answer before the body POST /json               a body read
//   into a struct, and written again
//
// fuzz_server.c links it in the place of tests/sim/application.c, whose clients ask only what they
// know the answer to.
#ifndef FUZZ_SERVER_APPLICATION_H
#define FUZZ_SERVER_APPLICATION_H

// Behind every run: what a server that was stopped has left in its handlers' hands.
void server_application_reset(void);

#endif
