/*
 * A store for the sessions of a web site whose workers share nothing: each call is a request that
 * any worker, on any machine, could have got. The browser's cookie carries the visitor's id and the
 * token, so that the next worker sees what this one wrote, whichever replica serves it.
 *
 *     session_store BEACON_PORT new
 *     session_store BEACON_PORT put COOKIE NAME VALUE
 *     session_store BEACON_PORT get COOKIE NAME
 *     session_store BEACON_PORT touch COOKIE
 *
 * The last line is the cookie to send back, "cookie sid=ID; seen=TOKEN"; before it, of get, "value
 * …" or "none". Ends with 1 when the cookie is none, or with the exit code of the error.
 */
#include <hearsay.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEY_SIZE = 64, TOKEN_SIZE = 8192, TIMEOUT_MS = 20000 };

typedef struct visitor {
    char key[KEY_SIZE]; /* "visitor:ID": a hash of what the site keeps about them */
    char token[TOKEN_SIZE];
} visitor_t;

static int read_cookie(visitor_t *visitor, const char *cookie)
{
    char id[KEY_SIZE / 2];

    if (sscanf(cookie, "sid=%31[0-9a-f]; seen=%8191[A-Za-z0-9_-]", id, visitor->token) != 2)
        return -1;
    snprintf(visitor->key, sizeof(visitor->key), "visitor:%s", id);
    return 0;
}

/* A real site would take more chance than this, and sign its cookies. */
static void make_visitor(visitor_t *visitor)
{
    unsigned char bytes[8] = {0};
    FILE *chance = fopen("/dev/urandom", "rb");

    if (chance == NULL || fread(bytes, sizeof(bytes), 1, chance) != 1)
        abort();
    fclose(chance);
    int size = snprintf(visitor->key, sizeof(visitor->key), "visitor:");
    for (size_t i = 0; i < sizeof(bytes); i++)
        size += snprintf(visitor->key + size, sizeof(visitor->key) - (size_t)size, "%02x",
                         (unsigned)bytes[i]);
}

/* One command with up to four words, NULL for none; the exit code. */
static int run(hearsay_session_t *session, const char *const texts[4])
{
    hearsay_word_t words[4];
    size_t count = 0;

    while (count < 4 && texts[count] != NULL) {
        words[count] = (hearsay_word_t){texts[count], strlen(texts[count])};
        count++;
    }
    hearsay_reply_t *reply = hearsay_call(session, words, count, TIMEOUT_MS);
    const hearsay_value_t *value = hearsay_reply_value(reply);
    int code = hearsay_reply_exit(reply);
    if (code != 0)
        fprintf(stderr, "session_store: %s: %s\n", hearsay_reply_outcome(reply),
                hearsay_reply_text(reply));
    else if (hearsay_value_type(value) == HEARSAY_BYTES)
        printf("value %s\n", hearsay_value_bytes(value, NULL));
    else if (hearsay_value_type(value) == HEARSAY_NIL)
        printf("none\n");
    hearsay_reply_free(&reply);
    return code;
}

/* "seen" is when the visitor was here last: what a sweeper would go by. */
static int touch(hearsay_session_t *session, const char *key)
{
    char now[24];
    const char *const set_seen[4] = {"hset", key, "seen", now};

    snprintf(now, sizeof(now), "%lld", (long long)time(NULL));
    return run(session, set_seen);
}

static int serve(hearsay_session_t *session, const visitor_t *visitor, char **argv, int argc)
{
    if (argc == 6 && strcmp(argv[2], "put") == 0) {
        const char *const put[4] = {"hset", visitor->key, argv[4], argv[5]};
        return run(session, put);
    }
    if (argc == 5 && strcmp(argv[2], "get") == 0) {
        const char *const get[4] = {"hget", visitor->key, argv[4]};
        return run(session, get);
    }
    return touch(session, visitor->key);
}

int main(int argc, char **argv)
{
    const hearsay_options_t options = {.beacon_port = argc > 1 ? atoi(argv[1]) : 0};
    char error[HEARSAY_ERROR_SIZE];
    visitor_t visitor = {{0}, {0}};
    hearsay_t *cluster;

    if (argc == 3 && strcmp(argv[2], "new") == 0) {
        make_visitor(&visitor);
    } else if (argc < 4 || read_cookie(&visitor, argv[3]) != 0) {
        fprintf(stderr, "session_store: no cookie of ours; begin with new\n");
        return 1;
    }
    if (hearsay_open(&cluster, &options, error) != 0) {
        fprintf(stderr, "session_store: %s\n", error);
        return 2;
    }
    hearsay_session_t *session = hearsay_session_open(
        cluster, visitor.token[0] != '\0' ? visitor.token : NULL, HEARSAY_ANY_REPLICA);
    int code = session == NULL ? 1 : serve(session, &visitor, argv, argc);
    if (session == NULL)
        fprintf(stderr, "session_store: the cookie is damaged\n");
    else
        printf("cookie sid=%s; seen=%s\n", visitor.key + strlen("visitor:"),
               hearsay_token(session));
    hearsay_close(&cluster);
    return code;
}
