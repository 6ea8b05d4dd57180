/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rewriting a packet, or the error about one, as its flow says. */
#include "daemon/engine/path.h"

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
				   const struct xct_l4_ops *l4,
				   struct xct_tuple *target, enum xct_dir dir,
				   unsigned int halves)
{
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

static XCT_APART bool edit_error(struct xct_visit *v, unsigned int halves)
{
	enum xct_dir inner_dir =
		v->dir == XCT_DIR_ORIG ? XCT_DIR_REPLY : XCT_DIR_ORIG;
	struct xct_tuple inner = v->flow->side[inner_dir].tuple;
	unsigned int inner_halves = other_halves(halves);

	keep_foreign_id(&v->quoted, xct_l4(v->quoted.proto), &inner, inner_dir,
			inner_halves);
	return xct_edit_icmp_error(&v->pkt, &v->quoted, &v->target, halves,
				   &inner, inner_halves);
}

/* Has the header what the protocol's translation needs? */
static bool can_rewrite(const struct xct_visit *v, unsigned int halves)
{
	const struct xct_pkt *pkt = v->is_error ? &v->quoted : &v->pkt;
	const struct xct_l4_ops *l4 = xct_l4(pkt->proto);

	return !l4->can_rewrite ||
	       l4->can_rewrite(pkt,
			       v->is_error ? other_halves(halves) : halves);
}

/* What is quoted is rewritten too, for which less is not enough. */
static bool is_quoted_enough(const struct xct_visit *v)
{
	return v->quoted.l4_have >= 8 || !xct_l4(v->quoted.proto)->rewrite;
}

bool xct_path_may_rewrite(struct xct_visit *v, unsigned int halves)
{
	if (xct_path_is_redirect(v)) {
		xct_visit_drop(v, XCT_REASON_ICMP_REDIRECT);
		return false;
	}
	if (!can_rewrite(v, halves)) {
		xct_visit_drop(v, XCT_REASON_NAT_HEADER);
		return false;
	}
	return true;
}

bool xct_path_rewrite(struct xct_visit *v, unsigned int halves)
{
	enum xct_dir other =
		v->dir == XCT_DIR_ORIG ? XCT_DIR_REPLY : XCT_DIR_ORIG;
	bool is_done;

	if ((v->is_error || v->l4->can_rewrite) &&
	    !xct_path_may_rewrite(v, halves))
		return false;
	if (v->is_error && !is_quoted_enough(v)) {
		xct_visit_drop(v, XCT_REASON_ICMP_QUOTE);
		return false;
	}
	/* A packet of one direction becomes the inverse of the other. */
	(void)xct_tuple_invert(&v->flow->side[other].tuple, &v->target);
	if (v->is_error) {
		is_done = edit_error(v, halves);
	} else {
		keep_foreign_id(&v->pkt, v->l4, &v->target, v->dir, halves);
		is_done = xct_edit(&v->pkt, v->meta, &v->target, halves);
	}
	if (!is_done) {
		xct_visit_drop(v, XCT_REASON_TRUNCATED);
		return false;
	}
	v->res->is_edited = true;
	v->eng->stats.edited++;
	return true;
}
