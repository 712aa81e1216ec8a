/*
 * The documents of nodes and brokers in JSON: one form for hearsayctl and for /v1/status.
 *
 * Nothing is owned: fields are written into an object that the caller has begun.
 */
#ifndef HEARSAY_BUS_WIRE_CONTROL_JSON_H
#define HEARSAY_BUS_WIRE_CONTROL_JSON_H

#include "bus/base/json.h"
#include "bus/wire/control.h"

/* The fields of a document that was read by control_node_read, but for its id. */
void control_node_json(json_t *json, const control_node_t *node);

/* The fields of a document that was read by control_broker_read. */
void control_broker_json(json_t *json, const control_broker_t *broker);

/* A vector, read before, as an object of counts by incarnation. */
void control_vector_json(json_t *json, const char *key, slice_t bytes);

/* "in", "left behind", "forgotten". Static text. */
const char *control_member_state_name(uint8_t state);

#endif
