/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tracker of every protocol that has none of its own: connections are
 * pairs of addresses, any packet opens one and keeps it alive.
 */
#include "daemon/engine/l4.h"

static bool generic_key(const struct xct_pkt *pkt, struct xct_tuple *t)
{
	(void)pkt;
	t->sport = 0;
	t->dport = 0;
	return true;
}

static bool generic_invert(const struct xct_tuple *t, struct xct_tuple *inverse)
{
	inverse->sport = t->sport;
	inverse->dport = t->dport;
	return true;
}

static enum xct_l4_verdict generic_open(struct xct_l4_ctx *ctx,
					struct xct_flow *flow)
{
	(void)ctx;
	(void)flow;
	return XCT_L4_OK;
}

static enum xct_l4_verdict generic_update(struct xct_l4_ctx *ctx,
					  struct xct_flow *flow)
{
	xct_l4_refresh(ctx, flow, ctx->cfg->generic);
	return XCT_L4_OK;
}

const struct xct_l4_ops xct_l4_generic = {
	.name = "generic",
	.key = generic_key,
	.invert = generic_invert,
	.open = generic_open,
	.update = generic_update,
};
