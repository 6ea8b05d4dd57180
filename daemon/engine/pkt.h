/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet as the engine sees it: bytes, where its headers start, and the
 * tuple that names its connection. Nothing is copied; offsets count from the
 * first byte of the (outermost) IP header.
 */
#ifndef XCT_ENGINE_PKT_H
#define XCT_ENGINE_PKT_H

#include <netinet/in.h>
#include <string.h>

#include "common/cursor.h"
#include "common/names.h"
#include "common/tuple.h"

/* Where a packet was met, numbered as enum nf_inet_hooks. */
enum xct_hook {
	XCT_HOOK_PREROUTING = 0,  /* early: translates the destination */
	XCT_HOOK_INPUT = 1,	  /* late: filters, translates the source */
	XCT_HOOK_OUTPUT = 3,	  /* early */
	XCT_HOOK_POSTROUTING = 4, /* late */
};

/* What two bits of the packet mark tell a later hook. */
enum xct_stage {
	XCT_STAGE_FRESH = 0,   /* not met yet, or met without effect */
	XCT_STAGE_ROUTED = 1,  /* destination translated, source still to do */
	XCT_STAGE_DONE = 2,    /* nothing left to do */
	XCT_STAGE_INVALID = 3, /* met, and fits no connection */
};

struct xct_meta {
	uint32_t in_if;	      /* interface index, 0: none */
	uint32_t out_if;      /* 0: none, or not known yet */
	uint32_t mark;	      /* the packet's, without the stage's bits */
	uint16_t room;	      /* bytes behind the packet that it may grow by */
	uint8_t hook;	      /* enum xct_hook */
	uint8_t stage;	      /* enum xct_stage, from the packet's mark */
	bool csum_partial;    /* the checksum is not filled in yet */
	bool csum_unverified; /* nobody has verified it */
	bool is_gso;	      /* will be segmented by the kernel */
	bool is_repeat; /* seen before by an engine of this region: its flow
			   is left as it is */
};

struct xct_pkt {
	struct xct_cursor c; /* what was copied to us */
	uint32_t l3_len;     /* the packet's length by its IP header */
	uint16_t l4_off;     /* of the transport header */
	uint32_t l4_len;     /* l3_len - l4_off: header and payload */
	uint8_t family;
	uint8_t proto;
	bool is_ext_cut;   /* the last IPv6 extension header goes beyond */
	bool is_fragment;  /* any fragment, also the first */
	uint16_t frag_off; /* in bytes; 0 in the first */
	bool is_truncated; /* c.len < l3_len */
	uint8_t *l4;	   /* &c.data[l4_off], l4_have bytes of it */
	uint32_t l4_have;  /* bytes of the transport part in c */
};

/*
 * Find the headers of the IP packet in @data. @is_quoted: it stands inside an
 * ICMP error, may be cut short and its length field is not to be trusted
 * against @len. Returns XCT_REASON_NONE, or why it cannot be tracked.
 */
enum xct_reason xct_pkt_parse(struct xct_pkt *pkt, uint8_t *data, uint32_t len,
			      bool is_quoted);

/* ICMP or ICMPv6, in its own family? */
static inline bool xct_pkt_is_icmp(const struct xct_pkt *pkt)
{
	return pkt->proto ==
	       (pkt->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* The source address in the header; the destination follows it. */
static inline uint8_t *xct_pkt_addrs_at(const struct xct_pkt *pkt)
{
	return pkt->c.data + (pkt->family == AF_INET ? 12 : 8);
}

/* The addresses of the IP header, without ports. */
static inline void xct_pkt_addrs(const struct xct_pkt *pkt,
				 struct xct_addr *src, struct xct_addr *dst)
{
	const uint8_t *at = xct_pkt_addrs_at(pkt);

	if (pkt->family == AF_INET) {
		memset(src, 0, sizeof(*src));
		memset(dst, 0, sizeof(*dst));
		memcpy(src->b, at, 4);
		memcpy(dst->b, at + 4, 4);
	} else {
		memcpy(src->b, at, 16);
		memcpy(dst->b, at + 16, 16);
	}
}

#endif
