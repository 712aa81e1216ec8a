/*
 * hearsayctl check, the files: every node reads its own through, and what is damaged is named.
 *
 * The readings are begun first, at all nodes at once, so that something else can be done while the
 * nodes are at it (files_begin), and asked for until all are over or the deadline has come
 * (files_finish). A node that finds damage makes it good by itself (docs/operating.md, "Damaged
 * data"); that it has is waited for too.
 */
#ifndef HEARSAY_CONTROL_FILES_H
#define HEARSAY_CONTROL_FILES_H

#include "bus/base/json.h"
#include "control/survey.h"

typedef struct files files_t;

/*
 * Has the nodes that answered the survey's last round begin; the survey is borrowed until
 * files_destroy. *out is owned by the caller. Returns 0, or -1 after a signal.
 */
int files_begin(files_t **out, survey_t *survey, int64_t deadline_ms);

/* Returns 0, or -1 after a signal. */
int files_finish(files_t *self, int64_t deadline_ms);

void files_destroy(files_t **self);

/* 0: all is whole; 1: damage was found; 3: some node was not asked; 4: some is not done. */
int files_exit(const files_t *self);

/* Lines for people. */
void files_put_text(const files_t *self, buf_t *out);

/* The field "files" of an object that is open. */
void files_put_json(const files_t *self, json_t *json);

#endif
