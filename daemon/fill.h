/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Says when the flow table is about to be full, before connections are refused,
 * and when it no longer is.
 */
#ifndef XCT_DAEMON_FILL_H
#define XCT_DAEMON_FILL_H

#include <stdatomic.h>

#include "daemon/engine/engine.h"

/* Zeroed: it was not nearly full. */
struct xct_fill {
	_Atomic bool is_nearly_full;
	_Atomic uint32_t noted; /* flows when it became so; 0: nothing new */
};

/* It has become XCT_NEARLY_FULL per cent full: @used flows. From any thread.
 * True if that is news, and xct_fill_look() is to be called soon. */
bool xct_fill_note(struct xct_fill *fill, uint32_t used);

/* Look at @stats, now and then; log what has changed. */
void xct_fill_look(struct xct_fill *fill, const struct xct_engine_stats *stats);

#endif
