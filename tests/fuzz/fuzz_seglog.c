/* The scan of a log segment, as the disk does it after a crash. */
#include "replica/core/seglog.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t bytes = slice_of(data, size);
    seglog_header_t header = {0};
    seglog_entry_t entry;
    uint64_t lineage;

    if (seglog_header_read(bytes, &header) == SEGLOG_HEADER_GOOD)
        bytes = slice_of(data + SEGLOG_HEADER_SIZE, size - SEGLOG_HEADER_SIZE);
    uint64_t position = header.position;
    while (seglog_next(bytes, position, &entry) == SEGLOG_GOOD) {
        fuzz_check(entry.size == entry.payload.size + SEGLOG_ENTRY_OVERHEAD);
        fuzz_check(entry.size <= bytes.size);
        fuzz_touch(entry.payload);
        if (entry.kind == SEGLOG_KIND_META)
            seglog_meta_read(entry.payload, &lineage);
        bytes = slice_of(bytes.data + entry.size, bytes.size - entry.size);
        position += entry.size;
    }
    if (bytes.size != 0)
        seglog_find_good(bytes, position, 1);
    return 0;
}
