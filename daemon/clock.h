/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clock that everything in xctd runs by: milliseconds, never set back. */
#ifndef XCT_DAEMON_CLOCK_H
#define XCT_DAEMON_CLOCK_H

#include <time.h>

#include "common/types.h"

static inline xct_msec xct_clock_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (xct_msec)ts.tv_sec * 1000 + (xct_msec)ts.tv_nsec / 1000000;
}

static inline xct_msec xct_clock_now(void)
{
	return xct_clock_ms(CLOCK_MONOTONIC);
}

/* The time of day, since 1970; for others, and set at will. */
static inline xct_msec xct_clock_wall(void)
{
	return xct_clock_ms(CLOCK_REALTIME);
}

static inline uint64_t xct_clock_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

#endif
