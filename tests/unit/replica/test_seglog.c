#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "bus/base/hlc.h"
#include "bus/base/random.h"
#include "bus/wire/mp.h"
#include "replica/core/seglog.h"

enum { ENTRIES = 5 };

/* Some entries from a position on; ends[i] is the offset behind the i-th. */
typedef struct log_bytes {
    buf_t bytes;
    uint64_t position;
    size_t ends[ENTRIES];
} log_bytes_t;

static log_bytes_t log_make(uint64_t seed, uint64_t position)
{
    log_bytes_t made = {.position = position};
    random_t random;
    random_seed(&random, seed);
    for (size_t i = 0; i < ENTRIES; i++) {
        uint8_t payload[80];
        size_t size = 1 + (size_t)random_below(&random, sizeof(payload) - 1);
        for (size_t k = 0; k < size; k++)
            payload[k] = (uint8_t)random_u64(&random);
        uint8_t kind = (uint8_t)(1 + random_below(&random, 2));
        seglog_entry_put(&made.bytes, position + made.bytes.size, kind, slice_of(payload, size));
        made.ends[i] = made.bytes.size;
    }
    return made;
}

/* Reads entries until one is not good; *at is where that is. */
static seglog_state_t log_walk(slice_t bytes, uint64_t position, size_t *at)
{
    *at = 0;
    for (;;) {
        seglog_entry_t entry;
        slice_t rest = {bytes.data + *at, bytes.size - *at};
        seglog_state_t state = seglog_next(rest, position + *at, &entry);
        if (state != SEGLOG_GOOD)
            return state;
        *at += entry.size;
    }
}

static void test_header_round_trip(void **state)
{
    (void)state;
    buf_t out = {0};
    seglog_header_put(&out, 65535, UINT64_MAX - 1);
    assert_int_equal(out.size, SEGLOG_HEADER_SIZE);
    assert_memory_equal(out.data, "HSAYLOG\n\0\0\0\1\xFF\xFF\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE",
                        24);
    seglog_header_t header;
    assert_int_equal(seglog_header_read(buf_slice(&out), &header), SEGLOG_HEADER_GOOD);
    assert_int_equal(header.format, SEGLOG_FORMAT);
    assert_int_equal(header.node_id, 65535);
    assert_true(header.position == UINT64_MAX - 1);
    buf_free(&out);
}

static void test_header_tells_apart(void **state)
{
    (void)state;
    buf_t out = {0};
    seglog_header_put(&out, 3, 4096);
    seglog_header_t header;
    for (size_t bit = 0; bit < 8 * SEGLOG_HEADER_SIZE; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(seglog_header_read(buf_slice(&out), &header),
                         bit < 64 ? SEGLOG_HEADER_FOREIGN : SEGLOG_HEADER_DAMAGED);
        out.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t size = 0; size < SEGLOG_HEADER_SIZE; size++)
        assert_int_equal(seglog_header_read(slice_of(out.data, size), &header),
                         SEGLOG_HEADER_DAMAGED);
    buf_free(&out);

    /* Written by hand, checksum and all: format 2, node 3, position 0. */
    static const uint8_t newer[SEGLOG_HEADER_SIZE] = {
        'H', 'S', 'A', 'Y', 'L', 'O', 'G', '\n', 0,    0,    0,    2,    0,    3,    0,    0,
        0,   0,   0,   0,   0,   0,   0,   0,    0xED, 0x68, 0x14, 0x9B, 0x2F, 0xE8, 0x4B, 0x69,
    };
    assert_int_equal(seglog_header_read(slice_of(newer, sizeof(newer)), &header),
                     SEGLOG_HEADER_NEWER);
    assert_int_equal(header.format, 2);
    assert_int_equal(header.node_id, 3);
}

static void test_entry_round_trip(void **state)
{
    (void)state;
    buf_t out = {0};
    seglog_entry_put(&out, 700, SEGLOG_KIND_UPDATE, slice_text("payload"));
    assert_int_equal(out.size, SEGLOG_ENTRY_OVERHEAD + 7);
    size_t first = out.size;
    seglog_entry_put(&out, 700 + first, SEGLOG_KIND_META, slice_of(NULL, 0));

    seglog_entry_t entry;
    assert_int_equal(seglog_next(buf_slice(&out), 700, &entry), SEGLOG_GOOD);
    assert_int_equal(entry.kind, SEGLOG_KIND_UPDATE);
    assert_int_equal(entry.size, first);
    assert_true(slice_equal(entry.payload, slice_text("payload")));
    slice_t rest = slice_of(out.data + first, out.size - first);
    assert_int_equal(seglog_next(rest, 700 + first, &entry), SEGLOG_GOOD);
    assert_int_equal(entry.kind, SEGLOG_KIND_META);
    assert_int_equal(entry.payload.size, 0);
    assert_int_equal(entry.size, SEGLOG_ENTRY_OVERHEAD);
    assert_int_equal(seglog_next(slice_of(NULL, 0), 0, &entry), SEGLOG_END);
    buf_free(&out);
}

static void test_entry_belongs_to_its_position(void **state)
{
    (void)state;
    buf_t out = {0};
    seglog_entry_t entry;
    seglog_entry_put(&out, 4096, SEGLOG_KIND_UPDATE, slice_text("old"));
    assert_int_equal(seglog_next(buf_slice(&out), 4096, &entry), SEGLOG_GOOD);
    assert_int_equal(seglog_next(buf_slice(&out), 0, &entry), SEGLOG_DAMAGED);
    assert_int_equal(seglog_next(buf_slice(&out), 4097, &entry), SEGLOG_DAMAGED);
    buf_free(&out);
}

static void test_cut_anywhere_is_torn(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        log_bytes_t made = log_make(seed, seed << 33);
        size_t next = 0;
        for (size_t cut = 0; cut < made.bytes.size; cut++) {
            size_t at;
            slice_t bytes = slice_of(made.bytes.data, cut);
            size_t good = next == 0 ? 0 : made.ends[next - 1];
            if (cut == made.ends[next])
                good = made.ends[next++];
            assert_int_equal(log_walk(bytes, made.position, &at),
                             cut == good ? SEGLOG_END : SEGLOG_TORN);
            assert_int_equal(at, good);
            assert_false(
                seglog_find_good(slice_of(bytes.data + at, cut - at), made.position + at, 1));
        }
        buf_free(&made.bytes);
    }
}

static void test_zeros_are_torn(void **state)
{
    (void)state;
    log_bytes_t made = log_make(7, 11);
    size_t before = made.bytes.size;
    for (size_t i = 0; i < 5000; i++) {
        size_t at;
        buf_append_u8(&made.bytes, 0);
        assert_int_equal(log_walk(buf_slice(&made.bytes), made.position, &at), SEGLOG_TORN);
        assert_int_equal(at, before);
    }
    buf_free(&made.bytes);
}

static void test_flip_anywhere_is_found(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        log_bytes_t made = log_make(seed, seed * 1000);
        slice_t bytes = buf_slice(&made.bytes);
        size_t begin = 0;
        for (size_t i = 0; i < ENTRIES; begin = made.ends[i++]) {
            for (size_t bit = 8 * begin; bit < 8 * made.ends[i]; bit++) {
                made.bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
                size_t at;
                seglog_state_t found = log_walk(bytes, made.position, &at);
                assert_true(found == SEGLOG_DAMAGED || found == SEGLOG_TORN);
                assert_int_equal(at, begin);
                slice_t rest = slice_of(bytes.data + at, bytes.size - at);
                assert_int_equal(seglog_find_good(rest, made.position + at, 1), i + 1 < ENTRIES);
                made.bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
            }
        }
        buf_free(&made.bytes);
    }
}

/* A value may hold bytes that are a good entry there: what is around them is found, not they. */
static void test_next_good_is_outermost(void **state)
{
    (void)state;
    enum { DAMAGED = 10, BEFORE = 5 };
    const uint64_t position = 1000;
    buf_t out = {0};
    buf_t payload = {0};
    for (int i = 0; i < DAMAGED; i++)
        buf_append_u8(&out, 0xFF);
    for (int i = 0; i < BEFORE; i++)
        buf_append_u8(&payload, 'x');
    seglog_entry_put(&payload, position + DAMAGED + SEGLOG_ENTRY_OVERHEAD + BEFORE, 1,
                     slice_text("inner"));
    buf_append_text(&payload, "what comes behind");
    seglog_entry_put(&out, position + DAMAGED, 1, buf_slice(&payload));
    assert_int_equal(seglog_next_good(buf_slice(&out), position), DAMAGED);
    buf_free(&payload);
    buf_free(&out);
}

static void test_find_good_is_bounded(void **state)
{
    (void)state;
    /* Every eighth offset looks like an entry of 1 MiB; unbounded, the search would hash 1 TiB. */
    static const uint8_t lure[8] = {0, 0x10, 0, 0, 1, 0, 0, 0};
    buf_t out = {0};
    for (size_t i = 0; i < (size_t)1 << 20; i++)
        buf_append(&out, lure, sizeof(lure));
    assert_true(seglog_find_good(buf_slice(&out), 0, 1));
    buf_free(&out);
}

static void test_meta(void **state)
{
    (void)state;
    buf_t out = {0};
    uint64_t lineage = 0;
    seglog_meta_put(&out, 0xFEDCBA9876543210);
    assert_true(seglog_meta_read(buf_slice(&out), &lineage));
    assert_true(lineage == 0xFEDCBA9876543210);
    for (size_t size = 0; size < out.size; size++)
        assert_false(seglog_meta_read(slice_of(out.data, size), &lineage));
    buf_append_u8(&out, 0);
    assert_false(seglog_meta_read(buf_slice(&out), &lineage));

    /* A later version says more. */
    buf_reset(&out);
    mp_put_array(&out, 2);
    mp_put_uint(&out, 5);
    mp_put_text(&out, "later");
    assert_true(seglog_meta_read(buf_slice(&out), &lineage));
    assert_true(lineage == 5);
    buf_free(&out);
}

static void test_clock(void **state)
{
    (void)state;
    buf_t out = {0};
    uint64_t clock = 0;
    int64_t lead_ms = 0;
    seglog_clock_put(&out, 0xFEDCBA9876543210, HLC_MS_MAX);
    assert_true(seglog_clock_read(buf_slice(&out), &clock, &lead_ms));
    assert_true(clock == 0xFEDCBA9876543210 && lead_ms == HLC_MS_MAX);
    for (size_t size = 0; size < out.size; size++)
        assert_false(seglog_clock_read(slice_of(out.data, size), &clock, &lead_ms));
    buf_reset(&out);
    seglog_clock_put(&out, 1, HLC_MS_MAX + 1);
    assert_false(seglog_clock_read(buf_slice(&out), &clock, &lead_ms));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_round_trip),
        cmocka_unit_test(test_header_tells_apart),
        cmocka_unit_test(test_entry_round_trip),
        cmocka_unit_test(test_entry_belongs_to_its_position),
        cmocka_unit_test(test_cut_anywhere_is_torn),
        cmocka_unit_test(test_zeros_are_torn),
        cmocka_unit_test(test_flip_anywhere_is_found),
        cmocka_unit_test(test_next_good_is_outermost),
        cmocka_unit_test(test_find_good_is_bounded),
        cmocka_unit_test(test_meta),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
