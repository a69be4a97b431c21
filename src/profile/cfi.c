// A section is a list of entries: a CIE holds what functions have in common, an FDE one function.
//
//   | length 4 | 0        | version, augmentation "zR..", alignments, register | common rules |
//   | length 4 | distance | first address | bytes | augmentation | rules of the function      |
//                  back to its CIE
//
// The rules are a program that builds the row for an instruction, one advance of the address after
// the other. It is run for each sampled address once; the caller keeps the rows. The sorted index
// some files have (.eh_frame_hdr) is not used: one pass over the entries gives a better one.
#include "profile/cfi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SAVED_ROWS_MAX 8u
#define VALUES_MAX 16u

// Where reading is. A read beyond the end gives 0 and sets `failed`, which is looked at once.
struct reader {
    const struct cv_cfi *cfi;
    size_t at;
    size_t end;
    bool failed;
};

struct common {
    uint64_t code_factor;
    int64_t data_factor;
    uint8_t pointer_encoding;
    bool has_augmentation;
    bool is_signal_frame;
    size_t rules;  // offsets in the section
    size_t rules_end;
};

static uint64_t take(struct reader *reader, size_t bytes) {
    uint64_t value = 0;

    if (reader->failed || reader->end - reader->at < bytes) {
        reader->failed = true;
        return 0;
    }
    memcpy(&value, reader->cfi->bytes + reader->at, bytes);  // x86-64 is little-endian.
    reader->at += bytes;
    return value;
}

static int64_t take_signed(struct reader *reader, size_t bytes) {
    unsigned unused_bits = 64 - 8 * (unsigned)bytes;

    return (int64_t)(take(reader, bytes) << unused_bits) >> unused_bits;
}

static void skip(struct reader *reader, uint64_t bytes) {
    if (reader->failed || reader->end - reader->at < bytes)
        reader->failed = true;
    else
        reader->at += bytes;
}

// LEB128 (DWARF 5, section 7.6).
static uint64_t take_number(struct reader *reader) {
    uint64_t value = 0;
    uint8_t byte;
    unsigned shift = 0;

    do {
        byte = (uint8_t)take(reader, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0 && !reader->failed);
    return value;
}

static int64_t take_signed_number(struct reader *reader) {
    size_t start = reader->at;
    uint64_t value = take_number(reader);
    size_t bits = 7 * (reader->at - start);

    if (!reader->failed && bits < 64 && (reader->cfi->bytes[reader->at - 1] & 0x40) != 0)
        value |= UINT64_MAX << bits;
    return (int64_t)value;
}

// Encodings are named in the LSB, section 10.5: size in the low four bits, base in the next three.
static uint64_t take_pointer(struct reader *reader, uint8_t encoding) {
    uint64_t place = reader->cfi->address + reader->at;
    uint64_t value;

    switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c:
        value = take(reader, 8);
        break;
    case 0x03:
        value = take(reader, 4);
        break;
    case 0x0b:
        value = (uint64_t)take_signed(reader, 4);
        break;
    default:
        reader->failed = true;
        return 0;
    }
    switch (encoding & 0xf0) {
    case 0x00:
        return value;
    case 0x10:
        return place + value;
    default:
        reader->failed = true;
        return 0;
    }
}

// Opens the entry at `offset`. Returns false at the end of the section; otherwise `entry` stands
// behind the length, and `*next` is where the next one begins.
static bool open_entry(const struct cv_cfi *cfi, size_t offset, struct reader *entry,
                       size_t *next) {
    *entry = (struct reader){.cfi = cfi, .at = offset, .end = cfi->byte_count};
    uint64_t length = take(entry, 4);

    // 64-bit lengths exist on paper; a section of 4 GiB does not.
    if (entry->failed || length == 0 || length > entry->end - entry->at)
        return false;
    entry->end = entry->at + length;
    *next = entry->end;
    return true;
}

static bool read_common(const struct cv_cfi *cfi, size_t offset, struct common *common) {
    struct reader entry;
    size_t next;

    if (!open_entry(cfi, offset, &entry, &next) || take(&entry, 4) != 0)
        return false;
    uint8_t version = (uint8_t)take(&entry, 1);
    const char *augmentation = (const char *)cfi->bytes + entry.at;
    size_t length = entry.failed ? 0 : strnlen(augmentation, entry.end - entry.at);
    skip(&entry, length + 1);
    *common = (struct common){0};
    common->code_factor = take_number(&entry);
    common->data_factor = take_signed_number(&entry);
    uint64_t return_register = version == 1 ? take(&entry, 1) : take_number(&entry);
    if (entry.failed || return_register != COVET_STACK_RIP || (version != 1 && version != 3))
        return false;
    for (size_t i = 0; i < length && !entry.failed; i++) {
        switch (augmentation[i]) {
        case 'z':
            common->has_augmentation = true;
            (void)take_number(&entry);
            break;
        case 'R':
            common->pointer_encoding = (uint8_t)take(&entry, 1);
            break;
        case 'P':
            (void)take_pointer(&entry, (uint8_t)(take(&entry, 1) & 0x7f));
            break;
        case 'L':
            skip(&entry, 1);
            break;
        case 'S':
            common->is_signal_frame = true;
            break;
        case 'B':
            break;
        default:
            return false;
        }
    }
    common->rules = entry.at;
    common->rules_end = entry.end;
    return !entry.failed;
}

// Opens an FDE: `entry` then stands at its rules.
static bool open_function(const struct cv_cfi *cfi, size_t offset, struct reader *entry,
                          struct common *common, struct cv_cfi_function *function) {
    size_t next;

    if (!open_entry(cfi, offset, entry, &next))
        return false;
    size_t id_at = entry->at;
    uint64_t distance = take(entry, 4);
    if (entry->failed || distance == 0 || distance > id_at ||
        !read_common(cfi, id_at - distance, common))
        return false;
    function->start = take_pointer(entry, common->pointer_encoding);
    function->end = function->start + take_pointer(entry, common->pointer_encoding & 0x0f);
    function->offset = (uint32_t)offset;
    if (common->has_augmentation)
        skip(entry, take_number(entry));
    return !entry->failed && function->end > function->start;
}

static int compare_functions(const void *a, const void *b) {
    uint64_t left = ((const struct cv_cfi_function *)a)->start;
    uint64_t right = ((const struct cv_cfi_function *)b)->start;

    return (left > right) - (left < right);
}

// Of functions that overlap the first one is kept: no linker makes others.
static void sort_functions(struct cv_cfi *cfi) {
    size_t kept = 0;

    if (cfi->function_count == 0)
        return;
    qsort(cfi->functions, cfi->function_count, sizeof(*cfi->functions), compare_functions);
    for (size_t i = 0; i < cfi->function_count; i++) {
        if (kept == 0 || cfi->functions[i].start >= cfi->functions[kept - 1].end)
            cfi->functions[kept++] = cfi->functions[i];
    }
    cfi->function_count = kept;
}

int cv_cfi_init(struct cv_cfi *cfi, const uint8_t *bytes, size_t byte_count, uint64_t address) {
    struct reader entry;
    size_t next, capacity = 0;

    *cfi = (struct cv_cfi){
        .bytes = bytes, .byte_count = CV_MIN(byte_count, UINT32_MAX), .address = address};
    for (size_t offset = 0; open_entry(cfi, offset, &entry, &next); offset = next) {
        struct common common;
        struct cv_cfi_function function;
        if (!open_function(cfi, offset, &entry, &common, &function))
            continue;
        if (cfi->function_count == capacity) {
            capacity = CV_MAX(2 * capacity, 256);
            void *grown = reallocarray(cfi->functions, capacity, sizeof(*cfi->functions));
            if (grown == NULL) {
                cv_cfi_deinit(cfi);
                return -ENOMEM;
            }
            cfi->functions = grown;
        }
        cfi->functions[cfi->function_count++] = function;
    }
    sort_functions(cfi);
    return 0;
}

void cv_cfi_deinit(struct cv_cfi *cfi) {
    free(cfi->functions);
    *cfi = (struct cv_cfi){0};
}

const struct cv_cfi_function *cv_cfi_find(const struct cv_cfi *cfi, uint64_t address) {
    size_t low = 0, high = cfi->function_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cfi->functions[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == cfi->function_count || cfi->functions[low].start > address)
        return NULL;
    return &cfi->functions[low];
}

// The program that builds a row, as far as `address`.
struct build {
    struct reader reader;
    const struct common *common;
    struct cv_cfi_row *row;
    struct cv_cfi_row initial;  // what the common rules say, for DW_CFA_restore
    struct cv_cfi_row saved[SAVED_ROWS_MAX];
    unsigned saved_count;
    uint64_t location;
    uint64_t address;
};

static void set_rule(struct build *build, uint64_t number, enum cv_cfi_rule rule, int64_t offset) {
    // Vector and other registers play no part in finding the caller.
    if (number < CV_CFI_REGISTERS) {
        build->row->registers[number].rule = (uint8_t)rule;
        build->row->registers[number].offset = offset;
    }
}

static void restore_rule(struct build *build, uint64_t number) {
    if (number < CV_CFI_REGISTERS)
        build->row->registers[number] = build->initial.registers[number];
}

static void set_frame(struct build *build, uint64_t number, int64_t offset) {
    if (number >= CV_CFI_REGISTERS) {
        build->reader.failed = true;
        return;
    }
    build->row->frame_is_computed = false;
    build->row->frame_register = (uint8_t)number;
    build->row->frame_offset = offset;
}

// Changes one half of a frame address; an expression has no halves.
static void change_frame(struct build *build, uint64_t number, int64_t offset) {
    if (build->row->frame_is_computed)
        build->reader.failed = true;
    else
        set_frame(build, number, offset);
}

// Products and sums wrap around: what a broken table says may be anything.
static int64_t take_factored(struct build *build) {
    return (int64_t)(take_number(&build->reader) * (uint64_t)build->common->data_factor);
}

static int64_t take_signed_factored(struct build *build) {
    uint64_t number = (uint64_t)take_signed_number(&build->reader);

    return (int64_t)(number * (uint64_t)build->common->data_factor);
}

// The place of an expression; its length stands in front of it.
static int64_t take_expression(struct build *build) {
    size_t at = build->reader.at;

    skip(&build->reader, take_number(&build->reader));
    return (int64_t)at;
}

// Instructions whose number fills the low six bits.
static void run_plain(struct build *build, uint8_t instruction) {
    struct reader *reader = &build->reader;
    uint64_t number;

    switch (instruction) {
    case 0x00:  // nop
        break;
    case 0x02:  // advance_loc1
        build->location += take(reader, 1) * build->common->code_factor;
        break;
    case 0x03:  // advance_loc2
        build->location += take(reader, 2) * build->common->code_factor;
        break;
    case 0x04:  // advance_loc4
        build->location += take(reader, 4) * build->common->code_factor;
        break;
    case 0x05:  // offset_extended
        number = take_number(reader);
        set_rule(build, number, CV_CFI_AT, take_factored(build));
        break;
    case 0x06:  // restore_extended
        restore_rule(build, take_number(reader));
        break;
    case 0x07:  // undefined
        set_rule(build, take_number(reader), CV_CFI_UNDEFINED, 0);
        break;
    case 0x08:  // same_value
        set_rule(build, take_number(reader), CV_CFI_SAME, 0);
        break;
    case 0x09:  // register
        number = take_number(reader);
        set_rule(build, number, CV_CFI_REGISTER, (int64_t)take_number(reader));
        break;
    case 0x0a:  // remember_state
        if (build->saved_count < SAVED_ROWS_MAX)
            build->saved[build->saved_count++] = *build->row;
        else
            reader->failed = true;
        break;
    case 0x0b:  // restore_state
        if (build->saved_count > 0)
            *build->row = build->saved[--build->saved_count];
        else
            reader->failed = true;
        break;
    case 0x0c:  // def_cfa
        number = take_number(reader);
        set_frame(build, number, (int64_t)take_number(reader));
        break;
    case 0x0d:  // def_cfa_register
        change_frame(build, take_number(reader), build->row->frame_offset);
        break;
    case 0x0e:  // def_cfa_offset
        change_frame(build, build->row->frame_register, (int64_t)take_number(reader));
        break;
    case 0x0f:  // def_cfa_expression
        build->row->frame_is_computed = true;
        build->row->frame_offset = take_expression(build);
        break;
    case 0x10:  // expression
        number = take_number(reader);
        set_rule(build, number, CV_CFI_AT_COMPUTED, take_expression(build));
        break;
    case 0x11:  // offset_extended_sf
        number = take_number(reader);
        set_rule(build, number, CV_CFI_AT, take_signed_factored(build));
        break;
    case 0x12:  // def_cfa_sf
        number = take_number(reader);
        set_frame(build, number, take_signed_factored(build));
        break;
    case 0x13:  // def_cfa_offset_sf
        change_frame(build, build->row->frame_register, take_signed_factored(build));
        break;
    case 0x14:  // val_offset
        number = take_number(reader);
        set_rule(build, number, CV_CFI_IS, take_factored(build));
        break;
    case 0x16:  // val_expression
        number = take_number(reader);
        set_rule(build, number, CV_CFI_IS_COMPUTED, take_expression(build));
        break;
    case 0x2e:  // GNU_args_size: how much a call's arguments take, of no use here
        (void)take_number(reader);
        break;
    default:
        reader->failed = true;
    }
}

static bool run(struct build *build, size_t from, size_t to) {
    struct reader *reader = &build->reader;

    reader->at = from;
    reader->end = to;
    while (reader->at < reader->end && !reader->failed) {
        uint8_t byte = (uint8_t)take(reader, 1);
        uint8_t low = byte & 0x3f;
        // A row holds from its location on, so it is complete once that has passed the address.
        switch (byte >> 6) {
        case 1:  // advance_loc
            build->location += low * build->common->code_factor;
            break;
        case 2:  // offset
            set_rule(build, low, CV_CFI_AT, take_factored(build));
            break;
        case 3:  // restore
            restore_rule(build, low);
            break;
        default:
            run_plain(build, byte);
        }
        if (build->location > build->address)
            break;
    }
    return !reader->failed;
}

bool cv_cfi_row(const struct cv_cfi *cfi, const struct cv_cfi_function *function, uint64_t address,
                struct cv_cfi_row *row) {
    struct common common;
    struct cv_cfi_function again;
    struct reader entry;

    if (!open_function(cfi, function->offset, &entry, &common, &again))
        return false;
    *row = (struct cv_cfi_row){.is_signal_frame = common.is_signal_frame};
    row->registers[COVET_STACK_RSP].rule = CV_CFI_IS;  // what "frame address" means
    struct build build = {.reader = {.cfi = cfi},
                          .common = &common,
                          .row = row,
                          .location = function->start,
                          .address = address};
    if (!run(&build, common.rules, common.rules_end))
        return false;
    build.initial = *row;
    return run(&build, entry.at, entry.end);
}

static bool load(const struct cv_cfi_thread *thread, uint64_t address, uint64_t *value) {
    uint64_t offset = address - thread->stack_start;

    if (thread->stack_bytes < sizeof(*value) || offset > thread->stack_bytes - sizeof(*value))
        return false;
    memcpy(value, thread->stack + offset, sizeof(*value));
    return true;
}

struct values {
    uint64_t value[VALUES_MAX];
    unsigned count;
    bool failed;
};

static void push(struct values *values, uint64_t value) {
    if (values->count < VALUES_MAX)
        values->value[values->count++] = value;
    else
        values->failed = true;
}

static uint64_t pop(struct values *values) {
    if (values->count == 0) {
        values->failed = true;
        return 0;
    }
    return values->value[--values->count];
}

static void run_operation(struct values *values, uint8_t operation, struct reader *reader,
                          const struct cv_cfi_thread *thread) {
    uint64_t top, below;

    if (operation >= 0x30 && operation <= 0x4f) {  // lit0 to lit31
        push(values, operation - 0x30u);
        return;
    }
    if (operation >= 0x70 && operation < 0x70 + CV_CFI_REGISTERS) {  // breg0 and on
        push(values, thread->registers[operation - 0x70] + (uint64_t)take_signed_number(reader));
        return;
    }
    switch (operation) {
    case 0x06:  // deref
        top = pop(values);
        values->failed |= !load(thread, top, &top);
        push(values, top);
        break;
    case 0x08:  // const1u
        push(values, take(reader, 1));
        break;
    case 0x09:  // const1s
        push(values, (uint64_t)take_signed(reader, 1));
        break;
    case 0x10:  // constu
        push(values, take_number(reader));
        break;
    case 0x11:  // consts
        push(values, (uint64_t)take_signed_number(reader));
        break;
    case 0x23:  // plus_uconst
        push(values, pop(values) + take_number(reader));
        break;
    case 0x1a:  // and
    case 0x1c:  // minus
    case 0x22:  // plus
    case 0x24:  // shl
    case 0x2a:  // ge
        top = pop(values);
        below = pop(values);
        push(values, operation == 0x1a   ? below & top
                     : operation == 0x1c ? below - top
                     : operation == 0x22 ? below + top
                     : operation == 0x24 ? below << (top & 63)
                                         : (int64_t)below >= (int64_t)top);
        break;
    default:
        values->failed = true;
    }
}

// Runs the expression at `offset` on top of what `values` holds. These operations are all that
// compilers and glibc use for addresses: of procedure linkage tables, of frames aligned by hand, of
// signal frames (DWARF 5, section 2.5).
static bool compute(const struct cv_cfi *cfi, int64_t offset, const struct cv_cfi_thread *thread,
                    struct values *values, uint64_t *result) {
    struct reader reader = {.cfi = cfi, .at = (size_t)offset, .end = cfi->byte_count};
    uint64_t bytes = take_number(&reader);

    if (reader.failed || bytes > reader.end - reader.at)
        return false;
    reader.end = reader.at + bytes;
    while (reader.at < reader.end && !reader.failed && !values->failed)
        run_operation(values, (uint8_t)take(&reader, 1), &reader, thread);
    *result = pop(values);
    return !reader.failed && !values->failed;
}

static bool find_frame(const struct cv_cfi *cfi, const struct cv_cfi_row *row,
                       const struct cv_cfi_thread *thread, uint64_t *frame) {
    struct values values = {0};

    if (row->frame_is_computed)
        return compute(cfi, row->frame_offset, thread, &values, frame);
    *frame = thread->registers[row->frame_register] + (uint64_t)row->frame_offset;
    return true;
}

// One register as the caller had it.
static bool find_register(const struct cv_cfi *cfi, const struct cv_cfi_row *row,
                          const struct cv_cfi_thread *thread, uint64_t frame, unsigned number,
                          uint64_t *value) {
    struct values values = {.value = {frame}, .count = 1};
    int64_t offset = row->registers[number].offset;

    switch ((enum cv_cfi_rule)row->registers[number].rule) {
    case CV_CFI_SAME:
        *value = thread->registers[number];
        return true;
    case CV_CFI_UNDEFINED:
        *value = 0;
        return true;
    case CV_CFI_AT:
        return load(thread, frame + (uint64_t)offset, value);
    case CV_CFI_IS:
        *value = frame + (uint64_t)offset;
        return true;
    case CV_CFI_REGISTER:
        *value = (uint64_t)offset < CV_CFI_REGISTERS ? thread->registers[offset] : 0;
        return true;
    case CV_CFI_AT_COMPUTED:
        return compute(cfi, offset, thread, &values, value) && load(thread, *value, value);
    case CV_CFI_IS_COMPUTED:
        return compute(cfi, offset, thread, &values, value);
    }
    return false;
}

bool cv_cfi_step(const struct cv_cfi *cfi, const struct cv_cfi_row *row,
                 struct cv_cfi_thread *thread) {
    uint64_t caller[CV_CFI_REGISTERS];
    uint64_t frame;

    if (!find_frame(cfi, row, thread, &frame))
        return false;
    for (unsigned i = 0; i < CV_CFI_REGISTERS; i++) {
        if (!find_register(cfi, row, thread, frame, i, &caller[i]))
            return false;
    }
    // A stack that does not shrink would be walked for ever. Only a signal's may be another one.
    if (caller[COVET_STACK_RIP] == 0 ||
        (caller[COVET_STACK_RSP] <= thread->registers[COVET_STACK_RSP] && !row->is_signal_frame))
        return false;
    memcpy(thread->registers, caller, sizeof(caller));
    return true;
}
