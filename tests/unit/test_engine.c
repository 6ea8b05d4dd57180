/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine as a whole: packets in, verdicts and rewritten bytes out.
 *
 * A gateway: lan (interface 2, 10.0.0.1/24, fd00::1) and wan (interface 3,
 * 203.0.113.1, 2001:db8::1). Clients are 10.0.0.2.., servers 198.51.100.9..
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/engine/table.h"
#include "tests/unit/engine.h"
#include "tests/unit/packets.h"

#define LAN	  2
#define WAN	  3
#define MAX_FLOWS 64

struct world {
	struct xct_engine *eng;
	struct xct_engine_config cfg;
	struct xct_config *config;
	void *region;
	void *work;
	struct xct_result res;
	xct_msec now;
	unsigned int events;
};

static bool host_ifname(void *ctx, uint32_t ifindex,
			char name[static XCT_IFNAMSIZ])
{
	(void)ctx;
	strcpy(name, ifindex == LAN ? "lan0" : "wan0");
	return ifindex == LAN || ifindex == WAN;
}

static bool host_ifaddr(void *ctx, uint32_t ifindex, uint8_t family,
			const struct xct_addr *dst, struct xct_addr *addr)
{
	uint8_t f;

	(void)ctx;
	(void)dst;
	if (family == AF_INET)
		return xct_addr_parse(
			ifindex == LAN ? "10.0.0.1" : "203.0.113.1", &f, addr);
	return xct_addr_parse(ifindex == LAN ? "fd00::1" : "2001:db8::1", &f,
			      addr);
}

static bool host_is_local(void *ctx, uint8_t family,
			  const struct xct_addr *addr)
{
	static const char *const own[] = { "10.0.0.1", "203.0.113.1", "fd00::1",
					   "2001:db8::1" };
	struct xct_addr a;
	uint8_t f;

	(void)ctx;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(own); i++)
		if (xct_addr_parse(own[i], &f, &a) && f == family &&
		    xct_addr_equal(&a, addr))
			return true;
	return false;
}

static void host_event(void *ctx, const struct xct_event *event)
{
	struct world *w = ctx;

	(void)event;
	w->events++;
}

static void attach(struct world *w)
{
	struct xct_attach_report report;

	assert_int_equal(0, xct_engine_attach(&w->eng, w->region, w->work,
					      MAX_FLOWS, &w->cfg, w->now,
					      &report));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	engine_defaults(&w->cfg);
	w->cfg.host = (struct xct_host_ops){ .ifname = host_ifname,
					     .ifaddr = host_ifaddr,
					     .is_local = host_is_local,
					     .event = host_event,
					     .ctx = w };
	w->region = engine_room(xct_region_size(MAX_FLOWS));
	w->work = engine_room(xct_engine_work_size(MAX_FLOWS));
	w->now = 1000000;
	attach(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	xct_config_free(w->config);
	free(w->region);
	free(w->work);
	free(w);
	return 0;
}

static void use_rules(struct world *w, const char *yaml)
{
	engine_use_rules(w->eng, &w->config, yaml);
}

static uint64_t hits(const struct world *w, const char *name)
{
	const struct xct_ruleset *rs = &w->config->ruleset;

	for (uint32_t i = 0; i < rs->n_dnat; i++)
		if (!strcmp(rs->dnat[i].name, name))
			return rs->hits[rs->dnat[i].id];
	for (uint32_t i = 0; i < rs->n_snat; i++)
		if (!strcmp(rs->snat[i].name, name))
			return rs->hits[rs->snat[i].id];
	for (int c = 0; c < XCT_CHAINS; c++)
		for (uint32_t i = 0; i < rs->chain[c].n; i++)
			if (!strcmp(rs->chain[c].rules[i].name, name))
				return rs->hits[rs->chain[c].rules[i].id];
	fail_msg("no rule %s", name);
	return 0;
}

/* One hook. Whatever is accepted must leave with right checksums. */
static void hook(struct world *w, struct packet *p, enum xct_hook h,
		 uint32_t in, uint32_t out, uint8_t stage)
{
	struct xct_meta meta = { .in_if = in,
				 .out_if = out,
				 .hook = (uint8_t)h,
				 .stage = stage,
				 .csum_unverified = true };

	xct_engine_packet(w->eng, p->data, p->len, &meta, w->now, &w->res);
	if (w->res.verdict == XCT_VERDICT_ACCEPT && w->res.is_edited)
		assert_true(packet_is_sound(p));
}

/* The way of a forwarded packet: PREROUTING (if @pre), then POSTROUTING. */
static enum xct_verdict forward(struct world *w, struct packet *p, uint32_t in,
				uint32_t out, bool pre)
{
	uint8_t stage = XCT_STAGE_FRESH;

	if (pre) {
		hook(w, p, XCT_HOOK_PREROUTING, in, 0, stage);
		if (w->res.verdict == XCT_VERDICT_DROP)
			return XCT_VERDICT_DROP;
		stage = w->res.stage;
		if (stage == XCT_STAGE_DONE)
			return XCT_VERDICT_ACCEPT;
	}
	hook(w, p, XCT_HOOK_POSTROUTING, in, out, stage);
	return w->res.verdict;
}

static void assert_addrs(const struct packet *p, const char *src,
			 uint16_t sport, const char *dst, uint16_t dport)
{
	struct xct_pkt pkt;
	struct xct_addr s, d;
	struct packet copy = *p;
	char text[XCT_ADDRSTRLEN];

	assert_int_equal(XCT_REASON_NONE,
			 xct_pkt_parse(&pkt, copy.data, copy.len, false));
	xct_pkt_addrs(&pkt, &s, &d);
	assert_string_equal(src, xct_addr_format(pkt.family, &s, text));
	assert_string_equal(dst, xct_addr_format(pkt.family, &d, text));
	assert_int_equal(sport, xct_get_be16(pkt.l4));
	assert_int_equal(dport, xct_get_be16(pkt.l4 + 2));
}

static bool keep_info(void *ctx, const struct xct_flow_info *info)
{
	*(struct xct_flow_info *)ctx = *info;
	return true;
}

/* A flow that is listed; its id is 0 if there is none. */
static struct xct_flow_info any_flow(struct world *w)
{
	struct xct_flow_info info = { 0 };
	uint32_t cursor = 0;

	(void)xct_engine_walk(w->eng, &cursor, w->now, NULL, MAX_FLOWS,
			      keep_info, &info);
	return info;
}

/* The only flow. */
static struct xct_flow_info only_flow(struct world *w)
{
	struct xct_engine_stats stats;

	xct_engine_stats(w->eng, &stats);
	assert_int_equal(1, stats.flows);
	return any_flow(w);
}

static uint64_t counted(struct world *w, enum xct_reason reason)
{
	struct xct_engine_stats stats;

	xct_engine_stats(w->eng, &stats);
	return stats.reason_packets[reason];
}

static uint32_t flows(struct world *w)
{
	struct xct_engine_stats stats;

	xct_engine_stats(w->eng, &stats);
	return stats.flows;
}

#define MASQUERADE "nat: [{name: out, out: wan0, masquerade: yes}]\n"

static void tcp_handshake_goes_through_its_states(void **state)
{
	struct world *w = *state;
	struct packet p;

	packet_tcp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, TCP_SYN, 1, 0, 0);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_int_equal(XCT_TCP_SYN_SENT, only_flow(w).state);
	assert_false(only_flow(w).status & XCT_STATUS_SEEN_REPLY);
	packet_tcp(&p, "198.51.100.9", 80, "10.0.0.2", 1000, TCP_SYN | TCP_ACK,
		   9, 2, 0);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, false));
	assert_int_equal(XCT_TCP_SYN_RECV, only_flow(w).state);
	packet_tcp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, TCP_ACK, 2, 10, 0);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_int_equal(XCT_TCP_ESTABLISHED, only_flow(w).state);
	assert_true(only_flow(w).status & XCT_STATUS_ASSURED);
	assert_int_equal(2, only_flow(w).packets[XCT_DIR_ORIG]);
	assert_int_equal(80, only_flow(w).bytes[XCT_DIR_ORIG]);
	assert_int_equal(1, only_flow(w).packets[XCT_DIR_REPLY]);
}

static void masquerade_translates_both_ways_and_counts_one_hit(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, MASQUERADE);
	for (int i = 0; i < 5; i++) {
		packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 33);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, WAN, false));
		assert_addrs(&p, "203.0.113.1", 1000, "198.51.100.9", 53);
		packet_udp(&p, "198.51.100.9", 53, "203.0.113.1", 1000, 77);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, WAN, LAN, true));
		assert_int_equal(XCT_STAGE_DONE, w->res.stage);
		assert_addrs(&p, "198.51.100.9", 53, "10.0.0.2", 1000);
	}
	assert_int_equal(1, hits(w, "out"));
	assert_int_equal(5, only_flow(w).packets[XCT_DIR_REPLY]);
	assert_true(only_flow(w).status & XCT_STATUS_SRC_NAT);
}

static void two_clients_with_one_port_get_different_reply_tuples(void **state)
{
	struct world *w = *state;
	struct packet p;
	uint16_t port;

	use_rules(w, MASQUERADE);
	packet_tcp(&p, "10.0.0.2", 5000, "198.51.100.9", 80, TCP_SYN, 1, 0, 0);
	(void)forward(w, &p, LAN, WAN, false);
	assert_addrs(&p, "203.0.113.1", 5000, "198.51.100.9", 80);
	packet_tcp(&p, "10.0.0.3", 5000, "198.51.100.9", 80, TCP_SYN, 1, 0, 0);
	(void)forward(w, &p, LAN, WAN, false);
	port = xct_get_be16(p.data + 20);
	assert_int_not_equal(5000, port);
	assert_true(port >= 1024);
	/* The socket keeps the substitute towards another server. */
	packet_tcp(&p, "10.0.0.3", 5000, "198.51.100.10", 80, TCP_SYN, 1, 0, 0);
	(void)forward(w, &p, LAN, WAN, false);
	assert_addrs(&p, "203.0.113.1", port, "198.51.100.10", 80);
}

static uint16_t port_towards(struct world *w, unsigned int server)
{
	struct packet p;
	char dst[32];

	snprintf(dst, sizeof(dst), "198.51.100.%u", server);
	packet_udp(&p, "10.0.0.3", 5000, dst, 80, 1);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	return xct_get_be16(p.data + 20);
}

static void end_towards(struct world *w, unsigned int server)
{
	struct xct_flow_filter filter = { .fields = XCT_FILTER_ORIG_SRC |
						    XCT_FILTER_ORIG_DST };
	uint32_t cursor = 0, before = flows(w);
	uint8_t family;
	char dst[32];

	snprintf(dst, sizeof(dst), "198.51.100.%u", server);
	assert_true(
		xct_addr_parse("10.0.0.3", &family, &filter.orig_src.first));
	filter.orig_src.last = filter.orig_src.first;
	assert_true(xct_addr_parse(dst, &family, &filter.orig_dst.first));
	filter.orig_dst.last = filter.orig_dst.first;
	filter.orig_src.family = filter.orig_dst.family = family;
	while (xct_engine_delete(w->eng, &cursor, w->now, &filter, MAX_FLOWS,
				 NULL, NULL))
		;
	assert_int_equal(before - 1, flows(w));
}

/* Whichever of its flows end, and in which order. */
static void a_socket_keeps_its_port_while_it_has_a_flow(void **state)
{
	static const uint8_t orders[][4] = {
		{ 1, 2, 3, 4 }, { 4, 3, 2, 1 }, { 2, 3, 1, 4 }, { 3, 1, 4, 2 }
	};
	struct world *w = *state;
	struct packet p;
	uint16_t port;

	use_rules(w, MASQUERADE);
	/* Another client has the port that it would like. */
	packet_udp(&p, "10.0.0.2", 5000, "198.51.100.1", 80, 1);
	(void)forward(w, &p, LAN, WAN, false);
	for (size_t i = 0; i < XCT_ARRAY_SIZE(orders); i++) {
		port = port_towards(w, 1);
		assert_int_not_equal(5000, port);
		for (unsigned int server = 2; server <= 4; server++)
			assert_int_equal(port, port_towards(w, server));
		for (unsigned int k = 0; k < 3; k++) {
			end_towards(w, orders[i][k]);
			assert_int_equal(port, port_towards(w, 100 + k));
			end_towards(w, 100 + k);
		}
		end_towards(w, orders[i][3]);
		assert_int_equal(1, flows(w));
	}
}

static void a_low_port_is_replaced_by_a_low_port(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, MASQUERADE);
	for (int i = 0; i < 20; i++) {
		char client[16];

		snprintf(client, sizeof(client), "10.0.0.%d", i + 2);
		packet_udp(&p, client, 123, "198.51.100.9", 123, 8);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, WAN, false));
		assert_in_range(xct_get_be16(p.data + 20), 1, 511);
	}
}

static void an_exhausted_port_range_drops_with_its_reason(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "nat: [{out: wan0, proto: udp, "
		     "snat: \"203.0.113.7:4000-4001\"}]\n");
	packet_udp(&p, "10.0.0.2", 9, "198.51.100.9", 53, 1);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	packet_udp(&p, "10.0.0.3", 9, "198.51.100.9", 53, 1);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	packet_udp(&p, "10.0.0.4", 9, "198.51.100.9", 53, 1);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	assert_int_equal(1, counted(w, XCT_REASON_NAT_EXHAUSTED));
	/* Another server has its own tuples. */
	packet_udp(&p, "10.0.0.4", 9, "198.51.100.10", 53, 1);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
}

static void a_closed_connection_gives_its_port_to_a_newer_one(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "nat: [{out: wan0, proto: tcp, "
		     "snat: \"203.0.113.7:4000\"}]\n");
	packet_tcp(&p, "10.0.0.2", 9, "198.51.100.9", 80, TCP_SYN, 100, 0, 0);
	(void)forward(w, &p, LAN, WAN, false);
	packet_tcp(&p, "198.51.100.9", 80, "203.0.113.7", 4000,
		   TCP_SYN | TCP_ACK, 9, 101, 0);
	(void)forward(w, &p, WAN, LAN, true);
	/* Not while it is open .. */
	packet_tcp(&p, "10.0.0.3", 9, "198.51.100.9", 80, TCP_SYN, 500, 0, 0);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	packet_tcp(&p, "10.0.0.2", 9, "198.51.100.9", 80, TCP_RST | TCP_ACK,
		   101, 10, 0);
	(void)forward(w, &p, LAN, WAN, false);
	assert_int_equal(XCT_TCP_CLOSE, only_flow(w).state);
	/* .. nor to one whose segments could be taken for the old one's .. */
	packet_tcp(&p, "10.0.0.3", 9, "198.51.100.9", 80, TCP_SYN, 50, 0, 0);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	/* .. but to one that is later. */
	packet_tcp(&p, "10.0.0.3", 9, "198.51.100.9", 80, TCP_SYN, 500, 0, 0);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_addrs(&p, "203.0.113.7", 4000, "198.51.100.9", 80);
	assert_int_equal(XCT_TCP_SYN_SENT, only_flow(w).state);
}

static void what_this_host_sends_is_output_whatever_it_came_by(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "filter: {forward: {default: drop}}\n");
	/* The outer packet of a tunnel has the tunnel as input interface. */
	packet_udp(&p, "203.0.113.1", 4789, "198.51.100.9", 4789, 9);
	hook(w, &p, XCT_HOOK_POSTROUTING, 77, WAN, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	packet_udp(&p, "203.0.113.99", 4789, "198.51.100.9", 4789, 9);
	hook(w, &p, XCT_HOOK_POSTROUTING, 77, WAN, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_DROP, w->res.verdict);
}

static void a_broadcast_is_rejected_without_an_answer(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "filter: {input: {default: reject}}\n");
	packet_udp(&p, "10.0.0.2", 9, "10.0.0.255", 53, 9);
	hook(w, &p, XCT_HOOK_INPUT, LAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_REASON_REJECT, w->res.reason);
	assert_int_equal(0, w->res.reply_len);
	/* From the address that was asked, not from the nearest one. */
	packet_udp(&p, "10.0.0.2", 9, "203.0.113.1", 53, 9);
	hook(w, &p, XCT_HOOK_INPUT, LAN, 0, XCT_STAGE_FRESH);
	assert_memory_equal("\xcb\0\x71\x01", w->res.reply + 12, 4);
}

static void an_exempt_rule_counts_what_ends_here_too(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "nat:\n"
		     "- {name: not, in: wan0, proto: tcp, dport: 9, "
		     "exempt: yes}\n"
		     "- {in: wan0, proto: tcp, dnat: 10.0.0.10}\n");
	packet_tcp(&p, "198.51.100.9", 7, "203.0.113.1", 9, TCP_SYN, 1, 0, 0);
	hook(w, &p, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_STAGE_FRESH, w->res.stage);
	hook(w, &p, XCT_HOOK_INPUT, WAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_int_equal(1, hits(w, "not"));
}

static void a_packet_from_another_hook_has_its_own_reason(void **state)
{
	struct world *w = *state;
	struct packet p;

	packet_udp(&p, "10.0.0.2", 9, "198.51.100.9", 53, 9);
	hook(w, &p, 2 /* FORWARD */, LAN, WAN, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_DROP, w->res.verdict);
	assert_int_equal(1, counted(w, XCT_REASON_HOOK));
}

static void an_address_of_a_range_is_the_one_the_kernel_takes(void **state)
{
	/* Of 203.0.113.50 to .53, for 10.0.0.10 and on to 203.0.113.2: seen on
	 * a 6.18 kernel. */
	static const uint8_t persistent[] = { 53, 50, 50, 52, 50, 52 };
	static const uint8_t for_server[] = { 51, 53, 50, 52, 52, 51 };
	struct world *w = *state;
	char client[16];
	struct packet p;

	for (unsigned int i = 0; i < 12; i++) {
		if (i % 6 == 0)
			use_rules(w, i ? "nat: [{out: wan0, persistent: yes, "
					 "snat: 203.0.113.50-203.0.113.53}]\n"
				       : "nat: [{out: wan0, "
					 "snat: 203.0.113.50-203.0.113.53}]\n");
		snprintf(client, sizeof(client), "10.0.0.%u", 10 + i % 6);
		packet_echo(&p, client, "203.0.113.2", false, (uint16_t)i);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, WAN, false));
		assert_int_equal(i < 6 ? for_server[i] : persistent[i % 6],
				 p.data[15]);
	}
}

static void port_forward_visits_two_hooks_once_and_then_one(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "nat: [{name: web, in: wan0, proto: tcp, dport: 8080, "
		     "dnat: \"10.0.0.10:80\"}]\n");
	packet_tcp(&p, "198.51.100.9", 7, "203.0.113.1", 8080, TCP_SYN, 1, 0,
		   0);
	hook(w, &p, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_STAGE_ROUTED, w->res.stage);
	assert_addrs(&p, "198.51.100.9", 7, "10.0.0.10", 80);
	assert_int_equal(0, flows(w)); /* neither counted nor listed */
	assert_int_equal(0, any_flow(w).id);
	hook(w, &p, XCT_HOOK_POSTROUTING, WAN, LAN, XCT_STAGE_ROUTED);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_int_equal(XCT_STAGE_FRESH, w->res.stage);
	assert_true(only_flow(w).status & XCT_STATUS_DST_NAT);

	packet_tcp(&p, "10.0.0.10", 80, "198.51.100.9", 7, TCP_SYN | TCP_ACK, 5,
		   2, 0);
	hook(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_FRESH);
	assert_addrs(&p, "203.0.113.1", 8080, "198.51.100.9", 7);

	packet_tcp(&p, "198.51.100.9", 7, "203.0.113.1", 8080, TCP_ACK, 2, 6,
		   100);
	hook(w, &p, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_STAGE_DONE, w->res.stage);
	assert_addrs(&p, "198.51.100.9", 7, "10.0.0.10", 80);
	assert_int_equal(1, hits(w, "web"));
}

static void an_unconfirmed_flow_lets_nothing_back(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "nat: [{in: wan0, proto: udp, dnat: 10.0.0.10}]\n"
		     "filter: {forward: {default: drop}}\n");
	packet_udp(&p, "198.51.100.9", 7, "203.0.113.1", 53, 1);
	hook(w, &p, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_STAGE_ROUTED, w->res.stage);
	packet_udp(&p, "10.0.0.10", 53, "198.51.100.9", 7, 1);
	hook(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_DROP, w->res.verdict);
	/* The filter then says no: nothing is left of the flow. */
	packet_udp(&p, "198.51.100.9", 7, "10.0.0.10", 53, 1);
	hook(w, &p, XCT_HOOK_POSTROUTING, WAN, LAN, XCT_STAGE_ROUTED);
	assert_int_equal(XCT_VERDICT_DROP, w->res.verdict);
	assert_int_equal(XCT_REASON_DEFAULT, w->res.reason);
	assert_int_equal(0, flows(w));
}

static void hairpin_translates_both_halves_in_both_directions(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "nat:\n"
		     "- {proto: tcp, dst: 203.0.113.1, dport: 80, "
		     "dnat: \"10.0.0.10:8080\"}\n"
		     "- {in: lan0, out: lan0, masquerade: yes}\n");
	for (int i = 0; i < 2; i++) {
		packet_tcp(&p, "10.0.0.2", 1000, "203.0.113.1", 80,
			   i ? TCP_ACK : TCP_SYN, i ? 2 : 1, i ? 6 : 0, 0);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, LAN, true));
		assert_addrs(&p, "10.0.0.1", 1000, "10.0.0.10", 8080);
		packet_tcp(&p, "10.0.0.10", 8080, "10.0.0.1", 1000,
			   i ? TCP_ACK : TCP_SYN | TCP_ACK, i ? 6 : 5, 2, 0);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, LAN, true));
		assert_addrs(&p, "203.0.113.1", 80, "10.0.0.2", 1000);
	}
	assert_int_equal(XCT_TCP_ESTABLISHED, only_flow(w).state);
}

static void hairpin_ping_keeps_its_id_apart(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "nat:\n"
		     "- {proto: icmp, dst: 203.0.113.1, dnat: 10.0.0.10}\n"
		     "- {out: lan0, snat: 10.0.0.1}\n");
	/* Another client holds the same id: this one's is replaced. */
	packet_echo(&p, "10.0.0.3", "203.0.113.1", false, 77);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, LAN, true));
	for (int i = 0; i < 3; i++) {
		uint16_t id;

		packet_echo(&p, "10.0.0.2", "203.0.113.1", false, 77);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, LAN, true));
		id = xct_get_be16(p.data + 24);
		assert_int_not_equal(77, id);
		packet_echo(&p, "10.0.0.10", "10.0.0.1", true, id);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, LAN, true));
		assert_int_equal(77, xct_get_be16(p.data + 24));
	}
	assert_int_equal(2, flows(w));
}

static void sctp_is_translated_with_its_ports_and_checksum(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "nat: [{in: wan0, proto: sctp, dport: 36412, "
		     "dnat: \"10.0.0.10:3868\"}]\n"
		     "filter: {invalid: drop}\n");
	packet_sctp(&p, "198.51.100.9", 7, "203.0.113.1", 36412, 0, "INIT=1");
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, true));
	assert_addrs(&p, "198.51.100.9", 7, "10.0.0.10", 3868);
	assert_int_equal(XCT_SCTP_CLOSED, only_flow(w).state);
	packet_sctp(&p, "10.0.0.10", 3868, "198.51.100.9", 7, 1, "INITACK=2");
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_addrs(&p, "203.0.113.1", 36412, "198.51.100.9", 7);
	assert_int_equal(XCT_SCTP_COOKIE_WAIT, only_flow(w).state);
	/* What arrives damaged goes no further. */
	packet_sctp(&p, "198.51.100.9", 7, "203.0.113.1", 36412, 2, "CE");
	p.data[p.len - 1] ^= 0x10;
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, WAN, LAN, true));
	assert_int_equal(1, counted(w, XCT_REASON_CSUM_SCTP));
	packet_sctp(&p, "198.51.100.9", 7, "203.0.113.1", 36412, 2, "DATA CE");
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, WAN, LAN, true));
	assert_int_equal(1, counted(w, XCT_REASON_SCTP_CHUNKS));
	assert_int_equal(XCT_SCTP_COOKIE_WAIT, only_flow(w).state);
}

static void an_error_about_sctp_is_translated_as_far_as_it_quotes(void **state)
{
	struct world *w = *state;
	struct packet p, error;
	struct xct_pkt pkt;

	use_rules(w, "nat: [{out: wan0, proto: sctp, "
		     "snat: \"203.0.113.7:4000\"}]\n"
		     "filter: {invalid: drop}\n");
	packet_sctp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, 0, "INIT=1");
	(void)forward(w, &p, LAN, WAN, false);
	assert_addrs(&p, "203.0.113.7", 4000, "198.51.100.9", 80);
	for (uint32_t quote = 28; quote <= p.len; quote++) {
		packet_error(&error, "192.0.2.99", "203.0.113.7", &p, quote);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &error, WAN, LAN, true));
		assert_int_equal(
			XCT_REASON_NONE,
			xct_pkt_parse(&pkt, error.data + 28, quote, true));
		assert_int_equal(1000, xct_get_be16(pkt.l4));
		assert_int_equal(80, xct_get_be16(pkt.l4 + 2));
		/* Bytes of a checksum that is not all there stay. */
		if (quote < 32)
			assert_memory_equal(pkt.l4 + 8, p.data + 28,
					    quote - 28);
	}
	assert_true(xct_csum_is_right(&pkt));
}

static void an_unfinished_sctp_checksum_is_computed(void **state)
{
	struct xct_meta meta = { .hook = XCT_HOOK_POSTROUTING,
				 .out_if = WAN,
				 .csum_partial = true };
	struct world *w = *state;
	struct packet p;

	use_rules(w, MASQUERADE);
	packet_sctp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, 0, "INIT=1");
	memset(p.data + 28, 0, 4);
	xct_engine_packet(w->eng, p.data, p.len, &meta, w->now, &w->res);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_addrs(&p, "203.0.113.1", 1000, "198.51.100.9", 80);
	assert_true(packet_is_sound(&p));
}

/* A UDP-Lite packet whose checksum covers @coverage bytes, as the kernel's
 * conntrack computes it. */
static void packet_udplite(struct packet *p, const char *src, uint16_t sport,
			   const char *dst, uint16_t dport, uint16_t coverage)
{
	uint8_t l4[8 + 13] = { 0 };
	struct xct_pkt pkt;
	xct_be16 check;

	xct_put_be16(l4, sport);
	xct_put_be16(l4 + 2, dport);
	xct_put_be16(l4 + 4, coverage);
	memset(l4 + 8, 'z', 13);
	packet_ip(p, src, dst, IPPROTO_UDPLITE, l4, sizeof(l4));
	assert_int_equal(XCT_REASON_NONE,
			 xct_pkt_parse(&pkt, p->data, p->len, false));
	memset(pkt.l4 + 6, 0, 2);
	check = (xct_be16)~xct_csum_fold(
		xct_csum_sum(pkt.l4, coverage ? coverage : pkt.l4_len) +
		xct_csum_pseudo(pkt.family, xct_pkt_addrs_at(&pkt), IPPROTO_UDP,
				pkt.l4_len));
	memcpy(pkt.l4 + 6, &check, 2);
}

static void udplite_checksum_covers_what_its_header_says(void **state)
{
	static const uint16_t coverages[] = { 0, 8, 9, 20, 21 };
	struct world *w = *state;
	struct packet p;

	use_rules(w, MASQUERADE "filter: {invalid: drop}\n");
	for (size_t i = 0; i < XCT_ARRAY_SIZE(coverages); i++) {
		uint16_t coverage = coverages[i];

		packet_udplite(&p, "10.0.0.2", 1000, "198.51.100.9", 53,
			       coverage);
		/* Damage beyond the coverage is the payload's own affair. */
		if (coverage && coverage < 21)
			p.data[p.len - 1] ^= 1;
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, WAN, false));
		assert_addrs(&p, "203.0.113.1", 1000, "198.51.100.9", 53);
		packet_udplite(&p, "198.51.100.9", 53, "203.0.113.1", 1000,
			       coverage);
		p.data[20 + (coverage ? coverage : 21) - 1] ^= 1;
		assert_int_equal(XCT_VERDICT_DROP,
				 forward(w, &p, WAN, LAN, true));
	}
	assert_int_equal(5, counted(w, XCT_REASON_CSUM_UDPLITE));
	assert_int_equal(1, flows(w));
}

static void gre_is_translated_by_its_addresses_alone(void **state)
{
	static const uint8_t pptp[] = { 0x30, 0x81, 0x88, 0x0b, 0, 4,
					0x12, 0x34, 0,	  0,	0, 1,
					'd',  'a',  't',  'a' };
	static const uint8_t plain[] = { 0, 0, 8, 0, 'd', 'a', 't', 'a' };
	static const uint8_t version_2[] = { 0, 2, 8, 0, 'd', 'a', 't', 'a' };
	struct packet p, sent;
	struct world *w = *state;

	use_rules(w, MASQUERADE "filter: {invalid: drop}\n");
	packet_ip(&p, "10.0.0.2", "198.51.100.9", IPPROTO_GRE, plain,
		  sizeof(plain));
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_memory_equal(p.data + 12, "\xcb\0\x71\x01", 4);
	assert_memory_equal(p.data + 20, plain, sizeof(plain));
	packet_ip(&p, "198.51.100.9", "203.0.113.1", IPPROTO_GRE, plain,
		  sizeof(plain));
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, true));
	assert_memory_equal(p.data + 16, "\x0a\0\0\x02", 4);
	assert_true(only_flow(w).status & XCT_STATUS_SEEN_REPLY);
	/* A call is a flow of its own, its number stays. */
	packet_ip(&p, "10.0.0.2", "198.51.100.9", IPPROTO_GRE, pptp,
		  sizeof(pptp));
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_memory_equal(p.data + 20, pptp, sizeof(pptp));
	assert_int_equal(2, flows(w));
	/* As the kernel: nothing that is not long enough for such a number, and
	 * no answer of a version that it does not know. */
	packet_ip(&p, "10.0.0.2", "198.51.100.9", IPPROTO_GRE, plain, 7);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	packet_ip(&p, "10.0.0.4", "198.51.100.10", IPPROTO_GRE, plain, 7);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	assert_int_equal(2, flows(w));
	packet_ip(&p, "10.0.0.2", "198.51.100.9", IPPROTO_GRE, version_2,
		  sizeof(version_2));
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	sent = p;
	packet_ip(&p, "198.51.100.9", "203.0.113.1", IPPROTO_GRE, version_2,
		  sizeof(version_2));
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, WAN, LAN, true));
	packet_error(&p, "192.0.2.99", "203.0.113.1", &sent, 28);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, true));
	packet_error(&p, "192.0.2.99", "203.0.113.1", &sent, 27);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, WAN, LAN, true));
	assert_int_equal(4, counted(w, XCT_REASON_NAT_HEADER));
	/* Nothing tells a second client's packets from those of the first. */
	packet_ip(&p, "10.0.0.3", "198.51.100.9", IPPROTO_GRE, plain,
		  sizeof(plain));
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	assert_int_equal(1, counted(w, XCT_REASON_NAT_EXHAUSTED));
}

static void icmp_error_is_translated_inside_and_out(void **state)
{
	struct world *w = *state;
	struct packet p, sent, error;
	struct xct_pkt pkt;

	use_rules(w, MASQUERADE "filter: {invalid: drop}\n");
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	(void)forward(w, &p, LAN, WAN, false);
	sent = p;
	for (uint32_t quote = 28; quote <= 68; quote += 40) {
		packet_error(&error, "192.0.2.99", "203.0.113.1", &sent, quote);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &error, WAN, LAN, true));
		assert_int_equal(XCT_CLASS_RELATED, w->res.cls);
		assert_addrs(&error, "192.0.2.99", 0x303, "10.0.0.2",
			     xct_get_be16(error.data + 22));
		assert_int_equal(
			XCT_REASON_NONE,
			xct_pkt_parse(&pkt, error.data + 28, quote, true));
		assert_memory_equal("\x0a\0\0\x02", error.data + 28 + 12, 4);
		assert_int_equal(1000, xct_get_be16(pkt.l4));
		assert_int_equal(0xffff, xct_csum_fold(xct_csum_sum(
						 error.data + 28, 20)));
	}
	/* The quoted packet as it was sent: its checksum is whole again. */
	assert_true(xct_csum_is_right(&pkt));
}

static void icmp_error_about_nothing_is_invalid(void **state)
{
	struct world *w = *state;
	struct packet p, error;

	use_rules(w, MASQUERADE "filter: {invalid: drop}\n");
	packet_udp(&p, "203.0.113.1", 1000, "198.51.100.9", 53, 40);
	packet_error(&error, "192.0.2.99", "203.0.113.1", &p, 28);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &error, WAN, LAN, true));
	assert_int_equal(1, counted(w, XCT_REASON_ICMP_UNRELATED));
	/* A forged one: quotes a live flow, but goes elsewhere. */
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	(void)forward(w, &p, LAN, WAN, false);
	packet_error(&error, "192.0.2.99", "10.0.0.77", &p, 28);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &error, WAN, LAN, true));
	assert_int_equal(2, counted(w, XCT_REASON_ICMP_UNRELATED));
	/* One that quotes less than the ports. */
	packet_error(&error, "192.0.2.99", "203.0.113.1", &p, 23);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &error, WAN, LAN, false));
	assert_int_equal(1, counted(w, XCT_REASON_ICMP_QUOTE));
}

static void rules_are_asked_about_the_icmp_error_itself(void **state)
{
	static const char *const drops[] = {
		"proto: icmp",	    "proto: icmp, icmp-type: 3, icmp-code: 3",
		"src: 192.0.2.99",  "dst: 10.0.0.2",
		"translated: snat",
	};
	static const char *const passes[] = {
		"proto: udp",	     "proto: icmp, icmp-type: 3, icmp-code: 4",
		"src: 198.51.100.9", "dst: 203.0.113.1",
		"translated: dnat",
	};
	struct world *w = *state;
	struct packet p, error;
	char yaml[256];

	use_rules(w, MASQUERADE);
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	(void)forward(w, &p, LAN, WAN, false);
	for (size_t i = 0; i < 2 * XCT_ARRAY_SIZE(drops); i++) {
		bool is_drop = i < XCT_ARRAY_SIZE(drops);

		snprintf(
			yaml, sizeof(yaml),
			MASQUERADE "filter: {forward: {default: accept, rules: "
				   "[{state: related, %s, drop: yes}]}}\n",
			is_drop ? drops[i] : passes[i - XCT_ARRAY_SIZE(drops)]);
		use_rules(w, yaml);
		packet_error(&error, "192.0.2.99", "203.0.113.1", &p, 28);
		assert_int_equal(is_drop ? XCT_VERDICT_DROP
					 : XCT_VERDICT_ACCEPT,
				 forward(w, &error, WAN, LAN, true));
		assert_int_equal(XCT_CLASS_RELATED, w->res.cls);
	}
}

static void
icmp_error_with_ports_alone_is_related_but_not_translated(void **state)
{
	struct world *w = *state;
	struct packet p, error;

	use_rules(w, MASQUERADE "filter: {invalid: drop}\n");
	packet_tcp(&p, "198.51.100.9", 80, "10.0.0.2", 1000, TCP_SYN, 1, 0, 0);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, true));
	packet_error(&error, "10.0.0.2", "198.51.100.9", &p, 24);
	assert_int_equal(XCT_VERDICT_ACCEPT,
			 forward(w, &error, LAN, WAN, false));
	assert_int_equal(XCT_CLASS_RELATED, w->res.cls);
	packet_error(&error, "10.0.0.2", "198.51.100.9", &p, 23);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &error, LAN, WAN, false));

	packet_tcp(&p, "10.0.0.2", 1001, "198.51.100.9", 80, TCP_SYN, 1, 0, 0);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	packet_error(&error, "192.0.2.99", "203.0.113.1", &p, 27);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &error, WAN, LAN, true));
	assert_int_equal(XCT_CLASS_RELATED, w->res.cls);
	assert_int_equal(XCT_REASON_ICMP_QUOTE, w->res.reason);
}

static void a_quoted_tcp_checksum_is_translated_in_a_whole_header(void **state)
{
	struct world *w = *state;
	struct packet p, error;
	const uint32_t quoted_check = 28 + 20 + 16;

	use_rules(w, MASQUERADE);
	packet_tcp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, TCP_SYN, 1, 0, 0);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	for (uint32_t quote = 39; quote <= 40; quote++) {
		packet_error(&error, "192.0.2.99", "203.0.113.1", &p, quote);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &error, WAN, LAN, true));
		assert_int_equal(quote < 40, !memcmp(error.data + quoted_check,
						     p.data + 20 + 16, 2));
	}
}

static void icmp_error_to_somebody_else_is_invalid_at_a_late_hook(void **state)
{
	struct world *w = *state;
	struct packet p, error;

	use_rules(w, MASQUERADE "filter: {invalid: accept}\n");
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	packet_error(&error, "192.0.2.99", "10.0.0.77", &p, 28);
	assert_int_equal(XCT_VERDICT_ACCEPT,
			 forward(w, &error, WAN, LAN, false));
	assert_int_equal(XCT_CLASS_INVALID, w->res.cls);
	assert_int_equal(1, counted(w, XCT_REASON_ICMP_UNRELATED));
	assert_int_equal(0, counted(w, XCT_REASON_LATE_HOOK));
}

#define FORWARD_ALL "nat: [{in: lan0, dst: 203.0.113.6, dnat: 198.51.100.9}]\n"

static void
icmp_error_of_a_renamed_flow_is_not_taken_for_the_other_flows(void **state)
{
	struct world *w = *state;
	struct packet p, error;
	uint16_t chosen;

	use_rules(w, FORWARD_ALL);
	/* This one has the tuple that the next one's answers would have. */
	packet_udp(&p, "198.51.100.9", 53, "10.0.0.2", 1000, 40);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, false));
	packet_udp(&p, "10.0.0.2", 1000, "203.0.113.6", 53, 40);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, true));
	chosen = xct_get_be16(p.data + 20);
	assert_int_not_equal(1000, chosen);
	packet_error(&error, "198.51.100.9", "10.0.0.2", &p, 28);
	assert_int_equal(XCT_VERDICT_ACCEPT,
			 forward(w, &error, WAN, LAN, true));
	assert_addrs(&error, "203.0.113.6", 0x303, "10.0.0.2",
		     xct_get_be16(error.data + 22));
	assert_memory_equal("\xcb\x00\x71\x06", error.data + 28 + 16, 4);
	assert_int_equal(1000, xct_get_be16(error.data + 28 + 20));
}

static void the_answering_end_reopens_into_a_translation(void **state)
{
	struct world *w = *state;
	struct packet p;
	static const struct {
		uint32_t seq, ack;
		uint8_t flags;
		bool is_answer;
	} steps[] = {
		{ 100, 0, TCP_SYN, false },
		{ 500, 101, TCP_SYN | TCP_ACK, true },
		{ 101, 501, TCP_ACK, false },
		{ 101, 501, TCP_FIN | TCP_ACK, false },
		{ 501, 102, TCP_FIN | TCP_ACK, true },
		{ 102, 502, TCP_ACK, false },
		{ 900, 0, TCP_SYN, true },
	};

	use_rules(w, FORWARD_ALL);
	for (size_t i = 0; i < XCT_ARRAY_SIZE(steps); i++) {
		bool is_answer = steps[i].is_answer;

		packet_tcp(&p, is_answer ? "10.0.0.2" : "203.0.113.6",
			   is_answer ? 1000 : 80,
			   is_answer ? "203.0.113.6" : "10.0.0.2",
			   is_answer ? 80 : 1000, steps[i].flags, steps[i].seq,
			   steps[i].ack, 0);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, is_answer ? LAN : WAN,
					 is_answer ? WAN : LAN, is_answer));
	}
	assert_addrs(&p, "10.0.0.2", 1000, "198.51.100.9", 80);
	assert_int_equal(XCT_TCP_SYN_SENT, only_flow(w).state);
	assert_true(only_flow(w).status & XCT_STATUS_DST_NAT);
}

static void a_taken_tuple_without_ports_waits_for_its_source(void **state)
{
	struct world *w = *state;
	const uint8_t payload[8] = { 0 };
	struct packet p;

	use_rules(w, "nat:\n"
		     "- {in: lan0, dst: 203.0.113.6, dnat: 198.51.100.9}\n"
		     "- {out: wan0, masquerade: yes}\n");
	packet_ip(&p, "198.51.100.9", "10.0.0.2", 253, payload, 8);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, false));
	packet_ip(&p, "10.0.0.2", "203.0.113.6", 253, payload, 8);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, true));
	assert_addrs(&p, "203.0.113.1", 0, "198.51.100.9", 0);
	/* Nothing else can tell the two apart here. */
	use_rules(w, "nat: [{in: lan0, dst: 203.0.113.6, dnat: 198.51.100.9}]");
	packet_ip(&p, "198.51.100.9", "10.0.0.3", 253, payload, 8);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, false));
	packet_ip(&p, "10.0.0.3", "203.0.113.6", 253, payload, 8);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, true));
	assert_int_equal(XCT_REASON_NAT_EXHAUSTED, w->res.reason);
	assert_int_equal(3, flows(w));
}

static void a_second_gre_flow_of_one_host_keeps_its_keys(void **state)
{
	struct world *w = *state;
	uint8_t gre[8] = { 0x30, 0x01, 0x88, 0x0b };
	struct xct_flow_info info = { 0 };
	uint32_t cursor = 0;
	struct packet p;

	use_rules(w, MASQUERADE);
	for (uint8_t call = 2; call >= 1; call--) {
		gre[7] = call;
		packet_ip(&p, "10.0.0.2", "198.51.100.9", IPPROTO_GRE, gre,
			  sizeof(gre));
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, WAN, false));
	}
	assert_int_equal(2, flows(w));
	/* The last one that is shown is the second. */
	(void)xct_engine_walk(w->eng, &cursor, w->now, NULL, MAX_FLOWS,
			      keep_info, &info);
	assert_int_equal(0, info.tuple[XCT_DIR_REPLY].gre_dstkey);
}

static void a_long_chain_of_extension_headers_is_walked_to_its_end(void **state)
{
	struct world *w = *state;
	uint8_t chain[40 * 8] = { 0 };
	struct packet p;

	packet_ip(&p, "fd00::2", "2001:db8:9::9", 0, chain, sizeof(chain));
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_int_equal(XCT_REASON_EXT_HEADER, w->res.reason);
	assert_int_equal(0, flows(w));
	p.data[40 + 39 * 8] = 253;
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_int_equal(253, only_flow(w).tuple[XCT_DIR_ORIG].proto);
}

static void
an_extension_header_too_long_hides_ports_from_who_needs_them(void **state)
{
	struct world *w = *state;
	static const uint8_t options[16] = { [0] = IPPROTO_TCP, [1] = 200 };
	struct packet p;

	packet_ip(&p, "fd00::2", "2001:db8:9::9", IPPROTO_DSTOPTS, options,
		  sizeof(options));
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_int_equal(XCT_CLASS_INVALID, w->res.cls);
	assert_int_equal(XCT_REASON_EXT_HEADER, w->res.reason);
	p.data[40] = 253;
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_int_equal(XCT_CLASS_NEW, w->res.cls);
	assert_int_equal(253, only_flow(w).tuple[XCT_DIR_ORIG].proto);
}

static void udp_without_a_checksum_passes_in_both_families(void **state)
{
	struct world *w = *state;
	struct packet p;

	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	xct_put_be16(p.data + 20 + 6, 0);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_int_equal(XCT_CLASS_NEW, w->res.cls);
	packet_udp(&p, "fd00::2", 1000, "2001:db8:9::9", 53, 40);
	xct_put_be16(p.data + 40 + 6, 0);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_int_equal(XCT_CLASS_NEW, w->res.cls);
}

static void this_hosts_own_errors_speak_of_the_routed_packet(void **state)
{
	struct world *w = *state;
	struct packet p, at_forward, error;

	use_rules(w, "nat:\n"
		     "- {out: wan0, masquerade: yes}\n"
		     "- {in: wan0, proto: udp, dport: 53, "
		     "dnat: \"10.0.0.10:5353\"}\n"
		     "filter: {invalid: drop}\n");
	/* Too big for the wan: said to the client, about what it sent. */
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	at_forward = p;
	(void)forward(w, &p, LAN, WAN, false);
	packet_error(&error, "10.0.0.1", "10.0.0.2", &at_forward, 28);
	hook(w, &error, XCT_HOOK_POSTROUTING, 0, LAN, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_int_equal(XCT_CLASS_RELATED, w->res.cls);
	assert_memory_equal(at_forward.data, error.data + 28, 28);
	/* The answer expires here: said to the server, which knows only us. */
	packet_udp(&p, "198.51.100.9", 53, "203.0.113.1", 1000, 9);
	at_forward = p;
	hook(w, &at_forward, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	packet_error(&error, "203.0.113.1", "198.51.100.9", &at_forward, 28);
	hook(w, &error, XCT_HOOK_POSTROUTING, 0, WAN, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_memory_equal(p.data, error.data + 28, 28);
	/* A forwarded packet expires before its flow is confirmed. */
	packet_udp(&p, "198.51.100.9", 7, "203.0.113.1", 53, 9);
	at_forward = p;
	hook(w, &at_forward, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	packet_error(&error, "203.0.113.1", "198.51.100.9", &at_forward, 28);
	hook(w, &error, XCT_HOOK_POSTROUTING, 0, WAN, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_memory_equal(p.data, error.data + 28, 28);
	/* The same from elsewhere, about a flow that is not: INVALID. */
	packet_udp(&p, "10.0.0.77", 7, "198.51.100.9", 53, 9);
	packet_error(&error, "10.0.0.99", "10.0.0.77", &p, 28);
	hook(w, &error, XCT_HOOK_POSTROUTING, LAN, LAN, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_DROP, w->res.verdict);
}

static void set_hops(struct packet *p, uint8_t hops)
{
	xct_be16 check;

	if (p->data[0] >> 4 == 6) {
		p->data[7] = hops;
		return;
	}
	p->data[8] = hops;
	memset(p->data + 10, 0, 2);
	check = (xct_be16)~xct_csum_fold(xct_csum_sum(p->data, 20));
	memcpy(p->data + 10, &check, 2);
}

static void a_known_packet_whose_hops_are_over_is_tracked_early(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, MASQUERADE);
	packet_tcp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, TCP_SYN, 1, 0, 0);
	(void)forward(w, &p, LAN, WAN, false);
	packet_tcp(&p, "198.51.100.9", 80, "203.0.113.1", 1000,
		   TCP_SYN | TCP_ACK, 9, 2, 0);
	(void)forward(w, &p, WAN, LAN, true);
	packet_tcp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, TCP_ACK, 2, 10, 0);
	(void)forward(w, &p, LAN, WAN, false);
	packet_tcp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, TCP_FIN | TCP_ACK,
		   2, 10, 0);
	set_hops(&p, 1);
	hook(w, &p, XCT_HOOK_PREROUTING, LAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_int_equal(XCT_STAGE_ROUTED, w->res.stage);
	assert_false(w->res.is_edited);
	assert_int_equal(XCT_TCP_FIN_WAIT, only_flow(w).state);
	assert_int_equal(3, only_flow(w).packets[XCT_DIR_ORIG]);
	/* Somebody gives it another hop: it is not tracked again. */
	hook(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, w->res.stage);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_addrs(&p, "203.0.113.1", 1000, "198.51.100.9", 80);
	assert_int_equal(3, only_flow(w).packets[XCT_DIR_ORIG]);
}

static void a_new_packet_whose_hops_are_over_leaves_no_flow(void **state)
{
	struct world *w = *state;
	struct xct_engine_stats stats;
	struct packet p, reply;

	use_rules(w, "nat:\n"
		     "- {dst: 198.51.100.1, proto: udp, dnat: 10.0.0.10}\n"
		     "filter: {invalid: drop}\n");
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 1);
	set_hops(&p, 0);
	hook(w, &p, XCT_HOOK_PREROUTING, LAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	/* Routing refuses before rules do: it says so also to what is wrong. */
	packet_tcp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, TCP_FIN, 1, 0, 0);
	set_hops(&p, 1);
	hook(w, &p, XCT_HOOK_PREROUTING, LAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_int_equal(XCT_STAGE_INVALID, w->res.stage);
	assert_int_equal(0, flows(w));
	xct_engine_stats(w->eng, &stats);
	assert_int_equal(1, stats.class_packets[XCT_CLASS_NEW]);
	assert_int_equal(1, stats.class_packets[XCT_CLASS_INVALID]);
	/* What a DNAT rule opened is there for the error about it alone. */
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.1", 53, 1);
	set_hops(&p, 1);
	hook(w, &p, XCT_HOOK_PREROUTING, LAN, 0, XCT_STAGE_FRESH);
	assert_addrs(&p, "10.0.0.2", 1000, "10.0.0.10", 53);
	packet_error(&reply, "10.0.0.1", "10.0.0.2", &p, 28);
	hook(w, &reply, XCT_HOOK_POSTROUTING, 0, LAN, XCT_STAGE_FRESH);
	assert_true(w->res.is_edited);
	packet_udp(&p, "10.0.0.10", 53, "10.0.0.2", 1000, 1);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, LAN, true));
	assert_int_equal(XCT_CLASS_NEW, w->res.cls);
}

/* This host's word that @p is too large for the way out. */
static void say_too_large(struct world *w, const struct packet *p,
			  const char *from, const char *to, uint32_t out)
{
	bool v6 = p->data[0] >> 4 == 6;
	struct packet error;
	uint8_t *icmp = error.data + (v6 ? 40 : 20);

	packet_error(&error, from, to, p, 528);
	icmp[0] = v6 ? 2 : 3;
	icmp[1] = v6 ? 0 : 4;
	hook(w, &error, XCT_HOOK_POSTROUTING, 0, out, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_int_equal(XCT_CLASS_RELATED, w->res.cls);
}

static void a_packet_too_large_is_tracked_by_what_is_said_of_it(void **state)
{
	static const char *const ends[][4] = {
		{ "10.0.0.2", "198.51.100.9", "10.0.0.1", "203.0.113.1" },
		{ "fd00::2", "2001:db8:9::9", "fd00::1", "2001:db8::1" },
	};
	struct world *w = *state;
	struct packet p;

	use_rules(w, MASQUERADE);
	for (size_t i = 0; i < XCT_ARRAY_SIZE(ends); i++) {
		const char *const *end = ends[i];
		struct xct_flow_info flow;

		packet_udp(&p, end[0], 1000, end[1], 53, 1);
		(void)forward(w, &p, LAN, WAN, false);
		flow = only_flow(w);
		packet_udp(&p, end[0], 1000, end[1], 53, 1400);
		say_too_large(w, &p, end[2], end[0], LAN);
		assert_int_equal(2, only_flow(w).packets[XCT_DIR_ORIG]);
		assert_int_equal(flow.bytes[XCT_DIR_ORIG] + p.len,
				 only_flow(w).bytes[XCT_DIR_ORIG]);
		/* Its answer is met, and tracked, before it is too large. */
		packet_udp(&p, end[1], 53, end[3], 1000, 1400);
		hook(w, &p, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
		say_too_large(w, &p, end[3], end[1], WAN);
		assert_int_equal(1, only_flow(w).packets[XCT_DIR_REPLY]);
		/* A new one leaves nothing. */
		packet_udp(&p, end[0], 1001, end[1], 53, 1400);
		say_too_large(w, &p, end[2], end[0], LAN);
		xct_engine_delete(w->eng, &(uint32_t){ 0 }, w->now, NULL,
				  MAX_FLOWS, NULL, NULL);
		assert_int_equal(0, flows(w));
	}
}

static void a_packet_too_large_is_tracked_once_where_it_was_queued(void **state)
{
	struct world *w = *state;
	struct packet p;

	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 1);
	(void)forward(w, &p, LAN, WAN, true);
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 1400);
	hook(w, &p, XCT_HOOK_PREROUTING, LAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_STAGE_DONE, w->res.stage);
	say_too_large(w, &p, "10.0.0.1", "10.0.0.2", LAN);
	assert_int_equal(2, only_flow(w).packets[XCT_DIR_ORIG]);
	/* The hooks have changed: the next is met late. */
	(void)forward(w, &p, LAN, WAN, false);
	say_too_large(w, &p, "10.0.0.1", "10.0.0.2", LAN);
	assert_int_equal(4, only_flow(w).packets[XCT_DIR_ORIG]);
}

static void ipv6_is_translated_alike(void **state)
{
	struct world *w = *state;
	struct packet p, sent;

	use_rules(w, MASQUERADE);
	packet_tcp(&p, "fd00::2", 1000, "2001:db8:9::9", 80, TCP_SYN, 1, 0, 9);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_addrs(&p, "2001:db8::1", 1000, "2001:db8:9::9", 80);
	sent = p;
	packet_error(&p, "2001:db8:7::7", "2001:db8::1", &sent, 69);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, true));
	assert_memory_equal(p.data + 24, p.data + 48 + 8, 16);
	packet_echo(&p, "fd00::2", "2001:db8:9::9", false, 5);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	packet_echo(&p, "2001:db8:9::9", "2001:db8::1", true, 5);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, true));
	assert_int_equal(2, flows(w));
}

static void neighbour_discovery_passes_untracked(void **state)
{
	struct world *w = *state;
	uint8_t ns[24] = { 135 };
	struct packet p;

	use_rules(w, "filter: {invalid: drop, input: {default: drop}, "
		     "output: {default: drop}, forward: {default: drop}}\n");
	packet_ip(&p, "fe80::2", "ff02::1:ff00:1", IPPROTO_ICMPV6, ns, 24);
	hook(w, &p, XCT_HOOK_INPUT, LAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_int_equal(XCT_CLASS_UNTRACKED, w->res.cls);
	assert_int_equal(0, flows(w));
}

static void unfinished_checksums_are_finished(void **state)
{
	struct world *w = *state;
	struct xct_meta meta = { .in_if = LAN,
				 .out_if = WAN,
				 .hook = XCT_HOOK_POSTROUTING,
				 .csum_partial = true };
	struct packet p;

	use_rules(w, MASQUERADE);
	packet_tcp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, TCP_SYN, 1, 0, 99);
	xct_put_be16(p.data + 36, 0xbeef);
	xct_engine_packet(w->eng, p.data, p.len, &meta, w->now, &w->res);
	assert_true(w->res.is_edited);
	assert_true(packet_is_sound(&p));
}

static void a_wrong_checksum_stays_wrong_or_is_invalid(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, MASQUERADE "filter: {invalid: drop}\n");
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	p.data[40] ^= 1;
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	assert_int_equal(1, counted(w, XCT_REASON_CSUM_UDP));
	w->cfg.l4.checksum = false;
	xct_engine_configure(w->eng, &w->cfg);
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	p.data[40] ^= 1;
	struct xct_meta meta = { .in_if = LAN,
				 .out_if = WAN,
				 .hook = XCT_HOOK_POSTROUTING };
	xct_engine_packet(w->eng, p.data, p.len, &meta, w->now, &w->res);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_false(packet_is_sound(&p));
	p.data[40] ^= 1;
	assert_true(packet_is_sound(&p));
}

static void a_truncated_copy_is_never_rewritten(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, MASQUERADE);
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 400);
	p.len = 100;
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	assert_int_equal(XCT_REASON_TRUNCATED, w->res.reason);
}

static void reject_answers_with_what_the_rule_says(void **state)
{
	struct world *w = *state;
	struct packet p, reply;

	use_rules(w, "nat: [{in: wan0, proto: tcp, dport: 80, "
		     "dnat: \"10.0.0.10:8080\"}]\n"
		     "filter: {forward: {default: reject}}\n");
	/* A reset, from the address that the client knows. */
	packet_tcp(&p, "198.51.100.9", 7, "203.0.113.1", 80, TCP_SYN, 100, 0,
		   0);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, WAN, LAN, true));
	memcpy(reply.data, w->res.reply, w->res.reply_len);
	reply.len = w->res.reply_len;
	assert_int_equal(40, reply.len);
	assert_true(packet_is_sound(&reply));
	assert_addrs(&reply, "203.0.113.1", 80, "198.51.100.9", 7);
	assert_int_equal(TCP_RST | TCP_ACK, reply.data[33]);
	assert_int_equal(101, xct_get_be32(reply.data + 28));
	/* An error that quotes the packet as it was sent. */
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	memcpy(reply.data, w->res.reply, w->res.reply_len);
	reply.len = w->res.reply_len;
	assert_true(packet_is_sound(&reply));
	assert_int_equal(3, reply.data[20]);
	assert_int_equal(3, reply.data[21]);
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	assert_memory_equal(p.data, reply.data + 28, p.len);
	assert_int_equal(0, flows(w));
}

static void a_forwarded_packet_is_rejected_as_its_sender_sent_it(void **state)
{
	struct world *w = *state;
	struct packet p, as_sent;

	use_rules(w, "nat: [{in: wan0, proto: udp, dport: 53, "
		     "dnat: \"10.0.0.10:5353\"}]\n"
		     "filter: {forward: {default: reject}}\n");
	packet_udp(&p, "198.51.100.9", 7, "203.0.113.1", 53, 20);
	as_sent = p;
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, WAN, LAN, true));
	assert_memory_equal(as_sent.data, w->res.reply + 28, as_sent.len);
	assert_int_equal(0, flows(w));
}

static void a_full_table_evicts_the_unanswered_before_it_refuses(void **state)
{
	struct world *w = *state;
	struct xct_engine_stats stats;
	struct packet p;

	for (uint16_t i = 0; i < MAX_FLOWS + 10; i++) {
		packet_udp(&p, "10.0.0.2", (uint16_t)(1000 + i), "198.51.100.9",
			   53, 1);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, WAN, false));
	}
	xct_engine_stats(w->eng, &stats);
	assert_int_equal(MAX_FLOWS, stats.flows);
	assert_int_equal(10, stats.early_drop);
}

static void note_nearly_full(void *ctx, uint32_t used)
{
	struct world *w = ctx;
	struct xct_engine_stats stats;

	xct_engine_stats(w->eng, &stats);
	assert_int_equal(58, used); /* 90 % of 64, rounded up */
	assert_int_equal(used, stats.used_flows);
	w->events++;
}

static void the_flow_that_makes_the_table_nearly_full_is_told(void **state)
{
	struct world *w = *state;
	struct packet p;

	w->cfg.host.nearly_full = note_nearly_full;
	w->cfg.host.ctx = w;
	xct_engine_configure(w->eng, &w->cfg);
	w->events = 0;
	for (uint16_t i = 0; i < MAX_FLOWS + 10; i++) {
		assert_int_equal(i < 58 ? 0 : 1, w->events);
		packet_udp(&p, "10.0.0.2", (uint16_t)(1000 + i), "198.51.100.9",
			   53, 1);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, LAN, WAN, false));
	}
	assert_int_equal(1, w->events);
}

/* A TCP connection of client port @port, as far as @steps say: a handshake has
 * three, the fourth closes it. */
static void open_tcp(struct world *w, uint16_t port, int steps)
{
	static const struct {
		bool is_answer;
		uint8_t flags;
		uint32_t seq, ack;
	} steps_of[] = {
		{ false, TCP_SYN, 1, 0 },
		{ true, TCP_SYN | TCP_ACK, 9, 2 },
		{ false, TCP_ACK, 2, 10 },
		{ false, TCP_FIN | TCP_ACK, 2, 10 },
	};
	struct packet p;

	for (int i = 0; i < steps; i++) {
		bool back = steps_of[i].is_answer;

		packet_tcp(&p, back ? "198.51.100.9" : "10.0.0.2",
			   back ? 80 : port, back ? "10.0.0.2" : "198.51.100.9",
			   back ? port : 80, steps_of[i].flags, steps_of[i].seq,
			   steps_of[i].ack, 0);
		assert_int_equal(XCT_VERDICT_ACCEPT,
				 forward(w, &p, back ? WAN : LAN,
					 back ? LAN : WAN, false));
	}
}

struct state_count {
	uint8_t state;
	unsigned int n;
};

static bool count_one(void *ctx, const struct xct_flow_info *info)
{
	struct state_count *count = ctx;

	count->n += info->state == count->state;
	return true;
}

static unsigned int count_state(struct world *w, uint8_t state)
{
	struct state_count count = { .state = state };
	uint32_t cursor = 0;

	(void)xct_engine_walk(w->eng, &cursor, w->now, NULL, MAX_FLOWS,
			      count_one, &count);
	return count.n;
}

static void a_full_table_evicts_what_is_worth_least(void **state)
{
	struct world *w = *state;
	struct xct_engine_stats stats;
	struct packet p;

	/* 4 answered, 4 closing, 4 unanswered, the others ASSURED. */
	for (uint16_t i = 0; i < MAX_FLOWS; i++)
		open_tcp(w, (uint16_t)(1000 + i),
			 i < 4	  ? 2
			 : i < 8  ? 4
			 : i < 12 ? 1
				  : 3);
	xct_engine_stats(w->eng, &stats);
	assert_int_equal(MAX_FLOWS, stats.peak_flows);
	for (uint16_t i = 0; i < 12; i++) {
		/* Answered at once: the next one does not take its place. */
		open_tcp(w, (uint16_t)(2000 + i), 3);
		assert_int_equal(MAX_FLOWS, flows(w));
		assert_int_equal(i < 4 ? 3 - i : 0,
				 count_state(w, XCT_TCP_SYN_SENT));
		assert_int_equal(i < 4	 ? 4
				 : i < 8 ? 7 - i
					 : 0,
				 count_state(w, XCT_TCP_FIN_WAIT));
		assert_int_equal(i < 8 ? 4 : 11 - i,
				 count_state(w, XCT_TCP_SYN_RECV));
	}
	packet_udp(&p, "10.0.0.3", 1, "198.51.100.9", 53, 1);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	assert_int_equal(MAX_FLOWS, count_state(w, XCT_TCP_ESTABLISHED));
}

static void a_full_table_keeps_assured_flows_and_refuses(void **state)
{
	struct world *w = *state;
	struct packet p;

	for (uint16_t i = 0; i < MAX_FLOWS; i++) {
		uint16_t port = (uint16_t)(1000 + i);

		packet_tcp(&p, "10.0.0.2", port, "198.51.100.9", 80, TCP_SYN, 1,
			   0, 0);
		(void)forward(w, &p, LAN, WAN, false);
		packet_tcp(&p, "198.51.100.9", 80, "10.0.0.2", port,
			   TCP_SYN | TCP_ACK, 9, 2, 0);
		(void)forward(w, &p, WAN, LAN, false);
		packet_tcp(&p, "10.0.0.2", port, "198.51.100.9", 80, TCP_ACK, 2,
			   10, 0);
		(void)forward(w, &p, LAN, WAN, false);
	}
	packet_udp(&p, "10.0.0.3", 1, "198.51.100.9", 53, 1);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	assert_int_equal(XCT_REASON_TABLE_FULL, w->res.reason);
	assert_int_equal(MAX_FLOWS, flows(w));
}

static void flows_expire_when_their_time_is_over(void **state)
{
	struct world *w = *state;
	struct packet p;

	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 1);
	(void)forward(w, &p, LAN, WAN, false);
	w->now += 29000;
	(void)xct_engine_tick(w->eng, w->now, 100);
	assert_int_equal(1, flows(w));
	assert_int_equal(1, only_flow(w).timeout_s);
	/* Refreshed: the old time passes without effect. */
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 1);
	(void)forward(w, &p, LAN, WAN, false);
	w->now += 29000;
	(void)xct_engine_tick(w->eng, w->now, 100);
	assert_int_equal(1, flows(w));
	w->now += 1300;
	(void)xct_engine_tick(w->eng, w->now, 100);
	assert_int_equal(0, flows(w));
}

static void an_expired_flow_is_not_found_even_before_the_tick(void **state)
{
	struct world *w = *state;
	struct packet p;
	uint64_t id;

	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 1);
	(void)forward(w, &p, LAN, WAN, false);
	id = only_flow(w).id;
	w->now += 30000;
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 1);
	(void)forward(w, &p, LAN, WAN, false);
	assert_int_not_equal(id, only_flow(w).id);
}

static void long_and_shortened_timers_fire_in_time(void **state)
{
	struct world *w = *state;
	struct packet p;

	tcp_handshake_goes_through_its_states(state);
	assert_int_equal(432000, only_flow(w).timeout_s);
	for (int hour = 0; hour < 119; hour++) {
		w->now += 3600 * 1000;
		while (xct_engine_tick(w->eng, w->now, 10))
			;
		assert_int_equal(1, flows(w));
	}
	/* RST: 10 s instead of days. */
	packet_tcp(&p, "10.0.0.2", 1000, "198.51.100.9", 80, TCP_RST | TCP_ACK,
		   2, 10, 0);
	(void)forward(w, &p, LAN, WAN, false);
	assert_int_equal(XCT_TCP_CLOSE, only_flow(w).state);
	assert_int_equal(10, only_flow(w).timeout_s);
	w->now += 10300;
	(void)xct_engine_tick(w->eng, w->now, 100);
	assert_int_equal(0, flows(w));
}

static void a_region_is_adopted_by_the_next_engine(void **state)
{
	struct world *w = *state;
	struct xct_attach_report report;
	struct xct_flow *torn;
	struct packet p;

	use_rules(w, MASQUERADE);
	for (uint16_t i = 0; i < 10; i++) {
		packet_udp(&p, "10.0.0.2", (uint16_t)(1000 + i), "198.51.100.9",
			   53, 1);
		(void)forward(w, &p, LAN, WAN, false);
	}
	memset(w->work, 0xa5, xct_engine_work_size(MAX_FLOWS));
	w->cfg.seed.k[0] = 99; /* another process, another secret */
	torn = xct_region_flows(w->region);
	torn[3].id = 0;
	assert_int_equal(0, xct_engine_attach(&w->eng, w->region, w->work,
					      MAX_FLOWS, &w->cfg, w->now,
					      &report));
	assert_false(report.was_new);
	assert_int_equal(9, report.adopted);
	packet_udp(&p, "198.51.100.9", 53, "203.0.113.1", 1000, 1);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, WAN, LAN, true));
	assert_addrs(&p, "198.51.100.9", 53, "10.0.0.2", 1000);
	w->now += 31000;
	while (xct_engine_tick(w->eng, w->now, 100))
		;
	assert_int_equal(0, flows(w));
	/* Another layout is refused, and not touched. */
	((struct xct_region_header *)w->region)->version++;
	assert_int_equal(-EINVAL, xct_engine_attach(&w->eng, w->region, w->work,
						    MAX_FLOWS, &w->cfg, w->now,
						    &report));
	((struct xct_region_header *)w->region)->version--;
}

static void a_repeated_packet_leaves_its_flow_as_it_is(void **state)
{
	struct world *w = *state;
	struct xct_meta meta = { .in_if = LAN,
				 .out_if = WAN,
				 .hook = XCT_HOOK_POSTROUTING };
	struct xct_flow_info before, after;
	struct packet p;

	use_rules(w, MASQUERADE);
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	(void)forward(w, &p, LAN, WAN, false);
	before = only_flow(w);
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	meta.is_repeat = true;
	xct_engine_packet(w->eng, p.data, p.len, &meta, w->now, &w->res);
	assert_int_equal(XCT_VERDICT_ACCEPT, w->res.verdict);
	assert_addrs(&p, "203.0.113.1", 1000, "198.51.100.9", 53);
	after = only_flow(w);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(1, hits(w, "out"));
}

static void a_packet_that_the_process_died_with_counts_once(void **state)
{
	struct world *w = *state;
	struct xct_region_header *header = w->region;
	struct xct_attach_report report;
	const struct xct_flow *flow;
	struct xct_flow_info info;
	struct xct_journal journal;
	struct packet p;

	for (int i = 0; i < 3; i++) {
		packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
		(void)forward(w, &p, LAN, WAN, false);
	}
	assert_int_equal(0, header->journal.number); /* settled */
	info = only_flow(w);
	assert_int_equal(3, info.packets[XCT_DIR_ORIG]);

	/* It counted the fourth, and died. */
	flow = xct_region_flows(w->region);
	journal = (struct xct_journal){ .number = 1,
					.expires_at = flow->expires_at,
					.status = flow->status,
					.track = flow->track,
					.packets = info.packets[0],
					.bytes = info.bytes[0] };
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	(void)forward(w, &p, LAN, WAN, false);
	header->journal = journal;
	assert_int_equal(0, xct_engine_attach(&w->eng, w->region, w->work,
					      MAX_FLOWS, &w->cfg, w->now,
					      &report));
	assert_int_equal(3, only_flow(w).packets[XCT_DIR_ORIG]);
	assert_int_equal(info.bytes[0], only_flow(w).bytes[0]);
	/* A journal that makes no sense puts nothing back. */
	journal.number = MAX_FLOWS + 1;
	journal.packets = 99;
	header->journal = journal;
	assert_int_equal(0, xct_engine_attach(&w->eng, w->region, w->work,
					      MAX_FLOWS, &w->cfg, w->now,
					      &report));
	journal.number = 1;
	journal.dir = XCT_DIRS;
	header->journal = journal;
	assert_int_equal(0, xct_engine_attach(&w->eng, w->region, w->work,
					      MAX_FLOWS, &w->cfg, w->now,
					      &report));
	assert_int_equal(3, only_flow(w).packets[XCT_DIR_ORIG]);
}

static void a_clock_that_has_been_set_back_makes_no_flow_younger(void **state)
{
	struct world *w = *state;
	struct packet p;

	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	(void)forward(w, &p, LAN, WAN, false);
	w->now += 5000;
	xct_region_set_back(w->region, MAX_FLOWS, w->now - 100);
	w->now = 100;
	attach(w);
	assert_int_equal(5000, only_flow(w).age_ms);
	assert_int_equal(25, only_flow(w).timeout_s);
}

static void what_a_death_puts_back_is_of_the_clock_that_was(void **state)
{
	struct world *w = *state;
	struct xct_region_header *header = w->region;
	const struct xct_flow *flow;
	struct packet p;

	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 40);
	(void)forward(w, &p, LAN, WAN, false);
	flow = xct_region_flows(w->region);
	header->journal = (struct xct_journal){ .number = 1,
						.expires_at = flow->expires_at,
						.status = flow->status,
						.track = flow->track,
						.packets = 1 };
	xct_region_set_back(w->region, MAX_FLOWS, w->now - 100);
	w->now = 100;
	attach(w);
	assert_int_equal(30, only_flow(w).timeout_s);
}

/* Twice in the chain of its source, it would follow itself, for ever. */
static void a_source_whose_choice_was_interrupted_is_chosen_again(void **state)
{
	struct world *w = *state;
	struct xct_flow_cold *cold = xct_region_cold(w->region, MAX_FLOWS);
	struct xct_flow *flow = xct_region_flows(w->region);
	struct packet early, p;

	use_rules(w, "nat:\n"
		     "- {in: lan0, dst: 203.0.113.6, dnat: 198.51.100.9}\n"
		     "- {out: wan0, masquerade: yes}\n");
	packet_udp(&early, "10.0.0.2", 1000, "203.0.113.6", 53, 1);
	hook(w, &early, XCT_HOOK_PREROUTING, LAN, 0, XCT_STAGE_FRESH);
	p = early;
	hook(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_ROUTED);
	assert_addrs(&p, "203.0.113.1", 1000, "198.51.100.9", 53);
	/* It died before it was through with that. */
	flow->status &= ~(uint32_t)XCT_STATUS_CONFIRMED;
	attach(w);
	xct_engine_set_ruleset(w->eng, &w->config->ruleset);
	assert_int_equal(0, flows(w));
	p = early;
	hook(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_ROUTED);
	assert_addrs(&p, "203.0.113.1", 1000, "198.51.100.9", 53);
	assert_int_equal(1, flows(w));
	assert_int_equal(XCT_FLOW_NONE, cold->chain_next[XCT_CHAINED_SOURCE]);
}

static void deleting_by_filter_deletes_just_those(void **state)
{
	struct world *w = *state;
	struct xct_flow_filter filter = { .fields = XCT_FILTER_ORIG_SPORT,
					  .orig_sport = xct_hton16(1003) };
	struct packet p;
	uint32_t cursor = 0;

	for (uint16_t i = 0; i < 10; i++) {
		packet_udp(&p, "10.0.0.2", (uint16_t)(1000 + i), "198.51.100.9",
			   53, 1);
		(void)forward(w, &p, LAN, WAN, false);
	}
	while (xct_engine_delete(w->eng, &cursor, w->now, &filter, 7, NULL,
				 NULL))
		;
	assert_int_equal(9, flows(w));
	cursor = 0;
	filter.fields = 0;
	while (xct_engine_delete(w->eng, &cursor, w->now, &filter, 7, NULL,
				 NULL))
		;
	assert_int_equal(0, flows(w));
}

static void a_closed_flow_still_translates_its_last_packet(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "nat:\n"
		     "- {proto: tcp, dst: 203.0.113.1, dnat: 10.0.0.10}\n"
		     "- {out: lan0, masquerade: yes}\n");
	packet_tcp(&p, "10.0.0.2", 1000, "203.0.113.1", 80, TCP_SYN, 1, 0, 0);
	(void)forward(w, &p, LAN, LAN, true);
	/* Connection refused: the RST ends the flow, at the first of two
	 * hooks. */
	packet_tcp(&p, "10.0.0.10", 80, "10.0.0.1", 1000, TCP_RST | TCP_ACK, 0,
		   2, 0);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, LAN, true));
	assert_addrs(&p, "203.0.113.1", 80, "10.0.0.2", 1000);
	assert_int_equal(0, flows(w));
}

static void log_and_mark_rules_go_on_to_the_next(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "filter:\n"
		     "  forward:\n"
		     "    default: drop\n"
		     "    rules:\n"
		     "    - {name: note, in: lan0, log: yes, mark: 7}\n"
		     "    - {name: pass, proto: udp, accept: yes}\n");
	packet_udp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, 1);
	assert_int_equal(XCT_VERDICT_ACCEPT, forward(w, &p, LAN, WAN, false));
	assert_int_equal(7, only_flow(w).mark);
	assert_int_equal(1, w->events);
	assert_int_equal(1, hits(w, "note"));
	assert_int_equal(1, hits(w, "pass"));
	packet_tcp(&p, "10.0.0.2", 1000, "198.51.100.9", 53, TCP_SYN, 1, 0, 0);
	assert_int_equal(XCT_VERDICT_DROP, forward(w, &p, LAN, WAN, false));
	assert_int_equal(XCT_REASON_DEFAULT, w->res.reason);
}

static void any_bytes_end_in_a_verdict(void **state)
{
	struct world *w = *state;
	struct packet seeds[5], p;
	uint32_t rnd = 12345;

	use_rules(w, MASQUERADE "filter: {invalid: accept}\n");
	packet_tcp(&seeds[0], "10.0.0.2", 1000, "198.51.100.9", 80, TCP_SYN, 1,
		   0, 50);
	packet_udp(&seeds[1], "10.0.0.2", 1000, "198.51.100.9", 53, 50);
	packet_echo(&seeds[2], "fd00::2", "2001:db8::9", false, 1);
	packet_error(&seeds[3], "192.0.2.1", "203.0.113.1", &seeds[1], 60);
	packet_tcp(&seeds[4], "fd00::2", 1000, "2001:db8::9", 80, TCP_SYN, 1, 0,
		   50);
	for (int i = 0; i < 200000; i++) {
		static const uint8_t hooks[] = { XCT_HOOK_PREROUTING,
						 XCT_HOOK_INPUT,
						 XCT_HOOK_OUTPUT,
						 XCT_HOOK_POSTROUTING };
		struct xct_meta meta = { .in_if = LAN, .out_if = WAN };
		uint8_t *exact;

		rnd = rnd * 1664525 + 1013904223;
		p = seeds[rnd >> 8 & 3];
		for (uint32_t n = rnd >> 28; n; n--) {
			rnd = rnd * 1664525 + 1013904223;
			p.data[(rnd >> 8) % p.len] ^= (uint8_t)(rnd >> 24);
		}
		rnd = rnd * 1664525 + 1013904223;
		if (rnd >> 31)
			p.len = 1 + (rnd >> 8) % p.len;
		meta.hook = hooks[rnd >> 4 & 3];
		meta.stage = rnd >> 2 & 1;
		meta.csum_partial = rnd >> 6 & 1;
		/* On the heap, to the byte: the sanitizer sees overruns. */
		exact = malloc(p.len);
		memcpy(exact, p.data, p.len);
		xct_engine_packet(w->eng, exact, p.len, &meta, w->now++,
				  &w->res);
		free(exact);
	}
	assert_true(flows(w) <= MAX_FLOWS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(tcp_handshake_goes_through_its_states),
		TEST(masquerade_translates_both_ways_and_counts_one_hit),
		TEST(two_clients_with_one_port_get_different_reply_tuples),
		TEST(a_socket_keeps_its_port_while_it_has_a_flow),
		TEST(a_low_port_is_replaced_by_a_low_port),
		TEST(an_exhausted_port_range_drops_with_its_reason),
		TEST(a_closed_connection_gives_its_port_to_a_newer_one),
		TEST(what_this_host_sends_is_output_whatever_it_came_by),
		TEST(a_broadcast_is_rejected_without_an_answer),
		TEST(an_exempt_rule_counts_what_ends_here_too),
		TEST(a_packet_from_another_hook_has_its_own_reason),
		TEST(an_address_of_a_range_is_the_one_the_kernel_takes),
		TEST(port_forward_visits_two_hooks_once_and_then_one),
		TEST(an_unconfirmed_flow_lets_nothing_back),
		TEST(hairpin_translates_both_halves_in_both_directions),
		TEST(hairpin_ping_keeps_its_id_apart),
		TEST(sctp_is_translated_with_its_ports_and_checksum),
		TEST(an_error_about_sctp_is_translated_as_far_as_it_quotes),
		TEST(an_unfinished_sctp_checksum_is_computed),
		TEST(udplite_checksum_covers_what_its_header_says),
		TEST(gre_is_translated_by_its_addresses_alone),
		TEST(icmp_error_is_translated_inside_and_out),
		TEST(icmp_error_about_nothing_is_invalid),
		TEST(rules_are_asked_about_the_icmp_error_itself),
		TEST(icmp_error_with_ports_alone_is_related_but_not_translated),
		TEST(a_quoted_tcp_checksum_is_translated_in_a_whole_header),
		TEST(icmp_error_to_somebody_else_is_invalid_at_a_late_hook),
		TEST(icmp_error_of_a_renamed_flow_is_not_taken_for_the_other_flows),
		TEST(the_answering_end_reopens_into_a_translation),
		TEST(udp_without_a_checksum_passes_in_both_families),
		TEST(a_taken_tuple_without_ports_waits_for_its_source),
		TEST(a_second_gre_flow_of_one_host_keeps_its_keys),
		TEST(a_long_chain_of_extension_headers_is_walked_to_its_end),
		TEST(an_extension_header_too_long_hides_ports_from_who_needs_them),
		TEST(this_hosts_own_errors_speak_of_the_routed_packet),
		TEST(a_known_packet_whose_hops_are_over_is_tracked_early),
		TEST(a_new_packet_whose_hops_are_over_leaves_no_flow),
		TEST(a_packet_too_large_is_tracked_by_what_is_said_of_it),
		TEST(a_packet_too_large_is_tracked_once_where_it_was_queued),
		TEST(ipv6_is_translated_alike),
		TEST(neighbour_discovery_passes_untracked),
		TEST(unfinished_checksums_are_finished),
		TEST(a_wrong_checksum_stays_wrong_or_is_invalid),
		TEST(a_truncated_copy_is_never_rewritten),
		TEST(reject_answers_with_what_the_rule_says),
		TEST(a_forwarded_packet_is_rejected_as_its_sender_sent_it),
		TEST(a_full_table_evicts_the_unanswered_before_it_refuses),
		TEST(a_full_table_evicts_what_is_worth_least),
		TEST(the_flow_that_makes_the_table_nearly_full_is_told),
		TEST(a_full_table_keeps_assured_flows_and_refuses),
		TEST(flows_expire_when_their_time_is_over),
		TEST(an_expired_flow_is_not_found_even_before_the_tick),
		TEST(long_and_shortened_timers_fire_in_time),
		TEST(a_region_is_adopted_by_the_next_engine),
		TEST(a_repeated_packet_leaves_its_flow_as_it_is),
		TEST(a_packet_that_the_process_died_with_counts_once),
		TEST(a_clock_that_has_been_set_back_makes_no_flow_younger),
		TEST(what_a_death_puts_back_is_of_the_clock_that_was),
		TEST(a_source_whose_choice_was_interrupted_is_chosen_again),
		TEST(deleting_by_filter_deletes_just_those),
		TEST(a_closed_flow_still_translates_its_last_packet),
		TEST(log_and_mark_rules_go_on_to_the_next),
		TEST(any_bytes_end_in_a_verdict),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
