#include "bus/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

slice_t slice_of(const void *data, size_t size)
{
    return (slice_t){.data = data, .size = size};
}

slice_t slice_text(const char *text)
{
    return slice_of(text, strlen(text));
}

bool slice_equal(slice_t a, slice_t b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int slice_compare(slice_t a, slice_t b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common != 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

/* The length of the well-formed sequence at p, 0 when there is none (RFC 3629, section 4). */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    uint8_t a = p[0];
    if (a < 0x80)
        return 1;
    if (a < 0xC2 || a > 0xF4)
        return 0;
    size_t length = a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4;
    if (left < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (a == 0xE0 && p[1] < 0xA0) || (a == 0xF0 && p[1] < 0x90);
    bool surrogate = a == 0xED && p[1] > 0x9F;
    bool too_great = a == 0xF4 && p[1] > 0x8F;
    return overlong || surrogate || too_great ? 0 : length;
}

bool slice_is_utf8(slice_t s)
{
    size_t i = 0;
    while (i < s.size) {
        size_t length = utf8_sequence(s.data + i, s.size - i);
        if (length == 0)
            return false;
        i += length;
    }
    return true;
}

bool slice_to_int64(slice_t s, int64_t *value)
{
    bool negative = s.size > 0 && s.data[0] == '-';
    size_t i = negative ? 1 : 0;
    size_t digits = s.size - i;
    if (digits == 0 || digits > 19)
        return false;
    if (s.data[i] == '0' && (digits > 1 || negative))
        return false;
    uint64_t sum = 0;
    for (; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        sum = sum * 10 + (uint64_t)(s.data[i] - '0'); /* 19 digits fit in 64 bits */
    }
    if (sum > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *value = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return true;
}

void buf_init(buf_t *self)
{
    *self = (buf_t){0};
}

void buf_free(buf_t *self)
{
    free(self->data);
    *self = (buf_t){0};
}

void buf_reset(buf_t *self)
{
    self->size = 0;
}

uint8_t *buf_reserve(buf_t *self, size_t extra)
{
    size_t need = self->size + extra;
    if (need > self->capacity || self->data == NULL) {
        size_t capacity = self->capacity != 0 ? self->capacity : 64;
        while (capacity < need)
            capacity *= 2;
        self->data = mem_resize(self->data, capacity);
        self->capacity = capacity;
    }
    return self->data + self->size;
}

void buf_append(buf_t *self, const void *data, size_t size)
{
    if (size == 0)
        return;
    memcpy(buf_reserve(self, size), data, size);
    self->size += size;
}

void buf_append_slice(buf_t *self, slice_t s)
{
    buf_append(self, s.data, s.size);
}

void buf_append_text(buf_t *self, const char *text)
{
    buf_append(self, text, strlen(text));
}

void buf_append_u8(buf_t *self, uint8_t value)
{
    *buf_reserve(self, 1) = value;
    self->size++;
}

void buf_printf(buf_t *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length <= 0)
        return;
    char *at = (char *)buf_reserve(self, (size_t)length + 1);
    va_start(args, format);
    vsnprintf(at, (size_t)length + 1, format, args);
    va_end(args);
    self->size += (size_t)length;
}

slice_t buf_slice(const buf_t *self)
{
    return slice_of(self->data, self->size);
}

const char *buf_text(buf_t *self)
{
    *buf_reserve(self, 1) = '\0';
    return (const char *)self->data;
}

uint16_t be16_get(const uint8_t *p)
{
    return (uint16_t)((uint16_t)(p[0] << 8) | p[1]);
}

uint32_t be32_get(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint64_t be64_get(const uint8_t *p)
{
    return (uint64_t)be32_get(p) << 32 | be32_get(p + 4);
}

void be16_put(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

void be32_put(uint8_t *p, uint32_t value)
{
    be16_put(p, (uint16_t)(value >> 16));
    be16_put(p + 2, (uint16_t)value);
}

void be64_put(uint8_t *p, uint64_t value)
{
    be32_put(p, (uint32_t)(value >> 32));
    be32_put(p + 4, (uint32_t)value);
}
