// How a head is read, compiled once for each instruction set: scan_scalar.c and scan_avx2.c include
// this file behind the functions it is made of, and nobody else does.
//
//   Accept: text/html CR LF
//   ^     ^           ^
//   |     |           mark: first control byte behind the colon; must be a CR, and LF must follow
//   |     mark: first byte that is no token byte; must be the colon, and not stand first
//   start of a line: two bytes behind a control byte whose predecessor is none
//
// find_marks makes the marks of all lines, 64 bytes at a time and without looking at a single byte:
// they alternate, whatever a head holds, up to the first wrong byte of it. take_fields goes from
// mark to mark, looks at the bytes that matter, and so finds that first wrong byte.
//
// Nearly every line is `Name: value` with one space before the value and none behind it; whatever
// is not goes through take_unusual_field. What is wrong or not whole is named by http/unusual.
//
// Positions are counted from the first byte of the text. Why the order of things is what it is:
// docs/notes/0005-request-parser.md.
#ifndef CV_HTTP_WALK_H
#define CV_HTTP_WALK_H

#include "base/assert.h"
#include "base/bytes.h"
#include "http/framing.h"
#include "http/headers.h"
#include "http/known.h"
#include "http/scan.h"
#include "http/unusual.h"

// The functions it is made of; all of them are the includer's.

#ifndef INLINE
#define INLINE  // The includer says; nothing where this file is only checked for itself.
#endif
#ifndef SHORT_BYTES
#define SHORT_BYTES 1u  // A text shorter than that must not be given to them but through with_room.
#endif

// The bits of 64 bytes.
INLINE struct cv_scan_bits scan_block(const char *data);

// The bits of the text's last 1 to 64 bytes, from `from` on; clear behind its end.
INLINE struct cv_scan_bits scan_rest(struct cv_scan_text text, size_t from);

// See struct cv_scan_ops.
INLINE struct cv_scan_target scan_target(struct cv_scan_text text, size_t from);

// The same in one step; where that is not enough, the target has no end before the text's.
INLINE struct cv_scan_target scan_near_target(struct cv_scan_text text, size_t from);

INLINE size_t scan_host(struct cv_scan_text text, size_t from);

// Is this the name in front of `colon`? 16 bytes before it may be loaded.
INLINE bool is_name(const char *colon, const struct cv_known_name *name);

// The same text where as many bytes may be loaded as the functions above do: `block`, or `text`.
INLINE struct cv_scan_text with_room(struct cv_scan_text text, char block[64]);

// Called when no vector is needed any more.
INLINE void end_vectors(void);

// Behind MARKS_ENOUGH no line can be taken any more. A block adds at most 64, and two marks at the
// end of the text end every search.
#define MARKS_ENOUGH (2 * CV_PARSER_FIELDS_MAX + 2)
#define MARKS_MAX (MARKS_ENOUGH + 64 + 2)

_Static_assert(CV_FIELD_KNOWN_COUNT == 31, "five bits, all set: see note_known");
_Static_assert(CV_PARSER_NAME_BYTES_MAX == 256, "see take_fields");

// Both lengths lie behind their offsets in one word of four bytes, and are written by one store:
// loads of four bytes, as copies of slices are, would wait long for two stores of two.
INLINE struct cv_parser_slice slice(size_t from, size_t to) {
    uint32_t word = (uint32_t)(from | (to - from) << 16);
    struct cv_parser_slice slice;
    memcpy(&slice, &word, sizeof(slice));
    return slice;
}

#define CRLF ('\r' | '\n' << 8)

// What one block tells the next.
struct carry {
    uint64_t control;  // 1: its last byte is a control byte.
    uint64_t starts;   // Bits 0 and 1: these bytes of the next block start lines.
    uint64_t borrow;   // 1: the name at its end goes on.
};

static const struct carry first_line = {.starts = 1};

// The marks of one block. `*ends` is not 0 when a line begins with a control byte: the empty line,
// or an error, and in both cases the last that is read.
INLINE uint64_t marks_of(struct cv_scan_bits bits, struct carry *carry, uint64_t *ends) {
    uint64_t runs = bits.control & ~(bits.control << 1 | carry->control);
    uint64_t starts = runs << 2 | carry->starts;
    // Taking a start away borrows through the name and clears the first bit behind it.
    uint64_t rest;
    bool borrow = __builtin_sub_overflow(bits.not_token, starts, &rest);
    borrow |= __builtin_sub_overflow(rest, carry->borrow, &rest);
    uint64_t name_ends = bits.not_token & ~rest;

    carry->control = bits.control >> 63;
    carry->starts = runs >> 62;
    carry->borrow = borrow;
    *ends = name_ends & bits.control;
    return runs | name_ends;
}

INLINE uint16_t *put_marks(uint16_t *mark, size_t from, uint64_t bits) {
    while (bits != 0) {
        *mark++ = (uint16_t)(from + (size_t)__builtin_ctzll(bits));
        bits &= bits - 1;
    }
    return mark;
}

// The marks of the text's last bytes, at least one. The very last is not marked: nothing can follow
// from it, and so there is a byte behind every mark.
INLINE uint64_t last_marks(struct cv_scan_text text, size_t from, struct carry carry,
                           uint64_t *ends) {
    uint64_t bits = marks_of(scan_rest(text, from), &carry, ends);

    return bits & ((UINT64_C(1) << (text.length - from - 1)) - 1);
}

// Puts the marks from `*from` on at `mark`, which is among `marks`, and two at the end; returns
// where these are. Leaves `*from` and `*carry` behind the last block with others behind it.
INLINE uint16_t *find_marks(struct cv_scan_text text, size_t *from, struct carry *carry,
                            uint16_t *marks, uint16_t *mark) {
    uint64_t ends = 0;

    while (text.length - *from > 64 && ends == 0 && mark < marks + MARKS_ENOUGH) {
        mark = put_marks(mark, *from, marks_of(scan_block(text.data + *from), carry, &ends));
        *from += 64;
    }
    if (text.length - *from - 1 < 64 && ends == 0 && mark < marks + MARKS_ENOUGH)
        mark = put_marks(mark, *from, last_marks(text, *from, *carry, &ends));
    mark[0] = mark[1] = (uint16_t)text.length;
    return mark;
}

// The known fields so far.
struct known_fields {
    uint32_t seen;   // Bit k: known field k. The bit behind the last one means nothing.
    uint32_t other;  // How many were none of them.
};

// Notes that the name between `at` and `colon` is field `index`. Branches on nothing: names come in
// any order. That a name comes twice is found at the end of all.
INLINE struct known_fields note_name(const char *data, size_t at, size_t colon,
                                     struct cv_parser_head *head, size_t index,
                                     struct known_fields fields) {
    uint32_t name_bytes = (uint32_t)(colon - at);
    uint32_t known =
        cv_known_table.slot[cv_known_hash(cv_bytes_load_4(data + colon - 4), name_bytes)];
    bool is_known = is_name(data + colon, &cv_known_table.name[known]);

    if (CV_UNLIKELY(is_known & (name_bytes >= CV_KNOWN_TEXT_BYTES)))
        is_known = cv_known_is((enum cv_known_field)known, data + at, name_bytes);
    known = is_known ? known : CV_FIELD_KNOWN_COUNT;
    head->known[known] = (uint8_t)index;
    fields.seen |= 1u << known;
    fields.other += !is_known;
    return fields;
}

// Finds the first of each known field and those that come again.
CV_NOINLINE static void sort_out_repeated(const char *data, struct cv_parser_head *head) {
    uint32_t seen = 0;

    for (uint32_t i = head->field_count; i-- > 0;) {
        enum cv_known_field known = cv_known_find(cv_parser_span(data, head->field[i].name));

        if (known == CV_FIELD_KNOWN_COUNT)
            continue;
        head->repeated |= seen & 1u << known;
        seen |= 1u << known;
        head->known[known] = (uint8_t)i;
    }
}

// One store, as both are loaded together.
INLINE void put_seen(struct cv_parser_head *head, uint32_t seen) {
    uint64_t none_repeated = seen & ((1u << CV_FIELD_KNOWN_COUNT) - 1);

    _Static_assert(offsetof(struct cv_parser_head, repeated) ==
                       offsetof(struct cv_parser_head, seen) + 4,
                   "side by side");
    memcpy(&head->seen, &none_repeated, sizeof(none_repeated));
}

INLINE void put_field(struct cv_parser_field *field, size_t at, size_t colon, size_t begin,
                      size_t end) {
    uint64_t packed = at | (colon - at) << 16 | begin << 32 | (end - begin) << 48;

    memcpy(field, &packed, sizeof(*field));
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

// Takes a field from a line with the marks `colon` and `end` that is not `Name: value`. Returns
// where its name ends, 0 when it is no field.
CV_NOINLINE static size_t take_unusual_field(const char *data, size_t at, size_t colon, size_t end,
                                             struct cv_parser_field *field) {
    while (cv_scan_is(data[colon], CV_SCAN_TOKEN))
        colon++;
    if (data[colon] != ':' || colon == at || colon - at > CV_PARSER_NAME_BYTES_MAX ||
        cv_bytes_load_2(data + end) != CRLF)
        return 0;
    size_t begin = colon + 1;
    while (begin < end && is_blank(data[begin]))
        begin++;
    while (end > begin && is_blank(data[end - 1]))
        end--;
    put_field(field, at, colon, begin, end);
    return colon;
}

// *(field-name ":" OWS field-value OWS CRLF) CRLF, from `line` on, whose marks are those from
// `*mark` to `end_mark`. DONE with `head_bytes`, or PARTIAL for what does not go on: `head_bytes`
// and `*mark` are at that line then. `index` fields are there already; `seen` of
// them are known and counted.
INLINE enum cv_parser_result take_fields(struct cv_scan_text text, uint32_t fields_max,
                                         struct cv_parser_head *head, size_t line, size_t index,
                                         uint32_t seen, const uint16_t **mark,
                                         const uint16_t *end_mark) {
    const char *data = text.data;
    const uint16_t *at = *mark;
    size_t index_end = CV_MIN(index + (size_t)(end_mark - at) / 2, fields_max);
    size_t uncounted = index - (seen != 0);
    struct known_fields fields = {seen, 0};

    for (; index < index_end; index++) {
        size_t colon = at[0], end = at[1];

        // Names of one byte are unusual too: there are 16 bytes before the colon of all others.
        if (CV_LIKELY(cv_bytes_load_2(data + colon) == (':' | ' ' << 8) &&
                      colon - line - 2 <= 254 && cv_bytes_load_2(data + end) == CRLF &&
                      (unsigned char)data[colon + 2] > ' ' && (unsigned char)data[end - 1] > ' ')) {
            put_field(&head->field[index], line, colon, colon + 2, end);
            fields = note_name(data, line, colon, head, index, fields);
        } else {
            colon = take_unusual_field(data, line, colon, end, &head->field[index]);
            if (colon == 0)
                break;
            if (colon - line > 1)
                fields = note_name(data, line, colon, head, index, fields);
            else
                fields.other++;
        }
        line = end + 2;
        at += 2;
    }
    head->field_count = (uint8_t)index;
    *mark = at;
    if (CV_UNLIKELY(text.length - line < 2 || cv_bytes_load_2(data + line) != CRLF)) {
        head->head_bytes = (uint32_t)line;
        return CV_PARSER_PARTIAL;
    }
    put_seen(head, fields.seen);
    // Uncounted fields are not in `head`; whoever left them out reads it all once more.
    if (CV_UNLIKELY((size_t)__builtin_popcount(head->seen) != index - uncounted - fields.other) &&
        uncounted == 0)
        sort_out_repeated(data, head);
    head->head_bytes = (uint32_t)line + 2;
    return CV_PARSER_DONE;
}

// Functions from here on, and those of http/unusual.h, leave the place where to go on in
// `head_bytes`.

// method SP of GET and POST, one word compare each. Returns the place behind it, 0 for all others.
INLINE size_t take_usual_method(struct cv_scan_text text, struct cv_parser_head *head, size_t at) {
    const uint64_t get = 'G' | 'E' << 8 | 'T' << 16 | ' ' << 24;
    const uint64_t post = 'P' | 'O' << 8 | 'S' << 16 | 'T' << 24 | (uint64_t)' ' << 32;
    uint64_t word = text.length - at < 8 ? 0 : cv_bytes_load_8(text.data + at);

    if ((word & UINT32_MAX) == get) {
        head->method = CV_METHOD_GET;
        head->method_text = slice(at, at + 3);
        return at + 4;
    }
    if ((word & UINT64_C(0xffffffffff)) == post) {
        head->method = CV_METHOD_POST;
        head->method_text = slice(at, at + 4);
        return at + 5;
    }
    return 0;
}

// Empty lines, method SP
INLINE enum cv_parser_result take_start(struct cv_scan_text text, struct cv_parser_head *head) {
    size_t at = 0;

    if (CV_UNLIKELY(text.length == 0))
        return CV_PARSER_PARTIAL;
    if (CV_UNLIKELY(text.data[0] == '\r')) {
        enum cv_parser_result result = cv_unusual_start(text, head);
        if (result != CV_PARSER_DONE)
            return result;
        at = head->head_bytes;
    }
    size_t target = take_usual_method(text, head, at);
    if (CV_UNLIKELY(target == 0))
        return cv_unusual_method(text, head, at);
    head->head_bytes = (uint32_t)target;
    return CV_PARSER_DONE;
}

// request-target SP HTTP-version CRLF, from `begin` on, of a path and HTTP/1.1. Returns the place
// behind it, 0 for all others.
INLINE size_t take_usual_target(struct cv_scan_text text, const struct cv_parser_limits *limits,
                                struct cv_parser_head *head, size_t begin,
                                struct cv_scan_target target) {
    const uint64_t space_version = UINT64_C(0x2e312f5054544820);  // " HTTP/1."
    const uint32_t version_end = 0x0a0d312e;                      // ".1\r\n"
    size_t end = target.end;

    if (CV_UNLIKELY(text.length - end < 11 || text.data[begin] != '/' ||
                    cv_bytes_load_8(text.data + end) != space_version ||
                    cv_bytes_load_4(text.data + end + 7) != version_end ||
                    end - begin > limits->target_bytes_max || head->method == CV_METHOD_CONNECT))
        return 0;
    head->version_minor = 1;
    head->target_form = CV_TARGET_ORIGIN;
    head->target = slice(begin, end);
    head->path = slice(begin, target.query);
    head->query = slice(target.query + (target.query < end), end);
    head->authority = slice(begin, begin);
    return end + 11;
}

// `*line` is the place behind it: what is in `head_bytes`, but to be had without waiting for the
// store.
INLINE enum cv_parser_result take_target(struct cv_scan_text text,
                                         const struct cv_parser_limits *limits,
                                         struct cv_parser_head *head, size_t begin,
                                         struct cv_scan_target target, size_t *line) {
    enum cv_parser_result result = CV_PARSER_DONE;

    *line = take_usual_target(text, limits, head, begin, target);
    if (CV_UNLIKELY(*line == 0)) {
        result = cv_unusual_target(text, limits, head, begin, target);
        *line = head->head_bytes;
    }
    head->head_bytes = (uint32_t)*line;
    return result;
}

INLINE void clear_fields(struct cv_parser_head *head) {
    memset(head->known, CV_PARSER_NO_FIELD, sizeof(head->known));
}

// Clients send Host first (RFC 9110 section 7.2), so it is looked for there without a look-up that
// all else would have to wait for. Returns the end of its value, 0 when `line` is no `Host: value`
// or the value is not right at first sight.
INLINE size_t take_host(struct cv_scan_text text, struct cv_parser_head *head, size_t line) {
    const uint64_t name = 'h' | 'o' << 8 | 's' << 16 | 't' << 24 | (uint64_t)(':' | ' ' << 8) << 32;
    size_t begin = line + 6;

    if (CV_UNLIKELY(text.length - line < 10 || ((cv_bytes_load_8(text.data + line) | 0x20202020) &
                                                UINT64_C(0xffffffffffff)) != name))
        return 0;
    size_t end = begin + scan_host(text, begin);
    if (CV_UNLIKELY(end == begin || text.length - end < 2 ||
                    cv_bytes_load_2(text.data + end) != CRLF))
        return 0;
    put_field(&head->field[0], line, line + 4, begin, end);
    head->known[CV_FIELD_HOST] = 0;
    return end;
}

// A head of a request line and a Host and nothing else: does the empty line follow at `end`?
INLINE bool end_short_head(struct cv_scan_text text, struct cv_parser_head *head, size_t end) {
    if (text.length - end < 4 || cv_bytes_load_4(text.data + end) != (CRLF | (uint32_t)CRLF << 16))
        return false;
    head->field_count = 1;
    put_seen(head, 1u << CV_FIELD_HOST);
    head->head_bytes = (uint32_t)end + 4;
    return true;
}

INLINE enum cv_parser_result judge(struct cv_scan_text text, struct cv_parser_head *head,
                                   bool is_host) {
    end_vectors();
    if (is_host && cv_framing_is_plain(head))
        return CV_PARSER_DONE;
    return cv_framing_judge(text.data, head, is_host);
}

// A partial head that fills all the room there may be is refused for what was too long.
INLINE enum cv_parser_result partial(struct cv_scan_text text,
                                     const struct cv_parser_limits *limits,
                                     enum cv_parser_result result) {
    end_vectors();
    return result == CV_PARSER_PARTIAL && text.length == limits->head_bytes_max ? CV_PARSER_REFUSED
                                                                                : result;
}

// The fields of a head that is no short one, whose target begins at `begin`. `host_end` is the end
// of a Host that was taken, or 0. Apart, so that a short head needs no room for marks.
CV_NOINLINE static enum cv_parser_result read_fields(struct cv_scan_text text,
                                                     const struct cv_parser_limits *limits,
                                                     struct cv_parser_head *head, size_t begin,
                                                     size_t host_end) {
    // As they are: aligned for vectors, as arrays are by themselves, they cost a frame of its own.
    uint16_t marks[MARKS_MAX] __attribute__((aligned(16)));
    // The marks need not wait for the end of the request line. It has one itself, its CR.
    const uint16_t *mark = marks + 1;
    struct carry carry = {0};
    const uint16_t *end_mark = find_marks(text, &begin, &carry, marks, marks);
    size_t line = head->head_bytes;
    bool is_host = host_end != 0;

    if (CV_LIKELY(is_host)) {
        line = host_end + 2;
        mark += 2;
    }
    enum cv_parser_result result =
        take_fields(text, limits->fields_max, head, line, is_host, is_host, &mark, end_mark);
    return CV_LIKELY(result == CV_PARSER_DONE)
               ? judge(text, head, is_host)
               : partial(text, limits, cv_unusual_line(text, limits, head, mark));
}

CV_NOINLINE static enum cv_parser_result read_whole(struct cv_scan_text text,
                                                    const struct cv_parser_limits *limits,
                                                    struct cv_parser_head *head) {
    enum cv_parser_result result = take_start(text, head);
    if (CV_UNLIKELY(result != CV_PARSER_DONE))
        return partial(text, limits, result);
    size_t begin = head->head_bytes;
    size_t line;
    result = take_target(text, limits, head, begin, scan_target(text, begin), &line);
    if (CV_UNLIKELY(result != CV_PARSER_DONE))
        return partial(text, limits, result);
    clear_fields(head);
    size_t host_end = limits->fields_max > 0 ? take_host(text, head, line) : 0;
    return read_fields(text, limits, head, begin, host_end);
}

// The same. Nothing is called here but what takes over for good, so the usual head needs no frame
// on the stack.
INLINE enum cv_parser_result read_usual(struct cv_scan_text text,
                                        const struct cv_parser_limits *limits,
                                        struct cv_parser_head *head) {
    size_t begin = take_usual_method(text, head, 0);
    size_t line = begin == 0
                      ? 0
                      : take_usual_target(text, limits, head, begin, scan_near_target(text, begin));
    if (CV_UNLIKELY(line == 0))
        return read_whole(text, limits, head);
    clear_fields(head);
    size_t host_end = limits->fields_max > 0 ? take_host(text, head, line) : 0;
    if (host_end != 0 && end_short_head(text, head, host_end) && cv_framing_is_plain(head))
        return CV_PARSER_DONE;
    head->head_bytes = (uint32_t)line;
    return read_fields(text, limits, head, begin, host_end);
}

// A head that comes in pieces. What is kept of it between them is where it has to be read on, and
// of a line that began before that its marks.
enum stage { AT_START, IN_TARGET, IN_FIELDS };

// The line that begins at `head_bytes` is read again from its start, unless what is behind it and
// before `from` was whole blocks.
static void keep_place(struct cv_parser_progress *progress, const struct cv_parser_head *head,
                       const uint16_t *mark, size_t from, struct carry carry) {
    bool from_start = from <= head->head_bytes;

    progress->at = head->head_bytes;
    progress->field_count = head->field_count;
    progress->scanned = from_start ? head->head_bytes : (uint32_t)from;
    if (from_start)
        carry = first_line;
    progress->carry = (uint8_t)(carry.control | carry.starts << 1 | carry.borrow << 3);
    progress->mark_count = 0;
    while (!from_start && progress->mark_count < 2 && *mark < from)
        progress->mark[progress->mark_count++] = *mark++;
}

static enum cv_parser_result go_on_with_fields(struct cv_scan_text text,
                                               const struct cv_parser_limits *limits,
                                               struct cv_parser_head *head,
                                               struct cv_parser_progress *progress) {
    uint16_t marks[MARKS_MAX];
    const uint16_t *mark = marks;
    size_t from = progress->scanned;
    struct carry carry = {progress->carry & 1, progress->carry >> 1 & 3, progress->carry >> 3};

    memcpy(marks, progress->mark, sizeof(progress->mark));
    const uint16_t *end_mark = find_marks(text, &from, &carry, marks, marks + progress->mark_count);
    clear_fields(head);
    enum cv_parser_result result = take_fields(text, limits->fields_max, head, progress->at,
                                               progress->field_count, 0, &mark, end_mark);
    if (result == CV_PARSER_DONE)
        return result;
    result = cv_unusual_line(text, limits, head, mark);
    if (result == CV_PARSER_PARTIAL)
        keep_place(progress, head, mark, from, carry);
    return result;
}

static enum cv_parser_result go_on_with_target(struct cv_scan_text text,
                                               const struct cv_parser_limits *limits,
                                               struct cv_parser_head *head,
                                               struct cv_parser_progress *progress) {
    struct cv_scan_target target = scan_target(text, progress->scanned);

    if (progress->mark_count > 0)
        target.query = progress->mark[0];
    progress->mark_count = target.query < target.end;
    progress->mark[0] = (uint16_t)target.query;
    progress->scanned = (uint32_t)target.end;
    head->method = progress->method;
    size_t line;
    enum cv_parser_result result = take_target(text, limits, head, progress->at, target, &line);
    if (result != CV_PARSER_DONE)
        return result;
    progress->stage = IN_FIELDS;
    head->field_count = 0;
    keep_place(progress, head, NULL, 0, first_line);
    return go_on_with_fields(text, limits, head, progress);
}

static enum cv_parser_result read_piece(struct cv_scan_text text,
                                        const struct cv_parser_limits *limits,
                                        struct cv_parser_head *head,
                                        struct cv_parser_progress *progress) {
    CV_ASSERT(progress->scanned <= text.length);
    if (progress->stage == IN_FIELDS)
        return go_on_with_fields(text, limits, head, progress);
    if (progress->stage == AT_START) {
        enum cv_parser_result result = take_start(text, head);
        if (result != CV_PARSER_DONE)
            return result;
        progress->stage = IN_TARGET;
        progress->method = head->method;
        progress->at = progress->scanned = head->head_bytes;
    }
    return go_on_with_target(text, limits, head, progress);
}

INLINE struct cv_scan_text text_of(const char *data, size_t length,
                                   const struct cv_parser_limits *limits,
                                   struct cv_parser_head *head) {
    size_t bytes = CV_MIN(length, limits->head_bytes_max);

    CV_DEBUG_ASSERT(limits->head_bytes_max <= CV_PARSER_HEAD_BYTES_MAX);
    CV_DEBUG_ASSERT(limits->fields_max <= CV_PARSER_FIELDS_MAX);
    head->refusal = CV_PARSER_HEAD_TOO_LARGE;
    return (struct cv_scan_text){data, bytes};
}

static enum cv_parser_result resume(const char *data, size_t length,
                                    const struct cv_parser_limits *limits,
                                    struct cv_parser_head *head,
                                    struct cv_parser_progress *progress) {
    struct cv_scan_text text = text_of(data, length, limits, head);
    struct cv_parser_progress start = {0};
    char block[64];

    text = with_room(text, block);
    enum cv_parser_result result = read_piece(text, limits, head, progress);
    // What was read before it is not in `head`.
    if (result == CV_PARSER_DONE)
        result = read_piece(text, limits, head, &start);
    return result == CV_PARSER_DONE ? judge(text, head, false) : partial(text, limits, result);
}

CV_NOINLINE static enum cv_parser_result feed_short(const char *data, size_t length,
                                                    const struct cv_parser_limits *limits,
                                                    struct cv_parser_head *head) {
    struct cv_parser_progress start = {0};

    return resume(data, length, limits, head, &start);
}

static enum cv_parser_result feed(const char *data, size_t length,
                                  const struct cv_parser_limits *limits,
                                  struct cv_parser_head *head) {
    struct cv_scan_text text = text_of(data, length, limits, head);

    if (CV_UNLIKELY(text.length < SHORT_BYTES))
        return feed_short(data, length, limits, head);
    return read_usual(text, limits, head);
}

#endif
