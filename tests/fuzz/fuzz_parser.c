// Request heads: scalar and AVX2 code agree, and so do a head read whole and the same head in
// pieces. The first byte of the input chooses the limits and how it is cut.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "http/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct cv_parser_limits limits[] = {
    {.head_bytes_max = 32768, .target_bytes_max = 8192, .fields_max = CV_PARSER_FIELDS_MAX},
    {.head_bytes_max = 400, .target_bytes_max = 60, .fields_max = 6},
};

// The outcome with as much memory as there is text, so that the sanitizer sees every byte too many.
static enum cv_parser_result read_whole(const struct cv_scan_ops *ops, const uint8_t *data,
                                        size_t size, const struct cv_parser_limits *set,
                                        struct cv_parser_head *head) {
    char *copy = malloc(size == 0 ? 1 : size);

    CV_ASSERT(copy != NULL);
    memcpy(copy, data, size);
    enum cv_parser_result result = ops->feed(copy + (size == 0), size, set, head);
    free(copy);
    return result;
}

static enum cv_parser_result read_pieces(const struct cv_scan_ops *ops, const uint8_t *data,
                                         size_t size, size_t step,
                                         const struct cv_parser_limits *set,
                                         struct cv_parser_head *head) {
    struct cv_parser_progress progress = {0};
    enum cv_parser_result result = CV_PARSER_PARTIAL;

    for (size_t bytes = 0; result == CV_PARSER_PARTIAL; bytes = CV_MIN(bytes + step, size)) {
        char *copy = malloc(bytes == 0 ? 1 : bytes);

        CV_ASSERT(copy != NULL);
        memcpy(copy, data, bytes);
        result = ops->resume(copy + (bytes == 0), bytes, set, head, &progress);
        free(copy);
        if (bytes == size)
            break;
    }
    return result;
}

static void check_same(enum cv_parser_result result, const struct cv_parser_head *one,
                       enum cv_parser_result other_result, const struct cv_parser_head *other) {
    CV_ASSERT(result == other_result);
    if (result == CV_PARSER_PARTIAL)
        return;
    CV_ASSERT(one->refusal == other->refusal);
    if (result == CV_PARSER_REFUSED) {
        uint16_t status = cv_parser_status(one->refusal);
        CV_ASSERT(status >= 400 && status < 600 && strlen(cv_parser_reason(one->refusal)) > 0);
    }
    // Both were filled with the same byte before; fields that a head has not may differ.
    size_t used = offsetof(struct cv_parser_head, field) + one->field_count * sizeof(one->field[0]);
    if (result == CV_PARSER_DONE)
        CV_ASSERT(memcmp((const char *)one, (const char *)other, used) == 0);
}

static void check_spans(const struct cv_parser_head *head, const uint8_t *data, size_t size) {
    struct cv_span method = cv_parser_span((const char *)data, head->method_text);
    const char *name = cv_parser_method_name(head->method);
    CV_ASSERT(cv_parser_method(method) == head->method);
    CV_ASSERT(name == NULL || cv_span_equal(method, cv_span_of(name)));
    CV_ASSERT(head->head_bytes <= size);
    CV_ASSERT(head->path.offset + head->path.length <= size);
    CV_ASSERT(head->query.offset + head->query.length <= size);
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct cv_parser_field *field = &head->field[i];

        CV_ASSERT(field->name.length > 0);
        CV_ASSERT(field->value.offset >= field->name.offset + field->name.length + 1);
        CV_ASSERT(field->value.offset + field->value.length + 2 <= head->head_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct cv_parser_head heads[3];

    if (size == 0 || size > 8192)
        return 0;
    const struct cv_parser_limits *set = &limits[data[0] & 1];
    size_t step = 1 + (size_t)(data[0] >> 1);
    data++;
    size--;
    memset(heads, 0xa5, sizeof(heads));
    enum cv_parser_result result = read_whole(&cv_scan_scalar, data, size, set, &heads[0]);
    if (result == CV_PARSER_DONE)
        check_spans(&heads[0], data, size);
    // Where the processor lacks AVX2, the chosen code is the scalar one.
    check_same(result, &heads[0], read_whole(&cv_scan_chosen, data, size, set, &heads[1]),
               &heads[1]);
    if (size / step < 1000)
        check_same(result, &heads[0],
                   read_pieces(&cv_scan_chosen, data, size, step, set, &heads[2]), &heads[2]);
    return 0;
}
