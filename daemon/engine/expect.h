/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that are expected, since two ends have agreed on them in another
 * one, their master.
 *
 * Theory of operation: a flow expects one connection at a time, the one that was
 * announced last. What it expects stands in its struct xct_help: a packet like
 * those that its own answer the announcement with, but to another port, and from
 * any. So an expectation ends with its master, takes no memory of its own, and
 * outlives the process with it. The index by tuple and the list by age are
 * rebuilt from the records.
 *
 * All expectations last equally long, so the list is in the order of their ends.
 */
#ifndef XCT_ENGINE_EXPECT_H
#define XCT_ENGINE_EXPECT_H

#include "daemon/engine/table.h"

#define XCT_EXPECT_MAX 4096u /* of the whole table */

struct xct_expects {
	struct xct_table *tbl;
	struct xct_index index; /* refers to masters, by their records */
	uint32_t oldest;	/* or XCT_FLOW_NONE */
	uint32_t newest;
	uint32_t n;
};

size_t xct_expects_work_size(void);

/* @work is aligned to a cache line. */
void xct_expects_init(struct xct_expects *expects, struct xct_table *tbl,
		      void *work);

/* The direction that what @help expects was announced in. */
static inline enum xct_dir xct_expect_dir(const struct xct_help *help)
{
	return help->expects - 1 ? XCT_DIR_REPLY : XCT_DIR_ORIG;
}

/* What @master, which expects something, expects. The source port, which is 0,
 * may be any. */
void xct_expect_tuple(const struct xct_table *tbl,
		      const struct xct_flow *master, struct xct_tuple *t);

/* The flow, other than @self (NULL: any), that expects @t. NULL: none does. */
struct xct_flow *xct_expect_find(const struct xct_expects *expects,
				 const struct xct_tuple *t,
				 const struct xct_flow *self, xct_msec now);

/* Enter what @master, which expected nothing, expects from now on: it has just
 * been written into its struct xct_help, all but .expects, which becomes 1 +
 * @dir. False: too much is expected. */
bool xct_expect_add(struct xct_expects *expects, struct xct_flow *master,
		    enum xct_dir dir);

/* The same of a flow that has survived. False: it expects nothing any more. */
bool xct_expect_adopt(struct xct_expects *expects, struct xct_flow *master,
		      xct_msec now);

/* A flow that has expected something for too long, or NULL. */
static inline struct xct_flow *
xct_expect_over(const struct xct_expects *expects, xct_msec now)
{
	uint32_t i = expects->oldest;

	return i != XCT_FLOW_NONE && expects->tbl->help[i].expires_at <= now
		       ? &expects->tbl->flows[i]
		       : NULL;
}

/* @master, which expects something, does so no more. */
void xct_expect_remove(struct xct_expects *expects, struct xct_flow *master);

#endif
