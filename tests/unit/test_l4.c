/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The trackers without a state machine, and what all trackers share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "daemon/engine/csum.h"
#include "daemon/engine/l4.h"

#define START 1000000 /* the clock's first reading, in milliseconds */

struct world {
	const struct xct_l4_ops *ops;
	struct xct_l4_config cfg;
	struct xct_flow flow;
	struct xct_l4_ctx ctx;
	struct xct_pkt pkt;
};

static void world_init(struct world *w, uint8_t family, uint8_t proto)
{
	memset(w, 0, sizeof(*w));
	w->ops = xct_l4(proto);
	xct_l4_config_default(&w->cfg);
	w->flow.side[XCT_DIR_ORIG].tuple.family = family;
	w->flow.side[XCT_DIR_ORIG].tuple.proto = proto;
	w->ctx.cfg = &w->cfg;
	w->ctx.pkt = &w->pkt;
	w->ctx.now = START;
}

static struct xct_pkt make_pkt(uint8_t family, uint8_t *l4, uint32_t len)
{
	return (struct xct_pkt){
		.family = family, .l4 = l4, .l4_have = len, .l4_len = len
	};
}

/* A packet of the flow passes; then it has @seconds left. */
static void pass(struct world *w, enum xct_dir dir, uint32_t seconds,
		 bool is_assured)
{
	w->ctx.dir = dir;
	assert_int_equal(w->ops->update(&w->ctx, &w->flow), XCT_L4_OK);
	if (dir == XCT_DIR_REPLY)
		w->flow.status |= XCT_STATUS_SEEN_REPLY;
	assert_int_equal(w->flow.expires_at, w->ctx.now + seconds * 1000);
	assert_int_equal(!!(w->flow.status & XCT_STATUS_ASSURED), is_assured);
}

static void defaults_are_those_of_the_kernel(void **state)
{
	static const uint32_t tcp[] = { 0,  120, 60, 432000, 120, 60,
					30, 120, 10, 120,    300, 300 };
	static const uint32_t sctp[] = { 0, 10, 3, 3, 210, 3, 3, 3, 30 };
	struct xct_l4_config cfg;

	(void)state;
	xct_l4_config_default(&cfg);
	assert_memory_equal(cfg.tcp, tcp, sizeof(tcp));
	assert_int_equal(cfg.udp_unreplied, 30);
	assert_int_equal(cfg.udp_stream, 120);
	assert_memory_equal(cfg.sctp, sctp, sizeof(sctp));
	assert_int_equal(cfg.gre_unreplied, 30);
	assert_int_equal(cfg.gre_stream, 180);
	assert_int_equal(cfg.icmp, 30);
	assert_int_equal(cfg.icmpv6, 30);
	assert_int_equal(cfg.generic, 600);
	assert_int_equal(cfg.tcp_max_retrans, 3);
	assert_true(cfg.tcp_loose);
	assert_false(cfg.tcp_liberal);
	assert_false(cfg.tcp_ignore_invalid_rst);
	assert_true(cfg.checksum);
}

static void each_protocol_has_its_tracker(void **state)
{
	(void)state;
	assert_ptr_equal(xct_l4(IPPROTO_TCP), &xct_l4_tcp);
	assert_ptr_equal(xct_l4(IPPROTO_UDP), &xct_l4_udp);
	assert_ptr_equal(xct_l4(IPPROTO_ICMP), &xct_l4_icmp);
	assert_ptr_equal(xct_l4(IPPROTO_ICMPV6), &xct_l4_icmpv6);
	assert_ptr_equal(xct_l4(IPPROTO_SCTP), &xct_l4_sctp);
	assert_ptr_equal(xct_l4(IPPROTO_GRE), &xct_l4_gre);
	assert_ptr_equal(xct_l4(IPPROTO_UDPLITE), &xct_l4_udplite);
	assert_ptr_equal(xct_l4(IPPROTO_DCCP), &xct_l4_generic);
	assert_ptr_equal(xct_l4(IPPROTO_ESP), &xct_l4_generic);
	assert_ptr_equal(xct_l4(255), &xct_l4_generic);
	for (int proto = 0; proto <= UINT8_MAX; proto++)
		assert_non_null(xct_l4((uint8_t)proto));
}

static void a_fixed_timeout_is_not_refreshed(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, AF_INET, IPPROTO_UDP);
	w.flow.status = XCT_STATUS_FIXED_TIMEOUT;
	w.flow.expires_at = START + 5;
	xct_l4_refresh(&w.ctx, &w.flow, 30);
	assert_int_equal(w.flow.expires_at, START + 5);
}

static void udp_is_a_stream_only_after_two_seconds_and_an_answer(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, AF_INET, IPPROTO_UDP);
	assert_int_equal(w.ops->open(&w.ctx, &w.flow), XCT_L4_OK);
	pass(&w, XCT_DIR_ORIG, 30, false);
	w.ctx.now += 1000;
	pass(&w, XCT_DIR_REPLY, 30, false);
	w.ctx.now += 1000; /* exactly two seconds are not more than two */
	pass(&w, XCT_DIR_ORIG, 30, false);
	w.ctx.now += 1;
	pass(&w, XCT_DIR_ORIG, 120, true);
}

static void udp_first_answer_alone_makes_no_stream_however_late(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, AF_INET, IPPROTO_UDP);
	assert_int_equal(w.ops->open(&w.ctx, &w.flow), XCT_L4_OK);
	pass(&w, XCT_DIR_ORIG, 30, false);
	w.ctx.now += 20000;
	pass(&w, XCT_DIR_ORIG, 30, false);
	pass(&w, XCT_DIR_REPLY, 30, false);
	pass(&w, XCT_DIR_REPLY, 120, true);
}

static void udp_length_must_fit_the_packet(void **state)
{
	uint8_t l4[20] = { 0 };
	struct xct_pkt pkt = make_pkt(AF_INET, l4, sizeof(l4));
	uint16_t len;

	(void)state;
	for (len = 0; len < 64; len++) {
		xct_put_be16(l4 + 4, len);
		assert_int_equal(xct_l4_udp.check(&pkt),
				 len >= 8 && len <= 20 ? XCT_REASON_NONE
						       : XCT_REASON_L4_SHORT);
	}
	xct_put_be16(l4 + 4, 8);
	pkt.l4_have = 7;
	assert_int_equal(xct_l4_udp.check(&pkt), XCT_REASON_L4_SHORT);
}

static void ports_are_read_swapped_and_need_four_bytes(void **state)
{
	uint8_t l4[8] = { 0x12, 0x34, 0x00, 0x35 };
	struct xct_pkt pkt = make_pkt(AF_INET, l4, sizeof(l4));
	struct xct_tuple t = { .proto = IPPROTO_UDP }, inverse = t;

	(void)state;
	assert_true(xct_l4_udp.key(&pkt, &t));
	assert_int_equal(xct_ntoh16(t.sport), 0x1234);
	assert_int_equal(xct_ntoh16(t.dport), 53);
	assert_true(xct_l4_udp.invert(&t, &inverse));
	assert_int_equal(xct_ntoh16(inverse.sport), 53);
	assert_int_equal(xct_ntoh16(inverse.dport), 0x1234);
	pkt.l4_have = 4;
	assert_true(xct_l4_tcp.key(&pkt, &t));
	pkt.l4_have = 3;
	assert_false(xct_l4_udp.key(&pkt, &t));
	assert_false(xct_l4_tcp.key(&pkt, &t));
}

static void udplite_is_a_stream_with_what_follows_an_answer(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, AF_INET, IPPROTO_UDPLITE);
	w.cfg.udp_unreplied = 31;
	w.cfg.udp_stream = 121;
	assert_int_equal(w.ops->open(&w.ctx, &w.flow), XCT_L4_OK);
	pass(&w, XCT_DIR_ORIG, 31, false);
	pass(&w, XCT_DIR_REPLY, 31, false);
	pass(&w, XCT_DIR_ORIG, 121, true);
}

static void udplite_covers_a_header_at_least_and_has_a_checksum(void **state)
{
	uint8_t l4[20] = { 0 };
	struct xct_pkt pkt = make_pkt(AF_INET, l4, sizeof(l4));
	uint16_t len;

	(void)state;
	assert_int_equal(xct_l4_udplite.check(&pkt), XCT_REASON_CSUM_UDPLITE);
	l4[7] = 1;
	for (len = 0; len < 64; len++) {
		xct_put_be16(l4 + 4, len);
		assert_int_equal(xct_l4_udplite.check(&pkt),
				 len == 0 || (len >= 8 && len <= 20)
					 ? XCT_REASON_NONE
					 : XCT_REASON_L4_SHORT);
	}
	xct_put_be16(l4 + 4, 0);
	pkt.l4_have = 7;
	assert_int_equal(xct_l4_udplite.check(&pkt), XCT_REASON_L4_SHORT);
}

struct gre_row {
	const char *sentence;
	uint8_t header[8];
	uint8_t len;
	enum xct_reason reason;
	uint16_t dstkey;
};

static void gre_keys_are_call_ids_of_pptp_alone(void **state)
{
	/* clang-format off */
	static const struct gre_row rows[] = {
		{ "version 0", { 0, 0, 8, 0, 1, 2, 3, 4 }, 8, 0, 0 },
		{ "with a key", { 0x20, 0, 8, 0, 1, 2, 3, 4 }, 8, 0, 0 },
		{ "PPTP", { 0x30, 0x81, 0x88, 0x0b, 0, 4, 0x12, 0x34 }, 8,
		  0, 0x1234 },
		{ "PPTP of what is not PPP",
		  { 0x30, 0x81, 8, 0, 0, 4, 0x12, 0x34 }, 8,
		  XCT_REASON_GRE_PROTOCOL, 0x1234 },
		{ "PPTP cut short", { 0x30, 0x81, 8, 0, 0, 4, 0x12 }, 7, 0, 0 },
		{ "version 2", { 0, 2, 8, 0, 1, 2, 3, 4 }, 8, 0, 0 },
		{ "no header at all", { 0 }, 0, 0, 0 },
	};
	/* clang-format on */
	struct xct_tuple t, inverse;
	size_t i;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(rows); i++) {
		uint8_t *l4 = malloc(rows[i].len + 1u);
		struct xct_pkt pkt = make_pkt(AF_INET, l4, rows[i].len);

		assert_non_null(l4);
		memcpy(l4, rows[i].header, rows[i].len);
		memset(&t, 0xff, sizeof(t));
		memset(&inverse, 0xff, sizeof(inverse));
		if (xct_l4_gre.check(&pkt) != rows[i].reason ||
		    xct_l4_gre.key(&pkt, &t) != !rows[i].reason ||
		    t.gre_srckey != 0 ||
		    xct_ntoh16(t.gre_dstkey) != rows[i].dstkey)
			fail_msg("%s", rows[i].sentence);
		assert_true(xct_l4_gre.invert(&t, &inverse));
		assert_int_equal(xct_ntoh16(inverse.gre_srckey),
				 rows[i].dstkey);
		assert_int_equal(inverse.gre_dstkey, 0);
		free(l4);
	}
}

static void gre_is_a_stream_with_what_follows_an_answer(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, AF_INET6, IPPROTO_GRE);
	assert_int_equal(w.ops->open(&w.ctx, &w.flow), XCT_L4_OK);
	pass(&w, XCT_DIR_ORIG, 30, false);
	w.ctx.now += 20000;
	pass(&w, XCT_DIR_REPLY, 30, false);
	pass(&w, XCT_DIR_REPLY, 180, true);
	pass(&w, XCT_DIR_ORIG, 180, true);
}

static void generic_has_no_ports_and_is_never_assured(void **state)
{
	struct xct_tuple t, inverse;
	struct world w;

	(void)state;
	world_init(&w, AF_INET, 253);
	memset(&t, 0xff, sizeof(t));
	assert_true(w.ops->key(&w.pkt, &t));
	assert_int_equal(t.sport, 0);
	assert_int_equal(t.dport, 0);
	memset(&inverse, 0xff, sizeof(inverse));
	assert_true(w.ops->invert(&t, &inverse));
	assert_int_equal(inverse.sport, 0);
	assert_int_equal(inverse.dport, 0);

	assert_int_equal(w.ops->open(&w.ctx, &w.flow), XCT_L4_OK);
	pass(&w, XCT_DIR_ORIG, 600, false);
	w.ctx.now += 5000;
	pass(&w, XCT_DIR_REPLY, 600, false);
	pass(&w, XCT_DIR_ORIG, 600, false);
}

/* Types in use, by what they are; all others are of no kind. */
static void icmp_types_are_told_apart(void **state)
{
	static const uint8_t queries[2][8] = { { 8, 13, 15, 17 },
					       { 128, 139 } };
	static const uint8_t answers[2][8] = { { 0, 14, 16, 18 },
					       { 129, 140 } };
	static const uint8_t errors_v4[] = { 3, 4, 5, 11, 12 };
	static const uint8_t untracked[] = { 130, 131, 132, 133, 134,
					     135, 136, 143, 151, 152 };
	static const size_t n_queries[2] = { 4, 2 };
	unsigned int v6, type;
	size_t i;

	(void)state;
	for (v6 = 0; v6 < 2; v6++) {
		uint8_t family = v6 ? AF_INET6 : AF_INET;
		uint8_t proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		struct world w;

		world_init(&w, family, proto);
		for (type = 0; type < 256; type++) {
			bool is_error = v6 && type < 128, is_untracked = false;
			struct xct_tuple *t = &w.flow.side[XCT_DIR_ORIG].tuple;
			struct xct_tuple inverse = { .icmp_id = 0 };
			int answer = -1, opens = XCT_L4_INVALID;

			for (i = 0; i < n_queries[v6]; i++) {
				if (type == queries[v6][i]) {
					answer = answers[v6][i];
					opens = XCT_L4_OK;
				} else if (type == answers[v6][i]) {
					answer = queries[v6][i];
				}
			}
			for (i = 0; !v6 && i < sizeof(errors_v4); i++)
				is_error |= type == errors_v4[i];
			for (i = 0; v6 && i < sizeof(untracked); i++)
				is_untracked |= type == untracked[i];

			t->icmp_type = (uint8_t)type;
			t->icmp_code = 3;
			t->icmp_id = 0x1234;
			assert_int_equal(w.ops->invert(t, &inverse),
					 answer >= 0);
			if (answer >= 0) {
				assert_int_equal(inverse.icmp_type, answer);
				assert_int_equal(inverse.icmp_code, 3);
				assert_int_equal(inverse.icmp_id, 0x1234);
			}
			assert_int_equal(w.ops->open(&w.ctx, &w.flow), opens);
			if (opens == XCT_L4_INVALID)
				assert_int_equal(w.ctx.reason,
						 XCT_REASON_ICMP_TYPE);
			assert_int_equal(
				xct_icmp_is_error(family, (uint8_t)type),
				is_error);
			assert_int_equal(
				xct_icmp_is_untracked(family, (uint8_t)type),
				is_untracked);
		}
	}
}

static void icmp_flows_live_thirty_seconds_from_every_packet(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, AF_INET, IPPROTO_ICMP);
	pass(&w, XCT_DIR_ORIG, 30, false);
	w.ctx.now += 10000;
	pass(&w, XCT_DIR_REPLY, 30, false);

	world_init(&w, AF_INET6, IPPROTO_ICMPV6);
	w.cfg.icmpv6 = 7;
	pass(&w, XCT_DIR_ORIG, 7, false);
	pass(&w, XCT_DIR_REPLY, 7, false);
}

static void icmp_check_refuses_short_unknown_and_foreign(void **state)
{
	uint8_t l4[8] = { 8 };
	struct xct_pkt pkt = make_pkt(AF_INET, l4, sizeof(l4));

	(void)state;
	assert_int_equal(xct_l4_icmp.check(&pkt), XCT_REASON_NONE);
	assert_int_equal(xct_l4_icmpv6.check(&pkt), XCT_REASON_ICMP_TYPE);
	l4[0] = 18;
	assert_int_equal(xct_l4_icmp.check(&pkt), XCT_REASON_NONE);
	l4[0] = 19;
	assert_int_equal(xct_l4_icmp.check(&pkt), XCT_REASON_ICMP_TYPE);

	pkt.family = AF_INET6;
	l4[0] = 200;
	assert_int_equal(xct_l4_icmpv6.check(&pkt), XCT_REASON_NONE);
	assert_int_equal(xct_l4_icmp.check(&pkt), XCT_REASON_ICMP_TYPE);

	pkt.l4_have = 7;
	assert_int_equal(xct_l4_icmp.check(&pkt), XCT_REASON_L4_SHORT);
	assert_int_equal(xct_l4_icmpv6.check(&pkt), XCT_REASON_L4_SHORT);
}

/* The checksum over @l4, which holds one: 0 if it is right. */
static uint16_t verify(const uint8_t *l4, uint32_t len)
{
	return (uint16_t)~xct_csum_fold(xct_csum_sum(l4, len));
}

/* Rewrite @l4 by @t and mend its checksum by the difference. */
static void rewrite(const struct xct_l4_ops *ops, uint8_t *l4,
		    const struct xct_tuple *t, bool is_source)
{
	uint64_t diff = ops->rewrite(l4, t, is_source);
	xct_be16 sum;

	memcpy(&sum, l4 + ops->csum_off, sizeof(sum));
	sum = xct_csum_apply(sum, diff);
	memcpy(l4 + ops->csum_off, &sum, sizeof(sum));
}

static void fill_csum(const struct xct_l4_ops *ops, uint8_t *l4, uint32_t len)
{
	xct_be16 sum;

	memset(l4 + ops->csum_off, 0, 2);
	sum = verify(l4, len);
	memcpy(l4 + ops->csum_off, &sum, sizeof(sum));
}

static void rewriting_ports_keeps_the_checksum_right(void **state)
{
	const struct xct_l4_ops *const all[] = { &xct_l4_tcp, &xct_l4_udp };
	const struct xct_tuple t = { .sport = xct_hton16(40000),
				     .dport = xct_hton16(8080) };
	size_t i;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(all); i++) {
		uint8_t l4[24] = { 0x12, 0x34, 0, 80, 1, 2, 3, 4, 5 };

		fill_csum(all[i], l4, sizeof(l4));
		rewrite(all[i], l4, &t, true);
		assert_int_equal(xct_get_be16(l4), 40000);
		assert_int_equal(xct_get_be16(l4 + 2), 80);
		assert_int_equal(verify(l4, sizeof(l4)), 0);
		rewrite(all[i], l4, &t, false);
		assert_int_equal(xct_get_be16(l4), 40000);
		assert_int_equal(xct_get_be16(l4 + 2), 8080);
		assert_int_equal(verify(l4, sizeof(l4)), 0);
	}
}

static void rewriting_an_icmp_id_touches_queries_only(void **state)
{
	const struct xct_tuple t = { .icmp_id = xct_hton16(777) };
	const struct {
		const struct xct_l4_ops *ops;
		uint8_t type;
		bool is_query;
	} rows[] = {
		{ &xct_l4_icmp, 8, true },	{ &xct_l4_icmp, 0, true },
		{ &xct_l4_icmp, 13, true },	{ &xct_l4_icmp, 3, false },
		{ &xct_l4_icmp, 11, false },	{ &xct_l4_icmpv6, 128, true },
		{ &xct_l4_icmpv6, 129, true },	{ &xct_l4_icmpv6, 2, false },
		{ &xct_l4_icmpv6, 135, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(rows); i++) {
		uint8_t l4[16] = { rows[i].type, 0, 0, 0, 0x05, 0x78, 0, 1 };
		uint16_t want = rows[i].is_query ? 777 : 0x0578;

		fill_csum(rows[i].ops, l4, sizeof(l4));
		rewrite(rows[i].ops, l4, &t, true);
		assert_int_equal(xct_get_be16(l4 + 4), want);
		assert_int_equal(verify(l4, sizeof(l4)), 0);
		/* The id stands once: the other half writes the same. */
		rewrite(rows[i].ops, l4, &t, false);
		assert_int_equal(xct_get_be16(l4 + 4), want);
		assert_int_equal(verify(l4, sizeof(l4)), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_kernel),
		cmocka_unit_test(each_protocol_has_its_tracker),
		cmocka_unit_test(a_fixed_timeout_is_not_refreshed),
		cmocka_unit_test(
			udp_is_a_stream_only_after_two_seconds_and_an_answer),
		cmocka_unit_test(
			udp_first_answer_alone_makes_no_stream_however_late),
		cmocka_unit_test(udp_length_must_fit_the_packet),
		cmocka_unit_test(ports_are_read_swapped_and_need_four_bytes),
		cmocka_unit_test(
			udplite_is_a_stream_with_what_follows_an_answer),
		cmocka_unit_test(
			udplite_covers_a_header_at_least_and_has_a_checksum),
		cmocka_unit_test(gre_keys_are_call_ids_of_pptp_alone),
		cmocka_unit_test(gre_is_a_stream_with_what_follows_an_answer),
		cmocka_unit_test(generic_has_no_ports_and_is_never_assured),
		cmocka_unit_test(icmp_types_are_told_apart),
		cmocka_unit_test(
			icmp_flows_live_thirty_seconds_from_every_packet),
		cmocka_unit_test(icmp_check_refuses_short_unknown_and_foreign),
		cmocka_unit_test(rewriting_ports_keeps_the_checksum_right),
		cmocka_unit_test(rewriting_an_icmp_id_touches_queries_only),
	};

	return cmocka_run_group_tests_name("l4", tests, NULL, NULL);
}
