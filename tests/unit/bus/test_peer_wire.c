#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/wire/peer.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

enum { NEIGHBOURS = 5, MEMBERS = 6 };

static uint64_t any_u64(random_t *rng)
{
    return random_u64(rng) >> random_below(rng, 64);
}

static void draw_vector(random_t *rng, vec_t *out)
{
    vec_reset(out);
    for (uint64_t parts = random_below(rng, 5); parts > 0; parts--)
        vec_raise(out, any_u64(rng), 1 + random_below(rng, 1000));
}

static void assert_vector(slice_t bytes, const vec_t *expected)
{
    vec_t got = {0};
    mp_t in = mp_open(bytes);
    mp_vector(&in, &got);
    assert_true(mp_done(&in));
    assert_true(vec_equal(&got, expected));
    vec_free(&got);
}

/* Records are taken whole, so that any arrays stand in for them. */
static void put_records(buf_t *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        mp_put_array(out, 2);
        mp_put_uint(out, i);
        mp_put_text(out, "record");
    }
}

static void assert_records(slice_t bytes, uint32_t count)
{
    mp_t in = mp_open(bytes);
    slice_t record;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(peer_record_next(&in, &record));
        mp_t fields = mp_open(record);
        assert_int_equal(mp_array(&fields, 2), 2);
        assert_true(mp_uint(&fields) == i);
        mp_skip(&fields);
        assert_true(mp_done(&fields));
    }
    assert_false(peer_record_next(&in, &record));
    assert_true(mp_done(&in));
}

static void draw_neighbours(random_t *rng, peer_neighbour_t *out)
{
    static const char *const hosts[] = {"", "127.0.0.1", "::1", "a-node.example"};
    for (int i = 0; i < NEIGHBOURS; i++)
        out[i] = (peer_neighbour_t){
            (uint16_t)random_u64(rng),
            any_u64(rng),
            {slice_text(hosts[random_below(rng, 4)]), (uint16_t)random_u64(rng)}};
}

static uint32_t draw_members(random_t *rng, peer_member_t *rows)
{
    uint32_t count = (uint32_t)random_below(rng, MEMBERS);
    for (uint32_t i = 0; i < count; i++)
        rows[i] = (peer_member_t){(uint16_t)random_below(rng, PEER_MEMBERS_MAX), any_u64(rng),
                                  any_u64(rng) / 2, (uint8_t)(MEMBER_IN + random_below(rng, 3))};
    return count;
}

static void put_members(random_t *rng, buf_t *out)
{
    peer_member_t rows[MEMBERS];
    peer_members_put(out, rows, draw_members(rng, rows));
}

static void read_members(slice_t bytes)
{
    peer_member_t rows[PEER_MEMBERS_MAX];
    uint32_t count;
    if (peer_members_read(bytes, rows, &count))
        assert_true(count <= PEER_MEMBERS_MAX);
}

/* One message of each kind with fields drawn; a 10th of what a reader may meet. */
static void put_message(random_t *rng, peer_kind_t kind, buf_t *out)
{
    vec_t vector = {0};
    buf_t records = {0};
    peer_neighbour_t neighbours[NEIGHBOURS];
    draw_vector(rng, &vector);
    draw_neighbours(rng, neighbours);
    uint32_t count = (uint32_t)random_below(rng, 4);
    put_records(&records, count);
    const peer_hello_t hello = {.lineage = 1 + any_u64(rng) / 2,
                                .incarnation = 1 + any_u64(rng) / 2,
                                .address = {slice_text("127.0.0.1"), 5000},
                                .neighbours = (uint32_t)random_below(rng, NEIGHBOURS + 1)};
    const peer_refused_t refused = {any_u64(rng), true, slice_text("why")};
    const peer_records_t pulled = {.request = any_u64(rng),
                                   .next = any_u64(rng),
                                   .end = true,
                                   .count = count,
                                   .records = buf_slice(&records)};
    const peer_batch_t batch = {.origin = 1 + any_u64(rng) / 2,
                                .head = any_u64(rng),
                                .count = count,
                                .records = buf_slice(&records)};
    buf_t members = {0};
    put_members(rng, &members);
    const peer_round_t round = {.incarnation = 1 + any_u64(rng) / 2,
                                .members = buf_slice(&members)};
    const peer_pull_t pull = {.request = any_u64(rng), .position = any_u64(rng)};
    const peer_join_t join = {.incarnation = 1 + any_u64(rng) / 2, .part = any_u64(rng)};
    const peer_state_part_t state = {
        .transfer = any_u64(rng), .part = any_u64(rng), .rows = buf_slice(&records)};
    switch (kind) {
    case PEER_HELLO:
    case PEER_WELCOME:
        peer_hello_put(out, kind, &hello, &vector, neighbours);
        break;
    case PEER_REFUSED:
        peer_refused_put(out, &refused);
        break;
    case PEER_PING:
    case PEER_PONG:
        peer_ping_put(out, kind, any_u64(rng), (uint8_t)random_below(rng, 3));
        break;
    case PEER_PULL:
        peer_pull_put(out, &pull, &vector);
        break;
    case PEER_RECORDS:
        peer_records_put(out, &pulled, &vector);
        break;
    case PEER_BATCH:
        peer_batch_put(out, &batch);
        break;
    case PEER_ROUND:
        peer_round_put(out, &round, &vector, &vector);
        break;
    case PEER_JOINED:
        peer_joined_put(out, any_u64(rng), any_u64(rng));
        break;
    case PEER_ACK:
        peer_ack_put(out, any_u64(rng), &vector);
        break;
    case PEER_JOIN:
        peer_join_put(out, &join, &vector);
        break;
    case PEER_STATE:
        peer_state_put(out, &state);
        break;
    }
    vec_free(&vector);
    buf_free(&records);
    buf_free(&members);
}

static void check_hello(random_t *rng)
{
    vec_t vector = {0};
    buf_t out = {0};
    peer_neighbour_t neighbours[NEIGHBOURS];
    draw_vector(rng, &vector);
    draw_neighbours(rng, neighbours);
    const peer_hello_t put = {.cluster = any_u64(rng),
                              .lineage = 1 + any_u64(rng) / 2,
                              .lineage_is_fixed = random_below(rng, 2) != 0,
                              .id = (uint16_t)random_u64(rng),
                              .incarnation = 1 + any_u64(rng) / 2,
                              .age_ms = (int64_t)any_u64(rng),
                              .status = (uint8_t)random_u64(rng),
                              .clock = any_u64(rng),
                              .address = neighbours[0].address,
                              .neighbours = (uint32_t)random_below(rng, NEIGHBOURS + 1)};
    peer_kind_t kind = random_below(rng, 2) != 0 ? PEER_HELLO : PEER_WELCOME;
    peer_hello_put(&out, kind, &put, &vector, neighbours);
    slice_t message = mutate_exact(buf_slice(&out));
    assert_int_equal(peer_kind(message), kind);
    peer_hello_t got;
    assert_true(peer_hello_read(message, &got));
    assert_true(got.cluster == put.cluster && got.lineage == put.lineage);
    assert_true(got.lineage_is_fixed == put.lineage_is_fixed && got.id == put.id);
    assert_true(got.incarnation == put.incarnation && got.age_ms == put.age_ms);
    assert_true(got.status == put.status && got.clock == put.clock);
    assert_vector(got.vector, &vector);
    assert_true(slice_equal(got.address.host, put.address.host));
    assert_true(got.address.port == put.address.port);
    assert_true(got.neighbours == put.neighbours);
    mp_t in = mp_open(got.neighbours_at);
    for (uint32_t i = 0; i < got.neighbours; i++) {
        peer_neighbour_t one;
        assert_true(peer_neighbour_read(&in, &one));
        assert_true(one.id == neighbours[i].id && one.incarnation == neighbours[i].incarnation);
        assert_true(slice_equal(one.address.host, neighbours[i].address.host));
        assert_true(one.address.port == neighbours[i].address.port);
    }
    assert_true(mp_done(&in));
    mutate_free(message);
    buf_free(&out);
    vec_free(&vector);
}

static void check_records(random_t *rng)
{
    vec_t vector = {0};
    buf_t out = {0};
    buf_t records = {0};
    uint32_t count = (uint32_t)random_below(rng, 40);
    put_records(&records, count);
    draw_vector(rng, &vector);

    const peer_records_t put = {.request = any_u64(rng),
                                .next = any_u64(rng),
                                .end = random_below(rng, 2) != 0,
                                .count = count,
                                .records = buf_slice(&records)};
    peer_records_put(&out, &put, &vector);
    slice_t message = mutate_exact(buf_slice(&out));
    peer_records_t got;
    assert_int_equal(peer_kind(message), PEER_RECORDS);
    assert_true(peer_records_read(message, &got));
    assert_true(got.request == put.request && got.next == put.next && got.end == put.end);
    assert_int_equal(got.count, count);
    assert_records(got.records, count);
    assert_vector(got.vector, &vector);
    mutate_free(message);

    buf_reset(&out);
    peer_batch_t batch = {.cluster = any_u64(rng),
                          .lineage = any_u64(rng),
                          .origin = 1 + any_u64(rng) / 2,
                          .head = any_u64(rng),
                          .count = count,
                          .records = buf_slice(&records),
                          .ackers = (uint32_t)random_below(rng, PEER_ACKERS_MAX + 1)};
    for (uint32_t i = 0; i < batch.ackers; i++)
        batch.acker[i] = any_u64(rng);
    peer_batch_put(&out, &batch);
    message = mutate_exact(buf_slice(&out));
    peer_batch_t got_batch;
    assert_int_equal(peer_kind(message), PEER_BATCH);
    assert_true(peer_batch_read(message, &got_batch));
    assert_true(got_batch.cluster == batch.cluster && got_batch.lineage == batch.lineage);
    assert_true(got_batch.origin == batch.origin && got_batch.head == batch.head);
    assert_int_equal(got_batch.count, count);
    assert_int_equal(got_batch.ackers, batch.ackers);
    for (uint32_t i = 0; i < batch.ackers; i++)
        assert_true(got_batch.acker[i] == batch.acker[i]);
    assert_records(got_batch.records, count);
    mutate_free(message);
    buf_free(&records);
    buf_free(&out);
    vec_free(&vector);
}

static void check_small(random_t *rng)
{
    vec_t vector = {0};
    buf_t out = {0};
    vec_t synced = {0};
    buf_t members = {0};
    peer_member_t rows[MEMBERS];
    uint32_t count = draw_members(rng, rows);
    draw_vector(rng, &vector);
    draw_vector(rng, &synced);
    peer_members_put(&members, rows, count);

    const peer_round_t round = {.cluster = any_u64(rng),
                                .lineage = any_u64(rng),
                                .lineage_is_fixed = random_below(rng, 2) != 0,
                                .id = (uint16_t)random_u64(rng),
                                .incarnation = 1 + any_u64(rng) / 2,
                                .status = (uint8_t)random_u64(rng),
                                .clock = any_u64(rng),
                                .floor = any_u64(rng),
                                .view = any_u64(rng),
                                .members = buf_slice(&members)};
    peer_round_t got_round;
    peer_round_put(&out, &round, &vector, &synced);
    assert_true(peer_round_read(buf_slice(&out), &got_round));
    assert_vector(got_round.synced, &synced);
    assert_true(got_round.floor == round.floor && got_round.view == round.view);
    assert_true(slice_equal(got_round.members, round.members));
    peer_member_t got_rows[PEER_MEMBERS_MAX];
    uint32_t got_count;
    assert_true(peer_members_read(got_round.members, got_rows, &got_count));
    assert_int_equal(got_count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_true(got_rows[i].id == rows[i].id && got_rows[i].stamp == rows[i].stamp &&
                    got_rows[i].state == rows[i].state &&
                    got_rows[i].incarnation == rows[i].incarnation);
    assert_true(got_round.cluster == round.cluster && got_round.lineage == round.lineage);
    assert_true(got_round.lineage_is_fixed == round.lineage_is_fixed);
    assert_true(got_round.id == round.id && got_round.incarnation == round.incarnation);
    assert_true(got_round.status == round.status && got_round.clock == round.clock);
    assert_vector(got_round.vector, &vector);

    peer_pull_t pull;
    uint64_t a = any_u64(rng);
    uint64_t b = any_u64(rng);
    const peer_pull_t ask = {.request = a, .incarnation = a / 3, .position = b};
    buf_reset(&out);
    peer_pull_put(&out, &ask, &vector);
    assert_true(peer_pull_read(buf_slice(&out), &pull));
    assert_true(pull.request == a && pull.incarnation == a / 3 && pull.position == b);
    assert_vector(pull.have, &vector);

    const peer_refused_t refused = {a, random_below(rng, 2) != 0, slice_text("taken by 7")};
    peer_refused_t got_refused;
    buf_reset(&out);
    peer_refused_put(&out, &refused);
    assert_true(peer_refused_read(buf_slice(&out), &got_refused));
    assert_true(got_refused.incarnation == a && got_refused.id_taken == refused.id_taken);
    assert_true(slice_equal(got_refused.text, refused.text));

    uint64_t cluster;
    uint64_t incarnation;
    uint8_t status;
    buf_reset(&out);
    peer_ping_put(&out, PEER_PONG, a, 2);
    assert_int_equal(peer_kind(buf_slice(&out)), PEER_PONG);
    assert_true(peer_ping_read(buf_slice(&out), &incarnation, &status));
    assert_true(incarnation == a && status == 2);
    buf_reset(&out);
    peer_joined_put(&out, a, b);
    assert_true(peer_joined_read(buf_slice(&out), &cluster, &incarnation));
    assert_true(cluster == a && incarnation == b);

    const peer_join_t join = {
        .id = 3, .incarnation = a | 1, .transfer = b, .part = a / 7, .has_left = (b & 1) != 0};
    peer_join_t got_join;
    buf_reset(&out);
    peer_join_put(&out, &join, &vector);
    assert_int_equal(peer_kind(buf_slice(&out)), PEER_JOIN);
    assert_true(peer_join_read(buf_slice(&out), &got_join));
    assert_true(got_join.id == 3 && got_join.incarnation == join.incarnation);
    assert_true(got_join.transfer == b && got_join.part == join.part);
    assert_true(got_join.has_left == join.has_left);
    assert_vector(got_join.vector, &vector);
    const peer_state_part_t state = {b, a, (a & 1) != 0, slice_text("rows")};
    peer_state_part_t got_state;
    buf_reset(&out);
    peer_state_put(&out, &state);
    assert_int_equal(peer_kind(buf_slice(&out)), PEER_STATE);
    assert_true(peer_state_read(buf_slice(&out), &got_state));
    assert_true(got_state.transfer == b && got_state.part == a);
    assert_true(got_state.is_last == state.is_last && slice_equal(got_state.rows, state.rows));
    buf_free(&out);
    buf_free(&members);
    vec_free(&vector);
    vec_free(&synced);
}

static void read_vector(slice_t bytes)
{
    vec_t vector = {0};
    mp_t in = mp_open(bytes);
    mp_vector(&in, &vector);
    vec_free(&vector);
}

static void read_records(slice_t records, slice_t message)
{
    assert_true(mutate_within(records, message));
    mp_t in = mp_open(records);
    slice_t record;
    while (peer_record_next(&in, &record)) {
        assert_true(mutate_within(record, records) && record.size != 0);
        mutate_touch(record);
    }
}

static void read_hello(slice_t message)
{
    peer_hello_t hello;
    if (!peer_hello_read(message, &hello))
        return;
    assert_true(hello.incarnation != 0 && hello.lineage != 0);
    assert_true(hello.neighbours <= PEER_NEIGHBOURS_MAX);
    assert_true(hello.address.host.size <= PEER_HOST_MAX);
    mutate_touch(hello.address.host);
    read_vector(hello.vector);
    read_members(hello.members);
    mp_t in = mp_open(hello.neighbours_at);
    peer_neighbour_t neighbour;
    for (uint32_t i = 0; i < hello.neighbours && peer_neighbour_read(&in, &neighbour); i++)
        mutate_touch(neighbour.address.host);
}

/* As a node does: by the kind that the message says. */
static void read_message(slice_t message)
{
    uint64_t a;
    uint64_t b;
    uint8_t status;
    slice_t bytes;
    peer_refused_t refused;
    peer_pull_t pull;
    peer_records_t records;
    peer_batch_t batch;
    peer_round_t round;
    peer_join_t join;
    peer_state_part_t state;
    switch (peer_kind(message)) {
    case PEER_HELLO:
    case PEER_WELCOME:
        read_hello(message);
        break;
    case PEER_REFUSED:
        if (peer_refused_read(message, &refused))
            mutate_touch(refused.text);
        break;
    case PEER_PING:
    case PEER_PONG:
        peer_ping_read(message, &a, &status);
        break;
    case PEER_PULL:
        if (peer_pull_read(message, &pull))
            read_vector(pull.have);
        break;
    case PEER_RECORDS:
        if (peer_records_read(message, &records)) {
            assert_true(records.count <= PEER_RECORDS_MAX);
            read_records(records.records, message);
            read_vector(records.vector);
        }
        break;
    case PEER_BATCH:
        if (peer_batch_read(message, &batch)) {
            assert_true(batch.origin != 0 && batch.count <= PEER_RECORDS_MAX);
            read_records(batch.records, message);
        }
        break;
    case PEER_ROUND:
        if (peer_round_read(message, &round)) {
            read_vector(round.vector);
            read_vector(round.synced);
            read_members(round.members);
        }
        break;
    case PEER_JOINED:
        peer_joined_read(message, &a, &b);
        break;
    case PEER_ACK:
        if (peer_ack_read(message, &a, &bytes))
            read_vector(bytes);
        break;
    case PEER_JOIN:
        if (peer_join_read(message, &join))
            read_vector(join.vector);
        break;
    case PEER_STATE:
        if (peer_state_read(message, &state))
            mutate_touch(state.rows);
        break;
    }
}

static void check_damage(random_t *rng)
{
    buf_t out = {0};
    peer_kind_t kind = (peer_kind_t)(PEER_HELLO + random_below(rng, PEER_STATE));
    put_message(rng, kind, &out);
    read_message(buf_slice(&out));
    for (int i = 0; i < 20; i++) {
        /* Mostly behind the preamble, which is soon checked. */
        slice_t damaged = mutate(rng, buf_slice(&out), i == 0 ? 0 : PEER_PREAMBLE_SIZE);
        read_message(damaged);
        mutate_free(damaged);
    }
    for (size_t cut = 0; cut < out.size; cut++) {
        slice_t part = mutate_exact(slice_of(out.data, cut));
        read_message(part);
        mutate_free(part);
    }
    buf_free(&out);
}

static void test_hello(void **state)
{
    (void)state;
    property_run(check_hello, 500);
}

static void test_records(void **state)
{
    (void)state;
    property_run(check_records, 300);
}

static void test_small(void **state)
{
    (void)state;
    property_run(check_small, 300);
}

static void test_damage(void **state)
{
    (void)state;
    property_run(check_damage, 2000);
}

static void test_kind(void **state)
{
    (void)state;
    buf_t out = {0};
    peer_ping_put(&out, PEER_PING, 1, 0);
    assert_int_equal(peer_kind(buf_slice(&out)), PEER_PING);
    for (size_t at = 0; at < 4; at++) {
        uint8_t was = out.data[at];
        out.data[at] = 0xEE;
        assert_int_equal(peer_kind(buf_slice(&out)), 0);
        out.data[at] = was;
    }
    assert_int_equal(peer_kind(slice_of(out.data, PEER_PREAMBLE_SIZE - 1)), 0);
    assert_int_equal(peer_kind(slice_of(NULL, 0)), 0);
    buf_free(&out);
}

/* More records promised than there are bytes for are not believed. */
static void test_counts(void **state)
{
    (void)state;
    vec_t vector = {0};
    buf_t out = {0};
    peer_records_t records = {.count = 1, .records = slice_of(NULL, 0)};
    peer_records_put(&out, &records, &vector);
    assert_false(peer_records_read(buf_slice(&out), &records));
    buf_reset(&out);
    peer_batch_t batch = {.origin = 1, .count = 3, .records = slice_text("ab")};
    peer_batch_put(&out, &batch);
    assert_false(peer_batch_read(buf_slice(&out), &batch));
    buf_reset(&out);
    batch = (peer_batch_t){.origin = 0, .records = slice_of(NULL, 0)};
    peer_batch_put(&out, &batch);
    assert_false(peer_batch_read(buf_slice(&out), &batch));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_hello),  property_test(test_records), property_test(test_small),
        property_test(test_damage), cmocka_unit_test(test_kind), cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests_name("peer_wire", tests, NULL, NULL);
}
