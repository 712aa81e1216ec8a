#include "tests/sim/audit.h"

#include <stdio.h>
#include <stdlib.h>

#include "bus/base/memory.h"
#include "bus/wire/frame.h"
#include "bus/wire/peer.h"
#include "bus/wire/record.h"
#include "bus/wire/session.h"
#include "replica/core/seglog.h"

struct audit {
    bool sync_always;
    vec_t written;
    vec_t synced;
    vec_t checkpoint; /* that is being written */
    vec_t said;       /* scratch */
};

audit_t *audit_new(void)
{
    return mem_zero(1, sizeof(audit_t));
}

void audit_destroy(audit_t **self_p)
{
    audit_t *self = *self_p;
    if (self == NULL)
        return;
    vec_free(&self->written);
    vec_free(&self->synced);
    vec_free(&self->checkpoint);
    vec_free(&self->said);
    free(self);
    *self_p = NULL;
}

void audit_start(audit_t *self, bool sync_always, const vec_t *vector)
{
    self->sync_always = sync_always;
    vec_copy(&self->written, vector);
    vec_copy(&self->synced, vector);
    vec_reset(&self->checkpoint);
}

void audit_wrote(audit_t *self, uint64_t position, slice_t entries)
{
    seglog_entry_t entry;
    uint64_t origin;
    uint64_t n;
    for (size_t at = 0; at < entries.size; at += entry.size) {
        slice_t rest = slice_of(entries.data + at, entries.size - at);
        if (seglog_next(rest, position + at, &entry) != SEGLOG_GOOD)
            return;
        if (entry.kind == SEGLOG_KIND_UPDATE && record_peek(entry.payload, &origin, &n))
            vec_raise(&self->written, origin, n);
    }
}

void audit_synced(audit_t *self)
{
    vec_copy(&self->synced, &self->written);
}

void audit_checkpoint(audit_t *self, const vec_t *vector)
{
    vec_copy(&self->checkpoint, vector);
}

void audit_checkpoint_done(audit_t *self)
{
    vec_merge(&self->written, &self->checkpoint);
    vec_merge(&self->synced, &self->checkpoint);
    vec_reset(&self->checkpoint);
}

static bool is_there(const audit_t *self, bool is_synced, const char *what, char *why,
                     size_t why_size)
{
    if (vec_covers(is_synced ? &self->synced : &self->written, &self->said))
        return true;
    snprintf(why, why_size, "%s speaks of an update that is not %s yet", what,
             is_synced ? "synced" : "logged");
    return false;
}

bool audit_frame(audit_t *self, slice_t frame, char *why, size_t why_size)
{
    frame_t header;
    if (frame_read(frame, &header) != FRAME_GOOD || header.kind != FRAME_REPLY)
        return true;
    mp_t in = mp_open(frame_body(frame));
    reply_t reply;
    for (uint32_t left = mp_array(&in, FRAME_ITEMS_MAX); left > 0 && reply_read(&in, &reply);
         left--) {
        mp_t token = mp_open(reply.token);
        mp_vector(&token, &self->said);
        vec_drop_nodes(&self->said);
        bool is_ack = reply.copies != 0;
        if (!is_there(self, self->sync_always && is_ack, is_ack ? "an acknowledgement" : "a reply",
                      why, why_size))
            return false;
    }
    return true;
}

static bool check_vector(audit_t *self, slice_t vector, bool is_synced, const char *what, char *why,
                         size_t why_size)
{
    mp_t in = mp_open(vector);
    mp_vector(&in, &self->said);
    return is_there(self, is_synced, what, why, why_size);
}

bool audit_message(audit_t *self, slice_t message, char *why, size_t why_size)
{
    peer_hello_t hello;
    peer_round_t round;
    peer_records_t records;
    uint64_t incarnation;
    slice_t vector;
    bool always = self->sync_always;
    switch (peer_kind(message)) {
    case PEER_HELLO:
    case PEER_WELCOME:
        return !peer_hello_read(message, &hello) ||
               check_vector(self, hello.vector, always, "a HELLO", why, why_size);
    case PEER_RECORDS:
        return !peer_records_read(message, &records) ||
               check_vector(self, records.vector, always, "RECORDS", why, why_size);
    case PEER_ACK:
        return !peer_ack_read(message, &incarnation, &vector) ||
               check_vector(self, vector, always, "an ACK", why, why_size);
    case PEER_ROUND:
        return !peer_round_read(message, &round) ||
               (check_vector(self, round.vector, always, "a round", why, why_size) &&
                check_vector(self, round.synced, true, "a round", why, why_size));
    default:
        return true;
    }
}
