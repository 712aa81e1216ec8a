#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/wire/frame.h"
#include "tests/unit/mutate.h"
#include "tests/unit/property.h"

static frame_t draw(random_t *rng)
{
    return (frame_t){
        .kind = (uint8_t)random_u64(rng),
        .flags = (uint8_t)random_u64(rng),
        .items = (uint16_t)random_u64(rng),
        .reason = (uint16_t)random_u64(rng),
        .slot = (uint32_t)random_u64(rng),
        .generation = (uint32_t)random_u64(rng),
        .route = (uint32_t)random_u64(rng),
        .window = (uint32_t)random_u64(rng),
        .message = random_u64(rng),
    };
}

static void assert_same(const frame_t *a, const frame_t *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->items, b->items);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->slot, b->slot);
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->route, b->route);
    assert_int_equal(a->window, b->window);
    assert_true(a->message == b->message);
}

static void check_round_trip(random_t *rng)
{
    buf_t out = {0};
    frame_t first = draw(rng);
    frame_t second = draw(rng);
    frame_t got;

    buf_append_text(&out, "before"); /* the header needs no alignment */
    assert_int_equal(frame_begin(&out, &first), 6);
    buf_append_text(&out, "body");
    slice_t message = slice_of(out.data + 6, out.size - 6);
    assert_int_equal(message.size, FRAME_HEADER_SIZE + 4);
    assert_int_equal(frame_read(message, &got), FRAME_GOOD);
    assert_same(&got, &first);
    assert_true(slice_equal(frame_body(message), slice_text("body")));

    frame_write(out.data + 6, &second); /* rewritten in place: the body stays */
    assert_int_equal(frame_read(message, &got), FRAME_GOOD);
    assert_same(&got, &second);
    assert_true(slice_equal(frame_body(message), slice_text("body")));
    buf_free(&out);
}

static void check_damage(random_t *rng)
{
    buf_t out = {0};
    frame_t frame = draw(rng);
    frame_t got;
    frame_begin(&out, &frame);
    slice_t message = mutate(rng, buf_slice(&out), 0);
    if (frame_read(message, &got) == FRAME_GOOD)
        mutate_touch(frame_body(message));
    mutate_free(message);
    buf_free(&out);
}

static void test_round_trip(void **state)
{
    (void)state;
    property_run(check_round_trip, 500);
}

static void test_damage(void **state)
{
    (void)state;
    property_run(check_damage, 2000);
}

/* The bytes that docs/protocol.md promises. */
static void test_layout(void **state)
{
    (void)state;
    const uint8_t expected[FRAME_HEADER_SIZE] = {0xE5, 1,    3,    1,    0x01, 0x02, 0x03, 0x04,
                                                 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C,
                                                 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x13, 0x14,
                                                 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C};
    const frame_t frame = {.kind = FRAME_REQUEST,
                           .flags = FRAME_ANSWER,
                           .items = 0x0102,
                           .reason = 0x0304,
                           .slot = 0x05060708,
                           .generation = 0x090A0B0C,
                           .route = 0x0D0E0F10,
                           .window = 0x11121314,
                           .message = 0x15161718191A1B1CULL};
    uint8_t bytes[FRAME_HEADER_SIZE];
    frame_write(bytes, &frame);
    assert_memory_equal(bytes, expected, sizeof bytes);
}

static void test_faults(void **state)
{
    (void)state;
    uint8_t bytes[FRAME_HEADER_SIZE];
    const frame_t frame = {.kind = FRAME_PING};
    frame_t got;
    frame_write(bytes, &frame);
    assert_int_equal(frame_read(slice_of(bytes, sizeof bytes), &got), FRAME_GOOD);
    assert_int_equal(frame_body(slice_of(bytes, sizeof bytes)).size, 0);
    assert_int_equal(frame_read(slice_of(bytes, sizeof bytes - 1), &got), FRAME_NOT_OURS);
    assert_int_equal(frame_read(slice_of(NULL, 0), &got), FRAME_NOT_OURS);
    bytes[1]++;
    assert_int_equal(frame_read(slice_of(bytes, sizeof bytes), &got), FRAME_OTHER_VERSION);
    bytes[0]++;
    assert_int_equal(frame_read(slice_of(bytes, sizeof bytes), &got), FRAME_NOT_OURS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        property_test(test_round_trip),
        property_test(test_damage),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
