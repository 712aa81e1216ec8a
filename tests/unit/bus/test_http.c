#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/http/http.h"
#include "bus/wire/control.h"

enum { FAMILIES_MAX = 200, NAME_SIZE = 128 };

/* ---- documents ---- */

static void put_node(buf_t *out, const control_node_t *as)
{
    control_node_t node = *as;
    buf_t counts = {0};
    buf_t members = {0};
    vec_t vector = {0};
    control_count_put(&counts, "requests", UINT64_MAX);
    control_count_put(&counts, "log_bytes", 123);
    control_count_put(&counts, "load_permille", 45);
    control_count_put(&counts, "entries", 67);
    control_count_put(&counts, "event_broker-join", 3);
    const control_member_t member = {.id = 1, .state = 1, .silent_ms = 10};
    control_member_put(&members, &member);
    node.version = slice_text("0.1.0");
    node.mode = slice_text("manual");
    node.host = slice_text("127.0.0.1");
    node.age_ms = 61007;
    node.counts = 5;
    node.counts_at = buf_slice(&counts);
    node.members = 1;
    node.members_at = buf_slice(&members);
    control_node_put(out, &node, &vector);
    buf_free(&counts);
    buf_free(&members);
}

static void put_broker(buf_t *out, bool is_connected, replica_status_t status)
{
    buf_t counts = {0};
    buf_t replicas = {0};
    vec_t vector = {0};
    control_count_put(&counts, "routes", 2);
    control_count_put(&counts, "replies", 7);
    control_count_put(&counts, "unread", 5);
    const control_peer_t replica = {
        .id = 1, .host = slice_text("h"), .is_connected = is_connected, .status = status};
    control_peer_put(&replicas, &replica, &vector);
    const control_broker_t broker = {.host = slice_text("h"),
                                     .version = slice_text("0.1.0"),
                                     .in_flight = 9,
                                     .counts = 3,
                                     .counts_at = buf_slice(&counts),
                                     .replicas = 1,
                                     .replicas_at = buf_slice(&replicas)};
    control_broker_put(out, &broker);
    buf_free(&counts);
    buf_free(&replicas);
}

/* ---- a reader of the text format ---- */

typedef struct family {
    char name[NAME_SIZE];
    bool has_help;
    bool is_counter;
    bool is_gauge;
    unsigned samples;
    char last[NAME_SIZE]; /* sample with its labels */
} family_t;

static family_t families[FAMILIES_MAX];
static size_t families_size;

static size_t name_size(const char *text)
{
    size_t size = 0;
    while (isalnum((unsigned char)text[size]) || text[size] == '_')
        size++;
    assert_true(size > 0 && size < NAME_SIZE && !isdigit((unsigned char)text[0]));
    return size;
}

/* The family of a name that begins a text; a new one is the newest from then on. */
static family_t *family_of(const char *text, bool may_be_new)
{
    size_t size = name_size(text);
    for (size_t i = 0; i < families_size; i++)
        if (strlen(families[i].name) == size && strncmp(families[i].name, text, size) == 0) {
            assert_true(i + 1 == families_size); /* all lines of a family stand together */
            return &families[i];
        }
    assert_true(may_be_new && families_size < FAMILIES_MAX);
    family_t *family = &families[families_size++];
    *family = (family_t){.has_help = false};
    memcpy(family->name, text, size);
    return family;
}

/* {name="value",...}; returns what is behind it. */
static const char *read_labels(const char *at)
{
    if (*at != '{')
        return at;
    do {
        at++;
        at += name_size(at);
        assert_true(at[0] == '=' && at[1] == '"');
        at += 2 + strcspn(at + 2, "\"\\\n");
        assert_true(*at++ == '"');
    } while (*at == ',');
    assert_true(*at == '}');
    return at + 1;
}

static void read_sample(const char *line)
{
    family_t *family = family_of(line, false);
    assert_true(family->has_help && family->is_counter != family->is_gauge);
    const char *behind = read_labels(line + strlen(family->name));
    assert_true(*behind == ' ');
    char key[NAME_SIZE];
    snprintf(key, sizeof(key), "%.*s", (int)(behind - line), line);
    assert_string_not_equal(key, family->last);
    strcpy(family->last, key);
    char *end;
    strtod(behind + 1, &end);
    assert_true(end != behind + 1 && *end == '\0');
    family->samples++;
}

static void read_line(const char *line)
{
    if (strncmp(line, "# HELP ", 7) == 0) {
        family_t *family = family_of(line + 7, true);
        assert_false(family->has_help);
        family->has_help = true;
        assert_true(strlen(line + 7) > strlen(family->name) + 1);
    } else if (strncmp(line, "# TYPE ", 7) == 0) {
        family_t *family = family_of(line + 7, false);
        const char *type = line + 7 + strlen(family->name);
        family->is_counter = strcmp(type, " counter") == 0;
        family->is_gauge = strcmp(type, " gauge") == 0;
        assert_true(family->samples == 0 && family->is_counter != family->is_gauge);
    } else {
        read_sample(line);
    }
}

static void read_metrics(const char *text)
{
    families_size = 0;
    assert_true(text[0] != '\0' && text[strlen(text) - 1] == '\n');
    while (*text != '\0') {
        char line[512];
        size_t size = strcspn(text, "\n");
        assert_true(size < sizeof(line));
        snprintf(line, sizeof(line), "%.*s", (int)size, text);
        read_line(line);
        text += size + 1;
    }
    for (size_t i = 0; i < families_size; i++) {
        const char *name = families[i].name;
        size_t size = strlen(name);
        bool is_total = size > 6 && strcmp(name + size - 6, "_total") == 0;
        assert_true(families[i].samples != 0 && is_total == families[i].is_counter);
        assert_true(strncmp(name, "hearsay_", 8) == 0 && strstr(name, "_ms") == NULL);
    }
}

/* ---- tests ---- */

static unsigned asked; /* documents */

static slice_t give(void *arg)
{
    const buf_t *document = arg;
    asked++;
    return buf_slice(document);
}

static unsigned ask(const char *path, buf_t *document, buf_t *body)
{
    const char *type;
    buf_reset(body);
    asked = 0;
    return http_answer(path, give, document, body, &type);
}

static void test_metrics(void **state)
{
    (void)state;
    buf_t document = {0};
    buf_t body = {0};
    put_node(&document,
             &(control_node_t){.status = STATUS_OVERLOADED, .held_back_by = -1, .horizon_ms = 5});
    assert_int_equal(ask("/metrics", &document, &body), 200);
    read_metrics(buf_text(&body));
    const char *text = buf_text(&body);
    assert_non_null(strstr(text, "\nhearsay_node_requests_total 18446744073709551615\n"));
    assert_non_null(strstr(text, "\nhearsay_node_log_bytes 123\n"));
    assert_non_null(strstr(text, "\nhearsay_node_load_permille 45\n"));
    assert_non_null(strstr(text, "\nhearsay_node_entries 67\n"));
    assert_non_null(strstr(text, "\nhearsay_node_event_broker_join_total 3\n"));
    assert_non_null(strstr(text, "\nhearsay_node_uptime_seconds 61.007\n"));
    assert_non_null(strstr(text, "\nhearsay_node_horizon_age_seconds 0.005\n"));
    assert_non_null(strstr(text, "\nhearsay_node_status{status=\"overloaded\"} 1\n"));
    assert_non_null(strstr(text, "\nhearsay_node_status{status=\"active\"} 0\n"));
    assert_non_null(strstr(text, "\nhearsay_node_members{state=\"off\"} 1\n"));
    assert_non_null(strstr(text, "\nhearsay_info{version=\"0.1.0\"} 1\n"));
    buf_reset(&document);
    put_broker(&document, true, STATUS_ACTIVE);
    assert_int_equal(ask("/metrics", &document, &body), 200);
    read_metrics(buf_text(&body));
    assert_non_null(strstr(buf_text(&body), "\nhearsay_broker_routes 2\n"));
    assert_non_null(strstr(buf_text(&body), "\nhearsay_broker_unread 5\n"));
    assert_non_null(strstr(buf_text(&body), "\nhearsay_broker_replies_total 7\n"));
    assert_non_null(strstr(buf_text(&body), "\nhearsay_broker_replicas_connected 1\n"));
    buf_free(&document);
    buf_free(&body);
}

static void check_ready(const control_node_t *node, unsigned status, const char *why)
{
    buf_t document = {0};
    buf_t body = {0};
    put_node(&document, node);
    assert_int_equal(ask("/readyz", &document, &body), status);
    assert_non_null(strstr(buf_text(&body), why));
    assert_int_equal(asked, 1);
    assert_int_equal(ask("/healthz", &document, &body), 200);
    assert_int_equal(asked, 0); /* a document costs something */
    buf_free(&document);
    buf_free(&body);
}

static void test_readiness(void **state)
{
    (void)state;
    check_ready(&(control_node_t){.is_ready = true}, 200, "ready");
    check_ready(&(control_node_t){.is_ready = false}, 503, "starting");
    check_ready(&(control_node_t){.is_joining = true}, 503, "joining");
    check_ready(&(control_node_t){.is_ready = true, .status = STATUS_OFFLINE}, 503, "offline");
    check_ready(&(control_node_t){.is_ready = true, .status = STATUS_DRAINING}, 503, "draining");
    check_ready(&(control_node_t){.is_ready = true, .read_only = slice_text("disk is full")}, 200,
                "for reads: disk is full");
    for (int i = 0; i < 3; i++) {
        buf_t document = {0};
        buf_t body = {0};
        put_broker(&document, i != 0, i == 1 ? STATUS_OFFLINE : STATUS_ACTIVE);
        assert_int_equal(ask("/readyz", &document, &body), i == 2 ? 200 : 503);
        buf_free(&document);
        buf_free(&body);
    }
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const none[] = {"/", "", "/metrics/", "/v1/status?", "/../etc/passwd"};
    buf_t document = {0};
    buf_t body = {0};
    put_node(&document, &(control_node_t){.id = 3, .held_back_by = -1, .horizon_ms = -1});
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_int_equal(ask(none[i], &document, &body), 404);
        assert_int_equal(asked, 0);
    }
    assert_int_equal(ask("/v1/status", &document, &body), 200);
    assert_memory_equal(body.data, "{\"id\":3,\"status\":\"active\"", 25);
    buf_reset(&document);
    assert_int_equal(ask("/v1/status", &document, &body), 500);
    buf_free(&document);
    buf_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_readiness),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
