/*
 * hearsayctl backup and restore: a node's state as of one moment into a file while it serves, and
 * a data folder from such a file.
 */
#ifndef HEARSAY_CONTROL_BACKUP_H
#define HEARSAY_CONTROL_BACKUP_H

#include "control/survey.h"

/*
 * Reads the state of a member that answered the survey's last round into the file at path ("-":
 * standard output), and appends what is to be said of it to out. It may take as long as it likes,
 * but not patience_ms without a piece. Returns 0, 1 after a signal, or -1 with err; then there is
 * no file.
 */
int backup_node(buf_t *out, survey_t *survey, const survey_member_t *member, const char *path,
                bool as_json, int64_t patience_ms, err_t *err);

/* Makes a data folder of the file at path, under a new lineage. Returns 0, or -1 with err. */
int restore_folder(buf_t *out, const char *path, const char *folder, bool as_json, err_t *err);

#endif
