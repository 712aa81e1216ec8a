/*
 * Writes the first inputs of every fuzz target: one good message of each kind.
 * Usage: seeds FOLDER; makes FOLDER/NAME/0, 1, … for fuzz_NAME.c.
 */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bus/wire/beacon.h"
#include "bus/wire/control.h"
#include "bus/wire/files.h"
#include "bus/wire/peer.h"
#include "bus/wire/record.h"
#include "bus/wire/token.h"
#include "replica/core/seglog.h"
#include "tests/fuzz/events.h"
#include "tests/unit/frames.h"

static const char *folder;
static const char *target;
static unsigned serial;

static void begin(const char *name)
{
    char path[4096];

    target = name;
    serial = 0;
    snprintf(path, sizeof(path), "%s/%s", folder, target);
    mkdir(path, 0777);
}

/* Writes one input and empties it. */
static void seed(buf_t *bytes)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s/%u", folder, target, serial++);
    FILE *file = fopen(path, "wb");
    bool is_written = file != NULL && fwrite(bytes->data, 1, bytes->size, file) == bytes->size;
    if (file == NULL || fclose(file) != 0 || !is_written) {
        fprintf(stderr, "seeds: cannot write %s\n", path);
        exit(1);
    }
    buf_free(bytes);
}

static vec_t some_vector(void)
{
    vec_t vector = {0};
    vec_set(&vector, EVENTS_INCARNATION, 3);
    vec_set(&vector, EVENTS_PEER, 70000);
    return vector;
}

/* An update of the other replica. */
static void put_record(buf_t *out, uint64_t n)
{
    const op_t list[] = {
        {.code = OP_SET, .key = slice_text("k"), .value = slice_text("v")},
        {.code = OP_INCR, .key = slice_text("n"), .amount = 5},
        {.code = OP_HSET,
         .key = slice_text("h"),
         .field = slice_text("f"),
         .value = slice_text("x")},
        {.code = OP_HINCR, .key = slice_text("h"), .field = slice_text("g"), .amount = -1},
        {.code = OP_HDEL, .key = slice_text("h"), .field = slice_text("f")},
        {.code = OP_DEL, .key = slice_text("k")},
    };
    uint32_t count = sizeof(list) / sizeof(list[0]);
    buf_t ops = {0};
    buf_t result = {0};

    mp_put_array(&ops, count);
    for (uint32_t i = 0; i < count; i++)
        op_put(&ops, &list[i]);
    mp_put_bool(&result, true);
    const record_t record = {
        .origin = EVENTS_PEER,
        .n = n,
        .tag = {.hlc = hlc_at(EVENTS_WALL_MS) + n, .client = 9, .seq = n},
        .result = buf_slice(&result),
        .ops = buf_slice(&ops),
    };
    record_put(out, &record);
    buf_free(&ops);
    buf_free(&result);
}

static buf_t batch_of(uint64_t n)
{
    buf_t records = {0};
    buf_t out = {0};
    put_record(&records, n);
    const peer_batch_t batch = {.cluster = EVENTS_CLUSTER,
                                .lineage = EVENTS_LINEAGE,
                                .origin = EVENTS_PEER,
                                .head = n,
                                .count = 1,
                                .records = buf_slice(&records)};
    peer_batch_put(&out, &batch);
    buf_free(&records);
    return out;
}

static buf_t records_of(uint64_t from, uint32_t count)
{
    const vec_t vector = some_vector();
    buf_t records = {0};
    buf_t out = {0};
    for (uint32_t i = 0; i < count; i++)
        put_record(&records, from + i);
    const peer_records_t message = {
        .request = 1, .next = 99, .end = true, .count = count, .records = buf_slice(&records)};
    peer_records_put(&out, &message, &vector);
    buf_free(&records);
    vec_t owned = vector;
    vec_free(&owned);
    return out;
}

static buf_t hello_of(peer_kind_t kind)
{
    vec_t vector = some_vector();
    const peer_neighbour_t neighbour = {3, 0xC3, {slice_text("127.0.0.1"), 7740}};
    const peer_hello_t hello = {
        .cluster = EVENTS_CLUSTER,
        .lineage = EVENTS_LINEAGE,
        .lineage_is_fixed = true,
        .id = 2,
        .incarnation = EVENTS_PEER,
        .age_ms = 1000,
        .clock = hlc_at(EVENTS_WALL_MS),
        .address = {slice_text("127.0.0.1"), 7730},
        .neighbours = 1,
    };
    buf_t out = {0};
    peer_hello_put(&out, kind, &hello, &vector, &neighbour);
    vec_free(&vector);
    return out;
}

static buf_t pull(uint64_t position)
{
    const vec_t nothing = {0};
    buf_t out = {0};
    const peer_pull_t ask = {.request = 4, .position = position};
    peer_pull_put(&out, &ask, &nothing);
    return out;
}

static buf_t round_of(void)
{
    vec_t vector = some_vector();
    const peer_round_t round = {.cluster = EVENTS_CLUSTER,
                                .lineage = EVENTS_LINEAGE,
                                .lineage_is_fixed = true,
                                .id = 2,
                                .incarnation = EVENTS_PEER,
                                .clock = hlc_at(EVENTS_WALL_MS)};
    buf_t out = {0};
    peer_round_put(&out, &round, &vector, &vector);
    vec_free(&vector);
    return out;
}

static buf_t ping(peer_kind_t kind)
{
    buf_t out = {0};
    peer_ping_put(&out, kind, EVENTS_PEER, STATUS_OVERLOADED);
    return out;
}

static void peers(void)
{
    const peer_refused_t refused = {EVENTS_PEER, true, slice_text("the id is taken")};
    buf_t out = {0};

    begin("peer");
    buf_t messages[] = {hello_of(PEER_HELLO),
                        hello_of(PEER_WELCOME),
                        ping(PEER_PING),
                        ping(PEER_PONG),
                        pull(0),
                        records_of(1, 2),
                        batch_of(1),
                        round_of()};
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        seed(&messages[i]);
    peer_refused_put(&out, &refused);
    seed(&out);
    peer_joined_put(&out, EVENTS_CLUSTER, EVENTS_PEER);
    seed(&out);
    vec_t vector = some_vector();
    peer_ack_put(&out, EVENTS_PEER, &vector);
    seed(&out);
    vec_free(&vector);
}

static buf_t request_of(uint64_t seq, command_code_t command, const char *a, const char *b,
                        const char *c)
{
    const vec_t nothing = {0};
    const frame_t header = {.slot = 3, .generation = 1, .message = seq};
    request_t request = {
        .session = 5,
        .epoch = 1,
        .seq = seq,
        .flags = REQUEST_FRESH,
        .left_ms = 1000,
        .hlc = command >= COMMAND_SET ? hlc_at(EVENTS_WALL_MS) + seq : 0,
        .command = (uint8_t)command,
    };
    buf_t words = frames_words(&request.arguments, a, b, c);
    request.arguments_at = buf_slice(&words);
    buf_t frame = frames_request(header, &request, seq == 1 ? &nothing : NULL);
    buf_free(&words);
    return frame;
}

static void sessions(void)
{
    vec_t vector = some_vector();
    const frame_t header = {.slot = 3, .generation = 1};
    const session_welcome_t welcome = {.session = 5, .id = 1, .text = slice_text("why")};
    const link_status_t status = {.id = 1, .incarnation = EVENTS_INCARNATION, .serial = 2};
    buf_t value = {0};
    buf_t out = {0};

    begin("session");
    mp_put_bin(&value, slice_text("v"));
    const reply_t reply = {
        .session = 5, .epoch = 1, .seq = 1, .outcome = OUTCOME_OK, .value = buf_slice(&value)};
    buf_t messages[] = {frames_hello(header, 5, &vector, 2, 7),
                        frames_welcome(header, &welcome),
                        frames_bye(header, 5),
                        frames_link_hello(0xD4, 0),
                        frames_reply(header, &reply, &vector),
                        request_of(1, COMMAND_SET, "k", "v", NULL),
                        request_of(2, COMMAND_HSET, "h", "f", "v")};
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        seed(&messages[i]);
    link_status_put(&out, &status, &vector);
    seed(&out);
    buf_free(&value);
    vec_free(&vector);
}

static void controls(void)
{
    vec_t vector = some_vector();
    buf_t counts = {0};
    buf_t members = {0};
    buf_t document = {0};
    buf_t out = {0};
    const control_request_t request = {.request = 3,
                                       .command = CONTROL_SET_STATUS,
                                       .has_status = true,
                                       .status = STATUS_OFFLINE,
                                       .mode = CONTROL_MODE_AUTO,
                                       .timeout_ms = 500};
    const control_peer_t peer = {
        .id = 2, .incarnation = EVENTS_PEER, .host = slice_text("h"), .port = 7730};

    begin("control");
    control_request_put(&out, &request);
    seed(&out);
    control_count_put(&counts, "requests", 7);
    control_peer_put(&members, &peer, &vector);
    const control_node_t node = {.id = 1,
                                 .host = slice_text("h"),
                                 .version = slice_text("1"),
                                 .counts = 1,
                                 .counts_at = buf_slice(&counts),
                                 .peers = 1,
                                 .peers_at = buf_slice(&members)};
    control_node_put(&document, &node, &vector);
    const control_reply_t of_node = {.request = 3, .document = buf_slice(&document)};
    control_reply_put(&out, &of_node);
    seed(&out);
    buf_reset(&document);
    const control_broker_t broker = {.host = slice_text("h"),
                                     .counts = 1,
                                     .counts_at = buf_slice(&counts),
                                     .replicas = 1,
                                     .replicas_at = buf_slice(&members)};
    control_broker_put(&document, &broker);
    const control_reply_t of_broker = {
        .request = 4, .text = slice_text("text"), .document = buf_slice(&document)};
    control_reply_put(&out, &of_broker);
    seed(&out);
    const uint64_t sums[] = {1, 2};
    compare_digests_put(&out, &(compare_digests_t){.count = 2}, sums);
    seed(&out);
    buf_reset(&members);
    compare_key_put(&members, &(compare_key_t){.key = slice_text("k")}, &vector);
    const compare_shown_t shown = {.keys = 1, .keys_at = buf_slice(&members)};
    compare_shown_put(&out, &shown, &vector);
    seed(&out);
    const backup_piece_t piece = {{1, 2, 3}, 9, true, slice_text("bytes")};
    backup_piece_put(&out, &piece);
    seed(&out);
    buf_reset(&members);
    files_finding_put(&members, &(files_finding_t){true, slice_text("f"), 9, slice_text("text")});
    const files_report_t files = {
        .id = 1, .state = FILES_DONE, .findings = 1, .findings_at = buf_slice(&members)};
    files_report_put(&out, &files);
    seed(&out);
    buf_free(&counts);
    buf_free(&members);
    buf_free(&document);
    vec_free(&vector);
}

static void small(void)
{
    vec_t vector = some_vector();
    buf_t out = {0};
    const beacon_t beacon = {.kind = BEACON_NODE, .cluster = 1, .incarnation = 2, .port = 7710};

    begin("mp");
    mp_put_vector(&out, &vector);
    seed(&out);
    mp_put_map(&out, 1);
    mp_put_text(&out, "k");
    mp_put_array(&out, 3);
    mp_put_nil(&out);
    mp_put_int(&out, -70000);
    mp_put_bin(&out, slice_text("bytes"));
    seed(&out);
    begin("record");
    put_record(&out, 1);
    seed(&out);
    begin("beacon");
    beacon_encode(&beacon, buf_reserve(&out, BEACON_SIZE));
    out.size = BEACON_SIZE;
    seed(&out);
    begin("token");
    token_put(&out, EVENTS_LINEAGE, hlc_at(EVENTS_WALL_MS), &vector);
    seed(&out);
    begin("seglog");
    seglog_header_put(&out, 1, EVENTS_START);
    size_t start = out.size - EVENTS_START;
    buf_t payload = {0};
    seglog_meta_put(&payload, EVENTS_LINEAGE);
    seglog_entry_put(&out, out.size - start, SEGLOG_KIND_META, buf_slice(&payload));
    buf_reset(&payload);
    put_record(&payload, 1);
    seglog_entry_put(&out, out.size - start, SEGLOG_KIND_UPDATE, buf_slice(&payload));
    buf_free(&payload);
    seed(&out);
    vec_free(&vector);
}

static void event(buf_t *out, event_kind_t kind, uint8_t number, buf_t bytes)
{
    event_put(out, kind, number, buf_slice(&bytes));
    buf_free(&bytes);
}

static void begin_session(buf_t *out)
{
    const frame_t header = {.slot = 3, .generation = 1};
    event(out, EVENT_SERVICE, 1, frames_link_hello(0xD4, 0));
    event(out, EVENT_SERVICE_LIVE, 1, frames_hello(header, 5, NULL, -1, 0));
}

/* A client that sets, counts and reads; a peer that tells, asks and is asked; both. */
static void replicas(void)
{
    const buf_t none = {0};
    buf_t out = {0};

    begin("replica");
    begin_session(&out);
    event(&out, EVENT_SERVICE_LIVE, 1, request_of(1, COMMAND_SET, "k", "v", NULL));
    event(&out, EVENT_SERVICE_LIVE, 1, request_of(2, COMMAND_INCR, "n", "5", NULL));
    event(&out, EVENT_SERVICE_LIVE, 1, request_of(3, COMMAND_HSET, "h", "f", "v"));
    event(&out, EVENT_SERVICE_LIVE, 1, request_of(4, COMMAND_GET, "k", NULL, NULL));
    event(&out, EVENT_SERVICE_LIVE, 1, request_of(5, COMMAND_HGETALL, "h", NULL, NULL));
    event(&out, EVENT_SERVICE_LIVE, 1, request_of(6, COMMAND_DEL, "k", "h", NULL));
    seed(&out);
    event(&out, EVENT_PEER_ROUTER, 7, hello_of(PEER_HELLO));
    event(&out, EVENT_GOSSIP, 0, batch_of(1));
    event(&out, EVENT_GOSSIP, 0, batch_of(3));
    event(&out, EVENT_GOSSIP, 0, round_of());
    event(&out, EVENT_PASS, 200, none);
    event(&out, EVENT_PEER_ROUTER, 7, pull(0));
    event(&out, EVENT_LOG_READ, 0, none);
    event(&out, EVENT_GOSSIP, 0, batch_of(2));
    event(&out, EVENT_PEER_LOST, 1, none);
    seed(&out);
    event_put(&out, EVENT_CANDIDATE, 2, slice_text("127.0.0.1"));
    event(&out, EVENT_PEER, 1, hello_of(PEER_WELCOME));
    event(&out, EVENT_PEER, 1, records_of(1, 3));
    begin_session(&out);
    event(&out, EVENT_SERVICE_LIVE, 1, request_of(1, COMMAND_GET, "n", NULL, NULL));
    event(&out, EVENT_STATUS, STATUS_OFFLINE, none);
    event(&out, EVENT_SERVICE_LIVE, 1, request_of(2, COMMAND_SET, "k", "v", NULL));
    event(&out, EVENT_PASS, 255, none);
    event(&out, EVENT_SERVICE_LOST, 1, none);
    seed(&out);
    /* A turn with nothing but an effect without bytes, the log to be read at a position. */
    event(&out, EVENT_PEER_ROUTER, 7, pull(7));
    seed(&out);
    /* Damage in the files, before a checkpoint, while it is written and after it. */
    begin_session(&out);
    event(&out, EVENT_SERVICE_LIVE, 1, request_of(1, COMMAND_SET, "k", "v", NULL));
    event(&out, EVENT_FILES_DAMAGED, 1, none);
    event(&out, EVENT_CHECKPOINT, 255, none);
    event(&out, EVENT_PEER_ROUTER, 7, hello_of(PEER_HELLO));
    event(&out, EVENT_PEER_ROUTER, 7, pull(0));
    event(&out, EVENT_FILES_DAMAGED, 2, none);
    event(&out, EVENT_CHECKPOINT, 255, none);
    event(&out, EVENT_CHECKPOINT, 1, none);
    event(&out, EVENT_FILES_DAMAGED, 3, none);
    event(&out, EVENT_CHECKPOINT, 1, none);
    event(&out, EVENT_SERVICE_LIVE, 1, request_of(2, COMMAND_SET, "k", "w", NULL));
    event(&out, EVENT_CHECKPOINT, 255, none);
    event(&out, EVENT_CHECKPOINT, 0, none);
    seed(&out);
}

int main(int argc, char *argv[])
{
    if (argc != 2) {
        fprintf(stderr, "usage: seeds FOLDER\n");
        return 2;
    }
    folder = argv[1];
    mkdir(folder, 0777);
    small();
    peers();
    sessions();
    controls();
    replicas();
    return 0;
}
