/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a packet.
 *
 * Theory of operation. A packet meets us at one or two of four hooks. The early
 * ones (PREROUTING, OUTPUT) come before routing: there the destination can be
 * translated. The late ones (INPUT, POSTROUTING) come after it: there both
 * interfaces are known, a NEW connection is filtered, its source translated and
 * its flow confirmed. An early hook does the whole work if nothing is left for
 * a late one, else only its half; the stage, kept in the packet's mark between
 * the two, says which:
 *
 *   FRESH    look the tuple up, track, do what is to do
 *   ROUTED   tracked and half translated: the flow is found by its routed
 *            tuple, the source half remains
 *   INVALID  fits no connection: only the policy remains
 *   DONE     not queued again
 *
 * A flow made at an early hook (its destination is translated) is unconfirmed
 * until the late hook accepts it: it is not listed and lets nothing back.
 *
 * A packet that routing refuses meets no late hook, but belongs to its flow all
 * the same. One whose TTL is over is tracked at the early hook. Of one too
 * large for its way out this host's own error tells, which quotes it.
 *
 * What the packet alone says has been read before (read.c).
 */
#include <sys/socket.h>

#include "daemon/engine/path.h"

#define DYING_MS 1000 /* a closed flow waits so long for its last packet */

void xct_visit_accept(struct xct_visit *v, enum xct_stage stage)
{
	v->res->verdict = XCT_VERDICT_ACCEPT;
	v->res->stage = (uint8_t)stage;
	v->eng->stats.accepted++;
}

void xct_visit_drop(struct xct_visit *v, enum xct_reason reason)
{
	v->res->verdict = XCT_VERDICT_DROP;
	v->res->reason = reason;
	v->eng->stats.dropped++;
	v->eng->stats.reason_packets[reason]++;
}

void xct_visit_set_class(struct xct_visit *v, enum xct_class cls)
{
	v->res->cls = cls;
	v->eng->stats.class_packets[cls]++;
}

/* ---- tracking ---- */

static inline void account(const struct xct_visit *v,
			   struct xct_flow_side *side)
{
	side->packets++;
	side->bytes += v->pkt.l3_len;
}

/* In the visit: a local one would have a stack guard, which every hit pays. */
static inline void init_ctx(struct xct_visit *v, enum xct_dir dir)
{
	struct xct_l4_ctx *ctx = &v->ctx;

	ctx->cfg = &v->eng->cfg.l4;
	ctx->pkt = &v->pkt;
	ctx->now = v->now;
	ctx->dir = dir;
	ctx->reason = XCT_REASON_NONE;
	ctx->cell = (struct xct_cell){ .proto = 0 };
	ctx->excess = 0;
	ctx->is_moved = false;
}

/* An error from elsewhere belongs to a flow if it goes to where the flow's
 * packets go: else a forged quote could send it anywhere. */
static XCT_APART bool is_related(const struct xct_visit *v)
{
	struct xct_addr src, dst;

	xct_pkt_addrs(&v->pkt, &src, &dst);
	return xct_addr_equal(&dst, &v->flow->side[v->dir].tuple.dst);
}

static inline enum xct_class class_of_new(const struct xct_flow *flow)
{
	return flow->status & XCT_STATUS_EXPECTED ? XCT_CLASS_RELATED
						  : XCT_CLASS_NEW;
}

static inline void set_flow_class(struct xct_visit *v,
				  const struct xct_flow *flow)
{
	if (v->dir == XCT_DIR_ORIG && !(flow->status & XCT_STATUS_SEEN_REPLY))
		xct_visit_set_class(v, class_of_new(flow));
	else
		xct_visit_set_class(v, XCT_CLASS_ESTABLISHED);
}

/* What the packet has changed is told when it goes on. If it does not, then
 * with the next one that does. */
static inline void note_news(struct xct_flow *flow, bool is_moved,
			     uint32_t before)
{
	const uint32_t told = XCT_STATUS_SEEN_REPLY | XCT_STATUS_ASSURED;

	if (is_moved)
		flow->status |= XCT_STATUS_NEWS_STATE;
	if ((flow->status ^ before) & told)
		flow->status |= XCT_STATUS_NEWS;
}

/* The same as xct_path_track(), of an ICMP error. */
static XCT_APART enum xct_tracked track_error(struct xct_visit *v)
{
	if (!is_related(v)) {
		xct_policy_invalid(v, XCT_REASON_ICMP_UNRELATED);
		return XCT_TRACKED_INVALID;
	}
	xct_visit_set_class(v, XCT_CLASS_RELATED);
	/* Translating it makes its checksum anew, which would hide that it is
	 * damaged. */
	if (!v->eng->cfg.l4.checksum && xct_visit_is_damaged(v)) {
		xct_visit_drop(v, v->l4->csum_reason);
		return XCT_TRACKED_INVALID;
	}
	return XCT_TRACKED;
}

enum xct_tracked xct_path_track(struct xct_visit *v)
{
	struct xct_engine *eng = v->eng;
	struct xct_flow *flow = v->flow;
	enum xct_dir dir = v->dir;
	uint32_t before = flow->status;
	enum xct_tracked tracked = XCT_TRACKED;

	if (v->is_error)
		return track_error(v);
	if (v->meta->is_repeat) {
		eng->stats.repeated++;
		set_flow_class(v, flow);
		return XCT_TRACKED;
	}
	xct_table_note(&eng->table, flow, dir, v->l4->has_states);
	init_ctx(v, dir);
	switch (v->l4->update(&v->ctx, flow)) {
	case XCT_L4_INVALID:
		note_news(flow, v->ctx.is_moved, before);
		xct_wheel_update(&v->eng->wheel, flow);
		xct_policy_invalid_flow(v);
		return XCT_TRACKED_INVALID;
	case XCT_L4_REOPEN:
		xct_flow_delete(v->eng, flow);
		v->flow = NULL;
		return XCT_TRACKED_NOTHING;
	case XCT_L4_CLOSE:
		tracked = XCT_TRACKED_LAST;
		account(v, &flow->side[dir]);
		/* As it was before: this packet answers nothing. */
		xct_flow_tell_end(v->eng, flow);
		flow->status |= XCT_STATUS_DYING;
		break;
	case XCT_L4_OK:
		account(v, &flow->side[dir]);
		break;
	case XCT_L4_IGNORE:
		break;
	}
	set_flow_class(v, flow);
	if (dir == XCT_DIR_REPLY)
		flow->status |= XCT_STATUS_SEEN_REPLY;
	note_news(flow, v->ctx.is_moved, before);
	xct_wheel_update(&eng->wheel, flow);
	eng->stats.found++;
	return tracked;
}

/* It has the mark of its master, and its address where that one has changed. */
static XCT_APART void take_after(struct xct_visit *v, struct xct_flow *draft,
				 const struct xct_flow *master)
{
	struct xct_table *tbl = &v->eng->table;
	struct xct_flow_cold *cold = xct_table_cold(tbl, draft);
	const struct xct_flow_cold *old = xct_table_cold(tbl, master);
	struct xct_tuple leaving = v->tuple;

	draft->status |= XCT_STATUS_EXPECTED;
	cold->mark = old->mark;
	if (!xct_path_follow(v, master, &leaving))
		return;
	draft->status |= XCT_STATUS_FOLLOWS;
	if (leaving.dport != v->tuple.dport ||
	    !xct_addr_equal(&leaving.dst, &v->tuple.dst))
		draft->status |= XCT_STATUS_DST_NAT;
	if (xct_addr_equal(&leaving.src,
			   &master->side[XCT_DIR_REPLY].tuple.dst))
		cold->masq_if = old->masq_if;
	(void)xct_tuple_invert(&leaving, &draft->side[XCT_DIR_REPLY].tuple);
}

struct xct_flow *xct_path_open(struct xct_visit *v,
			       const struct xct_flow *master)
{
	struct xct_flow *draft = xct_table_draft(&v->eng->table);

	if (v->is_error) {
		xct_policy_invalid(v, XCT_REASON_ICMP_UNRELATED);
		return NULL;
	}
	draft->side[XCT_DIR_ORIG].tuple = v->tuple;
	xct_table_cold(&v->eng->table, draft)->created_at = v->now;
	if (!xct_tuple_invert(&v->tuple, &draft->side[XCT_DIR_REPLY].tuple)) {
		xct_policy_invalid(v, XCT_REASON_ICMP_TYPE);
		return NULL;
	}
	init_ctx(v, XCT_DIR_ORIG);
	if (v->l4->open(&v->ctx, draft) != XCT_L4_OK ||
	    v->l4->update(&v->ctx, draft) == XCT_L4_INVALID) {
		xct_policy_invalid_flow(v);
		return NULL;
	}
	if (master)
		take_after(v, draft, master);
	xct_visit_set_class(v, class_of_new(draft));
	draft->side[XCT_DIR_ORIG].packets = 1;
	draft->side[XCT_DIR_ORIG].bytes = v->pkt.l3_len;
	return draft;
}

/* ---- early hooks ---- */

/* Routing refuses what has no hop left, unless it goes to this host itself, or
 * to many. */
static bool has_hop_left(const struct xct_visit *v)
{
	return v->pkt.c.data[v->pkt.family == AF_INET ? 8 : 7] > 1;
}

static bool dies_on_the_way_to(const struct xct_visit *v,
			       const struct xct_addr *dst)
{
	return v->meta->hook == XCT_HOOK_PREROUTING && !has_hop_left(v) &&
	       (v->pkt.family == AF_INET ? dst->b[0] < 224
					 : dst->b[0] != 0xff) &&
	       !xct_visit_is_local(v, v->pkt.family, dst);
}

static XCT_APART bool dies_on_its_way(const struct xct_visit *v)
{
	struct xct_addr src, dst;

	xct_pkt_addrs(&v->pkt, &src, &dst);
	return dies_on_the_way_to(v, &dst);
}

/* The same of where it goes as it is now. */
static inline bool dies_here(const struct xct_visit *v)
{
	return !has_hop_left(v) && dies_on_its_way(v);
}

/*
 * Reserve the reply tuple of what now goes to where @leaving says; the late
 * hook may change its destination half. Where that half is taken, and has no
 * number that could be another, the late hook may still find another address:
 * the tuple is told apart by a port that no packet of its protocol has.
 */
static bool reserve_reply(struct xct_visit *v, struct xct_flow *draft,
			  struct xct_tuple *leaving)
{
	static const struct xct_nat_range any = { .port_first = 0 };
	struct xct_tuple *reply = &draft->side[XCT_DIR_REPLY].tuple;
	struct xct_engine *eng = v->eng;
	struct xct_nat nat;
	bool is_free;

	xct_flow_nat(eng, draft, &nat);
	is_free = xct_nat_source(&nat, &any, leaving);
	(void)xct_tuple_invert(leaving, reply);
	if (v->l4->has_ports || v->l4->rewrite)
		return is_free;
	for (int tries = 16; !is_free && tries; tries--) {
		reply->dport = (xct_be16)(xct_random_next(&eng->random) | 1);
		is_free = !xct_table_is_taken(&eng->table, reply, NULL);
	}
	return is_free;
}

/* A packet dies between the hooks, where it is as it came. */
static XCT_APART void note_dying_unchanged(struct xct_visit *v)
{
	xct_dead_note(&v->eng->dead, &v->tuple, NULL, v->dir, v->now);
}

/* A packet of v->flow (NULL: of none) dies between the hooks: note what it is
 * like there. */
static XCT_APART void note_dying(struct xct_visit *v, unsigned int halves)
{
	struct xct_tuple onward = v->tuple, routed;

	if (halves & XCT_HALF_DST) {
		xct_flow_routed_tuple(v->flow, &routed);
		onward = routed;
		if (v->dir == XCT_DIR_REPLY)
			(void)xct_tuple_invert(&routed, &onward);
		onward.zone = v->tuple.zone;
	}
	xct_dead_note(&v->eng->dead, &onward, v->flow, v->dir, v->now);
}

/* Open a flow whose destination becomes that of @leaving, by @rule or since
 * @master expects it so; one of them may be NULL. */
static void early_open(struct xct_visit *v, const struct xct_flow *master,
		       const struct xct_rule *rule, struct xct_tuple *leaving)
{
	struct xct_flow *draft = xct_path_open(v, master);

	if (!draft)
		return;
	if (rule)
		xct_policy_count(v, rule);
	if (!reserve_reply(v, draft, leaving)) {
		v->eng->stats.insert_failed++;
		xct_visit_drop(v, XCT_REASON_NAT_EXHAUSTED);
		return;
	}
	draft->status |= XCT_STATUS_DST_NAT;
	if (rule)
		xct_policy_mark(v, draft, rule);
	/* Kept for this host's error alone, which it translates. */
	if (dies_on_the_way_to(v, &leaving->dst))
		draft->status |= XCT_STATUS_DYING;
	v->dir = XCT_DIR_ORIG; /* also of what was an answer before */
	v->flow = xct_visit_enter(v, draft);
	if (!v->flow)
		xct_visit_drop(v, XCT_REASON_TABLE_FULL);
	else if (!xct_path_translate(v, XCT_HALF_DST))
		xct_flow_delete(v->eng, v->flow);
	else {
		if (v->flow->status & XCT_STATUS_DYING)
			note_dying(v, XCT_HALF_DST);
		xct_visit_accept(v, XCT_STAGE_ROUTED);
	}
}

/* @master, or the flow that has taken its place, expected what has come. */
static void fulfil(struct xct_visit *v, struct xct_flow *master, uint64_t id)
{
	if (master && master->id == id)
		xct_path_fulfil(v, master);
}

/*
 * No flow: does a rule translate the destination, or the flow that expects this
 * one? If none does, nothing is done and nothing remembered: what the packet
 * opens is the late hook's to decide.
 */
static XCT_APART void early_unknown(struct xct_visit *v)
{
	struct xct_flow *master = xct_path_expected(v);
	const uint64_t id = master ? master->id : 0;
	const struct xct_rule *rule = NULL;
	struct xct_tuple leaving = v->tuple;

	if (!v->is_error && !(master && xct_path_follow(v, master, &leaving)) &&
	    !xct_policy_destination(v, &rule, &leaving))
		return;
	if (leaving.dport == v->tuple.dport &&
	    xct_addr_equal(&leaving.dst, &v->tuple.dst)) {
		if (rule)
			xct_policy_count(v, rule);
		if (v->is_dying)
			note_dying(v, 0);
		/* What it would open, nobody will remember. */
		if (!v->is_dying || xct_path_open(v, master))
			xct_visit_accept(v, XCT_STAGE_FRESH);
		if (v->is_dying)
			fulfil(v, master, id);
		return;
	}
	early_open(v, master, rule, &leaving);
	fulfil(v, master, id);
}

void xct_path_end(struct xct_visit *v, enum xct_stage stage)
{
	if (stage != XCT_STAGE_ROUTED) {
		xct_flow_delete(v->eng, v->flow);
		return;
	}
	v->flow->expires_at = v->now + DYING_MS;
	xct_wheel_update(&v->eng->wheel, v->flow);
}

static XCT_APART void finish_last(struct xct_visit *v, enum xct_stage stage)
{
	if (v->is_dying || dies_here(v))
		stage = XCT_STAGE_ROUTED; /* as far as the flow goes */
	xct_path_end(v, stage);
}

/* A packet of v->flow is done with here. What it has changed is told now, and
 * not at the late hook: another packet may come before it. */
static XCT_APART void finish_apart(struct xct_visit *v, enum xct_stage stage,
				   enum xct_tracked tracked)
{
	if (v->flow->status & XCT_STATUS_HELPED && !xct_path_assist(v))
		return;
	xct_visit_accept(v, stage);
	if (tracked == XCT_TRACKED_LAST)
		finish_last(v, stage);
	else
		xct_flow_tell_news(v->eng, v->flow);
}

/* The same: for most packets there is no more to do. */
static inline void finish(struct xct_visit *v, enum xct_stage stage,
			  enum xct_tracked tracked)
{
	const uint32_t more =
		XCT_STATUS_NEWS | XCT_STATUS_NEWS_STATE | XCT_STATUS_HELPED;

	if (tracked == XCT_TRACKED_LAST || v->flow->status & more)
		finish_apart(v, stage, tracked);
	else
		xct_visit_accept(v, stage);
}

void xct_path_finish(struct xct_visit *v, enum xct_stage stage,
		     enum xct_tracked tracked)
{
	finish_apart(v, stage, tracked);
}

static void early_known(struct xct_visit *v)
{
	unsigned int halves = xct_path_halves(v->flow, v->dir);
	enum xct_stage stage = XCT_STAGE_DONE;
	enum xct_tracked tracked;

	if (!(v->flow->status & XCT_STATUS_CONFIRMED)) {
		if (v->dir == XCT_DIR_REPLY) {
			xct_visit_drop(v, XCT_REASON_FLOW_GONE);
			return;
		}
		stage = XCT_STAGE_ROUTED;
	} else if (halves == XCT_HALF_SRC && !v->is_dying) {
		/* The late hook has it all to itself. */
		xct_visit_accept(v, XCT_STAGE_FRESH);
		return;
	}
	if (v->flow->status & XCT_STATUS_HELPED)
		xct_path_assist_begin(v);
	if (!v->is_dying && !v->is_error)
		v->flow->status |= XCT_STATUS_MET_EARLY(v->dir);
	tracked = xct_path_track(v);
	if (tracked == XCT_TRACKED_INVALID) {
		if (v->is_dying)
			note_dying_unchanged(v); /* nothing translates it */
		return;
	}
	if (tracked == XCT_TRACKED_NOTHING) {
		early_unknown(v);
		return;
	}
	if (halves & XCT_HALF_SRC ||
	    (v->is_error && xct_policy_asks_for(v->eng->rs, XCT_CLASS_RELATED)))
		stage = XCT_STAGE_ROUTED;
	if (!xct_path_translate(v, halves & XCT_HALF_DST))
		return;
	if (v->is_dying || (halves & XCT_HALF_DST && dies_here(v))) {
		v->is_dying = true;
		note_dying(v, halves);
	}
	if (stage == XCT_STAGE_ROUTED)
		xct_table_touch_routed(&v->eng->table, v->flow);
	finish(v, stage, tracked);
}

/* ---- late hooks ---- */

static void late_open(struct xct_visit *v, const struct xct_flow *master)
{
	struct xct_flow *draft = xct_path_open(v, master);

	if (!draft)
		return;
	if (v->eng->rs && !xct_policy_filter(v, &v->tuple, draft, v->res->cls))
		return;
	if (!xct_policy_source(v, draft, false))
		return;
	draft->status |= XCT_STATUS_CONFIRMED;
	v->dir = XCT_DIR_ORIG;
	v->flow = xct_visit_enter(v, draft);
	if (!v->flow)
		xct_visit_drop(v, XCT_REASON_TABLE_FULL);
	else if (!xct_path_translate(v, xct_path_halves(v->flow, XCT_DIR_ORIG)))
		xct_flow_forget(v->eng, v->flow);
	else {
		xct_visit_accept(v, XCT_STAGE_FRESH);
		xct_flow_tell(v->eng, v->flow, XCT_FLOW_NEW,
			      XCT_FLOW_PARTS_NEW);
	}
}

static XCT_APART void late_unknown(struct xct_visit *v)
{
	struct xct_flow *master = xct_path_expected(v);
	const uint64_t id = master ? master->id : 0;
	struct xct_tuple leaving;

	/* It has been routed already: as it is, it was not expected. */
	if (master && xct_path_follow(v, master, &leaving) &&
	    !xct_addr_equal(&leaving.dst, &v->tuple.dst))
		master = NULL;
	late_open(v, master);
	fulfil(v, master, id);
}

static void late_known(struct xct_visit *v)
{
	unsigned int halves = xct_path_halves(v->flow, v->dir);
	enum xct_tracked tracked;

	if (!(v->flow->status & XCT_STATUS_CONFIRMED)) {
		xct_visit_drop(v, v->dir == XCT_DIR_ORIG
					  ? XCT_REASON_LATE_HOOK
					  : XCT_REASON_FLOW_GONE);
		return;
	}
	/* It has been routed already. An error that goes elsewhere is not the
	 * flow's: xct_path_track() says so. */
	if (xct_path_is_readdressed(v->flow, v->dir, halves) &&
	    (!v->is_error || is_related(v))) {
		xct_visit_drop(v, XCT_REASON_LATE_HOOK);
		return;
	}
	if (v->flow->status & XCT_STATUS_HELPED)
		xct_path_assist_begin(v);
	if (!v->is_error)
		v->flow->status &= ~XCT_STATUS_MET_EARLY(v->dir);
	tracked = xct_path_track(v);
	if (tracked == XCT_TRACKED_INVALID)
		return;
	if (tracked == XCT_TRACKED_NOTHING) {
		late_unknown(v);
		return;
	}
	if (!xct_policy_filter_related(v) || !xct_path_translate(v, halves))
		return;
	finish(v, XCT_STAGE_FRESH, tracked);
}

/* Tracked at the early hook, which has translated the destination. */
static XCT_APART void late_routed(struct xct_visit *v)
{
	struct xct_tuple routed;

	v->flow = xct_table_find_routed(&v->eng->table, &v->tuple,
					xct_visit_answer_zone(v), &v->dir);
	if (!v->flow) {
		xct_visit_drop(v, XCT_REASON_FLOW_GONE);
		return;
	}
	v->res->cls = v->is_error ? XCT_CLASS_RELATED : XCT_CLASS_ESTABLISHED;
	if (!(v->flow->status & XCT_STATUS_CONFIRMED)) {
		v->res->cls = class_of_new(v->flow);
		xct_flow_routed_tuple(v->flow, &routed);
		if ((v->eng->rs &&
		     !xct_policy_filter(v, &routed, v->flow, v->res->cls)) ||
		    !xct_policy_source(v, v->flow, true)) {
			xct_flow_delete(v->eng, v->flow);
			return;
		}
		xct_flow_confirm(v->eng, v->flow);
	}
	if (!xct_policy_filter_related(v))
		return;
	if (xct_path_translate(v,
			       xct_path_halves(v->flow, v->dir) & XCT_HALF_SRC))
		xct_visit_accept(v, XCT_STAGE_FRESH);
	if (v->flow->status & XCT_STATUS_DYING)
		xct_flow_delete(v->eng, v->flow);
}

/* ---- the pipeline ---- */

/* The packet's flow; one that is over is not found any more. */
static void find_flow(struct xct_visit *v)
{
	v->flow = xct_table_find_seen(&v->eng->table, &v->tuple, v->hash,
				      v->seen, &v->dir);
	if (!v->flow)
		return;
	if (v->flow->expires_at <= v->now)
		xct_flow_expire(v->eng, v->flow);
	else if (!(v->flow->status & XCT_STATUS_DYING))
		return;
	else if (!v->is_error) /* else it may be the one waited for */
		xct_flow_delete(v->eng, v->flow);
	v->flow = NULL;
}

static void visit(struct xct_visit *v)
{
	const struct xct_meta *meta = v->meta;

	if (meta->hook != XCT_HOOK_PREROUTING && meta->hook != XCT_HOOK_INPUT &&
	    meta->hook != XCT_HOOK_OUTPUT &&
	    meta->hook != XCT_HOOK_POSTROUTING) {
		xct_visit_drop(v, XCT_REASON_HOOK);
		return;
	}
	v->is_dying = v->pkt.family && dies_here(v);
	if (meta->stage == XCT_STAGE_INVALID) {
		xct_policy_judge_invalid(v); /* why is counted already */
		return;
	}
	if (v->reason != XCT_REASON_NONE) {
		xct_policy_invalid(v, v->reason);
		return;
	}
	if (v->is_untracked) {
		xct_visit_set_class(v, XCT_CLASS_UNTRACKED);
		xct_visit_accept(v, xct_visit_is_early(v) ? XCT_STAGE_DONE
							  : XCT_STAGE_FRESH);
		return;
	}
	if (meta->stage == XCT_STAGE_ROUTED) {
		late_routed(v);
		return;
	}
	find_flow(v);
	if (xct_visit_is_early(v)) {
		if (v->flow)
			early_known(v);
		else
			early_unknown(v);
	} else {
		if (v->is_error && xct_path_on_behalf(v))
			return;
		if (v->flow)
			late_known(v);
		else if (!xct_path_on_behalf(v))
			late_unknown(v);
	}
}

void xct_engine_handle(struct xct_engine *eng, struct xct_visit *v,
		       xct_msec now, struct xct_result *res)
{
	v->eng = eng;
	v->res = res;
	v->now = now;
	v->flow = NULL;
	v->dir = XCT_DIR_ORIG;
	eng->now = now;
	res->verdict = XCT_VERDICT_DROP;
	res->reason = XCT_REASON_NONE;
	res->cls = XCT_CLASS_NEW;
	res->stage = XCT_STAGE_FRESH;
	res->is_edited = false;
	res->reply_len = 0;
	eng->stats.packets++;
	visit(v);
	xct_table_settle(&eng->table);
}

void xct_engine_packet(struct xct_engine *eng, uint8_t *data, uint32_t len,
		       const struct xct_meta *meta, xct_msec now,
		       struct xct_result *res)
{
	struct xct_visit v;

	xct_engine_read(eng, data, len, meta, &v);
	xct_engine_prepare(eng, &v, 1);
	xct_engine_handle(eng, &v, now, res);
}
