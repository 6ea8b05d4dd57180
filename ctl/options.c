/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options one by one. Each is a row of a table: which protocols it belongs to,
 * how its value is read and where it is stored.
 */
#include "ctl/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "common/names.h"
#include "ctl/words.h"

bool xct_query_fail(struct xct_query *query, const char *format, ...)
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
		return xct_query_fail(query, "mismatched address family");
	f->fields |= XCT_FILTER_FAMILY;
	f->family = family;
	return true;
}

void *xct_option_field(struct xct_query *query,
		       const struct xct_option_row *row)
{
	query->filter.fields |= row->field;
	return (char *)query + row->offset;
}

static bool parse_range(struct xct_query *query,
			const struct xct_option_row *row, const char *arg)
{
	struct xct_addr_range range;

	if (!xct_range_parse(arg, &range))
		return xct_query_fail(query, "Invalid IP address `%s'", arg);
	memcpy(xct_option_field(query, row), &range, sizeof(range));
	return set_family(query, range.family);
}

/* @arg as a number up to @max; @what it is called if it is none. */
static bool take_number(struct xct_query *query, const char *arg, uint64_t max,
			const char *what, uint64_t *value)
{
	if (parse_number(arg, max, value))
		return true;
	(void)xct_query_fail(query, "Invalid %s `%s'", what, arg);
	return false;
}

static bool take_be16(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg, const char *what)
{
	uint64_t value;
	xct_be16 field;

	if (!take_number(query, arg, UINT16_MAX, what, &value))
		return false;
	field = xct_hton16((uint16_t)value);
	memcpy(xct_option_field(query, row), &field, sizeof(field));
	return true;
}

static bool parse_port(struct xct_query *query,
		       const struct xct_option_row *row, const char *arg)
{
	return take_be16(query, row, arg, "port");
}

static bool parse_icmp_id(struct xct_query *query,
			  const struct xct_option_row *row, const char *arg)
{
	return take_be16(query, row, arg, "ICMP id");
}

static bool parse_icmp_u8(struct xct_query *query,
			  const struct xct_option_row *row, const char *arg)
{
	uint64_t value;

	if (!take_number(query, arg, UINT8_MAX, "ICMP type or code", &value))
		return false;
	*(uint8_t *)xct_option_field(query, row) = (uint8_t)value;
	return true;
}

static bool parse_zone(struct xct_query *query,
		       const struct xct_option_row *row, const char *arg)
{
	uint64_t value;

	if (!take_number(query, arg, UINT16_MAX, "zone", &value))
		return false;
	*(uint16_t *)xct_option_field(query, row) = (uint16_t)value;
	return true;
}

static bool parse_u32(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg)
{
	uint64_t value;

	if (!take_number(query, arg, UINT32_MAX, row->name, &value))
		return false;
	*(uint32_t *)xct_option_field(query, row) = (uint32_t)value;
	return true;
}

/* conntrack takes a tag as it stands in the packet, whatever that means. */
static bool parse_vtag(struct xct_query *query,
		       const struct xct_option_row *row, const char *arg)
{
	uint32_t *field = xct_option_field(query, row);

	if (!parse_u32(query, row, arg))
		return false;
	*field = ntohl(*field);
	return true;
}

/* Accepted and never looked at: no flow has one. */
static bool parse_secmark(struct xct_query *query,
			  const struct xct_option_row *row, const char *arg)
{
	uint64_t value;

	return take_number(query, arg, UINT32_MAX, row->name, &value);
}

static bool parse_role(struct xct_query *query,
		       const struct xct_option_row *row, const char *arg)
{
	(void)row;
	return strcmp(arg, "client") == 0 || strcmp(arg, "server") == 0 ||
	       xct_query_fail(query, "Unknown DCCP role `%s'", arg);
}

/* That it was given is all that there is to know. */
static bool parse_nothing(struct xct_query *query,
			  const struct xct_option_row *row, const char *arg)
{
	(void)query;
	(void)row;
	(void)arg;
	return true;
}

static bool parse_id(struct xct_query *query, const struct xct_option_row *row,
		     const char *arg)
{
	return take_number(query, arg, UINT64_MAX, row->name,
			   xct_option_field(query, row));
}

static bool parse_proto(struct xct_query *query,
			const struct xct_option_row *row, const char *arg)
{
	uint8_t *field = xct_option_field(query, row);
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
			return xct_query_fail(query,
					      "`%s' unsupported protocol", arg);
		*field = (uint8_t)entry->p_proto;
	}
	return true;
}

static bool parse_family(struct xct_query *query,
			 const struct xct_option_row *row, const char *arg)
{
	(void)row; /* stored as the families of addresses are */
	if (strcmp(arg, "ipv4") == 0)
		return set_family(query, AF_INET);
	if (strcmp(arg, "ipv6") == 0)
		return set_family(query, AF_INET6);
	return xct_query_fail(query, "`%s' unsupported protocol", arg);
}

static bool parse_state(struct xct_query *query,
			const struct xct_option_row *row, const char *arg)
{
	(void)xct_option_field(query, row);
	query->state = arg; /* which number it is depends on the protocol */
	return true;
}

static bool parse_mark(struct xct_query *query,
		       const struct xct_option_row *row, const char *arg)
{
	uint32_t *field = xct_option_field(query, row);
	const char *slash = strchr(arg, '/');
	char value[16] = "";
	uint64_t mark, mask = UINT32_MAX;
	size_t len = slash ? (size_t)(slash - arg) : strlen(arg);

	if (len < sizeof(value))
		memcpy(value, arg, len);
	if (!parse_number(value, UINT32_MAX, &mark) ||
	    (slash && !parse_number(slash + 1, UINT32_MAX, &mask)))
		return xct_query_fail(query, "Invalid mark `%s'", arg);
	*field = (uint32_t)mark;
	query->filter.mark_mask = (uint32_t)mask;
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
	static const struct xct_option_row rows[][2] = {
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
		return xct_query_fail(query, "Invalid IP address `%s'", arg);
	if (!parse_range(query, &rows[is_src][0], addr))
		return false;
	return !*port || parse_port(query, &rows[is_src][1], port);
}

static bool parse_src_nat(struct xct_query *query,
			  const struct xct_option_row *row, const char *arg)
{
	query->filter.fields |= row->field;
	return !arg || parse_nat_side(query, true, arg);
}

static bool parse_dst_nat(struct xct_query *query,
			  const struct xct_option_row *row, const char *arg)
{
	query->filter.fields |= row->field;
	return !arg || parse_nat_side(query, false, arg);
}

/* With ANY_NAT, the two translations are alternatives. */
static bool parse_any_nat(struct xct_query *query,
			  const struct xct_option_row *row, const char *arg)
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
const struct xct_option_row xct_option_rows[XCT_OPTIONS] = {
	[XCT_OPTION_ORIG_SRC] = { "src", parse_range,
		IN_FILTER(orig_src), XCT_FILTER_ORIG_SRC, XCT_ANY_PROTO },
	[XCT_OPTION_ORIG_DST] = { "dst", parse_range,
		IN_FILTER(orig_dst), XCT_FILTER_ORIG_DST, XCT_ANY_PROTO },
	[XCT_OPTION_REPLY_SRC] = { "reply-src", parse_range,
		IN_FILTER(reply_src), XCT_FILTER_REPLY_SRC, XCT_ANY_PROTO },
	[XCT_OPTION_REPLY_DST] = { "reply-dst", parse_range,
		IN_FILTER(reply_dst), XCT_FILTER_REPLY_DST, XCT_ANY_PROTO },
	[XCT_OPTION_PROTO] = { "protonum", parse_proto,
		IN_FILTER(proto), XCT_FILTER_PROTO, XCT_ANY_PROTO },
	[XCT_OPTION_FAMILY] = { "family", parse_family,
		0, 0, XCT_ANY_PROTO },
	[XCT_OPTION_STATUS] = { "status", xct_words_status,
		0, 0, XCT_ANY_PROTO },
	[XCT_OPTION_MARK] = { "mark", parse_mark,
		IN_FILTER(mark), XCT_FILTER_MARK, XCT_ANY_PROTO },
	[XCT_OPTION_SRC_NAT] = { "src-nat", parse_src_nat,
		0, XCT_FILTER_SRC_NAT, XCT_ANY_PROTO },
	[XCT_OPTION_DST_NAT] = { "dst-nat", parse_dst_nat,
		0, XCT_FILTER_DST_NAT, XCT_ANY_PROTO },
	[XCT_OPTION_ANY_NAT] = { "any-nat", parse_any_nat,
		0, XCT_FILTER_ANY_NAT, XCT_ANY_PROTO },
	[XCT_OPTION_OUTPUT] = { "output", xct_words_output,
		IN_QUERY(outputs), 0, XCT_ANY_PROTO },
	[XCT_OPTION_ZONE] = { "zone", parse_zone,
		IN_FILTER(zone), XCT_FILTER_ZONE, XCT_ANY_PROTO },
	[XCT_OPTION_ID] = { "id", parse_id,
		IN_FILTER(id), XCT_FILTER_ID, XCT_ANY_PROTO },
	[XCT_OPTION_TIMEOUT] = { "timeout", parse_u32,
		IN_QUERY(change.timeout_s), 0, XCT_ANY_PROTO },
	[XCT_OPTION_LABEL] = { "label", xct_words_labels,
		IN_FILTER(labels), XCT_FILTER_LABELS, XCT_ANY_PROTO },
	[XCT_OPTION_SECMARK] = { "secmark", parse_secmark,
		0, 0, XCT_ANY_PROTO },
	[XCT_OPTION_ZERO] = { "zero", parse_nothing,
		0, 0, XCT_ANY_PROTO },
	[XCT_OPTION_EVENT_MASK] = { "event-mask", xct_words_events,
		IN_QUERY(events), 0, XCT_ANY_PROTO },
	[XCT_OPTION_BUFFER_SIZE] = { "buffer-size", parse_u32,
		IN_QUERY(buffer), 0, XCT_ANY_PROTO },
	[XCT_OPTION_MASK_SRC] = { "mask-src", parse_range,
		IN_QUERY(mask_src), 0, XCT_ANY_PROTO },
	[XCT_OPTION_MASK_DST] = { "mask-dst", parse_range,
		IN_QUERY(mask_dst), 0, XCT_ANY_PROTO },
	[XCT_OPTION_ORIG_SPORT] = { "sport", parse_port,
		IN_FILTER(orig_sport), XCT_FILTER_ORIG_SPORT, XCT_PORT_PROTOS },
	[XCT_OPTION_ORIG_DPORT] = { "dport", parse_port,
		IN_FILTER(orig_dport), XCT_FILTER_ORIG_DPORT, XCT_PORT_PROTOS },
	[XCT_OPTION_REPLY_SPORT] = { "reply-port-src", parse_port,
		IN_FILTER(reply_sport), XCT_FILTER_REPLY_SPORT, XCT_PORT_PROTOS },
	[XCT_OPTION_REPLY_DPORT] = { "reply-port-dst", parse_port,
		IN_FILTER(reply_dport), XCT_FILTER_REPLY_DPORT, XCT_PORT_PROTOS },
	[XCT_OPTION_STATE] = { "state", parse_state,
		IN_FILTER(state), XCT_FILTER_STATE, XCT_STATE_PROTOS },
	[XCT_OPTION_ICMP_TYPE] = { "icmp-type", parse_icmp_u8,
		IN_FILTER(icmp_type), XCT_FILTER_ICMP_TYPE, XCT_ICMP_ONLY },
	[XCT_OPTION_ICMP_CODE] = { "icmp-code", parse_icmp_u8,
		IN_FILTER(icmp_code), XCT_FILTER_ICMP_CODE, XCT_ICMP_ONLY },
	[XCT_OPTION_ICMP_ID] = { "icmp-id", parse_icmp_id,
		IN_FILTER(icmp_id), XCT_FILTER_ICMP_ID, XCT_ICMP_ONLY },
	[XCT_OPTION_ICMPV6_TYPE] = { "icmpv6-type", parse_icmp_u8,
		IN_FILTER(icmp_type), XCT_FILTER_ICMP_TYPE, XCT_ICMPV6_ONLY },
	[XCT_OPTION_ICMPV6_CODE] = { "icmpv6-code", parse_icmp_u8,
		IN_FILTER(icmp_code), XCT_FILTER_ICMP_CODE, XCT_ICMPV6_ONLY },
	[XCT_OPTION_ICMPV6_ID] = { "icmpv6-id", parse_icmp_id,
		IN_FILTER(icmp_id), XCT_FILTER_ICMP_ID, XCT_ICMPV6_ONLY },
	[XCT_OPTION_SRCKEY] = { "srckey", parse_port,
		IN_FILTER(orig_sport), XCT_FILTER_ORIG_SPORT, XCT_GRE_ONLY },
	[XCT_OPTION_DSTKEY] = { "dstkey", parse_port,
		IN_FILTER(orig_dport), XCT_FILTER_ORIG_DPORT, XCT_GRE_ONLY },
	[XCT_OPTION_REPLY_SRCKEY] = { "reply-key-src", parse_port,
		IN_FILTER(reply_sport), XCT_FILTER_REPLY_SPORT, XCT_GRE_ONLY },
	[XCT_OPTION_REPLY_DSTKEY] = { "reply-key-dst", parse_port,
		IN_FILTER(reply_dport), XCT_FILTER_REPLY_DPORT, XCT_GRE_ONLY },
	[XCT_OPTION_ORIG_VTAG] = { "orig-vtag", parse_vtag,
		IN_QUERY(change.vtag[XCT_DIR_ORIG]), 0, XCT_SCTP_ONLY },
	[XCT_OPTION_REPLY_VTAG] = { "reply-vtag", parse_vtag,
		IN_QUERY(change.vtag[XCT_DIR_REPLY]), 0, XCT_SCTP_ONLY },
	[XCT_OPTION_ORIG_ZONE] = { "orig-zone", parse_zone,
		IN_FILTER(orig_zone), XCT_FILTER_ORIG_ZONE, XCT_ANY_PROTO },
	[XCT_OPTION_REPLY_ZONE] = { "reply-zone", parse_zone,
		IN_FILTER(reply_zone), XCT_FILTER_REPLY_ZONE, XCT_ANY_PROTO },
	[XCT_OPTION_LABEL_ADD] = { "label-add", xct_words_labels,
		IN_QUERY(change.labels), 0, XCT_ANY_PROTO },
	[XCT_OPTION_LABEL_DEL] = { "label-del", xct_words_labels,
		IN_QUERY(change.labels), 0, XCT_ANY_PROTO },
	[XCT_OPTION_ROLE] = { "role", parse_role,
		0, 0, XCT_DCCP_ONLY },
	[XCT_OPTION_TUPLE_SRC] = { "tuple-src", parse_nothing,
		0, 0, XCT_ANY_PROTO },
	[XCT_OPTION_TUPLE_DST] = { "tuple-dst", parse_nothing,
		0, 0, XCT_ANY_PROTO },
};

/* The letters of the first options, in the order of enum xct_option. */
static const char letters[] = "sdrqpfumngjowitlczeb";
static const char getopt_letters[] =
	":s:d:r:q:p:f:u:m:n::g::j::o:w:i:t:l:c:ze:b:a:";

/* What expectations alone have: there are none here. */
#define EXPECTATIONS_ONLY (UCHAR_MAX + 1)

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
	{ "secmark", required_argument, NULL, XCT_OPTION_SECMARK },
	{ "zero", no_argument, NULL, XCT_OPTION_ZERO },
	{ "role", required_argument, NULL, XCT_OPTION_ROLE },
	{ "tuple-src", required_argument, NULL, XCT_OPTION_TUPLE_SRC },
	{ "tuple-dst", required_argument, NULL, XCT_OPTION_TUPLE_DST },
	{ "event-mask", required_argument, NULL, XCT_OPTION_EVENT_MASK },
	{ "buffer-size", required_argument, NULL, XCT_OPTION_BUFFER_SIZE },
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
	{ "nat-range", required_argument, NULL, 'a' },
	{ "tuple-port-src", required_argument, NULL, EXPECTATIONS_ONLY },
	{ "tuple-port-dst", required_argument, NULL, EXPECTATIONS_ONLY },
	{ "mask-port-src", required_argument, NULL, EXPECTATIONS_ONLY },
	{ "mask-port-dst", required_argument, NULL, EXPECTATIONS_ONLY },
	{ "tuple-key-src", required_argument, NULL, EXPECTATIONS_ONLY },
	{ "tuple-key-dst", required_argument, NULL, EXPECTATIONS_ONLY },
	{ "mask-key-src", required_argument, NULL, EXPECTATIONS_ONLY },
	{ "mask-key-dst", required_argument, NULL, EXPECTATIONS_ONLY },
	{ NULL, 0, NULL, 0 },
};
/* clang-format on */

_Static_assert(XCT_OPTION_BUFFER_SIZE + 2 == sizeof(letters),
	       "a letter an option");
_Static_assert(XCT_OPTIONS < ':', "no option is taken for a letter");

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

/* @name: if it was a long one. */
static bool parse_option(struct xct_query *query, int code, const char *name,
			 int argc, char **argv)
{
	const char *arg = optarg, *letter;
	unsigned int option;

	switch (code) {
	case ':':
		return xct_query_fail(query, "option `%s' requires an argument",
				      argv[optind - 1]);
	case '?':
		return xct_query_fail(query, "unknown option `%s'",
				      argv[optind - 1]);
	case 'a':
		fputs("WARNING: ignoring -a, deprecated option.\n", stderr);
		return true;
	case EXPECTATIONS_ONLY:
		return xct_query_fail(
			query, "Illegal option `--%s' with this command", name);
	}

	letter = code >= XCT_OPTIONS ? strchr(letters, code) : NULL;
	option = letter ? (unsigned int)(letter - letters) : (unsigned int)code;
	if ((option >= XCT_OPTION_SRC_NAT && option <= XCT_OPTION_ANY_NAT) ||
	    option == XCT_OPTION_LABEL_DEL)
		arg = take_optional(argc, argv);
	query->options |= UINT64_C(1) << option;
	return xct_option_rows[option].parse(query, &xct_option_rows[option],
					     arg);
}

int xct_options_read(struct xct_query *query, int argc, char **argv)
{
	int code, index = 0;

	opterr = 0; /* messages are written here */
	optind = 0; /* start again */
	while ((code = getopt_long(argc, argv, getopt_letters, long_options,
				   &index)) != -1) {
		if (!parse_option(query, code, long_options[index].name, argc,
				  argv))
			return -EINVAL;
	}
	return optind;
}
