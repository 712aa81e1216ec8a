#include "bus/wire/peer.h"

#include "bus/wire/fields.h"

static void preamble(buf_t *out, peer_kind_t kind)
{
    const uint8_t bytes[PEER_PREAMBLE_SIZE] = {'H', 'P', PEER_VERSION, (uint8_t)kind, 0, 0, 0, 0};
    buf_append(out, bytes, sizeof bytes);
}

peer_kind_t peer_kind(slice_t message)
{
    const uint8_t *p = message.data;
    if (message.size < PEER_PREAMBLE_SIZE || p[0] != 'H' || p[1] != 'P' || p[2] != PEER_VERSION ||
        p[3] < PEER_HELLO || p[3] > PEER_STATE)
        return (peer_kind_t)0;
    return (peer_kind_t)p[3];
}

/* Opens the body: a message array with at least the needed fields. */
static mp_t open_body(slice_t message, uint32_t needed, uint32_t *items)
{
    mp_t in =
        mp_open(slice_of(message.data + PEER_PREAMBLE_SIZE, message.size - PEER_PREAMBLE_SIZE));
    *items = fields_open(&in, needed);
    return in;
}

static peer_address_t address_at(mp_t *in)
{
    slice_t host = fields_bytes(in, PEER_HOST_MAX);
    return (peer_address_t){.host = host, .port = fields_u16(in)};
}

/* ---- members ---- */

void peer_members_put(buf_t *out, const peer_member_t *rows, uint32_t count)
{
    mp_put_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        mp_put_array(out, 4);
        mp_put_uint(out, rows[i].id);
        mp_put_uint(out, rows[i].incarnation);
        mp_put_uint(out, rows[i].stamp);
        mp_put_uint(out, rows[i].state);
    }
}

bool peer_members_read(slice_t members, peer_member_t *rows, uint32_t *count)
{
    mp_t in = mp_open(members);
    *count = mp_array(&in, PEER_MEMBERS_MAX);
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t items = fields_open(&in, 4);
        rows[i].id = fields_u16(&in);
        rows[i].incarnation = mp_uint(&in);
        rows[i].stamp = mp_uint(&in);
        rows[i].state = fields_u8(&in);
        mp_array_end(&in, items, 4);
        if (!mp_ok(&in) || rows[i].state < MEMBER_IN || rows[i].state > MEMBER_FORGOTTEN ||
            rows[i].id >= PEER_MEMBERS_MAX || rows[i].stamp > UINT64_MAX / 2)
            return false;
    }
    return mp_done(&in);
}

/* Members and final counts are encoded once and passed on as bytes. */
static void put_array(buf_t *out, slice_t array)
{
    if (array.size == 0)
        mp_put_array(out, 0);
    else
        buf_append_slice(out, array);
}

static slice_t array_at(mp_t *in)
{
    if (mp_peek(in) != MP_ARRAY)
        mp_fail(in);
    return mp_skip(in);
}

bool peer_vector_read(slice_t vector, slice_t ended, vec_t *out, vec_t *scratch)
{
    mp_t in = mp_open(vector);
    mp_vector(&in, out);
    if (!mp_done(&in) || ended.size == 0)
        return mp_done(&in);
    in = mp_open(ended);
    mp_vector_of(&in, scratch, VEC_ENDED_MAX);
    if (!mp_done(&in))
        return false;
    vec_merge(out, scratch);
    return true;
}

/* ---- messages ---- */

void peer_hello_put(buf_t *out, peer_kind_t kind, const peer_hello_t *hello, const vec_t *vector,
                    const peer_neighbour_t *neighbours)
{
    preamble(out, kind);
    mp_put_array(out, 17);
    mp_put_uint(out, hello->cluster);
    mp_put_uint(out, hello->lineage);
    mp_put_bool(out, hello->lineage_is_fixed);
    mp_put_uint(out, hello->id);
    mp_put_uint(out, hello->incarnation);
    mp_put_int(out, hello->age_ms);
    mp_put_uint(out, hello->status);
    mp_put_uint(out, hello->clock);
    mp_put_vector(out, vector);
    mp_put_str(out, hello->address.host);
    mp_put_uint(out, hello->address.port);
    mp_put_array(out, hello->neighbours);
    for (uint32_t i = 0; i < hello->neighbours; i++) {
        mp_put_array(out, 4);
        mp_put_uint(out, neighbours[i].id);
        mp_put_uint(out, neighbours[i].incarnation);
        mp_put_str(out, neighbours[i].address.host);
        mp_put_uint(out, neighbours[i].address.port);
    }
    mp_put_uint(out, hello->machine);
    mp_put_uint(out, hello->floor);
    mp_put_bool(out, hello->has_gap);
    put_array(out, hello->members);
    put_array(out, hello->ended);
}

bool peer_hello_read(slice_t message, peer_hello_t *out)
{
    uint32_t items;
    mp_t in = open_body(message, 17, &items);
    out->cluster = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->lineage_is_fixed = mp_bool(&in);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->age_ms = mp_int(&in);
    out->status = fields_u8(&in);
    out->clock = mp_uint(&in);
    out->vector = fields_vector(&in);
    out->address = address_at(&in);
    out->neighbours = mp_array(&in, PEER_NEIGHBOURS_MAX);
    const uint8_t *start = in.at;
    for (uint32_t i = 0; i < out->neighbours; i++)
        mp_skip(&in);
    out->neighbours_at = slice_of(start, (size_t)(in.at - start));
    out->machine = mp_uint(&in);
    out->floor = mp_uint(&in);
    out->has_gap = mp_bool(&in);
    out->members = array_at(&in);
    out->ended = array_at(&in);
    return fields_close(&in, items, 17) && out->incarnation != 0 && out->lineage != 0;
}

bool peer_neighbour_read(mp_t *in, peer_neighbour_t *out)
{
    uint32_t items = fields_open(in, 4);
    out->id = fields_u16(in);
    out->incarnation = mp_uint(in);
    out->address = address_at(in);
    mp_array_end(in, items, 4);
    return mp_ok(in);
}

void peer_refused_put(buf_t *out, const peer_refused_t *refused)
{
    preamble(out, PEER_REFUSED);
    mp_put_array(out, 3);
    mp_put_uint(out, refused->incarnation);
    mp_put_bool(out, refused->id_taken);
    mp_put_str(out, refused->text);
}

bool peer_refused_read(slice_t message, peer_refused_t *out)
{
    uint32_t items;
    mp_t in = open_body(message, 3, &items);
    out->incarnation = mp_uint(&in);
    out->id_taken = mp_bool(&in);
    out->text = mp_bytes(&in);
    return fields_close(&in, items, 3);
}

void peer_ping_put(buf_t *out, peer_kind_t kind, uint64_t incarnation, uint8_t status)
{
    preamble(out, kind);
    mp_put_array(out, 2);
    mp_put_uint(out, incarnation);
    mp_put_uint(out, status);
}

bool peer_ping_read(slice_t message, uint64_t *incarnation, uint8_t *status)
{
    uint32_t items;
    mp_t in = open_body(message, 2, &items);
    *incarnation = mp_uint(&in);
    *status = fields_u8(&in);
    return fields_close(&in, items, 2);
}

void peer_pull_put(buf_t *out, const peer_pull_t *pull, const vec_t *have)
{
    preamble(out, PEER_PULL);
    mp_put_array(out, 5);
    mp_put_uint(out, pull->request);
    mp_put_uint(out, pull->incarnation);
    mp_put_vector(out, have);
    mp_put_uint(out, pull->position);
    put_array(out, pull->ended);
}

bool peer_pull_read(slice_t message, peer_pull_t *out)
{
    uint32_t items;
    mp_t in = open_body(message, 5, &items);
    out->request = mp_uint(&in);
    out->incarnation = mp_uint(&in);
    out->have = fields_vector(&in);
    out->position = mp_uint(&in);
    out->ended = array_at(&in);
    return fields_close(&in, items, 5);
}

/* No record takes less than a byte. */
static slice_t records_at(mp_t *in, uint32_t *count)
{
    *count = (uint32_t)fields_uint(in, PEER_RECORDS_MAX);
    slice_t records = mp_bytes(in);
    if (*count > records.size)
        mp_fail(in);
    return records;
}

/* Records travel as one bin that holds them one behind the other, as the log has them. */
void peer_records_put(buf_t *out, const peer_records_t *records, const vec_t *vector)
{
    preamble(out, PEER_RECORDS);
    mp_put_array(out, 7);
    mp_put_uint(out, records->request);
    mp_put_uint(out, records->next);
    mp_put_bool(out, records->end);
    mp_put_bool(out, records->has_gap);
    mp_put_vector(out, vector);
    mp_put_uint(out, records->count);
    mp_put_bin(out, records->records);
}

bool peer_records_read(slice_t message, peer_records_t *out)
{
    uint32_t items;
    mp_t in = open_body(message, 7, &items);
    out->request = mp_uint(&in);
    out->next = mp_uint(&in);
    out->end = mp_bool(&in);
    out->has_gap = mp_bool(&in);
    out->vector = fields_vector(&in);
    out->records = records_at(&in, &out->count);
    return fields_close(&in, items, 7);
}

void peer_batch_put(buf_t *out, const peer_batch_t *batch)
{
    preamble(out, PEER_BATCH);
    mp_put_array(out, 7);
    mp_put_uint(out, batch->cluster);
    mp_put_uint(out, batch->lineage);
    mp_put_uint(out, batch->origin);
    mp_put_uint(out, batch->head);
    mp_put_uint(out, batch->count);
    mp_put_bin(out, batch->records);
    mp_put_array(out, batch->ackers);
    for (uint32_t i = 0; i < batch->ackers; i++)
        mp_put_uint(out, batch->acker[i]);
}

bool peer_batch_read(slice_t message, peer_batch_t *out)
{
    uint32_t items;
    mp_t in = open_body(message, 7, &items);
    out->cluster = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->origin = mp_uint(&in);
    out->head = mp_uint(&in);
    out->records = records_at(&in, &out->count);
    out->ackers = mp_array(&in, PEER_ACKERS_MAX);
    for (uint32_t i = 0; i < out->ackers; i++)
        out->acker[i] = mp_uint(&in);
    return fields_close(&in, items, 7) && out->origin != 0;
}

bool peer_record_next(mp_t *in, slice_t *record)
{
    if (mp_peek(in) != MP_ARRAY)
        return false;
    *record = mp_skip(in);
    return mp_ok(in);
}

void peer_round_put(buf_t *out, const peer_round_t *round, const vec_t *vector, const vec_t *synced)
{
    preamble(out, PEER_ROUND);
    mp_put_array(out, 13);
    mp_put_uint(out, round->cluster);
    mp_put_uint(out, round->lineage);
    mp_put_bool(out, round->lineage_is_fixed);
    mp_put_uint(out, round->id);
    mp_put_uint(out, round->incarnation);
    mp_put_uint(out, round->status);
    mp_put_uint(out, round->clock);
    mp_put_vector(out, vector);
    mp_put_vector(out, synced);
    mp_put_uint(out, round->floor);
    mp_put_uint(out, round->view);
    put_array(out, round->members);
    put_array(out, round->ended);
}

bool peer_round_read(slice_t message, peer_round_t *out)
{
    uint32_t items;
    mp_t in = open_body(message, 13, &items);
    out->cluster = mp_uint(&in);
    out->lineage = mp_uint(&in);
    out->lineage_is_fixed = mp_bool(&in);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->status = fields_u8(&in);
    out->clock = mp_uint(&in);
    out->vector = fields_vector(&in);
    out->synced = fields_vector(&in);
    out->floor = mp_uint(&in);
    out->view = mp_uint(&in);
    out->members = array_at(&in);
    out->ended = array_at(&in);
    return fields_close(&in, items, 13) && out->incarnation != 0;
}

void peer_joined_put(buf_t *out, uint64_t cluster, uint64_t incarnation)
{
    preamble(out, PEER_JOINED);
    mp_put_array(out, 2);
    mp_put_uint(out, cluster);
    mp_put_uint(out, incarnation);
}

bool peer_joined_read(slice_t message, uint64_t *cluster, uint64_t *incarnation)
{
    uint32_t items;
    mp_t in = open_body(message, 2, &items);
    *cluster = mp_uint(&in);
    *incarnation = mp_uint(&in);
    return fields_close(&in, items, 2);
}

void peer_ack_put(buf_t *out, uint64_t incarnation, const vec_t *vector)
{
    preamble(out, PEER_ACK);
    mp_put_array(out, 2);
    mp_put_uint(out, incarnation);
    mp_put_vector(out, vector);
}

bool peer_ack_read(slice_t message, uint64_t *incarnation, slice_t *vector)
{
    uint32_t items;
    mp_t in = open_body(message, 2, &items);
    *incarnation = mp_uint(&in);
    *vector = fields_vector(&in);
    return fields_close(&in, items, 2);
}

void peer_join_put(buf_t *out, const peer_join_t *join, const vec_t *vector)
{
    preamble(out, PEER_JOIN);
    mp_put_array(out, 7);
    mp_put_uint(out, join->id);
    mp_put_uint(out, join->incarnation);
    mp_put_uint(out, join->transfer);
    mp_put_uint(out, join->part);
    mp_put_vector(out, vector);
    put_array(out, join->ended);
    mp_put_bool(out, join->has_left);
}

bool peer_join_read(slice_t message, peer_join_t *out)
{
    uint32_t items;
    mp_t in = open_body(message, 7, &items);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->transfer = mp_uint(&in);
    out->part = mp_uint(&in);
    out->vector = fields_vector(&in);
    out->ended = array_at(&in);
    out->has_left = mp_bool(&in);
    return fields_close(&in, items, 7) && out->incarnation != 0;
}

void peer_state_put(buf_t *out, const peer_state_part_t *state)
{
    preamble(out, PEER_STATE);
    mp_put_array(out, 4);
    mp_put_uint(out, state->transfer);
    mp_put_uint(out, state->part);
    mp_put_bool(out, state->is_last);
    mp_put_bin(out, state->rows);
}

bool peer_state_read(slice_t message, peer_state_part_t *out)
{
    uint32_t items;
    mp_t in = open_body(message, 4, &items);
    out->transfer = mp_uint(&in);
    out->part = mp_uint(&in);
    out->is_last = mp_bool(&in);
    out->rows = mp_bytes(&in);
    return fields_close(&in, items, 4);
}
