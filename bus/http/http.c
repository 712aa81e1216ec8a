#include "bus/http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bus/base/memory.h"
#include "bus/http/metrics.h"
#include "bus/net/runtime.h"
#include "bus/wire/control_json.h"

static const char TEXT[] = "text/plain; charset=utf-8";
static const char METRICS[] = "text/plain; version=0.0.4; charset=utf-8";
static const char JSON[] = "application/json";

enum {
    POLL_MS = 50, /* where there is no epoll: how often it is looked */
};

/* A connection, from when it came. */
typedef struct guest {
    struct MHD_Connection *connection;
    int64_t until_ms;
} guest_t;

struct http {
    struct MHD_Daemon *daemon;
    loop_t *loop;
    int fd; /* its epoll, -1: there is none */
    http_document_fn *fn;
    void *arg;
    guest_t guests[HTTP_CONNECTIONS_MAX];
};

/* ---- answers ---- */

static unsigned say(buf_t *body, unsigned status, const char *text)
{
    buf_append_text(body, text);
    return status;
}

static unsigned node_readiness(const control_node_t *node, buf_t *body)
{
    if (!node->is_ready)
        return say(body, 503,
                   node->is_joining ? "joining: it takes over the state of another node\n"
                                    : "starting, or its disk takes nothing\n");
    if (node->status == STATUS_OFFLINE || node->status == STATUS_DRAINING) {
        buf_printf(body, "status %s\n", status_name(node->status));
        return 503;
    }
    if (node->read_only.size == 0)
        return say(body, 200, "ready\n");
    buf_append_text(body, "ready for reads: ");
    buf_append_slice(body, node->read_only);
    return say(body, 200, "\n");
}

static unsigned broker_readiness(const control_broker_t *broker, buf_t *body)
{
    mp_t in = mp_open(broker->replicas_at);
    control_peer_t replica;

    while (control_peer_next(&in, &replica))
        if (replica.is_connected && replica.status != STATUS_OFFLINE &&
            replica.status != STATUS_DRAINING)
            return say(body, 200, "ready\n");
    return say(body, 503, "no replica that serves is connected\n");
}

/* As "hearsayctl --json nodes" has it for this one. */
static unsigned node_status(const control_node_t *node, buf_t *body)
{
    json_t json = json_open(body);
    json_object(&json, NULL);
    json_uint(&json, "id", node->id);
    control_node_json(&json, node);
    json_end(&json);
    return say(body, 200, "\n");
}

static unsigned broker_status(const control_broker_t *broker, buf_t *body)
{
    json_t json = json_open(body);
    json_object(&json, NULL);
    control_broker_json(&json, broker);
    json_end(&json);
    return say(body, 200, "\n");
}

static unsigned node_metrics(const control_node_t *node, buf_t *body)
{
    metrics_put_node(body, node);
    return 200;
}

static unsigned broker_metrics(const control_broker_t *broker, buf_t *body)
{
    metrics_put_broker(body, broker);
    return 200;
}

/* A path that is answered from the document, which is not made for others. */
typedef struct page {
    const char *path;
    const char *type;
    unsigned (*of_node)(const control_node_t *node, buf_t *body);
    unsigned (*of_broker)(const control_broker_t *broker, buf_t *body);
} page_t;

static const page_t pages[] = {
    {"/readyz", TEXT, node_readiness, broker_readiness},
    {"/metrics", METRICS, node_metrics, broker_metrics},
    {"/v1/status", JSON, node_status, broker_status},
};

static const page_t *find_page(const char *path)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        if (strcmp(path, pages[i].path) == 0)
            return &pages[i];
    return NULL;
}

unsigned http_answer(const char *path, http_document_fn *fn, void *arg, buf_t *body,
                     const char **type)
{
    control_node_t node;
    control_broker_t broker;

    *type = TEXT;
    if (strcmp(path, "/healthz") == 0)
        return say(body, 200, "ok\n");
    const page_t *page = find_page(path);
    if (page == NULL)
        return say(body, 404, "there are /metrics, /healthz, /readyz and /v1/status\n");
    slice_t document = fn(arg);
    bool is_node = control_node_read(document, &node);
    if (!is_node && !control_broker_read(document, &broker))
        return say(body, 500, "no document\n"); /* our own mistake */
    *type = page->type;
    return is_node ? page->of_node(&node, body) : page->of_broker(&broker, body);
}

/* Answers at once, before any body of the request is read: then the connection ends. */
static enum MHD_Result take_request(void *arg, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *version,
                                    const char *upload_data, size_t *upload_size, void **state)
{
    http_t *self = arg;
    buf_t body = {0};
    const char *type = TEXT;
    unsigned status;

    (void)version, (void)upload_data, (void)upload_size, (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        status = http_answer(url, self->fn, self->arg, &body, &type);
    else
        status = say(&body, 405, "GET and HEAD alone\n");
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.size, body.data, MHD_RESPMEM_MUST_COPY);
    buf_free(&body);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (status == 405)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- connections ---- */

static void note_connection(void *arg, struct MHD_Connection *connection, void **state,
                            enum MHD_ConnectionNotificationCode code)
{
    http_t *self = arg;
    bool has_come = code == MHD_CONNECTION_NOTIFY_STARTED;

    (void)state;
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        guest_t *guest = &self->guests[i];
        if (guest->connection != (has_come ? NULL : connection))
            continue;
        *guest = (guest_t){0};
        if (has_come)
            *guest = (guest_t){connection, net_now().boot_ms + HTTP_LIFE_MS};
        return;
    }
}

/* Who sends a byte now and then is never idle: after a while it is shown the door all the same. */
static void end_old_guests(http_t *self)
{
    int64_t now_ms = net_now().boot_ms;
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        guest_t *guest = &self->guests[i];
        if (guest->connection == NULL || now_ms < guest->until_ms)
            continue;
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(guest->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info != NULL)
            shutdown(info->connect_fd, SHUT_RDWR);
        guest->until_ms = INT64_MAX;
    }
}

/* ---- the loop ---- */

static bool can_run(void *arg)
{
    http_t *self = arg;
    MHD_run(self->daemon);
    return false;
}

int64_t http_deadline(const http_t *self)
{
    MHD_UNSIGNED_LONG_LONG left_ms;
    int64_t deadline = INT64_MAX;

    if (self == NULL)
        return INT64_MAX;
    if (self->fd < 0)
        return net_now().boot_ms + POLL_MS;
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        if (self->guests[i].connection != NULL && self->guests[i].until_ms < deadline)
            deadline = self->guests[i].until_ms;
    if (MHD_get_timeout(self->daemon, &left_ms) != MHD_YES)
        return deadline;
    int64_t idle_ms = net_now().boot_ms + (int64_t)left_ms;
    return idle_ms < deadline ? idle_ms : deadline;
}

void http_tick(http_t *self)
{
    if (self == NULL)
        return;
    end_old_guests(self);
    MHD_run(self->daemon);
}

/* ---- life ---- */

static struct MHD_Daemon *start(http_t *self, const struct sockaddr *address)
{
#ifdef __linux__
    unsigned flags = MHD_USE_EPOLL;
#else
    unsigned flags = 0;
#endif
    if (address->sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    return MHD_start_daemon(flags, 0, NULL, NULL, take_request, self, MHD_OPTION_SOCK_ADDR, address,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_REQUEST_MAX,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S,
                            MHD_OPTION_NOTIFY_CONNECTION, note_connection, self, MHD_OPTION_END);
}

int http_open(http_t **out, loop_t *loop, const endpoint_t *at, http_document_fn *fn, void *arg,
              err_t *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    char port[8];

    snprintf(port, sizeof(port), "%u", at->port);
    int rc = getaddrinfo(at->host, port, &hints, &found);
    if (rc != 0)
        return err_set(err, OUTCOME_USAGE, "--http: %.60s is no address: %s", at->host,
                       gai_strerror(rc));
    http_t *self = mem_zero(1, sizeof(*self));
    *self = (http_t){.loop = loop, .fd = -1, .fn = fn, .arg = arg};
    errno = 0;
    self->daemon = start(self, found->ai_addr);
    freeaddrinfo(found);
    if (self->daemon == NULL) {
        int error = errno;
        free(self);
        return err_set(err, OUTCOME_USAGE,
                       "--http: cannot serve at %.60s port %u: %s; give another port", at->host,
                       at->port, error != 0 ? strerror(error) : "libmicrohttpd cannot start");
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    self->fd = info != NULL ? info->epoll_fd : -1;
    *out = self;
    return self->fd < 0 ? 0 : loop_add_fd(loop, self->fd, can_run, self, err);
}

void http_close(http_t **self_p)
{
    http_t *self = *self_p;
    if (self == NULL)
        return;
    if (self->fd >= 0)
        loop_remove_fd(self->loop, self->fd);
    MHD_stop_daemon(self->daemon);
    free(self);
    *self_p = NULL;
}
