/*
 * A replica manager as a pure state machine: events and the time go in, effects come out.
 *
 * The gossip architecture of Coulouris et al. (Distributed Systems, 5th edition, section 18.4.1)
 * after Ladin, Liskov, Shrira, Ghemawat, Providing High Availability Using Lazy Replication, ACM
 * TOCS 10(4) 1992, section 3.1, with the rules of docs/consistency.md. The core owns the data, the
 * hold-back queue, the executed table, the timestamp table, the sessions and what is to be sent; it
 * has no socket, file or clock.
 *
 * A caller gives it events as they come (one call each), then calls replica_turn() and carries out
 * the effects in order. In that order the log entries of a turn come first, so that no reply and no
 * gossip leaves before the updates it speaks of are written. Bytes of effects are valid until the
 * next call of any function that takes a replica_t that is not const.
 *
 * Start: replica_new(), replica_restore() for each row of the checkpoint if there is one,
 * replica_restored(), replica_replay() for each entry of the log from there on, replica_start(),
 * then events. When a part of checkpoint or log was damaged: what is left as above, then
 * replica_set_damaged() and replica_salvage() before replica_start().
 */
#ifndef HEARSAY_REPLICA_CORE_REPLICA_H
#define HEARSAY_REPLICA_CORE_REPLICA_H

#include "bus/base/err.h"
#include "bus/base/hlc.h"
#include "bus/base/vector.h"
#include "bus/wire/peer.h"
#include "bus/wire/session.h"
#include "bus/wire/trace.h"
#include "replica/core/store.h"

typedef struct replica replica_t;

/* How the status is set: by people, by measured load, or by chance as in a classroom. */
typedef enum replica_mode {
    MODE_MANUAL = 0,
    MODE_AUTO_LOAD = 1,
    MODE_AUTO_RANDOM = 2,
} replica_mode_t;

const char *replica_mode_name(replica_mode_t mode);

typedef struct replica_config {
    uint64_t cluster;     /* beacon_cluster_tag() of its name */
    uint16_t id;          /* 0..255 */
    uint64_t incarnation; /* random, of this start */
    uint64_t seed;        /* for all other chance: lineage proposal, link keys, hash order */
    const char *host;     /* to be told to peers; "" : as they see us. Copied */
    uint16_t port;        /* peer port, the first of the block */
    int64_t gossip_interval_ms;
    int64_t max_drift_ms;
    int64_t retry_horizon_ms; /* an update is sent again for no longer than that */
    bool sync_always;         /* what is acknowledged survives a power cut of this machine */
    uint32_t value_max;       /* bytes */
    uint32_t ack;     /* replicas that should have an update before it is acknowledged, >= 1 */
    uint64_t machine; /* of this node; copies on other machines are preferred; 0: unknown */
    replica_status_t status;
    replica_mode_t mode;
    uint32_t random_ppm[3];    /* chance of each status for MODE_AUTO_RANDOM, sum 1,000,000 */
    uint64_t checkpoint_bytes; /* of log after which a checkpoint is due; 0: never */
    uint64_t log_max;  /* bytes; beyond them members out of reach are left behind; 0: none */
    int64_t settle_ms; /* after the start, for hearing of others; 0 in most tests */
    bool salvage;      /* damaged, and nobody to repair it: it goes on with what is left */
} replica_config_t;

/* Limits, all counted in replica_counts_t when they bite. */
enum {
    REPLICA_PEERS_MAX = 64,
    REPLICA_PARTS_MAX = VEC_PARTS_MAX - REPLICA_PEERS_MAX, /* of the vector: then no new origin */
    REPLICA_LINKS_MAX = 256,                               /* brokers */
    REPLICA_SESSIONS_MAX = 100000,
    REPLICA_WAITING_MAX = 16384, /* requests that wait for what their session has seen */
    REPLICA_WAITING_BYTES_MAX = 64 * 1024 * 1024,
    REPLICA_HELD_BYTES_MAX = 64 * 1024 * 1024,
    REPLICA_HELD_REPLIES_MAX = 64 * 1024 * 1024, /* bytes of replies that wait for copies */
    REPLICA_WINDOW = 4 * 1024 * 1024,            /* bytes a client may have in flight */
    /* Bytes of one answer or one update: with what is around it, it fits a message of 20 MiB. */
    REPLICA_BODY_MAX = 18 * 1024 * 1024,
    REPLICA_HEARTBEAT_MS = 250,
    REPLICA_SILENCE_MS = 1000, /* after this a link or peer counts as lost */
    REPLICA_ACK_MS = 50,       /* an acknowledgement waits so long for copies, then says how many */
    REPLICA_HOLD_MS = 150,     /* a request waits so long here before the session should move */
};

/* ---- effects ---- */

typedef enum replica_effect_kind {
    REPLICA_APPEND,         /* bytes: log entries, to be written before any later effect */
    REPLICA_PUBLISH,        /* bytes: one PUB message */
    REPLICA_TO_SERVICE,     /* bytes to the broker of link, by the service ROUTER */
    REPLICA_TO_PEER_ROUTER, /* bytes to the peer of link, by the peer ROUTER */
    REPLICA_TO_PEER,        /* bytes to the peer of link, by our DEALER */
    REPLICA_READ,           /* read most bytes of log at position: replica_log_bytes() */
    REPLICA_CONNECT,        /* a DEALER to bytes (host) and port, and the SUB to its gossip port */
    REPLICA_DISCONNECT,     /* both away */
    REPLICA_NOTE,           /* bytes: a log line, key=value pairs behind the text */
    REPLICA_STOP,           /* bytes: why this node must end */
    /*
     * A checkpoint: BEGIN (link 1: of everything, the old rows are void), then ROWS of table link
     * (bytes: a run, state.h), then COMMIT once the log is on disk up to position, or ABORT. The
     * node answers COMMIT with replica_checkpoint_done, and a failure at any time.
     */
    REPLICA_CHECKPOINT_BEGIN,
    REPLICA_CHECKPOINT_ROWS,
    REPLICA_CHECKPOINT_COMMIT,
    REPLICA_CHECKPOINT_ABORT,
    REPLICA_SYNC,     /* something waits for the log to be on disk: whatever --sync says, soon */
    REPLICA_TRUNCATE, /* the log before position is needed no more */
    REPLICA_LOST,     /* bytes: text for the file lost+found */
} replica_effect_kind_t;

typedef enum replica_level { NOTE_ERROR, NOTE_WARN, NOTE_INFO, NOTE_DEBUG } replica_level_t;

typedef struct replica_effect {
    replica_effect_kind_t kind;
    replica_level_t level; /* of a note */
    uint16_t port;
    uint32_t link;
    uint32_t most;
    uint64_t request; /* to be given back with the bytes read */
    uint64_t position;
    size_t offset; /* into the arena */
    size_t size;
} replica_effect_t;

typedef struct replica_effects {
    const replica_effect_t *list;
    size_t size;
    const uint8_t *arena;
} replica_effects_t;

slice_t replica_effect_bytes(const replica_effects_t *effects, const replica_effect_t *effect);

/* ---- life ---- */

replica_t *replica_new(const replica_config_t *config);
void replica_destroy(replica_t **self);

/*
 * Takes one row of the last checkpoint back in, table after table. -1 with err when it makes no
 * sense.
 */
int replica_restore(replica_t *self, uint8_t table, slice_t key, slice_t value, err_t *err);

/*
 * All rows are there, and the log begins at log_begin. Returns the position that the checkpoint is
 * of: entries from there on are to be replayed.
 */
uint64_t replica_restored(replica_t *self, uint64_t log_begin);

/*
 * Takes one log entry back in (kind and payload as of seglog.h), before replica_start. -1 with err
 * for an entry that cannot be of this log.
 */
int replica_replay(replica_t *self, uint64_t position, uint8_t kind, slice_t payload, err_t *err);

/*
 * A part of the disk was damaged: the state is less than this node once said to have on disk, and
 * others have forgotten what they kept for it. So it comes back as one that was left behind: it
 * serves nothing before it has taken over the state of another.
 */
void replica_set_damaged(replica_t *self);

/*
 * A good entry of the log from behind the damage, as of replica_replay; after all of those, and
 * after replica_set_damaged. Updates that nobody else has are handed in as far as they follow from
 * what the others have; the rest goes to lost+found. Up to REPLICA_HELD_BYTES_MAX are kept.
 */
void replica_salvage(replica_t *self, uint8_t kind, slice_t payload);

/* From here on time runs. log_end: the position of the next entry. */
void replica_start(replica_t *self, now_t now, uint64_t log_end);

/* Ends the turn: what is to be done now, in order. */
replica_effects_t replica_turn(replica_t *self, now_t now);

/* When replica_tick() wants to be called next, in boot ms. */
int64_t replica_deadline(const replica_t *self);
void replica_tick(replica_t *self, now_t now);

/* True when requests are taken: settled, and no dispute about the id. */
bool replica_is_ready(const replica_t *self);

/* ---- events ---- */

/* A frame from a broker. link names the connection (the routing id). */
void replica_service(replica_t *self, now_t now, uint32_t link, slice_t frame);
/* A broker's connection is known to be gone. */
void replica_service_lost(replica_t *self, now_t now, uint32_t link);

/* A message at the peer ROUTER, at the DEALER of link, at the SUB. */
void replica_peer_router(replica_t *self, now_t now, uint32_t link, slice_t message);
void replica_peer(replica_t *self, now_t now, uint32_t link, slice_t message);
void replica_gossip(replica_t *self, now_t now, slice_t message);
/* The connection of a DEALER is known to be gone. */
void replica_peer_lost(replica_t *self, now_t now, uint32_t link);

/* A node may be there: by beacon (id and incarnation known) or by --peer (incarnation 0). */
void replica_candidate(replica_t *self, now_t now, uint16_t id, uint64_t incarnation, slice_t host,
                       uint16_t port);

/* What REPLICA_READ asked for; no bytes when the log ends there or could not be read. */
void replica_log_bytes(replica_t *self, now_t now, uint32_t link, uint64_t request,
                       uint64_t position, slice_t bytes);

/*
 * What REPLICA_READ asked for is damaged on the disk. The state has it all: from now on the log
 * begins behind the damage, who asked takes it from another or takes over the state, and the next
 * checkpoint makes the damaged part void.
 */
void replica_log_damaged(replica_t *self, now_t now, uint32_t link, uint64_t request,
                         uint64_t position);

/*
 * Damage was found in the files of this node, log or checkpoint or both, while it runs. The state
 * has it all: from now on the log begins with what comes next, as after replica_log_damaged, and
 * the next checkpoint, due at once, makes what was before void. A damaged checkpoint is not
 * changed: that which is being written ends, and the next is of everything.
 */
void replica_files_damaged(replica_t *self, now_t now, bool is_log, bool is_checkpoint);

/* People set the status (mode manual), or manual or auto alone with the status as it is. */
void replica_set_status(replica_t *self, now_t now, replica_status_t status, replica_mode_t mode);

/* The node is about to end: it drains, unless it is offline, and no mode changes that any more. */
void replica_drain(replica_t *self, now_t now);

/*
 * True when this node could end and nobody would notice: it serves no more, every broker knows, no
 * session is left, and what it has is at another node too, if one is there.
 */
bool replica_is_drained(const replica_t *self);

/* Everything before this position of the log survives a power cut. */
void replica_synced(replica_t *self, now_t now, uint64_t position);

/*
 * Until the next turn the node takes about so many bytes of rows for a checkpoint. At 0 none is
 * begun.
 */
void replica_checkpoint_room(replica_t *self, now_t now, size_t bytes);

/* The checkpoint that was committed is durable, or it has failed, at whatever stage, and why. */
void replica_checkpoint_done(replica_t *self, now_t now, bool is_good, slice_t why);

/*
 * A member is not coming back: from now on nothing waits for it. Returns -1 with err when there is
 * no such member, or it is this node.
 */
int replica_forget(replica_t *self, now_t now, uint16_t id, err_t *err);

/*
 * A node of this id is refused, since its clock is too far ahead: it is to be taken in all the
 * same. Our clock is raised to its own, for good: deadlines pass as much earlier, and to nodes that
 * did not do the same we are ahead. Returns 1, with by how much in *moved_ms; 0 when no such node
 * was refused of late; -1 with err when that cannot be written down.
 */
int replica_accept_clock(replica_t *self, now_t now, uint16_t id, int64_t *moved_ms, err_t *err);

/*
 * why (a line, copied): from now on as little as can be goes to the log, since the disk is or will
 * be full, or fails; NULL: it is well again. Until then updates are refused with that text, records
 * of other nodes are not taken (they keep them for us), and reads go on.
 */
void replica_set_read_only(replica_t *self, now_t now, const char *why);

/*
 * True: memory is short; from now on updates are refused with FULL, but for those that take
 * something away. Records of other nodes are still taken: replicas must become equal.
 */
void replica_set_full(replica_t *self, bool is_full);

/*
 * The load of the last second, for MODE_AUTO_LOAD: the share of the time, in thousandths, in which
 * the loop had something to do, and how long it was away from its sockets at most. Busy without
 * requests and updates means that others kept us from the processor: that is no load of ours.
 */
void replica_load(replica_t *self, uint32_t busy_permille, int64_t lag_ms);

/* ---- looking at it ---- */

/*
 * Is told what becomes of requests and updates as it happens, inside the calls above; the item is
 * borrowed for the call. fn NULL, as at first: nobody is, which costs nothing.
 */
typedef void replica_trace_fn(void *arg, const trace_item_t *item);
void replica_set_trace(replica_t *self, replica_trace_fn *fn, void *arg);

typedef struct replica_counts {
    uint64_t requests;
    uint64_t reads;
    uint64_t updates; /* accepted here */
    uint64_t applied; /* records, own and others' */
    uint64_t retries; /* answered from the executed table */
    uint64_t retagged;
    uint64_t early_floors; /* of other nodes, heard before the updates that they follow from */
    uint64_t late_counts;  /* final counts that another node had settled before */
    uint64_t waited;       /* requests that had to wait for their token */
    uint64_t behind;       /* turned back after waiting */
    uint64_t missing;      /* failed after waiting */
    uint64_t busy;         /* turned back because a limit was reached */
    uint64_t moved;
    /*
     * Operations of other nodes' updates that lost (store.h) to one that this node had accepted
     * since its start, as they came: neither was issued with knowledge of the other. A conflict is
     * counted there alone, not where the loser was accepted and not by third nodes; of three or
     * more each pair counts of which the winner was there when the loser came. A second copy of an
     * update that lost does not count, nor does what is replayed or taken over as a state, nor what
     * lost to an update from before a restart. A winner that was sent again and accepted by two
     * nodes may count at both.
     */
    uint64_t conflicts;
    uint64_t duplicates;   /* records received again */
    uint64_t held;         /* records that had to be held back */
    uint64_t held_refused; /* dropped for want of room, to be pulled again */
    uint64_t pulls;        /* asked */
    uint64_t pulls_served;
    uint64_t published; /* batches */
    uint64_t rounds;
    uint64_t checkpoints;
    uint64_t transfers;     /* states adopted from others */
    uint64_t donated;       /* states given to others */
    uint64_t lost;          /* records handed in that do not count */
    uint64_t salvaged;      /* records found behind damage and handed in */
    uint64_t repairs;       /* 1: the disk was damaged, and the state of another was taken over */
    uint64_t damaged_reads; /* of the log; it begins behind them now */
    uint64_t too_old;       /* updates that came again after their time */
    uint64_t forgotten;     /* clients of the executed table */
    uint64_t outgrown;      /* updates refused, since a key would have become too great */
    uint64_t acks_late;     /* acknowledgements that did not get the copies they waited for */
    uint64_t malformed;     /* messages refused */
    uint64_t foreign;       /* of another cluster or lineage */
} replica_counts_t;

typedef struct replica_info {
    uint16_t id;
    uint64_t incarnation;
    uint64_t lineage; /* 0: no update yet */
    replica_status_t status;
    replica_mode_t mode;
    hlc_t clock;
    const vec_t *vector; /* value timestamp, borrowed */
    hlc_t horizon;       /* no update with a tag at or under it can come any more */
    hlc_t floor;         /* none with a tag at or under it is accepted here */
    uint64_t log_bytes;
    bool is_full;          /* as set by replica_set_full */
    const char *read_only; /* why no updates are taken, borrowed; NULL: they are */
    bool is_joining;       /* takes over the state of another node, and serves nothing until then */
    bool is_damaged;       /* because a part of its own was damaged */
    size_t unstable;       /* keys with something to forget one day */
    uint32_t members;
    uint32_t ended;        /* incarnations that are over and need not be named any more */
    int32_t holds_back;    /* the id of the member that holds forgetting back, -1: nobody */
    uint64_t received_lag; /* records received and not applied */
    size_t keys;
    size_t entries; /* keys there is something to remember of, shown or not */
    size_t sessions;
    size_t links;
    size_t waiting;
    size_t executed;
    uint32_t load_permille; /* of what it can bear, over the last seconds */
    int64_t age_ms;
    const replica_counts_t *counts;
} replica_info_t;

typedef struct replica_peer_info {
    uint16_t id;
    uint64_t incarnation; /* 0: not reached yet */
    const char *host;
    uint16_t port;
    bool is_connected;
    replica_status_t status;
    const vec_t *vector; /* of the timestamp table, borrowed */
} replica_peer_info_t;

/* A member, as the rows have it; forgotten ones as well. */
typedef struct replica_member_info {
    uint16_t id;
    uint64_t incarnation; /* the last one that is known */
    peer_member_state_t state;
    bool is_connected; /* true for ourselves */
    int64_t silent_ms; /* since it was last heard; -1: not since our start, or it is connected */
} replica_member_info_t;

/* A node that is not taken in, since its clock is too far ahead. */
typedef struct replica_refused_info {
    uint16_t id;
    uint64_t incarnation;
    int64_t ahead_ms; /* of ours */
} replica_refused_info_t;

replica_info_t replica_info(const replica_t *self, now_t now);
/* The i-th peer; false behind the last. */
bool replica_peer_info(const replica_t *self, size_t i, replica_peer_info_t *out);

/* The i-th member, by id; false behind the last. */
bool replica_member_info(const replica_t *self, now_t now, size_t i, replica_member_info_t *out);

/* The i-th node that is refused now, of at most REPLICA_PEERS_MAX; false behind the last. */
bool replica_refused_info(const replica_t *self, now_t now, size_t i, replica_refused_info_t *out);

/* A key as it is here. */
typedef struct replica_key_info {
    const char *type;          /* static */
    uint64_t size;             /* bytes of a register; fields or elements */
    hlc_t deadline;            /* 0: none */
    hlc_t tag;                 /* greatest of what makes it as it shows, 0: none */
    const vec_t *dots;         /* updates that do, borrowed until the next call */
    uint64_t updates_waiting;  /* held back */
    uint64_t requests_waiting; /* for what their session has seen */
} replica_key_info_t;

void replica_key_info(replica_t *self, now_t now, slice_t key, replica_key_info_t *out);

/* True when every connected broker has confirmed the present status. */
bool replica_status_is_confirmed(const replica_t *self);

/* Of what the store shows when deadlines up to clock have passed. */
uint64_t replica_digest(replica_t *self, hlc_t clock);

/* ---- backups ---- */

/* A part of the state as of one moment. */
typedef struct replica_part {
    uint64_t transfer;
    uint64_t part;
    bool is_last;
    slice_t rows; /* as in STATE (docs/protocol.md), borrowed until the next call of any function */
} replica_part_t;

/*
 * A backup is the whole state as of its beginning but for the executed table: transfer 0 begins one
 * and gives part 0; then, with its number, the present part again or the next. One that is not
 * asked for in 10 s is given up, and one that was under way when another begins. -1 with err:
 * MISSING when there is no data, BUSY when the state is read for something else or taken over, LOST
 * when it was given up.
 */
int replica_backup(replica_t *self, now_t now, uint64_t transfer, uint64_t part,
                   replica_part_t *out, err_t *err);

/* ---- comparing with others ---- */

/*
 * Digests of buckets from the first on, of what they show when deadlines up to clock have passed;
 * see store_digests.
 */
uint32_t replica_digests(const replica_t *self, unsigned bits, uint32_t first, size_t most,
                         hlc_t clock, uint64_t *sums, uint32_t size);

/* The keys of one bucket likewise, one call of fn each until it is enough; see store_each_shown. */
void replica_each_shown(const replica_t *self, unsigned bits, uint32_t bucket, hlc_t clock,
                        store_shown_fn *fn, void *arg);

#endif
