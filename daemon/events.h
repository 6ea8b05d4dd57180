/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events on their way from the engine to the log. The engine reports them with
 * its lock held, where nothing may wait for a log; here they are copied, and
 * the main loop logs them.
 */
#ifndef XCT_DAEMON_EVENTS_H
#define XCT_DAEMON_EVENTS_H

#include "daemon/engine/engine.h"
#include "daemon/lock.h"

struct xct_events; /* opaque */

struct xct_events *xct_events_new(void);	 /* NULL: no memory */
void xct_events_free(struct xct_events *events); /* NULL accepted */

/* Copy @event; if there is no room it is only counted. With the engine's lock
 * held. */
void xct_events_put(struct xct_events *events, const struct xct_event *event);

/* Log what has come. @lock is the engine's, taken and released here; @ifname
 * names interfaces, as in struct xct_host_ops. */
void xct_events_log(struct xct_events *events, struct xct_lock *lock,
		    bool (*ifname)(void *ctx, uint32_t ifindex,
				   char name[static XCT_IFNAMSIZ]),
		    void *ctx, xct_msec now);

#endif
