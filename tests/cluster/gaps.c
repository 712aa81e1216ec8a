/*
 * Sessions that ask all the time, for tests in which replicas and brokers fail: how long the
 * failure lasted for the sessions that it concerned, and that none of their guarantees broke.
 *
 *   gaps PORT SESSIONS NAME
 *
 * PORT is that of the beacons; HEARSAY_CURVE names a folder of keys, if there is one. Each session
 * has a connection, a thread and a counter (NAME and a number) of its own: it increments, reads,
 * rests for PAUSE_MS. An increment must answer one more than the last, so that a write lost or
 * applied twice shows, and the read what was written. Lines on standard input are answered by a
 * line each:
 *
 *   mark     a failure follows          most R         the replica with the most sessions
 *   served   it has happened            moved N MS others MS
 *                                                      once every session was answered since: how
 *                                                      many have another replica or broker now, and
 *                                                      the longest request among them and the rest
 *   where    at any time                at 0:8 1:8     sessions by replica
 *
 * At the end of input: "gaps N p50 MS p99 MS max MS", over all moved, "increments N", and 0; 1 and
 * why on stderr as soon as anything is wrong.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/lib/hearsay.h"

enum {
    SESSIONS_MAX = 256,
    GAPS_MAX = 65536,
    REPLICAS = 16,
    PAUSE_MS = 2,
    PATIENCE_MS = 20000,
    BROKER_SIZE = 64,
};

typedef struct asker {
    hearsay_t *connection;
    hearsay_session_t *session;
    pthread_t thread;
    char key[32];
    long long count;
    /* Under the mutex. */
    int replica;
    int replica_before; /* at the mark */
    char broker[BROKER_SIZE];
    char broker_before[BROKER_SIZE];
    long long longest_us; /* request since the mark */
    unsigned rounds;      /* begun and answered since "served" was said */
} asker_t;

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    asker_t askers[SESSIONS_MAX];
    unsigned size;
    unsigned epoch; /* grows with each "served" */
    bool is_over;
    long long gaps_us[GAPS_MAX];
    size_t gaps;
} all = {.mutex = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER};

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

/* ---- a session ---- */

/* What a command on the session's key answers; it must work. */
static long long ask(asker_t *self, const char *command)
{
    const hearsay_word_t words[] = {{command, strlen(command)}, {self->key, strlen(self->key)}};
    hearsay_reply_t *reply = hearsay_call(self->session, words, 2, PATIENCE_MS);
    if (!hearsay_reply_ok(reply))
        fail("%s %s: %s: %s", command, self->key, hearsay_reply_outcome(reply),
             hearsay_reply_text(reply));
    const hearsay_value_t *value = hearsay_reply_value(reply);
    long long n = hearsay_value_type(value) == HEARSAY_BYTES
                      ? atoll(hearsay_value_bytes(value, NULL))
                      : hearsay_value_integer(value);
    pthread_mutex_lock(&all.mutex);
    self->replica = hearsay_reply_replica(reply);
    snprintf(self->broker, sizeof(self->broker), "%s", hearsay_broker(self->connection));
    if (hearsay_reply_elapsed_us(reply) > self->longest_us)
        self->longest_us = hearsay_reply_elapsed_us(reply);
    pthread_mutex_unlock(&all.mutex);
    hearsay_reply_free(&reply);
    return n;
}

static void *run(void *arg)
{
    asker_t *self = arg;
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    bool is_over = false;

    while (!is_over) {
        pthread_mutex_lock(&all.mutex);
        unsigned epoch = all.epoch;
        pthread_mutex_unlock(&all.mutex);
        long long n = ask(self, "incr");
        if (n != self->count + 1)
            fail("incr %s: %lld after %lld", self->key, n, self->count);
        self->count = n;
        n = ask(self, "get");
        if (n != self->count)
            fail("get %s: %lld, but %lld was written", self->key, n, self->count);
        pthread_mutex_lock(&all.mutex);
        self->rounds += epoch == all.epoch;
        is_over = all.is_over;
        pthread_cond_broadcast(&all.answered);
        pthread_mutex_unlock(&all.mutex);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void open_askers(const char *port, const char *name)
{
    const hearsay_options_t options = {.beacon_port = atoi(port)};
    char error[HEARSAY_ERROR_SIZE];

    for (unsigned i = 0; i < all.size; i++) {
        asker_t *asker = &all.askers[i];
        if (hearsay_open_with_keys(&asker->connection, &options, getenv("HEARSAY_CURVE"), NULL,
                                   error) != 0)
            fail("%s", error);
        asker->session = hearsay_session_open(asker->connection, NULL, HEARSAY_ANY_REPLICA);
        snprintf(asker->key, sizeof(asker->key), "%s%u", name, i);
        ask(asker, "get"); /* one after the other, so that they spread as they would in life */
        if (pthread_create(&asker->thread, NULL, run, asker) != 0)
            fail("no more threads");
    }
}

/* ---- what is said about them; the mutex is held ---- */

static void count_by_replica(unsigned counts[REPLICAS])
{
    memset(counts, 0, REPLICAS * sizeof(*counts));
    for (unsigned i = 0; i < all.size; i++)
        if (all.askers[i].replica >= 0 && all.askers[i].replica < REPLICAS)
            counts[all.askers[i].replica]++;
}

static void say_where(void)
{
    unsigned counts[REPLICAS];
    count_by_replica(counts);
    printf("at");
    for (int i = 0; i < REPLICAS; i++)
        if (counts[i] != 0)
            printf(" %d:%u", i, counts[i]);
    printf("\n");
}

static void mark(void)
{
    unsigned counts[REPLICAS];
    int most = 0;

    for (unsigned i = 0; i < all.size; i++) {
        asker_t *asker = &all.askers[i];
        asker->longest_us = 0;
        asker->replica_before = asker->replica;
        memcpy(asker->broker_before, asker->broker, BROKER_SIZE);
    }
    count_by_replica(counts);
    for (int i = 1; i < REPLICAS; i++)
        if (counts[i] > counts[most])
            most = i;
    printf("most %d\n", most);
}

static bool all_served(void)
{
    for (unsigned i = 0; i < all.size; i++)
        if (all.askers[i].rounds == 0)
            return false;
    return true;
}

static void await_service(void)
{
    unsigned moved = 0;
    long long longest_us = 0;
    long long others_us = 0;

    all.epoch++;
    for (unsigned i = 0; i < all.size; i++)
        all.askers[i].rounds = 0;
    while (!all_served())
        pthread_cond_wait(&all.answered, &all.mutex);
    for (unsigned i = 0; i < all.size; i++) {
        const asker_t *asker = &all.askers[i];
        if (asker->replica == asker->replica_before &&
            strcmp(asker->broker, asker->broker_before) == 0) {
            if (asker->longest_us > others_us)
                others_us = asker->longest_us;
            continue;
        }
        moved++;
        if (asker->longest_us > longest_us)
            longest_us = asker->longest_us;
        if (all.gaps < GAPS_MAX)
            all.gaps_us[all.gaps++] = asker->longest_us;
    }
    printf("moved %u %lld others %lld\n", moved, longest_us / 1000, others_us / 1000);
}

static int compare(const void *a, const void *b)
{
    const long long *one = a;
    const long long *other = b;
    return (*one > *other) - (*one < *other);
}

static double gap_ms(size_t percent)
{
    return all.gaps == 0 ? 0 : (double)all.gaps_us[(all.gaps - 1) * percent / 100] / 1000;
}

static void report(void)
{
    long long increments = 0;

    pthread_mutex_lock(&all.mutex);
    all.is_over = true;
    pthread_mutex_unlock(&all.mutex);
    for (unsigned i = 0; i < all.size; i++) {
        pthread_join(all.askers[i].thread, NULL);
        increments += all.askers[i].count;
        hearsay_close(&all.askers[i].connection);
    }
    qsort(all.gaps_us, all.gaps, sizeof(all.gaps_us[0]), compare);
    printf("gaps %zu p50 %.1f p99 %.1f max %.1f\nincrements %lld\n", all.gaps, gap_ms(50),
           gap_ms(99), gap_ms(100), increments);
}

int main(int argc, char *argv[])
{
    char line[64];

    if (argc != 4 || atoi(argv[2]) < 1 || atoi(argv[2]) > SESSIONS_MAX)
        fail("usage: gaps PORT SESSIONS NAME");
    all.size = (unsigned)atoi(argv[2]);
    open_askers(argv[1], argv[3]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        pthread_mutex_lock(&all.mutex);
        if (strcmp(line, "mark\n") == 0)
            mark();
        else if (strcmp(line, "served\n") == 0)
            await_service();
        else if (strcmp(line, "where\n") == 0)
            say_where();
        else
            fail("no command: %s", line);
        pthread_mutex_unlock(&all.mutex);
    }
    report();
    return 0;
}
