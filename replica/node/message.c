#include "replica/node/message.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { ROUTER_ID_SIZE = 5 };

slice_t message_slice(zmq_msg_t *message)
{
    return slice_of(zmq_msg_data(message), zmq_msg_size(message));
}

static bool send_frame(void *socket, slice_t bytes, int flags)
{
    zmq_msg_t message;
    int rc = zmq_msg_init_size(&message, bytes.size);

    assert(rc == 0);
    (void)rc;
    if (bytes.size != 0)
        memcpy(zmq_msg_data(&message), bytes.data, bytes.size);
    if (zmq_msg_send(&message, socket, flags | ZMQ_DONTWAIT) >= 0)
        return true;
    int error = zmq_errno();
    zmq_msg_close(&message);
    errno = error;
    return false;
}

bool message_send(void *socket, slice_t bytes)
{
    return send_frame(socket, bytes, 0);
}

bool message_send_to(void *router, uint32_t connection, slice_t bytes)
{
    uint8_t id[ROUTER_ID_SIZE] = {0};

    be32_put(id + 1, connection);
    return send_frame(router, slice_of(id, sizeof(id)), ZMQ_SNDMORE) &&
           send_frame(router, bytes, 0);
}

void message_drop_rest(void *socket)
{
    bool more = true;

    while (more) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        more = zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&frame) != 0;
        zmq_msg_close(&frame);
    }
}

message_taken_t message_take(void *router, uint32_t *connection, zmq_msg_t *body)
{
    zmq_msg_t id;

    zmq_msg_init(&id);
    if (zmq_msg_recv(&id, router, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&id);
        return MESSAGE_NONE;
    }
    const uint8_t *bytes = zmq_msg_data(&id);
    bool more = zmq_msg_more(&id) != 0;
    bool ours = more && zmq_msg_size(&id) == ROUTER_ID_SIZE && bytes[0] == 0;
    *connection = ours ? be32_get(bytes + 1) : 0;
    zmq_msg_close(&id);
    if (!ours) {
        if (more)
            message_drop_rest(router);
        return MESSAGE_DROPPED;
    }
    zmq_msg_init(body);
    if (zmq_msg_recv(body, router, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(body) == 0)
        return MESSAGE_TAKEN;
    if (zmq_msg_more(body) != 0)
        message_drop_rest(router);
    zmq_msg_close(body);
    return MESSAGE_DROPPED;
}
