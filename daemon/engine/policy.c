/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the rules say about a packet that opens a connection, or fits none. */
#include <sys/socket.h>

#include "daemon/engine/reply.h"
#include "daemon/engine/visit.h"

bool xct_visit_is_local(const struct xct_visit *v, uint8_t family,
			const struct xct_addr *addr)
{
	const struct xct_host_ops *host = &v->eng->cfg.host;

	return host->is_local && host->is_local(host->ctx, family, addr);
}

/* Some of what this host makes (packets of tunnels, IGMP) carries an input
 * interface as well; but nobody else sends from its addresses. */
bool xct_visit_is_own(const struct xct_visit *v)
{
	struct xct_addr src, dst;

	if (v->meta->hook != XCT_HOOK_POSTROUTING)
		return v->meta->hook == XCT_HOOK_OUTPUT;
	/* Of a malformed packet nothing but the interface is known. */
	if (!v->meta->in_if || !v->tuple.family)
		return !v->meta->in_if;
	xct_pkt_addrs(&v->pkt, &src, &dst);
	return xct_visit_is_local(v, v->pkt.family, &src);
}

static enum xct_chain_id chain_of(const struct xct_visit *v)
{
	if (v->meta->hook == XCT_HOOK_INPUT)
		return XCT_CHAIN_INPUT;
	return xct_visit_is_own(v) ? XCT_CHAIN_OUTPUT : XCT_CHAIN_FORWARD;
}

static void ifsets_of(const struct xct_visit *v, uint32_t ifindex,
		      uint64_t bits[static XCT_IFSETS_MAX / 64])
{
	const struct xct_host_ops *host = &v->eng->cfg.host;
	char name[XCT_IFNAMSIZ];
	bool has_name = ifindex && host->ifname &&
			host->ifname(host->ctx, ifindex, name);

	xct_ifsets_of(v->eng->rs, has_name ? name : NULL, bits);
}

static void make_subject(const struct xct_visit *v,
			 const struct xct_tuple *tuple, uint32_t status,
			 enum xct_class cls, struct xct_subject *subject)
{
	memset(subject, 0, sizeof(*subject));
	subject->tuple = tuple;
	subject->status = status;
	subject->cls = cls;
	subject->is_local = v->meta->hook == XCT_HOOK_OUTPUT;
	if (v->eng->rs->n_ifsets) {
		ifsets_of(v, v->meta->in_if, subject->in);
		ifsets_of(v, v->meta->out_if, subject->out);
	}
}

/*
 * What a rule is asked about. An ICMP error stands in @v as a packet of the
 * connection that it speaks of, but to rules it is what it is on the wire.
 */
static const struct xct_tuple *as_rules_see(const struct xct_visit *v,
					    const struct xct_tuple *now,
					    struct xct_tuple *error)
{
	if (!v->is_error)
		return now;
	*error = (struct xct_tuple){ .family = v->pkt.family,
				     .proto = v->pkt.proto,
				     .icmp_type = v->pkt.l4[0],
				     .icmp_code = v->pkt.l4[1] };
	xct_pkt_addrs(&v->pkt, &error->src, &error->dst);
	return error;
}

void xct_policy_count(struct xct_visit *v, const struct xct_rule *rule)
{
	v->eng->rs->hits[rule->id]++;
	if (rule->log)
		xct_visit_report(v, &(struct xct_event){ .type = XCT_EVENT_LOG,
							 .rule = rule });
}

static const struct xct_rule *find_nat_rule(struct xct_visit *v,
					    const struct xct_rule *rules,
					    uint32_t n,
					    const struct xct_subject *subject)
{
	for (uint32_t i = 0; i < n; i++)
		if (xct_rule_match(v->eng->rs, &rules[i], subject))
			return &rules[i];
	return NULL;
}

/* The address of ours that an error about v's packet comes from. */
static void error_source(struct xct_visit *v, const struct xct_tuple *orig,
			 struct xct_addr *from)
{
	const struct xct_host_ops *host = &v->eng->cfg.host;
	uint32_t ifindex = v->meta->in_if ? v->meta->in_if : v->meta->out_if;

	memset(from, 0, sizeof(*from));
	if (v->meta->hook == XCT_HOOK_INPUT)
		*from = orig->dst; /* the one that was asked */
	else if (host->ifaddr)
		(void)host->ifaddr(host->ctx, ifindex, orig->family, &orig->src,
				   from);
}

static void reject_packet(struct xct_visit *v, const struct xct_tuple *orig,
			  uint8_t how)
{
	const struct xct_host_ops *host = &v->eng->cfg.host;
	struct xct_addr from, src, dst;

	/* What came in and is for no address of ours was a broadcast: those are
	 * not answered (RFC 1122 3.2.2). */
	xct_pkt_addrs(&v->pkt, &src, &dst);
	if (v->meta->hook != XCT_HOOK_INPUT || !host->is_local ||
	    xct_visit_is_local(v, orig->family, &dst)) {
		error_source(v, orig, &from);
		v->res->reply_len =
			xct_reply_build(&v->pkt, orig, how, &from,
					v->res->reply, XCT_REPLY_MAX);
	}
	xct_visit_drop(v, XCT_REASON_REJECT);
}

void xct_policy_mark(struct xct_visit *v, struct xct_flow *flow,
		     const struct xct_rule *rule)
{
	struct xct_flow_cold *cold = xct_table_cold(&v->eng->table, flow);
	unsigned int parts = 0;

	if (rule->has_mark && cold->mark != rule->mark) {
		cold->mark = rule->mark;
		parts |= XCT_FLOW_PART_MARK;
	}
	if (xct_labels_any(&rule->labels) &&
	    xct_flow_change_labels(v->eng, flow, &rule->labels, NULL))
		parts |= XCT_FLOW_PART_LABELS;
	/* As the kernel: what was expected has none. */
	if (rule->helper && !(flow->status & XCT_STATUS_EXPECTED))
		xct_flow_set_helper(v->eng, flow, rule->helper);
	/* Else its beginning is to be told. */
	if (parts && flow->status & XCT_STATUS_CONFIRMED)
		xct_flow_tell(v->eng, flow, XCT_FLOW_UPDATE, parts);
}

bool xct_policy_filter(struct xct_visit *v, const struct xct_tuple *now,
		       struct xct_flow *flow, enum xct_class cls)
{
	const struct xct_ruleset *rs = v->eng->rs;
	const struct xct_chain *chain = &rs->chain[chain_of(v)];
	const struct xct_tuple *orig =
		flow ? &flow->side[XCT_DIR_ORIG].tuple : &v->tuple;
	uint8_t action = chain->policy, how = chain->reject;
	enum xct_reason reason = XCT_REASON_DEFAULT;
	struct xct_subject subject;
	struct xct_tuple error;
	uint32_t i;

	make_subject(v, as_rules_see(v, now, &error), flow ? flow->status : 0,
		     cls, &subject);
	for (i = 0; i < chain->n; i++) {
		const struct xct_rule *rule = &chain->rules[i];

		if (!xct_rule_match(rs, rule, &subject))
			continue;
		xct_policy_count(v, rule);
		if (flow)
			xct_policy_mark(v, flow, rule);
		if (rule->action == XCT_ACT_LOG)
			continue;
		action = rule->action;
		how = rule->reject;
		reason = XCT_REASON_RULE;
		break;
	}
	if (i == chain->n) {
		/* The default speaks about NEW connections; related errors
		 * follow their flow, INVALID has a policy of its own. */
		if (cls == XCT_CLASS_RELATED)
			return true;
		if (cls == XCT_CLASS_INVALID) {
			action = rs->invalid;
			reason = XCT_REASON_INVALID;
		} else {
			rs->hits[chain->policy_id]++;
		}
	}
	if (action == XCT_ACT_ACCEPT)
		return true;
	if (action == XCT_ACT_REJECT && cls != XCT_CLASS_INVALID &&
	    !v->is_error)
		reject_packet(v, orig, how);
	else
		xct_visit_drop(v, reason);
	return false;
}

bool xct_policy_asks_for(const struct xct_ruleset *rs, enum xct_class cls)
{
	uint8_t classes = 0;

	for (int i = 0; rs && i < XCT_CHAINS; i++)
		classes |= rs->chain[i].classes;
	return classes >> cls & 1;
}

/* What is left of a packet that fits no connection: the policy. */
void xct_policy_judge_invalid(struct xct_visit *v)
{
	const struct xct_ruleset *rs = v->eng->rs;
	bool has_rules = xct_policy_asks_for(rs, XCT_CLASS_INVALID);

	v->res->cls = XCT_CLASS_INVALID;
	if (!rs) {
		xct_visit_accept(v, xct_visit_is_early(v) ? XCT_STAGE_INVALID
							  : XCT_STAGE_FRESH);
	} else if (xct_visit_is_early(v)) {
		/* Rules need both interfaces: they wait for the late hook. And
		 * routing refuses before rules do. */
		if (has_rules || rs->invalid == XCT_ACT_ACCEPT || v->is_dying)
			xct_visit_accept(v, XCT_STAGE_INVALID);
		else
			xct_visit_drop(v, XCT_REASON_INVALID);
	} else if (xct_policy_filter(v, &v->tuple, NULL, XCT_CLASS_INVALID)) {
		xct_visit_accept(v, XCT_STAGE_FRESH);
	}
}

static void invalid(struct xct_visit *v, const struct xct_event *event)
{
	xct_visit_set_class(v, XCT_CLASS_INVALID);
	v->eng->stats.reason_packets[event->reason]++;
	if (v->eng->rs && v->eng->rs->log_invalid)
		xct_visit_report(v, event);
	xct_policy_judge_invalid(v);
	v->res->reason = event->reason;
}

void xct_policy_invalid(struct xct_visit *v, enum xct_reason reason)
{
	invalid(v, &(struct xct_event){ .type = XCT_EVENT_INVALID,
					.reason = reason });
}

void xct_policy_invalid_flow(struct xct_visit *v)
{
	const struct xct_l4_ctx *ctx = &v->ctx;

	/* Other reasons are none of the state table's. */
	if (ctx->reason == XCT_REASON_TCP_STATE ||
	    ctx->reason == XCT_REASON_TCP_NOT_OPEN ||
	    ctx->reason == XCT_REASON_SCTP_STATE ||
	    ctx->reason == XCT_REASON_SCTP_NOT_OPEN)
		v->eng->stats.cell_packets[xct_cell_index(&ctx->cell)]++;
	invalid(v, &(struct xct_event){ .type = XCT_EVENT_INVALID,
					.reason = ctx->reason,
					.cell = ctx->cell,
					.excess = ctx->excess });
}

/* An error passes unless a rule speaks about RELATED. */
bool xct_policy_filter_error(struct xct_visit *v)
{
	const struct xct_ruleset *rs = v->eng->rs;

	if (!rs || !(rs->chain[chain_of(v)].classes & 1u << XCT_CLASS_RELATED))
		return true;
	return xct_policy_filter(v, &v->tuple, v->flow, XCT_CLASS_RELATED);
}

/* The range that @rule translates the destination to. */
static bool destination_range(struct xct_visit *v, const struct xct_rule *rule,
			      struct xct_nat_range *range)
{
	static const struct xct_addr loopback4 = { .b = { 127, 0, 0, 1 } };
	static const struct xct_addr loopback6 = { .b = { [15] = 1 } };
	const struct xct_host_ops *host = &v->eng->cfg.host;

	*range = rule->nat;
	if (rule->action != XCT_ACT_REDIRECT)
		return true;
	/* To this host: to itself from itself, else to the address of the
	 * interface that it came in by. */
	range->addr.family = v->tuple.family;
	if (v->meta->hook == XCT_HOOK_OUTPUT) {
		range->addr.first =
			v->tuple.family == AF_INET ? loopback4 : loopback6;
	} else if (!host->ifaddr ||
		   !host->ifaddr(host->ctx, v->meta->in_if, v->tuple.family,
				 NULL, &range->addr.first)) {
		xct_visit_drop(v, XCT_REASON_NAT_NO_ADDR);
		return false;
	}
	range->addr.last = range->addr.first;
	return true;
}

bool xct_policy_destination(struct xct_visit *v, const struct xct_rule **rule,
			    struct xct_tuple *leaving)
{
	const struct xct_ruleset *rs = v->eng->rs;
	struct xct_nat_range range;
	struct xct_subject subject;
	struct xct_nat nat;

	*rule = NULL;
	if (!rs || !rs->n_dnat)
		return true;
	make_subject(v, &v->tuple, 0, XCT_CLASS_NEW, &subject);
	*rule = find_nat_rule(v, rs->dnat, rs->n_dnat, &subject);
	/* That it is exempt is counted where sources are translated. */
	if (*rule && (*rule)->action == XCT_ACT_EXEMPT)
		*rule = NULL;
	if (!*rule)
		return true;
	if (!destination_range(v, *rule, &range))
		return false;
	/* Nobody's yet: no flow is ruled out, and none is evicted. */
	xct_flow_nat(v->eng, NULL, &nat);
	xct_nat_destination(&nat, &range, leaving);
	return true;
}

/* The range that @rule translates the source to. */
static bool source_range(struct xct_visit *v, const struct xct_rule *rule,
			 struct xct_nat_range *range)
{
	const struct xct_host_ops *host = &v->eng->cfg.host;

	*range = rule->nat;
	if (rule->action != XCT_ACT_MASQUERADE)
		return true;
	if (!host->ifaddr ||
	    !host->ifaddr(host->ctx, v->meta->out_if, v->tuple.family,
			  &v->tuple.dst, &range->addr.first)) {
		xct_visit_drop(v, XCT_REASON_NAT_NO_ADDR);
		return false;
	}
	range->addr.last = range->addr.first;
	range->addr.family = v->tuple.family;
	return true;
}

/* The rule about the source of @flow, whose packet is @routed by now. What ends
 * at this host keeps its source: there only exemptions are looked for, so that
 * they count every connection they speak of. */
static const struct xct_rule *source_rule(struct xct_visit *v,
					  const struct xct_flow *flow,
					  const struct xct_tuple *routed)
{
	const struct xct_ruleset *rs = v->eng->rs;
	const struct xct_rule *rule;
	struct xct_subject subject;

	if (!rs || !rs->n_snat)
		return NULL;
	make_subject(v, routed, flow->status, XCT_CLASS_NEW, &subject);
	rule = find_nat_rule(v, rs->snat, rs->n_snat, &subject);
	if (rule && rule->action != XCT_ACT_EXEMPT &&
	    v->meta->hook != XCT_HOOK_POSTROUTING)
		return NULL;
	return rule;
}

bool xct_policy_source(struct xct_visit *v, struct xct_flow *flow,
		       bool is_known)
{
	struct xct_engine *eng = v->eng;
	struct xct_flow_cold *cold = xct_table_cold(&eng->table, flow);
	struct xct_nat_range range = { .port_first = 0 };
	struct xct_tuple routed, leaving, reply;
	const struct xct_rule *rule;
	struct xct_nat nat;

	xct_flow_routed_tuple(flow, &routed);
	leaving = routed;
	if (flow->status & XCT_STATUS_FOLLOWS) {
		rule = NULL;
		range.addr.family = routed.family;
		range.addr.first = range.addr.last =
			flow->side[XCT_DIR_REPLY].tuple.dst;
	} else {
		rule = source_rule(v, flow, &routed);
	}
	if (rule) {
		xct_policy_count(v, rule);
		xct_policy_mark(v, flow, rule);
		if (rule->action == XCT_ACT_EXEMPT)
			rule = NULL;
		else if (!source_range(v, rule, &range))
			return false;
	}
	routed.zone = leaving.zone = xct_visit_answer_zone(v);
	xct_flow_nat(eng, flow, &nat);
	if (!xct_nat_source(&nat, &range, &leaving)) {
		eng->stats.insert_failed++;
		xct_visit_drop(v, XCT_REASON_NAT_EXHAUSTED);
		return false;
	}
	if (!rule && !(flow->status & XCT_STATUS_FOLLOWS) &&
	    !xct_tuple_equal(&leaving, &routed))
		eng->stats.clash_resolve++;
	if (rule && rule->action == XCT_ACT_MASQUERADE)
		cold->masq_if = v->meta->out_if;
	(void)xct_tuple_invert(&leaving, &reply);
	if (!is_known)
		flow->side[XCT_DIR_REPLY].tuple = reply;
	else if (!xct_tuple_equal(&reply, &flow->side[XCT_DIR_REPLY].tuple))
		xct_table_set_reply(&eng->table, flow, &reply);
	if (!xct_tuple_equal(&leaving, &routed)) {
		flow->status |= XCT_STATUS_SRC_NAT;
		if (is_known)
			xct_table_index_source(&eng->table, flow);
	}
	return true;
}
