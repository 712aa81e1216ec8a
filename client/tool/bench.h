/*
 * The load generator, "hearsay bench": what it is told, what it measures, and its parts.
 *
 * Closed loop: each session has so many requests under way and issues the next when one is
 * answered. Open loop (a rate): requests are due at fixed times, whatever the answers do, and their
 * latency counts from when they were due, so that a stall is seen by all that it holds up. What is
 * issued in the warm-up is not counted; what was issued in time is waited for.
 *
 * Keys are "bench:set:N", "bench:incr:N" and "bench:hash:N"; nothing else is touched.
 */
#ifndef HEARSAY_CLIENT_TOOL_BENCH_H
#define HEARSAY_CLIENT_TOOL_BENCH_H

#include <stdbool.h>

#include "bus/base/err.h"
#include "bus/base/histogram.h"
#include "bus/base/options.h"
#include "client/lib/hearsay.h"
#include "client/tool/output.h"

enum {
    BENCH_COMMANDS = 6,
    BENCH_CODES = 32,        /* outcomes are below */
    BENCH_REPLICAS = 32,     /* --visible looks for the ids below */
    BENCH_PER_PROCESS = 512, /* connections; a descriptor limit of 8,192 is enough for them */
};

/* The commands of a mix, in the order of weights and results. */
typedef struct bench_command {
    const char *name;
    const char *key; /* its number follows */
    bool has_field;
    bool has_value;
} bench_command_t;

extern const bench_command_t bench_commands[BENCH_COMMANDS];

typedef struct bench_plan {
    hearsay_options_t connection; /* borrows from the options */
    const char *curve;            /* as hearsay_open_with_keys has them */
    const char *curve_key;
    int replica; /* that all sessions are pinned to, or HEARSAY_ANY_REPLICA */
    unsigned sessions;
    unsigned connections;
    unsigned pipeline;
    uint64_t rate; /* a second; 0: closed loop */
    unsigned weights[BENCH_COMMANDS];
    unsigned weight_sum;
    uint64_t keys;
    size_t value_size;
    uint64_t requests;
    int64_t duration_us;
    int64_t warm_up_us;
    int timeout_ms; /* of a request */
} bench_plan_t;

/* Plain bytes: a process hands it to another through a pipe. Times in µs. */
typedef struct bench_result {
    histogram_t latency[BENCH_COMMANDS]; /* µs, of those that were carried out */
    uint64_t codes[BENCH_CODES];         /* how often each outcome */
    int64_t first_us;                    /* when counting began, of the monotonic clock */
    int64_t last_us;                     /* the last end */
} bench_result_t;

/* What --visible found, µs from the issue of the update. */
typedef struct bench_visible {
    histogram_t acknowledged;
    histogram_t visible; /* at the last of the replicas */
    unsigned replicas;
    uint64_t failures;
    int64_t took_us; /* all that is counted */
} bench_visible_t;

/* Reads "set:50,get:50" into the weights; -1 with err when it is no mix. */
int bench_read_mix(bench_plan_t *plan, const char *text, err_t *err);

/* Microseconds of the monotonic clock, which all processes of a machine share. */
int64_t bench_now_us(void);

/*
 * The load of one process: connects, calls ready(arg) once all sessions are open, which returns
 * when to begin (as bench_now_us()), then runs the plan. 0, or -1 with err.
 */
typedef int64_t bench_ready_fn(void *arg);
int bench_load(const bench_plan_t *plan, bench_result_t *result, bench_ready_fn *ready, void *arg,
               err_t *err);

/* Measures --visible; 0, or -1 with err. */
int bench_measure_visible(const bench_plan_t *plan, bench_visible_t *out, err_t *err);

/* Append what was measured, for people or as one JSON object. */
void bench_report(buf_t *out, output_style_t style, const bench_plan_t *plan,
                  const bench_result_t *result);
void bench_report_visible(buf_t *out, output_style_t style, const bench_visible_t *visible);

/* The whole command; the exit code: 0, or that of the commonest failure. */
int bench_run(const options_t *options);

#endif
