/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker: receives a batch of packets, reads them, takes the engine's lock
 * once to handle all of them, answers them with one message, and only then
 * waits again.
 *
 * Theory of operation
 *
 * Nearly all cost of NFQUEUE is in the kernel's receive and reinject, which run
 * in the thread that calls them and outside the lock; so workers scale although
 * the engine is used by one at a time. Nothing is allocated and nothing is
 * logged for a packet.
 *
 * A worker that is told to stop does so when it has found the queue empty for
 * DRAIN_MS (or STOP_MS are over). It ends as well when its socket fails, which
 * it tells the main loop.
 */
#include "daemon/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/nfq_info.h"

#define HEARTBEAT_MS 500
#define DRAIN_MS     20	  /* a packet on its way into the queue has arrived */
#define STOP_MS	     1000 /* where hooks of others go on feeding the queue */
#define SOON_US	     5	  /* a burst's next packet has come */
#define BACKOFF_MAX  127  /* waits without a whole budget before one with */
#define LOOK_US	     500  /* between two looks whether hooks are behind */

struct xct_worker {
	const struct xct_worker_env *env;
	struct xct_nfq *nfq;
	pthread_t thread;
	_Atomic bool is_stopping;
	_Atomic bool has_successor; /* leave at once */
	_Atomic xct_msec seen_at;
	_Atomic uint32_t answered; /* the last packet's id */
	uint32_t backoff; /* waits without a whole budget after the next one */
	uint32_t to_skip; /* and before it */
	struct xct_pending *pending;
	uint32_t repeat_until; /* the last id that may be of a repeat */
	struct xct_nfq_packet packets[XCT_NFQ_BATCH];
	struct xct_result results[XCT_NFQ_BATCH];
	/* Of those packets that could be read, in their order. */
	unsigned int n_read;
	unsigned int slot[XCT_NFQ_BATCH]; /* index of packet and result */
	uint64_t fingerprint[XCT_NFQ_BATCH];
	struct xct_visit visits[XCT_NFQ_BATCH];
};

/*
 * What tells a packet from the others that are on their way: the first bytes,
 * which hold the headers, and where it is. Not secret and not safe against
 * forgery: at worst one packet of a flow is not counted.
 */
static uint64_t fingerprint(const struct xct_nfq_packet *packet)
{
	static const struct xct_siphash_key key = { { 0, 0 } };
	uint64_t words[10] = { packet->len | (uint64_t)packet->mark << 32,
			       packet->meta.hook | (uint64_t)packet->meta.in_if
							   << 32 };
	size_t len = packet->len < 64 ? packet->len : 64;

	memcpy(&words[2], packet->data, len);
	return xct_siphash(&key, words, XCT_ARRAY_SIZE(words));
}

/* Where in the list of repeats this packet is; .n_repeats: it is none. */
static uint32_t find_repeat(struct xct_worker *w, uint32_t id, uint64_t print)
{
	struct xct_pending *pending = w->pending;
	uint32_t i = 0;

	if ((int32_t)(id - w->repeat_until) > 0)
		pending->n_repeats = 0; /* all have been there */
	if ((int32_t)(id - pending->repeat_after) <= 0)
		return pending->n_repeats;
	while (i < pending->n_repeats && pending->repeat[i] != print)
		i++;
	return i;
}

/* Without the lock. */
static void read_packet(struct xct_worker *w, unsigned int i)
{
	struct xct_nfq_packet *packet = &w->packets[i];
	uint32_t mask = w->env->mark_mask;
	unsigned int k = w->n_read++;

	packet->meta.mark = packet->mark & ~mask;
	packet->meta.stage =
		(uint8_t)((packet->mark & mask) >> __builtin_ctz(mask));
	w->fingerprint[k] = fingerprint(packet);
	xct_engine_read(w->env->engine, packet->data, packet->len,
			&packet->meta, &w->visits[k]);
	w->slot[k] = i;
}

/* With the lock. */
static void handle_packet(struct xct_worker *w, unsigned int k, xct_msec now)
{
	struct xct_nfq_packet *packet = &w->packets[w->slot[k]];
	struct xct_result *result = &w->results[w->slot[k]];
	struct xct_pending *pending = w->pending;
	uint32_t mask = w->env->mark_mask;
	uint32_t repeat = 0;

	if (pending->n_repeats) {
		repeat = find_repeat(w, packet->id, w->fingerprint[k]);
		packet->meta.is_repeat = repeat < pending->n_repeats;
	}
	pending->fingerprint[pending->n_done] = w->fingerprint[k];
	xct_engine_handle(w->env->engine, &w->visits[k], now, result);
	atomic_signal_fence(memory_order_release);
	pending->n_done++;
	atomic_signal_fence(memory_order_release);
	/* Only now: it is always in one of the two lists. */
	if (packet->meta.is_repeat)
		pending->repeat[repeat] = pending->repeat[--pending->n_repeats];
	packet->is_accepted = result->verdict == XCT_VERDICT_ACCEPT;
	packet->is_edited = result->is_edited;
	if (result->is_edited)
		packet->len = w->visits[k].pkt.c.len;
	packet->new_mark =
		(packet->mark & ~mask) |
		((uint32_t)result->stage << __builtin_ctz(mask) & mask);
}

/* What goes out now may be answered before xctd would see the answer. */
static void wait_for_hooks(const struct xct_worker *w)
{
	while (xct_clock_now() < w->env->behind_until)
		(void)usleep(LOOK_US);
}

static void handle_batch(struct xct_worker *w, unsigned int n, xct_msec now)
{
	bool is_early;

	w->n_read = 0;
	for (unsigned int i = 0; i < n; i++) {
		w->results[i].reply_len = 0;
		if (w->packets[i].data)
			read_packet(w, i);
	}

	xct_lock_take(w->env->lock);
	*w->env->has_begun = true;
	xct_engine_prepare(w->env->engine, w->visits, w->n_read);
	for (unsigned int k = 0; k < w->n_read; k++)
		handle_packet(w, k, now);
	is_early = *w->env->is_early;
	*w->env->is_early = false;
	xct_lock_give(w->env->lock);

	if (is_early)
		wait_for_hooks(w);
	xct_nfq_answer(w->nfq, w->packets, n);
	w->pending->n_done = 0;
	atomic_store_explicit(&w->answered, w->packets[n - 1].id,
			      memory_order_release);
	for (unsigned int i = 0; i < n; i++)
		if (w->results[i].reply_len != 0)
			/* A reply may be lost like any other packet. */
			(void)xct_rawsend_send(w->env->raw, w->results[i].reply,
					       w->results[i].reply_len,
					       w->packets[i].meta.in_if);
}

/*
 * Look for packets for a while before waiting for them: to be woken takes
 * longer. Packets of a burst are there soon; for an answer to what has just
 * gone out it takes the whole budget, and where that is in vain it is done less
 * and less often. Other threads of this processor, such as the one that would
 * send the next packet, have their turn in between; a processor that they keep
 * awake is there at once when a packet comes. As xct_nfq_receive().
 */
static int busy_poll(struct xct_worker *w, uint32_t budget_us, bool *is_idle)
{
	bool is_patient = w->to_skip == 0;
	uint64_t began, now, before;
	int n;

	n = xct_nfq_receive(w->nfq, w->packets, false, is_idle);
	if (!*is_idle)
		return n;
	if (!is_patient && budget_us > SOON_US)
		budget_us = SOON_US;
	began = now = xct_clock_now_us();
	while (now - began < budget_us) {
		(void)sched_yield(); /* cannot fail */
		n = xct_nfq_receive(w->nfq, w->packets, false, is_idle);
		if (!*is_idle) {
			if (now - began >= SOON_US)
				w->backoff /= 2;
			return n;
		}
		before = now;
		now = xct_clock_now_us();
		if (now - before > SOON_US)
			return 0;
	}
	if (!is_patient) {
		w->to_skip--;
		return 0;
	}
	if (w->backoff < BACKOFF_MAX)
		w->backoff = 2 * w->backoff + 1;
	w->to_skip = w->backoff;
	return 0;
}

static int receive(struct xct_worker *w, bool *is_idle)
{
	uint32_t budget_us = atomic_load_explicit(&w->env->busy_poll_us,
						  memory_order_relaxed);
	int n;

	if (budget_us > 0) {
		n = busy_poll(w, budget_us, is_idle);
		if (!*is_idle)
			return n;
	}
	return xct_nfq_receive(w->nfq, w->packets, true, is_idle);
}

static int run(struct xct_worker *w)
{
	xct_msec stop_at = 0, now; /* 0: go on */
	bool is_idle;
	int n, ret;

	ret = xct_nfq_set_patience(w->nfq, HEARTBEAT_MS);
	while (ret == 0) {
		n = receive(w, &is_idle);
		if (n < 0)
			return n;
		now = xct_clock_now();
		atomic_store_explicit(&w->seen_at, now, memory_order_relaxed);
		if (n > 0)
			handle_batch(w, (unsigned int)n, now);
		if (!w->is_stopping)
			continue;
		if (w->has_successor ||
		    (stop_at && (is_idle || now >= stop_at)))
			return 0;
		if (!stop_at) {
			stop_at = now + STOP_MS;
			ret = xct_nfq_set_patience(w->nfq, DRAIN_MS);
		}
	}
	return ret;
}

static void *worker_main(void *arg)
{
	struct xct_worker *w = arg;
	uint64_t one = 1;
	int ret = run(w);

	if (ret < 0) {
		xct_log(LOG_ERR, "queue %u: receiving failed: %s",
			xct_nfq_number(w->nfq), strerror(-ret));
		/* Cannot fail: the counter is far from full. */
		(void)!write(w->env->failed_fd, &one, sizeof(one));
	}
	return NULL;
}

/* A queue that nobody has used before, or that @pending says nothing about. */
static void reset_pending(struct xct_pending *pending, uint32_t number)
{
	pending->n_done = 0;
	pending->n_repeats = 0;
	pending->number = number;
}

/* What the engine was through with will be a repeat. */
static void expect_repeats(struct xct_pending *pending, uint32_t last_id)
{
	if (pending->n_repeats == 0)
		pending->repeat_after = last_id;
	for (uint32_t i = 0; i < pending->n_done; i++)
		if (pending->n_repeats < XCT_REPEATS_MAX)
			pending->repeat[pending->n_repeats++] =
				pending->fingerprint[i];
	atomic_signal_fence(memory_order_release);
	pending->n_done = 0;
}

/* Go on where a predecessor left the queue. */
static int take_up(struct xct_worker *w)
{
	struct xct_pending *pending = w->pending;
	uint32_t number = xct_nfq_number(w->nfq);
	struct xct_nfq_info info;
	int ret;

	if (!xct_nfq_is_adopted(w->nfq) || pending->number != number ||
	    pending->n_done > XCT_NFQ_BATCH ||
	    pending->n_repeats > XCT_REPEATS_MAX)
		reset_pending(pending, number);
	if (!xct_nfq_is_adopted(w->nfq))
		return 0;
	if (!xct_nfq_info((uint16_t)number, &info))
		return -ESTALE;
	expect_repeats(pending, info.last_id);
	ret = xct_nfq_repeat(w->nfq, info.last_id);
	if (ret < 0)
		return ret;
	/* They are queued again when this has returned. */
	if (!xct_nfq_info((uint16_t)number, &info))
		return -ESTALE;
	w->repeat_until = info.last_id;
	return 0;
}

int xct_worker_start(struct xct_worker **out, struct xct_nfq *nfq,
		     struct xct_pending *pending,
		     const struct xct_worker_env *env)
{
	struct xct_worker *w = calloc(1, sizeof(*w));
	char name[16];
	int ret = -ENOMEM;

	if (!w)
		goto err_nfq;
	w->env = env;
	w->nfq = nfq;
	w->seen_at = xct_clock_now();
	w->pending = pending;
	ret = take_up(w);
	if (ret < 0)
		goto err_worker;
	ret = -pthread_create(&w->thread, NULL, worker_main, w);
	if (ret < 0)
		goto err_worker;
	snprintf(name, sizeof(name), "xctd-q%u", xct_nfq_number(nfq));
	(void)pthread_setname_np(w->thread, name); /* for ps and top only */
	*out = w;
	return 0;
err_worker:
	free(w);
err_nfq:
	xct_nfq_close(nfq);
	return ret;
}

void xct_worker_stop(struct xct_worker *w, bool has_successor)
{
	if (!w)
		return;
	w->has_successor = has_successor;
	w->is_stopping = true;
	xct_nfq_wake(w->nfq);
	pthread_join(w->thread, NULL);
	xct_nfq_close(w->nfq);
	free(w);
}

struct xct_nfq *xct_worker_nfq(const struct xct_worker *w)
{
	return w->nfq;
}

bool xct_worker_has_answered(const struct xct_worker *w, uint32_t id)
{
	uint32_t answered =
		atomic_load_explicit(&w->answered, memory_order_acquire);

	return (int32_t)(answered - id) >= 0;
}

xct_msec xct_worker_seen_at(const struct xct_worker *w)
{
	return atomic_load_explicit(&w->seen_at, memory_order_relaxed);
}
