/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of the engine and of its flows. The way of a packet is in path.c. */
#include <errno.h>
#include <netinet/in.h>

#include "daemon/engine/helper.h"
#include "daemon/engine/migrate.h"
#include "daemon/engine/visit.h"

#define EVICT_SCAN 256 /* records looked at for a flow to evict */

static bool is_confirmed(const struct xct_flow *flow)
{
	return flow->status & XCT_STATUS_CONFIRMED;
}

/* Its timer is off the wheel. */
static void flow_remove(struct xct_engine *eng, struct xct_flow *flow)
{
	if (!is_confirmed(flow))
		eng->n_unconfirmed--;
	if (flow->status & XCT_STATUS_HELPED &&
	    xct_table_help(&eng->table, flow)->expects)
		xct_flow_unexpect(eng, flow);
	xct_table_remove(&eng->table, flow);
}

void xct_engine_watch(struct xct_engine *eng,
		      struct xct_flow_event *(*next)(void *ctx), void *ctx)
{
	eng->next_event = next;
	eng->event_ctx = ctx;
}

void xct_flow_tell(struct xct_engine *eng, const struct xct_flow *flow,
		   enum xct_flow_event_type type, unsigned int parts)
{
	struct xct_flow_event *event;

	if (!eng->next_event)
		return;
	event = eng->next_event(eng->event_ctx);
	event->type = (uint8_t)type;
	event->parts = (uint8_t)parts;
	event->time_ms = eng->now;
	xct_flow_describe(eng, flow, eng->now, &event->flow);
	if (!(parts & XCT_FLOW_PART_LABELS))
		event->flow.labels = (struct xct_labels){ { 0 } };
}

void xct_flow_tell_changes(struct xct_engine *eng, struct xct_flow *flow)
{
	bool is_moved = flow->status & XCT_STATUS_NEWS_STATE;

	flow->status &= ~(XCT_STATUS_NEWS | XCT_STATUS_NEWS_STATE);
	if (is_confirmed(flow)) /* else its beginning is to be told */
		xct_flow_tell(eng, flow, XCT_FLOW_UPDATE,
			      is_moved ? XCT_FLOW_PART_STATE : 0);
}

void xct_flow_tell_end(struct xct_engine *eng, const struct xct_flow *flow)
{
	if (is_confirmed(flow) && !(flow->status & XCT_STATUS_DYING))
		xct_flow_tell(eng, flow, XCT_FLOW_DESTROY, XCT_FLOW_PART_STATE);
}

void xct_flow_forget(struct xct_engine *eng, struct xct_flow *flow)
{
	xct_wheel_remove(&eng->wheel, flow);
	flow_remove(eng, flow);
	eng->stats.deleted++;
}

void xct_flow_delete(struct xct_engine *eng, struct xct_flow *flow)
{
	xct_flow_tell_end(eng, flow);
	xct_flow_forget(eng, flow);
}

void xct_flow_confirm(struct xct_engine *eng, struct xct_flow *flow)
{
	flow->status |= XCT_STATUS_CONFIRMED;
	flow->status &= ~(XCT_STATUS_NEWS | XCT_STATUS_NEWS_STATE);
	flow->status &= ~(uint32_t)XCT_STATUS_DYING; /* routing let it live */
	eng->n_unconfirmed--;
	xct_flow_tell(eng, flow, XCT_FLOW_NEW, XCT_FLOW_PARTS_NEW);
}

static void nat_evict(void *ctx, struct xct_flow *old)
{
	xct_flow_delete(ctx, old);
}

void xct_flow_nat(struct xct_engine *eng, const struct xct_flow *flow,
		  struct xct_nat *nat)
{
	*nat = (struct xct_nat){ &eng->table, &eng->random, flow, nat_evict,
				 eng };
}

void xct_flow_expire(struct xct_engine *eng, struct xct_flow *flow)
{
	xct_flow_tell_end(eng, flow);
	xct_wheel_remove(&eng->wheel, flow);
	flow_remove(eng, flow);
	eng->stats.expired++;
}

/* How little a full table loses with a flow. */
enum worth {
	WORTH_UNANSWERED,
	WORTH_CLOSING,
	WORTH_NOT_ASSURED, /* answered, but no more than that */
	WORTH_KEEPING,
};

static enum worth worth_of(const struct xct_flow *flow)
{
	const struct xct_l4_ops *l4;

	if (!(flow->status & (XCT_STATUS_ASSURED | XCT_STATUS_SEEN_REPLY)))
		return WORTH_UNANSWERED;
	l4 = xct_l4(flow->side[0].tuple.proto);
	if (l4->can_evict && l4->can_evict(flow))
		return WORTH_CLOSING;
	return flow->status & XCT_STATUS_ASSURED ? WORTH_KEEPING
						 : WORTH_NOT_ASSURED;
}

/* End the flow that is worth least among the next EVICT_SCAN records. */
static bool evict_one(struct xct_engine *eng)
{
	enum worth least = WORTH_KEEPING;
	struct xct_flow *victim = NULL;

	for (uint32_t i = 0; i < EVICT_SCAN && least > WORTH_UNANSWERED; i++) {
		struct xct_flow *flow = &eng->table.flows[eng->evict_cursor];

		if (++eng->evict_cursor >= eng->table.max_flows)
			eng->evict_cursor = 0;
		if (flow->id && worth_of(flow) < least) {
			least = worth_of(flow);
			victim = flow;
		}
	}
	if (!victim)
		return false;
	xct_flow_delete(eng, victim);
	eng->stats.early_drop++;
	return true;
}

void xct_visit_report(const struct xct_visit *v, const struct xct_event *event)
{
	const struct xct_host_ops *host = &v->eng->cfg.host;
	struct xct_event full = *event;

	if (!host->event)
		return;
	full.meta = v->meta;
	full.tuple = &v->tuple;
	full.bytes = v->pkt.l3_len;
	host->event(host->ctx, &full);
}

bool xct_flow_change_labels(struct xct_engine *eng, struct xct_flow *flow,
			    const struct xct_labels *add,
			    const struct xct_labels *remove)
{
	const struct xct_labels before = xct_table_labels(&eng->table, flow);
	struct xct_labels labels = before;

	if (add)
		xct_labels_add(&labels, add);
	if (remove)
		xct_labels_remove(&labels, remove);
	xct_table_set_labels(&eng->table, flow, &labels);
	return memcmp(&labels, &before, sizeof(labels));
}

struct xct_flow *xct_flow_enter(struct xct_engine *eng,
				const struct xct_flow *draft, bool is_of_packet)
{
	struct xct_labels labels;
	struct xct_flow *flow;
	uint64_t id;

	flow = xct_table_alloc(&eng->table, &id);
	if (!flow && evict_one(eng))
		flow = xct_table_alloc(&eng->table, &id);
	if (!flow) {
		eng->stats.insert_failed++;
		return NULL;
	}
	*flow = *draft;
	*xct_table_cold(&eng->table, flow) =
		*xct_table_cold(&eng->table, draft);
	if (draft->status & XCT_STATUS_LABELS) {
		labels = xct_table_labels(&eng->table, draft);
		xct_table_set_labels(&eng->table, flow, &labels);
	}
	if (draft->status & XCT_STATUS_HELPED)
		*xct_table_help(&eng->table, flow) =
			*xct_table_help(&eng->table, draft);
	if (is_of_packet) /* before it lives: else it might count twice */
		xct_table_note_new(&eng->table, flow);
	xct_table_insert(&eng->table, flow, id);
	if (flow->status & XCT_STATUS_DST_NAT)
		xct_table_index_routed(&eng->table, flow);
	if (flow->status & XCT_STATUS_SRC_NAT)
		xct_table_index_source(&eng->table, flow);
	if (!is_confirmed(flow))
		eng->n_unconfirmed++;
	xct_wheel_add(&eng->wheel, flow);
	eng->stats.created++;
	if (eng->table.n_flows > eng->stats.peak_flows)
		eng->stats.peak_flows = eng->table.n_flows;
	if (eng->table.n_flows == eng->nearly_full && eng->cfg.host.nearly_full)
		eng->cfg.host.nearly_full(eng->cfg.host.ctx, eng->nearly_full);
	return flow;
}

struct xct_flow *xct_visit_enter(struct xct_visit *v,
				 const struct xct_flow *draft)
{
	struct xct_flow *flow = xct_flow_enter(v->eng, draft, true);

	if (!flow)
		xct_visit_report(
			v, &(struct xct_event){ .type = XCT_EVENT_TABLE_FULL });
	return flow;
}

bool xct_engine_tick(struct xct_engine *eng, xct_msec now, uint32_t budget)
{
	struct xct_flow *flow;

	eng->now = now;
	while ((flow = xct_expect_over(&eng->expects, now)))
		xct_flow_unexpect(eng, flow);
	while ((flow = xct_wheel_next(&eng->wheel, now, &budget))) {
		xct_flow_tell_end(eng, flow);
		flow_remove(eng, flow);
		eng->stats.expired++;
	}
	return budget == 0;
}

void xct_flow_describe(const struct xct_engine *eng,
		       const struct xct_flow *flow, xct_msec now,
		       struct xct_flow_info *info)
{
	const struct xct_flow_cold *cold = xct_table_cold(&eng->table, flow);

	memset(info, 0, sizeof(*info));
	info->id = flow->id;
	for (int dir = 0; dir < XCT_DIRS; dir++) {
		info->tuple[dir] = flow->side[dir].tuple;
		info->packets[dir] = flow->side[dir].packets;
		info->bytes[dir] = flow->side[dir].bytes;
	}
	info->age_ms = xct_flow_age(cold, now);
	info->status = flow->status & ~XCT_STATUS_PRIVATE;
	info->mark = cold->mark;
	info->labels = xct_table_labels(&eng->table, flow);
	if (flow->expires_at > now)
		info->timeout_s = (uint32_t)((flow->expires_at - now) / 1000);
	if (flow->side[XCT_DIR_ORIG].tuple.proto == IPPROTO_TCP) {
		info->state = flow->track.tcp.state;
	} else if (flow->side[XCT_DIR_ORIG].tuple.proto == IPPROTO_SCTP) {
		info->state = flow->track.sctp.state;
		memcpy(info->vtag, flow->track.sctp.vtag, sizeof(info->vtag));
	}
	if (flow->status & XCT_STATUS_HELPED)
		info->helper = xct_table_help(&eng->table, flow)->helper;
	info->has_counters = eng->cfg.accounting;
	info->has_timestamps = eng->cfg.timestamps;
}

bool xct_flow_is_chosen(const struct xct_engine *eng,
			const struct xct_flow *flow,
			const struct xct_flow_info *info,
			const struct xct_flow_filter *filter)
{
	return xct_flow_filter_match(filter, info) &&
	       (!(filter->fields & XCT_FILTER_MASQ_IF) ||
		filter->masq_if == xct_table_cold(&eng->table, flow)->masq_if);
}

static bool is_shown(const struct xct_flow *flow, xct_msec now)
{
	return flow->id && is_confirmed(flow) &&
	       !(flow->status & XCT_STATUS_DYING) && flow->expires_at > now;
}

uint32_t xct_flow_slice(const struct xct_engine *eng, uint32_t cursor,
			uint32_t max)
{
	uint32_t end = eng->table.header->n_used;

	return cursor < end && max < end - cursor ? cursor + max : end;
}

struct xct_flow *xct_flow_next(struct xct_engine *eng, uint32_t *cursor,
			       uint32_t end, xct_msec now)
{
	while (*cursor < end) {
		struct xct_flow *flow = &eng->table.flows[(*cursor)++];

		if (is_shown(flow, now))
			return flow;
	}
	return NULL;
}

static bool walk(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		 const struct xct_flow_filter *filter, uint32_t max,
		 bool (*fn)(void *ctx, const struct xct_flow_info *info),
		 void *ctx, bool is_delete)
{
	uint32_t end = xct_flow_slice(eng, *cursor, max);
	struct xct_flow_info info;
	bool go_on = true;

	eng->now = now;
	while (go_on && *cursor < end) {
		struct xct_flow *flow = &eng->table.flows[(*cursor)++];
		/* Its packet may be dead, and then nobody ever sees it. */
		bool is_unseen = is_delete && flow->id && !is_confirmed(flow);

		if (!is_unseen && !is_shown(flow, now))
			continue;
		xct_flow_describe(eng, flow, now, &info);
		if (filter && !xct_flow_is_chosen(eng, flow, &info, filter))
			continue;
		if (is_unseen) {
			xct_flow_forget(eng, flow);
			continue;
		}
		if (fn)
			go_on = fn(ctx, &info);
		if (is_delete)
			xct_flow_delete(eng, flow);
	}
	return *cursor < eng->table.header->n_used;
}

bool xct_engine_walk(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		     const struct xct_flow_filter *filter, uint32_t max,
		     bool (*fn)(void *ctx, const struct xct_flow_info *info),
		     void *ctx)
{
	return walk(eng, cursor, now, filter, max, fn, ctx, false);
}

bool xct_engine_delete(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		       const struct xct_flow_filter *filter, uint32_t max,
		       bool (*fn)(void *ctx, const struct xct_flow_info *info),
		       void *ctx)
{
	return walk(eng, cursor, now, filter, max, fn, ctx, true);
}

void xct_engine_stats(const struct xct_engine *eng,
		      struct xct_engine_stats *stats)
{
	*stats = eng->stats;
	stats->flows = eng->table.n_flows - eng->n_unconfirmed;
	stats->used_flows = eng->table.n_flows;
	stats->max_flows = eng->table.max_flows;
	stats->expects = eng->expects.n;
}

void xct_engine_set_ruleset(struct xct_engine *eng,
			    const struct xct_ruleset *rs)
{
	eng->rs = rs;
	xct_engine_forget_interfaces(eng);
}

void xct_engine_forget_interfaces(struct xct_engine *eng)
{
	memset(eng->zones, 0, sizeof(eng->zones));
}

/* Only what is not remembered comes here: names are compared once. */
const struct xct_zone_slot *xct_zone_lookup(struct xct_engine *eng,
					    uint32_t ifindex)
{
	/* An interface without a name, or none, is in no set; it may get one,
	 * so that is not remembered. */
	static const struct xct_zone_slot nameless;
	const struct xct_host_ops *host = &eng->cfg.host;
	struct xct_zone_slot *slot = &eng->zones[ifindex % XCT_ZONE_CACHE];
	const struct xct_addr any = { .be32 = { 0 } };
	char name[XCT_IFNAMSIZ];

	if (!ifindex || !host->ifname ||
	    !host->ifname(host->ctx, ifindex, name))
		return &nameless;
	xct_ifsets_of(eng->rs, name, slot->in);
	slot->ifindex = ifindex;
	slot->zone = eng->rs->has_packet_zones
			     ? 0
			     : xct_zone_match(eng->rs, slot->in, 0, &any, 0);
	return slot;
}

void xct_engine_configure(struct xct_engine *eng,
			  const struct xct_engine_config *cfg)
{
	struct xct_siphash_key seed = eng->cfg.seed;

	eng->cfg = *cfg;
	eng->cfg.seed = seed;
	atomic_store_explicit(&eng->verifies, cfg->l4.checksum,
			      memory_order_relaxed);
}

size_t xct_region_dense_size(uint32_t max_flows)
{
	return xct_region_labels_offset(max_flows);
}

size_t xct_region_size(uint32_t max_flows)
{
	return xct_table_region_size(max_flows);
}

uint32_t xct_region_layout(const void *region, size_t size, uint32_t max_flows)
{
	return xct_migrate_layout(region, size, max_flows);
}

uint32_t xct_region_copy(void *to, uint32_t to_max, const void *from,
			 uint32_t from_max)
{
	return xct_migrate_copy(to, to_max, from, from_max);
}

void xct_region_set_back(void *region, uint32_t max_flows, xct_msec by)
{
	xct_table_set_back(region, max_flows, by);
}

/* The engine itself stands before its indexes, which start aligned. */
static size_t engine_room(void)
{
	return (sizeof(struct xct_engine) + 63) & ~(size_t)63;
}

size_t xct_engine_work_size(uint32_t max_flows)
{
	return engine_room() + xct_expects_work_size() +
	       xct_table_work_size(max_flows);
}

struct adoption {
	struct xct_engine *eng;
	struct xct_attach_report *report;
	xct_msec now;
};

/* Of a record that is torn, nothing that is an index is out of bounds. */
static void adopt_help(const struct adoption *a, struct xct_flow *flow)
{
	struct xct_help *help = xct_table_help(&a->eng->table, flow);

	if (!xct_helper(help->helper) ||
	    help->n_lines[XCT_DIR_ORIG] > XCT_HELP_LINES ||
	    help->n_lines[XCT_DIR_REPLY] > XCT_HELP_LINES)
		flow->status &= ~XCT_STATUS_HELPED;
	else
		(void)xct_expect_adopt(&a->eng->expects, flow, a->now);
}

static bool adopt(void *ctx, struct xct_flow *flow)
{
	struct adoption *a = ctx;

	if (flow->expires_at <= a->now) {
		a->report->expired++;
		return false;
	}
	/* Its source was being chosen: that is done again. */
	if (!is_confirmed(flow)) {
		flow->status &= ~(uint32_t)XCT_STATUS_SRC_NAT;
		xct_table_cold(&a->eng->table, flow)->masq_if = 0;
	}
	if (xct_flow_masq(a->eng, flow) == XCT_MASQ_GONE) {
		a->report->gone++;
		a->eng->stats.deleted++;
		return false;
	}
	if (!is_confirmed(flow))
		a->eng->n_unconfirmed++;
	if (flow->status & XCT_STATUS_HELPED)
		adopt_help(a, flow);
	xct_wheel_add(&a->eng->wheel, flow);
	a->report->adopted++;
	return true;
}

int xct_engine_attach(struct xct_engine **out, void *region, void *work,
		      uint32_t max_flows, const struct xct_engine_config *cfg,
		      xct_msec now, struct xct_attach_report *report)
{
	const struct xct_region_header *header = region;
	struct xct_engine *eng = work;
	struct adoption a = { eng, report, now };
	uint32_t refused;
	int err;

	memset(eng, 0, sizeof(*eng));
	memset(report, 0, sizeof(*report));
	eng->cfg = *cfg;
	atomic_init(&eng->verifies, cfg->l4.checksum);
	eng->random.key.k[0] = cfg->seed.k[1];
	eng->random.key.k[1] = ~cfg->seed.k[0];
	report->was_new = header->magic == 0;
	xct_wheel_init(&eng->wheel, xct_region_flows(region),
		       xct_region_cold(region, max_flows), now);
	xct_expects_init(&eng->expects, &eng->table,
			 (char *)work + engine_room());
	err = xct_table_attach(&eng->table, region,
			       (char *)work + engine_room() +
				       xct_expects_work_size(),
			       max_flows, &cfg->seed, adopt, &a, &refused);
	if (err)
		return err;
	report->torn = refused - report->expired - report->gone;
	eng->stats.peak_flows = eng->table.n_flows;
	eng->nearly_full =
		(uint32_t)(((uint64_t)max_flows * XCT_NEARLY_FULL + 99) / 100);
	*out = eng;
	return 0;
}
