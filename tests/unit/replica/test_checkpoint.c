#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "bus/base/random.h"
#include "replica/disk/checkpoint.h"
#include "replica/disk/files.h"
#include "tests/unit/child.h"
#include "tests/unit/folder.h"

enum { GREAT = 20 * 1024 * 1024 }; /* bytes of a value */

enum {
    PATH_SIZE = 512,
    DEADLINE_MS = 60000,
    TABLES = 4,
};

/* A row that should be there. */
typedef struct row {
    uint8_t table;
    buf_t key;
    buf_t value;
} row_t;

typedef struct fixture {
    char folder[PATH_SIZE / 2];
    checkpoint_t *checkpoint;
    row_t *rows; /* in order */
    size_t count;
    size_t capacity;
    random_t random;
} fixture_t;

/* ---- the fixture ---- */

static void path_in(char path[PATH_SIZE], const fixture_t *f, const char *name)
{
    snprintf(path, PATH_SIZE, "%s/%s", f->folder, name);
}

static int set_up(void **state)
{
    fixture_t *f = mem_zero(1, sizeof(*f));
    if (folder_make(f->folder, sizeof(f->folder), "checkpoint") != 0)
        return -1;
    random_seed(&f->random, 7);
    *state = f;
    return 0;
}

static void remove_folder(const fixture_t *f, const char *name)
{
    char path[PATH_SIZE];
    path_in(path, f, name);
    folder_remove(path);
}

static void rows_free(fixture_t *f)
{
    for (size_t i = 0; i < f->count; i++) {
        buf_free(&f->rows[i].key);
        buf_free(&f->rows[i].value);
    }
    free(f->rows);
    f->rows = NULL;
    f->count = 0;
    f->capacity = 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    checkpoint_close(&f->checkpoint);
    remove_folder(f, "checkpoint");
    remove_folder(f, "checkpoint.new");
    int rc = rmdir(f->folder);
    rows_free(f);
    free(f);
    return rc;
}

static void open_with(fixture_t *f, const checkpoint_config_t *config)
{
    err_t err = {.text = ""};
    if (checkpoint_open_with(&f->checkpoint, f->folder, config, &err) != 0)
        fail_msg("%s", err.text);
}

static void open_checkpoint(fixture_t *f)
{
    checkpoint_config_t config = checkpoint_config();
    open_with(f, &config);
}

static void open_refused(fixture_t *f, const checkpoint_config_t *config, outcome_t outcome,
                         const char *text)
{
    err_t err = {.text = ""};
    checkpoint_t *checkpoint = NULL;
    assert_int_equal(checkpoint_open_with(&checkpoint, f->folder, config, &err), -1);
    assert_null(checkpoint);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    assert_int_equal(err.outcome, outcome);
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

/* Waits until the checkpoint is no longer being written. */
static checkpoint_state_t finish(fixture_t *f, err_t *err)
{
    int64_t deadline_ms = boot_ms() + DEADLINE_MS;
    checkpoint_state_t state;
    while ((state = checkpoint_state(f->checkpoint, err)) == CHECKPOINT_WRITING) {
        assert_true(boot_ms() < deadline_ms);
        pause_ms();
    }
    return state;
}

static void commit(fixture_t *f)
{
    err_t err = {.text = ""};
    checkpoint_commit(f->checkpoint);
    if (finish(f, &err) != CHECKPOINT_DONE)
        fail_msg("%s", err.text);
    assert_int_equal(checkpoint_state(f->checkpoint, NULL), CHECKPOINT_IDLE);
}

static void wait_for_room(fixture_t *f)
{
    int64_t deadline_ms = boot_ms() + DEADLINE_MS;
    while (checkpoint_room(f->checkpoint) == 0) {
        assert_true(boot_ms() < deadline_ms);
        pause_ms();
    }
}

/* ---- rows ---- */

static int row_order(const row_t *row, uint8_t table, slice_t key)
{
    return row->table != table ? row->table - table : slice_compare(buf_slice(&row->key), key);
}

/* Where the row is or would be. */
static size_t row_find(const fixture_t *f, uint8_t table, slice_t key, bool *is_there)
{
    size_t low = 0;
    size_t high = f->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (row_order(&f->rows[middle], table, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *is_there = low < f->count && row_order(&f->rows[low], table, key) == 0;
    return low;
}

static void model_delete(fixture_t *f, uint8_t table, slice_t key)
{
    bool is_there;
    size_t at = row_find(f, table, key, &is_there);
    if (!is_there)
        return;
    buf_free(&f->rows[at].key);
    buf_free(&f->rows[at].value);
    f->count--;
    memmove(&f->rows[at], &f->rows[at + 1], (f->count - at) * sizeof(row_t));
}

static void model_put(fixture_t *f, uint8_t table, slice_t key, slice_t value)
{
    bool is_there;
    size_t at = row_find(f, table, key, &is_there);
    if (!is_there) {
        if (f->count == f->capacity) {
            f->capacity = f->capacity == 0 ? 64 : 2 * f->capacity;
            f->rows = mem_resize(f->rows, f->capacity * sizeof(row_t));
        }
        memmove(&f->rows[at + 1], &f->rows[at], (f->count - at) * sizeof(row_t));
        f->count++;
        f->rows[at] = (row_t){.table = table};
        buf_append_slice(&f->rows[at].key, key);
    }
    buf_reset(&f->rows[at].value);
    buf_append_slice(&f->rows[at].value, value);
}

static void put(fixture_t *f, uint8_t table, slice_t key, slice_t value)
{
    wait_for_room(f);
    checkpoint_put(f->checkpoint, table, key, value);
    model_put(f, table, key, value);
}

static void delete (fixture_t *f, uint8_t table, slice_t key)
{
    wait_for_room(f);
    checkpoint_delete(f->checkpoint, table, key);
    model_delete(f, table, key);
}

static void clear(fixture_t *f, uint8_t table)
{
    wait_for_room(f);
    checkpoint_clear_table(f->checkpoint, table);
    for (size_t i = f->count; i > 0; i--)
        if (f->rows[i - 1].table == table)
            model_delete(f, table, buf_slice(&f->rows[i - 1].key));
}

/* A checkpoint in a file of its own, for which there are no rows yet. */
static void begin_anew(fixture_t *f)
{
    checkpoint_begin_anew(f->checkpoint);
    while (f->count > 0)
        model_delete(f, f->rows[f->count - 1].table, buf_slice(&f->rows[f->count - 1].key));
}

typedef struct comparison {
    const fixture_t *f;
    size_t at;
} comparison_t;

static bool compare_row(void *arg, uint8_t table, slice_t key, slice_t value)
{
    comparison_t *comparison = arg;
    assert_true(comparison->at < comparison->f->count);
    const row_t *row = &comparison->f->rows[comparison->at++];
    assert_int_equal(table, row->table);
    assert_true(slice_equal(key, buf_slice(&row->key)));
    assert_true(slice_equal(value, buf_slice(&row->value)));
    return true;
}

/* The rows are the ones of the model, in order. */
static void expect_rows(fixture_t *f)
{
    comparison_t comparison = {.f = f};
    err_t err = {.text = ""};
    if (checkpoint_load(f->checkpoint, compare_row, &comparison, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(comparison.at, f->count);
}

static void random_bytes(fixture_t *f, buf_t *out, size_t size)
{
    buf_reset(out);
    for (size_t i = 0; i < size; i++)
        buf_append_u8(out, (uint8_t)random_u64(&f->random));
}

/* A key from a space so small that keys meet again: short, long, and long ones that begin alike. */
static void random_key(fixture_t *f, buf_t *out)
{
    static const size_t sizes[] = {0, 1, 2, 16, 499, 500, 501, 502, 900, CHECKPOINT_KEY_MAX};
    size_t size = sizes[random_below(&f->random, sizeof(sizes) / sizeof(sizes[0]))];
    uint8_t fill = (uint8_t)random_below(&f->random, 2);
    buf_reset(out);
    for (size_t i = 0; i < size; i++)
        buf_append_u8(out, fill);
    if (size > 0)
        out->data[size - 1] = (uint8_t)random_below(&f->random, 8);
    if (size > 600)
        out->data[550] = (uint8_t)random_below(&f->random, 3);
}

static void random_value(fixture_t *f, buf_t *out)
{
    static const size_t sizes[] = {0, 1, 100, 2000, 5000, 100000};
    random_bytes(f, out, (size_t)random_below(&f->random, 1 + sizes[random_below(&f->random, 6)]));
}

/* Checkpoints of random changes with keys hashed under a mask; each is read back, and reopened. */
static void random_checkpoints(fixture_t *f, uint64_t hash_mask)
{
    checkpoint_config_t config = checkpoint_config();
    config.hash_mask = hash_mask;
    buf_t key = {0};
    buf_t value = {0};
    open_with(f, &config);
    for (int turn = 0; turn < 12; turn++) {
        if (turn % 5 == 4)
            begin_anew(f);
        else
            checkpoint_begin(f->checkpoint);
        for (uint64_t i = random_below(&f->random, 300); i > 0; i--) {
            uint8_t table = (uint8_t)(1 + random_below(&f->random, TABLES));
            random_key(f, &key);
            random_value(f, &value);
            uint64_t what = random_below(&f->random, 100);
            if (what < 70)
                put(f, table, buf_slice(&key), buf_slice(&value));
            else if (what < 99)
                delete (f, table, buf_slice(&key));
            else
                clear(f, table);
        }
        commit(f);
        expect_rows(f);
        checkpoint_close(&f->checkpoint);
        open_with(f, &config);
        expect_rows(f);
    }
    assert_true(f->count > 0);
    buf_free(&key);
    buf_free(&value);
}

/* ---- tests: rows ---- */

static void test_new(void **state)
{
    fixture_t *f = *state;
    struct stat status;
    char path[PATH_SIZE];
    open_checkpoint(f);
    expect_rows(f);
    assert_int_equal(checkpoint_state(f->checkpoint, NULL), CHECKPOINT_IDLE);
    path_in(path, f, "checkpoint");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    path_in(path, f, "checkpoint/data.mdb");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    path_in(path, f, "checkpoint/lock.mdb");
    assert_int_equal(stat(path, &status), -1);
}

static void test_random_rows(void **state)
{
    random_checkpoints(*state, UINT64_MAX);
}

/* The hashes of long keys collide, a few or all. */
static void test_colliding_hashes(void **state)
{
    random_checkpoints(*state, 1);
}

static void test_all_hashes_collide(void **state)
{
    random_checkpoints(*state, 0);
}

static void test_an_empty_checkpoint(void **state)
{
    fixture_t *f = *state;
    open_checkpoint(f);
    for (int i = 0; i < 2; i++) {
        checkpoint_begin(f->checkpoint);
        commit(f);
        expect_rows(f);
    }
}

static void test_the_largest_values(void **state)
{
    fixture_t *f = *state;
    buf_t value = {0};
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    for (uint8_t i = 1; i < 4; i++) {
        buf_reset(&value);
        memset(buf_reserve(&value, GREAT), i, GREAT);
        value.size = GREAT;
        put(f, i, slice_text("large"), buf_slice(&value));
    }
    commit(f);
    expect_rows(f);
    buf_free(&value);
}

/* The queue says when it is full, never takes more, and tells when there is room again. */
typedef struct progress {
    int pipe[2];
} progress_t;

static void tell(void *arg)
{
    const progress_t *progress = arg;
    assert_int_equal(write(progress->pipe[1], "x", 1), 1);
}

static void test_room(void **state)
{
    fixture_t *f = *state;
    progress_t progress;
    char byte;
    buf_t value = {0};
    /* Each fills the queue: there is room again once the thread has taken it. */
    random_bytes(f, &value, CHECKPOINT_QUEUE_MAX);
    assert_int_equal(pipe(progress.pipe), 0);
    open_checkpoint(f);
    checkpoint_on_progress(f->checkpoint, tell, &progress);
    checkpoint_begin(f->checkpoint);
    size_t waits = 0;
    for (uint8_t i = 0; i < 200 && waits < 3; i++) {
        assert_true(checkpoint_room(f->checkpoint) > 0);
        checkpoint_put(f->checkpoint, 1, slice_of("key", 3), buf_slice(&value));
        while (checkpoint_room(f->checkpoint) == 0) {
            waits++;
            assert_int_equal(read(progress.pipe[0], &byte, 1), 1);
        }
    }
    assert_true(waits >= 3);
    model_put(f, 1, slice_of("key", 3), buf_slice(&value));
    checkpoint_commit(f->checkpoint);
    while (checkpoint_state(f->checkpoint, NULL) == CHECKPOINT_WRITING)
        assert_int_equal(read(progress.pipe[0], &byte, 1), 1);
    expect_rows(f);
    checkpoint_close(&f->checkpoint);
    close(progress.pipe[0]);
    close(progress.pipe[1]);
    buf_free(&value);
}

/* ---- tests: crashes and failures ---- */

/* Puts rows 0 to count - 1 of table 1, each with a value of size bytes `fill`. */
static void put_numbered(fixture_t *f, uint32_t count, uint8_t fill, size_t size)
{
    buf_t value = {0};
    memset(buf_reserve(&value, size), fill, size);
    value.size = size;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t key[4];
        be32_put(key, i);
        put(f, 1, slice_of(key, sizeof(key)), buf_slice(&value));
    }
    buf_free(&value);
}

/* Some rows to be written by a child in place of all that is there. */
typedef struct rewrite {
    fixture_t *f;
    uint32_t count;
    uint8_t fill;
    size_t size;
    bool has_commit;
} rewrite_t;

static uint64_t rewrite_child(void *arg)
{
    const rewrite_t *rewrite = arg;
    fixture_t *f = rewrite->f;
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    clear(f, 1);
    put_numbered(f, rewrite->count, rewrite->fill, rewrite->size);
    if (rewrite->has_commit)
        checkpoint_commit(f->checkpoint);
    return 0;
}

/* Killed in the middle of a transaction. */
static void test_kill(void **state)
{
    fixture_t *f = *state;
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    put_numbered(f, 500, 'a', 1000);
    commit(f);
    checkpoint_close(&f->checkpoint);
    for (uint32_t turn = 0; turn < 6; turn++) {
        /* More than the queue holds: the thread has begun. */
        rewrite_t rewrite = {f, 20000 + 3000 * turn, 'b', 1000, false};
        child_kill(child_start(rewrite_child, &rewrite, NULL));
        open_checkpoint(f);
        expect_rows(f);
        checkpoint_close(&f->checkpoint);
    }
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    put_numbered(f, 600, 'c', 10);
    commit(f);
    expect_rows(f);
}

/* What a load found: rows that all have one byte in their values. */
typedef struct filled {
    size_t count;
    uint8_t fill;
} filled_t;

static bool look_filled(void *arg, uint8_t table, slice_t key, slice_t value)
{
    filled_t *filled = arg;
    (void)table;
    (void)key;
    if (filled->count++ == 0)
        filled->fill = value.data[0];
    assert_int_equal(value.data[0], filled->fill);
    return true;
}

/* Killed while it commits: the whole of one or of the other. */
static void test_kill_in_a_commit(void **state)
{
    fixture_t *f = *state;
    filled_t before = {0};
    for (uint32_t turn = 0; turn < 10; turn++) {
        rewrite_t rewrite = {f, 4000 + turn, (uint8_t)(1 + turn), 500, true};
        pid_t pid = child_start(rewrite_child, &rewrite, NULL);
        long delay_ns = 1000L * (long)random_below(&f->random, 20000);
        nanosleep(&(struct timespec){.tv_nsec = delay_ns}, NULL);
        child_kill(pid);
        filled_t found = {0};
        open_checkpoint(f);
        assert_int_equal(checkpoint_load(f->checkpoint, look_filled, &found, NULL), 0);
        checkpoint_close(&f->checkpoint);
        bool is_old = found.count == before.count && found.fill == before.fill;
        assert_true(is_old || (found.count == rewrite.count && found.fill == rewrite.fill));
        before = found;
    }
}

static void test_close_finishes_or_gives_up(void **state)
{
    fixture_t *f = *state;
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    put_numbered(f, 3000, 'a', 1000);
    checkpoint_commit(f->checkpoint);
    checkpoint_close(&f->checkpoint);
    open_checkpoint(f);
    expect_rows(f);
    checkpoint_begin(f->checkpoint);
    checkpoint_clear_table(f->checkpoint, 1);
    checkpoint_close(&f->checkpoint);
    open_checkpoint(f);
    expect_rows(f);
}

static void write_file(const fixture_t *f, const char *name, slice_t bytes)
{
    char path[PATH_SIZE];
    path_in(path, f, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.size), (ssize_t)bytes.size);
    close(fd);
}

static buf_t read_file(const fixture_t *f, const char *name)
{
    char path[PATH_SIZE];
    struct stat status;
    buf_t bytes = {0};
    path_in(path, f, name);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    size_t size = (size_t)status.st_size;
    assert_int_equal(read(fd, buf_reserve(&bytes, size), size), (ssize_t)size);
    bytes.size = size;
    close(fd);
    return bytes;
}

static ino_t inode_of(const fixture_t *f)
{
    struct stat status;
    char path[PATH_SIZE];
    path_in(path, f, "checkpoint/data.mdb");
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

static bool has_new_folder(const fixture_t *f)
{
    struct stat status;
    char path[PATH_SIZE];
    path_in(path, f, "checkpoint.new");
    return stat(path, &status) == 0;
}

/* One that is made anew counts with its commit, and until then the other does. */
static void test_anew(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    err_t err = {.text = ""};
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    put_numbered(f, 3000, 'a', 1000);
    commit(f);
    ino_t before = inode_of(f);
    checkpoint_begin_anew(f->checkpoint);
    wait_for_room(f);
    checkpoint_put(f->checkpoint, 1, slice_text("key"), slice_text("value"));
    checkpoint_abort(f->checkpoint);
    assert_int_equal(finish(f, &err), CHECKPOINT_FAILED);
    expect_rows(f);
    assert_true(inode_of(f) == before && !has_new_folder(f));
    begin_anew(f);
    put_numbered(f, 10, 'b', 100);
    commit(f);
    expect_rows(f);
    assert_true(inode_of(f) != before && !has_new_folder(f));
    checkpoint_begin(f->checkpoint); /* and on with that one */
    put_numbered(f, 20, 'c', 100);
    commit(f);
    checkpoint_close(&f->checkpoint);
    open_checkpoint(f);
    expect_rows(f);
    /* What a crash left of another is of no use. */
    checkpoint_close(&f->checkpoint);
    path_in(path, f, "checkpoint.new");
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(f, "checkpoint.new/data.mdb", slice_text("a start of one"));
    open_checkpoint(f);
    expect_rows(f);
    assert_false(has_new_folder(f));
}

/* A file that LMDB must not be let near is replaced as any other; or one that is not there. */
static void test_anew_after_damage(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    uint8_t garbage[20000];
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    put_numbered(f, 3000, 'a', 1000);
    commit(f);
    for (int turn = 0; turn < 2; turn++) {
        if (turn == 0) {
            memset(garbage, 0xAA, sizeof(garbage));
            write_file(f, "checkpoint/data.mdb", slice_of(garbage, sizeof(garbage)));
        } else {
            path_in(path, f, "checkpoint");
            assert_int_equal(folder_remove(path), 0);
        }
        begin_anew(f);
        put_numbered(f, 100, 'b', 100);
        commit(f);
        expect_rows(f);
    }
    checkpoint_close(&f->checkpoint);
    open_checkpoint(f);
    expect_rows(f);
}

/* ---- what the system was told to do ---- */

enum { SYNCED_MAX = 64 };

static ino_t synced[SYNCED_MAX];
static size_t synced_count;

static int note_fsync(int fd)
{
    struct stat status;
    if (fstat(fd, &status) == 0 && synced_count < SYNCED_MAX)
        synced[synced_count++] = status.st_ino;
    return fsync(fd);
}

static bool was_synced(const fixture_t *f, const char *name)
{
    struct stat status;
    char path[PATH_SIZE];
    path_in(path, f, name);
    assert_int_equal(stat(path, &status), 0);
    for (size_t i = 0; i < synced_count; i++)
        if (synced[i] == status.st_ino)
            return true;
    return false;
}

/* The names of a new file and of the folder that it is in, if somebody took that away, stay. */
static void test_anew_is_durable(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    files_system_t before = files_system;
    files_system.fsync = note_fsync;
    open_checkpoint(f);
    assert_true(was_synced(f, "checkpoint") && was_synced(f, ""));
    path_in(path, f, "checkpoint");
    assert_int_equal(folder_remove(path), 0);
    synced_count = 0;
    begin_anew(f);
    put_numbered(f, 100, 'a', 100);
    commit(f);
    assert_true(was_synced(f, "checkpoint") && was_synced(f, ""));
    checkpoint_close(&f->checkpoint);
    files_system = before;
    open_checkpoint(f);
    expect_rows(f);
}

static int refuse_unlink(int folder_fd, const char *name, int flags)
{
    (void)folder_fd;
    (void)name;
    (void)flags;
    errno = EIO;
    return -1;
}

/* Rows that an earlier try left and that cannot be taken away are not in the next checkpoint. */
static void test_anew_over_another(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    err_t err = {.text = ""};
    files_system_t before = files_system;
    files_system.unlinkat = refuse_unlink;
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    put_numbered(f, 100, 'a', 100);
    commit(f);
    path_in(path, f, "checkpoint.new");
    assert_int_equal(mkdir(path, 0700), 0);
    buf_t file = read_file(f, "checkpoint/data.mdb");
    write_file(f, "checkpoint.new/data.mdb", buf_slice(&file));
    buf_free(&file);
    checkpoint_begin_anew(f->checkpoint);
    checkpoint_put(f->checkpoint, 1, slice_text("key"), slice_text("value"));
    checkpoint_commit(f->checkpoint);
    assert_int_equal(finish(f, &err), CHECKPOINT_FAILED);
    assert_int_equal(err.outcome, OUTCOME_READ_ONLY);
    expect_rows(f);
    checkpoint_close(&f->checkpoint);
    files_system = before;
}

/* In a child: no file may grow beyond a size, then it may. */
static void no_room_child(void *arg)
{
    fixture_t *f = arg;
    struct rlimit limit;
    err_t err = {.text = ""};
    signal(SIGXFSZ, SIG_IGN);
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    put_numbered(f, 500, 'a', 1000);
    commit(f);
    getrlimit(RLIMIT_FSIZE, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 2000000;
    setrlimit(RLIMIT_FSIZE, &limit);
    for (int i = 0; i < 4; i++) {
        if (i == 3)
            checkpoint_begin_anew(f->checkpoint);
        else
            checkpoint_begin(f->checkpoint);
        for (uint32_t k = 0; k < 8000; k++) {
            uint8_t key[4];
            uint8_t value[1000] = {'b'};
            be32_put(key, k);
            wait_for_room(f);
            checkpoint_put(f->checkpoint, 1, slice_of(key, 4), slice_of(value, sizeof(value)));
        }
        checkpoint_commit(f->checkpoint);
        assert_int_equal(finish(f, &err), CHECKPOINT_FAILED);
        assert_int_equal(err.outcome, OUTCOME_READ_ONLY);
        assert_non_null(strstr(err.text, "cannot write"));
        assert_non_null(strstr(err.text, "checkpoint/data.mdb: "));
        assert_non_null(strstr(err.text, "free space there"));
        expect_rows(f);
    }
    limit.rlim_cur = before;
    setrlimit(RLIMIT_FSIZE, &limit);
    checkpoint_begin(f->checkpoint);
    put_numbered(f, 8000, 'c', 1000);
    commit(f);
    expect_rows(f);
    checkpoint_close(&f->checkpoint);
    rows_free(f);
}

static void test_no_room(void **state)
{
    child_passes(no_room_child, *state);
}

/* A map that is too small fails a checkpoint once and is larger for the next. */
static void test_the_map_grows(void **state)
{
    fixture_t *f = *state;
    checkpoint_config_t config = checkpoint_config();
    config.map_size = 1024 * 1024;
    err_t err = {.text = ""};
    int failures = 0;
    open_with(f, &config);
    for (;;) {
        checkpoint_begin(f->checkpoint);
        put_numbered(f, 5000, 'a', 1000);
        checkpoint_commit(f->checkpoint);
        if (finish(f, &err) == CHECKPOINT_DONE)
            break;
        assert_non_null(strstr(err.text, "the next checkpoint has more"));
        assert_true(++failures < 10);
    }
    assert_true(failures > 0);
    expect_rows(f);
    checkpoint_close(&f->checkpoint);
    open_with(f, &config); /* from the size of the file on */
    checkpoint_begin(f->checkpoint);
    put_numbered(f, 5000, 'b', 1000);
    commit(f);
    expect_rows(f);
}

/* ---- tests: what is on disk already ---- */

static checkpoint_fate_t to_format_2(uint8_t table, slice_t key, slice_t old, buf_t *value)
{
    if (table == 1)
        return CHECKPOINT_KEEP;
    if (table == 2 && key.size % 2 == 0)
        return CHECKPOINT_DROP;
    buf_append_text(value, "two:");
    buf_append_slice(value, old);
    return CHECKPOINT_REPLACE;
}

static checkpoint_fate_t to_format_3(uint8_t table, slice_t key, slice_t old, buf_t *value)
{
    (void)key;
    (void)old;
    buf_append_text(value, "three");
    return table == 3 ? CHECKPOINT_REPLACE : CHECKPOINT_KEEP;
}

static checkpoint_fate_t refuse_format(uint8_t table, slice_t key, slice_t old, buf_t *value)
{
    (void)old;
    (void)value;
    return table == 3 && key.size > 3 ? CHECKPOINT_REFUSE : CHECKPOINT_DROP;
}

static void test_migration(void **state)
{
    fixture_t *f = *state;
    const checkpoint_migration_t refusing[] = {{1, refuse_format}};
    const checkpoint_migration_t steps[] = {{2, to_format_3}, {1, to_format_2}};
    checkpoint_config_t config = checkpoint_config();
    uint8_t long_key[CHECKPOINT_KEY_MAX] = {0};
    config.format = 1;
    open_with(f, &config);
    checkpoint_begin(f->checkpoint);
    for (uint8_t table = 1; table <= 3; table++)
        for (size_t size = 0; size <= CHECKPOINT_KEY_MAX; size += 11)
            put(f, table, slice_of(long_key, size), slice_text("old"));
    commit(f);
    checkpoint_close(&f->checkpoint);

    config.format = 3;
    open_refused(f, &config, OUTCOME_USAGE, "has format 1, which this program no longer reads");
    config.migrations = refusing;
    config.migration_count = 1;
    config.format = 2;
    open_refused(f, &config, OUTCOME_LOST, "is damaged");
    config.migrations = steps;
    config.migration_count = 2;
    config.format = 3;
    open_with(f, &config);
    for (size_t i = f->count; i > 0; i--) {
        row_t *row = &f->rows[i - 1];
        buf_t value = {0};
        slice_t key = buf_slice(&row->key);
        if (row->table == 2 && to_format_2(2, key, slice_text(""), &value) == CHECKPOINT_DROP)
            model_delete(f, 2, key);
        else if (row->table != 1)
            model_put(f, row->table, key, slice_text(row->table == 3 ? "three" : "two:old"));
        buf_free(&value);
    }
    expect_rows(f);
    checkpoint_close(&f->checkpoint);
    open_with(f, &config); /* once is enough */
    expect_rows(f);
    checkpoint_close(&f->checkpoint);
    config = checkpoint_config();
    config.format = 1;
    open_refused(f, &config, OUTCOME_USAGE,
                 "has format 3, this program reads 1; start a newer hearsay");
}

static void test_foreign_files(void **state)
{
    fixture_t *f = *state;
    checkpoint_config_t config = checkpoint_config();
    char path[PATH_SIZE];
    path_in(path, f, "checkpoint");
    assert_int_equal(mkdir(path, 0700), 0);
    buf_t text = {0};
    for (int i = 0; i < 3000; i++)
        buf_append_text(&text, "not at all ");
    write_file(f, "checkpoint/data.mdb", buf_slice(&text));
    open_refused(f, &config, OUTCOME_LOST, "data.mdb is damaged; what was there");
    write_file(f, "checkpoint/data.mdb", slice_of(text.data, 100));
    open_refused(f, &config, OUTCOME_LOST, "data.mdb is damaged; what was there");
    buf_free(&text);

    /* One of LMDB, of another program. */
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    char text_of[] = "other";
    MDB_val val = {sizeof(text_of), text_of};
    remove_folder(f, "checkpoint");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, path, MDB_NOLOCK, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &val, &val, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    open_refused(f, &config, OUTCOME_USAGE, "is no checkpoint of hearsay; move it away");

    assert_int_equal(checkpoint_open(&f->checkpoint, "/nonexistent/replica_1", NULL), -1);
}

/* A crash while the first one was made. */
static void test_leftover(void **state)
{
    fixture_t *f = *state;
    char path[PATH_SIZE];
    path_in(path, f, "checkpoint.new");
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(f, "checkpoint.new/data.mdb", slice_text("half"));
    open_checkpoint(f);
    expect_rows(f);
}

static bool refuse_row(void *arg, uint8_t table, slice_t key, slice_t value)
{
    size_t *count = arg;
    (void)key;
    (void)value;
    (*count)++;
    return table != 2;
}

static void test_load_stops(void **state)
{
    fixture_t *f = *state;
    err_t err = {.text = ""};
    size_t count = 0;
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    for (uint8_t table = 1; table < 4; table++)
        put(f, table, slice_text("key"), slice_text("value"));
    commit(f);
    assert_int_equal(checkpoint_load(f->checkpoint, refuse_row, &count, &err), -1);
    assert_int_equal(count, 2);
    assert_int_equal(err.outcome, OUTCOME_LOST);
    assert_non_null(strstr(err.text, "data.mdb has a row of table 2 that cannot be applied"));
}

static bool accept_row(void *arg, uint8_t table, slice_t key, slice_t value)
{
    (void)arg;
    (void)table;
    (void)key;
    (void)value;
    return true;
}

/* A byte of a value that changed is found. */
static void test_damaged_row(void **state)
{
    fixture_t *f = *state;
    err_t err = {.text = ""};
    open_checkpoint(f);
    checkpoint_begin(f->checkpoint);
    put(f, 1, slice_text("key"), slice_text("a value that one finds again"));
    commit(f);
    checkpoint_close(&f->checkpoint);
    buf_t file = read_file(f, "checkpoint/data.mdb");
    size_t at = 0;
    while (at + 14 < file.size && memcmp(file.data + at, "that one finds", 14) != 0)
        at++;
    file.data[at] ^= 1;
    write_file(f, "checkpoint/data.mdb", buf_slice(&file));
    buf_free(&file);
    open_checkpoint(f);
    assert_int_equal(checkpoint_load(f->checkpoint, accept_row, NULL, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_LOST);
    assert_non_null(strstr(err.text, "checkpoint/data.mdb is damaged; what was there"));
}

/* Opens what may be damaged, loads it, and writes to it: errors are fine, signals are not. */
static bool try_file(fixture_t *f)
{
    err_t err = {.text = ""};
    bool is_good = checkpoint_open(&f->checkpoint, f->folder, &err) == 0;
    if (is_good) {
        is_good = checkpoint_load(f->checkpoint, accept_row, NULL, &err) == 0;
        checkpoint_begin(f->checkpoint);
        checkpoint_clear_table(f->checkpoint, 2);
        checkpoint_put(f->checkpoint, 1, slice_text("new"), slice_text("row"));
        checkpoint_commit(f->checkpoint);
        finish(f, &err);
        checkpoint_close(&f->checkpoint);
    }
    assert_true(is_good || strstr(err.text, "/checkpoint") != NULL);
    return is_good;
}

/* Cut short at every page and damaged at random places. */
static void test_damaged_files(void **state)
{
    fixture_t *f = *state;
    buf_t value = {0};
    open_checkpoint(f);
    for (int turn = 0; turn < 3; turn++) { /* so that there are free pages */
        checkpoint_begin(f->checkpoint);
        for (uint32_t i = 0; i < 2000; i++) {
            uint8_t key[4];
            be32_put(key, i);
            random_bytes(f, &value, i % 100 == 0 ? 9000 : 40);
            put(f, (uint8_t)(1 + i % 3), slice_of(key, sizeof(key)), buf_slice(&value));
        }
        commit(f);
    }
    checkpoint_close(&f->checkpoint);
    buf_free(&value);
    buf_t file = read_file(f, "checkpoint/data.mdb");
    assert_true(file.size > (size_t)50 * 4096);
    size_t refused = 0;
    for (size_t size = 0; size < file.size; size += 4096 + 100) {
        write_file(f, "checkpoint/data.mdb", slice_of(file.data, size));
        refused += !try_file(f);
    }
    assert_true(refused > file.size / (4096 + 100) / 2);
    refused = 0;
    for (int turn = 0; turn < 600; turn++) {
        /* Heads of pages above all, where the numbers are. */
        size_t page = (size_t)random_below(&f->random, file.size / 4096) * 4096;
        size_t at = page + (size_t)random_below(&f->random, turn % 3 == 0 ? 4096 : 64);
        uint8_t before = file.data[at];
        file.data[at] = (uint8_t)random_u64(&f->random);
        write_file(f, "checkpoint/data.mdb", buf_slice(&file));
        refused += !try_file(f);
        file.data[at] = before;
    }
    assert_true(refused > 60);
    buf_free(&file);
}

#define CHECKPOINT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECKPOINT_TEST(test_new),
        CHECKPOINT_TEST(test_random_rows),
        CHECKPOINT_TEST(test_colliding_hashes),
        CHECKPOINT_TEST(test_all_hashes_collide),
        CHECKPOINT_TEST(test_an_empty_checkpoint),
        CHECKPOINT_TEST(test_the_largest_values),
        CHECKPOINT_TEST(test_room),
        CHECKPOINT_TEST(test_kill),
        CHECKPOINT_TEST(test_kill_in_a_commit),
        CHECKPOINT_TEST(test_close_finishes_or_gives_up),
        CHECKPOINT_TEST(test_anew),
        CHECKPOINT_TEST(test_anew_after_damage),
        CHECKPOINT_TEST(test_anew_is_durable),
        CHECKPOINT_TEST(test_anew_over_another),
        CHECKPOINT_TEST(test_no_room),
        CHECKPOINT_TEST(test_the_map_grows),
        CHECKPOINT_TEST(test_migration),
        CHECKPOINT_TEST(test_foreign_files),
        CHECKPOINT_TEST(test_leftover),
        CHECKPOINT_TEST(test_load_stops),
        CHECKPOINT_TEST(test_damaged_row),
        CHECKPOINT_TEST(test_damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
