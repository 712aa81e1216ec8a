#include "bus/base/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const level_names[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug"};

const char *log_level_name(log_level_t level)
{
    assert((unsigned)level < LOG_LEVEL_COUNT);
    return level_names[level];
}

bool log_level_parse(const char *name, log_level_t *level)
{
    for (unsigned i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (log_level_t)i;
            return true;
        }
    }
    return false;
}

typedef struct date {
    unsigned year;
    unsigned month; /* 1..12 */
    unsigned day;   /* 1..31 */
} date_t;

/*
 * The Gregorian date of a number of days since 1970. Years are counted from March on, so that the
 * leap day is the last of its year, and in cycles of 400 years, which have 146097 days each.
 */
static date_t date_of(uint64_t days)
{
    enum { DAYS_TO_1970 = 719468, CYCLE_DAYS = 146097, CENTURY_DAYS = 36524 };
    enum { FOUR_YEARS_DAYS = 1461, YEAR_DAYS = 365 };
    uint64_t since_year_0 = days + DAYS_TO_1970; /* days since 0000-03-01 */
    unsigned cycle = (unsigned)(since_year_0 / CYCLE_DAYS);
    unsigned rest = (unsigned)(since_year_0 % CYCLE_DAYS);
    unsigned century = rest / CENTURY_DAYS;
    if (century == 4) /* the leap day that ends the cycle */
        century = 3;
    rest -= century * CENTURY_DAYS;
    unsigned four_years = rest / FOUR_YEARS_DAYS;
    rest %= FOUR_YEARS_DAYS;
    unsigned year = rest / YEAR_DAYS;
    if (year == 4)
        year = 3;
    rest -= year * YEAR_DAYS;
    /*
     * From March on the months have 31 30 31 30 31, 31 30 31 30 31, 31 28 days: 153 days in five.
     */
    unsigned month = (5 * rest + 2) / 153; /* 0 is March */
    date_t date = {.day = rest - (153 * month + 2) / 5 + 1};
    date.month = month < 10 ? month + 3 : month - 9;
    date.year = cycle * 400 + century * 100 + four_years * 4 + year + (date.month <= 2 ? 1 : 0);
    return date;
}

void log_put_time(buf_t *out, int64_t wall_ms)
{
    const int64_t last_ms = INT64_C(253402300799999); /* 9999-12-31T23:59:59.999Z */
    const uint64_t day_ms = 86400000;
    uint64_t ms = (uint64_t)(wall_ms < 0 ? 0 : wall_ms > last_ms ? last_ms : wall_ms);
    date_t date = date_of(ms / day_ms);
    unsigned rest = (unsigned)(ms % day_ms);
    buf_printf(out, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", date.year, date.month, date.day,
               rest / 3600000, rest / 60000 % 60, rest / 1000 % 60, rest % 1000);
}

/*
 * How many bytes at p a terminal or a reader of lines could take for more than text: 0 when none.
 */
static size_t unsafe_at(const uint8_t *p, size_t left)
{
    if (p[0] < 0x20 || p[0] == 0x7F)
        return 1;
    if (left > 1 && p[0] == 0xC2 && p[1] < 0xA0) /* U+0080 to U+009F, the C1 control characters */
        return 2;
    bool ends_line = left > 2 && p[0] == 0xE2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9);
    return ends_line ? 3 : 0; /* U+2028 and U+2029, the separators of lines and paragraphs */
}

static void put_byte(buf_t *out, uint8_t c)
{
    if (c == '\n')
        buf_append_text(out, "\\n");
    else if (c == '\t')
        buf_append_text(out, "\\t");
    else if (c == '\r')
        buf_append_text(out, "\\r");
    else
        buf_printf(out, "\\x%02x", c);
}

/* Appends text with what could break the line escaped; quotes and backslashes too when quoted. */
static void put_safe(buf_t *out, slice_t text, bool quoted)
{
    bool utf8 = slice_is_utf8(text);
    for (size_t i = 0; i < text.size;) {
        uint8_t c = text.data[i];
        size_t unsafe = !utf8 && c >= 0x80 ? 1 : unsafe_at(text.data + i, text.size - i);
        if (unsafe == 0) {
            if (quoted && (c == '"' || c == '\\'))
                buf_append_u8(out, '\\');
            buf_append_u8(out, c);
            i++;
        }
        for (; unsafe > 0; unsafe--)
            put_byte(out, text.data[i++]);
    }
}

/* True when a value can stand without quotes. */
static bool is_plain(slice_t value)
{
    for (size_t i = 0; i < value.size; i++) {
        uint8_t c = value.data[i];
        if (c == ' ' || c == '"' || c == '\\' || c == '=' || unsafe_at(&c, 1) != 0)
            return false;
        if (c >= 0x80 && unsafe_at(value.data + i, value.size - i) != 0)
            return false;
    }
    return value.size > 0 && slice_is_utf8(value);
}

static void put_key(log_record_t *self, const char *key)
{
    for (const char *c = key; *c != '\0'; c++)
        assert((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
               *c == '_' || *c == '-');
    buf_printf(self->out, " %s=", key);
}

log_record_t log_begin(buf_t *out, bool as_json, int64_t wall_ms, log_level_t level,
                       const char *component, const char *message)
{
    log_record_t self = {.out = out, .as_json = as_json, .json = json_open(out)};
    if (!as_json) {
        log_put_time(out, wall_ms);
        buf_printf(out, " %s %s ", log_level_name(level), component);
        put_safe(out, slice_text(message), false);
        return self;
    }
    buf_t time;
    buf_init(&time);
    log_put_time(&time, wall_ms);
    json_object(&self.json, NULL);
    json_string(&self.json, "time", buf_slice(&time));
    json_text(&self.json, "level", log_level_name(level));
    json_text(&self.json, "component", component);
    json_text(&self.json, "message", message);
    buf_free(&time);
    return self;
}

void log_text(log_record_t *self, const char *key, slice_t value)
{
    if (self->as_json) {
        json_bytes(&self->json, key, value);
        return;
    }
    put_key(self, key);
    if (is_plain(value)) {
        buf_append_slice(self->out, value);
        return;
    }
    buf_append_u8(self->out, '"');
    put_safe(self->out, value, true);
    buf_append_u8(self->out, '"');
}

void log_int(log_record_t *self, const char *key, int64_t value)
{
    if (self->as_json) {
        json_int(&self->json, key, value);
        return;
    }
    put_key(self, key);
    buf_printf(self->out, "%" PRId64, value);
}

void log_uint(log_record_t *self, const char *key, uint64_t value)
{
    if (self->as_json) {
        json_uint(&self->json, key, value);
        return;
    }
    put_key(self, key);
    buf_printf(self->out, "%" PRIu64, value);
}

void log_hex64(log_record_t *self, const char *key, uint64_t value)
{
    char digits[17];
    snprintf(digits, sizeof digits, "%016" PRIx64, value);
    log_text(self, key, slice_text(digits));
}

void log_end(log_record_t *self)
{
    if (self->as_json)
        json_end(&self->json);
    buf_append_u8(self->out, '\n');
}
