#include "replica/node/node.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bus/base/memory.h"
#include "bus/net/address.h"
#include "bus/net/logger.h"
#include "bus/net/message.h"
#include "bus/net/notify.h"
#include "bus/net/runtime.h"
#include "bus/net/watched.h"
#include "replica/node/internal.h"

enum {
    MESSAGE_MAX = 20 * 1024 * 1024, /* bytes; the greatest value and what is around it */
    PEER_MESSAGE_MAX = CHECKPOINT_VALUE_MAX + MESSAGE_MAX, /* a key that is given to who joins */
    QUEUE = 1000,         /* messages in each direction of a connection */
    BROKER_QUEUE = 10000, /* frames for one broker */
    HEARTBEAT_MS = 1000,
    BEACON_MS = 1000,
    LOAD_MS = 1000,
    END_MS = 1000,   /* for draining when the program is told to end */
    SETTLE_MS = 300, /* for hearing of others: a beacon is answered within some 20 ms */
    PERMILLE = 1000,
    US_PER_MS = 1000,
    CHECKPOINT_BYTES = 64 * 1024 * 1024, /* of log: a fraction of a second to replay */
};

/* ---- what comes in ---- */

typedef void take_fn(node_t *self, uint32_t connection, slice_t message);

static bool drain_router(node_t *self, node_port_t port, take_fn *take)
{
    for (int i = 0; i < LOOP_DRAIN; i++) {
        uint32_t connection;
        zmq_msg_t body;
        switch (message_take_from(self->sockets[port], &connection, &body)) {
        case MESSAGE_NONE:
            return false;
        case MESSAGE_DROPPED:
            self->counts.odd_messages++;
            break;
        case MESSAGE_TAKEN:
            take(self, connection, message_slice(&body));
            zmq_msg_close(&body);
            break;
        }
    }
    return true;
}

static void take_peer(node_t *self, uint32_t connection, slice_t message)
{
    replica_peer_router(self->replica, net_now(), connection, message);
}

static void take_service(node_t *self, uint32_t connection, slice_t message)
{
    replica_service(self->replica, net_now(), connection, message);
}

static bool peer_ready(void *arg)
{
    return drain_router(arg, PORT_PEER, take_peer);
}

static bool service_ready(void *arg)
{
    return drain_router(arg, PORT_SERVICE, take_service);
}

static bool control_ready(void *arg)
{
    return drain_router(arg, PORT_CONTROL, node_answer);
}

/* Subscriptions of others: read, since nobody else does, and of no use here. */
static bool gossip_ready(void *arg)
{
    node_t *self = arg;
    for (int i = 0; i < LOOP_DRAIN; i++) {
        char unused[1];
        if (zmq_recv(self->sockets[PORT_GOSSIP], unused, sizeof(unused), ZMQ_DONTWAIT) < 0)
            return false;
    }
    return true;
}

static void take_linked(void *arg, uint32_t link, slice_t message)
{
    node_t *self = arg;
    if (link == 0)
        replica_gossip(self->replica, net_now(), message);
    else
        replica_peer(self->replica, net_now(), link, message);
}

static bool monitor_ready(void *arg)
{
    node_t *self = arg;
    uint64_t token;
    while (monitor_next_lost(self->monitor, &token))
        replica_peer_lost(self->replica, net_now(), (uint32_t)token);
    return false;
}

static bool denied_ready(void *arg)
{
    node_t *self = arg;
    guard_tell(&self->guard, &self->line, self->events, self->trace);
    return false;
}

static bool finder_ready(void *arg)
{
    node_t *self = arg;
    beacon_t beacon;
    char address[FINDER_ADDRESS_SIZE];

    for (int i = 0; i < LOOP_DRAIN; i++) {
        if (!finder_receive(self->finder, &beacon, address))
            return false;
        if (beacon.kind == BEACON_NODE && !self->stalled.is_stalled)
            replica_candidate(self->replica, net_now(), beacon.id, beacon.incarnation,
                              slice_text(address), beacon.port);
        if (beacon.kind == BEACON_SEEKER || known_add(&self->known, beacon.incarnation))
            finder_publish_now(self->finder);
    }
    return true;
}

/* The first signal drains the node, for a moment; a second one ends it at once. */
static void on_signal(void *arg, int number)
{
    node_t *self = arg;
    now_t now = net_now();

    if (number == SIGHUP)
        return;
    if (self->end_ms != INT64_MAX) {
        node_end(self, EXIT_DONE);
        return;
    }
    self->end_ms = now.boot_ms + END_MS;
    notify_stopping();
    replica_drain(self->replica, now);
}

/* ---- time ---- */

/* Busy is when the loop does not wait, by the clock on the wall: also when the disk holds it up. */
static void measure_load(node_t *self, now_t now)
{
    loop_load_t load = loop_load(self->loop);
    int64_t busy_us = load.elapsed_us - load.waited_us;

    if (load.elapsed_us > 0)
        replica_load(self->replica, (uint32_t)(busy_us * PERMILLE / load.elapsed_us),
                     load.lag_us / US_PER_MS);
    self->load_ms = now.boot_ms + LOAD_MS;
    uint64_t lineage = replica_info(self->replica, now).lineage;
    if (lineage == self->beacon.lineage)
        return;
    self->beacon.lineage = lineage;
    finder_publish(self->finder, &self->beacon, BEACON_MS);
}

static void on_timer(void *arg)
{
    node_t *self = arg;
    now_t now = net_now();

    if (!self->stalled.is_stalled)
        replica_tick(self->replica, now);
    finder_tick(self->finder);
    http_tick(self->http);
    if (now.boot_ms >= self->load_ms)
        measure_load(self, now);
}

static void say_ready(node_t *self)
{
    replica_info_t info = replica_info(self->replica, net_now());
    log_record_t record = logger_begin(&self->line, LOG_LEVEL_INFO, "ready");
    log_uint(&record, "id", info.id);
    log_hex64(&record, "incarnation", info.incarnation);
    log_text(&record, "address", slice_text(self->settings->served.listen.host));
    log_uint(&record, "port", self->port);
    log_text(&record, "data", slice_text(self->settings->data));
    log_uint(&record, "keys", info.keys);
    log_text(&record, "status", slice_text(status_name(info.status)));
    log_text(&record, "mode", slice_text(replica_mode_name(info.mode)));
    log_uint(&record, "files", net_file_limit());
    logger_end(&record, LOG_LEVEL_INFO);
    notify_ready();
}

static void on_turn(void *arg)
{
    node_t *self = arg;

    node_carry_out(self);
    node_trace_turn(self);
    if (self->is_ending)
        return;
    if (!self->was_ready && replica_is_ready(self->replica)) {
        self->was_ready = true;
        node_end_repair(self);
        say_ready(self);
    }
    node_answer_waiting(self, net_now());
    if (self->end_ms != INT64_MAX &&
        (replica_is_drained(self->replica) || net_now().boot_ms >= self->end_ms)) {
        node_end(self, EXIT_DONE);
        return;
    }
    int64_t deadline = self->stalled.is_stalled ? INT64_MAX : replica_deadline(self->replica);
    deadline = time_earlier(deadline, finder_deadline(self->finder));
    deadline = time_earlier(deadline, node_answer_deadline(self));
    deadline = time_earlier(deadline, self->end_ms);
    deadline = time_earlier(deadline, self->look_ms);
    deadline = time_earlier(deadline, http_deadline(self->http));
    loop_set_deadline(self->loop, time_earlier(deadline, self->load_ms));
}

/* ---- start ---- */

static int open_replica(node_t *self, err_t *err)
{
    const settings_t *settings = self->settings;
    replica_config_t config = {
        .cluster = beacon_cluster_tag(settings->cluster),
        .id = settings->id,
        .incarnation = self->incarnation,
        .seed = net_random64(),
        .host = settings->served.advertised.host,
        .port = self->advertised_port,
        .gossip_interval_ms = settings->gossip_interval_ms,
        .max_drift_ms = settings->max_drift_ms,
        .retry_horizon_ms = settings->retry_horizon_ms,
        .sync_always = settings->sync == DISK_SYNC_ALWAYS,
        .checkpoint_bytes = CHECKPOINT_BYTES,
        .log_max = settings->log_max,
        .value_max = settings->value_max,
        .ack = settings->ack,
        .machine = net_machine_id(),
        .status = settings->status,
        .mode = settings->mode,
        .settle_ms = SETTLE_MS,
        .salvage = settings->salvage,
    };
    memcpy(config.random_ppm, settings->random_ppm, sizeof(config.random_ppm));
    self->replica = replica_new(&config);
    int rc = node_restore(self, err);
    for (int i = 0; rc != 0 && err->outcome == OUTCOME_LOST && i < NODE_ASIDE_MAX; i++) {
        replica_destroy(&self->replica); /* it has a part of what was damaged */
        if (node_set_aside(self, err) != 0)
            return -1;
        self->replica = replica_new(&config);
        rc = node_restore(self, err);
    }
    return rc;
}

static int open_sockets(node_t *self, err_t *err)
{
    const curve_t *keys = self->guard.curve;
    const socket_options_t options[NODE_PORTS] = {
        [PORT_PEER] = {ZMQ_ROUTER, PEER_MESSAGE_MAX, QUEUE, QUEUE, HEARTBEAT_MS, true, ROLE_NODE,
                       keys},
        [PORT_SERVICE] = {ZMQ_ROUTER, MESSAGE_MAX, BROKER_QUEUE, QUEUE, HEARTBEAT_MS, true,
                          ROLE_BROKER, keys},
        [PORT_GOSSIP] = {ZMQ_XPUB, CONTROL_REQUEST_MAX, QUEUE, QUEUE, HEARTBEAT_MS, true, ROLE_NODE,
                         keys},
        [PORT_CONTROL] = {ZMQ_ROUTER, CONTROL_REQUEST_MAX, QUEUE, QUEUE, HEARTBEAT_MS, true,
                          ROLE_ADMIN, keys},
        [PORT_TRACE] = {ZMQ_XPUB, CONTROL_REQUEST_MAX, QUEUE, QUEUE, HEARTBEAT_MS, true, ROLE_ADMIN,
                        keys},
    };
    static const char *const names[NODE_PORTS] = {"peer", "service", "gossip", "control", "trace"};
    const settings_t *settings = self->settings;

    for (int i = 0; i < NODE_PORTS; i++)
        if (watched_open(&self->sockets[i], &options[i], self->monitor, names[i], MONITOR_NO_TOKEN,
                         err) != 0)
            return -1;
    buf_t welcome = {0};
    peer_joined_put(&welcome, beacon_cluster_tag(settings->cluster), self->incarnation);
    int rc = zmq_setsockopt(self->sockets[PORT_GOSSIP], ZMQ_XPUB_WELCOME_MSG, welcome.data,
                            welcome.size);
    buf_free(&welcome);
    if (rc != 0)
        return err_set(err, OUTCOME_FULL, "cannot prepare the gossip socket: %s",
                       zmq_strerror(zmq_errno()));
    int port = socket_bind_block(self->sockets, NODE_PORTS, settings->served.listen.host,
                                 settings->served.listen.port, settings->served.listen_exact, err);
    if (port < 0)
        return -1;
    self->port = (uint16_t)port;
    uint16_t told = settings->served.advertised.port;
    self->advertised_port = told != 0 ? told : self->port;
    return 0;
}

static int open_loop(node_t *self, err_t *err)
{
    self->loop = loop_new();
    loop_on_signal(self->loop, on_signal, self);
    loop_on_timer(self->loop, on_timer, self);
    loop_on_turn(self->loop, on_turn, self);
    loop_on_alive(self->loop, notify_alive, notify_interval_ms());
    const trace_source_t source = {CONTROL_NODE, self->settings->id, self->incarnation};
    if (trace_open(&self->trace, &source, err) != 0 ||
        monitor_open(&self->monitor, self->trace, self->guard.denied, err) != 0 ||
        loop_add_fd(self->loop, denied_fd(self->guard.denied), denied_ready, self, err) != 0)
        return -1;
    return loop_add_fd(self->loop, monitor_fd(self->monitor), monitor_ready, self, err);
}

static loop_ready_fn *const ready[] = {
    [PORT_PEER] = peer_ready,
    [PORT_SERVICE] = service_ready,
    [PORT_GOSSIP] = gossip_ready,
    [PORT_CONTROL] = control_ready,
};

/* What was taken out of the loop just now fits in again: adding cannot fail. */
void node_hold_input(node_t *self, bool is_held)
{
    static const node_port_t inputs[] = {PORT_PEER, PORT_SERVICE};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        node_port_t port = inputs[i];
        if (is_held)
            loop_remove_socket(self->loop, self->sockets[port]);
        else
            (void)loop_add_socket(self->loop, self->sockets[port], ready[port], self, NULL);
    }
    links_hold(self->links, is_held);
}

static int serve_sockets(node_t *self, err_t *err)
{
    if (links_new(&self->links, self->loop, self->monitor, self->guard.curve, PEER_MESSAGE_MAX,
                  take_linked, self, err) != 0)
        return -1;
    for (int i = 0; i <= PORT_CONTROL; i++)
        if (loop_add_socket(self->loop, self->sockets[i], ready[i], self, err) != 0)
            return -1;
    return trace_serve(self->trace, self->loop, self->sockets[PORT_TRACE], self->advertised_port,
                       err);
}

static int open_finder(node_t *self, err_t *err)
{
    const settings_t *settings = self->settings;

    if (finder_open(&self->finder, settings->interface, settings->beacon_port, self->guard.curve,
                    self->guard.denied, err) != 0 ||
        loop_add_socket(self->loop, finder_socket(self->finder), finder_ready, self, err) != 0)
        return -1;
    self->beacon = (beacon_t){
        .kind = BEACON_NODE,
        .cluster = beacon_cluster_tag(settings->cluster),
        .lineage = replica_info(self->replica, net_now()).lineage,
        .machine = net_machine_id(),
        .incarnation = self->incarnation,
        .id = settings->id,
        .port = self->advertised_port,
    };
    address_to_beacon(settings->served.advertised.host, self->beacon.address);
    finder_publish(self->finder, &self->beacon, BEACON_MS);
    return 0;
}

static slice_t document(void *arg)
{
    return node_document(arg);
}

static int start(node_t *self, err_t *err)
{
    const settings_t *settings = self->settings;

    if (guard_open(&self->guard, settings->curve, ROLE_NODE, err) != 0 ||
        node_open_disk(self, err) != 0 || open_loop(self, err) != 0 ||
        open_sockets(self, err) != 0 || open_replica(self, err) != 0 ||
        serve_sockets(self, err) != 0 || open_finder(self, err) != 0)
        return -1;
    if (settings->http.port != 0 &&
        http_open(&self->http, self->loop, &settings->http, document, self, err) != 0)
        return -1;
    if (settings->memory_max >= 0 && node_memory_bytes(self) == 0)
        return err_set(err, OUTCOME_USAGE,
                       "--max-memory needs a C library that tells how much it uses, as glibc does: "
                       "start without it");
    node_watch_room(self);
    now_t now = net_now();
    replica_start(self->replica, now, disk_end(self->disk));
    if (self->is_log_damaged) /* as if somebody had asked for it */
        node_log_damaged(self, &(followup_t){.position = disk_begin(self->disk)});
    for (size_t i = 0; i < settings->peer_count; i++)
        replica_candidate(self->replica, now, 0, 0, slice_text(settings->peers[i].host),
                          settings->peers[i].port);
    self->load_ms = now.boot_ms + LOAD_MS;
    loop_set_deadline(self->loop, now.boot_ms);
    return 0;
}

/* ---- end ---- */

static void stop(node_t *self)
{
    http_close(&self->http);
    if (self->finder != NULL) {
        finder_silence(self->finder);
        loop_remove_socket(self->loop, finder_socket(self->finder));
        finder_destroy(&self->finder);
    }
    links_destroy(&self->links);
    if (self->trace != NULL)
        trace_leave(self->trace);
    for (int i = 0; i < NODE_PORTS; i++)
        watched_close(&self->sockets[i], self->loop, self->monitor);
    monitor_destroy(&self->monitor);
    guard_close(&self->guard);
    trace_destroy(&self->trace);
    events_destroy(&self->events);
    loop_destroy(&self->loop);
    node_close_store(self);
    replica_destroy(&self->replica);
    node_free_effects(self);
    free(self->followups);
    buf_free(&self->read);
    buf_free(&self->line);
    buf_free(&self->reply);
    buf_free(&self->counts_text);
    buf_free(&self->peers_text);
    buf_free(&self->members_text);
    buf_free(&self->refused_text);
    buf_free(&self->document);
}

int node_run(const settings_t *settings, err_t *err)
{
    node_t *self = mem_zero(1, sizeof(*self));
    int code = -1;

    self->settings = settings;
    self->incarnation = net_random64() % VEC_INCARNATION_MAX + 1;
    self->events = events_new();
    self->end_ms = INT64_MAX;
    if (start(self, err) == 0) {
        code = loop_run(self->loop);
        log_line(LOG_LEVEL_INFO, "stopped");
    }
    stop(self);
    free(self);
    return code;
}
