// Calls on their way from one worker to another within one generation: the box they lie in.
//
// Any worker puts, the box's own worker takes. A box is open until its worker takes leave, which it
// can only when no call is on its way; whoever puts later is told. One word holds both facts, so
// neither side can miss the other:
//
//      31      30                        0
//     | closed | calls put and not taken |
//
// Boxes live as long as the generation, because senders look at them at any time.
#ifndef CV_APP_POST_H
#define CV_APP_POST_H

#include <stdbool.h>

#include <covet/worker.h>

#include "base/compiler.h"

#define CV_POST_CALLS_MAX 256u

struct cv_post_box;

// NULL without memory. `worker` is lent to the calls taken.
CV_MUST_USE struct cv_post_box *cv_post_create(struct covet_worker *worker);
void cv_post_destroy(struct cv_post_box *box);

// The box's own worker: closes it, unless a call is on its way (false).
bool cv_post_close(struct cv_post_box *box);

// The box's own worker: closes it in any case. Calls on their way to it are dropped when they
// arrive.
void cv_post_shut(struct cv_post_box *box);

#endif
