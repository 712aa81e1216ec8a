#include "bus/net/keyring.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bus/base/memory.h"

/* Times are in seconds: a folder that changed so lately may have changed again unseen. */
enum { SETTLED_S = 3 };

typedef struct known_key {
    uint8_t public_key[KEY_SIZE];
    unsigned roles;
    char name[KEY_NAME_SIZE];
} known_key_t;

struct keyring {
    char *folder;
    time_t changed;    /* of the folder, as it was read */
    bool is_settled;   /* it had not changed for SETTLED_S then */
    known_key_t *keys; /* sorted */
    size_t size;
    size_t capacity;
};

keyring_t *keyring_new(const char *folder)
{
    keyring_t *self = mem_zero(1, sizeof(*self));
    self->folder = mem_text(folder, strlen(folder));
    return self;
}

void keyring_destroy(keyring_t **self)
{
    if (*self == NULL)
        return;
    free((*self)->folder);
    free((*self)->keys);
    free(*self);
    *self = NULL;
}

/* ---- reading ---- */

static int compare(const void *a, const void *b)
{
    const known_key_t *left = a;
    const known_key_t *right = b;
    return memcmp(left->public_key, right->public_key, KEY_SIZE);
}

/* The name of a file "NAME.key"; false for every other file. */
static bool take_name(const char *file, char name[KEY_NAME_SIZE])
{
    static const char end[] = ".key";
    size_t size = strlen(file);

    if (size < sizeof(end) || size - (sizeof(end) - 1) >= KEY_NAME_SIZE ||
        strcmp(file + size - (sizeof(end) - 1), end) != 0)
        return false;
    size -= sizeof(end) - 1;
    memcpy(name, file, size);
    name[size] = '\0';
    return key_name_is_good(name);
}

static void add(keyring_t *self, const char *file)
{
    known_key_t key = {.roles = 0};
    key_role_t role;

    /* Only the shared keys make a node or a broker, whatever a file says. */
    if (!take_name(file, key.name) ||
        keys_read_public(self->folder, key.name, key.public_key, &role, NULL) != 0 ||
        ((role & (ROLE_NODE | ROLE_BROKER)) != 0 && strcmp(key.name, key_role_name(role)) != 0))
        return;
    key.roles = role;
    if (self->size == self->capacity)
        self->keys = mem_grow(self->keys, &self->capacity, sizeof(*self->keys));
    self->keys[self->size++] = key;
}

/* One key in several files is good for all that they say. */
static void merge(keyring_t *self)
{
    size_t kept = 0;

    if (self->size == 0)
        return;
    qsort(self->keys, self->size, sizeof(*self->keys), compare);
    for (size_t i = 1; i < self->size; i++) {
        if (compare(&self->keys[kept], &self->keys[i]) == 0)
            self->keys[kept].roles |= self->keys[i].roles;
        else
            self->keys[++kept] = self->keys[i];
    }
    self->size = kept + 1;
}

static void refresh(keyring_t *self)
{
    struct stat info;
    DIR *dir;

    if (stat(self->folder, &info) != 0) {
        self->size = 0;
        self->is_settled = false;
        return;
    }
    if (self->is_settled && info.st_mtime == self->changed)
        return;
    self->changed = info.st_mtime;
    self->is_settled = time(NULL) - info.st_mtime >= SETTLED_S;
    self->size = 0;
    dir = opendir(self->folder);
    if (dir == NULL) {
        self->is_settled = false;
        return;
    }
    for (const struct dirent *i; self->size < KEYRING_MAX && (i = readdir(dir)) != NULL;)
        add(self, i->d_name);
    closedir(dir);
    merge(self);
}

unsigned keyring_find(keyring_t *self, const uint8_t public_key[KEY_SIZE], const char **name)
{
    known_key_t wanted = {.roles = 0};
    const known_key_t *found = NULL;

    refresh(self);
    memcpy(wanted.public_key, public_key, KEY_SIZE);
    if (self->size != 0)
        found = bsearch(&wanted, self->keys, self->size, sizeof(*self->keys), compare);
    if (found == NULL)
        return 0;
    *name = found->name;
    return found->roles;
}
