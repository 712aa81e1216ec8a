/* How much memory is in use, which each C library says in its own way. */
#include "bus/net/runtime.h"
#include "replica/node/internal.h"

enum { COUNT_MIN_MS = 100, COUNT_SHARE = 100 };

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void); /* gcc brings no header for it */
#elif defined(__GLIBC__)
#include <malloc.h>
#endif

static uint64_t count(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return __sanitizer_get_current_allocated_bytes();
#elif defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#else
    return 0;
#endif
}

uint64_t node_memory_bytes(node_t *self)
{
    int64_t before_ms = net_now().boot_ms;
    if (before_ms < self->memory_ms)
        return self->memory_bytes;
    self->memory_bytes = count();
    int64_t after_ms = net_now().boot_ms;
    int64_t pause_ms = COUNT_SHARE * (after_ms - before_ms);
    self->memory_ms = after_ms + (pause_ms > COUNT_MIN_MS ? pause_ms : COUNT_MIN_MS);
    return self->memory_bytes;
}
