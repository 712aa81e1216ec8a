/*
 * What a node or a broker says of itself, in the text format of Prometheus (version 0.0.4).
 *
 * Base units, counters end in _total, each family once with its HELP and TYPE, labels only where a
 * family has several values. No state: one document in, its text out.
 */
#ifndef HEARSAY_BUS_HTTP_METRICS_H
#define HEARSAY_BUS_HTTP_METRICS_H

#include "bus/wire/control.h"

/* Each appends all metrics of a document. */
void metrics_put_node(buf_t *out, const control_node_t *node);
void metrics_put_broker(buf_t *out, const control_broker_t *broker);

#endif
