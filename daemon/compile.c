/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what a file says to a struct xct_ruleset.
 *
 * A set is put into one canonical form (sorted, merged, padding zero), so that
 * equal sets are equal bytes, and can be found by them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/compile.h"

struct xct_pool_set {
	struct xct_pool_set *next;
	const void *bytes;
	uint32_t n; /* elements in bytes */
	uint32_t index;
};

static void pool_init(struct xct_pool *pool, struct xct_arena *scratch)
{
	pool->index.arena = scratch;
	pool->tail = &pool->first;
}

void xct_compiler_init(struct xct_compiler *c, struct xct_arena *arena,
		       struct xct_arena *scratch, struct xct_ruleset *rs)
{
	*c = (struct xct_compiler){
		.arena = arena,
		.scratch = scratch,
		.rs = rs,
	};
	pool_init(&c->ifsets, scratch);
	pool_init(&c->addrsets, scratch);
	pool_init(&c->portsets, scratch);
	pool_init(&c->protosets, scratch);
	pool_init(&c->icmpsets, scratch);
}

/* The number of the set of @n elements of @size bytes at @elements. */
static int intern(struct xct_compiler *c, struct xct_pool *pool, uint32_t max,
		  const void *elements, uint32_t n, size_t size)
{
	struct xct_pool_set *set;
	void *bytes;

	if (n == 0)
		elements = "";
	set = xct_dict_get(&pool->index, elements, n * size);
	if (set)
		return (int)set->index;
	if (pool->n == max)
		return -ENOSPC;

	set = xct_arena_alloc(c->scratch, sizeof(*set));
	bytes = xct_arena_array(c->arena, n, size);
	if (!set || !bytes)
		return -ENOMEM;
	memcpy(bytes, elements, n * size);
	if (xct_dict_add(&pool->index, bytes, n * size, set) < 0)
		return -ENOMEM;

	set->bytes = bytes;
	set->n = n;
	set->index = pool->n++;
	*pool->tail = set;
	pool->tail = &set->next;
	return (int)set->index;
}

/* qsort() wants an array even for nothing. */
static void sort(void *elements, uint32_t n, size_t size,
		 int (*compare)(const void *, const void *))
{
	if (n > 1)
		qsort(elements, n, size, compare);
}

static int compare_names(const void *a, const void *b)
{
	return memcmp(a, b, XCT_IFNAMSIZ);
}

int xct_compile_ifset(struct xct_compiler *c, char (*patterns)[XCT_IFNAMSIZ],
		      uint32_t n)
{
	uint32_t kept = 0;

	sort(patterns, n, sizeof(*patterns), compare_names);
	for (uint32_t i = 0; i < n; i++) {
		if (kept && compare_names(patterns[kept - 1], patterns[i]) == 0)
			continue;
		memmove(patterns[kept++], patterns[i], sizeof(*patterns));
	}
	return intern(c, &c->ifsets, XCT_IFSETS_MAX, patterns, kept,
		      sizeof(*patterns));
}

static int compare_addr_ranges(const void *va, const void *vb)
{
	const struct xct_addr_range *a = va, *b = vb;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return xct_addr_cmp(a->family, &a->first, &b->first);
}

/* Is @b the number after @a? */
static bool addr_follows(uint8_t family, const struct xct_addr *a,
			 const struct xct_addr *b)
{
	struct xct_addr next = *a;

	for (size_t i = xct_addr_len(family); i-- > 0;)
		if (++next.b[i] != 0)
			return xct_addr_equal(&next, b);
	return false;
}

/* Does @b, which does not begin before @a, overlap or continue it? */
static bool addr_ranges_join(const struct xct_addr_range *a,
			     const struct xct_addr_range *b)
{
	return a->family == b->family &&
	       (xct_addr_cmp(a->family, &b->first, &a->last) <= 0 ||
		addr_follows(a->family, &a->last, &b->first));
}

int xct_compile_addrset(struct xct_compiler *c, struct xct_addr_range *ranges,
			uint32_t n)
{
	uint32_t kept = 0;

	sort(ranges, n, sizeof(*ranges), compare_addr_ranges);
	for (uint32_t i = 0; i < n; i++) {
		struct xct_addr_range range;

		/* Assigning members leaves the padding zero. */
		memset(&range, 0, sizeof(range));
		range.first = ranges[i].first;
		range.last = ranges[i].last;
		range.family = ranges[i].family;
		if (!kept || !addr_ranges_join(&ranges[kept - 1], &range))
			memcpy(&ranges[kept++], &range, sizeof(range));
		else if (xct_addr_cmp(range.family, &range.last,
				      &ranges[kept - 1].last) > 0)
			ranges[kept - 1].last = range.last;
	}
	return intern(c, &c->addrsets, XCT_SETS_MAX, ranges, kept,
		      sizeof(*ranges));
}

static int compare_port_ranges(const void *va, const void *vb)
{
	const struct xct_port_range *a = va, *b = vb;

	return (int)a->first - (int)b->first;
}

int xct_compile_portset(struct xct_compiler *c, struct xct_port_range *ranges,
			uint32_t n)
{
	uint32_t kept = 0;

	sort(ranges, n, sizeof(*ranges), compare_port_ranges);
	for (uint32_t i = 0; i < n; i++) {
		struct xct_port_range range = ranges[i];

		if (!kept || range.first > (uint32_t)ranges[kept - 1].last + 1)
			ranges[kept++] = range;
		else if (range.last > ranges[kept - 1].last)
			ranges[kept - 1].last = range.last;
	}
	return intern(c, &c->portsets, XCT_SETS_MAX, ranges, kept,
		      sizeof(*ranges));
}

int xct_compile_protoset(struct xct_compiler *c,
			 const struct xct_byteset *protos)
{
	return intern(c, &c->protosets, XCT_SETS_MAX, protos, 1,
		      sizeof(*protos));
}

int xct_compile_icmpset(struct xct_compiler *c, const struct xct_icmpset *set)
{
	struct xct_icmpset canonical;

	memset(&canonical, 0, sizeof(canonical));
	canonical.type[0] = set->type[0];
	canonical.type[1] = set->type[1];
	canonical.code = set->code;
	return intern(c, &c->icmpsets, XCT_SETS_MAX, &canonical, 1,
		      sizeof(canonical));
}

void xct_compile_chain(struct xct_compiler *c, enum xct_chain_id id,
		       struct xct_rule *rules, uint32_t n,
		       enum xct_action policy)
{
	struct xct_chain *chain = &c->rs->chain[id];

	for (uint32_t i = 0; i < n; i++) {
		rules[i].id = c->rs->n_hits++;
		chain->classes |= rules[i].match.classes;
	}
	chain->rules = rules;
	chain->n = n;
	chain->policy = (uint8_t)policy;
	chain->policy_id = c->rs->n_hits++;
}

/* An exemption is looked up for both ends, unless it asks for the output
 * interface, which is not known when the destination is translated. */
static bool is_dnat_rule(const struct xct_rule *rule)
{
	return rule->action == XCT_ACT_DNAT ||
	       rule->action == XCT_ACT_REDIRECT ||
	       (rule->action == XCT_ACT_EXEMPT && rule->match.out == XCT_ANY);
}

static bool is_snat_rule(const struct xct_rule *rule)
{
	return rule->action == XCT_ACT_SNAT ||
	       rule->action == XCT_ACT_MASQUERADE ||
	       rule->action == XCT_ACT_EXEMPT;
}

int xct_compile_nat(struct xct_compiler *c, struct xct_rule *rules, uint32_t n)
{
	struct xct_ruleset *rs = c->rs;
	struct xct_rule *dnat, *snat;

	dnat = xct_arena_array(c->arena, n, sizeof(*dnat));
	snat = xct_arena_array(c->arena, n, sizeof(*snat));
	if (!dnat || !snat)
		return -ENOMEM;

	for (uint32_t i = 0; i < n; i++) {
		rules[i].id = rs->n_hits++;
		if (is_dnat_rule(&rules[i]))
			dnat[rs->n_dnat++] = rules[i];
		if (is_snat_rule(&rules[i]))
			snat[rs->n_snat++] = rules[i];
	}
	rs->dnat = dnat;
	rs->snat = snat;
	return 0;
}

static int finish_ifsets(struct xct_compiler *c)
{
	struct xct_ifset *sets, *next;

	sets = xct_arena_array(c->arena, c->ifsets.n, sizeof(*sets));
	if (!sets)
		return -ENOMEM;
	next = sets;
	for (const struct xct_pool_set *s = c->ifsets.first; s; s = s->next)
		*next++ = (struct xct_ifset){ s->bytes, s->n };
	c->rs->ifsets = sets;
	c->rs->n_ifsets = c->ifsets.n;
	return 0;
}

static int finish_addrsets(struct xct_compiler *c)
{
	struct xct_addrset *sets, *next;

	sets = xct_arena_array(c->arena, c->addrsets.n, sizeof(*sets));
	if (!sets)
		return -ENOMEM;
	next = sets;
	for (const struct xct_pool_set *s = c->addrsets.first; s; s = s->next)
		*next++ = (struct xct_addrset){ s->bytes, s->n };
	c->rs->addrsets = sets;
	c->rs->n_addrsets = c->addrsets.n;
	return 0;
}

static int finish_portsets(struct xct_compiler *c)
{
	struct xct_portset *sets, *next;

	sets = xct_arena_array(c->arena, c->portsets.n, sizeof(*sets));
	if (!sets)
		return -ENOMEM;
	next = sets;
	for (const struct xct_pool_set *s = c->portsets.first; s; s = s->next)
		*next++ = (struct xct_portset){ s->bytes, s->n };
	c->rs->portsets = sets;
	c->rs->n_portsets = c->portsets.n;
	return 0;
}

/* Sets that are one element of @size bytes, as an array. */
static const void *finish_flat(struct xct_compiler *c,
			       const struct xct_pool *pool, size_t size)
{
	char *array = xct_arena_array(c->arena, pool->n, size);

	if (!array)
		return NULL;
	for (const struct xct_pool_set *s = pool->first; s; s = s->next)
		memcpy(array + s->index * size, s->bytes, size);
	return array;
}

int xct_compile_finish(struct xct_compiler *c)
{
	struct xct_ruleset *rs = c->rs;

	if (finish_ifsets(c) < 0 || finish_addrsets(c) < 0 ||
	    finish_portsets(c) < 0)
		return -ENOMEM;

	rs->protosets = finish_flat(c, &c->protosets, sizeof(*rs->protosets));
	rs->n_protosets = c->protosets.n;
	rs->icmpsets = finish_flat(c, &c->icmpsets, sizeof(*rs->icmpsets));
	rs->n_icmpsets = c->icmpsets.n;
	rs->hits = xct_arena_array(c->arena, rs->n_hits, sizeof(*rs->hits));
	return rs->protosets && rs->icmpsets && rs->hits ? 0 : -ENOMEM;
}
