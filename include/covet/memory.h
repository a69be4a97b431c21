/* Memory for handlers, from the worker's own pools: no lock, no malloc in steady state.
 *
 * What lives as long as a request comes from its arena and is freed with it. What lives longer, or
 * is handed to another worker or thread, comes from covet_alloc. With COVET_MEMORY=debug in the
 * environment both look for blocks freed twice and for writes to freed memory.
 */
#ifndef COVET_MEMORY_H
#define COVET_MEMORY_H

#include <stddef.h>

#include <covet/span.h>

#ifdef __cplusplus
extern "C" {
#endif

struct covet_arena;
struct covet_request;
struct covet_worker;

/* At least `bytes` bytes, aligned to 16 and not cleared; 0 bytes give a valid pointer. NULL when
 * memory is exhausted. The block costs 16 bytes more, and its size is rounded to a power of two up
 * to 1 MiB. Kept until covet_free, across requests, reloads and the end of the worker.
 *
 * Thread: the worker's own. */
COVET_EXPORT void *covet_alloc(struct covet_worker *worker, size_t bytes);

/* Frees what covet_alloc gave; NULL is ignored. Any thread, a worker or not, at any time: the
 * worker itself at once, another thread through a message that the worker takes in with its next
 * loop turn. Freeing a block twice is a mistake that ends the program when it is noticed. */
COVET_EXPORT void covet_free(void *memory);

/* An arena: allocations are not freed one by one but all at once. The fastest memory there is: an
 * allocation adds to a pointer.
 *
 * Thread, of all below: the worker the arena or the request belongs to. */

/* The arena of a request: what covet_request_alloc takes from. Neither reset nor destroyed by
 * anybody but covet, once the request is finished and answered. Never NULL. */
COVET_EXPORT struct covet_arena *covet_request_arena(struct covet_request *request);

/* An arena of one's own, kept until covet_arena_destroy (NULL is ignored there). Returns NULL when
 * memory is exhausted. Destroy it before the worker's exit hook returns. */
COVET_EXPORT struct covet_arena *covet_arena_create(struct covet_worker *worker);
COVET_EXPORT void covet_arena_destroy(struct covet_arena *arena);

/* Frees every allocation; the arena can be used again, and keeps 2 KiB for that. */
COVET_EXPORT void covet_arena_reset(struct covet_arena *arena);

/* `bytes` bytes, aligned to 16 and not cleared. 0 bytes give a valid pointer. NULL when memory is
 * exhausted. */
COVET_EXPORT void *covet_arena_alloc(struct covet_arena *arena, size_t bytes);
/* `count` objects of `bytes` bytes, cleared. NULL when memory is exhausted or the product does not
 * fit. */
COVET_EXPORT void *covet_arena_zeroed(struct covet_arena *arena, size_t count, size_t bytes);
/* A copy of the bytes with a NUL byte behind it. NULL when memory is exhausted. */
COVET_EXPORT char *covet_arena_copy(struct covet_arena *arena, struct covet_span span);
/* Text as printf makes it, with a NUL byte behind it that `length` does not count. `data` is NULL
 * when memory is exhausted or the text cannot be made. */
COVET_EXPORT struct covet_span covet_arena_format(struct covet_arena *arena, const char *format,
                                                  ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
