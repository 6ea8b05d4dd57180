/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conntrack's line format, written by hand: a table of a million flows is
 * dumped line by line, and printf would take most of the time.
 *
 *   [l3 num] proto num timeout [state] tuple [zone-orig] [counters]
 *   [UNREPLIED] tuple [zone-reply] [counters] [ASSURED] mark [zone]
 *   [delta-time] [start] use [id] [labels]
 */
#include "ctl/line.h"

#include <time.h>

#include "common/cursor.h"
#include "common/names.h"
#include "ctl/filter.h"
#include "ctl/out.h"

#define NAME_WIDTH 8 /* of the padded l3 and l4 names */

const char *xct_line_proto(uint8_t proto)
{
	const char *name = xct_proto_name(proto);

	return name ? name : "unknown";
}

const char *xct_line_state(const struct xct_flow_info *info)
{
	uint8_t proto = info->tuple[XCT_DIR_ORIG].proto;
	const char *name = xct_state_name(proto, info->state);

	/* A number that is none of the protocol's states. */
	if (!name)
		name = xct_state_name(proto, 0);
	return name;
}

/* "tcp      6 ": the name padded, its number. */
static char *put_name(char *p, const char *name, unsigned int number)
{
	char *start = p;

	p = xct_put_str(p, name);
	while (p < start + NAME_WIDTH)
		*p++ = ' ';
	*p++ = ' ';
	p = xct_put_uint(p, number);
	*p++ = ' ';
	return p;
}

/* "key=12 " */
static char *put_field(char *p, const char *key, uint64_t value)
{
	p = xct_put_str(p, key);
	p = xct_put_uint(p, value);
	*p++ = ' ';
	return p;
}

static char *put_key(char *p, const char *key, xct_be16 value)
{
	p = xct_put_str(p, key);
	p = xct_put_hex(p, xct_ntoh16(value));
	*p++ = ' ';
	return p;
}

static char *put_l4(char *p, const struct xct_tuple *t)
{
	switch (xct_l4_shape(t->proto)) {
	case XCT_L4_PORTS:
		p = put_field(p, "sport=", xct_ntoh16(t->sport));
		return put_field(p, "dport=", xct_ntoh16(t->dport));
	case XCT_L4_ICMP:
		p = put_field(p, "type=", t->icmp_type);
		p = put_field(p, "code=", t->icmp_code);
		return put_field(p, "id=", xct_ntoh16(t->icmp_id));
	case XCT_L4_GRE:
		p = put_key(p, "srckey=0x", t->gre_srckey);
		return put_key(p, "dstkey=0x", t->gre_dstkey);
	case XCT_L4_NONE:
		break;
	}
	return p;
}

static char *put_direction(char *p, const struct xct_flow_info *info,
			   enum xct_dir dir, unsigned int parts)
{
	const struct xct_tuple *t = &info->tuple[dir];
	uint16_t zone = xct_flow_info_zone_of(info, dir);

	p = xct_put_str(p, "src=");
	p = xct_put_addr(p, t->family, &t->src);
	p = xct_put_str(p, " dst=");
	p = xct_put_addr(p, t->family, &t->dst);
	*p++ = ' ';
	p = put_l4(p, t);
	if (zone)
		p = put_field(
			p, dir == XCT_DIR_ORIG ? "zone-orig=" : "zone-reply=",
			zone);
	if (parts & XCT_LINE_COUNTERS && info->has_counters) {
		p = put_field(p, "packets=", info->packets[dir]);
		p = put_field(p, "bytes=", info->bytes[dir]);
	}
	return p;
}

uint64_t xct_line_age(const struct xct_flow_info *info)
{
	return (info->start_ms + info->age_ms) / 1000 - info->start_ms / 1000;
}

/* "[start=Mon Nov 23 01:42:56 2026] " */
static char *put_time(char *p, const char *key, uint64_t ms)
{
	time_t at = (time_t)(ms / 1000);
	struct tm tm;
	char text[64];

	if (!localtime_r(&at, &tm) ||
	    !strftime(text, sizeof(text), "%a %b %e %T %Y] ", &tm))
		return p;
	p = xct_put_str(p, key);
	return xct_put_str(p, text);
}

static char *put_age(char *p, const struct xct_flow_info *info,
		     uint16_t outputs, unsigned int parts)
{
	p = put_field(p, "delta-time=", xct_line_age(info));
	if (!(outputs & XCT_OUTPUT_KTIMESTAMP))
		return p;
	p = put_time(p, "[start=", info->start_ms);
	if (parts & XCT_LINE_STOP)
		p = put_time(p, "[stop=", info->start_ms + info->age_ms);
	return p;
}

/* "labels=web,mail "; as conntrack, "labels " if none of them has a name. */
static char *put_labels(char *p, const struct xct_labels *labels,
			const struct xct_label_names *names)
{
	const char *name;

	p = xct_put_str(p, "labels=");
	for (unsigned int bit = 0; bit < XCT_LABEL_BITS; bit++) {
		name = names->names[bit];
		if (!name || !xct_labels_has(labels, bit))
			continue;
		p = xct_put_str(p, name);
		*p++ = ',';
	}
	p[-1] = ' ';
	return p;
}

char *xct_line_put(char *p, const struct xct_flow_info *info, uint16_t outputs,
		   unsigned int parts, const struct xct_label_names *names)
{
	const char *helper = xct_helper_name(info->helper);
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];
	const char *state = xct_line_state(info);
	uint16_t zone = xct_flow_info_zone(info);

	if (outputs & XCT_OUTPUT_EXTENDED)
		p = put_name(p, orig->family == AF_INET ? "ipv4" : "ipv6",
			     orig->family);
	p = put_name(p, xct_line_proto(orig->proto), orig->proto);
	if (parts & XCT_LINE_TIMEOUT)
		p = put_field(p, "", info->timeout_s);
	if (parts & XCT_LINE_STATE && state) {
		p = xct_put_str(p, state);
		*p++ = ' ';
	}
	p = put_direction(p, info, XCT_DIR_ORIG, parts);
	if (!(info->status & XCT_STATUS_SEEN_REPLY))
		p = xct_put_str(p, "[UNREPLIED] ");
	p = put_direction(p, info, XCT_DIR_REPLY, parts);
	if (info->status & XCT_STATUS_ASSURED)
		p = xct_put_str(p, "[ASSURED] ");
	if (parts & XCT_LINE_MARK)
		p = put_field(p, "mark=", info->mark);
	if (zone)
		p = put_field(p, "zone=", zone);
	if (parts & XCT_LINE_AGE && info->has_timestamps)
		p = put_age(p, info, outputs, parts);
	if (parts & XCT_LINE_HELPER && helper) {
		p = xct_put_str(p, "helper=");
		p = xct_put_str(p, helper);
		*p++ = ' ';
	}
	/* The kernel counts references to an entry; here a flow has one. */
	if (parts & XCT_LINE_USE)
		p = put_field(p, "use=", 1);
	if (outputs & XCT_OUTPUT_ID)
		p = put_field(p, "id=", info->id);
	if (names && xct_labels_any(&info->labels))
		p = put_labels(p, &info->labels, names);
	p[-1] = '\n';
	return p;
}
