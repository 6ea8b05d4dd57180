/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changing from one configuration to the next while packets flow. */
#ifndef XCT_DAEMON_RELOAD_H
#define XCT_DAEMON_RELOAD_H

#include <stdbool.h>

struct xct_daemon;

/* Load the configuration again. True if it is in force; else all is as it was.
 * @text (caller frees; NULL: no memory) says how it went; it was logged. */
bool xct_reload(struct xct_daemon *daemon, char **text);

#endif
