/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow table: records in the region, and the indexes that find them.
 *
 * The region is a header and @max_flows records: first of all of them what a
 * hit needs, then the rest; then, from a page of its own on, as many labels,
 * and what helpers know. One more stands behind them: there a flow is drafted
 * before it is entered. Indexes (hash slots, links, free list) live in working
 * memory or in the records' link fields and are rebuilt by xct_table_attach()
 * from the records alone.
 *
 * Few flows have labels, or a helper: XCT_STATUS_LABELS and XCT_STATUS_HELPED
 * say which. These are read and written where that is set, and nowhere else, so
 * what no flow has costs no memory.
 *
 *   main index   (flow, direction) by its tuple: each flow stands in it twice,
 *                so one look-up finds a packet's flow in either direction
 *   routed hash  flows by their half-translated tuple (XCT_CHAINED_ROUTED)
 *   source hash  source-translated flows by what they sent from
 */
#ifndef XCT_ENGINE_TABLE_H
#define XCT_ENGINE_TABLE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>

#include "common/siphash.h"
#include "daemon/engine/flow.h"
#include "daemon/engine/index.h"

#define XCT_REGION_MAGIC UINT64_C(0x0a776f6c66746378) /* "xctflow\n" */

/*
 * What the packet that is in the engine's hands may change of its flow, as it
 * was before. If the process dies with it the packet comes again, and counts
 * then: xct_table_attach() puts this back, or removes the flow that the packet
 * has made.
 */
struct xct_journal {
	uint32_t number; /* of the record, from 1; 0: there is no such packet */
	uint32_t dir;	 /* and XCT_JOURNAL_HELP */
	uint32_t status; /* 0, which no flow has: there was none */
	uint32_t unused;
	uint64_t packets;
	uint64_t bytes;
	/* A cache line: */
	union xct_track track;
	xct_msec expires_at;
};

/* What a helper knows of a flow, this one or another, was changed as well: it is
 * put back from the entry behind the draft's, whose .next says which it is. */
#define XCT_JOURNAL_HELP 0x100u

struct xct_region_header {
	/* The same in all layouts: */
	uint64_t magic;
	uint32_t version;
	uint32_t record_size;
	uint32_t max_flows;
	uint32_t n_used;  /* records behind these were never in use */
	uint64_t next_id; /* no flow has this id or a higher one */
	/* Of this one: */
	struct xct_journal journal;
	/* Records start here, on a cache line. */
};

#define XCT_REGION_PAGE 4096u

/* What a flow takes in a region, but for labels. */
#define XCT_RECORD_SIZE (sizeof(struct xct_flow) + sizeof(struct xct_flow_cold))

struct xct_table {
	struct xct_region_header *header;
	struct xct_flow *flows;	    /* [max_flows + 1] .. */
	struct xct_flow_cold *cold; /* .. and the rest of each .. */
	struct xct_labels
		*labels;       /* .. and those of the few that have any .. */
	struct xct_help *help; /* .. and what helpers know, the journal too */
	struct xct_siphash_key key;
	struct xct_index main;
	uint32_t *routed;
	uint32_t *source;
	uint32_t routed_size;
	uint32_t source_size;
	uint32_t free_head; /* of records that were in use */
	uint32_t n_flows;
	uint32_t max_flows;
};

size_t xct_table_region_size(uint32_t max_flows);
size_t xct_table_work_size(uint32_t max_flows);

/*
 * Take @region and @work into use. Formats a zeroed region. For a used one,
 * puts every record with an id into the indexes and calls @adopt for it; a
 * record that @adopt refuses, or that contradicts another, is freed. Returns 0
 * or -EINVAL (another layout; nothing is touched).
 */
int xct_table_attach(struct xct_table *tbl, void *region, void *work,
		     uint32_t max_flows, const struct xct_siphash_key *key,
		     bool (*adopt)(void *ctx, struct xct_flow *flow), void *ctx,
		     uint32_t *n_torn);

/* Was it never used? Make one that was not an empty one. */
bool xct_table_is_blank(const void *region);
void xct_table_format(void *region, uint32_t max_flows);

/* As xct_region_set_back() (engine.h). */
void xct_table_set_back(void *region, uint32_t max_flows, xct_msec by);

/* Where they stand in a region. */
static inline struct xct_flow *xct_region_flows(void *region)
{
	return (void *)((char *)region + sizeof(struct xct_region_header));
}

static inline struct xct_flow_cold *xct_region_cold(void *region,
						    uint32_t max_flows)
{
	return (void *)(xct_region_flows(region) + max_flows + 1);
}

/* On a page of their own: no other is touched for them, nor they for others. */
static inline size_t xct_region_labels_offset(uint32_t max_flows)
{
	size_t records = sizeof(struct xct_region_header) +
			 ((size_t)max_flows + 1) * XCT_RECORD_SIZE;

	return (records + XCT_REGION_PAGE - 1) & ~(size_t)(XCT_REGION_PAGE - 1);
}

static inline struct xct_labels *xct_region_labels(void *region,
						   uint32_t max_flows)
{
	return (void *)((char *)region + xct_region_labels_offset(max_flows));
}

static inline struct xct_help *xct_region_help(void *region, uint32_t max_flows)
{
	struct xct_labels *end =
		xct_region_labels(region, max_flows) + max_flows + 1;

	return (void *)(((uintptr_t)end + 63) & ~(uintptr_t)63);
}

static inline uint32_t xct_table_index(const struct xct_table *tbl,
				       const struct xct_flow *flow)
{
	return (uint32_t)(flow - tbl->flows);
}

static inline struct xct_flow_cold *xct_table_cold(const struct xct_table *tbl,
						   const struct xct_flow *flow)
{
	return &tbl->cold[xct_table_index(tbl, flow)];
}

/* The labels of @flow, in the table or drafted. */
static inline struct xct_labels xct_table_labels(const struct xct_table *tbl,
						 const struct xct_flow *flow)
{
	if (flow->status & XCT_STATUS_LABELS)
		return tbl->labels[xct_table_index(tbl, flow)];
	return (struct xct_labels){ { 0 } };
}

static inline void xct_table_set_labels(struct xct_table *tbl,
					struct xct_flow *flow,
					const struct xct_labels *labels)
{
	if (!xct_labels_any(labels)) {
		flow->status &= ~XCT_STATUS_LABELS;
		return;
	}
	tbl->labels[xct_table_index(tbl, flow)] = *labels;
	atomic_signal_fence(memory_order_release);
	flow->status |= XCT_STATUS_LABELS;
}

/* What the helper of @flow, in the table or drafted, knows. It has one. */
static inline struct xct_help *xct_table_help(const struct xct_table *tbl,
					      const struct xct_flow *flow)
{
	return &tbl->help[xct_table_index(tbl, flow)];
}

/* A packet of @flow in this direction is in the engine's hands, until
 * xct_table_settle(). @has_states, as its protocol's in struct xct_l4_ops: else
 * the packet does not change the track, which reaches into a line that it may
 * not need. */
static inline void xct_table_note(struct xct_table *tbl,
				  const struct xct_flow *flow, enum xct_dir dir,
				  bool has_states)
{
	struct xct_journal *journal = &tbl->header->journal;

	journal->dir = dir;
	journal->expires_at = flow->expires_at;
	journal->status = flow->status;
	if (has_states)
		journal->track = flow->track;
	journal->packets = flow->side[dir].packets;
	journal->bytes = flow->side[dir].bytes;
	atomic_signal_fence(memory_order_release);
	journal->number = xct_table_index(tbl, flow) + 1;
	atomic_signal_fence(memory_order_release);
}

/* The same of one that makes @flow, which has no id yet. */
static inline void xct_table_note_new(struct xct_table *tbl,
				      const struct xct_flow *flow)
{
	struct xct_journal *journal = &tbl->header->journal;

	journal->dir = XCT_DIR_ORIG;
	journal->status = 0;
	atomic_signal_fence(memory_order_release);
	journal->number = xct_table_index(tbl, flow) + 1;
	atomic_signal_fence(memory_order_release);
}

/* The same packet, after one of the two above, changes what the helper of @flow
 * knows: once. */
static inline void xct_table_note_help(struct xct_table *tbl,
				       const struct xct_flow *flow)
{
	struct xct_journal *journal = &tbl->header->journal;
	struct xct_help *kept = &tbl->help[tbl->max_flows + 1];

	*kept = *xct_table_help(tbl, flow);
	kept->next = xct_table_index(tbl, flow);
	atomic_signal_fence(memory_order_release);
	journal->dir |= XCT_JOURNAL_HELP;
	atomic_signal_fence(memory_order_release);
}

/* The engine is through with the packet. */
static inline void xct_table_settle(struct xct_table *tbl)
{
	atomic_signal_fence(memory_order_release);
	tbl->header->journal.number = 0;
}

/* The hash of @t but for its zone, and with it. */
uint32_t xct_table_hash(const struct xct_table *tbl, const struct xct_tuple *t);

static inline uint32_t xct_table_hash_zone(uint32_t hash, uint16_t zone)
{
	return hash ^ zone * 0x9e3779b1u;
}

/* The flow that owns @t, and in which direction. NULL if none does. */
struct xct_flow *xct_table_find(const struct xct_table *tbl,
				const struct xct_tuple *t, enum xct_dir *dir);

/* The same with @t's hash known, zone included. */
struct xct_flow *xct_table_search(const struct xct_table *tbl,
				  const struct xct_tuple *t, uint32_t hash,
				  enum xct_dir *dir);

/*
 * What the main index refers to: a direction of a flow. That the flow is
 * translated is noted beside it, for those who fetch what a hit will need; it
 * does not change while the flow is in the index.
 */
#define XCT_REF_DIR	   1u
#define XCT_REF_TRANSLATED 2u
#define XCT_REF_SHIFT	   2

static inline struct xct_flow *xct_table_at(const struct xct_table *tbl,
					    const struct xct_index_slot *slot)
{
	return &tbl->flows[slot->ref >> XCT_REF_SHIFT];
}

/* Have the cache fetch what finding @hash will read; once that is there, the
 * record that it leads to, and no more of it than a hit of @proto needs: lines
 * are all that counts here. Returns where it was found, or NULL. */
static inline void xct_table_prefetch_slot(const struct xct_table *tbl,
					   uint32_t hash)
{
	__builtin_prefetch(xct_index_home(&tbl->main, hash));
}

static inline const struct xct_index_slot *
xct_table_prefetch_flow(const struct xct_table *tbl, uint32_t hash,
			uint8_t proto)
{
	const struct xct_index_slot *slot = xct_index_find(&tbl->main, hash);
	const struct xct_flow *flow;

	if (slot->hash != hash || slot->ref == XCT_INDEX_NONE)
		return NULL;
	flow = xct_table_at(tbl, slot);
	__builtin_prefetch(flow, 1);
	__builtin_prefetch(&flow->side[slot->ref & XCT_REF_DIR].packets, 1);
	if (slot->ref & XCT_REF_TRANSLATED || proto == IPPROTO_TCP)
		__builtin_prefetch(
			&flow->side[~slot->ref & XCT_REF_DIR].packets, 1);
	return slot;
}

/* Is @t the tuple of a flow other than @self (NULL: of any)? */
bool xct_table_is_taken(const struct xct_table *tbl, const struct xct_tuple *t,
			const struct xct_flow *self);

/* The flow with the half-translated tuple @t; the one most lately marked by
 * xct_table_touch_routed() if there are several. An answer to @t would be met
 * in @answer_zone. */
struct xct_flow *xct_table_find_routed(const struct xct_table *tbl,
				       const struct xct_tuple *t,
				       uint16_t answer_zone, enum xct_dir *dir);
void xct_table_touch_routed(struct xct_table *tbl, struct xct_flow *flow);

/* Call @fn for the source-translated flows whose original source is that of
 * @t, until it returns true. */
struct xct_flow *
xct_table_find_source(const struct xct_table *tbl, const struct xct_tuple *t,
		      bool (*fn)(void *ctx, struct xct_flow *flow), void *ctx);

/* The record, all zero, where a flow is drafted that xct_table_alloc() will
 * then find a place for. There is one: the next draft takes it. */
struct xct_flow *xct_table_draft(const struct xct_table *tbl);

/* A record without an id and of any content, not in any index, and a new id for
 * it. NULL if the table is full. */
struct xct_flow *xct_table_alloc(struct xct_table *tbl, uint64_t *id);

/* The next flow gets @id, or a higher one if @id was given before. */
static inline void xct_table_raise_id(struct xct_table *tbl, uint64_t id)
{
	if (tbl->header->next_id < id)
		tbl->header->next_id = id;
}

/* Enter a flow under both tuples and, last, give it its @id. */
void xct_table_insert(struct xct_table *tbl, struct xct_flow *flow,
		      uint64_t id);

/* The reply tuple becomes @reply; indexes follow. */
void xct_table_set_reply(struct xct_table *tbl, struct xct_flow *flow,
			 const struct xct_tuple *reply);

/* Enter the routed index (XCT_STATUS_DST_NAT has just been set) or the source
 * index (XCT_STATUS_SRC_NAT has just been set); remove() leaves them. */
void xct_table_index_routed(struct xct_table *tbl, struct xct_flow *flow);
void xct_table_index_source(struct xct_table *tbl, struct xct_flow *flow);

/* Leave all indexes and free the record. Its timer must be off the wheel. */
void xct_table_remove(struct xct_table *tbl, struct xct_flow *flow);

/* The tuple of the answer to @t. False if nothing can answer it. */
bool xct_tuple_invert(const struct xct_tuple *t, struct xct_tuple *inverse);

/* The tuple between the two hooks, in original direction. */
void xct_flow_routed_tuple(const struct xct_flow *flow, struct xct_tuple *t);

static inline bool xct_tuple_equal(const struct xct_tuple *a,
				   const struct xct_tuple *b)
{
	return xct_addr_equal(&a->src, &b->src) &&
	       xct_addr_equal(&a->dst, &b->dst) &&
	       !memcmp(&a->sport, &b->sport,
		       sizeof(*a) - offsetof(struct xct_tuple, sport));
}

/* Is what @slot refers to @t's? */
static inline bool xct_table_is_at(const struct xct_table *tbl,
				   const struct xct_index_slot *slot,
				   const struct xct_tuple *t)
{
	return xct_tuple_equal(
		&xct_table_at(tbl, slot)->side[slot->ref & XCT_REF_DIR].tuple,
		t);
}

/* xct_table_search() where the entry perhaps (else NULL) was in the index a
 * moment ago. */
static inline struct xct_flow *
xct_table_find_seen(const struct xct_table *tbl, const struct xct_tuple *t,
		    uint32_t hash, const struct xct_index_slot *seen,
		    enum xct_dir *dir)
{
	if (!seen || !xct_index_is_first(seen, hash) ||
	    !xct_table_is_at(tbl, seen, t))
		return xct_table_search(tbl, t, hash, dir);
	*dir = seen->ref & XCT_REF_DIR;
	return xct_table_at(tbl, seen);
}

#endif
