/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GRE (RFC 2784). Version 0 has no ports, and its optional key is not looked
 * at: connections are pairs of addresses. Version 1 (PPTP, RFC 2637) names the
 * receiver's call, a number that the receiver has chosen; what the answer's
 * will be is only said in the PPTP control connection, so without a helper each
 * direction is a flow of its own.
 *
 * NAT changes addresses alone, so two flows to one place are in each other's
 * way behind one address.
 */
#include "daemon/engine/edit.h"
#include "daemon/engine/l4.h"

#define FLAGS_OFF	0
#define PROTOCOL_OFF	2
#define CALL_ID_OFF	6
#define PPTP_HEADER_LEN 8

#define VERSION_MASK 0x0007
#define VERSION_PPTP 1
#define PROTOCOL_PPP 0x880b

/* A header that is cut short is taken for one of version 0. */
static bool is_pptp(const struct xct_pkt *pkt)
{
	return pkt->l4_have >= PPTP_HEADER_LEN &&
	       (xct_get_be16(pkt->l4 + FLAGS_OFF) & VERSION_MASK) ==
		       VERSION_PPTP;
}

static enum xct_reason gre_check(const struct xct_pkt *pkt)
{
	if (is_pptp(pkt) &&
	    xct_get_be16(pkt->l4 + PROTOCOL_OFF) != PROTOCOL_PPP)
		return XCT_REASON_GRE_PROTOCOL;
	return XCT_REASON_NONE;
}

static bool gre_key(const struct xct_pkt *pkt, struct xct_tuple *t)
{
	t->gre_srckey = 0;
	t->gre_dstkey = 0;
	if (!is_pptp(pkt))
		return true;
	memcpy(&t->gre_dstkey, pkt->l4 + CALL_ID_OFF, sizeof(t->gre_dstkey));
	return gre_check(pkt) == XCT_REASON_NONE;
}

static bool gre_invert(const struct xct_tuple *t, struct xct_tuple *inverse)
{
	inverse->gre_srckey = t->gre_dstkey;
	inverse->gre_dstkey = t->gre_srckey;
	return true;
}

static enum xct_l4_verdict gre_open(struct xct_l4_ctx *ctx,
				    struct xct_flow *flow)
{
	(void)ctx;
	(void)flow;
	return XCT_L4_OK;
}

static enum xct_l4_verdict gre_update(struct xct_l4_ctx *ctx,
				      struct xct_flow *flow)
{
	xct_l4_update_answered(ctx, flow, ctx->cfg->gre_unreplied,
			       ctx->cfg->gre_stream);
	return XCT_L4_OK;
}

/* As the kernel: it wants to see a call number's place, and knows no further
 * version. */
static bool gre_can_rewrite(const struct xct_pkt *pkt, unsigned int halves)
{
	if (pkt->l4_have < PPTP_HEADER_LEN)
		return false;
	return !(halves & XCT_HALF_DST) || (xct_get_be16(pkt->l4 + FLAGS_OFF) &
					    VERSION_MASK) <= VERSION_PPTP;
}

const struct xct_l4_ops xct_l4_gre = {
	.name = "gre",
	.check = gre_check,
	.key = gre_key,
	.invert = gre_invert,
	.open = gre_open,
	.update = gre_update,
	.can_rewrite = gre_can_rewrite,
};
