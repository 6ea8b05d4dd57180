/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timer wheel.
 *
 * Theory of operation: time is counted in ticks of 256 ms. Level 0 has a slot
 * for each of the next 256 ticks; a slot of level n holds what is due within a
 * range of ticks, and is spread over the level below when its range begins.
 * The first flow of a slot has the slot's number, flagged, as its timer_prev.
 */
#include <assert.h>

#include "daemon/engine/expire.h"

#define LEVEL0_BITS  8
#define LEVEL_BITS   6
#define LEVELS	     4
#define PREV_IS_SLOT 0x80000000u
#define NONE	     XCT_FLOW_NONE

static uint32_t level_shift(int level)
{
	return level ? LEVEL0_BITS + LEVEL_BITS * (uint32_t)(level - 1) : 0;
}

static uint32_t level_slot(int level, uint32_t tick)
{
	if (!level)
		return tick & ((1u << LEVEL0_BITS) - 1);
	return (1u << LEVEL0_BITS) +
	       ((uint32_t)level - 1) * (1u << LEVEL_BITS) +
	       (tick >> level_shift(level) & ((1u << LEVEL_BITS) - 1));
}

void xct_wheel_init(struct xct_wheel *wheel, struct xct_flow *flows,
		    struct xct_flow_cold *cold, xct_msec now)
{
	wheel->flows = flows;
	wheel->cold = cold;
	wheel->tick = (uint32_t)(now >> XCT_TICK_SHIFT);
	for (uint32_t i = 0; i < XCT_WHEEL_SLOTS; i++)
		wheel->heads[i] = NONE;
}

/* Put record @index on @slot, which is the one of @tick. */
static void push(struct xct_wheel *wheel, uint32_t index, uint32_t slot,
		 uint32_t tick)
{
	struct xct_flow_cold *cold = &wheel->cold[index];

	wheel->flows[index].timer_tick = tick;
	cold->timer_prev = PREV_IS_SLOT | slot;
	cold->timer_next = wheel->heads[slot];
	if (cold->timer_next != NONE)
		wheel->cold[cold->timer_next].timer_prev = index;
	wheel->heads[slot] = index;
}

void xct_wheel_add(struct xct_wheel *wheel, struct xct_flow *flow)
{
	const uint32_t horizon = 1u << (LEVEL0_BITS + 3 * LEVEL_BITS);
	uint32_t tick = xct_wheel_tick(flow->expires_at), ahead;
	int level = 0;

	/* Never into the slot being worked on: it would not end. */
	if ((int32_t)(tick - wheel->tick) < 1)
		tick = wheel->tick + 1;
	ahead = tick - wheel->tick;
	if (ahead >= horizon) {
		ahead = horizon - 1;
		tick = wheel->tick + ahead;
	}
	while (level < LEVELS - 1 && ahead >= 1u << level_shift(level + 1))
		level++;
	push(wheel, (uint32_t)(flow - wheel->flows), level_slot(level, tick),
	     tick);
}

void xct_wheel_remove(struct xct_wheel *wheel, struct xct_flow *flow)
{
	const struct xct_flow_cold *cold = &wheel->cold[flow - wheel->flows];

	if (cold->timer_prev & PREV_IS_SLOT)
		wheel->heads[cold->timer_prev & ~PREV_IS_SLOT] =
			cold->timer_next;
	else
		wheel->cold[cold->timer_prev].timer_next = cold->timer_next;
	if (cold->timer_next != NONE)
		wheel->cold[cold->timer_next].timer_prev = cold->timer_prev;
}

/* Spread the slots of upper levels whose range begins with this tick. Returns
 * false if the budget ran out before they were empty. */
static bool cascade(struct xct_wheel *wheel, uint32_t *budget)
{
	for (int level = LEVELS - 1; level > 0; level--) {
		uint32_t *head = &wheel->heads[level_slot(level, wheel->tick)];
		uint32_t low = (1u << level_shift(level)) - 1;

		if (wheel->tick & low)
			continue;
		while (*head != NONE) {
			uint32_t index = *head;
			struct xct_flow *flow = &wheel->flows[index];
			uint32_t tick = xct_wheel_tick(flow->expires_at);

			if (!*budget)
				return false;
			--*budget;
			xct_wheel_remove(wheel, flow);
			/* Due right now: level 0's slot of this very tick. */
			if ((int32_t)(tick - wheel->tick) <= 0)
				push(wheel, index, level_slot(0, wheel->tick),
				     wheel->tick);
			else
				xct_wheel_add(wheel, flow);
		}
	}
	return true;
}

struct xct_flow *xct_wheel_next(struct xct_wheel *wheel, xct_msec now,
				uint32_t *budget)
{
	uint32_t now_tick = (uint32_t)(now >> XCT_TICK_SHIFT);

	while ((int32_t)(now_tick - wheel->tick) >= 0) {
		uint32_t *head = &wheel->heads[level_slot(0, wheel->tick)];

		if (!cascade(wheel, budget))
			return NULL;
		while (*head != NONE) {
			struct xct_flow *flow = &wheel->flows[*head];

			if (!*budget)
				return NULL;
			--*budget;
			xct_wheel_remove(wheel, flow);
			if (flow->expires_at <= now)
				return flow;
			xct_wheel_add(wheel, flow);
		}
		/* The present tick may still receive flows. */
		if (wheel->tick == now_tick)
			break;
		wheel->tick++;
	}
	return NULL;
}
