/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Choosing flows by a filter.
 *
 * The fields of a filter fall into groups (addresses, ports, ...), each judged
 * by one function: for every field in use, the flow must have what it asks.
 */
#include "common/flow_info.h"

#include "common/names.h"

static bool has_ports(uint8_t proto)
{
	return xct_l4_shape(proto) == XCT_L4_PORTS;
}

static bool is_icmp(uint8_t proto)
{
	return xct_l4_shape(proto) == XCT_L4_ICMP;
}

/* Source or destination differs between what was sent and what came back. */
static bool is_src_nat(const struct xct_flow_info *info)
{
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];
	const struct xct_tuple *reply = &info->tuple[XCT_DIR_REPLY];

	/* An ICMP id belongs to the client and has one place for both ways. */
	return !xct_addr_equal(&orig->src, &reply->dst) ||
	       orig->sport !=
		       (is_icmp(orig->proto) ? reply->icmp_id : reply->dport);
}

static bool is_dst_nat(const struct xct_flow_info *info)
{
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];
	const struct xct_tuple *reply = &info->tuple[XCT_DIR_REPLY];

	return !xct_addr_equal(&orig->dst, &reply->src) ||
	       (!is_icmp(orig->proto) && orig->dport != reply->sport);
}

/* Is @field of no concern to @filter, or does the flow's value match? */
static inline bool holds(const struct xct_flow_filter *filter, uint32_t field,
			 bool is_match)
{
	return !(filter->fields & field) || is_match;
}

/* Are @a and @b the same where @mask has ones? */
static bool is_masked_equal(const struct xct_addr *a, const struct xct_addr *b,
			    const struct xct_addr *mask)
{
	return !((a->u64[0] ^ b->u64[0]) & mask->u64[0]) &&
	       !((a->u64[1] ^ b->u64[1]) & mask->u64[1]);
}

static bool match_masks(const struct xct_flow_filter *f,
			const struct xct_flow_info *info)
{
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];

	return holds(f, XCT_FILTER_ORIG_SRC_MASK,
		     f->orig_src.family == orig->family &&
			     is_masked_equal(&orig->src, &f->orig_src.first,
					     &f->orig_src_mask)) &&
	       holds(f, XCT_FILTER_ORIG_DST_MASK,
		     f->orig_dst.family == orig->family &&
			     is_masked_equal(&orig->dst, &f->orig_dst.first,
					     &f->orig_dst_mask));
}

static bool match_addrs(const struct xct_flow_filter *f,
			const struct xct_flow_info *info)
{
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];
	const struct xct_tuple *reply = &info->tuple[XCT_DIR_REPLY];
	uint8_t family = orig->family;

	return holds(f, XCT_FILTER_ORIG_SRC,
		     xct_range_contains(&f->orig_src, family, &orig->src)) &&
	       holds(f, XCT_FILTER_ORIG_DST,
		     xct_range_contains(&f->orig_dst, family, &orig->dst)) &&
	       holds(f, XCT_FILTER_REPLY_SRC,
		     xct_range_contains(&f->reply_src, family, &reply->src)) &&
	       holds(f, XCT_FILTER_REPLY_DST,
		     xct_range_contains(&f->reply_dst, family, &reply->dst));
}

static bool match_ports(const struct xct_flow_filter *f,
			const struct xct_flow_info *info)
{
	const uint32_t port_fields =
		XCT_FILTER_ORIG_SPORT | XCT_FILTER_ORIG_DPORT |
		XCT_FILTER_REPLY_SPORT | XCT_FILTER_REPLY_DPORT;
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];
	const struct xct_tuple *reply = &info->tuple[XCT_DIR_REPLY];

	if (!(f->fields & port_fields))
		return true;
	return (has_ports(orig->proto) ||
		xct_l4_shape(orig->proto) == XCT_L4_GRE) &&
	       holds(f, XCT_FILTER_ORIG_SPORT, f->orig_sport == orig->sport) &&
	       holds(f, XCT_FILTER_ORIG_DPORT, f->orig_dport == orig->dport) &&
	       holds(f, XCT_FILTER_REPLY_SPORT,
		     f->reply_sport == reply->sport) &&
	       holds(f, XCT_FILTER_REPLY_DPORT, f->reply_dport == reply->dport);
}

static bool match_icmp(const struct xct_flow_filter *f,
		       const struct xct_flow_info *info)
{
	const uint32_t icmp_fields = XCT_FILTER_ICMP_TYPE |
				     XCT_FILTER_ICMP_CODE | XCT_FILTER_ICMP_ID;
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];

	if (!(f->fields & icmp_fields))
		return true;
	return is_icmp(orig->proto) &&
	       holds(f, XCT_FILTER_ICMP_TYPE,
		     f->icmp_type == orig->icmp_type) &&
	       holds(f, XCT_FILTER_ICMP_CODE,
		     f->icmp_code == orig->icmp_code) &&
	       holds(f, XCT_FILTER_ICMP_ID, f->icmp_id == orig->icmp_id);
}

static bool match_nat(const struct xct_flow_filter *f,
		      const struct xct_flow_info *info)
{
	const uint32_t nat_fields = XCT_FILTER_SRC_NAT | XCT_FILTER_DST_NAT |
				    XCT_FILTER_ANY_NAT | XCT_FILTER_SRC_NAT_IP |
				    XCT_FILTER_DST_NAT_IP;
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];
	const struct xct_tuple *reply = &info->tuple[XCT_DIR_REPLY];
	bool is_src, is_dst, is_src_ip, is_dst_ip;

	if (!(f->fields & nat_fields))
		return true;
	is_src = is_src_nat(info);
	is_dst = is_dst_nat(info);
	/* An address is asked for: a changed port alone does not count. */
	is_src_ip =
		!xct_addr_equal(&orig->src, &reply->dst) &&
		xct_range_contains(&f->nat_src, reply->family, &reply->dst) &&
		holds(f, XCT_FILTER_SRC_NAT_PORT,
		      has_ports(orig->proto) && orig->sport != reply->dport &&
			      f->nat_sport == reply->dport);
	is_dst_ip =
		!xct_addr_equal(&orig->dst, &reply->src) &&
		xct_range_contains(&f->nat_dst, reply->family, &reply->src) &&
		holds(f, XCT_FILTER_DST_NAT_PORT,
		      has_ports(orig->proto) && orig->dport != reply->sport &&
			      f->nat_dport == reply->sport);

	if (!(f->fields & XCT_FILTER_ANY_NAT))
		return holds(f, XCT_FILTER_SRC_NAT, is_src) &&
		       holds(f, XCT_FILTER_DST_NAT, is_dst) &&
		       holds(f, XCT_FILTER_SRC_NAT_IP, is_src_ip) &&
		       holds(f, XCT_FILTER_DST_NAT_IP, is_dst_ip);
	if (!(f->fields & (XCT_FILTER_SRC_NAT_IP | XCT_FILTER_DST_NAT_IP)))
		return is_src || is_dst;
	return (f->fields & XCT_FILTER_SRC_NAT_IP && is_src_ip) ||
	       (f->fields & XCT_FILTER_DST_NAT_IP && is_dst_ip);
}

static bool match_state(const struct xct_flow_filter *f,
			const struct xct_flow_info *info)
{
	return holds(f, XCT_FILTER_STATE,
		     xct_state_name(info->tuple[XCT_DIR_ORIG].proto,
				    f->state) &&
			     info->state == f->state) &&
	       holds(f, XCT_FILTER_STATUS,
		     (info->status & f->status) == f->status) &&
	       holds(f, XCT_FILTER_UNSET, !(info->status & f->status_unset)) &&
	       holds(f, XCT_FILTER_MARK,
		     (info->mark & f->mark_mask) == f->mark);
}

static bool match_zone(const struct xct_flow_filter *f,
		       const struct xct_flow_info *info)
{
	return holds(f, XCT_FILTER_ZONE, f->zone == xct_flow_info_zone(info)) &&
	       holds(f, XCT_FILTER_ORIG_ZONE,
		     f->orig_zone ==
			     xct_flow_info_zone_of(info, XCT_DIR_ORIG)) &&
	       holds(f, XCT_FILTER_REPLY_ZONE,
		     f->reply_zone ==
			     xct_flow_info_zone_of(info, XCT_DIR_REPLY));
}

bool xct_flow_filter_match(const struct xct_flow_filter *filter,
			   const struct xct_flow_info *info)
{
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];

	return holds(filter, XCT_FILTER_ID, filter->id == info->id) &&
	       holds(filter, XCT_FILTER_LABELS,
		     xct_labels_have(&info->labels, &filter->labels)) &&
	       holds(filter, XCT_FILTER_FAMILY,
		     filter->family == orig->family) &&
	       holds(filter, XCT_FILTER_PROTO, filter->proto == orig->proto) &&
	       match_zone(filter, info) && match_addrs(filter, info) &&
	       match_masks(filter, info) && match_ports(filter, info) &&
	       match_icmp(filter, info) && match_nat(filter, info) &&
	       match_state(filter, info);
}
