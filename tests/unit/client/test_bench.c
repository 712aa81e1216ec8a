#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "client/tool/bench.h"

enum { SET, GET, DEL, INCR };

static int read_mix(bench_plan_t *plan, const char *text)
{
    err_t err;
    return bench_read_mix(plan, text, &err);
}

static void test_mix(void **state)
{
    (void)state;
    bench_plan_t plan = {0};
    assert_int_equal(read_mix(&plan, "set:50,get:40,incr:10"), 0);
    assert_int_equal(plan.weights[SET], 50);
    assert_int_equal(plan.weights[GET], 40);
    assert_int_equal(plan.weights[INCR], 10);
    assert_int_equal(plan.weight_sum, 100);
    assert_int_equal(read_mix(&plan, "get"), 0);
    assert_int_equal(plan.weights[GET], 1);
    assert_int_equal(plan.weight_sum, 1);
    assert_int_equal(read_mix(&plan, "get:0,set:3,set:4"), 0);
    assert_int_equal(plan.weights[SET], 7);
    static const char *const wrong[] = {"",           "get:",
                                        "get:x",      "get:-1",
                                        "got:1",      "get:1,",
                                        ",get:1",     "get:0",
                                        "get:1,,set", "get:1 set:1",
                                        "ge:1",       "gets:1",
                                        "hgetall:1",  "get:99999999999999999999",
                                        "get:1000001"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(read_mix(&plan, wrong[i]), -1);
}

static bench_result_t *some_result(void)
{
    bench_result_t *result = mem_zero(1, sizeof *result);
    for (uint64_t i = 1; i <= 100; i++)
        histogram_add(&result->latency[SET], i);
    histogram_add(&result->latency[GET], 2000000);
    result->codes[HEARSAY_OK] = 101;
    result->codes[HEARSAY_UNKNOWN] = 3;
    result->first_us = 5000000;
    result->last_us = 7000000;
    return result;
}

static void test_table(void **state)
{
    (void)state;
    const bench_plan_t plan = {.sessions = 50, .connections = 1, .pipeline = 16};
    bench_result_t *result = some_result();
    buf_t out = {0};
    bench_report(&out, OUTPUT_TERMINAL, &plan, result);
    const char *text = buf_text(&out);
    assert_non_null(strstr(text, "50 sessions on 1 connection, 16 requests each under way; 2.0 s"));
    assert_non_null(
        strstr(text, "\nset                 100         50        50        90        99"));
    assert_non_null(strstr(text, "\nall                 101         50 "));
    assert_non_null(strstr(text, "\nfailed                3 UNKNOWN\n"));
    assert_non_null(strstr(text, "\n  ≤    2 s     0.99 %  ▉\n"));
    assert_non_null(
        strstr(text, "\n  ≤  100 µs   49.50 %  ████████████████████████████████████████\n"));
    assert_null(strstr(text, "incr"));
    buf_free(&out);
    free(result);
}

static void test_json(void **state)
{
    (void)state;
    const bench_plan_t plan = {.sessions = 2, .connections = 1, .pipeline = 1, .rate = 9};
    bench_result_t *result = some_result();
    buf_t out = {0};
    bench_report(&out, OUTPUT_JSON, &plan, result);
    assert_string_equal(
        buf_text(&out),
        "{\"ok\":false,\"sessions\":2,\"connections\":1,\"pipeline\":1,\"rate\":9,\"seconds\":2,"
        "\"all\":{\"requests\":101,\"per_second\":50.5,\"us\":{\"p50\":51,\"p90\":91,\"p99\":100,"
        "\"p99.9\":2000000,\"max\":2000000}},\"commands\":{"
        "\"set\":{\"requests\":100,\"per_second\":50,\"us\":{\"p50\":50,\"p90\":90,\"p99\":99,"
        "\"p99.9\":100,\"max\":100}},"
        "\"get\":{\"requests\":1,\"per_second\":0.5,\"us\":{\"p50\":2000000,\"p90\":2000000,"
        "\"p99\":2000000,\"p99.9\":2000000,\"max\":2000000}}},\"failed\":{\"UNKNOWN\":3}}\n");
    buf_free(&out);
    free(result);
}

/* Nothing was carried out: no division by nothing, no endless bar. */
static void test_nothing(void **state)
{
    (void)state;
    const bench_plan_t plan = {.sessions = 1, .connections = 1, .pipeline = 1};
    bench_result_t *result = mem_zero(1, sizeof *result);
    bench_visible_t *visible = mem_zero(1, sizeof *visible);
    buf_t out = {0};
    bench_report(&out, OUTPUT_TERMINAL, &plan, result);
    bench_report(&out, OUTPUT_JSON, &plan, result);
    bench_report_visible(&out, OUTPUT_TERMINAL, visible);
    bench_report_visible(&out, OUTPUT_JSON, visible);
    assert_null(strstr(buf_text(&out), "nan"));
    buf_free(&out);
    free(result);
    free(visible);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
