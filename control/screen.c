#include "control/screen.h"

#include <ncurses.h>
#include <string.h>
#include <unistd.h>

static SCREEN *terminal;

int screen_open(err_t *err)
{
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        terminal = newterm(NULL, stdout, stdin);
    if (terminal == NULL)
        return err_set(
            err, OUTCOME_USAGE,
            "no terminal, or none that is known (TERM): hearsayctl top --once needs none");
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    curs_set(0);
    return 0;
}

void screen_close(void)
{
    if (terminal == NULL)
        return;
    endwin();
    delscreen(terminal);
    terminal = NULL;
}

void screen_draw(slice_t text)
{
    const char *at = (const char *)text.data;
    const char *end = at + text.size;

    erase();
    for (int line = 0; line < LINES && at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        int size = (int)(stop - at);
        if (line == 0)
            attron(A_REVERSE);
        mvaddnstr(line, 0, at, size < COLS ? size : COLS);
        attroff(A_REVERSE);
        at = stop + 1;
    }
    refresh();
}

int screen_key(void)
{
    int key = getch();
    return key == ERR ? 0 : key;
}
