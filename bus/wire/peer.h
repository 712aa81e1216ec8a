/*
 * What replicas say to one another (docs/protocol.md, "Between replicas").
 *
 * Over DEALER/ROUTER: HELLO and WELCOME, PING and PONG, PULL and RECORDS, ACK, JOIN and STATE. Over
 * PUB/SUB: BATCH as updates are accepted, ROUND each gossip interval, and JOINED, the welcome of an
 * XPUB. Each
 * message is 8 bytes of preamble ("HP", version, kind, 4 bytes of 0) and a msgpack array.
 *
 * Decoded structs borrow from the message.
 */
#ifndef HEARSAY_BUS_WIRE_PEER_H
#define HEARSAY_BUS_WIRE_PEER_H

#include "bus/base/hlc.h"
#include "bus/wire/mp.h"

enum {
    PEER_PREAMBLE_SIZE = 8,
    PEER_VERSION = 1,
    PEER_HOST_MAX = 255,           /* bytes of a host name or address */
    PEER_NEIGHBOURS_MAX = 256,     /* peers named in a HELLO */
    PEER_BATCH_TARGET = 64 * 1024, /* greater batches are split, greater records only announced */
    PEER_RECORDS_TARGET = 256 * 1024, /* bytes of log read for one RECORDS */
    PEER_ACKERS_MAX = 16,             /* named in a batch */
    PEER_RECORDS_MAX = 65536,         /* records in one message */
    PEER_MEMBERS_MAX = 256,           /* rows of members in one message */
    PEER_IS_JOINING = 0x80,           /* in a status: it is about to take over another's state */
    PEER_IS_WRITING = 0x40,           /* with that: it has it, but not on its disk yet */
    PEER_STATE_TARGET = 256 * 1024,   /* bytes of rows in one STATE */
};

typedef enum peer_kind {
    PEER_HELLO = 1,
    PEER_WELCOME = 2,
    PEER_REFUSED = 3,
    PEER_PING = 4,
    PEER_PONG = 5,
    PEER_PULL = 6,
    PEER_RECORDS = 7,
    PEER_BATCH = 8,
    PEER_ROUND = 9,
    PEER_JOINED = 10,
    PEER_ACK = 11,
    PEER_JOIN = 12,
    PEER_STATE = 13,
} peer_kind_t;

/* Where a node can be reached: host is text, port its peer port, the first of its block. */
typedef struct peer_address {
    slice_t host;
    uint16_t port;
} peer_address_t;

/* Whether a node's updates are still reckoned with. */
typedef enum peer_member_state {
    MEMBER_IN = 1,
    MEMBER_LEFT_BEHIND = 2, /* the log that it lacks is gone: it comes back by JOIN */
    MEMBER_FORGOTTEN = 3,   /* by people */
} peer_member_state_t;

/* A row of the members: of one id the row with the greatest stamp holds. */
typedef struct peer_member {
    uint16_t id;
    uint64_t incarnation;
    hlc_t stamp; /* when it was changed */
    uint8_t state;
} peer_member_t;

/* HELLO, and WELCOME with the same fields in answer. */
typedef struct peer_hello {
    uint64_t cluster;
    uint64_t lineage;      /* the data's, or what a node without data proposes */
    bool lineage_is_fixed; /* false: no update accepted yet, the lesser proposal is taken */
    uint16_t id;
    uint64_t incarnation;
    int64_t age_ms; /* since its start: of two nodes with one id the older one stays */
    uint8_t status; /* replica_status_t, with the two above; so in PING, PONG and ROUND */
    hlc_t clock;
    slice_t vector;         /* value timestamp */
    peer_address_t address; /* host empty: as the receiver sees it */
    uint32_t neighbours;    /* peers it knows: this many follow */
    slice_t neighbours_at;  /* read with peer_neighbour_read */
    uint64_t machine;       /* nodes of one machine have the same; 0: unknown */
    hlc_t floor;            /* updates with a tag at or under it are not accepted any more */
    bool has_gap;           /* WELCOME: what the HELLO lacks is in the log no more */
    slice_t members;        /* read with peer_members_read */
    slice_t ended;          /* final counts, which the vector leaves out; see peer_vector_read */
} peer_hello_t;

typedef struct peer_neighbour {
    uint16_t id;
    uint64_t incarnation;
    peer_address_t address;
} peer_neighbour_t;

/* REFUSED answers a HELLO: why, in a line for people. */
typedef struct peer_refused {
    uint64_t incarnation; /* who refuses */
    bool id_taken;        /* an older node has the id: the one refused stops */
    slice_t text;
} peer_refused_t;

/* PULL: "send what your log has and this vector does not cover, in log order". */
typedef struct peer_pull {
    uint64_t request;     /* echoed */
    uint64_t incarnation; /* who asks */
    slice_t have;         /* what was received without gap, a msgpack vector */
    uint64_t position;    /* of the log, from the last RECORDS; 0: find the place */
    slice_t ended;        /* as in HELLO */
} peer_pull_t;

typedef struct peer_records {
    uint64_t request;
    uint64_t next;  /* position to go on from */
    bool end;       /* nothing behind it for now */
    bool has_gap;   /* some of what is lacking is in this log no more; there are no records then */
    slice_t vector; /* the sender's value timestamp */
    uint32_t count;
    slice_t records; /* the records one behind the other; read with peer_record_next */
} peer_records_t;

typedef struct peer_batch {
    uint64_t cluster;
    uint64_t lineage;
    uint64_t origin; /* whose updates */
    uint64_t head;   /* its count after this batch: more than the records reach is to be pulled */
    uint32_t count;
    slice_t records;
    uint32_t ackers; /* how many of the following are to answer with ACK once they have head */
    uint64_t acker[PEER_ACKERS_MAX]; /* their incarnations */
} peer_batch_t;

typedef struct peer_round {
    uint64_t cluster;
    uint64_t lineage;
    bool lineage_is_fixed;
    uint16_t id;
    uint64_t incarnation;
    uint8_t status;
    hlc_t clock;
    slice_t vector;  /* value timestamp */
    slice_t synced;  /* the part of it that is on disk */
    hlc_t floor;     /* as on disk: counts once synced is covered */
    uint64_t view;   /* the members as the sender knew them when it had just that on disk */
    slice_t members; /* read with peer_members_read */
    slice_t ended;   /* as in HELLO, for both vectors */
} peer_round_t;

/* JOIN: "take me (back) in, and give me what you have": asked again for every part of it. */
typedef struct peer_join {
    uint16_t id;
    uint64_t incarnation;
    uint64_t transfer; /* which one, from STATE; 0: to begin */
    uint64_t part;     /* the part that is wanted, from 0 */
    slice_t vector;    /* what it has itself, to be handed in first */
    slice_t ended;     /* as in HELLO */
    bool has_left;     /* it was no member, and may be one again by now: that does not count */
} peer_join_t;

typedef struct peer_state_part {
    uint64_t transfer; /* 0: not yet, ask again */
    uint64_t part;
    bool is_last;
    slice_t rows; /* of the replica's state, one behind the other */
} peer_state_part_t;

/* The kind of a message; 0 when it is none of ours or of another version. */
peer_kind_t peer_kind(slice_t message);

/* Each writer appends a whole message. */
void peer_hello_put(buf_t *out, peer_kind_t kind, const peer_hello_t *hello, const vec_t *vector,
                    const peer_neighbour_t *neighbours);
void peer_refused_put(buf_t *out, const peer_refused_t *refused);
void peer_ping_put(buf_t *out, peer_kind_t kind, uint64_t incarnation, uint8_t status);
void peer_pull_put(buf_t *out, const peer_pull_t *pull, const vec_t *have);
void peer_records_put(buf_t *out, const peer_records_t *records, const vec_t *vector);
void peer_batch_put(buf_t *out, const peer_batch_t *batch);
void peer_round_put(buf_t *out, const peer_round_t *round, const vec_t *vector,
                    const vec_t *synced);
void peer_joined_put(buf_t *out, uint64_t cluster, uint64_t incarnation);
/* vector: what the sender has applied and logged. */
void peer_ack_put(buf_t *out, uint64_t incarnation, const vec_t *vector);
void peer_join_put(buf_t *out, const peer_join_t *join, const vec_t *vector);
void peer_state_put(buf_t *out, const peer_state_part_t *state);

/* Appends rows as the members of a message; no bytes stand for no rows. */
void peer_members_put(buf_t *out, const peer_member_t *rows, uint32_t count);

/* Each reader takes a whole message of its kind; false when malformed. */
bool peer_hello_read(slice_t message, peer_hello_t *out);
bool peer_refused_read(slice_t message, peer_refused_t *out);
bool peer_ping_read(slice_t message, uint64_t *incarnation, uint8_t *status);
bool peer_pull_read(slice_t message, peer_pull_t *out);
bool peer_records_read(slice_t message, peer_records_t *out);
bool peer_batch_read(slice_t message, peer_batch_t *out);
bool peer_round_read(slice_t message, peer_round_t *out);
bool peer_joined_read(slice_t message, uint64_t *cluster, uint64_t *incarnation);
bool peer_ack_read(slice_t message, uint64_t *incarnation, slice_t *vector);

bool peer_join_read(slice_t message, peer_join_t *out);
bool peer_state_read(slice_t message, peer_state_part_t *out);

/* Into rows, of which there are PEER_MEMBERS_MAX; false when malformed. */
bool peer_members_read(slice_t members, peer_member_t *rows, uint32_t *count);
/*
 * Into out: a vector together with the final counts that it leaves out; ended may be empty, for
 * none. scratch is overwritten. False when malformed.
 */
bool peer_vector_read(slice_t vector, slice_t ended, vec_t *out, vec_t *scratch);
bool peer_neighbour_read(mp_t *in, peer_neighbour_t *out);
/* The next record of a batch or RECORDS, whole; false at the end or when malformed. */
bool peer_record_next(mp_t *in, slice_t *record);

#endif
