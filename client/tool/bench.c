/*
 * The bench command: reads its plan, spreads it over processes, gathers what they measured.
 */
#include "client/tool/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus/base/memory.h"
#include "client/tool/app.h"

enum { BEGIN_AFTER_US = 50000, PROCESSES_MAX = 64 };

const bench_command_t bench_commands[BENCH_COMMANDS] = {
    {"set", "bench:set:", false, true},  {"get", "bench:set:", false, false},
    {"del", "bench:set:", false, false}, {"incr", "bench:incr:", false, false},
    {"hset", "bench:hash:", true, true}, {"hget", "bench:hash:", true, false},
};

/* ---- the plan ---- */

static int read_share(bench_plan_t *plan, slice_t part, err_t *err)
{
    const uint8_t *colon = part.size != 0 ? memchr(part.data, ':', part.size) : NULL;
    size_t name_size = colon != NULL ? (size_t)(colon - part.data) : part.size;
    int64_t weight = 1;

    for (unsigned i = 0; i < BENCH_COMMANDS; i++) {
        if (!slice_equal(slice_of(part.data, name_size), slice_text(bench_commands[i].name)))
            continue;
        if (colon != NULL &&
            (!slice_to_int64(slice_of(colon + 1, part.size - name_size - 1), &weight) ||
             weight < 0 || weight > 1000000))
            break;
        plan->weights[i] += (unsigned)weight;
        plan->weight_sum += (unsigned)weight;
        return 0;
    }
    return err_set(err, OUTCOME_USAGE,
                   "--mix: \"%.*s\" is no command with its share: write set:50,get:50, of set get "
                   "del incr hset hget",
                   part.size < 40 ? (int)part.size : 40, (const char *)part.data);
}

int bench_read_mix(bench_plan_t *plan, const char *text, err_t *err)
{
    memset(plan->weights, 0, sizeof(plan->weights));
    plan->weight_sum = 0;
    for (const char *at = text;; at++) {
        size_t size = strcspn(at, ",");
        if (read_share(plan, slice_of(at, size), err) != 0)
            return -1;
        at += size;
        if (*at == '\0')
            break;
    }
    if (plan->weight_sum != 0)
        return 0;
    return err_set(err, OUTCOME_USAGE, "--mix: no command has a share: write set:50,get:50");
}

static int read_plan(bench_plan_t *plan, const options_t *options, err_t *err)
{
    *plan = (bench_plan_t){
        .connection = {.cluster = options_text(options, "cluster"),
                       .interface_name = options_text(options, "interface"),
                       .beacon_port = (int)options_int(options, "beacon-port"),
                       .insecure = options_flag(options, "insecure"),
                       .window = HEARSAY_WINDOW},
        .curve = options_text(options, "curve"),
        .curve_key = options_text(options, "curve-key"),
        .replica = options_given(options, "replica") ? (int)options_int(options, "replica")
                                                     : HEARSAY_ANY_REPLICA,
        .sessions = (unsigned)options_int(options, "sessions"),
        .connections = (unsigned)options_int(options, "connections"),
        .pipeline = (unsigned)options_int(options, "pipeline"),
        .rate = options_given(options, "rate") ? (uint64_t)options_int(options, "rate") : 0,
        .keys = (uint64_t)options_int(options, "keys"),
        .value_size = (size_t)options_bytes(options, "value-size"),
        .requests = (uint64_t)options_int(options, "requests"),
        .duration_us = options_ms(options, "duration") * 1000,
        .warm_up_us = options_ms(options, "warm-up") * 1000,
        .timeout_ms = (int)options_ms(options, "timeout"),
    };
    plan->connection.brokers = options_list(options, "broker", &plan->connection.broker_count);
    if (plan->pipeline > plan->connection.window)
        plan->connection.window = plan->pipeline;
    if (plan->connections > PROCESSES_MAX * BENCH_PER_PROCESS)
        return err_set(err, OUTCOME_USAGE, "--connections: %d is the most",
                       PROCESSES_MAX * BENCH_PER_PROCESS);
    if (plan->sessions < plan->connections) {
        if (options_given(options, "sessions"))
            return err_set(err, OUTCOME_USAGE,
                           "%u connections for %u sessions: each needs one, give --sessions %u",
                           plan->connections, plan->sessions, plan->connections);
        plan->sessions = plan->connections;
    }
    return bench_read_mix(plan, options_text(options, "mix"), err);
}

/* ---- processes ---- */

/* A process of the load, as its parent sees it. */
typedef struct worker {
    pid_t pid;
    int from; /* its results come from there */
    int to;   /* and when to begin goes there */
} worker_t;

/* The pipes as the worker has them. */
typedef struct gate {
    int from;
    int to;
} gate_t;

/* What a worker says once it is ready, and in the end; an error's outcome is not OK. */
typedef struct word {
    err_t err;
} word_t;

static bool read_all(int fd, void *data, size_t size)
{
    uint8_t *at = data;
    while (size != 0) {
        ssize_t got = read(fd, at, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size != 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += written;
        size -= (size_t)written;
    }
    return true;
}

static int64_t wait_at_gate(void *arg)
{
    const gate_t *gate = arg;
    const word_t ready = {{.outcome = OUTCOME_OK}};
    int64_t begin_us;

    if (!write_all(gate->to, &ready, sizeof(ready)) ||
        !read_all(gate->from, &begin_us, sizeof(begin_us)))
        _exit(EXIT_INTERRUPTED); /* the parent is gone */
    return begin_us;
}

static void work(const bench_plan_t *plan, gate_t gate)
{
    bench_result_t *result = mem_zero(1, sizeof(*result));
    word_t word = {{.outcome = OUTCOME_OK}};

    bool is_good = bench_load(plan, result, wait_at_gate, &gate, &word.err) == 0 ||
                   !write_all(gate.to, &word, sizeof(word));
    if (is_good)
        write_all(gate.to, result, sizeof(*result));
    free(result);
    _exit(EXIT_DONE);
}

/* The i-th of count equal parts of a whole. */
static uint64_t part_of(uint64_t whole, unsigned i, unsigned count)
{
    return whole / count + (i < whole % count);
}

static bool start_worker(worker_t *self, const bench_plan_t *plan)
{
    int up[2];
    int down[2];

    if (pipe(up) != 0)
        return false;
    if (pipe(down) != 0) {
        close(up[0]);
        close(up[1]);
        return false;
    }
    self->pid = fork();
    if (self->pid == 0) {
        close(up[0]);
        close(down[1]);
        work(plan, (gate_t){.from = down[0], .to = up[1]});
    }
    close(up[1]);
    close(down[0]);
    self->from = up[0];
    self->to = down[1];
    if (self->pid > 0)
        return true;
    close(self->from);
    close(self->to);
    return false;
}

static void end_workers(worker_t *workers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        close(workers[i].from);
        close(workers[i].to); /* one that still waits for its gate ends */
        waitpid(workers[i].pid, NULL, 0);
    }
}

static void merge_result(bench_result_t *into, const bench_result_t *from)
{
    for (unsigned i = 0; i < BENCH_COMMANDS; i++)
        histogram_merge(&into->latency[i], &from->latency[i]);
    for (unsigned i = 0; i < BENCH_CODES; i++)
        into->codes[i] += from->codes[i];
    into->first_us = from->first_us;
    if (from->last_us > into->last_us)
        into->last_us = from->last_us;
}

/* All workers are to be ready before any begins. */
static int run_workers(worker_t *workers, unsigned count, bench_result_t *result, err_t *err)
{
    bench_result_t *part = mem_zero(1, sizeof(*part));
    word_t word;
    int rc = 0;

    for (unsigned i = 0; i < count && rc == 0; i++) {
        if (!read_all(workers[i].from, &word, sizeof(word)))
            rc = err_set(err, OUTCOME_FULL, "a process of the load ended early");
        else if (word.err.outcome != OUTCOME_OK)
            rc = err_set(err, word.err.outcome, "%s", word.err.text);
    }
    int64_t begin_us = bench_now_us() + BEGIN_AFTER_US;
    for (unsigned i = 0; i < count && rc == 0; i++)
        if (!write_all(workers[i].to, &begin_us, sizeof(begin_us)))
            rc = err_set(err, OUTCOME_FULL, "a process of the load ended early");
    for (unsigned i = 0; i < count && rc == 0; i++) {
        if (read_all(workers[i].from, part, sizeof(*part)))
            merge_result(result, part);
        else
            rc = err_set(err, OUTCOME_FULL, "a process of the load ended before its results");
    }
    free(part);
    return rc;
}

static int spread(const bench_plan_t *plan, unsigned count, bench_result_t *result, err_t *err)
{
    worker_t workers[PROCESSES_MAX];
    unsigned started = 0;
    int rc = 0;

    for (; started < count; started++) {
        bench_plan_t part = *plan;
        part.sessions = (unsigned)part_of(plan->sessions, started, count);
        part.connections = (unsigned)part_of(plan->connections, started, count);
        part.requests = part_of(plan->requests, started, count);
        part.rate = part_of(plan->rate, started, count);
        if (!start_worker(&workers[started], &part)) {
            rc = err_set(err, OUTCOME_FULL, "cannot start a process of the load: %s",
                         strerror(errno));
            break;
        }
    }
    if (rc == 0)
        rc = run_workers(workers, count, result, err);
    end_workers(workers, started);
    return rc;
}

static int64_t begin_now(void *arg)
{
    (void)arg;
    return bench_now_us();
}

/* ---- the command ---- */

/* Connections need descriptors; refused, we do with what we have. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* That of the commonest failure, 0 when there was none. */
static int exit_code(const bench_result_t *result)
{
    unsigned worst = HEARSAY_OK;
    for (unsigned i = 1; i < BENCH_CODES; i++)
        if (result->codes[i] > (worst != HEARSAY_OK ? result->codes[worst] : 0))
            worst = i;
    return worst != HEARSAY_OK ? outcome_exit((outcome_t)worst) : EXIT_DONE;
}

static int measure(const bench_plan_t *plan, output_style_t style, buf_t *out, err_t *err)
{
    bench_result_t *result = mem_zero(1, sizeof(*result));
    unsigned processes = (plan->connections + BENCH_PER_PROCESS - 1) / BENCH_PER_PROCESS;
    int rc = processes > 1 ? spread(plan, processes, result, err)
                           : bench_load(plan, result, begin_now, NULL, err);
    if (rc == 0) {
        bench_report(out, style, plan, result);
        rc = exit_code(result);
    }
    free(result);
    return rc;
}

static int measure_visible(const bench_plan_t *plan, output_style_t style, buf_t *out, err_t *err)
{
    bench_visible_t *visible = mem_zero(1, sizeof(*visible));
    int rc = bench_measure_visible(plan, visible, err);
    if (rc == 0) {
        bench_report_visible(out, style, visible);
        rc = visible->failures != 0 ? outcome_exit(OUTCOME_UNKNOWN) : EXIT_DONE;
    }
    free(visible);
    return rc;
}

int bench_run(const options_t *options)
{
    bool as_json = options_flag(options, "json");
    bench_plan_t plan;
    buf_t out = {0};
    err_t err;

    if (read_plan(&plan, options, &err) != 0)
        return app_fail(as_json, &err);
    raise_file_limit();
    output_style_t style = as_json ? OUTPUT_JSON : OUTPUT_TERMINAL;
    int rc = options_flag(options, "visible") ? measure_visible(&plan, style, &out, &err)
                                              : measure(&plan, style, &out, &err);
    if (rc < 0)
        rc = app_fail(as_json, &err);
    else if (!app_write(buf_slice(&out)))
        rc = app_write_failed();
    buf_free(&out);
    return rc;
}
