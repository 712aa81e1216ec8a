/*
 * What hearsayctl asks nodes and brokers, and what they answer (docs/protocol.md, "Control").
 *
 * One request and one reply, each a msgpack array that begins with the version, between a DEALER
 * and the control ROUTER of a node or broker. INFO is answered by a reply with a document, which is
 * a node's or a broker's; fields that a newer program appended are skipped.
 *
 * Decoded structs borrow from the message; decoders return false for a malformed one.
 */
#ifndef HEARSAY_BUS_WIRE_CONTROL_H
#define HEARSAY_BUS_WIRE_CONTROL_H

#include "bus/base/hlc.h"
#include "bus/wire/backup.h"
#include "bus/wire/compare.h"
#include "bus/wire/session.h"

enum {
    CONTROL_VERSION = 1,
    CONTROL_PEERS_MAX = 1024,                    /* in one document */
    CONTROL_COUNTS_MAX = 256,                    /* likewise */
    CONTROL_MEMBERS_MAX = 256,                   /* likewise */
    CONTROL_REFUSED_MAX = 256,                   /* likewise */
    CONTROL_TEXT_MAX = 1024,                     /* bytes of a text */
    CONTROL_REQUEST_MAX = 128 + COMMAND_KEY_MAX, /* bytes of a request */
};

typedef enum control_command {
    CONTROL_INFO = 1,
    CONTROL_SET_STATUS = 2,    /* of a node; answered when its brokers have confirmed */
    CONTROL_FORGET = 3,        /* a member, at another node: it is not coming back */
    CONTROL_EVENTS = 4,        /* what has happened (bus/wire/inspect.h) */
    CONTROL_KEY = 5,           /* of a node: how a key is there */
    CONTROL_SESSIONS = 6,      /* of a broker: which connection has how many, where */
    CONTROL_DIGESTS = 7,       /* of a node: of what its keys show (bus/wire/compare.h) */
    CONTROL_SHOWN = 8,         /* of a node: the keys of one bucket */
    CONTROL_BACKUP = 9,        /* of a node: a piece of its state (bus/wire/backup.h) */
    CONTROL_ACCEPT_CLOCK = 10, /* of a node: it takes in who is too far ahead; moved ms, or nil */
    CONTROL_FILES = 11,        /* of a node: how its files read (bus/wire/files.h) */
} control_command_t;

enum { CONTROL_COMMAND_LAST = CONTROL_FILES };

/* Who decides on a status from now on. */
typedef enum control_mode {
    CONTROL_MODE_KEEP = 0, /* as it is; with a status: manual */
    CONTROL_MODE_MANUAL = 1,
    CONTROL_MODE_AUTO = 2, /* as the node was started: by load or by chance */
} control_mode_t;

typedef struct control_request {
    uint64_t request; /* echoed */
    control_command_t command;
    bool has_status;
    replica_status_t status;
    control_mode_t mode;
    uint32_t timeout_ms; /* how long to wait for confirmations */
    uint16_t id;         /* of the member to be forgotten, or whose clock is accepted */
    slice_t key;         /* of KEY */
    compare_at_t at;     /* of DIGESTS and SHOWN */
    backup_at_t piece;   /* of BACKUP; its part alone, a files_ask_t, of FILES */
} control_request_t;

void control_request_put(buf_t *out, const control_request_t *request);
bool control_request_read(slice_t message, control_request_t *out);

typedef struct control_reply {
    uint64_t request;
    outcome_t outcome;
    slice_t text;     /* a line for people when outcome is not OK */
    slice_t document; /* one msgpack value, or empty */
} control_reply_t;

void control_reply_put(buf_t *out, const control_reply_t *reply);
bool control_reply_read(slice_t message, control_reply_t *out);

/* ---- documents ---- */

/* A counter by its name. */
typedef struct control_count {
    slice_t name;
    uint64_t value;
} control_count_t;

/* Another node as a node or a broker sees it. */
typedef struct control_peer {
    uint16_t id;
    uint64_t incarnation; /* 0: never reached */
    slice_t host;
    uint16_t port; /* the first of its block */
    bool is_connected;
    replica_status_t status;
    uint64_t sessions; /* of a broker at it; 0 from a node */
    slice_t vector;    /* what it is known to have, a msgpack vector */
} control_peer_t;

/* A member as a node knows it. */
typedef struct control_member {
    uint16_t id;
    uint64_t incarnation;
    uint8_t state; /* peer_member_state_t */
    bool is_connected;
    int64_t silent_ms; /* since it was heard last; -1: connected, or not heard by this node yet */
} control_member_t;

/* A node that another one does not take in, since its clock is too far ahead. */
typedef struct control_refused {
    uint16_t id;
    uint64_t incarnation;
    int64_t ahead_ms;
} control_refused_t;

/* Each appends one item; the items are then given to the document's writer as its bytes. */
void control_count_put(buf_t *out, const char *name, uint64_t value);
void control_peer_put(buf_t *out, const control_peer_t *peer, const vec_t *vector);
void control_member_put(buf_t *out, const control_member_t *member);
void control_refused_put(buf_t *out, const control_refused_t *refused);

/* The next item of any of the lists, opened with mp_open; false at its end. */
bool control_count_next(mp_t *in, control_count_t *out);
bool control_peer_next(mp_t *in, control_peer_t *out);
bool control_member_next(mp_t *in, control_member_t *out);
bool control_refused_next(mp_t *in, control_refused_t *out);

/* A vector of a document, checked when that was read, into *out. */
void control_vector(slice_t bytes, vec_t *out);

/* The count of that name in counts_at; 0 when there is none. */
uint64_t control_count_of(slice_t counts_at, const char *name);

/* False when there is none of that name: an older program does not count it. */
bool control_has_count(slice_t counts_at, const char *name);

typedef struct control_node {
    uint16_t id;
    uint64_t incarnation;
    uint64_t lineage; /* 0: no update yet */
    bool is_ready;
    replica_status_t status;
    slice_t mode;
    slice_t host;
    uint16_t port; /* the first of its block */
    hlc_t clock;
    int64_t age_ms;
    slice_t vector; /* value timestamp, a msgpack vector */
    uint64_t keys;
    uint64_t sessions;
    uint64_t brokers; /* connected */
    uint64_t waiting; /* requests that wait for what their session has seen */
    uint64_t held;    /* updates held back */
    slice_t version;
    uint64_t pid;
    uint32_t counts;
    slice_t counts_at;
    uint32_t peers;
    slice_t peers_at;
    uint64_t log_bytes;
    bool is_joining;       /* takes over the state of another node */
    slice_t read_only;     /* why no updates are taken; empty: they are */
    int32_t held_back_by;  /* the member that forgetting waits for, -1: none */
    int64_t horizon_ms;    /* how long ago what is forgotten now was written; -1: nothing is */
    uint64_t memory_bytes; /* of the heap, in use */
    uint32_t members;
    slice_t members_at;
    uint32_t refused;
    slice_t refused_at;
} control_node_t;

typedef struct control_broker {
    uint64_t incarnation;
    slice_t host;
    uint16_t port; /* the first of its block */
    int64_t age_ms;
    uint64_t clients;
    uint64_t sessions;
    uint64_t in_flight; /* bytes that were forwarded and not answered yet */
    slice_t version;
    uint64_t pid;
    uint32_t counts;
    slice_t counts_at;
    uint32_t replicas;
    slice_t replicas_at; /* read with control_peer_next */
} control_broker_t;

typedef enum control_kind {
    CONTROL_NOBODY = 0, /* none of ours */
    CONTROL_NODE = 1,
    CONTROL_BROKER = 2,
} control_kind_t;

/* Whose document it is. */
control_kind_t control_kind(slice_t document);

/* Reads of which kind a program is; fails for NOBODY and what is none. */
control_kind_t control_program(mp_t *in);

void control_node_put(buf_t *out, const control_node_t *node, const vec_t *vector);
bool control_node_read(slice_t document, control_node_t *out);
void control_broker_put(buf_t *out, const control_broker_t *broker);
bool control_broker_read(slice_t document, control_broker_t *out);

#endif
