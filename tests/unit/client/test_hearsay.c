#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "bus/base/outcome.h"
#include "client/lib/hearsay.h"
#include "tests/unit/client/broker_fixture.h"

/* Nobody listens there: what is sent waits, and nothing is reached. */
static const char *const nowhere[] = {"tcp://127.0.0.1:1"};

enum { ENDS_MAX = 8 };

/* How requests ended, in the order of their callbacks. */
typedef struct ends {
    hearsay_outcome_t codes[ENDS_MAX];
    size_t count;
    bool tells_of_keys;       /* the last one */
    hearsay_session_t *again; /* on which the callback submits once more, and asks for the token */
} ends_t;

static long long submit(hearsay_session_t *session, const char *command, int timeout_ms,
                        ends_t *ends);

static void take_end(void *arg, hearsay_reply_t *reply)
{
    ends_t *ends = arg;
    hearsay_session_t *again = ends->again;

    assert_true(ends->count < ENDS_MAX);
    ends->codes[ends->count++] = hearsay_reply_code(reply);
    assert_string_equal(hearsay_reply_outcome(reply),
                        outcome_name((outcome_t)hearsay_reply_code(reply)));
    assert_string_not_equal(hearsay_reply_text(reply), "");
    ends->tells_of_keys = strstr(hearsay_reply_text(reply), "keys") != NULL;
    hearsay_reply_free(&reply);
    if (again == NULL)
        return;
    ends->again = NULL;
    assert_non_null(hearsay_token(again));
    submit(again, "incr", 0, ends);
}

static long long submit(hearsay_session_t *session, const char *command, int timeout_ms,
                        ends_t *ends)
{
    const hearsay_word_t words[] = {{command, strlen(command)}, {"k", 1}};
    return hearsay_submit(session, words, 2, timeout_ms, take_end, ends);
}

static hearsay_t *open_nowhere(void)
{
    const hearsay_options_t options = {.brokers = nowhere, .broker_count = 1};
    hearsay_t *h = NULL;
    assert_int_equal(hearsay_open(&h, &options, NULL), 0);
    return h;
}

/* The public numbers are those of the wire; what never reaches a user has none. */
static void test_outcomes(void **state)
{
    (void)state;
    static const struct {
        hearsay_outcome_t code;
        const char *name;
    } rows[] = {
#define ROW(name) {HEARSAY_##name, #name}
        ROW(OK),       ROW(USAGE),   ROW(NOT_REACHED), ROW(WRONGTYPE), ROW(NOT_A_NUMBER),
        ROW(OVERFLOW), ROW(BUSY),    ROW(TOO_LARGE),   ROW(BEHIND),    ROW(MISSING),
        ROW(LOST),     ROW(CLOCK),   ROW(CLASH),       ROW(DENIED),    ROW(READ_ONLY),
        ROW(FULL),     ROW(UNKNOWN), ROW(TOO_OLD),     ROW(CANCELLED),
#undef ROW
    };
    enum { TURNED_BACK = 2 }; /* RETAG and MOVED */
    assert_int_equal(sizeof rows / sizeof rows[0] + TURNED_BACK, OUTCOME_COUNT);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(outcome_name((outcome_t)rows[i].code), rows[i].name);
}

static void test_usage(void **state)
{
    (void)state;
    hearsay_t *h = open_nowhere();
    hearsay_session_t *session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA);
    ends_t ends = {0};
    assert_int_equal(submit(session, "incs", 0, &ends), -1);
    assert_int_equal(submit(session, "set", 0, &ends), -1);
    assert_int_equal(ends.count, 2);
    assert_int_equal(ends.codes[0], HEARSAY_USAGE);
    assert_int_equal(ends.codes[1], HEARSAY_USAGE);
    assert_int_equal(hearsay_pending(h), 0);
    assert_int_equal(hearsay_session_merge(session, "no token"), -1);
    assert_null(hearsay_session_open(h, "no token", HEARSAY_ANY_REPLICA));
    assert_string_equal(hearsay_broker(h), "");
    hearsay_close(&h);
    assert_null(h);
    hearsay_close(&h);
}

static void test_deadline(void **state)
{
    (void)state;
    hearsay_t *h = open_nowhere();
    hearsay_session_t *session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA);
    ends_t ends = {0};
    long long first = submit(session, "incr", 50, &ends);
    assert_true(first > 0);
    assert_true(submit(session, "get", 50, &ends) > first);
    while (hearsay_pending(h) != 0)
        assert_int_not_equal(hearsay_wait(h, -1, 20000), 0);
    assert_int_equal(ends.count, 2);
    assert_int_equal(ends.codes[0], HEARSAY_NOT_REACHED);
    assert_int_equal(ends.codes[1], HEARSAY_NOT_REACHED);
    hearsay_close(&h);
}

static void test_cancel(void **state)
{
    (void)state;
    hearsay_t *h = open_nowhere();
    hearsay_session_t *session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA);
    hearsay_session_t *other = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA);
    ends_t ends = {0};
    long long number = submit(session, "incr", 60000, &ends);
    hearsay_wait(h, -1, 0);
    assert_int_equal(hearsay_cancel(other, number), -1); /* not its own */
    assert_int_equal(hearsay_cancel(session, number), 0);
    assert_int_equal(ends.count, 1);
    assert_int_equal(ends.codes[0], HEARSAY_CANCELLED);
    assert_int_equal(hearsay_cancel(session, number), -1);
    assert_int_equal(hearsay_pending(h), 0);
    assert_int_equal(hearsay_wait(h, -1, 60000), 0);
    hearsay_close(&h);
    assert_int_equal(ends.count, 1);
}

/* Whoever is called back by a close may try again, and is told at once. */
static void test_close(void **state)
{
    (void)state;
    hearsay_t *h = open_nowhere();
    hearsay_session_t *session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA);
    ends_t ends = {.again = session};
    submit(session, "incr", 0, &ends);
    submit(session, "get", 0, &ends);
    hearsay_session_close(session);
    assert_int_equal(ends.count, 3);
    assert_int_equal(ends.codes[0], HEARSAY_UNKNOWN);
    assert_int_equal(ends.codes[1], HEARSAY_NOT_REACHED);
    assert_int_equal(ends.codes[2], HEARSAY_LOST);
    ends = (ends_t){.again = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA)};
    submit(ends.again, "get", 0, &ends);
    hearsay_close(&h);
    assert_int_equal(ends.count, 2);
    assert_int_equal(ends.codes[0], HEARSAY_LOST);
    assert_int_equal(ends.codes[1], HEARSAY_NOT_REACHED);
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, timeout_ms) == 1;
}

static void test_foreign_loop(void **state)
{
    (void)state;
    hearsay_t *h = open_nowhere();
    hearsay_session_t *session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA);
    ends_t ends = {0};
    int fd = hearsay_fd(h);
    assert_true(fd >= 0);
    assert_int_equal(hearsay_fd(h), fd);
    hearsay_dispatch(h);
    assert_false(is_readable(fd, 0));
    assert_int_equal(hearsay_timeout_ms(h), -1);
    submit(session, "incr", 300, &ends);
    assert_true(is_readable(fd, 0)); /* what was submitted is to be sent */
    assert_int_equal(hearsay_timeout_ms(h), 0);
    while (ends.count == 0) {
        int wait_ms = hearsay_timeout_ms(h);
        assert_in_range(wait_ms, 0, 300);
        is_readable(fd, wait_ms);
        hearsay_dispatch(h);
    }
    assert_int_equal(ends.codes[0], HEARSAY_NOT_REACHED);
    hearsay_close(&h);
}

/* A request that is answered by the router, if there is one, or ends in time. */
static ends_t get(hearsay_t *h, hearsay_session_t *session, int timeout_ms, void *router)
{
    const broker_answer_t answer = {.lineage = 1, .outcome = OUTCOME_WRONGTYPE};
    ends_t ends = {0};
    submit(session, "get", timeout_ms, &ends);
    while (ends.count == 0) {
        hearsay_wait(h, -1, 10);
        if (router != NULL)
            broker_serve(router, &answer);
    }
    return ends;
}

/* Sooner or later it tries the broker that wants keys, and says so. */
static bool is_turned_away(hearsay_t *h, hearsay_session_t *session)
{
    enum { TRIES = 20, TRY_MS = 500 };
    for (int i = 0; i < TRIES; i++)
        if (get(h, session, TRY_MS, NULL).tells_of_keys)
            return true;
    return false;
}

/* Who is turned away again after somebody has answered is told so again. */
static void test_denied_again(void **state)
{
    (void)state;
    enum { OWN_SIZE = 41 };
    void *context = zmq_ctx_new();
    char addresses[2][BROKER_ADDRESS_SIZE];
    void *with_keys = zmq_socket(context, ZMQ_ROUTER);
    void *router = broker_open(context, addresses[0]);
    char public_key[OWN_SIZE];
    char secret_key[OWN_SIZE];
    size_t size = BROKER_ADDRESS_SIZE;
    int on = 1;
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    zmq_setsockopt(with_keys, ZMQ_CURVE_SERVER, &on, sizeof(on));
    zmq_setsockopt(with_keys, ZMQ_CURVE_SECRETKEY, secret_key, OWN_SIZE);
    assert_int_equal(zmq_bind(with_keys, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(with_keys, ZMQ_LAST_ENDPOINT, addresses[1], &size), 0);
    const char *const brokers[] = {addresses[0], addresses[1]};
    const hearsay_options_t options = {.brokers = brokers, .broker_count = 2};
    hearsay_t *h = NULL;
    assert_int_equal(hearsay_open(&h, &options, NULL), 0);
    hearsay_session_t *session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA);
    assert_true(is_turned_away(h, session));
    assert_int_equal(get(h, session, 60000, router).codes[0], HEARSAY_WRONGTYPE);
    zmq_close(router);
    assert_true(is_turned_away(h, session));
    hearsay_close(&h);
    zmq_close(with_keys);
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes),     cmocka_unit_test(test_usage),
        cmocka_unit_test(test_deadline),     cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_close),        cmocka_unit_test(test_foreign_loop),
        cmocka_unit_test(test_denied_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
