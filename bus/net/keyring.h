/*
 * The keyring: which public key is good for what, by the public files of a folder of keys.
 *
 * The folder is read again when it has changed: a key is added or taken away by adding or removing
 * NAME.key, while programs run. A folder that cannot be read holds no key. For one thread.
 */
#ifndef HEARSAY_BUS_NET_KEYRING_H
#define HEARSAY_BUS_NET_KEYRING_H

#include "bus/net/keys.h"

typedef struct keyring keyring_t;

enum { KEYRING_MAX = 16384 }; /* keys; files behind that many are passed over */

/* Never NULL. Nothing is read yet. */
keyring_t *keyring_new(const char *folder);
void keyring_destroy(keyring_t **self);

/*
 * The roles of a key as of now, 0 when it is none of the folder's. *name: by which it is there, one
 * of several; owned by the keyring, valid until the next call.
 */
unsigned keyring_find(keyring_t *self, const uint8_t public_key[KEY_SIZE], const char **name);

#endif
