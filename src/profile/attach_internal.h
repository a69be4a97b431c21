// The programs and maps behind an attachment, for those who add some of their own to them.
#ifndef CV_PROFILE_ATTACH_INTERNAL_H
#define CV_PROFILE_ATTACH_INTERNAL_H

#include "profile/attach.h"

struct covet_bpf;

// Loaded and attached; owned by the attachment.
struct covet_bpf *cv_attach_skeleton(struct cv_attach *attach);

#endif
