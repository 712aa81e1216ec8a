/* The node reads its own files through, and makes good what is damaged. */
#include <stdio.h>
#include <string.h>

#include "bus/net/logger.h"
#include "bus/net/notes.h"
#include "bus/net/runtime.h"
#include "bus/wire/files.h"
#include "replica/node/internal.h"

enum { FRESH_MS = 60 * 1000 }; /* what nobody has asked for since then is no answer any more */

_Static_assert((int)SCAN_FINDINGS_MAX <= (int)FILES_FINDINGS_MAX, "all go into one document");

static bool is_reading(const files_check_t *check)
{
    return check->is_wanted || (check->scan != NULL && check->taken != SCAN_DONE);
}

static bool is_repairing(const files_check_t *check)
{
    return check->log_end != 0 || check->is_checkpoint_damaged;
}

/* ---- beginning ---- */

static void begin(node_t *self)
{
    files_check_t *check = &self->check;
    err_t err;

    scan_end(&check->scan);
    *check = (files_check_t){.taken = SCAN_CHECKPOINT};
    if (scan_start(&check->scan, self->disk, node_wake, self, &err) == 0)
        return;
    log_line(LOG_LEVEL_WARN, "%s", err.text);
    snprintf(check->failure, sizeof(check->failure), "%s", err.text);
}

/* ---- what was found ---- */

static void take_finding(node_t *self, const scan_finding_t *finding)
{
    bool is_damage = finding->weight == VERIFY_DAMAGE;

    log_line(is_damage ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "%s", finding->text);
    if (!is_damage)
        return;
    if (finding->part == SCAN_CHECKPOINT)
        self->check.is_checkpoint_damaged = true;
}

/* The findings that are there; those of the phases that are over are counted. */
static void take_findings(node_t *self, const scan_state_t *state)
{
    files_check_t *check = &self->check;

    while (check->findings < state->findings)
        take_finding(self, scan_finding(check->scan, check->findings++));
    self->counts.files_damaged += state->result.damaged - check->damaged;
    check->damaged = state->result.damaged;
}

static void take_checkpoint(node_t *self)
{
    self->counts.files_checked++;
    if (self->check.is_checkpoint_damaged)
        replica_files_damaged(self->replica, net_now(), false, true);
}

static void take_log(node_t *self, const scan_state_t *state)
{
    files_check_t *check = &self->check;

    self->counts.files_checked += state->result.segments;
    check->end_ms = net_now().boot_ms;
    if (state->log_end <= disk_begin(self->disk))
        return; /* none is damaged, or it was dropped meanwhile */
    check->log_end = state->log_end;
    check->must_roll = true;
}

/* ---- making it good ---- */

void node_checkpoint_renewed(node_t *self)
{
    self->check.is_checkpoint_damaged = false;
}

static void end_repair(node_t *self)
{
    files_check_t *check = &self->check;

    if (check->is_repaired || check->damaged == 0 || is_reading(check) || is_repairing(check))
        return;
    check->is_repaired = true;
    self->counts.files_repaired += check->damaged;
    notes_tell(&self->line, self->events, self->trace, LOG_LEVEL_WARN,
               slice_text("[repaired] what was damaged is written anew from what this node has in "
                          "memory"));
}

/* What is appended from now on is to be in another segment than what is damaged. */
static void repair_log(node_t *self)
{
    files_check_t *check = &self->check;
    now_t now = net_now();
    err_t err;

    if (check->log_end == 0)
        return;
    if (check->must_roll && now.boot_ms >= check->roll_ms &&
        disk_end(self->disk) >= check->log_end) {
        check->roll_ms = now.boot_ms + NODE_LOOK_MS;
        check->must_roll = disk_roll(self->disk, &err) != 0;
        if (!check->must_roll)
            replica_files_damaged(self->replica, now, true, false);
    }
    if (check->must_roll || disk_begin(self->disk) < check->log_end)
        return;
    check->log_end = 0;
}

/* ---- each turn ---- */

bool node_check_files(node_t *self, bool is_checkpoint_idle)
{
    files_check_t *check = &self->check;

    if (check->is_wanted && is_checkpoint_idle)
        begin(self);
    if (check->scan == NULL)
        return true;
    scan_state_t state =
        check->taken == SCAN_DONE ? (scan_state_t){.phase = SCAN_DONE} : scan_state(check->scan);
    if (state.phase > check->taken) {
        take_findings(self, &state);
        if (check->taken == SCAN_CHECKPOINT)
            take_checkpoint(self);
        if (state.phase == SCAN_DONE)
            take_log(self, &state);
        check->taken = state.phase;
    }
    repair_log(self);
    end_repair(self);
    return state.phase != SCAN_CHECKPOINT;
}

/* ---- FILES ---- */

/* What is known of the last reading is an answer to one who asks for a new one. */
static bool is_answer(const files_check_t *check)
{
    if (is_reading(check) || is_repairing(check))
        return true;
    return check->scan != NULL && !check->is_told && net_now().boot_ms - check->end_ms < FRESH_MS;
}

static uint32_t put_findings(const files_check_t *check, buf_t *out)
{
    for (size_t i = 0; i < check->findings; i++) {
        const scan_finding_t *finding = scan_finding(check->scan, i);
        const files_finding_t item = {
            .is_damage = finding->weight == VERIFY_DAMAGE,
            .file = slice_text(finding->file),
            .offset = finding->offset,
            .text = slice_text(finding->text),
        };
        files_finding_put(out, &item);
    }
    return (uint32_t)check->findings;
}

int node_put_files(node_t *self, uint64_t ask, buf_t *out, err_t *err)
{
    files_check_t *check = &self->check;

    if (!replica_is_ready(self->replica) || self->stalled.is_stalled)
        return err_set(err, OUTCOME_BUSY, "it does not serve now: ask again when it does");
    if (check->failure[0] != '\0') {
        err_set(err, OUTCOME_READ_ONLY, "%s", check->failure);
        check->failure[0] = '\0';
        return -1;
    }
    if (check->scan == NULL || (ask == FILES_BEGIN && !is_answer(check)))
        check->is_wanted = true; /* it begins with the turn that follows */
    files_report_t report = {
        .id = self->settings->id,
        .incarnation = self->incarnation,
        .state = FILES_READING,
    };
    buf_t findings = {0};
    if (!check->is_wanted) {
        scan_state_t state = scan_state(check->scan);
        report.read = state.read;
        report.bytes = state.bytes;
        report.segments = state.result.segments;
        report.entries = state.result.entries;
        report.rows = state.result.rows;
        report.damaged = check->damaged;
        report.findings = put_findings(check, &findings);
        report.findings_at = buf_slice(&findings);
        if (!is_reading(check)) {
            report.state = is_repairing(check) ? FILES_REPAIRING : FILES_DONE;
            check->is_told = true;
        }
    }
    files_report_put(out, &report);
    buf_free(&findings);
    return 0;
}
