/*
 * The folder of keys that --curve names: its files, their form, who may read them.
 *
 * A key is a pair of CURVE keys under a name: NAME.key holds the public half and the role,
 * NAME.key_secret both halves. Both are certificates as czmq writes and reads them (ZPL).
 * The keys "node" and "broker" are shared by all programs of that role; any number of others are of
 * role client or admin. cluster.key_secret holds the secret that beacons are signed with.
 *
 * Plain functions over paths. Secrets that are handed out are the caller's, who wipes them.
 */
#ifndef HEARSAY_BUS_NET_KEYS_H
#define HEARSAY_BUS_NET_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/base/err.h"

enum {
    KEY_SIZE = 32,      /* bytes of each half, and of the cluster's secret */
    KEY_NAME_SIZE = 49, /* of a name, with the NUL */
    KEY_TEXT_SIZE = 41, /* of a half as text (Z85), with the NUL */
};

/* What a key is good for, as bits. */
typedef enum key_role {
    ROLE_NODE = 1 << 0,
    ROLE_BROKER = 1 << 1,
    ROLE_CLIENT = 1 << 2,
    ROLE_ADMIN = 1 << 3,
} key_role_t;

enum { ROLES_TEXT_SIZE = 32 };

typedef struct key_pair {
    uint8_t public_key[KEY_SIZE];
    uint8_t secret_key[KEY_SIZE];
    key_role_t role;
} key_pair_t;

/* "node" and so on; static. role is one of the bits. */
const char *key_role_name(key_role_t role);

/* The role of a name; false when it is none. */
bool key_role_parse(const char *name, key_role_t *role);

/* Writes the names of roles with commas between, "client,admin"; returns text. */
const char *key_roles_format(unsigned roles, char text[ROLES_TEXT_SIZE]);

/* The roles of such a text; 0 when it is none. */
unsigned key_roles_parse(const char *text);

/* True for what can be the name of a key: 1 to 48 of a-z A-Z 0-9 _ - and, not in front, a dot. */
bool key_name_is_good(const char *name);

/* True for the names of a folder's own keys: node, broker, cluster. */
bool key_name_is_reserved(const char *name);

/*
 * Fails for a folder that others than its owner may write to: who can add a key there is let in.
 * 0, or -1 with err.
 */
int keys_check_folder(const char *folder, err_t *err);

/* The public half of a key and its role. 0, or -1 with err, which names the file. */
int keys_read_public(const char *folder, const char *name, uint8_t public_key[KEY_SIZE],
                     key_role_t *role, err_t *err);

/*
 * The same of both halves. Refused when others than its owner may read the file. 0, or -1 with err.
 */
int keys_read_secret(const char *folder, const char *name, key_pair_t *out, err_t *err);

/* The cluster's secret; refused as a secret key is. 0, or -1 with err. */
int keys_read_cluster(const char *folder, uint8_t secret[KEY_SIZE], err_t *err);

/* Makes a folder with mode 0700, or takes one that is empty. 0, or -1 with err. */
int keys_make_folder(const char *folder, err_t *err);

/*
 * Makes a new key and writes its two files, or the one of the cluster's secret. What exists is
 * never overwritten, what was begun is taken away again. 0, or -1 with err.
 */
int keys_make(const char *folder, const char *name, key_role_t role, err_t *err);
int keys_make_cluster(const char *folder, err_t *err);

#endif
