#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/base/bytes.h"
#include "bus/base/vector.h"
#include "bus/wire/token.h"
#include "client/tool/keep.h"
#include "tests/unit/client/broker_fixture.h"

enum { LINEAGE = 7, STORES = 50 };

static char folder[64];
static char path[128]; /* of the session file */
static hearsay_t *connection;

static int set_up(void **state)
{
    /* Named and never called: no beacon, no network. */
    static const char *const brokers[] = {"tcp://127.0.0.1:1"};
    const hearsay_options_t options = {.brokers = brokers, .broker_count = 1};

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/hearsay-keep-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("XDG_STATE_HOME", folder, 1), 0);
    snprintf(path, sizeof(path), "%s/hearsay/red-blue.session", folder);
    assert_int_equal(hearsay_open(&connection, &options, NULL), 0);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    hearsay_close(&connection);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

/* A session that has seen n updates of an origin. */
static hearsay_session_t *seen(uint64_t origin, uint64_t n)
{
    vec_t vector = {0};
    buf_t text = {0};

    vec_set(&vector, origin, n);
    token_put(&text, LINEAGE, 1, &vector);
    hearsay_session_t *session = hearsay_session_open(connection, buf_text(&text), -1);
    assert_non_null(session);
    vec_free(&vector);
    buf_free(&text);
    return session;
}

/* How many updates of an origin the kept token has seen. */
static uint64_t kept(keep_t *keep, uint64_t origin)
{
    vec_t vector = {0};
    uint64_t lineage;
    hlc_t clock;
    err_t err;
    const char *token = keep_token(keep, &err);

    assert_non_null(token);
    assert_string_equal(err.text, "");
    assert_true(token_read(slice_text(token), &lineage, &clock, &vector));
    assert_int_equal(lineage, LINEAGE);
    uint64_t n = vec_get(&vector, origin);
    vec_free(&vector);
    return n;
}

static void put_file(const char *bytes, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static unsigned mode_of(const char *name)
{
    struct stat at;
    assert_int_equal(stat(name, &at), 0);
    return at.st_mode & 0777;
}

static void test_stored_for_its_user_alone(void **state)
{
    (void)state;
    err_t err = {0};
    keep_t *keep = keep_open("red", "blue", &err);
    hearsay_session_t *session = seen(3, 5);

    assert_non_null(keep);
    assert_null(keep_token(keep, &err)); /* none yet, and that is no error */
    assert_string_equal(err.text, "");
    assert_int_equal(keep_store(keep, session, &err), 0);
    assert_int_equal(kept(keep, 3), 5);
    assert_int_equal(mode_of(path), 0600);
    path[strlen(path) - strlen("/red-blue.session")] = '\0';
    assert_int_equal(mode_of(path), 0700);
    hearsay_session_close(session);
    keep_close(&keep);
    assert_null(keep);
}

/* Names cannot lead out of the folder. */
static void test_names_are_no_paths(void **state)
{
    (void)state;
    char expected[160];
    err_t err = {0};
    keep_t *keep = keep_open("../up", ".a/b-c", &err);
    hearsay_session_t *session = seen(3, 5);

    assert_non_null(keep);
    assert_int_equal(keep_store(keep, session, &err), 0);
    snprintf(expected, sizeof(expected), "%s/hearsay/%%2E.%%2Fup-%%2Ea%%2Fb%%2Dc.session", folder);
    assert_int_equal(mode_of(expected), 0600);
    hearsay_session_close(session);
    keep_close(&keep);
}

/* Another call of the tool has stored something else meanwhile: both have been seen. */
static void test_merged_and_never_overwritten(void **state)
{
    (void)state;
    err_t err = {0};
    keep_t *keep = keep_open("red", "blue", &err);
    hearsay_session_t *first = seen(3, 5);
    hearsay_session_t *second = seen(4, 9);

    assert_int_equal(keep_store(keep, first, &err), 0);
    assert_int_equal(keep_store(keep, second, &err), 0);
    assert_int_equal(kept(keep, 3), 5);
    assert_int_equal(kept(keep, 4), 9);
    hearsay_session_close(first);
    hearsay_session_close(second);
    keep_close(&keep);
}

/* ---- sessions that gave something up ---- */

enum { HAS = 2, WAIT_MS = 10, WAITS = 1000 };

static void ignore_end(void *arg, hearsay_reply_t *reply)
{
    (void)arg;
    hearsay_reply_free(&reply);
}

/* Asks until something is given up for it; the request itself does not end. */
static void relax(hearsay_t *h, hearsay_session_t *session, void *router)
{
    const hearsay_word_t words[] = {{"get", 3}, {"k", 1}};
    broker_answer_t missing = {.lineage = LINEAGE, .outcome = OUTCOME_MISSING};

    vec_set(&missing.token, 3, HAS); /* it has these updates of origin 3, and nothing else */
    hearsay_session_relax(session, 1);
    long long number = hearsay_submit(session, words, 2, 60000, ignore_end, NULL);
    for (int i = 0; i < WAITS && !hearsay_session_relaxed(session); i++) {
        hearsay_wait(h, -1, WAIT_MS);
        broker_serve(router, &missing);
    }
    vec_free(&missing.token);
    assert_true(hearsay_session_relaxed(session));
    assert_int_equal(hearsay_cancel(session, number), 0);
}

/* What was given up does not come back from the file; what another call stored meanwhile stays. */
static void test_relaxed(void **state)
{
    (void)state;
    void *context = zmq_ctx_new();
    char address[BROKER_ADDRESS_SIZE];
    void *router = broker_open(context, address);
    const char *const brokers[] = {address};
    const hearsay_options_t options = {.brokers = brokers, .broker_count = 1};
    hearsay_t *h = NULL;
    err_t err = {0};

    assert_int_equal(hearsay_open(&h, &options, NULL), 0);
    keep_t *keep = keep_open("red", "blue", &err);
    keep_t *other_keep = keep_open("red", "blue", &err);
    hearsay_session_t *before = seen(3, 5);
    hearsay_session_t *other = seen(4, 9);
    assert_int_equal(keep_store(keep, before, &err), 0);
    hearsay_session_t *session = hearsay_session_open(h, keep_token(keep, &err), -1);
    relax(h, session, router);
    assert_int_equal(keep_store(keep, session, &err), 0);
    assert_int_equal(kept(other_keep, 3), HAS);
    assert_int_equal(keep_store(other_keep, other, &err), 0);
    assert_int_equal(keep_store(keep, session, &err), 0);
    assert_int_equal(kept(keep, 3), HAS);
    assert_int_equal(kept(keep, 4), 9);
    hearsay_session_close(before);
    hearsay_session_close(other);
    keep_close(&keep);
    keep_close(&other_keep);
    hearsay_close(&h);
    zmq_close(router);
    zmq_ctx_term(context);
}

/* What a second process does: stores many states of an origin of its own. */
static void store_often(uint64_t origin)
{
    err_t err = {0};
    keep_t *keep = keep_open("red", "blue", &err);

    for (uint64_t n = 1; n <= STORES; n++) {
        hearsay_session_t *session = seen(origin, n);
        assert_int_equal(keep_store(keep, session, &err), 0);
        hearsay_session_close(session);
    }
    keep_close(&keep);
}

/* This very program in its other role (main), twice. */
static void test_two_processes_at_once(void **state)
{
    pid_t pids[2];
    err_t err = {0};

    (void)state;
    for (uint64_t i = 0; i < 2; i++) {
        char self[16];
        snprintf(self, sizeof(self), "%d", (int)i + 10);
        pids[i] = fork();
        if (pids[i] == 0) {
            execl("/proc/self/exe", "test_keep", self, folder, (char *)NULL);
            _exit(127);
        }
    }
    for (int i = 0; i < 2; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    keep_t *keep = keep_open("red", "blue", &err);
    assert_int_equal(kept(keep, 10), STORES);
    assert_int_equal(kept(keep, 11), STORES);
    keep_close(&keep);
}

static void test_garbage_is_replaced(void **state)
{
    static const char garbage[] = "\xff\x00 no token \n";
    hearsay_session_t *session = seen(3, 5);
    err_t err = {0};
    keep_t *keep = keep_open("red", "blue", &err);

    (void)state;
    put_file(garbage, sizeof(garbage) - 1);
    const char *token = keep_token(keep, &err);
    assert_true(token == NULL || hearsay_session_open(connection, token, -1) == NULL);
    assert_int_equal(keep_store(keep, session, &err), 0);
    assert_int_equal(kept(keep, 3), 5);
    put_file("", 0);
    assert_null(keep_token(keep, &err));
    assert_string_equal(err.text, "");
    put_file(" \n\n", 3);
    assert_null(keep_token(keep, &err));
    hearsay_session_close(session);
    keep_close(&keep);
}

static void test_a_file_without_end(void **state)
{
    err_t err = {0};
    keep_t *keep = keep_open("red", "blue", &err);
    size_t size = 1 << 20;
    char *bytes = malloc(size);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'A', size);
    put_file(bytes, size);
    free(bytes);
    const char *token = keep_token(keep, &err);
    assert_non_null(token); /* what was read of it */
    assert_true(strlen(token) < size);
    assert_null(hearsay_session_open(connection, token, -1));
    keep_close(&keep);
}

/* A folder in the file's place can be read by nobody, root or not. */
static void test_what_cannot_be_read_is_said(void **state)
{
    hearsay_session_t *session = seen(3, 5);
    err_t err = {0};
    keep_t *keep = keep_open("red", "blue", &err);

    (void)state;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_null(keep_token(keep, &err));
    assert_non_null(strstr(err.text, "the session is not kept"));
    assert_int_equal(keep_store(keep, session, &err), -1);
    assert_non_null(strstr(err.text, "the session is not kept"));
    hearsay_session_close(session);
    keep_close(&keep);
}

/* A lock that somebody else never gives back holds nobody up for good. */
static void test_a_lock_that_stays(void **state)
{
    char lock_path[128];
    hearsay_session_t *session = seen(3, 5);
    err_t err = {0};
    keep_t *keep = keep_open("red", "blue", &err);

    (void)state;
    snprintf(lock_path, sizeof(lock_path), "%s/hearsay/red-blue.lock", folder);
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(keep_store(keep, session, &err), -1);
    assert_non_null(strstr(err.text, "cannot lock"));
    close(fd);
    assert_int_equal(keep_store(keep, session, &err), 0);
    hearsay_session_close(session);
    keep_close(&keep);
}

static void test_no_place(void **state)
{
    char file[96];
    err_t err = {0};

    (void)state;
    snprintf(file, sizeof(file), "%s/file", folder);
    close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(setenv("XDG_STATE_HOME", file, 1), 0);
    assert_null(keep_open("red", "blue", &err));
    assert_non_null(strstr(err.text, "no session is kept"));
    assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
    assert_int_equal(setenv("HOME", "relative", 1), 0);
    assert_null(keep_open("red", "blue", &err));
    assert_non_null(strstr(err.text, "HOME"));
    assert_int_equal(setenv("HOME", folder, 1), 0);
    keep_t *keep = keep_open("red", "blue", &err);
    assert_non_null(keep);
    keep_close(&keep);
    keep_close(&keep);
}

#define test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        test(test_stored_for_its_user_alone),
        test(test_names_are_no_paths),
        test(test_merged_and_never_overwritten),
        test(test_relaxed),
        test(test_two_processes_at_once),
        test(test_garbage_is_replaced),
        test(test_a_file_without_end),
        test(test_what_cannot_be_read_is_said),
        test(test_a_lock_that_stays),
        test(test_no_place),
    };
    if (argc < 3)
        return cmocka_run_group_tests(tests, NULL, NULL);
    /* One of the two processes: ORIGIN FOLDER. */
    static const char *const brokers[] = {"tcp://127.0.0.1:1"};
    const hearsay_options_t options = {.brokers = brokers, .broker_count = 1};
    setenv("XDG_STATE_HOME", argv[2], 1);
    if (hearsay_open(&connection, &options, NULL) != 0)
        return 1;
    store_often(strtoull(argv[1], NULL, 10));
    hearsay_close(&connection);
    return 0;
}
