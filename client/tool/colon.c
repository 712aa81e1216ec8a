#include "client/tool/colon.h"

#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"
#include "bus/base/nearest.h"

enum { REPLICA_MAX = 255, SESSION_NAME_MAX = 64, SHOWN = 48 };

/* text: the argument, NULL when there is none. */
typedef colon_result_t colon_fn(app_t *app, const char *text, buf_t *out, err_t *err);

static colon_result_t run_help(app_t *app, const char *text, buf_t *out, err_t *err)
{
    size_t count;

    (void)app;
    if (!app_help(out, false, text, err))
        return COLON_FAILED;
    if (text != NULL)
        return COLON_DONE;
    const colon_t *all = colon_all(&count);
    buf_append_text(out, "At the prompt alone:\n");
    for (size_t i = 0; i < count; i++)
        app_help_line(out, all[i].name, all[i].arguments, all[i].summary);
    buf_append_text(out,
                    "Tab completes commands and keys, and shows a command's usage. A line that "
                    "begins with a\nblank is not kept in the history.\n");
    return COLON_DONE;
}

static colon_result_t run_quit(app_t *app, const char *text, buf_t *out, err_t *err)
{
    (void)app;
    (void)text;
    (void)out;
    (void)err;
    return COLON_QUIT;
}

static void show_replica(const app_t *app, buf_t *out)
{
    if (app->replica >= 0)
        buf_printf(out, "pinned to replica %d", app->replica);
    else
        buf_append_text(out, "any replica");
    if (app->last_replica >= 0)
        buf_printf(out, "; the last answer came from %d", app->last_replica);
    buf_append_u8(out, '\n');
}

static colon_result_t run_replica(app_t *app, const char *text, buf_t *out, err_t *err)
{
    int64_t id = HEARSAY_ANY_REPLICA;

    if (text != NULL && strcmp(text, "any") != 0 &&
        (!slice_to_int64(slice_text(text), &id) || id < 0 || id > REPLICA_MAX)) {
        err_set(err, OUTCOME_USAGE, "\"%.*s\" is no replica: give an id from 0 to %d, or any",
                SHOWN, text, REPLICA_MAX);
        return COLON_FAILED;
    }
    if (text != NULL)
        app_pin_replica(app, (int)id);
    show_replica(app, out);
    return COLON_DONE;
}

static colon_result_t run_session(app_t *app, const char *text, buf_t *out, err_t *err)
{
    if (text != NULL && (text[0] == '\0' || strlen(text) > SESSION_NAME_MAX)) {
        err_set(err, OUTCOME_USAGE, "a session's name has 1 to %d bytes", SESSION_NAME_MAX);
        return COLON_FAILED;
    }
    if (text != NULL)
        app_switch_session(app, text);
    if (app->session_name == NULL)
        buf_append_text(out, "no session is kept (--no-session)\n");
    else
        buf_printf(out, "session %s%s\n", app->session_name,
                   app->keep != NULL ? "" : ", which cannot be kept");
    return COLON_DONE;
}

static colon_result_t run_token(app_t *app, const char *text, buf_t *out, err_t *err)
{
    if (text != NULL && hearsay_session_merge(app->session, text) != 0) {
        err_set(err, OUTCOME_USAGE,
                "this is no token of this cluster: give one as :token or --json shows it");
        return COLON_FAILED;
    }
    buf_printf(out, "%s\n", hearsay_token(app->session));
    return COLON_DONE;
}

static const colon_t table[] = {
    {":help", "[COMMAND]", "all commands, or one of them with examples"},
    {":replica", "[ID|any]", "shows, pins or frees the replica that serves the session"},
    {":session", "[NAME]", "shows the session, or goes on with another one"},
    {":token", "[TEXT]", "shows what the session has seen, or lets it know another one's"},
    {":quit", "", "ends the prompt, as Ctrl-D does"},
};

static colon_fn *const functions[] = {run_help, run_replica, run_session, run_token, run_quit};

enum { COLONS = sizeof(table) / sizeof(table[0]) };
_Static_assert(COLONS == sizeof(functions) / sizeof(functions[0]), "one function for each row");

const colon_t *colon_all(size_t *count)
{
    *count = COLONS;
    return table;
}

static const char *canonical(const char *name)
{
    if (strcmp(name, "help") == 0)
        return ":help";
    return strcmp(name, "quit") == 0 || strcmp(name, "exit") == 0 ? ":quit" : name;
}

static colon_result_t run_named(app_t *app, const char *name, const char *text, size_t count,
                                buf_t *out, err_t *err)
{
    const char *names[COLONS];

    for (size_t i = 0; i < COLONS; i++) {
        names[i] = table[i].name;
        if (strcmp(name, names[i]) != 0)
            continue;
        if (count <= (table[i].arguments[0] != '\0'))
            return functions[i](app, text, out, err);
        err_set(err, OUTCOME_USAGE, "too many words; usage: %s %s", names[i], table[i].arguments);
        return COLON_FAILED;
    }
    if (name[0] != ':')
        return COLON_NONE;
    const char *near = nearest(name, names, COLONS);
    if (near != NULL)
        err_set(err, OUTCOME_USAGE, "unknown command \"%.*s\": did you mean %s?", SHOWN, name,
                near);
    else
        err_set(err, OUTCOME_USAGE, "unknown command \"%.*s\": see :help", SHOWN, name);
    return COLON_FAILED;
}

colon_result_t colon_run(app_t *app, const words_t *words, buf_t *out, err_t *err)
{
    if (words->count == 0)
        return COLON_NONE;
    const hearsay_word_t *list = words->list;
    char *name = mem_text(list[0].data, list[0].size);
    char *text = words->count > 1 ? mem_text(list[1].data, list[1].size) : NULL;
    colon_result_t result = run_named(app, canonical(name), text, words->count - 1, out, err);
    free(name);
    free(text);
    return result;
}
