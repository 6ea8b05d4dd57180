/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The main loop of the daemon: what goes on once it has started. */
#ifndef XCT_DAEMON_RUN_H
#define XCT_DAEMON_RUN_H

#include "daemon/clock.h"
#include "daemon/probe.h"

struct xct_daemon;

/* Make the loop, with signals and a timer in it. Before there is any other
 * thread: these signals are blocked from then on. */
enum xct_exit xct_run_start(struct xct_daemon *daemon);

/* Follow interfaces and addresses; the rules of nf_tables. False: errno says
 * why not. */
bool xct_run_follow_links(struct xct_daemon *daemon);
bool xct_run_follow_rules(struct xct_daemon *daemon);

/* Look at IPv6 fragments, where the hooks have them put together. */
void xct_run_watch_fragments(struct xct_daemon *daemon);

/*
 * Flows have come, or may have, that are translated though no rule asks for it:
 * have the hooks let them be.
 */
void xct_run_widen_hooks(struct xct_daemon *daemon);

/* Run until a signal or a failure ends it. */
enum xct_exit xct_run(struct xct_daemon *daemon);

/* STATUS= for systemd. */
void xct_run_tell_status(struct xct_daemon *daemon, xct_msec now);

#endif
