#include "bus/config/config.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FILE_MAX = 1024 * 1024,
    SAID_MAX = 256,
    SHOWN = 64,
};

static int read_file(const char *path, buf_t *out, err_t *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? 1 : -1;

    while (got > 0 && out->size <= FILE_MAX) {
        got = read(fd, buf_reserve(out, FILE_MAX), FILE_MAX);
        if (got > 0)
            out->size += (size_t)got;
    }
    int number = errno;
    if (fd >= 0)
        close(fd);
    if (got < 0)
        return err_set(err, OUTCOME_USAGE, "cannot read the options in %.200s: %s", path,
                       strerror(number));
    if (out->size > FILE_MAX || memchr(out->data, '\0', out->size) != NULL)
        return err_set(err, OUTCOME_USAGE, "%.200s holds no options: it is %s", path,
                       out->size > FILE_MAX ? "too long" : "no text");
    return 0;
}

/*
 * czmq says on standard output what is wrong with a file. That is not for those who read it: said
 * becomes the text, as "(12) invalid syntax", and nothing is shown.
 */
static zconfig_t *load(const char *text, char said[SAID_MAX])
{
    int ends[2];
    ssize_t got = 0;

    said[0] = '\0';
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    if (pipe(ends) != 0) {
        close(saved);
        return zconfig_str_load(text);
    }
    dup2(ends[1], STDOUT_FILENO);
    zconfig_t *root = zconfig_str_load(text); /* one line at most: it fits into the pipe */
    fflush(stdout);
    if (saved >= 0)
        dup2(saved, STDOUT_FILENO);
    else
        close(STDOUT_FILENO); /* it was closed before */
    close(saved);
    close(ends[1]);
    got = read(ends[0], said, SAID_MAX - 1);
    close(ends[0]);
    said[got > 0 ? got : 0] = '\0';
    said[strcspn(said, "\n")] = '\0';
    const char *from = strstr(said, "(zconfig): ");
    if (from != NULL)
        memmove(said, from + 11, strlen(from + 11) + 1);
    return root;
}

/* The lines that hold something, in order: a tree's nodes are in the same. */
typedef struct lines {
    const char *at;
    unsigned line;
} lines_t;

static unsigned next_line(lines_t *self)
{
    while (*self->at != '\0') {
        const char *start = self->at + strspn(self->at, " \t");
        size_t size = strcspn(self->at, "\n");
        self->line++;
        self->at += size + (self->at[size] == '\n');
        if (*start != '\n' && *start != '\r' && *start != '#' && *start != '\0')
            break;
    }
    return self->line;
}

/* The lines of one section, or of no section (program: 0). */
static int take_settings(options_t *options, const char *file, zconfig_t *parent, unsigned program,
                         lines_t *lines, err_t *err)
{
    for (zconfig_t *node = zconfig_child(parent); node != NULL; node = zconfig_next(node)) {
        options_setting_t setting = {
            .file = file,
            .line = next_line(lines),
            .program = program,
            .name = zconfig_name(node),
            .value = zconfig_value(node),
        };
        unsigned section = program == 0 ? options_program_by_name(setting.name) : 0;
        if (section != 0) {
            if (take_settings(options, file, node, section, lines, err) != 0)
                return -1;
            continue;
        }
        if (zconfig_child(node) != NULL)
            return err_set(err, OUTCOME_USAGE,
                           "%.*s:%u: nothing stands under %.*s: only programs have parts", SHOWN,
                           file, setting.line + 1, SHOWN, setting.name);
        if (options_take_setting(options, &setting, err) != 0)
            return -1;
    }
    return 0;
}

static int take_file(options_t *options, const char *file, err_t *err)
{
    buf_t text = {0};
    char said[SAID_MAX];
    int rc = -1;

    if (read_file(file, &text, err) == 0) {
        lines_t lines = {.at = buf_text(&text)};
        zconfig_t *root = load(buf_text(&text), said);
        if (root != NULL)
            rc = take_settings(options, file, root, 0, &lines, err);
        else
            err_set(err, OUTCOME_USAGE, "%.200s: no options, line %s", file,
                    said[0] != '\0' ? said : "unknown");
        zconfig_destroy(&root);
    }
    buf_free(&text);
    return rc;
}

int config_parse(options_t *options, int argc, char *const argv[], err_t *err)
{
    if (options_parse(options, argc, argv, getenv, err) != 0)
        return -1;
    const char *file = options_text(options, "config");
    if (file == NULL || options_flag(options, "help") || options_flag(options, "version"))
        return 0;
    return take_file(options, file, err);
}
