// What an administrator can do when the system, or a limit set on the process, refuses a resource.
#ifndef CV_BASE_SHORTAGE_H
#define CV_BASE_SHORTAGE_H

#include <stdbool.h>

// The remedy for an errno value (of either sign), to be put behind what strerror(3) says of it:
// "; raise ulimit -n (LimitNOFILE=)", for example. Empty where there is none to name.
const char *cv_shortage_remedy(int error);

// Whether the error is a shortage of descriptors, memory or processes: nothing that another
// configuration file or another free port would cure.
bool cv_shortage_is(int error);

#endif
