/*
 * Messages of raw ZeroMQ sockets as our programs use them: one frame, behind the connection's id on
 * a ROUTER. Nothing here waits.
 */
#ifndef HEARSAY_BUS_NET_MESSAGE_H
#define HEARSAY_BUS_NET_MESSAGE_H

#include <zmq.h>

#include "bus/base/bytes.h"

/* The bytes of a message, borrowed from it. */
slice_t message_slice(zmq_msg_t *message);

/* A message with a copy of the bytes; the caller gives it away or closes it. */
void message_make(zmq_msg_t *message, slice_t bytes);

/* Sends one frame, copied; false with zmq_errno() when the socket does not take it. */
bool message_send(void *socket, slice_t bytes);

/* The same to one connection of a ROUTER. */
bool message_send_to(void *router, uint32_t connection, slice_t bytes);

/*
 * Gives a message away as it is, without a copy; false, and it is still the caller's, when the
 * socket does not take it.
 */
bool message_pass(void *socket, zmq_msg_t *message);

/* The same to one connection of a ROUTER. */
bool message_pass_to(void *router, uint32_t connection, zmq_msg_t *message);

typedef enum message_taken {
    MESSAGE_NONE,    /* nothing waits */
    MESSAGE_TAKEN,   /* the body (and *connection) are set; the caller closes the body */
    MESSAGE_DROPPED, /* one that is not of our programs: no id of libzmq's making, other frames */
} message_taken_t;

/* Takes the next message of one frame; body is the caller's for MESSAGE_TAKEN alone. */
message_taken_t message_take(void *socket, zmq_msg_t *body);

/*
 * Takes the next message of a ROUTER. A connection's number is that in the id that libzmq gives who
 * chooses none: a 0 and 32 bits. body is the caller's for MESSAGE_TAKEN alone.
 */
message_taken_t message_take_from(void *router, uint32_t *connection, zmq_msg_t *body);

#endif
