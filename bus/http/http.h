/*
 * What people's monitoring asks over HTTP: /metrics, /healthz, /readyz and /v1/status.
 *
 * libmicrohttpd in the program's loop, by its epoll descriptor, without threads of its own. All is
 * made from one document, the program's own (bus/wire/control.h), when it is needed. Hostile
 * requests are refused cheaply: HTTP_CONNECTIONS_MAX connections, HTTP_REQUEST_MAX bytes of head,
 * HTTP_IDLE_S of silence, HTTP_LIFE_MS in all, GET and HEAD alone, one request for each connection.
 *
 * An http_t belongs to the loop's thread. It borrows the loop, which outlives it.
 */
#ifndef HEARSAY_BUS_HTTP_HTTP_H
#define HEARSAY_BUS_HTTP_HTTP_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"
#include "bus/net/loop.h"
#include "bus/net/socket.h"

enum {
    HTTP_CONNECTIONS_MAX = 32,
    HTTP_REQUEST_MAX = 16 * 1024, /* bytes that a connection takes in memory */
    HTTP_IDLE_S = 5,
    HTTP_LIFE_MS = 10000,
};

typedef struct http http_t;

/* The document of the program, as of now; borrowed until it is asked for again. */
typedef slice_t http_document_fn(void *arg);

/*
 * Serves at a host and port. *out is owned by the caller. Returns 0, or -1 with err: an address
 * that is not of this machine or in use.
 */
int http_open(http_t **out, loop_t *loop, const endpoint_t *at, http_document_fn *fn, void *arg,
              err_t *err);
void http_close(http_t **self);

/* When http_tick wants to be called next, in boot ms; both do nothing for NULL. */
int64_t http_deadline(const http_t *self);
void http_tick(http_t *self);

/*
 * What a path is answered with: appends the body and returns the status, 404 for one that is none.
 * fn is asked once, with arg, where the answer is made from the document. *type: static.
 */
unsigned http_answer(const char *path, http_document_fn *fn, void *arg, buf_t *body,
                     const char **type);

#endif
