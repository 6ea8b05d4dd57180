/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packets that have come in and have not been handled yet. */
#ifndef XCT_DAEMON_BACKLOG_H
#define XCT_DAEMON_BACKLOG_H

#include "daemon/worker.h"

/*
 * Wait until what is in the queues of @workers by now has been handled, so that
 * who asks for flows is told of every packet that was there before, but no
 * longer than 50 ms: where more than that waits, nobody can tell one packet
 * from the next. After a wait in vain there is none for a second: many who ask
 * would keep the main thread from its timers. *@vain_at, 0 at first, is when
 * that was. Not under the engine's lock.
 */
void xct_backlog_wait(struct xct_worker *const *workers, unsigned int n,
		      xct_msec *vain_at);

#endif
