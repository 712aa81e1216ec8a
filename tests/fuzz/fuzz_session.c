/* What clients, brokers and replicas say to one another: frames and every kind of body. */
#include "bus/wire/frame.h"
#include "bus/wire/session.h"
#include "tests/fuzz/fuzz.h"

static void read_hello(slice_t body)
{
    session_hello_t hello;
    if (!session_hello_read(body, &hello))
        return;
    fuzz_touch(hello.token);
    fuzz_check(hello.session != 0 && hello.pin >= -1 && hello.pin <= 255);
}

static void read_others(slice_t body)
{
    session_welcome_t welcome;
    link_hello_t link;
    link_status_t status;
    uint64_t session;

    if (session_welcome_read(body, &welcome))
        fuzz_touch(welcome.text);
    session_bye_read(body, &session);
    link_hello_read(body, &link);
    if (link_status_read(body, &status)) {
        fuzz_touch(status.vector);
        fuzz_check(status.status <= STATUS_LAST);
    }
}

/* An item that was read is read again from its own bytes, to the last. */
static void read_requests(slice_t body)
{
    mp_t in = mp_open(body);
    uint32_t items = mp_array(&in, FRAME_ITEMS_MAX);
    request_t request;

    for (uint32_t i = 0; i < items && request_read(&in, &request); i++) {
        request_t again;
        mp_t whole = mp_open(request.whole);
        fuzz_check(request_read(&whole, &again) && mp_done(&whole));
        fuzz_check(again.seq == request.seq && again.arguments == request.arguments);
        fuzz_check(request.arguments <= COMMAND_ARGUMENTS_MAX);
        if (request.has_token)
            fuzz_touch(request.token);
        fuzz_touch(request.arguments_at);
    }
}

static void read_replies(slice_t body)
{
    mp_t in = mp_open(body);
    uint32_t items = mp_array(&in, FRAME_ITEMS_MAX);
    reply_t reply;

    for (uint32_t i = 0; i < items && reply_read(&in, &reply); i++) {
        fuzz_touch(reply.value);
        fuzz_touch(reply.token);
        fuzz_touch(slice_text(outcome_name(reply.outcome)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t message = slice_of(data, size);
    frame_t frame;

    if (frame_read(message, &frame) == FRAME_GOOD) {
        uint8_t header[FRAME_HEADER_SIZE];
        frame_t again;
        frame_write(header, &frame);
        fuzz_check(frame_read(slice_of(header, sizeof(header)), &again) == FRAME_GOOD);
        fuzz_check(again.message == frame.message && again.route == frame.route);
        message = frame_body(message);
    }
    read_hello(message);
    read_others(message);
    read_requests(message);
    read_replies(message);
    return 0;
}
