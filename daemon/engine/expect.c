/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Expectations: see expect.h. */
#include "daemon/engine/expect.h"

#define NONE XCT_FLOW_NONE

size_t xct_expects_work_size(void)
{
	return xct_index_bytes(XCT_EXPECT_MAX);
}

void xct_expects_init(struct xct_expects *expects, struct xct_table *tbl,
		      void *work)
{
	expects->tbl = tbl;
	xct_index_init(&expects->index, work, XCT_EXPECT_MAX);
	expects->oldest = expects->newest = NONE;
	expects->n = 0;
}

void xct_expect_tuple(const struct xct_table *tbl,
		      const struct xct_flow *master, struct xct_tuple *t)
{
	const struct xct_help *help = xct_table_help(tbl, master);

	*t = master->side[!xct_expect_dir(help)].tuple;
	t->sport = 0;
	t->dport = help->port;
}

static uint32_t hash(const struct xct_table *tbl, const struct xct_tuple *t)
{
	return xct_table_hash_zone(xct_table_hash(tbl, t), t->zone);
}

struct xct_flow *xct_expect_find(const struct xct_expects *expects,
				 const struct xct_tuple *t,
				 const struct xct_flow *self, xct_msec now)
{
	const struct xct_table *tbl = expects->tbl;
	const struct xct_index_slot *slot;
	struct xct_tuple key = *t, expected;

	key.sport = 0;
	xct_index_for_each(&expects->index, slot, hash(tbl, &key)) {
		struct xct_flow *master = &tbl->flows[slot->ref];

		if (master == self || tbl->help[slot->ref].expires_at <= now)
			continue;
		xct_expect_tuple(tbl, master, &expected);
		if (xct_tuple_equal(&expected, &key))
			return master;
	}
	return NULL;
}

/* Into the list, behind all that end no later: as a rule at its end. */
static void link(struct xct_expects *expects, uint32_t i)
{
	struct xct_help *help = expects->tbl->help;
	uint32_t prev = expects->newest;

	while (prev != NONE && help[prev].expires_at > help[i].expires_at)
		prev = help[prev].prev;
	help[i].prev = prev;
	help[i].next = prev == NONE ? expects->oldest : help[prev].next;
	if (prev == NONE)
		expects->oldest = i;
	else
		help[prev].next = i;
	if (help[i].next == NONE)
		expects->newest = i;
	else
		help[help[i].next].prev = i;
}

static void enter(struct xct_expects *expects, const struct xct_flow *master)
{
	uint32_t i = xct_table_index(expects->tbl, master);
	struct xct_tuple t;

	xct_expect_tuple(expects->tbl, master, &t);
	xct_index_add(&expects->index, hash(expects->tbl, &t), i);
	link(expects, i);
	expects->n++;
}

bool xct_expect_add(struct xct_expects *expects, struct xct_flow *master,
		    enum xct_dir dir)
{
	if (expects->n == XCT_EXPECT_MAX)
		return false;
	xct_table_help(expects->tbl, master)->expects = (uint8_t)(1 + dir);
	enter(expects, master);
	return true;
}

bool xct_expect_adopt(struct xct_expects *expects, struct xct_flow *master,
		      xct_msec now)
{
	struct xct_help *help = xct_table_help(expects->tbl, master);

	if (!help->expects || help->expects > XCT_DIRS ||
	    help->expires_at <= now || expects->n == XCT_EXPECT_MAX) {
		help->expects = 0;
		return false;
	}
	enter(expects, master);
	return true;
}

void xct_expect_remove(struct xct_expects *expects, struct xct_flow *master)
{
	struct xct_help *all = expects->tbl->help;
	struct xct_help *help = xct_table_help(expects->tbl, master);
	struct xct_tuple t;

	xct_expect_tuple(expects->tbl, master, &t);
	xct_index_remove(&expects->index, hash(expects->tbl, &t),
			 xct_table_index(expects->tbl, master));
	if (help->prev == NONE)
		expects->oldest = help->next;
	else
		all[help->prev].next = help->next;
	if (help->next == NONE)
		expects->newest = help->prev;
	else
		all[help->next].prev = help->prev;
	help->expects = 0;
	expects->n--;
}
