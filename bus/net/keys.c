#include "bus/net/keys.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "bus/base/bytes.h"

enum {
    FILE_MAX = 4096, /* bytes of a key's file */
    PATH_SIZE = 4096 + KEY_NAME_SIZE + 16,
    ROLES = 4,
};

static const char public_end[] = ".key";
static const char secret_end[] = ".key_secret";
static const char cluster_name[] = "cluster";

/* ---- roles and names ---- */

static const char *const role_names[ROLES] = {"node", "broker", "client", "admin"};

const char *key_role_name(key_role_t role)
{
    for (unsigned i = 0; i < ROLES; i++)
        if (role == 1u << i)
            return role_names[i];
    assert(false);
    return "";
}

static bool parse_role(const char *name, size_t size, key_role_t *role)
{
    for (unsigned i = 0; i < ROLES; i++) {
        if (strlen(role_names[i]) != size || memcmp(role_names[i], name, size) != 0)
            continue;
        *role = (key_role_t)(1u << i);
        return true;
    }
    return false;
}

bool key_role_parse(const char *name, key_role_t *role)
{
    return parse_role(name, strlen(name), role);
}

const char *key_roles_format(unsigned roles, char text[ROLES_TEXT_SIZE])
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < ROLES; i++)
        if ((roles & 1u << i) != 0)
            used += (size_t)snprintf(text + used, ROLES_TEXT_SIZE - used, "%s%s",
                                     used == 0 ? "" : ",", role_names[i]);
    return text;
}

unsigned key_roles_parse(const char *text)
{
    unsigned roles = 0;

    for (;; text++) {
        size_t size = strcspn(text, ",");
        key_role_t role;
        if (!parse_role(text, size, &role))
            return 0;
        roles |= role;
        text += size;
        if (*text == '\0')
            return roles;
    }
}

bool key_name_is_good(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t size = strlen(name);

    if (size == 0 || size >= KEY_NAME_SIZE || name[0] == '.')
        return false;
    for (size_t i = 0; i < size; i++)
        if (name[i] != '.' && strchr(letters, name[i]) == NULL)
            return false;
    return true;
}

bool key_name_is_reserved(const char *name)
{
    return strcmp(name, "node") == 0 || strcmp(name, "broker") == 0 ||
           strcmp(name, cluster_name) == 0;
}

/* ---- reading ---- */

/* False when the path would be too long. */
static bool path_of(char path[PATH_SIZE], const char *folder, const char *name, const char *end)
{
    int size = snprintf(path, PATH_SIZE, "%s/%s%s", folder, name, end);
    return size > 0 && size < PATH_SIZE;
}

static int fail_read(const char *path, int error, err_t *err)
{
    return err_set(err, OUTCOME_USAGE, "cannot read %.200s: %s%s", path, strerror(error),
                   error == ENOENT ? "; hearsayctl keygen makes keys" : "");
}

static int fail_form(const char *path, const char *what, err_t *err)
{
    return err_set(err, OUTCOME_USAGE, "%.200s has no %s: take it from where it was made again",
                   path, what);
}

/* The whole file as text; -1 with err. A secret one must be for its owner alone. */
static int read_file(const char *path, bool is_secret, char text[FILE_MAX], err_t *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = -1;

    if (fd < 0)
        return fail_read(path, errno, err);
    if (fstat(fd, &info) == 0)
        size = read(fd, text, FILE_MAX - 1);
    int error = errno;
    close(fd);
    if (size < 0)
        return fail_read(path, error, err);
    text[size] = '\0';
    if (!is_secret || (info.st_mode & (S_IRWXG | S_IRWXO)) == 0)
        return 0;
    sodium_memzero(text, FILE_MAX);
    return err_set(err, OUTCOME_USAGE,
                   "%.200s can be read by others (mode %03o), so it is no secret: chmod 600, and "
                   "make a new key if somebody may have read it",
                   path, (unsigned)info.st_mode & 0777);
}

/* What stands in quotes behind NAME = in some line; empty when there is none. */
static slice_t find_value(const char *text, const char *name)
{
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n")) {
        line += strspn(line, "\n");
        const char *at = line + strspn(line, " ");
        if (strncmp(at, name, strlen(name)) != 0)
            continue;
        at += strlen(name);
        at += strspn(at, " ");
        if (at[0] != '=')
            continue;
        at++;
        at += strspn(at, " ");
        size_t size = at[0] == '"' ? strcspn(at + 1, "\"\n") : 0;
        if (size != 0 && at[1 + size] == '"')
            return slice_of(at + 1, size);
    }
    return slice_of(NULL, 0);
}

static bool find_key(const char *text, const char *name, uint8_t key[KEY_SIZE])
{
    slice_t value = find_value(text, name);
    char z85[KEY_TEXT_SIZE];

    if (value.size != sizeof(z85) - 1)
        return false;
    memcpy(z85, value.data, value.size);
    z85[value.size] = '\0';
    bool is_good = zmq_z85_decode(key, z85) != NULL;
    sodium_memzero(z85, sizeof(z85));
    return is_good;
}

static bool find_role(const char *text, key_role_t *role)
{
    slice_t value = find_value(text, "role");
    return value.size != 0 && parse_role((const char *)value.data, value.size, role);
}

int keys_check_folder(const char *folder, err_t *err)
{
    struct stat info;

    if (stat(folder, &info) != 0)
        return fail_read(folder, errno, err);
    if (!S_ISDIR(info.st_mode))
        return fail_read(folder, ENOTDIR, err);
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return 0;
    return err_set(err, OUTCOME_USAGE,
                   "others can write to %.200s (mode %03o), and so let themselves in: chmod 700",
                   folder, (unsigned)info.st_mode & 0777);
}

int keys_read_public(const char *folder, const char *name, uint8_t public_key[KEY_SIZE],
                     key_role_t *role, err_t *err)
{
    char path[PATH_SIZE];
    char text[FILE_MAX];

    if (!path_of(path, folder, name, public_end))
        return fail_read(folder, ENAMETOOLONG, err);
    if (read_file(path, false, text, err) != 0)
        return -1;
    if (!find_key(text, "public-key", public_key))
        return fail_form(path, "public-key", err);
    return find_role(text, role) ? 0 : fail_form(path, "role", err);
}

int keys_read_secret(const char *folder, const char *name, key_pair_t *out, err_t *err)
{
    char path[PATH_SIZE];
    char text[FILE_MAX];
    int rc = 0;

    if (!path_of(path, folder, name, secret_end))
        return fail_read(folder, ENAMETOOLONG, err);
    if (read_file(path, true, text, err) != 0)
        return -1;
    if (!find_key(text, "public-key", out->public_key))
        rc = fail_form(path, "public-key", err);
    else if (!find_key(text, "secret-key", out->secret_key))
        rc = fail_form(path, "secret-key", err);
    else if (!find_role(text, &out->role))
        rc = fail_form(path, "role", err);
    sodium_memzero(text, sizeof(text));
    return rc;
}

int keys_read_cluster(const char *folder, uint8_t secret[KEY_SIZE], err_t *err)
{
    char path[PATH_SIZE];
    char text[FILE_MAX];

    if (!path_of(path, folder, cluster_name, secret_end))
        return fail_read(folder, ENAMETOOLONG, err);
    if (read_file(path, true, text, err) != 0)
        return -1;
    int rc = find_key(text, "secret-key", secret) ? 0 : fail_form(path, "secret-key", err);
    sodium_memzero(text, sizeof(text));
    return rc;
}

/* ---- making ---- */

static int fail_write(const char *path, int error, err_t *err)
{
    if (error == EEXIST)
        return err_set(err, OUTCOME_USAGE,
                       "%.200s is there already and is not overwritten: give another name", path);
    return err_set(err, OUTCOME_USAGE, "cannot write %.200s: %s", path, strerror(error));
}

/* Writes a new file; -1 with err, and then there is none that was not there before. */
static int write_file(const char *path, mode_t mode, const char *text, err_t *err)
{
    size_t size = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    int error = 0;

    if (fd < 0)
        return fail_write(path, errno, err);
    errno = 0;
    if (write(fd, text, size) != (ssize_t)size || fsync(fd) != 0)
        error = errno != 0 ? errno : ENOSPC;
    close(fd);
    if (error == 0)
        return 0;
    unlink(path);
    return fail_write(path, error, err);
}

static bool is_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    bool empty = dir != NULL;

    if (dir == NULL)
        return false;
    for (const struct dirent *i; empty && (i = readdir(dir)) != NULL;)
        empty = strcmp(i->d_name, ".") == 0 || strcmp(i->d_name, "..") == 0;
    closedir(dir);
    return empty;
}

int keys_make_folder(const char *folder, err_t *err)
{
    if (mkdir(folder, S_IRWXU) == 0)
        return 0;
    if (errno != EEXIST)
        return err_set(err, OUTCOME_USAGE, "cannot make %.200s: %s", folder, strerror(errno));
    if (!is_empty(folder))
        return err_set(err, OUTCOME_USAGE,
                       "%.200s is there and not an empty folder: name a new one, or give NAME and "
                       "ROLE to add a key to it",
                       folder);
    if (chmod(folder, S_IRWXU) != 0)
        return err_set(err, OUTCOME_USAGE, "cannot make %.200s yours alone: %s", folder,
                       strerror(errno));
    return 0;
}

static const char public_form[] = "#   hearsay: the public half of a key, to be given to others\n"
                                  "metadata\n    role = \"%s\"\n"
                                  "curve\n    public-key = \"%s\"\n";
static const char secret_form[] =
    "#   hearsay: a SECRET key, for whom it was made and nobody else\n"
    "metadata\n    role = \"%s\"\n"
    "curve\n    public-key = \"%s\"\n    secret-key = \"%s\"\n";
static const char cluster_form[] =
    "#   hearsay: the SECRET that the beacons of a cluster are signed with\n"
    "cluster\n    secret-key = \"%s\"\n";

int keys_make(const char *folder, const char *name, key_role_t role, err_t *err)
{
    char public_path[PATH_SIZE];
    char secret_path[PATH_SIZE];
    char public_key[KEY_TEXT_SIZE];
    char secret_key[KEY_TEXT_SIZE];
    char text[FILE_MAX];

    if (!path_of(public_path, folder, name, public_end) ||
        !path_of(secret_path, folder, name, secret_end))
        return fail_write(folder, ENAMETOOLONG, err);
    if (zmq_curve_keypair(public_key, secret_key) != 0)
        return err_set(err, OUTCOME_USAGE,
                       "the ZeroMQ library here has no encryption: use one built with libsodium");
    snprintf(text, sizeof(text), secret_form, key_role_name(role), public_key, secret_key);
    int rc = write_file(secret_path, S_IRUSR | S_IWUSR, text, err);
    sodium_memzero(secret_key, sizeof(secret_key));
    sodium_memzero(text, sizeof(text));
    if (rc != 0)
        return -1;
    snprintf(text, sizeof(text), public_form, key_role_name(role), public_key);
    if (write_file(public_path, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH, text, err) == 0)
        return 0;
    unlink(secret_path);
    return -1;
}

int keys_make_cluster(const char *folder, err_t *err)
{
    char path[PATH_SIZE];
    uint8_t secret[KEY_SIZE];
    char z85[KEY_TEXT_SIZE];
    char text[FILE_MAX];

    if (!path_of(path, folder, cluster_name, secret_end))
        return fail_write(folder, ENAMETOOLONG, err);
    randombytes_buf(secret, sizeof(secret));
    zmq_z85_encode(z85, secret, sizeof(secret));
    snprintf(text, sizeof(text), cluster_form, z85);
    int rc = write_file(path, S_IRUSR | S_IWUSR, text, err);
    sodium_memzero(secret, sizeof(secret));
    sodium_memzero(z85, sizeof(z85));
    sodium_memzero(text, sizeof(text));
    return rc;
}
