#include "bus/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 };

void *mem_alloc(size_t size)
{
    void *p = malloc(size != 0 ? size : 1);
    if (p == NULL)
        abort();
    return p;
}

void *mem_zero(size_t count, size_t size)
{
    void *p = calloc(count != 0 ? count : 1, size != 0 ? size : 1);
    if (p == NULL)
        abort();
    return p;
}

void *mem_resize(void *old, size_t size)
{
    void *p = realloc(old, size != 0 ? size : 1);
    if (p == NULL)
        abort();
    return p;
}

void *mem_grow(void *items, size_t *capacity, size_t item_size)
{
    *capacity = *capacity != 0 ? *capacity * 2 : FIRST_CAPACITY;
    return mem_resize(items, *capacity * item_size);
}

char *mem_text(const void *data, size_t size)
{
    char *copy = mem_alloc(size + 1);
    if (size != 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}
