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
#include "replica/core/seglog.h"
#include "replica/disk/checkpoint.h"
#include "replica/disk/disk.h"
#include "replica/disk/verify.h"
#include "tests/unit/folder.h"

enum {
    NODE = 3,
    PATH_SIZE = 512,
    FINDINGS = 16,
    ENTRY_SIZE = 100,
    PER_SEGMENT = 10,
    SEGMENTS = 4,
    ROWS = 5,
};

typedef struct fixture {
    char top[PATH_SIZE / 4];
    char folder[PATH_SIZE / 2];
    verify_finding_t findings[FINDINGS]; /* text and file are freed */
    size_t count;
    verified_t result;
} fixture_t;

/* ---- the fixture ---- */

static void path_in(char path[PATH_SIZE], const fixture_t *f, const char *name)
{
    snprintf(path, PATH_SIZE, "%s/%s", f->folder, name);
}

static void segment_path(char path[PATH_SIZE], const fixture_t *f, size_t segment)
{
    snprintf(path, PATH_SIZE, "%s/log-%016zx.seg", f->folder, segment * PER_SEGMENT * ENTRY_SIZE);
}

static bool accept(void *arg, uint64_t position, uint8_t kind, slice_t payload)
{
    (void)arg;
    (void)position;
    (void)kind;
    (void)payload;
    return true;
}

/* A log of SEGMENTS segments of PER_SEGMENT entries of ENTRY_SIZE bytes, and a checkpoint. */
static void fill(fixture_t *f)
{
    disk_t *disk = NULL;
    checkpoint_t *checkpoint = NULL;
    assert_int_equal(disk_open(&disk, f->folder, NODE, NULL), 0);
    assert_int_equal(disk_replay(disk, 0, accept, NULL, NULL, NULL), 0);
    disk_set_segment_size(disk, (size_t)PER_SEGMENT * ENTRY_SIZE);
    for (int i = 0; i < SEGMENTS * PER_SEGMENT; i++) {
        uint8_t payload[ENTRY_SIZE - SEGLOG_ENTRY_OVERHEAD];
        buf_t entry = {0};
        memset(payload, 1 + i, sizeof(payload));
        seglog_entry_put(&entry, disk_end(disk), 1, slice_of(payload, sizeof(payload)));
        assert_int_equal(disk_append(disk, buf_slice(&entry), NULL), 0);
        buf_free(&entry);
    }
    assert_int_equal(checkpoint_open(&checkpoint, f->folder, NULL), 0);
    checkpoint_begin(checkpoint);
    for (uint8_t i = 0; i < ROWS; i++)
        checkpoint_put(checkpoint, 1, slice_of(&i, 1), slice_text("a value that one finds"));
    checkpoint_commit(checkpoint);
    checkpoint_close(&checkpoint);
    disk_close(&disk);
}

static int set_up(void **state)
{
    fixture_t *f = mem_zero(1, sizeof(*f));
    if (folder_make(f->top, sizeof(f->top), "verify") != 0)
        return -1;
    snprintf(f->folder, sizeof(f->folder), "%s/replica_%d", f->top, NODE);
    fill(f);
    *state = f;
    return 0;
}

static void forget_findings(fixture_t *f)
{
    for (size_t i = 0; i < f->count; i++) {
        char *texts[] = {NULL, NULL};
        memcpy(&texts[0], &f->findings[i].text, sizeof(char *));
        memcpy(&texts[1], &f->findings[i].file, sizeof(char *));
        free(texts[0]);
        free(texts[1]);
    }
    f->count = 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    path_in(path, f, "checkpoint");
    folder_remove(path);
    folder_remove(f->folder);
    forget_findings(f);
    int rc = rmdir(f->top);
    free(f);
    return rc;
}

static void take(void *arg, const verify_finding_t *finding)
{
    fixture_t *f = arg;
    assert_true(f->count < FINDINGS);
    assert_null(strchr(finding->text, '\n'));
    assert_non_null(strstr(finding->text, f->folder));
    assert_non_null(strstr(finding->text, finding->file));
    verify_finding_t *kept = &f->findings[f->count++];
    *kept = *finding;
    kept->text = mem_text(finding->text, strlen(finding->text));
    kept->file = mem_text(finding->file, strlen(finding->file));
}

static void verify(fixture_t *f, size_t findings, uint64_t damaged)
{
    err_t err = {.text = ""};
    forget_findings(f);
    if (disk_verify(f->folder, take, f, &f->result, &err) != 0)
        fail_msg("%s", err.text);
    if (f->count != findings && f->count > 0)
        print_message("%s\n", f->findings[0].text);
    assert_int_equal(f->count, findings);
    assert_int_equal(f->result.damaged, damaged);
}

/* Changes a bit of the byte at offset in the file at path. */
static void flip(const char *path, off_t offset)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

/* Of entry i of a segment's file. */
static off_t entry_offset(size_t i)
{
    return (off_t)(SEGLOG_HEADER_SIZE + i * ENTRY_SIZE);
}

static void expect(const fixture_t *f, size_t i, verify_weight_t weight, uint64_t offset,
                   uint64_t position, const char *text)
{
    const verify_finding_t *finding = &f->findings[i];
    assert_int_equal(finding->weight, weight);
    assert_int_equal(finding->offset, offset);
    assert_int_equal(finding->position, position);
    if (strstr(finding->text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", finding->text, text);
}

/* ---- tests ---- */

static void test_nothing_wrong(void **state)
{
    fixture_t *f = *state;
    verify(f, 0, 0);
    assert_int_equal(f->result.segments, SEGMENTS);
    assert_int_equal(f->result.entries, SEGMENTS * PER_SEGMENT);
    assert_int_equal(f->result.rows, ROWS);
}

/* Each damaged entry is named, in whichever segment; two in a row are one place. */
static void test_damaged_entries(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    uint64_t second = (uint64_t)2 * PER_SEGMENT * ENTRY_SIZE;
    segment_path(path, f, 2);
    flip(path, entry_offset(0) + 50);
    flip(path, entry_offset(3) + 2); /* its length */
    flip(path, entry_offset(6) + 20);
    flip(path, entry_offset(7) + 20);
    segment_path(path, f, SEGMENTS - 1);
    flip(path, entry_offset(4));
    for (int turn = 0; turn < 2; turn++) { /* looking changes nothing */
        verify(f, 4, 4);
        assert_int_equal(f->result.entries, SEGMENTS * PER_SEGMENT - 5);
        expect(f, 0, VERIFY_DAMAGE, SEGLOG_HEADER_SIZE, second, ": 100 bytes at offset 32 ");
        expect(f, 1, VERIFY_DAMAGE, (uint64_t)entry_offset(3), second + 300, ": 100 bytes at");
        expect(f, 2, VERIFY_DAMAGE, (uint64_t)entry_offset(6), second + 600, ": 200 bytes at");
        expect(f, 3, VERIFY_DAMAGE, (uint64_t)entry_offset(4),
               (SEGMENTS - 1) * PER_SEGMENT * ENTRY_SIZE + 400, "damaged; a repair takes");
    }
}

static void test_torn_tail(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    segment_path(path, f, SEGMENTS - 1);
    assert_int_equal(truncate(path, entry_offset(9) + 70), 0);
    verify(f, 2, 2); /* it had been synced */
    expect(f, 0, VERIFY_DAMAGE, (uint64_t)entry_offset(9),
           (SEGMENTS * PER_SEGMENT - 1) * ENTRY_SIZE, ": 70 bytes at offset");
    expect(f, 1, VERIFY_DAMAGE, 0, (SEGMENTS * PER_SEGMENT - 1) * ENTRY_SIZE + 70,
           "ends at position 3970 and was on the disk up to 4000");
    path_in(path, f, "synced");
    assert_int_equal(unlink(path), 0);
    verify(f, 1, 0);
    expect(f, 0, VERIFY_HARMLESS, (uint64_t)entry_offset(9),
           (SEGMENTS * PER_SEGMENT - 1) * ENTRY_SIZE, ": 70 bytes at offset");
    assert_non_null(strstr(f->findings[0].text, "the next start cuts them off"));
}

static void test_segments(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    segment_path(path, f, 1);
    assert_int_equal(unlink(path), 0);
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, 0, PER_SEGMENT * ENTRY_SIZE,
           "has a gap from position 1000 to 2000");
    segment_path(path, f, 2);
    flip(path, 20);
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, 0, 2 * PER_SEGMENT * ENTRY_SIZE, "is damaged at offset 0");
}

static void test_checkpoint(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    buf_t file = {0};
    path_in(path, f, "checkpoint/data.mdb");
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    assert_int_equal(pread(fd, buf_reserve(&file, (size_t)size), (size_t)size, 0), size);
    off_t at = 0;
    while (memcmp(file.data + at, "one finds", 9) != 0)
        assert_true(++at + 9 < size);
    flip(path, at);
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, 0, 0, "checkpoint/data.mdb: a row of table 1 is damaged");
    assert_int_equal(f->result.rows, ROWS - 1);
    assert_int_equal(ftruncate(fd, 2 * 4096), 0);
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, 0, 0, "checkpoint/data.mdb is damaged");
    assert_int_equal(ftruncate(fd, 10), 0);
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, 0, 0, "checkpoint/data.mdb is damaged");
    assert_int_equal(unlink(path), 0);
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, 0, 0, "checkpoint/data.mdb is missing");
    close(fd);
    buf_free(&file);
}

/* What was set aside is told until it is made good. */
static void test_aside(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    path_in(path, f, "repair");
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    static const char lines[] = "damaged-1 first\ndamaged-2 second\n";
    assert_int_equal(write(fd, lines, sizeof(lines) - 1), (ssize_t)sizeof(lines) - 1);
    close(fd);
    verify(f, 2, 2);
    expect(f, 0, VERIFY_DAMAGE, 0, 0, "repair: damaged-1 first");
    expect(f, 1, VERIFY_DAMAGE, 0, 0, "repair: damaged-2 second");
    assert_int_equal(unlink(path), 0);
    verify(f, 0, 0);
}

static void test_refusals(void **state)
{
    fixture_t *f = *state;
    err_t err = {.text = ""};
    disk_t *disk = NULL;
    verified_t result;
    assert_int_equal(disk_open(&disk, f->folder, NODE, NULL), 0);
    assert_int_equal(disk_verify(f->folder, take, f, &result, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    assert_non_null(strstr(err.text, "is in use; stop that node first"));
    disk_close(&disk);
    assert_int_equal(disk_verify(f->top, take, f, &result, &err), -1);
    assert_non_null(strstr(err.text, "holds nothing of hearsay"));
    assert_int_equal(disk_verify("/nonexistent", take, f, &result, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    assert_int_equal(f->count, 0);
}

#define VERIFY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERIFY_TEST(test_nothing_wrong), VERIFY_TEST(test_damaged_entries),
        VERIFY_TEST(test_torn_tail),     VERIFY_TEST(test_segments),
        VERIFY_TEST(test_checkpoint),    VERIFY_TEST(test_aside),
        VERIFY_TEST(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
