/* The end of a run: whether all has converged, and what the replicas say then. */
#include "bus/wire/frame.h"
#include "tests/sim/world_internal.h"

/* A node that is not gone for good: all others of those must be equal to it. */
static const proc_t *any_node(const world_t *w)
{
    const proc_t *p = w->procs;
    while (p->is_gone)
        p++;
    return p;
}

bool has_converged(const world_t *w)
{
    const proc_t *any = any_node(w);
    for (uint32_t i = 0; i < w->nodes; i++) {
        if (w->procs[i].is_gone)
            continue;
        if (!any->is_up || !w->procs[i].is_up || !replica_is_ready(w->procs[i].replica) ||
            w->procs[i].is_worn)
            return false;
        replica_info_t a = replica_info(any->replica, (now_t){0});
        replica_info_t b = replica_info(w->procs[i].replica, (now_t){0});
        if (!vec_equal(a.vector, b.vector) || b.unstable != 0 || b.executed != 0)
            return false;
    }
    for (uint32_t i = w->nodes + w->brokers; i < w->procs_size; i++)
        if (client_pending(w->procs[i].client) != 0)
            return false;
    return true;
}

void violate_unconverged(world_t *w)
{
    buf_t why = {0};
    buf_append_text(&why, "no convergence in time after all was healed:");
    for (uint32_t i = 0; i < w->nodes; i++) {
        if (!w->procs[i].is_up) {
            buf_printf(&why, w->procs[i].is_gone ? " n%u gone" : " n%u down", i);
            continue;
        }
        replica_info_t info = replica_info(w->procs[i].replica, (now_t){0});
        buf_printf(
            &why, " n%u%s applied=%llu unstable=%zu executed=%zu members=%u waits_for=%d%s", i,
            replica_is_ready(w->procs[i].replica) ? ""
            : info.is_joining                     ? " joining"
                                                  : " not ready",
            (unsigned long long)vec_lag(&(vec_t){0}, info.vector), info.unstable, info.executed,
            info.members, info.holds_back, w->procs[i].is_worn ? " damaged" : "");
    }
    for (uint32_t i = w->nodes + w->brokers; i < w->procs_size; i++)
        buf_printf(&why, " c%u pending=%zu", w->procs[i].index, client_pending(w->procs[i].client));
    violate(w, buf_text(&why));
    buf_free(&why);
}

/* Reads a key straight from a replica, as a broker's client would. */
static void read_key(world_t *w, proc_t *p, uint32_t key, buf_t *value)
{
    const uint32_t link = UINT32_MAX - 1;
    now_t now = time_of(w, p);
    const vec_t nothing = {0};
    buf_t bytes = {0};
    frame_t hello = {.kind = FRAME_HELLO, .slot = FRAME_SLOT_LINK};
    const link_hello_t link_hello = {CLUSTER, 1, 0};
    frame_begin(&bytes, &hello);
    link_hello_put(&bytes, &link_hello);
    replica_service(p->replica, now, link, buf_slice(&bytes));
    replica_effects_t effects = replica_turn(p->replica, now);
    frame_t welcome = {0};
    for (size_t i = 0; i < effects.size; i++)
        if (effects.list[i].kind == REPLICA_TO_SERVICE && effects.list[i].link == link)
            frame_read(replica_effect_bytes(&effects, &effects.list[i]), &welcome);
    buf_reset(&bytes);
    frame_t open = {.kind = FRAME_HELLO, .route = welcome.route};
    const session_hello_t session = {.session = 1, .cluster = CLUSTER, .pin = -1};
    frame_begin(&bytes, &open);
    session_hello_put(&bytes, &session, &nothing);
    replica_service(p->replica, now, link, buf_slice(&bytes));
    const ask_t asked = {.kind = ask_look(key), .key = key};
    buf_t arguments = {0};
    uint32_t count;
    uint8_t command = ask_put(&asked, &w->random, &arguments, &count);
    const request_t request = {
        .session = 1,
        .epoch = 1,
        .seq = 1,
        .left_ms = 1000,
        .command = command,
        .arguments = count,
        .arguments_at = buf_slice(&arguments),
    };
    buf_reset(&bytes);
    frame_t ask = {.kind = FRAME_REQUEST, .items = 1, .route = welcome.route};
    frame_begin(&bytes, &ask);
    mp_put_array(&bytes, 1);
    request_put(&bytes, &request, NULL);
    replica_service(p->replica, now, link, buf_slice(&bytes));
    effects = replica_turn(p->replica, now);
    for (size_t i = 0; i < effects.size; i++) {
        frame_t frame;
        slice_t message = replica_effect_bytes(&effects, &effects.list[i]);
        reply_t reply;
        if (effects.list[i].kind != REPLICA_TO_SERVICE || effects.list[i].link != link ||
            frame_read(message, &frame) != FRAME_GOOD || frame.kind != FRAME_REPLY)
            continue;
        mp_t in = mp_open(frame_body(message));
        if (mp_array(&in, 1) == 1 && reply_read(&in, &reply) && reply.outcome == OUTCOME_OK)
            buf_append_slice(value, reply.value);
        else if (w->trace != NULL)
            fprintf(w->trace, "end: %s\n", outcome_name(reply.outcome));
    }
    buf_free(&arguments);
    buf_free(&bytes);
}

static void trace_value(const world_t *w, const proc_t *p, uint32_t key, slice_t value)
{
    mp_t in = mp_open(value);
    const char *field;
    if (w->trace == NULL)
        return;
    slice_t text = mp_peek(&in) == MP_BYTES ? mp_bytes(&in) : slice_text("nothing");
    fprintf(w->trace, "end: n%u %s %.*s\n", p->index, known_key(key, &field), (int)text.size,
            (const char *)text.data);
}

void judge_end(world_t *w)
{
    hlc_t clock = 0;
    for (uint32_t i = 0; i < w->nodes; i++)
        if (!w->procs[i].is_gone)
            clock = hlc_max(clock, replica_info(w->procs[i].replica, (now_t){0}).clock);
    uint64_t digest = replica_digest(any_node(w)->replica, clock);
    w->coverage->executed_twice += checker_executed_twice(w->checker);
    w->coverage->left_applied += checker_left_applied(w->checker);
    for (uint32_t i = 0; i < w->nodes; i++) {
        proc_t *p = &w->procs[i];
        if (p->is_gone)
            continue;
        for (uint32_t key = 0; key < KEYS; key++) {
            char why[256];
            buf_t value = {0};
            read_key(w, p, key, &value);
            trace_value(w, p, key, buf_slice(&value));
            if (value.size == 0)
                violate(w, "a replica did not answer at the end");
            else if (!checker_final(w->checker, key, buf_slice(&value), why, sizeof why))
                violate(w, why);
            buf_free(&value);
        }
        if (replica_digest(p->replica, clock) != digest)
            violate(w, "replicas that applied the same updates differ");
        w->coverage->final_counts += replica_info(p->replica, (now_t){0}).ended;
        add_node_counts(w, p->replica);
    }
}
