/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is refused in rules.yaml: every kind of error with its exact position
 * and words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/config.h"

/* A text, and all that is said about it. */
struct row {
	const char *text;
	const char *messages;
};

static void check_row(const struct row *row)
{
	struct xct_messages messages;
	struct xct_config *config;
	const char *said;

	config = xct_config_parse("f", row->text, strlen(row->text), &messages);
	said = messages.text ? messages.text : "";
	if (strcmp(said, row->messages) != 0)
		fail_msg("for:\n%s\nexpected:\n%sfound:\n%s", row->text,
			 row->messages, said);
	assert_int_equal(messages.len, strlen(said));
	assert_int_equal(config != NULL, messages.errors == 0);
	xct_messages_fini(&messages);
	xct_config_free(config);
}

#define CHECK_ROWS(rows)                                             \
	do {                                                         \
		for (size_t i_ = 0; i_ < XCT_ARRAY_SIZE(rows); i_++) \
			check_row(&(rows)[i_]);                      \
	} while (0)

/* clang-format off */

static void yaml_that_is_none(void **state)
{
	static const struct row rows[] = {
		{ "nat: [\n",
		  "f:2:1: error: did not find expected node content, while "
		  "parsing a flow node that began in line 2\n" },
		{ "a: b\n  c: d\n",
		  "f:2:4: error: mapping values are not allowed in this "
		  "context\n" },
		{ "filter:\n\tinput: {}\n",
		  "f:2:1: error: found character that cannot start any token, "
		  "while scanning for the next token that began in line 2; "
		  "indent with blanks, not tabs\n" },
		{ "nat:\n  - {in: *}\n",
		  "f:2:11: error: did not find expected alphabetic or numeric "
		  "character, while scanning an alias that began in line 2; "
		  "a \"*\" must stand in quotes\n" },
		{ "nat: @x\n",
		  "f:1:6: error: found character that cannot start any token, "
		  "while scanning for the next token that began in line 1; "
		  "such text must stand in quotes\n" },
		{ "nat:\n  - \xc3\xa4\xff\n",
		  "f:2:6: error: invalid leading UTF-8 octet; expected UTF-8 "
		  "text\n" },
		{ "nat: \x01\n",
		  "f:1:6: error: control characters are not allowed; expected "
		  "UTF-8 text\n" },
		{ "nat: []\n---\nnat: []\n",
		  "f:2:1: error: a second YAML document begins; expected one "
		  "only\n" },
		{ "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]\n",
		  "f:1:17: error: nested too deeply; expected at most 16 "
		  "levels\n" },
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void yaml_that_is_not_wanted(void **state)
{
	static const struct row rows[] = {
		{ "hooks: auto\nnat: []\nhooks: auto\nhooks: auto\n",
		  "f:3:1: error: key \"hooks\" given twice; first in line 1\n"
		  "f:4:1: error: key \"hooks\" given twice; first in line 1\n" },
		{ "nat:\n  - {src: any, exempt: yes, src: 1.1.1.1}\n",
		  "f:2:29: error: key \"src\" given twice; first in line 2\n" },
		/* The first stays; what the others say is not looked at. */
		{ "nat:\n  - {exempt: yes, exempt: no}\nsets: {a: 1, a: x}\n",
		  "f:2:19: error: key \"exempt\" given twice; first in line 2\n"
		  "f:3:14: error: key \"a\" given twice; first in line 3\n" },
		{ "hooks: !!str auto\n",
		  "f:1:8: error: YAML tags are not supported; a \"!\" at the "
		  "beginning must stand in quotes\n" },
		{ "nat: !x []\nfilter: !y {}\n",
		  "f:1:6: error: YAML tags are not supported; a \"!\" at the "
		  "beginning must stand in quotes\n"
		  "f:2:9: error: YAML tags are not supported; a \"!\" at the "
		  "beginning must stand in quotes\n" },
		{ "hooks: &a auto\nnat: *a\n",
		  "f:1:8: error: YAML anchors are not supported; name things "
		  "under interfaces: or sets:\n"
		  "f:2:6: error: YAML aliases are not supported; a \"*\" must "
		  "stand in quotes\n" },
		{ "nat: [{in: &r [*r], exempt: yes}]\n",
		  "f:1:12: error: YAML anchors are not supported; name things "
		  "under interfaces: or sets:\n"
		  "f:1:16: error: YAML aliases are not supported; a \"*\" must "
		  "stand in quotes\n" },
		{ "? [a]\n: b\n{x: y}: z\n",
		  "f:1:3: error: a key must be a word, not a list or map\n"
		  "f:3:1: error: a key must be a word, not a list or map\n" },
		{ "nat: [{name: \"a\\0b\", exempt: yes}]\n",
		  "f:1:14: error: control character in a value; expected text "
		  "in one line\n" },
		{ "nat:\n  - exempt: yes\n    name: |\n      a\n",
		  "f:3:11: error: control character in a value; expected text "
		  "in one line\n" },
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void the_file_as_a_whole(void **state)
{
	static const struct row rows[] = {
		{ "", "f: warning: nothing in it: everything is accepted and "
		      "tracked\n" },
		{ "# nothing\n",
		  "f: warning: nothing in it: everything is accepted and "
		  "tracked\n" },
		{ "---\n", "f: warning: nothing in it: everything is accepted "
			   "and tracked\n" },
		{ "- a\n", "f:1:1: error: the file is not a map; expected "
			   "lines of the form \"key: value\"\n" },
		{ "nta: []\nrules: []\n",
		  "f:1:1: error: unknown key \"nta\" in the file; did you mean "
		  "\"nat\"?\n"
		  "f:2:1: error: unknown key \"rules\" in the file; expected "
		  "interfaces, sets, zones, nat, filter, settings, "
		  "hooks\n" },
		{ "hooks: off\n",
		  "f:1:8: error: hooks is \"off\"; expected auto or manual\n" },
		{ "hooks:\n", "f:1:7: error: hooks is empty; expected a "
			      "value\n" },
		{ "hooks: [auto]\nnat: {}\nfilter: []\n",
		  "f:1:8: error: hooks is a list; expected a single value "
		  "here\n"
		  "f:2:6: error: nat is not a list; expected lines that begin "
		  "with \"- \"\n"
		  "f:3:9: error: filter is not a map; expected lines of the "
		  "form \"key: value\"\n" },
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void zones(void **state)
{
	static const struct row rows[] = {
		{ "zones: {in: lan0, zone: 3}\n",
		  "f:1:8: error: zones is not a list; expected lines that "
		  "begin with \"- \"\n" },
		{ "zones: [{mark: 0x3/1, zone: 1}, {mark: 1/x, zone: 2}, "
		  "{src: 1.2.3, zone: 3}]\n",
		  "f:1:16: error: mark is \"0x3/1\", which no packet can "
		  "have; expected no bit that the mask has not\n"
		  "f:1:40: error: mark is \"1/x\"; expected 32 bits and "
		  "perhaps which of them count, such as 0x10 or 0x10/0xf0\n"
		  "f:1:61: error: src: \"1.2.3\" is no address, and no set "
		  "of that name; expected an address, a prefix, a range "
		  "FIRST-LAST or the name of a set\n" },
		{ "zones: [{in: lan0, zone: 65536}, {in: lan1, zone: x}]\n",
		  "f:1:26: error: zone is \"65536\"; expected a number from 0 "
		  "to 65535\n"
		  "f:1:51: error: zone is \"x\"; expected a number from 0 to "
		  "65535\n" },
		{ "zones: [{in: lan0}, {zone: 4}, {inn: lan0, zone: 5}, 7]\n",
		  "f:1:9: error: the zone has no \"zone\"; expected {in: "
		  "INTERFACES, zone: NUMBER}, with src or mark beside in or "
		  "instead of it\n"
		  "f:1:21: error: the zone has no \"in\"; expected {in: "
		  "INTERFACES, zone: NUMBER}, with src or mark beside in or "
		  "instead of it\n"
		  "f:1:32: error: the zone has no \"in\"; expected {in: "
		  "INTERFACES, zone: NUMBER}, with src or mark beside in or "
		  "instead of it\n"
		  "f:1:33: error: unknown key \"inn\" in zones; did you mean "
		  "\"in\"?\n"
		  "f:1:54: error: the zone is not a map; expected lines of "
		  "the form \"key: value\"\n" },
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void settings(void **state)
{
	static const struct row rows[] = {
		{ "settings: {table_size: 7, queue: {frist: 1}}\n",
		  "f:1:12: error: unknown key \"table_size\" in settings; did "
		  "you mean \"table-size\"?\n"
		  "f:1:35: error: unknown key \"frist\" in queue; did you mean "
		  "\"first\"?\n" },
		{ "settings: {table-size: 63}\n",
		  "f:1:24: error: table-size is \"63\"; expected a number from "
		  "64 to 67108864\n" },
		{ "settings: {table-size: 0100}\n",
		  "f:1:24: error: table-size is \"0100\"; expected a number "
		  "from 64 to 67108864 without leading zeros, which make it "
		  "octal in YAML\n" },
		{ "settings: {table-size: 4294967360}\n",
		  "f:1:24: error: table-size is \"4294967360\"; expected a "
		  "number from 64 to 67108864\n" },
		{ "settings: {table-size: -5, accounting: 1, checksum: {}}\n",
		  "f:1:24: error: table-size is \"-5\"; expected a number from "
		  "64 to 67108864\n"
		  "f:1:40: error: accounting is \"1\"; expected yes or no\n"
		  "f:1:53: error: checksum is a map; expected a single value "
		  "here\n" },
		{ "settings: {tcp: {max-retrans: 256, loose: }}\n",
		  "f:1:31: error: max-retrans is \"256\"; expected a number "
		  "from 0 to 255\n"
		  "f:1:43: error: loose is empty; expected a value\n" },
		{ "settings: {timeouts: {icmp: 500ms, icmpv6: 5x,\n"
		  "  generic: 1001d, udp: {stream: 0, unreplied: 1s1m}}}\n",
		  "f:1:29: error: icmp is \"500ms\"; expected a duration such "
		  "as 30s, 2m, 1h30m or 5d: timeouts are whole seconds\n"
		  "f:1:44: error: icmpv6 is \"5x\"; expected a duration such "
		  "as 30s, 2m, 1h30m or 5d\n"
		  "f:2:12: error: generic is \"1001d\"; expected a duration "
		  "from 1s to 1000d\n"
		  "f:2:33: error: stream is \"0\"; expected a duration from 1s "
		  "to 1000d\n"
		  "f:2:47: error: unreplied is \"1s1m\"; expected a duration "
		  "such as 30s, 2m, 1h30m or 5d\n" },
		{ "settings: {timeouts: {icmp: 99999999999999999999d,\n"
		  "  generic: 4294967295d, icmpv6: 1.5h}}\n",
		  "f:1:29: error: icmp is \"99999999999999999999d\"; expected a "
		  "duration such as 30s, 2m, 1h30m or 5d\n"
		  "f:2:12: error: generic is \"4294967295d\"; expected a "
		  "duration from 1s to 1000d\n"
		  "f:2:33: error: icmpv6 is \"1.5h\"; expected a duration such "
		  "as 30s, 2m, 1h30m or 5d\n" },
		{ "settings: {queue: {workers: many, on-failure: open}}\n",
		  "f:1:29: error: workers is \"many\"; expected auto or a "
		  "number from 1 to 256\n"
		  "f:1:47: error: on-failure is \"open\"; expected drop or "
		  "accept\n" },
		{ "settings: {queue: {first: 65535, workers: 2}}\n",
		  "f:1:19: error: 2 queues from number 65535 on; expected the "
		  "last to be at most 65535\n" },
		{ "settings: {mark-mask: 0x5}\n",
		  "f:1:23: error: mark-mask is \"0x5\"; expected exactly two "
		  "adjacent bits, such as 0x30000000\n" },
		{ "settings: {mark-mask: 0x100000003}\n",
		  "f:1:23: error: mark-mask is \"0x100000003\"; expected a "
		  "number of 32 bits such as 16 or 0x10\n" },
		{ "settings: {snapshot: flows}\n",
		  "f:1:22: error: snapshot is \"flows\"; expected an absolute "
		  "path of at most 255 bytes\n" },
		{ "settings: {control: {group: \"a b\"}}\n",
		  "f:1:29: error: group is \"a b\"; expected the name of a "
		  "group of users, at most 31 bytes\n" },
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void names_and_sets(void **state)
{
	static const struct row rows[] = {
		{ "interfaces: {\"1a\": eth0, any: eth1}\n",
		  "f:1:14: error: \"1a\" cannot be a name; expected a letter, "
		  "then letters, digits, \"-\", \"_\" or \".\", and not "
		  "\"any\"\n"
		  "f:1:26: error: \"any\" cannot be a name; expected a letter, "
		  "then letters, digits, \"-\", \"_\" or \".\", and not "
		  "\"any\"\n" },
		{ "interfaces: {lan: [a, \"v*n\", \"eth0:1\", \"!x\", \"\"]}\n",
		  "f:1:23: error: \"v*n\" is not the name of an interface; "
		  "expected at most 15 characters, \"*\" only at the end\n"
		  "f:1:30: error: \"eth0:1\" is not the name of an interface; "
		  "expected at most 15 characters, \"*\" only at the end\n"
		  "f:1:40: error: \"!x\" is not the name of an interface; "
		  "expected at most 15 characters, \"*\" only at the end "
		  "(\"not\" is said by a rule before this one)\n"
		  "f:1:46: error: lan is empty; expected a value\n" },
		{ "interfaces: {lan: a234567890123456, all: [lan], no: []}\n",
		  "f:1:19: error: \"a234567890123456\" is not the name of an "
		  "interface; expected at most 15 characters, \"*\" only at the "
		  "end\n"
		  "f:1:43: error: \"lan\" is a group itself; expected the names "
		  "of its interfaces\n"
		  "f:1:53: error: no is an empty list, which nothing matches; "
		  "expected values, or no such key\n" },
		{ "sets: {a: [10.0.0.1, 80], b: [80, a], c: {}}\n",
		  "f:1:22: error: \"80\" is in a set that began with addresses; "
		  "expected addresses only\n"
		  "f:1:35: error: \"a\" is a set, which cannot be in a set; "
		  "expected an address, a prefix, a range FIRST-LAST or a "
		  "port\n"
		  "f:1:42: error: c is a map; expected a single value here\n" },
		{ "sets: {a: [10.0.0.0/33, 10.0.0.9-10.0.0.1, host, 070]}\n",
		  "f:1:12: error: \"10.0.0.0/33\" is neither address nor port; "
		  "expected an address, a prefix, a range FIRST-LAST or a "
		  "port\n"
		  "f:1:25: error: \"10.0.0.9-10.0.0.1\" is neither address nor "
		  "port; expected an address, a prefix, a range FIRST-LAST or a "
		  "port\n"
		  "f:1:44: error: \"host\" is neither address nor port; expected "
		  "an address, a prefix, a range FIRST-LAST or a port\n"
		  "f:1:50: error: \"070\" is neither address nor port; expected "
		  "an address, a prefix, a range FIRST-LAST or a port\n" },
		{ "interfaces: {lan: a}\nsets: {s: 80, none: []}\n",
		  "f:1:14: warning: the group \"lan\" is never used\n"
		  "f:2:8: warning: the set \"s\" is never used\n"
		  "f:2:15: warning: the set \"none\" is never used\n"
		  "f:2:21: warning: the set \"none\" is empty: no connection "
		  "matches it\n" },
		{ "nat: [{src: 10.0.0.1/8, exempt: yes}]\n",
		  "f:1:13: warning: \"10.0.0.1/8\" has bits set behind the "
		  "prefix; taken as the network 10.0.0.0/8\n" },
		{ "zones:\n  - {mark: 0x10000001, zone: 1}\n"
		  "  - {mark: 1, zone: 1}\n"
		  "  - {mark: 0x1/0x300000ff, zone: 1}\n",
		  "f:2:12: warning: no packet has this mark: bits of "
		  "mark-mask, 0x30000000, are xctd's own; use others, or "
		  "change mark-mask\n" },
		{ "zones: [{mark: 0x10000001, zone: 1}]\n"
		  "settings: {mark-mask: 0x6}\n",
		  "" },
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void names_that_dangle(void **state)
{
	static const struct row rows[] = {
		{ "sets: {admins: 10.0.0.1, web: 80}\n"
		  "nat:\n"
		  "  - {src: amdins, dst: webs, exempt: yes}\n"
		  "  - {src: [nothing, web], exempt: yes}\n"
		  "  - {proto: tcp, dport: [ssh, admins, wbe], exempt: yes}\n"
		  "  - {src: admins, exempt: yes}\n",
		  "f:3:11: error: src: \"amdins\" is no address, and no set of "
		  "that name; did you mean \"admins\"?\n"
		  "f:3:24: error: dst: \"webs\" is no address, and no set of "
		  "that name; did you mean \"web\"?\n"
		  "f:4:12: error: src: \"nothing\" is no address, and no set of "
		  "that name; expected an address, a prefix, a range FIRST-LAST "
		  "or the name of a set\n"
		  "f:4:21: error: src: the set \"web\" holds ports; expected "
		  "addresses\n"
		  "f:5:26: error: dport: \"ssh\" is no port, and no set of that "
		  "name; expected a number, a range FIRST-LAST or the name of a "
		  "set\n"
		  "f:5:31: error: dport: the set \"admins\" holds addresses; "
		  "expected ports\n"
		  "f:5:39: error: dport: \"wbe\" is no port, and no set of that "
		  "name; did you mean \"web\"?\n" },
		{ "interfaces: {wan: eth0}\n"
		  "nat:\n"
		  "  - {in: wan, exempt: yes}\n"
		  "  - {in: wna, exempt: yes}\n"
		  "  - {in: [wna, wan0, eth1], exempt: yes}\n",
		  "f:4:10: warning: \"wna\" is taken for an interface; did you "
		  "mean the group \"wan\"?\n" },
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void conditions(void **state)
{
	static const struct row rows[] = {
		{ "nat:\n"
		  "  - {dport: 80, exempt: yes}\n"
		  "  - {proto: [tcp, icmp], sport: 80, exempt: yes}\n"
		  "  - {proto: gre, dport: 80, exempt: yes}\n"
		  "  - {proto: any, dport: 80, exempt: yes}\n",
		  "f:2:13: error: dport needs a protocol with ports; expected "
		  "proto: tcp, udp, udplite, sctp or a list of these in "
		  "this rule\n"
		  "f:3:33: error: sport needs a protocol with ports; expected "
		  "proto: tcp, udp, udplite, sctp or a list of these in "
		  "this rule\n"
		  "f:4:25: error: dport needs a protocol with ports; expected "
		  "proto: tcp, udp, udplite, sctp or a list of these in "
		  "this rule\n"
		  "f:5:25: error: dport needs a protocol with ports; expected "
		  "proto: tcp, udp, udplite, sctp or a list of these in "
		  "this rule\n" },
		{ "nat:\n"
		  "  - {proto: tpc, dport: 22:22, exempt: yes}\n"
		  "  - {proto: [256, []], exempt: yes}\n"
		  "  - {proto: tcp, dport: [65536, 90-80, 022, ], exempt: yes}\n",
		  "f:2:13: error: proto: \"tpc\" is not a protocol; did you "
		  "mean \"tcp\"?\n"
		  "f:2:25: error: dport is \"22:22\"; expected a port from 0 to "
		  "65535 or a range FIRST-LAST, without leading zeros\n"
		  "f:3:14: error: proto: \"256\" is not a protocol; expected a "
		  "name such as tcp, udp, icmp, icmpv6 or esp, or a number from "
		  "0 to 255\n"
		  "f:3:19: error: proto is a list; expected a single value "
		  "here\n"
		  "f:4:26: error: dport is \"65536\"; expected a port from 0 to "
		  "65535 or a range FIRST-LAST, without leading zeros\n"
		  "f:4:33: error: dport is \"90-80\"; expected a port from 0 to "
		  "65535 or a range FIRST-LAST, without leading zeros\n"
		  "f:4:40: error: dport is \"022\"; expected a port from 0 to "
		  "65535 or a range FIRST-LAST, without leading zeros\n" },
		{ "nat:\n"
		  "  - {src: [], in: [], proto: [], exempt: yes}\n"
		  "  - {src: , exempt: yes}\n"
		  "  - {src: \"!10.0.0.1\", exempt: yes}\n"
		  "  - {family: ipv5, exempt: yes}\n",
		  "f:2:11: error: src is an empty list, which nothing matches; "
		  "expected values, or no such key\n"
		  "f:2:19: error: in is an empty list, which nothing matches; "
		  "expected values, or no such key\n"
		  "f:2:30: error: proto is an empty list; expected protocols\n"
		  "f:3:11: error: src is empty; expected a value\n"
		  "f:4:11: error: src: \"!10.0.0.1\" is no address, and no set "
		  "of that name; expected an address, a prefix, a range "
		  "FIRST-LAST or the name of a set (\"not\" is said by a rule "
		  "before this one)\n"
		  "f:5:14: error: family is \"ipv5\"; did you mean \"ipv4\"?\n" },
		{ "nat:\n"
		  "  - {src: 10.0.0.1, dst: \"::1\", exempt: yes}\n"
		  "  - {family: ipv6, dst: 10.0.0.1, exempt: yes}\n"
		  "  - {proto: icmp, src: \"::1\", exempt: yes}\n"
		  "  - {proto: icmpv6, family: ipv4, exempt: yes}\n"
		  "  - {src: 10.0.0.1, snat: \"::1\"}\n",
		  "f:2:26: error: dst is for IPv6, the rest of the rule for "
		  "IPv4; expected one family\n"
		  "f:3:25: error: dst is for IPv4, the rest of the rule for "
		  "IPv6; expected one family\n"
		  "f:4:24: error: src is for IPv6, the rest of the rule for "
		  "IPv4; expected one family\n"
		  "f:5:13: error: proto is for IPv6, the rest of the rule for "
		  "IPv4; expected one family\n"
		  "f:6:27: error: snat is for IPv6, the rest of the rule for "
		  "IPv4; expected one family\n" },
		{ "nat:\n"
		  "  - {icmp-type: echo-request, exempt: yes}\n"
		  "  - {proto: [icmp, tcp], icmp-type: 8, exempt: yes}\n"
		  "  - {proto: icmp, icmp-type: packet-too-big, exempt: yes}\n"
		  "  - {proto: icmp, icmp-type: echo-reqest, exempt: yes}\n"
		  "  - {proto: [icmp, icmpv6], icmp-type: 8, exempt: yes}\n"
		  "  - {proto: icmp, icmp-code: 1, exempt: yes}\n"
		  "  - {proto: icmp, icmp-type: 3, icmp-code: 256,\n"
		  "     exempt: yes}\n"
		  "  - {proto: icmp, icmp-type: [], exempt: yes}\n",
		  "f:2:17: error: icmp-type needs a rule about ICMP; expected "
		  "proto: icmp, icmpv6 or [icmp, icmpv6]\n"
		  "f:3:37: error: icmp-type needs a rule about ICMP; expected "
		  "proto: icmp, icmpv6 or [icmp, icmpv6]\n"
		  "f:4:30: error: icmp-type: \"packet-too-big\" is no type of "
		  "icmp; expected a name such as echo-request, or a number from "
		  "0 to 255\n"
		  "f:5:30: error: icmp-type: \"echo-reqest\" is no type of icmp; "
		  "did you mean \"echo-request\"?\n"
		  "f:6:40: error: icmp-type: 8 means one thing in icmp and "
		  "another in icmpv6; expected a name, or two rules\n"
		  "f:7:30: error: icmp-code needs a type; expected icmp-type in "
		  "this rule\n"
		  "f:8:44: error: icmp-code is \"256\"; expected a number from 0 "
		  "to 255\n"
		  "f:10:30: error: icmp-type is an empty list; expected "
		  "types\n" },
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void conditions_in_the_wrong_place(void **state)
{
	static const struct row rows[] = {
		{ "filter:\n"
		  "  input: {rules: [{out: a, drop: yes}]}\n"
		  "  output: {rules: [{in: a, drop: yes}]}\n",
		  "f:2:25: error: what is for this host has no output "
		  "interface; expected no out: under input\n"
		  "f:3:25: error: what this host sends has no input interface; "
		  "expected no in: under output\n" },
		{ "nat:\n"
		  "  - {out: a, dnat: 10.0.0.1}\n"
		  "  - {out: a, proto: tcp, redirect: 1, translated: dnat}\n"
		  "  - {in: a, dnat: 10.0.0.1, local: yes}\n"
		  "  - {state: new, exempt: yes}\n",
		  "f:2:11: error: the output interface is not known yet when "
		  "the destination is translated; expected no out: beside "
		  "dnat\n"
		  "f:3:11: error: the output interface is not known yet when "
		  "the destination is translated; expected no out: beside "
		  "redirect\n"
		  "f:3:51: error: nothing is translated yet when the "
		  "destination is; expected no translated: beside redirect\n"
		  "f:4:10: error: what this host sends has no input interface; "
		  "expected no in: beside local\n"
		  "f:5:6: error: nat rules are asked about new connections only; "
		  "expected no \"state\" here\n" },
		{ "filter: {forward: {rules: [\n"
		  "  {state: established, drop: yes},\n"
		  "  {state: [new, established], log: yes},\n"
		  "  {state: [], drop: yes},\n"
		  "  {state: nwe, drop: yes},\n"
		  "  {translated: snat, drop: yes},\n"
		  "  {state: [established, related], accept: yes}]}}\n",
		  "f:2:11: error: packets of an established connection always "
		  "pass, rules decide when it begins; expected new, related or "
		  "invalid\n"
		  "f:3:17: error: packets of an established connection always "
		  "pass, rules decide when it begins; expected new, related or "
		  "invalid\n"
		  "f:4:11: error: state is an empty list; expected new, related "
		  "or invalid\n"
		  "f:5:11: error: state is \"nwe\"; did you mean \"new\"?\n"
		  "f:6:16: error: no new connection has its source translated "
		  "yet when rules are asked; expected dnat, or state: related\n"
		  "f:7:12: warning: state: established has no effect: packets of "
		  "a connection that was let in always pass\n" },
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void actions(void **state)
{
	static const struct row rows[] = {
		{ "filter: {forward: {rules: [\n"
		  "  {in: a},\n"
		  "  {accept: no},\n"
		  "  {accept: yes, drop: yes, reject: yes},\n"
		  "  {masquerade: yes},\n"
		  "  {action: accept},\n"
		  "  {acept: yes},\n"
		  "  accept,\n"
		  "  [],\n"
		  "  {log: loud, drop: yes},\n"
		  "  {mark: 0xZ}]}}\n",
		  "f:2:3: error: the rule has no action; expected accept, drop "
		  "or reject, or log, mark, label or helper to go on "
		  "with the next rule\n"
		  "f:3:12: error: accept is \"no\", which says nothing; expected "
		  "yes, or no such key\n"
		  "f:4:17: error: both accept and drop; expected one action in a "
		  "rule\n"
		  "f:4:28: error: both accept and reject; expected one action in "
		  "a rule\n"
		  "f:5:4: error: \"masquerade\" does not belong here; expected it "
		  "in a rule of nat\n"
		  "f:6:4: error: unknown key \"action\" in a rule; expected "
		  "name, family, proto, in, out, src, dst, sport, dport, "
		  "icmp-type, icmp-code, state, translated, log, mark, label, "
		  "helper, accept, drop, reject\n"
		  "f:7:4: error: unknown key \"acept\" in a rule; did you mean "
		  "\"accept\"?\n"
		  "f:8:3: error: not a rule; expected a map such as "
		  "{in: eth0, ...}\n"
		  "f:9:3: error: not a rule; expected a map such as "
		  "{in: eth0, ...}\n"
		  "f:10:9: error: log is \"loud\"; expected yes or no\n"
		  "f:11:10: error: mark is \"0xZ\"; expected a number of 32 bits "
		  "such as 16 or 0x10\n" },
		{ "filter: {forward: {rules: [\n"
		  "  {proto: tcp, helper: fpt},\n"
		  "  {helper: ftp, accept: yes},\n"
		  "  {proto: [tcp, udp], helper: ftp},\n"
		  "  {proto: tcp, state: related, helper: ftp},\n"
		  "  {proto: tcp, helper: ftp, drop: yes}]}}\n"
		  "nat:\n"
		  "  - {proto: tcp, helper: ftp, exempt: yes}\n",
		  "f:2:24: error: helper is \"fpt\"; did you mean \"ftp\"?\n"
		  "f:3:12: error: helper: ftp is for TCP; expected proto: tcp "
		  "in this rule\n"
		  "f:4:31: error: helper: ftp is for TCP; expected proto: tcp "
		  "in this rule\n"
		  "f:5:40: error: a connection gets its helper when it begins; "
		  "expected new in state, or no state, in this rule\n"
		  "f:6:24: error: a connection that is refused needs no helper; "
		  "expected accept, or no action, in this rule\n"
		  "f:8:18: error: \"helper\" does not belong here; expected it "
		  "in a rule of filter\n" },
		{ "nat:\n"
		  "  - {in: a, log: yes}\n"
		  "  - {accept: yes}\n"
		  "  - {dnat: 10.0.0.1:80}\n"
		  "  - {redirect: 80}\n"
		  "  - {proto: tcp, redirect: 0}\n"
		  "  - {masquerade: 9-1}\n"
		  "  - {masquerade: no}\n"
		  "  - {snat: 10.0.0.0/24}\n"
		  "  - {snat: \"[::1\"}\n"
		  "  - {snat: 0.0.0.0}\n"
		  "  - {proto: tcp, dnat: 10.0.0.1:65536}\n",
		  "f:2:5: error: the rule has no action; expected masquerade, "
		  "snat, dnat, redirect or exempt\n"
		  "f:3:6: error: \"accept\" does not belong here; expected it in "
		  "a rule of filter\n"
		  "f:4:12: error: a port needs a protocol with ports; expected "
		  "proto: tcp, udp, udplite, sctp or a list of these in "
		  "this rule\n"
		  "f:5:16: error: redirect needs a protocol with ports; expected "
		  "proto: tcp, udp, udplite, sctp or a list of these in "
		  "this rule\n"
		  "f:6:28: error: redirect is \"0\"; expected a port or a range "
		  "of ports, from 1 to 65535\n"
		  "f:7:18: error: masquerade is \"9-1\"; expected a port or a "
		  "range of ports, from 1 to 65535\n"
		  "f:8:18: error: masquerade is \"no\", which says nothing; "
		  "expected yes, or no such key\n"
		  "f:9:12: error: snat is \"10.0.0.0/24\"; expected "
		  "ADDRESS[-ADDRESS][:PORT[-PORT]], an IPv6 address before a "
		  "port in brackets\n"
		  "f:10:12: error: snat is \"[::1\"; expected "
		  "ADDRESS[-ADDRESS][:PORT[-PORT]], an IPv6 address before a "
		  "port in brackets\n"
		  "f:11:12: error: snat is \"0.0.0.0\"; expected "
		  "ADDRESS[-ADDRESS][:PORT[-PORT]], an IPv6 address before a "
		  "port in brackets\n"
		  "f:12:24: error: dnat is \"10.0.0.1:65536\"; expected "
		  "ADDRESS[-ADDRESS][:PORT[-PORT]], an IPv6 address before a "
		  "port in brackets\n" },
		{ "nat:\n"
		  "  - {exempt: yes, random: yes}\n"
		  "  - {masquerade: yes, persistent: yes}\n"
		  "  - {masquerade: yes, local: yes}\n"
		  "filter:\n"
		  "  forward: {rules: [{proto: udp, reject: tcp-reset},\n"
		  "    {reject: tcp-reste}, {reject: no}]}\n",
		  "f:2:27: error: random says how to translate; expected no such "
		  "key beside exempt\n"
		  "f:3:35: error: persistent chooses within a range of "
		  "addresses; expected it beside snat or dnat\n"
		  "f:4:30: error: local makes dnat or redirect apply to what "
		  "this host sends; expected it beside one of them\n"
		  "f:6:42: error: only TCP can be reset; expected proto: tcp in "
		  "this rule, or reject: yes\n"
		  "f:7:14: error: reject is \"tcp-reste\"; did you mean "
		  "\"tcp-reset\"?\n"
		  "f:7:35: error: reject is \"no\"; expected yes, tcp-reset, "
		  "port-unreachable, host-unreachable, net-unreachable, "
		  "admin-prohibited or proto-unreachable\n" },
		{ "nat:\n"
		  "  - {name: a, exempt: yes}\n"
		  "  - {name: a, exempt: yes}\n"
		  "  - {name: [], exempt: yes}\n"
		  "filter: {forward: {rules: [{name: a, drop: yes}]}}\n",
		  "f:3:12: error: a rule named \"a\" is there already, in line "
		  "2; expected another name\n"
		  "f:4:12: error: name is a list; expected a single value "
		  "here\n"
		  "f:5:35: error: a rule named \"a\" is there already, in line "
		  "2; expected another name\n" },
		{ "nat:\n  - {exempt: yes, name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}\n",
		  "f:2:25: error: name is too long; expected at most 63 "
		  "bytes\n" },
		{ "filter:\n"
		  "  invalid: yes\n"
		  "  froward: {}\n"
		  "  input: {defualt: drop, default: yes, rules: {}}\n"
		  "  output: drop\n",
		  "f:2:12: error: invalid is \"yes\"; expected accept, drop or "
		  "log\n"
		  "f:3:3: error: unknown key \"froward\" in filter; did you mean "
		  "\"forward\"?\n"
		  "f:4:11: error: unknown key \"defualt\" in input; did you mean "
		  "\"default\"?\n"
		  "f:4:35: error: default is \"yes\"; expected accept, drop or "
		  "reject\n"
		  "f:4:47: error: rules is not a list; expected lines that begin "
		  "with \"- \"\n"
		  "f:5:11: error: output is not a map; expected lines of the "
		  "form \"key: value\"\n" },
	};

	(void)state;
	CHECK_ROWS(rows);
}

/* clang-format on */

static void files_that_cannot_be_read(void **state)
{
	struct xct_messages messages;

	(void)state;
	assert_null(xct_config_load("/nonexistent/rules.yaml", &messages));
	assert_string_equal(messages.text,
			    "/nonexistent/rules.yaml: error: cannot read: "
			    "No such file or directory\n");
	xct_messages_fini(&messages);
	assert_null(messages.text);
	assert_null(xct_config_load("/", &messages));
	assert_string_equal(messages.text,
			    "/: error: cannot read: Is a directory\n");
	xct_messages_fini(&messages);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(yaml_that_is_none),
		cmocka_unit_test(yaml_that_is_not_wanted),
		cmocka_unit_test(the_file_as_a_whole),
		cmocka_unit_test(zones),
		cmocka_unit_test(settings),
		cmocka_unit_test(names_and_sets),
		cmocka_unit_test(names_that_dangle),
		cmocka_unit_test(conditions),
		cmocka_unit_test(conditions_in_the_wrong_place),
		cmocka_unit_test(actions),
		cmocka_unit_test(files_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
