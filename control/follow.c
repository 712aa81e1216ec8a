#include "control/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bus/base/memory.h"
#include "bus/net/message.h"

enum {
    MESSAGE_MAX = 1024 * 1024, /* bytes; programs send some 60 KiB at once */
    QUEUE = 10000,             /* messages */
    NODE_TRACE_PORT = 4,       /* behind the first of a node's block */
    BROKER_TRACE_PORT = 2,     /* of a broker's */
    TAKEN_AT_ONCE = 1000,
};

struct follow {
    follow_config_t config;
    survey_t *survey;
    void *sub;
    endpoint_t connected[SURVEY_MEMBERS_MAX];
    size_t connected_size;
    follow_stream_t *streams[FOLLOW_STREAMS_MAX];
    size_t size;
};

/* ---- streams ---- */

void follow_name(char name[FOLLOW_NAME_SIZE], control_kind_t program, uint16_t id, uint16_t port)
{
    if (program == CONTROL_NODE)
        snprintf(name, FOLLOW_NAME_SIZE, "node %u", id);
    else
        snprintf(name, FOLLOW_NAME_SIZE, "broker :%u", port);
}

/* The stream of a start; a new one when there is none yet, NULL when there is no room. */
static follow_stream_t *get_stream(follow_t *self, const trace_batch_t *batch)
{
    for (size_t i = 0; i < self->size; i++)
        if (self->streams[i]->incarnation == batch->incarnation)
            return self->streams[i];
    if (self->size == FOLLOW_STREAMS_MAX)
        return NULL;
    follow_stream_t *stream = mem_zero(1, sizeof(*stream));
    stream->program = batch->program;
    stream->id = batch->id;
    stream->incarnation = batch->incarnation;
    stream->number = (uint32_t)self->size;
    follow_name(stream->name, batch->program, batch->id, batch->port);
    self->streams[self->size++] = stream;
    return stream;
}

/* Counts what did not arrive since the last message of this area. */
static void count_lost(follow_stream_t *stream, const trace_batch_t *batch)
{
    trace_area_t area = batch->area;

    if (stream->is_live[area]) {
        if (batch->before > stream->expected[area])
            stream->lost += batch->before - stream->expected[area];
        if (batch->dropped > stream->area_dropped[area])
            stream->dropped += batch->dropped - stream->area_dropped[area];
    }
    stream->expected[area] = batch->before + batch->items;
    stream->area_dropped[area] = batch->dropped;
}

/* True when it tells of all areas that are followed. */
static bool is_live(const follow_t *self, const follow_stream_t *stream)
{
    for (int i = 0; i < TRACE_AREAS; i++)
        if ((self->config.areas & 1u << i) != 0 && !stream->is_live[i])
            return false;
    return true;
}

static void take_batch(follow_t *self, slice_t message)
{
    trace_batch_t batch;
    trace_item_t item;

    if (!trace_batch_read(message, &batch))
        return;
    follow_stream_t *stream = get_stream(self, &batch);
    if (stream == NULL)
        return;
    count_lost(stream, &batch);
    bool was_live = is_live(self, stream);
    stream->is_live[batch.area] = true;
    if (!was_live && is_live(self, stream))
        self->config.on_begin(self->config.arg, stream);
    mp_t in = mp_open(batch.items_at);
    while (trace_item_next(&in, &item))
        if (item.kind < TRACE_KINDS)
            self->config.on_item(self->config.arg, stream, &item);
}

static void take(void *arg)
{
    follow_t *self = arg;
    zmq_msg_t message;

    for (int i = 0; i < TAKEN_AT_ONCE; i++) {
        message_taken_t taken = message_take(self->sub, &message);
        if (taken == MESSAGE_NONE)
            return;
        if (taken != MESSAGE_TAKEN)
            continue;
        take_batch(self, message_slice(&message));
        zmq_msg_close(&message);
    }
}

const follow_stream_t *follow_stream(const follow_t *self, size_t i)
{
    return i < self->size ? self->streams[i] : NULL;
}

int follow_id_of(const follow_t *self, uint64_t incarnation)
{
    for (size_t i = 0; i < self->size; i++)
        if (self->streams[i]->incarnation == incarnation &&
            self->streams[i]->program == CONTROL_NODE)
            return self->streams[i]->id;
    return -1;
}

/* ---- life ---- */

int follow_open(follow_t **out, survey_t *survey, const follow_config_t *config, err_t *err)
{
    const socket_options_t options = {
        .type = ZMQ_SUB,
        .message_max = MESSAGE_MAX,
        .send_queue = QUEUE,
        .receive_queue = QUEUE,
        .curve = survey_curve(survey),
    };
    follow_t *self = mem_zero(1, sizeof(*self));

    self->config = *config;
    self->survey = survey;
    if (socket_open(&self->sub, &options, err) != 0) {
        free(self);
        return -1;
    }
    for (int i = 0; i < TRACE_AREAS; i++) {
        uint8_t topic = trace_topic((trace_area_t)i);
        if ((config->areas & 1u << i) != 0)
            zmq_setsockopt(self->sub, ZMQ_SUBSCRIBE, &topic, 1);
    }
    survey_also(survey, self->sub, -1, take, self);
    *out = self;
    return 0;
}

void follow_destroy(follow_t **self_p)
{
    follow_t *self = *self_p;

    if (self == NULL)
        return;
    survey_also(self->survey, NULL, -1, NULL, NULL);
    socket_close(&self->sub);
    for (size_t i = 0; i < self->size; i++)
        free(self->streams[i]);
    free(self);
    *self_p = NULL;
}

/* The SUB connects again by itself: to each place once, whoever starts there. */
static void connect_to(follow_t *self, const survey_member_t *member)
{
    endpoint_t endpoint = member->first;
    uint16_t offset = member->kind == CONTROL_NODE ? NODE_TRACE_PORT : BROKER_TRACE_PORT;

    if (endpoint.port > UINT16_MAX - offset || self->connected_size == SURVEY_MEMBERS_MAX)
        return;
    endpoint.port = (uint16_t)(endpoint.port + offset);
    for (size_t i = 0; i < self->connected_size; i++)
        if (self->connected[i].port == endpoint.port &&
            strcmp(self->connected[i].host, endpoint.host) == 0)
            return;
    if (survey_curve(self->survey) != NULL)
        curve_aim(survey_curve(self->survey), self->sub,
                  member->kind == CONTROL_NODE ? ROLE_NODE : ROLE_BROKER);
    if (socket_connect(self->sub, &endpoint, NULL) == 0)
        self->connected[self->connected_size++] = endpoint;
}

void follow_connect(follow_t *self)
{
    const survey_member_t *member;

    for (size_t i = 0; (member = survey_member(self->survey, i)) != NULL; i++) {
        bool is_wanted = self->config.node < 0 ||
                         (member->kind == CONTROL_NODE && member->node.id == self->config.node);
        if (member->has_answered && is_wanted)
            connect_to(self, member);
    }
}
