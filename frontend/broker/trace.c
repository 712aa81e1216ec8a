#include "frontend/broker/trace.h"

#include <stdio.h>

#include "bus/wire/frame.h"

static void tell_requests(trace_t *trace, uint32_t target, mp_t *in, uint32_t items)
{
    request_t request;

    for (uint32_t i = 0; i < items && request_read(in, &request); i++) {
        const command_t *command = command_by_code(request.command);
        mp_t arguments = mp_open(request.arguments_at);
        const trace_item_t item = {
            .kind = TRACE_FORWARDED,
            .link = target,
            .session = request.session,
            .seq = request.seq,
            .key = request.arguments != 0 ? mp_bytes(&arguments) : slice_of(NULL, 0),
            .text = slice_text(command != NULL ? command->name : "?"),
        };
        trace_put(trace, &item);
    }
}

static void tell_replies(trace_t *trace, uint32_t target, mp_t *in, uint32_t items)
{
    reply_t reply;
    char text[TRACE_TEXT_MAX];

    for (uint32_t i = 0; i < items && reply_read(in, &reply); i++) {
        snprintf(text, sizeof(text), "%s copies=%u", outcome_name(reply.outcome), reply.copies);
        const trace_item_t item = {
            .kind = TRACE_RETURNED,
            .link = target,
            .session = reply.session,
            .seq = reply.seq,
            .text = slice_text(text),
        };
        trace_put(trace, &item);
    }
}

void broker_trace_frame(trace_t *trace, uint32_t target, slice_t message)
{
    frame_t frame;

    if (!trace_wants(trace, TRACE_REQUESTS) || frame_read(message, &frame) != FRAME_GOOD)
        return;
    mp_t in = mp_open(frame_body(message));
    uint32_t items = mp_array(&in, FRAME_ITEMS_MAX);
    if (frame.kind == FRAME_REQUEST)
        tell_requests(trace, target, &in, items);
    else if (frame.kind == FRAME_REPLY)
        tell_replies(trace, target, &in, items);
}
