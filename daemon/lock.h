/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lock that nobody can take again past one who waits for it.
 *
 * A plain mutex is had by who comes first after it is given back, and that is
 * who has just given it back: the main thread, going through a large table in
 * short steps, would keep workers out for as long as it takes, since they have
 * to wake up first. Here whoever waits is next in turn: it holds .next while it
 * waits for .held, and others, the last holder among them, queue up for .next.
 */
#ifndef XCT_DAEMON_LOCK_H
#define XCT_DAEMON_LOCK_H

#include <pthread.h>
#include <sched.h>

struct xct_lock {
	pthread_mutex_t next;
	pthread_mutex_t held;
};

static inline void xct_lock_init(struct xct_lock *lock)
{
	pthread_mutex_init(&lock->next, NULL);
	pthread_mutex_init(&lock->held, NULL);
}

static inline void xct_lock_fini(struct xct_lock *lock)
{
	pthread_mutex_destroy(&lock->held);
	pthread_mutex_destroy(&lock->next);
}

static inline void xct_lock_take(struct xct_lock *lock)
{
	pthread_mutex_lock(&lock->next);
	pthread_mutex_lock(&lock->held);
	pthread_mutex_unlock(&lock->next);
}

static inline void xct_lock_give(struct xct_lock *lock)
{
	pthread_mutex_unlock(&lock->held);
}

/* After one of many steps: the processor is given back as well. A worker that
 * has been woken up on it would have to wait for the end of the time slice,
 * some milliseconds, for what is not even locked. */
static inline void xct_lock_give_way(struct xct_lock *lock)
{
	xct_lock_give(lock);
	(void)sched_yield(); /* cannot fail */
}

#endif
