/*
 * The worked examples of docs/protocol.md are decoded from the page itself and must be, byte for
 * byte, what this version sends. Runs from the root of the repository. When the wire format
 * changes, HEARSAY_PRINT_EXAMPLES=1 prints the blocks anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/wire/beacon.h"
#include "bus/wire/command.h"
#include "bus/wire/frame.h"
#include "bus/wire/peer.h"
#include "bus/wire/record.h"
#include "bus/wire/session.h"

#define SESSION    UINT64_C(0x1122334455667788)
#define NODE       UINT64_C(0xa0a1a2a3a4a5a6a7)
#define OTHER_NODE UINT64_C(0xb0b1b2b3b4b5b6b7)
#define LINEAGE    UINT64_C(0x0102030405060708)
#define CLOCK      (UINT64_C(1767225600000) << 16) /* 2026-01-01T00:00:00Z */

static char page[256 * 1024];

static void load_page(void)
{
    FILE *file = fopen("docs/protocol.md", "r");
    assert_non_null(file);
    size_t size = fread(page, 1, sizeof page - 1, file);
    page[size] = '\0';
    fclose(file);
}

/* The bytes of the block "```hex NAME" of the page; what stands behind a '#' is a remark. */
static void read_block(const char *name, buf_t *out)
{
    char head[64];
    snprintf(head, sizeof head, "```hex %s\n", name);
    const char *at = strstr(page, head);
    if (at == NULL)
        fail_msg("docs/protocol.md has no block \"hex %s\"", name);
    at += strlen(head);
    while (strncmp(at, "```", 3) != 0) {
        if (*at == '#') {
            at += strcspn(at, "\n");
        } else if (isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1])) {
            const char digits[3] = {at[0], at[1], '\0'};
            buf_append_u8(out, (uint8_t)strtoul(digits, NULL, 16));
            at += 2;
        } else {
            assert_true(*at != '\0');
            at++;
        }
    }
}

static void check_block(const char *name, buf_t *expected)
{
    if (getenv("HEARSAY_PRINT_EXAMPLES") != NULL) {
        printf("```hex %s\n", name);
        for (size_t i = 0; i < expected->size; i++)
            printf("%02x%s", expected->data[i],
                   i % 16 == 15 || i + 1 == expected->size ? "\n" : " ");
        printf("```\n");
        buf_free(expected);
        return;
    }
    buf_t found = {0};
    read_block(name, &found);
    assert_int_equal(found.size, expected->size);
    assert_memory_equal(found.data, expected->data, expected->size);
    buf_free(&found);
    buf_free(expected);
}

static void put_text(buf_t *out, const char *text)
{
    mp_put_bin(out, slice_text(text));
}

static void test_hello(void **state)
{
    (void)state;
    buf_t bytes = {0};
    vec_t token = {0};
    const frame_t frame = {.kind = FRAME_HELLO, .items = 1, .message = 1};
    const session_hello_t hello = {
        .session = SESSION, .cluster = beacon_cluster_tag("hearsay"), .pin = -1};
    frame_begin(&bytes, &frame);
    session_hello_put(&bytes, &hello, &token);
    check_block("hello", &bytes);
}

static void test_welcome(void **state)
{
    (void)state;
    buf_t bytes = {0};
    const frame_t frame = {.kind = FRAME_WELCOME, .route = 9, .window = 4 << 20, .message = 1};
    const session_welcome_t welcome = {
        .session = SESSION, .id = 0, .incarnation = NODE, .lineage = LINEAGE, .clock = CLOCK};
    frame_begin(&bytes, &frame);
    session_welcome_put(&bytes, &welcome);
    check_block("welcome", &bytes);
}

static void test_request(void **state)
{
    (void)state;
    buf_t bytes = {0};
    buf_t arguments = {0};
    put_text(&arguments, "visits");
    const frame_t frame = {.kind = FRAME_REQUEST, .items = 1, .route = 9, .message = 2};
    const request_t request = {
        .session = SESSION,
        .epoch = 1,
        .seq = 1,
        .flags = REQUEST_FRESH,
        .left_ms = 5000,
        .hlc = CLOCK + 1,
        .command = COMMAND_INCR,
        .arguments = 1,
        .arguments_at = buf_slice(&arguments),
    };
    frame_begin(&bytes, &frame);
    mp_put_array(&bytes, 1);
    request_put(&bytes, &request, NULL);
    buf_free(&arguments);
    check_block("request", &bytes);
}

static void test_reply(void **state)
{
    (void)state;
    buf_t bytes = {0};
    buf_t value = {0};
    vec_t token = {0};
    vec_raise(&token, NODE, 42);
    mp_put_int(&value, 8);
    const frame_t frame = {.kind = FRAME_REPLY, .items = 1, .route = 9, .window = 4 << 20};
    const reply_t reply = {
        .session = SESSION,
        .epoch = 1,
        .seq = 1,
        .value = buf_slice(&value),
        .clock = CLOCK + (3 << 16),
        .copies = 1,
    };
    frame_begin(&bytes, &frame);
    mp_put_array(&bytes, 1);
    reply_put(&bytes, &reply, &token);
    vec_free(&token);
    buf_free(&value);
    check_block("reply", &bytes);
}

static void put_record(buf_t *out)
{
    buf_t ops = {0};
    buf_t result = {0};
    const op_t op = {.code = OP_INCR, .key = slice_text("visits"), .amount = 1};
    mp_put_array(&ops, 1);
    op_put(&ops, &op);
    mp_put_int(&result, 8);
    record_t record = {
        .origin = NODE,
        .n = 42,
        .tag = {CLOCK + 1, SESSION, 1},
        .result = buf_slice(&result),
        .ops = buf_slice(&ops),
    };
    vec_raise(&record.deps, OTHER_NODE, 7);
    record_put(out, &record);
    record_free(&record);
    buf_free(&ops);
    buf_free(&result);
}

static void test_record(void **state)
{
    (void)state;
    buf_t bytes = {0};
    put_record(&bytes);
    check_block("record", &bytes);
}

static void test_batch(void **state)
{
    (void)state;
    buf_t bytes = {0};
    buf_t record = {0};
    put_record(&record);
    const peer_batch_t batch = {
        .cluster = beacon_cluster_tag("hearsay"),
        .lineage = LINEAGE,
        .origin = NODE,
        .head = 42,
        .count = 1,
        .records = buf_slice(&record),
    };
    peer_batch_put(&bytes, &batch);
    buf_free(&record);
    check_block("batch", &bytes);
}

static void test_beacon(void **state)
{
    (void)state;
    buf_t bytes = {0};
    const beacon_t beacon = {
        .kind = BEACON_NODE,
        .cluster = beacon_cluster_tag("hearsay"),
        .lineage = LINEAGE,
        .machine = 5,
        .incarnation = NODE,
        .id = 0,
        .port = 7710,
        .counter = 1,
    };
    beacon_encode(&beacon, buf_reserve(&bytes, BEACON_SIZE));
    bytes.size = BEACON_SIZE;
    check_block("beacon", &bytes);
}

/* The decoders take from the page what its text says is in it. */
static void test_page_decodes(void **state)
{
    (void)state;
    if (getenv("HEARSAY_PRINT_EXAMPLES") != NULL)
        return;
    buf_t bytes = {0};
    frame_t frame;
    request_t request;
    read_block("request", &bytes);
    assert_int_equal(frame_read(buf_slice(&bytes), &frame), FRAME_GOOD);
    assert_int_equal(frame.kind, FRAME_REQUEST);
    mp_t in = mp_open(frame_body(buf_slice(&bytes)));
    assert_int_equal(mp_array(&in, 256), frame.items);
    assert_true(request_read(&in, &request) && mp_done(&in));
    assert_int_equal(request.command, COMMAND_INCR);
    assert_true(request.session == SESSION && request.flags == REQUEST_FRESH);
    mp_t arguments = mp_open(request.arguments_at);
    assert_true(slice_equal(mp_bytes(&arguments), slice_text("visits")));

    reply_t reply;
    buf_reset(&bytes);
    read_block("reply", &bytes);
    in = mp_open(frame_body(buf_slice(&bytes)));
    assert_int_equal(mp_array(&in, 256), 1);
    assert_true(reply_read(&in, &reply) && mp_done(&in));
    mp_t value = mp_open(reply.value);
    assert_int_equal(mp_int(&value), 8);

    record_t record = {0};
    buf_reset(&bytes);
    read_block("record", &bytes);
    assert_true(record_read(buf_slice(&bytes), &record));
    assert_int_equal(record.n, 42);
    assert_int_equal(vec_get(&record.deps, OTHER_NODE), 7);
    record_free(&record);
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),   cmocka_unit_test(test_welcome),
        cmocka_unit_test(test_request), cmocka_unit_test(test_reply),
        cmocka_unit_test(test_record),  cmocka_unit_test(test_batch),
        cmocka_unit_test(test_beacon),  cmocka_unit_test(test_page_decodes),
    };
    load_page();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
