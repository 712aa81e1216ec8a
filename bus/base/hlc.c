#include "bus/base/hlc.h"

int64_t time_earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

hlc_t hlc_at(int64_t wall_ms)
{
    return wall_ms > 0 ? (hlc_t)wall_ms << 16 : 0;
}

int64_t hlc_ms(hlc_t hlc)
{
    return (int64_t)(hlc >> 16);
}

hlc_t hlc_add_ms(hlc_t hlc, int64_t ms)
{
    if (ms >= 0)
        return hlc + ((hlc_t)ms << 16);
    hlc_t back = (hlc_t)-ms << 16;
    return hlc > back ? hlc - back : 0;
}

hlc_t hlc_max(hlc_t a, hlc_t b)
{
    return a > b ? a : b;
}

int tag_compare(tag_t a, tag_t b)
{
    if (a.hlc != b.hlc)
        return a.hlc < b.hlc ? -1 : 1;
    if (a.client != b.client)
        return a.client < b.client ? -1 : 1;
    return (a.seq > b.seq) - (a.seq < b.seq);
}

bool tag_is_zero(tag_t tag)
{
    return tag.hlc == 0 && tag.client == 0 && tag.seq == 0;
}

tag_t tag_max(tag_t a, tag_t b)
{
    return tag_compare(a, b) >= 0 ? a : b;
}
