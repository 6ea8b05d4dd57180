/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Translation, packet by packet: ports, checksums, both halves. */
#include "tests/unit/gateway.h"

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

/* Routing has refused their packets, say: of what comes later, that would be
 * taken for theirs. */
static void unconfirmed_flows_are_deleted_with_the_others(void **state)
{
	struct world *w = *state;
	struct xct_flow_filter filter = { .fields = XCT_FILTER_PROTO,
					  .proto = IPPROTO_TCP };
	struct xct_engine_stats stats;
	struct packet p;

	use_rules(w, "nat: [{in: wan0, proto: udp, dnat: 10.0.0.10}]\n");
	packet_udp(&p, "198.51.100.9", 7, "203.0.113.1", 53, 1);
	hook(w, &p, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	for (int i = 0; i < 2; i++) {
		(void)xct_engine_delete(w->eng, &(uint32_t){ 0 }, w->now,
					&filter, MAX_FLOWS, NULL, NULL);
		xct_engine_stats(w->eng, &stats);
		assert_int_equal(1 - i, stats.used_flows);
		assert_int_equal(0, stats.flows);
		filter.proto = IPPROTO_UDP;
	}
	packet_udp(&p, "198.51.100.9", 7, "10.0.0.10", 53, 1);
	hook(w, &p, XCT_HOOK_POSTROUTING, WAN, LAN, XCT_STAGE_ROUTED);
	assert_int_equal(XCT_REASON_FLOW_GONE, w->res.reason);
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
	struct xct_flow_info info;
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
	info = any_flow(w);
	assert_int_equal(0, info.tuple[XCT_DIR_REPLY].gre_dstkey);
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(masquerade_translates_both_ways_and_counts_one_hit),
		TEST(two_clients_with_one_port_get_different_reply_tuples),
		TEST(a_socket_keeps_its_port_while_it_has_a_flow),
		TEST(a_low_port_is_replaced_by_a_low_port),
		TEST(an_exhausted_port_range_drops_with_its_reason),
		TEST(a_closed_connection_gives_its_port_to_a_newer_one),
		TEST(an_exempt_rule_counts_what_ends_here_too),
		TEST(an_address_of_a_range_is_the_one_the_kernel_takes),
		TEST(port_forward_visits_two_hooks_once_and_then_one),
		TEST(an_unconfirmed_flow_lets_nothing_back),
		TEST(unconfirmed_flows_are_deleted_with_the_others),
		TEST(hairpin_translates_both_halves_in_both_directions),
		TEST(hairpin_ping_keeps_its_id_apart),
		TEST(sctp_is_translated_with_its_ports_and_checksum),
		TEST(an_unfinished_sctp_checksum_is_computed),
		TEST(udplite_checksum_covers_what_its_header_says),
		TEST(gre_is_translated_by_its_addresses_alone),
		TEST(the_answering_end_reopens_into_a_translation),
		TEST(a_taken_tuple_without_ports_waits_for_its_source),
		TEST(a_second_gre_flow_of_one_host_keeps_its_keys),
		TEST(ipv6_is_translated_alike),
		TEST(a_closed_flow_still_translates_its_last_packet),
	};

	return cmocka_run_group_tests_name("engine: nat", tests, NULL, NULL);
}
