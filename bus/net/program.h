/*
 * The frame of a program that serves: options, --help and --version, start and end of the process,
 * and its exit code. What it does in between is its own.
 */
#ifndef HEARSAY_BUS_NET_PROGRAM_H
#define HEARSAY_BUS_NET_PROGRAM_H

#include "bus/base/err.h"
#include "bus/base/options.h"

typedef struct program {
    unsigned option;       /* OPTION_NODE or OPTION_BROKER */
    const char *name;      /* "hearsay-node" */
    const char *component; /* in log lines: "node" */
    const char *usage;     /* before the options in --help */
    const char *examples;  /* behind them */
    /*
     * Reads its settings from options; -1 with err when they are wrong. What it leaves in
     * *settings is given to run and freed with free().
     */
    int (*read)(void **settings, const options_t *options, err_t *err);
    /* Serves until it ends; returns the exit code, or -1 with err when it could not start. */
    int (*run)(const void *settings, err_t *err);
} program_t;

/* The whole of main(); returns the exit code. */
int program_main(const program_t *program, int argc, char *const argv[]);

#endif
