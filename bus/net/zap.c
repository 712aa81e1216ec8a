#include "bus/net/zap.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "bus/base/memory.h"
#include "bus/net/keyring.h"
#include "bus/net/runtime.h"
#include "bus/net/wake.h"

/*
 * A question is what a ROUTER puts in front of it (an id, an empty frame), then version, request
 * id, domain, address, identity, mechanism and the key.
 */
enum {
    ENVELOPE_MAX = 4,
    QUESTION_FRAMES = 7,
    FRAMES_MAX = ENVELOPE_MAX + QUESTION_FRAMES,
    FRAME_MAX = 255, /* bytes of a frame that are looked at: no good one has more */
    DRAIN = 256,     /* questions between two looks at the wake-up */
};

typedef struct question {
    char frames[FRAMES_MAX][FRAME_MAX + 1]; /* with a NUL behind */
    size_t sizes[FRAMES_MAX];
    size_t count; /* frames that came, those beyond the room too */
} question_t;

enum { VERSION, REQUEST, DOMAIN, ADDRESS, IDENTITY, MECHANISM, KEY };

struct zap {
    pthread_t thread;
    void *socket; /* used by the thread alone, from its start to its end */
    keyring_t *keyring;
    denied_t *denied;
    wake_t end;
};

/* ---- the thread ---- */

/* Takes a whole message; false when none waits. */
static bool take(void *socket, question_t *out)
{
    int more = 1;

    for (out->count = 0; more != 0; out->count++) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frame);
            return false;
        }
        if (out->count < FRAMES_MAX) {
            size_t size = zmq_msg_size(&frame);
            size = size < FRAME_MAX ? size : FRAME_MAX;
            memcpy(out->frames[out->count], zmq_msg_data(&frame), size);
            out->frames[out->count][size] = '\0';
            out->sizes[out->count] = size;
        }
        more = zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return true;
}

/* The first frame behind the envelope, which ends with an empty one; FRAMES_MAX: there is none. */
static size_t begin_of(const question_t *question)
{
    for (size_t i = 0; i < ENVELOPE_MAX && i < question->count; i++)
        if (question->sizes[i] == 0)
            return question->count == i + 1 + QUESTION_FRAMES ? i + 1 : FRAMES_MAX;
    return FRAMES_MAX;
}

/* True for text that may be shown: libzmq's own is. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text > '~' || *text == '"')
            return false;
    return true;
}

/* The address of who asks as people write it; "?" when it is none. */
static const char *shown_address(const char *address)
{
    static const char mapped[] = "::ffff:";

    if (strncmp(address, mapped, sizeof(mapped) - 1) == 0 && strchr(address, '.') != NULL)
        address += sizeof(mapped) - 1;
    return address[0] != '\0' && is_plain(address) ? address : "?";
}

/* The name of the key when it may come in; else NULL, with why. */
static const char *judge(zap_t *self, const question_t *question, size_t at,
                         char why[DENIED_WHY_SIZE])
{
    const char(*frames)[FRAME_MAX + 1] = &question->frames[at];
    unsigned takes = key_roles_parse(frames[DOMAIN]);
    char roles[ROLES_TEXT_SIZE];
    char key[KEY_TEXT_SIZE];
    const char *name = NULL;
    uint8_t public_key[KEY_SIZE];

    if (strcmp(frames[VERSION], "1.0") != 0 || takes == 0 ||
        strcmp(frames[MECHANISM], "CURVE") != 0 || question->sizes[at + KEY] != KEY_SIZE) {
        snprintf(why, DENIED_WHY_SIZE, "it asks for what no socket here has");
        return NULL;
    }
    memcpy(public_key, frames[KEY], KEY_SIZE);
    unsigned has = keyring_find(self->keyring, public_key, &name);
    if ((has & takes) != 0)
        return name;
    if (has == 0) {
        snprintf(why, DENIED_WHY_SIZE, "its key %s is not among ours",
                 zmq_z85_encode(key, public_key, KEY_SIZE));
        return NULL;
    }
    int size = snprintf(why, DENIED_WHY_SIZE, "its key %s is of role %s, ", name,
                        key_roles_format(has, roles));
    snprintf(why + size, DENIED_WHY_SIZE - (size_t)size, "and this port is for %s",
             key_roles_format(takes, roles));
    return NULL;
}

static void send_frame(void *socket, const char *data, size_t size, bool more)
{
    /* Who asked may be gone meanwhile: then the answer is for nobody. */
    (void)zmq_send(socket, data, size, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
}

static void answer(zap_t *self, const question_t *question, size_t at, const char *name)
{
    const bool is_known = name != NULL;
    const char *const texts[] = {is_known ? "200" : "400", is_known ? "" : "denied",
                                 is_known ? name : "", ""};

    for (size_t i = 0; i <= at + REQUEST; i++)
        send_frame(self->socket, question->frames[i], question->sizes[i], true);
    for (size_t i = 0; i < 4; i++)
        send_frame(self->socket, texts[i], strlen(texts[i]), i < 3);
}

static void decide(zap_t *self, const question_t *question)
{
    size_t at = begin_of(question);
    char why[DENIED_WHY_SIZE];

    if (at == FRAMES_MAX) {
        denied_put(self->denied, "?", "it asks in no form of ZAP", true);
        return;
    }
    const char *name = judge(self, question, at, why);
    if (name == NULL)
        denied_put(self->denied, shown_address(question->frames[at + ADDRESS]), why, true);
    answer(self, question, at, name);
}

static void *run(void *arg)
{
    zap_t *self = arg;
    question_t *question = mem_alloc(sizeof(*question));
    zmq_pollitem_t items[] = {
        {.fd = self->end.read_fd, .events = ZMQ_POLLIN},
        {.socket = self->socket, .events = ZMQ_POLLIN},
    };

    while (zmq_poll(items, 2, -1) >= 0 || zmq_errno() == EINTR) {
        if (items[0].revents != 0)
            break;
        for (int i = 0; i < DRAIN && take(self->socket, question); i++)
            decide(self, question);
    }
    zmq_close(self->socket);
    free(question);
    return NULL;
}

/* ---- life ---- */

static int open_socket(zap_t *self, err_t *err)
{
    int linger_ms = 0;

    self->socket = zmq_socket(net_context(), ZMQ_ROUTER);
    if (self->socket == NULL)
        return err_set(err, OUTCOME_FULL, "cannot open a socket: %s; raise the limit of open files",
                       zmq_strerror(zmq_errno()));
    zmq_setsockopt(self->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
    if (zmq_bind(self->socket, "inproc://zeromq.zap.01") == 0)
        return 0;
    err_set(err, OUTCOME_FULL, "cannot ask who may connect: %s", zmq_strerror(zmq_errno()));
    zmq_close(self->socket);
    return -1;
}

int zap_open(zap_t **out, const char *folder, denied_t *denied, err_t *err)
{
    zap_t *self = mem_zero(1, sizeof(*self));

    self->denied = denied;
    if (wake_open(&self->end, err) != 0) {
        free(self);
        return -1;
    }
    if (open_socket(self, err) != 0) {
        wake_close(&self->end);
        free(self);
        return -1;
    }
    self->keyring = keyring_new(folder);
    int rc = pthread_create(&self->thread, NULL, run, self);
    if (rc == 0) {
        *out = self;
        return 0;
    }
    zmq_close(self->socket);
    keyring_destroy(&self->keyring);
    wake_close(&self->end);
    free(self);
    return err_set(err, OUTCOME_FULL, "cannot start a thread: %s; raise the limit of processes",
                   strerror(rc));
}

void zap_destroy(zap_t **self_p)
{
    zap_t *self = *self_p;

    if (self == NULL)
        return;
    wake_signal(&self->end);
    pthread_join(self->thread, NULL);
    keyring_destroy(&self->keyring);
    wake_close(&self->end);
    free(self);
    *self_p = NULL;
}
