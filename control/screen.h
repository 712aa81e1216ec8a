/*
 * The terminal of hearsayctl top, by ncurses: lines of text, drawn anew at will, and keys.
 *
 * One per process, as the terminal is. screen_close() gives the terminal back as it was.
 */
#ifndef HEARSAY_CONTROL_SCREEN_H
#define HEARSAY_CONTROL_SCREEN_H

#include "bus/base/bytes.h"
#include "bus/base/err.h"

/* Returns 0, or -1 with err when standard input and output are no terminal. */
int screen_open(err_t *err);
void screen_close(void);

/* Shows the lines of a text, as many as fit; the first one stands out. */
void screen_draw(slice_t text);

/* The next key that was pressed, 0 when there is none. Never waits. */
int screen_key(void);

#endif
