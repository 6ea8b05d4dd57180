/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows saved and restored as they were.
 *
 * Theory of operation: a saved flow is a record without links, and without
 * times of a clock that may end before it is restored. It comes back from a
 * file, or from a client, so nothing in it is trusted: what could be no flow of
 * this engine is refused, the rest enters the table by the door of all flows.
 * What follows from the tuples (which halves are translated) is not read but
 * found out again.
 *
 * The address that a flow was masqueraded to may not be there yet, while a host
 * boots. Such a flow waits for it, and xct_engine_settle() decides later.
 */
#include <assert.h>

#include "daemon/engine/helper.h"
#include "daemon/engine/visit.h"

#define ID_MAX	    (UINT64_C(1) << 62) /* ids never wrap */
#define AGE_MAX_MS  (UINT64_C(1) << 62)
#define LEFT_MAX_MS (XCT_L4_TIMEOUT_MAX * UINT64_C(1000))

#define STATUS_SAVED                                                        \
	(XCT_STATUS_EXPECTED | XCT_STATUS_SEEN_REPLY | XCT_STATUS_ASSURED | \
	 XCT_STATUS_FIXED_TIMEOUT)
#define STATUS_IMPLIED \
	(XCT_STATUS_CONFIRMED | XCT_STATUS_SRC_NAT | XCT_STATUS_DST_NAT)

_Static_assert(sizeof(union xct_track) == XCT_SAVED_TRACK, "saved as it is");

static const struct xct_l4_ops *tracker_of(const struct xct_flow *flow)
{
	return xct_l4(flow->side[XCT_DIR_ORIG].tuple.proto);
}

enum xct_masq xct_flow_masq(const struct xct_engine *eng, struct xct_flow *flow)
{
	const struct xct_tuple *reply = &flow->side[XCT_DIR_REPLY].tuple;
	const struct xct_host_ops *host = &eng->cfg.host;
	struct xct_flow_cold *cold = xct_table_cold(&eng->table, flow);

	if (!cold->masq_if || !host->masq)
		return XCT_MASQ_THERE;
	return host->masq(host->ctx, &cold->masq_if, reply->family,
			  &reply->dst);
}

/* ---- saving ---- */

/* What it expects is not saved: it would be over before anybody comes. */
static void save_help(const struct xct_help *help, struct xct_saved_help *saved)
{
	saved->helper = help->helper;
	for (int dir = 0; dir < XCT_DIRS; dir++) {
		saved->n_lines[dir] = help->n_lines[dir];
		saved->adjust[dir].pos = help->adjust[dir].pos;
		saved->adjust[dir].before = help->adjust[dir].before;
		saved->adjust[dir].after = help->adjust[dir].after;
	}
	memcpy(saved->line, help->line, sizeof(saved->line));
}

static void save(const struct xct_engine *eng, const struct xct_flow *flow,
		 xct_msec now, struct xct_saved_flow *saved)
{
	const struct xct_host_ops *host = &eng->cfg.host;
	const struct xct_flow_cold *cold = xct_table_cold(&eng->table, flow);
	const struct xct_l4_ops *l4 = tracker_of(flow);
	union xct_track track = flow->track;

	memset(saved, 0, sizeof(*saved));
	for (int dir = 0; dir < XCT_DIRS; dir++) {
		saved->tuple[dir] = flow->side[dir].tuple;
		saved->packets[dir] = flow->side[dir].packets;
		saved->bytes[dir] = flow->side[dir].bytes;
	}
	saved->id = flow->id;
	saved->left_ms = flow->expires_at - now;
	saved->age_ms = xct_flow_age(cold, now);
	if (l4->save)
		l4->save(&track, now);
	memcpy(saved->track, &track, sizeof(track));
	saved->status = flow->status & (STATUS_SAVED | STATUS_IMPLIED);
	saved->mark = cold->mark;
	saved->labels = xct_table_labels(&eng->table, flow);
	if (flow->status & XCT_STATUS_HELPED)
		save_help(xct_table_help(&eng->table, flow), &saved->help);
	/* Of an interface that has just gone: its flows are about to. */
	if (cold->masq_if && host->ifname &&
	    !host->ifname(host->ctx, cold->masq_if, saved->masq_if))
		memset(saved->masq_if, 0, sizeof(saved->masq_if));
}

bool xct_engine_save(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		     uint32_t max,
		     bool (*fn)(void *ctx, const struct xct_saved_flow *saved),
		     void *ctx)
{
	uint32_t end = xct_flow_slice(eng, *cursor, max);
	struct xct_saved_flow saved;
	struct xct_flow *flow;
	bool go_on = true;

	while (go_on && (flow = xct_flow_next(eng, cursor, end, now))) {
		save(eng, flow, now, &saved);
		go_on = fn(ctx, &saved);
	}
	return *cursor < eng->table.header->n_used;
}

/* ---- restoring ---- */

/* Tuples as packets have them, one of which can be answered by the other. */
static bool take_tuples(const struct xct_saved_flow *saved,
			struct xct_flow *draft)
{
	struct xct_tuple *orig = &draft->side[XCT_DIR_ORIG].tuple;
	struct xct_tuple *reply = &draft->side[XCT_DIR_REPLY].tuple;
	struct xct_tuple leaving, inverse;

	*reply = saved->tuple[XCT_DIR_REPLY];
	if (xct_flow_check_original(&saved->tuple[XCT_DIR_ORIG], orig) < 0 ||
	    !xct_tuple_equal(orig, &saved->tuple[XCT_DIR_ORIG]))
		return false;
	if (reply->family != orig->family || reply->proto != orig->proto ||
	    !xct_flow_is_addr(reply->family, &reply->src) ||
	    !xct_flow_is_addr(reply->family, &reply->dst))
		return false;
	if (!xct_tuple_invert(orig, &inverse) ||
	    !xct_tuple_invert(reply, &leaving))
		return false;
	return xct_flow_find_halves(orig, &leaving, &draft->status) == 0;
}

static bool take_track(const struct xct_saved_flow *saved,
		       struct xct_flow *draft, xct_msec now)
{
	static const uint8_t none[sizeof(saved->track)];
	const struct xct_l4_ops *l4 = tracker_of(draft);

	memcpy(&draft->track, saved->track, sizeof(draft->track));
	if (l4->restore)
		return l4->restore(&draft->track, now);
	return !memcmp(saved->track, none, sizeof(none));
}

static bool take_help(struct xct_engine *eng,
		      const struct xct_saved_flow *saved,
		      struct xct_flow *draft)
{
	static const struct xct_saved_help none;
	const struct xct_saved_help *from = &saved->help;
	struct xct_help *help = xct_table_help(&eng->table, draft);
	const struct xct_helper_ops *ops = xct_helper(from->helper);

	if (!from->helper)
		return !memcmp(from, &none, sizeof(none));
	if (!ops || ops->proto != draft->side[XCT_DIR_ORIG].tuple.proto ||
	    from->reserved || from->pad)
		return false;
	xct_flow_set_helper(eng, draft, from->helper);
	for (int dir = 0; dir < XCT_DIRS; dir++) {
		if (from->n_lines[dir] > XCT_HELP_LINES)
			return false;
		help->n_lines[dir] = from->n_lines[dir];
		help->adjust[dir] =
			(struct xct_seqadj){ from->adjust[dir].pos,
					     from->adjust[dir].before,
					     from->adjust[dir].after };
	}
	memcpy(help->line, from->line, sizeof(help->line));
	return true;
}

static enum xct_restored take_masq(const struct xct_engine *eng,
				   const struct xct_saved_flow *saved,
				   struct xct_flow *draft)
{
	const struct xct_host_ops *host = &eng->cfg.host;
	struct xct_flow_cold *cold = xct_table_cold(&eng->table, draft);

	if (!saved->masq_if[0])
		return XCT_RESTORED_LOADED;
	if (!memchr(saved->masq_if, '\0', sizeof(saved->masq_if)))
		return XCT_RESTORED_REFUSED;
	if (host->ifindex)
		cold->masq_if = host->ifindex(host->ctx, saved->masq_if);
	if (!cold->masq_if || xct_flow_masq(eng, draft) == XCT_MASQ_GONE)
		return XCT_RESTORED_GONE;
	return XCT_RESTORED_LOADED;
}

enum xct_restored xct_engine_restore(struct xct_engine *eng,
				     const struct xct_saved_flow *saved,
				     xct_msec now)
{
	struct xct_flow *draft = xct_table_draft(&eng->table);
	struct xct_flow_cold *cold = xct_table_cold(&eng->table, draft);
	const struct xct_flow *flow;
	enum xct_restored masq;

	eng->now = now;
	if (!saved->id || saved->id > ID_MAX || saved->age_ms > AGE_MAX_MS ||
	    saved->left_ms > LEFT_MAX_MS ||
	    saved->status & ~(uint32_t)(STATUS_SAVED | STATUS_IMPLIED))
		return XCT_RESTORED_REFUSED;
	if (!take_tuples(saved, draft) || !take_track(saved, draft, now) ||
	    !take_help(eng, saved, draft))
		return XCT_RESTORED_REFUSED;
	if (!saved->left_ms)
		return XCT_RESTORED_EXPIRED;
	masq = take_masq(eng, saved, draft);
	if (masq != XCT_RESTORED_LOADED)
		return masq;
	if (xct_flow_is_taken(eng, &draft->side[XCT_DIR_ORIG].tuple, now) ||
	    xct_flow_is_taken(eng, &draft->side[XCT_DIR_REPLY].tuple, now))
		return XCT_RESTORED_EXISTS;
	/* A live flow is worth more than one of the past: none is evicted. */
	if (eng->table.n_flows >= eng->table.max_flows)
		return XCT_RESTORED_FULL;

	draft->status |= (saved->status & STATUS_SAVED) | XCT_STATUS_CONFIRMED;
	draft->expires_at = now + saved->left_ms;
	cold->mark = saved->mark;
	xct_table_set_labels(&eng->table, draft, &saved->labels);
	cold->created_at = now - saved->age_ms;
	for (int dir = 0; dir < XCT_DIRS; dir++) {
		draft->side[dir].packets = saved->packets[dir];
		draft->side[dir].bytes = saved->bytes[dir];
	}
	xct_table_raise_id(&eng->table, saved->id);
	flow = xct_flow_enter(eng, draft, false);
	assert(flow); /* there is room */
	xct_flow_tell(eng, flow, XCT_FLOW_NEW, XCT_FLOW_PARTS_NEW);
	return XCT_RESTORED_LOADED;
}

/* ---- afterwards ---- */

bool xct_engine_settle(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		       uint32_t max, uint32_t *n_awaited)
{
	uint32_t end = xct_flow_slice(eng, *cursor, max);
	struct xct_flow *flow;

	eng->now = now;
	while ((flow = xct_flow_next(eng, cursor, end, now))) {
		switch (xct_flow_masq(eng, flow)) {
		case XCT_MASQ_THERE:
			break;
		case XCT_MASQ_AWAITED:
			++*n_awaited;
			break;
		case XCT_MASQ_GONE:
			xct_flow_delete(eng, flow);
			break;
		}
	}
	return *cursor < eng->table.header->n_used;
}
