#include "bus/net/monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bus/base/memory.h"
#include "bus/net/message.h"
#include "bus/net/runtime.h"
#include "bus/net/socket.h"
#include "bus/net/wake.h"

/*
 * What says that a connection is gone. CLOSED is the attempt that failed: a socket that does not
 * reconnect tells nothing else then.
 */
enum {
    LOST_EVENTS = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                  ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
};

typedef enum phase {
    WATCHED,
    LEAVING, /* unwatched by the loop thread: the drain thread is to close the pair */
    GONE,    /* the pair is closed */
} phase_t;

/* What libzmq tells of one event. */
typedef struct event {
    uint16_t kind;
    uint32_t value; /* a descriptor, an errno, milliseconds: as the kind says */
    char endpoint[TRACE_TEXT_MAX];
} event_t;

enum {
    HANDSHAKE_EVENTS = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                       ZMQ_EVENT_HANDSHAKE_FAILED_AUTH,
};

typedef struct watch {
    void *socket;     /* only compared, never used by the drain thread */
    const char *name; /* for the trace */
    void *pair;       /* used by the drain thread alone from when it is in the table */
    uint64_t token;
    bool is_server; /* it binds */
    bool has_keys;
    phase_t phase;
    bool lost;
} watch_t;

struct monitor {
    pthread_t thread;
    trace_t *trace;   /* NULL: none */
    denied_t *denied; /* NULL: none */
    pthread_mutex_t
        mutex; /* guards what is below; held for moments only, never while calling libzmq */
    pthread_cond_t let_go; /* a watch is GONE */
    watch_t *watches[MONITOR_SOCKETS_MAX];
    size_t count;
    size_t lost; /* watches with the flag */
    bool stopping;
    wake_t to_drain;                               /* the table changed */
    wake_t to_loop;                                /* lost > 0 */
    zmq_pollitem_t items[MONITOR_SOCKETS_MAX + 1]; /* drain thread only, as the next one */
    watch_t *polled[MONITOR_SOCKETS_MAX + 1];
};

/* ---- the drain thread ---- */

/* One frame of an event: first the number and value, in the machine's byte order, then where. */
static void read_frame(event_t *event, slice_t frame, bool is_first)
{
    size_t size = frame.size < sizeof(event->endpoint) ? frame.size : sizeof(event->endpoint) - 1;

    if (!is_first) {
        memcpy(event->endpoint, frame.data, size);
        event->endpoint[size] = '\0';
    } else if (frame.size >= sizeof(event->kind) + sizeof(event->value)) {
        memcpy(&event->kind, frame.data, sizeof(event->kind));
        memcpy(&event->value, frame.data + sizeof(event->kind), sizeof(event->value));
    }
}

/* Reads one event; false when none waits. */
static bool read_event(void *pair, event_t *event)
{
    zmq_msg_t frame;
    bool is_first = true;
    int more = 1;

    *event = (event_t){0};
    for (; more != 0; is_first = false) {
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, pair, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frame);
            return false;
        }
        read_frame(event, message_slice(&frame), is_first);
        more = zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return true;
}

/* The number of an event in the trace; TRACE_KINDS for one that libzmq has got since. */
static unsigned trace_kind_of(uint16_t event)
{
    static const uint8_t kinds[16] = {
        /* libzmq numbers them by bit */
        TRACE_CONNECTED,
        TRACE_CONNECT_DELAYED,
        TRACE_CONNECT_RETRIED,
        TRACE_LISTENING,
        TRACE_BIND_FAILED,
        TRACE_ACCEPTED,
        TRACE_ACCEPT_FAILED,
        TRACE_CLOSED,
        TRACE_CLOSE_FAILED,
        TRACE_DISCONNECTED,
        TRACE_MONITOR_STOPPED,
        TRACE_HANDSHAKE_FAILED_NO_DETAIL,
        TRACE_HANDSHAKE_SUCCEEDED,
        TRACE_HANDSHAKE_FAILED_PROTOCOL,
        TRACE_HANDSHAKE_FAILED_AUTH,
        TRACE_KINDS,
    };
    for (unsigned bit = 0; bit < 16; bit++)
        if (event == 1u << bit)
            return kinds[bit];
    return TRACE_KINDS;
}

static void tell(const monitor_t *self, const watch_t *watch, const event_t *event)
{
    char text[TRACE_TEXT_MAX];
    unsigned kind = trace_kind_of(event->kind);

    if (self->trace == NULL || kind == TRACE_KINDS || !trace_wants(self->trace, TRACE_SOCKETS))
        return;
    snprintf(text, sizeof(text), "%s %.100s value=%" PRIu32, watch->name, event->endpoint,
             event->value);
    const trace_item_t item = {
        .kind = kind, .link = (uint32_t)watch->token, .text = slice_text(text)};
    trace_put_socket(self->trace, &item);
}

/*
 * True for a handshake that the other end broke off: who has been told that it has the wrong key
 * does that, and who speaks with keys when it is faster than its greeting; but so does one that is
 * killed.
 */
static bool is_guess(const event_t *event)
{
    return event->kind == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL &&
           (event->value == EPIPE || event->value == ECONNRESET);
}

/* What is wrong with the other end of a connection that we made; NULL: nothing is known. */
static const char *why_not_taken(const watch_t *watch, const event_t *event)
{
    if (event->kind == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        return "it does not take our key: is NAME.key in the folder there, with a role for this?";
    if (event->kind == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL &&
        event->value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
        return watch->has_keys ? "it speaks without keys: give it --curve"
                               : "it speaks with keys alone: give --curve";
    if (!is_guess(event))
        return NULL;
    return watch->has_keys ? "it has another key than the one we have of it, or ended"
                           : "it ended the connection at once: does it want keys (--curve)?";
}

/* The same of somebody who connects to us. A key that was refused has been told by who did. */
static const char *why_not_let_in(const watch_t *watch, const event_t *event)
{
    if (event->kind != ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
        return NULL;
    if (event->value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
        return watch->has_keys ? "somebody speaks without keys"
                               : "somebody speaks with keys, and here are none";
    return watch->has_keys ? "somebody has another key of ours, or none" : NULL;
}

static void tell_denied(const monitor_t *self, const watch_t *watch, const event_t *event)
{
    const char *why;

    if (self->denied == NULL || (event->kind & HANDSHAKE_EVENTS) == 0)
        return;
    why = watch->is_server ? why_not_let_in(watch, event) : why_not_taken(watch, event);
    if (why != NULL)
        denied_put(self->denied, event->endpoint, why, !is_guess(event));
}

static void note_loss(monitor_t *self, watch_t *watch)
{
    pthread_mutex_lock(&self->mutex);
    if (watch->phase == WATCHED && watch->token != MONITOR_NO_TOKEN && !watch->lost) {
        watch->lost = true;
        if (self->lost++ == 0)
            wake_signal(&self->to_loop);
    }
    pthread_mutex_unlock(&self->mutex);
}

/* Makes the list to poll from the table; false when the thread is to end. */
static bool take_table(monitor_t *self, int *count)
{
    bool go_on;

    pthread_mutex_lock(&self->mutex);
    *count = 1;
    for (size_t i = 0; i < self->count; i++) {
        watch_t *watch = self->watches[i];
        if (watch->phase == GONE)
            continue;
        self->polled[*count] = watch;
        self->items[*count] = (zmq_pollitem_t){.socket = watch->pair, .events = ZMQ_POLLIN};
        (*count)++;
    }
    go_on = !self->stopping;
    pthread_mutex_unlock(&self->mutex);
    return go_on;
}

/* Closes the pairs that the loop thread gave up; true when there were any. */
static bool let_go(monitor_t *self, int count)
{
    bool any = false;

    for (int i = 1; i < count; i++) {
        watch_t *watch = self->polled[i];
        bool leaving;
        pthread_mutex_lock(&self->mutex);
        leaving = watch->phase == LEAVING;
        pthread_mutex_unlock(&self->mutex);
        if (!leaving)
            continue;
        zmq_close(watch->pair);
        pthread_mutex_lock(&self->mutex);
        watch->phase = GONE; /* the loop thread frees it after this */
        pthread_cond_broadcast(&self->let_go);
        pthread_mutex_unlock(&self->mutex);
        any = true;
    }
    return any;
}

static void *drain(void *arg)
{
    monitor_t *self = arg;
    int count;

    self->items[0] = (zmq_pollitem_t){.fd = self->to_drain.read_fd, .events = ZMQ_POLLIN};
    /* The wake-up is cleared before the table is read, so a change after that wakes us again. */
    while (take_table(self, &count)) {
        if (let_go(self, count) || zmq_poll(self->items, count, -1) < 0)
            continue;
        if ((self->items[0].revents & ZMQ_POLLIN) != 0)
            wake_clear(&self->to_drain);
        for (int i = 1; i < count; i++) {
            event_t event;
            if ((self->items[i].revents & ZMQ_POLLIN) == 0)
                continue;
            while (read_event(self->polled[i]->pair, &event)) {
                tell_denied(self, self->polled[i], &event);
                if ((event.kind & LOST_EVENTS) != 0)
                    note_loss(self, self->polled[i]); /* before all else: fail-over waits for it */
                tell(self, self->polled[i], &event);
            }
        }
    }
    return NULL;
}

/* ---- the loop thread ---- */

int monitor_open(monitor_t **out, trace_t *trace, denied_t *denied, err_t *err)
{
    monitor_t *self = mem_zero(1, sizeof(*self));
    int rc;

    self->trace = trace;
    self->denied = denied;
    if (wake_open(&self->to_drain, err) != 0) {
        free(self);
        return -1;
    }
    if (wake_open(&self->to_loop, err) != 0) {
        wake_close(&self->to_drain);
        free(self);
        return -1;
    }
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->let_go, NULL);
    rc = pthread_create(&self->thread, NULL, drain, self);
    if (rc != 0) {
        wake_close(&self->to_drain);
        wake_close(&self->to_loop);
        free(self);
        return err_set(err, OUTCOME_FULL, "cannot start a thread: %s; raise the limit of processes",
                       strerror(rc));
    }
    *out = self;
    return 0;
}

void monitor_destroy(monitor_t **self_p)
{
    monitor_t *self = *self_p;

    if (self == NULL)
        return;
    while (self->count > 0)
        monitor_unwatch(self, self->watches[0]->socket);
    pthread_mutex_lock(&self->mutex);
    self->stopping = true;
    pthread_mutex_unlock(&self->mutex);
    wake_signal(&self->to_drain);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->let_go);
    pthread_mutex_destroy(&self->mutex);
    wake_close(&self->to_drain);
    wake_close(&self->to_loop);
    free(self);
    *self_p = NULL;
}

static int get_int(void *socket, int option)
{
    int value = 0;
    size_t size = sizeof(value);
    return zmq_getsockopt(socket, option, &value, &size) == 0 ? value : 0;
}

/* A PAIR that gets the events of the socket; NULL with errno. */
static void *open_pair(void *socket, int events)
{
    /* For the process, as inproc names are: libzmq gives a name free only some time after. */
    static atomic_ullong serial;
    char endpoint[64];
    int linger_ms = 0;
    int why;
    void *pair = zmq_socket(net_context(), ZMQ_PAIR);

    if (pair == NULL)
        return NULL;
    zmq_setsockopt(pair, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    snprintf(endpoint, sizeof(endpoint), "inproc://monitor-%llu", atomic_fetch_add(&serial, 1ULL));
    if (zmq_socket_monitor(socket, endpoint, events) == 0) {
        if (zmq_connect(pair, endpoint) == 0)
            return pair;
        why = errno;
        zmq_socket_monitor(socket, NULL, 0);
    } else {
        why = errno;
    }
    zmq_close(pair);
    errno = why;
    return NULL;
}

int monitor_watch(monitor_t *self, void *socket, const char *name, uint64_t token, err_t *err)
{
    watch_t *watch;
    void *pair;

    if (self->count == MONITOR_SOCKETS_MAX)
        return err_set(err, OUTCOME_FULL, "cannot watch more than %d sockets", MONITOR_SOCKETS_MAX);
    pair = open_pair(socket, self->trace != NULL ? ZMQ_EVENT_ALL : LOST_EVENTS);
    if (pair == NULL)
        return err_set(err, OUTCOME_FULL, "cannot watch a socket: %s%s", zmq_strerror(errno),
                       errno == EMFILE || errno == ENFILE ? "; raise the limit of open files" : "");
    watch = mem_alloc(sizeof(*watch));
    *watch = (watch_t){
        .socket = socket,
        .name = name,
        .pair = pair,
        .token = token,
        .is_server = socket_binds(get_int(socket, ZMQ_TYPE)),
        .has_keys = get_int(socket, ZMQ_MECHANISM) == ZMQ_CURVE,
        .phase = WATCHED,
    };
    pthread_mutex_lock(&self->mutex);
    self->watches[self->count++] = watch;
    pthread_mutex_unlock(&self->mutex);
    wake_signal(&self->to_drain);
    return 0;
}

void monitor_unwatch(monitor_t *self, void *socket)
{
    watch_t *watch = NULL;
    size_t at;

    for (at = 0; at < self->count && watch == NULL; at++)
        if (self->watches[at]->socket == socket)
            watch = self->watches[at];
    if (watch == NULL)
        return;
    at--;
    /*
     * First the writing end, or libzmq would block on a PAIR that nobody reads. Not under the
     * mutex: it writes a last event, and only the drain thread makes room for that.
     */
    zmq_socket_monitor(socket, NULL, 0);
    pthread_mutex_lock(&self->mutex);
    watch->phase = LEAVING;
    wake_signal(&self->to_drain);
    while (watch->phase != GONE)
        pthread_cond_wait(&self->let_go, &self->mutex);
    if (watch->lost && --self->lost == 0)
        wake_clear(&self->to_loop);
    self->watches[at] = self->watches[--self->count];
    pthread_mutex_unlock(&self->mutex);
    free(watch);
}

int monitor_fd(const monitor_t *self)
{
    return self->to_loop.read_fd;
}

bool monitor_next_lost(monitor_t *self, uint64_t *token)
{
    bool found = false;

    pthread_mutex_lock(&self->mutex);
    for (size_t i = 0; i < self->count && self->lost > 0 && !found; i++) {
        watch_t *watch = self->watches[i];
        if (!watch->lost)
            continue;
        watch->lost = false;
        self->lost--;
        *token = watch->token;
        found = true;
    }
    if (self->lost == 0)
        wake_clear(&self->to_loop);
    pthread_mutex_unlock(&self->mutex);
    return found;
}
