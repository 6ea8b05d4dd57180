/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which tracker handles which protocol, and what trackers share. */
#include "daemon/engine/l4.h"

#include <netinet/in.h>

static const struct xct_l4_ops *const trackers[UINT8_MAX + 1] = {
	[IPPROTO_TCP] = &xct_l4_tcp,
	[IPPROTO_UDP] = &xct_l4_udp,
	[IPPROTO_ICMP] = &xct_l4_icmp,
	[IPPROTO_ICMPV6] = &xct_l4_icmpv6,
};

const struct xct_l4_ops *xct_l4(uint8_t family, uint8_t proto)
{
	/* ICMP in the wrong family is not "any other protocol": its tracker's
	 * check() refuses it. */
	(void)family;

	return trackers[proto] ? trackers[proto] : &xct_l4_generic;
}

void xct_l4_config_default(struct xct_l4_config *cfg)
{
	*cfg = (struct xct_l4_config){
		.tcp = {
			[XCT_TCP_SYN_SENT] = 120,
			[XCT_TCP_SYN_RECV] = 60,
			[XCT_TCP_ESTABLISHED] = 432000,
			[XCT_TCP_FIN_WAIT] = 120,
			[XCT_TCP_CLOSE_WAIT] = 60,
			[XCT_TCP_LAST_ACK] = 30,
			[XCT_TCP_TIME_WAIT] = 120,
			[XCT_TCP_CLOSE] = 10,
			[XCT_TCP_SYN_SENT2] = 120,
			[XCT_TCP_TIMEOUT_RETRANS] = 300,
			[XCT_TCP_TIMEOUT_UNACK] = 300,
		},
		.udp_unreplied = 30,
		.udp_stream = 120,
		.icmp = 30,
		.icmpv6 = 30,
		.generic = 600,
		.tcp_max_retrans = 3,
		.tcp_loose = true,
		.checksum = true,
	};
}

void xct_l4_refresh(const struct xct_l4_ctx *ctx, struct xct_flow *flow,
		    uint32_t seconds)
{
	if (!(flow->status & XCT_STATUS_FIXED_TIMEOUT))
		flow->expires_at = ctx->now + (xct_msec)seconds * 1000;
}
