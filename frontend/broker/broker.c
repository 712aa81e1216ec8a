#include "frontend/broker/broker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "bus/base/events.h"
#include "bus/base/memory.h"
#include "bus/http/http.h"
#include "bus/net/address.h"
#include "bus/net/beacon.h"
#include "bus/net/guard.h"
#include "bus/net/known.h"
#include "bus/net/loop.h"
#include "bus/net/message.h"
#include "bus/net/monitor.h"
#include "bus/net/notes.h"
#include "bus/net/notify.h"
#include "bus/net/runtime.h"
#include "bus/net/watched.h"
#include "bus/wire/control.h"
#include "frontend/broker/inspect.h"
#include "frontend/broker/trace.h"
#include "frontend/core/frontend.h"

enum {
    MESSAGE_MAX = 20 * 1024 * 1024, /* bytes; the greatest value and what is around it */
    QUEUE = 100000,                 /* messages; bytes are bounded by the core's windows */
    CONTROL_QUEUE = 1000,
    HEARTBEAT_MS = 1000, /* of ZeroMQ: finds hosts that went without a word */
    /*
     * Of clients, which may be thousands: libzmq looks through the timers of all connections to end
     * one, so that each second 5,000 heartbeats would cost its thread more than that second.
     */
    CLIENT_HEARTBEAT_MS = 15000,
    BEACON_MS = 1000,
};

/* The block of ports, in its order. */
typedef enum broker_port {
    PORT_CLIENT,  /* ROUTER */
    PORT_CONTROL, /* ROUTER: hearsayctl */
    PORT_TRACE,   /* XPUB: hearsayctl trace */
    PORTS,
} broker_port_t;

typedef struct broker broker_t;

/* The connection to one replica. */
typedef struct link {
    broker_t *owner;
    uint32_t number; /* the core's; 0: this place is free */
    void *dealer;
} link_t;

/* Somebody who did not take what was sent; told to the core afterwards. */
typedef struct loss {
    bool is_replica;
    bool is_full; /* else it is gone */
    uint32_t target;
} loss_t;

typedef struct broker_counts {
    uint64_t odd_messages; /* other ids or frames than our programs send */
    uint64_t replica_losses;
    uint64_t dropped_control;
} broker_counts_t;

struct broker {
    const broker_settings_t *settings;
    uint64_t incarnation;
    uint16_t port; /* first of the block, as bound */
    loop_t *loop;
    trace_t *trace;
    events_t *events;
    guard_t guard;
    monitor_t *monitor;
    finder_t *finder;
    http_t *http; /* NULL: none */
    frontend_t *frontend;
    void *sockets[PORTS];
    link_t links[FRONTEND_REPLICAS_MAX];
    beacon_t beacon;
    known_t known;
    loss_t *losses;
    size_t losses_size;
    size_t losses_capacity;
    broker_counts_t counts;
    buf_t line;
    buf_t reply;
    buf_t counts_text;
    buf_t replicas_text;
    buf_t document;
};

/* ---- sending ---- */

static void note_loss(broker_t *self, bool is_replica, bool is_full, uint32_t target)
{
    if (self->losses_size == self->losses_capacity)
        self->losses = mem_grow(self->losses, &self->losses_capacity, sizeof(*self->losses));
    self->losses[self->losses_size++] = (loss_t){is_replica, is_full, target};
}

static link_t *find_link(broker_t *self, uint32_t number)
{
    for (size_t i = 0; i < FRONTEND_REPLICAS_MAX; i++)
        if (self->links[i].number == number)
            return &self->links[i];
    return NULL;
}

/* Gives the message away, or notes who did not take it. */
static void send_message(broker_t *self, bool to_replica, uint32_t target, zmq_msg_t *message)
{
    link_t *link = to_replica ? find_link(self, target) : NULL;
    bool is_sent = to_replica ? link != NULL && message_pass(link->dealer, message)
                              : message_pass_to(self->sockets[PORT_CLIENT], target, message);
    if (is_sent)
        return;
    bool is_full = zmq_errno() == EAGAIN;
    zmq_msg_close(message);
    note_loss(self, to_replica, is_full, target);
}

static void send_bytes(broker_t *self, bool to_replica, uint32_t target, slice_t bytes)
{
    zmq_msg_t message;
    message_make(&message, bytes);
    send_message(self, to_replica, target, &message);
}

/* ---- connections to replicas ---- */

static bool link_ready(void *arg);

static void disconnect(broker_t *self, uint32_t number)
{
    link_t *link = find_link(self, number);
    if (link == NULL)
        return;
    watched_close(&link->dealer, self->loop, self->monitor);
    link->number = 0;
}

static int open_link(broker_t *self, link_t *link, slice_t host, uint16_t port, err_t *err)
{
    const socket_options_t options = {
        ZMQ_DEALER, MESSAGE_MAX, QUEUE, QUEUE, HEARTBEAT_MS, true, ROLE_NODE, self->guard.curve,
    };
    endpoint_t endpoint;

    if (!endpoint_of(host, port, &endpoint, err) ||
        watched_open(&link->dealer, &options, self->monitor, "replica", link->number, err) != 0)
        return -1;
    if (loop_add_socket(self->loop, link->dealer, link_ready, link, err) == 0 &&
        socket_connect(link->dealer, &endpoint, err) == 0)
        return 0;
    watched_close(&link->dealer, self->loop, self->monitor);
    return -1;
}

static void connect_replica(broker_t *self, uint32_t number, slice_t host, uint16_t port)
{
    link_t *link = find_link(self, 0);
    err_t err;

    if (link != NULL) {
        *link = (link_t){.owner = self, .number = number};
        if (open_link(self, link, host, port, &err) == 0)
            return;
        link->number = 0;
        log_line(LOG_LEVEL_WARN, "%s", err.text);
    }
    note_loss(self, true, false, number);
}

/* ---- what the core wants ---- */

static void carry_out_effects(broker_t *self)
{
    static const log_level_t levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
                                         LOG_LEVEL_DEBUG};
    frontend_effects_t effects = frontend_effects(self->frontend);

    for (size_t i = 0; i < effects.size; i++) {
        const frontend_effect_t *effect = &effects.list[i];
        slice_t bytes =
            slice_of(effect->size != 0 ? effects.arena + effect->offset : NULL, effect->size);
        switch (effect->kind) {
        case FRONTEND_SEND_CLIENT:
            send_bytes(self, false, effect->target, bytes);
            break;
        case FRONTEND_SEND_REPLICA:
            send_bytes(self, true, effect->target, bytes);
            break;
        case FRONTEND_CONNECT:
            connect_replica(self, effect->target, bytes, effect->port);
            break;
        case FRONTEND_DISCONNECT:
            disconnect(self, effect->target);
            break;
        case FRONTEND_NOTE:
            notes_tell(&self->line, self->events, self->trace, levels[effect->level], bytes);
            break;
        }
    }
}

/* Effects in order, and then what came of them, until nobody more turns out to be gone. */
static void carry_out(broker_t *self)
{
    carry_out_effects(self);
    while (self->losses_size != 0) {
        loss_t loss = self->losses[--self->losses_size];
        if (loss.is_replica) {
            self->counts.replica_losses++;
            frontend_replica_lost(self->frontend, net_now(), loss.target);
        } else if (loss.is_full) {
            frontend_client_full(self->frontend, net_now(), loss.target);
        } else {
            frontend_client_lost(self->frontend, net_now(), loss.target);
        }
        carry_out_effects(self);
    }
}

static void forward(broker_t *self, frontend_forward_t where, zmq_msg_t *message)
{
    if (where.way != FRONTEND_DONE)
        broker_trace_frame(self->trace, where.target, message_slice(message));
    if (where.way == FRONTEND_DONE)
        zmq_msg_close(message);
    else
        send_message(self, where.way == FRONTEND_TO_REPLICA, where.target, message);
    carry_out(self);
}

/* ---- what comes in ---- */

static bool client_ready(void *arg)
{
    broker_t *self = arg;
    now_t now = net_now();

    for (int i = 0; i < LOOP_DRAIN; i++) {
        uint32_t connection;
        zmq_msg_t message;
        message_taken_t taken =
            message_take_from(self->sockets[PORT_CLIENT], &connection, &message);
        if (taken == MESSAGE_NONE)
            return false;
        if (taken == MESSAGE_TAKEN)
            forward(self,
                    frontend_client(self->frontend, now, connection, zmq_msg_data(&message),
                                    zmq_msg_size(&message)),
                    &message);
        else
            self->counts.odd_messages++;
    }
    return true;
}

/* Takes what the replica has sent; a frame may make the core let go of this very link. */
static bool drain_link(link_t *link, int most)
{
    broker_t *self = link->owner;
    uint32_t number = link->number;
    now_t now = net_now();

    for (int i = 0; i < most && link->number == number; i++) {
        zmq_msg_t message;
        message_taken_t taken = message_take(link->dealer, &message);
        if (taken == MESSAGE_NONE)
            return false;
        if (taken == MESSAGE_TAKEN)
            forward(self,
                    frontend_replica(self->frontend, now, number, zmq_msg_data(&message),
                                     zmq_msg_size(&message)),
                    &message);
        else
            self->counts.odd_messages++;
    }
    return true;
}

static bool link_ready(void *arg)
{
    return drain_link(arg, LOOP_DRAIN);
}

/* The replies that came before the loss go to their clients first. */
static bool monitor_ready(void *arg)
{
    broker_t *self = arg;
    uint64_t token;

    while (monitor_next_lost(self->monitor, &token)) {
        link_t *link = find_link(self, (uint32_t)token);
        if (link == NULL || token == 0)
            continue;
        drain_link(link, QUEUE);
        frontend_replica_lost(self->frontend, net_now(), (uint32_t)token);
        carry_out(self);
    }
    return false;
}

static bool denied_ready(void *arg)
{
    broker_t *self = arg;
    guard_tell(&self->guard, &self->line, self->events, self->trace);
    return false;
}

static bool finder_ready(void *arg)
{
    broker_t *self = arg;
    beacon_t beacon;
    char address[FINDER_ADDRESS_SIZE];

    for (int i = 0; i < LOOP_DRAIN; i++) {
        if (!finder_receive(self->finder, &beacon, address))
            return false;
        if (beacon.kind == BEACON_NODE && beacon.port != 0 && beacon.port != UINT16_MAX) {
            frontend_candidate(self->frontend, net_now(), beacon.id, beacon.incarnation,
                               slice_text(address), (uint16_t)(beacon.port + 1));
            carry_out(self);
        }
        if (beacon.kind == BEACON_SEEKER || known_add(&self->known, beacon.incarnation))
            finder_publish_now(self->finder);
    }
    return true;
}

/* ---- control ---- */

static void send_reply(broker_t *self, uint32_t connection, const control_reply_t *answer)
{
    buf_reset(&self->reply);
    control_reply_put(&self->reply, answer);
    self->counts.dropped_control +=
        !message_send_to(self->sockets[PORT_CONTROL], connection, buf_slice(&self->reply));
}

static uint32_t put_counts(const broker_t *self, const frontend_info_t *info, buf_t *out)
{
    const frontend_counts_t *core = info->counts;
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"requests", core->requests},
        {"replies", core->replies},
        {"hellos", core->hellos},
        {"turned_back", core->turned_back},
        {"busy", core->busy},
        {"busy_client", core->busy_client},
        {"busy_replica", core->busy_replica},
        {"busy_sessions", core->busy_sessions},
        {"busy_connections", core->busy_connections},
        {"slow_clients", core->slow_clients},
        {"unread", info->unread},
        {"routes", info->routes},
        {"routes_lost", core->routes_lost},
        {"handed_over", core->handed_over},
        {"not_reached", core->not_reached},
        {"malformed", core->malformed},
        {"dropped", core->dropped},
        {"odd_messages", self->counts.odd_messages},
        {"client_losses", core->client_losses},
        {"replica_losses", self->counts.replica_losses},
        {"dropped_control", self->counts.dropped_control},
        {"denied", denied_count(self->guard.denied)},
        {"stale_beacons", finder_counts(self->finder).stale},
    };
    uint32_t count = sizeof(counts) / sizeof(counts[0]);
    for (uint32_t i = 0; i < count; i++)
        control_count_put(out, counts[i].name, counts[i].value);
    return count + notes_put_counts(out, self->events);
}

static uint32_t put_replicas(const broker_t *self, buf_t *out)
{
    frontend_replica_info_t info;
    uint32_t count = 0;

    while (count < CONTROL_PEERS_MAX && frontend_replica_info(self->frontend, count, &info)) {
        const control_peer_t peer = {
            .id = info.id,
            .incarnation = info.incarnation,
            .host = slice_text(info.host),
            .port = (uint16_t)(info.port - 1), /* the first of its block */
            .is_connected = info.is_connected,
            .status = info.status,
            .sessions = info.sessions,
        };
        control_peer_put(out, &peer, info.vector);
        count++;
    }
    return count;
}

/* What the broker says of itself; borrowed until it is asked again. */
static slice_t document(void *arg)
{
    broker_t *self = arg;
    frontend_info_t info = frontend_info(self->frontend, net_now());

    buf_reset(&self->counts_text);
    buf_reset(&self->replicas_text);
    buf_reset(&self->document);
    uint32_t counts = put_counts(self, &info, &self->counts_text);
    uint32_t replicas = put_replicas(self, &self->replicas_text);
    const control_broker_t broker = {
        .incarnation = info.incarnation,
        .host = slice_text(self->settings->served.advertised.host),
        .port = self->beacon.port,
        .age_ms = info.age_ms,
        .clients = info.clients,
        .sessions = info.sessions,
        .in_flight = info.in_flight,
        .version = slice_text(HEARSAY_VERSION),
        .pid = (uint64_t)getpid(),
        .counts = counts,
        .counts_at = buf_slice(&self->counts_text),
        .replicas = replicas,
        .replicas_at = buf_slice(&self->replicas_text),
    };
    control_broker_put(&self->document, &broker);
    return buf_slice(&self->document);
}

static void answer_info(broker_t *self, uint32_t connection, uint64_t request)
{
    const control_reply_t answer = {
        .request = request, .outcome = OUTCOME_OK, .document = document(self)};
    send_reply(self, connection, &answer);
}

static void answer_document(broker_t *self, uint32_t connection, const control_request_t *request)
{
    const inspect_events_t source = {
        .program = CONTROL_BROKER, .port = self->beacon.port, .incarnation = self->incarnation};

    buf_reset(&self->document);
    if (request->command == CONTROL_EVENTS)
        notes_put_events(&self->document, self->events, &source);
    else
        broker_put_sessions(&self->document, self->frontend, net_now(), self->beacon.port);
    const control_reply_t answer = {
        .request = request->request, .outcome = OUTCOME_OK, .document = buf_slice(&self->document)};
    send_reply(self, connection, &answer);
}

static void answer(broker_t *self, uint32_t connection, slice_t message)
{
    control_request_t request;
    control_reply_t refusal = {.outcome = OUTCOME_USAGE};

    if (!control_request_read(message, &request)) {
        self->counts.odd_messages++;
        refusal.text = slice_text("malformed request, or one of another version: use the "
                                  "hearsayctl of version " HEARSAY_VERSION);
        send_reply(self, connection, &refusal);
    } else if (request.command == CONTROL_INFO) {
        answer_info(self, connection, request.request);
    } else if (request.command == CONTROL_EVENTS || request.command == CONTROL_SESSIONS) {
        answer_document(self, connection, &request);
    } else {
        refusal.request = request.request;
        refusal.text = slice_text("a broker has no status and no keys: ask a node");
        send_reply(self, connection, &refusal);
    }
}

static bool control_ready(void *arg)
{
    broker_t *self = arg;

    for (int i = 0; i < LOOP_DRAIN; i++) {
        uint32_t connection;
        zmq_msg_t message;
        message_taken_t taken =
            message_take_from(self->sockets[PORT_CONTROL], &connection, &message);
        if (taken == MESSAGE_NONE)
            return false;
        if (taken == MESSAGE_DROPPED) {
            self->counts.odd_messages++;
            continue;
        }
        answer(self, connection, message_slice(&message));
        zmq_msg_close(&message);
    }
    return true;
}

/* ---- time and signals ---- */

static void on_timer(void *arg)
{
    broker_t *self = arg;

    finder_tick(self->finder);
    http_tick(self->http);
    frontend_tick(self->frontend, net_now());
    carry_out(self);
}

static void on_turn(void *arg)
{
    broker_t *self = arg;
    int64_t deadline =
        time_earlier(frontend_deadline(self->frontend), finder_deadline(self->finder));

    trace_turn(self->trace);
    loop_set_deadline(self->loop, time_earlier(deadline, http_deadline(self->http)));
}

static void on_signal(void *arg, int number)
{
    broker_t *self = arg;
    if (number == SIGHUP)
        return;
    notify_stopping();
    loop_stop(self->loop, EXIT_DONE);
}

/* ---- start and end ---- */

static int open_sockets(broker_t *self, err_t *err)
{
    const curve_t *keys = self->guard.curve;
    const socket_options_t options[PORTS] = {
        [PORT_CLIENT] = {ZMQ_ROUTER, MESSAGE_MAX, QUEUE, QUEUE, CLIENT_HEARTBEAT_MS, true,
                         ROLE_CLIENT | ROLE_ADMIN, keys},
        [PORT_CONTROL] = {ZMQ_ROUTER, CONTROL_REQUEST_MAX, CONTROL_QUEUE, CONTROL_QUEUE,
                          HEARTBEAT_MS, true, ROLE_ADMIN, keys},
        [PORT_TRACE] = {ZMQ_XPUB, CONTROL_REQUEST_MAX, CONTROL_QUEUE, CONTROL_QUEUE, HEARTBEAT_MS,
                        true, ROLE_ADMIN, keys},
    };
    static const char *const names[PORTS] = {"client", "control", "trace"};
    const broker_settings_t *settings = self->settings;

    for (int i = 0; i < PORTS; i++)
        if (watched_open(&self->sockets[i], &options[i], self->monitor, names[i], MONITOR_NO_TOKEN,
                         err) != 0)
            return -1;
    int port = socket_bind_block(self->sockets, PORTS, settings->served.listen.host,
                                 settings->served.listen.port, settings->served.listen_exact, err);
    if (port < 0)
        return -1;
    self->port = (uint16_t)port;
    uint16_t told = settings->served.advertised.port;
    if (loop_add_socket(self->loop, self->sockets[PORT_CLIENT], client_ready, self, err) != 0 ||
        trace_serve(self->trace, self->loop, self->sockets[PORT_TRACE],
                    told != 0 ? told : self->port, err) != 0)
        return -1;
    return loop_add_socket(self->loop, self->sockets[PORT_CONTROL], control_ready, self, err);
}

static int open_loop(broker_t *self, err_t *err)
{
    self->loop = loop_new();
    loop_on_signal(self->loop, on_signal, self);
    loop_on_timer(self->loop, on_timer, self);
    loop_on_turn(self->loop, on_turn, self);
    loop_on_alive(self->loop, notify_alive, notify_interval_ms());
    const trace_source_t source = {CONTROL_BROKER, 0, self->incarnation};
    if (trace_open(&self->trace, &source, err) != 0 ||
        monitor_open(&self->monitor, self->trace, self->guard.denied, err) != 0 ||
        loop_add_fd(self->loop, denied_fd(self->guard.denied), denied_ready, self, err) != 0)
        return -1;
    return loop_add_fd(self->loop, monitor_fd(self->monitor), monitor_ready, self, err);
}

static int open_finder(broker_t *self, err_t *err)
{
    const broker_settings_t *settings = self->settings;

    if (finder_open(&self->finder, settings->interface, settings->beacon_port, self->guard.curve,
                    self->guard.denied, err) != 0 ||
        loop_add_socket(self->loop, finder_socket(self->finder), finder_ready, self, err) != 0)
        return -1;
    self->beacon = (beacon_t){
        .kind = BEACON_BROKER,
        .cluster = beacon_cluster_tag(settings->cluster),
        .machine = net_machine_id(),
        .incarnation = self->incarnation,
        .id = BEACON_NO_ID,
        .port =
            settings->served.advertised.port != 0 ? settings->served.advertised.port : self->port,
    };
    address_to_beacon(settings->served.advertised.host, self->beacon.address);
    finder_publish(self->finder, &self->beacon, BEACON_MS);
    return 0;
}

static void say_ready(broker_t *self)
{
    log_record_t record = logger_begin(&self->line, LOG_LEVEL_INFO, "ready");
    log_hex64(&record, "incarnation", self->incarnation);
    log_text(&record, "address", slice_text(self->settings->served.listen.host));
    log_uint(&record, "port", self->port);
    log_text(&record, "cluster", slice_text(self->settings->cluster));
    log_uint(&record, "files", net_file_limit());
    logger_end(&record, LOG_LEVEL_INFO);
    notify_ready();
}

/* Some descriptors are left for replicas, hearsayctl and those that are told BUSY. */
static uint32_t clients_max(void)
{
    uint64_t files = net_file_limit() / 4 * 3;
    return files < FRONTEND_CLIENTS_MAX ? (uint32_t)files : FRONTEND_CLIENTS_MAX;
}

static int start(broker_t *self, err_t *err)
{
    const broker_settings_t *settings = self->settings;

    if (guard_open(&self->guard, settings->curve, ROLE_BROKER, err) != 0 ||
        open_loop(self, err) != 0 || open_sockets(self, err) != 0 || open_finder(self, err) != 0)
        return -1;
    const frontend_config_t config = {.cluster = beacon_cluster_tag(settings->cluster),
                                      .incarnation = self->incarnation,
                                      .secret = {{net_random64(), net_random64()}},
                                      .clients_max = clients_max()};
    self->frontend = frontend_new(&config, net_now());
    if (settings->http.port != 0 &&
        http_open(&self->http, self->loop, &settings->http, document, self, err) != 0)
        return -1;
    say_ready(self);
    for (size_t i = 0; i < settings->peer_count; i++) {
        const endpoint_t *peer = &settings->peers[i];
        frontend_candidate(self->frontend, net_now(), 0, 0, slice_text(peer->host),
                           (uint16_t)(peer->port + 1));
        carry_out(self);
    }
    on_turn(self);
    return 0;
}

static void stop(broker_t *self)
{
    http_close(&self->http);
    if (self->finder != NULL) {
        finder_silence(self->finder);
        loop_remove_socket(self->loop, finder_socket(self->finder));
        finder_destroy(&self->finder);
    }
    for (size_t i = 0; i < FRONTEND_REPLICAS_MAX; i++)
        if (self->links[i].number != 0)
            disconnect(self, self->links[i].number);
    if (self->trace != NULL)
        trace_leave(self->trace);
    for (int i = 0; i < PORTS; i++)
        watched_close(&self->sockets[i], self->loop, self->monitor);
    monitor_destroy(&self->monitor);
    guard_close(&self->guard);
    trace_destroy(&self->trace);
    events_destroy(&self->events);
    loop_destroy(&self->loop);
    frontend_destroy(&self->frontend);
    free(self->losses);
    buf_free(&self->line);
    buf_free(&self->reply);
    buf_free(&self->counts_text);
    buf_free(&self->replicas_text);
    buf_free(&self->document);
}

int broker_run(const broker_settings_t *settings, err_t *err)
{
    broker_t *self = mem_zero(1, sizeof(*self));
    int code = -1;

    self->settings = settings;
    self->incarnation = net_random64();
    self->events = events_new();
    if (start(self, err) == 0) {
        code = loop_run(self->loop);
        log_line(LOG_LEVEL_INFO, "stopped");
    }
    stop(self);
    free(self);
    return code;
}
