/* What replicas say to one another: every kind of message. */
#include "bus/wire/peer.h"
#include "bus/wire/record.h"
#include "tests/fuzz/fuzz.h"

static void read_records(slice_t records, uint32_t count)
{
    mp_t in = mp_open(records);
    record_t record = {0};
    slice_t one;

    fuzz_check(count <= PEER_RECORDS_MAX);
    for (uint32_t i = 0; i < count && peer_record_next(&in, &one); i++) {
        fuzz_touch(one);
        record_read(one, &record);
    }
    record_free(&record);
}

static void read_hello(slice_t message)
{
    peer_hello_t hello;
    peer_neighbour_t neighbour;

    if (!peer_hello_read(message, &hello))
        return;
    fuzz_check(hello.neighbours <= PEER_NEIGHBOURS_MAX && hello.address.host.size <= PEER_HOST_MAX);
    fuzz_touch(hello.vector);
    mp_t in = mp_open(hello.neighbours_at);
    for (uint32_t i = 0; i < hello.neighbours && peer_neighbour_read(&in, &neighbour); i++)
        fuzz_touch(neighbour.address.host);
}

static void read_small(slice_t message)
{
    peer_refused_t refused;
    peer_pull_t pull;
    peer_round_t round;
    uint64_t cluster;
    uint64_t incarnation;
    uint8_t status;

    if (peer_refused_read(message, &refused))
        fuzz_touch(refused.text);
    if (peer_pull_read(message, &pull))
        fuzz_touch(pull.have);
    if (peer_round_read(message, &round))
        fuzz_touch(round.vector);
    peer_ping_read(message, &incarnation, &status);
    peer_joined_read(message, &cluster, &incarnation);
    slice_t vector;
    if (peer_ack_read(message, &incarnation, &vector))
        fuzz_touch(vector);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t message = slice_of(data, size);
    peer_records_t records;
    peer_batch_t batch;

    /* Readers are called with messages that have a kind; of which one is the sender's word. */
    if (peer_kind(message) == 0)
        return 0;
    read_hello(message);
    read_small(message);
    if (peer_records_read(message, &records)) {
        fuzz_touch(records.vector);
        read_records(records.records, records.count);
    }
    if (peer_batch_read(message, &batch))
        read_records(batch.records, batch.count);
    return 0;
}
