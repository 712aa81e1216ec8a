#include "control/table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/base/memory.h"

enum { CELL_SIZE = 1024 };

struct table_view {
    size_t columns;
    size_t widths[TABLE_COLUMNS_MAX];
    char **cells;
    size_t size;
    size_t capacity;
};

table_view_t *table_view_new(size_t columns, const char *const headings[])
{
    table_view_t *self = mem_zero(1, sizeof(*self));

    assert(columns >= 1 && columns <= TABLE_COLUMNS_MAX);
    self->columns = columns;
    for (size_t i = 0; i < columns; i++)
        table_view_cell(self, "%s", headings[i]);
    return self;
}

void table_view_destroy(table_view_t **self_p)
{
    table_view_t *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->size; i++)
        free(self->cells[i]);
    free(self->cells);
    free(self);
    *self_p = NULL;
}

void table_view_cell(table_view_t *self, const char *format, ...)
{
    char text[CELL_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (self->size == self->capacity)
        self->cells = mem_grow(self->cells, &self->capacity, sizeof(*self->cells));
    size_t width = strlen(text);
    size_t column = self->size % self->columns;
    if (width > self->widths[column])
        self->widths[column] = width;
    self->cells[self->size++] = mem_text(text, width);
}

void table_view_count(table_view_t *self, uint64_t value)
{
    table_view_cell(self, "%" PRIu64, value);
}

void table_view_put(const table_view_t *self, buf_t *out)
{
    for (size_t i = 0; i < self->size - self->size % self->columns; i++) {
        size_t column = i % self->columns;
        if (column + 1 == self->columns)
            buf_printf(out, "%s\n", self->cells[i]);
        else
            buf_printf(out, "%-*s  ", (int)self->widths[column], self->cells[i]);
    }
}
