// The accessors of <covet/memory.h>. A public arena is an arena of src/mem; one that a handler made
// itself lies in a block of the pool it takes from.
#include <covet/memory.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "app/context.h"
#include "app/request.h"
#include "mem/arena.h"
#include "mem/remote.h"

#define FORMAT_ROOM_BYTES 128u  // What most texts fit: they are made once.

static struct cv_arena *arena_of(struct covet_arena *arena) {
    return (struct cv_arena *)arena;
}

void *covet_alloc(struct covet_worker *worker, size_t bytes) {
    return cv_remote_alloc(worker->env->pool, bytes);
}

void covet_free(void *memory) {
    cv_remote_free(memory);
}

struct covet_arena *covet_request_arena(struct covet_request *request) {
    return (struct covet_arena *)&request->arena;
}

struct covet_arena *covet_arena_create(struct covet_worker *worker) {
    struct cv_arena *arena = cv_pool_acquire(worker->env->pool, sizeof(*arena));

    if (arena != NULL)
        cv_arena_init(arena, worker->env->pool);
    return (struct covet_arena *)arena;
}

void covet_arena_destroy(struct covet_arena *public) {
    struct cv_arena *arena = arena_of(public);

    if (arena == NULL)
        return;
    cv_arena_deinit(arena);
    cv_pool_release(arena->pool, arena, sizeof(*arena));
}

void covet_arena_reset(struct covet_arena *arena) {
    cv_arena_reset(arena_of(arena));
}

void *covet_arena_alloc(struct covet_arena *arena, size_t bytes) {
    return cv_arena_alloc(arena_of(arena), bytes);
}

void *covet_arena_zeroed(struct covet_arena *arena, size_t count, size_t bytes) {
    size_t total;

    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    void *memory = cv_arena_alloc(arena_of(arena), total);

    return memory == NULL ? NULL : memset(memory, 0, total);
}

char *covet_arena_copy(struct covet_arena *arena, struct covet_span span) {
    return cv_arena_copy(arena_of(arena), cv_span_make(span.data, span.length));
}

struct covet_span covet_arena_format(struct covet_arena *arena, const char *format, ...) {
    char room[FORMAT_ROOM_BYTES];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(room, sizeof(room), format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : cv_arena_alloc(arena_of(arena), (size_t)length + 1);

    if (text == NULL)
        return (struct covet_span){NULL, 0};
    if ((size_t)length < sizeof(room)) {
        memcpy(text, room, (size_t)length + 1);
    } else {
        va_start(arguments, format);
        (void)vsnprintf(text, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    return (struct covet_span){text, (size_t)length};
}
