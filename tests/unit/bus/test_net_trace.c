#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "bus/net/message.h"
#include "bus/net/monitor.h"
#include "bus/net/runtime.h"
#include "bus/net/socket.h"
#include "bus/net/trace.h"
#include "tests/unit/bus/net_fixture.h"

enum { DEADLINE_MS = 5000 };

static const trace_source_t source = {.program = CONTROL_NODE, .id = 3, .incarnation = 99};

static void *open_socket(int type)
{
    const socket_options_t options = {
        .type = type, .message_max = 1 << 20, .send_queue = 1000, .receive_queue = 1000};
    void *socket = NULL;
    assert_int_equal(socket_open(&socket, &options, NULL), 0);
    return socket;
}

typedef struct bench {
    loop_t *loop;
    trace_t *trace;
    void *xpub;
    void *sub;
    loop_fn *on_turn; /* what happens in each turn before what was told goes out */
    bool (*is_over)(struct bench *bench, const trace_batch_t *batch);
    uint64_t expected; /* the next item by the count of those before */
    uint64_t items;
    uint64_t dropped;
    bool saw_connected;
} bench_t;

static void turn(void *arg)
{
    bench_t *bench = arg;
    if (bench->on_turn != NULL)
        bench->on_turn(bench);
    trace_turn(bench->trace);
}

static bool sub_ready(void *arg)
{
    bench_t *bench = arg;
    zmq_msg_t message;

    while (message_take(bench->sub, &message) == MESSAGE_TAKEN) {
        trace_batch_t batch;
        assert_true(trace_batch_read(message_slice(&message), &batch));
        assert_true(batch.id == 3 && batch.incarnation == 99 && batch.port == 7740);
        assert_true(batch.before == bench->expected);
        bench->expected += batch.items;
        bench->items += batch.items;
        bench->dropped = batch.dropped;
        if (bench->is_over(bench, &batch))
            loop_stop(bench->loop, 0);
        zmq_msg_close(&message);
    }
    return false;
}

static void on_late(void *arg)
{
    loop_stop(((bench_t *)arg)->loop, 99);
}

static void open_bench(bench_t *bench)
{
    endpoint_t endpoint = {.host = "127.0.0.1"};

    *bench = (bench_t){.loop = loop_new(), .xpub = open_socket(ZMQ_XPUB)};
    assert_int_equal(trace_open(&bench->trace, &source, NULL), 0);
    assert_int_equal(socket_bind(bench->xpub, "127.0.0.1", 0, NULL), 0);
    assert_int_equal(trace_serve(bench->trace, bench->loop, bench->xpub, 7740, NULL), 0);
    bench->sub = open_socket(ZMQ_SUB);
    endpoint.port = (uint16_t)socket_port(bench->xpub);
    assert_int_equal(socket_connect(bench->sub, &endpoint, NULL), 0);
    assert_int_equal(loop_add_socket(bench->loop, bench->sub, sub_ready, bench, NULL), 0);
    loop_on_turn(bench->loop, turn, bench);
    loop_on_timer(bench->loop, on_late, bench);
    loop_set_deadline(bench->loop, net_now().boot_ms + DEADLINE_MS);
}

static void close_bench(bench_t *bench)
{
    loop_remove_socket(bench->loop, bench->sub);
    socket_close(&bench->sub);
    trace_destroy(&bench->trace);
    socket_close(&bench->xpub);
    loop_destroy(&bench->loop);
}

static void follow(const bench_t *bench, trace_area_t area)
{
    uint8_t topic = trace_topic(area);
    assert_int_equal(zmq_setsockopt(bench->sub, ZMQ_SUBSCRIBE, &topic, 1), 0);
}

static const trace_item_t request = {.kind = TRACE_RECEIVED, .session = 5, .seq = 6};
static const trace_item_t update = {.kind = TRACE_UPDATE_APPLIED, .update = {99, 1}};

static bool has_begun(bench_t *bench, const trace_batch_t *batch)
{
    (void)bench;
    return batch->items == 0;
}

static bool has_items(bench_t *bench, const trace_batch_t *batch)
{
    (void)bench;
    return batch->items != 0;
}

static void put_both(void *arg)
{
    bench_t *bench = arg;
    trace_put(bench->trace, &request);
    trace_put(bench->trace, &update);
}

static void test_only_what_is_followed_is_told(void **state)
{
    (void)state;
    bench_t bench;

    open_bench(&bench);
    put_both(&bench); /* before anybody follows: gone */
    assert_false(trace_wants(bench.trace, TRACE_REQUESTS));
    follow(&bench, TRACE_REQUESTS);
    bench.is_over = has_begun;
    assert_int_equal(loop_run(bench.loop), 0);
    assert_true(trace_wants(bench.trace, TRACE_REQUESTS));
    assert_false(trace_wants(bench.trace, TRACE_GOSSIP));
    bench.is_over = has_items;
    bench.on_turn = put_both;
    put_both(&bench);
    trace_turn(bench.trace);
    assert_int_equal(loop_run(bench.loop), 0);
    assert_true(bench.items >= 1);
    close_bench(&bench);
}

static bool nobody_follows(bench_t *bench, const trace_batch_t *batch)
{
    (void)batch;
    return !trace_wants(bench->trace, TRACE_REQUESTS);
}

static void stop_when_unwanted(void *arg)
{
    bench_t *bench = arg;
    if (nobody_follows(bench, NULL))
        loop_stop(bench->loop, 0);
}

/* It goes without a word: its connection's end is enough. */
static void test_the_last_follower_goes(void **state)
{
    (void)state;
    bench_t bench;

    open_bench(&bench);
    follow(&bench, TRACE_REQUESTS);
    bench.is_over = has_begun;
    assert_int_equal(loop_run(bench.loop), 0);
    loop_remove_socket(bench.loop, bench.sub);
    socket_close(&bench.sub);
    bench.on_turn = stop_when_unwanted;
    assert_int_equal(loop_run(bench.loop), 0);
    bench.sub = open_socket(ZMQ_SUB); /* for close_bench */
    close_bench(&bench);
}

enum { BURST = 3 * TRACE_RING };

static void *burst(void *arg)
{
    const trace_item_t item = {.kind = TRACE_ACCEPTED, .text = slice_text("peer tcp://x value=9")};
    for (int i = 0; i < BURST; i++)
        trace_put_socket(arg, &item);
    return NULL;
}

static bool is_accounted_for(bench_t *bench, const trace_batch_t *batch)
{
    (void)batch;
    return bench->items + bench->dropped >= BURST;
}

/* The loop does not turn while another thread puts more than there is room for. */
static void test_full_ring_drops_and_counts(void **state)
{
    (void)state;
    bench_t bench;
    pthread_t thread;

    open_bench(&bench);
    follow(&bench, TRACE_SOCKETS);
    bench.is_over = has_begun;
    assert_int_equal(loop_run(bench.loop), 0);
    assert_int_equal(pthread_create(&thread, NULL, burst, bench.trace), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    bench.is_over = is_accounted_for;
    assert_int_equal(loop_run(bench.loop), 0);
    assert_true(bench.items == TRACE_RING);
    assert_true(bench.dropped == BURST - TRACE_RING);
    close_bench(&bench);
}

/* Beside the loop that empties it: each is told or counted, none twice. */
static void test_ring_under_load(void **state)
{
    (void)state;
    bench_t bench;
    pthread_t thread;

    open_bench(&bench);
    follow(&bench, TRACE_SOCKETS);
    bench.is_over = has_begun;
    assert_int_equal(loop_run(bench.loop), 0);
    assert_int_equal(pthread_create(&thread, NULL, burst, bench.trace), 0);
    bench.is_over = is_accounted_for;
    assert_int_equal(loop_run(bench.loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(bench.items + bench.dropped == BURST);
    close_bench(&bench);
}

static bool saw_connection(bench_t *bench, const trace_batch_t *batch)
{
    mp_t in = mp_open(batch->items_at);
    trace_item_t item;

    while (trace_item_next(&in, &item)) {
        char text[TRACE_TEXT_MAX + 1];
        snprintf(text, sizeof(text), "%.*s", (int)item.text.size, (const char *)item.text.data);
        bench->saw_connected |= item.kind == TRACE_CONNECTED && item.link == 8 &&
                                strncmp(text, "dealer tcp://127.0.0.1:", 23) == 0;
        if (item.kind == TRACE_HANDSHAKE_SUCCEEDED && bench->saw_connected)
            return true;
    }
    return false;
}

static void test_sockets_of_a_monitor(void **state)
{
    (void)state;
    bench_t bench;
    monitor_t *monitor = NULL;

    open_bench(&bench);
    follow(&bench, TRACE_SOCKETS);
    bench.is_over = has_begun;
    assert_int_equal(loop_run(bench.loop), 0);
    assert_int_equal(monitor_open(&monitor, bench.trace, NULL, NULL), 0);
    void *router = open_socket(ZMQ_ROUTER);
    void *dealer = open_socket(ZMQ_DEALER);
    endpoint_t endpoint = {.host = "127.0.0.1"};
    assert_int_equal(socket_bind(router, "127.0.0.1", 0, NULL), 0);
    endpoint.port = (uint16_t)socket_port(router);
    assert_int_equal(monitor_watch(monitor, dealer, "dealer", 8, NULL), 0);
    assert_int_equal(socket_connect(dealer, &endpoint, NULL), 0);
    bench.is_over = saw_connection;
    assert_int_equal(loop_run(bench.loop), 0);
    monitor_destroy(&monitor);
    socket_close(&dealer);
    socket_close(&router);
    close_bench(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_is_followed_is_told),
        cmocka_unit_test(test_the_last_follower_goes),
        cmocka_unit_test(test_full_ring_drops_and_counts),
        cmocka_unit_test(test_ring_under_load),
        cmocka_unit_test(test_sockets_of_a_monitor),
    };
    return cmocka_run_group_tests(tests, net_fixture_start, net_fixture_stop);
}
