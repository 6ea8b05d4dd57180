/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker: a thread that owns one queue and carries its packets through the
 * engine.
 */
#ifndef XCT_DAEMON_WORKER_H
#define XCT_DAEMON_WORKER_H

#include "daemon/engine/engine.h"
#include "daemon/lock.h"
#include "daemon/memory.h"
#include "daemon/nfq.h"
#include "daemon/rawsend.h"

#define XCT_WORKERS_MAX XCT_QUEUES_MAX

/* What all workers share; outlives them. */
struct xct_worker_env {
	struct xct_engine *engine;
	struct xct_lock *lock;	       /* the engine's */
	const struct xct_rawsend *raw; /* for what the engine answers with */
	uint32_t mark_mask;	       /* two adjacent bits */
	_Atomic uint32_t busy_poll_us; /* before waiting for packets */
	int failed_fd;	 /* eventfd: written to when a worker cannot go on */
	bool *has_begun; /* set when a batch begins; under the lock */
	/* One of its packets leaves with an address that the hooks do not name
	 * yet; under the lock. It waits as long as they are behind, but not
	 * past a time that all such packets share; 0: they are not. */
	bool *is_early;
	_Atomic xct_msec behind_until;
};

struct xct_worker; /* opaque */

/* Start a thread for @nfq, which is the worker's from now on, also on failure.
 * @pending is what a predecessor has left unanswered, and where this worker
 * notes the same. Signals must be blocked already. 0 or -errno. */
int xct_worker_start(struct xct_worker **worker, struct xct_nfq *nfq,
		     struct xct_pending *pending,
		     const struct xct_worker_env *env);

/* End the thread and close the socket, having handled what still waits in the
 * queue, unless that is left to a successor. NULL accepted. */
void xct_worker_stop(struct xct_worker *worker, bool has_successor);

struct xct_nfq *xct_worker_nfq(const struct xct_worker *worker);

/* Has it handled the packet with @id, and those before it? */
bool xct_worker_has_answered(const struct xct_worker *worker, uint32_t id);

/* When it last showed life: at least every second. */
xct_msec xct_worker_seen_at(const struct xct_worker *worker);

#endif
