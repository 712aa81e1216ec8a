#include "control/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bus/base/memory.h"
#include "bus/net/denied.h"
#include "bus/net/monitor.h"
#include "bus/net/runtime.h"
#include "bus/net/watched.h"

enum {
    MESSAGE_MAX = 4 * 1024 * 1024, /* bytes of a reply */
    QUEUE = 16,
    BEACON_MS = 100,        /* between our packets */
    LISTEN_MS = 60,         /* for beacons, even when everybody known has answered */
    ROUND_MS = 300,         /* for those who were only named by others */
    PATIENT_MS = 1000,      /* for those whose beacon was heard, and on a busy machine */
    NOBODY_MS = 1500,       /* more than an interval of beacons: then nobody is there */
    ROUNDS_UNANSWERED = 3,  /* then a member is forgotten until it is heard of again */
    NODE_CONTROL_PORT = 3,  /* behind the first of a node's block */
    BROKER_CONTROL_PORT = 1 /* of a broker's */
};

typedef struct entry {
    survey_member_t member;
    endpoint_t control;
    key_role_t role;
    uint64_t incarnation; /* 0: not known yet */
    bool heard;           /* its beacon, in this round */
    bool is_given;        /* by people: never forgotten */
    unsigned unanswered;  /* rounds */
    void *socket;         /* NULL: not asked now */
    uint64_t request;     /* under way */
    buf_t reply;          /* what the member's structs borrow from */
} entry_t;

struct survey {
    const curve_t *curve; /* NULL: without keys */
    denied_t *denied;
    monitor_t *monitor;
    bool is_denied;                                              /* for certain */
    char denied_text[DENIED_ADDRESS_SIZE + DENIED_WHY_SIZE + 8]; /* "": nobody was */
    finder_t *finder;                                            /* NULL: no beacon */
    beacon_t beacon;
    entry_t *entries[SURVEY_MEMBERS_MAX];
    size_t size;
    uint64_t request;
    bool interrupted;
    zmq_pollitem_t also;       /* what else is polled, unless also_fn is NULL */
    survey_reply_fn *reply_fn; /* of survey_ask, else NULL */
    void *reply_arg;
    buf_t other; /* its replies */
    survey_ready_fn *also_fn;
    void *also_arg;
};

/* ---- members ---- */

static void let_go(survey_t *self, entry_t *entry)
{
    watched_close(&entry->socket, NULL, self->monitor);
}

static void free_entry(survey_t *self, entry_t *entry)
{
    let_go(self, entry);
    buf_free(&entry->reply);
    free(entry);
}

static void ask(survey_t *self, entry_t *entry, const control_request_t *request)
{
    const socket_options_t options = {
        .type = ZMQ_DEALER,
        .message_max = MESSAGE_MAX,
        .send_queue = QUEUE,
        .receive_queue = QUEUE,
        .peers = entry->role,
        .curve = self->curve,
    };
    control_request_t numbered = *request;
    buf_t text = {0};

    let_go(self, entry);
    numbered.request = ++self->request;
    control_request_put(&text, &numbered);
    entry->request = numbered.request;
    bool sent = watched_open(&entry->socket, &options, self->monitor, "control", MONITOR_NO_TOKEN,
                             NULL) == 0 &&
                socket_connect(entry->socket, &entry->control, NULL) == 0 &&
                zmq_send(entry->socket, text.data, text.size, ZMQ_DONTWAIT) >= 0;
    buf_free(&text);
    if (!sent)
        let_go(self, entry);
}

static void ask_info(survey_t *self, entry_t *entry)
{
    const control_request_t request = {.command = CONTROL_INFO};
    if (self->reply_fn == NULL) /* else in the next round */
        ask(self, entry, &request);
}

/* The member at a place; asked at once when it is new. NULL when there is no room or no address. */
static entry_t *add(survey_t *self, const char *host, uint16_t first_port, uint16_t offset,
                    uint64_t incarnation)
{
    endpoint_t control;

    if (first_port == 0 || first_port > UINT16_MAX - offset ||
        !endpoint_of(slice_text(host), (uint16_t)(first_port + offset), &control, NULL))
        return NULL;
    for (size_t i = 0; i < self->size; i++) {
        entry_t *entry = self->entries[i];
        bool same_place =
            entry->control.port == control.port && strcmp(entry->control.host, control.host) == 0;
        if (same_place || (incarnation != 0 && entry->incarnation == incarnation))
            return entry;
    }
    if (self->size == SURVEY_MEMBERS_MAX)
        return NULL;
    entry_t *entry = mem_zero(1, sizeof(*entry));
    entry->control = control;
    entry->role = offset == NODE_CONTROL_PORT ? ROLE_NODE : ROLE_BROKER;
    entry->incarnation = incarnation;
    self->entries[self->size++] = entry;
    ask_info(self, entry);
    return entry;
}

static void add_given(survey_t *self, const endpoint_t *list, size_t count, uint16_t offset)
{
    for (size_t i = 0; i < count; i++) {
        entry_t *entry = add(self, list[i].host, list[i].port, offset, 0);
        if (entry != NULL)
            entry->is_given = true;
    }
}

static int open_finder(survey_t *self, const survey_config_t *config, err_t *err)
{
    if (finder_open(&self->finder, config->interface, config->beacon_port, self->curve,
                    self->denied, err) != 0)
        return -1;
    self->beacon = (beacon_t){
        .kind = BEACON_SEEKER,
        .cluster = beacon_cluster_tag(config->cluster),
        .machine = net_machine_id(),
        .incarnation = net_random64(),
        .id = BEACON_NO_ID,
    };
    finder_publish(self->finder, &self->beacon, BEACON_MS);
    return 0;
}

int survey_open(survey_t **out, const survey_config_t *config, err_t *err)
{
    survey_t *self = mem_zero(1, sizeof(*self));

    self->curve = config->curve;
    if (denied_open(&self->denied, err) != 0 ||
        monitor_open(&self->monitor, NULL, self->denied, err) != 0 ||
        (config->interface != NULL && open_finder(self, config, err) != 0)) {
        survey_destroy(&self);
        return -1;
    }
    add_given(self, config->peers, config->peer_count, NODE_CONTROL_PORT);
    add_given(self, config->brokers, config->broker_count, BROKER_CONTROL_PORT);
    *out = self;
    return 0;
}

void survey_destroy(survey_t **self_p)
{
    survey_t *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->size; i++)
        free_entry(self, self->entries[i]);
    if (self->finder != NULL) {
        finder_silence(self->finder);
        finder_destroy(&self->finder);
    }
    monitor_destroy(&self->monitor);
    denied_destroy(&self->denied);
    buf_free(&self->other);
    free(self);
    *self_p = NULL;
}

const curve_t *survey_curve(const survey_t *self)
{
    return self->curve;
}

const char *survey_denied(const survey_t *self, bool *is_certain)
{
    *is_certain = self->is_denied;
    return self->denied_text[0] != '\0' ? self->denied_text : NULL;
}

/* ---- what comes in ---- */

static void take_denied(survey_t *self)
{
    denied_entry_t entry;

    while (denied_next(self->denied, &entry)) {
        if (self->is_denied || (self->denied_text[0] != '\0' && !entry.is_certain))
            continue;
        self->is_denied = entry.is_certain;
        snprintf(self->denied_text, sizeof(self->denied_text), "%s: %s", entry.address, entry.why);
    }
}

static void take_beacons(survey_t *self)
{
    beacon_t beacon;
    char address[FINDER_ADDRESS_SIZE];

    while (finder_receive(self->finder, &beacon, address)) {
        if (beacon.kind == BEACON_SEEKER)
            continue;
        entry_t *entry = add(self, address, beacon.port,
                             beacon.kind == BEACON_NODE ? NODE_CONTROL_PORT : BROKER_CONTROL_PORT,
                             beacon.incarnation);
        if (entry == NULL)
            continue;
        entry->heard = true;
        if (entry->incarnation == beacon.incarnation)
            continue;
        /* Another start at a place that was known: what was said of it is history. */
        bool was_known = entry->incarnation != 0;
        entry->incarnation = beacon.incarnation;
        if (was_known && !entry->member.has_answered)
            ask_info(self, entry);
    }
}

/* The nodes that one names as connected are asked too. */
static void add_peers(survey_t *self, slice_t peers_at)
{
    mp_t in = mp_open(peers_at);
    control_peer_t peer;
    char host[ENDPOINT_HOST_SIZE];

    while (control_peer_next(&in, &peer)) {
        snprintf(host, sizeof(host), "%.*s", (int)peer.host.size, (const char *)peer.host.data);
        if (peer.is_connected)
            add(self, host, peer.port, NODE_CONTROL_PORT, peer.incarnation);
    }
}

static void take_document(survey_t *self, entry_t *entry, slice_t document)
{
    survey_member_t *member = &entry->member;
    bool good = false;

    member->kind = control_kind(document);
    if (member->kind == CONTROL_NODE)
        good = control_node_read(document, &member->node);
    else if (member->kind == CONTROL_BROKER)
        good = control_broker_read(document, &member->broker);
    if (!good) {
        member->kind = CONTROL_NOBODY;
        return;
    }
    member->has_answered = true;
    member->first = entry->control;
    member->first.port =
        (uint16_t)(member->first.port -
                   (member->kind == CONTROL_NODE ? NODE_CONTROL_PORT : BROKER_CONTROL_PORT));
    entry->unanswered = 0;
    entry->incarnation =
        member->kind == CONTROL_NODE ? member->node.incarnation : member->broker.incarnation;
    add_peers(self,
              member->kind == CONTROL_NODE ? member->node.peers_at : member->broker.replicas_at);
}

/* The reply to the request under way, its bytes in bytes; false when none came. */
static bool receive(entry_t *entry, buf_t *bytes, control_reply_t *reply)
{
    zmq_msg_t message;
    bool good = false;

    zmq_msg_init(&message);
    while (!good && zmq_msg_recv(&message, entry->socket, ZMQ_DONTWAIT) >= 0) {
        buf_reset(bytes);
        buf_append(bytes, zmq_msg_data(&message), zmq_msg_size(&message));
        /* Number 0 answers what could not be read. */
        good = control_reply_read(buf_slice(bytes), reply) &&
               (reply->request == entry->request || reply->request == 0);
    }
    zmq_msg_close(&message);
    return good;
}

static void take_reply(survey_t *self, entry_t *entry)
{
    control_reply_t reply;

    if (!receive(entry, self->reply_fn != NULL ? &self->other : &entry->reply, &reply))
        return;
    if (self->reply_fn != NULL)
        self->reply_fn(self->reply_arg, &entry->member, &reply);
    else if (reply.outcome == OUTCOME_OK)
        take_document(self, entry, reply.document);
    let_go(self, entry);
}

/* ---- waiting ---- */

/* Waits for beacons, replies or a signal until then, and takes in what came. */
static void wait_once(survey_t *self, int64_t until_ms)
{
    zmq_pollitem_t items[SURVEY_MEMBERS_MAX + 4] = {
        {.fd = net_signal_fd(), .events = ZMQ_POLLIN},
        {.fd = denied_fd(self->denied), .events = ZMQ_POLLIN},
        {.events = ZMQ_POLLIN},
    };
    entry_t *asked[SURVEY_MEMBERS_MAX];
    int count = 2;
    int first;

    if (self->finder != NULL) {
        items[count++].socket = finder_socket(self->finder);
        until_ms = time_earlier(until_ms, finder_deadline(self->finder));
    }
    int also = count;
    if (self->also_fn != NULL)
        items[count++] = self->also;
    first = count;
    for (size_t i = 0; i < self->size; i++) {
        if (self->entries[i]->socket == NULL)
            continue;
        asked[count - first] = self->entries[i];
        items[count++] = (zmq_pollitem_t){.socket = self->entries[i]->socket, .events = ZMQ_POLLIN};
    }
    int64_t left_ms = until_ms - net_now().boot_ms;
    if (zmq_poll(items, count, left_ms < 0 ? 0 : (long)left_ms) < 0)
        return;
    if (items[0].revents != 0) {
        int number = net_signal_next();
        self->interrupted |= number != 0;
    }
    if (also < first && items[also].revents != 0)
        self->also_fn(self->also_arg);
    for (int i = first; i < count; i++)
        if (items[i].revents != 0)
            take_reply(self, asked[i - first]);
    if (self->finder != NULL) {
        take_beacons(self);
        finder_tick(self->finder);
    }
    take_denied(self);
}

/* ---- rounds ---- */

static void begin_round(survey_t *self)
{
    size_t kept = 0;

    for (size_t i = 0; i < self->size; i++) {
        entry_t *entry = self->entries[i];
        if (!entry->is_given && !entry->heard && entry->unanswered >= ROUNDS_UNANSWERED) {
            free_entry(self, entry);
            continue;
        }
        self->entries[kept++] = entry;
        entry->unanswered++;
        entry->heard = false;
        if (entry->member.has_answered || entry->socket == NULL || entry->unanswered > 1)
            ask_info(self, entry);
        entry->member.has_answered = false;
    }
    self->size = kept;
    if (self->finder != NULL)
        finder_publish_now(self->finder);
}

/* True when each has answered, and as many brokers as the nodes count. */
static bool is_complete(const survey_t *self)
{
    uint64_t brokers_named = 0;
    uint64_t brokers = 0;
    size_t nodes = 0;

    for (size_t i = 0; i < self->size; i++) {
        const survey_member_t *member = &self->entries[i]->member;
        if (!member->has_answered)
            return false;
        if (member->kind == CONTROL_BROKER)
            brokers++;
        else
            nodes++;
        if (member->kind == CONTROL_NODE && member->node.brokers > brokers_named)
            brokers_named = member->node.brokers;
    }
    return nodes != 0 && (brokers >= brokers_named || self->finder == NULL);
}

/* How long this round goes on, given who is there so far; in ms. */
static int64_t round_ms(const survey_t *self, bool looks_for_more)
{
    bool anybody = false;
    bool patient = false;

    for (size_t i = 0; i < self->size; i++) {
        const entry_t *entry = self->entries[i];
        anybody |= entry->member.has_answered;
        patient |= !entry->member.has_answered && (entry->heard || entry->is_given);
    }
    if (is_complete(self))
        return self->finder != NULL || looks_for_more ? LISTEN_MS : 0;
    if (patient)
        return PATIENT_MS;
    return anybody ? ROUND_MS : NOBODY_MS;
}

int survey_round(survey_t *self, int64_t deadline_ms, survey_done_fn *done, void *arg)
{
    int64_t begin_ms = net_now().boot_ms;

    begin_round(self);
    while (!self->interrupted) {
        int64_t until_ms = time_earlier(deadline_ms, begin_ms + round_ms(self, done != NULL));
        if ((done != NULL && done(arg, self)) || net_now().boot_ms >= until_ms)
            return 0;
        wait_once(self, until_ms);
    }
    return -1;
}

int survey_idle(survey_t *self, int64_t until_ms)
{
    while (!self->interrupted && net_now().boot_ms < until_ms)
        wait_once(self, until_ms);
    return self->interrupted ? -1 : 0;
}

void survey_also(survey_t *self, void *socket, int fd, survey_ready_fn *fn, void *arg)
{
    self->also = (zmq_pollitem_t){.socket = socket, .fd = fd, .events = ZMQ_POLLIN};
    self->also_fn = fn;
    self->also_arg = arg;
}

const survey_member_t *survey_member(const survey_t *self, size_t i)
{
    return i < self->size ? &self->entries[i]->member : NULL;
}

const survey_member_t *survey_node(const survey_t *self, uint16_t id)
{
    const survey_member_t *found = NULL;

    for (size_t i = 0; i < self->size; i++) {
        const survey_member_t *member = &self->entries[i]->member;
        if (member->kind == CONTROL_NODE && member->has_answered && member->node.id == id &&
            (found == NULL || member->node.age_ms < found->node.age_ms))
            found = member;
    }
    return found;
}

int survey_request(survey_t *self, const survey_member_t *member, const control_request_t *request,
                   int64_t deadline_ms, outcome_t *outcome, char text[ERR_TEXT_SIZE],
                   buf_t *document)
{
    entry_t *entry = NULL;
    control_reply_t reply;

    for (size_t i = 0; i < self->size; i++)
        if (&self->entries[i]->member == member)
            entry = self->entries[i];
    if (entry == NULL)
        return -1;
    ask(self, entry, request);
    if (entry->socket == NULL)
        return -1;
    zmq_pollitem_t items[] = {
        {.fd = net_signal_fd(), .events = ZMQ_POLLIN},
        {.socket = entry->socket, .events = ZMQ_POLLIN},
    };
    for (;;) {
        int64_t left_ms = deadline_ms - net_now().boot_ms;
        if (left_ms <= 0)
            return 1;
        if (zmq_poll(items, 2, (long)left_ms) < 0)
            continue;
        if (items[0].revents != 0 && net_signal_next() != 0)
            return -1;
        if (items[1].revents != 0 && receive(entry, &self->other, &reply))
            break;
    }
    *outcome = reply.outcome;
    snprintf(text, ERR_TEXT_SIZE, "%.*s", (int)reply.text.size, (const char *)reply.text.data);
    if (document == NULL)
        return 0;
    buf_reset(document);
    buf_append_slice(document, reply.document);
    return 0;
}

static bool is_anybody_asked(const survey_t *self)
{
    for (size_t i = 0; i < self->size; i++)
        if (self->entries[i]->socket != NULL)
            return true;
    return false;
}

int64_t survey_patience(int64_t deadline_ms)
{
    return time_earlier(deadline_ms, net_now().boot_ms + PATIENT_MS);
}

int survey_ask(survey_t *self, const control_request_t *request, control_kind_t kind,
               int64_t deadline_ms, survey_reply_fn *fn, void *arg)
{
    for (size_t i = 0; i < self->size; i++) {
        entry_t *entry = self->entries[i];
        let_go(self, entry); /* an INFO under way would be taken for the reply */
        if (entry->member.has_answered && (kind == CONTROL_NOBODY || entry->member.kind == kind))
            ask(self, entry, request);
    }
    self->reply_fn = fn;
    self->reply_arg = arg;
    while (!self->interrupted && is_anybody_asked(self) && net_now().boot_ms < deadline_ms)
        wait_once(self, deadline_ms);
    self->reply_fn = NULL;
    for (size_t i = 0; i < self->size; i++)
        let_go(self, self->entries[i]);
    return self->interrupted ? -1 : 0;
}
