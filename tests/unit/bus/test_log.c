#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "bus/base/log.h"
#include "tests/unit/property.h"

static const int64_t noon_ms = INT64_C(1769862896789); /* 2026-01-31T12:34:56.789Z */

static void test_levels(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LOG_LEVEL_COUNT; i++) {
        log_level_t level = LOG_LEVEL_DEBUG;
        assert_true(log_level_parse(log_level_name((log_level_t)i), &level));
        assert_int_equal(level, i);
    }
    log_level_t level = LOG_LEVEL_WARN;
    assert_false(log_level_parse("loud", &level));
    assert_false(log_level_parse("", &level));
    assert_int_equal(level, LOG_LEVEL_WARN);
}

static void write_record(buf_t *out, bool as_json)
{
    log_record_t record =
        log_begin(out, as_json, noon_ms, LOG_LEVEL_WARN, "node", "peer is behind");
    log_text(&record, "peer", slice_text("tcp://127.0.0.1:7710"));
    log_text(&record, "why", slice_text("no \"reply\""));
    log_text(&record, "empty", slice_text(""));
    log_text(&record, "raw", slice_text("a\nb\x01\xff"));
    log_int(&record, "drift_ms", -5);
    log_uint(&record, "lag", UINT64_MAX);
    log_hex64(&record, "incarnation", 0xBEEF);
    log_end(&record);
}

static void test_a_line(void **state)
{
    (void)state;
    buf_t out = {0};
    write_record(&out, false);
    assert_string_equal(buf_text(&out),
                        "2026-01-31T12:34:56.789Z warn node peer is behind "
                        "peer=tcp://127.0.0.1:7710 why=\"no \\\"reply\\\"\" empty=\"\" "
                        "raw=\"a\\nb\\x01\\xff\" drift_ms=-5 lag=18446744073709551615 "
                        "incarnation=000000000000beef\n");
    buf_free(&out);
}

static void test_a_line_of_json(void **state)
{
    (void)state;
    buf_t out = {0};
    write_record(&out, true);
    assert_string_equal(
        buf_text(&out),
        "{\"time\":\"2026-01-31T12:34:56.789Z\",\"level\":\"warn\",\"component\":\"node\","
        "\"message\":\"peer is behind\",\"peer\":\"tcp://127.0.0.1:7710\","
        "\"why\":\"no \\\"reply\\\"\",\"empty\":\"\",\"raw_b64\":\"YQpiAf8=\",\"drift_ms\":-5,"
        "\"lag\":18446744073709551615,\"incarnation\":\"000000000000beef\"}\n");
    buf_free(&out);
}

static void test_what_breaks_lines_is_escaped(void **state)
{
    (void)state;
    buf_t out = {0};
    log_record_t record = log_begin(&out, false, 0, LOG_LEVEL_INFO, "node", "a\nb");
    log_text(&record, "umlaut", slice_text("\xc3\xa4"));
    log_text(&record, "nel", slice_text("\xc2\x85"));
    log_text(&record, "separator", slice_text("\xe2\x80\xa8"));
    log_text(&record, "path", slice_text("C:\\x"));
    log_end(&record);
    assert_string_equal(buf_text(&out), "1970-01-01T00:00:00.000Z info node a\\nb umlaut=\xc3\xa4 "
                                        "nel=\"\\xc2\\x85\" separator=\"\\xe2\\x80\\xa8\" "
                                        "path=\"C:\\\\x\"\n");
    buf_free(&out);
}

static void check_record(random_t *rng)
{
    uint8_t data[40];
    size_t size = (size_t)random_below(rng, sizeof data);
    property_fill(rng, data, size);
    for (int as_json = 0; as_json < 2; as_json++) {
        buf_t out = {0};
        log_record_t record = log_begin(&out, as_json, noon_ms, LOG_LEVEL_INFO, "node", "m");
        log_text(&record, "key", slice_of(data, size));
        log_end(&record);
        assert_ptr_equal(memchr(out.data, '\n', out.size), out.data + out.size - 1);
        assert_true(slice_is_utf8(buf_slice(&out)));
        for (size_t i = 0; i + 1 < out.size; i++)
            assert_true(out.data[i] >= 0x20 && out.data[i] != 0x7F);
        buf_free(&out);
    }
}

static void test_any_value_stays_on_its_line(void **state)
{
    (void)state;
    property_run(check_record, 3000);
}

static void check_time(random_t *rng)
{
    int64_t ms = (int64_t)random_below(rng, UINT64_C(253402300800000));
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    assert_non_null(gmtime_r(&seconds, &tm));
    char day[48];
    char expected[64];
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(expected, sizeof expected, "%s.%03dZ", day, (int)(ms % 1000));
    buf_t out = {0};
    log_put_time(&out, ms);
    assert_string_equal(buf_text(&out), expected);
    buf_free(&out);
}

static void test_time_agrees_with_gmtime(void **state)
{
    (void)state;
    property_run(check_time, 20000);
}

static void test_time_at_its_edges(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {INT64_MIN, "1970-01-01T00:00:00.000Z"},
        {-1, "1970-01-01T00:00:00.000Z"},
        {INT64_C(951782400000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(951868799999), "2000-02-29T23:59:59.999Z"},
        {INT64_C(4107542400000), "2100-03-01T00:00:00.000Z"},
        {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buf_t out = {0};
        log_put_time(&out, rows[i].ms);
        assert_string_equal(buf_text(&out), rows[i].text);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_a_line),
        cmocka_unit_test(test_a_line_of_json),
        cmocka_unit_test(test_what_breaks_lines_is_escaped),
        property_test(test_any_value_stays_on_its_line),
        property_test(test_time_agrees_with_gmtime),
        cmocka_unit_test(test_time_at_its_edges),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
