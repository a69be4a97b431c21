// Values nobody asks for, checked like those that are read. See token.h.
#include "json/token.h"

static const char *skip_scalar(struct covet_json_reader *reader, const char *at) {
    struct cv_token_number number;
    bool value;

    switch (*at) {
    case '"':
        return cv_token_skip_string(reader, at + 1);
    case 't':
    case 'f':
        return cv_token_bool(reader, at, &value);
    case 'n':
        return cv_token_null(reader, at);
    default:
        return cv_token_read_number(reader, at, &number);
    }
}

const char *cv_token_skip_rest(struct covet_json_reader *reader, const char *at) {
    uint32_t depth = reader->depth;

    while (at != NULL) {
        bool in_object = cv_token_in_object(reader), first = cv_token_is_first(at);

        at = cv_token_skip_space(reader, at);
        if (*at == (in_object ? '}' : ']')) {
            at = cv_token_leave(reader, at);
            if (reader->depth < depth)
                return at;
            continue;
        }
        if (!first) {
            if (*at != ',')
                return cv_token_fail(reader, at, -EBADMSG, cv_token_no_comma(in_object));
            at = cv_token_skip_space(reader, at + 1);
        }
        if (in_object) {
            if (*at != '"')
                return cv_token_fail(reader, at, -EBADMSG, "a key in quotation marks is expected");
            at = cv_token_find_value(reader, cv_token_skip_string(reader, at + 1));
            if (at == NULL)
                return NULL;
        }
        at = *at == '{' || *at == '[' ? cv_token_enter(reader, at) : skip_scalar(reader, at);
    }
    return NULL;
}

const char *cv_token_skip_value(struct covet_json_reader *reader, const char *at) {
    if (*at != '{' && *at != '[')
        return skip_scalar(reader, at);
    at = cv_token_enter(reader, at);
    return at == NULL ? NULL : cv_token_skip_rest(reader, at);
}
