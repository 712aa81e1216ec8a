#include "bus/net/logger.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "bus/net/runtime.h"

static struct {
    const char *component;
    bool as_json;
    atomic_int level;
    atomic_uint dropped; /* lines since the last that got through */
} logger = {.component = "hearsay", .level = LOG_LEVEL_INFO};

void logger_open(const char *component, log_level_t level, bool as_json)
{
    logger.component = component;
    logger.as_json = as_json;
    logger_set_level(level);
}

void logger_set_level(log_level_t level)
{
    atomic_store_explicit(&logger.level, (int)level, memory_order_relaxed);
}

bool logger_wants(log_level_t level)
{
    return (int)level <= atomic_load_explicit(&logger.level, memory_order_relaxed);
}

/* Waits for room, and only once when there is none: the lines after that do not wait. */
static bool has_room(void)
{
    struct pollfd item = {.fd = STDERR_FILENO, .events = POLLOUT};
    int wait_ms = atomic_load(&logger.dropped) == 0 ? LOGGER_WAIT_MS : 0;

    return poll(&item, 1, wait_ms) > 0 && (item.revents & POLLOUT) != 0;
}

static bool write_bytes(const char *data, size_t size)
{
    ssize_t n;
    do
        n = write(STDERR_FILENO, data, size);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

static void write_line(buf_t *line)
{
    unsigned dropped;

    if (line->size > LOGGER_LINE_MAX && logger.as_json) {
        atomic_fetch_add(&logger.dropped, 1); /* half an object is worse than none */
        return;
    }
    if (line->size > LOGGER_LINE_MAX) {
        line->size = LOGGER_LINE_MAX - 1;
        while (line->size > 0 && (line->data[line->size] & 0xC0) == 0x80)
            line->size--; /* not inside a UTF-8 character */
        buf_append_u8(line, '\n');
    }
    if (!has_room()) {
        atomic_fetch_add(&logger.dropped, 1);
        return;
    }
    dropped = atomic_exchange(&logger.dropped, 0);
    if (dropped > 0) {
        buf_t said = {0};
        log_record_t record = logger_begin(&said, LOG_LEVEL_WARN, "log lines dropped");
        log_uint(&record, "lines", dropped);
        log_end(&record);
        write_bytes((const char *)said.data, said.size);
        buf_free(&said);
        if (!has_room()) {
            atomic_fetch_add(&logger.dropped, 1);
            return;
        }
    }
    if (!write_bytes((const char *)line->data, line->size))
        atomic_fetch_add(&logger.dropped, 1);
}

log_record_t logger_begin(buf_t *line, log_level_t level, const char *message)
{
    return log_begin(line, logger.as_json, net_now().wall_ms, level, logger.component, message);
}

void logger_end(log_record_t *record, log_level_t level)
{
    log_end(record);
    if (logger_wants(level))
        write_line(record->out);
    buf_reset(record->out);
}

void log_line(log_level_t level, const char *format, ...)
{
    char message[LOGGER_LINE_MAX / 2];
    buf_t line = {0};
    log_record_t record;
    va_list args;

    if (!logger_wants(level))
        return;
    va_start(args, format);
    if (vsnprintf(message, sizeof(message), format, args) < 0)
        message[0] = '\0';
    va_end(args);
    record = logger_begin(&line, level, message);
    logger_end(&record, level);
    buf_free(&line);
}
