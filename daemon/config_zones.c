/* SPDX-License-Identifier: GPL-2.0-or-later */
/* zones: and the warning that some can never match. */
#include <string.h>

#include "daemon/config_read.h"

enum zone_key { ZONE_IN, ZONE_SRC, ZONE_MARK, ZONE_ZONE, ZONE_KEYS };

static void read_zone_key(struct xct_reader *r, const struct xct_node *v,
			  enum zone_key key, struct xct_zone *zone)
{
	uint8_t families;
	uint32_t number;

	switch (key) {
	case ZONE_IN:
		(void)xct_read_ifset(r, v, "in", &zone->in);
		break;
	case ZONE_SRC:
		(void)xct_read_addrset(r, v, "src", &zone->src, &families);
		r->config->ruleset.has_packet_zones = true;
		break;
	case ZONE_MARK:
		(void)xct_value_mark(r->diag, v, "mark", &zone->mark,
				     &zone->mark_mask);
		r->config->ruleset.has_packet_zones = true;
		break;
	case ZONE_ZONE:
		if (xct_value_uint(r->diag, v, "zone", 0, UINT16_MAX, &number))
			zone->zone = (uint16_t)number;
		break;
	case ZONE_KEYS:
		break;
	}
}

static void read_zone(struct xct_reader *r, const struct xct_node *node,
		      struct xct_zone *zone)
{
	static const char *const names[ZONE_KEYS] = { "in", "src", "mark",
						      "zone" };
	unsigned int key, given = 0;

	if (!xct_read_is(r, node, XCT_NODE_MAP, "the zone"))
		return;
	*zone = (struct xct_zone){ .in = XCT_ANY, .src = XCT_ANY };
	for (const struct xct_node *v = node->first; v; v = v->next) {
		for (key = 0; key < ZONE_KEYS; key++)
			if (strcmp(v->key->text, names[key]) == 0)
				break;
		if (key == ZONE_KEYS)
			xct_read_unknown_key(r, v->key, "zones", names,
					     XCT_ARRAY_SIZE(names));
		else
			read_zone_key(r, v, (enum zone_key)key, zone);
		given |= 1u << key;
	}
	if (!(given & 1u << ZONE_ZONE) ||
	    !(given & (1u << ZONE_IN | 1u << ZONE_SRC | 1u << ZONE_MARK)))
		(void)xct_diag_error(r->diag, node->at,
				     "the zone has no \"%s\"; expected "
				     "{in: INTERFACES, zone: NUMBER}, with src "
				     "or mark beside in or instead of it",
				     given & 1u << ZONE_ZONE ? "in" : "zone");
}

void xct_read_zones(struct xct_reader *r, const struct xct_node *node)
{
	struct xct_zone *zones;
	uint32_t n = 0;

	if (!xct_read_is(r, node, XCT_NODE_LIST, "zones"))
		return;
	for (const struct xct_node *v = node->first; v; v = v->next)
		n++;
	zones = xct_arena_alloc(r->arena, n * sizeof(*zones));
	if (!zones) {
		(void)xct_diag_no_memory(r->diag);
		return;
	}
	r->config->ruleset.zones = zones;
	r->config->ruleset.n_zones = n;
	for (const struct xct_node *v = node->first; v; v = v->next)
		read_zone(r, v, zones++);
}

/* Bits that tell the hooks from each other are hidden from zones. */
void xct_read_warn_hidden_marks(struct xct_reader *r,
				const struct xct_node *node)
{
	const struct xct_zone *zone = r->config->ruleset.zones;
	uint32_t mask = r->config->settings.mark_mask;

	for (const struct xct_node *each = node->first; each;
	     each = each->next, zone++)
		for (const struct xct_node *v = each->first; v; v = v->next)
			if (strcmp(v->key->text, "mark") == 0 &&
			    zone->mark & zone->mark_mask & mask)
				xct_diag_warning(
					r->diag, v->at,
					"no packet has this mark: bits of "
					"mark-mask, 0x%x, are xctd's own; use "
					"others, or change mark-mask",
					mask);
}
