/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bringing flows from one region to another.
 *
 * Theory of operation: a region of an older layout is not changed but copied,
 * record by record, into a blank one of this layout, as one of another size is.
 * If the process dies meanwhile the old one is still what it was. Of a record
 * only what is kept is read; whether it is sound xct_table_attach() finds out.
 *
 * All layouts have the beginning of the header in common, and a record is live
 * while its id is not 0. A layout that is left behind gets its struct and its
 * two functions here, and a line in layouts[]; the oldest may go when no xctd
 * that has it can be running.
 */
#include <assert.h>
#include <string.h>

#include "daemon/engine/migrate.h"
#include "daemon/engine/table.h"

/* A record with all that belongs to it, where its status says that it has it. */
struct kept {
	struct xct_flow flow;
	struct xct_flow_cold cold;
	struct xct_labels labels;
	struct xct_help help;
};

struct layout {
	uint32_t version;
	uint32_t record_size;
	size_t (*size)(uint32_t max_flows);
	/* Record @i of @region. False: there is no flow in it. */
	bool (*read)(const void *region, uint32_t max_flows, uint32_t i,
		     struct kept *to);
	/* Its journal; of a record that is not the flow's any more: none. */
	struct xct_journal (*journal)(const void *region);
};

#define HEADER_SIZE sizeof(struct xct_region_header)

/* ---- layout 6, the present one, and 5, which had no helpers ---- */

static void read_records(const void *region, uint32_t max_flows, uint32_t i,
			 struct kept *to)
{
	const struct xct_flow *flows =
		(const void *)((const char *)region + HEADER_SIZE);
	const struct xct_flow_cold *rest =
		(const void *)(flows + max_flows + 1);
	const struct xct_labels *all =
		(const void *)((const char *)region +
			       xct_region_labels_offset(max_flows));

	to->flow = flows[i];
	to->cold = rest[i];
	if (to->flow.status & XCT_STATUS_LABELS)
		to->labels = all[i];
}

static size_t help_offset(uint32_t max_flows)
{
	return xct_table_region_size(max_flows) -
	       ((size_t)max_flows + 2) * sizeof(struct xct_help);
}

/* What its helper knew before the packet that was in work is put back here. */
static bool read_6(const void *region, uint32_t max_flows, uint32_t i,
		   struct kept *to)
{
	const struct xct_region_header *header = region;
	const struct xct_journal *journal = &header->journal;
	const struct xct_help *all =
		(const void *)((const char *)region + help_offset(max_flows));
	const struct xct_help *kept = &all[max_flows + 1];
	bool is_noted = journal->number && journal->dir & XCT_JOURNAL_HELP;

	read_records(region, max_flows, i, to);
	if (to->flow.status & XCT_STATUS_HELPED)
		to->help = is_noted && kept->next == i ? *kept : all[i];
	return to->flow.id != 0;
}

static struct xct_journal journal_6(const void *region)
{
	struct xct_journal journal =
		((const struct xct_region_header *)region)->journal;

	journal.dir &= ~XCT_JOURNAL_HELP;
	return journal;
}

#define STATUS_SINCE_6 (XCT_STATUS_HELPED | XCT_STATUS_FOLLOWS)

static size_t size_5(uint32_t max_flows)
{
	return xct_region_labels_offset(max_flows) +
	       ((size_t)max_flows + 1) * sizeof(struct xct_labels);
}

static bool read_5(const void *region, uint32_t max_flows, uint32_t i,
		   struct kept *to)
{
	read_records(region, max_flows, i, to);
	to->flow.status &= ~STATUS_SINCE_6;
	return to->flow.id != 0;
}

static struct xct_journal journal_5(const void *region)
{
	struct xct_journal journal = journal_6(region);

	journal.status &= ~STATUS_SINCE_6;
	return journal;
}

/* ---- layout 4: records in one piece, and no labels ---- */

struct header_4 {
	uint8_t common[32];
	uint64_t flow_id; /* of the journal */
	uint64_t packets;
	uint64_t bytes;
	uint32_t index;
	uint32_t dir;
};

struct flow_4 {
	struct xct_tuple tuple[XCT_DIRS];
	uint64_t id;
	xct_msec expires_at;
	uint32_t status;
	uint32_t timer_tick;
	uint64_t packets[XCT_DIRS];
	uint64_t bytes[XCT_DIRS];
	uint8_t track[56]; /* as trackers have it today */
	xct_msec created_at;
	uint32_t mark;
	uint32_t masq_if;
	uint32_t links[6]; /* made anew */
};

_Static_assert(sizeof(struct header_4) == 64 && sizeof(struct flow_4) == 232 &&
		       sizeof(union xct_track) == 56,
	       "layout 4");

static const struct flow_4 *flow_4(const void *region, uint32_t i)
{
	const struct flow_4 *flows =
		(const void *)((const char *)region + sizeof(struct header_4));

	return &flows[i];
}

static size_t size_4(uint32_t max_flows)
{
	return sizeof(struct header_4) +
	       (size_t)max_flows * sizeof(struct flow_4);
}

#define STATUS_SINCE_5 (XCT_STATUS_LABELS | STATUS_SINCE_6)

static bool read_4(const void *region, uint32_t max_flows, uint32_t i,
		   struct kept *to)
{
	const struct flow_4 *old = flow_4(region, i);
	struct xct_flow *flow = &to->flow;

	(void)max_flows;
	*flow = (struct xct_flow){ .expires_at = old->expires_at,
				   .status = old->status & ~STATUS_SINCE_5,
				   .id = old->id };
	for (int dir = 0; dir < XCT_DIRS; dir++) {
		flow->side[dir].tuple = old->tuple[dir];
		flow->side[dir].packets = old->packets[dir];
		flow->side[dir].bytes = old->bytes[dir];
	}
	memcpy(&flow->track, old->track, sizeof(old->track));
	to->cold = (struct xct_flow_cold){ .created_at = old->created_at,
					   .mark = old->mark,
					   .masq_if = old->masq_if };
	return old->id != 0;
}

/* Counters were all that was put back. */
static struct xct_journal journal_4(const void *region)
{
	const struct xct_region_header *common = region;
	const struct header_4 *old = region;
	struct xct_journal journal = { .number = 0 };
	const struct flow_4 *flow;

	if (!old->flow_id || old->index >= common->n_used)
		return journal;
	flow = flow_4(region, old->index);
	if (flow->id != old->flow_id)
		return journal;
	journal.number = old->index + 1;
	journal.dir = old->dir;
	journal.expires_at = flow->expires_at;
	journal.status = flow->status & ~STATUS_SINCE_5;
	memcpy(&journal.track, flow->track, sizeof(flow->track));
	journal.packets = old->packets;
	journal.bytes = old->bytes;
	return journal;
}

/* ---- all of them ---- */

static const struct layout layouts[] = {
	{ XCT_REGION_VERSION, XCT_RECORD_SIZE, xct_table_region_size, read_6,
	  journal_6 },
	{ 5, XCT_RECORD_SIZE, size_5, read_5, journal_5 },
	{ 4, sizeof(struct flow_4), size_4, read_4, journal_4 },
};

static const struct layout *layout_of(const struct xct_region_header *header)
{
	for (size_t i = 0; i < XCT_ARRAY_SIZE(layouts); i++) {
		if (header->version == layouts[i].version)
			return &layouts[i];
	}
	return NULL;
}

uint32_t xct_migrate_layout(const void *region, size_t size, uint32_t max_flows)
{
	const struct xct_region_header *header = region;
	const struct layout *layout;

	if (size < HEADER_SIZE)
		return 0;
	if (xct_table_is_blank(region))
		return size == xct_table_region_size(max_flows)
			       ? XCT_REGION_VERSION
			       : 0;
	layout = layout_of(header);
	if (header->magic != XCT_REGION_MAGIC || !layout ||
	    header->record_size != layout->record_size ||
	    header->max_flows != max_flows || header->n_used > max_flows ||
	    size != layout->size(max_flows))
		return 0;
	return layout->version;
}

static void put(void *region, uint32_t max_flows, uint32_t i,
		const struct kept *record)
{
	xct_region_flows(region)[i] = record->flow;
	xct_region_cold(region, max_flows)[i] = record->cold;
	if (record->flow.status & XCT_STATUS_LABELS)
		xct_region_labels(region, max_flows)[i] = record->labels;
	if (record->flow.status & XCT_STATUS_HELPED)
		xct_region_help(region, max_flows)[i] = record->help;
}

uint32_t xct_migrate_copy(void *to, uint32_t to_max, const void *from,
			  uint32_t from_max)
{
	const struct xct_region_header *old = from;
	struct xct_region_header *header = to;
	const struct layout *layout;
	struct xct_journal journal;
	struct kept record;
	uint32_t n = 0, lost = 0;

	if (xct_table_is_blank(from))
		return 0;
	layout = layout_of(old);
	assert(layout);
	journal = layout->journal(from);
	xct_table_format(to, to_max);
	header->next_id = old->next_id;
	for (uint32_t i = 0; i < old->n_used; i++) {
		if (!layout->read(from, from_max, i, &record))
			continue;
		if (n == to_max) {
			lost++;
			continue;
		}
		put(to, to_max, n++, &record);
		if (journal.number == i + 1) {
			header->journal = journal;
			header->journal.number = n;
		}
	}
	header->n_used = n;
	return lost;
}
