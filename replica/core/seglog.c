#include "replica/core/seglog.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

#include "bus/base/hlc.h"
#include "bus/wire/mp.h"

enum {
    MAGIC_SIZE = 8,
    HEADER_SUMMED = SEGLOG_HEADER_SIZE - 8,
    ENTRY_SUMMED = SEGLOG_ENTRY_OVERHEAD - 8,
    META_FIELDS = 1,
    CLOCK_FIELDS = 2,
    META_FIELDS_MAX = 64,
};

/* How many bytes seglog_find_good may hash in all: some tenths of a second. */
static const size_t FIND_BUDGET = (size_t)1 << 30;

static const char MAGIC[MAGIC_SIZE + 1] = "HSAYLOG\n";

void seglog_header_put(buf_t *out, uint16_t node_id, uint64_t position)
{
    uint8_t *p = buf_reserve(out, SEGLOG_HEADER_SIZE);
    memcpy(p, MAGIC, MAGIC_SIZE);
    be32_put(p + 8, SEGLOG_FORMAT);
    be16_put(p + 12, node_id);
    be16_put(p + 14, 0);
    be64_put(p + 16, position);
    be64_put(p + HEADER_SUMMED, XXH3_64bits(p, HEADER_SUMMED));
    out->size += SEGLOG_HEADER_SIZE;
}

seglog_header_state_t seglog_header_read(slice_t bytes, seglog_header_t *out)
{
    size_t common = bytes.size < MAGIC_SIZE ? bytes.size : MAGIC_SIZE;
    if (common > 0 && memcmp(bytes.data, MAGIC, common) != 0)
        return SEGLOG_HEADER_FOREIGN;
    if (bytes.size < SEGLOG_HEADER_SIZE)
        return SEGLOG_HEADER_DAMAGED;
    const uint8_t *p = bytes.data;
    if (be64_get(p + HEADER_SUMMED) != XXH3_64bits(p, HEADER_SUMMED))
        return SEGLOG_HEADER_DAMAGED;
    out->format = be32_get(p + 8);
    out->node_id = be16_get(p + 12);
    out->position = be64_get(p + 16);
    if (out->format == 0)
        return SEGLOG_HEADER_DAMAGED;
    return out->format > SEGLOG_FORMAT ? SEGLOG_HEADER_NEWER : SEGLOG_HEADER_GOOD;
}

/* head: an entry's bytes before its checksum; with the position they seed the payload's hash. */
static uint64_t entry_checksum(const uint8_t *head, uint64_t position, slice_t payload)
{
    uint64_t seed = XXH3_64bits_withSeed(head, ENTRY_SUMMED, position);
    return XXH3_64bits_withSeed(payload.data, payload.size, seed);
}

void seglog_entry_put(buf_t *out, uint64_t position, uint8_t kind, slice_t payload)
{
    assert(kind != 0);
    assert(payload.size <= SEGLOG_PAYLOAD_MAX);
    uint8_t *p = buf_reserve(out, SEGLOG_ENTRY_OVERHEAD + payload.size);
    be32_put(p, (uint32_t)payload.size);
    p[4] = kind;
    memset(p + 5, 0, 3);
    be64_put(p + ENTRY_SUMMED, entry_checksum(p, position, payload));
    if (payload.size > 0)
        memcpy(p + SEGLOG_ENTRY_OVERHEAD, payload.data, payload.size);
    out->size += SEGLOG_ENTRY_OVERHEAD + payload.size;
}

static bool is_all_zero(slice_t bytes)
{
    /* Each byte equals the one before it and the first is 0. */
    return bytes.data[0] == 0 && memcmp(bytes.data, bytes.data + 1, bytes.size - 1) == 0;
}

/* True when the SEGLOG_ENTRY_OVERHEAD bytes at p may begin an entry, its checksum left aside. */
static bool is_plausible(const uint8_t *p)
{
    return p[4] != 0 && p[5] == 0 && p[6] == 0 && p[7] == 0 && be32_get(p) <= SEGLOG_PAYLOAD_MAX;
}

seglog_state_t seglog_next(slice_t bytes, uint64_t position, seglog_entry_t *out)
{
    if (bytes.size == 0)
        return SEGLOG_END;
    if (bytes.size < SEGLOG_ENTRY_OVERHEAD || is_all_zero(bytes))
        return SEGLOG_TORN;
    const uint8_t *p = bytes.data;
    if (!is_plausible(p))
        return SEGLOG_DAMAGED;
    slice_t payload = {p + SEGLOG_ENTRY_OVERHEAD, be32_get(p)};
    if (payload.size > bytes.size - SEGLOG_ENTRY_OVERHEAD)
        return SEGLOG_TORN;
    if (be64_get(p + ENTRY_SUMMED) != entry_checksum(p, position, payload))
        return SEGLOG_DAMAGED;
    *out = (seglog_entry_t){p[4], payload, SEGLOG_ENTRY_OVERHEAD + payload.size};
    return SEGLOG_GOOD;
}

/*
 * Where the first good entry begins, at the offset from or later; bytes.size: none does. Of very
 * many that look like entries, one that is none may be taken for it.
 */
static size_t find_good(slice_t bytes, uint64_t position, size_t from)
{
    size_t budget = FIND_BUDGET;
    for (size_t at = from; at < bytes.size; at++) {
        const uint8_t *p = bytes.data + at;
        size_t left = bytes.size - at;
        if (left < SEGLOG_ENTRY_OVERHEAD)
            break;
        if (!is_plausible(p))
            continue;
        slice_t payload = {p + SEGLOG_ENTRY_OVERHEAD, be32_get(p)};
        if (payload.size > left - SEGLOG_ENTRY_OVERHEAD)
            continue;
        size_t cost = SEGLOG_ENTRY_OVERHEAD + payload.size;
        if (be64_get(p + ENTRY_SUMMED) == entry_checksum(p, position + at, payload) ||
            cost > budget)
            return at;
        budget -= cost;
    }
    return bytes.size;
}

bool seglog_find_good(slice_t bytes, uint64_t position, size_t from)
{
    return find_good(bytes, position, from) < bytes.size;
}

size_t seglog_next_good(slice_t rest, uint64_t position)
{
    seglog_entry_t entry;
    size_t at = find_good(rest, position, 1);
    slice_t found = slice_of(rest.data + at, rest.size - at);
    return seglog_next(found, position + at, &entry) == SEGLOG_GOOD ? at : rest.size;
}

/* An array whose first item is the number that counts. */
void seglog_number_put(buf_t *out, uint64_t value)
{
    mp_put_array(out, META_FIELDS);
    mp_put_uint(out, value);
}

bool seglog_number_read(slice_t payload, uint64_t *out)
{
    mp_t in = mp_open(payload);
    uint32_t items = mp_array(&in, META_FIELDS_MAX);
    if (items < META_FIELDS)
        return false;
    uint64_t value = mp_uint(&in);
    mp_array_end(&in, items, META_FIELDS);
    if (!mp_done(&in))
        return false;
    *out = value;
    return true;
}

void seglog_meta_put(buf_t *out, uint64_t lineage)
{
    seglog_number_put(out, lineage);
}

bool seglog_meta_read(slice_t payload, uint64_t *lineage)
{
    return seglog_number_read(payload, lineage);
}

void seglog_clock_put(buf_t *out, uint64_t clock, int64_t lead_ms)
{
    mp_put_array(out, CLOCK_FIELDS);
    mp_put_uint(out, clock);
    mp_put_uint(out, (uint64_t)lead_ms);
}

bool seglog_clock_read(slice_t payload, uint64_t *clock, int64_t *lead_ms)
{
    mp_t in = mp_open(payload);
    uint32_t items = mp_array(&in, META_FIELDS_MAX);
    if (items < CLOCK_FIELDS)
        return false;
    uint64_t said = mp_uint(&in);
    uint64_t lead = mp_uint(&in);
    mp_array_end(&in, items, CLOCK_FIELDS);
    if (!mp_done(&in) || lead > HLC_MS_MAX)
        return false;
    *clock = said;
    *lead_ms = (int64_t)lead;
    return true;
}
