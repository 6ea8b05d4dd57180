/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows made and changed by hand. What a hostile client of the control socket
 * may send is random structs: the table must stay whole.
 */
#include <errno.h>

#include "daemon/engine/visit.h"
#include "tests/unit/by_hand.h"

static void a_flow_made_by_hand_is_complete(void **state)
{
	struct xct_flow_create req = udp_flow();
	struct world *w = *state;
	struct xct_flow_info info;

	req.change.fields |= XCT_CHANGE_MARK | XCT_CHANGE_STATUS;
	req.change.mark = 5;
	req.change.mark_mask = UINT32_MAX;
	req.change.status = XCT_STATUS_ASSURED;
	assert_int_equal(create(w, &req), 0);
	info = any_flow(w);
	assert_memory_equal(&info.tuple[XCT_DIR_ORIG], &req.tuple[XCT_DIR_ORIG],
			    sizeof(info.tuple[0]));
	assert_memory_equal(&info.tuple[XCT_DIR_REPLY].src,
			    &req.tuple[XCT_DIR_ORIG].dst, 16);
	assert_int_equal(info.tuple[XCT_DIR_REPLY].dport, xct_hton16(1000));
	assert_int_equal(info.timeout_s, 100);
	assert_int_equal(info.mark, 5);
	assert_int_equal(info.status,
			 XCT_STATUS_ASSURED | XCT_STATUS_CONFIRMED);
	/* Again: it is there, as either direction. */
	assert_int_equal(create(w, &req), -EEXIST);
	(void)xct_tuple_invert(&info.tuple[XCT_DIR_ORIG],
			       &req.tuple[XCT_DIR_ORIG]);
	assert_int_equal(create(w, &req), -EEXIST);
	/* The same original, answered elsewhere; and another one that is
	 * answered alike. */
	req = udp_flow();
	req.fields = XCT_CREATE_SRC_NAT;
	req.nat_src = addr("203.0.113.1");
	assert_int_equal(create(w, &req), -EEXIST);
	req = udp_flow();
	req.fields = XCT_CREATE_REPLY_DST;
	req.tuple[XCT_DIR_REPLY].dst = req.tuple[XCT_DIR_ORIG].src;
	req.tuple[XCT_DIR_ORIG].src = addr("10.0.0.3");
	assert_int_equal(create(w, &req), -EEXIST);
	assert_int_equal(flows(w), 1);
	/* Once its time is over it is in nobody's way. */
	req = udp_flow();
	w->now += 100 * 1000;
	assert_int_equal(create(w, &req), 0);
	assert_int_equal(flows(w), 1);
}

static void what_is_no_flow_is_refused(void **state)
{
	struct world *w = *state;
	struct xct_flow_create req = udp_flow();
	struct xct_tuple *orig = &req.tuple[XCT_DIR_ORIG];

	req.change.timeout_s = 0;
	assert_int_equal(create(w, &req), -EINVAL);
	req = udp_flow();
	req.change.fields = 0;
	assert_int_equal(create(w, &req), -EINVAL);
	req = udp_flow();
	orig->family = 0;
	assert_int_equal(create(w, &req), -EINVAL);
	req = udp_flow();
	orig->dst.b[4] = 1; /* beyond an IPv4 address */
	assert_int_equal(create(w, &req), -EINVAL);
	req = udp_flow();
	req.fields = XCT_CREATE_SRC_NAT;
	req.nat_src = addr("::1");
	assert_int_equal(create(w, &req), -EINVAL);
	req = udp_flow();
	orig->proto = IPPROTO_ICMPV6;
	assert_int_equal(create(w, &req), -EINVAL);
	orig->proto = IPPROTO_ICMP;
	orig->icmp_type = 3; /* an error: nothing answers it */
	assert_int_equal(create(w, &req), -EINVAL);
	req = udp_flow();
	req.change.fields |= XCT_CHANGE_STATE; /* UDP has none */
	assert_int_equal(create(w, &req), -EINVAL);
	orig->proto = IPPROTO_TCP;
	req.change.state = XCT_TCP_STATES;
	assert_int_equal(create(w, &req), -EINVAL);
	req = udp_flow();
	req.change.fields |= XCT_CHANGE_STATUS;
	req.change.status = XCT_STATUS_EXPECTED;
	assert_int_equal(create(w, &req), -EBUSY);
	req.change.status = XCT_STATUS_SRC_NAT;
	assert_int_equal(create(w, &req), -EINVAL);
	req = udp_flow();
	orig->proto = IPPROTO_GRE; /* its keys are not translated */
	req.fields = XCT_CREATE_REPLY_SPORT;
	assert_int_equal(create(w, &req), -EINVAL);
	assert_int_equal(flows(w), 0);
}

static void a_translation_is_chosen_as_for_packets(void **state)
{
	struct world *w = *state;
	struct xct_flow_create req = udp_flow();
	struct xct_flow_info info;

	req.fields = XCT_CREATE_SRC_NAT | XCT_CREATE_DST_NAT |
		     XCT_CREATE_DST_NAT_PORT;
	req.nat_src = addr("203.0.113.1");
	req.nat_dst = addr("10.9.9.9");
	req.nat_dport = xct_hton16(5353);
	assert_int_equal(create(w, &req), 0);
	info = any_flow(w);
	assert_int_equal(info.status &
				 (XCT_STATUS_SRC_NAT | XCT_STATUS_DST_NAT),
			 XCT_STATUS_SRC_NAT | XCT_STATUS_DST_NAT);
	assert_int_equal(info.tuple[XCT_DIR_REPLY].sport, xct_hton16(5353));
	assert_int_equal(info.tuple[XCT_DIR_REPLY].dport, xct_hton16(1000));
	/* Another client, the same port: it gets another one. */
	req.tuple[XCT_DIR_ORIG].src = addr("10.0.0.3");
	assert_int_equal(create(w, &req), 0);
	/* A port that is asked for and taken is an error. */
	req.tuple[XCT_DIR_ORIG].src = addr("10.0.0.4");
	req.fields |= XCT_CREATE_SRC_NAT_PORT;
	req.nat_sport = xct_hton16(1000);
	assert_int_equal(create(w, &req), -EEXIST);
	assert_int_equal(flows(w), 2);
}

/* Packets are handled by such a flow as by one of their own. */
static void packets_use_a_flow_made_by_hand(void **state)
{
	static const uint8_t l4[8] = { 0x03, 0xe8, 0, 53, 0, 8 };
	struct xct_meta meta = { .in_if = LAN,
				 .out_if = WAN,
				 .hook = XCT_HOOK_POSTROUTING };
	struct xct_flow_create req = udp_flow();
	struct world *w = *state;
	struct xct_flow_info info;
	struct packet p;

	req.fields = XCT_CREATE_SRC_NAT;
	req.nat_src = addr("203.0.113.1");
	req.change.fields |= XCT_CHANGE_STATUS;
	req.change.status = XCT_STATUS_FIXED_TIMEOUT;
	assert_int_equal(create(w, &req), 0);
	w->now += 40 * 1000;
	packet_ip(&p, "10.0.0.2", "192.0.2.9", IPPROTO_UDP, l4, sizeof(l4));
	xct_engine_packet(w->eng, p.data, p.len, &meta, w->now, &w->res);
	assert_int_equal(w->res.verdict, XCT_VERDICT_ACCEPT);
	assert_memory_equal(p.data + 12, req.nat_src.b, 4);
	assert_int_equal(flows(w), 1);
	info = any_flow(w);
	assert_int_equal(info.packets[XCT_DIR_ORIG], 1);
	assert_int_equal(info.timeout_s, 60); /* fixed: no new timer */
	w->now += 60 * 1000 + 256;
	while (xct_engine_tick(w->eng, w->now, 100))
		;
	assert_int_equal(flows(w), 0);
}

/* An open connection from elsewhere: what its window field is to be multiplied
 * with has been said long ago. */
static void a_connection_made_by_hand_has_windows_of_any_size(void **state)
{
	const struct xct_meta out = { .in_if = LAN,
				      .out_if = WAN,
				      .hook = XCT_HOOK_POSTROUTING };
	const struct xct_meta in = { .in_if = WAN,
				     .out_if = LAN,
				     .hook = XCT_HOOK_POSTROUTING };
	struct xct_flow_create req = udp_flow();
	struct world *w = *state;
	struct packet p;

	req.tuple[XCT_DIR_ORIG].proto = IPPROTO_TCP;
	req.change.fields |= XCT_CHANGE_STATE | XCT_CHANGE_STATUS;
	req.change.state = XCT_TCP_ESTABLISHED;
	req.change.status = XCT_STATUS_ASSURED | XCT_STATUS_SEEN_REPLY;
	assert_int_equal(create(w, &req), 0);
	packet_tcp(&p, "10.0.0.2", 1000, "192.0.2.9", 53, TCP_ACK, 100, 5000,
		   0);
	xct_engine_packet(w->eng, p.data, p.len, &out, w->now, &w->res);
	assert_int_equal(w->res.cls, XCT_CLASS_ESTABLISHED);
	packet_tcp(&p, "192.0.2.9", 53, "10.0.0.2", 1000, TCP_ACK, 5000, 100,
		   1000);
	xct_engine_packet(w->eng, p.data, p.len, &in, w->now, &w->res);
	assert_int_equal(w->res.cls, XCT_CLASS_ESTABLISHED);
	/* 65000 was said, 4 MB are meant. */
	packet_tcp(&p, "192.0.2.9", 53, "10.0.0.2", 1000, TCP_ACK, 4000000, 100,
		   1000);
	xct_engine_packet(w->eng, p.data, p.len, &in, w->now, &w->res);
	assert_int_equal(w->res.cls, XCT_CLASS_ESTABLISHED);
	packet_tcp(&p, "10.0.0.2", 1000, "192.0.2.9", 53, TCP_ACK, 100, 4001000,
		   0);
	xct_engine_packet(w->eng, p.data, p.len, &out, w->now, &w->res);
	assert_int_equal(w->res.cls, XCT_CLASS_ESTABLISHED);
}

static bool count_one(void *ctx, const struct xct_flow_info *info)
{
	(void)info;
	++*(unsigned int *)ctx;
	return true;
}

static unsigned int update(struct world *w, const struct xct_flow_update *u)
{
	unsigned int n = 0;
	uint32_t cursor = 0;

	while (xct_engine_update(w->eng, &cursor, w->now, u, 7, count_one, &n))
		;
	return n;
}

static void an_update_changes_what_it_says(void **state)
{
	struct xct_flow_create req = udp_flow();
	struct xct_flow_update u = {
		.filter = { .fields = XCT_FILTER_PROTO, .proto = IPPROTO_TCP },
		.change = { .fields = XCT_CHANGE_MARK,
			    .mark = 0x10,
			    .mark_mask = 0xf0 },
	};
	struct world *w = *state;

	assert_int_equal(create(w, &req), 0);
	req.tuple[XCT_DIR_ORIG].proto = IPPROTO_TCP;
	req.change.fields |= XCT_CHANGE_MARK | XCT_CHANGE_STATE;
	req.change.mark = 9;
	req.change.state = XCT_TCP_SYN_SENT;
	assert_int_equal(create(w, &req), 0);

	assert_int_equal(update(w, &u), 1);
	assert_int_equal(find_flow(w, &u.filter).mark, 0x19);
	u.change = (struct xct_flow_change){ .fields = XCT_CHANGE_STATUS,
					     .status = XCT_STATUS_ASSURED };
	assert_int_equal(update(w, &u), 1);
	assert_int_equal(update(w, &u), 0); /* nothing is left to change */
	u.change = (struct xct_flow_change){ .fields = XCT_CHANGE_STATE |
						       XCT_CHANGE_TIMEOUT,
					     .state = XCT_TCP_LAST_ACK,
					     .timeout_s = 5 };
	assert_int_equal(update(w, &u), 1);
	assert_int_equal(find_flow(w, &u.filter).state, XCT_TCP_LAST_ACK);
	/* A state of TCP is no change for the others. */
	u.filter.fields = 0;
	u.change.timeout_s = 4;
	assert_int_equal(update(w, &u), 1);
	/* The timer follows at once. */
	w->now += 4000 + 256;
	while (xct_engine_tick(w->eng, w->now, 100))
		;
	assert_int_equal(flows(w), 1);
	/* A timeout too long for the timer is cut. */
	u.change = (struct xct_flow_change){ .fields = XCT_CHANGE_TIMEOUT,
					     .timeout_s = UINT32_MAX };
	assert_int_equal(update(w, &u), 1);
	assert_int_equal(any_flow(w).timeout_s, 8589934);
}

/* Random bytes, mostly of small values so that some are nearly right. */
static void randomise(void *data, size_t len)
{
	uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		p[i] = random() % 4 ? (uint8_t)(random() % 3)
				    : (uint8_t)random();
}

static void random_create(struct xct_flow_create *req)
{
	static const uint8_t protos[] = { IPPROTO_TCP,	IPPROTO_UDP,
					  IPPROTO_ICMP, IPPROTO_ICMPV6,
					  IPPROTO_SCTP, IPPROTO_GRE,
					  IPPROTO_ESP,	IPPROTO_UDPLITE };

	randomise(req, sizeof(*req));
	if (random() % 8 == 0)
		return; /* not even a family */
	for (int dir = 0; dir < XCT_DIRS; dir++) {
		struct xct_tuple *t = &req->tuple[dir];

		t->family = random() % 4 ? AF_INET : AF_INET6;
		t->proto = protos[random() % (long)sizeof(protos)];
		t->zone = (uint16_t)(random() % 2);
		if (t->family == AF_INET) {
			memset(t->src.b + 4, 0, 12);
			memset(t->dst.b + 4, 0, 12);
		}
		if (random() % 2) { /* few, so that they meet */
			memset(&t->src, 0, sizeof(t->src));
			t->dst = t->src;
			t->sport &= 3;
			t->dport &= 3;
		}
	}
	if (random() % 2) {
		memset(req->nat_src.b + 4, 0, 12);
		memset(req->nat_dst.b + 4, 0, 12);
	}
	req->change.fields = XCT_CHANGE_TIMEOUT | (uint32_t)random() % 32;
	req->change.status &= random() % 4 ? XCT_STATUS_ASSURED : UINT32_MAX;
	req->change.timeout_s |= 1;
	req->change.state = (uint8_t)(random() % 12);
}

static void random_structs_leave_the_table_whole(void **state)
{
	struct world *w = *state;
	struct xct_flow_create req;
	struct xct_flow_update u;
	unsigned int made = 0;

	srandom(7);
	for (int i = 0; i < 60000; i++) {
		random_create(&req);
		made += create(w, &req) == 0;
		randomise(&u, sizeof(u));
		u.filter.fields &= random() % 2 ? 0 : UINT32_MAX;
		u.change = req.change;
		if (i % 7 == 0 && xct_flow_change_check(&u.change, -1) == 0)
			(void)update(w, &u);
		if (i % 50 == 0) {
			uint32_t cursor = 0;

			w->now += (xct_msec)random() % 400000;
			while (xct_engine_tick(w->eng, w->now, 10))
				;
			(void)xct_engine_delete(w->eng, &cursor, w->now,
						i % 500 ? &u.filter : NULL,
						MAX_FLOWS, NULL, NULL);
		}
		if (i % 1000 == 0)
			attach(w); /* whatever contradicts itself is torn */
	}
	assert_true(made > 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_flow_made_by_hand_is_complete),
		TEST(what_is_no_flow_is_refused),
		TEST(a_translation_is_chosen_as_for_packets),
		TEST(packets_use_a_flow_made_by_hand),
		TEST(a_connection_made_by_hand_has_windows_of_any_size),
		TEST(an_update_changes_what_it_says),
		TEST(random_structs_leave_the_table_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
