/*
 * Makes a replica wrong in a way that no checksum finds: what "hearsayctl check" is for.
 *
 *   forge SEGMENT OLD NEW
 *
 * In each entry of a log segment the text OLD becomes NEW, which must be as long, and the entry
 * gets the checksum that belongs to it. Prints how many were changed; 1 when none was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replica/core/seglog.h"

enum { SEGMENT_MAX = 64 * 1024 * 1024 };

static int fail(const char *what, const char *name)
{
    fprintf(stderr, "forge: cannot %s %s\n", what, name);
    return 2;
}

static bool read_file(const char *name, buf_t *out)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL)
        return false;
    buf_reserve(out, SEGMENT_MAX);
    out->size = fread(out->data, 1, SEGMENT_MAX, file);
    bool is_whole = !ferror(file) && feof(file);
    fclose(file);
    return is_whole;
}

static bool write_file(const char *name, slice_t bytes)
{
    FILE *file = fopen(name, "r+b");
    if (file == NULL)
        return false;
    bool is_written = fwrite(bytes.data, 1, bytes.size, file) == bytes.size;
    return fclose(file) == 0 && is_written;
}

/* The payload with every OLD replaced, in out; false when there was none. */
static bool replace(slice_t payload, const char *old, const char *new, buf_t *out)
{
    size_t size = strlen(old);
    bool is_changed = false;
    buf_reset(out);
    buf_append_slice(out, payload);
    for (size_t i = 0; i + size <= out->size; i++) {
        if (memcmp(out->data + i, old, size) != 0)
            continue;
        memcpy(out->data + i, new, size);
        is_changed = true;
    }
    return is_changed;
}

int main(int argc, char *argv[])
{
    seglog_header_t header;
    seglog_entry_t entry;
    buf_t bytes = {0};
    buf_t payload = {0};
    buf_t forged = {0};
    int changed = 0;

    if (argc != 4 || strlen(argv[2]) != strlen(argv[3]) || argv[2][0] == '\0')
        return fail("work so; give SEGMENT and two texts of one length, not", argv[0]);
    if (!read_file(argv[1], &bytes) ||
        seglog_header_read(buf_slice(&bytes), &header) != SEGLOG_HEADER_GOOD)
        return fail("read", argv[1]);
    for (size_t at = SEGLOG_HEADER_SIZE; at < bytes.size; at += entry.size) {
        uint64_t position = header.position + at - SEGLOG_HEADER_SIZE;
        if (seglog_next(slice_of(bytes.data + at, bytes.size - at), position, &entry) !=
            SEGLOG_GOOD)
            break;
        if (!replace(entry.payload, argv[2], argv[3], &payload))
            continue;
        buf_reset(&forged);
        seglog_entry_put(&forged, position, entry.kind, buf_slice(&payload));
        memcpy(bytes.data + at, forged.data, forged.size);
        changed++;
    }
    if (!write_file(argv[1], buf_slice(&bytes)))
        return fail("write", argv[1]);
    printf("%d\n", changed);
    buf_free(&bytes);
    buf_free(&payload);
    buf_free(&forged);
    return changed > 0 ? 0 : 1;
}
