/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the engine: its state, and a packet on its way through it. Shared by
 * the engine's highest layer: engine.c (life of the engine and its flows),
 * read.c (what a packet says), path.h (its way), policy.c (what rules say),
 * entry.c (flows made by hand) and snapshot.c. Whoever uses the engine includes
 * engine.h instead.
 */
#ifndef XCT_ENGINE_VISIT_H
#define XCT_ENGINE_VISIT_H

#include <stdatomic.h>

#include "daemon/engine/dead.h"
#include "daemon/engine/edit.h"
#include "daemon/engine/engine.h"
#include "daemon/engine/expect.h"
#include "daemon/engine/expire.h"
#include "daemon/engine/nat.h"
#include "daemon/engine/pkt.h"
#include "daemon/engine/table.h"

#define XCT_ZONE_CACHE 256 /* interfaces whose zone is remembered */

struct xct_zone_slot {
	uint32_t ifindex; /* 0: none */
	uint16_t zone;	  /* unless zones look at more than the interface */
	uint64_t in[XCT_IFSETS_MAX / 64]; /* the ifsets it is in */
};

struct xct_engine {
	struct xct_engine_config cfg;
	struct xct_table table;
	struct xct_wheel wheel;
	struct xct_expects expects;
	struct xct_random random;
	const struct xct_ruleset *rs;
	atomic_bool verifies; /* cfg.l4.checksum, for those without the lock */
	struct xct_engine_stats stats;
	xct_msec now; /* of the call, for what happens to other flows */
	struct xct_flow_event *(*next_event)(void *ctx); /* NULL: untold */
	void *event_ctx;
	uint32_t evict_cursor;
	struct xct_zone_slot zones[XCT_ZONE_CACHE]; /* by ifindex % size */
	uint32_t n_unconfirmed; /* of the table's flows: nobody sees them yet */
	struct xct_dead dead;	/* packets that died lately */
	uint32_t nearly_full;	/* that many flows are: told when they are */
	uint8_t heard[60];	/* a TCP header, before a helper's first look */
};

/* What is to be known of the zones of what @ifindex receives. */
const struct xct_zone_slot *xct_zone_lookup(struct xct_engine *eng,
					    uint32_t ifindex);

/* The zone of a packet of @family from @src that comes in by @ifindex. Only
 * where some zone asks for it, more than the interface is looked at. */
static inline uint16_t xct_zone_of(struct xct_engine *eng, uint32_t ifindex,
				   uint8_t family, const struct xct_addr *src,
				   uint32_t mark)
{
	const struct xct_zone_slot *slot;

	if (!eng->rs || !eng->rs->n_zones)
		return 0;
	slot = &eng->zones[ifindex % XCT_ZONE_CACHE];
	if (!ifindex || slot->ifindex != ifindex)
		slot = xct_zone_lookup(eng, ifindex);
	return eng->rs->has_packet_zones
		       ? xct_zone_match(eng->rs, slot->in, family, src, mark)
		       : slot->zone;
}

/* The zone in which its answer will be met: it is taken to come from where the
 * packet goes to, by the interface it leaves by, with the same mark. */
static inline uint16_t xct_visit_answer_zone(const struct xct_visit *v)
{
	const struct xct_meta *meta = v->meta;

	return xct_zone_of(v->eng, meta->out_if ? meta->out_if : meta->in_if,
			   v->tuple.family, &v->tuple.dst, meta->mark);
}

static inline bool xct_visit_is_early(const struct xct_visit *v)
{
	return v->meta->hook == XCT_HOOK_PREROUTING ||
	       v->meta->hook == XCT_HOOK_OUTPUT;
}

/* Is @addr one of this host's? */
bool xct_visit_is_local(const struct xct_visit *v, uint8_t family,
			const struct xct_addr *addr);

/* Is its checksum wrong, if that is for us to say? It is only of what came in
 * from outside, as for the kernel, and only once: our own rewriting is not
 * checked again. */
static inline bool xct_visit_is_damaged(const struct xct_visit *v)
{
	const struct xct_meta *meta = v->meta;

	return meta->csum_unverified && !meta->csum_partial && meta->in_if &&
	       meta->stage == XCT_STAGE_FRESH && !xct_csum_is_right(&v->pkt);
}

/* Does the packet come from this host? */
bool xct_visit_is_own(const struct xct_visit *v);

/* The verdict. Accepting also says what a later hook must know. */
void xct_visit_accept(struct xct_visit *v, enum xct_stage stage);
void xct_visit_drop(struct xct_visit *v, enum xct_reason reason);

/* What the packet is to its flow; counted. */
void xct_visit_set_class(struct xct_visit *v, enum xct_class cls);

/* Tell the host; meta, tuple and size are filled in. */
void xct_visit_report(const struct xct_visit *v, const struct xct_event *event);

/* The packet fits no connection, for @reason: counted, and judged. */
void xct_policy_invalid(struct xct_visit *v, enum xct_reason reason);

/* The same, for what its protocol's tracker has found (v->ctx). */
void xct_policy_invalid_flow(struct xct_visit *v);
void xct_policy_judge_invalid(struct xct_visit *v);

/* Does any chain have rules about packets of @cls? */
bool xct_policy_asks_for(const struct xct_ruleset *rs, enum xct_class cls);

/*
 * Ask the chain about a packet of class @cls that is @now (translated already,
 * or not). @flow: what is known of its connection, or NULL. True if it is
 * accepted; else the verdict is made.
 */
bool xct_policy_filter(struct xct_visit *v, const struct xct_tuple *now,
		       struct xct_flow *flow, enum xct_class cls);

/* The same for v of class RELATED, if any rule speaks about those. */
bool xct_policy_filter_error(struct xct_visit *v);

/* The same for any packet of v->flow: only its errors are asked about. */
static inline bool xct_policy_filter_related(struct xct_visit *v)
{
	return !v->is_error || xct_policy_filter_error(v);
}

/* What the DNAT rules make of v->tuple. NULL if nothing. False: the verdict is
 * made (there is no address to translate to). */
bool xct_policy_destination(struct xct_visit *v, const struct xct_rule **rule,
			    struct xct_tuple *leaving);

/*
 * Choose the source that a NEW connection leaves with. @flow is in the table
 * (@is_known) or a draft; its reply tuple and status follow. Without a rule
 * the source is kept, unless that would make two flows answer alike. False:
 * the verdict is made.
 */
bool xct_policy_source(struct xct_visit *v, struct xct_flow *flow,
		       bool is_known);

/* Give @flow, a draft or in the table, mark, labels and helper of @rule. */
void xct_policy_mark(struct xct_visit *v, struct xct_flow *flow,
		     const struct xct_rule *rule);

/* A rule decided about a connection. */
void xct_policy_count(struct xct_visit *v, const struct xct_rule *rule);

/* Enter @draft, which is xct_table_draft()'s and complete but for its id, into
 * the table; it has counted the packet in hand (@is_of_packet), or is made by
 * hand. NULL if the table is full of flows that must be kept; xct_visit_enter()
 * also says so. */
struct xct_flow *xct_flow_enter(struct xct_engine *eng,
				const struct xct_flow *draft,
				bool is_of_packet);
struct xct_flow *xct_visit_enter(struct xct_visit *v,
				 const struct xct_flow *draft);

/* Add and remove labels (NULL: none) of a flow in the table, or drafted. True:
 * it has others than before. */
bool xct_flow_change_labels(struct xct_engine *eng, struct xct_flow *flow,
			    const struct xct_labels *add,
			    const struct xct_labels *remove);

/* What the outside is told of a flow; and whether a filter chooses it. */
void xct_flow_describe(const struct xct_engine *eng,
		       const struct xct_flow *flow, xct_msec now,
		       struct xct_flow_info *info);
bool xct_flow_is_chosen(const struct xct_engine *eng,
			const struct xct_flow *flow,
			const struct xct_flow_info *info,
			const struct xct_flow_filter *filter);

/* A walk over the flows that the outside is told of: where the slice of @max
 * records from @cursor on ends, and the next such flow in it, or NULL. */
uint32_t xct_flow_slice(const struct xct_engine *eng, uint32_t cursor,
			uint32_t max);
struct xct_flow *xct_flow_next(struct xct_engine *eng, uint32_t *cursor,
			       uint32_t end, xct_msec now);

/* Delete a flow: its end is told, if its beginning was. */
void xct_flow_delete(struct xct_engine *eng, struct xct_flow *flow);

/* Delete a flow that nobody has been told of. */
void xct_flow_forget(struct xct_engine *eng, struct xct_flow *flow);

/* Tell those who follow events. @parts: enum xct_flow_event_part. */
#define XCT_FLOW_PARTS_NEW (XCT_FLOW_PART_STATE | XCT_FLOW_PART_LABELS)
void xct_flow_tell(struct xct_engine *eng, const struct xct_flow *flow,
		   enum xct_flow_event_type type, unsigned int parts);

/* The same of its end, unless nobody was told of its beginning, or this one has
 * been told: of a flow that only waits for its last packet. */
void xct_flow_tell_end(struct xct_engine *eng, const struct xct_flow *flow);

/* Tell, as one update, what packets have changed and what has not been told. */
void xct_flow_tell_changes(struct xct_engine *eng, struct xct_flow *flow);

static inline void xct_flow_tell_news(struct xct_engine *eng,
				      struct xct_flow *flow)
{
	if (flow->status & (XCT_STATUS_NEWS | XCT_STATUS_NEWS_STATE))
		xct_flow_tell_changes(eng, flow);
}

/* Can a flow from the past go on as far as masquerading is concerned? */
enum xct_masq xct_flow_masq(const struct xct_engine *eng,
			    struct xct_flow *flow);

/* Have the helper @id (enum xct_helper_id) read in @flow, a draft or in the
 * table. */
void xct_flow_set_helper(struct xct_engine *eng, struct xct_flow *flow,
			 uint8_t id);

void xct_expect_describe(const struct xct_engine *eng,
			 const struct xct_flow *master, xct_msec now,
			 struct xct_expect_info *info);

/* @master, which expects something, does so no more; told. */
void xct_flow_unexpect(struct xct_engine *eng, struct xct_flow *master);

/* The late hook has accepted a flow that an early one has made. */
void xct_flow_confirm(struct xct_engine *eng, struct xct_flow *flow);

/*
 * Flows that are not made by packets (entry.c). Bring @asked into the form of a
 * packet's tuple. Find out which halves differ between what is sent and what
 * leaves, and set those bits of @status. 0, or -EINVAL: no packet is like that;
 * what differs cannot be translated.
 */
int xct_flow_check_original(const struct xct_tuple *asked,
			    struct xct_tuple *orig);
int xct_flow_find_halves(const struct xct_tuple *orig,
			 const struct xct_tuple *leaving, uint32_t *status);

/* Is @addr, after its first bytes, empty as @family wants it? */
bool xct_flow_is_addr(uint8_t family, const struct xct_addr *addr);

/* Is @t another flow's? One that is over is not, and goes. */
bool xct_flow_is_taken(struct xct_engine *eng, const struct xct_tuple *t,
		       xct_msec now);

/* What nat.c needs to choose a translation for @flow. */
void xct_flow_nat(struct xct_engine *eng, const struct xct_flow *flow,
		  struct xct_nat *nat);
void xct_flow_expire(struct xct_engine *eng, struct xct_flow *flow);

#endif
