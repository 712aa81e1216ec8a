/*
 * The members: whose updates are still to be reckoned with, and what each of them is known to have
 * on disk. It decides what may be forgotten (docs/consistency.md, "Forgetting").
 *
 * Ladin et al. 1992, section 3.1: the timestamp table, and the bound on late messages by time; here
 * the time is the floor that each member advertises: it accepts no update with a tag at or under
 * it. A member leaves only by being forgotten or left behind; one that is merely off still counts.
 *
 * Rows are a last-writer-wins map by id, under the clock of the node that changed them, so that all
 * nodes come to the same members. What a member said of itself in a round counts once this replica
 * covers the whole vector of that round: then it has every update that the member had accepted
 * under its floor, and every row of its members came first.
 */
#ifndef HEARSAY_REPLICA_CORE_MEMBERS_H
#define HEARSAY_REPLICA_CORE_MEMBERS_H

#include "bus/base/bytes.h"
#include "bus/base/vector.h"
#include "bus/wire/peer.h"

enum { MEMBERS_MAX = PEER_MEMBERS_MAX };

typedef struct members members_t;

members_t *members_new(void);
void members_destroy(members_t **self);

/* ---- who they are ---- */

/*
 * Takes a row unless there is one with a greater stamp for its id. True when something changed. A
 * row that names another incarnation than before makes what was known of the member void. Rows
 * beyond MEMBERS_MAX are not taken.
 */
bool members_merge(members_t *self, const peer_member_t *row);

/* The row of an id, or NULL; borrowed until members_merge takes a row of an id that is new. */
const peer_member_t *members_find(const members_t *self, uint16_t id);

/* The row whose present incarnation this is, or NULL; borrowed as members_find. */
const peer_member_t *members_of(const members_t *self, uint64_t incarnation);

/* True for the present incarnation of a member that has not left. */
bool members_has(const members_t *self, uint16_t id, uint64_t incarnation);

/* All rows, by id; borrowed as members_find. */
const peer_member_t *members_rows(const members_t *self, uint32_t *count);

/* How many have not left. */
uint32_t members_count(const members_t *self);

/* Who the members are and in which incarnation, as one number: nodes that agree have the same. */
uint64_t members_view(const peer_member_t *rows, uint32_t count);

/* ---- what they have ---- */

/*
 * What the member said in a round, all as of one moment: what it has on disk, its floor, and
 * members_view as it knew it; the rows that came with it are to be merged before. It counts once
 * members_count_rounds finds the vector covered.
 */
void members_round(members_t *self, uint16_t id, uint64_t incarnation, const vec_t *vector,
                   hlc_t floor, uint64_t view);

/* Lets rounds count whose vectors are covered by what this replica has applied. True if any did. */
bool members_count_rounds(members_t *self, const vec_t *applied);

/*
 * The horizon: no update with a tag at or under it is unknown here, nor can one come any more. 0
 * while a member has not been heard of, or does not agree on the members: what an incarnation that
 * is over had accepted last may be known to one member alone, whose vector must come first.
 */
hlc_t members_horizon(const members_t *self);

/* The greatest floor that a member has said to have, whether it counts yet or not. */
hlc_t members_floor(const members_t *self);

/* True when what counts of every member agrees with this replica on who the members are. */
bool members_agree(const members_t *self);
/* The same of all but the one with this id. */
bool members_agree_but(const members_t *self, uint16_t id);

/* Into out: what every member has on disk. */
void members_known(const members_t *self, vec_t *out);

/* The member that holds the horizon back: the one never heard of, or with the least floor. */
const peer_member_t *members_last(const members_t *self);

#endif
