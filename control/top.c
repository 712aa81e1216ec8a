#include "control/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/base/log.h"
#include "bus/base/memory.h"
#include "bus/net/runtime.h"
#include "bus/wire/peer.h"
#include "control/events.h"
#include "control/screen.h"
#include "control/show.h"

enum {
    SECOND_MS = 1000,
    STEP_MS = 50, /* a key is answered within that */
    EVENTS_SHOWN = 10,
    MATRIX_MAX = 16, /* nodes; a greater matrix fits no terminal */
};

static const char *const sort_names[TOP_SORTS] = {
    "id", "requests", "lag", "sessions", "memory", "log",
};

/* What a program had counted at some time. */
typedef struct sample {
    uint64_t incarnation;
    int64_t at_ms;
    uint64_t requests;
    uint64_t updates;
    uint64_t applied;
} sample_t;

typedef struct samples {
    sample_t list[SURVEY_MEMBERS_MAX];
    size_t size;
} samples_t;

/* A node with what it is sorted by. */
typedef struct row {
    const control_node_t *node;
    vec_t vector;
    uint64_t lag;
    double requests; /* a second, as the next two */
    double updates;
    double applied;
    uint64_t sorted_by;
} row_t;

typedef struct top {
    const top_config_t *config;
    survey_t *survey;
    top_sort_t sort;
    bool is_over; /* by a key */
    bool has_key;
    samples_t before;
    samples_t now;
    row_t rows[SURVEY_MEMBERS_MAX];
    size_t size;
    buf_t out;
} top_t;

top_sort_t top_sort(const char *name)
{
    for (int i = 0; i < TOP_SORTS; i++)
        if (strcmp(name, sort_names[i]) == 0)
            return (top_sort_t)i;
    return TOP_BY_ID;
}

/* ---- rates ---- */

static void take_samples(top_t *self)
{
    const survey_member_t *member;

    self->before = self->now;
    self->now.size = 0;
    for (size_t i = 0; (member = survey_member(self->survey, i)) != NULL; i++) {
        if (!member->has_answered)
            continue;
        bool is_node = member->kind == CONTROL_NODE;
        slice_t counts = is_node ? member->node.counts_at : member->broker.counts_at;
        self->now.list[self->now.size++] = (sample_t){
            .incarnation = is_node ? member->node.incarnation : member->broker.incarnation,
            .at_ms = is_node ? member->node.age_ms : member->broker.age_ms,
            .requests = control_count_of(counts, "requests"),
            .updates = control_count_of(counts, "updates"),
            .applied = control_count_of(counts, "applied"),
        };
    }
}

static const sample_t *find_sample(const samples_t *samples, uint64_t incarnation)
{
    for (size_t i = 0; i < samples->size; i++)
        if (samples->list[i].incarnation == incarnation)
            return &samples->list[i];
    return NULL;
}

static double a_second(uint64_t before, uint64_t now, int64_t ms)
{
    return ms > 0 && now >= before ? (double)(now - before) * SECOND_MS / (double)ms : 0;
}

/* Since the last look; 0 at the first one. By the program's own time, not by when it answered. */
static void put_rates(const top_t *self, uint64_t incarnation, row_t *row)
{
    const sample_t *before = find_sample(&self->before, incarnation);
    const sample_t *now = find_sample(&self->now, incarnation);

    if (before == NULL || now == NULL)
        return;
    int64_t ms = now->at_ms - before->at_ms;
    row->requests = a_second(before->requests, now->requests, ms);
    row->updates = a_second(before->updates, now->updates, ms);
    row->applied = a_second(before->applied, now->applied, ms);
}

/* ---- rows ---- */

static uint64_t sorted_by(top_sort_t sort, const row_t *row)
{
    switch (sort) {
    case TOP_BY_REQUESTS:
        return (uint64_t)row->requests;
    case TOP_BY_LAG:
        return row->lag;
    case TOP_BY_SESSIONS:
        return row->node->sessions;
    case TOP_BY_MEMORY:
        return row->node->memory_bytes;
    case TOP_BY_LOG:
        return row->node->log_bytes;
    default:
        return 0;
    }
}

static int compare_rows(const void *a, const void *b)
{
    const row_t *one = a;
    const row_t *other = b;

    if (one->sorted_by != other->sorted_by)
        return one->sorted_by > other->sorted_by ? -1 : 1;
    return (one->node->id > other->node->id) - (one->node->id < other->node->id);
}

static void collect(top_t *self)
{
    const survey_member_t *member;
    vec_t everything = {0};

    show_everything(self->survey, &everything);
    self->size = 0;
    for (size_t i = 0; (member = survey_member(self->survey, i)) != NULL; i++) {
        if (member->kind != CONTROL_NODE || !member->has_answered)
            continue;
        row_t *row = &self->rows[self->size++];
        *row = (row_t){.node = &member->node, .lag = show_lag(&member->node, &everything)};
        control_vector(member->node.vector, &row->vector);
        put_rates(self, member->node.incarnation, row);
        row->sorted_by = sorted_by(self->sort, row);
    }
    if (self->size != 0)
        qsort(self->rows, self->size, sizeof(*self->rows), compare_rows);
    vec_free(&everything);
}

static void put_nodes(top_t *self)
{
    static const char *const headings[] = {"NODE",     "STATUS",    "AGE", "KEYS", "REQ/S",
                                           "UPD/S",    "APPLY/S",   "LAG", "HELD", "WAITING",
                                           "SESSIONS", "CONFLICTS", "LOG", "HEAP", "HELD BACK BY"};
    table_view_t *table = table_view_new(sizeof(headings) / sizeof(headings[0]), headings);

    for (size_t i = 0; i < self->size; i++) {
        const row_t *row = &self->rows[i];
        const control_node_t *node = row->node;
        table_view_count(table, node->id);
        show_status(table, self->survey, node);
        show_age(table, "", node->age_ms);
        table_view_count(table, node->keys);
        table_view_cell(table, "%.0f", row->requests);
        table_view_cell(table, "%.0f", row->updates);
        table_view_cell(table, "%.0f", row->applied);
        table_view_count(table, row->lag);
        table_view_count(table, node->held);
        table_view_count(table, node->waiting);
        table_view_count(table, node->sessions);
        table_view_count(table, control_count_of(node->counts_at, "conflicts"));
        show_bytes(table, node->log_bytes);
        show_bytes(table, node->memory_bytes);
        show_held_back_by(table, node);
    }
    table_view_put(table, &self->out);
    table_view_destroy(&table);
}

static bool is_there(const top_t *self, uint16_t id)
{
    for (size_t i = 0; i < self->size; i++)
        if (self->rows[i].node->id == id)
            return true;
    return false;
}

/* Members that did not answer, each once; who was forgotten is none. */
static void put_off(top_t *self)
{
    bool is_said[UINT8_MAX + 1] = {false};

    for (size_t i = 0; i < self->size; i++) {
        mp_t in = mp_open(self->rows[i].node->members_at);
        control_member_t member;
        while (control_member_next(&in, &member)) {
            if (member.state == MEMBER_FORGOTTEN || is_there(self, member.id) ||
                member.id > UINT8_MAX || is_said[member.id])
                continue;
            is_said[member.id] = true;
            buf_printf(&self->out, "node %u does not answer\n", member.id);
        }
    }
}

/* How many updates each node (row) lacks of what another (column) has. */
static void put_matrix(top_t *self)
{
    const char *headings[MATRIX_MAX + 1] = {"LACKS OF"};
    char ids[MATRIX_MAX][8];

    if (self->size < 2)
        return;
    if (self->size > MATRIX_MAX) {
        buf_printf(&self->out, "\n(more than %d nodes: no lag of each by each)\n", MATRIX_MAX);
        return;
    }
    for (size_t i = 0; i < self->size; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%u", self->rows[i].node->id);
        headings[i + 1] = ids[i];
    }
    buf_append_u8(&self->out, '\n');
    table_view_t *table = table_view_new(self->size + 1, headings);
    for (size_t i = 0; i < self->size; i++) {
        table_view_cell(table, "node %s", ids[i]);
        for (size_t j = 0; j < self->size; j++) {
            if (i == j)
                table_view_cell(table, "-");
            else
                table_view_count(table, vec_lag(&self->rows[i].vector, &self->rows[j].vector));
        }
    }
    table_view_put(table, &self->out);
    table_view_destroy(&table);
}

static void put_brokers(top_t *self)
{
    static const char *const headings[] = {"BROKER",   "AGE",   "CLIENTS",
                                           "SESSIONS", "REQ/S", "IN FLIGHT"};
    table_view_t *table = table_view_new(sizeof(headings) / sizeof(headings[0]), headings);
    const survey_member_t *member;

    for (size_t i = 0; (member = survey_member(self->survey, i)) != NULL; i++) {
        if (member->kind != CONTROL_BROKER || !member->has_answered)
            continue;
        const control_broker_t *broker = &member->broker;
        row_t rates = {0};
        put_rates(self, broker->incarnation, &rates);
        show_address(table, broker->host, broker->port);
        show_age(table, "", broker->age_ms);
        table_view_count(table, broker->clients);
        table_view_count(table, broker->sessions);
        table_view_cell(table, "%.0f", rates.requests);
        show_bytes(table, broker->in_flight);
    }
    buf_append_u8(&self->out, '\n');
    table_view_put(table, &self->out);
    table_view_destroy(&table);
}

/* All of it, as text. -1: a signal. */
static int render(top_t *self, int64_t deadline_ms)
{
    buf_reset(&self->out);
    collect(self);
    buf_printf(&self->out, "hearsay  cluster %s  ", self->config->cluster);
    log_put_time(&self->out, net_now().wall_ms);
    buf_printf(&self->out, "  sorted by %s%s\n", sort_names[self->sort],
               self->config->once ? "" : "  (s: by another column, q: quit)");
    put_nodes(self);
    put_off(self);
    put_matrix(self);
    put_brokers(self);
    buf_append_text(&self->out, "\nLATEST EVENTS\n");
    for (size_t i = 0; i < self->size; i++)
        vec_free(&self->rows[i].vector);
    return eventing_put_latest(&self->out, self->survey, EVENTS_SHOWN, deadline_ms);
}

/* ---- running ---- */

static void take_keys(void *arg)
{
    top_t *self = arg;

    for (int key; (key = screen_key()) != 0;) {
        self->has_key = true;
        if (key == 'q')
            self->is_over = true;
        else if (key == 's')
            self->sort = (top_sort_t)((self->sort + 1) % TOP_SORTS);
    }
}

/* A round, and what came of it as text. -1: a signal. */
static int look(top_t *self, int64_t deadline_ms)
{
    if (survey_round(self->survey, deadline_ms, NULL, NULL) != 0)
        return -1;
    take_samples(self);
    return render(self, deadline_ms);
}

/* Two looks, for the rates between them. */
static int print_once(top_t *self, err_t *err)
{
    int64_t deadline_ms = self->config->deadline_ms;

    if (look(self, deadline_ms) != 0 ||
        survey_idle(self->survey, time_earlier(deadline_ms, net_now().boot_ms + SECOND_MS)) != 0 ||
        look(self, deadline_ms) != 0)
        return EXIT_INTERRUPTED;
    if (self->size == 0)
        return err_set(err, OUTCOME_NOT_REACHED,
                       "no node answers: start one, or name one with --peer tcp://HOST:PORT");
    fwrite(self->out.data, 1, self->out.size, stdout);
    return EXIT_DONE;
}

static int run_screen(top_t *self)
{
    int64_t until_ms = self->config->until_ms;

    while (!self->is_over && net_now().boot_ms < until_ms) {
        if (look(self, until_ms) != 0)
            return EXIT_INTERRUPTED;
        screen_draw(buf_slice(&self->out));
        int64_t next_ms = time_earlier(until_ms, net_now().boot_ms + SECOND_MS);
        for (self->has_key = false; !self->has_key && net_now().boot_ms < next_ms;)
            if (survey_idle(self->survey, net_now().boot_ms + STEP_MS) != 0)
                return EXIT_INTERRUPTED;
    }
    return EXIT_DONE;
}

int top_run(survey_t *survey, const top_config_t *config, err_t *err)
{
    top_t *self = mem_zero(1, sizeof(*self));
    int code = 0;

    self->config = config;
    self->survey = survey;
    self->sort = config->sort;
    if (config->once) {
        code = print_once(self, err);
    } else {
        code = screen_open(err);
        if (code == 0) {
            survey_also(survey, NULL, STDIN_FILENO, take_keys, self);
            code = run_screen(self);
            survey_also(survey, NULL, -1, NULL, NULL);
            screen_close();
        }
    }
    buf_free(&self->out);
    free(self);
    return code;
}
