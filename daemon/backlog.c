/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packets that have come in and have not been handled yet.
 *
 * Theory of operation: in the kernel's tracking a packet that has been sent is
 * in the table when send() returns. Here it is in a queue then, and who asks
 * for the table at once could be faster. So before such a question is answered
 * the ids of the newest packets, which the kernel tells, are compared with
 * those that the workers have answered. That a queue is empty is the usual
 * case, and costs a look.
 */
#include "daemon/backlog.h"

#include <time.h>

#include "daemon/clock.h"
#include "daemon/nfq_info.h"

#define WAIT_MS	 50
#define STEP_NS	 50000
#define PAUSE_MS 1000 /* after a wait in vain */

struct backlog {
	struct xct_worker *const *workers;
	unsigned int n;
	uint32_t last_id[XCT_WORKERS_MAX];
	bool is_left[XCT_WORKERS_MAX]; /* packets up to that one */
};

static void note_queue(void *arg, uint16_t number,
		       const struct xct_nfq_info *info)
{
	struct backlog *b = arg;
	/* Their numbers follow each other. */
	unsigned int i = number - (unsigned int)xct_nfq_number(
					  xct_worker_nfq(b->workers[0]));

	if (i >= b->n)
		return; /* somebody else's */
	b->last_id[i] = info->last_id;
	b->is_left[i] = info->waiting > 0;
}

static bool is_handled(struct backlog *b)
{
	for (unsigned int i = 0; i < b->n; i++) {
		if (b->is_left[i] &&
		    xct_worker_has_answered(b->workers[i], b->last_id[i]))
			b->is_left[i] = false;
		if (b->is_left[i])
			return false;
	}
	return true;
}

void xct_backlog_wait(struct xct_worker *const *workers, unsigned int n,
		      xct_msec *vain_at)
{
	const struct timespec step = { .tv_nsec = STEP_NS };
	struct backlog b = { .workers = workers, .n = n };
	xct_msec now = xct_clock_now();
	xct_msec until = now + WAIT_MS;

	if (n == 0 || now - *vain_at < PAUSE_MS)
		return;
	xct_nfq_each(note_queue, &b);
	/* A packet that the socket had no room for has an id as well, and is
	 * never answered. */
	while (!is_handled(&b)) {
		now = xct_clock_now();
		if (now >= until) {
			*vain_at = now;
			return;
		}
		(void)nanosleep(&step, NULL); /* a signal only hastens it */
	}
}
