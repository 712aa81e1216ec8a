/*
 * bus/base/json.h has names that jansson has too; so nothing of ours that includes it may be
 * included here, and of jansson only names that are its own are used.
 */
#include "client/tool/jsonl.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 48 };

/* A number as JSON has it; true and false too. */
static int put_other(const json_t *value, words_t *out)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    if (text == NULL)
        return -1;
    buf_append_text(&out->bytes, text);
    free(text);
    return 0;
}

static int put_value(const char *name, const json_t *value, words_t *out, err_t *err)
{
    if (json_is_string(value))
        buf_append(&out->bytes, json_string_value(value), json_string_length(value));
    else if ((!json_is_number(value) && !json_is_boolean(value)) || put_other(value, out) != 0)
        return err_set(err, OUTCOME_USAGE, "field \"%.*s\" is a list or an object", SHOWN, name);
    words_end(out);
    return 0;
}

int jsonl_take(slice_t line, words_t *out, err_t *err)
{
    json_error_t error;
    const char *name;
    json_t *value;

    json_t *root = json_loadb((const char *)line.data, line.size,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (root == NULL)
        return err_set(err, OUTCOME_USAGE, "no JSON: %.120s", error.text);
    int rc = json_is_object(root) ? 0 : err_set(err, OUTCOME_USAGE, "no object");
    for (void *at = json_object_iter(root); rc == 0 && at != NULL;
         at = json_object_iter_next(root, at)) {
        name = json_object_iter_key(at);
        value = json_object_iter_value(at);
        if (json_is_null(value))
            continue;
        buf_append_text(&out->bytes, name);
        words_end(out);
        rc = put_value(name, value, out, err);
    }
    json_decref(root);
    return rc;
}
