/*
 * Conflicts, counted once: where the one that wins was accepted (replica_counts_t, conflicts).
 *
 * That the two knew nothing of each other follows from where the loser arrives. We had accepted the
 * winner before the loser came, so its session had not seen the loser; and the loser's replica had
 * not applied the winner, or it would have answered RETAG. (Only what is sent again is taken though
 * it does not show: its tag, given before, says that its session had not seen the winner either.)
 */
#include <stdio.h>
#include <string.h>

#include "replica/core/internal.h"

enum { TELL_MS = 10000 }; /* a hot key must not push all other events out of sight */

/* Another copy of an update has done all it could with the first one. */
static bool is_copy(const replica_t *self, const record_t *record)
{
    executed_hit_t hit;
    executed_state_t state =
        executed_find(self->executed, record->tag.client, record->tag.seq, &hit);
    return state == EXECUTED_HIT || state == EXECUTED_BELOW_FLOOR;
}

void conflict_take(replica_t *self, const record_t *record, const op_t *op)
{
    conflicts_t *conflicts = &self->conflicts;
    if (is_copy(self, record))
        return;
    self->counts.conflicts++;
    conflicts->untold++;
    conflicts->origin = record->origin;
    conflicts->code = op->code;
    conflicts->key_size = op->key.size;
    size_t size = op->key.size < CONFLICT_KEY_SHOWN ? op->key.size : CONFLICT_KEY_SHOWN;
    memcpy(conflicts->key, op->key.data, size);
}

/* The key in a note: as in lost+found, but for quotes, which would end the value there. */
static const char *put_key(const conflicts_t *conflicts, char *text, size_t text_size)
{
    static const char cut[] = "...";
    size_t at = 0;
    size_t i = 0;
    for (; i < conflicts->key_size && i < CONFLICT_KEY_SHOWN; i++) {
        uint8_t c = conflicts->key[i];
        bool is_plain = c >= ' ' && c < 0x7F && c != '"' && c != '\\';
        size_t size = is_plain ? 1 : sizeof "\\x00" - 1;
        if (at + size > CONFLICT_KEY_SHOWN)
            break;
        snprintf(text + at, text_size - at, is_plain ? "%c" : "\\x%02x", c);
        at += size;
    }
    snprintf(text + at, text_size - at, "%s", i < conflicts->key_size ? cut : "");
    return text;
}

void conflict_turn(replica_t *self)
{
    conflicts_t *conflicts = &self->conflicts;
    char key[CONFLICT_KEY_SHOWN + sizeof "..."];
    char id[8] = "?";
    if (conflicts->untold == 0 || self->now.boot_ms < conflicts->tell_ms)
        return;
    const peer_member_t *member = members_of(self->members, conflicts->origin);
    if (member != NULL)
        snprintf(id, sizeof id, "%u", member->id);
    replica_note(self, NOTE_INFO,
                 "[conflict] concurrent updates hidden count=%llu op=%s id=%s incarnation=%016llx "
                 "key=\"%s\"",
                 (unsigned long long)conflicts->untold, op_name(conflicts->code), id,
                 (unsigned long long)conflicts->origin, put_key(conflicts, key, sizeof key));
    conflicts->untold = 0;
    conflicts->tell_ms = self->now.boot_ms + TELL_MS;
}
