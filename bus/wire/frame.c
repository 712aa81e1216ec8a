#include "bus/wire/frame.h"

frame_fault_t frame_read(slice_t message, frame_t *out)
{
    const uint8_t *p = message.data;
    if (message.size < FRAME_HEADER_SIZE || p[0] != FRAME_MAGIC)
        return FRAME_NOT_OURS;
    if (p[1] != FRAME_VERSION)
        return FRAME_OTHER_VERSION;
    *out = (frame_t){
        .kind = p[2],
        .flags = p[3],
        .items = be16_get(p + 4),
        .reason = be16_get(p + 6),
        .slot = be32_get(p + 8),
        .generation = be32_get(p + 12),
        .route = be32_get(p + 16),
        .window = be32_get(p + 20),
        .message = be64_get(p + 24),
    };
    return FRAME_GOOD;
}

void frame_write(uint8_t *p, const frame_t *frame)
{
    p[0] = FRAME_MAGIC;
    p[1] = FRAME_VERSION;
    p[2] = frame->kind;
    p[3] = frame->flags;
    be16_put(p + 4, frame->items);
    be16_put(p + 6, frame->reason);
    be32_put(p + 8, frame->slot);
    be32_put(p + 12, frame->generation);
    be32_put(p + 16, frame->route);
    be32_put(p + 20, frame->window);
    be64_put(p + 24, frame->message);
}

slice_t frame_body(slice_t message)
{
    return slice_of(message.data + FRAME_HEADER_SIZE, message.size - FRAME_HEADER_SIZE);
}

size_t frame_begin(buf_t *out, const frame_t *frame)
{
    size_t start = out->size;
    frame_write(buf_reserve(out, FRAME_HEADER_SIZE), frame);
    out->size += FRAME_HEADER_SIZE;
    return start;
}
