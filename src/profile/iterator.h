// Iterator programs: run once, when they are asked to.
#ifndef CV_PROFILE_ITERATOR_H
#define CV_PROFILE_ITERATOR_H

#include <sys/types.h>

struct bpf_program;

// Runs a loaded iterator once, over the threads of process `pid` where the kernel can choose (6.1),
// else over all there are: the program looks for itself. What it prints is thrown away. Returns 0
// or -errno; -EOPNOTSUPP when the program was left out at loading, which may be
// no failure.
int cv_iterator_run(struct bpf_program *program, pid_t pid);

#endif
