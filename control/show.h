/*
 * What hearsayctl shows of a survey: tables for people and JSON for scripts.
 *
 * Pure text: appended to a buffer, which the caller writes out.
 */
#ifndef HEARSAY_CONTROL_SHOW_H
#define HEARSAY_CONTROL_SHOW_H

#include "control/survey.h"
#include "control/table.h"

/* Nodes that answered, by id, and others that are known, members among them ("off"). */
void show_nodes(buf_t *out, const survey_t *survey, bool as_json);

/* Brokers that answered, with their replicas. */
void show_brokers(buf_t *out, const survey_t *survey, bool as_json);

/* "0:12 1:5 a3f1:7": by id; what an ended incarnation left by the first digits of that. */
enum { SHOW_VECTOR_SIZE = 512 }; /* of a vector, or a list of replicas, in a table */
void show_short_vector(char text[SHOW_VECTOR_SIZE], const survey_t *survey, slice_t bytes);

/* Merges what all nodes that answered have into *out. */
void show_everything(const survey_t *survey, vec_t *out);

/* How many updates of everything, or of another node's vector, the node lacks. */
uint64_t show_lag(const control_node_t *node, const vec_t *everything);

/* ---- cells of tables ---- */

/* "12s", "3m07s" ..., behind what. */
void show_age(table_view_t *table, const char *what, int64_t age_ms);
void show_address(table_view_t *table, slice_t host, uint16_t port);
void show_bytes(table_view_t *table, uint64_t bytes);
/*
 * "active", and behind it what else is to be known: "joining", "active, read-only", and how far its
 * clock is ahead when another node of the survey refuses it for that.
 */
void show_status(table_view_t *table, const survey_t *survey, const control_node_t *node);
/* The member that a node waits for before it forgets anything, when that is out of its reach. */
void show_held_back_by(table_view_t *table, const control_node_t *node);

#endif
