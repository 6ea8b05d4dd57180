/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flows made by hand, and UDP packets of a gateway that are accepted. */
#ifndef XCT_TESTS_BY_HAND_H
#define XCT_TESTS_BY_HAND_H

#include "tests/unit/gateway.h"

/* 10.0.0.2:1000 -> 192.0.2.9:53, for 100 seconds. */
static inline struct xct_flow_create udp_flow(void)
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

static inline int create(struct world *w, const struct xct_flow_create *req)
{
	return xct_engine_create(w->eng, req, w->now);
}

static inline struct xct_addr addr(const char *text)
{
	struct xct_addr a;
	uint8_t family;

	assert_true(xct_addr_parse(text, &family, &a));
	return a;
}

static inline void send_udp(struct world *w, struct packet *p,
			    enum xct_hook hook, uint32_t in_if, uint32_t out_if,
			    uint8_t stage)
{
	const struct xct_meta meta = { .in_if = in_if,
				       .out_if = out_if,
				       .hook = (uint8_t)hook,
				       .stage = stage };

	xct_engine_packet(w->eng, p->data, p->len, &meta, w->now, &w->res);
	assert_int_equal(w->res.verdict, XCT_VERDICT_ACCEPT);
}

static inline void make_udp(struct packet *p, const char *src, const char *dst)
{
	static const uint8_t l4[8] = { 0, 53, 0, 53, 0, 8 };

	packet_ip(p, src, dst, IPPROTO_UDP, l4, sizeof(l4));
}

#endif
