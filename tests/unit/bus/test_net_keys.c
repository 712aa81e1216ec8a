/*
 * Folders of keys: their files, what they are refused for, the table of who may come in; and the
 * list of those who were turned away.
 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <czmq.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utime.h>

#include "bus/net/curve.h"
#include "bus/net/denied.h"
#include "bus/net/keyring.h"
#include "tests/unit/bus/net_fixture.h"
#include "tests/unit/folder.h"

static char folder[256];

static const char *path_of(const char *file)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    return path;
}

static void write_text(const char *file, const char *text)
{
    FILE *out = fopen(path_of(file), "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void make_all(void)
{
    err_t err = {0};
    if (keys_make(folder, "node", ROLE_NODE, &err) != 0 ||
        keys_make(folder, "broker", ROLE_BROKER, &err) != 0 ||
        keys_make(folder, "client", ROLE_CLIENT, &err) != 0 ||
        keys_make(folder, "admin", ROLE_ADMIN, &err) != 0 || keys_make_cluster(folder, &err) != 0)
        fail_msg("%s", err.text);
}

static int set_up(void **state)
{
    (void)state;
    return folder_make(folder, sizeof(folder), "keys");
}

static int tear_down(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static unsigned mode_of(const char *file)
{
    struct stat info;
    assert_int_equal(stat(path_of(file), &info), 0);
    return info.st_mode & 0777;
}

static void test_roles(void **state)
{
    (void)state;
    char text[ROLES_TEXT_SIZE];
    key_role_t role;

    for (unsigned roles = 1; roles < 16; roles++)
        assert_int_equal(key_roles_parse(key_roles_format(roles, text)), roles);
    assert_string_equal(key_roles_format(15, text), "node,broker,client,admin");
    assert_int_equal(key_roles_parse(""), 0);
    assert_int_equal(key_roles_parse("client,"), 0);
    assert_int_equal(key_roles_parse(",client"), 0);
    assert_int_equal(key_roles_parse("client;admin"), 0);
    assert_true(key_role_parse("admin", &role) && role == ROLE_ADMIN);
    assert_false(key_role_parse("adm", &role));
}

static void test_names(void **state)
{
    (void)state;
    char longest[KEY_NAME_SIZE + 1];

    memset(longest, 'a', KEY_NAME_SIZE);
    longest[KEY_NAME_SIZE] = '\0';
    assert_false(key_name_is_good(longest));
    assert_true(key_name_is_good(longest + 1));
    assert_true(key_name_is_good("Ann_2.at-home"));
    assert_false(key_name_is_good(""));
    assert_false(key_name_is_good(".."));
    assert_false(key_name_is_good("a/b"));
    assert_false(key_name_is_good("a b"));
    assert_true(key_name_is_reserved("cluster"));
    assert_false(key_name_is_reserved("client"));
}

static void test_files(void **state)
{
    (void)state;
    uint8_t public_key[KEY_SIZE];
    uint8_t secret[KEY_SIZE];
    key_pair_t pair;
    key_role_t role;
    err_t err;

    make_all();
    assert_int_equal(mode_of("node.key_secret"), 0600);
    assert_int_equal(mode_of("cluster.key_secret"), 0600);
    assert_int_equal(keys_read_secret(folder, "admin", &pair, NULL), 0);
    assert_int_equal(pair.role, ROLE_ADMIN);
    assert_int_equal(keys_read_public(folder, "admin", public_key, &role, NULL), 0);
    assert_int_equal(role, ROLE_ADMIN);
    assert_memory_equal(public_key, pair.public_key, KEY_SIZE);
    assert_int_equal(keys_read_cluster(folder, secret, NULL), 0);

    /* Nothing is overwritten, and the half that is there alone stays alone. */
    assert_int_equal(keys_make(folder, "admin", ROLE_CLIENT, &err), -1);
    assert_non_null(strstr(err.text, "not overwritten"));
    assert_int_equal(remove(path_of("admin.key_secret")), 0);
    assert_int_equal(keys_make(folder, "admin", ROLE_CLIENT, &err), -1);
    assert_int_not_equal(access(path_of("admin.key_secret"), F_OK), 0);
    assert_int_equal(keys_make_cluster(folder, &err), -1);
}

/* czmq reads what we write and the other way round. */
static void test_certificates_of_czmq(void **state)
{
    (void)state;
    uint8_t public_key[KEY_SIZE];
    key_pair_t pair;
    key_role_t role;

    make_all();
    assert_int_equal(keys_read_secret(folder, "client", &pair, NULL), 0);
    zcert_t *cert = zcert_load(path_of("client.key"));
    assert_non_null(cert);
    assert_memory_equal(zcert_public_key(cert), pair.public_key, KEY_SIZE);
    assert_memory_equal(zcert_secret_key(cert), pair.secret_key, KEY_SIZE);
    assert_string_equal(zcert_meta(cert, "role"), "client");
    zcert_destroy(&cert);

    cert = zcert_new();
    zcert_set_meta(cert, "role", "admin");
    zcert_set_meta(cert, "name", "ann = \"x\"");
    assert_int_equal(zcert_save(cert, path_of("ann.key")), 0);
    assert_int_equal(keys_read_public(folder, "ann", public_key, &role, NULL), 0);
    assert_memory_equal(public_key, zcert_public_key(cert), KEY_SIZE);
    assert_int_equal(role, ROLE_ADMIN);
    assert_int_equal(keys_read_secret(folder, "ann", &pair, NULL), 0);
    assert_memory_equal(pair.secret_key, zcert_secret_key(cert), KEY_SIZE);
    zcert_destroy(&cert);
}

static void test_bad_files_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "curve\n",
        "public-key = \"short\"\n    role = \"client\"\n",
        "role = \"client\"\npublic-key = iikBCc*3}?5nfyjOGCpENU<F*2/^uxfBi$Nv3cWh\n",
        "role = \"client\"\npublic-key = \"iikBCc*3}?5nfyjOGCpENU<F*2/^uxfBi$Nv3cWh\n",
        "role = \"king\"\npublic-key = \"iikBCc*3}?5nfyjOGCpENU<F*2/^uxfBi$Nv3cWh\"\n",
        "public-key = \"iikBCc*3}?5nfyjOGCpENU<F*2/^uxfBi$Nv3cWh\"\n"};
    uint8_t public_key[KEY_SIZE];
    key_role_t role;
    key_pair_t pair;
    err_t err;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_text("x.key", bad[i]);
        assert_int_equal(keys_read_public(folder, "x", public_key, &role, &err), -1);
        assert_non_null(strstr(err.text, "x.key"));
        assert_int_equal(err.outcome, OUTCOME_USAGE);
    }
    assert_int_equal(keys_read_secret(folder, "none", &pair, &err), -1);
    assert_non_null(strstr(err.text, "keygen"));
}

static void test_secrets_that_others_can_read(void **state)
{
    (void)state;
    uint8_t secret[KEY_SIZE];
    curve_t *curve = NULL;
    key_pair_t pair;
    err_t err;

    make_all();
    assert_int_equal(chmod(path_of("client.key_secret"), 0640), 0);
    assert_int_equal(keys_read_secret(folder, "client", &pair, &err), -1);
    assert_non_null(strstr(err.text, "can be read by others (mode 640)"));
    assert_int_equal(chmod(path_of("cluster.key_secret"), 0604), 0);
    assert_int_equal(keys_read_cluster(folder, secret, &err), -1);
    assert_non_null(strstr(err.text, "can be read by others"));
    /* Only who uses beacons needs it. */
    assert_int_equal(curve_open(&curve, folder, NULL, ROLE_ADMIN, &err), 0);
    assert_int_equal(curve_check_beacons(curve, &err), -1);
    assert_non_null(strstr(err.text, "can be read by others"));
    curve_destroy(&curve);

    assert_int_equal(chmod(folder, 0770), 0);
    assert_int_equal(curve_open(&curve, folder, NULL, ROLE_ADMIN, &err), -1);
    assert_null(curve);
    assert_non_null(strstr(err.text, "others can write"));
}

static void test_folders(void **state)
{
    (void)state;
    err_t err;

    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(keys_make_folder(folder, &err), 0); /* it is empty */
    assert_int_equal(mode_of(""), 0700);
    write_text("x", "");
    assert_int_equal(keys_make_folder(folder, &err), -1);
    assert_non_null(strstr(err.text, "not an empty folder"));
    assert_int_equal(keys_make_folder(path_of("a/b"), &err), -1);
    assert_int_equal(keys_check_folder(path_of("x"), &err), -1);
}

static void test_each_program_has_its_keys(void **state)
{
    (void)state;
    curve_t *curve = NULL;
    err_t err;

    make_all();
    assert_int_equal(curve_open(&curve, folder, NULL, ROLE_NODE, &err), 0);
    curve_destroy(&curve);
    assert_int_equal(curve_open(&curve, folder, "client", ROLE_ADMIN, &err), -1);
    assert_non_null(strstr(err.text, "of role client"));
    assert_int_equal(curve_open(&curve, folder, "admin", ROLE_CLIENT, &err), 0);
    curve_destroy(&curve);
    assert_int_equal(curve_open(&curve, folder, "../client", ROLE_CLIENT, &err), -1);
    /* A client needs nothing of nodes. */
    assert_int_equal(remove(path_of("node.key")), 0);
    assert_int_equal(curve_open(&curve, folder, NULL, ROLE_CLIENT, &err), 0);
    curve_destroy(&curve);
    assert_int_equal(curve_open(&curve, folder, NULL, ROLE_BROKER, &err), -1);
    assert_non_null(strstr(err.text, "node.key"));
}

static void test_signatures(void **state)
{
    (void)state;
    uint8_t mac[CURVE_MAC_SIZE];
    uint8_t bytes[124] = "something to be signed";
    curve_t *curve = NULL;

    make_all();
    assert_int_equal(curve_open(&curve, folder, NULL, ROLE_NODE, NULL), 0);
    slice_t slice = slice_of(bytes, sizeof(bytes));
    curve_sign(curve, slice, mac);
    assert_true(curve_is_signed(curve, slice, mac));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] ^= 1;
        assert_false(curve_is_signed(curve, slice, mac));
        bytes[i] ^= 1;
    }
    for (size_t i = 0; i < sizeof(mac); i++) {
        mac[i] ^= 0x80;
        assert_false(curve_is_signed(curve, slice, mac));
        mac[i] ^= 0x80;
    }
    curve_destroy(&curve);
    assert_int_equal(remove(path_of("cluster.key_secret")), 0);
    assert_int_equal(curve_open(&curve, folder, NULL, ROLE_NODE, NULL), 0);
    assert_false(curve_is_signed(curve, slice, mac));
    curve_sign(curve, slice, mac);
    assert_false(curve_is_signed(curve, slice, mac)); /* zeros are no MAC */
    curve_destroy(&curve);
}

/* The public half of a key, which is in the folder now or was. */
static void take_public(const char *name, uint8_t public_key[KEY_SIZE])
{
    key_role_t role;
    assert_int_equal(keys_read_public(folder, name, public_key, &role, NULL), 0);
}

static void test_keyring_follows_the_folder(void **state)
{
    (void)state;
    uint8_t client[KEY_SIZE];
    uint8_t ann[KEY_SIZE];
    const struct utimbuf long_ago = {.actime = 1000000, .modtime = 1000000};
    const char *name = NULL;

    make_all();
    take_public("client", client);
    keyring_t *ring = keyring_new(folder);
    assert_int_equal(keyring_find(ring, client, &name), ROLE_CLIENT);
    assert_string_equal(name, "client");

    assert_int_equal(keys_make(folder, "ann", ROLE_ADMIN, NULL), 0);
    take_public("ann", ann);
    assert_int_equal(keyring_find(ring, ann, &name), ROLE_ADMIN);
    assert_string_equal(name, "ann");

    /* A settled folder is not read again; one that changed is. */
    assert_int_equal(utime(folder, &long_ago), 0);
    assert_int_equal(keyring_find(ring, ann, &name), ROLE_ADMIN);
    assert_int_equal(remove(path_of("ann.key")), 0);
    assert_int_equal(utime(folder, &long_ago), 0);
    assert_int_equal(keyring_find(ring, ann, &name), ROLE_ADMIN);
    assert_int_equal(utime(folder, NULL), 0);
    assert_int_equal(keyring_find(ring, ann, &name), 0);
    assert_int_equal(keyring_find(ring, client, &name), ROLE_CLIENT);

    /* A folder that is gone has no keys. */
    assert_int_equal(folder_remove(folder), 0);
    assert_int_equal(keyring_find(ring, client, &name), 0);
    keyring_destroy(&ring);
}

static void test_keyring_of_odd_files(void **state)
{
    (void)state;
    uint8_t node[KEY_SIZE];
    uint8_t twice[KEY_SIZE];
    const char *name = NULL;
    char text[256];
    char z85[KEY_TEXT_SIZE];

    make_all();
    take_public("node", node);
    /* Somebody's file that says "node" makes no node of him. */
    assert_int_equal(keys_make(folder, "mallory", ROLE_NODE, NULL), 0);
    take_public("mallory", twice);
    keyring_t *ring = keyring_new(folder);
    assert_int_equal(keyring_find(ring, node, &name), ROLE_NODE);
    assert_int_equal(keyring_find(ring, twice, &name), 0);
    /* One key of two roles; a damaged file beside it; secrets are no public keys. */
    zmq_z85_encode(z85, twice, KEY_SIZE);
    snprintf(text, sizeof(text), "role = \"client\"\npublic-key = \"%s\"\n", z85);
    write_text("a.key", text);
    snprintf(text, sizeof(text), "role = \"admin\"\npublic-key = \"%s\"\n", z85);
    write_text("b.key", text);
    write_text("c.key", "nonsense");
    write_text(".key", text);
    write_text("sp ace.key", text);
    assert_int_equal(keyring_find(ring, twice, &name), ROLE_CLIENT | ROLE_ADMIN);
    keyring_destroy(&ring);
}

static void test_denied_is_said_at_a_limited_rate(void **state)
{
    (void)state;
    denied_t *denied = NULL;
    denied_entry_t entry;
    buf_t note = {0};
    char why[64];
    int said = 0;

    assert_int_equal(denied_open(&denied, NULL), 0);
    assert_false(denied_next(denied, &entry));
    for (int i = 0; i < 100; i++)
        denied_put(denied, "10.0.0.1", "the same", true);
    assert_true(denied_next(denied, &entry));
    assert_string_equal(entry.address, "10.0.0.1");
    assert_false(denied_next(denied, &entry));
    assert_int_equal(denied_count(denied), 100);
    denied_forget(denied);
    denied_put(denied, "10.0.0.1", "the same", true);
    assert_true(denied_next(denied, &entry));
    assert_int_equal(entry.unsaid, 99);
    for (int i = 0; i < 1000; i++) {
        snprintf(why, sizeof(why), "another one %d", i);
        denied_put(denied, "10.0.0.1", why, true);
        while (denied_next(denied, &entry))
            said++;
    }
    assert_in_range(said, DENIED_BURST - 2, DENIED_BURST + 1);
    assert_int_equal(denied_count(denied), 1101);
    entry = (denied_entry_t){.address = "10.0.0.1", .why = "no key", .unsaid = 3};
    denied_note(&note, &entry);
    assert_string_equal(buf_text(&note),
                        "[denied] no connection address=10.0.0.1 why=\"no key\" unsaid=3");
    buf_free(&note);
    denied_destroy(&denied);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_certificates_of_czmq, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrets_that_others_can_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_program_has_its_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signatures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keyring_follows_the_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keyring_of_odd_files, set_up, tear_down),
        cmocka_unit_test(test_denied_is_said_at_a_limited_rate),
    };
    return cmocka_run_group_tests(tests, net_fixture_start, net_fixture_stop);
}
