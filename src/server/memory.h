// How much memory this process may use.
#ifndef CV_SERVER_MEMORY_H
#define CV_SERVER_MEMORY_H

#include <stdint.h>

// The machine's, or what the control group allows if that is less. At least 1.
uint64_t cv_memory_available_bytes(void);

#endif
