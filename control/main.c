/* hearsayctl: how the cluster is, and setting a node's status. Options, then one command. */
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/base/json.h"
#include "bus/base/nearest.h"
#include "bus/base/options.h"
#include "bus/config/config.h"
#include "bus/net/address.h"
#include "bus/net/logger.h"
#include "bus/net/runtime.h"
#include "control/accept.h"
#include "control/backup.h"
#include "control/check.h"
#include "control/events.h"
#include "control/inspect.h"
#include "control/keygen.h"
#include "control/show.h"
#include "control/survey.h"
#include "control/top.h"
#include "control/trace.h"
#include "control/verify.h"
#include "control/wait.h"

enum {
    SHOWN = 64, /* bytes of somebody's text that a message repeats */
    NODE_ID_MAX = 255,
    REPLY_MARGIN_MS = 200, /* a node answers so long before we give up */
    ABSENT_ROUNDS = 5,     /* without the node that is looked for */
    END_MS = 250,          /* czmq may take 200 ms to see its threads off at the end */
};

typedef struct control {
    const options_t *options;
    bool as_json;
    int64_t timeout_ms;
    int64_t deadline_ms; /* boot time */
    curve_t *curve;      /* NULL: without keys */
    survey_t *survey;
    bool has_said_denied;
    const char *const *words; /* behind the command */
    size_t word_count;
} control_t;

typedef int command_fn(control_t *self);

typedef struct command_row {
    const char *name;
    const char *arguments;
    const char *summary;
    size_t words;
    command_fn *fn;
    bool is_local; /* asks nobody */
    size_t more;   /* words that it may have besides: all of them or none */
} command_row_t;

/* ---- output ---- */

/* Says what failed, as people and as scripts read it; returns exit_code. */
static int say_failure(bool as_json, const char *code, int exit_code, const char *text)
{
    if (!as_json) {
        fprintf(stderr, "hearsayctl: %s\n", text);
        return exit_code;
    }
    buf_t out = {0};
    json_t json = json_open(&out);
    json_object(&json, NULL);
    json_bool(&json, "ok", false);
    json_object(&json, "error");
    json_text(&json, "code", code);
    json_text(&json, "message", text);
    json_end(&json);
    json_end(&json);
    printf("%s\n", buf_text(&out));
    buf_free(&out);
    return exit_code;
}

static int fail(const control_t *self, const err_t *err)
{
    return say_failure(self->as_json, outcome_name(err->outcome), outcome_exit(err->outcome),
                       err->text);
}

__attribute__((format(printf, 3, 4))) static int fail_with(const control_t *self, outcome_t outcome,
                                                           const char *format, ...)
{
    err_t err = {.outcome = outcome};
    va_list args;
    va_start(args, format);
    vsnprintf(err.text, sizeof(err.text), format, args);
    va_end(args);
    return fail(self, &err);
}

static void write_out(buf_t *out)
{
    if (out->size > 0)
        fwrite(out->data, 1, out->size, stdout);
    buf_free(out);
}

/* ---- looking ---- */

static int read_endpoints(const options_t *options, const char *name,
                          endpoint_t out[OPTIONS_LIST_MAX], size_t *count, err_t *err)
{
    const char *const *texts = options_list(options, name, count);

    for (size_t i = 0; i < *count; i++)
        if (!endpoint_parse(texts[i], &out[i], err))
            return -1;
    return 0;
}

static int open_curve(control_t *self, err_t *err)
{
    const char *folder = options_text(self->options, "curve");

    if (folder == NULL)
        return 0;
    return curve_open(&self->curve, folder, options_text(self->options, "curve-key"), ROLE_ADMIN,
                      err);
}

/* Beacons, the addresses given, or both: who names an address and no beacon wants no others. */
static int open_survey(control_t *self, err_t *err)
{
    const options_t *options = self->options;
    const char *interface = options_text(options, "interface");
    endpoint_t peers[OPTIONS_LIST_MAX];
    endpoint_t brokers[OPTIONS_LIST_MAX];
    size_t peer_count;
    size_t broker_count;

    if (address_check_interface(interface, address_is_allowed(options), err) != 0 ||
        open_curve(self, err) != 0 ||
        read_endpoints(options, "peer", peers, &peer_count, err) != 0 ||
        read_endpoints(options, "broker", brokers, &broker_count, err) != 0)
        return -1;
    bool beacon = peer_count + broker_count == 0 || options_given(options, "interface") ||
                  options_given(options, "beacon-port");
    const survey_config_t config = {
        .cluster = options_text(options, "cluster"),
        .interface = beacon ? interface : NULL,
        .beacon_port = (int)options_int(options, "beacon-port"),
        .peers = peers,
        .peer_count = peer_count,
        .brokers = brokers,
        .broker_count = broker_count,
        .curve = self->curve,
    };
    return survey_open(&self->survey, &config, err);
}

static bool anybody_answered(const control_t *self, control_kind_t kind)
{
    const survey_member_t *member;
    for (size_t i = 0; (member = survey_member(self->survey, i)) != NULL; i++)
        if (member->has_answered && (kind == CONTROL_NOBODY || member->kind == kind))
            return true;
    return false;
}

static int fail_nobody(control_t *self, const char *what)
{
    bool is_certain;
    const char *denied = survey_denied(self->survey, &is_certain);

    if (denied != NULL) {
        self->has_said_denied = true;
        return fail_with(self, is_certain ? OUTCOME_DENIED : OUTCOME_NOT_REACHED,
                         "no %s talks to us; %s", what, denied);
    }
    return fail_with(self, OUTCOME_NOT_REACHED,
                     "no %s of cluster \"%s\" answers on %s, beacon port %" PRId64
                     ": start one, or name a node with --peer tcp://HOST:PORT",
                     what, options_text(self->options, "cluster"),
                     options_text(self->options, "interface"),
                     options_int(self->options, "beacon-port"));
}

/* ---- commands ---- */

static int run_nodes(control_t *self)
{
    buf_t out = {0};

    if (survey_round(self->survey, self->deadline_ms, NULL, NULL) != 0)
        return EXIT_INTERRUPTED;
    if (!anybody_answered(self, CONTROL_NODE))
        return fail_nobody(self, "node");
    show_nodes(&out, self->survey, self->as_json);
    write_out(&out);
    return EXIT_DONE;
}

static int run_brokers(control_t *self)
{
    buf_t out = {0};

    if (survey_round(self->survey, self->deadline_ms, NULL, NULL) != 0)
        return EXIT_INTERRUPTED;
    if (!anybody_answered(self, CONTROL_NOBODY))
        return fail_nobody(self, "node or broker");
    show_brokers(&out, self->survey, self->as_json);
    write_out(&out);
    return EXIT_DONE;
}

static bool is_found(void *arg, const survey_t *survey)
{
    const uint16_t *id = arg;
    return survey_node(survey, *id) != NULL;
}

/* The node of an id; NULL with *code when it does not answer. */
static const survey_member_t *find_node(control_t *self, uint16_t id, int *code)
{
    const survey_member_t *member = NULL;

    for (int round = 0; round < ABSENT_ROUNDS && member == NULL; round++) {
        if (survey_round(self->survey, self->deadline_ms, is_found, &id) != 0) {
            *code = EXIT_INTERRUPTED;
            return NULL;
        }
        member = survey_node(self->survey, id);
        if (net_now().boot_ms >= self->deadline_ms || !anybody_answered(self, CONTROL_NOBODY))
            break;
    }
    if (member == NULL)
        *code =
            anybody_answered(self, CONTROL_NODE)
                ? fail_with(self, OUTCOME_NOT_REACHED,
                            "node %u does not answer, others do: hearsayctl nodes shows them", id)
                : fail_nobody(self, "node");
    return member;
}

/* "active" ... "auto" into a request; false with err. */
static bool read_value(control_request_t *request, const char *value, err_t *err)
{
    static const char *const names[] = {"active",  "overloaded", "draining",
                                        "offline", "manual",     "auto"};

    if (strcmp(value, "manual") == 0)
        request->mode = CONTROL_MODE_MANUAL;
    else if (strcmp(value, "auto") == 0)
        request->mode = CONTROL_MODE_AUTO;
    else
        request->has_status = status_parse(value, &request->status);
    if (request->has_status || request->mode != CONTROL_MODE_KEEP)
        return true;
    const char *near = nearest(value, names, sizeof(names) / sizeof(names[0]));
    if (near != NULL)
        err_set(err, OUTCOME_USAGE, "\"%.*s\" is no status: did you mean %s?", SHOWN, value, near);
    else
        err_set(err, OUTCOME_USAGE,
                "\"%.*s\" is no status: give active, overloaded, draining, offline, manual or auto",
                SHOWN, value);
    return false;
}

static int say_status(const control_t *self, uint16_t id, const char *value)
{
    if (!self->as_json) {
        printf("node %u: %s, confirmed\n", id, value);
        return EXIT_DONE;
    }
    printf("{\"ok\":true,\"id\":%u,\"value\":\"%s\"}\n", id, value);
    return EXIT_DONE;
}

/* The id of a word; false when that is none, which was said. */
static bool read_id(const control_t *self, const char *word, uint16_t *out, int *code)
{
    int64_t id;
    if (!slice_to_int64(slice_text(word), &id) || id < 0 || id > NODE_ID_MAX) {
        *code = fail_with(self, OUTCOME_USAGE, "\"%.*s\" is no node id: give a number from 0 to %d",
                          SHOWN, word, NODE_ID_MAX);
        return false;
    }
    *out = (uint16_t)id;
    return true;
}

static int run_status(control_t *self)
{
    control_request_t request = {.command = CONTROL_SET_STATUS};
    const char *value = self->words[1];
    outcome_t outcome;
    uint16_t id;
    int code;
    err_t err;

    if (!read_id(self, self->words[0], &id, &code))
        return code;
    if (!read_value(&request, value, &err))
        return fail(self, &err);
    const survey_member_t *member = find_node(self, id, &code);
    if (member == NULL)
        return code;
    int64_t left_ms = self->deadline_ms - net_now().boot_ms;
    int64_t margin_ms = left_ms / 4 < REPLY_MARGIN_MS ? left_ms / 4 : REPLY_MARGIN_MS;
    request.timeout_ms = (uint32_t)(left_ms > margin_ms ? left_ms - margin_ms : 1);
    switch (survey_request(self->survey, member, &request, self->deadline_ms, &outcome, err.text,
                           NULL)) {
    case 0:
        break;
    case 1:
        return fail_with(self, OUTCOME_UNKNOWN,
                         "node %u did not answer in time: its status may have been set; "
                         "hearsayctl nodes shows it",
                         id);
    default:
        return EXIT_INTERRUPTED;
    }
    if (outcome == OUTCOME_OK)
        return say_status(self, id, value);
    return fail_with(self, outcome, "node %u: %.300s", id, err.text);
}

/* From now on --timeout runs. */
static void set_deadline(control_t *self)
{
    int64_t end_ms = self->timeout_ms / 4 < END_MS ? self->timeout_ms / 4 : END_MS;
    self->deadline_ms = net_now().boot_ms + self->timeout_ms - end_ms;
}

/*
 * Asks people, unless they have said so; false when it is not to be done, with *code. what: what is
 * done to node id and when to say yes, for those who cannot be asked; question: what comes of it.
 */
static bool is_confirmed(control_t *self, uint16_t id, const char *what, const char *question,
                         int *code)
{
    char answer[16] = "";

    if (options_flag(self->options, "yes"))
        return true;
    if (!isatty(STDIN_FILENO)) {
        *code = fail_with(self, OUTCOME_USAGE, "node %u: %s", id, what);
        return false;
    }
    fprintf(stderr, "Node %u %s [y/N] ", id, question);
    if (fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y')) {
        set_deadline(self);
        return true;
    }
    *code = say_failure(self->as_json, "NO", EXIT_NO, "nothing was done");
    return false;
}

/* A node that answers and is not that one; NULL: there is none. */
static const survey_member_t *find_other(const control_t *self, uint16_t id)
{
    const survey_member_t *member;
    for (size_t i = 0; (member = survey_member(self->survey, i)) != NULL; i++)
        if (member->has_answered && member->kind == CONTROL_NODE && member->node.is_ready &&
            member->node.id != id)
            return member;
    return NULL;
}

static int run_forget(control_t *self)
{
    control_request_t request = {.command = CONTROL_FORGET};
    outcome_t outcome;
    int code;
    err_t err;

    if (!read_id(self, self->words[0], &request.id, &code) ||
        !is_confirmed(self, request.id,
                      "forgetting it cannot be undone: give --yes when it is never to come back "
                      "with its present data",
                      "will be no member any more: nothing waits for it, and what only it has is "
                      "lost.\n"
                      "Started again, it takes over the state of another node. Forget it?",
                      &code))
        return code;
    if (survey_round(self->survey, self->deadline_ms, NULL, NULL) != 0)
        return EXIT_INTERRUPTED;
    const survey_member_t *member = find_other(self, request.id);
    if (member == NULL)
        return fail_nobody(self, "other node that is ready");
    uint16_t by = member->node.id;
    switch (survey_request(self->survey, member, &request, self->deadline_ms, &outcome, err.text,
                           NULL)) {
    case 0:
        break;
    case 1:
        return fail_with(self, OUTCOME_UNKNOWN,
                         "node %u did not answer in time: node %u may have been forgotten; "
                         "hearsayctl nodes shows it",
                         by, request.id);
    default:
        return EXIT_INTERRUPTED;
    }
    if (outcome != OUTCOME_OK)
        return fail_with(self, outcome, "node %u: %.300s", by, err.text);
    if (self->as_json)
        printf("{\"ok\":true,\"id\":%u,\"by\":%u}\n", request.id, by);
    else
        printf("node %u: forgotten by node %u, the others learn it by gossip\n", request.id, by);
    return EXIT_DONE;
}

static int run_accept_clock(control_t *self)
{
    const int node = (int)options_int(self->options, "node");
    const survey_member_t *only = NULL;
    buf_t out = {0};
    uint16_t id;
    int code;

    if (!read_id(self, self->words[0], &id, &code) ||
        !is_confirmed(
            self, id,
            "accepting its clock cannot be undone: give --yes when that machine's clock "
            "cannot be set right",
            "is ahead: the others' clocks will be raised to its own, which cannot be "
            "undone, and deadlines\n"
            "pass as much earlier. To set its machine's clock right and start it again is "
            "better. Accept it?",
            &code))
        return code;
    if (node >= 0 && (only = find_node(self, (uint16_t)node, &code)) == NULL)
        return code;
    if (only == NULL && survey_round(self->survey, self->deadline_ms, NULL, NULL) != 0)
        return EXIT_INTERRUPTED;
    if (!anybody_answered(self, CONTROL_NODE))
        return fail_nobody(self, "node");
    code = accept_clock(&out, self->survey, only, id, self->as_json, self->deadline_ms);
    write_out(&out);
    return code >= 0 ? code : EXIT_INTERRUPTED;
}

static int run_verify(control_t *self)
{
    bool is_damaged = false;
    buf_t out = {0};
    err_t err;

    if (verify_folder(&out, self->words[0], self->as_json, &is_damaged, &err) != 0) {
        buf_free(&out);
        return fail(self, &err);
    }
    write_out(&out);
    return is_damaged ? EXIT_NO : EXIT_DONE;
}

static int run_backup(control_t *self)
{
    const char *path = self->words[1];
    buf_t out = {0};
    uint16_t id;
    int code;
    err_t err;

    if (!read_id(self, self->words[0], &id, &code))
        return code;
    const survey_member_t *member = find_node(self, id, &code);
    if (member == NULL)
        return code;
    if (strcmp(path, "-") == 0 && isatty(STDOUT_FILENO))
        return fail_with(self, OUTCOME_USAGE,
                         "a backup is nothing for a terminal: redirect it, or name a file");
    code = backup_node(&out, self->survey, member, path, self->as_json, self->timeout_ms, &err);
    fwrite(out.data, 1, out.size, strcmp(path, "-") == 0 ? stderr : stdout);
    buf_free(&out);
    if (code < 0)
        return fail(self, &err);
    return code == 0 ? EXIT_DONE : EXIT_INTERRUPTED;
}

static int run_restore(control_t *self)
{
    buf_t out = {0};
    err_t err;

    if (restore_folder(&out, self->words[0], self->words[1], self->as_json, &err) != 0)
        return fail(self, &err);
    write_out(&out);
    return EXIT_DONE;
}

static int run_keygen(control_t *self)
{
    const bool is_one = self->word_count == 3;
    buf_t out = {0};
    err_t err;
    int rc = is_one ? keygen_add(&out, self->words[0], self->words[1], self->words[2],
                                 self->as_json, &err)
                    : keygen_folder(&out, self->words[0], self->as_json, &err);

    if (rc != 0)
        return fail(self, &err);
    write_out(&out);
    return EXIT_DONE;
}

typedef struct waiting {
    wait_goal_t goal;
    char missing[ERR_TEXT_SIZE]; /* as of now, perhaps in the middle of a round */
    char last[ERR_TEXT_SIZE];    /* after the last round that was not cut short */
    bool is_over;
} waiting_t;

static bool look(void *arg, const survey_t *survey)
{
    waiting_t *waiting = arg;
    waiting->is_over = wait_is_over(&waiting->goal, survey, waiting->missing);
    return waiting->is_over;
}

static int run_wait(control_t *self)
{
    waiting_t waiting = {
        .goal = {.nodes = options_int(self->options, "nodes"),
                 .brokers = options_int(self->options, "brokers")},
        .missing = "nobody answers",
    };
    int code = EXIT_DONE;

    if (waiting.goal.nodes < 0 && waiting.goal.brokers < 0)
        return fail_with(self, OUTCOME_USAGE, "wait for whom? give --nodes N, --brokers M or both");
    while (code == EXIT_DONE && !waiting.is_over && net_now().boot_ms < self->deadline_ms) {
        if (survey_round(self->survey, self->deadline_ms, look, &waiting) != 0)
            code = EXIT_INTERRUPTED;
        if (waiting.last[0] == '\0' || net_now().boot_ms < self->deadline_ms)
            memcpy(waiting.last, waiting.missing, sizeof(waiting.last));
    }
    if (code == EXIT_DONE && !waiting.is_over) {
        char text[ERR_TEXT_SIZE + 64];
        snprintf(text, sizeof(text), "not so within %" PRId64 " ms: %s", self->timeout_ms,
                 waiting.last);
        code = say_failure(self->as_json, "NO", EXIT_NO, text);
    } else if (code == EXIT_DONE && self->as_json) {
        printf("{\"ok\":true}\n");
    }
    wait_free(&waiting.goal);
    return code;
}

/* Colours are for terminals whose user did not say no (no-color.org). */
static line_form_t line_form(const control_t *self)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool is_plain = (no_color != NULL && no_color[0] != '\0') ||
                    (term != NULL && strcmp(term, "dumb") == 0) || !isatty(STDOUT_FILENO);

    if (self->as_json)
        return LINE_JSON;
    return is_plain ? LINE_PLAIN : LINE_COLOURED;
}

static int run_trace(control_t *self)
{
    const char *key = options_text(self->options, "key");
    int64_t for_ms = options_ms(self->options, "for");
    tracing_config_t config = {
        .node = (int)options_int(self->options, "node"),
        .key = key != NULL ? slice_text(key) : slice_of(NULL, 0),
        .form = line_form(self),
        .perfetto = options_text(self->options, "perfetto"),
        .until_ms = for_ms >= 0 ? net_now().boot_ms + for_ms : INT64_MAX,
        .patience_ms = self->deadline_ms,
    };
    err_t err;

    if (tracing_areas(options_text(self->options, "what"), &config.areas, &err) != 0)
        return fail(self, &err);
    int code = tracing_run(self->survey, &config, &err);
    return code >= 0 ? code : fail(self, &err);
}

static int run_events(control_t *self)
{
    int64_t for_ms = options_ms(self->options, "for");
    const eventing_config_t config = {
        .node = (int)options_int(self->options, "node"),
        .form = line_form(self),
        .follow = options_flag(self->options, "follow"),
        .until_ms = for_ms >= 0 ? net_now().boot_ms + for_ms : INT64_MAX,
        .deadline_ms = self->deadline_ms,
    };
    err_t err;

    int code = eventing_run(self->survey, &config, &err);
    return code >= 0 ? code : fail(self, &err);
}

static int run_key(control_t *self)
{
    slice_t key = slice_text(self->words[0]);
    buf_t out = {0};

    if (key.size == 0 || key.size > COMMAND_KEY_MAX)
        return fail_with(self, OUTCOME_USAGE, "a key has 1 to %d bytes, not %zu", COMMAND_KEY_MAX,
                         key.size);
    if (survey_round(self->survey, self->deadline_ms, NULL, NULL) != 0)
        return EXIT_INTERRUPTED;
    if (!anybody_answered(self, CONTROL_NODE))
        return fail_nobody(self, "node");
    int count = inspect_key(&out, self->survey, key, self->as_json, self->deadline_ms);
    write_out(&out);
    if (count < 0)
        return EXIT_INTERRUPTED;
    return count > 0 ? EXIT_DONE : EXIT_NO;
}

static int run_sessions(control_t *self)
{
    buf_t out = {0};

    if (survey_round(self->survey, self->deadline_ms, NULL, NULL) != 0)
        return EXIT_INTERRUPTED;
    if (!anybody_answered(self, CONTROL_BROKER))
        return fail_nobody(self, "broker");
    int count = inspect_sessions(&out, self->survey, self->as_json, self->deadline_ms);
    write_out(&out);
    return count >= 0 ? EXIT_DONE : EXIT_INTERRUPTED;
}

static int run_check(control_t *self)
{
    buf_t out = {0};
    err_t err;

    if (survey_round(self->survey, self->deadline_ms, NULL, NULL) != 0)
        return EXIT_INTERRUPTED;
    if (!anybody_answered(self, CONTROL_NODE))
        return fail_nobody(self, "node");
    int code = check_run(&out, self->survey, !options_flag(self->options, "no-files"),
                         self->as_json, self->deadline_ms, &err);
    write_out(&out);
    return code >= 0 ? code : fail(self, &err);
}

static int run_top(control_t *self)
{
    int64_t for_ms = options_ms(self->options, "for");
    const top_config_t config = {
        .cluster = options_text(self->options, "cluster"),
        .sort = top_sort(options_text(self->options, "sort")),
        .once = options_flag(self->options, "once"),
        .until_ms = for_ms >= 0 ? net_now().boot_ms + for_ms : INT64_MAX,
        .deadline_ms = self->deadline_ms,
    };
    err_t err;

    if (self->as_json)
        return fail_with(self, OUTCOME_USAGE, "top is for people: use hearsayctl nodes --json");
    int code = top_run(self->survey, &config, &err);
    return code >= 0 ? code : fail(self, &err);
}

/* ---- the program ---- */

static const command_row_t commands[] = {
    {"nodes", "", "the nodes: status, address, what each has and lacks", 0, run_nodes, false, 0},
    {"brokers", "", "the brokers and their replicas", 0, run_brokers, false, 0},
    {"status", " ID VALUE",
     "sets a node's status: active, overloaded, draining, offline, manual (as it is), auto", 2,
     run_status, false, 0},
    {"wait", " --nodes N --brokers M", "until so many are there, connected and up to date", 0,
     run_wait, false, 0},
    {"trace", "", "what happens to sockets, requests and updates, live", 0, run_trace, false, 0},
    {"forget", " ID", "takes a member out that is not coming back: nothing waits for it any more",
     1, run_forget, false, 0},
    {"accept-clock", " ID",
     "takes in a node whose clock is too far ahead: better set that clock right", 1,
     run_accept_clock, false, 0},
    {"check", "",
     "compares what all nodes show, while they serve, and has each read its files for damage", 0,
     run_check, false, 0},
    {"backup", " ID FILE",
     "the data of a node as of now into a file, while it serves (-: to stdout)", 2, run_backup,
     false, 0},
    {"restore", " FILE DIR", "a data folder of a backup, for a node that begins a cluster anew", 2,
     run_restore, true, 0},
    {"verify", " DIR", "looks through the data folder of a node that is not running for damage", 1,
     run_verify, true, 0},
    {"events", "", "what nodes and brokers have noticed of late: who came, who went, what is wrong",
     0, run_events, false, 0},
    {"top", "", "nodes, brokers, lag and events, each second anew", 0, run_top, false, 0},
    {"key", " KEY", "a key at each replica, and what waits for it", 1, run_key, false, 0},
    {"sessions", "", "sessions by client connection and replica, at each broker", 0, run_sessions,
     false, 0},
    {"keygen", " DIR [NAME ROLE]",
     "a new folder of keys for --curve; or one more key in it, of role client or admin", 1,
     run_keygen, true, 2},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(const options_t *options)
{
    buf_t text = {0};

    buf_append_text(&text, "usage: hearsayctl [OPTIONS] COMMAND\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        char usage[64];
        snprintf(usage, sizeof(usage), "%s%s", commands[i].name, commands[i].arguments);
        buf_printf(&text, "  %-26s  %s\n", usage, commands[i].summary);
    }
    buf_append_text(&text, "\nOptions:\n");
    options_help(options, &text);
    buf_append_text(&text, "\nExamples:\n"
                           "  hearsayctl nodes\n"
                           "  hearsayctl status 0 offline\n"
                           "  hearsayctl status 0 draining --timeout 30s\n"
                           "  hearsayctl wait --nodes 3 --brokers 1 --timeout 10s\n"
                           "  hearsayctl trace --key visits --what requests,gossip\n"
                           "  hearsayctl events --follow\n");
    write_out(&text);
}

/* The command of the words; NULL with err. */
static const command_row_t *find_command(control_t *self, err_t *err)
{
    const char *names[COMMANDS];
    size_t count;
    const char *const *words = options_words(self->options, &count);

    if (count == 0) {
        err_set(err, OUTCOME_USAGE, "what to do? hearsayctl --help shows the commands");
        return NULL;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strcmp(words[0], names[i]) != 0)
            continue;
        bool is_long = commands[i].more != 0 && count - 1 == commands[i].words + commands[i].more;
        if (count - 1 != commands[i].words && !is_long) {
            err_set(err, OUTCOME_USAGE, "%s takes %zu words, not %zu: hearsayctl %s%s", names[i],
                    commands[i].words, count - 1, names[i], commands[i].arguments);
            return NULL;
        }
        self->words = words + 1;
        self->word_count = count - 1;
        return &commands[i];
    }
    const char *near = nearest(words[0], names, COMMANDS);
    if (near != NULL)
        err_set(err, OUTCOME_USAGE, "unknown command \"%.*s\": did you mean %s?", SHOWN, words[0],
                near);
    else
        err_set(err, OUTCOME_USAGE, "unknown command \"%.*s\": hearsayctl --help shows them all",
                SHOWN, words[0]);
    return NULL;
}

/* What was shown may still lie in the buffer: code, or another one when it could not be written. */
static int flush_out(int code)
{
    struct pollfd item = {.fd = STDOUT_FILENO, .events = POLLOUT};

    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    /* A pipe whose reader left has POLLERR: whoever left knows. */
    if (poll(&item, 1, 0) < 0 || (item.revents & POLLERR) == 0)
        fprintf(stderr, "hearsayctl: cannot write to standard output\n");
    return code != EXIT_DONE ? code : outcome_exit(OUTCOME_FULL);
}

/* Those who would not talk to us, when others did. */
static void say_denied(const control_t *self)
{
    bool is_certain = false;
    const char *denied = self->survey != NULL && !self->has_said_denied
                             ? survey_denied(self->survey, &is_certain)
                             : NULL;

    if (denied != NULL && is_certain)
        log_line(LOG_LEVEL_WARN, "not asked: %s", denied);
}

static int run(control_t *self)
{
    err_t err;
    const command_row_t *command = find_command(self, &err);

    if (command != NULL && command->is_local)
        return flush_out(command->fn(self));
    if (command == NULL || net_start(&err) != 0)
        return fail(self, &err);
    set_deadline(self);
    int code = open_survey(self, &err) == 0 ? command->fn(self) : fail(self, &err);
    say_denied(self);
    survey_destroy(&self->survey);
    curve_destroy(&self->curve);
    code = flush_out(code);
    net_stop(code);
    return code;
}

/* A wrong command line is answered in JSON too when it asks for that. */
static bool asks_for_json(int argc, char *const argv[])
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

int main(int argc, char *argv[])
{
    options_t *options = options_new(OPTION_CONTROL);
    control_t self = {.options = options};
    err_t err;
    int code = EXIT_DONE;

    if (config_parse(options, argc, argv, &err) != 0) {
        self.as_json = asks_for_json(argc, argv);
        code = fail(&self, &err);
    } else if (options_flag(options, "help")) {
        print_help(options);
        code = flush_out(code);
    } else if (options_flag(options, "version")) {
        printf("hearsayctl %s\n", HEARSAY_VERSION);
    } else if (options_flag(options, "print-config")) {
        buf_t text = {0};
        options_print(options, &text);
        write_out(&text);
        code = flush_out(code);
    } else {
        log_level_t level = LOG_LEVEL_INFO;
        self.as_json = options_flag(options, "json");
        self.timeout_ms = options_ms(options, "timeout");
        log_level_parse(options_text(options, "log-level"), &level);
        logger_open("hearsayctl", level, self.as_json);
        code = run(&self);
    }
    options_destroy(&options);
    return code;
}
