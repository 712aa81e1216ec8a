/* hearsayctl's requests, replies and documents, and the trace. */
#include "bus/wire/backup.h"
#include "bus/wire/files.h"
#include "bus/wire/inspect.h"
#include "bus/wire/trace.h"
#include "tests/fuzz/fuzz.h"

static void read_counts(slice_t counts, uint32_t count)
{
    mp_t in = mp_open(counts);
    control_count_t item;

    for (uint32_t i = 0; i < count; i++) {
        fuzz_check(control_count_next(&in, &item)); /* they were checked with the document */
        fuzz_touch(item.name);
    }
}

static void read_peers(slice_t peers, uint32_t count)
{
    mp_t in = mp_open(peers);
    control_peer_t item;
    vec_t vector = {0};

    for (uint32_t i = 0; i < count; i++) {
        fuzz_check(control_peer_next(&in, &item));
        fuzz_touch(item.host);
        mp_t at = mp_open(item.vector);
        mp_vector(&at, &vector);
        fuzz_check(mp_done(&at));
    }
    vec_free(&vector);
}

static void read_members(slice_t bytes, uint32_t count)
{
    mp_t in = mp_open(bytes);
    control_member_t item;

    for (uint32_t i = 0; i < count; i++)
        fuzz_check(control_member_next(&in, &item));
    fuzz_check(mp_done(&in));
}

static void read_refused(slice_t bytes, uint32_t count)
{
    mp_t in = mp_open(bytes);
    control_refused_t item;

    for (uint32_t i = 0; i < count; i++)
        fuzz_check(control_refused_next(&in, &item));
    fuzz_check(mp_done(&in));
}

static void read_document(slice_t document)
{
    control_node_t node;
    control_broker_t broker;

    control_kind(document);
    if (control_node_read(document, &node)) {
        fuzz_touch(node.mode);
        fuzz_touch(node.host);
        fuzz_touch(node.version);
        read_counts(node.counts_at, node.counts);
        read_peers(node.peers_at, node.peers);
        read_members(node.members_at, node.members);
        read_refused(node.refused_at, node.refused);
        fuzz_touch(node.read_only);
    }
    if (control_broker_read(document, &broker)) {
        fuzz_touch(broker.host);
        fuzz_touch(broker.version);
        read_counts(broker.counts_at, broker.counts);
        read_peers(broker.replicas_at, broker.replicas);
    }
}

/* The documents of bus/wire/inspect.h. */
static void read_inspections(slice_t document)
{
    inspect_events_t events;
    inspect_event_t event;
    inspect_key_t key;
    inspect_sessions_t sessions;
    inspect_route_t route;

    if (inspect_events_read(document, &events)) {
        mp_t in = mp_open(events.events_at);
        for (uint32_t i = 0; i < events.events; i++) {
            fuzz_check(inspect_event_next(&in, &event));
            fuzz_touch(event.text);
        }
    }
    if (inspect_key_read(document, &key))
        fuzz_touch(key.type);
    if (inspect_sessions_read(document, &sessions)) {
        mp_t in = mp_open(sessions.routes_at);
        for (uint32_t i = 0; i < sessions.routes_here; i++)
            fuzz_check(inspect_route_next(&in, &route));
    }
}

static void read_piece(slice_t document)
{
    backup_piece_t piece;
    if (!backup_piece_read(document, &piece))
        return;
    fuzz_check(piece.at.offset + piece.bytes.size <= piece.size);
    fuzz_touch(piece.bytes);
}

/* Those of bus/wire/compare.h. */
static void read_comparisons(slice_t document)
{
    compare_digests_t digests;
    compare_shown_t shown;
    compare_key_t key;
    vec_t vector = {0};

    if (compare_digests_read(document, &digests))
        compare_digest(&digests, digests.count - 1);
    if (!compare_shown_read(document, &shown))
        return;
    mp_t in = mp_open(shown.keys_at);
    for (uint32_t i = 0; i < shown.keys; i++) {
        fuzz_check(compare_key_next(&in, &key));
        fuzz_touch(key.key);
        mp_t at = mp_open(key.dots);
        mp_vector_of(&at, &vector, VEC_WHOLE_MAX);
        fuzz_check(mp_done(&at));
    }
    vec_free(&vector);
}

static void read_files(slice_t document)
{
    files_report_t report;
    files_finding_t finding;

    if (!files_report_read(document, &report))
        return;
    mp_t in = mp_open(report.findings_at);
    for (uint32_t i = 0; i < report.findings; i++) {
        fuzz_check(files_finding_next(&in, &finding));
        fuzz_touch(finding.file);
        fuzz_touch(finding.text);
    }
}

/* What programs publish of themselves. */
static void read_trace(slice_t message)
{
    trace_batch_t batch;
    trace_item_t item;

    if (!trace_batch_read(message, &batch))
        return;
    mp_t in = mp_open(batch.items_at);
    for (uint32_t i = 0; i < batch.items; i++) {
        fuzz_check(trace_item_next(&in, &item));
        fuzz_touch(item.key);
        fuzz_touch(item.text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t message = slice_of(data, size);
    control_request_t request;
    control_reply_t reply;

    control_request_read(message, &request);
    if (control_reply_read(message, &reply)) {
        fuzz_touch(reply.text);
        read_document(reply.document);
    }
    read_document(message);
    read_inspections(message);
    read_comparisons(message);
    read_piece(message);
    read_files(message);
    read_trace(message);
    return 0;
}
