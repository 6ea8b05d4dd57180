/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Says when the flow table is about to be full, before connections are refused,
 * and when it no longer is.
 */
#ifndef XCT_DAEMON_FILL_H
#define XCT_DAEMON_FILL_H

#include "daemon/engine/engine.h"

/* Zeroed: it was not nearly full. */
struct xct_fill {
	bool is_nearly_full;
};

/* Look at @stats, every now and then; log what has changed. */
void xct_fill_look(struct xct_fill *fill, const struct xct_engine_stats *stats);

#endif
