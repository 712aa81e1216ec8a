/*
 * What the cluster tests of libhearsay run: the public API against real brokers and nodes. Ends
 * with 0 and says on stdout what was reached, or with 1 and why not on stderr.
 *
 *   api loop PORT N          N increments of "n" from a poll loop of its own
 *   api threads PORT N       two threads, a connection each, N increments of "n" each
 *   api cancel PORT PID      gives requests up while the broker of that process is stopped
 *   api failover N BROKER…   N increments of "n"; says which broker serves and how far it is
 *   api tokens PORT          a token handed from session to session, and merged
 *   api leave PORT           ends with 7 and without closing anything
 *
 * PORT is that of the beacons; HEARSAY_CURVE names a folder of keys, if there is one.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/hearsay.h"

enum { PIPELINE = 64, PATIENCE_MS = 30000 };

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stdout);
    _exit(1); /* the connections are still in use */
}

static hearsay_t *open_port(const char *port)
{
    const hearsay_options_t options = {.beacon_port = atoi(port)};
    char error[HEARSAY_ERROR_SIZE];
    hearsay_t *h;
    if (hearsay_open_with_keys(&h, &options, getenv("HEARSAY_CURVE"), NULL, error) != 0)
        fail("%s", error);
    return h;
}

/* Up to three words, NULL for none. */
static size_t set_words(hearsay_word_t words[3], const char *a, const char *b, const char *c)
{
    const char *texts[] = {a, b, c};
    size_t count = 0;
    while (count < 3 && texts[count] != NULL) {
        words[count] = (hearsay_word_t){texts[count], strlen(texts[count])};
        count++;
    }
    return count;
}

/* The reply of a command that must work. */
static hearsay_reply_t *must(hearsay_session_t *session, const char *a, const char *b,
                             const char *c)
{
    hearsay_word_t words[3];
    hearsay_reply_t *reply = hearsay_call(session, words, set_words(words, a, b, c), PATIENCE_MS);
    if (!hearsay_reply_ok(reply))
        fail("%s %s: %s: %s", a, b, hearsay_reply_outcome(reply), hearsay_reply_text(reply));
    return reply;
}

/* The number that a command answers. */
static long long number(hearsay_session_t *session, const char *a, const char *b, const char *c)
{
    hearsay_reply_t *reply = must(session, a, b, c);
    const hearsay_value_t *value = hearsay_reply_value(reply);
    long long n = hearsay_value_type(value) == HEARSAY_BYTES
                      ? atoll(hearsay_value_bytes(value, NULL))
                      : hearsay_value_integer(value);
    hearsay_reply_free(&reply);
    return n;
}

/* ---- many increments, so many at a time ---- */

typedef struct counting {
    hearsay_session_t *session;
    long long issued;
    long long wanted;
    long long ended;
    long long last; /* the greatest sum answered */
    unsigned sends; /* the most it took */
} counting_t;

static void issue_more(counting_t *self);

static void take_sum(void *arg, hearsay_reply_t *reply)
{
    counting_t *self = arg;
    if (!hearsay_reply_ok(reply))
        fail("increment: %s: %s", hearsay_reply_outcome(reply), hearsay_reply_text(reply));
    long long sum = hearsay_value_integer(hearsay_reply_value(reply));
    if (sum <= self->last)
        fail("the sum went from %lld to %lld", self->last, sum);
    self->last = sum;
    if (hearsay_reply_sends(reply) > self->sends)
        self->sends = hearsay_reply_sends(reply);
    hearsay_reply_free(&reply);
    self->ended++;
    issue_more(self);
}

static void issue_more(counting_t *self)
{
    hearsay_word_t words[3];
    size_t count = set_words(words, "incr", "n", NULL);
    while (self->issued < self->wanted && self->issued - self->ended < PIPELINE) {
        self->issued++;
        hearsay_submit(self->session, words, count, PATIENCE_MS, take_sum, self);
    }
}

/* ---- the parts ---- */

/* Waits for nothing but the descriptor and the time-out that the library names. */
static int loop(const char *port, long long wanted)
{
    hearsay_t *h = open_port(port);
    counting_t counting = {.session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA),
                           .wanted = wanted};
    struct pollfd item = {.fd = hearsay_fd(h), .events = POLLIN};
    int timeouts = 0;
    number(counting.session, "get", "n", NULL); /* a broker is found */
    issue_more(&counting);
    while (counting.ended < wanted) {
        int wait_ms = hearsay_timeout_ms(h);
        timeouts += poll(&item, 1, wait_ms) == 0 && wait_ms > 0;
        hearsay_dispatch(h);
    }
    /* With nothing to do the descriptor is not readable for long: a loop would never sleep. */
    int wakes = 0;
    while (poll(&item, 1, 100) != 0 && wakes < 100) {
        hearsay_dispatch(h);
        wakes++;
    }
    printf("sum %lld timeouts %d wakes %d pending %zu\n", counting.last, timeouts, wakes,
           hearsay_pending(h));
    hearsay_close(&h);
    return 0;
}

typedef struct job {
    const char *port;
    long long wanted;
    pthread_mutex_t gate; /* closed until all threads are there, so that they open at once */
} job_t;

static void *count_in_thread(void *arg)
{
    job_t *job = arg;
    pthread_mutex_lock(&job->gate);
    pthread_mutex_unlock(&job->gate);
    hearsay_t *h = open_port(job->port);
    counting_t counting = {.session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA),
                           .wanted = job->wanted};
    issue_more(&counting);
    while (hearsay_pending(h) != 0)
        hearsay_wait(h, -1, -1);
    hearsay_close(&h);
    return NULL;
}

static int threads(const char *port, long long wanted)
{
    job_t job = {port, wanted, PTHREAD_MUTEX_INITIALIZER};
    pthread_t both[2];
    pthread_mutex_lock(&job.gate);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&both[i], NULL, count_in_thread, &job) != 0)
            fail("no thread");
    pthread_mutex_unlock(&job.gate);
    for (int i = 0; i < 2; i++)
        pthread_join(both[i], NULL);
    hearsay_t *h = open_port(port);
    hearsay_session_t *session = hearsay_session_open(h, NULL, 0);
    printf("sum %lld\n", number(session, "get", "n", NULL));
    hearsay_close(&h);
    return 0;
}

static void take_code(void *arg, hearsay_reply_t *reply)
{
    hearsay_outcome_t *code = arg;
    *code = hearsay_reply_code(reply);
    hearsay_reply_free(&reply);
}

/* Issues a command, lets it go out, gives it up; how it ended. */
static hearsay_outcome_t give_up(hearsay_t *h, hearsay_session_t *session, const char *command)
{
    hearsay_word_t words[3];
    hearsay_outcome_t code = HEARSAY_OK;
    size_t count = set_words(words, command, "n", NULL);
    long long request = hearsay_submit(session, words, count, PATIENCE_MS, take_code, &code);
    hearsay_wait(h, -1, 0);
    if (hearsay_cancel(session, request) != 0)
        fail("%s had ended: %d", command, code);
    return code;
}

static int cancel(const char *port, pid_t broker)
{
    hearsay_t *h = open_port(port);
    hearsay_session_t *session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA);
    hearsay_word_t words[3];
    hearsay_outcome_t code = HEARSAY_OK;
    number(session, "incr", "n", NULL);
    size_t count = set_words(words, "incr", "n", NULL);
    long long request = hearsay_submit(session, words, count, PATIENCE_MS, take_code, &code);
    if (hearsay_cancel(session, request) != 0 || code != HEARSAY_CANCELLED)
        fail("not sent, and yet %d", code);
    kill(broker, SIGSTOP);
    hearsay_outcome_t read = give_up(h, session, "get");
    hearsay_outcome_t update = give_up(h, session, "incr");
    kill(broker, SIGCONT);
    if (read != HEARSAY_CANCELLED || update != HEARSAY_UNKNOWN)
        fail("the read ended as %d, the update as %d", read, update);
    long long sum = number(session, "incr", "n", NULL);
    if (sum != 2 && sum != 3) /* the one that is unknown may have been applied */
        fail("the sum is %lld", sum);
    if (number(session, "get", "n", NULL) != sum)
        fail("the session does not see its own update");
    printf("sum %lld\n", sum);
    hearsay_close(&h);
    return 0;
}

static void say_note(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "note: %s\n", text);
}

static int failover(long long wanted, const char *const *brokers, size_t brokers_count)
{
    const hearsay_options_t options = {.brokers = brokers, .broker_count = brokers_count};
    hearsay_t *h;
    if (hearsay_open(&h, &options, NULL) != 0)
        fail("cannot open");
    hearsay_set_note(h, say_note, NULL);
    counting_t counting = {.session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA),
                           .wanted = wanted};
    number(counting.session, "get", "n", NULL);
    printf("broker %s\n", hearsay_broker(h));
    fflush(stdout);
    issue_more(&counting);
    for (long long said = 0; hearsay_pending(h) != 0;) {
        hearsay_wait(h, -1, -1);
        if (counting.ended < said + 1000)
            continue;
        said = counting.ended;
        printf("at %lld\n", said);
        fflush(stdout);
    }
    printf("sum %lld sends %u broker %s\n", counting.last, counting.sends, hearsay_broker(h));
    hearsay_close(&h);
    return 0;
}

/* What one session wrote another one reads, wherever it is served, by the token alone. */
static int tokens(const char *port)
{
    hearsay_t *h = open_port(port);
    hearsay_session_t *a = hearsay_session_open(h, NULL, 0);
    hearsay_session_t *b = hearsay_session_open(h, NULL, 1);
    number(a, "set", "x", "1");
    number(b, "set", "y", "2");
    hearsay_session_t *c = hearsay_session_open(h, hearsay_token(a), 1);
    if (number(c, "get", "x", NULL) != 1)
        fail("the token does not carry x over");
    if (hearsay_session_merge(c, hearsay_token(b)) != 0)
        fail("tokens of one cluster do not merge");
    hearsay_session_t *d = hearsay_session_open(h, hearsay_token(c), 0);
    if (number(d, "get", "x", NULL) != 1 || number(d, "get", "y", NULL) != 2)
        fail("the merged token does not carry x and y over");
    printf("carried over\n");
    hearsay_close(&h);
    return 0;
}

static int leave(const char *port)
{
    hearsay_t *h = open_port(port);
    hearsay_session_t *session = hearsay_session_open(h, NULL, HEARSAY_ANY_REPLICA);
    number(session, "set", "x", "1");
    return 7;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "loop") == 0)
        return loop(argv[2], atoll(argv[3]));
    if (argc == 4 && strcmp(argv[1], "threads") == 0)
        return threads(argv[2], atoll(argv[3]));
    if (argc == 4 && strcmp(argv[1], "cancel") == 0)
        return cancel(argv[2], (pid_t)atol(argv[3]));
    if (argc == 3 && strcmp(argv[1], "tokens") == 0)
        return tokens(argv[2]);
    if (argc == 3 && strcmp(argv[1], "leave") == 0)
        return leave(argv[2]);
    if (argc > 3 && strcmp(argv[1], "failover") == 0)
        return failover(atoll(argv[2]), (const char *const *)argv + 3, (size_t)argc - 3);
    fprintf(stderr, "usage: see the head of tests/cluster/api.c\n");
    return 2;
}
