// Tests in which one handler does what the running test says: t_act is called for every request
// whose route leads to t_act_handler. The fixture is a test's `state`.
#ifndef T_APP_ACTING_H
#define T_APP_ACTING_H

#include "unit/app/recorder.h"

typedef void (*t_action)(struct covet_request *request, struct covet_response *response);

static t_action t_act;

static inline void t_act_handler(struct covet_request *request, struct covet_response *response) {
    t_act(request, response);
}

// For cmocka_unit_test_setup_teardown, the first from a setup of the test file's own.
static inline int t_act_setup(void **state, int (*init)(struct covet_app *app)) {
    struct t_fixture *fixture = malloc(sizeof(*fixture));

    assert_non_null(fixture);
    t_open_fixture(fixture, init);
    *state = fixture;
    return 0;
}

static inline int t_act_teardown(void **state) {
    t_close_fixture(*state);
    free(*state);
    return 0;
}

// Runs one request with `action` as its handler.
static inline struct t_exchange *t_act_run(void **state, const char *line, const char *body,
                                           t_action action) {
    struct t_fixture *fixture = *state;

    t_act = action;
    return t_run(fixture->worker, line, "", body);
}

#endif
