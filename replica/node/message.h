/*
 * Messages of raw ZeroMQ sockets as the node uses them: one frame, behind the connection's id on a
 * ROUTER. Nothing here waits.
 */
#ifndef HEARSAY_REPLICA_NODE_MESSAGE_H
#define HEARSAY_REPLICA_NODE_MESSAGE_H

#include <zmq.h>

#include "bus/base/bytes.h"

/* The bytes of a message, borrowed from it. */
slice_t message_slice(zmq_msg_t *message);

/* Sends one frame, copied; false with zmq_errno() when the socket does not take it. */
bool message_send(void *socket, slice_t bytes);

/* The same to one connection of a ROUTER. */
bool message_send_to(void *router, uint32_t connection, slice_t bytes);

typedef enum message_taken {
    MESSAGE_NONE,    /* nothing waits */
    MESSAGE_TAKEN,   /* *connection and *body are set; the caller closes body */
    MESSAGE_DROPPED, /* one that is not of our programs: no id of libzmq's making, other frames */
} message_taken_t;

/*
 * Takes the next message of a ROUTER. A connection's number is that in the id that libzmq gives who
 * chooses none: a 0 and 32 bits. body is written to for MESSAGE_TAKEN alone.
 */
message_taken_t message_take(void *router, uint32_t *connection, zmq_msg_t *body);

/* Reads away the frames that are left of the message under way. */
void message_drop_rest(void *socket);

#endif
