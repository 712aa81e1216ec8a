/*
 * A table for people: rows of cells in aligned columns, two blanks apart, the last one as long as
 * it likes. Owns its texts.
 */
#ifndef HEARSAY_CONTROL_TABLE_H
#define HEARSAY_CONTROL_TABLE_H

#include "bus/base/bytes.h"

enum { TABLE_COLUMNS_MAX = 20 };

typedef struct table_view table_view_t;

/* With a first row of headings, as many as columns (at most TABLE_COLUMNS_MAX). */
table_view_t *table_view_new(size_t columns, const char *const headings[]);
void table_view_destroy(table_view_t **self);

/* The next cell, row by row; as printf. */
__attribute__((format(printf, 2, 3))) void table_view_cell(table_view_t *self, const char *format,
                                                           ...);

/* A number as the next cell. */
void table_view_count(table_view_t *self, uint64_t value);

/* Appends the lines of all complete rows. */
void table_view_put(const table_view_t *self, buf_t *out);

#endif
