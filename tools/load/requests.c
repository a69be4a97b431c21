// Requests are checked as strictly as a server would check them: a mistyped field must end the
// program with a sentence, not a run of a million answers 400.
//
// The block is written by one growing writer; what is in it is copied `depth` requests further at
// the end, so that a run that begins at the last request still is one span.
#include "load/requests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/span.h"
#include "http/headers.h"
#include "http/scan.h"
#include "load/reason.h"
#include "load/slurp.h"

#define FIRST_BYTES 1024u

static int no_memory(const char **why) {
    return load_reason_give(why, -ENOMEM, "no memory for the requests");
}

// What is being built.
struct writer {
    char *block;
    size_t used, room;
    size_t *offsets;
    bool *head_only;
    unsigned count;
    unsigned depth;
};

static int writer_init(struct writer *writer, unsigned count_max, unsigned depth) {
    *writer = (struct writer){
        .block = malloc(FIRST_BYTES),
        .room = FIRST_BYTES,
        .offsets = calloc(count_max + depth + 1, sizeof(*writer->offsets)),
        .head_only = calloc(count_max, sizeof(*writer->head_only)),
        .depth = depth,
    };
    bool is_whole = writer->block != NULL && writer->offsets != NULL && writer->head_only != NULL;
    return is_whole ? 0 : -ENOMEM;
}

static void writer_deinit(struct writer *writer) {
    free(writer->block);
    free(writer->offsets);
    free(writer->head_only);
}

static int reserve(struct writer *writer, size_t bytes) {
    if (bytes > LOAD_BLOCK_BYTES_MAX - writer->used) {
        return -E2BIG;
    }
    if (bytes <= writer->room - writer->used) {
        return 0;
    }
    size_t room = CV_MAX(writer->used + bytes, 2 * writer->room);
    char *block = realloc(writer->block, room);
    if (block == NULL) {
        return -ENOMEM;
    }
    writer->block = block;
    writer->room = room;
    return 0;
}

static int append(struct writer *writer, const char *data, size_t bytes) {
    int result = reserve(writer, bytes);
    if (result == 0 && bytes > 0) {
        memcpy(writer->block + writer->used, data, bytes);
        writer->used += bytes;
    }
    return result;
}

static int append_error(int error, const char **why) {
    if (error == -E2BIG) {
        return load_reason_give(
            why, error,
            "the requests written out take more than %u MiB; use fewer, shorter bodies, "
            "less depth, or --upload for one large body",
            LOAD_BLOCK_BYTES_MAX >> 20);
    }
    return error == 0 ? 0 : no_memory(why);
}

static bool has_control(const char *text) {
    for (; *text != '\0'; text++) {
        if (cv_scan_is(*text, CV_SCAN_CONTROL)) {
            return true;
        }
    }
    return false;
}

static int check_method(const char *method, const char **why) {
    if (!cv_headers_is_token(cv_span_of(method))) {
        return load_reason_give(why, -EINVAL, "'%s' is no method", method);
    }
    if (strcmp(method, "CONNECT") == 0) {
        return load_reason_give(why, -EINVAL,
                                "CONNECT asks a proxy for a tunnel, which is not measured here");
    }
    return 0;
}

// Visible ASCII without '#', whose part of a URL is never sent.
static int check_path(const char *method, const char *path, const char **why) {
    if (strcmp(path, "*") == 0 && strcmp(method, "OPTIONS") == 0) {
        return 0;
    }
    if (path[0] != '/') {
        return load_reason_give(why, -EINVAL, "the path '%s' does not begin with '/'", path);
    }
    for (const char *at = path; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~') {
            return load_reason_give(
                why, -EINVAL,
                "the path '%s' holds a blank, control byte or non-ASCII byte; write it "
                "as %%%02X",
                path, (unsigned char)*at);
        }
        if (*at == '#') {
            return load_reason_give(why, -EINVAL, "in '%s', '#' and what follows is never sent",
                                    path);
        }
    }
    return 0;
}

static struct cv_span field_name(const char *field) {
    return cv_span_make(field, strcspn(field, ":"));
}

static struct cv_span field_value(const char *field) {
    const char *colon = strchr(field, ':');
    return cv_span_trim(cv_span_of(colon == NULL ? "" : colon + 1));
}

static bool is_named(const char *field, const char *name) {
    return cv_span_equal_nocase(field_name(field), cv_span_of(name));
}

static int check_field(const char *field, const char **why) {
    if (strchr(field, ':') == NULL) {
        return load_reason_give(why, -EINVAL, "the field '%s' has no colon: 'Name: value'", field);
    }
    if (!cv_headers_is_token(field_name(field))) {
        return load_reason_give(why, -EINVAL, "'%.*s' is no field name",
                                (int)field_name(field).length, field);
    }
    if (has_control(field)) {
        return load_reason_give(why, -EINVAL, "the field '%.*s' holds a control byte",
                                (int)field_name(field).length, field);
    }
    if (is_named(field, "Content-Length") || is_named(field, "Transfer-Encoding")) {
        return load_reason_give(why, -EINVAL, "'%.*s' is set by the body alone",
                                (int)field_name(field).length, field);
    }
    return 0;
}

// The Host field's value: of the field of that name, else of the URL.
static int find_host(const struct load_request_source *source, struct cv_span *host,
                     const char **why) {
    bool is_found = false;
    *host = cv_span_of(source->host);
    for (unsigned i = 0; i < source->field_count; i++) {
        if (!is_named(source->fields[i], "Host")) {
            continue;
        }
        if (is_found) {
            return load_reason_give(why, -EINVAL, "Host is given twice");
        }
        is_found = true;
        *host = field_value(source->fields[i]);
    }
    if (!cv_headers_is_host(*host)) {
        return load_reason_give(why, -EINVAL, "'%.*s' is no host", (int)host->length, host->data);
    }
    return 0;
}

static int check_source(const struct load_request_source *source, const char *method,
                        struct cv_span *host, const char **why) {
    int result = check_method(method, why);
    if (result == 0) {
        result = check_path(method, source->path, why);
    }
    for (unsigned i = 0; result == 0 && i < source->field_count; i++) {
        result = check_field(source->fields[i], why);
    }
    return result != 0 ? result : find_host(source, host, why);
}

static bool expects_body(const char *method) {
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

// One part after the other; the first failure stays.
static void put(struct writer *writer, int *result, struct cv_span text) {
    if (*result == 0) {
        *result = append(writer, text.data, text.length);
    }
}

static void put_field(struct writer *writer, int *result, struct cv_span name,
                      struct cv_span value) {
    put(writer, result, name);
    put(writer, result, CV_SPAN(": "));
    put(writer, result, value);
    put(writer, result, CV_SPAN("\r\n"));
}

static void put_length(struct writer *writer, int *result, uint64_t bytes) {
    char digits[24];
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)bytes);
    put_field(writer, result, CV_SPAN("Content-Length"), cv_span_of(digits));
}

// Writes one request out at the end of the block.
static int add_request(struct writer *writer, const struct load_request_source *source,
                       const char **why) {
    bool has_body = source->body != NULL || source->stream_bytes > 0;
    const char *method = source->method != NULL ? source->method : has_body ? "POST" : "GET";
    struct cv_span host;
    int result = check_source(source, method, &host, why);
    if (result != 0) {
        return result;
    }
    put(writer, &result, cv_span_of(method));
    put(writer, &result, CV_SPAN(" "));
    put(writer, &result, cv_span_of(source->path));
    put(writer, &result, CV_SPAN(" HTTP/1.1\r\n"));
    put_field(writer, &result, CV_SPAN("Host"), host);
    for (unsigned i = 0; i < source->field_count; i++) {
        if (!is_named(source->fields[i], "Host")) {
            put_field(writer, &result, field_name(source->fields[i]),
                      field_value(source->fields[i]));
        }
    }
    if (has_body || expects_body(method)) {
        put_length(writer, &result, source->body_bytes + source->stream_bytes);
    }
    put(writer, &result, CV_SPAN("\r\n"));
    put(writer, &result, cv_span_make(source->body, source->body_bytes));
    if (result != 0) {
        return append_error(result, why);
    }
    writer->head_only[writer->count] = strcmp(method, "HEAD") == 0;
    writer->offsets[++writer->count] = writer->used;
    return 0;
}

// The first requests again; with more depth than requests, those again.
static int repeat_first(struct writer *writer) {
    for (unsigned i = 0; i < writer->depth; i++) {
        size_t begin = writer->offsets[i];
        size_t bytes = writer->offsets[i + 1] - begin;
        int result = reserve(writer, bytes);
        if (result != 0) {
            return result;
        }
        memcpy(writer->block + writer->used, writer->block + begin, bytes);
        writer->used += bytes;
        writer->offsets[writer->count + i + 1] = writer->used;
    }
    return 0;
}

// Bytes without a pattern, so that nothing on the way makes them fewer; the same in every run.
static char *make_stream(void) {
    char *stream = malloc(LOAD_STREAM_BYTES);
    uint64_t word = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; stream != NULL && i < LOAD_STREAM_BYTES; i += sizeof(word)) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        memcpy(stream + i, &word, sizeof(word));
    }
    return stream;
}

// Hands over what the writer owns.
static int finish(struct writer *writer, uint64_t stream_bytes, struct load_requests *requests,
                  const char **why) {
    char *stream = NULL;
    int result = append_error(repeat_first(writer), why);
    if (result == 0 && stream_bytes > 0 && (stream = make_stream()) == NULL) {
        result = no_memory(why);
    }
    if (result != 0) {
        return result;
    }
    *requests = (struct load_requests){
        .count = writer->count,
        .depth = writer->depth,
        .block = writer->block,
        .offsets = writer->offsets,
        .head_only = writer->head_only,
        .stream = stream,
        .stream_bytes = stream_bytes,
    };
    *writer = (struct writer){0};
    return 0;
}

int load_requests_from_source(struct load_requests *requests,
                              const struct load_request_source *source, unsigned depth,
                              const char **why) {
    struct writer writer;
    if (source->stream_bytes > 0 && depth != 1) {
        return load_reason_give(why, -EINVAL, "an upload cannot be pipelined");
    }
    int result = writer_init(&writer, 1, depth) == 0 ? 0 : no_memory(why);
    if (result == 0) {
        result = add_request(&writer, source, why);
    }
    if (result == 0) {
        result = finish(&writer, source->stream_bytes, requests, why);
    }
    writer_deinit(&writer);
    return result;
}

// A request file on its way into the writer. A request is complete once a line comes that is none
// of its fields, so it waits in `source`.
struct reader {
    const char *name;
    const struct load_request_source *base;
    struct writer writer;
    struct load_request_source source;
    const char *fields[LOAD_FIELD_COUNT_MAX];  // Its own ones, then what is left of the base's.
    char *body_file;                           // Owned; the body, when it is a file's.
    unsigned line;                             // The line being read.
    unsigned request_line;                     // Where `source` was, 0: there is none.
};

// Puts "FILE:LINE: " before what is said.
static int at_line(const struct reader *reader, unsigned line, int error, const char **why) {
    char reason[LOAD_REASON_BYTES];
    snprintf(reason, sizeof(reason), "%s", *why);
    return load_reason_give(why, error, "%s:%u: %.300s", reader->name, line, reason);
}

static bool has_field(const struct reader *reader, struct cv_span name, unsigned own_count) {
    for (unsigned i = 0; i < own_count; i++) {
        if (cv_span_equal_nocase(field_name(reader->fields[i]), name)) {
            return true;
        }
    }
    return false;
}

static int add_field(struct reader *reader, const char *field, const char **why) {
    if (reader->source.field_count == LOAD_FIELD_COUNT_MAX) {
        return load_reason_give(why, -EINVAL, "more than %u fields", LOAD_FIELD_COUNT_MAX);
    }
    reader->fields[reader->source.field_count++] = field;
    return 0;
}

// Writes out the request that waits.
static int end_request(struct reader *reader, const char **why) {
    if (reader->request_line == 0) {
        return 0;
    }
    unsigned own_count = reader->source.field_count;
    int result = 0;
    for (unsigned i = 0; result == 0 && i < reader->base->field_count; i++) {
        const char *field = reader->base->fields[i];
        if (!has_field(reader, field_name(field), own_count)) {
            result = add_field(reader, field, why);
        }
    }
    if (result == 0) {
        reader->source.fields = reader->fields;
        result = add_request(&reader->writer, &reader->source, why);
    }
    free(reader->body_file);
    reader->body_file = NULL;
    if (result != 0) {
        return at_line(reader, reader->request_line, result, why);
    }
    reader->request_line = 0;
    return 0;
}

// A file's name is taken from the folder of the request file.
static int read_body(struct reader *reader, const char *name, const char **why) {
    const char *slash = strrchr(reader->name, '/');
    int folder_bytes = name[0] == '/' || slash == NULL ? 0 : (int)(slash + 1 - reader->name);
    char *path;
    if (asprintf(&path, "%.*s%s", folder_bytes, reader->name, name) < 0) {
        return no_memory(why);
    }
    int result =
        load_slurp(path, LOAD_BLOCK_BYTES_MAX, &reader->body_file, &reader->source.body_bytes);
    if (result != 0) {
        load_reason_give(why, result, "%s: %s", path, strerror(-result));
    }
    reader->source.body = reader->body_file;
    free(path);
    return result;
}

// Cuts the first word off `*rest`.
static char *take_word(char **rest) {
    char *word = *rest;
    size_t bytes = strcspn(word, " \t");
    char *behind = word + bytes;
    *rest = behind + strspn(behind, " \t");
    *behind = '\0';
    return word;
}

static int begin_request(struct reader *reader, char *line, const char **why) {
    struct load_request_source *source = &reader->source;
    if (reader->writer.count == LOAD_REQUEST_COUNT_MAX) {
        return load_reason_give(why, -E2BIG, "more than %u requests", LOAD_REQUEST_COUNT_MAX);
    }
    *source =
        (struct load_request_source){.method = reader->base->method, .host = reader->base->host};
    reader->request_line = reader->line;
    char *word = take_word(&line);
    if (word[0] != '/') {
        source->method = word;
        word = take_word(&line);
        if (word[0] == '\0') {
            return load_reason_give(why, -EINVAL, "'%s' is no path, and no path follows it",
                                    source->method);
        }
        if (!cv_headers_is_token(cv_span_of(source->method)) ||
            strpbrk(source->method, "abcdefghijklmnopqrstuvwxyz") != NULL) {
            return load_reason_give(
                why, -EINVAL, "'%s' is no method (they are written in capitals)", source->method);
        }
    }
    source->path = word;
    if (strncmp(line, "HTTP/", 5) == 0) {
        return load_reason_give(why, -EINVAL, "a request here is METHOD PATH BODY, without '%s'",
                                line);
    }
    if (line[0] == '@') {
        return read_body(reader, line + 1, why);
    }
    if (line[0] != '\0') {
        source->body = line;
        source->body_bytes = strlen(line);
    }
    return 0;
}

static bool is_request(const char *line) {
    return strchr("# \t", line[0]) == NULL;  // The end of the text is found there, too.
}

static int read_line(struct reader *reader, char *line, size_t bytes, const char **why) {
    size_t blanks = strspn(line, " \t");
    if (strlen(line) != bytes) {
        return load_reason_give(why, -EINVAL, "a byte 0, which no request can hold");
    }
    if (is_request(line)) {
        return begin_request(reader, line, why);
    }
    if (line[blanks] == '\0' || line[0] == '#') {
        return 0;
    }
    if (reader->request_line == 0) {
        return load_reason_give(why, -EINVAL,
                                "an indented line is a field, but no request is above it");
    }
    int result = check_field(line + blanks, why);
    return result != 0 ? result : add_field(reader, line + blanks, why);
}

static int read_lines(struct reader *reader, char *text, size_t bytes, const char **why) {
    char *end = text + bytes;
    for (char *line = text; line < end;) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        char *next = stop == NULL ? end : stop + 1;
        stop = stop == NULL ? end : stop;
        if (stop > line && stop[-1] == '\r') {
            stop--;
        }
        *stop = '\0';
        reader->line++;
        int result = is_request(line) ? end_request(reader, why) : 0;
        if (result != 0) {
            return result;
        }
        result = read_line(reader, line, (size_t)(stop - line), why);
        if (result != 0) {
            return at_line(reader, reader->line, result, why);
        }
        line = next;
    }
    return end_request(reader, why);
}

int load_requests_from_file(struct load_requests *requests, const char *name,
                            const struct load_request_source *base, unsigned depth,
                            const char **why) {
    struct reader reader = {.name = name, .base = base};
    char *text;
    size_t bytes;
    int result = load_slurp(name, LOAD_BLOCK_BYTES_MAX, &text, &bytes);
    if (result != 0) {
        return load_reason_give(why, result, "%s: %s", name, strerror(-result));
    }
    result = writer_init(&reader.writer, LOAD_REQUEST_COUNT_MAX, depth) == 0 ? 0 : no_memory(why);
    if (result == 0) {
        result = read_lines(&reader, text, bytes, why);
    }
    if (result == 0 && reader.writer.count == 0) {
        result = load_reason_give(why, -EINVAL, "%s: no request in it", name);
    }
    if (result == 0) {
        result = finish(&reader.writer, 0, requests, why);
    }
    free(reader.body_file);
    writer_deinit(&reader.writer);
    free(text);
    return result;
}

void load_requests_deinit(struct load_requests *requests) {
    free((void *)(uintptr_t)requests->block);
    free((void *)(uintptr_t)requests->offsets);
    free((void *)(uintptr_t)requests->head_only);
    free((void *)(uintptr_t)requests->stream);
    *requests = (struct load_requests){0};
}
