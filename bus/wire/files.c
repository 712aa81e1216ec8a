#include "bus/wire/files.h"

#include "bus/wire/fields.h"

enum {
    FINDING_FIELDS = 4,
    REPORT_FIELDS = 10,
};

static void put_text(buf_t *out, slice_t text)
{
    mp_put_str(out, slice_of(text.data, text.size < FILES_TEXT_MAX ? text.size : FILES_TEXT_MAX));
}

void files_finding_put(buf_t *out, const files_finding_t *finding)
{
    mp_put_array(out, FINDING_FIELDS);
    mp_put_bool(out, finding->is_damage);
    put_text(out, finding->file);
    mp_put_uint(out, finding->offset);
    put_text(out, finding->text);
}

bool files_finding_next(mp_t *in, files_finding_t *out)
{
    if (mp_peek(in) == MP_END)
        return false;
    uint32_t items = fields_open(in, FINDING_FIELDS);
    out->is_damage = mp_bool(in);
    out->file = fields_bytes(in, FILES_TEXT_MAX);
    out->offset = mp_uint(in);
    out->text = fields_bytes(in, FILES_TEXT_MAX);
    mp_array_end(in, items, FINDING_FIELDS);
    return mp_ok(in);
}

void files_report_put(buf_t *out, const files_report_t *report)
{
    mp_put_array(out, REPORT_FIELDS);
    mp_put_uint(out, report->id);
    mp_put_uint(out, report->incarnation);
    mp_put_uint(out, (uint64_t)report->state);
    mp_put_uint(out, report->read);
    mp_put_uint(out, report->bytes);
    mp_put_uint(out, report->segments);
    mp_put_uint(out, report->entries);
    mp_put_uint(out, report->rows);
    mp_put_uint(out, report->damaged);
    fields_items_put(out, report->findings, report->findings_at);
}

static bool skip_finding(mp_t *in)
{
    files_finding_t item;
    return files_finding_next(in, &item);
}

bool files_report_read(slice_t document, files_report_t *out)
{
    mp_t in = mp_open(document);
    uint32_t items = fields_open(&in, REPORT_FIELDS);
    out->id = fields_u16(&in);
    out->incarnation = mp_uint(&in);
    out->state = (files_state_t)fields_uint(&in, FILES_DONE);
    out->read = mp_uint(&in);
    out->bytes = mp_uint(&in);
    out->segments = mp_uint(&in);
    out->entries = mp_uint(&in);
    out->rows = mp_uint(&in);
    out->damaged = mp_uint(&in);
    out->findings_at = fields_items(&in, FILES_FINDINGS_MAX, skip_finding, &out->findings);
    return fields_close(&in, items, REPORT_FIELDS) && out->state != 0;
}
