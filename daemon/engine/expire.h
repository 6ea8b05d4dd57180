/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timer wheel: which flows may be over.
 *
 * Four levels of slots, a quarter of a second to 74 hours wide. A flow whose
 * timeout is extended is not moved: it is looked at when its old time comes and
 * then armed again. Only a timeout that got shorter moves it.
 */
#ifndef XCT_ENGINE_EXPIRE_H
#define XCT_ENGINE_EXPIRE_H

#include "daemon/engine/flow.h"

#define XCT_TICK_SHIFT	8 /* 256 ms */
#define XCT_WHEEL_SLOTS (256 + 3 * 64)

struct xct_wheel {
	struct xct_flow *flows;	    /* the records .. */
	struct xct_flow_cold *cold; /* .. with the links, which are indices */
	uint32_t tick;		    /* the one being worked on */
	uint32_t heads[XCT_WHEEL_SLOTS];
};

void xct_wheel_init(struct xct_wheel *wheel, struct xct_flow *flows,
		    struct xct_flow_cold *cold, xct_msec now);

/* Put a flow that is on no slot onto the wheel, for flow->expires_at. */
void xct_wheel_add(struct xct_wheel *wheel, struct xct_flow *flow);

void xct_wheel_remove(struct xct_wheel *wheel, struct xct_flow *flow);

/* The first tick at which @at is over. */
static inline uint32_t xct_wheel_tick(xct_msec at)
{
	return (uint32_t)((at + (1u << XCT_TICK_SHIFT) - 1) >> XCT_TICK_SHIFT);
}

/* flow->expires_at has changed. */
static inline void xct_wheel_update(struct xct_wheel *wheel,
				    struct xct_flow *flow)
{
	if ((int32_t)(xct_wheel_tick(flow->expires_at) - flow->timer_tick) >= 0)
		return;
	xct_wheel_remove(wheel, flow);
	xct_wheel_add(wheel, flow);
}

/* The next flow whose time is over at @now, already off the wheel; NULL if
 * there is none, or if *@budget ran out (it counts down, and is then 0). */
struct xct_flow *xct_wheel_next(struct xct_wheel *wheel, xct_msec now,
				uint32_t *budget);

#endif
