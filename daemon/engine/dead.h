/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that have just died in the router.
 *
 * Theory of operation: this host's error quotes a packet as it was between the
 * hooks. There a packet may look like those of another flow, whose destination
 * a DNAT rule has changed. The early hook, which meets what has no hop left,
 * notes whose it was; the error follows as soon as it has let the packet go on.
 */
#ifndef XCT_ENGINE_DEAD_H
#define XCT_ENGINE_DEAD_H

#include "daemon/engine/table.h"

#define XCT_DEAD_MAX 64	  /* more than are between the hooks at a time */
#define XCT_DEAD_MS  1000 /* there need be no error */

struct xct_death {
	struct xct_tuple tuple; /* between the hooks */
	struct xct_flow *flow;	/* whose it was, if that still has .id */
	uint64_t id;		/* 0: nobody's */
	enum xct_dir dir;
	xct_msec until;
};

struct xct_dead {
	struct xct_death slots[XCT_DEAD_MAX];
	unsigned int next;
};

/* The last one that looked like @t. NULL: there was none lately. */
static inline struct xct_death *
xct_dead_find(struct xct_dead *dead, const struct xct_tuple *t, xct_msec now)
{
	for (unsigned int i = 0; i < XCT_DEAD_MAX; i++)
		if (dead->slots[i].until > now &&
		    xct_tuple_equal(&dead->slots[i].tuple, t))
			return &dead->slots[i];
	return NULL;
}

/* @flow NULL: it was nobody's. */
static inline void xct_dead_note(struct xct_dead *dead,
				 const struct xct_tuple *t,
				 struct xct_flow *flow, enum xct_dir dir,
				 xct_msec now)
{
	struct xct_death *death = xct_dead_find(dead, t, now);

	if (!death)
		death = &dead->slots[dead->next++ % XCT_DEAD_MAX];
	*death = (struct xct_death){ *t, flow, flow ? flow->id : 0, dir,
				     now + XCT_DEAD_MS };
}

#endif
