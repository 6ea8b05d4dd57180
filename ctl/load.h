/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of commands, as -o save writes them: a command a line. */
#ifndef XCT_CTL_LOAD_H
#define XCT_CTL_LOAD_H

#include "ctl/ctl.h"

/* Run the words of a line; argv[0] is not one of them. */
typedef enum xct_exit (*xct_load_fn)(void *ctx, int argc, char **argv);

/*
 * Hand the lines of @path ("-": standard input) to @run one after the other, up
 * to the first that fails; what is said meanwhile begins with the line's
 * number. Empty lines, and those that begin with "#", are passed over.
 */
enum xct_exit xct_load_file(const char *path, xct_load_fn run, void *ctx);

#endif
