// Where in a text an error is, in words people use: line, column, path.
#ifndef CV_JSON_PLACE_H
#define CV_JSON_PLACE_H

#include <covet/json.h>

#include "base/compiler.h"

// Fills `failure` from the error noted in `reader`. Walks the text again from its beginning, so
// that reading need not keep book. `member` (`member_bytes` of it; may be NULL) goes behind the
// path of the place.
CV_COLD void cv_place_explain(const struct covet_json_reader *reader, const char *member,
                              size_t member_bytes, struct covet_json_failure *failure);

#endif
