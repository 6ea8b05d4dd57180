/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which tracker handles which protocol, and what trackers share. */
#include "daemon/engine/l4.h"

#include <netinet/in.h>

/* clang-format off */
const struct xct_l4_ops *const xct_l4_trackers[UINT8_MAX + 1] = {
	[0] = &xct_l4_generic,
	[IPPROTO_ICMP] = &xct_l4_icmp,
	[IPPROTO_ICMP + 1 ... IPPROTO_TCP - 1] = &xct_l4_generic,
	[IPPROTO_TCP] = &xct_l4_tcp,
	[IPPROTO_TCP + 1 ... IPPROTO_UDP - 1] = &xct_l4_generic,
	[IPPROTO_UDP] = &xct_l4_udp,
	[IPPROTO_UDP + 1 ... IPPROTO_GRE - 1] = &xct_l4_generic,
	[IPPROTO_GRE] = &xct_l4_gre,
	[IPPROTO_GRE + 1 ... IPPROTO_ICMPV6 - 1] = &xct_l4_generic,
	[IPPROTO_ICMPV6] = &xct_l4_icmpv6,
	[IPPROTO_ICMPV6 + 1 ... IPPROTO_SCTP - 1] = &xct_l4_generic,
	[IPPROTO_SCTP] = &xct_l4_sctp,
	[IPPROTO_SCTP + 1 ... IPPROTO_UDPLITE - 1] = &xct_l4_generic,
	[IPPROTO_UDPLITE] = &xct_l4_udplite,
	[IPPROTO_UDPLITE + 1 ... UINT8_MAX] = &xct_l4_generic,
};
/* clang-format on */

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
		.sctp = {
			[XCT_SCTP_CLOSED] = 10,
			[XCT_SCTP_COOKIE_WAIT] = 3,
			[XCT_SCTP_COOKIE_ECHOED] = 3,
			[XCT_SCTP_ESTABLISHED] = 210,
			[XCT_SCTP_SHUTDOWN_SENT] = 3,
			[XCT_SCTP_SHUTDOWN_RECD] = 3,
			[XCT_SCTP_SHUTDOWN_ACK_SENT] = 3,
			[XCT_SCTP_HEARTBEAT_SENT] = 30,
		},
		.gre_unreplied = 30,
		.gre_stream = 180,
		.icmp = 30,
		.icmpv6 = 30,
		.generic = 600,
		.tcp_max_retrans = 3,
		.tcp_loose = true,
		.checksum = true,
	};
}

void xct_l4_update_answered(const struct xct_l4_ctx *ctx, struct xct_flow *flow,
			    uint32_t unreplied, uint32_t stream)
{
	/* SEEN_REPLY is of earlier packets: not of the first answer itself. */
	if (!(flow->status & XCT_STATUS_SEEN_REPLY)) {
		xct_l4_refresh(ctx, flow, unreplied);
		return;
	}
	xct_l4_refresh(ctx, flow, stream);
	flow->status |= XCT_STATUS_ASSURED;
}
