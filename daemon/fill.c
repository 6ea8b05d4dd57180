/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Watching how full the flow table is. */
#include "daemon/fill.h"

#include <inttypes.h>

#include "daemon/log.h"

/* Per cent. Far enough apart that a table that breathes says nothing. */
#define ALARM_AT 90
#define CALM_AT	 80

void xct_fill_look(struct xct_fill *fill, const struct xct_engine_stats *stats)
{
	unsigned int per_cent = (unsigned int)((uint64_t)stats->used_flows *
					       100 / stats->max_flows);

	if (!fill->is_nearly_full && per_cent >= ALARM_AT) {
		fill->is_nearly_full = true;
		xct_log_alarm("the flow table is %u %% full, %" PRIu32
			      " of %" PRIu32 " flows: when it is full, "
			      "unanswered and closing connections give way, "
			      "then new ones are refused; see table-size",
			      per_cent, stats->used_flows, stats->max_flows);
	} else if (fill->is_nearly_full && per_cent < CALM_AT) {
		fill->is_nearly_full = false;
		xct_log(LOG_NOTICE,
			"the flow table is %u %% full, %" PRIu32 " of %" PRIu32
			" flows, at the most there were %" PRIu32,
			per_cent, stats->used_flows, stats->max_flows,
			stats->peak_flows);
	}
}
