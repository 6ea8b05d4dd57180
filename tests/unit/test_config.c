/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What rules.yaml means: rules, sets and zones as they come out compiled. What
 * is refused, and how, is in test_config_errors.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/cursor.h"
#include "tests/unit/config.h"

/* A connection, as rules see it. */
struct conn {
	const char *in;
	const char *out;
	const char *src;
	const char *dst;
	uint8_t proto;
	uint16_t sport; /* ICMP: type */
	uint16_t dport; /* ICMP: code */
	uint32_t status;
	enum xct_class cls;
	bool is_local;
};

static bool matches(const struct xct_config *config,
		    const struct xct_rule *rule, const struct conn *conn)
{
	const struct xct_ruleset *rs = &config->ruleset;
	struct xct_tuple t = { .proto = conn->proto };
	struct xct_subject subject = {
		.tuple = &t,
		.cls = conn->cls,
		.status = conn->status,
		.is_local = conn->is_local,
	};

	assert_true(xct_addr_parse(conn->src ? conn->src : "192.0.2.1",
				   &t.family, &t.src));
	assert_true(xct_addr_parse(conn->dst ? conn->dst : "198.51.100.1",
				   &t.family, &t.dst));
	if (t.proto == IPPROTO_ICMP || t.proto == IPPROTO_ICMPV6) {
		t.icmp_type = (uint8_t)conn->sport;
		t.icmp_code = (uint8_t)conn->dport;
	} else {
		t.sport = xct_hton16(conn->sport);
		t.dport = xct_hton16(conn->dport);
	}
	xct_ifsets_of(rs, conn->in, subject.in);
	xct_ifsets_of(rs, conn->out, subject.out);
	return xct_rule_match(rs, rule, &subject);
}

/* Name of the rule of @chain that decides about @conn, "" if none does. */
static const char *decides(const struct xct_config *config,
			   enum xct_chain_id chain, const struct conn *conn)
{
	const struct xct_chain *c = &config->ruleset.chain[chain];

	for (uint32_t i = 0; i < c->n; i++)
		if (c->rules[i].action != XCT_ACT_LOG &&
		    matches(config, &c->rules[i], conn))
			return c->rules[i].name;
	return "";
}

static const char *first_of(const struct xct_config *config,
			    const struct xct_rule *rules, uint32_t n,
			    const struct conn *conn)
{
	for (uint32_t i = 0; i < n; i++)
		if (matches(config, &rules[i], conn))
			return rules[i].name;
	return "";
}

#define SNAT(config, ...)                                                  \
	first_of(config, (config)->ruleset.snat, (config)->ruleset.n_snat, \
		 &(struct conn){ __VA_ARGS__ })
#define DNAT(config, ...)                                                  \
	first_of(config, (config)->ruleset.dnat, (config)->ruleset.n_dnat, \
		 &(struct conn){ __VA_ARGS__ })
#define FORWARD(config, ...) \
	decides(config, XCT_CHAIN_FORWARD, &(struct conn){ __VA_ARGS__ })

static void assert_addr(const struct xct_addr *addr, const char *text)
{
	struct xct_addr expected;
	uint8_t family;

	assert_true(xct_addr_parse(text, &family, &expected));
	assert_true(xct_addr_equal(addr, &expected));
}

/* ---- the policy as a whole ---- */

static void an_empty_policy_accepts(void **state)
{
	struct xct_config *config = load("filter:\nnat: ~\nsets: {}\nzones:\n");
	const struct xct_ruleset *rs = &config->ruleset;

	(void)state;
	assert_int_equal(rs->invalid, XCT_ACT_ACCEPT);
	assert_false(rs->log_invalid);
	for (int i = 0; i < XCT_CHAINS; i++) {
		assert_int_equal(rs->chain[i].policy, XCT_ACT_ACCEPT);
		assert_int_equal(rs->chain[i].n, 0);
		assert_int_equal(rs->chain[i].policy_id, i);
	}
	assert_int_equal(rs->n_hits, XCT_CHAINS);
	assert_int_equal(rs->n_dnat + rs->n_snat, 0);
	xct_config_free(config);
}

static void chains_have_defaults(void **state)
{
	struct xct_config *config = load("filter:\n"
					 "  invalid: log\n"
					 "  output: {default: reject}\n"
					 "  input: {default: accept}\n"
					 "  forward: {default: drop}\n");
	const struct xct_ruleset *rs = &config->ruleset;

	(void)state;
	assert_int_equal(rs->invalid, XCT_ACT_DROP);
	assert_true(rs->log_invalid);
	assert_int_equal(rs->chain[XCT_CHAIN_FORWARD].policy, XCT_ACT_DROP);
	assert_int_equal(rs->chain[XCT_CHAIN_INPUT].policy, XCT_ACT_ACCEPT);
	assert_int_equal(rs->chain[XCT_CHAIN_OUTPUT].policy, XCT_ACT_REJECT);
	assert_int_equal(rs->chain[XCT_CHAIN_OUTPUT].reject, XCT_REJECT_AUTO);
	xct_config_free(config);
}

static void each_rule_has_its_own_counter(void **state)
{
	struct xct_config *config =
		load("nat:\n"
		     "  - {exempt: yes}\n"
		     "  - {dnat: 10.0.0.1}\n"
		     "filter:\n"
		     "  input: {rules: [{drop: yes}]}\n"
		     "  forward: {rules: [{drop: yes}, {log: yes}]}\n");
	const struct xct_ruleset *rs = &config->ruleset;

	(void)state;
	/* An exemption is in both lists and has one counter. */
	assert_int_equal(rs->dnat[0].id, 0);
	assert_int_equal(rs->snat[0].id, 0);
	assert_int_equal(rs->dnat[1].id, 1);
	assert_int_equal(rs->chain[XCT_CHAIN_FORWARD].rules[0].id, 2);
	assert_int_equal(rs->chain[XCT_CHAIN_FORWARD].rules[1].id, 3);
	assert_int_equal(rs->chain[XCT_CHAIN_FORWARD].policy_id, 4);
	assert_int_equal(rs->chain[XCT_CHAIN_INPUT].rules[0].id, 5);
	assert_int_equal(rs->chain[XCT_CHAIN_INPUT].policy_id, 6);
	assert_int_equal(rs->chain[XCT_CHAIN_OUTPUT].policy_id, 7);
	assert_int_equal(rs->n_hits, 8);
	for (uint32_t i = 0; i < rs->n_hits; i++)
		assert_int_equal(rs->hits[i], 0);
	xct_config_free(config);
}

static void rules_have_names(void **state)
{
	struct xct_config *config =
		load("nat:\n"
		     "  - {name: \"mine, 1\", exempt: yes}\n"
		     "  - exempt: yes\n"
		     "filter:\n"
		     "  output: {rules: [{drop: yes}]}\n");
	const struct xct_ruleset *rs = &config->ruleset;

	(void)state;
	assert_string_equal(rs->snat[0].name, "mine, 1");
	assert_string_equal(rs->snat[1].name, "nat:3");
	assert_int_equal(rs->snat[1].line, 3);
	assert_string_equal(rs->chain[XCT_CHAIN_OUTPUT].rules[0].name,
			    "output:5");
	xct_config_free(config);
}

static const char sketch[] =
	"nat:\n"
	"  - {name: internet, out: wan, src: [10.0.0.0/8, \"fd00::/8\"],\n"
	"     masquerade: yes}\n"
	"  - {name: website,  in: wan, proto: tcp, dport: web,\n"
	"     dnat: 10.0.0.10}\n"
	"  - {name: ssh-in,   in: wan, proto: tcp, dport: 2222, src: admins,\n"
	"     dnat: \"10.0.0.10:22\"}\n"
	"  - {name: fixed,    out: wan, src: 10.0.0.25,\n"
	"     snat: \"203.0.113.7:20000-29999\"}\n"
	"filter:\n"
	"  invalid: drop\n"
	"  forward:\n"
	"    default: drop\n"
	"    rules:\n"
	"      - {name: lan-out, in: lan, out: wan, accept: yes}\n"
	"      - {name: let-in, in: wan, translated: dnat, accept: yes}\n"
	"      - {name: ping, proto: icmp, icmp-type: echo-request,\n"
	"         accept: yes}\n"
	"      - {name: ident, in: wan, proto: tcp, dport: 113,\n"
	"         reject: tcp-reset}\n"
	"interfaces:\n"
	"  lan: [eth1, \"vlan*\"]\n"
	"  wan: eth0\n"
	"sets:\n"
	"  admins: [192.0.2.10, 198.51.100.0/24, \"2001:db8:7::/48\"]\n"
	"  web: [80, 443]\n";

static void nat_rules_match_what_they_say(void **state)
{
	struct xct_config *c = load(sketch);
	const struct xct_nat_range *nat;

	(void)state;
	assert_string_equal(SNAT(c, .out = "eth0", .src = "10.1.2.3"),
			    "internet");
	assert_string_equal(
		SNAT(c, .out = "eth0", .src = "fd12::1", .dst = "2001:db8::1"),
		"internet");
	assert_string_equal(SNAT(c, .out = "eth1", .src = "10.1.2.3"), "");
	assert_string_equal(SNAT(c, .out = "eth0", .src = "11.0.0.0"), "");
	assert_string_equal(SNAT(c, .out = "eth0", .src = "9.255.255.255"), "");

	assert_string_equal(
		DNAT(c, .in = "eth0", .proto = IPPROTO_TCP, .dport = 443),
		"website");
	assert_string_equal(
		DNAT(c, .in = "eth0", .proto = IPPROTO_TCP, .dport = 81), "");
	assert_string_equal(
		DNAT(c, .in = "eth0", .proto = IPPROTO_UDP, .dport = 443), "");
	assert_string_equal(DNAT(c, .in = "eth0", .proto = IPPROTO_TCP,
				 .dport = 2222, .src = "198.51.100.77"),
			    "ssh-in");
	assert_string_equal(DNAT(c, .in = "eth0", .proto = IPPROTO_TCP,
				 .dport = 2222, .src = "192.0.2.11"),
			    "");
	/* Its target is IPv4, though the set has IPv6 as well. */
	assert_int_equal(c->ruleset.dnat[1].match.family, AF_INET);
	assert_string_equal(DNAT(c, .in = "eth0", .proto = IPPROTO_TCP,
				 .dport = 2222, .src = "2001:db8:7::1",
				 .dst = "2001:db8::1"),
			    "");

	nat = &c->ruleset.dnat[1].nat;
	assert_addr(&nat->addr.first, "10.0.0.10");
	assert_int_equal(nat->port_first, 22);
	assert_int_equal(nat->port_last, 22);
	nat = &c->ruleset.snat[1].nat;
	assert_addr(&nat->addr.last, "203.0.113.7");
	assert_int_equal(nat->port_first, 20000);
	assert_int_equal(nat->port_last, 29999);
	xct_config_free(c);
}

static void filter_rules_match_what_they_say(void **state)
{
	struct xct_config *c = load(sketch);

	(void)state;
	assert_string_equal(FORWARD(c, .in = "eth1", .out = "eth0"), "lan-out");
	assert_string_equal(FORWARD(c, .in = "vlan12", .out = "eth0"),
			    "lan-out");
	assert_string_equal(FORWARD(c, .in = "vla", .out = "eth0"), "");
	assert_string_equal(FORWARD(c, .in = "eth10", .out = "eth0"), "");
	assert_string_equal(FORWARD(c, .in = "eth0", .out = "eth1"), "");
	assert_string_equal(
		FORWARD(c, .in = "eth0", .status = XCT_STATUS_DST_NAT),
		"let-in");
	assert_string_equal(
		FORWARD(c, .in = "eth0", .status = XCT_STATUS_SRC_NAT), "");
	assert_string_equal(FORWARD(c, .proto = IPPROTO_ICMP, .sport = 8),
			    "ping");
	assert_string_equal(FORWARD(c, .proto = IPPROTO_ICMP, .sport = 0), "");
	assert_string_equal(
		FORWARD(c, .in = "eth0", .proto = IPPROTO_TCP, .dport = 113),
		"ident");
	assert_string_equal(FORWARD(c, .in = "eth1", .out = "eth0",
				    .cls = XCT_CLASS_INVALID),
			    "");
	assert_string_equal(FORWARD(c, .in = "eth1", .out = "eth0",
				    .cls = XCT_CLASS_RELATED),
			    "");
	assert_int_equal(c->ruleset.chain[XCT_CHAIN_FORWARD].rules[3].reject,
			 XCT_REJECT_TCP_RESET);
	xct_config_free(c);
}

/* A rule that is all of filter.forward. */
static const struct xct_rule *one_rule(struct xct_config **config,
				       const char *rule)
{
	char text[512];

	snprintf(text, sizeof(text), "filter: {forward: {rules: [{%s}]}}\n",
		 rule);
	*config = load(text);
	assert_int_equal((*config)->ruleset.chain[XCT_CHAIN_FORWARD].n, 1);
	return (*config)->ruleset.chain[XCT_CHAIN_FORWARD].rules;
}

static void each_condition_decides(void **state)
{
	static const struct {
		const char *rule;
		struct conn yes;
		struct conn no;
	} rows[] = {
		{ "in: eth0", { .in = "eth0" }, { .in = "eth1" } },
		{ "in: \"*\"", { .in = "x" }, { .in = NULL } },
		{ "out: [a, b, \"c*\"]", { .out = "cc" }, { .out = "aa" } },
		{ "src: 192.0.2.1-192.0.2.9",
		  { .src = "192.0.2.9" },
		  { .src = "192.0.2.10" } },
		{ "dst: \"2001:db8::/32\"",
		  { .src = "::1", .dst = "2001:db8:ffff::" },
		  { .src = "::1", .dst = "2001:db9::" } },
		{ "family: ipv6", { .src = "::1", .dst = "::1" }, { 0 } },
		{ "family: ipv4", { 0 }, { .src = "::1", .dst = "::1" } },
		{ "proto: [udp, 47]", { .proto = 47 }, { .proto = 6 } },
		{ "proto: esp", { .proto = 50 }, { .proto = 51 } },
		{ "proto: udp, sport: 1000-2000",
		  { .proto = 17, .sport = 2000 },
		  { .proto = 17, .sport = 2001 } },
		{ "proto: [tcp, udp], dport: [53, 80-90]",
		  { .proto = 6, .dport = 85 },
		  { .proto = 6, .dport = 91 } },
		{ "proto: icmp, icmp-type: [echo-request, 13]",
		  { .proto = 1, .sport = 13 },
		  { .proto = 1, .sport = 14 } },
		{ "proto: [icmp, icmpv6], icmp-type: echo-request",
		  { .proto = 58, .sport = 128, .src = "::1", .dst = "::1" },
		  { .proto = 58, .sport = 8, .src = "::1", .dst = "::1" } },
		{ "proto: icmp, icmp-type: 3, icmp-code: 4, state: related",
		  { .proto = 1,
		    .sport = 3,
		    .dport = 4,
		    .cls = XCT_CLASS_RELATED },
		  { .proto = 1,
		    .sport = 3,
		    .dport = 1,
		    .cls = XCT_CLASS_RELATED } },
		{ "state: [related, invalid]",
		  { .cls = XCT_CLASS_INVALID },
		  { .cls = XCT_CLASS_NEW } },
		{ "translated: any",
		  { .status = XCT_STATUS_SRC_NAT },
		  { .status = XCT_STATUS_ASSURED } },
		{ "translated: snat, state: related",
		  { .status = XCT_STATUS_SRC_NAT, .cls = XCT_CLASS_RELATED },
		  { .status = XCT_STATUS_DST_NAT, .cls = XCT_CLASS_RELATED } },
	};

	(void)state;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(rows); i++) {
		const struct xct_rule *rule;
		struct xct_config *config;
		char text[128];

		snprintf(text, sizeof(text), "%s, drop: yes", rows[i].rule);
		rule = one_rule(&config, text);
		if (!matches(config, rule, &rows[i].yes) ||
		    matches(config, rule, &rows[i].no))
			fail_msg("%s", rows[i].rule);
		xct_config_free(config);
	}
}

static void any_is_no_condition(void **state)
{
	struct xct_config *config;
	const struct xct_rule *rule;

	(void)state;
	rule = one_rule(&config, "in: any, out: any, src: any, dst: any, "
				 "family: any, proto: any, accept: yes");
	assert_int_equal(rule->match.in, XCT_ANY);
	assert_int_equal(rule->match.out, XCT_ANY);
	assert_int_equal(rule->match.src, XCT_ANY);
	assert_int_equal(rule->match.dst, XCT_ANY);
	assert_int_equal(rule->match.proto, XCT_ANY);
	assert_int_equal(rule->match.family, 0);
	xct_config_free(config);
}

static void rules_log_and_mark_and_go_on(void **state)
{
	struct xct_config *config;
	const struct xct_rule *rule;

	(void)state;
	rule = one_rule(&config, "log: yes, mark: 0xFFFFFFFF");
	assert_int_equal(rule->action, XCT_ACT_LOG);
	assert_true(rule->log);
	assert_true(rule->has_mark);
	assert_int_equal(rule->mark, UINT32_MAX);
	xct_config_free(config);

	rule = one_rule(&config, "mark: 0, accept: yes");
	assert_int_equal(rule->action, XCT_ACT_ACCEPT);
	assert_true(rule->has_mark);
	assert_int_equal(rule->mark, 0);
	assert_false(rule->log);
	xct_config_free(config);
}

static void a_helper_is_for_who_asks(void **state)
{
	struct xct_config *config;
	const struct xct_rule *rule;

	(void)state;
	rule = one_rule(&config, "proto: tcp, dport: 21, helper: ftp");
	assert_int_equal(rule->action, XCT_ACT_LOG);
	assert_int_equal(rule->helper, XCT_HELPER_FTP);
	assert_false(rule->log);
	xct_config_free(config);

	rule = one_rule(&config, "proto: tcp, dport: 21, accept: yes");
	assert_int_equal(rule->helper, XCT_HELPER_NONE);
	xct_config_free(config);
}

static void every_way_to_reject(void **state)
{
	static const struct {
		const char *text;
		enum xct_reject reject;
	} rows[] = {
		{ "yes", XCT_REJECT_AUTO },
		{ "true", XCT_REJECT_AUTO },
		{ "tcp-reset", XCT_REJECT_TCP_RESET },
		{ "port-unreachable", XCT_REJECT_PORT },
		{ "host-unreachable", XCT_REJECT_HOST },
		{ "net-unreachable", XCT_REJECT_NET },
		{ "admin-prohibited", XCT_REJECT_ADMIN },
		{ "proto-unreachable", XCT_REJECT_PROTO },
	};

	(void)state;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(rows); i++) {
		const struct xct_rule *rule;
		struct xct_config *config;
		char text[64];

		snprintf(text, sizeof(text), "proto: tcp, reject: %s",
			 rows[i].text);
		rule = one_rule(&config, text);
		assert_int_equal(rule->action, XCT_ACT_REJECT);
		assert_int_equal(rule->reject, rows[i].reject);
		xct_config_free(config);
	}
}

static void every_form_of_translation(void **state)
{
	static const struct {
		const char *rule;
		enum xct_action action;
		const char *first;
		const char *last;
		uint16_t port_first;
		uint16_t port_last;
		uint8_t family; /* of the rule */
	} rows[] = {
		{ "masquerade: yes", XCT_ACT_MASQUERADE, "", "", 0, 0, 0 },
		{ "masquerade: 1024-2047", XCT_ACT_MASQUERADE, "", "", 1024,
		  2047, 0 },
		{ "snat: 192.0.2.1", XCT_ACT_SNAT, "192.0.2.1", "192.0.2.1", 0,
		  0, AF_INET },
		{ "snat: 192.0.2.1-192.0.2.9:7", XCT_ACT_SNAT, "192.0.2.1",
		  "192.0.2.9", 7, 7, AF_INET },
		{ "snat: \"2001:db8::1\"", XCT_ACT_SNAT, "2001:db8::1",
		  "2001:db8::1", 0, 0, AF_INET6 },
		{ "snat: \"2001:db8::1-2001:db8::9\"", XCT_ACT_SNAT,
		  "2001:db8::1", "2001:db8::9", 0, 0, AF_INET6 },
		{ "snat: \"[2001:db8::1]-[2001:db8::9]:5-6\"", XCT_ACT_SNAT,
		  "2001:db8::1", "2001:db8::9", 5, 6, AF_INET6 },
		{ "snat: \"[2001:db8::1-2001:db8::9]:5-6\"", XCT_ACT_SNAT,
		  "2001:db8::1", "2001:db8::9", 5, 6, AF_INET6 },
		{ "dnat: \"[2001:db8::1]\"", XCT_ACT_DNAT, "2001:db8::1",
		  "2001:db8::1", 0, 0, AF_INET6 },
		{ "proto: tcp, dnat: \"[2001:db8::1]:80\"", XCT_ACT_DNAT,
		  "2001:db8::1", "2001:db8::1", 80, 80, AF_INET6 },
		{ "proto: udp, dnat: 10.0.0.1:53", XCT_ACT_DNAT, "10.0.0.1",
		  "10.0.0.1", 53, 53, AF_INET },
		{ "proto: tcp, redirect: 3128", XCT_ACT_REDIRECT, "", "", 3128,
		  3128, 0 },
		{ "proto: tcp, redirect: 1-65535, family: ipv6",
		  XCT_ACT_REDIRECT, "", "", 1, 65535, AF_INET6 },
		{ "exempt: yes", XCT_ACT_EXEMPT, "", "", 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(rows); i++) {
		const struct xct_ruleset *rs;
		const struct xct_rule *rule;
		struct xct_config *config;
		char text[128];

		snprintf(text, sizeof(text), "nat: [{%s}]\n", rows[i].rule);
		config = load(text);
		rs = &config->ruleset;
		rule = rs->n_dnat ? rs->dnat : rs->snat;
		assert_int_equal(rule->action, rows[i].action);
		assert_int_equal(rule->nat.port_first, rows[i].port_first);
		assert_int_equal(rule->nat.port_last, rows[i].port_last);
		assert_int_equal(rule->match.family, rows[i].family);
		if (rows[i].first[0]) {
			assert_addr(&rule->nat.addr.first, rows[i].first);
			assert_addr(&rule->nat.addr.last, rows[i].last);
		} else {
			assert_int_equal(rule->nat.addr.family, 0);
		}
		xct_config_free(config);
	}
}

static void translations_have_modifiers(void **state)
{
	struct xct_config *c =
		load("nat:\n"
		     "  - {snat: 192.0.2.1, random: yes, persistent: yes}\n"
		     "  - {dnat: 192.0.2.1, local: yes}\n"
		     "  - {name: arriving, dnat: 192.0.2.1}\n");

	(void)state;
	assert_true(c->ruleset.snat[0].nat.is_random);
	assert_true(c->ruleset.snat[0].nat.is_persistent);
	assert_false(c->ruleset.dnat[0].nat.is_random);
	assert_true(c->ruleset.dnat[0].is_local);
	assert_string_equal(DNAT(c, .is_local = true), "nat:3");
	assert_string_equal(DNAT(c, .is_local = false), "arriving");
	xct_config_free(c);
}

static void exemptions_hold_for_both_ends(void **state)
{
	struct xct_config *c = load("nat:\n"
				    "  - {name: both, dst: 10.0.0.0/8,\n"
				    "     exempt: yes}\n"
				    "  - {name: late, out: tun0, exempt: yes}\n"
				    "  - {name: d, dnat: 192.0.2.1}\n"
				    "  - {name: s, masquerade: yes}\n");

	(void)state;
	assert_int_equal(c->ruleset.n_dnat, 2);
	assert_int_equal(c->ruleset.n_snat, 3);
	assert_string_equal(DNAT(c, .dst = "10.0.0.1"), "both");
	assert_string_equal(SNAT(c, .dst = "10.0.0.1"), "both");
	assert_string_equal(SNAT(c, .out = "tun0"), "late");
	assert_string_equal(SNAT(c, .out = "eth0"), "s");
	xct_config_free(c);
}

static void established_is_said_to_have_no_effect(void **state)
{
	static const char text[] =
		"filter: {forward: {rules: [\n"
		"  {state: [established, related], accept: yes}]}}\n";
	struct xct_messages messages;
	struct xct_config *config;

	(void)state;
	config = xct_config_parse("f", text, strlen(text), &messages);
	assert_non_null(config);
	assert_int_equal(messages.warnings, 1);
	assert_int_equal(config->ruleset.chain[0].classes,
			 1 << XCT_CLASS_RELATED);
	xct_messages_fini(&messages);
	xct_config_free(config);
}

/* ---- sets and zones ---- */

static void zones_are_sets_of_interfaces(void **state)
{
	struct xct_config *config =
		load("interfaces: {guests: [wifi0, \"vlan*\"]}\n"
		     "zones:\n"
		     "  - {in: guests, zone: 0}\n"
		     "  - {zone: 65535, in: [eth1, wifi0]}\n"
		     "  - {in: any, zone: 7}\n");
	const struct xct_ruleset *rs = &config->ruleset;

	(void)state;
	assert_int_equal(rs->n_zones, 3);
	assert_int_equal(rs->zones[0].zone, 0);
	assert_string_equal(rs->ifsets[rs->zones[0].in].patterns[0], "vlan*");
	assert_int_equal(rs->zones[1].zone, 65535);
	assert_string_equal(rs->ifsets[rs->zones[1].in].patterns[0], "eth1");
	assert_int_equal(rs->zones[2].in, XCT_ANY);
	assert_false(rs->has_packet_zones);
	xct_config_free(config);

	config = load("sets: {branch: [10.1.0.0/16, fd00::/8]}\n"
		      "zones:\n"
		      "  - {src: branch, mark: 0x10/0xf0, zone: 3}\n"
		      "  - {mark: 7, zone: 4}\n");
	rs = &config->ruleset;
	assert_true(rs->has_packet_zones);
	assert_int_equal(rs->zones[0].in, XCT_ANY);
	assert_int_equal(rs->addrsets[rs->zones[0].src].n, 2);
	assert_int_equal(rs->zones[0].mark, 0x10);
	assert_int_equal(rs->zones[0].mark_mask, 0xf0);
	assert_int_equal(rs->zones[1].src, XCT_ANY);
	assert_int_equal(rs->zones[1].mark_mask, UINT32_MAX);
	xct_config_free(config);

	config = load("zones: []\n");
	assert_int_equal(config->ruleset.n_zones, 0);
	xct_config_free(config);
}

static void equal_sets_are_one(void **state)
{
	struct xct_config *c =
		load("interfaces: {a: [x, y]}\n"
		     "sets: {s: [10.0.0.0/9, 10.128.0.0/9], p: [80-89, 90]}\n"
		     "nat:\n"
		     "  - {in: a, proto: tcp, src: s, dport: p, exempt: yes}\n"
		     "  - {in: [y, x, y], proto: [6], dst: 10.0.0.0/8,\n"
		     "     sport: [85-90, 80-86], exempt: yes}\n");
	const struct xct_ruleset *rs = &c->ruleset;

	(void)state;
	assert_int_equal(rs->n_ifsets, 1);
	assert_int_equal(rs->ifsets[0].n, 2);
	assert_int_equal(rs->n_addrsets, 1);
	assert_int_equal(rs->addrsets[0].n, 1);
	assert_int_equal(rs->n_portsets, 1);
	assert_int_equal(rs->portsets[0].n, 1);
	assert_int_equal(rs->portsets[0].ranges[0].first, 80);
	assert_int_equal(rs->portsets[0].ranges[0].last, 90);
	assert_int_equal(rs->n_protosets, 1);
	xct_config_free(c);
}

static void ranges_at_the_ends_are_merged(void **state)
{
	struct xct_config *c = load(
		"sets:\n"
		"  all: [128.0.0.0/1, \"8000::/1\", 0.0.0.0/1, \"::/1\"]\n"
		"  ports: [65535, 0, 1-65534]\n"
		"nat: [{proto: udp, src: all, sport: ports, exempt: yes}]\n");
	const struct xct_addrset *all = &c->ruleset.addrsets[0];

	(void)state;
	assert_int_equal(all->n, 2);
	assert_int_equal(all->ranges[0].family, AF_INET);
	assert_addr(&all->ranges[0].first, "0.0.0.0");
	assert_addr(&all->ranges[0].last, "255.255.255.255");
	assert_int_equal(all->ranges[1].family, AF_INET6);
	assert_addr(&all->ranges[1].last,
		    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	assert_int_equal(c->ruleset.portsets[0].n, 1);
	assert_true(xct_portset_has(&c->ruleset.portsets[0], 0));
	assert_true(xct_portset_has(&c->ruleset.portsets[0], 65535));
	xct_config_free(c);
}

/* Search and merging against the plain list they came from. */
static void sets_hold_what_was_put_in(void **state)
{
	struct xct_port_range ports[200];
	char text[16384] = "nat: [{proto: tcp, exempt: yes, dport: [";
	struct xct_config *c;
	size_t len = strlen(text);

	(void)state;
	srand(1);
	for (size_t i = 0; i < XCT_ARRAY_SIZE(ports); i++) {
		ports[i].first = (uint16_t)(rand() % 65000);
		ports[i].last = (uint16_t)(ports[i].first + rand() % 300);
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s%u-%u", i ? ", " : "",
					ports[i].first, ports[i].last);
	}
	snprintf(text + len, sizeof(text) - len, "]}]\n");
	c = load(text);
	for (uint32_t port = 0; port <= UINT16_MAX; port++) {
		bool expected = false;

		for (size_t i = 0; i < XCT_ARRAY_SIZE(ports); i++)
			expected |=
				port >= ports[i].first && port <= ports[i].last;
		assert_int_equal(xct_portset_has(&c->ruleset.portsets[0],
						 (uint16_t)port),
				 expected);
	}
	xct_config_free(c);
}

static void a_family_is_never_mistaken(void **state)
{
	struct xct_config *c = load("sets: {s: [0.0.0.0/0, \"::1\"]}\n"
				    "nat: [{src: s, exempt: yes}]\n");
	const struct xct_addrset *s = &c->ruleset.addrsets[0];
	struct xct_addr addr;
	uint8_t family;

	(void)state;
	assert_true(xct_addr_parse("::", &family, &addr));
	assert_false(xct_addrset_has(s, family, &addr));
	assert_true(xct_addrset_has(s, AF_INET, &addr));
	assert_true(xct_addr_parse("::1", &family, &addr));
	assert_true(xct_addrset_has(s, family, &addr));
	assert_true(xct_addr_parse("::2", &family, &addr));
	assert_false(xct_addrset_has(s, family, &addr));
	xct_config_free(c);
}

static void patterns_match_names(void **state)
{
	(void)state;
	assert_true(xct_ifname_match("eth0", "eth0"));
	assert_false(xct_ifname_match("eth0", "eth01"));
	assert_false(xct_ifname_match("eth01", "eth0"));
	assert_true(xct_ifname_match("eth*", "eth"));
	assert_true(xct_ifname_match("eth*", "eth0.100"));
	assert_true(xct_ifname_match("*", "lo"));
	assert_false(xct_ifname_match("eth*", "et"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(zones_are_sets_of_interfaces),
		cmocka_unit_test(an_empty_policy_accepts),
		cmocka_unit_test(chains_have_defaults),
		cmocka_unit_test(each_rule_has_its_own_counter),
		cmocka_unit_test(rules_have_names),
		cmocka_unit_test(nat_rules_match_what_they_say),
		cmocka_unit_test(filter_rules_match_what_they_say),
		cmocka_unit_test(each_condition_decides),
		cmocka_unit_test(any_is_no_condition),
		cmocka_unit_test(rules_log_and_mark_and_go_on),
		cmocka_unit_test(a_helper_is_for_who_asks),
		cmocka_unit_test(every_way_to_reject),
		cmocka_unit_test(every_form_of_translation),
		cmocka_unit_test(translations_have_modifiers),
		cmocka_unit_test(exemptions_hold_for_both_ends),
		cmocka_unit_test(established_is_said_to_have_no_effect),
		cmocka_unit_test(equal_sets_are_one),
		cmocka_unit_test(ranges_at_the_ends_are_merged),
		cmocka_unit_test(sets_hold_what_was_put_in),
		cmocka_unit_test(a_family_is_never_mistaken),
		cmocka_unit_test(patterns_match_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
