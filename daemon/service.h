/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What systemd runs with all rights before and after xctd, which has few: it
 * opens what xctd may use but not open, tells it what it may not ask, and sees
 * to it that an xctd that dies again and again does not hold up packets.
 */
#ifndef XCT_DAEMON_SERVICE_H
#define XCT_DAEMON_SERVICE_H

#include "daemon/daemon.h"

/* How the lives of xctd went since it was last stopped. */
struct xct_lives {
	unsigned int starts; /* this one included */
	unsigned int failed; /* in a row, before they were ready */
	char end[32];	     /* of the one before: "killed SEGV", or "" */
};

/* Fails only in that all is 0: nothing is known. */
void xct_lives_read(struct xct_lives *lives);

/* Before xctd (--pre-start), before it is told to stop (--pre-stop), and after
 * it has ended in any way (--post-stop). An exit code; what went wrong has been
 * logged. */
enum xct_exit xct_service_pre_start(void);
enum xct_exit xct_service_pre_stop(void);
enum xct_exit xct_service_post_stop(const struct xct_options *options);

/* In xctd, on its way out: is no other to adopt its flows? */
bool xct_service_is_stopped(void);

/* Take away the hooks that an xctd has left (--unhook): the host shall be as if
 * it had never run. */
enum xct_exit xct_service_unhook(const struct xct_options *options);

#endif
