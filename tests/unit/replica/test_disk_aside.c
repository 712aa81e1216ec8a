#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "replica/core/seglog.h"
#include "replica/disk/aside.h"
#include "replica/disk/checkpoint.h"
#include "replica/disk/disk.h"
#include "tests/unit/folder.h"

enum {
    NODE = 3,
    PATH_SIZE = 512,
    ENTRY_SIZE = 100,
    PER_SEGMENT = 10,
    SEGMENTS = 4,
    ENTRIES = SEGMENTS * PER_SEGMENT,
};

/* A log of SEGMENTS segments of PER_SEGMENT entries of ENTRY_SIZE bytes, and a checkpoint. */
typedef struct fixture {
    char top[PATH_SIZE / 4];
    char folder[PATH_SIZE / 2];
    disk_t *disk;
    bool seen[ENTRIES];
    size_t seen_count;
    size_t lines;
    char last_line[PATH_SIZE];
} fixture_t;

static void segment_path(char path[PATH_SIZE], const fixture_t *f, size_t segment)
{
    snprintf(path, PATH_SIZE, "%s/log-%016zx.seg", f->folder, segment * PER_SEGMENT * ENTRY_SIZE);
}

/* Each entry of the log is a byte that numbers it, many times. */
static void append(fixture_t *f, uint8_t number)
{
    uint8_t payload[ENTRY_SIZE - SEGLOG_ENTRY_OVERHEAD];
    buf_t entry = {0};
    memset(payload, number, sizeof(payload));
    seglog_entry_put(&entry, disk_end(f->disk), 1, slice_of(payload, sizeof(payload)));
    assert_int_equal(disk_append(f->disk, buf_slice(&entry), NULL), 0);
    buf_free(&entry);
}

static void see(fixture_t *f, slice_t payload)
{
    assert_int_equal(payload.size, ENTRY_SIZE - SEGLOG_ENTRY_OVERHEAD);
    assert_true(payload.data[0] < ENTRIES);
    f->seen[payload.data[0]] = true;
    f->seen_count++;
}

static bool replayed(void *arg, uint64_t position, uint8_t kind, slice_t payload)
{
    (void)position;
    (void)kind;
    see(arg, payload);
    return true;
}

static void found(void *arg, uint8_t kind, slice_t payload)
{
    (void)kind;
    see(arg, payload);
}

static void take_line(void *arg, const char *line)
{
    fixture_t *f = arg;
    f->lines++;
    snprintf(f->last_line, sizeof(f->last_line), "%s", line);
}

static void forget_seen(fixture_t *f)
{
    memset(f->seen, 0, sizeof(f->seen));
    f->seen_count = f->lines = 0;
}

/* All entries from first on, and none else, were seen, each once. */
static void expect_seen(const fixture_t *f, size_t first, size_t end)
{
    for (size_t i = 0; i < ENTRIES; i++)
        assert_int_equal(f->seen[i], i >= first && i < end);
    assert_int_equal(f->seen_count, end - first);
}

static void open_disk(fixture_t *f)
{
    err_t err = {.text = ""};
    if (disk_open(&f->disk, f->folder, NODE, &err) != 0)
        fail_msg("%s", err.text);
}

static int replay(fixture_t *f, uint64_t from, err_t *err)
{
    forget_seen(f);
    return disk_replay(f->disk, from, replayed, f, NULL, err);
}

/* A replay that finds damage; how far the log is good. */
static uint64_t replay_is_lost(fixture_t *f, uint64_t from)
{
    err_t err = {.text = ""};
    open_disk(f);
    assert_int_equal(replay(f, from, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_LOST);
    uint64_t end = disk_good_end(f->disk);
    disk_close(&f->disk);
    return end;
}

static void move_aside(fixture_t *f, aside_part_t part, uint64_t position,
                       char place[ASIDE_PLACE_SIZE])
{
    err_t err = {.text = ""};
    if (aside_move(f->folder, NODE, part, position, "it was damaged", place, &err) != 0)
        fail_msg("%s", err.text);
}

static void flip(const char *path, off_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static off_t size_in(const fixture_t *f, const char *place, size_t segment)
{
    char path[PATH_SIZE];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s/log-%016zx.seg", f->folder, place,
             segment * PER_SEGMENT * ENTRY_SIZE);
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static int set_up(void **state)
{
    fixture_t *f = mem_zero(1, sizeof(*f));
    checkpoint_t *checkpoint = NULL;
    if (folder_make(f->top, sizeof(f->top), "aside") != 0)
        return -1;
    snprintf(f->folder, sizeof(f->folder), "%s/replica_%d", f->top, NODE);
    open_disk(f);
    assert_int_equal(replay(f, 0, NULL), 0);
    disk_set_segment_size(f->disk, (size_t)PER_SEGMENT * ENTRY_SIZE);
    for (uint8_t i = 0; i < ENTRIES; i++)
        append(f, i);
    assert_int_equal(checkpoint_open(&checkpoint, f->folder, NULL), 0);
    checkpoint_close(&checkpoint);
    disk_close(&f->disk);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    char path[2 * PATH_SIZE];
    disk_close(&f->disk);
    DIR *dir = opendir(f->folder);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, "damaged-", 8) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s/checkpoint", f->folder, entry->d_name);
        folder_remove(path);
        snprintf(path, sizeof(path), "%s/%s", f->folder, entry->d_name);
        folder_remove(path);
    }
    if (dir != NULL)
        closedir(dir);
    snprintf(path, sizeof(path), "%s/checkpoint", f->folder);
    folder_remove(path);
    folder_remove(f->folder);
    int rc = rmdir(f->top);
    free(f);
    return rc;
}

/* ---- the tests ---- */

/* What is before the damage stays and goes on; the rest is aside, and found there. */
static void test_damaged_entry(void **state)
{
    fixture_t *f = *state;
    enum { BAD = 17 };
    char path[PATH_SIZE];
    char place[ASIDE_PLACE_SIZE];
    segment_path(path, f, 1);
    flip(path, SEGLOG_HEADER_SIZE + (BAD - PER_SEGMENT) * ENTRY_SIZE + 50);
    uint64_t end = replay_is_lost(f, 0);
    assert_true(end == BAD * ENTRY_SIZE);
    move_aside(f, ASIDE_LOG, end, place);
    assert_int_equal(size_in(f, place, 0), -1);
    for (size_t i = 1; i < SEGMENTS; i++)
        assert_int_equal(size_in(f, place, i), SEGLOG_HEADER_SIZE + PER_SEGMENT * ENTRY_SIZE);

    open_disk(f);
    assert_true(disk_is_aside(f->disk));
    assert_int_equal(replay(f, 0, NULL), 0);
    expect_seen(f, 0, BAD);
    assert_true(disk_end(f->disk) == BAD * ENTRY_SIZE);
    append(f, BAD);
    disk_close(&f->disk);
    open_disk(f);
    assert_int_equal(replay(f, 0, NULL), 0);
    expect_seen(f, 0, BAD + 1);

    forget_seen(f);
    aside_each(f->folder, take_line, found, f);
    assert_false(f->seen[BAD]);
    f->seen[BAD] = true;
    f->seen_count++;
    expect_seen(f, PER_SEGMENT, ENTRIES);
    assert_int_equal(f->lines, 1);
    assert_non_null(strstr(f->last_line, place));
    assert_non_null(strstr(f->last_line, " it was damaged"));

    assert_int_equal(aside_end(f->folder, NULL), 0);
    disk_close(&f->disk);
    open_disk(f);
    assert_false(disk_is_aside(f->disk));
    forget_seen(f);
    aside_each(f->folder, take_line, found, f);
    assert_true(f->lines == 0 && f->seen_count == 0);
}

/* A header: first that segment alone, then what is behind the gap; it may not be needed. */
static void test_damaged_header(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    char place[ASIDE_PLACE_SIZE];
    err_t err = {.text = ""};
    segment_path(path, f, 1);
    flip(path, 20);
    assert_int_equal(disk_open(&f->disk, f->folder, NODE, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_LOST);
    move_aside(f, ASIDE_HEADERS, 0, place);
    open_disk(f);
    assert_int_equal(replay(f, (uint64_t)2 * PER_SEGMENT * ENTRY_SIZE, NULL), 0);
    expect_seen(f, (size_t)2 * PER_SEGMENT, ENTRIES);
    disk_close(&f->disk);
}

static void test_gap(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    char place[ASIDE_PLACE_SIZE];
    for (size_t i = 1; i < 4; i += 2) {
        segment_path(path, f, i);
        assert_int_equal(unlink(path), 0);
    }
    segment_path(path, f, 4);
    open_disk(f);
    disk_close(&f->disk);
    uint64_t end = replay_is_lost(f, 0);
    assert_true(end == (uint64_t)PER_SEGMENT * ENTRY_SIZE);
    move_aside(f, ASIDE_LOG, end, place);
    assert_int_equal(size_in(f, place, 2), SEGLOG_HEADER_SIZE + PER_SEGMENT * ENTRY_SIZE);
    open_disk(f);
    assert_int_equal(replay(f, 0, NULL), 0);
    expect_seen(f, 0, PER_SEGMENT);
}

/* The log does not reach back to where it is needed: none of it is of use. */
static void test_no_beginning(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    char place[ASIDE_PLACE_SIZE];
    segment_path(path, f, 0);
    assert_int_equal(unlink(path), 0);
    uint64_t end = replay_is_lost(f, 0);
    move_aside(f, ASIDE_LOG, end, place);
    open_disk(f);
    assert_int_equal(replay(f, 0, NULL), 0);
    assert_true(f->seen_count == 0 && disk_end(f->disk) == 0);
    forget_seen(f);
    aside_each(f->folder, NULL, found, f);
    expect_seen(f, PER_SEGMENT, ENTRIES);
}

/* Before the checkpoint it is told and does no harm; where the checkpoint is, it is damage. */
static void test_damage_before_the_checkpoint(void **state)
{
    fixture_t *f = *state;
    enum { BAD = 12 };
    char path[PATH_SIZE];
    disk_replayed_t result;
    segment_path(path, f, 1);
    flip(path, SEGLOG_HEADER_SIZE + (BAD - PER_SEGMENT) * ENTRY_SIZE + 50);
    open_disk(f);
    forget_seen(f);
    assert_int_equal(disk_replay(f->disk, (uint64_t)15 * ENTRY_SIZE, replayed, f, &result, NULL),
                     0);
    expect_seen(f, 15, ENTRIES);
    assert_true(result.skipped_position == BAD * ENTRY_SIZE);
    assert_true(result.skipped_bytes == (15 - BAD) * ENTRY_SIZE);
    disk_close(&f->disk);
    assert_true(replay_is_lost(f, BAD * ENTRY_SIZE) == BAD * ENTRY_SIZE);
    assert_true(replay_is_lost(f, BAD * ENTRY_SIZE + 1) == BAD * ENTRY_SIZE);
}

static void test_checkpoint(void **state)
{
    fixture_t *f = *state;
    char places[2][ASIDE_PLACE_SIZE];
    char path[PATH_SIZE];
    assert_true(checkpoint_exists(f->folder));
    move_aside(f, ASIDE_CHECKPOINT, 0, places[0]);
    assert_false(checkpoint_exists(f->folder));
    snprintf(path, sizeof(path), "%s/%s/checkpoint/data.mdb", f->folder, places[0]);
    assert_int_equal(access(path, F_OK), 0);
    /* Once more, when it is gone: only the line is added. */
    move_aside(f, ASIDE_CHECKPOINT, 0, places[1]);
    assert_string_not_equal(places[0], places[1]);
    forget_seen(f);
    aside_each(f->folder, take_line, NULL, f);
    assert_int_equal(f->lines, 2);
    open_disk(f);
    assert_true(disk_is_aside(f->disk));
    assert_int_equal(replay(f, 0, NULL), 0);
    expect_seen(f, 0, ENTRIES);
}

static void test_in_use(void **state)
{
    fixture_t *f = *state;
    char place[ASIDE_PLACE_SIZE];
    err_t err = {.text = ""};
    open_disk(f);
    assert_int_equal(aside_move(f->folder, NODE, ASIDE_LOG, 0, "why", place, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    assert_int_equal(replay(f, 0, NULL), 0);
    expect_seen(f, 0, ENTRIES);
}

#define ASIDE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASIDE_TEST(test_damaged_entry), ASIDE_TEST(test_damaged_header),
        ASIDE_TEST(test_gap),           ASIDE_TEST(test_no_beginning),
        ASIDE_TEST(test_checkpoint),    ASIDE_TEST(test_damage_before_the_checkpoint),
        ASIDE_TEST(test_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
