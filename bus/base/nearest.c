#include "bus/base/nearest.h"

#include <string.h>

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/*
 * The restricted Damerau distance ("optimal string alignment"), with the last three rows of its
 * table; both words are at most NEAREST_WORD_MAX long.
 */
static unsigned distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned rows[3][NEAREST_WORD_MAX + 1];
    for (size_t k = 0; k <= b_size; k++)
        rows[0][k] = (unsigned)k;
    for (size_t i = 1; i <= a_size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *two_above = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= b_size; k++) {
            row[k] = above[k - 1] + (a[i - 1] != b[k - 1]);
            row[k] = least(row[k], least(above[k], row[k - 1]) + 1);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                row[k] = least(row[k], two_above[k - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

const char *nearest(const char *word, const char *const names[], size_t count)
{
    enum { PREFIX_MIN = 3 };
    size_t size = strlen(word);
    if (size == 0 || size > NEAREST_WORD_MAX)
        return NULL;
    const char *best = NULL;
    unsigned best_edits = 0;
    for (size_t i = 0; i < count; i++) {
        size_t name_size = strlen(names[i]);
        if (name_size > NEAREST_WORD_MAX)
            continue;
        unsigned edits = distance(word, size, names[i], name_size);
        size_t longer = size > name_size ? size : name_size;
        if (edits > 1 && size >= PREFIX_MIN && strncmp(word, names[i], size) == 0)
            edits = 1;
        if (edits * 3 <= longer && (best == NULL || edits < best_edits)) {
            best = names[i];
            best_edits = edits;
        }
    }
    return best;
}
