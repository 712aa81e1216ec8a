#include "bus/wire/token.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_base64url(buf_t *out, slice_t bytes)
{
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < bytes.size; i++) {
        bits = bits << 8 | bytes.data[i];
        for (held += 8; held >= 6; held -= 6)
            buf_append_u8(out, (uint8_t)letters[bits >> (held - 6) & 63]);
    }
    if (held != 0)
        buf_append_u8(out, (uint8_t)letters[bits << (6 - held) & 63]);
}

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Bits left over must be 0, so that no two texts stand for the same bytes. */
static bool read_base64url(slice_t text, buf_t *out)
{
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < text.size; i++) {
        int value = value_of(text.data[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            buf_append_u8(out, (uint8_t)(bits >> held));
        }
    }
    return held < 6 && (bits & ((1U << held) - 1)) == 0;
}

void token_put(buf_t *out, uint64_t lineage, hlc_t clock, const vec_t *seen)
{
    buf_t bytes = {0};

    mp_put_array(&bytes, 4);
    mp_put_uint(&bytes, TOKEN_VERSION);
    mp_put_uint(&bytes, lineage);
    mp_put_uint(&bytes, clock);
    mp_put_vector(&bytes, seen);
    put_base64url(out, buf_slice(&bytes));
    buf_free(&bytes);
}

bool token_read(slice_t text, uint64_t *lineage, hlc_t *clock, vec_t *seen)
{
    buf_t bytes = {0};
    bool is_good = text.size <= TOKEN_TEXT_MAX && read_base64url(text, &bytes);

    if (is_good) {
        mp_t in = mp_open(buf_slice(&bytes));
        uint32_t items = mp_array(&in, 4);
        if (items != 4 || mp_uint(&in) != TOKEN_VERSION)
            mp_fail(&in);
        *lineage = mp_uint(&in);
        *clock = mp_uint(&in);
        mp_vector(&in, seen);
        is_good = mp_done(&in);
    }
    buf_free(&bytes);
    return is_good;
}
