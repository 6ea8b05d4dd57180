/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host says of packets between the hooks, where they are as no flow's
 * tuple has them, and what follows for those that routing has refused.
 */
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/engine/path.h"

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

/* Has an early hook tracked the packets of direction @dir? Else a late one
 * does, while the flow lasts. */
static bool is_met_late(const struct xct_flow *flow, enum xct_dir dir,
			xct_msec now)
{
	return flow->status & XCT_STATUS_CONFIRMED &&
	       !(flow->status &
		 (XCT_STATUS_DYING | XCT_STATUS_MET_EARLY(dir))) &&
	       flow->expires_at > now &&
	       !xct_path_is_readdressed(flow, dir, xct_path_halves(flow, dir));
}

/* The flow of a packet that is quoted as it came, though its port would have
 * been changed: by a late hook. */
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
 * Track the packet that the error v quotes, which was refused between the
 * hooks, if no early hook has done so. Its payload is not there, its lengths
 * are.
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
	enum xct_tracked tracked = XCT_TRACKED_NOTHING;

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
	dead.l4 = xct_l4(dead.pkt.proto);
	if (dead.l4->check && dead.l4->check(&dead.pkt) != XCT_REASON_NONE)
		return;
	v->eng->stats.packets++;
	if (dead.flow && dead.flow->status & XCT_STATUS_HELPED)
		xct_path_assist_quoted(&dead);
	if (dead.flow)
		tracked = xct_path_track(&dead);
	else if (!xct_path_open(&dead, NULL))
		return;
	if (tracked == XCT_TRACKED_INVALID) {
		v->flow = NULL; /* and so nothing translates the error */
		return;
	}
	if (dead.flow)
		xct_path_finish(&dead, XCT_STAGE_FRESH, tracked);
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
bool xct_path_on_behalf(struct xct_visit *v)
{
	const struct xct_death *death;
	enum xct_tracked tracked = XCT_TRACKED;
	unsigned int halves;

	if (v->meta->hook != XCT_HOOK_POSTROUTING || !xct_visit_is_own(v))
		return false;
	/* The kernel does not say which connection a redirect of IPv6 came
	 * of: it is like one from elsewhere. */
	if (xct_path_is_redirect(v) && v->pkt.family == AF_INET6)
		return false;
	v->flow = xct_table_find_routed(&v->eng->table, &v->tuple,
					xct_visit_answer_zone(v), &v->dir);
	if (!v->is_error) {
		if (!v->flow || v->dir != XCT_DIR_REPLY ||
		    !(v->flow->status & XCT_STATUS_CONFIRMED))
			return false;
		if (v->flow->status & XCT_STATUS_HELPED)
			xct_path_assist_begin(v);
		tracked = xct_path_track(v);
		if (tracked == XCT_TRACKED_INVALID ||
		    tracked == XCT_TRACKED_NOTHING)
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
	halves = xct_path_halves(v->flow, v->dir);
	/* As the kernel, which translates the other half as well: to what it is
	 * already. A quote that is too short is of a packet that was
	 * INVALID. */
	if (v->is_error && halves && !xct_path_may_rewrite(v, halves))
		return true;
	if (xct_path_translate(v, halves & XCT_HALF_SRC))
		xct_path_finish(v, XCT_STAGE_FRESH, tracked);
	else if (tracked == XCT_TRACKED_LAST)
		xct_path_end(v, XCT_STAGE_FRESH);
	return true;
}
