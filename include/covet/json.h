/* JSON (RFC 8259): structs described once, written and read by that description.
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
 * NULL. What is absent but neither optional nor nullable is written empty: "", []. A value that
 * has no pointer and no COVET_JSON_PRESENT is always written, and cannot be nullable. */
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
    uint16_t index;         /* in `fields` */
    uint64_t key_word;      /* the first 8 bytes of the key, low byte first, 0 behind its end */
    char fragment[COVET_JSON_FRAGMENT_BYTES]; /* ,"key": and then " of a text, [ of an array */
};

struct covet_json {
    struct covet_json_field *fields;
    uint32_t field_count;
    uint32_t bytes; /* of the struct */

    /* Compiled. */
    const char *error; /* static text; NULL when the description is right */
    const char *error_member;
    uint32_t state;       /* 0: not compiled, 1: being compiled, 2: compiled */
    uint32_t written_max; /* the most bytes of an object, but for texts, arrays, pointers, raw */
    uint64_t required;    /* bit i: the key of fields[i] must be there when read */
    uint64_t lookup_factor;
    uint8_t lookup[256]; /* from key to field, for reading */
};

/* Completes a description; the macro has it called at load time. Again: no effect. Returns 0, or
 * -EINVAL with description->error set. */
COVET_EXPORT int covet_json_compile(struct covet_json *description);

/* NULL, or what is wrong with a description, in words; `*member` (may be NULL) is the name of the
 * member at fault or NULL. */
COVET_EXPORT const char *covet_json_error(const struct covet_json *description,
                                          const char **member);

#ifndef __cplusplus

#define COVET_JSON(variable, struct_type, ...) \
    static struct covet_json variable; \
    static struct covet_json_field variable##_fields[] = {__VA_ARGS__}; \
    static struct covet_json variable = { \
        .fields = variable##_fields, \
        .field_count = sizeof(variable##_fields) / sizeof(variable##_fields[0]), \
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
