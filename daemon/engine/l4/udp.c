/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UDP (RFC 768): a flow is a question until it has been answered, and a stream
 * once traffic goes on after an answer and after its first two seconds. Only
 * a stream is worth the longer timeout and ASSURED: a DNS lookup is not.
 *
 * UDP-Lite (RFC 3828) has UDP's header and timeouts, but its length field says
 * how much of the packet the checksum covers; any answer makes it a stream.
 */
#include "daemon/engine/l4.h"
#include "daemon/engine/l4/ports.h"

#define HEADER_LEN   8
#define LEN_OFF	     4
#define CSUM_OFF     6
#define STREAM_AFTER 2000 /* milliseconds from the first packet */

static enum xct_reason udp_check(const struct xct_pkt *pkt)
{
	uint16_t len;

	if (pkt->l4_have < HEADER_LEN)
		return XCT_REASON_L4_SHORT;

	len = xct_get_be16(pkt->l4 + LEN_OFF);
	if (len < HEADER_LEN || len > pkt->l4_len)
		return XCT_REASON_L4_SHORT;
	return XCT_REASON_NONE;
}

static enum xct_l4_verdict udp_open(struct xct_l4_ctx *ctx,
				    struct xct_flow *flow)
{
	flow->track.udp.stream_at = ctx->now + STREAM_AFTER;
	return XCT_L4_OK;
}

static enum xct_l4_verdict udp_update(struct xct_l4_ctx *ctx,
				      struct xct_flow *flow)
{
	/* SEEN_REPLY is of earlier packets: the first answer alone, however
	 * late, does not make a stream. */
	if (flow->status & XCT_STATUS_SEEN_REPLY &&
	    ctx->now > flow->track.udp.stream_at) {
		xct_l4_refresh(ctx, flow, ctx->cfg->udp_stream);
		flow->status |= XCT_STATUS_ASSURED;
	} else {
		xct_l4_refresh(ctx, flow, ctx->cfg->udp_unreplied);
	}
	return XCT_L4_OK;
}

/* In a snapshot: how long until there can be a stream. */
static void udp_save(union xct_track *track, xct_msec now)
{
	xct_msec at = track->udp.stream_at;

	track->udp.stream_at = at > now ? at - now : 0;
}

static bool udp_restore(union xct_track *track, xct_msec now)
{
	if (track->udp.stream_at > STREAM_AFTER)
		return false;
	track->udp.stream_at += now;
	return true;
}

const struct xct_l4_ops xct_l4_udp = {
	.name = "udp",
	.check = udp_check,
	.key = xct_ports_key,
	.invert = xct_ports_invert,
	.open = udp_open,
	.update = udp_update,
	.rewrite = xct_ports_rewrite,
	.save = udp_save,
	.restore = udp_restore,
	.csum = XCT_CSUM_UDP,
	.csum_reason = XCT_REASON_CSUM_UDP,
	.csum_off = CSUM_OFF,
	.has_ports = true,
};

static enum xct_reason udplite_check(const struct xct_pkt *pkt)
{
	uint16_t coverage;

	if (pkt->l4_have < HEADER_LEN)
		return XCT_REASON_L4_SHORT;

	coverage = xct_get_be16(pkt->l4 + LEN_OFF);
	if (coverage && (coverage < HEADER_LEN || coverage > pkt->l4_len))
		return XCT_REASON_L4_SHORT;
	/* It cannot do without. */
	if (xct_get_be16(pkt->l4 + CSUM_OFF) == 0)
		return XCT_REASON_CSUM_UDPLITE;
	return XCT_REASON_NONE;
}

static enum xct_l4_verdict udplite_open(struct xct_l4_ctx *ctx,
					struct xct_flow *flow)
{
	(void)ctx;
	(void)flow;
	return XCT_L4_OK;
}

static enum xct_l4_verdict udplite_update(struct xct_l4_ctx *ctx,
					  struct xct_flow *flow)
{
	xct_l4_update_answered(ctx, flow, ctx->cfg->udp_unreplied,
			       ctx->cfg->udp_stream);
	return XCT_L4_OK;
}

const struct xct_l4_ops xct_l4_udplite = {
	.name = "udplite",
	.check = udplite_check,
	.key = xct_ports_key,
	.invert = xct_ports_invert,
	.open = udplite_open,
	.update = udplite_update,
	.rewrite = xct_ports_rewrite,
	.csum = XCT_CSUM_UDPLITE,
	.csum_reason = XCT_REASON_CSUM_UDPLITE,
	.csum_off = CSUM_OFF,
	.has_ports = true,
};
