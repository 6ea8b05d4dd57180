/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options to a filter, a new flow or a change. Each option is a row of a table: which protocols it
 * belongs to, how its value is read and where it is stored. What takes several
 * options together (masks, families, protocols) is judged at the end, so their
 * order does not matter.
 */
#include <arpa/inet.h>
#include "ctl/filter.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cursor.h"
#include "common/names.h"
#include "ctl/line.h"

/* The kernel's, which no flow here ever has. */
#define STATUS_OFFLOAD (1 << 14)

const struct xct_status_name xct_status_names[XCT_STATUS_NAMES] = {
	{ "EXPECTED", XCT_STATUS_EXPECTED },
	{ "SEEN_REPLY", XCT_STATUS_SEEN_REPLY },
	{ "ASSURED", XCT_STATUS_ASSURED },
	{ "CONFIRMED", XCT_STATUS_CONFIRMED },
	{ "SRC_NAT", XCT_STATUS_SRC_NAT },
	{ "DST_NAT", XCT_STATUS_DST_NAT },
	{ "DYING", XCT_STATUS_DYING },
	{ "FIXED_TIMEOUT", XCT_STATUS_FIXED_TIMEOUT },
	{ "OFFLOAD", STATUS_OFFLOAD },
};

/* Protocols that an option is for. */
enum proto_class {
	ANY_PROTO,
	PORT_PROTOS,
	STATE_PROTOS,
	ICMP_ONLY,
	ICMPV6_ONLY,
	GRE_ONLY,
	SCTP_ONLY,
};

struct option_row {
	const char *name; /* as messages call it */
	bool (*parse)(struct xct_query *query, const struct option_row *row,
		      const char *arg);
	size_t offset;	/* in struct xct_query, of what @parse sets */
	uint32_t field; /* enum xct_filter_field */
	enum proto_class protos;
};

static bool fail(struct xct_query *query, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool fail(struct xct_query *query, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(query->error, sizeof(query->error), format, args);
	va_end(args);
	return false;
}

/* Decimal, 0x hexadecimal or 0 octal; all of @s, up to @max. */
static bool parse_number(const char *s, uint64_t max, uint64_t *value)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*value = strtoull(s, &end, 0);
	return *end == '\0' && errno == 0 && *value <= max;
}

/* All addresses of a filter are of one family, and of that of -f. */
static bool set_family(struct xct_query *query, uint8_t family)
{
	struct xct_flow_filter *f = &query->filter;

	if ((f->fields & XCT_FILTER_FAMILY) && f->family != family)
		return fail(query, "mismatched address family");
	f->fields |= XCT_FILTER_FAMILY;
	f->family = family;
	return true;
}

static void *field_at(struct xct_query *query, const struct option_row *row)
{
	query->filter.fields |= row->field;
	return (char *)query + row->offset;
}

static bool parse_range(struct xct_query *query, const struct option_row *row,
			const char *arg)
{
	struct xct_addr_range range;

	if (!xct_range_parse(arg, &range))
		return fail(query, "Invalid IP address `%s'", arg);
	memcpy(field_at(query, row), &range, sizeof(range));
	return set_family(query, range.family);
}

static bool parse_port(struct xct_query *query, const struct option_row *row,
		       const char *arg)
{
	uint64_t value;
	xct_be16 port;

	if (!parse_number(arg, UINT16_MAX, &value))
		return fail(query, "Invalid port `%s'", arg);
	port = xct_hton16((uint16_t)value);
	memcpy(field_at(query, row), &port, sizeof(port));
	return true;
}

static bool parse_icmp_id(struct xct_query *query, const struct option_row *row,
			  const char *arg)
{
	uint64_t value;
	xct_be16 id;

	if (!parse_number(arg, UINT16_MAX, &value))
		return fail(query, "Invalid ICMP id `%s'", arg);
	id = xct_hton16((uint16_t)value);
	memcpy(field_at(query, row), &id, sizeof(id));
	return true;
}

static bool parse_icmp_u8(struct xct_query *query, const struct option_row *row,
			  const char *arg)
{
	uint8_t *field = field_at(query, row);
	uint64_t value;

	if (!parse_number(arg, UINT8_MAX, &value))
		return fail(query, "Invalid ICMP type or code `%s'", arg);
	*field = (uint8_t)value;
	return true;
}

static bool parse_zone(struct xct_query *query, const struct option_row *row,
		       const char *arg)
{
	uint16_t *field = field_at(query, row);
	uint64_t value;

	if (!parse_number(arg, UINT16_MAX, &value))
		return fail(query, "Invalid zone `%s'", arg);
	*field = (uint16_t)value;
	return true;
}

static bool parse_u32(struct xct_query *query, const struct option_row *row,
		      const char *arg)
{
	uint32_t *field = field_at(query, row);
	uint64_t value;

	if (!parse_number(arg, UINT32_MAX, &value))
		return fail(query, "Invalid %s `%s'", row->name, arg);
	*field = (uint32_t)value;
	return true;
}

/* conntrack takes a tag as it stands in the packet, whatever that means here. */
static bool parse_vtag(struct xct_query *query, const struct option_row *row,
		       const char *arg)
{
	uint32_t *field = field_at(query, row);

	if (!parse_u32(query, row, arg))
		return false;
	*field = ntohl(*field);
	return true;
}

static bool parse_label(struct xct_query *query, const struct option_row *row,
			const char *arg)
{
	(void)arg;
	return fail(query, "option `--%s': flows have no labels here",
		    row->name);
}

static bool parse_id(struct xct_query *query, const struct option_row *row,
		     const char *arg)
{
	uint64_t *field = field_at(query, row);

	if (!parse_number(arg, UINT64_MAX, field))
		return fail(query, "Invalid id `%s'", arg);
	return true;
}

static bool parse_proto(struct xct_query *query, const struct option_row *row,
			const char *arg)
{
	uint8_t *field = field_at(query, row);
	const struct protoent *entry;
	uint64_t number;
	int known = xct_proto_from_name(arg);

	if (known >= 0) {
		*field = (uint8_t)known;
	} else if (parse_number(arg, UINT8_MAX, &number)) {
		*field = (uint8_t)number;
	} else {
		entry = getprotobyname(arg);
		if (!entry)
			return fail(query, "`%s' unsupported protocol", arg);
		*field = (uint8_t)entry->p_proto;
	}
	return true;
}

static bool parse_family(struct xct_query *query, const struct option_row *row,
			 const char *arg)
{
	(void)row; /* stored as the families of addresses are */
	if (strcmp(arg, "ipv4") == 0)
		return set_family(query, AF_INET);
	if (strcmp(arg, "ipv6") == 0)
		return set_family(query, AF_INET6);
	return fail(query, "`%s' unsupported protocol", arg);
}

static bool parse_state(struct xct_query *query, const struct option_row *row,
			const char *arg)
{
	(void)field_at(query, row);
	query->state = arg; /* which number it is depends on the protocol */
	return true;
}

static bool parse_mark(struct xct_query *query, const struct option_row *row,
		       const char *arg)
{
	uint32_t *field = field_at(query, row);
	const char *slash = strchr(arg, '/');
	char value[16] = "";
	uint64_t mark, mask = UINT32_MAX;
	size_t len = slash ? (size_t)(slash - arg) : strlen(arg);

	if (len < sizeof(value))
		memcpy(value, arg, len);
	if (!parse_number(value, UINT32_MAX, &mark) ||
	    (slash && !parse_number(slash + 1, UINT32_MAX, &mask)))
		return fail(query, "Invalid mark `%s'", arg);
	*field = (uint32_t)mark;
	query->filter.mark_mask = (uint32_t)mask;
	return true;
}

/* One word of -u, @len long. */
static bool add_status(struct xct_query *query, const char *word, size_t len)
{
	static const char *const unreplied[] = { "UNSET", "UNREPLIED" };
	struct xct_flow_filter *f = &query->filter;
	bool is_negated = *word == '!';
	const char *name;
	size_t i;

	for (i = 0; i < XCT_ARRAY_SIZE(unreplied); i++) {
		if (strlen(unreplied[i]) == len &&
		    strncasecmp(word, unreplied[i], len) == 0) {
			f->fields |= XCT_FILTER_UNSET;
			f->status_unset |= XCT_STATUS_SEEN_REPLY;
			return true;
		}
	}
	word += is_negated;
	len -= is_negated;
	for (i = 0; i < XCT_STATUS_NAMES; i++) {
		name = xct_status_names[i].name;
		if (strlen(name) != len || strncasecmp(word, name, len) != 0)
			continue;
		if (is_negated) {
			f->fields |= XCT_FILTER_UNSET;
			f->status_unset |= xct_status_names[i].bit;
		} else {
			f->fields |= XCT_FILTER_STATUS;
			f->status |= xct_status_names[i].bit;
		}
		return true;
	}
	return false;
}

static bool parse_status(struct xct_query *query, const struct option_row *row,
			 const char *arg)
{
	const char *word;
	size_t len;

	(void)row; /* which field it is depends on the word */
	for (word = arg;; word += len + 1) {
		len = strcspn(word, ",");
		if (!add_status(query, word, len))
			return fail(query, "Bad parameter `%s'", word);
		if (!word[len])
			return true;
	}
}

static bool parse_output(struct xct_query *query, const struct option_row *row,
			 const char *arg)
{
	static const struct {
		const char *name;
		uint8_t output;
	} names[] = {
		{ "plain", 0 },
		{ "extended", XCT_OUTPUT_EXTENDED },
		{ "id", XCT_OUTPUT_ID },
		{ "json", XCT_OUTPUT_JSON },
		{ "ndjson", XCT_OUTPUT_NDJSON },
		{ "xml", XCT_OUTPUT_XML },
		{ "save", XCT_OUTPUT_SAVE },
		{ "ktimestamp", XCT_OUTPUT_KTIMESTAMP },
		{ "timestamp", XCT_OUTPUT_OTHER },
		{ "labels", XCT_OUTPUT_OTHER },
		{ "userspace", XCT_OUTPUT_OTHER },
	};
	uint8_t *outputs = field_at(query, row);
	const char *word;
	size_t len, i;

	for (word = arg;; word += len + 1) {
		len = strcspn(word, ",");
		for (i = 0; i < XCT_ARRAY_SIZE(names); i++) {
			if (strlen(names[i].name) == len &&
			    strncasecmp(word, names[i].name, len) == 0)
				break;
		}
		if (i == XCT_ARRAY_SIZE(names))
			return fail(query,
				    "Bad parameter `%s': the output is plain, "
				    "extended, id, ktimestamp, save, xml, json "
				    "or ndjson",
				    word);
		*outputs |= names[i].output;
		if (!word[len])
			break;
	}
	return true;
}

/* Split "IP", "IPv4:PORT" or "[IPv6]:PORT" into @addr and *@port ("": none). */
static bool split_port(const char *arg, char addr[static 128],
		       const char **port)
{
	const char *start = arg, *end, *colon = strchr(arg, ':');

	*port = "";
	if (*arg == '[') {
		start = arg + 1;
		end = strchr(start, ']');
		if (!end || (end[1] != ':' && end[1] != '\0'))
			return false;
		colon = end[1] ? end + 1 : NULL;
	} else if (colon && !strchr(colon + 1, ':')) {
		end = colon;
	} else { /* an IPv6 address has more than one colon */
		end = arg + strlen(arg);
		colon = NULL;
	}
	if (colon) {
		*port = colon + 1;
		if (!**port)
			return false;
	}
	if ((size_t)(end - start) >= 128)
		return false;
	memcpy(addr, start, (size_t)(end - start));
	addr[end - start] = '\0';
	return true;
}

static bool parse_nat_side(struct xct_query *query, bool is_src,
			   const char *arg)
{
	static const struct option_row rows[][2] = {
		{ { .offset = offsetof(struct xct_query, filter.nat_dst),
		    .field = XCT_FILTER_DST_NAT_IP },
		  { .offset = offsetof(struct xct_query, filter.nat_dport),
		    .field = XCT_FILTER_DST_NAT_PORT } },
		{ { .offset = offsetof(struct xct_query, filter.nat_src),
		    .field = XCT_FILTER_SRC_NAT_IP },
		  { .offset = offsetof(struct xct_query, filter.nat_sport),
		    .field = XCT_FILTER_SRC_NAT_PORT } },
	};
	const char *port;
	char addr[128];

	if (!split_port(arg, addr, &port))
		return fail(query, "Invalid IP address `%s'", arg);
	if (!parse_range(query, &rows[is_src][0], addr))
		return false;
	return !*port || parse_port(query, &rows[is_src][1], port);
}

static bool parse_src_nat(struct xct_query *query, const struct option_row *row,
			  const char *arg)
{
	query->filter.fields |= row->field;
	return !arg || parse_nat_side(query, true, arg);
}

static bool parse_dst_nat(struct xct_query *query, const struct option_row *row,
			  const char *arg)
{
	query->filter.fields |= row->field;
	return !arg || parse_nat_side(query, false, arg);
}

/* With ANY_NAT, the two translations are alternatives. */
static bool parse_any_nat(struct xct_query *query, const struct option_row *row,
			  const char *arg)
{
	query->filter.fields |= row->field;
	if (!arg)
		return true;
	return parse_nat_side(query, true, arg) &&
	       parse_nat_side(query, false, arg);
}

#define IN_QUERY(member)  offsetof(struct xct_query, member)
#define IN_FILTER(member) offsetof(struct xct_query, filter.member)

/* clang-format off */
static const struct option_row option_rows[XCT_OPTIONS] = {
	[XCT_OPTION_ORIG_SRC] = { "src", parse_range,
		IN_FILTER(orig_src), XCT_FILTER_ORIG_SRC, ANY_PROTO },
	[XCT_OPTION_ORIG_DST] = { "dst", parse_range,
		IN_FILTER(orig_dst), XCT_FILTER_ORIG_DST, ANY_PROTO },
	[XCT_OPTION_REPLY_SRC] = { "reply-src", parse_range,
		IN_FILTER(reply_src), XCT_FILTER_REPLY_SRC, ANY_PROTO },
	[XCT_OPTION_REPLY_DST] = { "reply-dst", parse_range,
		IN_FILTER(reply_dst), XCT_FILTER_REPLY_DST, ANY_PROTO },
	[XCT_OPTION_PROTO] = { "protonum", parse_proto,
		IN_FILTER(proto), XCT_FILTER_PROTO, ANY_PROTO },
	[XCT_OPTION_FAMILY] = { "family", parse_family,
		0, 0, ANY_PROTO },
	[XCT_OPTION_STATUS] = { "status", parse_status,
		0, 0, ANY_PROTO },
	[XCT_OPTION_MARK] = { "mark", parse_mark,
		IN_FILTER(mark), XCT_FILTER_MARK, ANY_PROTO },
	[XCT_OPTION_SRC_NAT] = { "src-nat", parse_src_nat,
		0, XCT_FILTER_SRC_NAT, ANY_PROTO },
	[XCT_OPTION_DST_NAT] = { "dst-nat", parse_dst_nat,
		0, XCT_FILTER_DST_NAT, ANY_PROTO },
	[XCT_OPTION_ANY_NAT] = { "any-nat", parse_any_nat,
		0, XCT_FILTER_ANY_NAT, ANY_PROTO },
	[XCT_OPTION_OUTPUT] = { "output", parse_output,
		IN_QUERY(outputs), 0, ANY_PROTO },
	[XCT_OPTION_ZONE] = { "zone", parse_zone,
		IN_FILTER(zone), XCT_FILTER_ZONE, ANY_PROTO },
	[XCT_OPTION_ID] = { "id", parse_id,
		IN_FILTER(id), XCT_FILTER_ID, ANY_PROTO },
	[XCT_OPTION_TIMEOUT] = { "timeout", parse_u32,
		IN_QUERY(change.timeout_s), 0, ANY_PROTO },
	[XCT_OPTION_LABEL] = { "label", parse_label,
		0, 0, ANY_PROTO },
	[XCT_OPTION_MASK_SRC] = { "mask-src", parse_range,
		IN_QUERY(mask_src), 0, ANY_PROTO },
	[XCT_OPTION_MASK_DST] = { "mask-dst", parse_range,
		IN_QUERY(mask_dst), 0, ANY_PROTO },
	[XCT_OPTION_ORIG_SPORT] = { "sport", parse_port,
		IN_FILTER(orig_sport), XCT_FILTER_ORIG_SPORT, PORT_PROTOS },
	[XCT_OPTION_ORIG_DPORT] = { "dport", parse_port,
		IN_FILTER(orig_dport), XCT_FILTER_ORIG_DPORT, PORT_PROTOS },
	[XCT_OPTION_REPLY_SPORT] = { "reply-port-src", parse_port,
		IN_FILTER(reply_sport), XCT_FILTER_REPLY_SPORT, PORT_PROTOS },
	[XCT_OPTION_REPLY_DPORT] = { "reply-port-dst", parse_port,
		IN_FILTER(reply_dport), XCT_FILTER_REPLY_DPORT, PORT_PROTOS },
	[XCT_OPTION_STATE] = { "state", parse_state,
		IN_FILTER(state), XCT_FILTER_STATE, STATE_PROTOS },
	[XCT_OPTION_ICMP_TYPE] = { "icmp-type", parse_icmp_u8,
		IN_FILTER(icmp_type), XCT_FILTER_ICMP_TYPE, ICMP_ONLY },
	[XCT_OPTION_ICMP_CODE] = { "icmp-code", parse_icmp_u8,
		IN_FILTER(icmp_code), XCT_FILTER_ICMP_CODE, ICMP_ONLY },
	[XCT_OPTION_ICMP_ID] = { "icmp-id", parse_icmp_id,
		IN_FILTER(icmp_id), XCT_FILTER_ICMP_ID, ICMP_ONLY },
	[XCT_OPTION_ICMPV6_TYPE] = { "icmpv6-type", parse_icmp_u8,
		IN_FILTER(icmp_type), XCT_FILTER_ICMP_TYPE, ICMPV6_ONLY },
	[XCT_OPTION_ICMPV6_CODE] = { "icmpv6-code", parse_icmp_u8,
		IN_FILTER(icmp_code), XCT_FILTER_ICMP_CODE, ICMPV6_ONLY },
	[XCT_OPTION_ICMPV6_ID] = { "icmpv6-id", parse_icmp_id,
		IN_FILTER(icmp_id), XCT_FILTER_ICMP_ID, ICMPV6_ONLY },
	[XCT_OPTION_SRCKEY] = { "srckey", parse_port,
		IN_FILTER(orig_sport), XCT_FILTER_ORIG_SPORT, GRE_ONLY },
	[XCT_OPTION_DSTKEY] = { "dstkey", parse_port,
		IN_FILTER(orig_dport), XCT_FILTER_ORIG_DPORT, GRE_ONLY },
	[XCT_OPTION_REPLY_SRCKEY] = { "reply-key-src", parse_port,
		IN_FILTER(reply_sport), XCT_FILTER_REPLY_SPORT, GRE_ONLY },
	[XCT_OPTION_REPLY_DSTKEY] = { "reply-key-dst", parse_port,
		IN_FILTER(reply_dport), XCT_FILTER_REPLY_DPORT, GRE_ONLY },
	[XCT_OPTION_ORIG_VTAG] = { "orig-vtag", parse_vtag,
		IN_QUERY(change.vtag[XCT_DIR_ORIG]), 0, SCTP_ONLY },
	[XCT_OPTION_REPLY_VTAG] = { "reply-vtag", parse_vtag,
		IN_QUERY(change.vtag[XCT_DIR_REPLY]), 0, SCTP_ONLY },
	[XCT_OPTION_ORIG_ZONE] = { "orig-zone", parse_zone,
		IN_FILTER(orig_zone), XCT_FILTER_ORIG_ZONE, ANY_PROTO },
	[XCT_OPTION_REPLY_ZONE] = { "reply-zone", parse_zone,
		IN_FILTER(reply_zone), XCT_FILTER_REPLY_ZONE, ANY_PROTO },
	[XCT_OPTION_LABEL_ADD] = { "label-add", parse_label,
		0, 0, ANY_PROTO },
	[XCT_OPTION_LABEL_DEL] = { "label-del", parse_label,
		0, 0, ANY_PROTO },
};

/* The letters of the first options, in the order of enum xct_option. */
static const char letters[] = "sdrqpfumngjowitl";
static const char getopt_letters[] = ":s:d:r:q:p:f:u:m:n::g::j::o:w:i:t:l:";

static const struct option long_options[] = {
	{ "src", required_argument, NULL, XCT_OPTION_ORIG_SRC },
	{ "orig-src", required_argument, NULL, XCT_OPTION_ORIG_SRC },
	{ "dst", required_argument, NULL, XCT_OPTION_ORIG_DST },
	{ "orig-dst", required_argument, NULL, XCT_OPTION_ORIG_DST },
	{ "reply-src", required_argument, NULL, XCT_OPTION_REPLY_SRC },
	{ "reply-dst", required_argument, NULL, XCT_OPTION_REPLY_DST },
	{ "proto", required_argument, NULL, XCT_OPTION_PROTO },
	{ "protonum", required_argument, NULL, XCT_OPTION_PROTO },
	{ "family", required_argument, NULL, XCT_OPTION_FAMILY },
	{ "status", required_argument, NULL, XCT_OPTION_STATUS },
	{ "mark", required_argument, NULL, XCT_OPTION_MARK },
	{ "src-nat", optional_argument, NULL, XCT_OPTION_SRC_NAT },
	{ "dst-nat", optional_argument, NULL, XCT_OPTION_DST_NAT },
	{ "any-nat", optional_argument, NULL, XCT_OPTION_ANY_NAT },
	{ "output", required_argument, NULL, XCT_OPTION_OUTPUT },
	{ "zone", required_argument, NULL, XCT_OPTION_ZONE },
	{ "id", required_argument, NULL, XCT_OPTION_ID },
	{ "mask-src", required_argument, NULL, XCT_OPTION_MASK_SRC },
	{ "mask-dst", required_argument, NULL, XCT_OPTION_MASK_DST },
	{ "sport", required_argument, NULL, XCT_OPTION_ORIG_SPORT },
	{ "orig-port-src", required_argument, NULL, XCT_OPTION_ORIG_SPORT },
	{ "dport", required_argument, NULL, XCT_OPTION_ORIG_DPORT },
	{ "orig-port-dst", required_argument, NULL, XCT_OPTION_ORIG_DPORT },
	{ "reply-port-src", required_argument, NULL, XCT_OPTION_REPLY_SPORT },
	{ "reply-port-dst", required_argument, NULL, XCT_OPTION_REPLY_DPORT },
	{ "state", required_argument, NULL, XCT_OPTION_STATE },
	{ "icmp-type", required_argument, NULL, XCT_OPTION_ICMP_TYPE },
	{ "icmp-code", required_argument, NULL, XCT_OPTION_ICMP_CODE },
	{ "icmp-id", required_argument, NULL, XCT_OPTION_ICMP_ID },
	{ "icmpv6-type", required_argument, NULL, XCT_OPTION_ICMPV6_TYPE },
	{ "icmpv6-code", required_argument, NULL, XCT_OPTION_ICMPV6_CODE },
	{ "icmpv6-id", required_argument, NULL, XCT_OPTION_ICMPV6_ID },
	{ "timeout", required_argument, NULL, XCT_OPTION_TIMEOUT },
	{ "label", required_argument, NULL, XCT_OPTION_LABEL },
	{ "label-add", required_argument, NULL, XCT_OPTION_LABEL_ADD },
	{ "label-del", optional_argument, NULL, XCT_OPTION_LABEL_DEL },
	{ "srckey", required_argument, NULL, XCT_OPTION_SRCKEY },
	{ "orig-key-src", required_argument, NULL, XCT_OPTION_SRCKEY },
	{ "dstkey", required_argument, NULL, XCT_OPTION_DSTKEY },
	{ "orig-key-dst", required_argument, NULL, XCT_OPTION_DSTKEY },
	{ "reply-key-src", required_argument, NULL, XCT_OPTION_REPLY_SRCKEY },
	{ "reply-key-dst", required_argument, NULL, XCT_OPTION_REPLY_DSTKEY },
	{ "orig-vtag", required_argument, NULL, XCT_OPTION_ORIG_VTAG },
	{ "reply-vtag", required_argument, NULL, XCT_OPTION_REPLY_VTAG },
	{ "orig-zone", required_argument, NULL, XCT_OPTION_ORIG_ZONE },
	{ "reply-zone", required_argument, NULL, XCT_OPTION_REPLY_ZONE },
	{ NULL, 0, NULL, 0 },
};
/* clang-format on */

_Static_assert(XCT_OPTION_LABEL + 2 == sizeof(letters), "a letter an option");
_Static_assert(XCT_OPTIONS < ':', "no option is taken for a letter");

static bool is_of_class(const struct xct_query *query, enum proto_class protos)
{
	uint8_t proto = query->filter.proto;

	if (protos == ANY_PROTO)
		return true;
	if (!(query->options & XCT_OPTION_BIT(PROTO)))
		return false;
	switch (protos) {
	case PORT_PROTOS:
		return xct_l4_shape(proto) == XCT_L4_PORTS;
	case STATE_PROTOS:
		return xct_state_name(proto, 0);
	case ICMP_ONLY:
		return proto == IPPROTO_ICMP;
	case ICMPV6_ONLY:
		return proto == IPPROTO_ICMPV6;
	case GRE_ONLY:
		return proto == IPPROTO_GRE;
	case SCTP_ONLY:
		return proto == IPPROTO_SCTP;
	case ANY_PROTO:
		break;
	}
	return true;
}

static bool check_options(struct xct_query *query,
			  const struct xct_query_rules *rules)
{
	static const char *const needed[] = {
		[PORT_PROTOS] = "tcp, udp, udplite, sctp or dccp",
		[STATE_PROTOS] = "tcp or sctp",
		[ICMP_ONLY] = "icmp",
		[ICMPV6_ONLY] = "icmpv6",
		[GRE_ONLY] = "gre",
		[SCTP_ONLY] = "sctp",
	};
	const struct option_row *row;
	unsigned int i;

	for (i = 0; i < XCT_OPTIONS; i++) {
		row = &option_rows[i];
		if (!(query->options & UINT64_C(1) << i))
			continue;
		if (!(rules->options & UINT64_C(1) << i))
			return fail(query,
				    "Illegal option `--%s' with this command",
				    row->name);
		if (!is_of_class(query, row->protos))
			return fail(query, "option `--%s' needs `-p %s'",
				    row->name, needed[row->protos]);
	}
	if (query->outputs & ~rules->outputs)
		return fail(query,
			    "this command prints no such output, see `--help'");
	if ((query->options & XCT_OPTION_BIT(ANY_NAT)) &&
	    (query->options &
	     (XCT_OPTION_BIT(SRC_NAT) | XCT_OPTION_BIT(DST_NAT))))
		return fail(query, "cannot specify `--src-nat' or `--dst-nat' "
				   "with `--any-nat'");
	return true;
}

/* Compare the address in @range by @mask instead of by its prefix. */
static bool apply_mask(struct xct_query *query, const char *name,
		       const struct xct_addr_range *mask, uint32_t from,
		       uint32_t to, const struct xct_addr_range *range,
		       struct xct_addr *field)
{
	struct xct_flow_filter *f = &query->filter;

	if (!(f->fields & from) || range->family != mask->family)
		return fail(query, "Can't use --mask-%s without --%s", name,
			    name);
	f->fields = (f->fields & ~from) | to;
	*field = mask->first;
	return true;
}

static bool apply_masks(struct xct_query *query)
{
	struct xct_flow_filter *f = &query->filter;

	if ((query->options & XCT_OPTION_BIT(MASK_SRC)) &&
	    !apply_mask(query, "src", &query->mask_src, XCT_FILTER_ORIG_SRC,
			XCT_FILTER_ORIG_SRC_MASK, &f->orig_src,
			&f->orig_src_mask))
		return false;
	return !(query->options & XCT_OPTION_BIT(MASK_DST)) ||
	       apply_mask(query, "dst", &query->mask_dst, XCT_FILTER_ORIG_DST,
			  XCT_FILTER_ORIG_DST_MASK, &f->orig_dst,
			  &f->orig_dst_mask);
}

/* The number that --state stands for in the protocol given. */
static bool resolve_state(struct xct_query *query)
{
	int state;

	if (!query->state)
		return true;
	state = xct_state_from_name(query->filter.proto, query->state);
	if (query->filter.proto == IPPROTO_TCP &&
	    strcasecmp(query->state, "LISTEN") == 0)
		state = XCT_TCP_SYN_SENT2; /* its name before Linux 2.6.31 */
	if (state < 0)
		return fail(query, "unknown %s state `%s'",
			    query->filter.proto == IPPROTO_TCP ? "TCP" : "SCTP",
			    query->state);
	query->filter.state = (uint8_t)state;
	return true;
}

static bool is_single(const struct xct_addr_range *range)
{
	return xct_addr_equal(&range->first, &range->last);
}

static bool check_keys(struct xct_query *query)
{
	const uint64_t keys = XCT_OPTION_BIT(SRCKEY) | XCT_OPTION_BIT(DSTKEY);

	return (query->options & keys) == keys ||
	       fail(query, "you have to specify `--srckey' and `--dstkey'");
}

/* A flow is named by its protocol and original tuple, or by its id. */
static bool check_get(struct xct_query *query)
{
	uint64_t given = query->options;

	if (given & XCT_OPTION_BIT(ID))
		return true;
	if (!(given & XCT_OPTION_BIT(PROTO)))
		return fail(query, "You need to supply the `--protonum' option "
				   "for this command");
	if (!(given & XCT_OPTION_BIT(ORIG_SRC)) ||
	    !(given & XCT_OPTION_BIT(ORIG_DST)))
		return fail(query, "you have to specify `--src' and `--dst'");
	if (!is_single(&query->filter.orig_src) ||
	    !is_single(&query->filter.orig_dst))
		return fail(query, "Illegal network with this command: it "
				   "takes one address");
	switch (xct_l4_shape(query->filter.proto)) {
	case XCT_L4_PORTS:
		if (!(given & XCT_OPTION_BIT(ORIG_SPORT)) ||
		    !(given & XCT_OPTION_BIT(ORIG_DPORT)))
			return fail(query, "you have to specify `--sport' and "
					   "`--dport'");
		return true;
	case XCT_L4_ICMP:
		if (!(query->filter.fields & XCT_FILTER_ICMP_TYPE) ||
		    !(query->filter.fields & XCT_FILTER_ICMP_CODE) ||
		    !(query->filter.fields & XCT_FILTER_ICMP_ID))
			return fail(query, "you have to specify the type, code "
					   "and id of the ICMP query");
		return true;
	case XCT_L4_GRE:
		return check_keys(query);
	case XCT_L4_NONE:
		break;
	}
	return true;
}

static bool need(struct xct_query *query, bool is_given, const char *name)
{
	return is_given || fail(query,
				"You need to supply the `--%s' option for this "
				"command",
				name);
}

/* What names a new flow's protocol part, and its state. */
static bool check_new_l4(struct xct_query *query)
{
	const uint32_t ports = XCT_FILTER_ORIG_SPORT | XCT_FILTER_ORIG_DPORT;
	uint32_t fields = query->filter.fields;
	uint8_t proto = query->filter.proto;
	bool is_v4 = proto == IPPROTO_ICMP;

	switch (xct_l4_shape(proto)) {
	case XCT_L4_PORTS:
		/* DCCP has no tracker, and so no ports that matter. */
		if (proto != IPPROTO_DCCP && (fields & ports) != ports)
			return fail(query, "you have to specify `--sport' and "
					   "`--dport'");
		break;
	case XCT_L4_ICMP:
		return need(query, fields & XCT_FILTER_ICMP_TYPE,
			    is_v4 ? "icmp-type" : "icmpv6-type") &&
		       need(query, fields & XCT_FILTER_ICMP_CODE,
			    is_v4 ? "icmp-code" : "icmpv6-code");
	case XCT_L4_GRE:
		return check_keys(query);
	case XCT_L4_NONE:
		break;
	}
	if (xct_state_name(proto, 0) &&
	    !need(query, fields & XCT_FILTER_STATE, "state"))
		return false;
	return proto != IPPROTO_SCTP ||
	       (need(query, query->options & XCT_OPTION_BIT(ORIG_VTAG),
		     "orig-vtag") &&
		need(query, query->options & XCT_OPTION_BIT(REPLY_VTAG),
		     "reply-vtag"));
}

/* As the kernel: a reply tuple is said whole, or not at all. */
static bool is_reply_whole(const struct xct_query *query)
{
	const uint32_t ports = XCT_FILTER_REPLY_SPORT | XCT_FILTER_REPLY_DPORT;
	const uint32_t src = XCT_FILTER_REPLY_SRC | XCT_FILTER_DST_NAT_IP;
	const uint32_t dst = XCT_FILTER_REPLY_DST | XCT_FILTER_SRC_NAT_IP;
	uint32_t fields = query->filter.fields;
	uint8_t proto = query->filter.proto;

	if (!(fields & (XCT_FILTER_REPLY_SRC | XCT_FILTER_REPLY_DST | ports)))
		return true;
	if (!(fields & src) || !(fields & dst))
		return false;
	return xct_l4_shape(proto) == XCT_L4_ICMP ||
	       xct_l4_shape(proto) == XCT_L4_NONE || proto == IPPROTO_DCCP ||
	       (fields & ports) == ports;
}

static bool check_create(struct xct_query *query)
{
	const struct xct_flow_filter *f = &query->filter;
	const struct {
		const struct xct_addr_range *range;
		const char *message;
	} singles[] = {
		{ &f->orig_src, "Illegal option `--mask-src' with this "
				"command" },
		{ &f->orig_dst, "Illegal option `--mask-dst' with this "
				"command" },
		{ &f->reply_src,
		  "CIDR notation unavailable for `--reply-src'" },
		{ &f->reply_dst,
		  "CIDR notation unavailable for `--reply-dst'" },
		{ &f->nat_src, "CIDR notation unavailable for `--src-nat'" },
		{ &f->nat_dst, "CIDR notation unavailable for `--dst-nat'" },
	};
	uint64_t given = query->options;

	if (!need(query, given & XCT_OPTION_BIT(PROTO), "protonum") ||
	    !need(query, given & XCT_OPTION_BIT(TIMEOUT), "timeout"))
		return false;
	if (!(given & XCT_OPTION_BIT(ORIG_SRC)) ||
	    !(given & XCT_OPTION_BIT(ORIG_DST)))
		return fail(query, "you have to specify `--src' and `--dst'");
	for (size_t i = 0; i < XCT_ARRAY_SIZE(singles); i++)
		if (!is_single(singles[i].range))
			return fail(query, "%s", singles[i].message);
	return check_new_l4(query);
}

/* Options that say what a flow shall be were read as those of a filter. */
static bool take_change(struct xct_query *query)
{
	static const uint32_t nat[] = { XCT_STATUS_SRC_NAT,
					XCT_STATUS_DST_NAT };
	const uint64_t vtags =
		XCT_OPTION_BIT(ORIG_VTAG) | XCT_OPTION_BIT(REPLY_VTAG);
	struct xct_flow_filter *f = &query->filter;
	struct xct_flow_change *change = &query->change;

	if (f->status & (XCT_STATUS_CONFIRMED | XCT_STATUS_DYING))
		return fail(query, "Bad parameter `%s'",
			    f->status & XCT_STATUS_DYING ? "DYING"
							 : "CONFIRMED");
	for (size_t i = 0; i < XCT_ARRAY_SIZE(nat); i++)
		if (f->status & nat[i])
			fprintf(stderr,
				"WARNING: ignoring %s, use --%s instead\n",
				i ? "DST_NAT" : "SRC_NAT",
				i ? "dst-nat" : "src-nat");
	change->status =
		f->status & ~(uint32_t)(XCT_STATUS_SRC_NAT |
					XCT_STATUS_DST_NAT | STATUS_OFFLOAD);
	change->mark = f->mark;
	change->mark_mask = f->mark_mask;
	change->state = f->state;
	if (query->options & XCT_OPTION_BIT(TIMEOUT))
		change->fields |= XCT_CHANGE_TIMEOUT;
	if (f->fields & XCT_FILTER_STATUS)
		change->fields |= XCT_CHANGE_STATUS;
	if (f->fields & XCT_FILTER_MARK)
		change->fields |= XCT_CHANGE_MARK;
	if (f->fields & XCT_FILTER_STATE)
		change->fields |= XCT_CHANGE_STATE;
	if ((query->options & vtags) == vtags)
		change->fields |= XCT_CHANGE_VTAGS;
	else if (query->options & vtags)
		return need(query, query->options & XCT_OPTION_BIT(ORIG_VTAG),
			    "orig-vtag") &&
		       need(query, false, "reply-vtag");
	f->fields &= ~(uint32_t)(XCT_FILTER_STATUS | XCT_FILTER_UNSET |
				 XCT_FILTER_MARK | XCT_FILTER_STATE);
	return true;
}

/* The numbers of a direction's tuple beyond its addresses. */
static void take_numbers(const struct xct_flow_filter *f,
			 struct xct_tuple tuple[static XCT_DIRS])
{
	struct xct_tuple *orig = &tuple[XCT_DIR_ORIG];

	if (xct_l4_shape(f->proto) == XCT_L4_ICMP) {
		orig->icmp_id = f->icmp_id;
		orig->icmp_type = f->icmp_type;
		orig->icmp_code = f->icmp_code;
		return;
	}
	orig->sport = f->orig_sport;
	orig->dport = f->orig_dport;
	tuple[XCT_DIR_REPLY].sport = f->reply_sport;
	tuple[XCT_DIR_REPLY].dport = f->reply_dport;
}

static void take_create(struct xct_query *query)
{
	static const struct {
		uint32_t filter;
		uint32_t create;
	} fields[] = {
		{ XCT_FILTER_REPLY_SRC, XCT_CREATE_REPLY_SRC },
		{ XCT_FILTER_REPLY_DST, XCT_CREATE_REPLY_DST },
		{ XCT_FILTER_REPLY_SPORT, XCT_CREATE_REPLY_SPORT },
		{ XCT_FILTER_REPLY_DPORT, XCT_CREATE_REPLY_DPORT },
		{ XCT_FILTER_SRC_NAT_IP, XCT_CREATE_SRC_NAT },
		{ XCT_FILTER_DST_NAT_IP, XCT_CREATE_DST_NAT },
		{ XCT_FILTER_SRC_NAT_PORT, XCT_CREATE_SRC_NAT_PORT },
		{ XCT_FILTER_DST_NAT_PORT, XCT_CREATE_DST_NAT_PORT },
	};
	const struct xct_flow_filter *f = &query->filter;
	struct xct_flow_create *create = &query->create;
	struct xct_tuple *orig = &create->tuple[XCT_DIR_ORIG];
	struct xct_tuple *reply = &create->tuple[XCT_DIR_REPLY];

	for (size_t i = 0; i < XCT_ARRAY_SIZE(fields); i++)
		if (f->fields & fields[i].filter)
			create->fields |= fields[i].create;
	orig->src = f->orig_src.first;
	orig->dst = f->orig_dst.first;
	reply->src = f->reply_src.first;
	reply->dst = f->reply_dst.first;
	orig->family = reply->family = f->family;
	orig->proto = reply->proto = f->proto;
	orig->zone = f->fields & XCT_FILTER_ORIG_ZONE ? f->orig_zone : f->zone;
	reply->zone =
		f->fields & XCT_FILTER_REPLY_ZONE ? f->reply_zone : f->zone;
	take_numbers(f, create->tuple);
	create->nat_src = f->nat_src.first;
	create->nat_dst = f->nat_dst.first;
	create->nat_sport = f->nat_sport;
	create->nat_dport = f->nat_dport;
	create->change = query->change;
}

/* What the command makes of the options, which are right one by one. */
static bool finish(struct xct_query *query, enum xct_query_kind kind)
{
	switch (kind) {
	case XCT_QUERY_FILTER:
		break;
	case XCT_QUERY_GET:
		return check_get(query);
	case XCT_QUERY_CREATE:
		if (!check_create(query) || !take_change(query))
			return false;
		take_create(query);
		break;
	case XCT_QUERY_UPDATE:
		return take_change(query);
	}
	return true;
}

/* -EOPNOTSUPP: what conntrack refuses without explaining usage. */
static int check_whole(struct xct_query *query, enum xct_query_kind kind)
{
	const uint8_t whole =
		XCT_OUTPUT_JSON | XCT_OUTPUT_NDJSON | XCT_OUTPUT_XML;
	uint8_t outputs = query->outputs;

	if (kind == XCT_QUERY_CREATE && !is_reply_whole(query)) {
		(void)fail(query, "Operation failed: invalid parameters");
		return -EOPNOTSUPP;
	}
	if (outputs & XCT_OUTPUT_SAVE && outputs != XCT_OUTPUT_SAVE) {
		(void)fail(query, "cannot combine save output with any other "
				  "output type, use -o save only");
		return -EOPNOTSUPP;
	}
	outputs &= whole;
	if (outputs & (outputs - 1)) {
		(void)fail(query, "json, ndjson and xml exclude each other");
		return -EINVAL;
	}
	return 0;
}

/* The argument of an option that may have one: also the next word, if it
 * cannot be an option. */
static const char *take_optional(int argc, char **argv)
{
	if (optarg)
		return optarg;
	if (optind < argc && argv[optind][0] != '-' && argv[optind][0] != '!')
		return argv[optind++];
	return NULL;
}

static bool parse_option(struct xct_query *query, int code, int argc,
			 char **argv)
{
	const char *letter = code >= XCT_OPTIONS ? strchr(letters, code) : NULL;
	const char *arg = optarg;
	unsigned int option;

	if (code == ':')
		return fail(query, "option `%s' requires an argument",
			    argv[optind - 1]);
	if (code == '?')
		return fail(query, "unknown option `%s'", argv[optind - 1]);

	option = letter ? (unsigned int)(letter - letters) : (unsigned int)code;
	if (option >= XCT_OPTION_SRC_NAT && option <= XCT_OPTION_ANY_NAT)
		arg = take_optional(argc, argv);
	query->options |= UINT64_C(1) << option;
	return option_rows[option].parse(query, &option_rows[option], arg);
}

int xct_query_parse(struct xct_query *query,
		    const struct xct_query_rules *rules, int argc, char **argv)
{
	int code, ret;

	memset(query, 0, sizeof(*query));
	opterr = 0; /* messages are written here */
	optind = 0; /* start again */
	while ((code = getopt_long(argc, argv, getopt_letters, long_options,
				   NULL)) != -1) {
		if (!parse_option(query, code, argc, argv))
			return -EINVAL;
	}
	if (!check_options(query, rules) || !resolve_state(query) ||
	    !apply_masks(query) || !finish(query, rules->kind))
		return -EINVAL;
	ret = check_whole(query, rules->kind);
	return ret < 0 ? ret : optind;
}
