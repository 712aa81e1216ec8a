#include "bus/http/metrics.h"

#include <inttypes.h>
#include <stdio.h>

enum { MILLI = 1000, NAME_SIZE = 96 };

/* Counts of a document that go up and down. */
static const char *const gauges[] = {"entries", "load_permille", "log_bytes", "log_unsynced_bytes",
                                     "routes",  "unread"};

static void put_family(buf_t *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_gauge(buf_t *out, const char *name, const char *help, uint64_t value)
{
    put_family(out, name, "gauge", help);
    buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void put_seconds(buf_t *out, const char *name, const char *help, int64_t ms)
{
    put_family(out, name, "gauge", help);
    buf_printf(out, "%s %" PRId64 ".%03d\n", name, ms / MILLI, (int)(ms % MILLI));
}

static bool is_gauge(slice_t name)
{
    for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++)
        if (slice_equal(name, slice_text(gauges[i])))
            return true;
    return false;
}

static void replace(char *text, char from, char to)
{
    for (; *text != '\0'; text++)
        *text = *text == from ? to : *text;
}

/* All counts by their names, which are our own: words with '_', and '-' in those of events. */
static void put_counts(buf_t *out, const char *prefix, slice_t counts_at)
{
    mp_t in = mp_open(counts_at);
    control_count_t count;
    char name[NAME_SIZE];
    char help[NAME_SIZE];

    while (control_count_next(&in, &count)) {
        bool goes_down = is_gauge(count.name);
        int size = (int)(count.name.size < NAME_SIZE / 2 ? count.name.size : NAME_SIZE / 2);
        snprintf(name, sizeof(name), "%s_%.*s%s", prefix, size, (const char *)count.name.data,
                 goes_down ? "" : "_total");
        snprintf(help, sizeof(help), "%.*s%s", size, (const char *)count.name.data,
                 goes_down ? ", now" : ", since the start");
        replace(name, '-', '_');
        replace(help, '_', ' ');
        put_family(out, name, goes_down ? "gauge" : "counter", help);
        buf_printf(out, "%s %" PRIu64 "\n", name, count.value);
    }
}

static void put_info(buf_t *out, slice_t version)
{
    put_family(out, "hearsay_info", "gauge", "1, with the version as a label");
    buf_printf(out, "hearsay_info{version=\"%.*s\"} 1\n", (int)version.size,
               (const char *)version.data);
}

/* 1 at the value that holds, 0 at the others. */
static void put_status(buf_t *out, replica_status_t now)
{
    put_family(out, "hearsay_node_status", "gauge", "1 at the present status of the node");
    for (unsigned i = 0; i <= STATUS_LAST; i++)
        buf_printf(out, "hearsay_node_status{status=\"%s\"} %d\n", status_name(i), i == now);
}

static void put_members(buf_t *out, slice_t members_at)
{
    static const char *const states[] = {"connected", "off", "left_behind", "forgotten"};
    enum { CONNECTED, OFF, LEFT_BEHIND, STATES = 4 };
    mp_t in = mp_open(members_at);
    control_member_t member;
    uint64_t counts[STATES] = {0};

    while (control_member_next(&in, &member)) {
        if (member.state == 1)
            counts[member.is_connected ? CONNECTED : OFF]++;
        else if (member.state > 1 && member.state < STATES)
            counts[member.state]++;
    }
    put_family(out, "hearsay_node_members", "gauge",
               "members of the cluster, as this node sees them");
    for (unsigned i = 0; i < STATES; i++)
        buf_printf(out, "hearsay_node_members{state=\"%s\"} %" PRIu64 "\n", states[i], counts[i]);
}

void metrics_put_node(buf_t *out, const control_node_t *node)
{
    put_info(out, node->version);
    put_seconds(out, "hearsay_node_uptime_seconds", "since the start", node->age_ms);
    put_gauge(out, "hearsay_node_ready", "1 when requests are served", node->is_ready);
    put_gauge(out, "hearsay_node_joining", "1 while the state of another node is taken over",
              node->is_joining);
    put_gauge(out, "hearsay_node_read_only", "1 while the disk or the log lets no updates be taken",
              node->read_only.size != 0);
    put_status(out, node->status);
    put_members(out, node->members_at);
    put_gauge(out, "hearsay_node_keys", "keys that are there", node->keys);
    put_gauge(out, "hearsay_node_sessions", "sessions at this node", node->sessions);
    put_gauge(out, "hearsay_node_brokers", "brokers that are connected", node->brokers);
    put_gauge(out, "hearsay_node_waiting_requests",
              "requests that wait for what their session has seen", node->waiting);
    put_gauge(out, "hearsay_node_held_updates", "updates received that wait for others first",
              node->held);
    put_gauge(out, "hearsay_node_memory_bytes", "heap in use", node->memory_bytes);
    if (node->horizon_ms >= 0)
        put_seconds(out, "hearsay_node_horizon_age_seconds",
                    "how long ago what can be forgotten now was written", node->horizon_ms);
    put_counts(out, "hearsay_node", node->counts_at);
}

void metrics_put_broker(buf_t *out, const control_broker_t *broker)
{
    mp_t in = mp_open(broker->replicas_at);
    control_peer_t replica;
    uint64_t connected = 0;

    while (control_peer_next(&in, &replica))
        connected += replica.is_connected;
    put_info(out, broker->version);
    put_seconds(out, "hearsay_broker_uptime_seconds", "since the start", broker->age_ms);
    put_gauge(out, "hearsay_broker_clients", "clients that are connected", broker->clients);
    put_gauge(out, "hearsay_broker_sessions", "sessions through this broker", broker->sessions);
    put_gauge(out, "hearsay_broker_in_flight_bytes", "forwarded and not answered yet",
              broker->in_flight);
    put_gauge(out, "hearsay_broker_replicas_connected", "replicas that are connected", connected);
    put_counts(out, "hearsay_broker", broker->counts_at);
}
