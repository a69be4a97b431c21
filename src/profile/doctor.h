// What is wrong with a running covet, if anything: rules over the figures of a few seconds.
//
// A finding names what was seen, the numbers that show it, and what to do. Rules speak only where
// the figures show harm: a server that does well gets none. Pure, so that every rule has its tests.
#ifndef CV_PROFILE_DOCTOR_H
#define CV_PROFILE_DOCTOR_H

#include <stddef.h>

#include "observe/snapshot.h"
#include "profile/window.h"

#define CV_FINDINGS_MAX 32u

enum cv_severity {
    CV_SEVERITY_INFO,   // worth knowing
    CV_SEVERITY_WARN,   // costs speed, or soon will cost more
    CV_SEVERITY_ERROR,  // clients are failed
};

struct cv_finding {
    enum cv_severity severity;
    const char *tag;  // one word, for scripts
    char finding[128];
    char evidence[192];
    const char *remedy;
};

// What figures of the server do not tell.
struct cv_doctor_machine {
    char governor[24];  // of the workers' cores, one that is not "performance"; "" when all are
};

// Examines a difference and the peaks within it. Returns the number of findings, the worst first.
size_t cv_doctor_examine(struct cv_finding findings[CV_FINDINGS_MAX],
                         const struct cv_snapshot *change, const struct cv_window_peak *peak,
                         const struct cv_doctor_machine *machine);

const char *cv_doctor_severity_name(enum cv_severity severity);

#endif
