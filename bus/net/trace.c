#include "bus/net/trace.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "bus/base/memory.h"
#include "bus/net/message.h"
#include "bus/net/wake.h"

/* A socket event with its text in it. */
typedef struct slot {
    trace_item_t item;
    char text[TRACE_TEXT_MAX];
} slot_t;

/* What goes out of one area at the end of the turn. */
typedef struct outgoing {
    buf_t items;
    uint32_t count;
    uint64_t before;
} outgoing_t;

struct trace {
    trace_source_t source;
    uint16_t port;
    loop_t *loop;
    void *xpub;                       /* NULL: nobody can follow */
    bool subscribed[TRACE_AREAS + 1]; /* to each, and to everything by an empty topic */
    atomic_bool wanted[TRACE_AREAS];  /* either */
    outgoing_t areas[TRACE_AREAS];
    buf_t message;

    /* One producer, the monitor's thread; one consumer, the loop's. */
    wake_t wake;
    atomic_uint_fast64_t put;   /* slots filled so far */
    atomic_uint_fast64_t taken; /* slots emptied so far */
    atomic_uint_fast64_t dropped;
    slot_t ring[TRACE_RING];
};

int trace_open(trace_t **out, const trace_source_t *source, err_t *err)
{
    trace_t *self = mem_zero(1, sizeof(*self));

    if (wake_open(&self->wake, err) != 0) {
        free(self);
        return -1;
    }
    self->source = *source;
    *out = self;
    return 0;
}

void trace_destroy(trace_t **self_p)
{
    trace_t *self = *self_p;

    if (self == NULL)
        return;
    trace_leave(self);
    for (int i = 0; i < TRACE_AREAS; i++)
        buf_free(&self->areas[i].items);
    buf_free(&self->message);
    wake_close(&self->wake);
    free(self);
    *self_p = NULL;
}

bool trace_wants(const trace_t *self, trace_area_t area)
{
    return atomic_load_explicit(&self->wanted[area], memory_order_relaxed);
}

/* ---- sending ---- */

static void send_area(trace_t *self, trace_area_t area)
{
    outgoing_t *outgoing = &self->areas[area];
    const trace_batch_t batch = {
        .area = area,
        .program = self->source.program,
        .id = self->source.id,
        .port = self->port,
        .incarnation = self->source.incarnation,
        .before = outgoing->before,
        .dropped = area == TRACE_SOCKETS ? atomic_load(&self->dropped) : 0,
        .items = outgoing->count,
        .items_at = buf_slice(&outgoing->items),
    };

    buf_reset(&self->message);
    trace_batch_put(&self->message, &batch);
    message_send(self->xpub, buf_slice(&self->message)); /* a drop shows in the next "before" */
    outgoing->before += outgoing->count;
    outgoing->count = 0;
    buf_reset(&outgoing->items);
}

static int64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void append(trace_t *self, const trace_item_t *item)
{
    trace_area_t area = trace_kind_area((trace_kind_t)item->kind);
    outgoing_t *outgoing = &self->areas[area];

    trace_item_put(&outgoing->items, item);
    outgoing->count++;
    if (outgoing->items.size >= TRACE_MESSAGE_TARGET)
        send_area(self, area);
}

void trace_put(trace_t *self, const trace_item_t *item)
{
    if (!trace_wants(self, trace_kind_area((trace_kind_t)item->kind)))
        return;
    trace_item_t timed = *item;
    timed.wall_us = wall_us();
    append(self, &timed);
}

static void take_ring(trace_t *self)
{
    uint64_t taken = atomic_load_explicit(&self->taken, memory_order_relaxed);
    uint64_t put = atomic_load_explicit(&self->put, memory_order_acquire);

    for (; taken != put; taken++)
        if (trace_wants(self, TRACE_SOCKETS))
            append(self, &self->ring[taken % TRACE_RING].item);
    atomic_store_explicit(&self->taken, taken, memory_order_release);
}

void trace_turn(trace_t *self)
{
    if (self->xpub == NULL)
        return;
    take_ring(self);
    for (int i = 0; i < TRACE_AREAS; i++)
        if (self->areas[i].count != 0)
            send_area(self, (trace_area_t)i);
}

/* ---- the monitor's thread ---- */

void trace_put_socket(trace_t *self, const trace_item_t *item)
{
    if (!trace_wants(self, TRACE_SOCKETS))
        return;
    uint64_t put = atomic_load_explicit(&self->put, memory_order_relaxed);
    uint64_t taken = atomic_load_explicit(&self->taken, memory_order_acquire);
    if (put - taken == TRACE_RING) {
        atomic_fetch_add(&self->dropped, 1);
        return;
    }
    slot_t *slot = &self->ring[put % TRACE_RING];
    size_t size = item->text.size < TRACE_TEXT_MAX ? item->text.size : TRACE_TEXT_MAX;
    slot->item = *item;
    slot->item.wall_us = wall_us();
    slot->item.key = slice_of(NULL, 0);
    if (size != 0)
        memcpy(slot->text, item->text.data, size);
    slot->item.text = slice_of(slot->text, size);
    atomic_store_explicit(&self->put, put + 1, memory_order_release);
    wake_signal(&self->wake);
}

/* ---- followers ---- */

/* A subscription begins with 1, the end of the last one of its topic with 0; no topic: all. */
static void take_subscription(trace_t *self, slice_t message)
{
    trace_area_t area = TRACE_AREAS;

    if (message.size == 0 || message.size > 2 || message.data[0] > 1 ||
        (message.size == 2 && !trace_area_of(message.data[1], &area)))
        return;
    self->subscribed[area] = message.data[0] == 1;
    for (int i = 0; i < TRACE_AREAS; i++) {
        bool is_wanted = self->subscribed[i] || self->subscribed[TRACE_AREAS];
        atomic_store_explicit(&self->wanted[i], is_wanted, memory_order_relaxed);
        if (message.data[0] == 1 && (area == TRACE_AREAS || area == (trace_area_t)i))
            send_area(self, (trace_area_t)i); /* so that the follower knows that it begins */
    }
}

static bool xpub_ready(void *arg)
{
    trace_t *self = arg;

    for (int i = 0; i < LOOP_DRAIN; i++) {
        zmq_msg_t message;
        message_taken_t taken = message_take(self->xpub, &message);
        if (taken == MESSAGE_NONE)
            return false;
        if (taken != MESSAGE_TAKEN)
            continue;
        take_subscription(self, message_slice(&message));
        zmq_msg_close(&message);
    }
    return true;
}

/* What the monitor's thread put goes out with this turn. */
static bool wake_ready(void *arg)
{
    trace_t *self = arg;
    wake_clear(&self->wake);
    return false;
}

int trace_serve(trace_t *self, loop_t *loop, void *xpub, uint16_t port, err_t *err)
{
    int every = 1;

    assert(self->xpub == NULL);
    /* Each subscription is told, not only the first of a topic. */
    if (zmq_setsockopt(xpub, ZMQ_XPUB_VERBOSE, &every, sizeof(every)) != 0)
        return err_set(err, OUTCOME_FULL, "cannot prepare the trace socket: %s",
                       zmq_strerror(zmq_errno()));
    self->loop = loop;
    self->xpub = xpub;
    self->port = port;
    if (loop_add_socket(loop, xpub, xpub_ready, self, err) == 0 &&
        loop_add_fd(loop, self->wake.read_fd, wake_ready, self, err) == 0)
        return 0;
    trace_leave(self);
    return -1;
}

void trace_leave(trace_t *self)
{
    if (self->xpub == NULL)
        return;
    for (int i = 0; i < TRACE_AREAS; i++)
        atomic_store(&self->wanted[i], false);
    loop_remove_socket(self->loop, self->xpub);
    loop_remove_fd(self->loop, self->wake.read_fd);
    self->xpub = NULL;
}
