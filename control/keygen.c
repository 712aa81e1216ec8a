#include "control/keygen.h"

#include <stdio.h>
#include <unistd.h>

#include "bus/base/json.h"
#include "bus/base/nearest.h"
#include "bus/net/keys.h"

enum { SHOWN = 64, PATH_SIZE = 4096 + 64 };

static const key_role_t all_roles[] = {ROLE_NODE, ROLE_BROKER, ROLE_CLIENT, ROLE_ADMIN};
enum { ALL_ROLES = sizeof(all_roles) / sizeof(all_roles[0]) };

static void say_json(buf_t *out, const char *folder, const char *const names[],
                     const key_role_t roles[], size_t count)
{
    json_t json = json_open(out);

    json_object(&json, NULL);
    json_bool(&json, "ok", true);
    json_text(&json, "folder", folder);
    json_array(&json, "keys");
    for (size_t i = 0; i < count; i++) {
        json_object(&json, NULL);
        json_text(&json, "name", names[i]);
        json_text(&json, "role", key_role_name(roles[i]));
        json_end(&json);
    }
    json_end(&json);
    json_end(&json);
    buf_append_text(out, "\n");
}

static const char explanation[] =
    "%s: keys of a new cluster. Give each program --curve with a folder that holds:\n"
    "  all .key files               on every machine: they are no secret, but who adds one lets "
    "somebody in\n"
    "  node.key_secret              where nodes run\n"
    "  broker.key_secret            where brokers run\n"
    "  client.key_secret            where hearsay or a program with libhearsay runs\n"
    "  admin.key_secret             where hearsayctl runs\n"
    "  cluster.key_secret           wherever beacons are used, so at nodes and brokers in any "
    "case\n"
    "Secrets are for their owners alone (mode 0600). hearsayctl keygen %s NAME client adds a key "
    "for "
    "one\nclient; its files can be taken away again without touching the others.\n";

/* What was begun is taken away: only a whole set is good for anything. */
static void take_away(const char *folder)
{
    static const char *const names[] = {"node", "broker", "client", "admin", "cluster"};
    static const char *const ends[] = {".key", ".key_secret"};
    char path[PATH_SIZE];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) * 2; i++) {
        snprintf(path, sizeof(path), "%s/%s%s", folder, names[i / 2], ends[i % 2]);
        unlink(path);
    }
}

int keygen_folder(buf_t *out, const char *folder, bool as_json, err_t *err)
{
    const char *names[ALL_ROLES];

    if (keys_make_folder(folder, err) != 0)
        return -1;
    for (size_t i = 0; i < ALL_ROLES; i++) {
        names[i] = key_role_name(all_roles[i]);
        if (keys_make(folder, names[i], all_roles[i], err) != 0) {
            take_away(folder);
            return -1;
        }
    }
    if (keys_make_cluster(folder, err) != 0) {
        take_away(folder);
        return -1;
    }
    if (as_json)
        say_json(out, folder, names, all_roles, ALL_ROLES);
    else
        buf_printf(out, explanation, folder, folder);
    return 0;
}

/* A role that may be given to a key by name. */
static int read_role(const char *text, key_role_t *role, err_t *err)
{
    static const char *const names[] = {"client", "admin"};

    if (key_role_parse(text, role) && (*role & (ROLE_CLIENT | ROLE_ADMIN)) != 0)
        return 0;
    const char *near = nearest(text, names, sizeof(names) / sizeof(names[0]));
    if (near != NULL)
        return err_set(err, OUTCOME_USAGE, "\"%.*s\" is no role: did you mean %s?", SHOWN, text,
                       near);
    return err_set(
        err, OUTCOME_USAGE,
        "\"%.*s\" is no role of a key by name: give client or admin (all nodes share one "
        "key, all brokers another)",
        SHOWN, text);
}

int keygen_add(buf_t *out, const char *folder, const char *name, const char *role_text,
               bool as_json, err_t *err)
{
    key_role_t role;

    if (read_role(role_text, &role, err) != 0)
        return -1;
    if (!key_name_is_good(name) || key_name_is_reserved(name))
        return err_set(err, OUTCOME_USAGE,
                       "\"%.*s\" is no name for a key: give 1 to %d letters, digits, _ - and dots, "
                       "and not node, broker or cluster",
                       SHOWN, name, KEY_NAME_SIZE - 1);
    if (keys_check_folder(folder, err) != 0 || keys_make(folder, name, role, err) != 0)
        return -1;
    if (as_json)
        say_json(out, folder, &name, &role, 1);
    else
        buf_printf(out,
                   "%s/%s.key         to the folders of %s: it is let in from then on\n"
                   "%s/%s.key_secret  to its user alone, who gives --curve-key %s\n",
                   folder, name, role == ROLE_CLIENT ? "all brokers" : "all nodes and brokers",
                   folder, name, name);
    return 0;
}
