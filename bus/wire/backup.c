#include "bus/wire/backup.h"

#include "bus/wire/fields.h"

enum { PIECE_FIELDS = 6 };

void backup_piece_put(buf_t *out, const backup_piece_t *piece)
{
    mp_put_array(out, PIECE_FIELDS);
    mp_put_uint(out, piece->at.transfer);
    mp_put_uint(out, piece->at.part);
    mp_put_uint(out, piece->at.offset);
    mp_put_uint(out, piece->size);
    mp_put_bool(out, piece->is_last);
    mp_put_bin(out, piece->bytes);
}

bool backup_piece_read(slice_t document, backup_piece_t *out)
{
    mp_t in = mp_open(document);
    uint32_t items = fields_open(&in, PIECE_FIELDS);
    out->at.transfer = mp_uint(&in);
    out->at.part = mp_uint(&in);
    out->at.offset = mp_uint(&in);
    out->size = mp_uint(&in);
    out->is_last = mp_bool(&in);
    out->bytes = fields_bytes(&in, BACKUP_PIECE_MAX);
    return fields_close(&in, items, PIECE_FIELDS) && out->at.transfer != 0 &&
           out->at.offset <= out->size && out->bytes.size <= out->size - out->at.offset &&
           (out->bytes.size != 0 || out->size == 0);
}
