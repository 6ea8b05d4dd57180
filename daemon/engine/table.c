/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow table.
 *
 * Theory of operation: a reference in the main index says flow and direction,
 * so that either tuple of a flow leads to it. The other two hashes are heads of
 * chains, linked both ways: one socket may have very many flows.
 *
 * A record is live exactly while its id is not 0. It is filled before the id
 * is written and the id is cleared before anything else: a process that dies
 * in between leaves a record that attach() sees as free.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/engine/l4.h"
#include "daemon/engine/table.h"

#define NONE	    XCT_FLOW_NONE
#define ADOPT_AHEAD 16 /* records that are fetched before they are adopted */

/* Few flows are translated in both ways: a quarter of the room. */
static uint32_t routed_size(uint32_t max_flows)
{
	return max_flows / 4 + 1;
}

static uint32_t source_size(uint32_t max_flows)
{
	return max_flows / 2 + 1;
}

size_t xct_table_region_size(uint32_t max_flows)
{
	size_t labels = xct_region_labels_offset(max_flows) +
			((size_t)max_flows + 1) * sizeof(struct xct_labels);

	return ((labels + 63) & ~(size_t)63) +
	       ((size_t)max_flows + 2) * sizeof(struct xct_help);
}

size_t xct_table_work_size(uint32_t max_flows)
{
	return xct_index_bytes(2 * max_flows) +
	       sizeof(uint32_t) * ((size_t)routed_size(max_flows) +
				   source_size(max_flows));
}

/* What an IPv6 tuple takes on the stack shall not be IPv4's to guard. */
static XCT_APART uint32_t hash_ipv6(const struct xct_table *tbl,
				    const struct xct_tuple *t, uint64_t rest)
{
	const uint64_t words[] = { t->src.u64[0], t->src.u64[1], t->dst.u64[0],
				   t->dst.u64[1] };

	return (uint32_t)xct_siphash_tail(&tbl->key, words,
					  XCT_ARRAY_SIZE(words), rest, 6);
}

uint32_t xct_table_hash(const struct xct_table *tbl, const struct xct_tuple *t)
{
	uint64_t rest = (uint64_t)t->sport << 32 | (uint64_t)t->dport << 16 |
			(uint64_t)t->proto << 8 | t->family;
	uint64_t addrs = (uint64_t)t->src.be32[0] << 32 | t->dst.be32[0];

	/* An IPv4 tuple is 14 bytes of information. */
	if (t->family != AF_INET)
		return hash_ipv6(tbl, t, rest);
	return (uint32_t)xct_siphash_tail(&tbl->key, &addrs, 1, rest, 6);
}

static uint32_t hash_in_zone(const struct xct_table *tbl,
			     const struct xct_tuple *t)
{
	return xct_table_hash_zone(xct_table_hash(tbl, t), t->zone);
}

static uint32_t hash_source(const struct xct_table *tbl,
			    const struct xct_tuple *t)
{
	uint64_t rest =
		(uint64_t)t->sport << 24 | (uint64_t)t->zone << 8 | t->proto;

	return (uint32_t)xct_siphash_tail(&tbl->key, t->src.u64, 2, rest, 5);
}

bool xct_tuple_invert(const struct xct_tuple *t, struct xct_tuple *inverse)
{
	*inverse = *t;
	inverse->src = t->dst;
	inverse->dst = t->src;
	return xct_l4(t->proto)->invert(t, inverse);
}

void xct_flow_routed_tuple(const struct xct_flow *flow, struct xct_tuple *t)
{
	/* From where the original came, to where the reply comes from. */
	*t = flow->side[XCT_DIR_ORIG].tuple;
	t->dst = flow->side[XCT_DIR_REPLY].tuple.src;
	if (xct_l4(t->proto)->has_ports)
		t->dport = flow->side[XCT_DIR_REPLY].tuple.sport;
}

static uint32_t *routed_bucket(const struct xct_table *tbl,
			       const struct xct_tuple *t)
{
	uint64_t hash = hash_in_zone(tbl, t);

	return &tbl->routed[hash * tbl->routed_size >> 32];
}

static uint32_t *source_bucket(const struct xct_table *tbl,
			       const struct xct_tuple *t)
{
	uint64_t hash = hash_source(tbl, t);

	return &tbl->source[hash * tbl->source_size >> 32];
}

static uint32_t reference(const struct xct_table *tbl,
			  const struct xct_flow *flow, enum xct_dir dir)
{
	bool is_translated =
		flow->status & (XCT_STATUS_SRC_NAT | XCT_STATUS_DST_NAT);

	return xct_table_index(tbl, flow) << XCT_REF_SHIFT |
	       (is_translated ? XCT_REF_TRANSLATED : 0) | (uint32_t)dir;
}

static void link_main(struct xct_table *tbl, const struct xct_flow *flow,
		      enum xct_dir dir)
{
	xct_index_add(&tbl->main, hash_in_zone(tbl, &flow->side[dir].tuple),
		      reference(tbl, flow, dir));
}

static void unlink_main(struct xct_table *tbl, const struct xct_flow *flow,
			enum xct_dir dir)
{
	xct_index_remove(&tbl->main, hash_in_zone(tbl, &flow->side[dir].tuple),
			 reference(tbl, flow, dir));
}

static void chain(struct xct_table *tbl, uint32_t *head, struct xct_flow *flow,
		  enum xct_chained which)
{
	uint32_t index = xct_table_index(tbl, flow);

	if (*head != NONE)
		tbl->cold[*head].chain_prev[which] = index;
	tbl->cold[index].chain_next[which] = *head;
	tbl->cold[index].chain_prev[which] = NONE;
	*head = index;
}

/* False: it is not in this chain. */
static bool unchain(struct xct_table *tbl, uint32_t *head,
		    struct xct_flow *flow, enum xct_chained which)
{
	const struct xct_flow_cold *cold = xct_table_cold(tbl, flow);
	uint32_t next = cold->chain_next[which], prev = cold->chain_prev[which];
	uint32_t *link =
		prev == NONE ? head : &tbl->cold[prev].chain_next[which];

	if (*link != xct_table_index(tbl, flow))
		return false;
	*link = next;
	if (next != NONE)
		tbl->cold[next].chain_prev[which] = prev;
	return true;
}

struct xct_flow *xct_table_search(const struct xct_table *tbl,
				  const struct xct_tuple *t, uint32_t hash,
				  enum xct_dir *dir)
{
	const struct xct_index_slot *slot;

	xct_index_for_each(&tbl->main, slot, hash) {
		if (xct_table_is_at(tbl, slot, t)) {
			*dir = slot->ref & XCT_REF_DIR;
			return xct_table_at(tbl, slot);
		}
	}
	return NULL;
}

struct xct_flow *xct_table_find(const struct xct_table *tbl,
				const struct xct_tuple *t, enum xct_dir *dir)
{
	return xct_table_search(tbl, t, hash_in_zone(tbl, t), dir);
}

bool xct_table_is_taken(const struct xct_table *tbl, const struct xct_tuple *t,
			const struct xct_flow *self)
{
	const struct xct_index_slot *slot;

	xct_index_for_each(&tbl->main, slot, hash_in_zone(tbl, t))
		if (xct_table_is_at(tbl, slot, t) &&
		    xct_table_at(tbl, slot) != self)
			return true;
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
	     i = tbl->cold[i].chain_next[XCT_CHAINED_ROUTED]) {
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

	if (!(flow->status & XCT_STATUS_DST_NAT))
		return;
	xct_flow_routed_tuple(flow, &t);
	head = routed_bucket(tbl, &t);
	if (*head == xct_table_index(tbl, flow))
		return;
	if (unchain(tbl, head, flow, XCT_CHAINED_ROUTED))
		chain(tbl, head, flow, XCT_CHAINED_ROUTED);
}

struct xct_flow *
xct_table_find_source(const struct xct_table *tbl, const struct xct_tuple *t,
		      bool (*fn)(void *ctx, struct xct_flow *flow), void *ctx)
{
	const struct xct_tuple *orig;
	struct xct_flow *flow;
	uint32_t i;

	for (i = *source_bucket(tbl, t); i != NONE;
	     i = tbl->cold[i].chain_next[XCT_CHAINED_SOURCE]) {
		flow = &tbl->flows[i];
		orig = &flow->side[XCT_DIR_ORIG].tuple;
		if (orig->proto == t->proto && orig->sport == t->sport &&
		    orig->zone == t->zone && orig->family == t->family &&
		    xct_addr_equal(&orig->src, &t->src) && fn(ctx, flow))
			return flow;
	}
	return NULL;
}

struct xct_flow *xct_table_draft(const struct xct_table *tbl)
{
	struct xct_flow *draft = &tbl->flows[tbl->max_flows];

	memset(draft, 0, sizeof(*draft));
	memset(xct_table_cold(tbl, draft), 0, sizeof(struct xct_flow_cold));
	return draft;
}

struct xct_flow *xct_table_alloc(struct xct_table *tbl, uint64_t *id)
{
	struct xct_flow *flow;

	if (tbl->free_head != NONE) {
		flow = &tbl->flows[tbl->free_head];
		tbl->free_head = xct_table_cold(tbl, flow)->timer_next;
	} else if (tbl->header->n_used < tbl->max_flows) {
		flow = &tbl->flows[tbl->header->n_used++];
	} else {
		return NULL;
	}
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
	flow->side[XCT_DIR_REPLY].tuple = *reply;
	link_main(tbl, flow, XCT_DIR_REPLY);
	atomic_signal_fence(memory_order_seq_cst);
	flow->id = id;
}

void xct_table_index_routed(struct xct_table *tbl, struct xct_flow *flow)
{
	struct xct_tuple t;

	xct_flow_routed_tuple(flow, &t);
	chain(tbl, routed_bucket(tbl, &t), flow, XCT_CHAINED_ROUTED);
}

void xct_table_index_source(struct xct_table *tbl, struct xct_flow *flow)
{
	chain(tbl, source_bucket(tbl, &flow->side[XCT_DIR_ORIG].tuple), flow,
	      XCT_CHAINED_SOURCE);
}

static void free_record(struct xct_table *tbl, struct xct_flow *flow)
{
	flow->id = 0;
	xct_table_cold(tbl, flow)->timer_next = tbl->free_head;
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
		(void)unchain(tbl, routed_bucket(tbl, &t), flow,
			      XCT_CHAINED_ROUTED);
	}
	if (flow->status & XCT_STATUS_SRC_NAT)
		(void)unchain(
			tbl,
			source_bucket(tbl, &flow->side[XCT_DIR_ORIG].tuple),
			flow, XCT_CHAINED_SOURCE);
	free_record(tbl, flow);
	tbl->n_flows--;
}

bool xct_table_is_blank(const void *region)
{
	static const struct xct_region_header zero;

	return !memcmp(region, &zero, sizeof(zero));
}

void xct_table_format(void *region, uint32_t max_flows)
{
	struct xct_region_header *header = region;

	header->version = XCT_REGION_VERSION;
	header->record_size = XCT_RECORD_SIZE;
	header->max_flows = max_flows;
	header->next_id = 1;
	header->magic = XCT_REGION_MAGIC;
}

static bool is_ours(const struct xct_region_header *header, uint32_t max_flows)
{
	return header->magic == XCT_REGION_MAGIC &&
	       header->version == XCT_REGION_VERSION &&
	       header->record_size == XCT_RECORD_SIZE &&
	       header->max_flows == max_flows && header->n_used <= max_flows;
}

/* The packet that the process died with has not come yet. */
static void undo_unsettled(struct xct_region_header *header)
{
	struct xct_journal *journal = &header->journal;
	uint32_t dir = journal->dir & ~XCT_JOURNAL_HELP;
	struct xct_help *help = xct_region_help(header, header->max_flows),
			*kept;
	struct xct_flow_side *side;
	struct xct_flow *flow;

	if (journal->number != 0 && journal->number <= header->max_flows &&
	    dir < XCT_DIRS) {
		flow = &xct_region_flows(header)[journal->number - 1];
		side = &flow->side[dir];
		kept = &help[header->max_flows + 1];
		if (journal->dir & XCT_JOURNAL_HELP &&
		    kept->next < header->max_flows)
			help[kept->next] = *kept; /* links are made anew */
		if (!journal->status)
			flow->id = 0;
		flow->expires_at = journal->expires_at;
		flow->status = journal->status;
		if (xct_l4(flow->side[dir].tuple.proto)->has_states)
			flow->track = journal->track;
		side->packets = journal->packets;
		side->bytes = journal->bytes;
	}
	atomic_signal_fence(memory_order_release);
	journal->number = 0;
}

static void set_back(xct_msec *at, xct_msec by)
{
	*at = *at > by ? *at - by : 0;
}

void xct_table_set_back(void *region, uint32_t max_flows, xct_msec by)
{
	struct xct_region_header *header = region;
	struct xct_flow *flows = xct_region_flows(region);
	struct xct_flow_cold *cold = xct_region_cold(region, max_flows);

	if (!is_ours(header, max_flows))
		return;		/* of another version: attach() says so */
	undo_unsettled(header); /* its times are of the old clock, too */
	for (uint32_t i = 0; i < header->n_used; i++) {
		if (!flows[i].id)
			continue;
		set_back(&flows[i].expires_at, by);
		if (flows[i].status & XCT_STATUS_HELPED)
			set_back(&xct_region_help(region, max_flows)[i]
					  .expires_at,
				 by);
		cold[i].created_at -= by; /* xct_flow_age() */
		if (flows[i].side[XCT_DIR_ORIG].tuple.proto == IPPROTO_UDP)
			set_back(&flows[i].track.udp.stream_at, by);
	}
}

_Static_assert(sizeof(struct xct_region_header) == 2 * XCT_CACHE_LINE,
	       "records start on a cache line");

/* Put a record that survived into the indexes. */
static bool adopt_record(struct xct_table *tbl, struct xct_flow *flow,
			 bool (*adopt)(void *ctx, struct xct_flow *flow),
			 void *ctx)
{
	if (xct_table_is_taken(tbl, &flow->side[XCT_DIR_ORIG].tuple, NULL) ||
	    xct_table_is_taken(tbl, &flow->side[XCT_DIR_REPLY].tuple, NULL) ||
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

/* Have the memory that adopt_record() will look at on its way. */
static void fetch_buckets(const struct xct_table *tbl,
			  const struct xct_flow *flow)
{
	for (int dir = 0; dir < XCT_DIRS; dir++)
		__builtin_prefetch(
			xct_index_home(
				&tbl->main,
				hash_in_zone(tbl, &flow->side[dir].tuple)),
			1);
	if (flow->status & XCT_STATUS_SRC_NAT)
		__builtin_prefetch(
			source_bucket(tbl, &flow->side[XCT_DIR_ORIG].tuple), 1);
}

int xct_table_attach(struct xct_table *tbl, void *region, void *work,
		     uint32_t max_flows, const struct xct_siphash_key *key,
		     bool (*adopt)(void *ctx, struct xct_flow *flow), void *ctx,
		     uint32_t *n_torn)
{
	struct xct_region_header *header = region;

	if (xct_table_is_blank(region))
		xct_table_format(region, max_flows);
	else if (!is_ours(header, max_flows))
		return -EINVAL;

	tbl->header = header;
	tbl->flows = xct_region_flows(region);
	tbl->cold = xct_region_cold(region, max_flows);
	tbl->labels = xct_region_labels(region, max_flows);
	tbl->help = xct_region_help(region, max_flows);
	tbl->key = *key;
	tbl->max_flows = max_flows;
	tbl->n_flows = 0;
	tbl->free_head = NONE;
	xct_index_init(&tbl->main, work, 2 * max_flows);
	tbl->routed = (void *)((char *)work + xct_index_bytes(2 * max_flows));
	tbl->routed_size = routed_size(max_flows);
	tbl->source = tbl->routed + tbl->routed_size;
	tbl->source_size = source_size(max_flows);
	memset(tbl->routed, 0xff, /* all NONE */
	       sizeof(uint32_t) *
		       ((size_t)tbl->routed_size + tbl->source_size));
	undo_unsettled(header);

	/* From the end, so that the free list starts with the first records:
	 * a table that is seldom full touches little memory. */
	*n_torn = 0;
	for (uint32_t i = header->n_used; i-- > 0;) {
		struct xct_flow *flow = &tbl->flows[i];

		if (i >= ADOPT_AHEAD && flow[-ADOPT_AHEAD].id)
			fetch_buckets(tbl, &flow[-ADOPT_AHEAD]);
		if (flow->id && adopt_record(tbl, flow, adopt, ctx))
			continue;
		if (flow->id)
			(*n_torn)++;
		free_record(tbl, flow);
	}
	return 0;
}
