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

/* No timeout is longer, in seconds: 1000 days. */
#define XCT_L4_TIMEOUT_MAX (1000u * 24 * 60 * 60)

/* What trackers can be told; defaults are those of nf_conntrack's sysctls. */
struct xct_l4_config {
	uint32_t tcp[XCT_TCP_TIMEOUTS];
	uint32_t udp_unreplied;
	uint32_t udp_stream;
	uint32_t sctp[XCT_SCTP_STATES]; /* [XCT_SCTP_NONE] is not used */
	uint32_t gre_unreplied;
	uint32_t gre_stream;
	uint32_t icmp;
	uint32_t icmpv6;
	uint32_t generic;
	uint8_t tcp_max_retrans;
	bool tcp_loose;		     /* pick up flows from their middle */
	bool tcp_liberal;	     /* only an out-of-window RST is INVALID */
	bool tcp_ignore_invalid_rst; /* no RST is INVALID for its seq */
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

/* How a protocol sums its packets up. */
enum xct_csum {
	XCT_CSUM_NONE,	  /* not at all, or it is none of our business */
	XCT_CSUM_PLAIN,	  /* the Internet checksum of header and payload */
	XCT_CSUM_PSEUDO,  /* .. and of the pseudo header */
	XCT_CSUM_UDP,	  /* .. where 0 says that there is none */
	XCT_CSUM_UDPLITE, /* .. and of only as many bytes as the header says */
	XCT_CSUM_CRC32C,  /* 32 bits, without the pseudo header */
};

/* The packet on its way through a tracker. */
struct xct_l4_ctx {
	const struct xct_l4_config *cfg;
	const struct xct_pkt *pkt;
	xct_msec now;
	enum xct_dir dir;
	bool is_moved; /* out: to another state, which is worth telling */
	/* out, with XCT_L4_INVALID */
	enum xct_reason reason;
	struct xct_cell cell; /* if the protocol has states */
	uint32_t excess;      /* bytes beyond a limit of the window; or 0 */
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
	 * @is_source, else the destination half. Returns the difference that it
	 * makes to a sum (csum.h). NULL: nothing but addresses is translated. */
	uint64_t (*rewrite)(uint8_t *l4, const struct xct_tuple *t,
			    bool is_source);

	/* Can @halves (edit.h) of this packet, or of what an error quotes, be
	 * translated? NULL: yes. */
	bool (*can_rewrite)(const struct xct_pkt *pkt, unsigned int halves);

	/* The flow is made by hand, and its packets have not been seen. NULL:
	 * they need not have been. */
	void (*join)(union xct_track *track);

	/* Change what the flow keeps into what a snapshot keeps, and back: no
	 * times of a clock that ends. What is taken back may be anything: false
	 * if no flow of this protocol could have it. NULL: it stays as it is,
	 * or (restore) there is nothing, all zero. */
	void (*save)(union xct_track *track, xct_msec now);
	bool (*restore)(union xct_track *track, xct_msec now);

	/* Is the flow closing, so that a full table may evict it though it is
	 * ASSURED? NULL: never. */
	bool (*can_evict)(const struct xct_flow *flow);

	enum xct_csum csum;
	enum xct_reason csum_reason; /* if it is wrong */
	uint8_t csum_off; /* where it is, from the start of the header */
	bool has_ports;	  /* source and destination ports are translated */
	bool has_states;  /* update() changes flow->track */
};

extern const struct xct_l4_ops *const xct_l4_trackers[UINT8_MAX + 1];

extern const struct xct_l4_ops xct_l4_tcp;
extern const struct xct_l4_ops xct_l4_udp;
extern const struct xct_l4_ops xct_l4_udplite;
extern const struct xct_l4_ops xct_l4_sctp;
extern const struct xct_l4_ops xct_l4_gre;
extern const struct xct_l4_ops xct_l4_icmp;
extern const struct xct_l4_ops xct_l4_icmpv6;
extern const struct xct_l4_ops xct_l4_generic;

/* Never NULL: protocols without a tracker of their own have the generic one. Of
 * either family: ICMP in the wrong one is refused by its tracker's check(). */
static inline const struct xct_l4_ops *xct_l4(uint8_t proto)
{
	return xct_l4_trackers[proto];
}

/* Set the flow's timer to @seconds from now, unless its timeout is fixed. */
static inline void xct_l4_refresh(const struct xct_l4_ctx *ctx,
				  struct xct_flow *flow, uint32_t seconds)
{
	if (!(flow->status & XCT_STATUS_FIXED_TIMEOUT))
		flow->expires_at = ctx->now + (xct_msec)seconds * 1000;
}

/* The timer, and ASSURED, of a protocol that has no states of its own: a flow
 * is worth more once a packet has come after an answer. */
void xct_l4_update_answered(const struct xct_l4_ctx *ctx, struct xct_flow *flow,
			    uint32_t unreplied, uint32_t stream);

/* ICMP: is @type an error that quotes a packet? Must it never be tracked
 * (neighbour discovery, multicast listener discovery)? */
bool xct_icmp_is_error(uint8_t family, uint8_t type);
/* Does it tell of a better way? What a redirect says is true of one link only,
 * and of no flow that is translated. */
bool xct_icmp_is_redirect(uint8_t family, uint8_t type);
/* Where in the ICMP message (@pkt->l4) the packet that it is about begins; 0:
 * it is about none. */
uint32_t xct_icmp_quote_off(const struct xct_pkt *pkt);
bool xct_icmp_is_untracked(uint8_t family, uint8_t type);

#endif
