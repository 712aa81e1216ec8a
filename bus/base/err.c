#include "bus/base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

int err_set(err_t *err, outcome_t outcome, const char *format, ...)
{
    if (err == NULL)
        return -1;
    err->outcome = outcome;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return -1;
}
