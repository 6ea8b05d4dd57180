/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for what is queued: how long, for whom, and when not at all. Queues,
 * workers and the clock are the test's own, so that time passes when it says
 * so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/backlog.h"
#include "daemon/nfq_info.h"

#define QUEUE  7
#define NEWEST 10 /* id of the newest packet */

struct xct_nfq {
	uint16_t number;
};

struct xct_worker {
	struct xct_nfq nfq;
};

static struct xct_worker worker = { .nfq = { QUEUE } };
static struct xct_worker *const workers[] = { &worker };
static uint64_t now_ns;
static uint64_t answered_at_ns; /* when the newest packet has its answer */
static uint16_t queue;		/* that packets wait in */
static unsigned int looks;	/* at the queues */

/* These four take the places of the daemon's and the C library's. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	ts->tv_sec = (time_t)(now_ns / 1000000000);
	ts->tv_nsec = (long)(now_ns % 1000000000);
	return 0;
}

int nanosleep(const struct timespec *asked, struct timespec *left)
{
	(void)left;
	now_ns += (uint64_t)asked->tv_nsec;
	return 0;
}

void xct_nfq_each(void (*fn)(void *arg, uint16_t number,
			     const struct xct_nfq_info *info),
		  void *arg)
{
	const struct xct_nfq_info info = { .waiting = 1, .last_id = NEWEST };

	looks++;
	fn(arg, queue, &info);
}

bool xct_worker_has_answered(const struct xct_worker *w, uint32_t id)
{
	assert_ptr_equal(w, &worker);
	assert_int_equal(id, NEWEST);
	return now_ns >= answered_at_ns;
}

struct xct_nfq *xct_worker_nfq(const struct xct_worker *w)
{
	assert_ptr_equal(w, &worker);
	return &worker.nfq;
}

uint16_t xct_nfq_number(const struct xct_nfq *nfq)
{
	return nfq->number;
}

static int setup(void **state)
{
	(void)state;
	now_ns = UINT64_C(5000) * 1000000;
	answered_at_ns = UINT64_MAX;
	queue = QUEUE;
	looks = 0;
	return 0;
}

/* Wait; how long that took, in ms. */
static uint64_t waited_ms(xct_msec *vain_at)
{
	uint64_t begin = now_ns;

	xct_backlog_wait(workers, 1, vain_at);
	return (now_ns - begin) / 1000000;
}

static void the_wait_ends_with_the_answer(void **state)
{
	xct_msec vain_at = 0;

	(void)state;
	answered_at_ns = now_ns + 20 * 1000000;
	assert_int_equal(waited_ms(&vain_at), 20);
	assert_int_equal(vain_at, 0);
	/* It was not in vain: the next one looks again. */
	assert_int_equal(waited_ms(&vain_at), 0);
	assert_int_equal(looks, 2);
}

static void after_a_wait_in_vain_there_is_none_for_a_second(void **state)
{
	xct_msec vain_at = 0;

	(void)state;
	assert_int_equal(waited_ms(&vain_at), 50);
	assert_int_equal(vain_at, 5050);
	assert_int_equal(waited_ms(&vain_at), 0);
	now_ns += UINT64_C(999) * 1000000;
	assert_int_equal(waited_ms(&vain_at), 0);
	assert_int_equal(looks, 1);
	now_ns += UINT64_C(1) * 1000000;
	assert_int_equal(waited_ms(&vain_at), 50);
	assert_int_equal(looks, 2);
	assert_int_equal(vain_at, 6100);
}

static void what_waits_for_others_is_not_waited_for(void **state)
{
	xct_msec vain_at = 0;

	(void)state;
	queue = QUEUE + 1;
	assert_int_equal(waited_ms(&vain_at), 0);
	queue = QUEUE - 1;
	assert_int_equal(waited_ms(&vain_at), 0);
	assert_int_equal(looks, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_wait_ends_with_the_answer, setup),
		cmocka_unit_test_setup(
			after_a_wait_in_vain_there_is_none_for_a_second, setup),
		cmocka_unit_test_setup(what_waits_for_others_is_not_waited_for,
				       setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
