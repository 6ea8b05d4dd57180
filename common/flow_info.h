/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is told about a flow outside the engine, and how flows are chosen.
 *
 * struct xct_flow_info and struct xct_flow_filter travel over the control
 * socket as they are: both ends run on one host, and the protocol's version
 * (common/frame.h) changes with them. Ports and ICMP ids are in network byte
 * order inside tuples, everything else is in host byte order.
 */
#ifndef XCT_COMMON_FLOW_INFO_H
#define XCT_COMMON_FLOW_INFO_H

#include "common/label.h"
#include "common/tuple.h"

/* Status bits, with the values of enum ip_conntrack_status
 * (linux/netfilter/nf_conntrack_common.h). */
enum xct_flow_status {
	XCT_STATUS_EXPECTED = 1 << 0,
	XCT_STATUS_SEEN_REPLY = 1 << 1,
	XCT_STATUS_ASSURED = 1 << 2,
	XCT_STATUS_CONFIRMED = 1 << 3,
	XCT_STATUS_SRC_NAT = 1 << 4,
	XCT_STATUS_DST_NAT = 1 << 5,
	XCT_STATUS_DYING = 1 << 9,
	XCT_STATUS_FIXED_TIMEOUT = 1 << 10,
};

struct xct_flow_info {
	uint64_t id; /* stable for the flow's life, never 0, never reused */
	struct xct_tuple tuple[XCT_DIRS];
	uint64_t packets[XCT_DIRS];
	uint64_t bytes[XCT_DIRS]; /* of the IP packets, headers included */
	uint64_t age_ms;	  /* since the first packet */
	uint64_t start_ms; /* of the first packet: since 1970, wall clock */
	uint32_t status;   /* enum xct_flow_status */
	uint32_t mark;
	uint32_t timeout_s;	 /* seconds until it expires, rounded down */
	uint32_t vtag[XCT_DIRS]; /* SCTP: verification tags */
	uint8_t state;		 /* of the tracker; xct_state_name() */
	uint8_t has_counters;	 /* accounting is on */
	uint8_t has_timestamps;	 /* age and start are to be shown */
	uint8_t helper;		 /* enum xct_helper_id */
	struct xct_labels labels;
};

/* A connection that is expected. */
struct xct_expect_info {
	struct xct_tuple tuple; /* source port 0: any */
	struct xct_tuple
		master; /* original tuple of the one that announced it */
	uint32_t timeout_s;
	uint8_t helper; /* enum xct_helper_id */
};

/* Which fields of a filter take part. */
enum xct_filter_field {
	XCT_FILTER_FAMILY = 1 << 0,
	XCT_FILTER_PROTO = 1 << 1,
	XCT_FILTER_ORIG_SRC = 1 << 2,
	XCT_FILTER_ORIG_DST = 1 << 3,
	XCT_FILTER_REPLY_SRC = 1 << 4,
	XCT_FILTER_REPLY_DST = 1 << 5,
	XCT_FILTER_ORIG_SPORT = 1 << 6,
	XCT_FILTER_ORIG_DPORT = 1 << 7,
	XCT_FILTER_REPLY_SPORT = 1 << 8,
	XCT_FILTER_REPLY_DPORT = 1 << 9,
	XCT_FILTER_STATE = 1 << 10,
	XCT_FILTER_STATUS = 1 << 11,	 /* all of .status set */
	XCT_FILTER_UNSET = 1 << 12,	 /* none of .status_unset set */
	XCT_FILTER_MARK = 1 << 13,	 /* (mark & mark_mask) == .mark */
	XCT_FILTER_SRC_NAT = 1 << 14,	 /* source translated */
	XCT_FILTER_DST_NAT = 1 << 15,	 /* destination translated */
	XCT_FILTER_ANY_NAT = 1 << 16,	 /* either; of the next two as well */
	XCT_FILTER_SRC_NAT_IP = 1 << 17, /* .. to .nat_src (reply dst) */
	XCT_FILTER_DST_NAT_IP = 1 << 18, /* .. to .nat_dst (reply src) */
	XCT_FILTER_ICMP_TYPE = 1 << 19,
	XCT_FILTER_ICMP_CODE = 1 << 20,
	XCT_FILTER_ICMP_ID = 1 << 21,
	XCT_FILTER_ZONE = 1 << 22, /* of both directions; or 0 */
	XCT_FILTER_ID = 1 << 23,
	XCT_FILTER_MASQ_IF = 1 << 24,	 /* masqueraded on interface .masq_if */
	XCT_FILTER_ORIG_ZONE = 1 << 25,	 /* of this direction alone; or 0 */
	XCT_FILTER_REPLY_ZONE = 1 << 26, /* the same */
	XCT_FILTER_ORIG_SRC_MASK = 1 << 27, /* .orig_src.first, where the mask
					       has ones */
	XCT_FILTER_ORIG_DST_MASK = 1 << 28,
	XCT_FILTER_SRC_NAT_PORT = 1 << 29, /* with SRC_NAT_IP: the port has */
	XCT_FILTER_DST_NAT_PORT = 1 << 30, /* become .nat_sport, .nat_dport */
};
#define XCT_FILTER_LABELS (UINT32_C(1) << 31) /* all of .labels */

struct xct_flow_filter {
	uint32_t fields; /* enum xct_filter_field; 0 matches every flow */
	uint32_t status;
	uint32_t status_unset;
	uint32_t mark;
	uint32_t mark_mask;
	uint64_t id;
	struct xct_addr_range orig_src;
	struct xct_addr_range orig_dst;
	struct xct_addr_range reply_src;
	struct xct_addr_range reply_dst;
	struct xct_addr_range nat_src;
	struct xct_addr_range nat_dst;
	struct xct_addr orig_src_mask;
	struct xct_addr orig_dst_mask;
	xct_be16 orig_sport; /* ports, or GRE keys */
	xct_be16 orig_dport;
	xct_be16 reply_sport;
	xct_be16 reply_dport;
	xct_be16 nat_sport;
	xct_be16 nat_dport;
	xct_be16 icmp_id;
	uint16_t zone;
	uint16_t orig_zone;
	uint16_t reply_zone;
	uint32_t masq_if;
	struct xct_labels labels;
	uint8_t family;
	uint8_t proto;
	uint8_t state;
	uint8_t icmp_type;
	uint8_t icmp_code;
};

/* Which fields of a change are made. */
enum xct_change_field {
	XCT_CHANGE_TIMEOUT = 1 << 0,
	XCT_CHANGE_STATUS = 1 << 1, /* set the bits of .status */
	XCT_CHANGE_MARK = 1 << 2,   /* (mark & ~mark_mask) ^ .mark */
	XCT_CHANGE_STATE = 1 << 3,  /* the protocol must be known */
	XCT_CHANGE_VTAGS = 1 << 4,  /* SCTP */
	XCT_CHANGE_ZERO = 1 << 5,   /* packets and bytes; shown as they were */
	XCT_CHANGE_LABEL_ADD = 1 << 6, /* those of .labels */
	XCT_CHANGE_LABEL_DEL = 1 << 7, /* the same; one of the two */
	XCT_CHANGE_NOTHING = 1 << 8,   /* taken for a change all the same */
};

struct xct_flow_change {
	uint32_t fields; /* enum xct_change_field */
	uint32_t timeout_s;
	uint32_t status;
	uint32_t mark;
	uint32_t mark_mask;
	uint32_t vtag[XCT_DIRS];
	struct xct_labels labels;
	uint8_t state;
};

/* What is to be changed of which flows. */
struct xct_flow_update {
	struct xct_flow_filter filter;
	struct xct_flow_change change;
};

/* Which parts of a new flow are said: the rest follows from them. */
enum xct_create_field {
	XCT_CREATE_REPLY_SRC = 1 << 0, /* else: the inverse of the original */
	XCT_CREATE_REPLY_DST = 1 << 1,
	XCT_CREATE_REPLY_SPORT = 1 << 2,
	XCT_CREATE_REPLY_DPORT = 1 << 3,
	XCT_CREATE_SRC_NAT = 1 << 4, /* translate to .nat_src ... */
	XCT_CREATE_DST_NAT = 1 << 5,
	XCT_CREATE_SRC_NAT_PORT = 1 << 6, /* ... and to this port */
	XCT_CREATE_DST_NAT_PORT = 1 << 7,
};

/* A flow to be made by hand. */
struct xct_flow_create {
	uint32_t fields; /* enum xct_create_field */
	struct xct_tuple tuple[XCT_DIRS];
	struct xct_addr nat_src;
	struct xct_addr nat_dst;
	xct_be16 nat_sport;
	xct_be16 nat_dport;
	struct xct_flow_change change; /* .timeout_s is needed */
};

/* The zone that both directions are in; 0 if they are in different ones. Then
 * each has its own, and this has none. */
static inline uint16_t xct_flow_info_zone(const struct xct_flow_info *info)
{
	uint16_t zone = info->tuple[XCT_DIR_ORIG].zone;

	return zone == info->tuple[XCT_DIR_REPLY].zone ? zone : 0;
}

static inline uint16_t xct_flow_info_zone_of(const struct xct_flow_info *info,
					     enum xct_dir dir)
{
	return xct_flow_info_zone(info) ? 0 : info->tuple[dir].zone;
}

/* XCT_FILTER_MASQ_IF is not looked at: only the engine knows it. */
bool xct_flow_filter_match(const struct xct_flow_filter *filter,
			   const struct xct_flow_info *info);

#endif
