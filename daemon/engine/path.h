/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of a packet's way: the hooks and tracking (path.c), rewriting what
 * belongs to a flow (translate.c), and what this host says of packets that it
 * has refused (behalf.c). Nobody else includes this.
 */
#ifndef XCT_ENGINE_PATH_H
#define XCT_ENGINE_PATH_H

#include "daemon/engine/edit.h"
#include "daemon/engine/visit.h"

enum xct_tracked {
	XCT_TRACKED,	     /* part of v->flow */
	XCT_TRACKED_LAST,    /* part of v->flow, which is over */
	XCT_TRACKED_NOTHING, /* no flow (any more): as if none had been found */
	XCT_TRACKED_INVALID, /* not part of v->flow: the verdict is made */
};

static inline bool xct_path_is_redirect(const struct xct_visit *v)
{
	return v->is_error && xct_icmp_is_redirect(v->pkt.family, v->pkt.l4[0]);
}

/* Let the tracker look at a packet of v->flow. */
enum xct_tracked xct_path_track(struct xct_visit *v);

/* Draft a flow of the first packet of a connection, which @master expects (NULL:
 * nobody does). NULL if it can open none; the verdict is then made. */
struct xct_flow *xct_path_open(struct xct_visit *v,
			       const struct xct_flow *master);

/* A packet of v->flow is done with here. */
void xct_path_finish(struct xct_visit *v, enum xct_stage stage,
		     enum xct_tracked tracked);

/* The flow has seen its last packet. If that one still has a hook before it, or
 * dies, the flow waits for it, or for the error about it. */
void xct_path_end(struct xct_visit *v, enum xct_stage stage);

/* The late hook's packet may be what this host itself says about one that it
 * forwards. True if it was of this kind: the verdict is made. */
bool xct_path_on_behalf(struct xct_visit *v);

/* Which halves of a packet of @flow in direction @dir are translated. */
static inline unsigned int xct_path_halves(const struct xct_flow *flow,
					   enum xct_dir dir)
{
	unsigned int halves = 0;

	if (flow->status & XCT_STATUS_SRC_NAT)
		halves |= dir == XCT_DIR_ORIG ? XCT_HALF_SRC : XCT_HALF_DST;
	if (flow->status & XCT_STATUS_DST_NAT)
		halves |= dir == XCT_DIR_ORIG ? XCT_HALF_DST : XCT_HALF_SRC;
	return halves;
}

/* Does it go to another address than it came for? Only an early hook can do
 * that: a port can be changed anywhere. */
static inline bool xct_path_is_readdressed(const struct xct_flow *flow,
					   enum xct_dir dir,
					   unsigned int halves)
{
	enum xct_dir other = dir == XCT_DIR_ORIG ? XCT_DIR_REPLY : XCT_DIR_ORIG;

	return halves & XCT_HALF_DST &&
	       !xct_addr_equal(&flow->side[dir].tuple.dst,
			       &flow->side[other].tuple.src);
}

/* False: it cannot be translated, and the verdict is made. */
bool xct_path_may_rewrite(struct xct_visit *v, unsigned int halves);
bool xct_path_rewrite(struct xct_visit *v, unsigned int halves);

/* Translate @halves of the packet as v->flow says. False: the verdict is
 * made. */
static inline bool xct_path_translate(struct xct_visit *v, unsigned int halves)
{
	return !halves || xct_path_rewrite(v, halves);
}

/*
 * A packet of v->flow, which has a helper: before it is tracked, have it
 * acknowledge what was sent; once it is tracked and translated, have the helper
 * read it, and rewrite what it announces as NAT has changed the flow. False: the
 * verdict is made.
 */
void xct_path_assist_begin(struct xct_visit *v);
bool xct_path_assist(struct xct_visit *v);

/* The first of the two, of a header that is quoted and stays as it is. */
void xct_path_assist_quoted(struct xct_visit *v);

/* The flow that expects the connection which v's packet opens, or NULL. */
struct xct_flow *xct_path_expected(const struct xct_visit *v);

/* What is expected by a translated flow goes to where the one that has announced
 * it is, and comes from where that one sends to: make @leaving such a tuple.
 * False: @master is not translated, so rules may say what they like. */
bool xct_path_follow(const struct xct_visit *v, const struct xct_flow *master,
		     struct xct_tuple *leaving);

/* The connection that @master expected has come. */
void xct_path_fulfil(struct xct_visit *v, struct xct_flow *master);

#endif
