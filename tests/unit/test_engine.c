/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine as a whole: packets in, verdicts and rewritten bytes out. */
#include "tests/unit/gateway.h"

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

static void a_packet_from_another_hook_has_its_own_reason(void **state)
{
	struct world *w = *state;
	struct packet p;

	packet_udp(&p, "10.0.0.2", 9, "198.51.100.9", 53, 9);
	hook(w, &p, 2 /* FORWARD */, LAN, WAN, XCT_STAGE_FRESH);
	assert_int_equal(XCT_VERDICT_DROP, w->res.verdict);
	assert_int_equal(1, counted(w, XCT_REASON_HOOK));
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
		p = seeds[(rnd >> 8) % XCT_ARRAY_SIZE(seeds)];
		for (uint32_t n = rnd >> 28; n; n--) {
			rnd = rnd * 1664525 + 1013904223;
			p.data[(rnd >> 8) % p.len] ^= (uint8_t)(rnd >> 24);
		}
		rnd = rnd * 1664525 + 1013904223;
		if (rnd >> 31)
			p.len = 1 + (rnd >> 8) % p.len;
		meta.hook = hooks[rnd >> 28 & 3];
		meta.stage = rnd >> 26 & 3;
		meta.csum_partial = rnd >> 25 & 1;
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
		TEST(what_this_host_sends_is_output_whatever_it_came_by),
		TEST(a_broadcast_is_rejected_without_an_answer),
		TEST(a_packet_from_another_hook_has_its_own_reason),
		TEST(udp_without_a_checksum_passes_in_both_families),
		TEST(a_long_chain_of_extension_headers_is_walked_to_its_end),
		TEST(an_extension_header_too_long_hides_ports_from_who_needs_them),
		TEST(neighbour_discovery_passes_untracked),
		TEST(unfinished_checksums_are_finished),
		TEST(a_wrong_checksum_stays_wrong_or_is_invalid),
		TEST(a_truncated_copy_is_never_rewritten),
		TEST(reject_answers_with_what_the_rule_says),
		TEST(a_forwarded_packet_is_rejected_as_its_sender_sent_it),
		TEST(log_and_mark_rules_go_on_to_the_next),
		TEST(any_bytes_end_in_a_verdict),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
