/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The feed: what happens to flows, on its way from the engine to those who
 * follow it over the control socket. (daemon/events.h is for the log.)
 *
 * The engine writes under its lock into a ring of records of a fixed size. It
 * neither waits for readers nor knows of them; the main thread carries what it
 * finds to each reader from where that one has come to. A reader that the
 * engine has overtaken is told how many events it has missed. Without readers
 * there is no ring, and the engine writes nothing.
 *
 * All functions are the main thread's, and take the engine's lock themselves.
 */
#ifndef XCT_DAEMON_FEED_H
#define XCT_DAEMON_FEED_H

#include "common/flow_event.h"
#include "daemon/engine/engine.h"
#include "daemon/lock.h"

#define XCT_FEED_SIZE	 16384 /* events that a reader may be behind */
#define XCT_FEED_READERS 16

struct xct_feed; /* opaque */

/* Part of whoever reads: set .ready, leave the rest to the feed. */
struct xct_feed_reader {
	/* There may be something to read. */
	void (*ready)(struct xct_feed_reader *reader);
	struct xct_feed *feed; /* NULL: does not read */
	struct xct_feed_reader *next;
	struct xct_flow_follow follow;
	uint64_t cursor; /* sequence number of the next event */
};

struct xct_feed_stats {
	unsigned int readers;
	uint64_t events; /* told since the start */
	uint64_t missed; /* by readers, each counted for itself */
};

/* Of @engine, which @lock protects; both outlive it. It looks for events by a
 * timer of the epoll instance @epoll_fd (loop.h). NULL: errno says why. */
struct xct_feed *xct_feed_new(int epoll_fd, struct xct_engine *engine,
			      struct xct_lock *lock);
void xct_feed_free(struct xct_feed *feed); /* NULL accepted; no readers */

/* Read from now on what @follow asks for. -EUSERS: there are too many readers;
 * -ENOMEM. */
int xct_feed_join(struct xct_feed *feed, struct xct_feed_reader *reader,
		  const struct xct_flow_follow *follow);
void xct_feed_leave(struct xct_feed_reader *reader); /* may have left */

/* The next events, at most @room, which is at least 2. 0: none is there yet. */
uint32_t xct_feed_read(struct xct_feed_reader *reader,
		       struct xct_flow_event *events, uint32_t room);

void xct_feed_stats(const struct xct_feed *feed, struct xct_feed_stats *stats);

/* What this thread does to flows is the work of process @pid; 0: its own. */
void xct_feed_set_author(uint32_t pid);

#endif
