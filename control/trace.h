/*
 * hearsayctl trace: follows nodes and brokers live, merged by time, to standard output or into a
 * file for Perfetto.
 */
#ifndef HEARSAY_CONTROL_TRACE_H
#define HEARSAY_CONTROL_TRACE_H

#include "control/line.h"

typedef struct tracing_config {
    unsigned areas; /* bits 1 << trace_area_t */
    int node;       /* of this node alone; -1: of everybody */
    slice_t key;    /* of this key alone; empty: all */
    line_form_t form;
    const char *perfetto; /* file to write instead of lines, or NULL */
    int64_t until_ms;     /* boot time; INT64_MAX: until a signal */
    int64_t patience_ms;  /* boot time: until then somebody must be found */
} tracing_config_t;

/* Reads "sockets,gossip" into bits; -1 with err. */
int tracing_areas(const char *text, unsigned *areas, err_t *err);

/*
 * Follows until a signal, the time or the end of who reads standard output. Returns the exit code,
 * or -1 with err.
 */
int tracing_run(survey_t *survey, const tracing_config_t *config, err_t *err);

#endif
