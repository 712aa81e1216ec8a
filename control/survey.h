/*
 * A survey: who of the cluster is there, and what each says of itself.
 *
 * Programs are found by beacon, by the addresses that people give, and by what those that answer
 * say of others. The survey owns its sockets and the documents, which stay until the member answers
 * again or the survey is destroyed. Everything has a deadline in boot ms (net_now).
 */
#ifndef HEARSAY_CONTROL_SURVEY_H
#define HEARSAY_CONTROL_SURVEY_H

#include "bus/base/err.h"
#include "bus/net/beacon.h"
#include "bus/net/curve.h"
#include "bus/net/socket.h"
#include "bus/wire/control.h"

typedef struct survey survey_t;

enum { SURVEY_MEMBERS_MAX = 512 };

typedef struct survey_config {
    const char *cluster;
    const char *interface; /* NULL: no beacon */
    int beacon_port;
    const endpoint_t *peers; /* peer ports of nodes; copied */
    size_t peer_count;
    const endpoint_t *brokers; /* that clients connect to; copied */
    size_t broker_count;
    const curve_t *curve; /* outlives the survey; NULL: without keys */
} survey_config_t;

/* A program that was found. Exactly one of node and broker is of use, as kind says. */
typedef struct survey_member {
    control_kind_t kind; /* CONTROL_NOBODY until it answered */
    bool has_answered;   /* in the last round */
    endpoint_t first;    /* of its block, as it was reached */
    control_node_t node;
    control_broker_t broker;
} survey_member_t;

/* Returns 0, or -1 with err when the beacon cannot be used. */
int survey_open(survey_t **out, const survey_config_t *config, err_t *err);
void survey_destroy(survey_t **self);

/* The keys it was opened with; NULL: without. */
const curve_t *survey_curve(const survey_t *self);

/*
 * Who would not talk to us, or not as we do, and why: of the first of whom that is certain, or the
 * first, one line; NULL: nobody. Owned by the survey.
 */
const char *survey_denied(const survey_t *self, bool *is_certain);

/* What a round is looking for, which makes it end early. */
typedef bool survey_done_fn(void *arg, const survey_t *survey);

/*
 * Asks everybody, new and known. It ends when done (unless NULL) says so, when everybody who was
 * named has answered, or after a time that is enough for those who are there; at the deadline at
 * the latest. Returns 0, or -1 when a signal interrupted it.
 */
int survey_round(survey_t *self, int64_t deadline_ms, survey_done_fn *done, void *arg);

/*
 * Waits until then without asking anybody; beacons are taken in. Returns 0, or -1 when a signal
 * interrupted it.
 */
int survey_idle(survey_t *self, int64_t until_ms);

/*
 * Has something else polled while the survey waits: a socket or, when that is NULL, a descriptor.
 * fn is called when it can be read. The last one given holds; fn NULL: none.
 */
typedef void survey_ready_fn(void *arg);
void survey_also(survey_t *self, void *socket, int fd, survey_ready_fn *fn, void *arg);

/* The i-th member of all that were found; NULL behind the last. */
const survey_member_t *survey_member(const survey_t *self, size_t i);

/* The node of this id that answered in the last round, the youngest of several; NULL: none did. */
const survey_member_t *survey_node(const survey_t *self, uint16_t id);

/*
 * Sends a request to a member and waits for its reply, whose text is copied into text, and its
 * document into document, unless that is NULL. Returns 0, 1 at the deadline, or -1 when a signal
 * interrupted it or the socket failed.
 */
int survey_request(survey_t *self, const survey_member_t *member, const control_request_t *request,
                   int64_t deadline_ms, outcome_t *outcome, char text[ERR_TEXT_SIZE],
                   buf_t *document);

/* Takes a reply, which is borrowed for the call. */
typedef void survey_reply_fn(void *arg, const survey_member_t *member,
                             const control_reply_t *reply);

/*
 * How long to wait for who is silent, where it is enough to know that: as in a round, from now on
 * and until the deadline at the latest.
 */
int64_t survey_patience(int64_t deadline_ms);

/*
 * Sends a request to all members of a kind (CONTROL_NOBODY: of both) that answered in the last
 * round, and gives each reply to fn, until all have replied or the deadline has come. Returns 0, or
 * -1 when a signal interrupted it.
 */
int survey_ask(survey_t *self, const control_request_t *request, control_kind_t kind,
               int64_t deadline_ms, survey_reply_fn *fn, void *arg);

#endif
