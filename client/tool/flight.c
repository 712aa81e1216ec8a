#include "client/tool/flight.h"

#include <stdlib.h>

#include "bus/base/memory.h"

enum { END_MS = 100 };

typedef struct slot {
    flight_tag_t tag;
    long long request;
    hearsay_reply_t *reply; /* NULL: under way */
} slot_t;

struct flight {
    app_t *app;
    flight_fn *fn;
    void *arg;
    unsigned first;
    unsigned used;
    slot_t slots[]; /* ring of app->window */
};

flight_t *flight_new(app_t *app, flight_fn *fn, void *arg)
{
    flight_t *self = mem_zero(1, sizeof(*self) + app->window * sizeof(slot_t));

    self->app = app;
    self->fn = fn;
    self->arg = arg;
    return self;
}

static slot_t *slot_at(flight_t *self, unsigned i)
{
    return &self->slots[(self->first + i) % self->app->window];
}

void flight_destroy(flight_t **self_p)
{
    flight_t *self = *self_p;

    if (self == NULL)
        return;
    *self_p = NULL;
    for (unsigned i = 0; i < self->used; i++) {
        slot_t *slot = slot_at(self, i);
        if (slot->reply == NULL)
            hearsay_cancel(self->app->session, slot->request);
        while (slot->reply == NULL) /* its answer was there already */
            hearsay_wait(self->app->hearsay, -1, END_MS);
        hearsay_reply_free(&slot->reply);
    }
    free(self);
}

bool flight_is_full(const flight_t *self)
{
    return self->used == self->app->window;
}

size_t flight_pending(const flight_t *self)
{
    return self->used;
}

static void keep_reply(void *arg, hearsay_reply_t *reply)
{
    slot_t *slot = arg;
    slot->reply = reply;
}

void flight_submit(flight_t *self, const hearsay_word_t words[], size_t count, flight_tag_t tag)
{
    slot_t *slot = slot_at(self, self->used++);

    *slot = (slot_t){.tag = tag};
    slot->request =
        hearsay_submit(self->app->session, words, count, self->app->timeout_ms, keep_reply, slot);
}

int flight_wait(flight_t *self, int fd, int timeout_ms)
{
    int came = 0;

    if (self->used == 0 || slot_at(self, 0)->reply == NULL)
        came = hearsay_wait(self->app->hearsay, fd, timeout_ms);
    while (self->used != 0 && slot_at(self, 0)->reply != NULL) {
        slot_t slot = *slot_at(self, 0);
        self->first = (self->first + 1) % self->app->window;
        self->used--;
        self->fn(self->arg, slot.tag, slot.reply);
    }
    return came;
}
