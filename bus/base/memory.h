/*
 * Memory that cannot fail.
 *
 * hearsay bounds what it holds by limits of its own (queues, messages, sessions), so an allocation
 * that the system refuses is not a condition to serve under: the program says so and aborts, and
 * the log on disk has everything that was acknowledged. All code allocates through these.
 */
#ifndef HEARSAY_BUS_BASE_MEMORY_H
#define HEARSAY_BUS_BASE_MEMORY_H

#include <stddef.h>

/* size bytes, not initialised; never NULL. The caller frees with free(). */
void *mem_alloc(size_t size);

/* count times size bytes of zeros; never NULL. The caller frees with free(). */
void *mem_zero(size_t count, size_t size);

/* As realloc(), never NULL for size > 0. */
void *mem_resize(void *old, size_t size);

/*
 * Room in an array that is full: the array anew, which the caller frees, with *capacity items of
 * item_size bytes instead of half as many; 16 where there were none. Never NULL.
 */
void *mem_grow(void *items, size_t *capacity, size_t item_size);

/* A copy of size bytes with a NUL behind it; never NULL. The caller frees with free(). */
char *mem_text(const void *data, size_t size);

#endif
