/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows made and changed by hand, as conntrack -I and -U do with the kernel's.
 *
 * Theory of operation: what is asked for comes from outside, so nothing in it
 * is trusted. It is brought into the form that packets give a flow (unused
 * fields zero, the reply tuple one that the protocol can answer with), and
 * enters the table by the same door. Trackers start from zero, and learn
 * windows and the like from the next packets.
 *
 * A flow's translation stands in its reply tuple. So wherever the reply tuple
 * asked for is not the inverse of the original one, that half is translated;
 * what the protocol cannot translate must be the inverse.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/engine/visit.h"

/* What a kernel of 250 Hz cuts timeouts to: INT_MAX of its ticks. */
#define TIMEOUT_MAX_MS (INT32_MAX * UINT64_C(4))

#define STATUS_SETTABLE \
	(XCT_STATUS_SEEN_REPLY | XCT_STATUS_ASSURED | XCT_STATUS_FIXED_TIMEOUT)
/* Whoever changes a flow is taken to have said all of it. */
#define PARTS_BY_HAND \
	(XCT_FLOW_PART_STATE | XCT_FLOW_PART_MARK | XCT_FLOW_PART_LABELS)

#define STATUS_ENGINE \
	(XCT_STATUS_EXPECTED | XCT_STATUS_CONFIRMED | XCT_STATUS_DYING)

int xct_flow_change_check(const struct xct_flow_change *change, int proto)
{
	if (change->fields & XCT_CHANGE_STATUS) {
		if (change->status & STATUS_ENGINE)
			return -EBUSY;
		if (change->status & ~(uint32_t)STATUS_SETTABLE)
			return -EINVAL;
	}
	if (change->fields & XCT_CHANGE_TIMEOUT && !change->timeout_s)
		return -EINVAL;
	if (change->fields & XCT_CHANGE_STATE &&
	    (proto < 0 || !xct_state_name((uint8_t)proto, change->state)))
		return -EINVAL;
	if (change->fields & XCT_CHANGE_VTAGS && proto != IPPROTO_SCTP)
		return -EINVAL;
	return 0;
}

static void set_state(struct xct_flow *flow, uint8_t state)
{
	if (flow->side[XCT_DIR_ORIG].tuple.proto == IPPROTO_TCP)
		flow->track.tcp.state = state;
	else
		flow->track.sctp.state = state;
}

/* Make @change, which is right for the flow's protocol, to its record. */
static void change_flow(struct xct_engine *eng, struct xct_flow *flow,
			const struct xct_flow_change *change, xct_msec now)
{
	struct xct_flow_cold *cold = xct_table_cold(&eng->table, flow);
	xct_msec timeout = (xct_msec)change->timeout_s * 1000;

	if (change->fields & XCT_CHANGE_STATUS)
		flow->status |= change->status;
	if (change->fields & XCT_CHANGE_MARK)
		cold->mark = (cold->mark & ~change->mark_mask) ^ change->mark;
	if (change->fields & XCT_CHANGE_LABEL_ADD)
		(void)xct_flow_change_labels(eng, flow, &change->labels, NULL);
	if (change->fields & XCT_CHANGE_LABEL_DEL)
		(void)xct_flow_change_labels(eng, flow, NULL, &change->labels);
	if (change->fields & XCT_CHANGE_TIMEOUT) {
		if (timeout > TIMEOUT_MAX_MS)
			timeout = TIMEOUT_MAX_MS;
		flow->expires_at = now + timeout;
	}
	if (change->fields & XCT_CHANGE_STATE)
		set_state(flow, change->state);
	if (change->fields & XCT_CHANGE_VTAGS)
		memcpy(flow->track.sctp.vtag, change->vtag,
		       sizeof(change->vtag));
	if (change->fields & XCT_CHANGE_ZERO) {
		for (int dir = 0; dir < XCT_DIRS; dir++)
			flow->side[dir].packets = flow->side[dir].bytes = 0;
	}
}

/* Of a flow whose timeout is fixed nothing else is changed then either, as in
 * the kernel. */
static bool is_refused(const struct xct_flow_change *change,
		       const struct xct_flow *flow)
{
	return change->fields & XCT_CHANGE_TIMEOUT &&
	       flow->status & XCT_STATUS_FIXED_TIMEOUT;
}

/* As conntrack -U judges it: whoever changes labels is taken to have. */
static bool is_same(const struct xct_flow_change *change,
		    const struct xct_flow_info *a,
		    const struct xct_flow_info *b)
{
	if (change->fields & (XCT_CHANGE_LABEL_ADD | XCT_CHANGE_NOTHING) ||
	    (change->fields & XCT_CHANGE_LABEL_DEL &&
	     xct_labels_any(&a->labels)))
		return false;
	return a->status == b->status && a->mark == b->mark &&
	       a->timeout_s == b->timeout_s && a->state == b->state &&
	       !memcmp(a->vtag, b->vtag, sizeof(a->vtag));
}

bool xct_engine_update(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		       const struct xct_flow_update *update, uint32_t max,
		       bool (*fn)(void *ctx, const struct xct_flow_info *info),
		       void *ctx)
{
	const struct xct_flow_change *change = &update->change;
	uint32_t end = xct_flow_slice(eng, *cursor, max);
	struct xct_flow_info before, after;
	struct xct_flow *flow;
	bool go_on = true;

	eng->now = now;
	while (go_on && (flow = xct_flow_next(eng, cursor, end, now))) {
		xct_flow_describe(eng, flow, now, &before);
		if (!xct_flow_is_chosen(eng, flow, &before, &update->filter) ||
		    xct_flow_change_check(change, flow->side[0].tuple.proto) <
			    0)
			continue;
		if (is_refused(change, flow)) {
			go_on = fn(ctx, &before);
			continue;
		}
		change_flow(eng, flow, change, now);
		xct_flow_describe(eng, flow, now, &after);
		xct_wheel_update(&eng->wheel, flow);
		if (change->fields & XCT_CHANGE_ZERO) {
			go_on = fn(ctx, &before);
		} else if (!is_same(change, &before, &after)) {
			xct_flow_tell(eng, flow, XCT_FLOW_UPDATE,
				      PARTS_BY_HAND);
			go_on = fn(ctx, &after);
		}
	}
	return *cursor < eng->table.header->n_used;
}

/* ---- making one ---- */

bool xct_flow_is_addr(uint8_t family, const struct xct_addr *addr)
{
	static const uint8_t zeros[sizeof(addr->b)];
	size_t len = xct_addr_len(family);

	return !memcmp(addr->b + len, zeros, sizeof(addr->b) - len);
}

int xct_flow_check_original(const struct xct_tuple *asked,
			    struct xct_tuple *orig)
{
	*orig = *asked;
	if (orig->family != AF_INET && orig->family != AF_INET6)
		return -EINVAL;
	if (!xct_flow_is_addr(orig->family, &orig->src) ||
	    !xct_flow_is_addr(orig->family, &orig->dst))
		return -EINVAL;
	if (orig->proto ==
	    (orig->family == AF_INET ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return -EINVAL;
	/* Without a tracker there is nothing but addresses. */
	if (xct_l4(orig->proto) == &xct_l4_generic)
		orig->sport = orig->dport = 0;
	return 0;
}

/* The reply tuple before NAT: what is not asked for follows from @orig. */
static int take_reply(const struct xct_flow_create *req,
		      const struct xct_tuple *orig, struct xct_tuple *reply)
{
	const struct xct_tuple *asked = &req->tuple[XCT_DIR_REPLY];
	bool has_numbers;

	if (!xct_tuple_invert(orig, reply))
		return -EINVAL;
	has_numbers =
		xct_l4(orig->proto)->has_ports || orig->proto == IPPROTO_GRE;
	reply->zone = asked->zone;
	if (req->fields & XCT_CREATE_REPLY_SRC)
		reply->src = asked->src;
	if (req->fields & XCT_CREATE_REPLY_DST)
		reply->dst = asked->dst;
	if (has_numbers && req->fields & XCT_CREATE_REPLY_SPORT)
		reply->sport = asked->sport;
	if (has_numbers && req->fields & XCT_CREATE_REPLY_DPORT)
		reply->dport = asked->dport;
	if (!xct_flow_is_addr(reply->family, &reply->src) ||
	    !xct_flow_is_addr(reply->family, &reply->dst))
		return -EINVAL;
	return 0;
}

static void set_range(struct xct_nat_range *range, const struct xct_tuple *t,
		      const struct xct_addr *addr, bool has_port, xct_be16 port)
{
	memset(range, 0, sizeof(*range));
	range->addr.family = t->family;
	range->addr.first = range->addr.last = *addr;
	/* As the kernel: an ICMP id is not chosen by a port. */
	if (has_port && xct_l4(t->proto)->has_ports)
		range->port_first = range->port_last = xct_ntoh16(port);
}

/* Translate @leaving, the packet as it would leave, as asked. */
static int translate(struct xct_engine *eng, const struct xct_flow_create *req,
		     const struct xct_flow *draft, struct xct_tuple *leaving)
{
	struct xct_nat_range range;
	struct xct_nat nat;

	xct_flow_nat(eng, draft, &nat);
	if (req->fields & XCT_CREATE_DST_NAT) {
		if (!xct_flow_is_addr(leaving->family, &req->nat_dst))
			return -EINVAL;
		set_range(&range, leaving, &req->nat_dst,
			  req->fields & XCT_CREATE_DST_NAT_PORT,
			  req->nat_dport);
		xct_nat_destination(&nat, &range, leaving);
	}
	if (req->fields & XCT_CREATE_SRC_NAT) {
		if (!xct_flow_is_addr(leaving->family, &req->nat_src))
			return -EINVAL;
		set_range(&range, leaving, &req->nat_src,
			  req->fields & XCT_CREATE_SRC_NAT_PORT,
			  req->nat_sport);
		if (!xct_nat_source(&nat, &range, leaving))
			return -EEXIST;
	}
	return 0;
}

int xct_flow_find_halves(const struct xct_tuple *orig,
			 const struct xct_tuple *leaving, uint32_t *status)
{
	const struct xct_l4_ops *l4 = xct_l4(orig->proto);
	bool is_src = orig->sport != leaving->sport;
	bool is_dst = orig->dport != leaving->dport;

	if ((is_src && !l4->rewrite) || (is_dst && !l4->has_ports))
		return -EINVAL;
	if (is_src || !xct_addr_equal(&orig->src, &leaving->src))
		*status |= XCT_STATUS_SRC_NAT;
	if (is_dst || !xct_addr_equal(&orig->dst, &leaving->dst))
		*status |= XCT_STATUS_DST_NAT;
	return 0;
}

bool xct_flow_is_taken(struct xct_engine *eng, const struct xct_tuple *t,
		       xct_msec now)
{
	struct xct_flow *flow;
	enum xct_dir dir;

	flow = xct_table_find(&eng->table, t, &dir);
	if (flow && flow->expires_at <= now) {
		xct_flow_expire(eng, flow);
		flow = xct_table_find(&eng->table, t, &dir);
	}
	return flow;
}

static int fill_draft(struct xct_engine *eng, const struct xct_flow_create *req,
		      xct_msec now, struct xct_flow *draft)
{
	struct xct_flow_cold *cold = xct_table_cold(&eng->table, draft);
	struct xct_tuple *orig = &draft->side[XCT_DIR_ORIG].tuple;
	struct xct_tuple *reply = &draft->side[XCT_DIR_REPLY].tuple;
	const struct xct_l4_ops *l4;
	struct xct_tuple leaving;
	int err;

	err = xct_flow_check_original(&req->tuple[XCT_DIR_ORIG], orig);
	if (!err)
		err = take_reply(req, orig, reply);
	if (!err)
		err = xct_flow_change_check(&req->change, orig->proto);
	if (err)
		return err;
	if (!(req->change.fields & XCT_CHANGE_TIMEOUT) ||
	    !xct_tuple_invert(reply, &leaving))
		return -EINVAL;
	if (xct_flow_is_taken(eng, orig, now))
		return -EEXIST;
	err = translate(eng, req, draft, &leaving);
	if (!err)
		err = xct_flow_find_halves(orig, &leaving, &draft->status);
	if (err)
		return err;
	(void)xct_tuple_invert(&leaving, reply); /* it came from such a one */
	l4 = xct_l4(orig->proto);
	if (xct_flow_is_taken(eng, reply, now))
		return -EEXIST;
	draft->status |= XCT_STATUS_CONFIRMED;
	cold->created_at = now;
	change_flow(eng, draft, &req->change, now);
	if (l4->join)
		l4->join(&draft->track);
	return 0;
}

int xct_engine_create(struct xct_engine *eng, const struct xct_flow_create *req,
		      xct_msec now)
{
	struct xct_flow *draft = xct_table_draft(&eng->table);
	const struct xct_flow *flow;
	int err;

	eng->now = now;
	err = fill_draft(eng, req, now, draft);
	if (err)
		return err;
	flow = xct_flow_enter(eng, draft, false);
	if (!flow)
		return -ENOMEM;
	xct_flow_tell(eng, flow, XCT_FLOW_NEW, PARTS_BY_HAND);
	return 0;
}
