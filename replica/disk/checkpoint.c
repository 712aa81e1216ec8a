#include "replica/disk/checkpoint.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "replica/disk/files.h"
#include "replica/disk/pages.h"
#include "replica/disk/rows.h"

enum {
    FORMAT_TABLE = 0,
    FIRST_TABLE = 1,
    CHANGE_HEAD = 8,        /* bytes of a change in the queue before key and value */
    WAKE_SIZE = 256 * 1024, /* bytes in the queue for which the thread is woken */
    MAP_RESERVE = 2,        /* the map is at least so many times what is used */
    FILE_MODE = 0600,
    FOLDER_MODE = 0700,
};

static const char FOLDER_NAME[] = "checkpoint";
/* A checkpoint is made under this name and renamed when it is whole. */
static const char FOLDER_NEW_NAME[] = "checkpoint.new";
static const char FILE_NAME[] = "data.mdb";
static const char FORMAT_KEY[] = "hearsay checkpoint";

typedef enum change_kind {
    CHANGE_PUT,
    CHANGE_DELETE,
    CHANGE_CLEAR,
    CHANGE_COMMIT,
    CHANGE_ABORT,
} change_kind_t;

/* One change in a queue: kind, table, be16 size of key, be32 size of value, key, value. */
typedef struct change {
    change_kind_t kind;
    uint8_t table;
    slice_t key;
    slice_t value;
} change_t;

struct checkpoint {
    checkpoint_config_t config;
    char *path;     /* of the folder, for messages */
    char *new_path; /* of the one in which a checkpoint is made anew */
    MDB_env *env;
    MDB_dbi dbi;
    size_t map_size; /* of the thread, once it runs */

    bool has_thread;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    checkpoint_progress_fn *progress;
    void *progress_arg;
    checkpoint_state_t state;
    err_t err;         /* of FAILED */
    buf_t queue;       /* changes that the thread is to take */
    bool commit;       /* the last of them is a commit */
    bool is_anew;      /* the checkpoint has a file of its own; set while the thread rests */
    bool is_committed; /* commit was called since begin */
    bool was_refused;  /* room was 0 when it was asked for */
    bool stop;
};

checkpoint_config_t checkpoint_config(void)
{
    return (checkpoint_config_t){
        .format = CHECKPOINT_FORMAT,
        /* Address space alone: a checkpoint that outgrows it has to be written again. */
        .map_size = (size_t)(sizeof(size_t) > 4 ? 16 : 1) << 30,
        .hash_mask = UINT64_MAX,
    };
}

/* ---- errors ---- */

/* Fills in err for a code of LMDB or the system with which "cannot <what> <file>" came. */
static int fail(const checkpoint_t *self, const char *what, int error, err_t *err)
{
    const char *remedy = "check the disk";
    switch (error) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return err_set(err, OUTCOME_LOST, "%s/%s is damaged; %s", self->path, FILE_NAME,
                       FILES_REPAIR);
    case MDB_VERSION_MISMATCH:
        return err_set(err, OUTCOME_USAGE,
                       "%s/%s is of another version of LMDB; start a hearsay that is built with it "
                       "or say --data DIR",
                       self->path, FILE_NAME);
    case MDB_MAP_FULL:
        return err_set(err, OUTCOME_READ_ONLY,
                       "cannot %s %s/%s: it outgrew the address space set aside; the next "
                       "checkpoint has more",
                       what, self->path, FILE_NAME);
    case MDB_PANIC:
        remedy = "start the node again";
        break;
    case ENOMEM:
        remedy = "allow the process more address space";
        break;
    case EIO: /* LMDB says so too when the system wrote a part only */
        remedy = "free space there or check the disk";
        break;
    default:
        if (files_is_full(error))
            remedy = "free space there";
    }
    return err_set(err, OUTCOME_READ_ONLY, "cannot %s %s/%s: %s; %s", what, self->path, FILE_NAME,
                   mdb_strerror(error), remedy);
}

static rows_t rows_of(const checkpoint_t *self, MDB_txn *txn)
{
    return (rows_t){.txn = txn, .dbi = self->dbi, .hash_mask = self->config.hash_mask};
}

/* ---- LMDB ---- */

/* Opens LMDB on the folder at path, flags as of LMDB; 0 or an error code. */
static int env_open(checkpoint_t *self, const char *path, unsigned flags)
{
    int rc = mdb_env_create(&self->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(self->env, self->map_size);
    /* NOLOCK: the data folder is locked, and loads and checkpoints do not overlap. */
    if (rc == 0)
        rc = mdb_env_open(self->env, path, MDB_NOLOCK | flags, FILE_MODE);
    return rc;
}

static void env_close(checkpoint_t *self)
{
    if (self->env != NULL)
        mdb_env_close(self->env);
    self->env = NULL;
}

/*
 * Opens the one at path unless one is open. Between two uses it is closed: it keeps the memory of
 * every page that a transaction has changed, 512 MiB of them at most, and what it has read stays
 * mapped.
 */
static int env_use(checkpoint_t *self, const char *path)
{
    MDB_txn *txn = NULL;
    if (self->env != NULL)
        return 0;
    int rc = env_open(self, path, 0);
    if (rc == 0)
        rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &self->dbi);
    if (txn != NULL)
        mdb_txn_abort(txn);
    if (rc != 0)
        env_close(self);
    return rc;
}

static int format_put(const rows_t *rows, uint32_t format)
{
    uint8_t bytes[4];
    be32_put(bytes, format);
    return rows_put(rows, FORMAT_TABLE, slice_text(FORMAT_KEY), slice_of(bytes, sizeof(bytes)));
}

/* Writes the format into the empty LMDB at path; 0 or an error code. */
static int env_fill(checkpoint_t *self, const char *path)
{
    MDB_txn *txn = NULL;
    int rc = env_open(self, path, 0);
    if (rc == 0)
        rc = mdb_txn_begin(self->env, NULL, 0, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &self->dbi);
    if (rc == 0) {
        rows_t rows = rows_of(self, txn);
        rc = format_put(&rows, self->config.format);
    }
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else if (txn != NULL)
        mdb_txn_abort(txn);
    env_close(self);
    return rc;
}

/* ---- a new file ---- */

/* What there is of a new file is void and goes; 0 or an errno when it does not. */
static int anew_discard(const checkpoint_t *self)
{
    int fd = open(self->new_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    bool is_gone = files_system.unlinkat(fd, FILE_NAME, 0) == 0 || errno == ENOENT;
    int error = is_gone ? 0 : errno;
    close(fd);
    if (is_gone)
        rmdir(self->new_path);
    return error;
}

/* Makes an empty file, where nobody looks for one; 0 or an error code. */
static int anew_make(checkpoint_t *self)
{
    int error = anew_discard(self);
    if (error != 0)
        return error;
    if (mkdir(self->new_path, FOLDER_MODE) != 0 && errno != EEXIST)
        return errno;
    return env_fill(self, self->new_path);
}

/* The new file, which is committed and closed, takes the place of the other; 0 or an errno. */
static int anew_install(const checkpoint_t *self)
{
    /* The folder may be new, or somebody took it away. */
    if (mkdir(self->path, FOLDER_MODE) != 0 && errno != EEXIST)
        return errno;
    buf_t from = {0};
    buf_t to = {0};
    buf_printf(&from, "%s/%s", self->new_path, FILE_NAME);
    buf_printf(&to, "%s/%s", self->path, FILE_NAME);
    int error = files_sync_name(self->path);
    if (error == 0 && rename(buf_text(&from), buf_text(&to)) != 0)
        error = errno;
    if (error == 0)
        error = files_sync_name(buf_text(&to));
    buf_free(&from);
    buf_free(&to);
    if (error == 0)
        rmdir(self->new_path);
    return error;
}

/* ---- the thread ---- */

/* Makes the map so large that a transaction has room; without one. 0 or an error code. */
static int map_grow(checkpoint_t *self, size_t least)
{
    size_t size = self->map_size;
    while (size < least && size <= SIZE_MAX / 2)
        size *= 2;
    if (size == self->map_size)
        return 0;
    int rc = mdb_env_set_mapsize(self->env, size);
    if (rc == 0)
        self->map_size = size;
    return rc;
}

/* Bytes of the file that are in use. */
static size_t map_used(const checkpoint_t *self)
{
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(self->env, &info);
    mdb_env_stat(self->env, &stat);
    return (info.me_last_pgno + 1) * stat.ms_psize;
}

/* Opens a new file; 0 or an error code. */
static int anew_use(checkpoint_t *self)
{
    env_close(self);
    int rc = anew_make(self);
    return rc == 0 ? env_use(self, self->new_path) : rc;
}

static int txn_begin(checkpoint_t *self, MDB_txn **txn)
{
    int rc = self->is_anew ? anew_use(self) : env_use(self, self->path);
    if (rc == 0)
        rc = map_grow(self, MAP_RESERVE * map_used(self));
    return rc == 0 ? mdb_txn_begin(self->env, NULL, 0, txn) : rc;
}

/* Takes the change at *at out of a queue. */
static change_t change_next(const buf_t *queue, size_t *at)
{
    const uint8_t *head = queue->data + *at;
    size_t key_size = be16_get(head + 2);
    size_t value_size = be32_get(head + 4);
    *at += CHANGE_HEAD + key_size + value_size;
    return (change_t){
        .kind = (change_kind_t)head[0],
        .table = head[1],
        .key = slice_of(head + CHANGE_HEAD, key_size),
        .value = slice_of(head + CHANGE_HEAD + key_size, value_size),
    };
}

static int change_apply(checkpoint_t *self, MDB_txn **txn, const change_t *change)
{
    rows_t rows = rows_of(self, *txn);
    int rc = 0;
    switch (change->kind) {
    case CHANGE_PUT:
        return rows_put(&rows, change->table, change->key, change->value);
    case CHANGE_DELETE:
        return rows_delete(&rows, change->table, change->key);
    case CHANGE_CLEAR:
        return rows_clear(&rows, change->table);
    case CHANGE_COMMIT:
        rc = mdb_txn_commit(*txn);
        *txn = NULL;
        break;
    case CHANGE_ABORT:
        rc = ECANCELED; /* as any failure ends it */
        break;
    }
    return rc;
}

/*
 * Carries out the changes in work. *txn is the transaction of the checkpoint, NULL before its first
 * and after its last change, or when it failed. 0 or an error code.
 */
static int work_apply(checkpoint_t *self, MDB_txn **txn, const buf_t *work)
{
    int rc = *txn == NULL ? txn_begin(self, txn) : 0;
    for (size_t at = 0; at < work->size && rc == 0;) {
        change_t change = change_next(work, &at);
        rc = change_apply(self, txn, &change);
    }
    if (rc == 0)
        return 0;
    if (*txn != NULL)
        mdb_txn_abort(*txn);
    *txn = NULL;
    if (rc == MDB_MAP_FULL)
        map_grow(self, self->map_size + 1);
    return rc;
}

/* Carries out what is in the queue; called and returns with the mutex held, released meanwhile. */
static void work_locked(checkpoint_t *self, MDB_txn **txn, buf_t *work)
{
    buf_t taken = self->queue;
    bool is_last = self->commit;
    self->queue = *work;
    buf_reset(&self->queue);
    self->commit = false;
    bool tell = self->was_refused;
    self->was_refused = false;
    pthread_mutex_unlock(&self->mutex);
    if (tell && self->progress != NULL)
        self->progress(self->progress_arg);
    int rc = work_apply(self, txn, &taken);
    if (rc != 0 || is_last)
        env_close(self);
    if (rc == 0 && is_last && self->is_anew)
        rc = anew_install(self);
    if (rc != 0 && self->is_anew)
        anew_discard(self);
    if (taken.capacity > CHECKPOINT_QUEUE_MAX)
        buf_free(&taken);
    *work = taken;
    pthread_mutex_lock(&self->mutex);
    if (rc == 0 && !is_last)
        return;
    if (rc != 0)
        fail(self, "write", rc, &self->err);
    self->state = rc == 0 ? CHECKPOINT_DONE : CHECKPOINT_FAILED;
    buf_reset(&self->queue);
    self->commit = false;
    self->was_refused = false;
    pthread_mutex_unlock(&self->mutex);
    if (self->progress != NULL)
        self->progress(self->progress_arg);
    pthread_mutex_lock(&self->mutex);
}

static void *thread_run(void *arg)
{
    checkpoint_t *self = arg;
    MDB_txn *txn = NULL;
    buf_t work = {0};
    pthread_mutex_lock(&self->mutex);
    /* A commit that was called is carried out before the end. */
    while (!self->stop || self->commit) {
        if (self->commit || self->queue.size >= WAKE_SIZE)
            work_locked(self, &txn, &work);
        else
            pthread_cond_wait(&self->changed, &self->mutex);
    }
    pthread_mutex_unlock(&self->mutex);
    if (txn != NULL)
        mdb_txn_abort(txn);
    buf_free(&work);
    return NULL;
}

static int thread_start(checkpoint_t *self, err_t *err)
{
    self->has_thread = files_start_thread(&self->thread, thread_run, self, "checkpoint", err) == 0;
    return self->has_thread ? 0 : -1;
}

/* ---- writing ---- */

checkpoint_state_t checkpoint_state(checkpoint_t *self, err_t *err)
{
    pthread_mutex_lock(&self->mutex);
    checkpoint_state_t state = self->state;
    if (state == CHECKPOINT_DONE)
        self->state = CHECKPOINT_IDLE;
    if (state == CHECKPOINT_FAILED && err != NULL)
        *err = self->err;
    pthread_mutex_unlock(&self->mutex);
    return state;
}

static void begin(checkpoint_t *self, bool is_anew)
{
    pthread_mutex_lock(&self->mutex);
    assert(self->state != CHECKPOINT_WRITING);
    self->state = CHECKPOINT_WRITING;
    self->is_committed = false;
    self->is_anew = is_anew;
    pthread_mutex_unlock(&self->mutex);
}

void checkpoint_begin(checkpoint_t *self)
{
    begin(self, false);
}

void checkpoint_begin_anew(checkpoint_t *self)
{
    begin(self, true);
}

/* The thread works on one half of what may be in memory while the other is filled. */
static size_t room_locked(const checkpoint_t *self)
{
    size_t most = CHECKPOINT_QUEUE_MAX / 2;
    return self->queue.size < most ? most - self->queue.size : 0;
}

size_t checkpoint_room(checkpoint_t *self)
{
    pthread_mutex_lock(&self->mutex);
    size_t room = room_locked(self);
    self->was_refused = room == 0;
    pthread_mutex_unlock(&self->mutex);
    return room;
}

static void change_add(checkpoint_t *self, const change_t *change)
{
    pthread_mutex_lock(&self->mutex);
    assert(!self->is_committed);
    self->is_committed = change->kind == CHANGE_COMMIT || change->kind == CHANGE_ABORT;
    if (self->state != CHECKPOINT_FAILED) {
        assert(self->state == CHECKPOINT_WRITING);
        assert(self->is_committed || room_locked(self) > 0);
        uint8_t head[CHANGE_HEAD] = {(uint8_t)change->kind, change->table};
        be16_put(head + 2, (uint16_t)change->key.size);
        be32_put(head + 4, (uint32_t)change->value.size);
        buf_append(&self->queue, head, sizeof(head));
        buf_append_slice(&self->queue, change->key);
        buf_append_slice(&self->queue, change->value);
        self->commit = self->is_committed;
        if (self->commit || self->queue.size >= WAKE_SIZE)
            pthread_cond_signal(&self->changed);
    }
    pthread_mutex_unlock(&self->mutex);
}

void checkpoint_put(checkpoint_t *self, uint8_t table, slice_t key, slice_t value)
{
    assert(table >= FIRST_TABLE);
    assert(key.size <= CHECKPOINT_KEY_MAX && value.size <= CHECKPOINT_VALUE_MAX);
    change_add(self, &(change_t){.kind = CHANGE_PUT, .table = table, .key = key, .value = value});
}

void checkpoint_delete(checkpoint_t *self, uint8_t table, slice_t key)
{
    assert(table >= FIRST_TABLE && key.size <= CHECKPOINT_KEY_MAX);
    change_add(self, &(change_t){.kind = CHANGE_DELETE, .table = table, .key = key});
}

void checkpoint_clear_table(checkpoint_t *self, uint8_t table)
{
    assert(table >= FIRST_TABLE);
    change_add(self, &(change_t){.kind = CHANGE_CLEAR, .table = table});
}

void checkpoint_commit(checkpoint_t *self)
{
    change_add(self, &(change_t){.kind = CHANGE_COMMIT});
}

void checkpoint_abort(checkpoint_t *self)
{
    change_add(self, &(change_t){.kind = CHANGE_ABORT});
}

void checkpoint_on_progress(checkpoint_t *self, checkpoint_progress_fn *fn, void *arg)
{
    pthread_mutex_lock(&self->mutex);
    assert(self->state != CHECKPOINT_WRITING);
    self->progress = fn;
    self->progress_arg = arg;
    pthread_mutex_unlock(&self->mutex);
}

/* ---- loading ---- */

typedef struct loading {
    checkpoint_row_fn *fn;
    void *arg;
    bool is_refused;
    uint8_t table; /* of the row that was refused */
} loading_t;

static int load_row(void *arg, uint8_t table, slice_t key, slice_t value)
{
    loading_t *loading = arg;
    if (loading->fn(loading->arg, table, key, value))
        return 0;
    loading->is_refused = true;
    loading->table = table;
    return MDB_CORRUPTED;
}

int checkpoint_load(checkpoint_t *self, checkpoint_row_fn *fn, void *arg, err_t *err)
{
    pthread_mutex_lock(&self->mutex);
    assert(self->state != CHECKPOINT_WRITING);
    pthread_mutex_unlock(&self->mutex);
    MDB_txn *txn = NULL;
    int rc = env_use(self, self->path);
    if (rc == 0)
        rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return fail(self, "read", rc, err);
    loading_t loading = {.fn = fn, .arg = arg};
    rows_t rows = rows_of(self, txn);
    rc = rows_each(&rows, FIRST_TABLE, load_row, &loading);
    mdb_txn_abort(txn);
    env_close(self);
    if (loading.is_refused)
        return err_set(err, OUTCOME_LOST, "%s/%s has a row of table %u that cannot be applied; %s",
                       self->path, FILE_NAME, (unsigned)loading.table, FILES_REPAIR);
    return rc == 0 ? 0 : fail(self, "read", rc, err);
}

/* ---- formats ---- */

static int fail_foreign(const checkpoint_t *self, err_t *err)
{
    return err_set(err, OUTCOME_USAGE,
                   "%s/%s is no checkpoint of hearsay; move it away or say --data DIR", self->path,
                   FILE_NAME);
}

/* The format that the value of its row says, and that it is none newer than this program. */
static int format_judge(const checkpoint_t *self, slice_t value, uint32_t *format, err_t *err)
{
    if (value.size != 4)
        return fail_foreign(self, err);
    *format = be32_get(value.data);
    if (*format <= self->config.format)
        return 0;
    return err_set(err, OUTCOME_USAGE,
                   "%s/%s has format %" PRIu32 ", this program reads %" PRIu32
                   "; start a newer hearsay or say --data DIR",
                   self->path, FILE_NAME, *format, self->config.format);
}

static int format_get(const checkpoint_t *self, const rows_t *rows, uint32_t *format, err_t *err)
{
    slice_t value;
    int rc = rows_get(rows, FORMAT_TABLE, slice_text(FORMAT_KEY), &value);
    if (rc == MDB_NOTFOUND)
        return fail_foreign(self, err);
    return rc == 0 ? format_judge(self, value, format, err) : fail(self, "read", rc, err);
}

/* Takes the rows from one format to the next, up to the present one. */
static int migrate(checkpoint_t *self, const rows_t *rows, uint32_t format, err_t *err)
{
    const checkpoint_config_t *config = &self->config;
    for (; format < config->format; format++) {
        const checkpoint_migration_t *step = NULL;
        for (size_t i = 0; i < config->migration_count && step == NULL; i++)
            if (config->migrations[i].from == format)
                step = &config->migrations[i];
        if (step == NULL)
            return err_set(err, OUTCOME_USAGE,
                           "%s/%s has format %" PRIu32 ", which this program no longer reads; "
                           "start an older hearsay first or say --data DIR",
                           self->path, FILE_NAME, format);
        int rc = rows_rewrite(rows, step->row);
        if (rc != 0)
            return fail(self, "migrate", rc, err);
    }
    int rc = format_put(rows, format);
    return rc == 0 ? 0 : fail(self, "migrate", rc, err);
}

/* Checks the format of an open checkpoint and migrates it if it is an older one. */
static int format_check(checkpoint_t *self, err_t *err)
{
    MDB_txn *txn = NULL;
    uint32_t format = 0;
    int rc = txn_begin(self, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, NULL, 0, &self->dbi);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return fail(self, "open", rc, err);
    }
    rows_t rows = rows_of(self, txn);
    int failed = format_get(self, &rows, &format, err);
    if (failed == 0 && format < self->config.format)
        failed = migrate(self, &rows, format, err);
    if (failed != 0) {
        mdb_txn_abort(txn);
        return -1;
    }
    rc = mdb_txn_commit(txn); /* nothing is written where nothing changed */
    return rc == 0 ? 0 : fail(self, "migrate", rc, err);
}

/* ---- opening ---- */

/* Makes an empty checkpoint in the data folder, durable as a whole. */
static int create(checkpoint_t *self, const char *folder, err_t *err)
{
    int error = anew_make(self);
    if (error == 0)
        error = anew_install(self);
    if (error < 0) /* a code of LMDB */
        return fail(self, "create", error, err);
    return error == 0 ? 0 : files_fail_open(folder, FOLDER_NAME, error, err);
}

/* Opens the file of LMDB for reading; -1 with errno. */
static int file_open(int data_fd)
{
    buf_t name = {0};
    buf_printf(&name, "%s/%s", FOLDER_NAME, FILE_NAME);
    int fd = openat(data_fd, buf_text(&name), O_RDONLY | O_CLOEXEC);
    int error = errno;
    buf_free(&name);
    errno = error;
    return fd;
}

/* Sees that LMDB can open the file, and makes the map large enough; 0 or an error code. */
static int file_check(checkpoint_t *self, int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return errno;
    while (self->map_size / MAP_RESERVE < (size_t)status.st_size)
        self->map_size *= 2;
    return pages_check(fd);
}

bool checkpoint_exists(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int file_fd = fd < 0 ? -1 : file_open(fd);
    bool is_there = file_fd >= 0 || errno != ENOENT;
    if (file_fd >= 0)
        close(file_fd);
    if (fd >= 0)
        close(fd);
    return is_there;
}

/* Opens the checkpoint in the data folder, which is made if it is not there. */
static int open_in(checkpoint_t *self, const char *folder, err_t *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return files_fail_open(folder, "", errno, err);
    int file_fd = file_open(fd);
    if (file_fd < 0 && errno == ENOENT) {
        if (create(self, folder, err) != 0) {
            close(fd);
            return -1;
        }
        file_fd = file_open(fd);
    }
    int error = file_fd < 0 ? errno : 0;
    close(fd);
    if (file_fd < 0)
        return files_fail_open(folder, FOLDER_NAME, error, err);
    anew_discard(self); /* a crash may have left it */
    error = file_check(self, file_fd);
    close(file_fd);
    if (error == 0)
        error = env_open(self, self->path, 0);
    return error == 0 ? 0 : fail(self, "open", error, err);
}

static checkpoint_t *checkpoint_new(const char *folder, const checkpoint_config_t *config)
{
    checkpoint_t *self = mem_zero(1, sizeof(*self));
    buf_t path = {0};
    buf_printf(&path, "%s/%s", folder, FOLDER_NAME);
    self->path = mem_text(path.data, path.size);
    buf_reset(&path);
    buf_printf(&path, "%s/%s", folder, FOLDER_NEW_NAME);
    self->new_path = mem_text(path.data, path.size);
    buf_free(&path);
    self->config = *config;
    self->map_size = config->map_size;
    self->is_committed = true;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->changed, NULL);
    return self;
}

int checkpoint_open_with(checkpoint_t **out, const char *folder, const checkpoint_config_t *config,
                         err_t *err)
{
    checkpoint_t *self = checkpoint_new(folder, config);
    if (open_in(self, folder, err) != 0 || format_check(self, err) != 0 ||
        thread_start(self, err) != 0) {
        checkpoint_close(&self);
        return -1;
    }
    *out = self;
    return 0;
}

int checkpoint_open(checkpoint_t **out, const char *folder, err_t *err)
{
    checkpoint_config_t config = checkpoint_config();
    return checkpoint_open_with(out, folder, &config, err);
}

void checkpoint_close(checkpoint_t **self_p)
{
    checkpoint_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    if (self->has_thread) {
        pthread_mutex_lock(&self->mutex);
        self->stop = true;
        pthread_cond_signal(&self->changed);
        pthread_mutex_unlock(&self->mutex);
        pthread_join(self->thread, NULL);
    }
    env_close(self);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->changed);
    buf_free(&self->queue);
    free(self->path);
    free(self->new_path);
    free(self);
}

/* ---- looking ---- */

typedef struct looking {
    const checkpoint_t *checkpoint;
    const checkpoint_look_t *look;
    uint64_t bytes; /* of rows that were read */
    uint64_t good;
    bool has_format; /* a row says it, be it damaged */
} looking_t;

static void tell(const looking_t *looking, uint64_t offset, const err_t *err)
{
    looking->look->bad(looking->look->arg, err, offset);
}

static int look_at_row(void *arg, slice_t key, slice_t bytes, uint64_t offset)
{
    looking_t *looking = arg;
    const checkpoint_t *self = looking->checkpoint;
    slice_t rest;
    slice_t value;
    err_t err;
    uint8_t table = key.size > 0 ? key.data[0] : 0;
    uint32_t format;

    looking->bytes += key.size + bytes.size;
    looking->has_format |= table == FORMAT_TABLE;
    if (!rows_read(key, bytes, &rest, &value)) {
        err_set(&err, OUTCOME_LOST, "%s/%s: a row of table %u is damaged at offset %" PRIu64 "%s",
                self->path, FILE_NAME, (unsigned)table, offset, looking->look->remedy);
        tell(looking, offset, &err);
    } else if (table != FORMAT_TABLE) {
        looking->good++;
    } else if (format_judge(self, value, &format, &err) != 0) {
        tell(looking, offset, &err);
        return ECANCELED;
    }
    if (looking->look->pace == NULL || looking->look->pace(looking->look->arg, looking->bytes))
        return 0;
    return ECANCELED;
}

/* What ended the reading of the file, as far as it was not said yet. */
static void tell_end(const looking_t *looking, int error, uint64_t offset)
{
    const checkpoint_t *self = looking->checkpoint;
    err_t err;
    if (error == ECANCELED || (error == 0 && looking->has_format))
        return;
    if (error == 0)
        fail_foreign(self, &err);
    else if (error == MDB_CORRUPTED || error == MDB_INVALID || error == EIO)
        err_set(&err, OUTCOME_LOST, "%s/%s is damaged at offset %" PRIu64 "%s", self->path,
                FILE_NAME, offset, looking->look->remedy);
    else
        fail(self, "read", error, &err);
    tell(looking, offset, &err);
}

/* Opens the file for reading; -1 with the errno, ENOENT: there is none. */
static int look_open(const char *folder, int *error)
{
    int data_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = data_fd < 0 ? -1 : file_open(data_fd);
    *error = fd < 0 ? errno : 0;
    if (data_fd >= 0)
        close(data_fd);
    return fd;
}

uint64_t checkpoint_verify(const char *folder, const checkpoint_look_t *look)
{
    checkpoint_config_t config = checkpoint_config();
    checkpoint_t *self = checkpoint_new(folder, &config);
    looking_t looking = {.checkpoint = self, .look = look};
    uint64_t offset = 0;
    int error;
    int fd = look_open(folder, &error);
    if (fd >= 0) {
        error = pages_each(fd, look_at_row, &looking, &offset);
        close(fd);
    }
    if (error != ENOENT)
        tell_end(&looking, error, offset);
    checkpoint_close(&self);
    return looking.good;
}
