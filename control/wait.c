#include "control/wait.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void wait_free(wait_goal_t *self)
{
    vec_free(&self->first);
    vec_free(&self->seen);
}

__attribute__((format(printf, 2, 3))) static bool lacking(char missing[ERR_TEXT_SIZE],
                                                          const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(missing, ERR_TEXT_SIZE, format, args);
    va_end(args);
    return false;
}

static const survey_member_t *next_answer(const survey_t *survey, size_t *at, control_kind_t kind)
{
    const survey_member_t *member;
    while ((member = survey_member(survey, (*at)++)) != NULL)
        if (member->kind == kind && member->has_answered)
            return member;
    return NULL;
}

static int64_t count(const survey_t *survey, control_kind_t kind)
{
    int64_t found = 0;
    for (size_t i = 0; next_answer(survey, &i, kind) != NULL;)
        found++;
    return found;
}

/* What each node has the first time it answers is what everybody is to have. */
static void raise_goal(wait_goal_t *self, const survey_t *survey)
{
    const survey_member_t *member;
    vec_t vector = {0};

    for (size_t i = 0; (member = next_answer(survey, &i, CONTROL_NODE)) != NULL;) {
        if (!vec_raise(&self->seen, member->node.incarnation, 1))
            continue;
        control_vector(member->node.vector, &vector);
        vec_merge(&self->first, &vector);
    }
    vec_free(&vector);
}

static bool names_connected(slice_t peers_at, uint64_t incarnation)
{
    mp_t in = mp_open(peers_at);
    control_peer_t peer;
    while (control_peer_next(&in, &peer))
        if (peer.incarnation == incarnation && peer.is_connected)
            return true;
    return false;
}

static bool node_is_whole(const wait_goal_t *self, const survey_t *survey,
                          const control_node_t *node, char missing[ERR_TEXT_SIZE])
{
    const survey_member_t *other;
    vec_t vector = {0};

    if (!node->is_ready)
        return lacking(missing, "node %u is still starting", node->id);
    for (size_t i = 0; (other = next_answer(survey, &i, CONTROL_NODE)) != NULL;)
        if (other->node.incarnation != node->incarnation &&
            !names_connected(node->peers_at, other->node.incarnation))
            return lacking(missing, "node %u is not connected to node %u", node->id,
                           other->node.id);
    control_vector(node->vector, &vector);
    uint64_t lag = vec_lag(&vector, &self->first);
    vec_free(&vector);
    if (lag != 0)
        return lacking(missing, "node %u (%s) has yet to apply %" PRIu64 " updates", node->id,
                       status_name(node->status), lag);
    return true;
}

static bool broker_is_whole(const survey_t *survey, const control_broker_t *broker,
                            char missing[ERR_TEXT_SIZE])
{
    const survey_member_t *node;

    for (size_t i = 0; (node = next_answer(survey, &i, CONTROL_NODE)) != NULL;)
        if (!names_connected(broker->replicas_at, node->node.incarnation))
            return lacking(missing, "the broker at %.*s:%u is not connected to node %u",
                           (int)broker->host.size, (const char *)broker->host.data, broker->port,
                           node->node.id);
    return true;
}

bool wait_is_over(wait_goal_t *self, const survey_t *survey, char missing[ERR_TEXT_SIZE])
{
    const survey_member_t *member;
    int64_t nodes = count(survey, CONTROL_NODE);
    int64_t brokers = count(survey, CONTROL_BROKER);

    raise_goal(self, survey);
    if (nodes < self->nodes)
        return lacking(missing, "%" PRId64 " of %" PRId64 " nodes answer", nodes, self->nodes);
    if (brokers < self->brokers)
        return lacking(missing, "%" PRId64 " of %" PRId64 " brokers answer", brokers,
                       self->brokers);
    for (size_t i = 0;
         self->nodes >= 0 && (member = next_answer(survey, &i, CONTROL_NODE)) != NULL;)
        if (!node_is_whole(self, survey, &member->node, missing))
            return false;
    for (size_t i = 0;
         self->brokers >= 0 && (member = next_answer(survey, &i, CONTROL_BROKER)) != NULL;)
        if (!broker_is_whole(survey, &member->broker, missing))
            return false;
    return true;
}
