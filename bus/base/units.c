#include "bus/base/units.h"

#include <assert.h>
#include <inttypes.h>

typedef struct unit {
    const char *name;
    int64_t factor;
} unit_t;

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The names that are written come first, greatest first; what is only read follows. */
static const unit_t durations[] = {
    {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {"", 1000},
};
static const unit_t sizes[] = {
    {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1},
    {"G", 1 << 30},   {"M", 1 << 20},   {"K", 1 << 10},   {"B", 1},
};

/* Bounds that keep what is read, and a fraction times a unit, within 64 bits. */
enum { WHOLE_DIGITS_MAX = 18, FRACTION_DIGITS_MAX = 9 };

static const unit_t *unit_named(const unit_t *units, size_t count, slice_t name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(slice_text(units[i].name), name))
            return &units[i];
    return NULL;
}

/* Reads the digits from *at on, no more than most; false when there is none or there are more. */
static bool read_digits(slice_t text, size_t *at, size_t most, int64_t *value, int64_t *scale)
{
    size_t start = *at;
    *value = 0;
    *scale = 1;
    for (; *at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9'; (*at)++) {
        if (*at - start == most)
            return false;
        *value = *value * 10 + (text.data[*at] - '0');
        *scale *= 10;
    }
    return *at > start;
}

static bool parse(slice_t text, const unit_t *units, size_t count, int64_t *result)
{
    size_t at = 0;
    int64_t whole;
    int64_t fraction = 0;
    int64_t scale;
    if (!read_digits(text, &at, WHOLE_DIGITS_MAX, &whole, &scale))
        return false;
    scale = 1;
    if (at < text.size && text.data[at] == '.') {
        at++;
        if (!read_digits(text, &at, FRACTION_DIGITS_MAX, &fraction, &scale))
            return false;
    }
    const unit_t *unit = unit_named(units, count, slice_of(text.data + at, text.size - at));
    if (unit == NULL || fraction * unit->factor % scale != 0)
        return false;
    int64_t part = fraction * unit->factor / scale; /* under 10^9 * 2^30 before the division */
    if (whole > (INT64_MAX - part) / unit->factor)
        return false;
    *result = whole * unit->factor + part;
    return true;
}

bool units_to_ms(slice_t text, int64_t *ms)
{
    return parse(text, durations, COUNT(durations), ms);
}

bool units_to_bytes(slice_t text, int64_t *bytes)
{
    return parse(text, sizes, COUNT(sizes), bytes);
}

/* The first unit of the list that divides the value; the list has one of factor 1. */
static void put(buf_t *out, const unit_t *units, int64_t value)
{
    assert(value >= 0);
    while (value == 0 ? units->factor != 1 : value % units->factor != 0)
        units++;
    buf_printf(out, "%" PRId64 "%s", value / units->factor, units->name);
}

void units_put_ms(buf_t *out, int64_t ms)
{
    put(out, durations, ms);
}

void units_put_bytes(buf_t *out, int64_t bytes)
{
    put(out, sizes, bytes);
}
