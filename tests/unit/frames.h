/*
 * Frames for the tests of the cores: written and read in one line each.
 *
 * To be included behind cmocka.h. Whoever gets a buf_t frees it; what is read borrows from it.
 */
#ifndef HEARSAY_TESTS_UNIT_FRAMES_H
#define HEARSAY_TESTS_UNIT_FRAMES_H

#include <string.h>

#include "bus/wire/frame.h"
#include "bus/wire/session.h"

static const uint64_t frames_cluster = 0xC1;

/* Up to four arguments, those behind the first NULL left out; *count says how many there were. */
static inline buf_t frames_words(uint32_t *count, const char *a, const char *b, const char *c)
{
    const char *const words[] = {a, b, c};
    buf_t out = {0};
    for (*count = 0; *count < 3 && words[*count] != NULL; ++*count)
        mp_put_bin(&out, slice_text(words[*count]));
    return out;
}

static inline buf_t frames_plain(frame_t header)
{
    buf_t out = {0};
    frame_begin(&out, &header);
    return out;
}

static inline buf_t frames_hello(frame_t header, uint64_t session, const vec_t *token, int32_t pin,
                                 uint64_t avoid)
{
    const vec_t nothing = {0};
    const session_hello_t hello = {
        .session = session, .cluster = frames_cluster, .pin = pin, .avoid = avoid};
    buf_t out = {0};
    header.kind = FRAME_HELLO;
    header.items = 1;
    frame_begin(&out, &header);
    session_hello_put(&out, &hello, token != NULL ? token : &nothing);
    return out;
}

static inline buf_t frames_link_hello(uint64_t broker, uint64_t wanted)
{
    const link_hello_t hello = {frames_cluster, broker, wanted};
    const frame_t header = {.kind = FRAME_HELLO, .slot = FRAME_SLOT_LINK};
    buf_t out = {0};
    frame_begin(&out, &header);
    link_hello_put(&out, &hello);
    return out;
}

static inline buf_t frames_bye(frame_t header, uint64_t session)
{
    buf_t out = {0};
    header.kind = FRAME_BYE;
    frame_begin(&out, &header);
    session_bye_put(&out, session);
    return out;
}

/* A REQUEST of one item. */
static inline buf_t frames_request(frame_t header, const request_t *request, const vec_t *token)
{
    buf_t out = {0};
    header.kind = FRAME_REQUEST;
    header.items = 1;
    frame_begin(&out, &header);
    mp_put_array(&out, 1);
    request_put(&out, request, token);
    return out;
}

/* A REPLY of one item, answering so many bytes. */
static inline buf_t frames_reply(frame_t header, const reply_t *reply, const vec_t *token)
{
    const vec_t nothing = {0};
    buf_t out = {0};
    header.kind = FRAME_REPLY;
    header.items = 1;
    frame_begin(&out, &header);
    mp_put_array(&out, 1);
    reply_put(&out, reply, token != NULL ? token : &nothing);
    return out;
}

static inline buf_t frames_welcome(frame_t header, const session_welcome_t *welcome)
{
    buf_t out = {0};
    header.kind = FRAME_WELCOME;
    frame_begin(&out, &header);
    session_welcome_put(&out, welcome);
    return out;
}

static inline frame_t frames_header(slice_t message)
{
    frame_t frame = {0};
    assert_int_equal(frame_read(message, &frame), FRAME_GOOD);
    return frame;
}

#endif
