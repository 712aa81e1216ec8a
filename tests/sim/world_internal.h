/*
 * What the files of the world share. Included by world.c and world_*.c only.
 */
#ifndef HEARSAY_TESTS_SIM_WORLD_INTERNAL_H
#define HEARSAY_TESTS_SIM_WORLD_INTERNAL_H

#include <xxhash.h>

#include "bus/base/random.h"
#include "client/core/client.h"
#include "frontend/core/frontend.h"
#include "replica/core/replica.h"
#include "tests/sim/audit.h"
#include "tests/sim/checker.h"
#include "tests/sim/disk.h"
#include "tests/sim/world.h"

enum {
    NODES_MAX = 5,
    BROKERS_MAX = 2,
    CLIENTS_MAX = 5,
    SESSIONS_PER_CLIENT = 2,
    PROCS_MAX = NODES_MAX + BROKERS_MAX + CLIENTS_MAX,
    CLUSTER = 7,
    PEER_PORT = 7710,
    QUIET_MS = 2000, /* no faults before: two halves that never met would be two clusters */
    FAULTS_MS = 15000,
    EXPIRIES_MAX = 16,
};

#define MS 1000 /* virtual time runs in microseconds */

typedef enum proc_kind { NODE, BROKER, CLIENT } proc_kind_t;

/* The effects of a turn whose append failed: nobody may see anything of them before it is done. */
typedef struct stall {
    bool is_on;
    replica_effect_t *list; /* owned, like the arena */
    size_t size;
    buf_t arena;
} stall_t;

/* As in files_check_t of replica/node/internal.h. */
typedef enum check_phase {
    CHECK_NONE,
    CHECK_WANTED,     /* once no checkpoint is being written */
    CHECK_CHECKPOINT, /* it is being read, and none is begun meanwhile */
    CHECK_LOG,
    CHECK_DONE,
} check_phase_t;

typedef struct files_check {
    check_phase_t phase;
    bool is_checkpoint_damaged; /* until another file is in its place */
    uint64_t log_end; /* the damaged log is gone when the log begins here or later; 0: none is */
    bool must_roll;   /* and first it is to go on in another segment */
    bool has_found;
} files_check_t;

typedef struct proc {
    proc_kind_t kind;
    uint32_t index; /* in its kind */
    bool is_up;
    bool is_gone;  /* for good */
    uint32_t life; /* counts starts: what was meant for an earlier one is void */
    int64_t paused_until;
    struct event *deferred; /* what came while it was paused, in that order */
    size_t deferred_size;
    size_t deferred_capacity;
    int64_t tick_at;   /* the tick that is scheduled, INT64_MAX: none */
    bool has_no_room;  /* its disk is full */
    bool refuses;      /* updates: it was told that it is read-only */
    bool is_read_only; /* and it has written what it had taken before */
    bool fails_append; /* the next one will fail */
    bool fails_sync;
    bool has_failed_append; /* until full_until; it is written all the same, unless is_hard */
    bool is_hard;
    int64_t full_until;
    bool has_failed_sync; /* until it is started again */
    stall_t stall;
    bool was_refusing;  /* updates, at the end of its last turn */
    int64_t refused_at; /* µs, when it last was; -1: never */
    bool is_serving;    /* at the end of its last turn: active, and ready */
    bool loses_power;   /* with this kill, if that may still be */
    bool is_forgotten;  /* while it was up: it is of no use until people start it again */
    int64_t sync_ms;    /* a sync takes so long at most */
    bool asks_for_sync;
    int64_t read_ms; /* and so long what a peer pulls out of the log */
    int64_t wall_skew_ms;
    /* a node */
    replica_t *replica;
    uint64_t incarnation;
    sim_disk_t *disk;
    sim_disk_t *copy; /* of its folder, that somebody made; NULL */
    audit_t *audit;
    bool is_worn; /* its disk was damaged while it runs, which was not made good yet */
    files_check_t check;
    hlc_t horizon;             /* at the end of its last turn */
    uint64_t transfers;        /* states it has taken over by then */
    bool is_joining;           /* at the end of its last turn */
    uint64_t transfers_before; /* taken over before it began to join */
    /* a broker */
    frontend_t *frontend;
    /* a client */
    client_t *client;
    client_session_t *sessions[SESSIONS_PER_CLIENT];
    bool relaxes[SESSIONS_PER_CLIENT];
    uint32_t pending[SESSIONS_PER_CLIENT];
    bool tries_again; /* its update after all was healed */
    uint64_t last_ticket[SESSIONS_PER_CLIENT];
    int64_t watches_until[SESSIONS_PER_CLIENT]; /* µs: it asks for one key alone */
    vec_t seen[SESSIONS_PER_CLIENT];            /* their tokens as of the last turn */
    uint32_t last_key[SESSIONS_PER_CLIENT];     /* of the last one of a judged key */
    int64_t missed_at[SESSIONS_PER_CLIENT];     /* µs, when one last ended that may have waited */
    client_token_t saved[SESSIONS_PER_CLIENT];  /* as in a file, which outlives the process */
    bool has_saved[SESSIONS_PER_CLIENT];
    bool is_saved_held[SESSIONS_PER_CLIENT]; /* to what it covers, who goes on with it */
} proc_t;

/* A connection from a DEALER to a ROUTER; in order both ways until it breaks. */
typedef struct chan {
    bool is_open;
    uint32_t from; /* proc, its life and the link it knows this by */
    uint32_t from_life;
    uint32_t from_link;
    uint32_t to;
    uint32_t to_life;
    uint16_t port;
    int64_t last[2];    /* when the last message of each direction arrives */
    int64_t deaf_until; /* nothing published comes through, as over a queue that is full */
    bool is_ending;     /* who connected is gone, and what it had sent still comes */
} chan_t;

typedef enum event_kind {
    EV_TICK,
    EV_FORWARD, /* over a channel, DEALER to ROUTER */
    EV_BACKWARD,
    EV_BROKEN, /* the DEALER learns that its channel is gone */
    EV_GOSSIP,
    EV_BEACON,
    EV_ISSUE,
    EV_FAULT,
    EV_RESTART,
    EV_RESUME,
    EV_SYNC,  /* what a node has written is on its disk */
    EV_READ,  /* what a peer has pulled was read from it */
    EV_CLOCK, /* a machine comes back with a wrong clock, or people see to that */
    EV_ALONE, /* all nodes but one go for good, or people see to that */
    EV_WEAR,  /* what a node that runs has on its disk gets damaged */
    EV_CHECK, /* people have its files read through, or a part of that is over */
} event_kind_t;

typedef struct event {
    int64_t at;
    uint64_t serial;
    event_kind_t kind;
    uint32_t proc;
    uint32_t life;
    uint32_t chan;
    uint32_t size;
    uint8_t *bytes;
} event_t;

/* Without padding: the bytes of events are part of the trace hash. */
typedef struct read_back {
    uint64_t request;
    uint64_t position;
    uint32_t link;
    uint32_t most;
} read_back_t;

/* Of a request. */
typedef struct span {
    int64_t issued; /* µs */
    int64_t due;    /* when it must have ended */
} span_t;

typedef struct world {
    random_t random;
    int64_t now; /* µs */
    uint64_t serial;
    event_t *heap;
    size_t heap_size;
    size_t heap_capacity;
    proc_t procs[PROCS_MAX];
    uint32_t procs_size;
    uint32_t nodes;
    uint32_t brokers;
    uint32_t clients;
    chan_t *chans;
    uint32_t chans_size;
    size_t chans_capacity;
    bool is_cut[PROCS_MAX][PROCS_MAX]; /* from, to */
    uint32_t loss_ppm;
    uint32_t ack; /* copies that the replicas wait for */
    int64_t retry_horizon_ms;
    int64_t gossip_interval_ms;
    uint64_t checkpoint_bytes;
    uint64_t log_max;
    bool sync_always;
    bool sync_never; /* but when asked, or when so much was written that a segment is full */
    bool is_trying;  /* an update of each client, after all was healed */
    uint32_t to_try; /* clients whose update was not taken yet */
    span_t *spans;   /* of requests, by their number */
    size_t spans_size;
    int64_t unreachable_at; /* µs, when something last was that may keep requests from an answer */
    int64_t expiries[EXPIRIES_MAX]; /* µs, when keys end; 0: none */
    uint32_t next_expiry;
    bool is_disk_lost;       /* at most one, or it was made good: what two had must not be gone */
    uint32_t replica_window; /* of the brokers: 0, or so small that they turn back BUSY */
    bool is_rough;           /* blackouts and more */
    bool is_alone;           /* all nodes but one are gone for good */
    uint32_t leave_percent;  /* of faults: nodes that are left out */
    uint32_t wrong_clock;    /* the node whose machine has one, for a while */
    bool has_wrong_clock;    /* it had it by now */
    bool is_clock_wrong;     /* and has it still */
    int64_t issue_ms;        /* between what a client issues, at most */
    uint32_t batch_loss_ppm; /* of updates as they are published: rounds pass, they do not */
    bool is_healing;
    checker_t *checker;
    sim_coverage_t *coverage;
    sim_report_t report;
    XXH3_state_t *hash;
    FILE *trace;
} world_t;

/* ---- chance and time ---- */

static inline int64_t between(world_t *w, int64_t low, int64_t high)
{
    return low + (int64_t)random_below(&w->random, (uint64_t)(high - low + 1));
}

static inline bool chance(world_t *w, uint32_t percent)
{
    return random_chance(&w->random, percent * 10000);
}

static inline now_t time_of(const world_t *w, const proc_t *p)
{
    int64_t ms = w->now / MS;
    return (now_t){.wall_ms = 1700000000000 + ms + p->wall_skew_ms, .boot_ms = 1000 + ms};
}

static inline uint32_t number_of(const world_t *w, const proc_t *p)
{
    return (uint32_t)(p - w->procs);
}

/* ---- world.c ---- */

/* Ends the run; the first one counts. */
void violate(world_t *w, const char *why);
/* Whose bytes are the event's from now on. */
void push(world_t *w, event_t event);
/* The same, with a copy of bytes. */
void push_bytes(world_t *w, event_t event, slice_t bytes);
/* When the process wants to be woken by the clock. */
void schedule_tick(world_t *w, proc_t *p);

/* ---- world_net.c ---- */

/*
 * Sends over a channel; what is cut off is stuck and lost with the channel (a heartbeat notices).
 */
void transmit(world_t *w, uint32_t chan_number, bool is_forward, slice_t bytes);
/* Who connected learns of it a little later. */
void break_chan(world_t *w, uint32_t number);
void connect_chan(world_t *w, const proc_t *from, uint32_t link, slice_t host, uint16_t port);
void disconnect_link(world_t *w, const proc_t *p, uint32_t link);
void send_link(world_t *w, const proc_t *p, uint32_t link, slice_t bytes);
/* To all that are connected to the node's peer port, mostly. */
void publish(world_t *w, const proc_t *from, slice_t bytes);
/* A process hears the beacons of all that are up and can reach it. */
void hear_beacons(world_t *w, proc_t *p);
/* A message arrives at the ROUTER end of a channel. */
void deliver_forward(world_t *w, proc_t *p, const event_t *e);
/* A message arrives at the DEALER end. */
void deliver_backward(world_t *w, proc_t *p, const event_t *e);
void deliver_broken(world_t *w, proc_t *p, const event_t *e);

/* ---- world_procs.c ---- */

/* Something may keep requests from an answer now. */
bool is_unreachable(const world_t *w);
/* That it did; called before and after whatever changes it. */
void note_unreachable(world_t *w);
/* Effects of the front end come with each event. */
void carry_out_frontend(world_t *w, proc_t *p);
void start(world_t *w, proc_t *p);
/* With what it had under way; it is started again later. Nothing when it is down. */
void kill_proc(world_t *w, proc_t *p);
/* True for who is to be killed in the middle of this turn. */
bool dies_now(world_t *w, uint32_t ppm);
/* Has a process that took an event carry out what follows from it. */
void run_turn(world_t *w, proc_t *p);

/* ---- world_nodes.c ---- */

void start_node(world_t *w, proc_t *p);
/* Before a replica goes: what it has counted. */
void add_node_counts(world_t *w, const replica_t *replica);
/* A node looks at whether it takes updates, before and after what it does now. */
void note_refusing(world_t *w, proc_t *p, bool is_refusing);
/* Not all of them when it is dying: then it is killed. */
void carry_out_turn(world_t *w, proc_t *p, const replica_effects_t *effects, bool is_dying);
void turn_node(world_t *w, proc_t *p);

/* ---- world_disks.c ---- */

/* People put back the copy of a folder that they have: the node is what it was. */
bool put_back(world_t *w, proc_t *p);
/* Once in a run a machine loses its disk, or in a power cut what was not on it yet. */
void lose_disk(world_t *w, proc_t *p);
/* The same, but a part of it: what is damaged is not known before it is read. */
void damage_disk(world_t *w, proc_t *p);
/* Somebody makes a copy, once. */
void copy_folder(proc_t *p);
/* A part of the bytes only, when it is dying. */
void append_log(world_t *w, proc_t *p, slice_t bytes, bool is_dying);
void take_read(world_t *w, proc_t *p, const read_back_t *read);
/* At once, or when the disk comes to it. */
void carry_out_read(world_t *w, proc_t *p, const read_back_t *read);
/* As node_watch_room does: the node says that it is read-only, or that it is well again. */
void watch_room(world_t *w, proc_t *p);
/*
 * The append that is due fails; it is tried again at once, with the room that is kept for that.
 * True when that does not help.
 */
bool refuses_append(world_t *w, proc_t *p, const replica_effects_t *effects);
/* As in replica/node/effects.c: nothing of the turn happens, and nothing comes in, until it may. */
void stall(world_t *w, proc_t *p, const replica_effects_t *effects);
/* Tries the append again. */
void end_stall(world_t *w, proc_t *p);
void free_stall(proc_t *p);
/* What a disk that failed leaves behind for the next start. */
void end_disk(world_t *w, proc_t *p);
void schedule_sync(world_t *w, const proc_t *p);
/* Who is ready has taken over a state, or nobody has a better one. */
void end_repair(world_t *w, const proc_t *p);
/* The disk is done with what it had to write, or fails, and then does nothing more. */
void sync_node(world_t *w, proc_t *p);

/* ---- world_scan.c ---- */

/* The disk of a node gets damaged, as nobody knows yet, and when one does next. */
void wear(world_t *w);
/* People ask for its files to be read, or a part of that is over. */
void check_files(world_t *w, proc_t *p);
/* Before a turn: as node_check_files of replica/node/scan.c. False: no checkpoint may be begun. */
bool go_on_checking(world_t *w, proc_t *p);
/* The node is killed: what was not made good is met at the next start. */
void end_check(world_t *w, proc_t *p);

/* ---- world_clients.c ---- */

/* Of those that came before, the file with the token is left, or not even that. */
void start_client(world_t *w, proc_t *p);
/* Its sessions and what they wait for are gone with it; nobody ever learns what came of that. */
void end_client(world_t *w, proc_t *p);
void turn_client(world_t *w, proc_t *p);
/* An update that must be taken, since all was healed. */
void try_update(world_t *w, proc_t *p);
/* What a client asks now, and when it does next. */
void issue(world_t *w, proc_t *p);

/* ---- world_faults.c ---- */

/* All nodes but one are gone for good. People give those up at the one that is left. */
void all_but_one(world_t *w);
/*
 * A machine is started again with a clock that is an hour ahead: its node is refused. People set
 * that right, which does not help when it has taken updates, and ask nodes to accept it.
 */
void wrong_clock(world_t *w);
/* One that is drawn, and when the next is. */
void fault(world_t *w);
/* No fault from now on, and people mend what is broken. */
void heal(world_t *w);

/* ---- world_end.c ---- */

/* All nodes have the same, and no request is under way. */
bool has_converged(const world_t *w);
/* With what each node waits for. */
void violate_unconverged(world_t *w);
/* What each replica has of each key, against what the checker knows. */
void judge_end(world_t *w);

#endif
