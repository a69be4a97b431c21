// Reading into structs.
//
// Texts mostly have their keys in the order of the description, without white space, for programs
// write them. So a member is first compared with what the writer would put in front of the next
// field, its fragment: `,"key":` and, where it is known, the quotation mark or bracket behind. That
// is one comparison for the comma, key, colon and the type of the value. What does not look like
// that is read part by part, and its field is looked for from the expected one on.
//
// What does not fit is noted, skipped, and reading goes on: whether the text is JSON at all matters
// more to the one who sent it.
#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "json/description.h"
#include "json/place.h"
#include "json/token.h"

// Elements are collected here until an array is larger; then in memory, doubled as it fills.
#define STACK_BYTES 512u

#define OUT_OF_RANGE "the number is out of range"

struct bind {
    struct covet_json_reader reader;
    unsigned flags;
    // The first thing that does not fit.
    const char *misfit;  // Why; NULL: everything does.
    const char *misfit_at;
    const char *member;  // Behind the path; may be NULL.
    size_t member_bytes;
};

static const char *read_object(struct bind *bind, const char *at, const struct covet_json *object,
                               char *target);

static CV_COLD void note_misfit(struct bind *bind, const char *at, const char *reason,
                                const char *member, size_t member_bytes) {
    if (bind->misfit != NULL)
        return;
    bind->misfit = reason;
    bind->misfit_at = at;
    bind->member = member;
    bind->member_bytes = member_bytes;
}

// A value that does not fit: noted, skipped.
static CV_COLD const char *skip_misfit(struct bind *bind, const char *at, const char *reason) {
    note_misfit(bind, at, reason, NULL, 0);
    return cv_token_skip_value(&bind->reader, at);
}

static CV_COLD const char *skip_other_type(struct bind *bind, const char *at,
                                           const struct covet_json_field *field) {
    static const char *const reasons[COVET_JSON_TYPE_COUNT] = {
        [COVET_JSON_TYPE_BOOL] = "true or false is expected",
        [COVET_JSON_TYPE_INT8] = "an integer is expected",
        [COVET_JSON_TYPE_INT16] = "an integer is expected",
        [COVET_JSON_TYPE_INT32] = "an integer is expected",
        [COVET_JSON_TYPE_INT64] = "an integer is expected",
        [COVET_JSON_TYPE_UINT8] = "an integer is expected",
        [COVET_JSON_TYPE_UINT16] = "an integer is expected",
        [COVET_JSON_TYPE_UINT32] = "an integer is expected",
        [COVET_JSON_TYPE_UINT64] = "an integer is expected",
        [COVET_JSON_TYPE_FLOAT] = "a number is expected",
        [COVET_JSON_TYPE_DOUBLE] = "a number is expected",
        [COVET_JSON_TYPE_SPAN] = "a string is expected",
        [COVET_JSON_TYPE_TEXT] = "a string is expected",
        [COVET_JSON_TYPE_OBJECT] = "an object is expected",
        [COVET_JSON_TYPE_POINTER] = "an object is expected",
    };
    bool nullable = (field->flags & COVET_JSON_NULLABLE) != 0;

    return skip_misfit(bind, at,
                       *at == 'n' && !nullable ? "null is not allowed here" : reasons[field->type]);
}

// Integers.

static bool is_signed(uint8_t type) {
    return type <= COVET_JSON_TYPE_INT64;
}

static inline bool is_number(char byte) {
    return byte == '-' || (byte >= '0' && byte <= '9');
}

static CV_COLD const char *no_integer(const char *at, const char *behind) {
    for (; at < behind; at++) {
        if (*at == '.' || *at == 'e' || *at == 'E')
            return "an integer is expected";
    }
    return OUT_OF_RANGE;
}

// The largest magnitude: all bits, less one for the sign; with a sign, one more or none at all.
static inline bool fits(uint64_t magnitude, bool negative, const struct covet_json_field *field) {
    uint64_t all = UINT64_MAX >> (64 - 8 * field->bytes);

    if (is_signed(field->type))
        return magnitude <= (all >> 1) + negative;
    return magnitude <= (negative ? 0 : all);
}

static inline void store_integer(char *value, uint64_t bits, uint32_t bytes) {
    switch (bytes) {
    case 8:
        memcpy(value, &bits, 8);
        break;
    case 4:
        memcpy(value, &bits, 4);
        break;
    case 2:
        memcpy(value, &bits, 2);
        break;
    default:
        memcpy(value, &bits, 1);
    }
}

static CV_NOINLINE const char *read_other_integer(struct bind *bind, const char *at,
                                                  const struct covet_json_field *field,
                                                  char *value) {
    struct cv_token_number number;
    const char *behind;

    if (!is_number(*at))
        return skip_other_type(bind, at, field);
    behind = cv_token_read_number(&bind->reader, at, &number);
    if (behind == NULL)
        return NULL;
    if (number.kind == COVET_JSON_DOUBLE)
        note_misfit(bind, at, no_integer(at, behind), NULL, 0);
    else if (!fits(number.magnitude, number.negative, field))
        note_misfit(bind, at, OUT_OF_RANGE, NULL, 0);
    else
        store_integer(value, number.negative ? 0 - number.magnitude : number.magnitude,
                      field->bytes);
    return behind;
}

// The common widths hold whatever has up to 7 digits, but for what is negative.
static inline const char *read_integer(struct bind *bind, const char *at,
                                       const struct covet_json_field *field, char *value) {
    bool negative = *at == '-';
    uint64_t magnitude;
    const char *behind = cv_token_small_integer(&bind->reader, at + negative, &magnitude);

    if (CV_UNLIKELY(behind == NULL || field->bytes < 4 || (negative && !is_signed(field->type))))
        return read_other_integer(bind, at, field, value);
    magnitude = negative ? 0 - magnitude : magnitude;
    memcpy(value, &magnitude, 4);
    if (field->bytes == 8)
        memcpy(value, &magnitude, 8);
    return behind;
}

static CV_NOINLINE const char *read_other_double(struct bind *bind, const char *at,
                                                 const struct covet_json_field *field,
                                                 double *value) {
    struct cv_token_number number;

    if (!is_number(*at))
        return skip_other_type(bind, at, field);
    at = cv_token_read_number(&bind->reader, at, &number);
    if (at == NULL)
        return NULL;
    if (number.kind != COVET_JSON_DOUBLE) {
        number.value = (double)number.magnitude;
        number.value = number.negative ? -number.value : number.value;
    }
    *value = number.value;
    return at;
}

static inline const char *read_double(struct bind *bind, const char *at,
                                      const struct covet_json_field *field, char *value) {
    double number = 0;
    const char *behind = cv_token_small_fraction(&bind->reader, at, &number);

    if (CV_UNLIKELY(behind == NULL))
        behind = read_other_double(bind, at, field, &number);
    memcpy(value, &number, sizeof(number));
    return behind;
}

static const char *read_float(struct bind *bind, const char *at,
                              const struct covet_json_field *field, char *value) {
    double number = 0;
    const char *behind = read_other_double(bind, at, field, &number);
    float narrow = (float)number;

    if (isinf(narrow))
        note_misfit(bind, at, OUT_OF_RANGE, NULL, 0);
    memcpy(value, &narrow, sizeof(narrow));
    return behind;
}

// Strings, from behind the quotation mark.

static inline const char *read_span(struct bind *bind, const char *at, char *value) {
    struct covet_span text;

    at = cv_token_string(&bind->reader, at, &text);
    memcpy(value, &text, sizeof(text));
    return at;
}

static const char *read_text(struct bind *bind, const char *at, char *value) {
    struct covet_span text;
    const char *behind = cv_token_string(&bind->reader, at, &text);
    char *copy;

    if (behind == NULL)
        return NULL;
    if (memchr(text.data, '\0', text.length) != NULL) {
        note_misfit(bind, at - 1, "a NUL byte in a text that ends in one", NULL, 0);
        return behind;
    }
    copy = cv_token_alloc(&bind->reader, at - 1, text.length + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    memcpy(value, &copy, sizeof(copy));
    return behind;
}

static const char *read_raw(struct bind *bind, const char *at, char *value) {
    const char *behind = cv_token_skip_value(&bind->reader, at);
    struct covet_span text = {at, behind == NULL ? 0 : (size_t)(behind - at)};

    memcpy(value, &text, sizeof(text));
    return behind;
}

// Descriptions that lead back to themselves are used while they are compiled; a mistake may be
// found in one after that.
static bool is_usable(struct bind *bind, const char *at, const struct covet_json *nested) {
    if (CV_LIKELY(cv_description_is_right(nested)))
        return true;
    return cv_token_fail(&bind->reader, at, -EINVAL, covet_json_error(nested, NULL)) != NULL;
}

static const char *read_pointer(struct bind *bind, const char *at,
                                const struct covet_json_field *field, char *value) {
    char *target;

    if (!is_usable(bind, at, field->nested))
        return NULL;
    target = cv_token_alloc(&bind->reader, at, field->bytes);
    if (target == NULL)
        return NULL;
    memset(target, 0, field->bytes);
    memcpy(value, &target, sizeof(target));
    return read_object(bind, at, field->nested, target);
}

// One value that is no array and not null, from its first byte, into cleared memory.
static const char *read_single(struct bind *bind, const char *at,
                               const struct covet_json_field *field, char *value) {
    switch (field->type) {
    case COVET_JSON_TYPE_BOOL:
        if (*at != 't' && *at != 'f')
            break;
        return cv_token_bool(&bind->reader, at, (bool *)(void *)value);
    case COVET_JSON_TYPE_FLOAT:
        return read_float(bind, at, field, value);
    case COVET_JSON_TYPE_DOUBLE:
        return read_double(bind, at, field, value);
    case COVET_JSON_TYPE_SPAN:
        if (*at != '"')
            break;
        return read_span(bind, at + 1, value);
    case COVET_JSON_TYPE_TEXT:
        if (*at != '"')
            break;
        return read_text(bind, at + 1, value);
    case COVET_JSON_TYPE_RAW:
        return read_raw(bind, at, value);
    case COVET_JSON_TYPE_OBJECT:
        if (*at != '{')
            break;
        return read_object(bind, at, field->nested, value);
    case COVET_JSON_TYPE_POINTER:
        if (*at != '{')
            break;
        return read_pointer(bind, at, field, value);
    default:
        return read_integer(bind, at, field, value);
    }
    return skip_other_type(bind, at, field);
}

// Arrays.

struct elements {
    char *data;
    size_t count;
    size_t capacity;
    size_t bytes;  // Of one.
};

// Of an element in memory.
static size_t element_bytes(const struct covet_json_field *field) {
    return field->type == COVET_JSON_TYPE_POINTER ? sizeof(void *) : field->bytes;
}

static bool move_elements(struct bind *bind, const char *at, struct elements *elements,
                          size_t capacity) {
    char *larger;

    if (capacity > SIZE_MAX / elements->bytes)
        return cv_token_fail(&bind->reader, at, -ENOMEM, "too many elements") != NULL;
    larger = cv_token_alloc(&bind->reader, at, capacity * elements->bytes);
    if (larger == NULL)
        return false;
    memcpy(larger, elements->data, elements->count * elements->bytes);
    elements->data = larger;
    elements->capacity = capacity;
    return true;
}

static inline const char *read_element(struct bind *bind, const char *at,
                                       const struct covet_json_field *field,
                                       struct elements *elements) {
    char *element;

    if (CV_UNLIKELY(elements->count == elements->capacity) &&
        !move_elements(bind, at, elements, CV_MAX(2 * elements->capacity, 4u)))
        return NULL;
    element = elements->data + elements->count++ * elements->bytes;
    if (CV_LIKELY(field->type == COVET_JSON_TYPE_SPAN && *at == '"'))
        return read_span(bind, at + 1, element);
    memset(element, 0, elements->bytes);
    if (*at == 'n' && field->type == COVET_JSON_TYPE_POINTER)
        return cv_token_null(&bind->reader, at);
    return read_single(bind, at, field, element);
}

// From the opening bracket.
static const char *read_array(struct bind *bind, const char *at,
                              const struct covet_json_field *field, char *target) {
    static _Alignas(16) char nothing[1];  // No NULL: an empty array is not an absent one.
    _Alignas(16) char few[STACK_BYTES];
    struct covet_json_reader *reader = &bind->reader;
    struct elements elements = {.data = few, .bytes = element_bytes(field)};
    const char *start = at;

    if (field->type == COVET_JSON_TYPE_OBJECT && !is_usable(bind, at, field->nested))
        return NULL;
    elements.capacity = STACK_BYTES / elements.bytes;
    at = cv_token_enter(reader, at);
    if (at == NULL)
        return NULL;
    at = cv_token_skip_space(reader, at);
    while (*at != ']') {
        at = read_element(bind, at, field, &elements);
        if (at == NULL)
            return NULL;
        at = cv_token_skip_space(reader, at);
        if (*at == ']')
            break;
        if (CV_UNLIKELY(*at != ','))
            return cv_token_fail(reader, at, -EBADMSG, cv_token_no_comma(false));
        at = cv_token_skip_space(reader, at + 1);
        if (CV_UNLIKELY(*at == ']'))
            return cv_token_fail(reader, at, -EBADMSG, "a value is expected");
    }
    if (elements.count == 0)
        elements.data = nothing;
    else if (elements.data == few && !move_elements(bind, start, &elements, elements.count))
        return NULL;
    memcpy(target + field->offset, &elements.data, sizeof(elements.data));
    memcpy(target + field->count_offset, &elements.count, sizeof(elements.count));
    return cv_token_leave(reader, at);
}

// Members.

// The value of a field, whatever it is, from its first byte.
static const char *read_value(struct bind *bind, const char *at,
                              const struct covet_json_field *field, char *target) {
    if (*at == 'n' && (field->flags & COVET_JSON_NULLABLE) != 0)
        return cv_token_null(&bind->reader, at);
    if (field->present != 0)
        target[field->present - 1] = true;
    if (!field->is_array)
        return read_single(bind, at, field, target + field->offset);
    if (CV_UNLIKELY(*at != '['))
        return skip_misfit(bind, at, "an array is expected");
    return read_array(bind, at, field, target);
}

// The field of a key, searched for from the expected one on, where it mostly is.
static const struct covet_json_field *find_field(const struct covet_json *object,
                                                 struct covet_span key, uint32_t expected) {
    uint64_t word = 0;

    memcpy(&word, key.data, CV_MIN(key.length, sizeof(word)));
    for (uint32_t i = 0; i < object->field_count; i++) {
        uint32_t index = expected + i;
        const struct covet_json_field *field;

        index -= index >= object->field_count ? object->field_count : 0;
        field = &object->fields[index];
        if (field->key_word == word && field->key_bytes == key.length &&
            memcmp(field->key, key.data, key.length) == 0)
            return field;
    }
    return NULL;
}

// A member in any form, from its key. `*expected` becomes the field behind.
static const char *read_member(struct bind *bind, const char *at, const struct covet_json *object,
                               char *target, const struct covet_json_field **expected,
                               uint64_t *seen) {
    const struct covet_json_field *field;
    struct covet_span key = {"", 0};
    const char *start = at;

    at = cv_token_key(&bind->reader, at, &key);
    if (at == NULL)
        return NULL;
    field = find_field(object, key, (uint32_t)(*expected - object->fields));
    if (field == NULL) {
        if ((bind->flags & COVET_JSON_REFUSE_UNKNOWN) != 0)
            note_misfit(bind, start, "a key that is not known", key.data, key.length);
        return cv_token_skip_value(&bind->reader, at);
    }
    if ((*seen >> field->index & 1) != 0) {
        note_misfit(bind, start, "a key for the second time", key.data, key.length);
        return cv_token_skip_value(&bind->reader, at);
    }
    *seen |= UINT64_C(1) << field->index;
    *expected = field + 1;
    return read_value(bind, at, field, target);
}

// Whether `field`'s fragment stands at `at`, but for its comma. A fragment that is too long to be
// kept has no bytes, as the entry behind the last field, and is never found.
static inline bool has_fragment(const struct covet_json_reader *reader, const char *at,
                                const struct covet_json_field *field) {
    const char *fragment = field->fragment + 1;
    unsigned bytes = field->fragment_bytes - 1u;

#ifdef __SSE2__
    if (CV_LIKELY(reader->end - at >= (ptrdiff_t)COVET_JSON_FRAGMENT_BYTES)) {
        __m128i text = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i wanted = _mm_loadu_si128((const __m128i *)(const void *)fragment);
        unsigned others = ~(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(text, wanted));

        // Bits from 16 on are set in `others`.
        if (CV_LIKELY((unsigned)__builtin_ctz(others) >= bytes))
            return true;
        return bytes > 16 && bytes < COVET_JSON_FRAGMENT_BYTES && memcmp(at, fragment, bytes) == 0;
    }
#endif
    return bytes < (size_t)(reader->end - at) && memcmp(at, fragment, bytes) == 0;
}

// The value behind a fragment. The types are those of fields that may be neither null nor absent.
static inline const char *read_expected(struct bind *bind, const char *at,
                                        const struct covet_json_field *field, char *target) {
    char *value = target + field->offset;
    bool is_open;

    switch (field->step) {
    case COVET_JSON_TYPE_INT8:
    case COVET_JSON_TYPE_INT16:
    case COVET_JSON_TYPE_INT32:
    case COVET_JSON_TYPE_INT64:
    case COVET_JSON_TYPE_UINT8:
    case COVET_JSON_TYPE_UINT16:
    case COVET_JSON_TYPE_UINT32:
    case COVET_JSON_TYPE_UINT64:
        return read_integer(bind, cv_token_skip_space(&bind->reader, at), field, value);
    case COVET_JSON_TYPE_SPAN:
        return read_span(bind, at, value);
    case COVET_JSON_TYPE_DOUBLE:
        return read_double(bind, cv_token_skip_space(&bind->reader, at), field, value);
    case COVET_JSON_TYPE_BOOL:
        at = cv_token_skip_space(&bind->reader, at);
        if (CV_UNLIKELY(*at != 't' && *at != 'f'))
            return skip_other_type(bind, at, field);
        return cv_token_bool(&bind->reader, at, (bool *)(void *)value);
    case COVET_JSON_TYPE_OBJECT:
        at = cv_token_skip_space(&bind->reader, at);
        if (CV_UNLIKELY(*at != '{'))
            return skip_other_type(bind, at, field);
        return read_object(bind, at, field->nested, value);
    default:
        if (field->is_array && field->flags == 0)
            return read_array(bind, at - 1, field, target);
        // The quotation mark or bracket once more.
        is_open = field->is_array || cv_description_is_text(field);
        at = is_open ? at - 1 : cv_token_skip_space(&bind->reader, at);
        return read_value(bind, at, field, target);
    }
}

static CV_COLD void note_missing(struct bind *bind, const char *at, const struct covet_json *object,
                                 uint64_t missing) {
    const struct covet_json_field *field = &object->fields[__builtin_ctzll(missing)];

    note_misfit(bind, at, "a key is missing", field->key, field->key_bytes);
}

static const char *read_object(struct bind *bind, const char *at, const struct covet_json *object,
                               char *target) {
    struct covet_json_reader *reader = &bind->reader;
    const struct covet_json_field *expected = object->fields;
    const char *start = at;
    uint64_t seen = 0;

    at = cv_token_enter(reader, at);
    if (CV_UNLIKELY(at == NULL))
        return NULL;
    at = cv_token_skip_space(reader, at);
    if (CV_UNLIKELY(*at == '}'))
        goto closed;
    for (;;) {
        if (CV_LIKELY(has_fragment(reader, at, expected) && (seen >> expected->index & 1) == 0)) {
            const struct covet_json_field *field = expected++;

            seen |= UINT64_C(1) << field->index;
            at = read_expected(bind, at + field->fragment_bytes - 1, field, target);
        } else {
            at = read_member(bind, at, object, target, &expected, &seen);
        }
        if (CV_UNLIKELY(at == NULL))
            return NULL;
        if (CV_UNLIKELY(*at != ',')) {
            at = cv_token_skip_space(reader, at);
            if (*at == '}')
                break;
            if (*at != ',')
                return cv_token_fail(reader, at, -EBADMSG, cv_token_no_comma(true));
        }
        at = cv_token_skip_space(reader, at + 1);
    }
closed:
    if (CV_UNLIKELY((object->required & ~seen) != 0))
        note_missing(bind, start, object, object->required & ~seen);
    return cv_token_leave(reader, at);
}

// The outcome of it all, put where cv_place_explain looks.
static void take_misfit(struct bind *bind) {
    struct covet_json_reader *reader = &bind->reader;

    if (reader->error != 0) {
        bind->member = NULL;
        return;
    }
    reader->error = -EDOM;
    reader->reason = bind->misfit;
    reader->error_at = bind->misfit_at;
}

int covet_json_parse(const struct covet_json *description, void *target, const char *data,
                     size_t length, struct covet_json_memory *memory, unsigned flags,
                     struct covet_json_failure *failure) {
    struct bind bind;
    struct covet_json_reader *reader = &bind.reader;

    bind.flags = flags;
    bind.misfit = NULL;
    if (!cv_description_is_right(description)) {
        if (failure != NULL)
            *failure = (struct covet_json_failure){.error = -EINVAL,
                                                   .reason = covet_json_error(description, NULL),
                                                   .line = 1,
                                                   .column = 1};
        return -EINVAL;
    }
    memset(target, 0, description->bytes);
    if (cv_token_open(reader, data, length, memory)) {
        const char *at = reader->at;

        if (CV_LIKELY(*at == '{'))
            at = read_object(&bind, at, description, target);
        else
            at = skip_misfit(&bind, at, "an object is expected");
        if (CV_LIKELY(at != NULL && cv_token_close(reader, at) && bind.misfit == NULL))
            return 0;
    }
    take_misfit(&bind);
    if (failure != NULL)
        cv_place_explain(reader, bind.member, bind.member_bytes, failure);
    return reader->error;
}
