/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a command makes of its options: a filter, a new flow or a change. What
 * takes several options together (masks, families, protocols) is judged here,
 * when all have been read, so their order does not matter.
 */
#include "ctl/filter.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/names.h"
#include "ctl/line.h"
#include "ctl/options.h"

#define STATUS_OFFLOADED (XCT_STATUS_OFFLOAD | XCT_STATUS_HW_OFFLOAD)

static bool is_of_class(const struct xct_query *query,
			enum xct_proto_class protos)
{
	uint8_t proto = query->filter.proto;

	if (protos == XCT_ANY_PROTO)
		return true;
	if (!(query->options & XCT_OPTION_BIT(PROTO)))
		return false;
	switch (protos) {
	case XCT_PORT_PROTOS:
		return xct_l4_shape(proto) == XCT_L4_PORTS;
	case XCT_STATE_PROTOS:
		return xct_state_name(proto, 0) || proto == IPPROTO_DCCP;
	case XCT_ICMP_ONLY:
		return proto == IPPROTO_ICMP;
	case XCT_ICMPV6_ONLY:
		return proto == IPPROTO_ICMPV6;
	case XCT_GRE_ONLY:
		return proto == IPPROTO_GRE;
	case XCT_SCTP_ONLY:
		return proto == IPPROTO_SCTP;
	case XCT_DCCP_ONLY:
		return proto == IPPROTO_DCCP;
	case XCT_ANY_PROTO:
		break;
	}
	return true;
}

static bool check_options(struct xct_query *query,
			  const struct xct_query_rules *rules)
{
	static const char *const needed[] = {
		[XCT_PORT_PROTOS] = "tcp, udp, udplite, sctp or dccp",
		[XCT_STATE_PROTOS] = "tcp, sctp or dccp",
		[XCT_ICMP_ONLY] = "icmp",
		[XCT_ICMPV6_ONLY] = "icmpv6",
		[XCT_GRE_ONLY] = "gre",
		[XCT_SCTP_ONLY] = "sctp",
		[XCT_DCCP_ONLY] = "dccp",
	};
	const struct xct_option_row *row;
	unsigned int i;

	for (i = 0; i < XCT_OPTIONS; i++) {
		row = &xct_option_rows[i];
		if (!(query->options & UINT64_C(1) << i))
			continue;
		if (!(rules->options & UINT64_C(1) << i))
			return xct_query_fail(
				query,
				"Illegal option `--%s' with this command",
				row->name);
		if (!is_of_class(query, row->protos))
			return xct_query_fail(query,
					      "option `--%s' needs `-p %s'",
					      row->name, needed[row->protos]);
	}
	/* It is in the lines that delete has saved, and no filter. */
	if (rules->kind == XCT_QUERY_FILTER &&
	    query->options & XCT_OPTION_BIT(TIMEOUT) &&
	    !(query->options & XCT_OPTION_BIT(ORIG_SRC)))
		return xct_query_fail(query, "Illegal option `--timeout' with "
					     "this command");
	if (query->outputs & ~rules->outputs)
		return xct_query_fail(
			query,
			"this command prints no such output, see `--help'");
	if (query->options & XCT_OPTION_BIT(ZERO) &&
	    query->options & ~(XCT_OPTION_BIT(ZERO) | XCT_OPTION_BIT(OUTPUT) |
			       XCT_OPTION_BIT(FAMILY)))
		return xct_query_fail(query, "Can't use -z with filtering "
					     "parameters");
	if ((query->options & XCT_OPTION_BIT(ANY_NAT)) &&
	    (query->options &
	     (XCT_OPTION_BIT(SRC_NAT) | XCT_OPTION_BIT(DST_NAT))))
		return xct_query_fail(
			query, "cannot specify `--src-nat' or `--dst-nat' "
			       "with `--any-nat'");
	return true;
}

/* Compare the address in @range by @mask instead of by its prefix. */
static bool apply_mask(struct xct_query *query, const char *name,
		       const struct xct_addr_range *mask, uint32_t from,
		       uint32_t to, const struct xct_addr_range *range,
		       struct xct_addr *field)
{
	struct xct_flow_filter *f = &query->filter;

	if (!(f->fields & from) || range->family != mask->family)
		return xct_query_fail(query, "Can't use --mask-%s without --%s",
				      name, name);
	f->fields = (f->fields & ~from) | to;
	*field = mask->first;
	return true;
}

static bool apply_masks(struct xct_query *query)
{
	struct xct_flow_filter *f = &query->filter;

	if ((query->options & XCT_OPTION_BIT(MASK_SRC)) &&
	    !apply_mask(query, "src", &query->mask_src, XCT_FILTER_ORIG_SRC,
			XCT_FILTER_ORIG_SRC_MASK, &f->orig_src,
			&f->orig_src_mask))
		return false;
	return !(query->options & XCT_OPTION_BIT(MASK_DST)) ||
	       apply_mask(query, "dst", &query->mask_dst, XCT_FILTER_ORIG_DST,
			  XCT_FILTER_ORIG_DST_MASK, &f->orig_dst,
			  &f->orig_dst_mask);
}

/* DCCP has no tracker: its states are known by name, and no flow has one. */
static bool resolve_dccp_state(struct xct_query *query)
{
	static const char *const names[] = {
		"NONE",	    "REQUEST", "RESPOND",  "PARTOPEN", "OPEN",
		"CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE",   "INVALID",
	};
	size_t i = 0;

	while (i < XCT_ARRAY_SIZE(names) &&
	       strcasecmp(names[i], query->state) != 0)
		i++;
	if (i == XCT_ARRAY_SIZE(names))
		return xct_query_fail(query, "Unknown DCCP state `%s'",
				      query->state);
	query->filter.fields &= ~(uint32_t)XCT_FILTER_STATE;
	return true;
}

/* The number that --state stands for in the protocol given. */
static bool resolve_state(struct xct_query *query)
{
	int state;

	if (!query->state)
		return true;
	if (query->filter.proto == IPPROTO_DCCP)
		return resolve_dccp_state(query);
	state = xct_state_from_name(query->filter.proto, query->state);
	if (query->filter.proto == IPPROTO_TCP &&
	    strcasecmp(query->state, "LISTEN") == 0)
		state = XCT_TCP_SYN_SENT2; /* its name before Linux 2.6.31 */
	if (state < 0)
		return xct_query_fail(
			query, "unknown %s state `%s'",
			query->filter.proto == IPPROTO_TCP ? "TCP" : "SCTP",
			query->state);
	query->filter.state = (uint8_t)state;
	return true;
}

static bool is_single(const struct xct_addr_range *range)
{
	return xct_addr_equal(&range->first, &range->last);
}

static bool check_keys(struct xct_query *query)
{
	const uint32_t keys = XCT_FILTER_ORIG_SPORT | XCT_FILTER_ORIG_DPORT;

	return (query->filter.fields & keys) == keys ||
	       xct_query_fail(query,
			      "you have to specify `--srckey' and `--dstkey'");
}

static bool need(struct xct_query *query, bool is_given, const char *name)
{
	return is_given ||
	       xct_query_fail(query,
			      "You need to supply the `--%s' option for this "
			      "command",
			      name);
}

/* The option that names the type or code of an ICMP query. */
static const char *icmp_option(const struct xct_query *query, bool is_code)
{
	if (query->filter.proto == IPPROTO_ICMP)
		return is_code ? "icmp-code" : "icmp-type";
	return is_code ? "icmpv6-code" : "icmpv6-type";
}

static bool check_icmp(struct xct_query *query)
{
	uint32_t fields = query->filter.fields;

	return need(query, fields & XCT_FILTER_ICMP_TYPE,
		    icmp_option(query, false)) &&
	       need(query, fields & XCT_FILTER_ICMP_CODE,
		    icmp_option(query, true));
}

/* What names a flow besides its addresses, in the direction it is named by. */
static bool check_get_l4(struct xct_query *query, bool is_reply)
{
	const uint32_t ports =
		is_reply ? XCT_FILTER_REPLY_SPORT | XCT_FILTER_REPLY_DPORT
			 : XCT_FILTER_ORIG_SPORT | XCT_FILTER_ORIG_DPORT;
	struct xct_flow_filter *f = &query->filter;

	switch (xct_l4_shape(f->proto)) {
	case XCT_L4_ICMP:
		f->fields |= XCT_FILTER_ICMP_ID; /* 0 if none is given */
		return check_icmp(query);
	case XCT_L4_PORTS:
		return (f->fields & ports) == ports ||
		       xct_query_fail(query,
				      "you have to specify `--%s' and "
				      "`--%s'",
				      is_reply ? "reply-port-src" : "sport",
				      is_reply ? "reply-port-dst" : "dport");
	case XCT_L4_GRE:
		return (f->fields & ports) == ports ||
		       xct_query_fail(query,
				      "you have to specify `--%s' and "
				      "`--%s'",
				      is_reply ? "reply-key-src" : "srckey",
				      is_reply ? "reply-key-dst" : "dstkey");
	case XCT_L4_NONE:
		break;
	}
	return true;
}

/* Without a zone a tuple is one of zone 0. */
static void set_zone(struct xct_query *query, bool is_reply)
{
	const uint64_t zones = XCT_OPTION_BIT(ZONE) |
			       XCT_OPTION_BIT(ORIG_ZONE) |
			       XCT_OPTION_BIT(REPLY_ZONE);

	if (!(query->options & zones))
		query->filter.fields |=
			XCT_FILTER_ZONE | (is_reply ? XCT_FILTER_REPLY_ZONE
						    : XCT_FILTER_ORIG_ZONE);
}

/* A flow is named by its protocol and one of its tuples, or by its id. */
static bool check_get(struct xct_query *query)
{
	const uint32_t orig = XCT_FILTER_ORIG_SRC | XCT_FILTER_ORIG_DST;
	const uint32_t reply = XCT_FILTER_REPLY_SRC | XCT_FILTER_REPLY_DST;
	const struct xct_flow_filter *f = &query->filter;
	bool is_reply;

	if (query->options & XCT_OPTION_BIT(ID))
		return true;
	if (!need(query, query->options & XCT_OPTION_BIT(PROTO), "protonum"))
		return false;
	is_reply = !(f->fields & orig) && (f->fields & reply) == reply;
	if (!is_reply && (f->fields & orig) != orig)
		return xct_query_fail(query, "you have to specify `--src' and "
					     "`--dst'");
	if (!is_single(is_reply ? &f->reply_src : &f->orig_src) ||
	    !is_single(is_reply ? &f->reply_dst : &f->orig_dst))
		return xct_query_fail(query,
				      "Illegal network with this command: it "
				      "takes one address");
	set_zone(query, is_reply);
	return check_get_l4(query, is_reply);
}

/* What names a new flow's protocol part, and its state. */
static bool check_new_l4(struct xct_query *query)
{
	const uint32_t ports = XCT_FILTER_ORIG_SPORT | XCT_FILTER_ORIG_DPORT;
	uint32_t fields = query->filter.fields;
	uint8_t proto = query->filter.proto;

	switch (xct_l4_shape(proto)) {
	case XCT_L4_PORTS:
		/* DCCP has no tracker, and so no ports that matter. */
		if (proto != IPPROTO_DCCP && (fields & ports) != ports)
			return xct_query_fail(
				query, "you have to specify `--sport' and "
				       "`--dport'");
		break;
	case XCT_L4_ICMP:
		return check_icmp(query);
	case XCT_L4_GRE:
		return check_keys(query);
	case XCT_L4_NONE:
		break;
	}
	if (xct_state_name(proto, 0) &&
	    !need(query, fields & XCT_FILTER_STATE, "state"))
		return false;
	return proto != IPPROTO_SCTP ||
	       (need(query, query->options & XCT_OPTION_BIT(ORIG_VTAG),
		     "orig-vtag") &&
		need(query, query->options & XCT_OPTION_BIT(REPLY_VTAG),
		     "reply-vtag"));
}

/* As the kernel: a reply tuple is said whole, or not at all. */
static bool is_reply_whole(const struct xct_query *query)
{
	const uint32_t ports = XCT_FILTER_REPLY_SPORT | XCT_FILTER_REPLY_DPORT;
	const uint32_t src = XCT_FILTER_REPLY_SRC | XCT_FILTER_DST_NAT_IP;
	const uint32_t dst = XCT_FILTER_REPLY_DST | XCT_FILTER_SRC_NAT_IP;
	uint32_t fields = query->filter.fields;
	uint8_t proto = query->filter.proto;

	if (!(fields & (XCT_FILTER_REPLY_SRC | XCT_FILTER_REPLY_DST | ports)))
		return true;
	if (!(fields & src) || !(fields & dst))
		return false;
	return xct_l4_shape(proto) == XCT_L4_ICMP ||
	       xct_l4_shape(proto) == XCT_L4_NONE || proto == IPPROTO_DCCP ||
	       (fields & ports) == ports;
}

/* A flow may be named by its reply tuple alone. Ports of replies whose
 * addresses are not said say nothing; one without the other makes that 0. */
static bool take_reply(struct xct_query *query)
{
	const uint32_t orig = XCT_FILTER_ORIG_SRC | XCT_FILTER_ORIG_DST;
	const uint32_t reply = XCT_FILTER_REPLY_SRC | XCT_FILTER_REPLY_DST;
	const uint32_t ports = XCT_FILTER_REPLY_SPORT | XCT_FILTER_REPLY_DPORT;
	const uint32_t nat = XCT_FILTER_SRC_NAT_IP | XCT_FILTER_DST_NAT_IP;
	struct xct_flow_filter *f = &query->filter;

	if (!(f->fields & reply) && (f->fields & nat) != nat)
		f->fields &= ~ports;
	else if (f->fields & ports)
		f->fields |= ports;
	if (f->fields & orig || !(f->fields & reply))
		return true;
	if ((f->fields & reply) != reply)
		return xct_query_fail(query, "you have to specify "
					     "`--reply-src' and `--reply-dst'");
	/* What it asks is not in it. */
	query->is_reply_partial = xct_l4_shape(f->proto) == XCT_L4_ICMP;
	f->orig_src = f->reply_dst;
	f->orig_dst = f->reply_src;
	f->fields |= orig;
	if ((f->fields & ports) == ports) {
		f->orig_sport = f->reply_dport;
		f->orig_dport = f->reply_sport;
		f->fields |= XCT_FILTER_ORIG_SPORT | XCT_FILTER_ORIG_DPORT;
	}
	f->fields &= ~(reply | ports);
	return true;
}

static bool check_create(struct xct_query *query)
{
	const uint32_t orig = XCT_FILTER_ORIG_SRC | XCT_FILTER_ORIG_DST;
	const struct xct_flow_filter *f = &query->filter;
	const struct {
		const struct xct_addr_range *range;
		const char *message;
	} singles[] = {
		{ &f->orig_src, "Illegal option `--mask-src' with this "
				"command" },
		{ &f->orig_dst, "Illegal option `--mask-dst' with this "
				"command" },
		{ &f->reply_src,
		  "CIDR notation unavailable for `--reply-src'" },
		{ &f->reply_dst,
		  "CIDR notation unavailable for `--reply-dst'" },
		{ &f->nat_src, "CIDR notation unavailable for `--src-nat'" },
		{ &f->nat_dst, "CIDR notation unavailable for `--dst-nat'" },
	};
	uint64_t given = query->options;

	if (!need(query, given & XCT_OPTION_BIT(PROTO), "protonum") ||
	    !need(query, given & XCT_OPTION_BIT(TIMEOUT), "timeout") ||
	    !take_reply(query))
		return false;
	if ((f->fields & orig) != orig)
		return xct_query_fail(
			query, "you have to specify `--src' and `--dst'");
	for (size_t i = 0; i < XCT_ARRAY_SIZE(singles); i++)
		if (!is_single(singles[i].range))
			return xct_query_fail(query, "%s", singles[i].message);
	return check_new_l4(query);
}

/* Options that say what a flow shall be were read as those of a filter. */
static bool take_change(struct xct_query *query)
{
	static const uint32_t nat[] = { XCT_STATUS_SRC_NAT,
					XCT_STATUS_DST_NAT };
	const uint64_t vtags =
		XCT_OPTION_BIT(ORIG_VTAG) | XCT_OPTION_BIT(REPLY_VTAG);
	struct xct_flow_filter *f = &query->filter;
	struct xct_flow_change *change = &query->change;

	if (f->status & (XCT_STATUS_CONFIRMED | XCT_STATUS_DYING))
		return xct_query_fail(
			query, "Bad parameter `%s'",
			f->status & XCT_STATUS_DYING ? "DYING" : "CONFIRMED");
	for (size_t i = 0; i < XCT_ARRAY_SIZE(nat); i++)
		if (f->status & nat[i])
			fprintf(stderr,
				"WARNING: ignoring %s, use --%s instead\n",
				i ? "DST_NAT" : "SRC_NAT",
				i ? "dst-nat" : "src-nat");
	change->status =
		f->status & ~(uint32_t)(XCT_STATUS_SRC_NAT |
					XCT_STATUS_DST_NAT | STATUS_OFFLOADED);
	/* Nobody can make it so, and conntrack counts who tries. */
	if (f->status & STATUS_OFFLOADED ||
	    (query->options & XCT_OPTION_BIT(STATE) &&
	     !(f->fields & XCT_FILTER_STATE)))
		change->fields |= XCT_CHANGE_NOTHING;
	change->mark = f->mark;
	change->mark_mask = f->mark_mask;
	change->state = f->state;
	if (query->options & XCT_OPTION_BIT(TIMEOUT))
		change->fields |= XCT_CHANGE_TIMEOUT;
	if (query->options & XCT_OPTION_BIT(LABEL_ADD))
		change->fields |= XCT_CHANGE_LABEL_ADD;
	if (query->options & XCT_OPTION_BIT(LABEL_DEL))
		change->fields |= XCT_CHANGE_LABEL_DEL;
	if (f->fields & XCT_FILTER_STATUS)
		change->fields |= XCT_CHANGE_STATUS;
	if (f->fields & XCT_FILTER_MARK)
		change->fields |= XCT_CHANGE_MARK;
	if (f->fields & XCT_FILTER_STATE)
		change->fields |= XCT_CHANGE_STATE;
	if ((query->options & vtags) == vtags)
		change->fields |= XCT_CHANGE_VTAGS;
	else if (query->options & vtags)
		return need(query, query->options & XCT_OPTION_BIT(ORIG_VTAG),
			    "orig-vtag") &&
		       need(query, false, "reply-vtag");
	f->fields &= ~(uint32_t)(XCT_FILTER_STATUS | XCT_FILTER_UNSET |
				 XCT_FILTER_MARK | XCT_FILTER_STATE);
	return true;
}

/* The numbers of a direction's tuple beyond its addresses. */
static void take_numbers(const struct xct_flow_filter *f,
			 struct xct_tuple tuple[static XCT_DIRS])
{
	struct xct_tuple *orig = &tuple[XCT_DIR_ORIG];

	if (xct_l4_shape(f->proto) == XCT_L4_ICMP) {
		orig->icmp_id = f->icmp_id;
		orig->icmp_type = f->icmp_type;
		orig->icmp_code = f->icmp_code;
		return;
	}
	orig->sport = f->orig_sport;
	orig->dport = f->orig_dport;
	tuple[XCT_DIR_REPLY].sport = f->reply_sport;
	tuple[XCT_DIR_REPLY].dport = f->reply_dport;
}

static void take_create(struct xct_query *query)
{
	static const struct {
		uint32_t filter;
		uint32_t create;
	} fields[] = {
		{ XCT_FILTER_REPLY_SRC, XCT_CREATE_REPLY_SRC },
		{ XCT_FILTER_REPLY_DST, XCT_CREATE_REPLY_DST },
		{ XCT_FILTER_REPLY_SPORT, XCT_CREATE_REPLY_SPORT },
		{ XCT_FILTER_REPLY_DPORT, XCT_CREATE_REPLY_DPORT },
		{ XCT_FILTER_SRC_NAT_IP, XCT_CREATE_SRC_NAT },
		{ XCT_FILTER_DST_NAT_IP, XCT_CREATE_DST_NAT },
		{ XCT_FILTER_SRC_NAT_PORT, XCT_CREATE_SRC_NAT_PORT },
		{ XCT_FILTER_DST_NAT_PORT, XCT_CREATE_DST_NAT_PORT },
	};
	const struct xct_flow_filter *f = &query->filter;
	struct xct_flow_create *create = &query->create;
	struct xct_tuple *orig = &create->tuple[XCT_DIR_ORIG];
	struct xct_tuple *reply = &create->tuple[XCT_DIR_REPLY];

	for (size_t i = 0; i < XCT_ARRAY_SIZE(fields); i++)
		if (f->fields & fields[i].filter)
			create->fields |= fields[i].create;
	orig->src = f->orig_src.first;
	orig->dst = f->orig_dst.first;
	reply->src = f->reply_src.first;
	reply->dst = f->reply_dst.first;
	orig->family = reply->family = f->family;
	orig->proto = reply->proto = f->proto;
	orig->zone = f->fields & XCT_FILTER_ORIG_ZONE ? f->orig_zone : f->zone;
	reply->zone =
		f->fields & XCT_FILTER_REPLY_ZONE ? f->reply_zone : f->zone;
	take_numbers(f, create->tuple);
	create->nat_src = f->nat_src.first;
	create->nat_dst = f->nat_dst.first;
	create->nat_sport = f->nat_sport;
	create->nat_dport = f->nat_dport;
	create->change = query->change;
	query->is_reply_partial |= !is_reply_whole(query);
}

/* Is it something that no flow here has? */
static bool is_none_asked_for(const struct xct_query *query,
			      enum xct_query_kind kind)
{
	return query->beyond & XCT_OPTION_BIT(LABEL) ||
	       (query->options & XCT_OPTION_BIT(STATE) &&
		query->filter.proto == IPPROTO_DCCP &&
		kind != XCT_QUERY_UPDATE);
}

/* What the command makes of the options, which are right one by one. */
static bool finish(struct xct_query *query, enum xct_query_kind kind)
{
	bool is_right = true;

	switch (kind) {
	case XCT_QUERY_FILTER:
		break;
	case XCT_QUERY_GET:
		is_right = check_get(query);
		break;
	case XCT_QUERY_CREATE:
		is_right = check_create(query) && take_change(query);
		if (is_right)
			take_create(query);
		break;
	case XCT_QUERY_UPDATE:
		is_right = take_change(query);
		break;
	}
	if (is_none_asked_for(query, kind)) {
		query->filter.fields |= XCT_FILTER_STATUS;
		query->filter.status |= XCT_STATUS_OFFLOAD;
	}
	return is_right;
}

/* What conntrack, or the kernel, refuses about labels. */
static bool check_labels(struct xct_query *query)
{
	const uint64_t both =
		XCT_OPTION_BIT(LABEL_ADD) | XCT_OPTION_BIT(LABEL_DEL);

	if ((query->options & both) == both)
		return xct_query_fail(query, "cannot use --label-add and "
					     "--label-del at the same time");
	if (query->beyond & XCT_OPTION_BIT(LABEL_ADD))
		return xct_query_fail(query,
				      "Operation failed: Numerical result out "
				      "of range: labels are 0 to %d",
				      XCT_LABEL_BITS - 1);
	return true;
}

/* -EOPNOTSUPP: what conntrack refuses without explaining usage. */
static int check_whole(struct xct_query *query)
{
	const uint16_t whole =
		XCT_OUTPUT_JSON | XCT_OUTPUT_NDJSON | XCT_OUTPUT_XML;
	uint16_t outputs = query->outputs;

	if (!check_labels(query))
		return -EOPNOTSUPP;
	if (outputs & XCT_OUTPUT_SAVE && outputs != XCT_OUTPUT_SAVE) {
		(void)xct_query_fail(
			query, "cannot combine save output with any other "
			       "output type, use -o save only");
		return -EOPNOTSUPP;
	}
	outputs &= whole;
	if (outputs & (outputs - 1)) {
		(void)xct_query_fail(query,
				     "json, ndjson and xml exclude each other");
		return -EINVAL;
	}
	return 0;
}

int xct_query_parse(struct xct_query *query,
		    const struct xct_query_rules *rules, int argc, char **argv)
{
	int words, ret;

	memset(query, 0, sizeof(*query));
	words = xct_options_read(query, argc, argv);
	if (words < 0)
		return words;
	if (!check_options(query, rules) || !resolve_state(query) ||
	    !apply_masks(query) || !finish(query, rules->kind))
		return -EINVAL;
	ret = check_whole(query);
	return ret < 0 ? ret : words;
}
