/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows made and changed by hand; zones; labels.
 *
 * Interfaces: lan0 (2), lan1 (3), wan0 (4). What a hostile client of the
 * control socket may send is random structs: the table must stay whole.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/engine/visit.h"
#include "tests/unit/engine.h"
#include "tests/unit/packets.h"

#define LAN0	  2
#define LAN1	  3
#define WAN	  4
#define MAX_FLOWS 64

struct world {
	struct xct_engine *eng;
	struct xct_engine_config cfg;
	struct xct_config *config;
	void *region;
	void *work;
	struct xct_result res;
	xct_msec now;
	unsigned int names; /* asked for */
	const char *lan0;   /* its name */
};

static bool host_ifname(void *ctx, uint32_t ifindex,
			char name[static XCT_IFNAMSIZ])
{
	struct world *w = ctx;

	w->names++;
	strcpy(name,
	       ifindex == LAN0 ? w->lan0 : (ifindex == LAN1 ? "lan1" : "wan0"));
	return ifindex >= LAN0 && ifindex <= WAN;
}

static void attach(struct world *w)
{
	struct xct_attach_report report;

	assert_int_equal(0, xct_engine_attach(&w->eng, w->region, w->work,
					      MAX_FLOWS, &w->cfg, w->now,
					      &report));
	assert_int_equal(report.torn, 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	engine_defaults(&w->cfg);
	w->cfg.host = (struct xct_host_ops){ .ifname = host_ifname, .ctx = w };
	w->region = engine_room(xct_region_size(MAX_FLOWS));
	w->work = engine_room(xct_engine_work_size(MAX_FLOWS));
	w->now = 1000000;
	w->lan0 = "lan0";
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

/* 10.0.0.2:1000 -> 192.0.2.9:53, for 100 seconds. */
static struct xct_flow_create udp_flow(void)
{
	struct xct_flow_create req = {
		.change = { .fields = XCT_CHANGE_TIMEOUT, .timeout_s = 100 },
	};
	struct xct_tuple *t = &req.tuple[XCT_DIR_ORIG];

	assert_true(xct_addr_parse("10.0.0.2", &t->family, &t->src));
	assert_true(xct_addr_parse("192.0.2.9", &t->family, &t->dst));
	t->sport = xct_hton16(1000);
	t->dport = xct_hton16(53);
	t->proto = IPPROTO_UDP;
	return req;
}

static int create(struct world *w, const struct xct_flow_create *req)
{
	return xct_engine_create(w->eng, req, w->now);
}

static struct xct_addr addr(const char *text)
{
	struct xct_addr a;
	uint8_t family;

	assert_true(xct_addr_parse(text, &family, &a));
	return a;
}

static bool take_info(void *ctx, const struct xct_flow_info *info)
{
	*(struct xct_flow_info *)ctx = *info;
	return true;
}

/* The last flow that @filter chooses (NULL: any); its id is 0 for none. */
static struct xct_flow_info find(struct world *w,
				 const struct xct_flow_filter *filter)
{
	struct xct_flow_info info = { .id = 0 };
	uint32_t cursor = 0;

	(void)xct_engine_walk(w->eng, &cursor, w->now, filter, MAX_FLOWS,
			      take_info, &info);
	return info;
}

static uint32_t count(const struct world *w)
{
	struct xct_engine_stats stats;

	xct_engine_stats(w->eng, &stats);
	return stats.flows;
}

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
	info = find(w, NULL);
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
	assert_int_equal(count(w), 1);
	/* Once its time is over it is in nobody's way. */
	req = udp_flow();
	w->now += 100 * 1000;
	assert_int_equal(create(w, &req), 0);
	assert_int_equal(count(w), 1);
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
	assert_int_equal(count(w), 0);
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
	info = find(w, NULL);
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
	assert_int_equal(count(w), 2);
}

/* Packets are handled by such a flow as by one of their own. */
static void packets_use_a_flow_made_by_hand(void **state)
{
	static const uint8_t l4[8] = { 0x03, 0xe8, 0, 53, 0, 8 };
	struct xct_meta meta = { .in_if = LAN0,
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
	assert_int_equal(count(w), 1);
	info = find(w, NULL);
	assert_int_equal(info.packets[XCT_DIR_ORIG], 1);
	assert_int_equal(info.timeout_s, 60); /* fixed: no new timer */
	w->now += 60 * 1000 + 256;
	while (xct_engine_tick(w->eng, w->now, 100))
		;
	assert_int_equal(count(w), 0);
}

/* An open connection from elsewhere: what its window field is to be multiplied
 * with has been said long ago. */
static void a_connection_made_by_hand_has_windows_of_any_size(void **state)
{
	const struct xct_meta out = { .in_if = LAN0,
				      .out_if = WAN,
				      .hook = XCT_HOOK_POSTROUTING };
	const struct xct_meta in = { .in_if = WAN,
				     .out_if = LAN0,
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
	assert_int_equal(find(w, &u.filter).mark, 0x19);
	u.change = (struct xct_flow_change){ .fields = XCT_CHANGE_STATUS,
					     .status = XCT_STATUS_ASSURED };
	assert_int_equal(update(w, &u), 1);
	assert_int_equal(update(w, &u), 0); /* nothing is left to change */
	u.change = (struct xct_flow_change){ .fields = XCT_CHANGE_STATE |
						       XCT_CHANGE_TIMEOUT,
					     .state = XCT_TCP_LAST_ACK,
					     .timeout_s = 5 };
	assert_int_equal(update(w, &u), 1);
	assert_int_equal(find(w, &u.filter).state, XCT_TCP_LAST_ACK);
	/* A state of TCP is no change for the others. */
	u.filter.fields = 0;
	u.change.timeout_s = 4;
	assert_int_equal(update(w, &u), 1);
	/* The timer follows at once. */
	w->now += 4000 + 256;
	while (xct_engine_tick(w->eng, w->now, 100))
		;
	assert_int_equal(count(w), 1);
	/* A timeout too long for the timer is cut. */
	u.change = (struct xct_flow_change){ .fields = XCT_CHANGE_TIMEOUT,
					     .timeout_s = UINT32_MAX };
	assert_int_equal(update(w, &u), 1);
	assert_int_equal(find(w, NULL).timeout_s, 8589934);
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

/* ---- zones ---- */

#define ZONES                                                          \
	"zones:\n  - {in: lan0, zone: 10}\n  - {in: lan1, zone: 20}\n" \
	"nat:\n  - {in: lan0, out: wan0, snat: 203.0.113.10}\n"        \
	"  - {in: lan1, out: wan0, snat: 203.0.113.20}\n"

static void send_udp(struct world *w, struct packet *p, enum xct_hook hook,
		     uint32_t in_if, uint32_t out_if, uint8_t stage)
{
	const struct xct_meta meta = { .in_if = in_if,
				       .out_if = out_if,
				       .hook = (uint8_t)hook,
				       .stage = stage };

	xct_engine_packet(w->eng, p->data, p->len, &meta, w->now, &w->res);
	assert_int_equal(w->res.verdict, XCT_VERDICT_ACCEPT);
}

static void make_udp(struct packet *p, const char *src, const char *dst)
{
	static const uint8_t l4[8] = { 0, 53, 0, 53, 0, 8 };

	packet_ip(p, src, dst, IPPROTO_UDP, l4, sizeof(l4));
}

/* Two clients of one address in two zones; the server answers both, and each
 * answer goes to the flow of its zone. */
static void one_address_in_two_zones_is_two_flows(void **state)
{
	struct world *w = *state;
	struct xct_flow_filter ten = { .fields = XCT_FILTER_ORIG_ZONE,
				       .orig_zone = 10 };
	struct xct_flow_filter twenty = { .fields = XCT_FILTER_ORIG_ZONE,
					  .orig_zone = 20 };
	struct xct_flow_info info;
	struct packet p;

	use_rules(w, ZONES);
	make_udp(&p, "10.0.0.2", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN0, WAN, XCT_STAGE_FRESH);
	assert_memory_equal(p.data + 12, addr("203.0.113.10").b, 4);
	make_udp(&p, "10.0.0.2", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN1, WAN, XCT_STAGE_FRESH);
	assert_memory_equal(p.data + 12, addr("203.0.113.20").b, 4);
	assert_int_equal(count(w), 2);

	make_udp(&p, "192.0.2.9", "203.0.113.20");
	send_udp(w, &p, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	assert_memory_equal(p.data + 16, addr("10.0.0.2").b, 4);
	info = find(w, &twenty);
	assert_int_equal(info.packets[XCT_DIR_REPLY], 1);
	assert_int_equal(info.tuple[XCT_DIR_REPLY].zone, 0);
	info = find(w, &ten);
	assert_int_equal(info.packets[XCT_DIR_REPLY], 0);
	assert_int_equal(count(w), 2);
}

/* Between zones: the answer is met where the packet went. */
static void both_ends_may_be_in_zones(void **state)
{
	struct world *w = *state;
	struct xct_flow_info info;
	struct packet p;

	use_rules(w, "zones:\n  - {in: lan*, zone: 7}\n");
	make_udp(&p, "10.0.0.2", "10.1.0.2");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN0, LAN1, XCT_STAGE_FRESH);
	info = find(w, NULL);
	assert_int_equal(xct_flow_info_zone(&info), 7);
	make_udp(&p, "10.1.0.2", "10.0.0.2");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN1, LAN0, XCT_STAGE_FRESH);
	assert_int_equal(count(w), 1);
	/* What this host itself sends is in the zone that it leaves by. */
	make_udp(&p, "10.1.0.1", "10.1.0.2");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, 0, LAN1, XCT_STAGE_FRESH);
	make_udp(&p, "10.1.0.2", "10.1.0.1");
	send_udp(w, &p, XCT_HOOK_INPUT, LAN1, 0, XCT_STAGE_FRESH);
	assert_int_equal(count(w), 2);
}

/* A translated destination: found again at the late hook, in both ways. */
static void a_routed_packet_keeps_its_zone(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "zones:\n  - {in: lan0, zone: 10}\n"
		     "nat:\n  - {in: lan0, dst: 203.0.113.7, dnat: 192.0.2.9}\n"
		     "  - {out: wan0, snat: 203.0.113.10}\n");
	make_udp(&p, "10.0.0.2", "203.0.113.7");
	send_udp(w, &p, XCT_HOOK_PREROUTING, LAN0, 0, XCT_STAGE_FRESH);
	assert_int_equal(w->res.stage, XCT_STAGE_ROUTED);
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN0, WAN, XCT_STAGE_ROUTED);
	assert_memory_equal(p.data + 12, addr("203.0.113.10").b, 4);
	make_udp(&p, "192.0.2.9", "203.0.113.10");
	send_udp(w, &p, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(w->res.stage, XCT_STAGE_ROUTED);
	send_udp(w, &p, XCT_HOOK_POSTROUTING, WAN, LAN0, XCT_STAGE_ROUTED);
	assert_memory_equal(p.data + 12, addr("203.0.113.7").b, 4);
	assert_memory_equal(p.data + 16, addr("10.0.0.2").b, 4);
	assert_int_equal(count(w), 1);
}

static void an_interface_is_named_once(void **state)
{
	struct world *w = *state;
	unsigned int names;
	struct packet p;

	make_udp(&p, "10.0.0.2", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN0, WAN, XCT_STAGE_FRESH);
	assert_int_equal(w->names, 0); /* no zones, no names */
	use_rules(w, "zones:\n  - {in: lan0, zone: 10}\n");
	make_udp(&p, "10.0.0.3", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN0, WAN, XCT_STAGE_FRESH);
	names = w->names;
	for (int i = 0; i < 10; i++)
		send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN0, WAN,
			 XCT_STAGE_FRESH);
	assert_int_equal(w->names, names);
	/* Another name is another zone, once the engine has been told. */
	w->lan0 = "elsewhere";
	xct_engine_forget_interfaces(w->eng);
	make_udp(&p, "10.0.0.2", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN0, WAN, XCT_STAGE_FRESH);
	assert_int_equal(count(w), 2); /* the first one, of zone 0 */
	assert_true(w->names > names);
}

static const struct xct_labels web = { { UINT64_C(1) << 40, 1 } };

static bool has_labels(const struct xct_flow_info *info, uint64_t low,
		       uint64_t high)
{
	return info->labels.bits[0] == low && info->labels.bits[1] == high;
}

static unsigned int change_labels(struct world *w, uint32_t field,
				  const struct xct_labels *labels)
{
	const struct xct_flow_update update = {
		.change = { .fields = field, .labels = *labels },
	};
	struct xct_flow_info info = { .id = 0 };
	uint32_t cursor = 0;

	(void)xct_engine_update(w->eng, &cursor, w->now, &update, MAX_FLOWS,
				take_info, &info);
	return info.id != 0;
}

static void labels_are_added_removed_and_asked_for(void **state)
{
	const struct xct_labels first = { { 1, 0 } };
	struct xct_flow_filter filter = { .fields = XCT_FILTER_LABELS };
	struct xct_flow_create req = udp_flow();
	struct world *w = *state;
	struct xct_flow_info info;

	req.change.fields |= XCT_CHANGE_LABEL_ADD;
	req.change.labels = web;
	assert_int_equal(create(w, &req), 0);
	info = find(w, NULL);
	assert_true(has_labels(&info, web.bits[0], 1));
	assert_int_equal(info.status, XCT_STATUS_CONFIRMED);
	assert_true(change_labels(w, XCT_CHANGE_LABEL_ADD, &first));
	info = find(w, NULL);
	assert_true(has_labels(&info, web.bits[0] | 1, 1));
	filter.labels = (struct xct_labels){ { 1, 1 } };
	assert_int_not_equal(find(w, &filter).id, 0);
	filter.labels.bits[1] = 3;
	assert_int_equal(find(w, &filter).id, 0);
	assert_true(change_labels(w, XCT_CHANGE_LABEL_DEL, &web));
	info = find(w, NULL);
	assert_true(has_labels(&info, 1, 0));
	/* conntrack -U says so, whether or not there is less now. */
	assert_true(change_labels(w, XCT_CHANGE_LABEL_DEL, &web));
	assert_true(change_labels(w, XCT_CHANGE_LABEL_DEL, &first));
	assert_false(change_labels(w, XCT_CHANGE_LABEL_DEL, &first));
	info = find(w, NULL);
	assert_true(has_labels(&info, 0, 0));
}

/* Of the memory for labels, nothing is written but what a flow has. */
static void only_flows_with_labels_touch_their_memory(void **state)
{
	struct world *w = *state;
	size_t dense = xct_region_dense_size(MAX_FLOWS);
	size_t sparse = xct_region_size(MAX_FLOWS) - dense;
	uint8_t *labels = (uint8_t *)w->region + dense, *before;
	struct xct_flow_create req = udp_flow();
	struct xct_flow_info info;

	memset(labels, 0x5a, sparse);
	before = malloc(sparse);
	memcpy(before, labels, sparse);
	for (uint16_t i = 1; i <= MAX_FLOWS; i++) {
		req.tuple[XCT_DIR_ORIG].sport = xct_hton16(i);
		assert_int_equal(create(w, &req), 0);
	}
	info = find(w, NULL);
	assert_true(has_labels(&info, 0, 0));
	attach(w);
	assert_int_equal(count(w), MAX_FLOWS);
	xct_region_set_back(w->region, MAX_FLOWS, 5);
	assert_memory_equal(labels, before, sparse);
	free(before);
}

static void a_record_that_is_used_again_has_lost_its_labels(void **state)
{
	struct xct_flow_create req = udp_flow();
	struct world *w = *state;
	struct xct_flow_info info;
	uint32_t cursor = 0;

	assert_int_equal(create(w, &req), 0);
	assert_true(change_labels(w, XCT_CHANGE_LABEL_ADD, &web));
	attach(w); /* xctd has died */
	info = find(w, NULL);
	assert_true(has_labels(&info, web.bits[0], 1));
	(void)xct_engine_delete(w->eng, &cursor, w->now, NULL, MAX_FLOWS, NULL,
				NULL);
	assert_int_equal(create(w, &req), 0);
	info = find(w, NULL);
	assert_true(has_labels(&info, 0, 0));
	/* Nor does one that was deleted have them after a death. */
	attach(w);
	info = find(w, NULL);
	assert_true(has_labels(&info, 0, 0));
}

/* The flows of a table with holes go close together into another one. */
static void a_table_of_another_size_has_the_same_labels(void **state)
{
	enum { TO = 100 };
	struct xct_flow_create req = udp_flow();
	struct world *w = *state;
	struct xct_flow_filter filter = { .fields = XCT_FILTER_ID, .id = 1 };
	void *to = engine_room(xct_region_size(TO));
	void *from = w->region;
	struct xct_attach_report report;
	uint32_t cursor = 0;

	for (uint16_t i = 1; i <= 3; i++) {
		req.tuple[XCT_DIR_ORIG].sport = xct_hton16(i);
		req.change.labels.bits[0] = i;
		req.change.fields = XCT_CHANGE_TIMEOUT |
				    (i == 3 ? XCT_CHANGE_LABEL_ADD : 0u);
		assert_int_equal(create(w, &req), 0);
	}
	(void)xct_engine_delete(w->eng, &cursor, w->now, &filter, MAX_FLOWS,
				NULL, NULL);
	assert_int_equal(xct_region_copy(to, TO, from, MAX_FLOWS), 0);
	free(w->work);
	w->work = engine_room(xct_engine_work_size(TO));
	assert_int_equal(xct_engine_attach(&w->eng, to, w->work, TO, &w->cfg,
					   w->now, &report),
			 0);
	for (filter.id = 2; filter.id <= 3; filter.id++) {
		struct xct_flow_info info = find(w, &filter);

		assert_int_equal(info.id, filter.id);
		assert_true(has_labels(&info, filter.id == 3 ? 3 : 0, 0));
	}
	free(to);
}

/* Of the hooks, one after the other. */
static void a_flow_keeps_the_labels_of_the_rule_that_routed_it(void **state)
{
	struct world *w = *state;
	struct xct_flow_info info;
	struct packet p;

	use_rules(w, "nat:\n  - {dst: 203.0.113.7, dnat: 192.0.2.9, label: 3}\n"
		     "  - {out: wan0, snat: 203.0.113.10, label: 64}\n"
		     "filter: {forward: {rules: [{label: [4, 65]}]}}\n");
	make_udp(&p, "10.0.0.2", "203.0.113.7");
	send_udp(w, &p, XCT_HOOK_PREROUTING, LAN0, 0, XCT_STAGE_FRESH);
	attach(w); /* xctd has died */
	xct_engine_set_ruleset(w->eng, &w->config->ruleset);
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN0, WAN, XCT_STAGE_ROUTED);
	info = find(w, NULL);
	assert_true(has_labels(&info, 1 << 3 | 1 << 4, 3));
	assert_int_equal(count(w), 1);
}

static void rules_give_labels(void **state)
{
	const struct xct_meta out = { .in_if = LAN0,
				      .out_if = WAN,
				      .hook = XCT_HOOK_POSTROUTING };
	struct world *w = *state;
	struct xct_flow_info info;
	struct packet p;

	use_rules(w, "filter: {forward: {rules: [{label: [0, 70]},\n"
		     "  {src: 10.0.0.3, label: 127},\n"
		     "  {src: 10.0.0.4, drop: yes}]}}\n"
		     "nat: [{out: wan0, snat: 203.0.113.1, label: 5}]\n");
	make_udp(&p, "10.0.0.4", "192.0.2.9");
	xct_engine_packet(w->eng, p.data, p.len, &out, w->now, &w->res);
	assert_int_equal(w->res.verdict, XCT_VERDICT_DROP);
	make_udp(&p, "10.0.0.3", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN0, WAN, XCT_STAGE_FRESH);
	info = find(w, NULL);
	assert_true(has_labels(&info, 0x21, UINT64_C(1) << 63 | 1 << 6));
	use_rules(w, "{}\n");
	make_udp(&p, "10.0.0.4", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN0, WAN, XCT_STAGE_FRESH);
	assert_int_equal(count(w), 2);
	info = find(w, NULL);
	assert_true(has_labels(&info, 0, 0));
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
		TEST(one_address_in_two_zones_is_two_flows),
		TEST(both_ends_may_be_in_zones),
		TEST(a_routed_packet_keeps_its_zone),
		TEST(an_interface_is_named_once),
		TEST(labels_are_added_removed_and_asked_for),
		TEST(only_flows_with_labels_touch_their_memory),
		TEST(a_record_that_is_used_again_has_lost_its_labels),
		TEST(a_table_of_another_size_has_the_same_labels),
		TEST(rules_give_labels),
		TEST(a_flow_keeps_the_labels_of_the_rule_that_routed_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
