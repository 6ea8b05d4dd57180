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
 * the same. One whose TTL is over is tracked at the early hook. Of one too large
 * for its way out this host's own error tells, which quotes it.
 *
 * What the packet alone says has been read before (read.c).
 */
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/engine/edit.h"
#include "daemon/engine/visit.h"

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

static bool is_redirect(const struct xct_visit *v)
{
	return v->is_error && xct_icmp_is_redirect(v->pkt.family, v->pkt.l4[0]);
}

/* ---- tracking ---- */

static inline void account(const struct xct_visit *v, struct xct_flow *flow)
{
	flow->side[v->dir].packets++;
	flow->side[v->dir].bytes += v->pkt.l3_len;
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

enum tracked {
	TRACKED,	 /* part of v->flow */
	TRACKED_LAST,	 /* part of v->flow, which is over */
	TRACKED_NOTHING, /* no flow (any more): as if none had been found */
	TRACKED_INVALID, /* not part of v->flow: the verdict is made */
};

static inline void set_flow_class(struct xct_visit *v)
{
	bool is_new = v->dir == XCT_DIR_ORIG &&
		      !(v->flow->status & XCT_STATUS_SEEN_REPLY);

	xct_visit_set_class(v, is_new ? XCT_CLASS_NEW : XCT_CLASS_ESTABLISHED);
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

/* The same as track(), of an ICMP error. */
static XCT_APART enum tracked track_error(struct xct_visit *v)
{
	if (!is_related(v)) {
		xct_policy_invalid(v, XCT_REASON_ICMP_UNRELATED);
		return TRACKED_INVALID;
	}
	xct_visit_set_class(v, XCT_CLASS_RELATED);
	/* Translating it makes its checksum anew, which would hide that it is
	 * damaged. */
	if (!v->eng->cfg.l4.checksum && xct_visit_is_damaged(v)) {
		xct_visit_drop(v, v->l4->csum_reason);
		return TRACKED_INVALID;
	}
	return TRACKED;
}

/*
 * Let the tracker look at a packet of v->flow.
 */
static enum tracked track(struct xct_visit *v)
{
	struct xct_flow *flow = v->flow;
	uint32_t before = flow->status;
	enum tracked tracked = TRACKED;

	if (v->is_error)
		return track_error(v);
	if (v->meta->is_repeat) {
		v->eng->stats.repeated++;
		set_flow_class(v);
		return TRACKED;
	}
	xct_table_note(&v->eng->table, flow, v->dir);
	init_ctx(v, v->dir);
	switch (v->l4->update(&v->ctx, flow)) {
	case XCT_L4_INVALID:
		note_news(flow, v->ctx.is_moved, before);
		xct_wheel_update(&v->eng->wheel, flow);
		xct_policy_invalid_flow(v);
		return TRACKED_INVALID;
	case XCT_L4_REOPEN:
		xct_flow_delete(v->eng, flow);
		v->flow = NULL;
		return TRACKED_NOTHING;
	case XCT_L4_CLOSE:
		tracked = TRACKED_LAST;
		account(v, flow);
		/* As it was before: this packet answers nothing. */
		xct_flow_tell_end(v->eng, flow);
		flow->status |= XCT_STATUS_DYING;
		break;
	case XCT_L4_OK:
		account(v, flow);
		break;
	case XCT_L4_IGNORE:
		break;
	}
	set_flow_class(v);
	if (v->dir == XCT_DIR_REPLY)
		flow->status |= XCT_STATUS_SEEN_REPLY;
	note_news(flow, v->ctx.is_moved, before);
	xct_wheel_update(&v->eng->wheel, flow);
	v->eng->stats.found++;
	return tracked;
}

/* Draft a flow of the first packet of a connection. NULL if it can open none;
 * the verdict is then made. */
static struct xct_flow *open_flow(struct xct_visit *v)
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
	xct_visit_set_class(v, XCT_CLASS_NEW);
	draft->side[XCT_DIR_ORIG].packets = 1;
	draft->side[XCT_DIR_ORIG].bytes = v->pkt.l3_len;
	return draft;
}

/* ---- rewriting ---- */

/* Which halves of a packet of @flow in direction @dir are translated. */
static inline unsigned int halves_of(const struct xct_flow *flow,
				     enum xct_dir dir)
{
	unsigned int halves = 0;

	if (flow->status & XCT_STATUS_SRC_NAT)
		halves |= dir == XCT_DIR_ORIG ? XCT_HALF_SRC : XCT_HALF_DST;
	if (flow->status & XCT_STATUS_DST_NAT)
		halves |= dir == XCT_DIR_ORIG ? XCT_HALF_DST : XCT_HALF_SRC;
	return halves;
}

/* Does it go to another address than it came for? Only an early hook can do that:
 * a port can be changed anywhere. */
static inline bool is_readdressed(const struct xct_flow *flow, enum xct_dir dir,
				  unsigned int halves)
{
	enum xct_dir other = dir == XCT_DIR_ORIG ? XCT_DIR_REPLY : XCT_DIR_ORIG;

	return halves & XCT_HALF_DST &&
	       !xct_addr_equal(&flow->side[dir].tuple.dst,
			       &flow->side[other].tuple.src);
}

static XCT_APART void keep_id(const struct xct_pkt *pkt,
			      const struct xct_l4_ops *l4,
			      struct xct_tuple *target)
{
	struct xct_tuple present = { .proto = 0 };

	if (l4->key(pkt, &present))
		target->icmp_id = present.icmp_id;
}

/* An ICMP id is one number for both ends. It belongs to the side that chose
 * it: to the source of the original direction. Another half leaves it. */
static inline void keep_foreign_id(const struct xct_pkt *pkt,
				   struct xct_tuple *target, enum xct_dir dir,
				   unsigned int halves)
{
	const struct xct_l4_ops *l4 = xct_l4(target->family, target->proto);
	unsigned int owner = dir == XCT_DIR_ORIG ? XCT_HALF_SRC : XCT_HALF_DST;

	if (!l4->has_ports && !(halves & owner))
		keep_id(pkt, l4, target);
}

/* What the error's destination is, the quoted packet's source was. */
static unsigned int other_halves(unsigned int halves)
{
	return (halves & XCT_HALF_DST ? XCT_HALF_SRC : 0u) |
	       (halves & XCT_HALF_SRC ? XCT_HALF_DST : 0u);
}

static XCT_APART bool edit_error(struct xct_visit *v,
				 const struct xct_tuple *outer,
				 unsigned int halves)
{
	enum xct_dir inner_dir =
		v->dir == XCT_DIR_ORIG ? XCT_DIR_REPLY : XCT_DIR_ORIG;
	struct xct_tuple inner = v->flow->side[inner_dir].tuple;
	unsigned int inner_halves = other_halves(halves);

	keep_foreign_id(&v->quoted, &inner, inner_dir, inner_halves);
	return xct_edit_icmp_error(&v->pkt, &v->quoted, outer, halves, &inner,
				   inner_halves);
}

/* Has the header what the protocol's translation needs? */
static bool can_rewrite(const struct xct_visit *v, unsigned int halves)
{
	const struct xct_pkt *pkt = v->is_error ? &v->quoted : &v->pkt;
	const struct xct_l4_ops *l4 = xct_l4(pkt->family, pkt->proto);

	return !l4->can_rewrite ||
	       l4->can_rewrite(pkt,
			       v->is_error ? other_halves(halves) : halves);
}

/* False: it cannot be translated, and the verdict is made. */
static bool may_rewrite(struct xct_visit *v, unsigned int halves)
{
	if (is_redirect(v)) {
		xct_visit_drop(v, XCT_REASON_ICMP_REDIRECT);
		return false;
	}
	if (!can_rewrite(v, halves)) {
		xct_visit_drop(v, XCT_REASON_NAT_HEADER);
		return false;
	}
	return true;
}

static bool rewrite(struct xct_visit *v, unsigned int halves)
{
	enum xct_dir other =
		v->dir == XCT_DIR_ORIG ? XCT_DIR_REPLY : XCT_DIR_ORIG;
	struct xct_tuple target;
	bool is_done;

	if (!may_rewrite(v, halves))
		return false;
	/* What is quoted is rewritten too, for which less is not enough. */
	if (v->is_error && v->quoted.l4_have < 8 &&
	    xct_l4(v->quoted.family, v->quoted.proto)->rewrite) {
		xct_visit_drop(v, XCT_REASON_ICMP_QUOTE);
		return false;
	}
	/* A packet of one direction becomes the inverse of the other. */
	(void)xct_tuple_invert(&v->flow->side[other].tuple, &target);
	if (v->is_error) {
		is_done = edit_error(v, &target, halves);
	} else {
		keep_foreign_id(&v->pkt, &target, v->dir, halves);
		is_done = xct_edit(&v->pkt, v->meta, &target, halves);
	}
	if (!is_done) {
		xct_visit_drop(v, XCT_REASON_TRUNCATED);
		return false;
	}
	v->res->is_edited = true;
	v->eng->stats.edited++;
	return true;
}

/* Translate @halves of the packet as v->flow says. False: the verdict is made. */
static inline bool translate(struct xct_visit *v, unsigned int halves)
{
	return !halves || rewrite(v, halves);
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
 * Reserve the reply tuple of what now goes to where @leaving says; the late hook
 * may change its destination half. Where that half is taken, and has no number
 * that could be another, the late hook may still find another address: the
 * tuple is told apart by a port that no packet of its protocol has.
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

/*
 * No flow: does a rule translate the destination? If none does, nothing is done
 * and nothing remembered: what the packet opens is the late hook's to decide.
 */
static XCT_APART void early_unknown(struct xct_visit *v)
{
	const struct xct_rule *rule = NULL;
	struct xct_tuple leaving = v->tuple;
	struct xct_flow *draft;

	if (!v->is_error && !xct_policy_destination(v, &rule, &leaving))
		return;
	if (!rule || xct_tuple_equal(&leaving, &v->tuple)) {
		if (rule)
			xct_policy_count(v, rule);
		if (v->is_dying)
			note_dying(v, 0);
		/* What it would open, nobody will remember. */
		if (!v->is_dying || open_flow(v))
			xct_visit_accept(v, XCT_STAGE_FRESH);
		return;
	}
	draft = open_flow(v);
	if (!draft)
		return;
	xct_policy_count(v, rule);
	if (!reserve_reply(v, draft, &leaving)) {
		v->eng->stats.insert_failed++;
		xct_visit_drop(v, XCT_REASON_NAT_EXHAUSTED);
		return;
	}
	draft->status |= XCT_STATUS_DST_NAT;
	xct_policy_mark(v, draft, rule);
	/* Kept for this host's error alone, which it translates. */
	if (dies_on_the_way_to(v, &leaving.dst))
		draft->status |= XCT_STATUS_DYING;
	v->dir = XCT_DIR_ORIG; /* also of what was an answer before */
	v->flow = xct_visit_enter(v, draft);
	if (!v->flow)
		xct_visit_drop(v, XCT_REASON_TABLE_FULL);
	else if (!translate(v, XCT_HALF_DST))
		xct_flow_delete(v->eng, v->flow);
	else {
		if (v->flow->status & XCT_STATUS_DYING)
			note_dying(v, XCT_HALF_DST);
		xct_visit_accept(v, XCT_STAGE_ROUTED);
	}
}

/* The flow has seen its last packet. If that one still has a hook before it, or
 * dies, the flow waits for it, or for the error about it. */
static void end_flow(struct xct_visit *v, enum xct_stage stage)
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
	end_flow(v, stage);
}

/* A packet of v->flow is done with here. What it has changed is told now, and
 * not at the late hook: another packet may come before it. */
static inline void finish(struct xct_visit *v, enum xct_stage stage,
			  enum tracked tracked)
{
	xct_visit_accept(v, stage);
	if (tracked == TRACKED_LAST)
		finish_last(v, stage);
	else
		xct_flow_tell_news(v->eng, v->flow);
}

static void early_known(struct xct_visit *v)
{
	unsigned int halves = halves_of(v->flow, v->dir);
	enum xct_stage stage = XCT_STAGE_DONE;
	enum tracked tracked;

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
	if (!v->is_dying && !v->is_error)
		v->flow->status |= XCT_STATUS_MET_EARLY(v->dir);
	tracked = track(v);
	if (tracked == TRACKED_INVALID)
		return;
	if (tracked == TRACKED_NOTHING) {
		early_unknown(v);
		return;
	}
	if (halves & XCT_HALF_SRC ||
	    (v->is_error && xct_policy_asks_for(v->eng->rs, XCT_CLASS_RELATED)))
		stage = XCT_STAGE_ROUTED;
	if (!translate(v, halves & XCT_HALF_DST))
		return;
	if (v->is_dying || (halves & XCT_HALF_DST && dies_here(v)))
		note_dying(v, halves);
	if (stage == XCT_STAGE_ROUTED)
		xct_table_touch_routed(&v->eng->table, v->flow);
	finish(v, stage, tracked);
}

/* ---- late hooks ---- */

static XCT_APART void late_unknown(struct xct_visit *v)
{
	struct xct_flow *draft = open_flow(v);

	if (!draft)
		return;
	if (v->eng->rs &&
	    !xct_policy_filter(v, &v->tuple, draft, XCT_CLASS_NEW))
		return;
	if (!xct_policy_source(v, draft, false))
		return;
	draft->status |= XCT_STATUS_CONFIRMED;
	v->dir = XCT_DIR_ORIG;
	v->flow = xct_visit_enter(v, draft);
	if (!v->flow)
		xct_visit_drop(v, XCT_REASON_TABLE_FULL);
	else if (!translate(v, halves_of(v->flow, XCT_DIR_ORIG)))
		xct_flow_forget(v->eng, v->flow);
	else {
		xct_visit_accept(v, XCT_STAGE_FRESH);
		xct_flow_tell(v->eng, v->flow, XCT_FLOW_NEW,
			      XCT_FLOW_PARTS_NEW);
	}
}

static void late_known(struct xct_visit *v)
{
	unsigned int halves = halves_of(v->flow, v->dir);
	enum tracked tracked;

	if (!(v->flow->status & XCT_STATUS_CONFIRMED)) {
		xct_visit_drop(v, v->dir == XCT_DIR_ORIG
					  ? XCT_REASON_LATE_HOOK
					  : XCT_REASON_FLOW_GONE);
		return;
	}
	/* It has been routed already. An error that goes elsewhere is not the
	 * flow's: track() says so. */
	if (is_readdressed(v->flow, v->dir, halves) &&
	    (!v->is_error || is_related(v))) {
		xct_visit_drop(v, XCT_REASON_LATE_HOOK);
		return;
	}
	if (!v->is_error)
		v->flow->status &= ~XCT_STATUS_MET_EARLY(v->dir);
	tracked = track(v);
	if (tracked == TRACKED_INVALID)
		return;
	if (tracked == TRACKED_NOTHING) {
		late_unknown(v);
		return;
	}
	if (!xct_policy_filter_related(v) || !translate(v, halves))
		return;
	finish(v, XCT_STAGE_FRESH, tracked);
}

/* The length that the header of a quoted packet says. */
static uint32_t length_of_quoted(const struct xct_pkt *pkt)
{
	return pkt->family == AF_INET ? xct_get_be16(pkt->c.data + 2)
				      : 40u + xct_get_be16(pkt->c.data + 4);
}

/* Does the error say that the packet is too large for its way out, and was it
 * not this host's own? Errors of this kind are under no rate limit. */
static bool is_about_size(const struct xct_visit *v)
{
	struct xct_addr src, dst;
	const uint8_t *icmp = v->pkt.l4;

	if (v->pkt.family == AF_INET ? icmp[0] != 3 || icmp[1] != 4
				     : icmp[0] != 2)
		return false;
	xct_pkt_addrs(&v->pkt, &src, &dst);
	return !xct_visit_is_local(v, v->pkt.family, &dst);
}

/* Has an early hook tracked the packets of direction @dir? Else a late one does,
 * while the flow lasts. */
static bool is_met_late(const struct xct_flow *flow, enum xct_dir dir,
			xct_msec now)
{
	return flow->status & XCT_STATUS_CONFIRMED &&
	       !(flow->status &
		 (XCT_STATUS_DYING | XCT_STATUS_MET_EARLY(dir))) &&
	       flow->expires_at > now &&
	       !is_readdressed(flow, dir, halves_of(flow, dir));
}

/* The flow of a packet that is quoted as it came, though its port would have been
 * changed: by a late hook. */
static void find_flow_of_refused(struct xct_visit *v)
{
	struct xct_tuple quoted;
	struct xct_flow *flow;
	enum xct_dir dir;

	if (!xct_tuple_invert(&v->tuple, &quoted))
		return;
	flow = xct_table_find(&v->eng->table, &quoted, &dir);
	if (!flow || !is_met_late(flow, dir, v->now))
		return;
	v->flow = flow;
	v->dir = dir == XCT_DIR_ORIG ? XCT_DIR_REPLY : XCT_DIR_ORIG;
}

/*
 * Track the packet that the error v quotes, which was refused between the hooks,
 * if no early hook has done so. Its payload is not there, its lengths are.
 */
static void track_refused(struct xct_visit *v)
{
	struct xct_result unused = { .verdict = XCT_VERDICT_ACCEPT };
	struct xct_meta meta = { .in_if = v->meta->out_if,
				 .hook = XCT_HOOK_PREROUTING };
	struct xct_visit dead = { .eng = v->eng,
				  .meta = &meta,
				  .res = &unused,
				  .now = v->now,
				  .pkt = v->quoted,
				  .flow = v->flow,
				  .is_dying = true };
	uint32_t len = length_of_quoted(&v->quoted);
	enum tracked tracked = TRACKED_NOTHING;

	dead.dir = v->dir == XCT_DIR_ORIG ? XCT_DIR_REPLY : XCT_DIR_ORIG;
	/* What an early hook has opened for it is for this error alone. */
	if (v->flow && !(v->flow->status & XCT_STATUS_CONFIRMED))
		v->flow->status |= XCT_STATUS_DYING;
	if (len < dead.pkt.l3_len ||
	    (v->flow && !is_met_late(v->flow, dead.dir, v->now)) ||
	    !xct_tuple_invert(&v->tuple, &dead.tuple))
		return;
	/* What is INVALID is not translated: then it was met. */
	if (!v->flow && xct_table_find(&v->eng->table, &dead.tuple, &dead.dir))
		return;
	dead.pkt.is_truncated = dead.pkt.c.len < len;
	dead.pkt.l3_len = len;
	dead.pkt.l4_len = len - dead.pkt.l4_off;
	dead.l4 = xct_l4(dead.pkt.family, dead.pkt.proto);
	if (dead.l4->check && dead.l4->check(&dead.pkt) != XCT_REASON_NONE)
		return;
	v->eng->stats.packets++;
	if (dead.flow)
		tracked = track(&dead);
	else if (!open_flow(&dead))
		return;
	if (tracked == TRACKED_INVALID) {
		v->flow = NULL; /* and so nothing translates the error */
		return;
	}
	if (dead.flow)
		finish(&dead, XCT_STAGE_FRESH, tracked);
	else
		xct_visit_accept(&dead, XCT_STAGE_FRESH);
	v->flow = dead.flow;
}

/* The packet that the error v quotes, if it is known: the TTL was over. */
static const struct xct_death *find_death(const struct xct_visit *v)
{
	uint8_t exceeded = v->pkt.family == AF_INET ? ICMP_TIME_EXCEEDED
						    : ICMP6_TIME_EXCEEDED;
	struct xct_tuple quoted;

	if (v->pkt.l4[0] != exceeded || !xct_tuple_invert(&v->tuple, &quoted))
		return NULL;
	quoted.zone = xct_visit_answer_zone(v);
	return xct_dead_find(&v->eng->dead, &quoted, v->now);
}

/*
 * What this host itself says about a packet that it forwards (an ICMP error: it
 * expired, is too big, cannot be routed; a RST of another firewall's) speaks of
 * the packet as it was between the hooks. The flow is found by that, and only
 * the source half remains. True if the packet was of this kind.
 */
static XCT_APART bool late_on_behalf(struct xct_visit *v)
{
	const struct xct_death *death;
	enum tracked tracked = TRACKED;
	unsigned int halves;

	if (v->meta->hook != XCT_HOOK_POSTROUTING || !xct_visit_is_own(v))
		return false;
	/* The kernel does not say which connection a redirect of IPv6 came
	 * of: it is like one from elsewhere. */
	if (is_redirect(v) && v->pkt.family == AF_INET6)
		return false;
	v->flow = xct_table_find_routed(&v->eng->table, &v->tuple,
					xct_visit_answer_zone(v), &v->dir);
	if (!v->is_error) {
		if (!v->flow || v->dir != XCT_DIR_REPLY ||
		    !(v->flow->status & XCT_STATUS_CONFIRMED))
			return false;
		tracked = track(v);
		if (tracked == TRACKED_INVALID || tracked == TRACKED_NOTHING)
			return true;
	} else {
		death = find_death(v);
		if (death) {
			v->flow = death->id && death->flow->id == death->id
					  ? death->flow
					  : NULL;
			v->dir = death->dir == XCT_DIR_ORIG ? XCT_DIR_REPLY
							    : XCT_DIR_ORIG;
		}
		/* The packet it is about may have opened no flow: it did not
		 * come so far. */
		if (is_about_size(v)) {
			if (!v->flow)
				find_flow_of_refused(v);
			track_refused(v);
		}
		xct_visit_set_class(v, XCT_CLASS_RELATED);
	}
	if (!xct_policy_filter_related(v))
		return true;
	if (!v->flow) {
		xct_visit_accept(v, XCT_STAGE_FRESH);
		return true;
	}
	halves = halves_of(v->flow, v->dir);
	/* As the kernel, which translates the other half as well: to what it is
	 * already. A quote that is too short is of a packet that was INVALID. */
	if (v->is_error && halves && !may_rewrite(v, halves))
		return true;
	if (translate(v, halves & XCT_HALF_SRC))
		finish(v, XCT_STAGE_FRESH, tracked);
	else if (tracked == TRACKED_LAST)
		end_flow(v, XCT_STAGE_FRESH);
	return true;
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
		v->res->cls = XCT_CLASS_NEW;
		xct_flow_routed_tuple(v->flow, &routed);
		if ((v->eng->rs &&
		     !xct_policy_filter(v, &routed, v->flow, XCT_CLASS_NEW)) ||
		    !xct_policy_source(v, v->flow, true)) {
			xct_flow_delete(v->eng, v->flow);
			return;
		}
		xct_flow_confirm(v->eng, v->flow);
	}
	if (!xct_policy_filter_related(v))
		return;
	if (translate(v, halves_of(v->flow, v->dir) & XCT_HALF_SRC))
		xct_visit_accept(v, XCT_STAGE_FRESH);
	if (v->flow->status & XCT_STATUS_DYING)
		xct_flow_delete(v->eng, v->flow);
}

/* ---- the pipeline ---- */

/* The packet's flow; one that is over is not found any more. */
static void find_flow(struct xct_visit *v)
{
	v->flow = xct_table_find_hash(&v->eng->table, &v->tuple, v->hash,
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
	if (xct_pkt_is_icmp(&v->pkt) && !v->is_error &&
	    xct_icmp_is_untracked(v->pkt.family, v->tuple.icmp_type)) {
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
		if (v->is_error && late_on_behalf(v))
			return;
		if (v->flow)
			late_known(v);
		else if (!late_on_behalf(v))
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
