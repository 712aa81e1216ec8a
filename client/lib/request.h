/*
 * A request before it goes out: its words checked against the table of commands and packed.
 */
#ifndef HEARSAY_CLIENT_LIB_REQUEST_H
#define HEARSAY_CLIENT_LIB_REQUEST_H

#include "bus/base/err.h"
#include "bus/wire/command.h"
#include "client/lib/hearsay.h"

/*
 * Appends the arguments as msgpack bin values to out. Returns the command, or NULL with err when
 * the words make no request.
 */
const command_t *request_pack(buf_t *out, const hearsay_word_t words[], size_t count, err_t *err);

#endif
