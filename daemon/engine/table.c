/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow table.
 *
 * Theory of operation: a reference in the main hash is (index << 1 | dir), so
 * that a chain can lead through either tuple of a flow. Chains are singly
 * linked through key_next[]; removal walks its chain, which is short because
 * there are at least as many buckets as references.
 *
 * A record is live exactly while its id is not 0. It is filled before the id
 * is written and the id is cleared before anything else: a process that dies
 * in between leaves a record that attach() sees as free.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/engine/l4.h"
#include "daemon/engine/table.h"

#define NONE XCT_FLOW_NONE

static uint32_t pow2_at_least(uint32_t n)
{
	uint32_t p = 64;

	while (p < n)
		p *= 2;
	return p;
}

static uint32_t main_size(uint32_t max_flows)
{
	return pow2_at_least(max_flows * 2);
}

/* Few flows are translated in both ways: a quarter of the room. */
static uint32_t routed_size(uint32_t max_flows)
{
	return pow2_at_least(max_flows / 4);
}

static uint32_t source_size(uint32_t max_flows)
{
	return pow2_at_least(max_flows / 2);
}

size_t xct_table_work_size(uint32_t max_flows)
{
	return sizeof(uint32_t) *
	       ((size_t)main_size(max_flows) + routed_size(max_flows) +
		source_size(max_flows));
}

static uint64_t hash_tuple(const struct xct_table *tbl,
			   const struct xct_tuple *t)
{
	uint64_t w[5];

	/* An IPv4 tuple is 16 bytes of information. */
	if (t->family == AF_INET) {
		w[0] = (uint64_t)t->src.be32[0] << 32 | t->dst.be32[0];
		memcpy(&w[1], &t->sport, 8);
		return xct_siphash(&tbl->key, w, 2);
	}
	memcpy(w, t, sizeof(w));
	return xct_siphash(&tbl->key, w, 5);
}

static uint64_t hash_source(const struct xct_table *tbl,
			    const struct xct_tuple *t)
{
	uint64_t w[3] = { t->src.u64[0], t->src.u64[1],
			  (uint64_t)t->sport << 32 | (uint64_t)t->zone << 8 |
				  t->proto };

	return xct_siphash(&tbl->key, w, 3);
}

bool xct_tuple_invert(const struct xct_tuple *t, struct xct_tuple *inverse)
{
	*inverse = *t;
	inverse->src = t->dst;
	inverse->dst = t->src;
	return xct_l4(t->family, t->proto)->invert(t, inverse);
}

void xct_flow_routed_tuple(const struct xct_flow *flow, struct xct_tuple *t)
{
	/* From where the original came, to where the reply comes from. */
	*t = flow->tuple[XCT_DIR_ORIG];
	t->dst = flow->tuple[XCT_DIR_REPLY].src;
	if (xct_l4(t->family, t->proto)->has_ports)
		t->dport = flow->tuple[XCT_DIR_REPLY].sport;
}

static uint32_t *main_bucket(const struct xct_table *tbl,
			     const struct xct_tuple *t)
{
	return &tbl->main[hash_tuple(tbl, t) & tbl->main_mask];
}

static uint32_t *routed_bucket(const struct xct_table *tbl,
			       const struct xct_tuple *t)
{
	return &tbl->routed[hash_tuple(tbl, t) & tbl->routed_mask];
}

static uint32_t *source_bucket(const struct xct_table *tbl,
			       const struct xct_tuple *t)
{
	return &tbl->source[hash_source(tbl, t) & tbl->source_mask];
}

static void link_main(struct xct_table *tbl, struct xct_flow *flow,
		      enum xct_dir dir)
{
	uint32_t *head = main_bucket(tbl, &flow->tuple[dir]);

	flow->key_next[dir] = *head;
	*head = xct_table_index(tbl, flow) << 1 | (uint32_t)dir;
}

static void unlink_main(struct xct_table *tbl, struct xct_flow *flow,
			enum xct_dir dir)
{
	uint32_t *link = main_bucket(tbl, &flow->tuple[dir]);
	uint32_t ref = xct_table_index(tbl, flow) << 1 | (uint32_t)dir;

	while (*link != ref) {
		assert(*link != NONE);
		link = &tbl->flows[*link >> 1].key_next[*link & 1];
	}
	*link = flow->key_next[dir];
}

/* Returns whether the flow was in the chain. */
static bool unlink_list(struct xct_table *tbl, uint32_t *link,
			struct xct_flow *flow, enum xct_key key)
{
	uint32_t index = xct_table_index(tbl, flow);

	for (; *link != NONE; link = &tbl->flows[*link].key_next[key]) {
		if (*link == index) {
			*link = flow->key_next[key];
			return true;
		}
	}
	return false;
}

struct xct_flow *xct_table_find(const struct xct_table *tbl,
				const struct xct_tuple *t, enum xct_dir *dir)
{
	struct xct_flow *flow;
	uint32_t ref;

	for (ref = *main_bucket(tbl, t); ref != NONE;
	     ref = flow->key_next[ref & 1]) {
		flow = &tbl->flows[ref >> 1];
		if (xct_tuple_equal(&flow->tuple[ref & 1], t)) {
			*dir = ref & 1;
			return flow;
		}
	}
	return NULL;
}

bool xct_table_is_taken(const struct xct_table *tbl, const struct xct_tuple *t,
			const struct xct_flow *self)
{
	const struct xct_flow *flow;
	uint32_t ref;

	for (ref = *main_bucket(tbl, t); ref != NONE;
	     ref = flow->key_next[ref & 1]) {
		flow = &tbl->flows[ref >> 1];
		if (flow != self && xct_tuple_equal(&flow->tuple[ref & 1], t))
			return true;
	}
	return false;
}

/* The flow with a translated destination whose routed tuple, in original
 * direction, is @t. */
static struct xct_flow *find_by_routed(const struct xct_table *tbl,
				       const struct xct_tuple *t)
{
	struct xct_tuple routed;
	struct xct_flow *flow;
	uint32_t i;

	for (i = *routed_bucket(tbl, t); i != NONE;
	     i = flow->key_next[XCT_KEY_ROUTED]) {
		flow = &tbl->flows[i];
		xct_flow_routed_tuple(flow, &routed);
		if (xct_tuple_equal(&routed, t))
			return flow;
	}
	return NULL;
}

/* The flow whose destination is not translated: it is routed as it came. */
static struct xct_flow *find_by_original(const struct xct_table *tbl,
					 const struct xct_tuple *t)
{
	enum xct_dir dir;
	struct xct_flow *flow = xct_table_find(tbl, t, &dir);

	if (flow && dir == XCT_DIR_ORIG && !(flow->status & XCT_STATUS_DST_NAT))
		return flow;
	return NULL;
}

struct xct_flow *xct_table_find_routed(const struct xct_table *tbl,
				       const struct xct_tuple *t,
				       uint16_t answer_zone, enum xct_dir *dir)
{
	struct xct_tuple inverse;
	struct xct_flow *flow;
	bool has_inverse = xct_tuple_invert(t, &inverse);

	inverse.zone = answer_zone;
	/* Half translated, both tuples may also be a whole one of a flow that
	 * nothing is left to do for: that is the second choice. */
	*dir = XCT_DIR_ORIG;
	flow = find_by_routed(tbl, t);
	if (flow)
		return flow;
	if (has_inverse) {
		*dir = XCT_DIR_REPLY;
		flow = find_by_routed(tbl, &inverse);
		if (flow)
			return flow;
		*dir = XCT_DIR_ORIG;
	}
	flow = find_by_original(tbl, t);
	if (flow || !has_inverse)
		return flow;
	*dir = XCT_DIR_REPLY;
	return find_by_original(tbl, &inverse);
}

void xct_table_touch_routed(struct xct_table *tbl, struct xct_flow *flow)
{
	struct xct_tuple t;
	uint32_t *head;

	xct_flow_routed_tuple(flow, &t);
	head = routed_bucket(tbl, &t);
	if (*head == xct_table_index(tbl, flow))
		return;
	if (unlink_list(tbl, head, flow, XCT_KEY_ROUTED)) {
		flow->key_next[XCT_KEY_ROUTED] = *head;
		*head = xct_table_index(tbl, flow);
	}
}

struct xct_flow *
xct_table_find_source(const struct xct_table *tbl, const struct xct_tuple *t,
		      bool (*fn)(void *ctx, struct xct_flow *flow), void *ctx)
{
	const struct xct_tuple *orig;
	struct xct_flow *flow;
	uint32_t i;

	for (i = *source_bucket(tbl, t); i != NONE;
	     i = flow->key_next[XCT_KEY_SOURCE]) {
		flow = &tbl->flows[i];
		orig = &flow->tuple[XCT_DIR_ORIG];
		if (orig->proto == t->proto && orig->sport == t->sport &&
		    orig->zone == t->zone && orig->family == t->family &&
		    xct_addr_equal(&orig->src, &t->src) && fn(ctx, flow))
			return flow;
	}
	return NULL;
}

struct xct_flow *xct_table_alloc(struct xct_table *tbl, uint64_t *id)
{
	struct xct_flow *flow;

	if (tbl->free_head == NONE)
		return NULL;
	flow = &tbl->flows[tbl->free_head];
	tbl->free_head = flow->timer_next;
	memset(flow, 0, sizeof(*flow));
	*id = tbl->header->next_id++;
	tbl->n_flows++;
	return flow;
}

void xct_table_insert(struct xct_table *tbl, struct xct_flow *flow, uint64_t id)
{
	link_main(tbl, flow, XCT_DIR_ORIG);
	link_main(tbl, flow, XCT_DIR_REPLY);
	atomic_signal_fence(memory_order_release);
	flow->id = id;
}

void xct_table_set_reply(struct xct_table *tbl, struct xct_flow *flow,
			 const struct xct_tuple *reply)
{
	uint64_t id = flow->id;

	/* Not one, not the other tuple: a record torn here must not live. */
	flow->id = 0;
	atomic_signal_fence(memory_order_seq_cst);
	unlink_main(tbl, flow, XCT_DIR_REPLY);
	flow->tuple[XCT_DIR_REPLY] = *reply;
	link_main(tbl, flow, XCT_DIR_REPLY);
	atomic_signal_fence(memory_order_seq_cst);
	flow->id = id;
}

void xct_table_index_routed(struct xct_table *tbl, struct xct_flow *flow)
{
	struct xct_tuple t;
	uint32_t *head;

	xct_flow_routed_tuple(flow, &t);
	head = routed_bucket(tbl, &t);
	flow->key_next[XCT_KEY_ROUTED] = *head;
	*head = xct_table_index(tbl, flow);
}

void xct_table_index_source(struct xct_table *tbl, struct xct_flow *flow)
{
	uint32_t *head = source_bucket(tbl, &flow->tuple[XCT_DIR_ORIG]);

	flow->key_next[XCT_KEY_SOURCE] = *head;
	*head = xct_table_index(tbl, flow);
}

static void free_record(struct xct_table *tbl, struct xct_flow *flow)
{
	flow->id = 0;
	flow->timer_next = tbl->free_head;
	tbl->free_head = xct_table_index(tbl, flow);
}

void xct_table_remove(struct xct_table *tbl, struct xct_flow *flow)
{
	flow->id = 0;
	atomic_signal_fence(memory_order_seq_cst);
	unlink_main(tbl, flow, XCT_DIR_ORIG);
	unlink_main(tbl, flow, XCT_DIR_REPLY);
	if (flow->status & XCT_STATUS_DST_NAT) {
		struct xct_tuple t;

		xct_flow_routed_tuple(flow, &t);
		(void)unlink_list(tbl, routed_bucket(tbl, &t), flow,
				  XCT_KEY_ROUTED);
	}
	if (flow->status & XCT_STATUS_SRC_NAT)
		(void)unlink_list(
			tbl, source_bucket(tbl, &flow->tuple[XCT_DIR_ORIG]),
			flow, XCT_KEY_SOURCE);
	free_record(tbl, flow);
	tbl->n_flows--;
}

static bool is_blank(const struct xct_region_header *header)
{
	static const struct xct_region_header zero;

	return !memcmp(header, &zero, sizeof(zero));
}

static void format_region(struct xct_region_header *header, uint32_t max_flows)
{
	header->version = XCT_REGION_VERSION;
	header->record_size = sizeof(struct xct_flow);
	header->max_flows = max_flows;
	header->next_id = 1;
	header->magic = XCT_REGION_MAGIC;
}

static bool is_ours(const struct xct_region_header *header, uint32_t max_flows)
{
	return header->magic == XCT_REGION_MAGIC &&
	       header->version == XCT_REGION_VERSION &&
	       header->record_size == sizeof(struct xct_flow) &&
	       header->max_flows == max_flows;
}

int xct_table_copy(void *to, uint32_t to_max, const void *from,
		   uint32_t from_max)
{
	const struct xct_region_header *old = from;
	struct xct_region_header *header = to;
	const struct xct_flow *flows = (const void *)(old + 1);
	struct xct_flow *copy = (void *)(header + 1);
	uint32_t n = 0;
	int lost = 0;

	if (is_blank(old))
		return 0;
	if (!is_ours(old, from_max))
		return -EINVAL;
	format_region(header, to_max);
	header->next_id = old->next_id;
	for (uint32_t i = 0; i < from_max; i++) {
		if (!flows[i].id)
			continue;
		if (n < to_max)
			copy[n++] = flows[i];
		else
			lost++;
	}
	return lost;
}

_Static_assert(sizeof(struct xct_region_header) == 64,
	       "records start on a cache line");

/* The packet that the process died with is not counted yet. */
static void undo_unsettled(struct xct_table *tbl)
{
	struct xct_journal *journal = &tbl->header->journal;
	struct xct_flow *flow;

	if (journal->flow_id != 0 && journal->index < tbl->max_flows &&
	    journal->dir < XCT_DIRS) {
		flow = &tbl->flows[journal->index];
		if (flow->id == journal->flow_id) {
			flow->packets[journal->dir] = journal->packets;
			flow->bytes[journal->dir] = journal->bytes;
		}
	}
	xct_table_settle(tbl);
}

/* Put a record that survived into the indexes. */
static bool adopt_record(struct xct_table *tbl, struct xct_flow *flow,
			 bool (*adopt)(void *ctx, struct xct_flow *flow),
			 void *ctx)
{
	if (xct_table_is_taken(tbl, &flow->tuple[XCT_DIR_ORIG], NULL) ||
	    xct_table_is_taken(tbl, &flow->tuple[XCT_DIR_REPLY], NULL) ||
	    !adopt(ctx, flow))
		return false;
	if (flow->id >= tbl->header->next_id)
		tbl->header->next_id = flow->id + 1;
	link_main(tbl, flow, XCT_DIR_ORIG);
	link_main(tbl, flow, XCT_DIR_REPLY);
	if (flow->status & XCT_STATUS_SRC_NAT)
		xct_table_index_source(tbl, flow);
	if (flow->status & XCT_STATUS_DST_NAT)
		xct_table_index_routed(tbl, flow);
	tbl->n_flows++;
	return true;
}

int xct_table_attach(struct xct_table *tbl, void *region, void *work,
		     uint32_t max_flows, const struct xct_siphash_key *key,
		     bool (*adopt)(void *ctx, struct xct_flow *flow), void *ctx,
		     uint32_t *n_torn)
{
	struct xct_region_header *header = region;

	if (is_blank(header))
		format_region(header, max_flows);
	else if (!is_ours(header, max_flows))
		return -EINVAL;

	tbl->header = header;
	tbl->flows = (struct xct_flow *)(header + 1);
	tbl->key = *key;
	tbl->max_flows = max_flows;
	tbl->n_flows = 0;
	tbl->free_head = NONE;
	tbl->main = work;
	tbl->main_mask = main_size(max_flows) - 1;
	tbl->routed = tbl->main + main_size(max_flows);
	tbl->routed_mask = routed_size(max_flows) - 1;
	tbl->source = tbl->routed + routed_size(max_flows);
	tbl->source_mask = source_size(max_flows) - 1;
	memset(work, 0xff, xct_table_work_size(max_flows)); /* all NONE */
	undo_unsettled(tbl);

	/* From the end, so that the free list starts with the first records:
	 * a table that is seldom full touches little memory. */
	*n_torn = 0;
	for (uint32_t i = max_flows; i-- > 0;) {
		struct xct_flow *flow = &tbl->flows[i];

		if (flow->id && adopt_record(tbl, flow, adopt, ctx))
			continue;
		if (flow->id)
			(*n_torn)++;
		free_record(tbl, flow);
	}
	return 0;
}
