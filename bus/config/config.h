/*
 * The file that --config names, in ZPL (https://rfc.zeromq.org/spec/4): NAME = VALUE a line, where
 * NAME is an option's without its dashes. Options that may be repeated stand on several lines.
 * Under a line with a program's name, indented by four blanks, stands what is for it alone.
 */
#ifndef HEARSAY_BUS_CONFIG_CONFIG_H
#define HEARSAY_BUS_CONFIG_CONFIG_H

#include "bus/base/err.h"
#include "bus/base/options.h"

/*
 * options_parse with the environment of the process, then the file, if one is named. Not while
 * other threads run. 0, or -1 with err of outcome USAGE.
 */
int config_parse(options_t *options, int argc, char *const argv[], err_t *err);

#endif
