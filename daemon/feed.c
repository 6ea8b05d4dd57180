/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The feed: see feed.h.
 *
 * Theory of operation
 *
 * Event number s (from 1 on) is in the record s % SIZE until number s + SIZE
 * overwrites it. The lock is held to write one record, and to copy at most a
 * batch of them out; choosing and sending is done without it. Workers do not
 * tell that there is something to read, which would take a system call for
 * packets: a timer looks, and only while somebody reads.
 */
#include "daemon/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/loop.h"

#define LOOK_MS	    20
#define BATCH	    128 /* copied under one hold of the lock */
#define BATCHES_MAX 16	/* looked at in one call */

struct xct_feed {
	struct xct_poll timer; /* first: what epoll's data.ptr points to */
	struct xct_engine *engine;
	struct xct_lock *lock;
	struct xct_feed_reader *readers;
	unsigned int n_readers;
	uint64_t missed;

	/* Under the lock. */
	struct xct_flow_event *ring; /* NULL: nobody reads */
	uint64_t next;		     /* sequence number to be given */

	struct xct_flow_event batch[BATCH];
};

static _Thread_local uint32_t author;

void xct_feed_set_author(uint32_t pid)
{
	author = pid;
}

/* Called by the engine, so with the lock held. */
static struct xct_flow_event *next_event(void *ctx)
{
	struct xct_feed *feed = ctx;
	struct xct_flow_event *event = &feed->ring[feed->next % XCT_FEED_SIZE];

	event->seq = feed->next++;
	event->missed = 0;
	event->portid = author;
	return event;
}

static uint64_t next_seq(struct xct_feed *feed)
{
	uint64_t next;

	xct_lock_take(feed->lock);
	next = feed->next;
	xct_lock_give(feed->lock);
	return next;
}

static void timer_ready(struct xct_poll *poll, uint32_t events)
{
	struct xct_feed *feed = (struct xct_feed *)poll;
	uint64_t ticks, next = next_seq(feed);

	(void)events;
	/* Only to make it wait again. */
	(void)!read(poll->fd, &ticks, sizeof(ticks));
	for (struct xct_feed_reader *r = feed->readers; r; r = r->next)
		if (r->cursor != next)
			r->ready(r);
}

static void set_timer(const struct xct_feed *feed, long ms)
{
	const struct itimerspec every = {
		.it_interval.tv_nsec = ms * 1000000L,
		.it_value.tv_nsec = ms * 1000000L,
	};

	/* Fails only for arguments that are wrong. */
	(void)timerfd_settime(feed->timer.fd, 0, &every, NULL);
}

/* Have the engine write into @ring, or nowhere. Returns the ring before. */
static struct xct_flow_event *swap_ring(struct xct_feed *feed,
					struct xct_flow_event *ring)
{
	struct xct_flow_event *old;

	xct_lock_take(feed->lock);
	old = feed->ring;
	feed->ring = ring;
	xct_engine_watch(feed->engine, ring ? next_event : NULL, feed);
	xct_lock_give(feed->lock);
	return old;
}

static int start(struct xct_feed *feed)
{
	const size_t size = XCT_FEED_SIZE * sizeof(struct xct_flow_event);
	struct xct_flow_event *ring = malloc(size);

	if (!ring)
		return -ENOMEM;
	memset(ring, 0, size); /* no page is to be missing for a packet */
	(void)swap_ring(feed, ring);
	set_timer(feed, LOOK_MS);
	return 0;
}

struct xct_feed *xct_feed_new(int epoll_fd, struct xct_engine *engine,
			      struct xct_lock *lock)
{
	struct xct_feed *feed = calloc(1, sizeof(*feed));
	struct epoll_event event = { .events = EPOLLIN };
	int error;

	if (!feed)
		return NULL;
	feed->engine = engine;
	feed->lock = lock;
	feed->next = 1;
	feed->timer.ready = timer_ready;
	feed->timer.fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	event.data.ptr = &feed->timer;
	if (feed->timer.fd >= 0 &&
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, feed->timer.fd, &event) == 0)
		return feed;
	error = errno;
	xct_feed_free(feed);
	errno = error;
	return NULL;
}

void xct_feed_free(struct xct_feed *feed)
{
	if (!feed)
		return;
	free(swap_ring(feed, NULL));
	if (feed->timer.fd >= 0)
		(void)close(feed->timer.fd); /* also ends epoll's interest */
	free(feed);
}

int xct_feed_join(struct xct_feed *feed, struct xct_feed_reader *reader,
		  const struct xct_flow_follow *follow)
{
	if (feed->n_readers >= XCT_FEED_READERS)
		return -EUSERS;
	if (!feed->ring && start(feed) < 0)
		return -ENOMEM;
	reader->feed = feed;
	reader->follow = *follow;
	reader->cursor = next_seq(feed);
	reader->next = feed->readers;
	feed->readers = reader;
	feed->n_readers++;
	return 0;
}

void xct_feed_leave(struct xct_feed_reader *reader)
{
	struct xct_feed *feed = reader->feed;
	struct xct_feed_reader **link;

	if (!feed)
		return;
	for (link = &feed->readers; *link != reader; link = &(*link)->next)
		;
	*link = reader->next;
	reader->feed = NULL;
	feed->n_readers--;
	if (feed->n_readers > 0)
		return;
	free(swap_ring(feed, NULL));
	set_timer(feed, 0);
}

/* Copy what comes next for a reader into the batch, at most @max. Returns how
 * many there are, and in *@missed how many before them are lost. */
static uint32_t take_batch(struct xct_feed *feed, uint64_t cursor, uint32_t max,
			   uint64_t *missed)
{
	uint64_t left;
	uint32_t n;

	xct_lock_take(feed->lock);
	left = feed->next - cursor;
	*missed = left > XCT_FEED_SIZE ? left - XCT_FEED_SIZE : 0;
	left -= *missed;
	n = left < max ? (uint32_t)left : max;
	for (uint32_t i = 0; i < n; i++)
		feed->batch[i] =
			feed->ring[(cursor + *missed + i) % XCT_FEED_SIZE];
	xct_lock_give(feed->lock);
	return n;
}

/* An event as it is sent: with times of the wall clock. */
static void date(struct xct_flow_event *event, xct_msec behind)
{
	event->time_ms += behind;
	if (!(1u << event->type & XCT_EXPECT_EVENTS))
		event->flow.start_ms = event->time_ms - event->flow.age_ms;
}

static bool is_wanted(const struct xct_flow_follow *follow,
		      const struct xct_flow_event *event)
{
	return follow->types & 1u << event->type &&
	       (1u << event->type & XCT_EXPECT_EVENTS ||
		xct_flow_filter_match(&follow->filter, &event->flow));
}

uint32_t xct_feed_read(struct xct_feed_reader *reader,
		       struct xct_flow_event *events, uint32_t room)
{
	struct xct_feed *feed = reader->feed;
	xct_msec wall = xct_clock_wall();
	xct_msec behind = wall - xct_clock_now();
	uint32_t n = 0;

	/* One place is for what may have been missed. */
	for (int i = 0; i < BATCHES_MAX && n + 1 < room; i++) {
		uint32_t max = room - n - 1 < BATCH ? room - n - 1 : BATCH;
		uint64_t missed;
		uint32_t got = take_batch(feed, reader->cursor, max, &missed);

		if (got == 0)
			break;
		if (missed > 0) {
			events[n++] = (struct xct_flow_event){
				.seq = reader->cursor,
				.time_ms = wall,
				.missed = missed,
				.type = XCT_FLOW_MISSED,
			};
			feed->missed += missed;
		}
		reader->cursor += missed + got;
		for (uint32_t k = 0; k < got; k++) {
			if (!is_wanted(&reader->follow, &feed->batch[k]))
				continue;
			events[n] = feed->batch[k];
			date(&events[n++], behind);
		}
	}
	return n;
}

void xct_feed_stats(const struct xct_feed *feed, struct xct_feed_stats *stats)
{
	stats->readers = feed->n_readers;
	stats->missed = feed->missed;
	xct_lock_take(feed->lock);
	stats->events = feed->next - 1;
	xct_lock_give(feed->lock);
}
