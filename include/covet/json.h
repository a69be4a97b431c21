/* JSON (RFC 8259): structs described once, written and read by that description; and calls that
 * write a text piece by piece.
 *
 *     struct item {
 *         int64_t id;
 *         struct covet_span name;
 *         double price;
 *         bool has_price;
 *         struct rating rating;
 *         struct covet_span *tags;
 *         size_t tag_count;
 *     };
 *
 *     COVET_JSON(rating_json, struct rating,
 *                COVET_JSON_FIELD(struct rating, stars),
 *                COVET_JSON_FIELD(struct rating, votes));
 *
 *     COVET_JSON(item_json, struct item,
 *                COVET_JSON_FIELD(struct item, id),
 *                COVET_JSON_FIELD(struct item, name, .key = "title"),
 *                COVET_JSON_FIELD(struct item, price, .flags = COVET_JSON_OPTIONAL,
 *                                 COVET_JSON_PRESENT(struct item, has_price)),
 *                COVET_JSON_OBJECT(struct item, rating, rating_json),
 *                COVET_JSON_ARRAY(struct item, tags, tag_count));
 *
 * What is written by a description is accepted when read by it. The macros are for C.
 */
#ifndef COVET_JSON_H
#define COVET_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <covet/span.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Objects and arrays inside each other, the outermost included. */
#define COVET_JSON_DEPTH_MAX 64u
/* Fields of one description, and bytes of one key. */
#define COVET_JSON_FIELDS_MAX 64u
#define COVET_JSON_KEY_BYTES_MAX 255u

/* Descriptions.
 *
 * COVET_JSON(variable, type, fields...) at file scope defines `static struct covet_json variable`
 * for objects kept in a `type`. It is completed when the program or module is loaded, before main
 * or covet_module_init, and not changed any more: any thread may use it. A mistake in it is
 * told by covet_json_error, and whatever is asked of it then fails with -EINVAL.
 *
 * A field is one of
 *
 *     COVET_JSON_FIELD(type, member, ...)                  a value; its kind follows from the
 *                                                          member's type, see below
 *     COVET_JSON_OBJECT(type, member, description, ...)    a struct in place
 *     COVET_JSON_POINTER(type, member, description, ...)   a pointer to a struct; NULL is null
 *     COVET_JSON_ARRAY(type, member, count, ...)           a pointer to values; `count` is a member
 *                                                          of type size_t
 *     COVET_JSON_OBJECTS(type, member, count, description, ...)
 *                                                          a pointer to structs, and their count
 *     COVET_JSON_RAW(type, member, ...)                    a struct covet_span that holds one JSON
 *                                                          value as text
 *
 * and a member's type is one of bool, the integers of 8 to 64 bits, float, double, struct
 * covet_span (text, UTF-8) and const char * (the same, ending in NUL). Behind these may follow, in
 * any order,
 *
 *     .key = "name"                                        the key; else it is the member's name.
 *                                                          It may not need an escape
 *     .flags = COVET_JSON_OPTIONAL                         read: the key may be missing.
 *                                                          Written: left out when absent
 *     .flags = COVET_JSON_NULLABLE                         read: null is accepted. Written: null
 *                                                          when absent, unless left out
 *     COVET_JSON_PRESENT(type, has_member)                 a bool member that says whether there is
 *                                                          a value
 *
 * A value is absent when its COVET_JSON_PRESENT is false, and where it has a pointer, when that is
 * NULL. What is absent but neither optional nor nullable is written empty: "", [], a raw value as
 * null. A value that has no pointer and no COVET_JSON_PRESENT is always written, and cannot be
 * nullable. COVET_JSON_PRESENT asks for one of the flags. */
enum { COVET_JSON_OPTIONAL = 1 << 0, COVET_JSON_NULLABLE = 1 << 1 };

enum covet_json_type {
    COVET_JSON_TYPE_NONE = 0,
    COVET_JSON_TYPE_BOOL = 1,
    COVET_JSON_TYPE_INT8 = 2,
    COVET_JSON_TYPE_INT16 = 3,
    COVET_JSON_TYPE_INT32 = 4,
    COVET_JSON_TYPE_INT64 = 5,
    COVET_JSON_TYPE_UINT8 = 6,
    COVET_JSON_TYPE_UINT16 = 7,
    COVET_JSON_TYPE_UINT32 = 8,
    COVET_JSON_TYPE_UINT64 = 9,
    COVET_JSON_TYPE_FLOAT = 10,
    COVET_JSON_TYPE_DOUBLE = 11,
    COVET_JSON_TYPE_SPAN = 12,    /* struct covet_span, text */
    COVET_JSON_TYPE_TEXT = 13,    /* const char *, text ending in NUL */
    COVET_JSON_TYPE_RAW = 14,     /* struct covet_span, a JSON value as it is */
    COVET_JSON_TYPE_OBJECT = 15,  /* a struct in place */
    COVET_JSON_TYPE_POINTER = 16, /* a pointer to a struct */
    COVET_JSON_TYPE_COUNT = 17
};

/* What the macros fill in, and what is derived from it when the description is compiled. Not for
 * applications: it may change with COVET_API_VERSION. */
#define COVET_JSON_FRAGMENT_BYTES 32u

struct covet_json;

struct covet_json_field {
    const char *member;        /* its name, for messages */
    const char *key;           /* NULL until compiled: as `member` */
    struct covet_json *nested; /* of OBJECT and POINTER */
    uint32_t offset;           /* of the member, or of the pointer to the first element */
    uint32_t count_offset;     /* arrays: of the size_t with the number of elements */
    uint32_t present; /* offset + 1 of the bool that says whether there is a value; 0: none */
    uint32_t bytes;   /* of the value; of one element in an array, of the struct pointed to */
    uint8_t type;     /* enum covet_json_type; of the elements in an array */
    uint8_t is_array; /* 0 or 1 */
    uint8_t flags;    /* POINTER counts as NULLABLE once compiled */

    /* Compiled. */
    uint8_t step;           /* how it is written */
    uint8_t key_bytes;      /* length of `key` */
    uint8_t fragment_bytes; /* 0 when the fragment is too long to be kept */
    uint8_t index;          /* in `fields` */
    uint8_t may_be_null;    /* 1: begins with a pointer, and NULL means absent */
    uint64_t key_word;      /* the first 8 bytes of the key, low byte first, 0 behind its end */
    char fragment[COVET_JSON_FRAGMENT_BYTES]; /* ,"key": and then " of a text, [ of an array */
};

struct covet_json {
    struct covet_json_field *fields; /* and one more behind the last, all 0 */
    uint32_t field_count;
    uint32_t bytes; /* of the struct */

    /* Compiled. */
    const char *error; /* static text; NULL when the description is right */
    const char *error_member;
    uint32_t state;       /* enum cv_description_state; 2: it can be used */
    uint32_t written_max; /* the most bytes of an object, but for texts, arrays, pointers, raw */
    uint64_t required;    /* bit i: the key of fields[i] must be there when read */
};

/* Completes a description; the macro has it called at load time. Again: no effect. Returns 0, or
 * -EINVAL with description->error set. */
COVET_EXPORT int covet_json_compile(struct covet_json *description);

/* NULL, or what is wrong with a description, in words; `*member` (may be NULL) is the name of the
 * member at fault or NULL. */
COVET_EXPORT const char *covet_json_error(const struct covet_json *description,
                                          const char **member);

/* Writing.
 *
 *     struct covet_json_writer writer;
 *     struct covet_span text;
 *
 *     covet_json_writer_init_request(&writer, request);
 *     covet_json_write_object_begin(&writer);
 *     covet_json_write_key(&writer, "count");
 *     covet_json_write_int(&writer, 2);
 *     covet_json_write_key(&writer, "items");
 *     covet_json_write_array_begin(&writer);
 *     covet_json_write_struct(&writer, &item_json, &items[0]);
 *     covet_json_write_struct(&writer, &item_json, &items[1]);
 *     covet_json_write_array_end(&writer);
 *     covet_json_write_object_end(&writer);
 *     return covet_response_json_writer(response, &writer);
 *
 * Commas, colons, quotes and escapes come by themselves. The first error stays: every later call
 * returns it and does nothing, so it is enough to look at the last one. Errors are
 *
 *     -EINVAL  a call out of place (a value without its key, a second root, an end without its
 *              begin, an unfinished text), or a description with a mistake
 *     -EILSEQ  a text that is not UTF-8
 *     -EDOM    a number that JSON has no form for: NaN, infinity
 *     -ELOOP   more than COVET_JSON_DEPTH_MAX objects and arrays inside each other
 *     -ENOSPC  the memory given is full
 *     -ENOMEM  memory is exhausted
 *
 * Escaped is what must be: quote, backslash, control bytes. Doubles get the shortest form that
 * reads back as the same double, laid out as JavaScript does it: 1, 0.1, 1e+21, 1e-7; minus zero
 * is -0. The same key twice in an object is the caller's mistake and not found.
 *
 * Thread: one at a time. Nothing is to be freed. */
typedef void *(*covet_json_alloc_fn)(void *context, size_t bytes);

/* Belongs to the caller; its contents are private. */
struct covet_json_writer {
    char *start;
    char *at;
    char *end;
    covet_json_alloc_fn alloc;
    void *context;
    uint64_t objects; /* bit i: what is open at depth i + 1 is an object */
    uint32_t depth;
    int error;
    bool has_key;   /* a key waits for its value */
    bool has_value; /* a value stands before: the next one needs a comma */
};

/* Writes into `bytes` bytes at `memory`, and when they are full into memory from `alloc`: what it
 * gives must stay as long as the text is needed, is never given back and never moved. `alloc` NULL:
 * the memory given is all. `memory` may be NULL with 0 `bytes`. */
COVET_EXPORT void covet_json_writer_init(struct covet_json_writer *writer, void *memory,
                                         size_t bytes, covet_json_alloc_fn alloc, void *context);

/* The text written, which must be one whole value. Not ending in NUL. It lives as long as the
 * memory. */
COVET_EXPORT int covet_json_writer_finish(struct covet_json_writer *writer,
                                          struct covet_span *text);

COVET_EXPORT int covet_json_write_object_begin(struct covet_json_writer *writer);
COVET_EXPORT int covet_json_write_object_end(struct covet_json_writer *writer);
COVET_EXPORT int covet_json_write_array_begin(struct covet_json_writer *writer);
COVET_EXPORT int covet_json_write_array_end(struct covet_json_writer *writer);

COVET_EXPORT int covet_json_write_key(struct covet_json_writer *writer, const char *key);
COVET_EXPORT int covet_json_write_key_span(struct covet_json_writer *writer, struct covet_span key);

COVET_EXPORT int covet_json_write_int(struct covet_json_writer *writer, int64_t value);
COVET_EXPORT int covet_json_write_uint(struct covet_json_writer *writer, uint64_t value);
COVET_EXPORT int covet_json_write_double(struct covet_json_writer *writer, double value);
COVET_EXPORT int covet_json_write_bool(struct covet_json_writer *writer, bool value);
COVET_EXPORT int covet_json_write_null(struct covet_json_writer *writer);
/* NULL is written as null. */
COVET_EXPORT int covet_json_write_text(struct covet_json_writer *writer, const char *text);
COVET_EXPORT int covet_json_write_span(struct covet_json_writer *writer, struct covet_span text);
/* A JSON value, as it is: that it is one is the caller's promise. -EINVAL when it is empty. */
COVET_EXPORT int covet_json_write_raw(struct covet_json_writer *writer, struct covet_span json);
/* The struct at `value`, by its description. */
COVET_EXPORT int covet_json_write_struct(struct covet_json_writer *writer,
                                         const struct covet_json *description, const void *value);

/* For requests: text in memory of the request, answered without a copy. */

struct covet_request;
struct covet_response;

COVET_EXPORT void covet_json_writer_init_request(struct covet_json_writer *writer,
                                                 struct covet_request *request);

/* Both answer with application/json and finish the request; they return as the answers of
 * <covet/response.h> do. What cannot be written (see the errors above) is answered with a 500 and
 * told in one log line: -EBADMSG. */

/* The struct at `value`, by its description. */
COVET_EXPORT int covet_response_json_struct(struct covet_response *response,
                                            const struct covet_json *description,
                                            const void *value);
/* What was written with a writer of covet_json_writer_init_request, from this request. */
COVET_EXPORT int covet_response_json_writer(struct covet_response *response,
                                            struct covet_json_writer *writer);

/* Reading.
 *
 * Two ways: into a struct by its description (covet_json_parse), or value by value
 * (covet_json_next). Both read the text once, in place, and build no tree. Both are strict: what
 * RFC 8259 does not allow is refused, and so is what is not UTF-8; a byte order mark, comments,
 * trailing commas, NaN are not allowed. Numbers are exact where they fit 64 bits, and else the
 * nearest double; one beyond all doubles is an error. */

/* Memory for what cannot stay in the text: texts with escapes, arrays, structs behind pointers.
 * Nothing is given back piece by piece: use an arena, and let it live as long as what was read.
 * `alloc` returns memory aligned to 16 bytes, or NULL. `bytes_left` is what may still be asked
 * for; it is the bound on what a hostile text can cost. */
struct covet_json_memory {
    covet_json_alloc_fn alloc;
    void *context;
    size_t bytes_left;
};

/* Why and where reading failed. */
#define COVET_JSON_PATH_BYTES 128u
struct covet_json_failure {
    int error;          /* -EBADMSG: this is not JSON, or over the limits of depth and size
                         * -EDOM: it is, but does not fit the description
                         * -E2BIG: bytes_left of the memory was not enough
                         * -ENOMEM: its alloc returned NULL
                         * -EINVAL: the description has a mistake; `reason` is it */
    const char *reason; /* static text */
    size_t offset;      /* of the byte at fault, from 0 */
    size_t line;        /* from 1 */
    size_t column;      /* in bytes, from 1 */
    char path[COVET_JSON_PATH_BYTES]; /* "items[3].price"; "" is the whole text; a long one begins
                                         with "..." */
};

/* What is due in addition to the description. */
enum {
    COVET_JSON_REFUSE_UNKNOWN = 1 << 0 /* a key without a field is an error; else it is ignored */
};

/* Reads one text into `target`, a struct as `description` says. The struct is cleared first, so
 * what is missing is 0, NULL, false. Texts without escapes stay where they are: `data` must live
 * as long as the struct.
 *
 * A key may come once only; a number must be one the member can hold, an integer must be written
 * without fraction and exponent; null is for nullable fields. When the text is not JSON at all
 * that is the error, even behind one of these.
 *
 * Returns 0 or failure->error; `failure` may be NULL and is written only then, and what is in
 * `target` is then of no use. `memory` may be NULL: then whatever needs some fails with -E2BIG.
 * Any thread. */
COVET_EXPORT int covet_json_parse(const struct covet_json *description, void *target,
                                  const char *data, size_t length, struct covet_json_memory *memory,
                                  unsigned flags, struct covet_json_failure *failure);

/* Value by value.
 *
 *     struct covet_json_reader reader;
 *     struct covet_json_value value;
 *
 *     covet_json_open(&reader, data, length, &memory);
 *     if (covet_json_next(&reader, &value) == COVET_JSON_OBJECT)
 *         while (covet_json_next(&reader, &value) > COVET_JSON_END)
 *             if (covet_json_key_is(&value, "id"))
 *                 id = value.int64;
 *             else if (value.kind >= COVET_JSON_OBJECT)
 *                 covet_json_leave(&reader);
 *     if (covet_json_close(&reader, &failure) != 0)
 *         ... nothing that was read counts
 *
 * A text whose covet_json_close returned 0 is valid JSON from its first byte to its last, whatever
 * was asked for and whatever was left out. Until then, what next has returned is right by itself,
 * but an error may follow. */
enum covet_json_kind {
    COVET_JSON_ERROR = -1, /* and from now on always */
    COVET_JSON_DONE = 0,   /* the text is read */
    COVET_JSON_END = 1,    /* the innermost object or array is left */
    COVET_JSON_NULL = 2,
    COVET_JSON_BOOL = 3,
    COVET_JSON_INT = 4,    /* without fraction and exponent: fits int64_t */
    COVET_JSON_UINT = 5,   /* the same above that, fits uint64_t */
    COVET_JSON_DOUBLE = 6, /* any other number */
    COVET_JSON_STRING = 7,
    COVET_JSON_OBJECT = 8, /* entered: its members come next */
    COVET_JSON_ARRAY = 9   /* entered: its elements come next */
};

struct covet_json_value {
    enum covet_json_kind kind;
    struct covet_span key; /* of a member; `data` is NULL elsewhere */
    union {
        struct covet_span text; /* STRING, in the text or decoded into memory */
        bool boolean;           /* BOOL */
        int64_t int64;          /* INT */
        uint64_t uint64;        /* UINT */
    };
    double number;     /* INT, UINT and DOUBLE: the nearest one */
    const char *start; /* the value's first byte in the text */
};

/* Opaque; here so that it can lie on the stack. */
#define COVET_JSON_WINDOW_BYTES 4096u
struct covet_json_reader {
    const char *at, *begin, *end, *last, *window, *validated, *error_at;
    struct covet_json_memory *memory;
    const char *reason;
    int error;
    uint32_t depth;
    uint64_t objects;
    uint64_t length;
    bool first;
    uint32_t starts[COVET_JSON_DEPTH_MAX];
    uint64_t stops[COVET_JSON_WINDOW_BYTES / 64 + 1];
};

/* Begins. `data`, `memory` (may be NULL, see above) and the reader must stay where they are until
 * covet_json_close. */
COVET_EXPORT void covet_json_open(struct covet_json_reader *reader, const char *data, size_t length,
                                  struct covet_json_memory *memory);

/* The next value in reading order. Returns value->kind; only `kind` is set for ERROR, DONE, END. */
COVET_EXPORT enum covet_json_kind covet_json_next(struct covet_json_reader *reader,
                                                  struct covet_json_value *value);

/* The first member called `key` of the innermost object, wherever reading stands in it; reading
 * goes on behind it, inside of it when it is an object or array. COVET_JSON_END when there is none:
 * the object is not left then, reading stands at its end. Reads from the object's beginning, so
 * walk with covet_json_next where many keys are wanted. Called outside of an object it is an error
 * of the reader. */
COVET_EXPORT enum covet_json_kind covet_json_find(struct covet_json_reader *reader, const char *key,
                                                  struct covet_json_value *value);

/* Reads to the end of the innermost object or array and leaves it. Returns false after an error. */
COVET_EXPORT bool covet_json_leave(struct covet_json_reader *reader);

/* The text of the value that next or find returned last, as it is. An object or array is left.
 * `data` is NULL after an error. */
COVET_EXPORT struct covet_span covet_json_raw(struct covet_json_reader *reader,
                                              const struct covet_json_value *value);

/* Reads what is left. Returns 0 or failure->error; `failure` may be NULL and is written only
 * then. */
COVET_EXPORT int covet_json_close(struct covet_json_reader *reader,
                                  struct covet_json_failure *failure);

/* Whether the key of a member is `key`. */
static inline bool covet_json_key_is(const struct covet_json_value *value, const char *key) {
    size_t length = strlen(key);

    return value->key.length == length && value->key.data != NULL &&
           memcmp(value->key.data, key, length) == 0;
}

/* For requests: reads the whole body into `target`, as covet_json_parse does. Texts lie in the
 * body, or in memory of the request: they live like covet_request_body. What cannot be used is
 * answered here, and the request is finished; the handler only returns then:
 *
 *     -ENOTSUP  415: the Content-Type is not application/json and does not end in +json
 *     -EBADMSG  400: the body is not JSON, or there is none
 *     -EDOM     422: it does not fit the description
 *     -E2BIG    413: it needs more than COVET_JSON_BODY_MEMORY_MAX bytes beside the body;
 *                    for more, call covet_json_parse
 *     -ENOMEM   500
 *     -EINVAL   500: the description has a mistake; one log line says which
 *
 * The answer is {"error":{"message":"...","offset":0,"line":1,"column":1,"path":"..."}}; place and
 * path are left out where there are none. Returns 0 or one of these; -EALREADY, and nothing is
 * done, when the request has an answer. Worker's thread only. */
#define COVET_JSON_BODY_MEMORY_MAX (8u << 20)
COVET_EXPORT int covet_request_json(struct covet_request *request,
                                    const struct covet_json *description, void *target);

#ifndef __cplusplus

#define COVET_JSON(variable, struct_type, ...) \
    static struct covet_json variable; \
    static struct covet_json_field variable##_fields[] = {__VA_ARGS__, {.member = NULL}}; \
    static struct covet_json variable = { \
        .fields = variable##_fields, \
        .field_count = sizeof(variable##_fields) / sizeof(variable##_fields[0]) - 1, \
        .bytes = sizeof(struct_type), \
    }; \
    __attribute__((constructor)) static void variable##_compile(void) { \
        (void)covet_json_compile(&variable); \
    } \
    struct covet_json

#define COVET_JSON_FIELD(struct_type, name, ...) \
    { \
        COVET_JSON_PLACE(struct_type, name), \
            .type = _Generic(&((struct_type *)0)->name, COVET_JSON_TYPES(, *)), \
            .bytes = sizeof(((struct_type *)0)->name), __VA_ARGS__ \
    }
#define COVET_JSON_RAW(struct_type, name, ...) \
    { \
        COVET_JSON_PLACE(struct_type, name), \
            .type = _Generic(&((struct_type *)0)->name, struct covet_span * \
                             : COVET_JSON_TYPE_RAW), \
            .bytes = sizeof(struct covet_span), __VA_ARGS__ \
    }
#define COVET_JSON_OBJECT(struct_type, name, description, ...) \
    { \
        COVET_JSON_PLACE(struct_type, name), .type = COVET_JSON_TYPE_OBJECT, \
                                             .bytes = sizeof(((struct_type *)0)->name), \
                                             .nested = &(description), __VA_ARGS__ \
    }
#define COVET_JSON_POINTER(struct_type, name, description, ...) \
    { \
        COVET_JSON_PLACE(struct_type, name), \
            .type = COVET_JSON_TYPE_POINTER, \
            .bytes = COVET_JSON_ELEMENT_BYTES(((struct_type *)0)->name), .nested = &(description), \
            __VA_ARGS__ \
    }
#define COVET_JSON_ARRAY(struct_type, name, count, ...) \
    { \
        COVET_JSON_ELEMENTS(struct_type, name, count), \
            .type = _Generic(&((struct_type *)0)->name, COVET_JSON_TYPES(, **), \
                             COVET_JSON_TYPES(const, **)), \
            __VA_ARGS__ \
    }
#define COVET_JSON_OBJECTS(struct_type, name, count, description, ...) \
    { \
        COVET_JSON_ELEMENTS(struct_type, name, count), .type = COVET_JSON_TYPE_OBJECT, \
                                                       .nested = &(description), __VA_ARGS__ \
    }
#define COVET_JSON_PRESENT(struct_type, name) \
    .present = _Generic(&((struct_type *)0)->name, bool * : offsetof(struct_type, name) + 1)

/* Parts of the above. Types are told apart by the address of the member: an array in a struct would
 * pass for a pointer, its address does not. */
#define COVET_JSON_PLACE(struct_type, name) .member = #name, .offset = offsetof(struct_type, name)
#define COVET_JSON_ELEMENTS(struct_type, name, count) \
    COVET_JSON_PLACE(struct_type, name), \
        .is_array = 1, \
        .count_offset = _Generic(&((struct_type *)0)->count, size_t * \
                                 : offsetof(struct_type, count)), \
        .bytes = COVET_JSON_ELEMENT_BYTES(((struct_type *)0)->name)
#define COVET_JSON_ELEMENT_BYTES(pointer) \
    (sizeof(struct { \
         _Static_assert( \
             __builtin_types_compatible_p(__typeof__(pointer), __typeof__(&*(pointer))), \
             "the member must be a pointer"); \
         int unused; \
     }) * 0 + \
     sizeof(*(pointer)))
/* clang-format off */
#define COVET_JSON_TYPES(constant, address) \
    constant bool address: COVET_JSON_TYPE_BOOL, \
    constant signed char address: COVET_JSON_TYPE_INT8, \
    constant short address: COVET_JSON_TYPE_INT16, \
    constant int address: COVET_JSON_TYPE_INT32, \
    constant long address: COVET_JSON_TYPE_INT64, \
    constant long long address: COVET_JSON_TYPE_INT64, \
    constant unsigned char address: COVET_JSON_TYPE_UINT8, \
    constant unsigned short address: COVET_JSON_TYPE_UINT16, \
    constant unsigned address: COVET_JSON_TYPE_UINT32, \
    constant unsigned long address: COVET_JSON_TYPE_UINT64, \
    constant unsigned long long address: COVET_JSON_TYPE_UINT64, \
    constant float address: COVET_JSON_TYPE_FLOAT, \
    constant double address: COVET_JSON_TYPE_DOUBLE, \
    constant struct covet_span address: COVET_JSON_TYPE_SPAN, \
    const char *constant address: COVET_JSON_TYPE_TEXT, \
    char *constant address: COVET_JSON_TYPE_TEXT
/* clang-format on */

#endif

#ifdef __cplusplus
}
#endif

#endif
