/*
 * Nodes whose clock is too far ahead of ours: they are not taken in before their machine's clock is
 * set right or people accept it as it is (docs/consistency.md).
 *
 * An accepted clock is in the log with its lead over the clock of this machine. The lead is what a
 * later start needs: the others' clocks have gone on while this node was off, its own goes on from
 * where it was, and by now the difference may be greater than --max-drift again.
 */
#include <stdio.h>

#include "replica/core/internal.h"
#include "replica/core/seglog.h"

enum { REFUSED_MS = 15000 }; /* who is there greets us more often, and is refused anew */

static int64_t ahead_ms(const replica_t *self, now_t now, hlc_t clock)
{
    return hlc_ms(clock) - hlc_ms(replica_clock_at(self, now));
}

static void log_lead(replica_t *self)
{
    buf_reset(&self->encoded);
    seglog_clock_put(&self->encoded, replica_clock(self), self->lead_ms);
    replica_log(self, SEGLOG_KIND_CLOCK, buf_slice(&self->encoded));
}

void drift_log(replica_t *self)
{
    if (self->lead_ms != 0)
        log_lead(self);
}

static void set_lead(replica_t *self, int64_t lead_ms)
{
    self->lead_ms = lead_ms;
    if (self->lineage_is_fixed)
        log_lead(self);
}

/* ---- who is refused ---- */

/* What it says now, when it goes on as it was when it said it. */
static hlc_t clock_now(const refused_clock_t *refused, now_t now)
{
    return hlc_add_ms(refused->clock, now.boot_ms - refused->said_ms);
}

static bool is_refused(const replica_t *self, now_t now, const refused_clock_t *refused)
{
    return now.boot_ms - refused->said_ms < REFUSED_MS &&
           ahead_ms(self, now, clock_now(refused, now)) > self->config.max_drift_ms;
}

static refused_clock_t *find(replica_t *self, uint16_t id)
{
    for (size_t i = 0; i < self->refused_size; i++)
        if (self->refused[i].id == id)
            return &self->refused[i];
    return NULL;
}

/* A place for an id; when all are taken, that of who spoke longest ago. */
static refused_clock_t *place(replica_t *self, uint16_t id)
{
    refused_clock_t *found = find(self, id);
    if (found != NULL)
        return found;
    if (self->refused_size < REPLICA_PEERS_MAX)
        return &self->refused[self->refused_size++];
    found = &self->refused[0];
    for (size_t i = 1; i < self->refused_size; i++)
        if (self->refused[i].said_ms < found->said_ms)
            found = &self->refused[i];
    return found;
}

static void remove_refused(replica_t *self, uint16_t id)
{
    refused_clock_t *refused = find(self, id);
    if (refused != NULL)
        *refused = self->refused[--self->refused_size];
}

bool drift_is_too_far(const replica_t *self, hlc_t clock)
{
    int64_t lead_ms = hlc_ms(clock) - self->now.wall_ms;
    return ahead_ms(self, self->now, clock) > self->config.max_drift_ms &&
           lead_ms > self->lead_ms + self->config.max_drift_ms;
}

bool drift_refuses(replica_t *self, const peer_hello_t *hello, char *why, size_t size)
{
    int64_t ahead = ahead_ms(self, self->now, hello->clock);
    if (!drift_is_too_far(self, hello->clock))
        return false;
    *place(self, hello->id) =
        (refused_clock_t){hello->id, hello->incarnation, hello->clock, self->now.boot_ms};
    snprintf(why, size,
             "its clock is %lld s ahead, --max-drift allows %lld s: set the machines' clocks, then "
             "start the node that was wrong again; hearsayctl accept-clock takes it as it is",
             (long long)(ahead / 1000), (long long)(self->config.max_drift_ms / 1000));
    return true;
}

void drift_take_in(replica_t *self, const peer_hello_t *hello)
{
    remove_refused(self, hello->id);
    if (ahead_ms(self, self->now, hello->clock) > self->config.max_drift_ms) {
        replica_clock_raise(self, hello->clock);
        replica_note(self, NOTE_INFO,
                     "[clock] the clock goes on from that of a node, as was accepted before id=%u "
                     "lead_ms=%lld",
                     hello->id, (long long)self->lead_ms);
    } else if (self->lead_ms != 0 && !self->is_read_only &&
               hlc_ms(replica_clock(self)) - self->now.wall_ms <= self->config.max_drift_ms) {
        set_lead(self, 0); /* this machine's clock agrees with the others' again */
    }
}

/* ---- people ---- */

int replica_accept_clock(replica_t *self, now_t now, uint16_t id, int64_t *moved_ms, err_t *err)
{
    replica_enter(self, now);
    const refused_clock_t *refused = find(self, id);
    if (refused == NULL || !is_refused(self, now, refused))
        return 0;
    if (self->is_read_only)
        return err_set(err, OUTCOME_READ_ONLY, "it cannot write that down: %s", self->read_only);
    uint64_t incarnation = refused->incarnation;
    hlc_t before = replica_clock(self);
    replica_clock_raise(self, clock_now(refused, now));
    *moved_ms = hlc_ms(self->clock) - hlc_ms(before);
    set_lead(self, hlc_ms(self->clock) - now.wall_ms);
    remove_refused(self, id);
    gossip_greet_again(self, incarnation);
    replica_note(self, NOTE_WARN, "[clock] clock accepted id=%u moved_ms=%lld", id,
                 (long long)*moved_ms);
    return 1;
}

bool replica_refused_info(const replica_t *self, now_t now, size_t i, replica_refused_info_t *out)
{
    for (size_t k = 0; k < self->refused_size; k++) {
        const refused_clock_t *refused = &self->refused[k];
        if (!is_refused(self, now, refused) || i-- != 0)
            continue;
        *out = (replica_refused_info_t){refused->id, refused->incarnation,
                                        ahead_ms(self, now, clock_now(refused, now))};
        return true;
    }
    return false;
}
