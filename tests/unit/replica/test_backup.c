#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/wire/peer.h"
#include "replica/core/state.h"
#include "replica/disk/backup.h"
#include "replica/disk/checkpoint.h"
#include "replica/disk/files.h"
#include "tests/unit/folder.h"

enum { KEYS = 50, LINEAGE = 7, NEW_LINEAGE = 9 };

static char folder[256];

static int set_up(void **state)
{
    (void)state;
    return folder_make(folder, sizeof folder, "backup");
}

static int tear_down(void **state)
{
    char path[512];
    (void)state;
    snprintf(path, sizeof path, "%s/restored/checkpoint", folder);
    folder_remove(path);
    snprintf(path, sizeof path, "%s/restored", folder);
    folder_remove(path);
    return folder_remove(folder);
}

static char *name_in(const char *name, char out[512])
{
    snprintf(out, 512, "%s/%s", folder, name);
    return out;
}

static void put_run(buf_t *part, state_table_t table, buf_t *run)
{
    mp_put_uint(part, table);
    mp_put_bin(part, buf_slice(run));
    buf_reset(run);
}

/* The parts as a node gives them: what is of no key, then keys. */
static void make_parts(buf_t parts[2])
{
    static const uint8_t zero[1] = {0};
    state_meta_t meta = {.lineage = LINEAGE, .position = 12345, .clock = 77, .keys = KEYS};
    buf_t members = {0};
    buf_t row = {0};
    buf_t run = {0};
    const peer_member_t member = {.id = 3, .incarnation = 42, .stamp = 1, .state = MEMBER_IN};
    peer_members_put(&members, &member, 1);
    vec_raise(&meta.applied, 42, 1000);
    meta.members = buf_slice(&members);
    state_meta_put(&row, &meta);
    state_put_row(&run, slice_of(zero, 1), buf_slice(&row));
    put_run(&parts[0], STATE_META, &run);
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "key:%02d", i);
        state_put_row(&run, slice_text(key), slice_text("an entry, opaque here"));
    }
    put_run(&parts[1], STATE_KEYS, &run);
    state_meta_free(&meta);
    buf_free(&members);
    buf_free(&row);
    buf_free(&run);
}

static void make_backup(const char *path)
{
    const backup_about_t about = {
        .id = 3, .incarnation = 42, .lineage = LINEAGE, .wall_ms = 1000, .version = "0.1.0"};
    buf_t parts[2] = {{0}};
    backup_t *backup;
    err_t err;
    make_parts(parts);
    assert_int_equal(backup_begin(&backup, path, &about, &err), 0);
    assert_int_equal(backup_add(backup, buf_slice(&parts[0]), true, &err), 0);
    /* A part may come in pieces. */
    size_t half = parts[1].size / 2;
    slice_t rest = slice_of(parts[1].data + half, parts[1].size - half);
    assert_int_equal(backup_add(backup, slice_of(parts[1].data, half), false, &err), 0);
    assert_int_equal(backup_add(backup, rest, true, &err), 0);
    assert_int_equal(backup_entries(backup), KEYS);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(backup_end(backup, &err), 0);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(backup_bytes(backup), status.st_size);
    backup_close(&backup);
    assert_null(backup);
    buf_free(&parts[0]);
    buf_free(&parts[1]);
}

/* Behind what is there. */
static void read_all(const char *path, buf_t *out)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *to = buf_reserve(out, 1 << 20);
    out->size += fread(to, 1, 1 << 20, file);
    fclose(file);
}

static void write_all(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

/* ---- good ones ---- */

typedef struct seen {
    int keys;
    state_meta_t meta;
} seen_t;

static bool take_row(void *arg, uint8_t table, slice_t key, slice_t value)
{
    seen_t *seen = arg;
    if (table == STATE_META) {
        assert_true(state_meta_read(value, &seen->meta));
        peer_member_t rows[PEER_MEMBERS_MAX];
        uint32_t count;
        assert_true(peer_members_read(seen->meta.members, rows, &count));
        assert_int_equal(count, 0);
        seen->meta.members = slice_of(NULL, 0);
        return true;
    }
    char expected[16];
    snprintf(expected, sizeof expected, "key:%02d", seen->keys++);
    assert_int_equal(table, STATE_KEYS);
    assert_true(slice_equal(key, slice_text(expected)));
    assert_true(slice_equal(value, slice_text("an entry, opaque here")));
    return true;
}

static void test_restore(void **state)
{
    (void)state;
    char file[512];
    char restored[512];
    backup_restored_t out;
    checkpoint_t *checkpoint;
    seen_t seen = {0};
    err_t err;

    make_backup(name_in("backup", file));
    name_in("restored", restored);
    assert_int_equal(backup_restore(file, restored, NEW_LINEAGE, &out, &err), 0);
    assert_true(out.entries == KEYS && out.about.id == 3 && out.about.incarnation == 42);
    assert_true(out.about.lineage == LINEAGE && out.about.wall_ms == 1000);
    assert_string_equal(out.about.version, "0.1.0");
    assert_int_equal(checkpoint_open(&checkpoint, restored, &err), 0);
    assert_int_equal(checkpoint_load(checkpoint, take_row, &seen, &err), 0);
    checkpoint_close(&checkpoint);
    assert_int_equal(seen.keys, KEYS);
    assert_true(seen.meta.lineage == NEW_LINEAGE && seen.meta.position == 0);
    assert_true(seen.meta.clock == 77 && vec_get(&seen.meta.applied, 42) == 1000);
    assert_true(vec_equal(&seen.meta.dropped, &seen.meta.applied));
    state_meta_free(&seen.meta);

    assert_int_equal(backup_restore(file, restored, NEW_LINEAGE, &out, &err), -1);
    assert_non_null(strstr(err.text, "is there already"));
}

/* As a shell completes the name of a folder. */
static void test_slashes(void **state)
{
    (void)state;
    char file[512];
    char restored[512];
    char slashes[1024];
    backup_restored_t out;
    err_t err;
    make_backup(name_in("backup", file));
    name_in("restored", restored);
    snprintf(slashes, sizeof slashes, "%s//", restored);
    assert_int_equal(backup_restore(file, slashes, NEW_LINEAGE, &out, &err), 0);
    assert_int_equal(access(restored, F_OK), 0);
    assert_int_equal(backup_restore(file, slashes, NEW_LINEAGE, &out, &err), -1);
    assert_non_null(strstr(err.text, "is there already"));
}

/* What lies there under the name of a file that was not ended is not written into. */
static void test_partial_of_others(void **state)
{
    (void)state;
    char file[512];
    char partial[1024];
    char other[512];
    struct stat status;
    name_in("backup", file);
    name_in("other", other);
    snprintf(partial, sizeof partial, "%s.partial", file);

    write_all(partial, (const uint8_t *)"old", 3);
    assert_int_equal(chmod(partial, 0644), 0);
    make_backup(file);
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);

    write_all(other, (const uint8_t *)"other", 5);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink(other, partial), 0);
    make_backup(file);
    assert_int_equal(lstat(file, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(stat(other, &status), 0);
    assert_int_equal(status.st_size, 5);
}

/* The later of two with one name takes it: what it has not ended does not get that name. */
static void test_two_with_one_name(void **state)
{
    (void)state;
    const backup_about_t about = {.id = 1};
    char file[512];
    char partial[1024];
    backup_t *earlier;
    backup_t *later;
    err_t err;
    name_in("backup", file);
    snprintf(partial, sizeof partial, "%s.partial", file);
    assert_int_equal(backup_begin(&earlier, file, &about, &err), 0);
    assert_int_equal(backup_begin(&later, file, &about, &err), 0);
    assert_int_equal(backup_end(earlier, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    assert_non_null(strstr(err.text, "another backup writes"));
    assert_int_equal(access(file, F_OK), -1);
    backup_close(&earlier);
    assert_int_equal(access(partial, F_OK), 0);
    assert_int_equal(backup_end(later, &err), 0);
    backup_close(&later);
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(access(partial, F_OK), -1);
}

/* Standard output, whatever has the name "-" where the program was started. */
static void test_stream(void **state)
{
    (void)state;
    const backup_about_t about = {.id = 1};
    char file[512];
    char dash[512];
    backup_t *backup;
    struct stat status;
    err_t err;
    char *before = getcwd(NULL, 0);
    assert_non_null(before);
    assert_int_equal(mkdir(name_in("-", dash), 0700), 0);
    assert_int_equal(chdir(folder), 0);
    fflush(stdout);
    int out = dup(STDOUT_FILENO);
    int fd = open(name_in("stream", file), O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(out >= 0 && fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
    int rc = backup_begin(&backup, "-", &about, &err);
    if (rc == 0) {
        rc = backup_end(backup, &err);
        backup_close(&backup);
    }
    assert_true(dup2(out, STDOUT_FILENO) >= 0);
    close(out);
    close(fd);
    assert_int_equal(rc, 0);
    assert_int_equal(stat(file, &status), 0);
    assert_int_not_equal(status.st_size, 0);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rmdir(dash), 0);
    free(before);
}

/* ---- a disk that fails ---- */

static struct {
    int errno_given; /* 0: it goes well */
    int well;        /* calls that go well before others get that */
    int calls;
} syncs;

enum { SYNCS_OF_CHECKPOINT = 2 }; /* of folders, when an empty one is made */

static int faulty_fsync(int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    syncs.calls++;
    if (syncs.well > 0) {
        syncs.well--;
        return 0;
    }
    errno = syncs.errno_given;
    return syncs.errno_given != 0 ? -1 : 0;
}

/* A name that a power cut may take away again is none. */
static void test_names_are_synced(void **state)
{
    (void)state;
    const files_system_t real = files_system;
    const backup_about_t about = {.id = 1};
    char file[512];
    char restored[512];
    backup_restored_t out;
    backup_t *backup;
    err_t err;

    name_in("restored", restored);
    files_system.fsync = faulty_fsync;
    syncs.calls = 0;
    syncs.errno_given = EINVAL; /* a file system that knows no syncs of folders */
    make_backup(name_in("backup", file));
    assert_int_equal(syncs.calls, 1);
    syncs.errno_given = EIO;
    for (int well = 0; well <= SYNCS_OF_CHECKPOINT; well++) {
        syncs.well = well;
        assert_int_equal(backup_restore(file, restored, NEW_LINEAGE, &out, &err), -1);
        assert_int_equal(err.outcome, OUTCOME_READ_ONLY);
        assert_non_null(strstr(err.text, restored));
        assert_int_equal(access(restored, F_OK), -1);
    }

    assert_int_equal(backup_begin(&backup, file, &about, &err), 0);
    assert_int_equal(backup_end(backup, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_READ_ONLY);
    backup_close(&backup);
    syncs.errno_given = 0;
    assert_int_equal(unlink(file), 0); /* whole, but for a power cut */
    make_backup(file);
    syncs.calls = 0;
    assert_int_equal(backup_restore(file, restored, NEW_LINEAGE, &out, &err), 0);
    assert_int_equal(syncs.calls, SYNCS_OF_CHECKPOINT + 1);
    files_system = real;
}

/* ---- bad ones ---- */

static void refuse(const char *file)
{
    char restored[512];
    char partial[1024];
    backup_restored_t out;
    err_t err;
    name_in("restored", restored);
    assert_int_equal(backup_restore(file, restored, NEW_LINEAGE, &out, &err), -1);
    assert_non_null(strstr(err.text, file));
    assert_int_equal(access(restored, F_OK), -1);
    snprintf(partial, sizeof partial, "%s.partial", restored);
    assert_int_equal(access(partial, F_OK), -1);
}

/* Cut anywhere, or with one byte wrong anywhere: never taken, and nothing is left. */
static void test_damage(void **state)
{
    (void)state;
    char file[512];
    buf_t good = {0};
    make_backup(name_in("backup", file));
    read_all(file, &good);
    for (size_t size = 0; size < good.size; size += size < 200 ? 3 : 61) {
        write_all(file, good.data, size);
        refuse(file);
    }
    for (size_t at = 0; at < good.size; at += at < 200 ? 3 : 61) {
        good.data[at] ^= 0x10;
        write_all(file, good.data, good.size);
        /* 4 bytes of the header mean nothing yet. */
        if (at < 12 || at >= 16)
            refuse(file);
        good.data[at] ^= 0x10;
    }
    /* A byte too many, and two of them one behind the other. */
    size_t size = good.size;
    read_all(file, &good);
    write_all(file, good.data, size + 1);
    refuse(file);
    write_all(file, good.data, 2 * size);
    refuse(file);
    buf_free(&good);
}

static void test_bad_rows(void **state)
{
    (void)state;
    const backup_about_t about = {.id = 1};
    char file[512];
    backup_t *backup;
    err_t err;
    name_in("backup", file);
    assert_int_equal(backup_begin(&backup, file, &about, &err), 0);
    assert_int_equal(backup_add(backup, slice_text("no rows"), true, &err), -1);
    backup_close(&backup);
    assert_int_equal(access(file, F_OK), -1);
    snprintf(file, sizeof file, "%s/backup.partial", folder);
    assert_int_equal(access(file, F_OK), -1);
    assert_int_equal(backup_begin(&backup, "/no/such/folder/file", &about, &err), -1);
    assert_int_equal(err.outcome, OUTCOME_USAGE);
    assert_non_null(strstr(err.text, "/no/such/folder/file"));
    assert_int_equal(backup_begin(&backup, folder, &about, &err), -1);
    assert_non_null(strstr(err.text, "is a folder"));
    assert_int_equal(backup_begin(&backup, "backup/", &about, &err), -1);
}

/* What restore would refuse is refused while there is still something to be done about it. */
static void test_too_large(void **state)
{
    (void)state;
    static const uint8_t long_key[CHECKPOINT_KEY_MAX + 1] = {0};
    const backup_about_t about = {.id = 1};
    buf_t run = {0};
    buf_t part = {0};
    char file[512];
    backup_t *backup;
    err_t err;
    assert_int_equal(backup_begin(&backup, name_in("backup", file), &about, &err), 0);
    for (size_t size = CHECKPOINT_KEY_MAX; size <= CHECKPOINT_KEY_MAX + 1; size++) {
        state_put_row(&run, slice_of(long_key, size), slice_text("v"));
        put_run(&part, STATE_KEYS, &run);
        int rc = backup_add(backup, buf_slice(&part), true, &err);
        assert_int_equal(rc, size <= CHECKPOINT_KEY_MAX ? 0 : -1);
        buf_reset(&part);
    }
    assert_int_equal(err.outcome, OUTCOME_TOO_LARGE);
    backup_close(&backup);
    buf_free(&run);
    buf_free(&part);
}

/* A file that ends well but has no state in it. */
static void test_empty(void **state)
{
    (void)state;
    const backup_about_t about = {.id = 1};
    char file[512];
    backup_t *backup;
    err_t err;
    name_in("backup", file);
    assert_int_equal(backup_begin(&backup, file, &about, &err), 0);
    assert_int_equal(backup_end(backup, &err), 0);
    backup_close(&backup);
    refuse(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_restore, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_partial_of_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_with_one_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stream, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_are_synced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
