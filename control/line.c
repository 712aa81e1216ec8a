#include "control/line.h"

#include <inttypes.h>

#include "bus/base/json.h"
#include "bus/base/log.h"

enum { US = 1000 };

void line_put_time(buf_t *out, int64_t wall_us)
{
    log_put_time(out, wall_us / US);
    out->size--; /* the Z comes behind the microseconds */
    buf_printf(out, "%03dZ", (int)(wall_us % US));
}

void line_put_safe(buf_t *out, slice_t text)
{
    bool is_utf8 = slice_is_utf8(text);

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool is_c1 = c == 0xC2 && i + 1 < text.size && text.data[i + 1] < 0xA0;
        bool is_bad = c < 0x20 || c == 0x7F || (c >= 0x80 && !is_utf8) || is_c1;
        buf_append_u8(out, is_bad ? '?' : c);
        i += is_c1;
    }
}

/* "0:12", or the first digits of an incarnation that is not followed. */
static void put_update(buf_t *out, const follow_t *follow, vec_part_t update)
{
    int id = follow_id_of(follow, update.incarnation);

    if (id >= 0)
        buf_printf(out, " %d:%" PRIu64, id, update.count);
    else
        buf_printf(out, " %04x:%" PRIu64, (unsigned)(update.incarnation >> 48), update.count);
}

static void put_plain(buf_t *out, const follow_t *follow, const follow_stream_t *stream,
                      const trace_item_t *item)
{
    size_t start = out->size;

    line_put_time(out, item->wall_us);
    buf_printf(out, " %-12s %-19s", stream->name, trace_kind_name(item->kind));
    if (item->update.incarnation != 0)
        put_update(out, follow, item->update);
    if (item->text.size != 0) {
        buf_append_u8(out, ' ');
        line_put_safe(out, item->text);
    }
    if (item->key.size != 0) {
        buf_append_text(out, " key=");
        line_put_safe(out, item->key);
    }
    if (item->session != 0)
        buf_printf(out, " session=%016" PRIx64 " seq=%" PRIu64, item->session, item->seq);
    if (item->link != 0)
        buf_printf(out, " link=%u", item->link);
    while (out->size > start && out->data[out->size - 1] == ' ')
        out->size--;
}

static void put_json(buf_t *out, const follow_t *follow, const follow_stream_t *stream,
                     const trace_item_t *item)
{
    json_t json = json_open(out);
    buf_t time = {0};

    line_put_time(&time, item->wall_us);
    json_object(&json, NULL);
    json_string(&json, "time", buf_slice(&time));
    json_int(&json, "us", item->wall_us);
    json_text(&json, "program", stream->program == CONTROL_NODE ? "node" : "broker");
    json_text(&json, "name", stream->name);
    if (stream->program == CONTROL_NODE)
        json_uint(&json, "id", stream->id);
    json_hex64(&json, "incarnation", stream->incarnation);
    json_text(&json, "area", trace_area_name(trace_kind_area((trace_kind_t)item->kind)));
    json_text(&json, "what", trace_kind_name(item->kind));
    if (item->update.incarnation != 0) {
        json_object(&json, "update");
        json_int(&json, "id", follow_id_of(follow, item->update.incarnation));
        json_hex64(&json, "incarnation", item->update.incarnation);
        json_uint(&json, "n", item->update.count);
        json_end(&json);
    }
    if (item->session != 0)
        json_hex64(&json, "session", item->session);
    if (item->seq != 0)
        json_uint(&json, "seq", item->seq);
    if (item->key.size != 0)
        json_bytes(&json, "key", item->key);
    if (item->link != 0)
        json_uint(&json, "link", item->link);
    json_string(&json, "text", item->text);
    json_end(&json);
    buf_free(&time);
}

void line_put(buf_t *out, line_form_t form, const follow_t *follow, const follow_stream_t *stream,
              const trace_item_t *item)
{
    static const char *const colours[TRACE_AREAS] = {
        [TRACE_SOCKETS] = "\033[34m",
        [TRACE_REQUESTS] = "\033[36m",
        [TRACE_GOSSIP] = "\033[32m",
        [TRACE_EVENTS] = "\033[33m",
    };

    if (form == LINE_JSON) {
        put_json(out, follow, stream, item);
    } else {
        if (form == LINE_COLOURED)
            buf_append_text(out, colours[trace_kind_area((trace_kind_t)item->kind)]);
        put_plain(out, follow, stream, item);
        if (form == LINE_COLOURED)
            buf_append_text(out, "\033[0m");
    }
    buf_append_u8(out, '\n');
}
