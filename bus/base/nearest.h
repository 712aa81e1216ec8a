/*
 * The nearest name: what somebody who mistyped an option or a command most likely meant.
 */
#ifndef HEARSAY_BUS_BASE_NEAREST_H
#define HEARSAY_BUS_BASE_NEAREST_H

#include <stddef.h>

/* Words longer than this are near to nothing. */
enum { NEAREST_WORD_MAX = 64 };

/*
 * The name of names[0..count) with the fewest edits (a character put in, left out, replaced, or two
 * neighbours swapped) from word, the first of several; a name that begins with word (three
 * characters or more) counts as one edit away. NULL when more than a third of the longer one would
 * have to change. The answer is one of the pointers given.
 */
const char *nearest(const char *word, const char *const names[], size_t count);

#endif
