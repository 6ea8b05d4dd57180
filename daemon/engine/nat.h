/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Choosing what a NEW connection is translated to, as nf_nat does.
 *
 * The result is a tuple as the packet will leave; its inverse becomes the
 * flow's reply tuple, and is never that of another flow.
 */
#ifndef XCT_ENGINE_NAT_H
#define XCT_ENGINE_NAT_H

#include "daemon/engine/rule.h"
#include "daemon/engine/table.h"

/* A generator of unpredictable numbers: SipHash of a counter. */
struct xct_random {
	struct xct_siphash_key key;
	uint64_t counter;
};

uint32_t xct_random_next(struct xct_random *rnd);

/* For whom a translation is chosen, and what with. */
struct xct_nat {
	const struct xct_table *tbl;
	struct xct_random *rnd;
	const struct xct_flow *flow; /* being opened; in the table or not yet */
	/* End a closed flow whose tuple is needed. */
	void (*evict)(void *ctx, struct xct_flow *old);
	void *ctx;
};

/*
 * Give @t (as the packet is now) a source within @range that makes its inverse
 * unique. An absent address keeps the source address. @t is in the zone of the
 * answer. There must be a flow. False if nothing is free.
 */
bool xct_nat_source(const struct xct_nat *nat,
		    const struct xct_nat_range *range, struct xct_tuple *t);

/*
 * Give @t a destination within @range. The inverse of the result may still be
 * taken: xct_nat_source() has the last word.
 */
void xct_nat_destination(const struct xct_nat *nat,
			 const struct xct_nat_range *range,
			 struct xct_tuple *t);

#endif
