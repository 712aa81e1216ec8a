#include "bus/net/guard.h"

int guard_open(guard_t *self, const char *folder, key_role_t role, err_t *err)
{
    if (denied_open(&self->denied, err) != 0)
        return -1;
    if (folder == NULL)
        return 0;
    if (curve_open(&self->curve, folder, NULL, role, err) != 0)
        return -1;
    return zap_open(&self->zap, folder, self->denied, err);
}

void guard_close(guard_t *self)
{
    zap_destroy(&self->zap);
    curve_destroy(&self->curve);
    denied_destroy(&self->denied);
    buf_free(&self->note);
}

void guard_tell(guard_t *self, buf_t *line, events_t *events, trace_t *trace)
{
    denied_entry_t entry;

    while (denied_next(self->denied, &entry)) {
        denied_note(&self->note, &entry);
        notes_tell(line, events, trace, LOG_LEVEL_WARN, buf_slice(&self->note));
    }
}
