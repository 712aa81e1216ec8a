/*
 * The loopback beacon: an actor that does on 127.255.255.255 what czmq's zbeacon, which cannot use
 * the loopback interface, does on others; with the same commands and messages.
 *
 *     "CONFIGURE" port               answered by "127.0.0.1", or by "" and a frame that says why
 *     "PUBLISH" data interval_ms     sends now and then again and again
 *     "SILENCE"                      stops that
 *     "SUBSCRIBE" prefix             delivers packets that begin so, but not our own
 *     "UNSUBSCRIBE"                  stops that
 *
 * What is delivered is two frames: the sender's address as text and the packet.
 */
#ifndef HEARSAY_BUS_NET_LOOPBACK_H
#define HEARSAY_BUS_NET_LOOPBACK_H

#include <czmq.h>

enum { LOOPBACK_PACKET_MAX = 255 };

/* For zactor_new(loopback_actor, NULL); the caller owns the actor. */
void loopback_actor(zsock_t *pipe, void *unused);

#endif
