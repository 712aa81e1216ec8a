#include "bus/base/memory.h"

#include <stdlib.h>
#include <string.h>

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

char *mem_text(const void *data, size_t size)
{
    char *copy = mem_alloc(size + 1);
    if (size != 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}
