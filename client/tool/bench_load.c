/*
 * One process of the load: its connections, each with some of the sessions, in one poll loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "bus/base/random.h"
#include "client/tool/bench.h"
#include "client/tool/bench_poll.h"

enum {
    KEY_SIZE = 48,
    OPEN_TOGETHER = 64,   /* sessions are opened so many at a time */
    PENDING_MAX = 100000, /* of an open loop: what is due beyond waits, and that counts */
    SWEEP_US = 10000,
};

typedef struct load load_t;

typedef struct asker {
    load_t *load;
    hearsay_session_t *session;
} asker_t;

/* One request under way. */
typedef struct ask {
    asker_t *asker;
    unsigned command;
    int64_t begun_us;
    bool counts;
    struct ask *next; /* in the list of free ones */
} ask_t;

struct load {
    const bench_plan_t *plan;
    bench_result_t *result;
    random_t random;
    hearsay_t **connections;
    unsigned opened_connections;
    bench_poll_t *poll;
    int64_t sweep_us; /* when to look for connections whose time has come */
    asker_t *askers;
    uint64_t pending;
    uint64_t counted;
    int64_t begin_us; /* the warm-up */
    int64_t count_us; /* what is counted */
    int64_t end_us;   /* nothing is issued from then on */
    uint64_t issued;  /* of an open loop */
    unsigned turn;    /* the session that is next in an open loop */
    ask_t *free;
    char *value;
    err_t *err;
    bool is_failed;
    bool is_issuing; /* an answer now is a refusal by the library: the next would be the same */
};

int64_t bench_now_us(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* ---- requests ---- */

static unsigned draw_command(load_t *self)
{
    uint64_t at = random_below(&self->random, self->plan->weight_sum);
    unsigned i = 0;
    while (at >= self->plan->weights[i])
        at -= self->plan->weights[i++];
    return i;
}

static void take_answer(void *arg, hearsay_reply_t *reply);

static void issue(load_t *self, asker_t *asker, int64_t begun_us)
{
    ask_t *ask = self->free != NULL ? self->free : mem_alloc(sizeof(*ask));
    unsigned command = draw_command(self);
    const bench_command_t *kind = &bench_commands[command];
    char key[KEY_SIZE];
    hearsay_word_t words[4] = {{kind->name, strlen(kind->name)}, {key, 0}};
    size_t count = 2;

    if (self->free != NULL)
        self->free = ask->next;
    snprintf(key, sizeof(key), "%s%llu", kind->key,
             (unsigned long long)random_below(&self->random, self->plan->keys));
    words[1].size = strlen(key);
    if (kind->has_field)
        words[count++] = (hearsay_word_t){"field", 5};
    if (kind->has_value)
        words[count++] = (hearsay_word_t){self->value, self->plan->value_size};
    bool counts = begun_us >= self->count_us && self->counted < self->plan->requests;
    *ask = (ask_t){.asker = asker, .command = command, .begun_us = begun_us, .counts = counts};
    self->counted += counts;
    self->pending++;
    self->is_issuing = true;
    hearsay_submit(asker->session, words, count, self->plan->timeout_ms, take_answer, ask);
    self->is_issuing = false;
}

static bool is_over(const load_t *self, int64_t now_us)
{
    return now_us >= self->end_us || self->counted >= self->plan->requests;
}

static void take_answer(void *arg, hearsay_reply_t *reply)
{
    ask_t *ask = arg;
    asker_t *asker = ask->asker;
    load_t *self = asker->load;
    int64_t now_us = bench_now_us();
    unsigned code = (unsigned)hearsay_reply_code(reply);

    self->pending--;
    if (ask->counts) {
        self->result->codes[code < BENCH_CODES ? code : HEARSAY_UNKNOWN]++;
        self->result->last_us = now_us;
        if (code == HEARSAY_OK)
            histogram_add(&self->result->latency[ask->command], (uint64_t)(now_us - ask->begun_us));
    }
    hearsay_reply_free(&reply);
    ask->next = self->free;
    self->free = ask;
    if (self->is_issuing)
        self->end_us = 0;
    else if (self->plan->rate == 0 && !is_over(self, now_us))
        issue(self, asker, now_us);
}

/* ---- waiting ---- */

/*
 * Until a connection has something to do, or until_us has come; serves those that have. What is due
 * by time alone (heartbeats, time-outs) may wait for the next sweep.
 */
static void serve(load_t *self, int64_t until_us)
{
    const unsigned *ready;
    int64_t now_us = bench_now_us();
    int64_t wake_us = until_us < self->sweep_us ? until_us : self->sweep_us;
    unsigned count = bench_poll_wait(self->poll, wake_us > now_us ? wake_us - now_us : 0, &ready);

    for (unsigned i = 0; i < count; i++)
        hearsay_dispatch(self->connections[ready[i]]);
    now_us = bench_now_us();
    if (now_us < self->sweep_us)
        return;
    for (unsigned i = 0; i < self->opened_connections; i++)
        if (hearsay_timeout_ms(self->connections[i]) == 0)
            hearsay_dispatch(self->connections[i]);
    self->sweep_us = now_us + SWEEP_US;
}

/* ---- the two loops ---- */

static void run_closed(load_t *self)
{
    const bench_plan_t *plan = self->plan;

    for (unsigned i = 0; i < plan->sessions; i++)
        for (unsigned k = 0; k < plan->pipeline && !is_over(self, bench_now_us()); k++)
            issue(self, &self->askers[i], bench_now_us());
    while (self->pending != 0)
        serve(self, INT64_MAX);
}

/* When the n-th request of an open loop is due. */
static int64_t due_us(const load_t *self, uint64_t n)
{
    uint64_t rate = self->plan->rate;
    return self->begin_us + (int64_t)(n / rate * 1000000 + n % rate * 1000000 / rate);
}

static void run_open(load_t *self)
{
    while (self->pending != 0 || !is_over(self, bench_now_us())) {
        int64_t now_us = bench_now_us();
        while (!is_over(self, now_us) && due_us(self, self->issued) <= now_us &&
               self->pending < PENDING_MAX) {
            asker_t *asker = &self->askers[self->turn++ % self->plan->sessions];
            issue(self, asker, due_us(self, self->issued++));
        }
        bool may_issue = !is_over(self, now_us) && self->pending < PENDING_MAX;
        serve(self, may_issue ? due_us(self, self->issued) : INT64_MAX);
    }
}

/* ---- opening ---- */

static void take_opened(void *arg, hearsay_reply_t *reply)
{
    load_t *self = arg;

    self->pending--;
    if (!hearsay_reply_ok(reply) && !self->is_failed) {
        self->is_failed = true;
        err_set(self->err, (outcome_t)hearsay_reply_code(reply), "%s: %s",
                hearsay_reply_outcome(reply), hearsay_reply_text(reply));
    }
    hearsay_reply_free(&reply);
}

/* A read in each session, so that opening them is not measured. */
static int open_sessions(load_t *self, unsigned first, unsigned count)
{
    const hearsay_word_t words[] = {{"exists", 6}, {"bench:set:0", 11}};
    const bench_plan_t *plan = self->plan;

    for (unsigned i = first; i < first + count; i++) {
        asker_t *asker = &self->askers[i];
        hearsay_t *connection = self->connections[i % plan->connections];
        *asker = (asker_t){self, hearsay_session_open(connection, NULL, plan->replica)};
        self->pending++;
        hearsay_submit(asker->session, words, 2, plan->timeout_ms, take_opened, self);
    }
    while (self->pending != 0)
        serve(self, INT64_MAX);
    return self->is_failed ? -1 : 0;
}

static int open_connection(load_t *self, const hearsay_options_t *options)
{
    unsigned number = self->opened_connections;
    hearsay_t *connection;

    if (hearsay_open_with_keys(&connection, options, self->plan->curve, self->plan->curve_key,
                               self->err->text) != 0) {
        self->err->outcome = OUTCOME_USAGE;
        return -1;
    }
    self->connections[self->opened_connections++] = connection;
    int fd = hearsay_fd(connection);
    if (fd >= 0 && bench_poll_add(self->poll, fd, number))
        return 0;
    return err_set(self->err, OUTCOME_FULL,
                   "no descriptor is left for connection %u: raise the limit (ulimit -n)",
                   number + 1);
}

/* The first connection finds a broker; without named ones the others take the same. */
static int open_all(load_t *self)
{
    const bench_plan_t *plan = self->plan;
    hearsay_options_t options = plan->connection;
    char text[256];
    const char *const found[] = {text};

    if (open_connection(self, &options) != 0 || open_sessions(self, 0, 1) != 0)
        return -1;
    snprintf(text, sizeof(text), "%s", hearsay_broker(self->connections[0]));
    if (options.broker_count == 0 && text[0] != '\0') {
        options.brokers = found;
        options.broker_count = 1;
    }
    while (self->opened_connections < plan->connections)
        if (open_connection(self, &options) != 0)
            return -1;
    for (unsigned i = 1; i < plan->sessions; i += OPEN_TOGETHER) {
        unsigned left = plan->sessions - i;
        if (open_sessions(self, i, left < OPEN_TOGETHER ? left : OPEN_TOGETHER) != 0)
            return -1;
    }
    return 0;
}

static void close_all(load_t *self)
{
    bench_poll_destroy(&self->poll); /* the descriptors in it go now */
    for (unsigned i = 0; i < self->opened_connections; i++)
        hearsay_close(&self->connections[i]);
    while (self->free != NULL) {
        ask_t *next = self->free->next;
        free(self->free);
        self->free = next;
    }
    free(self->connections);
    free(self->askers);
    free(self->value);
}

int bench_load(const bench_plan_t *plan, bench_result_t *result, bench_ready_fn *ready, void *arg,
               err_t *err)
{
    load_t self = {.plan = plan, .result = result, .err = err};

    random_seed(&self.random, (uint64_t)bench_now_us() ^ (uint64_t)getpid() << 40);
    self.connections = mem_zero(plan->connections, sizeof(hearsay_t *));
    self.askers = mem_zero(plan->sessions, sizeof(*self.askers));
    self.value = mem_zero(plan->value_size + 1, 1);
    memset(self.value, 'v', plan->value_size);
    self.poll = bench_poll_new(plan->connections);
    int rc = self.poll != NULL
                 ? open_all(&self)
                 : err_set(err, OUTCOME_FULL, "no descriptor is left: raise the limit (ulimit -n)");
    if (rc == 0) {
        self.begin_us = ready(arg);
        self.count_us = self.begin_us + plan->warm_up_us;
        self.end_us = self.count_us + plan->duration_us;
        result->first_us = result->last_us = self.count_us;
        while (bench_now_us() < self.begin_us)
            serve(&self, self.begin_us);
        if (plan->rate == 0)
            run_closed(&self);
        else
            run_open(&self);
    }
    close_all(&self);
    return rc;
}
