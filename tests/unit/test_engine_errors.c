/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICMP errors, and the packets that they are about: those that die in the
 * router.
 */
#include "tests/unit/gateway.h"

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_error_about_sctp_is_translated_as_far_as_it_quotes),
		TEST(icmp_error_is_translated_inside_and_out),
		TEST(icmp_error_about_nothing_is_invalid),
		TEST(rules_are_asked_about_the_icmp_error_itself),
		TEST(icmp_error_with_ports_alone_is_related_but_not_translated),
		TEST(a_quoted_tcp_checksum_is_translated_in_a_whole_header),
		TEST(icmp_error_to_somebody_else_is_invalid_at_a_late_hook),
		TEST(icmp_error_of_a_renamed_flow_is_not_taken_for_the_other_flows),
		TEST(this_hosts_own_errors_speak_of_the_routed_packet),
		TEST(a_known_packet_whose_hops_are_over_is_tracked_early),
		TEST(a_new_packet_whose_hops_are_over_leaves_no_flow),
		TEST(a_packet_too_large_is_tracked_by_what_is_said_of_it),
		TEST(a_packet_too_large_is_tracked_once_where_it_was_queued),
	};

	return cmocka_run_group_tests_name("engine: errors", tests, NULL, NULL);
}
