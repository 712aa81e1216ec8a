#include "control/backup.h"

#include <inttypes.h>
#include <stdio.h>

#include "bus/base/json.h"
#include "bus/base/log.h"
#include "bus/net/runtime.h"
#include "replica/disk/backup.h"

enum { AGAIN_MS = 100 }; /* while the node does something else with its state */

/* ---- backup ---- */

typedef struct reading {
    survey_t *survey;
    const survey_member_t *member;
    const char *path;
    int64_t patience_ms;
    backup_t *file;
    backup_at_t at; /* of the next piece */
    buf_t reply;
} reading_t;

static int begin_file(reading_t *self, err_t *err)
{
    const control_node_t *node = &self->member->node;
    backup_about_t about = {
        .id = node->id,
        .incarnation = node->incarnation,
        .lineage = node->lineage,
        .wall_ms = net_now().wall_ms,
    };
    snprintf(about.version, sizeof(about.version), "%.*s", (int)node->version.size,
             (const char *)node->version.data);
    return backup_begin(&self->file, self->path, &about, err);
}

/* Into the file, and *is_end after the last. */
static int take_piece(reading_t *self, bool *is_end, err_t *err)
{
    backup_piece_t piece;
    if (!backup_piece_read(buf_slice(&self->reply), &piece) ||
        (self->at.transfer != 0 && piece.at.transfer != self->at.transfer) ||
        piece.at.part != self->at.part || piece.at.offset != self->at.offset)
        return err_set(err, OUTCOME_USAGE,
                       "node %u answers something else than its state: use the hearsayctl of its "
                       "version",
                       self->member->node.id);
    uint64_t next = piece.at.offset + piece.bytes.size;
    bool ends_part = next == piece.size;
    if (backup_add(self->file, piece.bytes, ends_part, err) != 0)
        return -1;
    self->at.transfer = piece.at.transfer;
    self->at.offset = ends_part ? 0 : next;
    self->at.part += ends_part;
    *is_end = ends_part && piece.is_last;
    return *is_end ? backup_end(self->file, err) : 0;
}

/* Asks for the next piece: 0 it is in reply, 1 after a signal, -1 with err. */
static int read_piece(reading_t *self, err_t *err)
{
    const control_request_t request = {.command = CONTROL_BACKUP, .piece = self->at};
    uint16_t id = self->member->node.id;
    int64_t until_ms = net_now().boot_ms + self->patience_ms;
    char text[ERR_TEXT_SIZE];
    for (;;) {
        outcome_t outcome;
        int rc = survey_request(self->survey, self->member, &request, until_ms, &outcome, text,
                                &self->reply);
        if (rc < 0)
            return 1;
        if (rc > 0)
            return err_set(err, OUTCOME_NOT_REACHED,
                           "node %u has not answered for %" PRId64 " ms: there is no backup", id,
                           self->patience_ms);
        if (outcome == OUTCOME_OK)
            return 0;
        int64_t again_ms = net_now().boot_ms + AGAIN_MS;
        if (outcome != OUTCOME_BUSY || again_ms >= until_ms)
            return err_set(err, outcome, "node %u: %.300s", id, text);
        if (survey_idle(self->survey, again_ms) != 0)
            return 1;
    }
}

static void put_backup(buf_t *out, const reading_t *self, bool as_json)
{
    uint64_t bytes = backup_bytes(self->file);
    uint64_t entries = backup_entries(self->file);
    if (!as_json) {
        buf_printf(out,
                   "node %u: %" PRIu64 " entries, deleted keys that are not forgotten yet "
                   "included, in %" PRIu64 " bytes\n",
                   self->member->node.id, entries, bytes);
        return;
    }
    json_t json = json_open(out);
    json_object(&json, NULL);
    json_bool(&json, "ok", true);
    json_uint(&json, "id", self->member->node.id);
    json_text(&json, "file", self->path);
    json_uint(&json, "entries", entries);
    json_uint(&json, "bytes", bytes);
    json_end(&json);
    buf_append_u8(out, '\n');
}

int backup_node(buf_t *out, survey_t *survey, const survey_member_t *member, const char *path,
                bool as_json, int64_t patience_ms, err_t *err)
{
    reading_t self = {.survey = survey, .member = member, .path = path, .patience_ms = patience_ms};
    bool is_end = false;
    int rc = begin_file(&self, err);

    while (rc == 0 && !is_end) {
        rc = read_piece(&self, err);
        if (rc == 0)
            rc = take_piece(&self, &is_end, err);
    }
    if (rc == 0)
        put_backup(out, &self, as_json);
    backup_close(&self.file);
    buf_free(&self.reply);
    return rc;
}

/* ---- restore ---- */

int restore_folder(buf_t *out, const char *path, const char *folder, bool as_json, err_t *err)
{
    backup_restored_t restored;
    uint64_t lineage = net_random64() | 1;
    buf_t time = {0};

    if (backup_restore(path, folder, lineage, &restored, err) != 0)
        return -1;
    log_put_time(&time, restored.about.wall_ms);
    if (as_json) {
        json_t json = json_open(out);
        json_object(&json, NULL);
        json_bool(&json, "ok", true);
        json_text(&json, "folder", folder);
        json_uint(&json, "entries", restored.entries);
        json_uint(&json, "id", restored.about.id);
        json_text(&json, "time", buf_text(&time));
        json_text(&json, "version", restored.about.version);
        json_end(&json);
        buf_append_u8(out, '\n');
    } else {
        buf_printf(out,
                   "%s: %" PRIu64 " entries, deleted keys that were not forgotten yet included, "
                   "that node %u had at %s\n"
                   "start one node with it (--data %s) and all others with empty folders\n",
                   folder, restored.entries, restored.about.id, buf_text(&time), folder);
    }
    buf_free(&time);
    return 0;
}
