/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conntrack's other formats: commands that make a flow again, and XML. */
#include <arpa/inet.h>
#include "ctl/line.h"

#include <netinet/in.h>
#include <time.h>

#include "common/cursor.h"
#include "common/names.h"
#include "ctl/out.h"

/* "-x 12 " */
static char *put_option(char *p, const char *option, uint64_t value)
{
	p = xct_put_str(p, option);
	*p++ = ' ';
	p = xct_put_uint(p, value);
	*p++ = ' ';
	return p;
}

static char *put_addr_option(char *p, const char *option, uint8_t family,
			     const struct xct_addr *addr)
{
	p = xct_put_str(p, option);
	p = xct_put_addr(p, family, addr);
	*p++ = ' ';
	return p;
}

static char *put_saved_status(char *p, uint32_t status)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} names[] = {
		{ "EXPECTED", XCT_STATUS_EXPECTED },
		{ "SEEN_REPLY", XCT_STATUS_SEEN_REPLY },
		{ "ASSURED", XCT_STATUS_ASSURED },
		{ "FIXED_TIMEOUT", XCT_STATUS_FIXED_TIMEOUT },
	};
	const char *comma = "";

	p = xct_put_str(p, "-u ");
	for (size_t i = 0; i < XCT_ARRAY_SIZE(names); i++) {
		if (!(status & names[i].bit))
			continue;
		p = xct_put_str(p, comma);
		p = xct_put_str(p, names[i].name);
		comma = ",";
	}
	if (!*comma)
		p = xct_put_str(p, "UNSET");
	*p++ = ' ';
	return p;
}

static char *put_saved_zone(char *p, const struct xct_flow_info *info)
{
	uint16_t both = xct_flow_info_zone(info);
	uint16_t orig = xct_flow_info_zone_of(info, XCT_DIR_ORIG);
	uint16_t reply = xct_flow_info_zone_of(info, XCT_DIR_REPLY);

	if (both)
		p = put_option(p, "-w", both);
	if (orig)
		p = put_option(p, "--orig-zone", orig);
	if (reply)
		p = put_option(p, "--reply-zone", reply);
	return p;
}

/* Addresses; a translated one is said as what is translated to. */
static char *put_saved_addrs(char *p, const struct xct_flow_info *info)
{
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];
	const struct xct_tuple *reply = &info->tuple[XCT_DIR_REPLY];
	bool is_dst = !xct_addr_equal(&orig->dst, &reply->src);
	bool is_src = !xct_addr_equal(&orig->src, &reply->dst);

	p = put_addr_option(p, "-s ", orig->family, &orig->src);
	p = put_addr_option(p, "-d ", orig->family, &orig->dst);
	p = put_addr_option(p, is_dst ? "-g " : "-r ", reply->family,
			    &reply->src);
	return put_addr_option(p, is_src ? "-n " : "-q ", reply->family,
			       &reply->dst);
}

static char *put_saved_numbers(char *p, const struct xct_flow_info *info)
{
	const struct xct_tuple *orig = &info->tuple[XCT_DIR_ORIG];
	const struct xct_tuple *reply = &info->tuple[XCT_DIR_REPLY];
	bool is_v6 = orig->proto == IPPROTO_ICMPV6;

	switch (xct_l4_shape(orig->proto)) {
	case XCT_L4_PORTS:
		if (orig->proto == IPPROTO_DCCP)
			break; /* not tracked: it has none */
		p = put_option(p, "--sport", xct_ntoh16(orig->sport));
		p = put_option(p, "--dport", xct_ntoh16(orig->dport));
		p = put_option(p, "--reply-port-src", xct_ntoh16(reply->sport));
		return put_option(p, "--reply-port-dst",
				  xct_ntoh16(reply->dport));
	case XCT_L4_ICMP:
		p = put_option(p, is_v6 ? "--icmpv6-type" : "--icmp-type",
			       orig->icmp_type);
		p = put_option(p, is_v6 ? "--icmpv6-code" : "--icmp-code",
			       orig->icmp_code);
		return put_option(p, is_v6 ? "--icmpv6-id" : "--icmp-id",
				  xct_ntoh16(orig->icmp_id));
	case XCT_L4_GRE:
		p = put_option(p, "--srckey", xct_ntoh16(orig->gre_srckey));
		p = put_option(p, "--dstkey", xct_ntoh16(orig->gre_dstkey));
		p = put_option(p, "--reply-key-src",
			       xct_ntoh16(reply->gre_srckey));
		return put_option(p, "--reply-key-dst",
				  xct_ntoh16(reply->gre_dstkey));
	case XCT_L4_NONE:
		break;
	}
	return p;
}

char *xct_save_put(char *p, const struct xct_flow_info *info, char command,
		   unsigned int parts)
{
	uint8_t proto = info->tuple[XCT_DIR_ORIG].proto;
	const char *state = xct_line_state(info);
	const char *name = xct_proto_name(proto);

	*p++ = '-';
	*p++ = command;
	*p++ = ' ';
	if (parts & XCT_LINE_TIMEOUT)
		p = put_option(p, "-t", info->timeout_s);
	p = put_saved_status(p, info->status);
	p = put_saved_zone(p, info);
	p = put_saved_addrs(p, info);
	p = xct_put_str(p, "-p ");
	p = name ? xct_put_str(p, name) : xct_put_uint(p, proto);
	*p++ = ' ';
	p = put_saved_numbers(p, info);
	if (parts & XCT_LINE_STATE && state) {
		p = xct_put_str(p, "--state ");
		p = xct_put_str(p, state);
		*p++ = ' ';
	}
	/* The end of a flow is told without them. */
	if (proto == IPPROTO_SCTP && !(parts & XCT_LINE_STOP)) {
		/* As they stand in the packet: conntrack does not swap them. */
		p = put_option(p, "--orig-vtag",
			       htonl(info->vtag[XCT_DIR_ORIG]));
		p = put_option(p, "--reply-vtag",
			       htonl(info->vtag[XCT_DIR_REPLY]));
	}
	p[-1] = '\n';
	return p;
}

/* ---- XML ---- */

/* "<name>12</name>"; nothing in a flow needs escaping. */
static char *put_text(char *p, const char *name, const char *text)
{
	*p++ = '<';
	p = xct_put_str(p, name);
	*p++ = '>';
	p = xct_put_str(p, text);
	p = xct_put_str(p, "</");
	p = xct_put_str(p, name);
	*p++ = '>';
	return p;
}

static char *put_element(char *p, const char *name, uint64_t value)
{
	char text[24];

	*xct_put_uint(text, value) = '\0';
	return put_text(p, name, text);
}

static char *put_key(char *p, const char *name, xct_be16 key)
{
	char text[24] = "0x";

	*xct_put_hex(text + 2, xct_ntoh16(key)) = '\0';
	return put_text(p, name, text);
}

static char *put_addr(char *p, const char *name, uint8_t family,
		      const struct xct_addr *addr)
{
	char text[XCT_ADDRSTRLEN];

	*xct_put_addr(text, family, addr) = '\0';
	return put_text(p, name, text);
}

/* <layer3 protonum="2" protoname="ipv4"> */
static char *put_layer(char *p, const char *layer, unsigned int number,
		       const char *name)
{
	p = xct_put_str(p, layer);
	p = xct_put_str(p, " protonum=\"");
	p = xct_put_uint(p, number);
	p = xct_put_str(p, "\" protoname=\"");
	p = xct_put_str(p, name);
	return xct_put_str(p, "\">");
}

static char *put_layer4(char *p, const struct xct_tuple *t)
{
	p = put_layer(p, "<layer4", t->proto, xct_line_proto(t->proto));
	switch (xct_l4_shape(t->proto)) {
	case XCT_L4_PORTS:
		p = put_element(p, "sport", xct_ntoh16(t->sport));
		p = put_element(p, "dport", xct_ntoh16(t->dport));
		break;
	case XCT_L4_GRE:
		p = put_key(p, "srckey", t->gre_srckey);
		p = put_key(p, "dstkey", t->gre_dstkey);
		break;
	case XCT_L4_ICMP: /* conntrack says nothing of these */
	case XCT_L4_NONE:
		break;
	}
	return xct_put_str(p, "</layer4>");
}

static char *put_meta(char *p, const struct xct_flow_info *info,
		      enum xct_dir dir, unsigned int parts)
{
	const struct xct_tuple *t = &info->tuple[dir];
	uint16_t zone = xct_flow_info_zone_of(info, dir);

	p = xct_put_str(p, dir == XCT_DIR_ORIG ? "<meta direction=\"original\">"
					       : "<meta direction=\"reply\">");
	p = put_layer(p, "<layer3", t->family,
		      t->family == AF_INET ? "ipv4" : "ipv6");
	p = put_addr(p, "src", t->family, &t->src);
	p = put_addr(p, "dst", t->family, &t->dst);
	p = xct_put_str(p, "</layer3>");
	p = put_layer4(p, t);
	if (zone)
		p = put_element(p, "zone", zone);
	if (parts & XCT_LINE_COUNTERS && info->has_counters) {
		p = xct_put_str(p, "<counters>");
		p = put_element(p, "packets", info->packets[dir]);
		p = put_element(p, "bytes", info->bytes[dir]);
		p = xct_put_str(p, "</counters>");
	}
	return xct_put_str(p, "</meta>");
}

/* <when><hour>3</hour> ... */
static char *put_when(char *p, uint64_t ms)
{
	time_t at = (time_t)(ms / 1000);
	struct tm tm;

	if (!localtime_r(&at, &tm))
		return p;
	p = xct_put_str(p, "<when>");
	p = put_element(p, "hour", (uint64_t)tm.tm_hour);
	p = put_element(p, "min", (uint64_t)tm.tm_min);
	p = put_element(p, "sec", (uint64_t)tm.tm_sec);
	p = put_element(p, "wday", (uint64_t)tm.tm_wday + 1);
	p = put_element(p, "day", (uint64_t)tm.tm_mday);
	p = put_element(p, "month", (uint64_t)tm.tm_mon + 1);
	p = put_element(p, "year", (uint64_t)tm.tm_year + 1900);
	return xct_put_str(p, "</when>");
}

static char *put_labels(char *p, const struct xct_labels *labels,
			const struct xct_label_names *names)
{
	p = xct_put_str(p, "<labels>");
	for (unsigned int bit = 0; bit < XCT_LABEL_BITS; bit++)
		if (names->names[bit] && xct_labels_has(labels, bit))
			p = put_text(p, "label", names->names[bit]);
	return xct_put_str(p, "</labels>");
}

char *xct_xml_put(char *p, const struct xct_flow_info *info, const char *type,
		  const uint64_t *when_ms, unsigned int parts,
		  const struct xct_label_names *names)
{
	const char *state = xct_line_state(info);
	uint16_t zone = xct_flow_info_zone(info);

	p = xct_put_str(p, "<flow");
	if (type) {
		p = xct_put_str(p, " type=\"");
		p = xct_put_str(p, type);
		*p++ = '"';
	}
	*p++ = '>';
	p = put_meta(p, info, XCT_DIR_ORIG, parts);
	p = put_meta(p, info, XCT_DIR_REPLY, parts);
	p = xct_put_str(p, "<meta direction=\"independent\">");
	if (parts & XCT_LINE_STATE && state)
		p = put_text(p, "state", state);
	if (parts & XCT_LINE_TIMEOUT)
		p = put_element(p, "timeout", info->timeout_s);
	if (parts & XCT_LINE_MARK)
		p = put_element(p, "mark", info->mark);
	if (names && xct_labels_any(&info->labels))
		p = put_labels(p, &info->labels, names);
	if (zone)
		p = put_element(p, "zone", zone);
	if (parts & XCT_LINE_USE)
		p = put_element(p, "use", 1);
	p = put_element(p, "id", info->id);
	if (info->status & XCT_STATUS_ASSURED)
		p = xct_put_str(p, "<assured/>");
	if (!(info->status & XCT_STATUS_SEEN_REPLY))
		p = xct_put_str(p, "<unreplied/>");
	if (parts & XCT_LINE_AGE && info->has_timestamps)
		p = put_element(p, "deltatime",
				parts & XCT_LINE_STOP ? info->age_ms / 1000
						      : xct_line_age(info));
	p = xct_put_str(p, "</meta>");
	if (parts & XCT_LINE_HELPER && xct_helper_name(info->helper))
		p = put_text(p, "helper", xct_helper_name(info->helper));
	if (when_ms)
		p = put_when(p, *when_ms);
	return xct_put_str(p, "</flow>\n");
}
