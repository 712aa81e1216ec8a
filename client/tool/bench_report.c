/*
 * What was measured, as a table with a histogram, or as JSON. Pure formatting into a buffer.
 */
#include <inttypes.h>
#include <string.h>

#include "bus/base/json.h"
#include "client/tool/bench.h"

enum {
    BAR_WIDTH = 40, /* characters */
    EIGHTHS = 8,    /* of a character */
    ROWS_MAX = 32,
};

static const struct {
    const char *name;
    uint32_t ppm;
} percentiles[] = {
    {"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p99.9", 999000}, {"max", 1000000},
};
enum { PERCENTILES = sizeof(percentiles) / sizeof(percentiles[0]) };

/* ---- the histogram ---- */

/* 1, 2, 5, 10, 20, 50 …: the n-th such number. */
static uint64_t step(unsigned n)
{
    static const uint64_t first[] = {1, 2, 5};
    uint64_t value = first[n % 3];
    for (unsigned i = 0; i < n / 3; i++)
        value *= 10;
    return value;
}

static void put_duration(buf_t *out, uint64_t us)
{
    if (us < 1000)
        buf_printf(out, "%4" PRIu64 " µs", us);
    else if (us < 1000000)
        buf_printf(out, "%4" PRIu64 " ms", us / 1000);
    else
        buf_printf(out, "%4" PRIu64 " s ", us / 1000000);
}

/* A bar of so many eighths of a character, U+2588 and its parts. */
static void put_bar(buf_t *out, uint64_t eighths)
{
    for (; eighths >= EIGHTHS; eighths -= EIGHTHS)
        buf_append_text(out, "█");
    if (eighths != 0) {
        const char part[] = {'\xE2', '\x96', (char)(0x90 - (int)eighths), '\0'};
        buf_append_text(out, part);
    }
}

static void put_histogram(buf_t *out, const histogram_t *histogram)
{
    uint64_t counts[ROWS_MAX] = {0};
    uint64_t before = 0;
    uint64_t most = 1;
    unsigned first = ROWS_MAX;
    unsigned last = 0;

    for (unsigned i = 0; i < ROWS_MAX; i++) {
        uint64_t now = histogram_up_to(histogram, step(i));
        counts[i] = now - before;
        before = now;
        if (counts[i] == 0)
            continue;
        first = first == ROWS_MAX ? i : first;
        last = i;
        most = counts[i] > most ? counts[i] : most;
    }
    for (unsigned i = first; i <= last && i < ROWS_MAX; i++) {
        buf_append_text(out, "  ≤ ");
        put_duration(out, step(i));
        buf_printf(out, "  %6.2f %%  ", 100.0 * (double)counts[i] / (double)histogram->total);
        uint64_t eighths = (counts[i] * BAR_WIDTH * EIGHTHS + most - 1) / most;
        put_bar(out, eighths);
        buf_append_u8(out, '\n');
    }
}

/* ---- the table ---- */

static void put_heads(buf_t *out)
{
    buf_printf(out, "%-12s %10s %10s", "", "requests", "/s");
    for (unsigned i = 0; i < PERCENTILES; i++)
        buf_printf(out, " %9s", percentiles[i].name);
    buf_append_text(out, "  (µs)\n");
}

static void put_row(buf_t *out, const char *name, const histogram_t *histogram, double seconds)
{
    buf_printf(out, "%-12s %10" PRIu64 " %10.0f", name, histogram->total,
               seconds > 0 ? (double)histogram->total / seconds : 0.0);
    for (unsigned i = 0; i < PERCENTILES; i++)
        buf_printf(out, " %9" PRIu64, histogram_at(histogram, percentiles[i].ppm));
    buf_append_u8(out, '\n');
}

static double seconds_of(const bench_result_t *result)
{
    return (double)(result->last_us - result->first_us) / 1e6;
}

static void sum_up(const bench_result_t *result, histogram_t *sum)
{
    *sum = (histogram_t){0};
    for (unsigned i = 0; i < BENCH_COMMANDS; i++)
        histogram_merge(sum, &result->latency[i]);
}

static void put_table(buf_t *out, const bench_plan_t *plan, const bench_result_t *result,
                      const histogram_t *sum)
{
    double seconds = seconds_of(result);

    buf_printf(out, "%u sessions on %u connection%s, ", plan->sessions, plan->connections,
               plan->connections == 1 ? "" : "s");
    if (plan->rate != 0)
        buf_printf(out, "%" PRIu64 " requests due a second; ", plan->rate);
    else
        buf_printf(out, "%u request%s each under way; ", plan->pipeline,
                   plan->pipeline == 1 ? "" : "s");
    buf_printf(out, "%.1f s\n\n", seconds);
    put_heads(out);
    for (unsigned i = 0; i < BENCH_COMMANDS; i++)
        if (result->latency[i].total != 0)
            put_row(out, bench_commands[i].name, &result->latency[i], seconds);
    put_row(out, "all", sum, seconds);
    for (unsigned i = 1; i < BENCH_CODES; i++)
        if (result->codes[i] != 0)
            buf_printf(out, "failed       %10" PRIu64 " %s\n", result->codes[i],
                       outcome_name((outcome_t)i));
    buf_append_u8(out, '\n');
    put_histogram(out, sum);
}

/* ---- JSON ---- */

static void put_latency(json_t *json, const char *key, const histogram_t *histogram, double seconds)
{
    json_object(json, key);
    json_uint(json, "requests", histogram->total);
    if (seconds > 0)
        json_double(json, "per_second", (double)histogram->total / seconds);
    json_object(json, "us");
    for (unsigned i = 0; i < PERCENTILES; i++)
        json_uint(json, percentiles[i].name, histogram_at(histogram, percentiles[i].ppm));
    json_end(json);
    json_end(json);
}

static uint64_t sum_of(const uint64_t codes[BENCH_CODES])
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < BENCH_CODES; i++)
        sum += codes[i];
    return sum;
}

static void put_json(buf_t *out, const bench_plan_t *plan, const bench_result_t *result,
                     const histogram_t *sum)
{
    json_t json = json_open(out);
    double seconds = seconds_of(result);

    json_object(&json, NULL);
    json_bool(&json, "ok", result->codes[HEARSAY_OK] == sum_of(result->codes));
    json_uint(&json, "sessions", plan->sessions);
    json_uint(&json, "connections", plan->connections);
    json_uint(&json, "pipeline", plan->pipeline);
    if (plan->rate != 0)
        json_uint(&json, "rate", plan->rate);
    json_double(&json, "seconds", seconds);
    put_latency(&json, "all", sum, seconds);
    json_object(&json, "commands");
    for (unsigned i = 0; i < BENCH_COMMANDS; i++)
        if (result->latency[i].total != 0)
            put_latency(&json, bench_commands[i].name, &result->latency[i], seconds);
    json_end(&json);
    json_object(&json, "failed");
    for (unsigned i = 1; i < BENCH_CODES; i++)
        if (result->codes[i] != 0)
            json_uint(&json, outcome_name((outcome_t)i), result->codes[i]);
    json_end(&json);
    json_end(&json);
    buf_append_u8(out, '\n');
}

void bench_report(buf_t *out, output_style_t style, const bench_plan_t *plan,
                  const bench_result_t *result)
{
    histogram_t sum;

    sum_up(result, &sum);
    if (style == OUTPUT_JSON)
        put_json(out, plan, result, &sum);
    else
        put_table(out, plan, result, &sum);
}

void bench_report_visible(buf_t *out, output_style_t style, const bench_visible_t *visible)
{
    double seconds = (double)visible->took_us / 1e6;

    if (style == OUTPUT_JSON) {
        json_t json = json_open(out);
        json_object(&json, NULL);
        json_bool(&json, "ok", visible->failures == 0);
        json_uint(&json, "replicas", visible->replicas);
        put_latency(&json, "acknowledged", &visible->acknowledged, seconds);
        put_latency(&json, "visible", &visible->visible, seconds);
        json_uint(&json, "failures", visible->failures);
        json_end(&json);
        buf_append_u8(out, '\n');
        return;
    }
    buf_printf(out, "updates one after the other; %u replicas read all the time\n\n",
               visible->replicas);
    put_heads(out);
    put_row(out, "acknowledged", &visible->acknowledged, seconds);
    put_row(out, "visible", &visible->visible, seconds);
    if (visible->failures != 0)
        buf_printf(out, "failed       %10" PRIu64 "\n", visible->failures);
    buf_append_text(out, "\nvisible at all replicas, from the issue of the update\n");
    put_histogram(out, &visible->visible);
}
