#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bus/wire/session.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

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

/* A whole body with one field more at its end, as a newer peer writes it. */
static slice_t grown(const buf_t *body)
{
    buf_t out = {0};
    buf_append_slice(&out, buf_slice(body));
    assert_true(out.data[0] >= 0x90 && out.data[0] < 0x9F); /* a short array */
    out.data[0]++;
    mp_put_text(&out, "of a newer version");
    slice_t exact = mutate_exact(buf_slice(&out));
    buf_free(&out);
    return exact;
}

/* ---- bodies ---- */

static void check_hello(random_t *rng)
{
    vec_t token = {0};
    buf_t body = {0};
    draw_vector(rng, &token);
    const session_hello_t put = {.session = 1 + any_u64(rng) / 2,
                                 .cluster = any_u64(rng),
                                 .lineage = any_u64(rng),
                                 .clock = any_u64(rng),
                                 .pin = (int32_t)random_below(rng, 257) - 1,
                                 .avoid = any_u64(rng)};
    session_hello_put(&body, &put, &token);
    slice_t messages[] = {mutate_exact(buf_slice(&body)), grown(&body)};
    for (int i = 0; i < 2; i++) {
        session_hello_t got;
        assert_true(session_hello_read(messages[i], &got));
        assert_true(got.session == put.session && got.cluster == put.cluster);
        assert_true(got.lineage == put.lineage && got.clock == put.clock);
        assert_true(got.pin == put.pin && got.avoid == put.avoid);
        assert_vector(got.token, &token);
        mutate_free(messages[i]);
    }
    vec_free(&token);
    buf_free(&body);
}

static void check_welcome(random_t *rng)
{
    buf_t body = {0};
    const session_welcome_t put = {.session = any_u64(rng),
                                   .id = (uint16_t)random_u64(rng),
                                   .incarnation = any_u64(rng),
                                   .lineage = any_u64(rng),
                                   .clock = any_u64(rng),
                                   .text = slice_text("why not")};
    session_welcome_put(&body, &put);
    slice_t messages[] = {mutate_exact(buf_slice(&body)), grown(&body)};
    for (int i = 0; i < 2; i++) {
        session_welcome_t got;
        assert_true(session_welcome_read(messages[i], &got));
        assert_true(got.session == put.session && got.id == put.id);
        assert_true(got.incarnation == put.incarnation && got.lineage == put.lineage);
        assert_true(got.clock == put.clock && slice_equal(got.text, put.text));
        mutate_free(messages[i]);
    }
    buf_reset(&body);
    session_bye_put(&body, put.session);
    uint64_t session = 0;
    assert_true(session_bye_read(buf_slice(&body), &session));
    assert_true(session == put.session);
    buf_free(&body);
}

static void check_link(random_t *rng)
{
    vec_t vector = {0};
    buf_t body = {0};
    draw_vector(rng, &vector);
    const link_hello_t hello = {any_u64(rng), any_u64(rng), any_u64(rng)};
    link_hello_t got_hello;
    link_hello_put(&body, &hello);
    assert_true(link_hello_read(buf_slice(&body), &got_hello));
    assert_memory_equal(&hello, &got_hello, sizeof hello);

    const link_status_t put = {.id = (uint16_t)random_u64(rng),
                               .incarnation = any_u64(rng),
                               .lineage = any_u64(rng),
                               .status = (uint8_t)random_below(rng, 3),
                               .serial = any_u64(rng),
                               .clock = any_u64(rng)};
    link_status_t got;
    buf_reset(&body);
    link_status_put(&body, &put, &vector);
    slice_t messages[] = {mutate_exact(buf_slice(&body)), grown(&body)};
    for (int i = 0; i < 2; i++) {
        assert_true(link_status_read(messages[i], &got));
        assert_true(got.id == put.id && got.incarnation == put.incarnation);
        assert_true(got.lineage == put.lineage && got.status == put.status);
        assert_true(got.serial == put.serial && got.clock == put.clock);
        assert_vector(got.vector, &vector);
        mutate_free(messages[i]);
    }
    vec_free(&vector);
    buf_free(&body);
}

/* ---- items ---- */

static void put_some_request(random_t *rng, buf_t *out, request_t *put, const vec_t *token)
{
    buf_t arguments = {0};
    *put = (request_t){.session = any_u64(rng),
                       .epoch = any_u64(rng),
                       .seq = any_u64(rng),
                       .flags = (uint8_t)random_u64(rng),
                       .left_ms = (uint32_t)any_u64(rng),
                       .has_token = token != NULL,
                       .token_clock = token != NULL ? any_u64(rng) : 0,
                       .hlc = any_u64(rng),
                       .floor = any_u64(rng),
                       .command = (uint8_t)random_u64(rng),
                       .arguments = (uint32_t)random_below(rng, 30)};
    for (uint32_t i = 0; i < put->arguments; i++) {
        uint8_t text[8];
        size_t size = random_below(rng, sizeof text + 1);
        property_fill(rng, text, size);
        mp_put_bin(&arguments, slice_of(text, size));
    }
    put->arguments_at = buf_slice(&arguments);
    size_t start = out->size;
    request_put(out, put, token);
    /* What it borrows moves: in the item it ends it. */
    size_t size = put->arguments_at.size;
    put->arguments_at = slice_of(out->data + out->size - size, size);
    put->whole = slice_of(out->data + start, out->size - start);
    buf_free(&arguments);
}

static void check_request(random_t *rng)
{
    vec_t token = {0};
    draw_vector(rng, &token);
    for (int with = 0; with < 2; with++) {
        buf_t body = {0};
        request_t put;
        put_some_request(rng, &body, &put, with != 0 ? &token : NULL);
        slice_t one = buf_slice(&body);
        buf_t twice = {0};
        buf_append_slice(&twice, one);
        buf_append_slice(&twice, one);
        mp_t in = mp_open(buf_slice(&twice));
        for (int i = 0; i < 2; i++) {
            request_t got;
            assert_true(request_read(&in, &got));
            assert_true(got.session == put.session && got.epoch == put.epoch);
            assert_true(got.seq == put.seq && got.flags == put.flags);
            assert_true(got.left_ms == put.left_ms && got.has_token == put.has_token);
            assert_true(got.token_clock == put.token_clock && got.hlc == put.hlc);
            assert_true(got.floor == put.floor && got.command == put.command);
            assert_true(got.arguments == put.arguments);
            assert_true(slice_equal(got.arguments_at, put.arguments_at));
            assert_true(slice_equal(got.whole, one));
            if (with != 0)
                assert_vector(got.token, &token);
        }
        assert_true(mp_done(&in));
        buf_free(&twice);
        buf_free(&body);
    }
    vec_free(&token);
}

static void put_some_reply(random_t *rng, buf_t *out, reply_t *put, const vec_t *token)
{
    static const uint8_t text[] = {0xA4, 'd', 'o', 'n', 'e'};
    *put = (reply_t){.session = any_u64(rng),
                     .epoch = any_u64(rng),
                     .seq = any_u64(rng),
                     .outcome = (outcome_t)random_below(rng, OUTCOME_COUNT),
                     .value = slice_of(text, random_below(rng, 2) * sizeof text),
                     .clock = any_u64(rng),
                     .copies = (uint16_t)random_below(rng, REPLY_COPIES_MAX + 1),
                     .seen_base = any_u64(rng),
                     .seen_any = any_u64(rng)};
    reply_put(out, put, token);
}

static void check_reply(random_t *rng)
{
    vec_t token = {0};
    buf_t body = {0};
    reply_t put;
    draw_vector(rng, &token);
    put_some_reply(rng, &body, &put, &token);
    slice_t messages[] = {mutate_exact(buf_slice(&body)), grown(&body)};
    for (int i = 0; i < 2; i++) {
        reply_t got;
        mp_t in = mp_open(messages[i]);
        assert_true(reply_read(&in, &got));
        assert_true(mp_done(&in));
        assert_true(got.session == put.session && got.epoch == put.epoch && got.seq == put.seq);
        assert_int_equal(got.outcome, put.outcome);
        if (put.value.size != 0)
            assert_true(slice_equal(got.value, put.value));
        else
            assert_true(got.value.size == 1 && got.value.data[0] == 0xC0); /* nil */
        assert_vector(got.token, &token);
        assert_true(got.clock == put.clock && got.copies == put.copies);
        assert_true(got.seen_base == put.seen_base && got.seen_any == put.seen_any);
        mutate_free(messages[i]);
    }
    vec_free(&token);
    buf_free(&body);
}

/* ---- damage ---- */

static void read_vector(slice_t bytes)
{
    vec_t vector = {0};
    mp_t in = mp_open(bytes);
    mp_vector(&in, &vector);
    vec_free(&vector);
}

/* Every reader over any bytes: what it hands out lies within them. */
static void read_all(slice_t body)
{
    session_hello_t hello;
    session_welcome_t welcome;
    link_hello_t link;
    link_status_t status;
    uint64_t session;
    if (session_hello_read(body, &hello)) {
        assert_true(hello.session != 0 && hello.pin >= -1 && hello.pin <= 255);
        assert_true(mutate_within(hello.token, body));
        read_vector(hello.token);
    }
    if (session_welcome_read(body, &welcome))
        mutate_touch(welcome.text);
    session_bye_read(body, &session);
    link_hello_read(body, &link);
    if (link_status_read(body, &status)) {
        assert_true(status.status <= STATUS_LAST);
        read_vector(status.vector);
    }
    request_t request;
    for (mp_t in = mp_open(body); in.at < in.end && request_read(&in, &request);) {
        assert_true(mutate_within(request.whole, body) && request.whole.size != 0);
        assert_true(mutate_within(request.arguments_at, request.whole));
        assert_true(request.arguments <= COMMAND_ARGUMENTS_MAX);
        mp_t arguments = mp_open(request.arguments_at);
        for (uint32_t i = 0; i < request.arguments; i++)
            mutate_touch(mp_bytes(&arguments));
        assert_true(mp_done(&arguments));
        if (request.has_token)
            read_vector(request.token);
    }
    reply_t reply;
    for (mp_t in = mp_open(body); in.at < in.end && reply_read(&in, &reply);) {
        assert_true(mutate_within(reply.value, body) && mutate_within(reply.token, body));
        assert_true((unsigned)reply.outcome < OUTCOME_COUNT);
        mutate_touch(reply.value);
        read_vector(reply.token);
    }
}

static void check_damage(random_t *rng)
{
    vec_t token = {0};
    buf_t body = {0};
    request_t request;
    reply_t reply;
    draw_vector(rng, &token);
    switch (random_below(rng, 5)) {
    case 0: {
        session_hello_t hello = {.session = any_u64(rng), .pin = -1};
        session_hello_put(&body, &hello, &token);
        break;
    }
    case 1: {
        session_welcome_t welcome = {.session = any_u64(rng), .text = slice_text("full")};
        session_welcome_put(&body, &welcome);
        break;
    }
    case 2: {
        link_status_t status = {.incarnation = any_u64(rng)};
        link_status_put(&body, &status, &token);
        break;
    }
    case 3:
        put_some_request(rng, &body, &request, random_below(rng, 2) != 0 ? &token : NULL);
        put_some_request(rng, &body, &request, NULL);
        break;
    default:
        put_some_reply(rng, &body, &reply, &token);
        put_some_reply(rng, &body, &reply, &token);
        break;
    }
    for (int i = 0; i < 20; i++) {
        slice_t damaged = mutate(rng, buf_slice(&body), 0);
        read_all(damaged);
        mutate_free(damaged);
    }
    for (size_t cut = 0; cut <= body.size && cut < 200; cut++) {
        slice_t part = mutate_exact(slice_of(body.data, cut));
        read_all(part);
        mutate_free(part);
    }
    vec_free(&token);
    buf_free(&body);
}

static void check_noise(random_t *rng)
{
    uint8_t noise[64];
    size_t size = random_below(rng, sizeof noise + 1);
    for (size_t i = 0; i < size; i++)
        noise[i] = mutate_byte(rng);
    slice_t exact = mutate_exact(slice_of(noise, size));
    read_all(exact);
    mutate_free(exact);
}

static void test_bodies(void **state)
{
    (void)state;
    property_run(check_hello, 300);
    property_run(check_welcome, 300);
    property_run(check_link, 300);
}

static void test_items(void **state)
{
    (void)state;
    property_run(check_request, 300);
    property_run(check_reply, 300);
}

static void test_damage(void **state)
{
    (void)state;
    property_run(check_damage, 1000);
    property_run(check_noise, 5000);
}

/*
 * Copies are one byte, at the place that reply_put names: a replica fills it in when it knows them.
 */
static void test_copies(void **state)
{
    (void)state;
    const vec_t nothing = {0};
    buf_t out = {0};
    const reply_t put = {.session = 1, .epoch = 1, .seq = 1, .copies = 40000, .seen_base = 900};
    size_t at = reply_put(&out, &put, &nothing);
    assert_int_equal(out.data[at], REPLY_COPIES_MAX);
    out.data[at] = 3;
    mp_t in = mp_open(buf_slice(&out));
    reply_t got;
    assert_true(reply_read(&in, &got) && mp_done(&in));
    assert_int_equal(got.copies, 3);
    assert_int_equal(got.seen_base, 900);
    buf_free(&out);
}

static void test_bounds(void **state)
{
    (void)state;
    vec_t token = {0};
    buf_t body = {0};
    session_hello_t got;
    session_hello_t hello = {.session = 1, .pin = 255};
    session_hello_put(&body, &hello, &token);
    assert_true(session_hello_read(buf_slice(&body), &got));
    for (int i = 0; i < 3; i++) {
        hello = (session_hello_t){.session = i != 0, .pin = i == 0 ? 0 : i == 1 ? 256 : -2};
        buf_reset(&body);
        session_hello_put(&body, &hello, &token);
        assert_false(session_hello_read(buf_slice(&body), &got));
    }
    link_status_t status = {.status = STATUS_LAST + 1};
    buf_reset(&body);
    link_status_put(&body, &status, &token);
    assert_false(link_status_read(buf_slice(&body), &status));
    buf_reset(&body);
    session_bye_put(&body, 5);
    buf_append_u8(&body, 0xC0); /* something behind the body */
    uint64_t session;
    assert_false(session_bye_read(buf_slice(&body), &session));
    buf_free(&body);
}

static void test_status_names(void **state)
{
    (void)state;
    for (unsigned i = STATUS_ACTIVE; i <= STATUS_LAST; i++) {
        replica_status_t got = STATUS_ACTIVE;
        assert_true(status_parse(status_name(i), &got));
        assert_int_equal(got, i);
    }
    replica_status_t got = STATUS_OFFLINE;
    assert_false(status_parse("asleep", &got));
    assert_int_equal(got, STATUS_OFFLINE);
    assert_string_equal(status_name(STATUS_LAST + 1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_bodies),    property_test(test_items),
        property_test(test_damage),    cmocka_unit_test(test_copies),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_status_names),
    };
    return cmocka_run_group_tests_name("session_wire", tests, NULL, NULL);
}
