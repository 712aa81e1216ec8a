/*
 * What the files of the replica core share: the state and the few functions between them. Included
 * by replica.c, gossip.c, stability.c, drift.c, recovery.c, transfer.c, intake.c, session.c,
 * commands.c, conflict.c, trace.c and inspect.c only.
 */
#ifndef HEARSAY_REPLICA_CORE_INTERNAL_H
#define HEARSAY_REPLICA_CORE_INTERNAL_H

#include "bus/base/hashed.h"
#include "bus/base/memory.h"
#include "bus/base/random.h"
#include "bus/wire/frame.h"
#include "replica/core/executed.h"
#include "replica/core/holdback.h"
#include "replica/core/logindex.h"
#include "replica/core/members.h"
#include "replica/core/replica.h"
#include "replica/core/seglog.h"
#include "replica/core/state.h"
#include "replica/core/store.h"

/* ---- peers ---- */

typedef enum peer_state {
    PEER_IDLE,    /* to be tried at retry_ms */
    PEER_GREETED, /* connected as far as we know, HELLO sent */
    PEER_READY,   /* it answered */
} peer_state_t;

typedef struct peer {
    peer_state_t state;
    uint32_t link; /* of our DEALER, while not idle */
    uint16_t id;
    uint64_t incarnation; /* 0: a --peer not reached yet */
    bool is_static;       /* named by --peer: tried for ever */
    char host[PEER_HOST_MAX + 1];
    uint16_t port;
    uint8_t status;
    vec_t vector; /* timestamp table: its value timestamp as last heard */
    int64_t heard_ms;
    int64_t answered_ms; /* heard last before it was lost, 0: not lost since our start */
    int64_t pinged_ms;
    int64_t seen_ms; /* named by a beacon or a peer */
    int64_t retry_ms;
    int64_t retry_step_ms;
    uint64_t machine;
    uint64_t owed;        /* its count that it wants to hear of when we have it */
    uint64_t told;        /* its count that it knows we have */
    int64_t pull_ms;      /* pull no earlier, if it has what we lack */
    int64_t gap_until_ms; /* its log lacks what we lack; asked again after that */
    bool is_joining;
    bool is_writing; /* what it has taken over, and goes on with as soon as that is on its disk */
    int64_t hands_in_since_ms;
    bool has_left;             /* what it hands in does not count */
    int64_t hands_in_until_ms; /* it has left, and is to be pulled from before it comes back */
    bool must_pull;            /* ask it whatever we know of its vector */
} peer_t;

/* Our pull under way; one at a time keeps the same records from coming twice. */
typedef struct pull {
    bool is_open;
    uint32_t link;
    uint64_t request;
    uint64_t position;
    int64_t since_ms;
} pull_t;

/* A peer's pull that we serve: what it has, until the log was read. */
typedef struct served {
    uint32_t link;
    uint64_t request;
    vec_t have;
} served_t;

enum { SERVED_MAX = REPLICA_PEERS_MAX };

/* ---- clocks ---- */

/* A node that was not taken in, since its clock is too far ahead; of each id the last one. */
typedef struct refused_clock {
    uint16_t id;
    uint64_t incarnation;
    hlc_t clock;
    int64_t said_ms; /* boot time */
} refused_clock_t;

/* ---- forgetting ---- */

/* A state of the log that is on its way to the disk; when it is there, it is what we say. */
typedef struct sync_mark {
    bool is_open;
    int64_t since_ms;
    uint64_t position;
    vec_t vector;
    hlc_t floor;
    uint64_t view; /* members_view */
} sync_mark_t;

/* ---- checkpoints ---- */

/* Bytes copied for a snapshot because updates came faster than its rows go: more, and it ends. */
enum { SNAPSHOT_EARLY_MAX = 64 * 1024 * 1024 };

typedef enum checkpointing_state {
    CHECKPOINTING_IDLE,
    CHECKPOINTING_ROWS,
    CHECKPOINTING_COMMIT,
} checkpointing_state_t;

typedef struct checkpointing {
    checkpointing_state_t state;
    bool is_wanted;
    bool must_be_whole;
    uint64_t position;      /* of the last one */
    uint64_t next_position; /* of the one under way */
    int64_t began_ms;
    int64_t again_ms;
    size_t room; /* bytes of rows that the node takes in this turn */
} checkpointing_t;

/* Where rows go when they come back. */
typedef struct recovery_target {
    store_t *store;
    executed_t *executed;
    logindex_t *index; /* NULL: of another replica, not wanted */
    state_meta_t *meta;
} recovery_target_t;

/* ---- taking over a state ---- */

typedef enum joining_state {
    JOINING_NOT,
    JOINING_WANTED,  /* no donor yet */
    JOINING_TAKING,  /* parts are coming */
    JOINING_WRITING, /* taken over, not on disk yet */
} joining_state_t;

typedef struct joining {
    joining_state_t state;
    uint64_t donor; /* incarnation */
    uint16_t donor_id;
    uint64_t transfer;
    uint64_t part; /* wanted next */
    int64_t asked_ms;
    int64_t since_ms;         /* without progress */
    int64_t wanted_ms;        /* when it began */
    uint64_t position;        /* of the log: it says that we are joining */
    seglog_joining_t logged;  /* the last of them in the log, or the next */
    bool is_unlogged;         /* nothing may go to the log now */
    bool has_left;            /* that is why, and others do not count what we hand in */
    bool is_short;            /* what the donor lacks of ours is in our log no more */
    bool knows_lineage;       /* from our own disk */
    bool has_said_waiting;    /* for a donor */
    int64_t salvage_until_ms; /* records from behind damage are handed in so long; 0: not yet */
    store_t *store;
    executed_t *executed;
    state_meta_t meta;
    buf_t members;
} joining_t;

typedef struct donating {
    bool is_open;
    uint64_t joiner; /* incarnation; 0: a backup */
    uint64_t transfer;
    uint64_t part; /* given last */
    bool is_last;
    buf_t rows; /* of that part */
    int64_t used_ms;
} donating_t;

/* ---- conflicts ---- */

enum { CONFLICT_KEY_SHOWN = 48 }; /* bytes of it that are told */

/* Those that were counted and not told yet, and what the last one was. */
typedef struct conflicts {
    uint64_t untold;
    int64_t tell_ms; /* no earlier */
    uint64_t origin; /* incarnation that accepted what lost */
    uint8_t code;    /* of the operation */
    size_t key_size; /* may be more than there is of it */
    uint8_t key[CONFLICT_KEY_SHOWN];
} conflicts_t;

/* ---- sessions ---- */

typedef struct link link_t;
typedef struct conn conn_t;
typedef struct session session_t;
typedef struct waiting waiting_t;

typedef struct replica_turn_state {
    buf_t log; /* entries of this turn */
    buf_t own; /* records accepted here in this turn, to be published */
    uint32_t own_count;
    uint64_t own_head; /* count after them */
    bool own_skipped;  /* one was too great to publish */
    bool has_applied;  /* waiting requests are to be looked at again */
} replica_turn_state_t;

struct replica {
    replica_config_t config;
    char host[PEER_HOST_MAX + 1];
    random_t random;
    uint64_t lineage;
    bool lineage_is_fixed;
    bool is_started;
    bool is_settled; /* requests are taken */
    bool is_stopping;
    int64_t started_ms;
    int64_t ready_ms;
    now_t now;
    hlc_t clock;
    int64_t clock_boot_ms; /* when clock was set */
    int64_t lead_ms;       /* so far over wall time a clock was accepted by people, 0: none was */
    refused_clock_t refused[REPLICA_PEERS_MAX];
    size_t refused_size;

    replica_status_t status;
    replica_mode_t mode;
    uint64_t serial;
    uint32_t load_permille; /* of what it can bear; the last seconds count, the last one most */
    uint64_t load_done;     /* requests and updates when it was measured last */
    uint32_t calm_rounds;

    store_t *store;
    executed_t *executed;
    vec_t applied;      /* the value timestamp */
    uint64_t log_begin; /* positions before it are gone */
    uint64_t log_end;
    bool is_cut_off;       /* half of the members or more are out of reach */
    int64_t held_since_ms; /* something was held back all the time since; 0: nothing is */
    bool has_said_held;
    int64_t lag_since_ms; /* the horizon has not moved since, though there is something to forget */
    bool has_said_lag;
    int64_t clock_note_ms; /* when the next one may be said */
    conflicts_t conflicts;
    vec_t dropped; /* records that are gone from the log */
    vec_t ended;   /* final counts: parts of applied that every member has, of no node that is up */
    buf_t ended_bytes; /* as they go into messages and the log */
    vec_t wire;        /* scratch: a vector without them */
    vec_t named;       /* in deps of our own updates so far */
    lost_t lost;
    vec_t left; /* who has left the members, as parts for tokens */
    uint64_t left_serial;
    bool log_is_full;
    bool is_full;                  /* memory is short */
    bool is_read_only;             /* nothing may go to the log */
    char read_only[ERR_TEXT_SIZE]; /* why */
    bool has_unlogged_lineage;     /* fixed meanwhile */
    bool has_unlogged_members;     /* they changed meanwhile */
    checkpointing_t checkpoint;
    joining_t joining;
    donating_t donating;
    bool is_forgotten;     /* by people, while it was up */
    bool was_damaged;      /* as the log says: it ends in the middle of a repair */
    bool is_damaged;       /* the state is less than what we once had on disk */
    holdback_t *salvaged;  /* records from behind the damage; NULL: none */
    bool is_salvage_short; /* there was no room for all */
    uint64_t void_before;  /* the log before it is to go with the next checkpoint */
    uint64_t synced_to;    /* position */
    members_t *members;
    buf_t member_rows;      /* as they go into messages and the log */
    hlc_t floor;            /* no update with a tag at or under it is accepted */
    hlc_t logged_floor;     /* the same, as the log has it: it must outlive a restart */
    hlc_t said_floor;       /* the same, as on disk and told to others */
    uint64_t said_view;     /* the members when that was so */
    vec_t synced;           /* what of applied is on disk, as told to others */
    sync_mark_t round_mark; /* becomes the two above */
    vec_t durable;          /* with sync_always: what of applied is on disk, newer than synced */
    sync_mark_t durable_mark;
    hlc_t horizon;
    vec_t known;      /* what every member has on disk */
    size_t fold_left; /* entries to look at since the horizon moved */
    int64_t reckon_ms;
    bool must_reckon;
    bool must_forget; /* of the executed table */
    logindex_t *index;
    holdback_t *holdback;

    peer_t *peers;
    size_t peers_size;
    uint32_t next_link;
    pull_t pull;
    int64_t blind_pull_ms;
    int64_t gap_since_ms; /* nobody's log has what we lack; INT64_MAX: not so */
    size_t blind_next;
    served_t served[SERVED_MAX];
    size_t served_size;
    size_t served_next;     /* the entry that makes room next */
    int64_t round_ms;       /* next periodic round */
    int64_t after_burst_ms; /* round that closes a burst, INT64_MAX: none due */

    link_t *links;
    session_t *sessions;
    session_t *waiters;  /* sessions with waiting requests */
    session_t *holders;  /* sessions with held replies */
    bool has_new_copies; /* held replies are to be looked at again */
    size_t held_bytes;
    buf_t reply;   /* scratch */
    conn_t *dirty; /* connections with replies to send */
    size_t waiting_count;
    size_t waiting_bytes;
    int64_t heartbeat_ms;

    /* scratch, so that a request allocates nothing */
    record_t record;
    vec_t vector;
    vec_t difference;
    seen_t seen;
    buf_t value;
    buf_t ops;
    buf_t encoded;
    slice_t *arguments;
    op_t *op_list;
    size_t op_count;

    replica_turn_state_t turn;
    replica_effect_t *effects;
    size_t effects_size;
    size_t effects_capacity;
    size_t effects_given; /* effects of the last turn, to be dropped at the next call */
    buf_t arena;
    replica_counts_t counts;
    replica_trace_fn *trace; /* NULL: nobody follows */
    void *trace_arg;
};

/* ---- replica.c ---- */

/* Every entry point begins so: the time, and the effects of the last turn are gone. */
void replica_enter(replica_t *self, now_t now);

/* Adds an effect whose bytes start at offset in the arena and end at its end. */
replica_effect_t *replica_emit(replica_t *self, replica_effect_kind_t kind, uint32_t link,
                               size_t offset);
__attribute__((format(printf, 3, 4))) void replica_note(replica_t *self, replica_level_t level,
                                                        const char *format, ...);
__attribute__((format(printf, 2, 3))) void replica_stop(replica_t *self, const char *format, ...);

/* The clock now: max of wall time, the last value moved on by elapsed time, and all taken in. */
hlc_t replica_clock(replica_t *self);
/* What it is at another moment than that of the event at hand. */
hlc_t replica_clock_at(const replica_t *self, now_t now);
void replica_clock_raise(replica_t *self, hlc_t to);

/* Fixes the lineage and logs it. */
void replica_fix_lineage(replica_t *self, uint64_t lineage);

/* Appends an entry to the log of this turn. */
void replica_log(replica_t *self, uint8_t kind, slice_t payload);

/* Applies and logs a record (encoded as raw) that may be applied. */
void replica_apply(replica_t *self, const record_t *record, slice_t raw);

/* After a gossip round: the mode may set the status. */
void replica_auto_status(replica_t *self);

/* ---- gossip.c ---- */

void gossip_start(replica_t *self);
void gossip_tick(replica_t *self);
int64_t gossip_deadline(const replica_t *self);
/* At the end of a turn: publish, and pull if something is lacking. */
void gossip_turn(replica_t *self);
/* The status changed: say it, and catch up when back. */
void gossip_status(replica_t *self, replica_status_t before);
/* Asks each peer for what it has, now. */
void gossip_catch_up(replica_t *self);
/* Asks the peers for what sessions wait for, now. */
void gossip_pull_for_waiters(replica_t *self);
void gossip_free(replica_t *self);
bool gossip_id_is_disputed(const replica_t *self);
peer_t *gossip_peer(replica_t *self, uint64_t incarnation);
peer_t *gossip_peer_of_id(replica_t *self, uint16_t id);
/* True for a peer that is connected, not offline and a member. */
bool gossip_is_at_hand(const replica_t *self, const peer_t *peer);
/* The same, and it is not joining: it takes part in gossip. */
bool gossip_may_with(const replica_t *self, const peer_t *peer);
/* Greets who is not connected soon: that incarnation, and whoever was not reached yet. */
void gossip_greet_again(replica_t *self, uint64_t incarnation);
/* A round out of turn: the members have changed. */
void gossip_round_now(replica_t *self);
/* How many replicas are known to have an update applied and logged, ourselves included. */
uint16_t gossip_copies(const replica_t *self, vec_part_t dot);
/* How many an acknowledgement can wait for: --ack, or as many as answer. */
uint16_t gossip_copies_wanted(const replica_t *self);

/* True when nothing would be missing elsewhere if this node ended now, or nobody is there. */
bool gossip_has_handed_over(const replica_t *self);

/* What we say to have: applied, and with sync_always on disk. */
const vec_t *gossip_vector(const replica_t *self);

/* Not while our state is about to be that of another, nor before a start that takes one over. */
static inline bool keeps_its_state(const replica_t *self)
{
    return self->joining.state == JOINING_NOT && !self->is_forgotten;
}

/* ---- stability.c ---- */

void stability_new(replica_t *self);
void stability_free(replica_t *self);
void stability_start(replica_t *self);
void stability_tick(replica_t *self);
void stability_turn(replica_t *self);
int64_t stability_deadline(const replica_t *self);
/* A vector as it goes into a message: without final counts. Valid until the next call. */
const vec_t *stability_wire(replica_t *self, const vec_t *vector);
void stability_set_ended(replica_t *self, const vec_t *ended);
/* Takes final counts as others know them; false when malformed. */
bool stability_take_ended(replica_t *self, slice_t bytes);
/* An update of an incarnation that had a final count came after all. */
void stability_reopen(replica_t *self, uint64_t incarnation);
/* Before a round: what can be said of the disk in the next one. */
void stability_mark(replica_t *self);
/* The lineage is fixed from now on: who is a member goes into the log. */
void stability_log_members(replica_t *self);
/* Takes rows of members, encoded; false when malformed. */
bool stability_take_rows(replica_t *self, slice_t rows);
/* A node greets us: unless it has left, it is a member from now on. */
void stability_take_in(replica_t *self, uint16_t id, uint64_t incarnation);
/* A round of a member, whose rows were taken before. */
void stability_take_round(replica_t *self, const peer_round_t *round);
void stability_raise_floor(replica_t *self, hlc_t floor);

/* Marks the members out of reach as left behind; false when there is no majority, or nobody. */
bool stability_leave_behind(replica_t *self);
/*
 * All have been left behind, or forgotten, by one another: true when of those that are here we go
 * first (transfer_goes_first), so that we are a member again and the others take over our state.
 * Who was left behind must be here; who was forgotten may be gone for good.
 */
bool stability_go_on_alone(replica_t *self);
/*
 * We lost all we had, and there is no member but us: those that had left must not wait for us to
 * take them in.
 */
void stability_stand_back(replica_t *self);
/* All others that are members have left, as people say; who is there after all joins again. */
void stability_leave_others(replica_t *self);
/* Takes out of a token what it says of nodes; what of that is about this one the session keeps. */
void stability_take_token(const replica_t *self, session_t *session, vec_t *token);
/* True when the session knows that this node has left the members, and the node does not. */
bool stability_has_left(const replica_t *self, const session_t *session);
/* Drops what is held back, and what is being pulled or handed in: it comes again if it counts. */
void stability_drop_unsure(replica_t *self);
/* True when what we know of the members is on our disk. */
bool stability_is_on_disk(const replica_t *self);
/* True when every member knows who has left, and that counts here. */
bool stability_is_agreed(const replica_t *self);
/* A member that had left is one again. */
void stability_take_back(replica_t *self, uint16_t id, uint64_t incarnation);

/* ---- drift.c ---- */

/* True for a clock that nothing is to be taken from. */
bool drift_is_too_far(const replica_t *self, hlc_t clock);
/*
 * Whether a node that greets is not to be taken in, since its clock is too far ahead: its updates
 * would win over all of ours for as long as that is so. *why, of size bytes, says what to do. Both
 * sides go on serving.
 */
bool drift_refuses(replica_t *self, const peer_hello_t *hello, char *why, size_t size);
/* A node that was not refused is taken in. */
void drift_take_in(replica_t *self, const peer_hello_t *hello);
/* Writes the accepted lead down, if there is one. */
void drift_log(replica_t *self);

/* ---- recovery.c ---- */

void recovery_turn(replica_t *self);
int64_t recovery_deadline(const replica_t *self);
/* Drops what the log need not have any more. */
void recovery_consider_log(replica_t *self);
void recovery_want_checkpoint(replica_t *self, bool is_whole);
void recovery_abort_checkpoint(replica_t *self, const char *why);
/* What is in the log now is of no use to anybody; a checkpoint is to make it void. */
void recovery_void_log(replica_t *self);
void recovery_put_meta(replica_t *self, buf_t *run);
void recovery_put_executed(const replica_t *self, buf_t *run);
bool recovery_load(recovery_target_t *target, uint8_t table, slice_t key, slice_t value);
void recovery_take_meta(replica_t *self, const state_meta_t *meta);

/* ---- transfer.c ---- */

/* We cannot follow by the log: the state of another is to be taken over. */
void transfer_want(replica_t *self);
/* We have left, as others see it: what we have is to be handed in, and counts no more. */
void transfer_has_left(replica_t *self);
/*
 * Of two that both want to join, and nobody is there who could give them a state, the peer goes on
 * with its own: the one that has taken over a state and writes it, the one that has more, or, of
 * two that have as much, the one with the lesser id.
 */
bool transfer_goes_first(const replica_t *self, const peer_t *peer);
/*
 * Records from behind damage that a donor who has this much asked for: how many, into out (which is
 * reset).
 */
uint32_t transfer_put_salvaged(replica_t *self, const vec_t *have, buf_t *out);
/* The log may be written again. */
void transfer_log_again(replica_t *self);
/* Not before the next start: people have taken us out. */
void transfer_stop(replica_t *self);
void transfer_tick(replica_t *self);
int64_t transfer_deadline(const replica_t *self);
/* The checkpoint of what was taken over is durable. */
void transfer_is_on_disk(replica_t *self);
void transfer_take_join(replica_t *self, uint32_t link, slice_t message);
void transfer_take_state(replica_t *self, const peer_t *peer, slice_t message);
/*
 * A record as it is handed in; into out, without what it does, if that does not count any more.
 * Empty when that cannot be told yet.
 */
slice_t transfer_hand_in(replica_t *self, const peer_t *joiner, slice_t raw, buf_t *out);
void transfer_free(replica_t *self);

/* ---- session.c ---- */

void sessions_tick(replica_t *self);
int64_t sessions_deadline(const replica_t *self);
/* Looks at waiting requests again, then flushes replies. */
void sessions_turn(replica_t *self);
void sessions_push_status(replica_t *self);
/* It serves no more: what waits is turned back. */
void sessions_turn_back_all(replica_t *self);
void sessions_free(replica_t *self);

/* A broker's connection. */
struct link {
    uint32_t id;
    uint32_t key; /* given in WELCOME, to be named in each frame */
    uint64_t broker;
    uint64_t confirmed; /* serial of the status it confirmed last */
    int64_t heard_ms;
    conn_t *conns; /* by name */
    UT_hash_handle hh;
};

/* A client's connection to that broker: where replies are grouped. */
struct conn {
    link_t *link;
    uint64_t name; /* slot and generation */
    uint32_t slot;
    uint32_t generation;
    session_t *sessions;
    buf_t out; /* a REPLY under way: header, array head, items */
    uint16_t items;
    uint32_t answered; /* bytes of request items answered by it */
    bool is_dirty;
    conn_t *next_dirty;
    UT_hash_handle hh;
};

/* A reply that waits for copies of its update, or behind one that does. */
typedef struct held_reply held_reply_t;
struct held_reply {
    uint64_t n;        /* of our update; 0: it only keeps its place */
    uint64_t position; /* of the log, to be on disk first */
    int64_t deadline_ms;
    size_t request_size;
    size_t copies_at; /* in bytes */
    size_t size;
    held_reply_t *next;
    held_reply_t *previous;
    uint8_t bytes[];
};

/* A request that waits: a copy of its item. */
struct waiting {
    int64_t deadline_ms;
    bool is_last_try;
    size_t size;
    waiting_t *next;
    waiting_t *previous;
    uint8_t bytes[];
};

struct session {
    uint64_t id;
    conn_t *conn;
    uint64_t epoch;
    outcome_t turned_back; /* not OK: this epoch is dead, and why */
    uint64_t refused;      /* the last seq of this epoch that was, here; 0: none (intake.c) */
    vec_t token;           /* what the session's requests saw and wrote so far */
    hlc_t clock;           /* what had ended by then has ended for it */
    hlc_t left;            /* its token says that we left the members with this stamp; 0: no */
    uint64_t told_left;    /* the left_serial that it was told of */
    waiting_t *waiting;    /* in order of issue */
    held_reply_t *held;    /* replies not sent yet, in order */
    bool is_holding;
    session_t *next_holder;
    session_t *previous_holder;
    session_t *next_waiter;
    session_t *previous_waiter;
    bool is_waiting;
    session_t *next_in_conn;
    session_t *previous_in_conn;
    UT_hash_handle hh;
};

/* ---- conflict.c ---- */

/* An operation of a record of another replica, being applied, has lost to one of ours. */
void conflict_take(replica_t *self, const record_t *record, const op_t *op);
/* At the end of a turn: tells of them, now and then; no turn is made for that. */
void conflict_turn(replica_t *self);

/* ---- trace.c ---- */

static inline bool is_traced(const replica_t *self)
{
    return __builtin_expect(self->trace != NULL, 0);
}

/* The rest is for when it is traced alone. */
void trace_request(replica_t *self, trace_kind_t kind, const request_t *request);
/* It waits for what its session has seen. */
void trace_waiting(replica_t *self, const session_t *session, const request_t *request);
/* A reply item, encoded, on its way. */
void trace_reply(replica_t *self, slice_t encoded);
void trace_update(replica_t *self, trace_kind_t kind, const record_t *record);

/* ---- intake.c ---- */

typedef enum intake_result {
    INTAKE_ANSWERED, /* a reply was queued */
    INTAKE_WAIT,     /* what the session has seen is not all here yet */
} intake_result_t;

/* Runs one request through the checks and, if all is well, executes it. */
intake_result_t intake_request(replica_t *self, session_t *session, const request_t *request);

/*
 * Queues a reply item for a session (session.c). n: our update that it acknowledges and that should
 * have its copies first; 0: none.
 */
void session_reply(replica_t *self, session_t *session, const reply_t *reply, const vec_t *token,
                   uint64_t n, size_t request_size);
/* Answers MISSING: the session has seen what is not here, or is lost. */
void session_miss(replica_t *self, session_t *session, const request_t *request);
/* Turns a request back and all later ones of its epoch (session.c). */
void session_turn_back(replica_t *self, session_t *session, const request_t *request,
                       outcome_t why);

/* ---- commands.c ---- */

/*
 * Prepares a command: reads answer into self->value and self->seen; updates fill self->op_list and
 * their result into self->value. hides says whether a first transmission would not show; then
 * nothing else was done. An outcome other than OK explains itself in *why (static text).
 */
typedef struct command_run {
    const request_t *request;
    tag_t tag;
    bool hides;
    const char *why;
} command_run_t;

outcome_t command_run(replica_t *self, command_run_t *run);

#endif
