#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "bus/wire/control.h"
#include "bus/wire/control_json.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

enum { ROUNDS = 3000 };

static bool is_text(slice_t s, const char *text)
{
    return slice_equal(s, slice_text(text));
}

/* ---- requests and replies ---- */

static void test_request(void **state)
{
    (void)state;
    char key[COMMAND_KEY_MAX] = "k";
    const control_request_t sent[] = {
        {.request = 1, .command = CONTROL_INFO},
        {.request = 7,
         .command = CONTROL_SET_STATUS,
         .has_status = true,
         .status = STATUS_OFFLINE,
         .timeout_ms = 4800},
        {.request = 8, .command = CONTROL_KEY, .key = slice_of(key, sizeof(key))},
        {.request = UINT64_MAX,
         .command = CONTROL_SET_STATUS,
         .mode = CONTROL_MODE_AUTO,
         .timeout_ms = UINT32_MAX},
        {.request = 2, .command = CONTROL_FORGET, .id = 255},
        {.request = 5, .command = CONTROL_ACCEPT_CLOCK, .id = 254},
        {.request = 3, .command = CONTROL_SHOWN, .at = {16, 65535, UINT64_MAX}},
        {.request = 4, .command = CONTROL_BACKUP, .piece = {UINT64_MAX, 7, 8}},
    };
    for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
        buf_t bytes = {0};
        control_request_t seen;
        control_request_put(&bytes, &sent[i]);
        assert_true(bytes.size <= CONTROL_REQUEST_MAX);
        assert_true(control_request_read(buf_slice(&bytes), &seen));
        assert_true(seen.request == sent[i].request && seen.command == sent[i].command);
        assert_true(seen.has_status == sent[i].has_status && seen.status == sent[i].status);
        assert_true(seen.id == sent[i].id);
        assert_true(seen.mode == sent[i].mode && seen.timeout_ms == sent[i].timeout_ms);
        assert_true(slice_equal(seen.key, sent[i].key));
        assert_true(seen.at.bits == sent[i].at.bits && seen.at.bucket == sent[i].at.bucket);
        assert_true(seen.at.clock == sent[i].at.clock);
        assert_true(seen.piece.transfer == sent[i].piece.transfer);
        assert_true(seen.piece.part == sent[i].piece.part);
        assert_true(seen.piece.offset == sent[i].piece.offset);
        buf_free(&bytes);
    }
}

/* The fields as given, to be refused or taken. */
typedef struct fields {
    uint64_t version;
    uint64_t command;
    uint64_t status;
    uint64_t mode;
    uint64_t bits;
    uint64_t bucket;
    uint32_t more;
} fields_t;

static bool is_taken(fields_t fields)
{
    buf_t bytes = {0};
    control_request_t seen;
    mp_put_array(&bytes, 14 + fields.more);
    mp_put_uint(&bytes, fields.version);
    mp_put_uint(&bytes, 1);
    mp_put_uint(&bytes, fields.command);
    mp_put_uint(&bytes, fields.status);
    mp_put_uint(&bytes, fields.mode);
    mp_put_uint(&bytes, 100);
    mp_put_uint(&bytes, 3);
    mp_put_bin(&bytes, slice_text("key"));
    mp_put_uint(&bytes, fields.bits);
    mp_put_uint(&bytes, fields.bucket);
    for (uint32_t i = 0; i < 4; i++)
        mp_put_uint(&bytes, 1);
    for (uint32_t i = 0; i < fields.more; i++)
        mp_put_text(&bytes, "from a newer program");
    bool taken = control_request_read(buf_slice(&bytes), &seen);
    buf_free(&bytes);
    return taken;
}

static void test_request_bounds(void **state)
{
    (void)state;
    const fields_t good = {CONTROL_VERSION, CONTROL_SET_STATUS, STATUS_OFFLINE, 2, 4, 15, 0};
    fields_t fields = good;
    assert_true(is_taken(fields));
    fields.more = 3;
    assert_true(is_taken(fields));
    fields = good, fields.version++;
    assert_false(is_taken(fields));
    fields = good, fields.command = CONTROL_COMMAND_LAST + 1;
    assert_false(is_taken(fields));
    fields = good, fields.command = 0;
    assert_false(is_taken(fields));
    fields = good, fields.status = STATUS_LAST + 1;
    assert_false(is_taken(fields));
    fields = good, fields.mode = 3;
    assert_false(is_taken(fields));
    fields = good, fields.bits = COMPARE_BITS_MAX + 1;
    assert_false(is_taken(fields));
    fields = good, fields.bucket = 16;
    assert_false(is_taken(fields));
}

static void test_reply(void **state)
{
    (void)state;
    buf_t document = {0};
    buf_t bytes = {0};
    mp_put_uint(&document, 42);
    const control_reply_t sent = {9, OUTCOME_NOT_REACHED, slice_text("not all"),
                                  buf_slice(&document)};
    control_reply_t seen;
    control_reply_put(&bytes, &sent);
    assert_true(control_reply_read(buf_slice(&bytes), &seen));
    assert_true(seen.request == 9 && seen.outcome == OUTCOME_NOT_REACHED);
    assert_true(is_text(seen.text, "not all") && slice_equal(seen.document, sent.document));
    buf_reset(&bytes);
    control_reply_put(&bytes, &(control_reply_t){.request = 1});
    assert_true(control_reply_read(buf_slice(&bytes), &seen));
    assert_true(seen.document.size == 0 && seen.text.size == 0);
    buf_free(&document);
    buf_free(&bytes);
}

/* ---- documents ---- */

typedef struct parts {
    vec_t vector;
    buf_t counts;
    buf_t peers;
    buf_t members;
    buf_t refused;
} parts_t;

static parts_t make_parts(void)
{
    parts_t parts = {0};
    vec_raise(&parts.vector, 0xA1, 12);
    vec_raise(&parts.vector, UINT64_MAX, UINT64_MAX);
    control_count_put(&parts.counts, "requests", 5);
    control_count_put(&parts.counts, "reads", UINT64_MAX);
    const control_peer_t peer = {.id = 2,
                                 .incarnation = 0xB2,
                                 .host = slice_text("127.0.0.1"),
                                 .port = 7730,
                                 .is_connected = true,
                                 .status = STATUS_OVERLOADED,
                                 .sessions = 3};
    control_peer_put(&parts.peers, &peer, &parts.vector);
    const control_member_t members[] = {{1, 0xA1, 1, true, -1}, {2, 0xB2, 2, false, 70000}};
    for (size_t i = 0; i < 2; i++)
        control_member_put(&parts.members, &members[i]);
    control_refused_put(&parts.refused, &(control_refused_t){3, 0xC3, 90000});
    return parts;
}

static void free_parts(parts_t *parts)
{
    vec_free(&parts->vector);
    buf_free(&parts->counts);
    buf_free(&parts->peers);
    buf_free(&parts->members);
    buf_free(&parts->refused);
}

static void put_node(buf_t *out)
{
    parts_t parts = make_parts();
    const control_node_t node = {
        .id = 1,
        .incarnation = 0xA1,
        .lineage = 0xC3,
        .is_ready = true,
        .status = STATUS_OFFLINE,
        .mode = slice_text("manual"),
        .host = slice_text("127.0.0.1"),
        .port = 7720,
        .clock = 77,
        .age_ms = 1234,
        .keys = 10,
        .sessions = 20,
        .brokers = 30,
        .waiting = 40,
        .held = 50,
        .version = slice_text("0.1.0"),
        .pid = 4321,
        .counts = 2,
        .counts_at = buf_slice(&parts.counts),
        .peers = 1,
        .peers_at = buf_slice(&parts.peers),
        .log_bytes = 60,
        .is_joining = true,
        .read_only = slice_text("full"),
        .held_back_by = 2,
        .horizon_ms = -1,
        .memory_bytes = 70,
        .members = 2,
        .members_at = buf_slice(&parts.members),
        .refused = 1,
        .refused_at = buf_slice(&parts.refused),
    };
    control_node_put(out, &node, &parts.vector);
    free_parts(&parts);
}

static void put_broker(buf_t *out)
{
    parts_t parts = make_parts();
    const control_broker_t broker = {
        .incarnation = 0xD4,
        .host = slice_text("::1"),
        .port = 7700,
        .age_ms = 99,
        .clients = 1,
        .sessions = 2,
        .in_flight = 3,
        .version = slice_text("0.1.0"),
        .pid = 1,
        .counts = 2,
        .counts_at = buf_slice(&parts.counts),
        .replicas = 1,
        .replicas_at = buf_slice(&parts.peers),
    };
    control_broker_put(out, &broker);
    free_parts(&parts);
}

static void check_peers(slice_t peers_at)
{
    mp_t in = mp_open(peers_at);
    control_peer_t peer;
    assert_true(control_peer_next(&in, &peer));
    assert_true(peer.id == 2 && peer.incarnation == 0xB2 && peer.port == 7730);
    assert_true(peer.is_connected && peer.status == STATUS_OVERLOADED && peer.sessions == 3);
    assert_true(is_text(peer.host, "127.0.0.1"));
    vec_t vector = {0};
    mp_t vector_at = mp_open(peer.vector);
    mp_vector(&vector_at, &vector);
    assert_true(mp_done(&vector_at) && vec_get(&vector, 0xA1) == 12);
    vec_free(&vector);
    assert_false(control_peer_next(&in, &peer));
    assert_true(mp_done(&in));
}

static void check_counts(slice_t counts_at)
{
    mp_t in = mp_open(counts_at);
    control_count_t count;
    assert_true(control_count_next(&in, &count));
    assert_true(is_text(count.name, "requests") && count.value == 5);
    assert_true(control_count_next(&in, &count));
    assert_true(is_text(count.name, "reads") && count.value == UINT64_MAX);
    assert_false(control_count_next(&in, &count));
    assert_true(control_count_of(counts_at, "reads") == UINT64_MAX);
    assert_true(control_count_of(counts_at, "updates") == 0);
}

static void check_members(slice_t members_at)
{
    mp_t in = mp_open(members_at);
    control_member_t member;
    assert_true(control_member_next(&in, &member));
    assert_true(member.id == 1 && member.is_connected && member.silent_ms == -1);
    assert_true(control_member_next(&in, &member));
    assert_true(member.id == 2 && member.incarnation == 0xB2 && member.state == 2);
    assert_true(!member.is_connected && member.silent_ms == 70000);
    assert_false(control_member_next(&in, &member));
    assert_true(mp_done(&in));
}

static void check_refused(slice_t refused_at)
{
    mp_t in = mp_open(refused_at);
    control_refused_t refused;
    assert_true(control_refused_next(&in, &refused));
    assert_true(refused.id == 3 && refused.incarnation == 0xC3 && refused.ahead_ms == 90000);
    assert_false(control_refused_next(&in, &refused));
    assert_true(mp_done(&in));
}

/* The keys that scripts read; a new one is no change, one that goes is. */
static void test_json(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "status", "mode",    "ready",   "host",      "port",         "age_ms",     "incarnation",
        "keys",   "held",    "vector",  "counts",    "peers",        "lineage",    "clock_ms",
        "pid",    "waiting", "brokers", "log_bytes", "memory_bytes", "horizon_ms", "version"};
    buf_t bytes = {0};
    buf_t text = {0};
    control_node_t node;
    put_node(&bytes);
    assert_true(control_node_read(buf_slice(&bytes), &node));
    json_t json = json_open(&text);
    json_object(&json, NULL);
    control_node_json(&json, &node);
    json_end(&json);
    assert_true(json_done(&json));
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char key[32];
        snprintf(key, sizeof(key), "\"%s\":", keys[i]);
        assert_non_null(strstr(buf_text(&text), key));
    }
    assert_non_null(strstr(buf_text(&text),
                           "\"joining\":true,\"read_only\":\"full\",\"held_back_by\":2,"
                           "\"horizon_ms\":null,"));
    assert_non_null(strstr(buf_text(&text), "\"members\":[{\"id\":1,"));
    assert_non_null(strstr(buf_text(&text), "\"state\":\"left behind\",\"connected\":false,"
                                            "\"silent_ms\":70000}]"));
    assert_non_null(strstr(buf_text(&text), "\"refused\":[{\"id\":3,\"incarnation\":"
                                            "\"00000000000000c3\",\"clock_ahead_ms\":90000}]"));
    buf_free(&bytes);
    buf_free(&text);
}

static void test_node(void **state)
{
    (void)state;
    buf_t bytes = {0};
    control_node_t node;
    control_broker_t other;
    put_node(&bytes);
    assert_int_equal(control_kind(buf_slice(&bytes)), CONTROL_NODE);
    assert_true(control_node_read(buf_slice(&bytes), &node));
    assert_false(control_broker_read(buf_slice(&bytes), &other));
    assert_true(node.id == 1 && node.incarnation == 0xA1 && node.lineage == 0xC3);
    assert_true(node.is_ready && node.status == STATUS_OFFLINE && is_text(node.mode, "manual"));
    assert_true(is_text(node.host, "127.0.0.1") && node.port == 7720 && node.clock == 77);
    assert_true(node.age_ms == 1234 && node.keys == 10 && node.sessions == 20);
    assert_true(node.brokers == 30 && node.waiting == 40 && node.held == 50);
    assert_true(is_text(node.version, "0.1.0") && node.pid == 4321);
    assert_true(node.counts == 2 && node.peers == 1);
    check_counts(node.counts_at);
    check_peers(node.peers_at);
    assert_true(node.log_bytes == 60 && node.is_joining && is_text(node.read_only, "full"));
    assert_true(node.held_back_by == 2 && node.horizon_ms == -1 && node.memory_bytes == 70);
    assert_int_equal(node.members, 2);
    check_members(node.members_at);
    assert_int_equal(node.refused, 1);
    check_refused(node.refused_at);
    buf_free(&bytes);
}

/* A node tells of final counts too, of which a cluster that is old has many. */
static void test_old_cluster(void **state)
{
    (void)state;
    buf_t bytes = {0};
    vec_t vector = {0};
    control_node_t node;
    for (uint64_t incarnation = 1; incarnation <= VEC_PARTS_MAX + 1; incarnation++)
        vec_raise(&vector, incarnation, 1);
    control_node_put(&bytes, &(control_node_t){.id = 1}, &vector);
    assert_true(control_node_read(buf_slice(&bytes), &node));
    vec_free(&vector);
    buf_free(&bytes);
}

static void test_broker(void **state)
{
    (void)state;
    buf_t bytes = {0};
    control_broker_t broker;
    control_node_t other;
    put_broker(&bytes);
    assert_int_equal(control_kind(buf_slice(&bytes)), CONTROL_BROKER);
    assert_true(control_broker_read(buf_slice(&bytes), &broker));
    assert_false(control_node_read(buf_slice(&bytes), &other));
    assert_true(broker.incarnation == 0xD4 && is_text(broker.host, "::1"));
    assert_true(broker.port == 7700 && broker.age_ms == 99 && broker.clients == 1);
    assert_true(broker.sessions == 2 && broker.in_flight == 3 && broker.pid == 1);
    assert_true(broker.counts == 2 && broker.replicas == 1);
    check_counts(broker.counts_at);
    check_peers(broker.replicas_at);
    buf_free(&bytes);
}

/* ---- damage ---- */

/* Whatever the bytes are, what a reader accepts lies within them and can be read to its end. */
static void read_all(slice_t bytes)
{
    control_request_t request;
    control_reply_t reply;
    control_node_t node;
    control_broker_t broker;
    control_peer_t peer;
    control_count_t count;
    control_member_t member;
    control_refused_t refusal;
    slice_t members_at = {0};
    uint32_t members = 0;
    slice_t refused_at = {0};
    uint32_t refused = 0;

    control_request_read(bytes, &request);
    if (control_reply_read(bytes, &reply))
        assert_true(mutate_within(reply.document, bytes) && mutate_within(reply.text, bytes));
    control_kind(bytes);
    slice_t peers_at = {0};
    slice_t counts_at = {0};
    uint32_t peers = 0;
    uint32_t counts = 0;
    if (control_node_read(bytes, &node)) {
        peers_at = node.peers_at, counts_at = node.counts_at;
        peers = node.peers, counts = node.counts;
        members_at = node.members_at, members = node.members;
        refused_at = node.refused_at, refused = node.refused;
    } else if (control_broker_read(bytes, &broker)) {
        peers_at = broker.replicas_at, counts_at = broker.counts_at;
        peers = broker.replicas, counts = broker.counts;
    }
    assert_true(mutate_within(peers_at, bytes) && mutate_within(counts_at, bytes));
    mp_t in = mp_open(peers_at);
    for (; control_peer_next(&in, &peer); peers--)
        assert_true(mutate_within(peer.vector, bytes) && mutate_touch(peer.host) < UINT32_MAX);
    assert_int_equal(peers, 0);
    in = mp_open(counts_at);
    for (; control_count_next(&in, &count); counts--)
        assert_true(mutate_within(count.name, bytes));
    assert_int_equal(counts, 0);
    in = mp_open(members_at);
    for (; control_member_next(&in, &member); members--)
        assert_true(mutate_within(members_at, bytes));
    assert_int_equal(members, 0);
    in = mp_open(refused_at);
    for (; control_refused_next(&in, &refusal); refused--)
        assert_true(mutate_within(refused_at, bytes));
    assert_int_equal(refused, 0);
}

static void check_random(random_t *rng)
{
    uint8_t data[200];
    property_fill(rng, data, sizeof(data));
    slice_t exact = mutate_exact(slice_of(data, (size_t)random_below(rng, sizeof(data) + 1)));
    read_all(exact);
    mutate_free(exact);
}

static void check_mutated(random_t *rng)
{
    buf_t bytes = {0};
    switch (random_below(rng, 3)) {
    case 0:
        put_node(&bytes);
        break;
    case 1:
        put_broker(&bytes);
        break;
    default:
        control_request_put(&bytes, &(control_request_t){.command = CONTROL_SET_STATUS});
        break;
    }
    slice_t damaged = mutate(rng, buf_slice(&bytes), 0);
    read_all(damaged);
    mutate_free(damaged);
    buf_free(&bytes);
}

static void test_random(void **state)
{
    (void)state;
    property_run(check_random, ROUNDS);
}

static void test_mutated(void **state)
{
    (void)state;
    property_run(check_mutated, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request), cmocka_unit_test(test_request_bounds),
        cmocka_unit_test(test_json),    cmocka_unit_test(test_reply),
        cmocka_unit_test(test_node),    cmocka_unit_test(test_old_cluster),
        cmocka_unit_test(test_broker),  property_test(test_random),
        property_test(test_mutated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
