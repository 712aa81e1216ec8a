/*
 * What hearsayctl shows of a survey: tables for people and JSON for scripts.
 *
 * Pure text: appended to a buffer, which the caller writes out.
 */
#ifndef HEARSAY_CONTROL_SHOW_H
#define HEARSAY_CONTROL_SHOW_H

#include "control/survey.h"

/* Nodes that answered, by id, and others that are known, members among them ("off"). */
void show_nodes(buf_t *out, const survey_t *survey, bool as_json);

/* Brokers that answered, with their replicas. */
void show_brokers(buf_t *out, const survey_t *survey, bool as_json);

/* Reads a document's vector, checked before, into *out. */
void show_vector(slice_t bytes, vec_t *out);

/* "0:12 1:5 a3f1:7": by id; what an ended incarnation left by the first digits of that. */
enum { SHOW_VECTOR_SIZE = 512 }; /* of a vector, or a list of replicas, in a table */
void show_short_vector(char text[SHOW_VECTOR_SIZE], const survey_t *survey, slice_t bytes);

/* Merges what all nodes that answered have into *out. */
void show_everything(const survey_t *survey, vec_t *out);

#endif
