// Memory that can fail. The Makefile gives the server's objects these functions in place of
// malloc and its like, so that nothing of the simulation itself fails; and every block a pool
// hands out is a point, though most come from a free list in a server.
#ifndef TORTURE_MEMORY_H
#define TORTURE_MEMORY_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

void *torture_malloc(size_t bytes);
void *torture_calloc(size_t count, size_t bytes);
void *torture_realloc(void *memory, size_t bytes);
void *torture_aligned_alloc(size_t alignment, size_t bytes);
char *torture_strdup(const char *text);
void torture_free(void *memory);
void *torture_mmap(void *at, size_t bytes, int protection, int flags, int descriptor, off_t offset);
int torture_munmap(void *memory, size_t bytes);
int torture_madvise(void *memory, size_t bytes, int advice);
FILE *torture_fopen(const char *path, const char *mode);

// Ends the process if anything the server took was not given back.
void memory_check(void);

#endif
