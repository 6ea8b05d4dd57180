/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON. A flow is written by hand, for speed and a fixed order of keys:
 * nothing in it needs escaping. What xctd reports is read with jansson.
 */
#include "ctl/json.h"

#include "common/cursor.h"
#include "common/names.h"
#include "ctl/filter.h"
#include "ctl/line.h"
#include "ctl/out.h"

/* Keys come with quotes and colon, and the comma before them if any. */
static char *put_number(char *p, const char *key, uint64_t value)
{
	p = xct_put_str(p, key);
	return xct_put_uint(p, value);
}

static char *put_string(char *p, const char *key, const char *value)
{
	p = xct_put_str(p, key);
	*p++ = '"';
	p = xct_put_str(p, value);
	*p++ = '"';
	return p;
}

static char *put_addr(char *p, const char *key, uint8_t family,
		      const struct xct_addr *addr)
{
	p = xct_put_str(p, key);
	*p++ = '"';
	p = xct_put_addr(p, family, addr);
	*p++ = '"';
	return p;
}

static char *put_l4(char *p, const struct xct_tuple *t)
{
	switch (xct_l4_shape(t->proto)) {
	case XCT_L4_PORTS:
		p = put_number(p, ",\"sport\":", xct_ntoh16(t->sport));
		return put_number(p, ",\"dport\":", xct_ntoh16(t->dport));
	case XCT_L4_ICMP:
		p = put_number(p, ",\"type\":", t->icmp_type);
		p = put_number(p, ",\"code\":", t->icmp_code);
		return put_number(p, ",\"id\":", xct_ntoh16(t->icmp_id));
	case XCT_L4_GRE:
		p = put_number(p, ",\"srckey\":", xct_ntoh16(t->gre_srckey));
		return put_number(p, ",\"dstkey\":", xct_ntoh16(t->gre_dstkey));
	case XCT_L4_NONE:
		break;
	}
	return p;
}

static char *put_direction(char *p, const char *key,
			   const struct xct_flow_info *info, enum xct_dir dir)
{
	const struct xct_tuple *t = &info->tuple[dir];

	p = xct_put_str(p, key);
	p = put_addr(p, "{\"src\":", t->family, &t->src);
	p = put_addr(p, ",\"dst\":", t->family, &t->dst);
	p = put_l4(p, t);
	if (info->has_counters) {
		p = put_number(p, ",\"packets\":", info->packets[dir]);
		p = put_number(p, ",\"bytes\":", info->bytes[dir]);
	}
	*p++ = '}';
	return p;
}

static char *put_status(char *p, uint32_t status)
{
	const char *key = "";
	size_t i;

	p = xct_put_str(p, ",\"status\":[");
	for (i = 0; i < XCT_STATUS_NAMES; i++) {
		if (status & xct_status_names[i].bits) {
			p = put_string(p, key, xct_status_names[i].name);
			key = ",";
		}
	}
	*p++ = ']';
	return p;
}

/* Names, and the numbers of those without one, all of them strings. */
static char *put_labels(char *p, const struct xct_labels *labels,
			const struct xct_label_names *names)
{
	const char *key = "";

	p = xct_put_str(p, ",\"labels\":[");
	for (unsigned int bit = 0; bit < XCT_LABEL_BITS; bit++) {
		char number[24];

		if (!xct_labels_has(labels, bit))
			continue;
		*xct_put_uint(number, bit) = '\0';
		p = put_string(p, key,
			       names && names->names[bit] ? names->names[bit]
							  : number);
		key = ",";
	}
	*p++ = ']';
	return p;
}

char *xct_json_put_flow(char *p, const struct xct_flow_info *info,
			const struct xct_label_names *names)
{
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];
	const char *state = xct_line_state(info);

	p = put_number(p, "{\"id\":", info->id);
	p = put_string(
		p, ",\"family\":", orig->family == AF_INET ? "ipv4" : "ipv6");
	p = put_string(p, ",\"proto\":", xct_line_proto(orig->proto));
	p = put_number(p, ",\"proto_num\":", orig->proto);
	p = put_number(p, ",\"timeout\":", info->timeout_s);
	if (state)
		p = put_string(p, ",\"state\":", state);
	p = put_direction(p, ",\"orig\":", info, XCT_DIR_ORIG);
	p = put_direction(p, ",\"reply\":", info, XCT_DIR_REPLY);
	p = put_status(p, info->status);
	p = put_number(p, ",\"mark\":", info->mark);
	p = put_number(p, ",\"zone\":", orig->zone);
	p = put_number(p, ",\"age_ms\":", info->age_ms);
	p = put_number(p, ",\"zone_reply\":", info->tuple[XCT_DIR_REPLY].zone);
	p = put_number(p, ",\"start_ms\":", info->start_ms);
	p = put_labels(p, &info->labels, names);
	if (xct_helper_name(info->helper))
		p = put_string(p,
			       ",\"helper\":", xct_helper_name(info->helper));
	*p++ = '}';
	return p;
}

uint64_t xct_json_number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

const char *xct_json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}
