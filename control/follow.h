/*
 * Following the traces of many programs at once: one SUB to all trace ports, and who is behind it.
 *
 * Owns the socket and the streams, each the trace of one start of a program. A stream's address
 * stays the same as long as the follower lives.
 */
#ifndef HEARSAY_CONTROL_FOLLOW_H
#define HEARSAY_CONTROL_FOLLOW_H

#include "bus/wire/trace.h"
#include "control/survey.h"

typedef struct follow follow_t;

enum {
    FOLLOW_STREAMS_MAX = 1024, /* more are passed over */
    FOLLOW_NAME_SIZE = 32,
};

/* The trace of one start of a node or broker. */
typedef struct follow_stream {
    control_kind_t program;
    uint16_t id; /* of a node */
    uint64_t incarnation;
    char name[FOLLOW_NAME_SIZE]; /* "node 1", "broker :7700" */
    uint32_t number;             /* from 0, in the order of finding */
    uint64_t lost;               /* items that were too many for the way here */
    uint64_t dropped;            /* items that the program had no room for */
    bool is_live[TRACE_AREAS];   /* it has said that it tells us */
    uint64_t expected[TRACE_AREAS];
    uint64_t area_dropped[TRACE_AREAS];
} follow_stream_t;

/* Something happened; the item is borrowed for the call. */
typedef void follow_item_fn(void *arg, const follow_stream_t *stream, const trace_item_t *item);
/* A program has begun to tell us of all the areas. */
typedef void follow_begin_fn(void *arg, const follow_stream_t *stream);

typedef struct follow_config {
    unsigned areas; /* bits 1 << trace_area_t */
    int node;       /* of this node alone; -1: of everybody */
    follow_item_fn *on_item;
    follow_begin_fn *on_begin;
    void *arg;
} follow_config_t;

/* Follows whom the survey finds; its socket is polled by the survey. 0, or -1 with err. */
int follow_open(follow_t **out, survey_t *survey, const follow_config_t *config, err_t *err);
void follow_destroy(follow_t **self);

/* After a round of the survey: connects to those who answered for the first time. */
void follow_connect(follow_t *self);

/* "node 1", "broker :7700". */
void follow_name(char name[FOLLOW_NAME_SIZE], control_kind_t program, uint16_t id, uint16_t port);

/* The i-th stream; NULL behind the last. */
const follow_stream_t *follow_stream(const follow_t *self, size_t i);

/* The id of the node whose start this is, of those followed; -1 when it is none of them. */
int follow_id_of(const follow_t *self, uint64_t incarnation);

#endif
