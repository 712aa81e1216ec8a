/* How one key is there, for people who look. */
#include "replica/core/internal.h"

static bool record_has_key(const record_t *record, slice_t key)
{
    mp_t in = mp_open(record->ops);
    uint32_t count = mp_array(&in, OPS_MAX);
    op_t op;

    for (uint32_t i = 0; i < count && op_read(&in, &op); i++)
        if (slice_equal(op.key, key))
            return true;
    return false;
}

static uint64_t updates_waiting(replica_t *self, slice_t key)
{
    uint64_t found = 0;
    uint64_t origin = 0;

    while ((origin = holdback_next_origin(self->holdback, origin)) != 0) {
        uint64_t n = 0;
        while ((n = holdback_next(self->holdback, origin, n)) != 0)
            found += record_read(holdback_get(self->holdback, origin, n), &self->record) &&
                     record_has_key(&self->record, key);
    }
    return found;
}

/* By the first argument, which most commands call KEY. */
static uint64_t requests_waiting(const replica_t *self, slice_t key)
{
    uint64_t found = 0;

    for (const session_t *session = self->waiters; session != NULL;
         session = session->next_waiter) {
        for (const waiting_t *waiting = session->waiting; waiting != NULL;
             waiting = waiting->next) {
            mp_t in = mp_open(slice_of(waiting->bytes, waiting->size));
            request_t request;
            if (!request_read(&in, &request) || request.arguments == 0)
                continue;
            mp_t arguments = mp_open(request.arguments_at);
            found += slice_equal(mp_bytes(&arguments), key);
        }
    }
    return found;
}

static uint64_t size_of(replica_t *self, store_type_t type, slice_t key)
{
    if (type == STORE_HASH || type == STORE_SET)
        return store_each_field(self->store, type, key, NULL, NULL, &self->seen);
    cell_view_t view = store_get(self->store, key, &self->seen);
    if (view.is_there && view.is_number && view.text.size == 0) {
        buf_reset(&self->value);
        buf_printf(&self->value, "%lld", (long long)view.number);
        return self->value.size;
    }
    return view.is_there ? view.text.size : 0;
}

void replica_key_info(replica_t *self, now_t now, slice_t key, replica_key_info_t *out)
{
    replica_enter(self, now);
    store_set_clock(self->store, replica_clock(self));
    seen_reset(&self->seen);
    store_type_t type = store_type(self->store, key, &self->seen);
    *out = (replica_key_info_t){
        .type = store_type_name(type),
        .size = size_of(self, type, key),
        .deadline = type != STORE_NOTHING ? store_deadline(self->store, key, &self->seen) : 0,
        .updates_waiting = updates_waiting(self, key),
        .requests_waiting = requests_waiting(self, key),
    };
    out->tag = self->seen.any;
    out->dots = &self->seen.dots;
}
