#include "bus/net/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROUTER_ID_SIZE = 5 };

slice_t message_slice(zmq_msg_t *message)
{
    return slice_of(zmq_msg_data(message), zmq_msg_size(message));
}

void message_make(zmq_msg_t *message, slice_t bytes)
{
    if (zmq_msg_init_size(message, bytes.size) != 0)
        abort(); /* as mem_alloc does */
    if (bytes.size != 0)
        memcpy(zmq_msg_data(message), bytes.data, bytes.size);
}

/* ---- sending ---- */

bool message_pass(void *socket, zmq_msg_t *message)
{
    return zmq_msg_send(message, socket, ZMQ_DONTWAIT) >= 0;
}

bool message_pass_to(void *router, uint32_t connection, zmq_msg_t *message)
{
    uint8_t id[ROUTER_ID_SIZE] = {0};

    be32_put(id + 1, connection);
    return zmq_send(router, id, sizeof(id), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
           message_pass(router, message);
}

static bool close_unless(bool is_sent, zmq_msg_t *message)
{
    if (is_sent)
        return true;
    int error = zmq_errno();
    zmq_msg_close(message);
    errno = error;
    return false;
}

bool message_send(void *socket, slice_t bytes)
{
    zmq_msg_t message;

    message_make(&message, bytes);
    return close_unless(message_pass(socket, &message), &message);
}

bool message_send_to(void *router, uint32_t connection, slice_t bytes)
{
    zmq_msg_t message;

    message_make(&message, bytes);
    return close_unless(message_pass_to(router, connection, &message), &message);
}

/* ---- taking ---- */

/* Reads away the frames that are left of the message under way. */
static void drop_rest(void *socket)
{
    bool more = true;

    while (more) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        more = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&frame) != 0;
        zmq_msg_close(&frame);
    }
}

message_taken_t message_take(void *socket, zmq_msg_t *body)
{
    zmq_msg_init(body);
    if (zmq_msg_recv(body, socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(body);
        return MESSAGE_NONE;
    }
    if (zmq_msg_more(body) == 0)
        return MESSAGE_TAKEN;
    zmq_msg_close(body);
    drop_rest(socket);
    return MESSAGE_DROPPED;
}

message_taken_t message_take_from(void *router, uint32_t *connection, zmq_msg_t *body)
{
    zmq_msg_t id;

    zmq_msg_init(&id);
    if (zmq_msg_recv(&id, router, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&id);
        return MESSAGE_NONE;
    }
    const uint8_t *bytes = zmq_msg_data(&id);
    bool more = zmq_msg_more(&id) != 0;
    bool is_ours = zmq_msg_size(&id) == ROUTER_ID_SIZE && bytes[0] == 0;
    *connection = is_ours ? be32_get(bytes + 1) : 0;
    zmq_msg_close(&id);
    if (!more || message_take(router, body) != MESSAGE_TAKEN)
        return MESSAGE_DROPPED;
    if (is_ours)
        return MESSAGE_TAKEN;
    zmq_msg_close(body);
    return MESSAGE_DROPPED;
}
