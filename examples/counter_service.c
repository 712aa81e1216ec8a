/*
 * Counts page visits: reads one page a line (of which 255 bytes count) from standard input, counts
 * it in the hash "pages" and writes "PAGE COUNT" once the cluster has it. At the end it writes all
 * counts and the token of its session, with which the next run, anywhere, begins after all that
 * this one has seen.
 *
 *     counter_service BEACON_PORT [TOKEN] < pages
 *
 * The lines in flight travel together. When a replica or a broker dies, the library finds another
 * one and sends again what was not answered; each visit still counts once.
 */
#include <hearsay.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IN_FLIGHT_MAX = 64, PAGE_SIZE = 256, TIMEOUT_MS = 20000 };

typedef struct visit {
    char page[PAGE_SIZE];
} visit_t;

static hearsay_t *cluster;
static hearsay_session_t *session;
static int exit_code;

static void fail(const char *what, const hearsay_reply_t *reply)
{
    fprintf(stderr, "counter_service: %s: %s: %s\n", what, hearsay_reply_outcome(reply),
            hearsay_reply_text(reply));
    if (hearsay_reply_may_be_applied(reply))
        fprintf(stderr, "counter_service: it may have been counted\n");
    exit_code = hearsay_reply_exit(reply);
}

static void take_count(void *arg, hearsay_reply_t *reply)
{
    visit_t *visit = arg;

    if (hearsay_reply_ok(reply))
        printf("%s %lld\n", visit->page, hearsay_value_integer(hearsay_reply_value(reply)));
    else
        fail(visit->page, reply);
    fflush(stdout);
    hearsay_reply_free(&reply);
    free(visit);
}

static void count_visit(const char *page, size_t size)
{
    visit_t *visit = calloc(1, sizeof(*visit));

    if (visit == NULL)
        abort();
    memcpy(visit->page, page, size < PAGE_SIZE ? size : PAGE_SIZE - 1);
    const hearsay_word_t words[] = {{"hincr", 5}, {"pages", 5}, {visit->page, strlen(visit->page)}};
    hearsay_submit(session, words, 3, TIMEOUT_MS, take_count, visit);
}

/* Takes the whole lines at the start of text; returns how many bytes they had. */
static size_t take_lines(const char *text, size_t size)
{
    size_t taken = 0;

    while (hearsay_pending(cluster) < IN_FLIGHT_MAX) {
        const char *newline = memchr(text + taken, '\n', size - taken);
        if (newline == NULL)
            break;
        size_t length = (size_t)(newline - text) - taken;
        if (length > 0)
            count_visit(text + taken, length);
        taken += length + 1;
    }
    return taken;
}

static void serve(void)
{
    char text[4096];
    size_t size = 0;
    int is_over = 0;

    while (!is_over || size > 0 || hearsay_pending(cluster) > 0) {
        size_t taken = take_lines(text, size);
        memmove(text, text + taken, size -= taken);
        int is_full = hearsay_pending(cluster) >= IN_FLIGHT_MAX;
        if (!is_full && (is_over || size == sizeof(text)) && size > 0) {
            count_visit(text, size); /* the last line, or one that is too long */
            size = 0;
        }
        int reads = !is_over && !is_full && size < sizeof(text);
        if ((hearsay_wait(cluster, reads ? STDIN_FILENO : -1, -1) & HEARSAY_READABLE) != 0) {
            ssize_t got = read(STDIN_FILENO, text + size, sizeof(text) - size);
            is_over = got <= 0;
            size += got > 0 ? (size_t)got : 0;
        }
    }
}

static void show_counts(void)
{
    const hearsay_word_t words[] = {{"hgetall", 7}, {"pages", 5}};
    hearsay_reply_t *reply = hearsay_call(session, words, 2, TIMEOUT_MS);
    const hearsay_value_t *pages = hearsay_reply_value(reply);

    if (!hearsay_reply_ok(reply))
        fail("hgetall", reply);
    for (size_t i = 0; i < hearsay_value_count(pages); i++)
        printf("total %s %s\n", hearsay_value_bytes(hearsay_value_key(pages, i), NULL),
               hearsay_value_bytes(hearsay_value_item(pages, i), NULL));
    hearsay_reply_free(&reply);
    printf("token %s\n", hearsay_token(session));
}

int main(int argc, char **argv)
{
    const hearsay_options_t options = {.beacon_port = argc > 1 ? atoi(argv[1]) : 0};
    char error[HEARSAY_ERROR_SIZE];

    if (hearsay_open(&cluster, &options, error) != 0) {
        fprintf(stderr, "counter_service: %s\n", error);
        return 2;
    }
    session = hearsay_session_open(cluster, argc > 2 ? argv[2] : NULL, HEARSAY_ANY_REPLICA);
    if (session == NULL) {
        fprintf(stderr, "counter_service: \"%s\" is no token\n", argv[2]);
        hearsay_close(&cluster);
        return 2;
    }
    serve();
    show_counts();
    hearsay_close(&cluster);
    return exit_code;
}
