/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the control socket tells about the daemon: JSON, and the hooks as text.
 * Each takes the engine's lock for as long as it copies numbers. The caller
 * frees what is returned; NULL: no memory. */
#ifndef XCT_DAEMON_REPORT_H
#define XCT_DAEMON_REPORT_H

struct xct_daemon;

char *xct_report_stats(struct xct_daemon *daemon);
char *xct_report_rules(struct xct_daemon *daemon);
char *xct_report_status(struct xct_daemon *daemon);
char *xct_report_hooks(struct xct_daemon *daemon);

#endif
