/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xctctl's line format and options. The lines are what conntrack 1.4.7 printed
 * for the flows described beside them; the messages are its own as well.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cursor.h"
#include "common/names.h"
#include "ctl/expect.h"
#include "ctl/filter.h"
#include "ctl/json.h"
#include "ctl/line.h"
#include "ctl/out.h"

#define SEEN	(XCT_STATUS_SEEN_REPLY)
#define ASSURED (XCT_STATUS_SEEN_REPLY | XCT_STATUS_ASSURED)

/* A direction of a flow: addresses, and the l4 fields as the tuple has them
 * (ports; ICMP id and type << 8 | code; GRE keys). */
struct end {
	const char *src;
	const char *dst;
	uint16_t a;
	uint16_t b;
};

struct line_row {
	const char *line;
	struct end orig;
	struct end reply;
	uint8_t proto;
	uint8_t state;
	uint32_t status;
	uint32_t mark;
	uint16_t zone;
	uint8_t outputs;
};

static void set_tuple(struct xct_tuple *t, const struct end *end, uint8_t proto)
{
	uint8_t family;
	uint8_t b[2];

	memset(t, 0, sizeof(*t));
	assert_true(xct_addr_parse(end->src, &t->family, &t->src));
	assert_true(xct_addr_parse(end->dst, &family, &t->dst));
	t->proto = proto;
	t->sport = xct_hton16(end->a);
	xct_put_be16(b, end->b);
	memcpy(&t->dport, b, sizeof(b));
}

static void set_info(struct xct_flow_info *info, const struct line_row *row)
{
	memset(info, 0, sizeof(*info));
	set_tuple(&info->tuple[XCT_DIR_ORIG], &row->orig, row->proto);
	set_tuple(&info->tuple[XCT_DIR_REPLY], &row->reply, row->proto);
	info->id = 3633157728;
	info->status = row->status | XCT_STATUS_CONFIRMED;
	info->timeout_s = 99;
	info->state = row->state;
	info->mark = row->mark;
	info->tuple[XCT_DIR_ORIG].zone = row->zone;
	info->tuple[XCT_DIR_REPLY].zone = row->zone;
}

/* clang-format off */
static const struct line_row line_rows[] = {
	{ "tcp      6 99 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1000 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=80 dport=1000 [ASSURED] mark=5 use=1\n",
	  { "10.0.0.1", "10.0.0.2", 1000, 80 }, { "10.0.0.2", "10.0.0.1", 80, 1000 },
	  IPPROTO_TCP, XCT_TCP_ESTABLISHED, ASSURED, 5, 0, 0 },
	{ "tcp      6 99 SYN_RECV src=10.0.0.1 dst=10.0.0.2 sport=1001 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=80 dport=1001 mark=5 use=1\n",
	  { "10.0.0.1", "10.0.0.2", 1001, 80 }, { "10.0.0.2", "10.0.0.1", 80, 1001 },
	  IPPROTO_TCP, XCT_TCP_SYN_RECV, SEEN, 5, 0, 0 },
	{ "tcp      6 99 CLOSE src=10.9.0.1 dst=10.0.0.2 sport=1010 dport=81 src=203.0.113.250 dst=198.51.100.7 sport=65535 dport=1010 [ASSURED] mark=4294967295 use=1\n",
	  { "10.9.0.1", "10.0.0.2", 1010, 81 }, { "203.0.113.250", "198.51.100.7", 65535, 1010 },
	  IPPROTO_TCP, XCT_TCP_CLOSE, ASSURED, 4294967295, 0, 0 },
	{ "udp      17 99 src=10.0.0.1 dst=10.0.0.3 sport=1001 dport=53 [UNREPLIED] src=10.0.0.3 dst=192.0.2.1 sport=53 dport=1001 mark=0 use=1\n",
	  { "10.0.0.1", "10.0.0.3", 1001, 53 }, { "10.0.0.3", "192.0.2.1", 53, 1001 },
	  IPPROTO_UDP, 0, 0, 0, 0, 0 },
	{ "udp      17 99 src=fd00::1 dst=fd00::4 sport=1001 dport=53 [UNREPLIED] src=fd00::4 dst=fd00::1 sport=53 dport=1001 mark=0 zone=7 use=1\n",
	  { "fd00::1", "fd00::4", 1001, 53 }, { "fd00::4", "fd00::1", 53, 1001 },
	  IPPROTO_UDP, 0, 0, 0, 7, 0 },
	{ "udplite  136 99 src=10.0.0.1 dst=10.0.0.4 sport=16 dport=32 [UNREPLIED] src=10.0.0.4 dst=10.0.0.1 sport=32 dport=16 mark=0 use=1\n",
	  { "10.0.0.1", "10.0.0.4", 16, 32 }, { "10.0.0.4", "10.0.0.1", 32, 16 },
	  IPPROTO_UDPLITE, 0, 0, 0, 0, 0 },
	{ "dccp     33 99 src=10.0.0.1 dst=10.0.0.4 sport=0 dport=0 [UNREPLIED] src=10.0.0.4 dst=10.0.0.1 sport=0 dport=0 mark=0 use=1\n",
	  { "10.0.0.1", "10.0.0.4", 0, 0 }, { "10.0.0.4", "10.0.0.1", 0, 0 },
	  IPPROTO_DCCP, 0, 0, 0, 0, 0 },
	{ "icmp     1 99 src=10.0.0.1 dst=10.0.0.4 type=8 code=0 id=77 [UNREPLIED] src=10.0.0.4 dst=10.0.0.1 type=0 code=0 id=77 mark=0 use=1\n",
	  { "10.0.0.1", "10.0.0.4", 77, 8 << 8 }, { "10.0.0.4", "10.0.0.1", 77, 0 },
	  IPPROTO_ICMP, 0, 0, 0, 0, 0 },
	{ "gre      47 99 src=10.0.0.1 dst=10.0.0.4 srckey=0x10 dstkey=0xffff [UNREPLIED] src=10.0.0.4 dst=10.0.0.1 srckey=0xffff dstkey=0x10 mark=0 use=1\n",
	  { "10.0.0.1", "10.0.0.4", 0x10, 0xffff }, { "10.0.0.4", "10.0.0.1", 0xffff, 0x10 },
	  IPPROTO_GRE, 0, 0, 0, 0, 0 },
	{ "unknown  50 99 src=10.0.0.1 dst=10.0.0.4 [UNREPLIED] src=10.0.0.4 dst=10.0.0.1 mark=0 use=1\n",
	  { "10.0.0.1", "10.0.0.4", 0, 0 }, { "10.0.0.4", "10.0.0.1", 0, 0 },
	  IPPROTO_ESP, 0, 0, 0, 0, 0 },
	{ "ipv4     2 tcp      6 99 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1000 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=80 dport=1000 [ASSURED] mark=5 use=1 id=3633157728\n",
	  { "10.0.0.1", "10.0.0.2", 1000, 80 }, { "10.0.0.2", "10.0.0.1", 80, 1000 },
	  IPPROTO_TCP, XCT_TCP_ESTABLISHED, ASSURED, 5, 0, XCT_OUTPUT_EXTENDED | XCT_OUTPUT_ID },
	{ "sctp     132 99 SHUTDOWN_ACK_SENT src=10.0.0.1 dst=10.0.0.5 sport=36412 dport=9 src=10.0.0.5 dst=10.0.0.1 sport=9 dport=36412 [ASSURED] mark=0 use=1\n",
	  { "10.0.0.1", "10.0.0.5", 36412, 9 }, { "10.0.0.5", "10.0.0.1", 9, 36412 },
	  IPPROTO_SCTP, XCT_SCTP_SHUTDOWN_ACK_SENT, ASSURED, 0, 0, 0 },
	{ "ipv6     10 icmpv6   58 99 src=fd00::1 dst=fd00::4 type=128 code=0 id=77 [UNREPLIED] src=fd00::4 dst=fd00::1 type=129 code=0 id=77 mark=0 use=1\n",
	  { "fd00::1", "fd00::4", 77, 128 << 8 }, { "fd00::4", "fd00::1", 77, 129 << 8 },
	  IPPROTO_ICMPV6, 0, 0, 0, 0, XCT_OUTPUT_EXTENDED },
};
/* clang-format on */

static void a_line_is_as_conntrack_prints_it(void **state)
{
	struct xct_flow_info info;
	char line[XCT_LINE_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(line_rows); i++) {
		set_info(&info, &line_rows[i]);
		*xct_line_put(line, &info, line_rows[i].outputs, XCT_LINE_ENTRY,
			      NULL) = '\0';
		assert_string_equal(line, line_rows[i].line);
	}
}

static void counters_follow_each_tuple(void **state)
{
	struct xct_flow_info info;
	char line[XCT_LINE_MAX + 1];

	(void)state;
	set_info(&info, &line_rows[3]);
	info.has_counters = true;
	info.packets[XCT_DIR_ORIG] = 3;
	info.bytes[XCT_DIR_ORIG] = UINT64_MAX;
	*xct_line_put(line, &info, 0, XCT_LINE_ENTRY, NULL) = '\0';
	assert_string_equal(
		line,
		"udp      17 99 src=10.0.0.1 dst=10.0.0.3 sport=1001 dport=53 "
		"packets=3 bytes=18446744073709551615 [UNREPLIED] src=10.0.0.3 "
		"dst=192.0.2.1 sport=53 dport=1001 packets=0 bytes=0 mark=0 "
		"use=1\n");
}

/* The longest values everywhere: nothing may be longer than promised. */
static void the_longest_flow_fits(void **state)
{
	const char *longest = "1234:1234:1234:1234:1234:1234:1234:1234";
	const struct line_row row = {
		.orig = { longest, longest, 65535, 65535 },
		.reply = { longest, longest, 65535, 65535 },
		.proto = IPPROTO_TCP,
		.state = XCT_TCP_ESTABLISHED,
		.status = UINT32_MAX & ~(uint32_t)XCT_STATUS_SEEN_REPLY,
		.mark = UINT32_MAX,
		.zone = UINT16_MAX,
	};
	char buf[XCT_JSON_FLOW_MAX + XCT_LINE_MAX];
	struct xct_flow_info info;

	(void)state;
	set_info(&info, &row);
	info.has_counters = true;
	info.id = info.age_ms = UINT64_MAX;
	info.timeout_s = UINT32_MAX;
	info.has_timestamps = true;
	info.start_ms = UINT64_MAX / 2; /* the age overflows */
	info.tuple[XCT_DIR_REPLY].zone--;
	memset(info.packets, 0xff, sizeof(info.packets));
	memset(info.bytes, 0xff, sizeof(info.bytes));
	assert_true(xct_line_put(buf, &info,
				 XCT_OUTPUT_EXTENDED | XCT_OUTPUT_ID |
					 XCT_OUTPUT_KTIMESTAMP,
				 XCT_LINE_ENTRY, NULL) < buf + XCT_LINE_MAX);
	assert_true(xct_save_put(buf, &info, 'A', XCT_LINE_ENTRY) <
		    buf + XCT_LINE_MAX);
	assert_true(xct_xml_put(buf, &info, NULL, NULL, XCT_LINE_ENTRY, NULL) <
		    buf + XCT_LINE_MAX);
	assert_true(xct_json_put_flow(buf, &info, NULL) <
		    buf + XCT_JSON_FLOW_MAX - 8); /* and a separator */
}

static void an_address_is_as_inet_ntop_prints_it(void **state)
{
	static const char *const texts[] = {
		"::",
		"::1",
		"1::",
		"::ffff:1.2.3.4",
		"::1.2.3.4",
		"::ffff:0:102:304",
		"1:0:0:2::3",
		"1::2:0:0:3:4",
		"0:1::",
		"fe80::1:0",
		"2001:db8:0:1::1",
		"1:2:3:4:5:6:7:8",
		"0:0:1::",
		"::1:0:0:0",
		"1:0:2:3:4:5:6:7",
	};
	char want[XCT_ADDRSTRLEN], got[XCT_ADDRSTRLEN + 1];
	struct xct_addr addr;
	size_t i, j;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(texts); i++) {
		assert_int_equal(inet_pton(AF_INET6, texts[i], addr.b), 1);
		assert_non_null(
			inet_ntop(AF_INET6, addr.b, want, sizeof(want)));
		*xct_put_addr(got, AF_INET6, &addr) = '\0';
		assert_string_equal(got, want);
	}
	srand(1);
	for (i = 0; i < 100000; i++) {
		/* Mostly zero bytes, for runs of all kinds. */
		for (j = 0; j < sizeof(addr.b); j++)
			addr.b[j] = rand() % 3 ? 0 : (uint8_t)rand();
		assert_non_null(
			inet_ntop(AF_INET6, addr.b, want, sizeof(want)));
		*xct_put_addr(got, AF_INET6, &addr) = '\0';
		assert_string_equal(got, want);
		assert_non_null(inet_ntop(AF_INET, addr.b, want, sizeof(want)));
		*xct_put_addr(got, AF_INET, &addr) = '\0';
		assert_string_equal(got, want);
	}
}

static void a_flow_is_valid_json_in_a_fixed_order(void **state)
{
	static const char *const order[] = {
		"id",	 "family", "proto",	 "proto_num", "timeout",
		"state", "orig",   "reply",	 "status",    "mark",
		"zone",	 "age_ms", "zone_reply", "start_ms",  "labels",
	};
	char text[XCT_JSON_FLOW_MAX + 1];
	struct xct_flow_info info;
	json_t *json, *value;
	const char *key;
	size_t i = 0;

	(void)state;
	set_info(&info, &line_rows[0]);
	*xct_json_put_flow(text, &info, NULL) = '\0';
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	json_object_foreach(json, key, value)
		assert_string_equal(key, order[i++]);
	assert_int_equal(i, XCT_ARRAY_SIZE(order));
	assert_string_equal(xct_json_text(json, "proto"), "tcp");
	assert_int_equal(xct_json_number(json, "mark"), 5);
	value = json_object_get(json, "orig");
	assert_string_equal(xct_json_text(value, "src"), "10.0.0.1");
	assert_int_equal(xct_json_number(value, "dport"), 80);
	assert_null(json_object_get(value, "packets"));
	value = json_object_get(json, "status");
	assert_int_equal(json_array_size(value), 3);
	json_decref(json);

	for (i = 0; i < XCT_ARRAY_SIZE(line_rows); i++) {
		set_info(&info, &line_rows[i]);
		info.has_counters = true;
		*xct_json_put_flow(text, &info, NULL) = '\0';
		json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(json);
		json_decref(json);
	}
}

static const struct xct_query_rules any_rules = {
	.options = XCT_OPTION_BITS_ALL,
	.outputs = UINT16_MAX,
};
static const struct xct_query_rules get_rules = {
	.options = XCT_OPTION_BITS_ALL & ~XCT_OPTION_BIT(MARK),
	.outputs = UINT16_MAX,
	.kind = XCT_QUERY_GET,
};

/* Parse @options, split at blanks. */
static int parse(struct xct_query *query, const struct xct_query_rules *rules,
		 const char *options)
{
	char *words = strdup(options), *word, *save = NULL;
	char name[] = "xctctl";
	char *argv[64] = { name };
	int argc = 1, ret;

	assert_non_null(words);
	for (word = strtok_r(words, " ", &save); word;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	ret = xct_query_parse(query, rules, argc, argv);
	if (ret > 0)
		ret = argc - ret; /* words left */
	free(words);
	return ret;
}

/* clang-format off */
static const struct {
	const char *options;
	const char *error;
} bad_options[] = {
	/* conntrack's own words */
	{ "--bogus", "unknown option `--bogus'" },
	{ "-X", "unknown option `-X'" },
	{ "-s", "option `-s' requires an argument" },
	{ "-p tcp --sport", "option `--sport' requires an argument" },
	{ "-s bogus", "Invalid IP address `bogus'" },
	{ "-s 10.0.0.1 -d fd00::1", "mismatched address family" },
	{ "-f ipv6 -s 10.0.0.1", "mismatched address family" },
	{ "-f foo", "`foo' unsupported protocol" },
	{ "-p foo", "`foo' unsupported protocol" },
	{ "-p 300", "`300' unsupported protocol" },
	{ "-p tcp --state FOO", "unknown TCP state `FOO'" },
	{ "-u FOO", "Bad parameter `FOO'" },
	{ "-u ASSURED,FOO", "Bad parameter `FOO'" },
	{ "-n :40000", "Invalid IP address `'" },
	{ "-n -j", "cannot specify `--src-nat' or `--dst-nat' with `--any-nat'" },
	{ "--mask-src 255.0.0.0", "Can't use --mask-src without --src" },
	/* where xctctl is stricter, or differs */
	{ "--sport 80", "option `--sport' needs `-p tcp, udp, udplite, sctp or dccp'" },
	{ "-p gre --sport 80", "option `--sport' needs `-p tcp, udp, udplite, sctp or dccp'" },
	{ "-p sctp --state TIME_WAIT", "unknown SCTP state `TIME_WAIT'" },
	{ "-p sctp --state LISTEN", "unknown SCTP state `LISTEN'" },
	{ "-p udp --state CLOSE", "option `--state' needs `-p tcp, sctp or dccp'" },
	{ "-p icmpv6 --icmp-type 8", "option `--icmp-type' needs `-p icmp'" },
	{ "-p tcp --sport 99999", "Invalid port `99999'" },
	{ "-p tcp --sport -1", "Invalid port `-1'" },
	{ "-p tcp --sport 80x", "Invalid port `80x'" },
	{ "-p icmp --icmp-type 256", "Invalid ICMP type or code `256'" },
	{ "-m foo", "Invalid mark `foo'" },
	{ "-m 4294967296", "Invalid mark `4294967296'" },
	{ "-m 1/", "Invalid mark `1/'" },
	{ "-m 11111111111111111111111111111", "Invalid mark `11111111111111111111111111111'" },
	{ "-w 65536", "Invalid zone `65536'" },
	{ "-s 10.0.0.1/33", "Invalid IP address `10.0.0.1/33'" },
	{ "-s ::1 --mask-src 255.0.255.0", "mismatched address family" },
	{ "-l no,such", "unknown label 'no'" },
	{ "--label-add no", "unknown label 'no'" },
	{ "-z -p tcp", "Can't use -z with filtering parameters" },
	{ "-p tcp --role client", "option `--role' needs `-p dccp'" },
	{ "-p dccp --state LISTEN", "Unknown DCCP state `LISTEN'" },
	{ "-p udp --srckey 4", "option `--srckey' needs `-p gre'" },
	{ "-p tcp --orig-vtag 4", "option `--orig-vtag' needs `-p sctp'" },
	{ "-u !FOO", "Bad parameter `!FOO'" },
	{ "-n [fd00::1", "Invalid IP address `[fd00::1'" },
	{ "-o yaml", "Bad parameter `yaml': the output is plain, extended, id, ktimestamp, timestamp, seq, labels, save, xml, json or ndjson" },
	{ "-o json,ndjson", "json, ndjson and xml exclude each other" },
}, bad_tuples[] = {
	{ "", "You need to supply the `--protonum' option for this command" },
	{ "-p tcp", "you have to specify `--src' and `--dst'" },
	{ "-p tcp -s 10.0.0.1", "you have to specify `--src' and `--dst'" },
	{ "-p tcp -s 10.0.0.1 -d 10.0.0.2", "you have to specify `--sport' and `--dport'" },
	{ "-p tcp -m 5", "Illegal option `--mark' with this command" },
};
/* clang-format on */

static void wrong_options_are_named(void **state)
{
	struct xct_query query;
	size_t i;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(bad_options); i++) {
		assert_int_equal(
			parse(&query, &any_rules, bad_options[i].options),
			-EINVAL);
		assert_string_equal(query.error, bad_options[i].error);
	}
}

static void get_needs_a_whole_tuple(void **state)
{
	struct xct_query query;
	size_t i;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(bad_tuples); i++) {
		assert_int_equal(
			parse(&query, &get_rules, bad_tuples[i].options),
			-EINVAL);
		assert_string_equal(query.error, bad_tuples[i].error);
	}
	assert_int_equal(parse(&query, &get_rules, "-i 7"), 0);
	assert_int_equal(parse(&query, &get_rules,
			       "-p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1 "
			       "--dport 2"),
			 0);
	assert_int_equal(parse(&query, &get_rules,
			       "-p icmp -s 10.0.0.1 -d 10.0.0.2 --icmp-type 8 "
			       "--icmp-code 0 --icmp-id 7"),
			 0);
	assert_int_equal(
		parse(&query, &get_rules, "-p 50 -s 10.0.0.1 -d 10.0.0.2"), 0);
}

/* Rows of line_rows that each filter matches in real conntrack, as bits. */
/* clang-format off */
static const struct {
	const char *options;
	unsigned int rows;
} filter_rows[] = {
	{ "", 0x1fff },
	{ "-f ipv6", 0x1010 },
	{ "-s 10.0.0.0/8", 0xfef },
	{ "-s 10.0.0.1/8 -p gre", 0x100 },
	{ "-s 10.0.0.1 --mask-src 255.255.0.0", 0xfeb },
	{ "-d 10.0.0.4", 0x3e0 },
	{ "-r 203.0.113.250", 0x004 },
	{ "--reply-dst 192.0.2.1", 0x008 },
	{ "-p tcp", 0x407 },
	{ "--protonum 6", 0x407 },
	{ "-p TCP --sport 1000", 0x401 },
	{ "--dport 80 -p tcp", 0x403 },
	{ "-p tcp --reply-port-src 65535", 0x004 },
	{ "-p tcp --orig-port-dst 80 --reply-port-dst 1001", 0x002 },
	{ "-p tcp --state SYN_RECV", 0x002 },
	{ "-p tcp --state CLOSE_WAIT", 0x000 },
	{ "--state shutdown_ack_sent -p sctp", 0x800 },
	{ "-p sctp --state CLOSED", 0x000 },
	{ "-p esp", 0x200 },
	{ "-p icmp --icmp-type 8 --icmp-code 0 --icmp-id 77", 0x080 },
	{ "-p icmpv6 --icmpv6-id 77", 0x1000 },
	{ "-u ASSURED", 0xc05 },
	{ "-u seen_reply", 0xc07 },
	{ "-u ASSURED,SEEN_REPLY", 0xc05 },
	{ "-u UNREPLIED", 0x13f8 },
	{ "-u UNSET", 0x13f8 },
	{ "-u !SEEN_REPLY", 0x13f8 },
	{ "-u EXPECTED", 0x000 },
	{ "-m 5", 0x403 },
	{ "-m 0x5/0xff", 0x403 },
	{ "-m 1/1", 0x407 },
	{ "-m 5/1", 0x000 },
	{ "-w 0", 0x1fef },
	{ "-w 7", 0x010 },
	{ "-n", 0x00c },
	{ "-n -p udp", 0x008 },
	{ "-n 192.0.2.1", 0x008 },
	{ "--src-nat 198.51.100.7 -g", 0x004 },
	{ "--src-nat=192.0.2.1", 0x008 },
	{ "-g 203.0.113.250:65535", 0x004 },
	{ "-g 203.0.113.250:65534", 0x000 },
	{ "-n [fd00::1]:80", 0x000 },
	{ "-j", 0x00c },
	{ "-i 3633157728", 0x1fff },
	{ "--id 1", 0x000 },
};
/* clang-format on */

static void a_filter_matches_what_conntrack_shows(void **state)
{
	struct xct_flow_info info;
	struct xct_query query;
	unsigned int rows;
	size_t i, j;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(filter_rows); i++) {
		assert_int_equal(
			parse(&query, &any_rules, filter_rows[i].options), 0);
		rows = 0;
		for (j = 0; j < XCT_ARRAY_SIZE(line_rows); j++) {
			set_info(&info, &line_rows[j]);
			if (xct_flow_filter_match(&query.filter, &info))
				rows |= 1u << j;
		}
		if (rows != filter_rows[i].rows)
			print_error("%s\n", filter_rows[i].options);
		assert_int_equal(rows, filter_rows[i].rows);
	}
}

static void any_nat_offers_both_sides(void **state)
{
	struct xct_query query;

	(void)state;
	assert_int_equal(parse(&query, &any_rules, "-j 192.0.2.1"), 0);
	assert_int_equal(query.filter.fields,
			 XCT_FILTER_FAMILY | XCT_FILTER_ANY_NAT |
				 XCT_FILTER_SRC_NAT_IP | XCT_FILTER_DST_NAT_IP);
	assert_memory_equal(&query.filter.nat_src.first,
			    &query.filter.nat_dst.first,
			    sizeof(query.filter.nat_src.first));
	assert_int_equal(parse(&query, &any_rules, "-j [fd00::1]:80"), 0);
	assert_int_equal(query.filter.nat_sport, xct_hton16(80));
	assert_int_equal(query.filter.nat_dport, xct_hton16(80));
}

static void outputs_may_be_combined(void **state)
{
	struct xct_query query;

	(void)state;
	assert_int_equal(parse(&query, &any_rules, "-o id,extended"), 0);
	assert_int_equal(query.outputs, XCT_OUTPUT_ID | XCT_OUTPUT_EXTENDED);
	assert_int_equal(parse(&query, &any_rules, "-o id -o JSON word"), 1);
	assert_int_equal(query.outputs, XCT_OUTPUT_ID | XCT_OUTPUT_JSON);
}

static const struct xct_query_rules create_rules = {
	.options = XCT_OPTION_BITS_ALL,
	.kind = XCT_QUERY_CREATE,
};
static const struct xct_query_rules update_rules = {
	.options = XCT_OPTION_BITS_ALL,
	.outputs = UINT16_MAX,
	.kind = XCT_QUERY_UPDATE,
};

#define UDP "-s 10.0.0.1 -d 10.0.0.2 -t 9 -p udp --sport 1 --dport 2 "

/* What conntrack says, and what it ends with: of usage, or of a request. */
/* clang-format off */
static const struct {
	const char *options;
	const char *error;
} bad_flows[] = {
	{ "-t 9 -s 10.0.0.1 -d 10.0.0.2", "You need to supply the `--protonum' option for this command" },
	{ "-p udp -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2", "You need to supply the `--timeout' option for this command" },
	{ "-p udp -t 9 -s 10.0.0.1 --sport 1 --dport 2", "you have to specify `--src' and `--dst'" },
	{ "-p udp -t 9 -s 10.0.0.1 -d 10.0.0.2 --sport 1", "you have to specify `--sport' and `--dport'" },
	{ "-p tcp -t 9 -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2", "You need to supply the `--state' option for this command" },
	{ "-p icmp -t 9 -s 10.0.0.1 -d 10.0.0.2 --icmp-type 8", "You need to supply the `--icmp-code' option for this command" },
	{ "-p gre -t 9 -s 10.0.0.1 -d 10.0.0.2", "you have to specify `--srckey' and `--dstkey'" },
	{ "-p sctp -t 9 -s 10.0.0.1 -d 10.0.0.2 --sport 1 --dport 2 --state CLOSED --orig-vtag 5", "You need to supply the `--reply-vtag' option for this command" },
	{ UDP "-d 10.0.0.0/24", "Illegal option `--mask-dst' with this command" },
	{ UDP "-n 192.0.2.0/24", "CIDR notation unavailable for `--src-nat'" },
	{ UDP "-n 192.0.2.1:80-90", "Invalid port `80-90'" },
	{ UDP "-u FOO", "Bad parameter `FOO'" },
	{ UDP "-u CONFIRMED", "Bad parameter `CONFIRMED'" },
	{ UDP "-u DYING", "Bad parameter `DYING'" },
	{ UDP "-t x", "Invalid timeout `x'" },
};
/* clang-format on */

static void a_new_flow_must_be_whole(void **state)
{
	struct xct_query query;

	(void)state;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(bad_flows); i++) {
		assert_int_equal(
			parse(&query, &create_rules, bad_flows[i].options),
			-EINVAL);
		assert_string_equal(query.error, bad_flows[i].error);
	}
}

static void a_new_flow_is_what_the_options_say(void **state)
{
	const struct xct_flow_create *create;
	struct xct_query query;

	(void)state;
	assert_int_equal(parse(&query, &create_rules,
			       UDP "-n 192.0.2.1:7 -m 5/6 -w 3 --reply-zone 4 "
				   "-u ASSURED,!SEEN_REPLY,OFFLOAD"),
			 0);
	create = &query.create;
	assert_int_equal(create->fields,
			 XCT_CREATE_SRC_NAT | XCT_CREATE_SRC_NAT_PORT);
	assert_int_equal(create->nat_sport, xct_hton16(7));
	assert_int_equal(create->tuple[XCT_DIR_ORIG].dport, xct_hton16(2));
	assert_int_equal(create->tuple[XCT_DIR_ORIG].zone, 3);
	assert_int_equal(create->tuple[XCT_DIR_REPLY].zone, 4);
	assert_int_equal(create->change.timeout_s, 9);
	assert_int_equal(create->change.mark, 5);
	assert_int_equal(create->change.status, XCT_STATUS_ASSURED);
	assert_int_equal(parse(&query, &create_rules,
			       "-t 9 -p gre -s ::1 -d ::2 --srckey 1 "
			       "--dstkey 0x10"),
			 0);
	assert_int_equal(query.create.tuple[0].gre_dstkey, xct_hton16(16));
	/* As a kernel without a tracker for it lists it. */
	assert_int_equal(parse(&query, &create_rules,
			       "-t 9 -p dccp -s ::1 -d ::2 -r ::2 -q ::1"),
			 0);
	assert_false(query.is_reply_partial);
	assert_int_equal(parse(&query, &create_rules, UDP "-r 10.0.0.2"), 0);
	assert_true(query.is_reply_partial);
	assert_int_equal(
		parse(&query, &create_rules, UDP "-r 10.0.0.2 -q 10.0.0.9"), 0);
	assert_true(query.is_reply_partial);
}

static void an_update_does_not_filter_by_what_it_changes(void **state)
{
	struct xct_query query;

	(void)state;
	assert_int_equal(parse(&query, &update_rules,
			       "-p tcp --state CLOSE -m 1/3 -u ASSURED -t 7 "
			       "--dport 80"),
			 0);
	assert_int_equal(query.filter.fields,
			 XCT_FILTER_PROTO | XCT_FILTER_ORIG_DPORT);
	assert_int_equal(query.change.fields,
			 XCT_CHANGE_STATE | XCT_CHANGE_MARK |
				 XCT_CHANGE_STATUS | XCT_CHANGE_TIMEOUT);
	assert_int_equal(query.change.mark_mask, 3);
}

/* Lines that conntrack 1.4.7 printed, but for states of SCTP in XML, for which
 * it has TCP's names. */
/* clang-format off */
static const struct {
	const char *save;
	const char *xml;
	struct line_row row;
} other_rows[] = {
	{ "-A -t 99 -u SEEN_REPLY,ASSURED,FIXED_TIMEOUT -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -n 9.9.9.9 -p udp --sport 14 --dport 20 --reply-port-src 20 --reply-port-dst 14\n",
	  "<flow><meta direction=\"original\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>1.1.1.1</src><dst>2.2.2.2</dst></layer3><layer4 protonum=\"17\" protoname=\"udp\"><sport>14</sport><dport>20</dport></layer4></meta><meta direction=\"reply\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>2.2.2.2</src><dst>9.9.9.9</dst></layer3><layer4 protonum=\"17\" protoname=\"udp\"><sport>20</sport><dport>14</dport></layer4></meta><meta direction=\"independent\"><timeout>99</timeout><mark>7</mark><zone>9</zone><use>1</use><id>3633157728</id><assured/></meta></flow>\n",
	  { .orig = { "1.1.1.1", "2.2.2.2", 14, 20 }, .reply = { "2.2.2.2", "9.9.9.9", 20, 14 }, .proto = IPPROTO_UDP, .status = ASSURED | XCT_STATUS_FIXED_TIMEOUT, .mark = 7, .zone = 9 } },
	{ "-A -t 99 -u UNSET -s 1::1 -d 2::2 -g 3::3 -n 4::4 -p tcp --sport 18 --dport 20 --reply-port-src 55 --reply-port-dst 18 --state SYN_SENT\n",
	  "<flow><meta direction=\"original\"><layer3 protonum=\"10\" protoname=\"ipv6\"><src>1::1</src><dst>2::2</dst></layer3><layer4 protonum=\"6\" protoname=\"tcp\"><sport>18</sport><dport>20</dport></layer4></meta><meta direction=\"reply\"><layer3 protonum=\"10\" protoname=\"ipv6\"><src>3::3</src><dst>4::4</dst></layer3><layer4 protonum=\"6\" protoname=\"tcp\"><sport>55</sport><dport>18</dport></layer4></meta><meta direction=\"independent\"><state>SYN_SENT</state><timeout>99</timeout><mark>0</mark><use>1</use><id>3633157728</id><unreplied/></meta></flow>\n",
	  { .orig = { "1::1", "2::2", 18, 20 }, .reply = { "3::3", "4::4", 55, 18 }, .proto = IPPROTO_TCP, .state = XCT_TCP_SYN_SENT } },
	{ "-A -t 99 -u UNSET -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p gre --srckey 77 --dstkey 16 --reply-key-src 16 --reply-key-dst 77\n",
	  "<flow><meta direction=\"original\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>1.1.1.1</src><dst>2.2.2.2</dst></layer3><layer4 protonum=\"47\" protoname=\"gre\"><srckey>0x4d</srckey><dstkey>0x10</dstkey></layer4></meta><meta direction=\"reply\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>2.2.2.2</src><dst>1.1.1.1</dst></layer3><layer4 protonum=\"47\" protoname=\"gre\"><srckey>0x10</srckey><dstkey>0x4d</dstkey></layer4></meta><meta direction=\"independent\"><timeout>99</timeout><mark>0</mark><use>1</use><id>3633157728</id><unreplied/></meta></flow>\n",
	  { .orig = { "1.1.1.1", "2.2.2.2", 77, 16 }, .reply = { "2.2.2.2", "1.1.1.1", 16, 77 }, .proto = IPPROTO_GRE } },
	{ "-A -t 99 -u UNSET -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -q 1.1.1.1 -p 50\n",
	  "<flow><meta direction=\"original\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>1.1.1.1</src><dst>2.2.2.2</dst></layer3><layer4 protonum=\"50\" protoname=\"unknown\"></layer4></meta><meta direction=\"reply\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>2.2.2.2</src><dst>1.1.1.1</dst></layer3><layer4 protonum=\"50\" protoname=\"unknown\"></layer4></meta><meta direction=\"independent\"><timeout>99</timeout><mark>0</mark><use>1</use><id>3633157728</id><unreplied/></meta></flow>\n",
	  { .orig = { "1.1.1.1", "2.2.2.2", 0, 0 }, .reply = { "2.2.2.2", "1.1.1.1", 0, 0 }, .proto = IPPROTO_ESP } },
	{ "-A -t 99 -u UNSET -s 1::1 -d 2::2 -r 2::2 -q 1::1 -p icmpv6 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 99\n",
	  "<flow><meta direction=\"original\"><layer3 protonum=\"10\" protoname=\"ipv6\"><src>1::1</src><dst>2::2</dst></layer3><layer4 protonum=\"58\" protoname=\"icmpv6\"></layer4></meta><meta direction=\"reply\"><layer3 protonum=\"10\" protoname=\"ipv6\"><src>2::2</src><dst>1::1</dst></layer3><layer4 protonum=\"58\" protoname=\"icmpv6\"></layer4></meta><meta direction=\"independent\"><timeout>99</timeout><mark>0</mark><use>1</use><id>3633157728</id><unreplied/></meta></flow>\n",
	  { .orig = { "1::1", "2::2", 99, 128 << 8 }, .reply = { "2::2", "1::1", 99, 129 << 8 }, .proto = IPPROTO_ICMPV6 } },
};
/* clang-format on */

static void other_formats_are_as_conntrack_prints_them(void **state)
{
	struct xct_flow_info info;
	char line[XCT_LINE_MAX + 1];
	const char *zone;

	(void)state;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(other_rows); i++) {
		set_info(&info, &other_rows[i].row);
		*xct_xml_put(line, &info, NULL, NULL, XCT_LINE_ENTRY, NULL) =
			'\0';
		assert_string_equal(line, other_rows[i].xml);
		*xct_save_put(line, &info, 'A', XCT_LINE_ENTRY) = '\0';
		zone = strstr(line, "-w 9 ");
		assert_int_equal(zone != NULL, other_rows[i].row.zone == 9);
		if (zone) /* the rest is the same */
			memmove(strstr(line, "-w 9 "), zone + 5,
				strlen(zone + 5) + 1);
		assert_string_equal(line, other_rows[i].save);
	}
}

/* With timestamps, zones of their own for both directions, in a place whose
 * time is not that of Greenwich. */
static void times_and_zones_stand_where_conntrack_has_them(void **state)
{
	struct xct_flow_info info;
	char line[XCT_LINE_MAX + 1];

	(void)state;
	assert_int_equal(setenv("TZ", "XYZ-1", 1), 0);
	tzset();
	set_info(&info, &line_rows[3]);
	info.tuple[XCT_DIR_ORIG].zone = 4;
	info.tuple[XCT_DIR_REPLY].zone = 5;
	info.has_timestamps = true;
	info.start_ms = 1793925776999; /* Nov 6 00:42:56 2026 UTC */
	info.age_ms = 2;
	*xct_line_put(line, &info, XCT_OUTPUT_KTIMESTAMP, XCT_LINE_ENTRY,
		      NULL) = '\0';
	assert_string_equal(
		line, "udp      17 99 src=10.0.0.1 dst=10.0.0.3 sport=1001 "
		      "dport=53 zone-orig=4 [UNREPLIED] src=10.0.0.3 "
		      "dst=192.0.2.1 sport=53 dport=1001 zone-reply=5 mark=0 "
		      "delta-time=1 [start=Fri Nov  6 01:42:56 2026] use=1\n");
	info.tuple[XCT_DIR_REPLY].zone = 4;
	*xct_line_put(line, &info, 0, XCT_LINE_ENTRY, NULL) = '\0';
	assert_non_null(strstr(line, "dport=1001 mark=0 zone=4 delta-time=1 "
				     "use=1\n"));
}

/* Of a connection and what it announced, as conntrack 1.4.7 prints them. */
static void helpers_and_expectations_are_as_conntrack_has_them(void **state)
{
	static const struct end master = { "10.0.0.2", "198.51.100.9", 41000,
					   21 };
	static const struct end data = { "198.51.100.9", "10.0.0.2", 0, 51210 };
	struct xct_expect_info info = { .timeout_s = 297,
					.helper = XCT_HELPER_FTP };
	char line[XCT_EXPECT_MAX_LEN + 1];
	struct xct_flow_info flow;

	(void)state;
	set_tuple(&info.tuple, &data, IPPROTO_TCP);
	set_tuple(&info.master, &master, IPPROTO_TCP);
	*xct_expect_put_line(line, &info) = '\0';
	assert_string_equal(line,
			    "297 proto=6 src=198.51.100.9 dst=10.0.0.2 sport=0 "
			    "dport=51210 mask-src=255.255.255.255 "
			    "mask-dst=255.255.255.255 sport=0 dport=65535 "
			    "master-src=10.0.0.2 master-dst=198.51.100.9 "
			    "sport=41000 dport=21 class=0 helper=ftp\n");
	assert_in_range(xct_expect_put_xml(line, &info, "new") - line, 1,
			XCT_EXPECT_MAX_LEN);
	assert_in_range(xct_expect_put_json(line, &info) - line, 1,
			XCT_EXPECT_MAX_LEN);

	set_info(&flow, &line_rows[0]);
	flow.helper = XCT_HELPER_FTP;
	*xct_line_put(line, &flow, 0, XCT_LINE_ENTRY, NULL) = '\0';
	assert_non_null(strstr(line, " [ASSURED] mark=5 helper=ftp use=1\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_as_conntrack_prints_it),
		cmocka_unit_test(counters_follow_each_tuple),
		cmocka_unit_test(the_longest_flow_fits),
		cmocka_unit_test(an_address_is_as_inet_ntop_prints_it),
		cmocka_unit_test(a_flow_is_valid_json_in_a_fixed_order),
		cmocka_unit_test(wrong_options_are_named),
		cmocka_unit_test(get_needs_a_whole_tuple),
		cmocka_unit_test(a_filter_matches_what_conntrack_shows),
		cmocka_unit_test(any_nat_offers_both_sides),
		cmocka_unit_test(outputs_may_be_combined),
		cmocka_unit_test(a_new_flow_must_be_whole),
		cmocka_unit_test(a_new_flow_is_what_the_options_say),
		cmocka_unit_test(an_update_does_not_filter_by_what_it_changes),
		cmocka_unit_test(other_formats_are_as_conntrack_prints_them),
		cmocka_unit_test(
			times_and_zones_stand_where_conntrack_has_them),
		cmocka_unit_test(
			helpers_and_expectations_are_as_conntrack_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
