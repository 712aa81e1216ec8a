#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/replica/node_rig.h"

/*
 * Two nodes with a session each, its id that of the node plus 1. What is issued has a clock greater
 * than all before.
 */
typedef struct pair {
    node_t *a;
    node_t *b;
    hlc_t hlc;
} pair_t;

static pair_t pair_new(void)
{
    pair_t pair = {.a = served(0, 10, 1), .b = served(1, 20, 2)};
    connect_nodes(pair.a, pair.b);
    pair.hlc = clock_of(pair.a) + 1;
    return pair;
}

static void pair_free(pair_t *pair)
{
    node_free(pair->a);
    node_free(pair->b);
}

/* The command is the first word. */
static void issue_as(node_t *n, request_t request, const char *text)
{
    char name[16];
    size_t size = strcspn(text, " ");
    snprintf(name, sizeof name, "%.*s", (int)size, text);
    request.epoch = 1;
    request.left_ms = 1000;
    request.command = command_by_name(name)->code;
    assert_int_equal(call_request(n, request, text + size + 1).outcome, OUTCOME_OK);
}

static void issue(pair_t *pair, node_t *n, const char *text)
{
    static uint64_t seq = 1;
    pair->hlc += 0x100;
    issue_as(n,
             (request_t){.session = replica_info(n->replica, n->now).id + 1U,
                         .seq = seq++,
                         .hlc = pair->hlc,
                         .flags = REQUEST_FRESH},
             text);
}

static void cut(pair_t *pair)
{
    pair->a->is_deaf = pair->b->is_deaf = true;
}

static void heal(pair_t *pair)
{
    pair->a->is_deaf = pair->b->is_deaf = false;
    for (int i = 0; i < 4; i++)
        pass(pair->a, 100); /* the round that closes the burst, then pulls */
    assert_int_equal(has(pair->a, 20), has(pair->b, 20));
    assert_int_equal(has(pair->a, 10), has(pair->b, 10));
    assert_true(replica_digest(pair->a->replica, 0) == replica_digest(pair->b->replica, 0));
}

static uint64_t conflicts(const node_t *n)
{
    return replica_info(n->replica, n->now).counts->conflicts;
}

/* Behind the first one both know, A and B update, B under the greater tag, and hear of it. */
static void test_conflicts(void **state)
{
    (void)state;
    static const char hash[] = "hset k f 1 g 1";
    static const struct {
        const char *before; /* NULL: nothing, as in the next two */
        const char *at_a;
        const char *at_b;
        unsigned a; /* counted */
        unsigned b;
    } cases[] = {
        {NULL, "set k x", "set k y", 0, 1},
        {"set k w", "set k x", "set k y", 0, 1},
        {NULL, "set k x", "set k x", 0, 0},
        {NULL, "set k x", "set l y", 0, 0},
        {"set k x", NULL, "set k y", 0, 0}, /* it had been seen */
        {NULL, "incr k", "incr k", 0, 0},
        {NULL, "incr k", "set k 5", 0, 1},
        {NULL, "set k 5", "incr k", 0, 0},
        {NULL, "set k text", "incr k", 1, 0}, /* no number: the greater tag does not help */
        {"set k 1", "del k", "del k", 0, 0},
        {"set k 1", "del k", "set k 2", 0, 1},
        {"set k 1", "set k 2", "del k", 0, 1},
        {"set k 1", "incr k", "del k", 0, 1},
        {"set k 1", "del k", "incr k", 0, 0},
        {NULL, "set k x", "sadd k e", 0, 1},
        {NULL, "hset k f x", "set k y", 0, 1},
        {NULL, "hset k f x", "hset k f y", 0, 1},
        {NULL, "hset k f x", "hset k g y", 0, 0},
        {hash, "hset k f 2 g 2", "hset k f 3 g 2", 0, 1},
        {hash, "hdel k f", "hset k f 2", 0, 1},
        {hash, "hset k f 2", "hdel k f", 0, 1},
        {hash, "hdel k f", "hdel k f", 0, 0},
        {hash, "hincr k f 1", "hset k f 7", 0, 1},
        {hash, "hincr k f 1", "hincr k f 1", 0, 0},
        {hash, "hdel k f", "del k", 0, 0},
        {hash, "del k", "hdel k f", 0, 0},
        {hash, "del k", "hset k f 2", 0, 1},
        {hash, "hset k f 2", "del k", 0, 1},
        {"sadd k e", "sadd k e", "sadd k e", 0, 0},
        {"sadd k e", "srem k e", "srem k e", 0, 0},
        {"sadd k e", "srem k e", "sadd k e", 0, 1},
        {"sadd k e", "sadd k e", "srem k e", 0, 1},
        {"sadd k e", "sadd k f", "srem k e", 0, 0},
        {"set k 1", "expire k 5", "expire k 9", 0, 0},
        {"set k 1", "expire k 5", "set k 2", 0, 0},
        {NULL, "mset k 1 l 1 m 1", "mset k 2 l 2 n 2", 0, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pair_t pair = pair_new();
        issue(&pair, pair.a, "set other 1"); /* both are of one lineage */
        if (cases[i].before != NULL)
            issue(&pair, pair.a, cases[i].before);
        cut(&pair);
        if (cases[i].at_a != NULL)
            issue(&pair, pair.a, cases[i].at_a);
        issue(&pair, pair.b, cases[i].at_b);
        heal(&pair);
        if (conflicts(pair.a) != cases[i].a || conflicts(pair.b) != cases[i].b)
            fail_msg("%s, then %s: %u and %u", cases[i].at_a, cases[i].at_b,
                     (unsigned)conflicts(pair.a), (unsigned)conflicts(pair.b));
        pair_free(&pair);
    }
}

/* Who hears of both, and who had them in its log when it started again. */
static void test_conflicts_count_once(void **state)
{
    (void)state;
    pair_t pair = pair_new();
    issue(&pair, pair.a, "set other 1");
    const size_t before = pair.b->log.size;
    cut(&pair);
    issue(&pair, pair.a, "set k x");
    issue(&pair, pair.b, "set k y");
    heal(&pair);
    assert_int_equal(conflicts(pair.b), 1);
    node_t *again = node_replayed(pair.b, 21);
    pair.b->log.size = before;
    node_t *late = node_replayed(pair.b, 22);
    pair.b->peer = NULL;
    connect_nodes(pair.a, late);
    assert_int_equal(has(late, 10), 2);
    assert_int_equal(has(late, 20), 1);
    assert_int_equal(conflicts(late), 0);
    late->peer = NULL;
    connect_nodes(pair.a, again);
    assert_int_equal(has(again, 10), 2);
    assert_int_equal(conflicts(again), 0);
    assert_int_equal(conflicts(pair.a), 0);
    node_free(late);
    node_free(again);
    pair_free(&pair);
}

/* What won is of an incarnation that is over. */
static void test_conflicts_end_with_a_restart(void **state)
{
    (void)state;
    pair_t pair = pair_new();
    issue(&pair, pair.a, "set other 1");
    cut(&pair);
    issue(&pair, pair.a, "set k x");
    issue(&pair, pair.b, "set k y");
    node_t *again = node_replayed(pair.b, 21);
    connect_nodes(pair.a, again);
    assert_int_equal(has(again, 10), 2);
    assert_int_equal(conflicts(again), 0);
    node_free(again);
    pair_free(&pair);
}

/* An update that both sides took, since it was sent again, is one; also when it says two things. */
static void test_conflicts_and_copies(void **state)
{
    (void)state;
    static const char *const updates[] = {"set k x", "mset k x k y", "hset k f x"};
    static const char *const later[] = {"set k z", NULL, "del k"};
    for (size_t i = 0; i < sizeof updates / sizeof updates[0]; i++) {
        pair_t pair = pair_new();
        request_t request = {.session = 7, .seq = 1, .flags = REQUEST_FRESH};
        issue(&pair, pair.a, "set other 1");
        cut(&pair);
        hello(pair.a, 7, NULL);
        hello(pair.b, 7, NULL);
        request.hlc = pair.hlc += 0x100;
        issue_as(pair.a, request, updates[i]);
        request.flags = 0;
        issue_as(pair.b, request, updates[i]);
        if (later[i] != NULL)
            issue(&pair, pair.b, later[i]);
        heal(&pair);
        assert_int_equal(conflicts(pair.a), 0);
        assert_int_equal(conflicts(pair.b), 0);
        pair_free(&pair);
    }
}

/* Over a text that had expired, an increment begins a number of its own. */
static void test_conflicts_and_deadlines(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        pair_t pair = pair_new();
        issue(&pair, pair.a, "set other 1");
        cut(&pair);
        issue(&pair, pair.a, "set k text");
        issue(&pair, pair.a, "expire k 1");
        pair.hlc = hlc_add_ms(pair.hlc, late == 0 ? 500 : 1500);
        issue(&pair, pair.b, "incr k");
        heal(&pair);
        assert_int_equal(conflicts(pair.a), late == 0 ? 1 : 0);
        assert_int_equal(conflicts(pair.b), 0);
        pair_free(&pair);
    }
}

/* Told at once, then now and then with how many it were; the key cannot break the line. */
static void test_conflicts_are_told(void **state)
{
    enum { MORE = 5, TELL_MS = 10000 };
    (void)state;
    pair_t pair = pair_new();
    issue(&pair, pair.a, "set other 1");
    cut(&pair);
    issue(&pair, pair.a, "hset a\"b\\\n f x");
    issue(&pair, pair.b, "set a\"b\\\n y");
    heal(&pair);
    assert_int_equal(pair.a->conflict_notes, 0);
    assert_int_equal(pair.b->conflict_notes, 1);
    assert_string_equal(pair.b->conflict_note,
                        "[conflict] concurrent updates hidden count=1 op=hset id=0 "
                        "incarnation=000000000000000a key=\"a\\x22b\\x5c\\x0a\"");
    cut(&pair);
    for (int i = 0; i < MORE; i++)
        issue(&pair, pair.a, "set 0123456789012345678901234567890123456789012345678901234 x");
    issue(&pair, pair.b, "set 0123456789012345678901234567890123456789012345678901234 y");
    heal(&pair);
    assert_int_equal(conflicts(pair.b), 1 + MORE);
    assert_int_equal(pair.b->conflict_notes, 1);
    pass(pair.b, TELL_MS);
    assert_int_equal(pair.b->conflict_notes, 2);
    assert_string_equal(pair.b->conflict_note,
                        "[conflict] concurrent updates hidden count=5 op=set id=0 "
                        "incarnation=000000000000000a "
                        "key=\"012345678901234567890123456789012345678901234567...\"");
    pair_free(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_conflicts_count_once),
        cmocka_unit_test(test_conflicts_end_with_a_restart),
        cmocka_unit_test(test_conflicts_and_copies),
        cmocka_unit_test(test_conflicts_and_deadlines),
        cmocka_unit_test(test_conflicts_are_told),
    };
    return cmocka_run_group_tests_name("conflicts", tests, NULL, NULL);
}
