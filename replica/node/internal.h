/*
 * What the files of a node share: its state, and the steps of a turn. Included by node.c,
 * effects.c, store.c, scan.c, trace.c, inspect.c and answer.c only.
 */
#ifndef HEARSAY_REPLICA_NODE_INTERNAL_H
#define HEARSAY_REPLICA_NODE_INTERNAL_H

#include "bus/base/events.h"
#include "bus/http/http.h"
#include "bus/net/beacon.h"
#include "bus/net/guard.h"
#include "bus/net/known.h"
#include "bus/net/trace.h"
#include "bus/net/wake.h"
#include "bus/wire/control.h"
#include "replica/disk/aside.h"
#include "replica/disk/checkpoint.h"
#include "replica/disk/disk.h"
#include "replica/disk/scan.h"
#include "replica/node/links.h"
#include "replica/node/settings.h"

/* The block of ports, in its order. */
typedef enum node_port {
    PORT_PEER,    /* ROUTER: other nodes */
    PORT_SERVICE, /* ROUTER: brokers */
    PORT_GOSSIP,  /* XPUB */
    PORT_CONTROL, /* ROUTER: hearsayctl */
    PORT_TRACE,   /* XPUB: hearsayctl trace */
} node_port_t;

/* SET_STATUS requests that wait for confirmations, at most; more are answered BUSY. */
enum { NODE_WAITING_MAX = 64 };

enum { NODE_ASIDE_MAX = 16 }; /* damaged parts that are set aside in one start */

enum { NODE_LOOK_MS = 1000 }; /* between looks at disk and memory */

typedef struct status_wait {
    uint32_t connection; /* at the control ROUTER */
    uint64_t request;
    int64_t until_ms; /* boot time */
    uint32_t timeout_ms;
} status_wait_t;

/* Beside the core's own counts. */
typedef struct node_counts {
    uint64_t odd_messages;    /* at ROUTERs: other ids or frames than our programs send */
    uint64_t dropped_service; /* frames that a broker's connection did not take */
    uint64_t dropped_peer;    /* the same between nodes */
    uint64_t dropped_control;
    uint64_t files_checked;  /* read through while the node ran */
    uint64_t files_damaged;  /* places that were found damaged by that */
    uint64_t files_repaired; /* of those, made good */
} node_counts_t;

/* A log read or a loss that the core is told of once the effects of a turn are carried out. */
typedef struct followup {
    enum { FOLLOWUP_READ, FOLLOWUP_SERVICE_LOST, FOLLOWUP_PEER_LOST } kind;
    uint32_t link;
    uint32_t most;
    uint64_t request;
    uint64_t position;
} followup_t;

/*
 * The node reads its files through (replica/disk/scan.h) when somebody asks for it, one reading at
 * a time, and makes damage good with what it has in memory. The last reading is kept for those who
 * ask what came of it.
 */
typedef struct files_check {
    scan_t *scan;       /* the last one, NULL: none yet */
    bool is_wanted;     /* another, once no checkpoint is being written */
    bool is_told;       /* that it is over, to somebody */
    int64_t end_ms;     /* when it was over, boot time */
    scan_phase_t taken; /* what it found before this phase is known */
    size_t findings;    /* that were looked at */
    uint64_t damaged;   /* places */
    uint64_t log_end;   /* the damaged log is gone when the log begins here or later; 0: none is */
    bool must_roll;     /* and first it is to go on in another segment */
    int64_t roll_ms;    /* when that is tried, boot time */
    bool is_checkpoint_damaged; /* until another file is in its place */
    bool is_repaired;
    char failure[ERR_TEXT_SIZE]; /* why it could not begin; "": it could */
} files_check_t;

/*
 * The effects of a turn whose append failed: nothing of them may be seen by anybody before it is
 * made good. Meanwhile the core is given no input but people's, and no turn.
 */
typedef struct stalled {
    bool is_stalled;
    replica_effect_t *list; /* owned, like the arena */
    size_t size;
    buf_t arena;
} stalled_t;

typedef struct node {
    const settings_t *settings;
    uint64_t incarnation;
    uint16_t port;            /* first of the block, as bound */
    uint16_t advertised_port; /* as others are told */
    loop_t *loop;
    trace_t *trace;
    events_t *events;
    guard_t guard;
    monitor_t *monitor;
    links_t *links;
    finder_t *finder;
    http_t *http; /* NULL: none */
    disk_t *disk;
    checkpoint_t *checkpoint;
    aside_part_t damaged; /* what node_restore failed for */
    uint64_t good_end;    /* of the log, when it was the log */
    bool is_log_damaged;  /* before the checkpoint, where only others may need it */
    wake_t wake;          /* of the threads of these two */
    bool has_wake;
    buf_t rows;      /* for the checkpoint, that its queue had no room for yet */
    size_t rows_at;  /* the run that is next */
    size_t run_at;   /* the row in it that is next */
    bool has_begin;  /* a checkpoint is to begin before these rows */
    bool is_whole;   /* and the rows before it are void */
    bool has_commit; /* it is to be committed behind these rows */
    bool is_writing; /* the core waits to hear how it ended */
    bool is_anew;    /* it has a file of its own */
    files_check_t check;
    bool is_committed;
    bool is_giving_up; /* one that nobody waits for has not ended yet */
    uint64_t commit_position;
    stalled_t stalled;
    bool is_read_only;
    int64_t look_ms;  /* at disk and memory, next; boot time */
    uint64_t look_at; /* the same as a position of the log */
    replica_t *replica;
    void *sockets[NODE_PORTS];
    known_t known;
    beacon_t beacon;
    node_counts_t counts;
    uint64_t memory_bytes; /* as counted last */
    int64_t memory_ms;     /* when they may be counted again, boot time */
    bool was_ready;
    bool is_ending;
    int64_t load_ms; /* when the load is measured next, boot time */
    int64_t end_ms;  /* told to end: drained or not, it ends then; INT64_MAX: not told */
    followup_t *followups;
    size_t followups_size;
    size_t followups_capacity;
    status_wait_t waits[NODE_WAITING_MAX];
    size_t waits_size;
    buf_t read;  /* from the log */
    buf_t line;  /* of the log of people */
    buf_t reply; /* to hearsayctl */
    buf_t counts_text;
    buf_t peers_text;
    buf_t members_text;
    buf_t refused_text;
    buf_t document;
} node_t;

/* Carries out what the core wants done, until it wants nothing more for now. */
void node_carry_out(node_t *self);
void node_free_effects(node_t *self);

/* ---- store.c ---- */

/*
 * Opens the disk of the data folder. Where segments have damaged headers they are set aside
 * (replica/disk/aside.h). -1 with err.
 */
int node_open_disk(node_t *self, err_t *err);

/*
 * Opens the checkpoint, gives it and the log to the replica, which is new. -1 with err; when it is
 * LOST, node_set_aside, and again with another replica.
 */
int node_restore(node_t *self, err_t *err);

/*
 * Sets aside what node_restore found damaged, as err says it, and opens the disk again without. -1
 * with err.
 */
int node_set_aside(node_t *self, err_t *err);

/* What was to be read of the log is damaged: none of the log of now is given to others. */
void node_log_damaged(node_t *self, const followup_t *read);

/* The replica is ready: what was set aside is made good. */
void node_end_repair(node_t *self);
void node_close_store(node_t *self);

/*
 * Looks at disk and memory when that is due: once a second, or after some bytes of log. On a disk
 * that is full, nearly so or failing the replica is made read-only, with --max-memory reached full,
 * and it is undone when there is room.
 */
void node_watch_room(node_t *self);
/* NULL: updates are taken. */
void node_set_read_only(node_t *self, const char *why);

/* The effects of these names. */
void node_checkpoint_begin(node_t *self, bool is_whole);
void node_checkpoint_rows(node_t *self, uint8_t table, slice_t run);
void node_checkpoint_commit(node_t *self, uint64_t position);
void node_checkpoint_abort(node_t *self);
void node_keep_lost(node_t *self, slice_t text);

/* arg is the node: has its loop make a turn. Called by other threads. */
void node_wake(void *arg);

/* Before a turn: tells the replica how far the disk is, and hands rows on to it. */
void node_tell_disk(node_t *self);

/* ---- scan.c ---- */

/*
 * Before a turn: begins to read the files if somebody asked for it and no checkpoint is being
 * written, takes what was found, and sees to its repair. False while nobody may write a checkpoint.
 */
bool node_check_files(node_t *self, bool is_checkpoint_idle);

/* A checkpoint of everything is on the disk, in a file of its own. */
void node_checkpoint_renewed(node_t *self);

/*
 * Appends the document of FILES, after having seen to what is asked (files_ask_t). -1 with err when
 * the files cannot be read now.
 */
int node_put_files(node_t *self, uint64_t ask, buf_t *out, err_t *err);

/* ---- trace.c ---- */

/* At the end of each turn: what the core is to tell from now on, and what was told goes out. */
void node_trace_turn(node_t *self);
/* Entries were written at this position of the log; a message was given to the gossip socket. */
void node_trace_logged(node_t *self, slice_t entries, uint64_t position);
void node_trace_published(node_t *self, slice_t message);

/* ---- memory.c ---- */

/*
 * Bytes of the heap that are in use; 0 where the C library does not tell. With many free pieces the
 * count takes its time (130 ms for a million of them), so that what was counted last is given again
 * until a hundred times as long has passed.
 */
uint64_t node_memory_bytes(node_t *self);

/* ---- inspect.c ---- */

/* Append the documents of EVENTS, KEY, DIGESTS and SHOWN. */
void node_put_events(node_t *self, buf_t *out);
void node_put_key(node_t *self, slice_t key, buf_t *out);
void node_put_digests(node_t *self, const compare_at_t *at, buf_t *out);
void node_put_shown(node_t *self, const compare_at_t *at, buf_t *out);

/* ---- node.c ---- */

/* Has the loop read nothing from nodes and brokers, or read it again. */
void node_hold_input(node_t *self, bool is_held);

/* Ends the loop with this exit code; the first one holds. */
void node_end(node_t *self, int exit_code);

/* A message at the control ROUTER. */
void node_answer(node_t *self, uint32_t connection, slice_t message);

/* What the node says of itself (control_node_put); borrowed until it is asked again. */
slice_t node_document(node_t *self);

/* Answers the requests whose status is confirmed or whose time is up. */
void node_answer_waiting(node_t *self, now_t now);

/* When the next of them is up; INT64_MAX: none waits. */
int64_t node_answer_deadline(const node_t *self);

#endif
