/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tuple: the fields that name one direction of a connection, as
 * nf_conntrack_tuple does. 40 bytes without padding, so that two tuples are
 * equal exactly when their bytes are.
 */
#ifndef XCT_COMMON_TUPLE_H
#define XCT_COMMON_TUPLE_H

#include <netinet/in.h>

#include "common/addr.h"

struct xct_tuple {
	struct xct_addr src;
	struct xct_addr dst;
	union {
		xct_be16 sport;
		xct_be16 icmp_id;
		xct_be16 gre_srckey;
	};
	union {
		xct_be16 dport;
		struct {
			uint8_t icmp_type;
			uint8_t icmp_code;
		};
		xct_be16 gre_dstkey;
	};
	uint8_t proto;	/* IPPROTO_* */
	uint8_t family; /* AF_INET or AF_INET6 */
	uint16_t zone;	/* host byte order */
};

_Static_assert(sizeof(struct xct_tuple) == 40, "tuples are compared as bytes");

/* What stands beside the addresses in a tuple of @proto, as it is shown: DCCP
 * has ports, though nobody tracks them. */
enum xct_l4_shape {
	XCT_L4_PORTS,
	XCT_L4_ICMP,
	XCT_L4_GRE,
	XCT_L4_NONE,
};

static inline enum xct_l4_shape xct_l4_shape(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		return XCT_L4_PORTS;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return XCT_L4_ICMP;
	case IPPROTO_GRE:
		return XCT_L4_GRE;
	default:
		return XCT_L4_NONE;
	}
}

#endif
