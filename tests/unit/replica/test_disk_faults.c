#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "replica/core/seglog.h"
#include "replica/disk/disk.h"
#include "replica/disk/files.h"
#include "tests/unit/folder.h"

enum {
    NODE = 3,
    PATH_SIZE = 512,
    DEADLINE_MS = 10000,
    HELD_MS = 100,
};

/* What the calls to the system do; under mutex, since the disk thread makes them too. */
typedef struct faults {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    files_system_t real;
    bool hold_syncs;  /* fdatasync waits until this is false */
    int sync_errno;   /* that the next fdatasync gives, once */
    unsigned entered; /* calls of fdatasync */
    size_t room;      /* bytes that pwrite takes still */
    int write_errno;  /* of a pwrite without room */
    int allocate_errno;
    int unlink_errno;
    unsigned writes;
} faults_t;

static faults_t faults = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int faulty_fdatasync(int fd)
{
    pthread_mutex_lock(&faults.mutex);
    int error = faults.sync_errno;
    faults.sync_errno = 0;
    faults.entered++;
    pthread_cond_broadcast(&faults.changed);
    while (faults.hold_syncs)
        pthread_cond_wait(&faults.changed, &faults.mutex);
    pthread_mutex_unlock(&faults.mutex);
    if (error == 0)
        return faults.real.fdatasync(fd);
    errno = error;
    return -1;
}

static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    pthread_mutex_lock(&faults.mutex);
    size_t room = faults.room;
    int error = room == 0 ? faults.write_errno : 0;
    size_t taken = size < room ? size : room;
    faults.room -= taken;
    faults.writes++;
    pthread_mutex_unlock(&faults.mutex);
    if (error == 0)
        return faults.real.pwrite(fd, data, taken, offset);
    errno = error;
    return -1;
}

static int faulty_allocate(int fd, off_t offset, off_t size)
{
    return faults.allocate_errno != 0 ? faults.allocate_errno
                                      : faults.real.allocate(fd, offset, size);
}

static int faulty_unlinkat(int folder_fd, const char *name, int flags)
{
    if (faults.unlink_errno == 0)
        return faults.real.unlinkat(folder_fd, name, flags);
    errno = faults.unlink_errno;
    return -1;
}

/* ---- the fixture ---- */

typedef struct fixture {
    char top[PATH_SIZE / 4];
    char folder[PATH_SIZE / 2];
    disk_t *disk;
    int told[2]; /* a byte for each progress */
} fixture_t;

static void tell(void *arg)
{
    const fixture_t *f = arg;
    assert_int_equal(write(f->told[1], "x", 1), 1);
}

static int set_up(void **state)
{
    fixture_t *f = mem_zero(1, sizeof(*f));
    if (folder_make(f->top, sizeof(f->top), "disk") != 0 || pipe(f->told) != 0)
        return -1;
    snprintf(f->folder, sizeof(f->folder), "%s/replica_%d", f->top, NODE);
    faults.real = files_system;
    faults.hold_syncs = false;
    faults.sync_errno = 0;
    faults.entered = 0;
    faults.room = SIZE_MAX;
    faults.allocate_errno = 0;
    faults.unlink_errno = 0;
    files_system = (files_system_t){
        .pwrite = faulty_pwrite,
        .fdatasync = faulty_fdatasync,
        .fsync = fsync,
        .allocate = faulty_allocate,
        .unlinkat = faulty_unlinkat,
    };
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    disk_close(&f->disk);
    files_system = faults.real;
    folder_remove(f->folder);
    int rc = rmdir(f->top);
    close(f->told[0]);
    close(f->told[1]);
    free(f);
    return rc;
}

static bool count_entry(void *arg, uint64_t position, uint8_t kind, slice_t payload)
{
    (void)position;
    (void)kind;
    (void)payload;
    ++*(size_t *)arg;
    return true;
}

/* Opens it in a mode; returns how many entries it has. */
static size_t open_disk(fixture_t *f, disk_sync_mode_t mode)
{
    err_t err = {.text = ""};
    size_t count = 0;
    if (disk_open(&f->disk, f->folder, NODE, &err) != 0 ||
        disk_replay(f->disk, 0, count_entry, &count, NULL, &err) != 0)
        fail_msg("%s", err.text);
    disk_set_sync(f->disk, mode);
    disk_on_progress(f->disk, tell, f);
    pthread_mutex_lock(&faults.mutex);
    faults.entered = 0; /* the replay has synced */
    pthread_mutex_unlock(&faults.mutex);
    return count;
}

static int try_append(fixture_t *f, size_t size, err_t *err)
{
    buf_t entry = {0};
    uint8_t *payload = mem_zero(1, size + 1);
    seglog_entry_put(&entry, disk_end(f->disk), SEGLOG_KIND_UPDATE, slice_of(payload, size));
    int rc = disk_append(f->disk, buf_slice(&entry), err);
    buf_free(&entry);
    free(payload);
    return rc;
}

static void append(fixture_t *f, size_t size)
{
    err_t err = {.text = ""};
    if (try_append(f, size, &err) != 0)
        fail_msg("%s", err.text);
}

static int64_t boot_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void wait_entered(unsigned count)
{
    pthread_mutex_lock(&faults.mutex);
    while (faults.entered < count)
        pthread_cond_wait(&faults.changed, &faults.mutex);
    pthread_mutex_unlock(&faults.mutex);
}

static unsigned entered(void)
{
    pthread_mutex_lock(&faults.mutex);
    unsigned count = faults.entered;
    pthread_mutex_unlock(&faults.mutex);
    return count;
}

static void hold_syncs(bool hold)
{
    pthread_mutex_lock(&faults.mutex);
    faults.hold_syncs = hold;
    pthread_cond_broadcast(&faults.changed);
    pthread_mutex_unlock(&faults.mutex);
}

/* Waits for a progress; false when there is none in time_ms. */
static bool told(fixture_t *f, int time_ms)
{
    char byte;
    struct pollfd fd = {.fd = f->told[0], .events = POLLIN};
    return poll(&fd, 1, time_ms) == 1 && read(f->told[0], &byte, 1) == 1;
}

static void expect_failed(fixture_t *f)
{
    err_t err = {.text = ""};
    assert_int_equal(disk_state(f->disk, &err), DISK_FAILED);
    assert_int_equal(err.outcome, OUTCOME_READ_ONLY);
    assert_non_null(strstr(err.text, "cannot sync the log in "));
    assert_non_null(strstr(err.text, f->folder));
    assert_int_equal(try_append(f, 10, &err), -1);
    assert_int_equal(disk_sync(f->disk, &err), -1);
    assert_false(disk_probe(f->disk));
}

/* ---- tests: syncing ---- */

/* One sync covers what was appended before it began, and nothing more. */
static void test_group_commit(void **state)
{
    fixture_t *f = *state;
    open_disk(f, DISK_SYNC_ALWAYS);
    hold_syncs(true);
    append(f, 100);
    uint64_t first = disk_end(f->disk);
    wait_entered(1);
    for (int i = 0; i < 50; i++)
        append(f, 100);
    assert_true(disk_synced(f->disk) == 0);
    assert_int_equal(entered(), 1);
    hold_syncs(false);
    assert_true(told(f, DEADLINE_MS));
    assert_true(told(f, DEADLINE_MS));
    assert_true(disk_synced(f->disk) == disk_end(f->disk));
    assert_true(first < disk_end(f->disk));
    assert_int_equal(entered(), 2);
    assert_int_equal(disk_counts(f->disk).syncs, 2);
}

/* While the second sync is under way, the first one's position holds. */
static void test_synced_is_exact(void **state)
{
    fixture_t *f = *state;
    open_disk(f, DISK_SYNC_NEVER);
    append(f, 100);
    uint64_t first = disk_end(f->disk);
    disk_ask_sync(f->disk);
    assert_true(told(f, DEADLINE_MS));
    assert_true(disk_synced(f->disk) == first);
    hold_syncs(true);
    append(f, 100);
    uint64_t second = disk_end(f->disk);
    disk_ask_sync(f->disk);
    wait_entered(2);
    append(f, 100);
    assert_true(disk_synced(f->disk) == first);
    hold_syncs(false);
    assert_true(told(f, DEADLINE_MS));
    assert_true(disk_synced(f->disk) == second);
    assert_false(told(f, HELD_MS)); /* never by itself */
    assert_int_equal(entered(), 2);
}

static void test_interval(void **state)
{
    fixture_t *f = *state;
    open_disk(f, DISK_SYNC_INTERVAL);
    disk_set_sync_interval_ms(f->disk, HELD_MS);
    assert_false(told(f, 2 * HELD_MS)); /* there is nothing to sync */
    int64_t begun_ms = boot_ms();
    append(f, 100);
    append(f, 100);
    assert_true(told(f, DEADLINE_MS));
    assert_true(boot_ms() - begun_ms >= HELD_MS - 1);
    assert_true(disk_synced(f->disk) == disk_end(f->disk));
    assert_int_equal(entered(), 1);
}

static void append_reserved(fixture_t *f, const char *text)
{
    buf_t bytes = {0};
    err_t err;
    seglog_entry_put(&bytes, disk_end(f->disk), SEGLOG_KIND_UPDATE, slice_text(text));
    assert_int_equal(disk_append_reserved(f->disk, buf_slice(&bytes), &err), 0);
    buf_free(&bytes);
}

static void test_sync_fails(void **state)
{
    fixture_t *f = *state;
    open_disk(f, DISK_SYNC_ALWAYS);
    append(f, 100);
    assert_true(told(f, DEADLINE_MS));
    uint64_t synced = disk_end(f->disk);
    pthread_mutex_lock(&faults.mutex);
    faults.sync_errno = EIO;
    pthread_mutex_unlock(&faults.mutex);
    append(f, 100);
    assert_true(told(f, DEADLINE_MS));
    expect_failed(f);
    assert_true(disk_synced(f->disk) == synced);
    append_reserved(f, "must");
    assert_int_equal(disk_state(f->disk, NULL), DISK_FAILED);
    assert_true(disk_synced(f->disk) == synced);
    disk_close(&f->disk);
    assert_int_equal(open_disk(f, DISK_SYNC_ALWAYS), 3);
    assert_int_equal(disk_state(f->disk, NULL), DISK_OK);
    append(f, 100);
}

static void *release_later(void *arg)
{
    (void)arg;
    nanosleep(&(struct timespec){.tv_nsec = HELD_MS * 1000000L}, NULL);
    hold_syncs(false);
    return NULL;
}

/* The system tells of a failure once. The sync that is not told must not be believed. */
static void test_a_failure_is_not_hidden(void **state)
{
    fixture_t *f = *state;
    pthread_t thread;
    err_t err = {.text = ""};
    open_disk(f, DISK_SYNC_ALWAYS);
    hold_syncs(true);
    pthread_mutex_lock(&faults.mutex);
    faults.sync_errno = EIO;
    pthread_mutex_unlock(&faults.mutex);
    append(f, 100);
    wait_entered(1); /* the thread's, which is going to fail */
    assert_int_equal(pthread_create(&thread, NULL, release_later, NULL), 0);
    assert_int_equal(disk_sync(f->disk, &err), -1);
    pthread_join(thread, NULL);
    assert_int_equal(entered(), 1);
    assert_true(disk_synced(f->disk) == 0);
    expect_failed(f);
}

static void test_replay_that_cannot_sync(void **state)
{
    fixture_t *f = *state;
    err_t err = {.text = ""};
    size_t count = 0;
    open_disk(f, DISK_SYNC_ALWAYS);
    disk_close(&f->disk);
    faults.sync_errno = EIO;
    assert_int_equal(disk_open(&f->disk, f->folder, NODE, &err), 0);
    assert_int_equal(disk_replay(f->disk, 0, count_entry, &count, NULL, &err), -1);
    assert_non_null(strstr(err.text, "cannot sync the log in"));
}

/* ---- tests: room ---- */

static bool has_spare(const fixture_t *f)
{
    char path[PATH_SIZE];
    struct stat status;
    snprintf(path, sizeof(path), "%s/spare", f->folder);
    return stat(path, &status) == 0 && status.st_size == DISK_SPARE_SIZE &&
           (uint64_t)status.st_blocks * 512 >= DISK_SPARE_SIZE;
}

static void fill_up(fixture_t *f, size_t room, int error)
{
    err_t err = {.text = ""};
    uint64_t end = disk_end(f->disk);
    faults.room = room;
    faults.write_errno = error;
    faults.allocate_errno = error;
    assert_int_equal(try_append(f, 1000, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_READ_ONLY);
    assert_non_null(strstr(err.text, strerror(error)));
    assert_true(disk_end(f->disk) == end);
}

static void full_and_back(fixture_t *f, size_t room, int error, const char *remedy)
{
    err_t err = {.text = ""};
    assert_int_equal(disk_state(f->disk, NULL), DISK_OK);
    assert_true(disk_probe(f->disk));
    fill_up(f, room, error);
    assert_int_equal(disk_state(f->disk, &err), DISK_FULL);
    assert_non_null(strstr(err.text, remedy));
    unsigned writes = faults.writes;
    assert_int_equal(try_append(f, 10, &err), -1);
    assert_int_equal(faults.writes, writes); /* it was not even tried */
    assert_false(disk_probe(f->disk));
    assert_int_equal(disk_state(f->disk, NULL), DISK_FULL);
    faults.room = SIZE_MAX;
    assert_false(disk_probe(f->disk));
    faults.allocate_errno = 0;
    assert_true(disk_probe(f->disk));
    assert_int_equal(disk_state(f->disk, NULL), DISK_OK);
    append(f, 1000);
}

static void test_full_and_back(void **state)
{
    fixture_t *f = *state;
    open_disk(f, DISK_SYNC_INTERVAL);
    append(f, 100);
    assert_true(has_spare(f));
    full_and_back(f, 0, ENOSPC, "free space there");
    full_and_back(f, 500, ENOSPC, "free space there"); /* in the middle of an entry */
    full_and_back(f, 500, EDQUOT, "free space there");
    full_and_back(f, 20, EIO, "check the disk");
    disk_set_segment_size(f->disk, 10);
    full_and_back(f, 0, ENOSPC, "free space there"); /* at a new segment */
    full_and_back(f, 5, ENOSPC, "free space there");
    assert_true(has_spare(f));
    disk_close(&f->disk);
    assert_int_equal(open_disk(f, DISK_SYNC_INTERVAL), 7);
}

static void test_spare(void **state)
{
    fixture_t *f = *state;
    open_disk(f, DISK_SYNC_INTERVAL);
    fill_up(f, 0, ENOSPC);
    assert_true(has_spare(f));
    disk_spend_spare(f->disk);
    assert_false(has_spare(f));
    assert_false(disk_probe(f->disk));
    faults.room = SIZE_MAX;
    faults.allocate_errno = 0;
    assert_true(disk_probe(f->disk));
    assert_true(has_spare(f));
}

/* The reserve is for what must be written: then the disk is full until there is one again. */
static void test_append_reserved(void **state)
{
    fixture_t *f = *state;
    err_t err;
    buf_t bytes = {0};
    open_disk(f, DISK_SYNC_INTERVAL);
    fill_up(f, 0, ENOSPC);
    seglog_entry_put(&bytes, disk_end(f->disk), SEGLOG_KIND_UPDATE, slice_text("must"));
    assert_int_equal(disk_append_reserved(f->disk, buf_slice(&bytes), &err), -1);
    assert_false(has_spare(f));
    faults.room = SIZE_MAX;
    append_reserved(f, "must");
    assert_int_equal(disk_state(f->disk, &err), DISK_FULL);
    assert_non_null(strstr(err.text, "free space there"));
    assert_false(disk_probe(f->disk));
    faults.allocate_errno = 0;
    assert_true(disk_probe(f->disk));
    assert_true(has_spare(f));
    disk_close(&f->disk);
    assert_int_equal(open_disk(f, DISK_SYNC_INTERVAL), 1);
    buf_free(&bytes);
}

/* A node can be started on a full disk, to read from. */
static void test_open_on_a_full_disk(void **state)
{
    fixture_t *f = *state;
    open_disk(f, DISK_SYNC_INTERVAL);
    append(f, 100);
    disk_spend_spare(f->disk);
    disk_close(&f->disk);
    faults.room = 0;
    faults.write_errno = ENOSPC;
    faults.allocate_errno = ENOSPC;
    assert_int_equal(open_disk(f, DISK_SYNC_INTERVAL), 1);
    assert_int_equal(disk_state(f->disk, NULL), DISK_FULL);
    faults.room = SIZE_MAX;
    faults.allocate_errno = 0;
    assert_true(disk_probe(f->disk));
    append(f, 100);
}

/* A file system that cannot reserve is no full one. */
static void test_no_reserve(void **state)
{
    fixture_t *f = *state;
    faults.allocate_errno = EOPNOTSUPP;
    open_disk(f, DISK_SYNC_INTERVAL);
    assert_int_equal(disk_state(f->disk, NULL), DISK_OK);
    append(f, 100);
}

/* ---- tests: dropping ---- */

static void test_files_that_stay(void **state)
{
    fixture_t *f = *state;
    open_disk(f, DISK_SYNC_INTERVAL);
    disk_set_segment_size(f->disk, 100);
    for (int i = 0; i < 10; i++)
        append(f, 100);
    faults.unlink_errno = EIO;
    uint64_t end = disk_end(f->disk);
    assert_int_equal(disk_drop_before(f->disk, end), 9);
    int64_t deadline_ms = boot_ms() + DEADLINE_MS;
    while (disk_counts(f->disk).drops_failed != 9) {
        assert_true(boot_ms() < deadline_ms);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(disk_counts(f->disk).dropped_segments, 0);
    uint64_t begin = disk_begin(f->disk);
    disk_close(&f->disk);
    faults.unlink_errno = 0;
    assert_int_equal(open_disk(f, DISK_SYNC_INTERVAL), 10);
    assert_int_equal(disk_drop_before(f->disk, end), 9);
    assert_true(disk_begin(f->disk) == begin);
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(test_group_commit),
        FAULT_TEST(test_synced_is_exact),
        FAULT_TEST(test_interval),
        FAULT_TEST(test_sync_fails),
        FAULT_TEST(test_a_failure_is_not_hidden),
        FAULT_TEST(test_replay_that_cannot_sync),
        FAULT_TEST(test_full_and_back),
        FAULT_TEST(test_spare),
        FAULT_TEST(test_append_reserved),
        FAULT_TEST(test_open_on_a_full_disk),
        FAULT_TEST(test_no_reserve),
        FAULT_TEST(test_files_that_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
