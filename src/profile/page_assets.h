// The files of src/profile/page, as they are, inside the program.
#ifndef CV_PROFILE_PAGE_ASSETS_H
#define CV_PROFILE_PAGE_ASSETS_H

#include <stdbool.h>

#include "base/span.h"

// Finds the file that a browser asks for as `path`. Returns false, with the others unchanged, when
// there is none; both are static.
bool cv_page_assets_find(struct cv_span path, struct cv_span *content_type, struct cv_span *body);

#endif
