#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "replica/core/seglog.h"
#include "replica/disk/checkpoint.h"
#include "replica/disk/disk.h"
#include "replica/disk/scan.h"
#include "replica/disk/verify.h"
#include "tests/unit/child.h"
#include "tests/unit/folder.h"

enum {
    NODE = 3,
    PATH_SIZE = 512,
    FINDINGS = 16,
    ENTRY_SIZE = 100,
    PER_SEGMENT = 10,
    SEGMENTS = 4,
    ROWS = 5,
    DEADLINE_MS = 60000,
    PAGE = 4096, /* of LMDB, here */
};

typedef struct fixture {
    char top[PATH_SIZE / 4];
    char folder[PATH_SIZE / 2];
    verify_finding_t findings[FINDINGS]; /* text and file are freed */
    size_t count;
    verified_t result;
    disk_t *disk; /* of a node that runs */
    checkpoint_t *checkpoint;
    scan_t *scan;
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

static void append(fixture_t *f, int count)
{
    for (int i = 0; i < count; i++) {
        uint8_t payload[ENTRY_SIZE - SEGLOG_ENTRY_OVERHEAD];
        buf_t entry = {0};
        memset(payload, 1 + i, sizeof(payload));
        seglog_entry_put(&entry, disk_end(f->disk), 1, slice_of(payload, sizeof(payload)));
        assert_int_equal(disk_append(f->disk, buf_slice(&entry), NULL), 0);
        buf_free(&entry);
    }
}

static void start(fixture_t *f)
{
    assert_int_equal(disk_open(&f->disk, f->folder, NODE, NULL), 0);
    assert_int_equal(disk_replay(f->disk, 0, accept, NULL, NULL, NULL), 0);
    disk_set_segment_size(f->disk, (size_t)PER_SEGMENT * ENTRY_SIZE);
    assert_int_equal(checkpoint_open(&f->checkpoint, f->folder, NULL), 0);
}

static void stop(fixture_t *f)
{
    scan_end(&f->scan);
    checkpoint_close(&f->checkpoint);
    disk_close(&f->disk);
}

static int64_t boot_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void pause_ms(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void commit(fixture_t *f)
{
    int64_t deadline_ms = boot_ms() + DEADLINE_MS;
    for (uint8_t i = 0; i < ROWS; i++)
        checkpoint_put(f->checkpoint, 1, slice_of(&i, 1), slice_text("a value that one finds"));
    checkpoint_commit(f->checkpoint);
    while (checkpoint_state(f->checkpoint, NULL) != CHECKPOINT_DONE) {
        assert_true(boot_ms() < deadline_ms);
        pause_ms();
    }
}

/* A log of SEGMENTS segments of PER_SEGMENT entries of ENTRY_SIZE bytes, and a checkpoint. */
static void fill(fixture_t *f)
{
    start(f);
    append(f, SEGMENTS * PER_SEGMENT);
    checkpoint_begin(f->checkpoint);
    commit(f);
    stop(f);
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
    stop(f);
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

/* The offset of a row's value in the checkpoint. */
static off_t value_offset(const fixture_t *f)
{
    char path[PATH_SIZE];
    buf_t file = {0};
    path_in(path, f, "checkpoint/data.mdb");
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    assert_int_equal(pread(fd, buf_reserve(&file, (size_t)size), (size_t)size, 0), size);
    off_t at = 0;
    while (memcmp(file.data + at, "one finds", 9) != 0)
        assert_true(++at + 9 < size);
    close(fd);
    buf_free(&file);
    return at;
}

static void test_checkpoint(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    path_in(path, f, "checkpoint/data.mdb");
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    off_t at = value_offset(f);
    uint64_t page = (uint64_t)at / PAGE * PAGE;
    flip(path, at);
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, page, 0, "checkpoint/data.mdb: a row of table 1 is damaged at off");
    assert_int_equal(f->result.rows, ROWS - 1);
    assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, 0, 0, "checkpoint/data.mdb is damaged");
    assert_int_equal(ftruncate(fd, 10), 0);
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, 0, 0, "checkpoint/data.mdb is damaged");
    assert_int_equal(unlink(path), 0);
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, 0, 0, "checkpoint/data.mdb is missing");
    close(fd);
}

/* Of LMDB's pages: where in its head the kind is, and the end of the offsets of its nodes. */
enum { PAGE_KIND_AT = 10, PAGE_LOWER_AT = 12, PAGE_HEAD = 16, BRANCH = 1, LEAF = 2 };

/* Changes the last page of that kind in the checkpoint: what, at a place in it, by a difference. */
static void change_page(const fixture_t *f, uint16_t kind, size_t at, int difference)
{
    char path[PATH_SIZE];
    uint8_t page[PAGE];
    uint16_t found;
    off_t last = -1;
    path_in(path, f, "checkpoint/data.mdb");
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    for (off_t offset = 0; pread(fd, page, PAGE, offset) == PAGE; offset += PAGE) {
        memcpy(&found, page + PAGE_KIND_AT, sizeof(found));
        last = found == kind ? offset : last;
    }
    assert_true(last >= 0);
    assert_int_equal(pread(fd, page, PAGE, last), PAGE);
    if (at == 0) { /* in the key of the second node, after its head */
        memcpy(&found, page + PAGE_HEAD + 2, sizeof(found));
        at = found + 8U;
    }
    page[at] = (uint8_t)(page[at] + difference);
    assert_int_equal(pwrite(fd, page, PAGE, last), PAGE);
    close(fd);
}

/* What no checksum covers: how many rows are in a page, and the keys that lead to pages. */
static void test_checkpoint_pages(void **state)
{
    fixture_t *f = *state;
    start(f);
    checkpoint_begin(f->checkpoint);
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t key[4];
        be32_put(key, i);
        checkpoint_put(f->checkpoint, 2, slice_of(key, sizeof(key)), slice_text("a value"));
    }
    commit(f);
    stop(f);
    verify(f, 0, 0);
    const struct {
        uint16_t kind;
        size_t at;
        int difference;
    } changes[] = {{LEAF, PAGE_LOWER_AT, -2}, {BRANCH, 0, 1}, {BRANCH, 0, -1}};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        change_page(f, changes[i].kind, changes[i].at, changes[i].difference);
        verify(f, 1, 1);
        expect(f, 0, VERIFY_DAMAGE, f->findings[0].offset, 0, "checkpoint/data.mdb is damaged");
        change_page(f, changes[i].kind, changes[i].at, -changes[i].difference);
        verify(f, 0, 0);
    }
}

static long most_kib(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Of a size that is damaged only as much is read as there is. */
static void damaged_size_child(void *arg)
{
    enum { VALUE = 10000, CHECKSUM = 8, MIB = 1024 * 1024, KIB_PER_MIB = 1024 };
    fixture_t *f = arg;
    static const uint8_t value[VALUE] = {0};
    /* A node of LMDB: the size, low half first, that it is in pages of its own, the key. */
    const uint16_t node[] = {VALUE + CHECKSUM, 0, 1, 1 + 3};
    const uint16_t high = 256 * MIB >> 16;
    uint8_t page[PAGE];
    char path[PATH_SIZE];
    bool is_found = false;
    start(f);
    checkpoint_begin(f->checkpoint);
    checkpoint_put(f->checkpoint, 2, slice_text("key"), slice_of(value, sizeof(value)));
    commit(f);
    stop(f);
    path_in(path, f, "checkpoint/data.mdb");
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    for (off_t at = 0; pread(fd, page, PAGE, at) == PAGE; at += PAGE)
        for (size_t i = 0; i + sizeof(node) <= PAGE; i += 2)
            if (memcmp(page + i, node, sizeof(node)) == 0) {
                is_found = true;
                assert_int_equal(pwrite(fd, &high, 2, at + (off_t)i + 2), 2);
            }
    assert_true(is_found);
    assert_int_equal(ftruncate(fd, 512 * MIB), 0);
    close(fd);
    long before_kib = most_kib();
    verify(f, 1, 1);
    expect(f, 0, VERIFY_DAMAGE, f->findings[0].offset, 0, "checkpoint/data.mdb is damaged");
    assert_true(most_kib() - before_kib < 64L * KIB_PER_MIB);
}

static void test_damaged_size(void **state)
{
    child_passes(damaged_size_child, *state);
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

/* ---- tests: of a node that runs ---- */

static void begin_scan(fixture_t *f)
{
    scan_end(&f->scan);
    assert_int_equal(scan_start(&f->scan, f->disk, NULL, NULL, NULL), 0);
}

/* Waits until all is read, which finds so many places. */
static scan_state_t end_scan(fixture_t *f, size_t findings)
{
    int64_t deadline_ms = boot_ms() + DEADLINE_MS;
    scan_state_t state;
    while ((state = scan_state(f->scan)).phase != SCAN_DONE) {
        assert_true(boot_ms() < deadline_ms);
        pause_ms();
    }
    if (state.findings != findings && state.findings > 0)
        print_message("%s\n", scan_finding(f->scan, 0)->text);
    assert_int_equal(state.findings, findings);
    assert_int_equal(state.result.damaged, findings);
    assert_true(state.read == state.bytes && state.bytes > 0);
    return state;
}

static scan_state_t scan(fixture_t *f, size_t findings)
{
    begin_scan(f);
    return end_scan(f, findings);
}

static void expect_finding(const fixture_t *f, size_t i, scan_phase_t part, uint64_t offset,
                           uint64_t position, const char *text)
{
    const scan_finding_t *finding = scan_finding(f->scan, i);
    assert_int_equal(finding->weight, VERIFY_DAMAGE);
    assert_int_equal(finding->part, part);
    assert_int_equal(finding->offset, offset);
    assert_int_equal(finding->position, position);
    assert_non_null(strstr(finding->text, finding->file));
    assert_null(strchr(finding->text, ';')); /* what is to be done: nothing, it does that */
    if (strstr(finding->text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", finding->text, text);
}

/* As a node does it: what comes goes to another segment, and a checkpoint holds what was before. */
static void make_log_good(fixture_t *f)
{
    assert_int_equal(disk_roll(f->disk, NULL), 0);
    disk_drop_before(f->disk, disk_end(f->disk));
}

/* The node is ended, and its folder is good. */
static void expect_whole(fixture_t *f)
{
    stop(f);
    verify(f, 0, 0);
}

static void test_running(void **state)
{
    fixture_t *f = *state;
    start(f);
    scan_state_t found = scan(f, 0);
    assert_int_equal(found.result.segments, SEGMENTS);
    assert_int_equal(found.result.entries, SEGMENTS * PER_SEGMENT);
    assert_int_equal(found.result.rows, ROWS);
    assert_int_equal(found.log_end, 0);
    /* What is being written now is not looked at. */
    char path[PATH_SIZE];
    segment_path(path, f, SEGMENTS - 1);
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_true(fd >= 0 && write(fd, "a start of an entry", 19) == 19);
    close(fd);
    found = scan(f, 0);
    assert_int_equal(found.result.entries, SEGMENTS * PER_SEGMENT);
    assert_int_equal(truncate(path, entry_offset(PER_SEGMENT)), 0);
    begin_scan(f);
    append(f, 2 * PER_SEGMENT);
    found = end_scan(f, 0);
    assert_int_equal(found.result.entries, SEGMENTS * PER_SEGMENT);
    found = scan(f, 0);
    assert_int_equal(found.result.entries, (SEGMENTS + 2) * PER_SEGMENT);
    begin_scan(f); /* given up, or not */
    expect_whole(f);
}

/* In an old segment and in that which is written to. */
static void test_running_log(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    const uint64_t last = (SEGMENTS - 1) * PER_SEGMENT * ENTRY_SIZE;
    start(f);
    append(f, PER_SEGMENT / 2);
    segment_path(path, f, 1);
    flip(path, entry_offset(3) + 50);
    flip(path, entry_offset(9) + 50); /* at its end, where no write was cut short */
    segment_path(path, f, SEGMENTS);
    flip(path, entry_offset(4) + 2);
    scan_state_t found = scan(f, 3);
    expect_finding(f, 0, SCAN_LOG, (uint64_t)entry_offset(3), PER_SEGMENT * ENTRY_SIZE + 300,
                   ": 100 bytes at offset 332 (position 1300) are damaged");
    expect_finding(f, 1, SCAN_LOG, (uint64_t)entry_offset(9), PER_SEGMENT * ENTRY_SIZE + 900,
                   ": 100 bytes at");
    expect_finding(f, 2, SCAN_LOG, (uint64_t)entry_offset(4), last + 1400, ": 100 bytes at");
    assert_int_equal(found.log_end, last + 1401);
    make_log_good(f);
    assert_true(disk_begin(f->disk) >= found.log_end);
    scan(f, 0);
    append(f, 3);
    scan(f, 0);
    expect_whole(f);
}

static void test_running_headers(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    start(f);
    segment_path(path, f, 0);
    flip(path, 3);
    segment_path(path, f, 2);
    flip(path, 20);
    scan(f, 2);
    expect_finding(f, 0, SCAN_LOG, 0, 0, "is damaged at offset 0");
    expect_finding(f, 1, SCAN_LOG, 0, 2 * PER_SEGMENT * ENTRY_SIZE, "is damaged at offset 0");
    make_log_good(f);
    scan(f, 0);
    expect_whole(f);
}

static void test_running_cut_short(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    start(f);
    segment_path(path, f, 1);
    assert_int_equal(truncate(path, entry_offset(5)), 0);
    segment_path(path, f, 2);
    assert_int_equal(unlink(path), 0);
    segment_path(path, f, SEGMENTS - 1);
    assert_int_equal(truncate(path, entry_offset(9)), 0);
    scan(f, 3);
    expect_finding(f, 0, SCAN_LOG, (uint64_t)entry_offset(5), PER_SEGMENT * ENTRY_SIZE + 500,
                   "ends at offset 532, where 500 bytes are missing");
    expect_finding(f, 1, SCAN_LOG, 0, 2 * PER_SEGMENT * ENTRY_SIZE, "No such file");
    expect_finding(f, 2, SCAN_LOG, (uint64_t)entry_offset(9),
                   (SEGMENTS * PER_SEGMENT - 1) * ENTRY_SIZE, "where 100 bytes are missing");
    make_log_good(f);
    scan(f, 0);
    expect_whole(f);
}

static void test_running_checkpoint(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    start(f);
    path_in(path, f, "checkpoint/data.mdb");
    off_t at = value_offset(f);
    uint64_t page = (uint64_t)at / PAGE * PAGE;
    flip(path, at);
    scan_state_t found = scan(f, 1);
    expect_finding(f, 0, SCAN_CHECKPOINT, page, 0, ": a row of table 1 is damaged at offset ");
    assert_int_equal(found.result.rows, ROWS - 1);
    assert_int_equal(found.result.entries, SEGMENTS * PER_SEGMENT);
    flip(path, (off_t)page + 8 + 2); /* what kind of page it is */
    scan(f, 1);
    expect_finding(f, 0, SCAN_CHECKPOINT, page, 0, "data.mdb is damaged at offset ");
    checkpoint_begin_anew(f->checkpoint);
    commit(f);
    found = scan(f, 0);
    assert_int_equal(found.result.rows, ROWS);
    assert_int_equal(truncate(path, 2 * PAGE), 0);
    scan(f, 1);
    assert_int_equal(unlink(path), 0);
    scan(f, 1);
    expect_finding(f, 0, SCAN_CHECKPOINT, 0, 0, "checkpoint/data.mdb is missing");
    checkpoint_begin_anew(f->checkpoint);
    commit(f);
    scan(f, 0);
    expect_whole(f);
}

/* Holds the thread of a scan up between checkpoint and log. */
static void hold_up(void *arg)
{
    atomic_bool *is_over = arg;
    while (!*is_over)
        pause_ms();
}

static bool is_there(const fixture_t *f, size_t number)
{
    char path[PATH_SIZE];
    segment_path(path, f, number);
    return access(path, F_OK) == 0;
}

/* Segments that are dropped while the files are read are not missed; more than can be told of. */
static void test_running_dropped(void **state)
{
    fixture_t *f = *state;
    const size_t dropped = (size_t)SCAN_FINDINGS_MAX + SEGMENTS;
    int64_t deadline_ms = boot_ms() + DEADLINE_MS;
    atomic_bool is_over = false;
    start(f);
    append(f, (SCAN_FINDINGS_MAX + 1) * PER_SEGMENT);
    assert_int_equal(scan_start(&f->scan, f->disk, hold_up, &is_over, NULL), 0);
    disk_drop_before(f->disk, dropped * PER_SEGMENT * ENTRY_SIZE);
    for (size_t i = 0; i < dropped; i++)
        while (is_there(f, i) && boot_ms() < deadline_ms)
            pause_ms();
    is_over = true;
    scan_state_t found = end_scan(f, 0);
    assert_int_equal(found.log_end, 0);
    assert_int_equal(found.result.entries, PER_SEGMENT);
    scan(f, 0);
}

/* In a child: one descriptor is left, or none: what is not read is not damaged. */
static void few_files_child(void *arg)
{
    fixture_t *f = arg;
    start(f);
    const verify_running_t source = {
        .folder = disk_folder(f->disk),
        .segments = disk_segments(f->disk),
        .fn = take,
        .arg = f,
    };
    struct rlimit limit;
    int fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    verify_running_log(&source, &f->result);
    assert_int_equal(f->count, SEGMENTS);
    assert_int_equal(f->findings[0].weight, VERIFY_UNREAD);
    close(fd);
    verify_running_log(&source, &f->result);
    assert_int_equal(f->count, SEGMENTS);
    assert_int_equal(f->result.entries, SEGMENTS * PER_SEGMENT);
    assert_int_equal(f->result.damaged, 0);
}

static void test_few_files(void **state)
{
    child_passes(few_files_child, *state);
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
        VERIFY_TEST(test_nothing_wrong),     VERIFY_TEST(test_damaged_entries),
        VERIFY_TEST(test_torn_tail),         VERIFY_TEST(test_segments),
        VERIFY_TEST(test_checkpoint),        VERIFY_TEST(test_damaged_size),
        VERIFY_TEST(test_checkpoint_pages),  VERIFY_TEST(test_aside),
        VERIFY_TEST(test_refusals),          VERIFY_TEST(test_running),
        VERIFY_TEST(test_running_log),       VERIFY_TEST(test_running_headers),
        VERIFY_TEST(test_running_cut_short), VERIFY_TEST(test_running_checkpoint),
        VERIFY_TEST(test_running_dropped),   VERIFY_TEST(test_few_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
