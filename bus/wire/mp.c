#include "bus/wire/mp.h"

#include <msgpack.h>
#include <string.h>

static int write_to_buf(void *data, const char *bytes, size_t size)
{
    buf_append(data, bytes, size);
    return 0;
}

static msgpack_packer packer(buf_t *out)
{
    return (msgpack_packer){.data = out, .callback = write_to_buf};
}

void mp_put_array(buf_t *out, uint32_t items)
{
    msgpack_packer p = packer(out);
    msgpack_pack_array(&p, items);
}

void mp_put_map(buf_t *out, uint32_t pairs)
{
    msgpack_packer p = packer(out);
    msgpack_pack_map(&p, pairs);
}

void mp_put_nil(buf_t *out)
{
    msgpack_packer p = packer(out);
    msgpack_pack_nil(&p);
}

void mp_put_bool(buf_t *out, bool value)
{
    msgpack_packer p = packer(out);
    if (value)
        msgpack_pack_true(&p);
    else
        msgpack_pack_false(&p);
}

void mp_put_uint(buf_t *out, uint64_t value)
{
    msgpack_packer p = packer(out);
    msgpack_pack_uint64(&p, value);
}

void mp_put_int(buf_t *out, int64_t value)
{
    msgpack_packer p = packer(out);
    msgpack_pack_int64(&p, value);
}

void mp_put_bin(buf_t *out, slice_t value)
{
    msgpack_packer p = packer(out);
    msgpack_pack_bin(&p, value.size);
    buf_append_slice(out, value);
}

void mp_put_str(buf_t *out, slice_t value)
{
    msgpack_packer p = packer(out);
    msgpack_pack_str(&p, value.size);
    buf_append_slice(out, value);
}

void mp_put_text(buf_t *out, const char *value)
{
    mp_put_str(out, slice_text(value));
}

void mp_put_vector(buf_t *out, const vec_t *value)
{
    mp_put_array(out, value->size * 2);
    for (uint32_t i = 0; i < value->size; i++) {
        mp_put_uint(out, value->parts[i].incarnation);
        mp_put_uint(out, value->parts[i].count);
    }
}

/* The head of one value, as the specification lists them (msgpack spec, "Formats"). */
typedef struct head {
    mp_type_t type;
    uint8_t length;   /* bytes of the head itself */
    uint64_t payload; /* the number (two's complement when negative), byte length or item count */
} head_t;

static uint64_t big_endian(const uint8_t *p, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | p[i];
    return value;
}

/*
 * One row for each first byte from 0xC0 to 0xDF: type, bytes of payload in the head, extra bytes.
 */
typedef struct format {
    uint8_t type;
    uint8_t width;
    uint8_t extra; /* bytes that follow whatever the payload says (float, fixext, ext type byte) */
} format_t;

static const format_t formats[32] = {
    [0x00] = {MP_NIL, 0, 0},    [0x01] = {MP_END, 0, 0},   [0x02] = {MP_BOOL, 0, 0},
    [0x03] = {MP_BOOL, 0, 0},   [0x04] = {MP_BYTES, 1, 0}, [0x05] = {MP_BYTES, 2, 0},
    [0x06] = {MP_BYTES, 4, 0},  [0x07] = {MP_OTHER, 1, 1}, [0x08] = {MP_OTHER, 2, 1},
    [0x09] = {MP_OTHER, 4, 1},  [0x0A] = {MP_OTHER, 0, 4}, [0x0B] = {MP_OTHER, 0, 8},
    [0x0C] = {MP_UINT, 1, 0},   [0x0D] = {MP_UINT, 2, 0},  [0x0E] = {MP_UINT, 4, 0},
    [0x0F] = {MP_UINT, 8, 0},   [0x10] = {MP_INT, 1, 0},   [0x11] = {MP_INT, 2, 0},
    [0x12] = {MP_INT, 4, 0},    [0x13] = {MP_INT, 8, 0},   [0x14] = {MP_OTHER, 0, 2},
    [0x15] = {MP_OTHER, 0, 3},  [0x16] = {MP_OTHER, 0, 5}, [0x17] = {MP_OTHER, 0, 9},
    [0x18] = {MP_OTHER, 0, 17}, [0x19] = {MP_BYTES, 1, 0}, [0x1A] = {MP_BYTES, 2, 0},
    [0x1B] = {MP_BYTES, 4, 0},  [0x1C] = {MP_ARRAY, 2, 0}, [0x1D] = {MP_ARRAY, 4, 0},
    [0x1E] = {MP_MAP, 2, 0},    [0x1F] = {MP_MAP, 4, 0},
};

static uint64_t sign_extend(uint64_t value, unsigned width)
{
    unsigned shift = 64 - 8 * width;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

static head_t long_head(const uint8_t *p, size_t left)
{
    const format_t *f = &formats[p[0] - 0xC0];
    const head_t none = {MP_END, 0, 0};
    if (f->type == MP_END || left < 1 + (size_t)f->width)
        return none;
    head_t head = {(mp_type_t)f->type, (uint8_t)(1 + f->width), big_endian(p + 1, f->width)};
    if (head.type == MP_BOOL)
        head.payload = p[0] == 0xC3;
    if (head.type == MP_INT) {
        head.payload = sign_extend(head.payload, f->width);
        if ((int64_t)head.payload >= 0)
            head.type = MP_UINT;
    }
    if (head.type == MP_OTHER)
        head.payload += f->extra;
    return head;
}

static head_t read_head(const mp_t *self)
{
    const head_t none = {MP_END, 0, 0};
    if (self->failed || self->at >= self->end)
        return none;
    size_t left = (size_t)(self->end - self->at);
    uint8_t first = self->at[0];
    head_t head;
    if (first < 0x80)
        head = (head_t){MP_UINT, 1, first};
    else if (first < 0x90)
        head = (head_t){MP_MAP, 1, first & 0x0F};
    else if (first < 0xA0)
        head = (head_t){MP_ARRAY, 1, first & 0x0F};
    else if (first < 0xC0)
        head = (head_t){MP_BYTES, 1, first & 0x1F};
    else if (first >= 0xE0)
        head = (head_t){MP_INT, 1, sign_extend(first, 1)};
    else
        head = long_head(self->at, left);
    left -= head.length;
    uint64_t least = head.type == MP_BYTES || head.type == MP_OTHER || head.type == MP_ARRAY
                         ? head.payload
                     : head.type == MP_MAP ? head.payload * 2
                                           : 0;
    return least > left ? none : head;
}

mp_t mp_open(slice_t message)
{
    /* An empty slice may have no address, and NULL + 0 is undefined. */
    const uint8_t *end = message.size != 0 ? message.data + message.size : message.data;
    return (mp_t){.at = message.data, .end = end, .failed = false};
}

bool mp_ok(const mp_t *self)
{
    return !self->failed;
}

void mp_fail(mp_t *self)
{
    self->failed = true;
}

bool mp_done(const mp_t *self)
{
    return !self->failed && self->at == self->end;
}

mp_type_t mp_peek(const mp_t *self)
{
    return read_head(self).type;
}

/* Takes the head of a value of the type wanted, or fails. */
static uint64_t take(mp_t *self, mp_type_t type)
{
    head_t head = read_head(self);
    if (head.type != type) {
        self->failed = true;
        return 0;
    }
    self->at += head.length;
    return head.payload;
}

bool mp_nil(mp_t *self)
{
    if (mp_peek(self) != MP_NIL)
        return false;
    self->at++;
    return true;
}

bool mp_bool(mp_t *self)
{
    return take(self, MP_BOOL) != 0;
}

uint64_t mp_uint(mp_t *self)
{
    return take(self, MP_UINT);
}

int64_t mp_int(mp_t *self)
{
    head_t head = read_head(self);
    if (head.type == MP_UINT && head.payload > (uint64_t)INT64_MAX)
        head.type = MP_END;
    if (head.type != MP_UINT && head.type != MP_INT) {
        self->failed = true;
        return 0;
    }
    self->at += head.length;
    return (int64_t)head.payload;
}

slice_t mp_bytes(mp_t *self)
{
    size_t size = (size_t)take(self, MP_BYTES);
    if (self->failed)
        return slice_of(NULL, 0);
    slice_t value = slice_of(self->at, size);
    self->at += size;
    return value;
}

static uint32_t count_of(mp_t *self, mp_type_t type, uint32_t most)
{
    uint64_t count = take(self, type);
    if (count > most) {
        self->failed = true;
        return 0;
    }
    return (uint32_t)count;
}

uint32_t mp_array(mp_t *self, uint32_t items_max)
{
    return count_of(self, MP_ARRAY, items_max);
}

uint32_t mp_map(mp_t *self, uint32_t pairs_max)
{
    return count_of(self, MP_MAP, pairs_max);
}

void mp_array_end(mp_t *self, uint32_t items, uint32_t read)
{
    for (; read < items && !self->failed; read++)
        mp_skip(self);
}

slice_t mp_skip(mp_t *self)
{
    const uint8_t *start = self->at;
    uint64_t left[MP_DEPTH_MAX + 1];
    unsigned depth = 0;
    left[0] = 1;
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0)
                return slice_of(start, (size_t)(self->at - start));
            depth--;
        }
        left[depth]--;
        head_t head = read_head(self);
        bool nested = head.type == MP_ARRAY || head.type == MP_MAP;
        if (head.type == MP_END || (nested && depth == MP_DEPTH_MAX)) {
            self->failed = true;
            return slice_of(NULL, 0);
        }
        self->at += head.length;
        if (head.type == MP_BYTES || head.type == MP_OTHER)
            self->at += head.payload;
        else if (nested)
            left[++depth] = head.type == MP_MAP ? head.payload * 2 : head.payload;
    }
}

void mp_vector(mp_t *self, vec_t *out)
{
    mp_vector_of(self, out, VEC_PARTS_MAX);
}

void mp_vector_of(mp_t *self, vec_t *out, uint32_t parts_max)
{
    vec_reset(out);
    uint32_t items = mp_array(self, parts_max * 2);
    if (items % 2 != 0)
        self->failed = true;
    uint64_t last = 0;
    for (uint32_t i = 0; i < items && !self->failed; i += 2) {
        uint64_t incarnation = mp_uint(self);
        uint64_t count = mp_uint(self);
        if (self->failed || count == 0 || (i > 0 && incarnation <= last)) {
            self->failed = true;
            return;
        }
        vec_raise(out, incarnation, count);
        last = incarnation;
    }
}
