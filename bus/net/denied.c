#include "bus/net/denied.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/net/runtime.h"
#include "bus/net/wake.h"

enum { SAID = 16 }; /* of which it is known that they were said */

typedef struct said {
    int64_t at_ms; /* boot time */
    char address[DENIED_ADDRESS_SIZE];
    char why[DENIED_WHY_SIZE];
} said_t;

struct denied {
    pthread_mutex_t mutex; /* guards all but wake */
    wake_t wake;           /* size != 0 */
    denied_entry_t list[DENIED_BURST];
    size_t size;
    uint64_t count;
    uint64_t unsaid;
    unsigned tokens;
    int64_t token_ms; /* when the last one was given, boot time */
    said_t said[SAID];
    size_t next_said;
};

int denied_open(denied_t **out, err_t *err)
{
    denied_t *self = mem_zero(1, sizeof(*self));

    if (wake_open(&self->wake, err) != 0) {
        free(self);
        return -1;
    }
    pthread_mutex_init(&self->mutex, NULL);
    self->tokens = DENIED_BURST;
    self->token_ms = net_now().boot_ms;
    *out = self;
    return 0;
}

void denied_destroy(denied_t **self)
{
    if (*self == NULL)
        return;
    pthread_mutex_destroy(&(*self)->mutex);
    wake_close(&(*self)->wake);
    free(*self);
    *self = NULL;
}

/* True when this was said just now; else it is from now on. */
static bool was_said(denied_t *self, const denied_entry_t *entry, int64_t now_ms)
{
    for (size_t i = 0; i < SAID; i++) {
        const said_t *said = &self->said[i];
        if (said->why[0] != '\0' && now_ms - said->at_ms < DENIED_AGAIN_MS &&
            strcmp(said->why, entry->why) == 0 && strcmp(said->address, entry->address) == 0)
            return true;
    }
    return false;
}

static void remember(denied_t *self, const denied_entry_t *entry, int64_t now_ms)
{
    said_t *said = &self->said[self->next_said];

    self->next_said = (self->next_said + 1) % SAID;
    said->at_ms = now_ms;
    memcpy(said->address, entry->address, sizeof(said->address));
    memcpy(said->why, entry->why, sizeof(said->why));
}

static bool take_token(denied_t *self, int64_t now_ms)
{
    int64_t earned = (now_ms - self->token_ms) / DENIED_INTERVAL_MS;

    if (earned > 0) {
        self->token_ms += earned * DENIED_INTERVAL_MS;
        self->tokens = earned > DENIED_BURST - (int64_t)self->tokens
                           ? DENIED_BURST
                           : self->tokens + (unsigned)earned;
    }
    if (self->tokens == 0)
        return false;
    self->tokens--;
    return true;
}

void denied_put(denied_t *self, const char *address, const char *why, bool is_certain)
{
    int64_t now_ms = net_now().boot_ms;
    denied_entry_t entry = {.is_certain = is_certain};

    snprintf(entry.address, sizeof(entry.address), "%s", address);
    snprintf(entry.why, sizeof(entry.why), "%s", why);
    pthread_mutex_lock(&self->mutex);
    self->count++;
    if (self->size < DENIED_BURST && !was_said(self, &entry, now_ms) && take_token(self, now_ms)) {
        remember(self, &entry, now_ms);
        entry.unsaid = self->unsaid;
        self->unsaid = 0;
        self->list[self->size++] = entry;
        wake_signal(&self->wake);
    } else {
        self->unsaid++;
    }
    pthread_mutex_unlock(&self->mutex);
}

int denied_fd(const denied_t *self)
{
    return self->wake.read_fd;
}

bool denied_next(denied_t *self, denied_entry_t *out)
{
    pthread_mutex_lock(&self->mutex);
    bool is_any = self->size != 0;
    if (is_any) {
        *out = self->list[0];
        self->size--;
        memmove(self->list, self->list + 1, self->size * sizeof(*self->list));
        if (self->size == 0)
            wake_clear(&self->wake);
    }
    pthread_mutex_unlock(&self->mutex);
    return is_any;
}

void denied_forget(denied_t *self)
{
    pthread_mutex_lock(&self->mutex);
    for (size_t i = 0; i < SAID; i++)
        self->said[i].why[0] = '\0';
    pthread_mutex_unlock(&self->mutex);
}

uint64_t denied_count(denied_t *self)
{
    pthread_mutex_lock(&self->mutex);
    uint64_t count = self->count;
    pthread_mutex_unlock(&self->mutex);
    return count;
}

void denied_note(buf_t *out, const denied_entry_t *entry)
{
    buf_reset(out);
    buf_printf(out, "[denied] no connection address=%s why=\"%s\"", entry->address, entry->why);
    if (entry->unsaid != 0)
        buf_printf(out, " unsaid=%" PRIu64, entry->unsaid);
}
