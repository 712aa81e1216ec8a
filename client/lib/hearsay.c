/*
 * The connection: client/core with a DEALER, a monitor, a finder and the clocks that it needs, in a
 * poll of its own.
 */
#include "client/lib/hearsay.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>
#include <zmq.h>

#include "bus/base/memory.h"
#include "bus/net/address.h"
#include "bus/net/beacon.h"
#include "bus/net/monitor.h"
#include "bus/net/pollset.h"
#include "bus/net/runtime.h"
#include "bus/net/wake.h"
#include "bus/net/watched.h"
#include "bus/wire/token.h"
#include "client/core/client.h"
#include "client/lib/reply.h"
#include "client/lib/request.h"

enum {
    MESSAGE_MAX = 20 * 1024 * 1024, /* bytes; as brokers have it */
    QUEUE = 100000,                 /* messages; bytes are bounded by the core's window */
    DRAIN = 256,                    /* messages taken between two turns */
    SEEK_MS = 200,                  /* between two calls for brokers */
    BYE_LINGER_MS = 100,
    BEACON_PORT = 7700,
};

typedef struct call call_t;

struct call {
    hearsay_session_t *session; /* NULL once it has ended */
    long long number;
    bool is_update;
    hearsay_reply_fn *fn;
    void *arg;
    int64_t begun_us;
    hearsay_reply_t *reply; /* once it has ended */
    call_t *next;
    call_t *prev;
};

struct hearsay_session {
    hearsay_t *owner;
    client_session_t *core;
    call_t *calls; /* under way */
    buf_t token;
    bool is_closing;
    hearsay_session_t *next;
    hearsay_session_t *prev;
};

struct hearsay {
    client_t *core;
    curve_t *curve; /* NULL: without keys */
    denied_t *denied;
    bool was_denied; /* somebody would not talk to us, and nobody has since */
    monitor_t *monitor;
    finder_t *finder; /* NULL: brokers were named */
    beacon_t beacon;
    bool is_seeking;
    void *dealer; /* NULL: not connected */
    uint32_t connection;
    char broker[ENDPOINT_TEXT_SIZE]; /* that it is connected to */
    bool is_broken;                  /* the dealer could not be made or takes nothing more */
    bool is_calling;
    bool is_closing;
    hearsay_note_fn *note;
    void *note_arg;
    hearsay_session_t *sessions;
    call_t *ended; /* their callbacks are to be called, in this order */
    size_t pending;
    long long last_number;
    /* Of a foreign event loop, once hearsay_fd() was called. */
    bool has_loop;
    pollset_t pollset; /* what poll_once() waits for, and the wake-up */
    wake_t wake;       /* work that no descriptor tells of */
    bool is_awake;     /* it is signalled */
    bool is_news;      /* the core was told something since its last turn */
    /* Of the process. */
    pthread_t thread; /* that opened it */
    hearsay_t *next;
    hearsay_t *prev;
};

/* All that are open, for the process that ends without closing them. */
static struct {
    pthread_mutex_t mutex; /* guards what is below */
    hearsay_t *open;
    bool is_watching; /* leave_process() is registered */
} process = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int64_t now_us(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* ---- the descriptor for a foreign event loop ---- */

static int socket_fd(void *socket)
{
    int fd = -1;
    size_t size = sizeof(fd);
    return zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0 ? fd : -1;
}

static bool is_readable(void *socket)
{
    int events = 0;
    size_t size = sizeof(events);
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}

/*
 * ZeroMQ's descriptors tell of a change only, and any call on a socket takes that away. So whatever
 * has used a socket or told the core something ends with this: what is left to do is signalled.
 */
static void arm(hearsay_t *self)
{
    /* What has callbacks called ends with this itself. */
    if (!self->has_loop || self->is_awake || self->is_calling)
        return;
    self->is_awake = self->is_news || self->ended != NULL ||
                     (self->dealer != NULL && is_readable(self->dealer)) ||
                     (self->finder != NULL && is_readable(finder_socket(self->finder)));
    if (self->is_awake)
        wake_signal(&self->wake);
}

/* ---- looking for brokers ---- */

static void seek(hearsay_t *self)
{
    if (self->finder == NULL || self->is_seeking)
        return;
    self->is_seeking = true;
    finder_publish(self->finder, &self->beacon, SEEK_MS);
}

static void stop_seeking(hearsay_t *self)
{
    if (!self->is_seeking)
        return;
    self->is_seeking = false;
    finder_silence(self->finder);
}

static void take_beacons(hearsay_t *self)
{
    beacon_t beacon;
    char address[FINDER_ADDRESS_SIZE];

    for (int i = 0; i < DRAIN && finder_receive(self->finder, &beacon, address); i++)
        if (beacon.kind == BEACON_BROKER) {
            client_broker(self->core, net_now(), slice_text(address), beacon.port);
            stop_seeking(self);
        }
}

static void give_note(const hearsay_t *self, slice_t bytes)
{
    if (self->note == NULL)
        return;
    char *text = mem_text(bytes.data, bytes.size);
    self->note(self->note_arg, text);
    free(text);
}

/* ---- the connection to a broker ---- */

static void drop_dealer(hearsay_t *self)
{
    self->broker[0] = '\0';
    if (self->dealer == NULL)
        return;
    if (self->has_loop)
        pollset_remove(&self->pollset, socket_fd(self->dealer));
    watched_close(&self->dealer, NULL, self->monitor);
}

static int open_dealer(hearsay_t *self, const endpoint_t *endpoint, err_t *err)
{
    const socket_options_t options = {ZMQ_DEALER, MESSAGE_MAX, QUEUE,       QUEUE,
                                      0,          true,        ROLE_BROKER, self->curve};

    if (watched_open(&self->dealer, &options, self->monitor, "broker", self->connection, err) != 0)
        return -1;
    if (self->has_loop && pollset_add(&self->pollset, socket_fd(self->dealer), err) != 0)
        return -1;
    return socket_connect(self->dealer, endpoint, err);
}

static int connect_dealer(hearsay_t *self, slice_t host, uint16_t port)
{
    endpoint_t endpoint;
    err_t err;

    if (endpoint_of(host, port, &endpoint, &err) && open_dealer(self, &endpoint, &err) == 0) {
        endpoint_format(&endpoint, self->broker);
        return 0;
    }
    drop_dealer(self);
    give_note(self, slice_text(err.text)); /* it will be tried again: only this says why */
    return -1;
}

/* A broker talks to us: who would not is told of again, once this one is gone. */
static void take_sign_of_life(hearsay_t *self)
{
    stop_seeking(self);
    if (self->was_denied)
        denied_forget(self->denied);
    self->was_denied = false;
}

/* Everything that has come from the broker; true when there may be more. */
static bool take_frames(hearsay_t *self)
{
    now_t now = net_now();

    for (int i = 0; i < DRAIN && self->dealer != NULL; i++) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, self->dealer, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&message);
            return false;
        }
        client_frame(self->core, now, self->connection,
                     slice_of(zmq_msg_data(&message), zmq_msg_size(&message)));
        zmq_msg_close(&message);
        take_sign_of_life(self);
    }
    return true;
}

/* Brokers that would not talk to us; told before the loss of their connection is. */
static void take_denied(hearsay_t *self)
{
    denied_entry_t entry;

    while (denied_next(self->denied, &entry)) {
        char text[sizeof(entry.address) + sizeof(entry.why) + 4];
        snprintf(text, sizeof(text), "%s: %s", entry.address, entry.why);
        give_note(self, slice_text(text));
        client_denied(self->core, net_now(), slice_text(text), entry.is_certain);
        self->was_denied = true;
    }
}

/* What came before the loss counts. */
static void take_losses(hearsay_t *self)
{
    uint64_t token;

    while (monitor_next_lost(self->monitor, &token)) {
        if (token != self->connection)
            continue;
        while (take_frames(self) && self->dealer != NULL)
            continue;
        client_connection_lost(self->core, net_now(), self->connection);
    }
    if (self->is_broken) {
        self->is_broken = false;
        client_connection_lost(self->core, net_now(), self->connection);
    }
}

/* ---- effects ---- */

/* To be called back once the core's effects are carried out: a callback may use the core. */
static void end_call(call_t *call, hearsay_reply_t *reply)
{
    hearsay_session_t *session = call->session;
    hearsay_t *self = session->owner;

    DL_DELETE(session->calls, call);
    call->session = NULL;
    call->reply = reply;
    DL_APPEND(self->ended, call);
}

static void take_done(const client_effect_t *effect, slice_t value)
{
    call_t *call = (call_t *)(uintptr_t)effect->ticket;
    const reply_head_t head = {
        .outcome = effect->outcome,
        .replica = effect->replica,
        .copies = effect->copies,
        .sends = effect->sends,
        .is_relaxed = effect->is_relaxed,
        .elapsed_us = now_us() - call->begun_us,
    };
    end_call(call, reply_new(&head, value));
}

static void carry_out(hearsay_t *self, const client_effect_t *effect, slice_t bytes)
{
    switch (effect->kind) {
    case CLIENT_CONNECT:
        drop_dealer(self);
        self->connection = effect->connection;
        self->is_broken = connect_dealer(self, bytes, effect->port) != 0;
        break;
    case CLIENT_DISCONNECT:
        drop_dealer(self);
        seek(self);
        break;
    case CLIENT_SEND:
        if (self->dealer != NULL && effect->connection == self->connection)
            self->is_broken |= zmq_send(self->dealer, bytes.data, bytes.size, ZMQ_DONTWAIT) < 0;
        break;
    case CLIENT_DONE:
        take_done(effect, bytes);
        break;
    case CLIENT_NOTE:
        give_note(self, bytes);
        break;
    }
}

static void turn_once(hearsay_t *self)
{
    client_effects_t effects = client_turn(self->core, net_now());

    self->is_news = false;
    for (size_t i = 0; i < effects.size; i++) {
        const client_effect_t *effect = &effects.list[i];
        carry_out(
            self, effect,
            slice_of(effect->size != 0 ? effects.arena + effect->offset : NULL, effect->size));
    }
}

static void turn(hearsay_t *self)
{
    turn_once(self);
    while (self->is_broken) {
        take_losses(self);
        turn_once(self);
    }
}

static bool call_back(hearsay_t *self)
{
    bool is_any = self->ended != NULL;

    assert(!self->is_calling);
    self->is_calling = true;
    while (self->ended != NULL) {
        call_t *call = self->ended;
        DL_DELETE(self->ended, call);
        self->pending--;
        call->fn(call->arg, call->reply);
        free(call);
    }
    self->is_calling = false;
    return is_any;
}

/* ---- waiting ---- */

static long wait_ms(const hearsay_t *self, int64_t until_ms)
{
    int64_t deadline = time_earlier(until_ms, client_deadline(self->core));

    if (self->finder != NULL)
        deadline = time_earlier(deadline, finder_deadline(self->finder));
    if (deadline == INT64_MAX)
        return -1;
    int64_t left_ms = deadline - net_now().boot_ms;
    return left_ms < 0 ? 0 : (long)time_earlier(left_ms, 1000000);
}

/* One poll, and what came; HEARSAY_READABLE, HEARSAY_INTERRUPTED or 0. */
static int poll_once(hearsay_t *self, int fd, int64_t until_ms)
{
    zmq_pollitem_t items[4];
    int count = 0;
    int dealer = -1;
    int finder = -1;
    int user = -1;

    items[count++] = (zmq_pollitem_t){.fd = monitor_fd(self->monitor), .events = ZMQ_POLLIN};
    if (self->dealer != NULL)
        items[dealer = count++] = (zmq_pollitem_t){.socket = self->dealer, .events = ZMQ_POLLIN};
    if (self->finder != NULL)
        items[finder = count++] =
            (zmq_pollitem_t){.socket = finder_socket(self->finder), .events = ZMQ_POLLIN};
    if (fd >= 0)
        items[user = count++] = (zmq_pollitem_t){.fd = fd, .events = ZMQ_POLLIN};
    if (zmq_poll(items, count, wait_ms(self, until_ms)) < 0)
        return HEARSAY_INTERRUPTED;
    if (dealer >= 0 && items[dealer].revents != 0)
        take_frames(self);
    if (finder >= 0 && items[finder].revents != 0)
        take_beacons(self);
    take_denied(self);
    if (items[0].revents != 0)
        take_losses(self);
    if (self->finder != NULL)
        finder_tick(self->finder);
    return user >= 0 && items[user].revents != 0 ? HEARSAY_READABLE : 0;
}

static int wait_for(hearsay_t *self, int fd, int timeout_ms)
{
    int64_t until_ms = timeout_ms < 0 ? INT64_MAX : net_now().boot_ms + timeout_ms;
    bool is_over = false;
    int came = 0;

    for (;;) {
        turn(self);
        if (call_back(self)) {
            turn(self); /* what the callbacks issued goes out now */
            return came | HEARSAY_CALLED;
        }
        if (came != 0 || is_over || (fd < 0 && self->pending == 0))
            return came;
        came = poll_once(self, fd, until_ms);
        is_over = net_now().boot_ms >= until_ms;
    }
}

int hearsay_wait(hearsay_t *self, int fd, int timeout_ms)
{
    int came = wait_for(self, fd, timeout_ms);
    arm(self);
    return came;
}

int hearsay_dispatch(hearsay_t *self)
{
    if (self->is_awake)
        wake_clear(&self->wake);
    self->is_awake = false;
    poll_once(self, -1, 0);
    turn(self);
    bool is_any = call_back(self);
    if (is_any)
        turn(self); /* what the callbacks issued goes out now */
    arm(self);
    return is_any ? HEARSAY_CALLED : 0;
}

int hearsay_timeout_ms(const hearsay_t *self)
{
    return self->is_news || self->ended != NULL ? 0 : (int)wait_ms(self, INT64_MAX);
}

/* Everything that poll_once() waits for. */
static bool fill_pollset(hearsay_t *self)
{
    return pollset_add(&self->pollset, self->wake.read_fd, NULL) == 0 &&
           pollset_add(&self->pollset, monitor_fd(self->monitor), NULL) == 0 &&
           (self->finder == NULL ||
            pollset_add(&self->pollset, socket_fd(finder_socket(self->finder)), NULL) == 0) &&
           (self->dealer == NULL ||
            pollset_add(&self->pollset, socket_fd(self->dealer), NULL) == 0);
}

int hearsay_fd(hearsay_t *self)
{
    if (self->has_loop)
        return self->pollset.fd;
    if (wake_open(&self->wake, NULL) != 0)
        return -1;
    if (pollset_open(&self->pollset, NULL) != 0) {
        wake_close(&self->wake);
        return -1;
    }
    if (!fill_pollset(self)) {
        pollset_close(&self->pollset);
        wake_close(&self->wake);
        return -1;
    }
    self->has_loop = true;
    arm(self);
    return self->pollset.fd;
}

size_t hearsay_pending(const hearsay_t *self)
{
    return self->pending;
}

const char *hearsay_broker(const hearsay_t *self)
{
    return self->broker;
}

/* ---- requests ---- */

static const command_t *check_request(const hearsay_session_t *session, buf_t *arguments,
                                      const hearsay_word_t words[], size_t count, err_t *err)
{
    if (!session->is_closing)
        return request_pack(arguments, words, count, err);
    err_set(err, OUTCOME_NOT_REACHED, "the session is being closed");
    return NULL;
}

long long hearsay_submit(hearsay_session_t *session, const hearsay_word_t words[], size_t count,
                         int timeout_ms, hearsay_reply_fn *fn, void *arg)
{
    hearsay_t *self = session->owner;
    now_t now = net_now();
    buf_t arguments = {0};
    err_t err;
    const command_t *command = check_request(session, &arguments, words, count, &err);

    if (command == NULL) {
        buf_free(&arguments);
        fn(arg, reply_failure(err.outcome, err.text));
        return -1;
    }
    call_t *call = mem_zero(1, sizeof(*call));
    *call = (call_t){.session = session,
                     .number = ++self->last_number,
                     .is_update = command->is_update,
                     .fn = fn,
                     .arg = arg,
                     .begun_us = now_us()};
    DL_APPEND(session->calls, call);
    self->pending++;
    client_submit(self->core, now, session->core, (uint64_t)(uintptr_t)call, command->code,
                  buf_slice(&arguments), (uint32_t)(count - 1),
                  now.boot_ms + (timeout_ms > 0 ? timeout_ms : HEARSAY_TIMEOUT_MS));
    buf_free(&arguments);
    self->is_news = true;
    arm(self);
    return self->last_number;
}

int hearsay_cancel(hearsay_session_t *session, long long request)
{
    hearsay_t *self = session->owner;
    outcome_t outcome;
    call_t *call;

    DL_SEARCH_SCALAR(session->calls, call, number, request);
    if (call == NULL ||
        !client_cancel(self->core, net_now(), session->core, (uint64_t)(uintptr_t)call, &outcome))
        return -1;
    DL_DELETE(session->calls, call);
    self->pending--;
    self->is_news = true; /* the session may want a new client id, the others a place */
    arm(self);
    call->fn(call->arg,
             reply_failure(outcome, outcome == OUTCOME_CANCELLED
                                        ? "cancelled before anything came of it"
                                        : "cancelled after it was sent: it may have been applied"));
    free(call);
    return 0;
}

static void keep_reply(void *arg, hearsay_reply_t *reply)
{
    hearsay_reply_t **kept = arg;
    *kept = reply;
}

hearsay_reply_t *hearsay_call(hearsay_session_t *session, const hearsay_word_t words[],
                              size_t count, int timeout_ms)
{
    hearsay_reply_t *reply = NULL;

    hearsay_submit(session, words, count, timeout_ms, keep_reply, &reply);
    /* Ends: the core ends every request at its deadline. */
    while (reply == NULL)
        hearsay_wait(session->owner, -1, -1);
    return reply;
}

/* ---- sessions ---- */

hearsay_session_t *hearsay_session_open(hearsay_t *self, const char *token, int replica)
{
    client_token_t seen = {0};

    if (token != NULL && !token_read(slice_text(token), &seen.lineage, &seen.clock, &seen.seen)) {
        vec_free(&seen.seen);
        return NULL;
    }
    hearsay_session_t *session = mem_zero(1, sizeof(*session));
    session->owner = self;
    session->is_closing = self->is_closing;
    session->core = client_session_open(self->core, token != NULL ? &seen : NULL, replica);
    DL_APPEND(self->sessions, session);
    vec_free(&seen.seen);
    return session;
}

void hearsay_session_relax(hearsay_session_t *session, int relax)
{
    client_session_relax(session->core, relax != 0);
}

int hearsay_session_relaxed(const hearsay_session_t *session)
{
    return client_session_relaxed(session->core);
}

static void close_session(hearsay_session_t *session)
{
    hearsay_t *self = session->owner;

    session->is_closing = true;
    while (session->calls != NULL)
        end_call(session->calls,
                 session->calls->is_update
                     ? reply_failure(OUTCOME_UNKNOWN,
                                     "the session was closed before the answer: it may have been "
                                     "applied")
                     : reply_failure(OUTCOME_LOST, "the session was closed before the answer"));
    call_back(self); /* may still ask for the session's token */
    client_session_close(self->core, session->core);
    self->is_news = true;
    DL_DELETE(self->sessions, session);
    buf_free(&session->token);
    free(session);
}

void hearsay_session_close(hearsay_session_t *session)
{
    hearsay_t *self = session->owner;

    turn(self); /* what has come for it counts; its goodbye goes out with the next turn */
    close_session(session);
    arm(self);
}

const char *hearsay_token(hearsay_session_t *session)
{
    const client_token_t *token = client_session_token(session->owner->core, session->core);

    buf_reset(&session->token);
    token_put(&session->token, token->lineage, token->clock, &token->seen);
    return buf_text(&session->token);
}

int hearsay_session_merge(hearsay_session_t *session, const char *text)
{
    hearsay_t *self = session->owner;
    uint64_t lineage = client_session_token(self->core, session->core)->lineage;
    client_token_t token = {0};
    bool is_good = token_read(slice_text(text), &token.lineage, &token.clock, &token.seen) &&
                   (lineage == 0 || token.lineage == 0 || lineage == token.lineage);

    if (is_good)
        client_session_merge(self->core, session->core, &token);
    vec_free(&token.seen);
    return is_good ? 0 : -1;
}

/* ---- life ---- */

void hearsay_set_note(hearsay_t *self, hearsay_note_fn *fn, void *arg)
{
    self->note = fn;
    self->note_arg = arg;
}

static bool is_allowed(const hearsay_t *self, const hearsay_options_t *options)
{
    return options->insecure != 0 || self->curve != NULL;
}

static int add_brokers(hearsay_t *self, const hearsay_options_t *options, err_t *err)
{
    for (size_t i = 0; i < options->broker_count; i++) {
        endpoint_t endpoint;
        if (!endpoint_parse(options->brokers[i], &endpoint, err))
            return -1;
        if (address_check_host(endpoint.host, is_allowed(self, options), err) != 0)
            return -1;
        client_broker(self->core, net_now(), slice_text(endpoint.host), endpoint.port);
    }
    return 0;
}

static int open_finder(hearsay_t *self, const hearsay_options_t *options, uint64_t cluster,
                       err_t *err)
{
    const char *interface = options->interface_name != NULL ? options->interface_name : "lo";

    if (address_check_interface(interface, is_allowed(self, options), err) != 0)
        return -1;
    if (finder_open(&self->finder, interface,
                    options->beacon_port != 0 ? options->beacon_port : BEACON_PORT, self->curve,
                    self->denied, err) != 0)
        return -1;
    self->beacon = (beacon_t){
        .kind = BEACON_SEEKER,
        .cluster = cluster,
        .machine = net_machine_id(),
        .incarnation = net_random64(),
        .id = BEACON_NO_ID,
    };
    seek(self);
    return 0;
}

/* Everything that libzmq and czmq would miss at the end of the process. */
static void release(hearsay_t *self)
{
    drop_dealer(self);
    finder_destroy(&self->finder);
    monitor_destroy(&self->monitor);
    denied_destroy(&self->denied);
    curve_destroy(&self->curve);
}

/*
 * A program that ends without hearsay_close: czmq's own handler, registered before this one, would
 * wait for open sockets and abort for running actors. Connections that other threads opened may be
 * in use by them and are left alone.
 */
static void leave_process(void)
{
    hearsay_t *self;

    pthread_mutex_lock(&process.mutex);
    DL_FOREACH(process.open, self)
    {
        if (pthread_equal(self->thread, pthread_self()) != 0)
            release(self);
    }
    pthread_mutex_unlock(&process.mutex);
}

static void enter_process(hearsay_t *self)
{
    self->thread = pthread_self();
    pthread_mutex_lock(&process.mutex);
    DL_APPEND(process.open, self);
    if (!process.is_watching)
        process.is_watching = atexit(leave_process) == 0;
    pthread_mutex_unlock(&process.mutex);
}

static int open_all(hearsay_t *self, const hearsay_options_t *options, err_t *err)
{
    const char *name = options->cluster != NULL ? options->cluster : "hearsay";
    const client_config_t config = {
        .cluster = beacon_cluster_tag(name),
        .seed = net_random64(),
        .window = options->window != 0 ? options->window : HEARSAY_WINDOW,
    };

    if (config.window > CLIENT_WINDOW_MAX)
        return err_set(err, OUTCOME_USAGE, "a window of %u is too much: %d is the most",
                       config.window, CLIENT_WINDOW_MAX);
    if (net_start_library(err) != 0)
        return -1;
    self->core = client_new(&config);
    if (denied_open(&self->denied, err) != 0 ||
        monitor_open(&self->monitor, NULL, self->denied, err) != 0)
        return -1;
    return options->broker_count != 0 ? add_brokers(self, options, err)
                                      : open_finder(self, options, config.cluster, err);
}

int hearsay_open(hearsay_t **out, const hearsay_options_t *options, char *error)
{
    return hearsay_open_with_keys(out, options, NULL, NULL, error);
}

int hearsay_open_with_keys(hearsay_t **out, const hearsay_options_t *options, const char *folder,
                           const char *name, char *error)
{
    const hearsay_options_t defaults = {0};
    hearsay_t *self = mem_zero(1, sizeof(*self));
    err_t err;

    *out = NULL;
    if ((folder != NULL && curve_open(&self->curve, folder, name, ROLE_CLIENT, &err) != 0) ||
        open_all(self, options != NULL ? options : &defaults, &err) != 0) {
        hearsay_close(&self);
        if (error != NULL)
            snprintf(error, HEARSAY_ERROR_SIZE, "%s", err.text);
        return outcome_exit(err.outcome);
    }
    enter_process(self);
    *out = self;
    return 0;
}

void hearsay_close(hearsay_t **self_p)
{
    hearsay_t *self = *self_p;
    const int linger_ms = BYE_LINGER_MS;

    if (self == NULL)
        return;
    *self_p = NULL;
    pthread_mutex_lock(&process.mutex);
    if (self->prev != NULL) /* else it was never open */
        DL_DELETE(process.open, self);
    pthread_mutex_unlock(&process.mutex);
    if (self->sessions != NULL)
        turn(self); /* what has come for them counts */
    self->is_closing = true;
    while (self->sessions != NULL)
        close_session(self->sessions);
    if (self->core != NULL) {
        client_leave(self->core, net_now());
        turn(self);
    }
    if (self->dealer != NULL)
        zmq_setsockopt(self->dealer, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    release(self);
    if (self->has_loop) {
        pollset_close(&self->pollset);
        wake_close(&self->wake);
    }
    client_destroy(&self->core);
    free(self);
}
