#include "control/verify.h"

#include <inttypes.h>

#include "bus/base/json.h"
#include "replica/disk/verify.h"

typedef struct report {
    buf_t *out;
    json_t *json; /* NULL: for people */
} report_t;

static void take_finding(void *arg, const verify_finding_t *finding)
{
    report_t *report = arg;
    const char *weight = finding->weight == VERIFY_DAMAGE ? "damage" : "harmless";

    if (report->json == NULL) {
        buf_printf(report->out, "%s: %s\n", weight, finding->text);
        return;
    }
    json_object(report->json, NULL);
    json_text(report->json, "weight", weight);
    json_text(report->json, "file", finding->file);
    json_uint(report->json, "offset", finding->offset);
    json_uint(report->json, "position", finding->position);
    json_text(report->json, "text", finding->text);
    json_end(report->json);
}

static void put_totals(report_t *report, const char *folder, const verified_t *verified)
{
    json_t *json = report->json;

    if (json == NULL) {
        buf_printf(report->out,
                   "%s: %" PRIu64 " segments, %" PRIu64 " good entries, %" PRIu64
                   " good rows in the checkpoint, ",
                   folder, verified->segments, verified->entries, verified->rows);
        if (verified->damaged == 0)
            buf_append_text(report->out, "no damage\n");
        else
            buf_printf(report->out, "%" PRIu64 " damaged\n", verified->damaged);
        return;
    }
    json_end(json);
    json_bool(json, "ok", verified->damaged == 0);
    json_text(json, "folder", folder);
    json_uint(json, "segments", verified->segments);
    json_uint(json, "entries", verified->entries);
    json_uint(json, "rows", verified->rows);
    json_uint(json, "damaged", verified->damaged);
    json_end(json);
    buf_append_u8(report->out, '\n');
}

int verify_folder(buf_t *out, const char *folder, bool as_json, bool *is_damaged, err_t *err)
{
    json_t json = json_open(out);
    report_t report = {out, as_json ? &json : NULL};
    verified_t verified = {0};

    if (as_json) {
        json_object(&json, NULL);
        json_array(&json, "findings");
    }
    if (disk_verify(folder, take_finding, &report, &verified, err) != 0)
        return -1;
    put_totals(&report, folder, &verified);
    *is_damaged = verified.damaged != 0;
    return 0;
}
