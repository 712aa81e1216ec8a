/*
 * The simulated cluster: real replica, front-end and client cores, the real log recovery, and a
 * network, disks and clocks of its own, in one process, in virtual time, from one seed.
 *
 * Connections are in order and reliable until they break, as TCP is; published messages get
 * lost, doubled and overtaken. Processes are killed (also in the middle of carrying out a turn,
 * with a torn write), paused and started again; hosts are cut off from one another, both ways or
 * one way; wall clocks differ and jump; single writes and syncs fail; disks get damaged, also
 * while their node runs, which is to make that good; all nodes but one may go for good. The
 * world ends a run early at the first violation.
 */
#ifndef HEARSAY_TESTS_SIM_WORLD_H
#define HEARSAY_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct sim_report {
    bool is_clean;
    char why[512];       /* the first violation */
    uint64_t trace_hash; /* of every event in order: the same for the same seed */
    uint64_t events;
    int64_t virtual_ms;
} sim_report_t;

/* What must be reached over a run of many seeds, or the simulation does not test what it says. */
typedef struct sim_coverage {
    uint64_t requests;
    uint64_t done_ok;
    uint64_t retries_answered;
    uint64_t retagged;
    uint64_t waited;
    uint64_t turned_back_behind;
    uint64_t turned_back_moved;
    uint64_t busy; /* at brokers that were killed */
    uint64_t missing;
    uint64_t handed_over; /* tokens, from one session to another */
    uint64_t relaxed;     /* requests that went on without what was missing */
    uint64_t unknown;
    uint64_t lost_reads;
    uint64_t not_reached;
    uint64_t refused_read_only;
    uint64_t cancelled;
    uint64_t cancelled_unknown;
    uint64_t held_back;
    uint64_t conflicts;
    uint64_t duplicates;
    uint64_t pulls_served;
    uint64_t torn_tails;
    uint64_t node_kills;
    uint64_t broker_kills;
    uint64_t client_kills;
    uint64_t client_dead_amid; /* clients killed with requests under way */
    uint64_t client_restored;  /* sessions that went on with a token that was written down */
    uint64_t left_applied;     /* updates that were applied after their client was killed */
    uint64_t client_pauses;
    uint64_t pauses;
    uint64_t partitions;
    uint64_t deaf;       /* nodes to others, for a while */
    uint64_t black_outs; /* of a machine, and mostly a switch */
    uint64_t slow_reads; /* of logs, for peers */
    uint64_t wrong_clocks;
    uint64_t clocks_accepted; /* by people, at a node */
    uint64_t offline;
    uint64_t draining;
    uint64_t read_only;
    uint64_t appends_failed;
    uint64_t stalls;       /* the append failed again at once: it is tried until it is done */
    uint64_t torn_appends; /* that such a node, killed meanwhile, left in part */
    uint64_t syncs_failed; /* the node is of use again when it was started again */
    uint64_t pages_lost;   /* with a sync, of several disks */
    uint64_t clock_jumps;
    uint64_t disks_lost;
    uint64_t put_back; /* old copies of folders */
    uint64_t power_cuts;
    uint64_t asked_syncs; /* where nothing is synced otherwise */
    uint64_t damages;
    uint64_t repairs;
    uint64_t damaged_reads;
    uint64_t files_damaged; /* of nodes that ran, and found */
    uint64_t made_good;     /* of them, before the node ended */
    uint64_t worn_kills;    /* nodes killed with such damage that was not made good */
    uint64_t salvaged;
    uint64_t forgotten; /* clients of executed tables */
    uint64_t too_old;
    uint64_t checkpoints;
    uint64_t final_counts;    /* at the end of runs */
    uint64_t transfers;       /* states taken over */
    uint64_t lost_records;    /* handed in too late */
    uint64_t forgotten_nodes; /* by people */
    uint64_t copied;          /* updates acknowledged with two copies or more */
    uint64_t retagged_before; /* with others of the session behind it */
    uint64_t executed_twice;  /* updates that two replicas accepted */
    uint64_t expired_apart;   /* deadlines of keys that passed while nodes were cut off */
    uint64_t transfers_cut;   /* nodes killed that were joining */
    uint64_t left_behind;     /* members, at the limit of the log */
    uint64_t logs_full;
    uint64_t brokers_amid;   /* brokers killed between two requests of a session */
    uint64_t early_floors;   /* said before the records that they follow from came */
    uint64_t late_counts;    /* final counts that were heard of from another node */
    uint64_t splits;         /* of the machines into two halves */
    uint64_t all_killed;     /* nodes, at once */
    uint64_t left_alone;     /* nodes, when all others were gone for good */
    uint64_t alone_done;     /* requests that such a node has answered with OK */
    uint64_t alone_missing;  /* and with MISSING */
    uint64_t tried;          /* updates when all was healed, which had to be taken */
    uint64_t own_deletes;    /* keys that were absent since their session had deleted them */
    uint64_t members_gone;   /* from sets, for who had seen them there */
    uint64_t deadlines;      /* that alone explain that a key was absent */
    uint64_t snapshots_amid; /* of several keys that were being set in one step */
    uint64_t scans;          /* of several pages */
} sim_coverage_t;

/*
 * Runs one seed; three in ten are rough. coverage is added to. trace: NULL, or where every event is
 * printed.
 */
sim_report_t sim_run(uint64_t seed, sim_coverage_t *coverage, FILE *trace);

#endif
