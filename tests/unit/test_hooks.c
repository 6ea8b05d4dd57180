/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the hooks planner writes for iptables-restore. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "daemon/hooks.h"

/* A policy built by hand: tests fill rules and what they refer to. */
struct world {
	struct xct_config config;
	struct xct_rule rules[4];
	char patterns[80][XCT_IFNAMSIZ];
	struct xct_addr_range ranges[80];
	struct xct_port_range ports[40];
	struct xct_byteset protos;
	struct xct_ifset ifset;
	struct xct_addrset addrset;
	struct xct_portset portset;
};

static void range(struct xct_addr_range *r, const char *text)
{
	assert_true(xct_range_parse(text, r));
}

static struct xct_rule *add_rule(struct world *w, enum xct_action action)
{
	struct xct_ruleset *rs = &w->config.ruleset;
	bool is_snat = action == XCT_ACT_SNAT || action == XCT_ACT_MASQUERADE;
	struct xct_rule *rule = &w->rules[is_snat ? rs->n_snat : rs->n_dnat];

	/* A test has either kind, not both. */
	if (is_snat) {
		rs->snat = w->rules;
		rs->n_snat++;
	} else {
		rs->dnat = w->rules;
		rs->n_dnat++;
	}
	memset(rule, 0, sizeof(*rule));
	rule->action = (uint8_t)action;
	rule->match.in = rule->match.out = XCT_ANY;
	rule->match.src = rule->match.dst = XCT_ANY;
	rule->match.sport = rule->match.dport = XCT_ANY;
	rule->match.proto = rule->match.icmp = XCT_ANY;
	return rule;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct xct_ruleset *rs;

	if (!w)
		return -1;
	rs = &w->config.ruleset;
	w->config.settings.mark_mask = 0x30000000;
	w->config.settings.queue_first = 7;
	w->ifset.patterns = (const char(*)[XCT_IFNAMSIZ])w->patterns;
	w->addrset.ranges = w->ranges;
	w->portset.ranges = w->ports;
	rs->ifsets = &w->ifset;
	rs->addrsets = &w->addrset;
	rs->portsets = &w->portset;
	rs->protosets = &w->protos;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static char *render(const struct world *w, int af)
{
	char *text = xct_hooks_render(NULL, &w->config, 1, (uint8_t)af);

	assert_non_null(text);
	return text;
}

/* How many lines of @text are rules of @chain. */
static unsigned int rules_in(const char *text, const char *chain)
{
	unsigned int n = 0;
	char want[32];

	snprintf(want, sizeof(want), "-A %s ", chain);
	for (; (text = strstr(text, want)); text++)
		n++;
	return n;
}

#define LOCAL	    "-A XCT-PRE -m addrtype --dst-type LOCAL -g XCT-EARLY"
#define ICMP_ERRORS 5 /* IPv4 types */

static void assert_has(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	if (!at || at[strlen(line)] != '\n' || (at > text && at[-1] != '\n'))
		fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void masquerade_queues_local_destinations_early(void **state)
{
	struct world *w = *state;
	static const char want[] =
		"*raw\n"
		":XCT-RAW - [0:0]\n"
		"-A XCT-RAW -j CT --notrack\n"
		"-A PREROUTING -j XCT-RAW\n"
		"-A OUTPUT -j XCT-RAW\n"
		"COMMIT\n"
		"*mangle\n"
		":XCT-PRE - [0:0]\n"
		":XCT-EARLY - [0:0]\n"
		":XCT-IN - [0:0]\n"
		":XCT-OUT - [0:0]\n"
		":XCT-POST - [0:0]\n"
		":XCT-DONE - [0:0]\n"
		":XCT-DEFRAG - [0:0]\n"
		"-A XCT-PRE -m addrtype --dst-type LOCAL -g XCT-EARLY\n"
		"-A XCT-EARLY ! -i lo -j NFQUEUE --queue-num 7\n"
		"-A XCT-IN -i lo -j RETURN\n"
		"-A XCT-IN -m mark --mark 0x20000000/0x30000000 -g XCT-DONE\n"
		"-A XCT-IN -j NFQUEUE --queue-num 7\n"
		"-A XCT-POST -m mark --mark 0x20000000/0x30000000 "
		"-g XCT-DONE\n"
		"-A XCT-POST -j NFQUEUE --queue-num 7\n"
		"-A XCT-DONE -j MARK --set-xmark 0x0/0x30000000\n"
		"-A XCT-DEFRAG -m socket -j RETURN\n"
		"-A PREROUTING -j XCT-PRE\n"
		"-A PREROUTING -m %s-lt 2 -m addrtype --dst-type UNICAST "
		"-j XCT-EARLY\n"
		"-A INPUT -j XCT-IN\n"
		"-A OUTPUT -j XCT-OUT\n"
		"-A POSTROUTING -j XCT-POST\n"
		"COMMIT\n";
	char *text, filled[sizeof(want) + 16];

	add_rule(w, XCT_ACT_MASQUERADE);
	text = render(w, AF_INET);
	snprintf(filled, sizeof(filled), want, "ttl --ttl");
	assert_string_equal(text, filled);
	free(text);
	text = render(w, AF_INET6);
	snprintf(filled, sizeof(filled), want, "hl --hl");
	assert_string_equal(text, filled);
	free(text);
}

static void without_translation_no_destination_is_queued_early(void **state)
{
	struct world *w = *state;
	struct xct_rule *rule;
	char *text;

	text = render(w, AF_INET);
	assert_int_equal(rules_in(text, "XCT-PRE"), 0);
	assert_null(strstr(text, "-A PREROUTING -j XCT-PRE"));
	/* Then the kernel may track for others. */
	assert_null(strstr(text, "-A PREROUTING -j XCT-RAW"));
	assert_null(strstr(text, "-A OUTPUT -j XCT-RAW"));
	assert_int_equal(rules_in(text, "XCT-RAW"), 0);
	assert_null(strstr(text, "LOCAL"));
	free(text);

	/* That of one family is none of the other. */
	rule = add_rule(w, XCT_ACT_MASQUERADE);
	rule->match.family = AF_INET6;
	text = render(w, AF_INET);
	assert_null(strstr(text, "LOCAL"));
	free(text);
	text = render(w, AF_INET6);
	assert_has(text, LOCAL);
	free(text);
}

static void hooks_are_wide_until_forgotten(void **state)
{
	struct xct_hooks *hooks = xct_hooks_new();
	struct world *w = *state;
	char *text;

	assert_non_null(hooks);
	assert_false(xct_hooks_has_retained(hooks));
	assert_int_equal(xct_hooks_widen(hooks), 0); /* nothing installed */
	assert_true(xct_hooks_has_retained(hooks));
	text = xct_hooks_render(hooks, &w->config, 1, AF_INET);
	assert_non_null(text);
	assert_has(text, LOCAL);
	free(text);
	xct_hooks_forget(hooks);
	assert_false(xct_hooks_has_retained(hooks));
	text = xct_hooks_render(hooks, &w->config, 1, AF_INET);
	assert_non_null(text);
	assert_null(strstr(text, "LOCAL"));
	free(text);
	xct_hooks_free(hooks);
}

/* @n of them, from 192.0.2.1 on. */
static struct xct_ifaddr_set own_addresses(size_t n)
{
	struct xct_ifaddr set[XCT_IFADDRS_MAX + 1] = { 0 };
	struct xct_ifaddr_set own;

	assert_true(n <= XCT_ARRAY_SIZE(set));
	for (size_t i = 0; i < n; i++) {
		set[i].family = AF_INET;
		memcpy(set[i].local.b,
		       (uint8_t[4]){ 192, 0, 2, (uint8_t)(i + 1) }, 4);
	}
	xct_ifaddr_collect(set, n, AF_INET, &own);
	return own;
}

static char *render_own(const struct world *w, struct xct_hooks *hooks,
			size_t n)
{
	struct xct_ifaddr_set own = own_addresses(n);
	char *text;

	xct_hooks_set_own(hooks, AF_INET, &own);
	text = xct_hooks_render(hooks, &w->config, 1, AF_INET);
	assert_non_null(text);
	return text;
}

static void own_addresses_are_named_unless_there_are_many(void **state)
{
	struct xct_hooks *hooks = xct_hooks_new();
	struct world *w = *state;
	char *text;

	assert_non_null(hooks);
	add_rule(w, XCT_ACT_MASQUERADE);
	text = render_own(w, hooks, 2);
	assert_has(text, "-A XCT-PRE -d 192.0.2.1 -g XCT-EARLY");
	assert_has(text, "-A XCT-PRE -d 192.0.2.2 -g XCT-EARLY");
	assert_has(text, "-A XCT-PRE -d 169.254.0.0/16 -g XCT-EARLY");
	assert_has(text, "-A PREROUTING -j XCT-PRE");
	assert_has(text, "-A XCT-RAW -j CT --notrack");
	assert_int_equal(rules_in(text, "XCT-PRE"), 3);
	free(text);
	text = render_own(w, hooks, 0); /* they come later */
	assert_has(text, "-A XCT-RAW -j CT --notrack");
	assert_int_equal(rules_in(text, "XCT-PRE"), 1);
	free(text);
	text = render_own(w, hooks, XCT_IFADDRS_MAX);
	assert_int_equal(rules_in(text, "XCT-PRE"), XCT_IFADDRS_MAX + 1);
	free(text);
	text = render_own(w, hooks, XCT_IFADDRS_MAX + 1);
	assert_has(text, LOCAL);
	assert_int_equal(rules_in(text, "XCT-PRE"), 1);
	free(text);
	assert_int_equal(xct_hooks_widen(hooks), 0);
	text = render_own(w, hooks, 2);
	assert_has(text, LOCAL);
	assert_int_equal(rules_in(text, "XCT-PRE"), 1);
	free(text);
	xct_hooks_free(hooks);
}

static void addresses_that_others_cannot_send_to_are_not_named(void **state)
{
	static const struct xct_ifaddr addrs[] = {
		{ .family = AF_INET, .local.b = { 127, 0, 0, 1 } },
		{ .family = AF_INET, .local.b = { 169, 254, 7, 7 } },
		{ .family = AF_INET, .local.b = { 10, 0, 0, 1 } },
		{ .family = AF_INET, .ifindex = 2, .local.b = { 10, 0, 0, 1 } },
		{ .family = AF_INET6, .local.b = { [15] = 1 } },
		{ .family = AF_INET6, .local.b = { 0xfe, 0x80, [15] = 9 } },
		{ .family = AF_INET6, .local.b = { 0xfd, [15] = 9 } },
	};
	struct xct_ifaddr_set set;

	(void)state;
	xct_ifaddr_collect(addrs, XCT_ARRAY_SIZE(addrs), AF_INET, &set);
	assert_int_equal(set.n, 1);
	assert_false(set.is_short);
	assert_true(xct_ifaddr_set_has(&set, &addrs[2].local));
	xct_ifaddr_collect(addrs, XCT_ARRAY_SIZE(addrs), AF_INET6, &set);
	assert_int_equal(set.n, 1);
	assert_true(xct_ifaddr_set_has(&set, &addrs[6].local));
}

/* As they were in a predecessor's hooks. */
static void addresses_stay_selected_by_name_while_flows_need_it(void **state)
{
	static const char kept[] = "4 -d 192.0.2.1 \n4 -d 169.254.0.0/16 \n";
	struct xct_hooks *hooks = xct_hooks_new();
	struct world *w = *state;
	char *text;

	assert_non_null(hooks);
	assert_int_equal(xct_hooks_retain(hooks, kept), 0);
	text = render_own(w, hooks, 2);
	assert_int_equal(rules_in(text, "XCT-PRE"), 2);
	free(text);
	/* What is named anyhow is not named twice. */
	add_rule(w, XCT_ACT_MASQUERADE);
	text = render_own(w, hooks, 2);
	assert_int_equal(rules_in(text, "XCT-PRE"), 3);
	free(text);
	xct_hooks_free(hooks);
}

static void workers_share_by_balance_and_failing_open_bypasses(void **state)
{
	struct world *w = *state;
	char *text;

	w->config.settings.fail_open = true;
	w->config.settings.mark_mask = 0x6;
	text = xct_hooks_render(NULL, &w->config, 4, AF_INET);
	assert_non_null(text);
	assert_has(text, "-A XCT-POST -j NFQUEUE --queue-balance 7:10 "
			 "--queue-bypass");
	assert_has(text, "-A XCT-IN -m mark --mark 0x4/0x6 -g XCT-DONE");
	assert_has(text, "-A XCT-DONE -j MARK --set-xmark 0x0/0x6");
	free(text);
}

static void snat_addresses_are_queued_early_in_their_family(void **state)
{
	struct world *w = *state;
	char *text;

	range(&add_rule(w, XCT_ACT_SNAT)->nat.addr, "203.0.113.7");
	range(&add_rule(w, XCT_ACT_SNAT)->nat.addr, "203.0.113.8-203.0.113.20");
	range(&add_rule(w, XCT_ACT_SNAT)->nat.addr, "2001:db8::5");
	range(&add_rule(w, XCT_ACT_SNAT)->nat.addr, "203.0.113.7");

	text = render(w, AF_INET);
	assert_int_equal(rules_in(text, "XCT-PRE"), 2);
	assert_has(text, "-A XCT-PRE -d 203.0.113.7 -g XCT-EARLY");
	assert_has(text, "-A XCT-PRE -m iprange --dst-range "
			 "203.0.113.8-203.0.113.20 -g XCT-EARLY");
	free(text);
	text = render(w, AF_INET6);
	assert_int_equal(rules_in(text, "XCT-PRE"), 1);
	assert_has(text, "-A XCT-PRE -d 2001:db8::5 -g XCT-EARLY");
	free(text);
}

static void dnat_conditions_are_combined(void **state)
{
	struct world *w = *state;
	struct xct_rule *rule = add_rule(w, XCT_ACT_DNAT);
	char *text;

	strcpy(w->patterns[0], "eth0");
	strcpy(w->patterns[1], "vlan*");
	w->ifset.n = 2;
	range(&w->ranges[0], "192.0.2.1");
	range(&w->ranges[1], "2001:db8::/64");
	w->addrset.n = 2;
	w->ports[0] = (struct xct_port_range){ 80, 80 };
	w->ports[1] = (struct xct_port_range){ 8000, 8080 };
	w->portset.n = 2;
	xct_byteset_add(&w->protos, IPPROTO_TCP);
	rule->match.in = rule->match.dst = rule->match.dport = 0;
	rule->match.proto = 0;

	text = render(w, AF_INET);
	assert_int_equal(rules_in(text, "XCT-PRE"), 2 + ICMP_ERRORS);
	assert_has(text, "-A XCT-PRE -i eth0 -d 192.0.2.1 -p 6 -m multiport "
			 "--dports 80,8000:8080 -g XCT-EARLY");
	assert_has(text, "-A XCT-PRE -i vlan+ -d 192.0.2.1 -p 6 -m multiport "
			 "--dports 80,8000:8080 -g XCT-EARLY");
	assert_has(text, "-A XCT-PRE -p icmp --icmp-type 3 -g XCT-EARLY");
	free(text);

	text = render(w, AF_INET6);
	assert_has(text, "-A XCT-PRE -i eth0 -m iprange --dst-range "
			 "2001:db8::-2001:db8::ffff:ffff:ffff:ffff -p 6 "
			 "-m multiport --dports 80,8000:8080 "
			 "-g XCT-EARLY");
	assert_has(text,
		   "-A XCT-PRE -p ipv6-icmp --icmpv6-type 2 -g XCT-EARLY");
	free(text);

	/* The new destination says the family too. */
	range(&rule->nat.addr, "10.0.0.10");
	text = render(w, AF_INET6);
	assert_int_equal(rules_in(text, "XCT-PRE"), 0);
	free(text);
}

/* Data connections come to ports of their own, but to the same address. */
static void what_a_helper_leads_to_is_queued_early(void **state)
{
	static const char any[] = "-A XCT-PRE -d 192.0.2.1 -p 6 -g XCT-EARLY";
	static const char port[] = "-A XCT-PRE -d 192.0.2.1 -p 6 -m multiport "
				   "--dports 21 -g XCT-EARLY";
	struct world *w = *state;
	struct xct_rule *rule = add_rule(w, XCT_ACT_DNAT);
	struct xct_port_range other = { 2121, 2121 };
	struct xct_portset sets[2] = { [1] = { .ranges = &other, .n = 1 } };
	struct xct_rule helped = *rule;
	char *text;

	range(&w->ranges[0], "192.0.2.1");
	w->addrset.n = 1;
	w->ports[0] = (struct xct_port_range){ 21, 21 };
	w->portset.n = 1;
	xct_byteset_add(&w->protos, IPPROTO_TCP);
	rule->match.dst = rule->match.dport = rule->match.proto = 0;
	w->config.ruleset.chain[XCT_CHAIN_FORWARD].rules = &helped;
	w->config.ruleset.chain[XCT_CHAIN_FORWARD].n = 1;
	helped.match.proto = 0;

	text = render(w, AF_INET);
	assert_has(text, port);
	free(text);
	helped.helper = XCT_HELPER_FTP;
	text = render(w, AF_INET);
	assert_has(text, any);
	assert_null(strstr(text, port));
	free(text);
	/* What comes to port 21 and is sent to another is not helped. */
	sets[0] = w->portset;
	w->config.ruleset.portsets = sets;
	helped.match.dport = 1;
	text = render(w, AF_INET);
	assert_has(text, port);
	free(text);
	rule->nat.port_first = rule->nat.port_last = 2121;
	text = render(w, AF_INET);
	assert_has(text, any);
	free(text);
}

static void conditions_that_cannot_be_told_are_left_out(void **state)
{
	struct world *w = *state;
	struct xct_rule *rule = add_rule(w, XCT_ACT_REDIRECT);
	char *text;

	/* Ports of a protocol multiport does not know, an interface "*". */
	strcpy(w->patterns[0], "eth0");
	strcpy(w->patterns[1], "*");
	w->ifset.n = 2;
	w->ports[0] = (struct xct_port_range){ 5, 5 };
	w->portset.n = 1;
	xct_byteset_add(&w->protos, 47);
	rule->match.in = rule->match.dport = rule->match.proto = 0;
	text = render(w, AF_INET);
	assert_has(text, "-A XCT-PRE -p 47 -g XCT-EARLY");
	free(text);
	rule->match.proto = XCT_ANY;
	text = render(w, AF_INET);
	assert_has(text, "-A XCT-PRE -g XCT-EARLY");
	free(text);
}

static void many_ports_are_split_as_multiport_demands(void **state)
{
	struct world *w = *state;
	struct xct_rule *rule = add_rule(w, XCT_ACT_DNAT);
	char *text;

	/* 14 single ports, then ranges: the first does not fit any more. */
	for (uint16_t i = 0; i < 14; i++)
		w->ports[i] = (struct xct_port_range){ 100, 100 };
	w->ports[14] = (struct xct_port_range){ 200, 201 };
	w->ports[15] = (struct xct_port_range){ 65534, 65535 };
	w->portset.n = 16;
	xct_byteset_add(&w->protos, IPPROTO_UDP);
	rule->match.dport = rule->match.proto = 0;
	text = render(w, AF_INET);
	assert_has(text, "-A XCT-PRE -p 17 -m multiport --dports 100,100,100,"
			 "100,100,100,100,100,100,100,100,100,100,100 "
			 "-g XCT-EARLY");
	assert_has(text, "-A XCT-PRE -p 17 -m multiport --dports "
			 "200:201,65534:65535 -g XCT-EARLY");
	free(text);
}

static void too_many_combinations_become_wider(void **state)
{
	struct world *w = *state;
	struct xct_rule *rule = add_rule(w, XCT_ACT_DNAT);
	char *text;

	for (int i = 0; i < 2; i++)
		snprintf(w->patterns[i], XCT_IFNAMSIZ, "if%d", i);
	w->ifset.n = 2;
	for (int i = 0; i < 33; i++) {
		char s[32];

		snprintf(s, sizeof(s), "192.0.2.%d", 2 * i);
		range(&w->ranges[i], s);
	}
	w->addrset.n = 32;
	rule->match.in = rule->match.dst = 0;
	text = render(w, AF_INET);
	assert_int_equal(rules_in(text, "XCT-PRE"), 64 + ICMP_ERRORS);
	free(text);

	w->addrset.n = 33;
	text = render(w, AF_INET);
	assert_int_equal(rules_in(text, "XCT-PRE"), 2 + ICMP_ERRORS);
	assert_has(text, "-A XCT-PRE -i if0 -g XCT-EARLY");
	assert_has(text, "-A XCT-PRE -i if1 -g XCT-EARLY");
	free(text);
}

static void rules_for_own_connections_queue_output(void **state)
{
	struct world *w = *state;
	struct xct_rule *rule;
	char *text;

	add_rule(w, XCT_ACT_EXEMPT);
	text = render(w, AF_INET);
	assert_int_equal(rules_in(text, "XCT-PRE"), 0);
	assert_int_equal(rules_in(text, "XCT-OUT"), 0);
	free(text);

	rule = add_rule(w, XCT_ACT_DNAT);
	rule->is_local = true;
	rule->match.family = AF_INET;
	text = render(w, AF_INET);
	assert_int_equal(rules_in(text, "XCT-PRE"), 0);
	assert_has(text, "-A XCT-OUT -m mark --mark 0x20000000/0x30000000 "
			 "-j RETURN");
	assert_has(text, "-A XCT-OUT -j NFQUEUE --queue-num 7");
	free(text);
	text = render(w, AF_INET6);
	assert_int_equal(rules_in(text, "XCT-OUT"), 0);
	free(text);
}

static void what_a_predecessor_selected_stays_selected(void **state)
{
	static const char kept[] = "4 -d 198.51.100.7 \n4 \n6 out\n";
	struct world *w = *state;
	struct xct_hooks *hooks = xct_hooks_new();
	char *text;

	assert_non_null(hooks);
	assert_int_equal(xct_hooks_retain(hooks, kept), 0);
	assert_int_equal(xct_hooks_retain(hooks, "\n\n4\nrubbish\n"), 0);
	text = xct_hooks_selected(hooks);
	assert_string_equal(text, kept);
	free(text);
	text = xct_hooks_render(hooks, &w->config, 1, AF_INET);
	assert_has(text, "-A XCT-PRE -d 198.51.100.7 -g XCT-EARLY");
	assert_has(text, "-A XCT-PRE -g XCT-EARLY");
	assert_int_equal(rules_in(text, "XCT-PRE"), 2);
	assert_int_equal(rules_in(text, "XCT-OUT"), 0);
	free(text);
	text = xct_hooks_render(hooks, &w->config, 1, AF_INET6);
	assert_int_equal(rules_in(text, "XCT-PRE"), 0);
	assert_int_equal(rules_in(text, "XCT-OUT"), 2);
	free(text);
	assert_true(xct_hooks_has_retained(hooks));
	xct_hooks_forget(hooks);
	assert_false(xct_hooks_has_retained(hooks));
	text = xct_hooks_selected(hooks);
	assert_string_equal(text, "");
	free(text);
	xct_hooks_free(hooks);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(masquerade_queues_local_destinations_early),
		TEST(without_translation_no_destination_is_queued_early),
		TEST(hooks_are_wide_until_forgotten),
		TEST(own_addresses_are_named_unless_there_are_many),
		TEST(addresses_that_others_cannot_send_to_are_not_named),
		TEST(addresses_stay_selected_by_name_while_flows_need_it),
		TEST(workers_share_by_balance_and_failing_open_bypasses),
		TEST(snat_addresses_are_queued_early_in_their_family),
		TEST(dnat_conditions_are_combined),
		TEST(what_a_helper_leads_to_is_queued_early),
		TEST(conditions_that_cannot_be_told_are_left_out),
		TEST(many_ports_are_split_as_multiport_demands),
		TEST(too_many_combinations_become_wider),
		TEST(rules_for_own_connections_queue_output),
		TEST(what_a_predecessor_selected_stays_selected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
