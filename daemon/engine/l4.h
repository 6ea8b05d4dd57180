/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Protocol trackers. Each transport protocol is one file in l4/ that exports
 * one table of these operations; l4.c chooses by protocol number. A tracker
 * classifies packets and keeps the flow's state; it never decides to drop.
 */
#ifndef XCT_ENGINE_L4_H
#define XCT_ENGINE_L4_H

#include "daemon/engine/flow.h"
#include "daemon/engine/pkt.h"

/* Timeouts in seconds. The order of tcp[] is enum xct_tcp_state, then: */
enum {
	XCT_TCP_TIMEOUT_RETRANS = XCT_TCP_STATES,
	XCT_TCP_TIMEOUT_UNACK,
	XCT_TCP_TIMEOUTS
};

/* What trackers can be told; defaults are those of nf_conntrack's sysctls. */
struct xct_l4_config {
	uint32_t tcp[XCT_TCP_TIMEOUTS];
	uint32_t udp_unreplied;
	uint32_t udp_stream;
	uint32_t icmp;
	uint32_t icmpv6;
	uint32_t generic;
	uint8_t tcp_max_retrans;
	bool tcp_loose;		     /* pick up flows from their middle */
	bool tcp_liberal;	     /* only an out-of-window RST is INVALID */
	bool tcp_ignore_invalid_rst; /* do not call RSTs INVALID for their seq */
	bool checksum;		     /* verify checksums of what came in */
};

void xct_l4_config_default(struct xct_l4_config *cfg);

enum xct_l4_verdict {
	XCT_L4_OK,	/* belongs to the flow; count it */
	XCT_L4_IGNORE,	/* passes with the flow; not counted, no new timer */
	XCT_L4_INVALID, /* *reason says why */
	XCT_L4_REOPEN,	/* forget the flow and look again: it is a new one */
	XCT_L4_CLOSE,	/* belongs to the flow, which is over: count, delete */
};

/* The packet on its way through a tracker. */
struct xct_l4_ctx {
	const struct xct_l4_config *cfg;
	const struct xct_pkt *pkt;
	xct_msec now;
	enum xct_dir dir;
	enum xct_reason reason; /* out: set with XCT_L4_INVALID */
};

struct xct_l4_ops {
	const char *name;

	/* Check the transport header (flags, lengths, not the checksum).
	 * XCT_REASON_NONE if a tracker may read it. NULL: nothing to check. */
	enum xct_reason (*check)(const struct xct_pkt *pkt);

	/* Fill ports or ids of @t from the packet. Needs only the first 8
	 * bytes of the transport header: also called for what ICMP errors
	 * quote. False if even those are not there. */
	bool (*key)(const struct xct_pkt *pkt, struct xct_tuple *t);

	/* The tuple of the answer to @t: ports swapped, types answered
	 * (addresses are the caller's). False if nothing answers it. */
	bool (*invert)(const struct xct_tuple *t, struct xct_tuple *inverse);

	/* First packet of @flow, whose tuples are set and track is zero. OK
	 * or INVALID. Then the engine calls update() for the same packet. */
	enum xct_l4_verdict (*open)(struct xct_l4_ctx *ctx,
				    struct xct_flow *flow);

	/* A packet of @flow. Sets flow->expires_at (unless FIXED_TIMEOUT) and
	 * XCT_STATUS_ASSURED. XCT_STATUS_SEEN_REPLY is set by the engine, after
	 * this returned OK or IGNORE for a packet in reply direction. */
	enum xct_l4_verdict (*update)(struct xct_l4_ctx *ctx,
				      struct xct_flow *flow);

	/* Write the ports or id of @t into the header: the source half if
	 * @is_source, else the destination half. @sum_delta collects the change
	 * (csum.h). NULL: nothing but addresses is translated. */
	void (*rewrite)(uint8_t *l4, const struct xct_tuple *t, bool is_source,
			uint32_t *sum_delta);

	/* Word for the state column, NULL if the protocol has none. */
	const char *(*state_name)(const struct xct_flow *flow);

	/* Is the flow closing, so that a full table may evict it though it is
	 * ASSURED? NULL: never. */
	bool (*can_evict)(const struct xct_flow *flow);

	/* Where the checksum is, from the start of the header; 0: none. */
	uint8_t csum_off;
	bool csum_pseudo;    /* it covers the pseudo header */
	bool csum_zero_none; /* a checksum of 0 means there is none */
	bool has_ports;	     /* source and destination ports are translated */
};

/* Never NULL: protocols without a tracker of their own have the generic one. */
const struct xct_l4_ops *xct_l4(uint8_t family, uint8_t proto);

extern const struct xct_l4_ops xct_l4_tcp;
extern const struct xct_l4_ops xct_l4_udp;
extern const struct xct_l4_ops xct_l4_icmp;
extern const struct xct_l4_ops xct_l4_icmpv6;
extern const struct xct_l4_ops xct_l4_generic;

/* Set the flow's timer to @seconds from now, unless its timeout is fixed. */
void xct_l4_refresh(const struct xct_l4_ctx *ctx, struct xct_flow *flow,
		    uint32_t seconds);

/* ICMP: is @type an error that quotes a packet? Must it never be tracked
 * (neighbour discovery, multicast listener discovery)? */
bool xct_icmp_is_error(uint8_t family, uint8_t type);
bool xct_icmp_is_untracked(uint8_t family, uint8_t type);

#endif
