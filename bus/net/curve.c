#include "bus/net/curve.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bus/base/memory.h"

#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93 /* since 4.3.0 in every libzmq, its name in headers of drafts */
#endif

_Static_assert(crypto_auth_BYTES == CURVE_MAC_SIZE, "the MAC fits into its field");
_Static_assert(crypto_auth_KEYBYTES == KEY_SIZE, "the cluster's secret is a key for it");

struct curve {
    char *folder;
    char name[KEY_NAME_SIZE];
    key_pair_t own;
    uint8_t node[KEY_SIZE]; /* public halves, where this program connects to such */
    uint8_t broker[KEY_SIZE];
    uint8_t cluster[KEY_SIZE];
    unsigned targets; /* roles that it connects to */
    bool has_cluster;
    err_t no_cluster; /* why */
};

/* What each program is. */
typedef struct program {
    key_role_t role;
    unsigned takes;   /* roles that its own key may have */
    unsigned targets; /* whom it connects to */
} program_row_t;

static const program_row_t programs[] = {
    {ROLE_NODE, ROLE_NODE, ROLE_NODE},
    {ROLE_BROKER, ROLE_BROKER, ROLE_NODE},
    {ROLE_CLIENT, ROLE_CLIENT | ROLE_ADMIN, ROLE_BROKER},
    {ROLE_ADMIN, ROLE_ADMIN, ROLE_NODE | ROLE_BROKER},
};

static const program_row_t *row_of(key_role_t role)
{
    const program_row_t *row = programs;
    while (row->role != role)
        row++;
    return row;
}

/* ---- opening ---- */

static int read_own(curve_t *self, const program_row_t *row, const char *name, err_t *err)
{
    char roles[ROLES_TEXT_SIZE];

    if (!key_name_is_good(name))
        return err_set(err, OUTCOME_USAGE, "\"%.48s\" is no name of a key: give that of NAME.key",
                       name);
    snprintf(self->name, sizeof(self->name), "%s", name);
    if (keys_read_secret(self->folder, self->name, &self->own, err) != 0)
        return -1;
    if ((row->takes & self->own.role) != 0)
        return 0;
    return err_set(
        err, OUTCOME_USAGE,
        "the key \"%s\" in %.200s is of role %s, and here one of role %s is needed: name "
        "another with --curve-key",
        self->name, self->folder, key_role_name(self->own.role),
        key_roles_format(row->takes, roles));
}

static int read_target(curve_t *self, key_role_t role, uint8_t public_key[KEY_SIZE], err_t *err)
{
    const char *name = key_role_name(role);
    key_role_t said;

    if ((self->targets & role) == 0)
        return 0;
    if (keys_read_public(self->folder, name, public_key, &said, err) != 0)
        return -1;
    return said == role ? 0
                        : err_set(err, OUTCOME_USAGE,
                                  "%.200s/%s.key is of role %s: it was mixed up with another",
                                  self->folder, name, key_role_name(said));
}

static int read_all(curve_t *self, const program_row_t *row, const char *name, err_t *err)
{
    if (keys_check_folder(self->folder, err) != 0 || read_own(self, row, name, err) != 0 ||
        read_target(self, ROLE_NODE, self->node, err) != 0 ||
        read_target(self, ROLE_BROKER, self->broker, err) != 0)
        return -1;
    /* Not needed by who names addresses. */
    self->has_cluster = keys_read_cluster(self->folder, self->cluster, &self->no_cluster) == 0;
    return 0;
}

int curve_open(curve_t **out, const char *folder, const char *name, key_role_t role, err_t *err)
{
    const program_row_t *row = row_of(role);
    curve_t *self;

    if (zmq_has("curve") == 0 || sodium_init() < 0)
        return err_set(err, OUTCOME_USAGE,
                       "the ZeroMQ library here has no encryption: use one built with libsodium");
    self = mem_zero(1, sizeof(*self));
    self->folder = mem_text(folder, strlen(folder));
    self->targets = row->targets;
    *out = self;
    if (read_all(self, row, name != NULL ? name : key_role_name(role), err) == 0)
        return 0;
    curve_destroy(out);
    return -1;
}

void curve_destroy(curve_t **self_p)
{
    curve_t *self = *self_p;

    if (self == NULL)
        return;
    free(self->folder);
    sodium_memzero(self, sizeof(*self));
    free(self);
    *self_p = NULL;
}

/* ---- sockets ---- */

/* An option that libzmq refuses is a mistake of ours: without it the socket would be open. */
static void set(void *socket, int option, const void *value, size_t size)
{
    if (zmq_setsockopt(socket, option, value, size) == 0)
        return;
    fprintf(stderr, "error: cannot secure a socket: %s\n", zmq_strerror(zmq_errno()));
    abort();
}

static void set_own(const curve_t *self, void *socket)
{
    set(socket, ZMQ_CURVE_PUBLICKEY, self->own.public_key, KEY_SIZE);
    set(socket, ZMQ_CURVE_SECRETKEY, self->own.secret_key, KEY_SIZE);
}

void curve_serve(const curve_t *self, void *socket, unsigned roles)
{
    char domain[ROLES_TEXT_SIZE];
    int on = 1;

    assert(roles != 0);
    key_roles_format(roles, domain);
    set(socket, ZMQ_CURVE_SERVER, &on, sizeof(on));
    set(socket, ZMQ_CURVE_SECRETKEY, self->own.secret_key, KEY_SIZE);
    set(socket, ZMQ_ZAP_DOMAIN, domain, strlen(domain));
    /* Else libzmq takes every key while nobody is there to ask. */
    set(socket, ZMQ_ZAP_ENFORCE_DOMAIN, &on, sizeof(on));
}

void curve_aim(const curve_t *self, void *socket, key_role_t role)
{
    assert((self->targets & role) != 0);
    set_own(self, socket);
    set(socket, ZMQ_CURVE_SERVERKEY, role == ROLE_NODE ? self->node : self->broker, KEY_SIZE);
}

/* ---- beacons ---- */

int curve_check_beacons(const curve_t *self, err_t *err)
{
    if (self->has_cluster)
        return 0;
    return err_set(
        err, OUTCOME_USAGE,
        "no beacons without the cluster's secret (copy it, or name addresses instead): %.300s",
        self->no_cluster.text);
}

void curve_sign(const curve_t *self, slice_t bytes, uint8_t mac[CURVE_MAC_SIZE])
{
    memset(mac, 0, CURVE_MAC_SIZE);
    if (self->has_cluster)
        crypto_auth(mac, bytes.data, bytes.size, self->cluster);
}

bool curve_is_signed(const curve_t *self, slice_t bytes, const uint8_t mac[CURVE_MAC_SIZE])
{
    return self->has_cluster && crypto_auth_verify(mac, bytes.data, bytes.size, self->cluster) == 0;
}
