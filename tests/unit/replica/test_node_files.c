/* What a node answers to who has it read its files, and what it does about damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "bus/net/runtime.h"
#include "bus/wire/files.h"
#include "replica/core/seglog.h"
#include "replica/node/internal.h"
#include "tests/unit/folder.h"

enum {
    PATH_SIZE = 512,
    ID = 3,
    INCARNATION = 7,
    DEADLINE_MS = 60000,
};

typedef struct fixture {
    char folder[PATH_SIZE / 2];
    settings_t settings;
    node_t node;
} fixture_t;

/* ---- the fixture ---- */

static bool accept(void *arg, uint64_t position, uint8_t kind, slice_t payload)
{
    (void)arg;
    (void)position;
    (void)kind;
    (void)payload;
    return true;
}

/* A core that serves; nobody carries its effects out. */
static replica_t *ready_replica(uint64_t log_end)
{
    const replica_config_t config = {
        .id = ID,
        .incarnation = INCARNATION,
        .seed = 1,
        .host = "",
        .gossip_interval_ms = 1000,
        .max_drift_ms = 60000,
        .retry_horizon_ms = 15000,
        .value_max = 1024,
        .mode = MODE_MANUAL,
    };
    replica_t *replica = replica_new(&config);
    replica_start(replica, net_now(), log_end);
    while (replica_turn(replica, net_now()).size > 0)
        ;
    assert_true(replica_is_ready(replica));
    return replica;
}

static int set_up(void **state)
{
    fixture_t *f = mem_zero(1, sizeof(*f));
    node_t *node = &f->node;
    const trace_source_t source = {CONTROL_NODE, ID, INCARNATION};
    if (folder_make(f->folder, sizeof(f->folder), "node-files") != 0)
        return -1;
    f->settings.id = ID;
    node->settings = &f->settings;
    node->incarnation = INCARNATION;
    node->events = events_new();
    assert_int_equal(trace_open(&node->trace, &source, NULL), 0);
    assert_int_equal(wake_open(&node->wake, NULL), 0);
    node->has_wake = true;
    assert_int_equal(disk_open(&node->disk, f->folder, ID, NULL), 0);
    assert_int_equal(disk_replay(node->disk, 0, accept, NULL, NULL, NULL), 0);
    assert_int_equal(checkpoint_open(&node->checkpoint, f->folder, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    node_t *node = &f->node;
    char path[PATH_SIZE];
    node_close_store(node);
    replica_destroy(&node->replica);
    trace_destroy(&node->trace);
    events_destroy(&node->events);
    buf_free(&node->line);
    snprintf(path, sizeof(path), "%s/checkpoint", f->folder);
    folder_remove(path);
    int rc = folder_remove(f->folder);
    free(f);
    return rc;
}

/* ---- steps ---- */

static void append(fixture_t *f)
{
    buf_t entry = {0};
    seglog_entry_put(&entry, disk_end(f->node.disk), 1, slice_text("what an entry holds"));
    assert_int_equal(disk_append(f->node.disk, buf_slice(&entry), NULL), 0);
    buf_free(&entry);
}

/* Changes the last byte of what the log's first segment holds. */
static void damage_log(const fixture_t *f)
{
    char name[SEGMENT_NAME_SIZE];
    char path[PATH_SIZE];
    segment_name(name, disk_begin(f->node.disk));
    snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    off_t end = lseek(fd, 0, SEEK_END);
    assert_int_equal(pwrite(fd, "", 1, end - 1), 1);
    close(fd);
}

static files_report_t ask(fixture_t *f, files_ask_t how)
{
    files_report_t report;
    err_t err = {.text = ""};
    buf_t *document = &f->node.document;
    buf_reset(document);
    if (node_put_files(&f->node, how, document, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(files_report_read(buf_slice(document), &report));
    return report;
}

/* Takes turns until it has read all and made it good. */
static void run(fixture_t *f)
{
    const files_check_t *check = &f->node.check;
    int64_t deadline_ms = net_now().boot_ms + DEADLINE_MS;
    do {
        node_check_files(&f->node, true);
        assert_true(net_now().boot_ms < deadline_ms);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    } while (check->is_wanted || check->taken != SCAN_DONE);
}

/* ---- tests ---- */

/* What was found by the reading before is not said of the one that begins. */
static void test_next_reading(void **state)
{
    fixture_t *f = *state;
    node_t *node = &f->node;
    append(f);
    node->replica = ready_replica(disk_end(node->disk));
    damage_log(f);
    assert_int_equal(ask(f, FILES_BEGIN).state, FILES_READING);
    run(f);
    files_report_t report = ask(f, FILES_TELL);
    assert_int_equal(report.state, FILES_REPAIRING);
    assert_true(report.damaged == 1 && report.findings == 1);
    disk_drop_before(node->disk, disk_end(node->disk)); /* as after the next checkpoint */
    run(f);
    assert_int_equal(ask(f, FILES_TELL).state, FILES_DONE);
    report = ask(f, FILES_BEGIN);
    assert_int_equal(report.state, FILES_READING);
    assert_true(report.damaged == 0 && report.findings == 0 && report.bytes == 0);
    assert_true(node_check_files(node, false)); /* a checkpoint is being written */
    assert_int_equal(ask(f, FILES_TELL).bytes, 0);
    run(f);
    report = ask(f, FILES_TELL);
    assert_int_equal(report.state, FILES_DONE);
    assert_true(report.damaged == 0 && report.findings == 0 && report.bytes > 0);
    assert_true(node->counts.files_damaged == 1 && node->counts.files_repaired == 1);
    buf_free(&node->document);
}

/* Several ask, and one reading answers them; who asks when all know of it begins another. */
static void test_several_ask(void **state)
{
    fixture_t *f = *state;
    node_t *node = &f->node;
    append(f);
    node->replica = ready_replica(disk_end(node->disk));
    ask(f, FILES_BEGIN);
    ask(f, FILES_BEGIN);
    run(f);
    uint64_t checked = node->counts.files_checked;
    assert_true(checked > 0);
    assert_int_equal(ask(f, FILES_BEGIN).state, FILES_DONE); /* nobody was told yet */
    assert_int_equal(ask(f, FILES_TELL).state, FILES_DONE);
    run(f);
    assert_int_equal(node->counts.files_checked, checked);
    assert_int_equal(ask(f, FILES_BEGIN).state, FILES_READING);
    run(f);
    assert_int_equal(node->counts.files_checked, 2 * checked);
    buf_free(&node->document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_next_reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_ask, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("node_files", tests, NULL, NULL);
}
