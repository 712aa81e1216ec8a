/*
 * How long until an update shows everywhere: one session writes, and at each replica a session that
 * is pinned there and knows of nothing reads the key again and again. So what is measured is the
 * gossip alone, to the time of one read, from the issue of the update to the first read that shows
 * it at the last replica. The next update is written when this one was seen everywhere.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "client/tool/bench.h"

enum { PROBE_MS = 500 };

static const char key[] = "bench:visible";

typedef struct watch watch_t;

/* One replica. */
typedef struct reader {
    watch_t *watch;
    hearsay_session_t *session;
    bool is_there;
    bool has_seen; /* the present update */
} reader_t;

struct watch {
    bench_visible_t *out;
    int timeout_ms;
    hearsay_t *hearsay;
    hearsay_session_t *writer;
    reader_t readers[BENCH_REPLICAS];
    char value[24]; /* that is written now */
    int64_t begun_us;
    int64_t seen_us;  /* by the last one so far */
    unsigned waiting; /* readers that have not seen it */
    bool is_written;
    bool is_failed;
};

static void submit(hearsay_session_t *session, const char *command, const char *value,
                   int timeout_ms, hearsay_reply_fn *fn, void *arg)
{
    const hearsay_word_t words[] = {{command, strlen(command)},
                                    {key, sizeof(key) - 1},
                                    {value, value != NULL ? strlen(value) : 0}};
    hearsay_submit(session, words, value != NULL ? 3 : 2, timeout_ms, fn, arg);
}

static void take_probe(void *arg, hearsay_reply_t *reply)
{
    reader_t *reader = arg;
    reader->is_there = hearsay_reply_ok(reply) != 0;
    reader->watch->out->replicas += reader->is_there;
    hearsay_reply_free(&reply);
}

static void read_on(reader_t *reader);

static void take_read(void *arg, hearsay_reply_t *reply)
{
    reader_t *reader = arg;
    watch_t *self = reader->watch;
    const char *value = hearsay_value_bytes(hearsay_reply_value(reply), NULL);

    reader->has_seen = hearsay_reply_ok(reply) && strcmp(value, self->value) == 0;
    self->is_failed |= !hearsay_reply_ok(reply);
    if (reader->has_seen) {
        self->seen_us = bench_now_us();
        self->waiting--;
    } else if (!self->is_failed) {
        read_on(reader);
    }
    hearsay_reply_free(&reply);
}

static void read_on(reader_t *reader)
{
    submit(reader->session, "get", NULL, reader->watch->timeout_ms, take_read, reader);
}

static void take_written(void *arg, hearsay_reply_t *reply)
{
    watch_t *self = arg;

    self->is_written = true;
    self->is_failed |= !hearsay_reply_ok(reply);
    if (hearsay_reply_ok(reply))
        histogram_add(&self->out->acknowledged, (uint64_t)(bench_now_us() - self->begun_us));
    hearsay_reply_free(&reply);
}

/* Writes one update and waits until it was seen everywhere, or something failed. */
static void watch_one(watch_t *self, uint64_t number)
{
    snprintf(self->value, sizeof(self->value), "%llu", (unsigned long long)number);
    self->waiting = self->out->replicas;
    self->is_written = self->is_failed = false;
    self->begun_us = bench_now_us();
    submit(self->writer, "set", self->value, self->timeout_ms, take_written, self);
    for (unsigned i = 0; i < BENCH_REPLICAS; i++)
        if (self->readers[i].is_there)
            read_on(&self->readers[i]);
    /* Ends: every request does in time, and none is issued once one failed. */
    while (hearsay_pending(self->hearsay) != 0 &&
           bench_now_us() - self->begun_us < self->timeout_ms * INT64_C(1000))
        hearsay_wait(self->hearsay, -1, self->timeout_ms);
    bool is_seen = self->is_written && self->waiting == 0 && !self->is_failed;
    self->is_failed = true; /* of readers that still do not see it: enough */
    while (hearsay_pending(self->hearsay) != 0)
        hearsay_wait(self->hearsay, -1, -1);
    if (is_seen)
        histogram_add(&self->out->visible, (uint64_t)(self->seen_us - self->begun_us));
    else
        self->out->failures++;
}

static void find_replicas(watch_t *self)
{
    for (int i = 0; i < BENCH_REPLICAS; i++) {
        self->readers[i] = (reader_t){self, hearsay_session_open(self->hearsay, NULL, i), 0, 0};
        submit(self->readers[i].session, "exists", NULL, PROBE_MS, take_probe, &self->readers[i]);
    }
    while (hearsay_pending(self->hearsay) != 0)
        hearsay_wait(self->hearsay, -1, -1);
}

static int watch_all(watch_t *self, const bench_plan_t *plan, err_t *err)
{
    const hearsay_word_t words[] = {{"exists", 6}, {key, sizeof(key) - 1}};

    self->writer = hearsay_session_open(self->hearsay, NULL, plan->replica);
    hearsay_reply_t *reply = hearsay_call(self->writer, words, 2, plan->timeout_ms);
    int rc = hearsay_reply_ok(reply) ? 0
                                     : err_set(err, (outcome_t)hearsay_reply_code(reply), "%s",
                                               hearsay_reply_text(reply));
    hearsay_reply_free(&reply);
    if (rc != 0)
        return -1;
    find_replicas(self);
    int64_t count_us = bench_now_us() + plan->warm_up_us;
    int64_t end_us = count_us + plan->duration_us;
    uint64_t number = (uint64_t)count_us; /* no other run has written this */
    bool is_counting = false;
    uint64_t left = plan->requests;
    for (; left != 0 && bench_now_us() < end_us; left -= is_counting) {
        if (!is_counting && bench_now_us() >= count_us) {
            is_counting = true;
            self->out->acknowledged = self->out->visible = (histogram_t){0};
        }
        watch_one(self, number++);
        self->out->took_us = bench_now_us() - count_us;
    }
    return 0;
}

int bench_measure_visible(const bench_plan_t *plan, bench_visible_t *out, err_t *err)
{
    watch_t *self = mem_zero(1, sizeof(*self));

    self->out = out;
    self->timeout_ms = plan->timeout_ms;
    err->outcome = OUTCOME_USAGE;
    int rc = hearsay_open_with_keys(&self->hearsay, &plan->connection, plan->curve, plan->curve_key,
                                    err->text) == 0
                 ? 0
                 : -1;
    if (rc == 0)
        rc = watch_all(self, plan, err);
    hearsay_close(&self->hearsay);
    free(self);
    return rc;
}
