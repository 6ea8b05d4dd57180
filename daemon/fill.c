/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watching how full the flow table is.
 *
 * The engine says at which flow the table became nearly full, so however fast
 * it fills, that is what is told. The looks find a table that is so from the
 * start, and when it no longer is.
 */
#include "daemon/fill.h"

#include <inttypes.h>

#include "daemon/log.h"

/* Per cent. Far enough below XCT_NEARLY_FULL that a table that breathes says
 * nothing. */
#define CALM_AT 80

bool xct_fill_note(struct xct_fill *fill, uint32_t used)
{
	if (fill->is_nearly_full || fill->noted)
		return false;
	fill->noted = used;
	return true;
}

static unsigned int per_cent(uint32_t used, uint32_t max_flows)
{
	return (unsigned int)((uint64_t)used * 100 / max_flows);
}

void xct_fill_look(struct xct_fill *fill, const struct xct_engine_stats *stats)
{
	uint32_t max = stats->max_flows, used = stats->used_flows;
	unsigned int full = per_cent(used, max);
	uint32_t noted = atomic_exchange(&fill->noted, 0);

	if (!fill->is_nearly_full && (noted || full >= XCT_NEARLY_FULL)) {
		if (noted)
			used = noted;
		fill->is_nearly_full = true;
		xct_log_alarm("the flow table is %u %% full, %" PRIu32
			      " of %" PRIu32 " flows: when it is full, "
			      "unanswered and closing connections give way, "
			      "then new ones are refused; see table-size",
			      per_cent(used, max), used, max);
	} else if (fill->is_nearly_full && full < CALM_AT) {
		fill->is_nearly_full = false;
		xct_log(LOG_NOTICE,
			"the flow table is %u %% full, %" PRIu32 " of %" PRIu32
			" flows, at the most there were %" PRIu32,
			full, used, max, stats->peak_flows);
	}
}
