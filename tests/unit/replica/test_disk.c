#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
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
#include "replica/core/seglog.h"
#include "replica/disk/disk.h"
#include "tests/unit/child.h"
#include "tests/unit/folder.h"

enum {
    NODE = 3,
    PATH_SIZE = 512,
    DEADLINE_MS = 10000,
};

/* A temporary folder with the data folder in it, and what the log should hold. */
typedef struct fixture {
    char top[PATH_SIZE / 4];
    char folder[PATH_SIZE / 2];
    disk_t *disk;
    buf_t wanted; /* all entries from position begin on, one behind the other */
    uint64_t begin;
    random_t random;
} fixture_t;

static const char FIRST[] = "log-0000000000000000.seg";

/* ---- files ---- */

static void path_in(char path[PATH_SIZE], const fixture_t *f, const char *name)
{
    snprintf(path, PATH_SIZE, "%s/%s", f->folder, name);
}

static buf_t file_read(const fixture_t *f, const char *name)
{
    char path[PATH_SIZE];
    struct stat status;
    buf_t bytes = {0};
    path_in(path, f, name);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    size_t size = (size_t)status.st_size;
    assert_int_equal(read(fd, buf_reserve(&bytes, size), size), (ssize_t)size);
    bytes.size = size;
    close(fd);
    return bytes;
}

static size_t file_read_size(const fixture_t *f, const char *name)
{
    buf_t bytes = file_read(f, name);
    size_t size = bytes.size;
    buf_free(&bytes);
    return size;
}

static void file_write(const fixture_t *f, const char *name, slice_t bytes)
{
    char path[PATH_SIZE];
    path_in(path, f, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.data, bytes.size), (ssize_t)bytes.size);
    close(fd);
}

static void file_remove(const fixture_t *f, const char *name)
{
    char path[PATH_SIZE];
    path_in(path, f, name);
    assert_int_equal(unlink(path), 0);
}

/* As if the power had been cut before anything was synced: the end of the log may be torn. */
static void forget_synced(const fixture_t *f)
{
    file_remove(f, "synced");
}

/* ---- the fixture ---- */

static int set_up(void **state)
{
    fixture_t *f = mem_zero(1, sizeof(*f));
    if (folder_make(f->top, sizeof(f->top), "disk") != 0)
        return -1;
    snprintf(f->folder, sizeof(f->folder), "%s/replica_%d", f->top, NODE);
    random_seed(&f->random, 42);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    disk_close(&f->disk);
    chmod(f->top, 0700);
    folder_remove(f->folder);
    int rc = rmdir(f->top);
    buf_free(&f->wanted);
    free(f);
    return rc;
}

static void open_disk(fixture_t *f)
{
    err_t err = {.text = ""};
    if (disk_open(&f->disk, f->folder, NODE, &err) != 0)
        fail_msg("%s", err.text);
}

static void open_refused(fixture_t *f, outcome_t outcome, const char *text)
{
    err_t err = {.text = ""};
    disk_t *disk = NULL;
    assert_int_equal(disk_open(&disk, f->folder, NODE, &err), -1);
    assert_null(disk);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    assert_int_equal(err.outcome, outcome);
    assert_null(strchr(err.text, '\n'));
}

/* Rebuilds the bytes of the log, from position from on, of what the replay gives. */
typedef struct collected {
    buf_t bytes;
    uint64_t from;
} collected_t;

static bool collect(void *arg, uint64_t position, uint8_t kind, slice_t payload)
{
    collected_t *seen = arg;
    assert_true(position == seen->from + seen->bytes.size);
    seglog_entry_put(&seen->bytes, position, kind, payload);
    return true;
}

static void expect_bytes(const buf_t *seen, const buf_t *wanted)
{
    assert_int_equal(seen->size, wanted->size);
    if (seen->size > 0)
        assert_memory_equal(seen->data, wanted->data, seen->size);
}

/* Replays from a position; the log must hold what is wanted, and cut_bytes more that were cut. */
static disk_replayed_t replay_from(fixture_t *f, uint64_t from, uint64_t cut_bytes)
{
    collected_t seen = {.from = from};
    disk_replayed_t found;
    err_t err = {.text = ""};
    if (disk_replay(f->disk, from, collect, &seen, &found, &err) != 0)
        fail_msg("%s", err.text);
    size_t skipped = (size_t)(from - f->begin);
    assert_true(skipped <= f->wanted.size);
    assert_int_equal(seen.bytes.size, f->wanted.size - skipped);
    if (seen.bytes.size > 0)
        assert_memory_equal(seen.bytes.data, f->wanted.data + skipped, seen.bytes.size);
    uint64_t end = f->begin + f->wanted.size;
    assert_true(found.bytes == seen.bytes.size);
    assert_true(found.cut_bytes == cut_bytes);
    assert_true(cut_bytes == 0 || found.cut_position == end);
    assert_true(disk_end(f->disk) == end);
    assert_true(disk_synced(f->disk) == end);
    buf_free(&seen.bytes);
    return found;
}

static void replay(fixture_t *f, uint64_t cut_bytes)
{
    assert_true(replay_from(f, f->begin, cut_bytes).missing_bytes == 0);
}

static void replay_fails(fixture_t *f, uint64_t from, const char *text)
{
    collected_t seen = {.from = from};
    err_t err = {.text = ""};
    assert_int_equal(disk_replay(f->disk, from, collect, &seen, NULL, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_LOST);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    buf_free(&seen.bytes);
}

/* Appends one entry of that many random bytes. */
static void append(fixture_t *f, size_t size)
{
    buf_t entry = {0};
    uint8_t *payload = mem_alloc(size + 1);
    for (size_t i = 0; i < size; i++)
        payload[i] = (uint8_t)random_u64(&f->random);
    seglog_entry_put(&entry, disk_end(f->disk), SEGLOG_KIND_UPDATE, slice_of(payload, size));
    err_t err = {.text = ""};
    if (disk_append(f->disk, buf_slice(&entry), &err) != 0)
        fail_msg("%s", err.text);
    buf_append_slice(&f->wanted, buf_slice(&entry));
    assert_true(disk_end(f->disk) == f->begin + f->wanted.size);
    buf_free(&entry);
    free(payload);
}

/* Opens a new folder and appends count entries of up to most bytes. */
static void fill(fixture_t *f, size_t segment_size, size_t count, size_t most)
{
    open_disk(f);
    disk_set_segment_size(f->disk, segment_size);
    replay(f, 0);
    for (size_t i = 0; i < count; i++)
        append(f, (size_t)random_below(&f->random, most + 1));
}

/* Reads the whole log in steps of most bytes. */
static void read_all_in_steps(fixture_t *f, size_t most)
{
    buf_t seen = {0};
    buf_t part = {0};
    err_t err = {.text = ""};
    do {
        if (disk_read(f->disk, f->begin + seen.size, most, &part, &err) != 0)
            fail_msg("%s", err.text);
        seglog_entry_t first;
        if (part.size > most) {
            assert_int_equal(seglog_next(buf_slice(&part), f->begin + seen.size, &first),
                             SEGLOG_GOOD);
            assert_int_equal(first.size, part.size);
        }
        buf_append_slice(&seen, buf_slice(&part));
    } while (part.size > 0);
    expect_bytes(&seen, &f->wanted);
    buf_free(&seen);
    buf_free(&part);
}

/* ---- tests ---- */

static void test_new_folder(void **state)
{
    fixture_t *f = *state;
    struct stat status;
    open_disk(f);
    replay(f, 0);
    assert_true(disk_begin(f->disk) == 0);
    assert_int_equal(stat(f->folder, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    char path[PATH_SIZE];
    path_in(path, f, FIRST);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_size, SEGLOG_HEADER_SIZE);
    path_in(path, f, "lock");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    read_all_in_steps(f, 100);
}

static void test_append_replay_append(void **state)
{
    fixture_t *f = *state;
    fill(f, DISK_SEGMENT_SIZE, 100, 300);
    for (int turn = 0; turn < 3; turn++) {
        disk_close(&f->disk);
        open_disk(f);
        replay(f, 0);
        append(f, 20);
    }
    read_all_in_steps(f, 1000);
}

static void test_large_entries(void **state)
{
    fixture_t *f = *state;
    fill(f, DISK_SEGMENT_SIZE, 3, 50);
    append(f, (size_t)17 << 20);
    append(f, 5);
    append(f, (size_t)3 << 20);
    disk_close(&f->disk);
    open_disk(f);
    replay(f, 0);
    read_all_in_steps(f, 100);
    read_all_in_steps(f, (size_t)4 << 20);
}

static void test_segments_roll(void **state)
{
    fixture_t *f = *state;
    fill(f, 1000, 200, 200);
    append(f, 5000); /* longer than a segment: has one of its own */
    append(f, 1);
    size_t files = 0;
    DIR *dir = opendir(f->folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        files += strncmp(entry->d_name, "log-", 4) == 0;
    closedir(dir);
    assert_true(files > 2 * DISK_READERS_MAX);
    for (size_t most = 1; most < 20000; most = most * 3 + 1)
        read_all_in_steps(f, most);
    disk_close(&f->disk);
    open_disk(f);
    replay(f, 0);
    append(f, 10);
    read_all_in_steps(f, 700);
}

/* Many positions, so that the cache of descriptors turns over. */
static void test_read_anywhere(void **state)
{
    fixture_t *f = *state;
    fill(f, 500, 300, 100);
    uint64_t positions[301] = {0};
    size_t count = 0;
    seglog_entry_t entry;
    for (size_t at = 0; at < f->wanted.size; at += entry.size) {
        slice_t rest = slice_of(f->wanted.data + at, f->wanted.size - at);
        assert_int_equal(seglog_next(rest, at, &entry), SEGLOG_GOOD);
        positions[count++] = at;
    }
    buf_t part = {0};
    for (int i = 0; i < 2000; i++) {
        uint64_t position = positions[random_below(&f->random, count)];
        assert_int_equal(disk_read(f->disk, position, 250, &part, NULL), 0);
        assert_true(part.size > 0);
        assert_memory_equal(part.data, f->wanted.data + position, part.size);
    }
    buf_free(&part);
}

static void test_cut_at_every_byte(void **state)
{
    fixture_t *f = *state;
    fill(f, 400, 10, 120);
    disk_set_segment_size(f->disk, DISK_SEGMENT_SIZE);
    uint64_t before = disk_end(f->disk);
    append(f, 90);
    disk_close(&f->disk);

    /* The newest segment: the file whose name says the greatest position. */
    char last[32] = "";
    DIR *dir = opendir(f->folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strncmp(entry->d_name, "log-", 4) == 0 && strcmp(entry->d_name, last) > 0)
            snprintf(last, sizeof(last), "%.31s", entry->d_name);
    closedir(dir);
    buf_t file = file_read(f, last);
    buf_t synced = file_read(f, "synced");
    size_t entry_size = f->wanted.size - before;
    f->wanted.size = before;
    for (size_t left = 0; left < entry_size; left++) {
        file_write(f, last, slice_of(file.data, file.size - entry_size + left));
        if (left == 0 || left == entry_size - 1) { /* it had been synced */
            file_write(f, "synced", buf_slice(&synced));
            open_disk(f);
            replay_fails(f, 0, left == 0 ? "something was cut off" : "is damaged at offset");
            assert_true(disk_good_end(f->disk) == before);
            disk_close(&f->disk);
            assert_int_equal(file_read_size(f, last), file.size - entry_size + left);
        }
        forget_synced(f);
        open_disk(f);
        replay(f, left);
        disk_close(&f->disk);
        open_disk(f); /* the cut is on disk */
        replay(f, 0);
        disk_close(&f->disk);
    }
    open_disk(f);
    replay(f, 0);
    append(f, 30);
    read_all_in_steps(f, 100);
    buf_free(&synced);
    buf_free(&file);
}

static void test_zeros_behind_the_end_are_cut(void **state)
{
    fixture_t *f = *state;
    fill(f, DISK_SEGMENT_SIZE, 4, 100);
    disk_close(&f->disk);
    char path[PATH_SIZE];
    path_in(path, f, FIRST);
    off_t size = SEGLOG_HEADER_SIZE + (off_t)f->wanted.size;
    assert_int_equal(truncate(path, size + 3 * 1024 * 1024), 0);
    open_disk(f);
    replay(f, 3 * 1024 * 1024);
    append(f, 10);
    disk_close(&f->disk);
    open_disk(f);
    replay(f, 0);
}

/* Flips each bit of an entry in the middle, then of the last one. */
static void test_flip_bits(void **state)
{
    fixture_t *f = *state;
    fill(f, DISK_SEGMENT_SIZE, 3, 40);
    size_t middle = f->wanted.size;
    append(f, 25);
    size_t last = f->wanted.size;
    append(f, 25);
    disk_close(&f->disk);
    buf_t file = file_read(f, FIRST);
    buf_t synced = file_read(f, "synced");
    char text[64];
    snprintf(text, sizeof(text), "%s is damaged at offset %zu;", FIRST,
             SEGLOG_HEADER_SIZE + middle);
    for (size_t bit = 8 * middle; bit < 8 * f->wanted.size; bit++) {
        uint8_t *byte = file.data + SEGLOG_HEADER_SIZE + bit / 8;
        *byte ^= (uint8_t)(1U << bit % 8);
        file_write(f, FIRST, buf_slice(&file));
        *byte ^= (uint8_t)(1U << bit % 8);
        if (bit >= 8 * last && bit % 100 == 0) { /* the last one as well, when it was synced */
            file_write(f, "synced", buf_slice(&synced));
            open_disk(f);
            replay_fails(f, 0, "is damaged at offset");
            assert_true(disk_good_end(f->disk) == last);
            disk_close(&f->disk);
        }
        if (bit >= 8 * last)
            forget_synced(f);
        open_disk(f);
        if (bit < 8 * last) {
            replay_fails(f, 0, text);
        } else {
            size_t whole = f->wanted.size;
            f->wanted.size = last;
            replay(f, whole - last);
            f->wanted.size = whole;
        }
        disk_close(&f->disk);
    }
    buf_free(&synced);
    buf_free(&file);
}

static void test_damage_in_an_older_segment(void **state)
{
    fixture_t *f = *state;
    fill(f, 200, 20, 60);
    disk_close(&f->disk);
    buf_t file = file_read(f, FIRST);
    file.data[file.size - 1] ^= 1; /* the last entry of a segment that is not the last */
    file_write(f, FIRST, buf_slice(&file));
    open_disk(f);
    replay_fails(f, 0, "log-0000000000000000.seg is damaged at offset ");
    disk_close(&f->disk);

    file_write(f, FIRST, slice_of(file.data, file.size - 1));
    open_disk(f);
    replay_fails(f, 0, "has a gap");
    disk_close(&f->disk);
    file_write(f, FIRST, slice_of(file.data, 20));
    open_refused(f, OUTCOME_LOST, "is damaged at offset 0;");
    file_write(f, FIRST, slice_text("something else altogether, quite long"));
    open_refused(f, OUTCOME_USAGE, "is no log of hearsay");
    buf_free(&file);
}

/* Damage that comes while the node runs is never given out. */
static void test_read_checks(void **state)
{
    fixture_t *f = *state;
    fill(f, DISK_SEGMENT_SIZE, 1, 40);
    size_t first = f->wanted.size;
    append(f, 40);
    append(f, 40);
    buf_t file = file_read(f, FIRST);
    file.data[SEGLOG_HEADER_SIZE + first + 20] ^= 4;
    char path[PATH_SIZE];
    path_in(path, f, FIRST);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, file.data, file.size, 0), (ssize_t)file.size);
    close(fd);
    buf_t part = {0};
    err_t err = {.text = ""};
    assert_int_equal(disk_read(f->disk, 0, 1000, &part, &err), 0);
    assert_int_equal(part.size, first);
    assert_int_equal(disk_read(f->disk, first, 1000, &part, &err), -1);
    assert_int_equal(part.size, 0);
    assert_int_equal(err.outcome, OUTCOME_LOST);
    assert_non_null(strstr(err.text, "is damaged at offset"));
    buf_free(&part);
    buf_free(&file);
}

static bool refuse(void *arg, uint64_t position, uint8_t kind, slice_t payload)
{
    (void)arg;
    (void)kind;
    (void)payload;
    return position == 0;
}

static void test_replay_stops_at_nonsense(void **state)
{
    fixture_t *f = *state;
    fill(f, DISK_SEGMENT_SIZE, 3, 40);
    disk_close(&f->disk);
    open_disk(f);
    err_t err = {.text = ""};
    disk_replayed_t found;
    assert_int_equal(disk_replay(f->disk, 0, refuse, NULL, &found, &err), -1);
    assert_int_equal(found.entries, 1);
    assert_non_null(strstr(err.text, "cannot be applied"));
}

static void test_second_open_is_refused(void **state)
{
    fixture_t *f = *state;
    open_disk(f);
    char text[64];
    snprintf(text, sizeof(text), "is in use by process %ld; stop that node", (long)getpid());
    open_refused(f, OUTCOME_USAGE, text);
    disk_close(&f->disk);
    open_disk(f);
    replay(f, 0);
}

static void test_another_id_is_refused(void **state)
{
    fixture_t *f = *state;
    open_disk(f);
    disk_close(&f->disk);
    err_t err = {.text = ""};
    assert_int_equal(disk_open(&f->disk, f->folder, NODE + 1, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    assert_non_null(strstr(err.text, "belongs to node 3, not to node 4; start node 3 there"));
}

/* The positions of all entries of f->wanted and the end; returns how many entries. */
static size_t positions_of(const fixture_t *f, uint64_t *positions, size_t capacity)
{
    size_t count = 0;
    seglog_entry_t entry;
    size_t at = 0;
    for (; at < f->wanted.size; at += entry.size) {
        slice_t rest = slice_of(f->wanted.data + at, f->wanted.size - at);
        assert_int_equal(seglog_next(rest, f->begin + at, &entry), SEGLOG_GOOD);
        assert_true(count + 1 < capacity);
        positions[count++] = f->begin + at;
    }
    positions[count] = f->begin + at;
    return count;
}

/* The entries before position are no longer wanted. */
static void forget_before(fixture_t *f, uint64_t position)
{
    size_t size = (size_t)(position - f->begin);
    f->wanted.size -= size;
    memmove(f->wanted.data, f->wanted.data + size, f->wanted.size);
    f->begin = position;
}

static bool file_exists(const fixture_t *f, const char *name)
{
    char path[PATH_SIZE];
    path_in(path, f, name);
    return access(path, F_OK) == 0;
}

static int names_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The names of the segments in order; returns how many. */
static size_t segment_files(const fixture_t *f, char (*names)[32], size_t capacity)
{
    size_t count = 0;
    DIR *dir = opendir(f->folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, "log-", 4) != 0)
            continue;
        assert_true(count < capacity);
        snprintf(names[count++], sizeof(*names), "%.31s", entry->d_name);
    }
    closedir(dir);
    qsort(names, count, sizeof(*names), names_order);
    return count;
}

/* The position that the name of a segment says. */
static uint64_t position_of(const char *name)
{
    return strtoull(name + strlen("log-"), NULL, 16);
}

static void test_replay_from_every_position(void **state)
{
    fixture_t *f = *state;
    uint64_t positions[64];
    fill(f, 200, 30, 60);
    size_t count = positions_of(f, positions, 64);
    for (size_t i = 0; i <= count; i++) {
        disk_close(&f->disk);
        open_disk(f);
        replay_from(f, positions[i], 0);
        read_all_in_steps(f, 500); /* what is before it is still served */
    }
    append(f, 20);
}

/* An entry's inside is no position of a checkpoint. */
static void test_replay_from_inside_an_entry(void **state)
{
    fixture_t *f = *state;
    uint64_t positions[64];
    fill(f, 200, 10, 60);
    size_t count = positions_of(f, positions, 64);
    disk_close(&f->disk);
    for (size_t i = 0; i < count; i++) {
        open_disk(f);
        replay_fails(f, positions[i] + 1, "that the checkpoint's position is inside");
        disk_close(&f->disk);
    }
    open_disk(f);
    replay(f, 0);
}

/* Of what lies wholly before the checkpoint only the headers matter. */
static void test_replay_skips_old_segments(void **state)
{
    fixture_t *f = *state;
    char names[64][32];
    fill(f, 200, 30, 60);
    disk_close(&f->disk);
    assert_true(segment_files(f, names, 64) > 3);
    buf_t file = file_read(f, names[1]);
    file.data[file.size / 2] ^= 1;
    file_write(f, names[1], buf_slice(&file));
    open_disk(f);
    replay_from(f, position_of(names[2]), 0);
    disk_close(&f->disk);
    open_disk(f);
    replay_fails(f, position_of(names[1]), "is damaged at offset");
    buf_free(&file);
}

static void test_drop(void **state)
{
    fixture_t *f = *state;
    char names[256][32];
    uint64_t positions[256];
    uint64_t dropped = 0;
    fill(f, 200, 200, 60);
    size_t count = positions_of(f, positions, 256);
    for (size_t i = 0; i <= count; i += 7) {
        uint64_t begin = disk_begin(f->disk);
        size_t now = disk_drop_before(f->disk, positions[i]);
        assert_true((disk_begin(f->disk) != begin) == (now != 0));
        assert_true(disk_begin(f->disk) <= positions[i]);
        dropped += now;
        if (now == 0)
            continue;
        forget_before(f, disk_begin(f->disk));
        read_all_in_steps(f, 500);
        buf_t part = {0};
        err_t err;
        assert_int_equal(disk_read(f->disk, begin, 100, &part, &err), -1);
        assert_int_equal(err.outcome, OUTCOME_MISSING);
        buf_free(&part);
    }
    dropped += disk_drop_before(f->disk, UINT64_MAX);
    assert_int_equal(disk_counts(f->disk).segments, 1); /* never the newest */
    forget_before(f, disk_begin(f->disk));
    append(f, 50);
    append(f, 300);
    read_all_in_steps(f, 500);
    disk_close(&f->disk); /* which waits for the files */
    count = segment_files(f, names, 256);
    assert_int_equal(count, 3);
    assert_true(dropped > 20);
    assert_true(position_of(names[0]) == f->begin);
    open_disk(f);
    replay_fails(f, 0, "and is needed from 0 on");
    disk_close(&f->disk);
    open_disk(f);
    replay(f, 0);
}

/* Files that went, or did not, in an order of their own. */
static void test_drop_cut_short(void **state)
{
    fixture_t *f = *state;
    char names[64][32];
    fill(f, 200, 30, 60);
    disk_close(&f->disk);
    size_t count = segment_files(f, names, 64);
    assert_true(count > 6);
    file_remove(f, names[1]);
    file_remove(f, names[3]);
    open_disk(f);
    replay_fails(f, position_of(names[3]), "has a gap");
    disk_close(&f->disk);
    forget_before(f, position_of(names[4]));
    open_disk(f);
    replay_from(f, position_of(names[5]), 0);
    assert_true(disk_begin(f->disk) == position_of(names[4]));
    read_all_in_steps(f, 500);
    disk_close(&f->disk);
    assert_false(file_exists(f, names[0]));
    assert_false(file_exists(f, names[2]));
    assert_int_equal(segment_files(f, names, 64), count - 4);
}

/* A log that ends before the checkpoint begins anew there, however that is cut short. */
static void test_log_shorter_than_the_checkpoint(void **state)
{
    fixture_t *f = *state;
    char names[64][32];
    fill(f, 200, 30, 60);
    disk_close(&f->disk);
    size_t count = segment_files(f, names, 64);
    buf_t older = file_read(f, names[count - 2]);
    buf_t newer = file_read(f, names[count - 1]);
    uint64_t from = f->wanted.size + 1000;
    uint64_t missing = 1000;
    for (int turn = 0; turn < 3; turn++) {
        if (turn == 1) { /* a power cut before the old ones were removed */
            file_write(f, names[count - 2], buf_slice(&older));
            file_write(f, names[count - 1], buf_slice(&newer));
        } else if (turn == 2) { /* zeros behind a torn tail make it look long enough */
            file_remove(f, names[count]);
            file_write(f, names[count - 1], buf_slice(&newer));
            char path[PATH_SIZE];
            path_in(path, f, names[count - 1]);
            assert_int_equal(truncate(path, (off_t)newer.size + 5000), 0);
        }
        collected_t seen = {.from = from};
        disk_replayed_t found;
        open_disk(f);
        if (turn != 1) { /* something was cut off that had been synced */
            replay_fails(f, from, turn == 0 ? "something was cut off" : "is damaged at offset");
            assert_true(disk_good_end(f->disk) == from - missing);
            disk_close(&f->disk);
            file_write(f, "repair", slice_text("it is known\n"));
            open_disk(f);
            file_remove(f, "repair");
        }
        assert_int_equal(disk_replay(f->disk, from, collect, &seen, &found, NULL), 0);
        assert_true(found.entries == 0 && found.cut_bytes == (turn == 2 ? 5000 : 0));
        assert_true(found.missing_bytes == (turn == 1 ? 0 : missing));
        assert_true(disk_begin(f->disk) == from && disk_end(f->disk) == from);
        disk_close(&f->disk);
        char left[4][32];
        assert_int_equal(segment_files(f, left, 4), 1);
        memcpy(names[count], left[0], sizeof(left[0]));
    }
    f->begin = from;
    f->wanted.size = 0;
    open_disk(f);
    replay(f, 0);
    append(f, 20);
    disk_close(&f->disk);
    open_disk(f);
    replay(f, 0);
    read_all_in_steps(f, 100);
    buf_free(&older);
    buf_free(&newer);
}

/* What was appended before a roll can be dropped, and an empty segment is not rolled. */
static void test_roll(void **state)
{
    fixture_t *f = *state;
    char names[8][32];
    fill(f, DISK_SEGMENT_SIZE, 5, 60);
    assert_int_equal(disk_roll(f->disk, NULL), 0);
    assert_int_equal(disk_roll(f->disk, NULL), 0);
    assert_int_equal(disk_counts(f->disk).segments, 2);
    uint64_t end = disk_end(f->disk);
    append(f, 20);
    assert_int_equal(disk_drop_before(f->disk, end), 1);
    assert_true(disk_begin(f->disk) == end);
    forget_before(f, end);
    disk_close(&f->disk);
    assert_int_equal(segment_files(f, names, 8), 1);
    open_disk(f);
    replay(f, 0);
    read_all_in_steps(f, 100);
}

static void test_leftover_of_a_roll(void **state)
{
    fixture_t *f = *state;
    fill(f, 300, 5, 60);
    file_write(f, "log.new", slice_text("half a hea"));
    file_write(f, "log-00000000000000zz.seg", slice_text("not ours"));
    disk_close(&f->disk);
    open_disk(f);
    disk_set_segment_size(f->disk, 300);
    replay(f, 0);
    for (int i = 0; i < 10; i++)
        append(f, 60);
    read_all_in_steps(f, 100);
}

static void test_folders_that_do_not_do(void **state)
{
    fixture_t *f = *state;
    err_t err = {.text = ""};
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/missing/replica_3", f->top);
    assert_int_equal(disk_open(&f->disk, path, NODE, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    assert_non_null(strstr(err.text, "No such file or directory; create the folder above it"));

    assert_int_equal(disk_open(&f->disk, "/dev/null", NODE, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    assert_int_equal(disk_open(&f->disk, "/proc/replica_3", NODE, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);

    if (geteuid() == 0)
        return; /* whom no mode keeps out */
    assert_int_equal(chmod(f->top, 0500), 0);
    open_refused(f, OUTCOME_USAGE, "Permission denied; make the folder writable");
}

/* In a child: a file size limit makes the write fail half way, then it is lifted. */
static void write_error_child(void *arg)
{
    fixture_t *f = arg;
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    fill(f, DISK_SEGMENT_SIZE, 5, 100);
    getrlimit(RLIMIT_FSIZE, &limit);
    rlim_t hard = limit.rlim_cur;
    limit.rlim_cur = SEGLOG_HEADER_SIZE + f->wanted.size + 50;
    setrlimit(RLIMIT_FSIZE, &limit);

    buf_t entry = {0};
    uint8_t payload[200] = {1};
    err_t err = {.text = ""};
    seglog_entry_put(&entry, disk_end(f->disk), SEGLOG_KIND_UPDATE, slice_of(payload, 200));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(disk_append(f->disk, buf_slice(&entry), &err), -1);
        assert_int_equal(disk_state(f->disk, NULL), DISK_FULL);
        assert_int_equal(err.outcome, OUTCOME_READ_ONLY);
        assert_non_null(strstr(err.text, "File too large; free space there"));
        assert_non_null(strstr(err.text, f->folder));
        assert_true(disk_end(f->disk) == f->wanted.size);
    }
    buf_t file = file_read(f, FIRST);
    assert_int_equal(file.size, SEGLOG_HEADER_SIZE + f->wanted.size);
    read_all_in_steps(f, 100);

    /* A roll that finds no room leaves things as they were, too. */
    assert_false(disk_probe(f->disk));
    limit.rlim_cur = hard;
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_true(disk_probe(f->disk));
    limit.rlim_cur = SEGLOG_HEADER_SIZE / 2;
    setrlimit(RLIMIT_FSIZE, &limit);
    disk_set_segment_size(f->disk, 10);
    assert_int_equal(disk_append(f->disk, buf_slice(&entry), &err), -1);
    assert_true(disk_end(f->disk) == f->wanted.size);
    read_all_in_steps(f, 100);

    limit.rlim_cur = hard;
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_true(disk_probe(f->disk));
    append(f, 200);
    read_all_in_steps(f, 100);
    disk_close(&f->disk);
    open_disk(f);
    replay(f, 0);
    disk_close(&f->disk);
    buf_free(&file);
    buf_free(&entry);
    buf_free(&f->wanted);
}

static void test_write_error(void **state)
{
    child_passes(write_error_child, *state);
}

/* What it returns is there for good. */
static uint64_t fill_child(void *arg)
{
    fixture_t *f = arg;
    fill(f, 2000, 50, 300);
    return disk_end(f->disk);
}

/* kill -9 loses nothing that disk_append took, and frees the lock. */
static void test_kill(void **state)
{
    fixture_t *f = *state;
    uint64_t end;
    pid_t pid = child_start(fill_child, f, &end);
    open_refused(f, OUTCOME_USAGE, "is in use by process");
    child_kill(pid);
    open_disk(f);
    collected_t seen = {0};
    assert_int_equal(disk_replay(f->disk, 0, collect, &seen, NULL, NULL), 0);
    assert_true(seen.bytes.size == end);
    buf_free(&seen.bytes);
}

static int64_t boot_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void test_sync(void **state)
{
    fixture_t *f = *state;
    open_disk(f);
    disk_set_sync(f->disk, DISK_SYNC_NEVER);
    replay(f, 0);
    append(f, 100);
    assert_true(disk_synced(f->disk) == 0);
    assert_int_equal(disk_sync(f->disk, NULL), 0);
    assert_true(disk_synced(f->disk) == disk_end(f->disk));

    /* The thread does it by itself, while segments roll under it. */
    disk_set_segment_size(f->disk, 1000);
    disk_set_sync_interval_ms(f->disk, 1);
    disk_set_sync(f->disk, DISK_SYNC_INTERVAL);
    for (int i = 0; i < 200; i++)
        append(f, 100);
    int64_t deadline_ms = boot_ms() + DEADLINE_MS;
    while (disk_synced(f->disk) != disk_end(f->disk)) {
        assert_true(boot_ms() < deadline_ms);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    read_all_in_steps(f, 5000);
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(test_new_folder),
        DISK_TEST(test_append_replay_append),
        DISK_TEST(test_large_entries),
        DISK_TEST(test_segments_roll),
        DISK_TEST(test_read_anywhere),
        DISK_TEST(test_cut_at_every_byte),
        DISK_TEST(test_zeros_behind_the_end_are_cut),
        DISK_TEST(test_flip_bits),
        DISK_TEST(test_damage_in_an_older_segment),
        DISK_TEST(test_read_checks),
        DISK_TEST(test_replay_stops_at_nonsense),
        DISK_TEST(test_second_open_is_refused),
        DISK_TEST(test_another_id_is_refused),
        DISK_TEST(test_replay_from_every_position),
        DISK_TEST(test_replay_from_inside_an_entry),
        DISK_TEST(test_replay_skips_old_segments),
        DISK_TEST(test_drop),
        DISK_TEST(test_drop_cut_short),
        DISK_TEST(test_log_shorter_than_the_checkpoint),
        DISK_TEST(test_roll),
        DISK_TEST(test_leftover_of_a_roll),
        DISK_TEST(test_folders_that_do_not_do),
        DISK_TEST(test_write_error),
        DISK_TEST(test_kill),
        DISK_TEST(test_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
