/*
 * A broker with a replica behind it, for tests of the library: a ROUTER on loopback that the test
 * itself serves, and that answers each HELLO, and each REQUEST of one item, with the same outcome.
 *
 * To be included behind cmocka.h.
 */
#ifndef HEARSAY_TESTS_UNIT_CLIENT_BROKER_FIXTURE_H
#define HEARSAY_TESTS_UNIT_CLIENT_BROKER_FIXTURE_H

#include <zmq.h>

#include "tests/unit/frames.h"

enum { BROKER_ADDRESS_SIZE = 64, BROKER_ID_SIZE = 5, BROKER_FRAME_SIZE = 4096 };

/* What it answers. */
typedef struct broker_answer {
    uint64_t lineage;
    outcome_t outcome;
    vec_t token;
} broker_answer_t;

/* A socket bound to an address, as clients have it. */
static inline void *broker_open(void *context, char address[BROKER_ADDRESS_SIZE])
{
    void *router = zmq_socket(context, ZMQ_ROUTER);
    size_t size = BROKER_ADDRESS_SIZE;
    int linger_ms = 0;

    zmq_setsockopt(router, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, address, &size), 0);
    return router;
}

static inline buf_t broker_answer_to(slice_t message, const broker_answer_t *answer)
{
    const frame_t frame = frames_header(message);
    mp_t in = mp_open(frame_body(message));
    session_hello_t hello;
    request_t request;
    if (frame.kind == FRAME_HELLO && session_hello_read(frame_body(message), &hello)) {
        const session_welcome_t welcome = {.session = hello.session, .lineage = answer->lineage};
        return frames_welcome((frame_t){.route = 1}, &welcome);
    }
    if (frame.kind != FRAME_REQUEST || mp_array(&in, 1) != 1 || !request_read(&in, &request))
        return (buf_t){0};
    const reply_t reply = {.session = request.session,
                           .epoch = request.epoch,
                           .seq = request.seq,
                           .outcome = answer->outcome,
                           .value = slice_of("\xA1x", 2)};
    return frames_reply((frame_t){.route = 1}, &reply, &answer->token);
}

/* Answers what has come. */
static inline void broker_serve(void *router, const broker_answer_t *answer)
{
    uint8_t id[BROKER_ID_SIZE];
    uint8_t bytes[BROKER_FRAME_SIZE];

    while (zmq_recv(router, id, sizeof(id), ZMQ_DONTWAIT) == BROKER_ID_SIZE) {
        int size = zmq_recv(router, bytes, sizeof(bytes), ZMQ_DONTWAIT);
        assert_in_range(size, FRAME_HEADER_SIZE, BROKER_FRAME_SIZE);
        buf_t reply = broker_answer_to(slice_of(bytes, (size_t)size), answer);
        if (reply.size != 0) {
            zmq_send(router, id, sizeof(id), ZMQ_SNDMORE);
            zmq_send(router, reply.data, reply.size, 0);
        }
        buf_free(&reply);
    }
}

#endif
