/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A gateway without a network: an engine that is given packets, hook by hook,
 * and asked what it made of them.
 *
 * lan0 (interface 2: 10.0.0.1, fd00::1) and wan0 (interface 3: 203.0.113.1,
 * 2001:db8::1). Clients are 10.0.0.2.., servers 198.51.100.9..
 */
#ifndef XCT_TESTS_GATEWAY_H
#define XCT_TESTS_GATEWAY_H

#include <stdio.h>

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

static inline bool host_ifname(void *ctx, uint32_t ifindex,
			       char name[static XCT_IFNAMSIZ])
{
	(void)ctx;
	strcpy(name, ifindex == LAN ? "lan0" : "wan0");
	return ifindex == LAN || ifindex == WAN;
}

static inline bool host_ifaddr(void *ctx, uint32_t ifindex, uint8_t family,
			       const struct xct_addr *dst,
			       struct xct_addr *addr)
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

static inline bool host_is_local(void *ctx, uint8_t family,
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

static inline void host_event(void *ctx, const struct xct_event *event)
{
	struct world *w = ctx;

	(void)event;
	w->events++;
}

static inline void attach(struct world *w)
{
	struct xct_attach_report report;

	assert_int_equal(0, xct_engine_attach(&w->eng, w->region, w->work,
					      MAX_FLOWS, &w->cfg, w->now,
					      &report));
	assert_int_equal(report.torn, 0);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
	struct world *w = *state;

	xct_config_free(w->config);
	free(w->region);
	free(w->work);
	free(w);
	return 0;
}

static inline void use_rules(struct world *w, const char *yaml)
{
	engine_use_rules(w->eng, &w->config, yaml);
}

static inline uint64_t hits(const struct world *w, const char *name)
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
static inline void hook(struct world *w, struct packet *p, enum xct_hook h,
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
static inline enum xct_verdict forward(struct world *w, struct packet *p,
				       uint32_t in, uint32_t out, bool pre)
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

static inline void assert_addrs(const struct packet *p, const char *src,
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

static inline bool keep_info(void *ctx, const struct xct_flow_info *info)
{
	*(struct xct_flow_info *)ctx = *info;
	return true;
}

/* The last flow that @filter chooses (NULL: any); its id is 0 for none. */
static inline struct xct_flow_info
find_flow(struct world *w, const struct xct_flow_filter *filter)
{
	struct xct_flow_info info = { 0 };
	uint32_t cursor = 0;

	(void)xct_engine_walk(w->eng, &cursor, w->now, filter, MAX_FLOWS,
			      keep_info, &info);
	return info;
}

static inline struct xct_flow_info any_flow(struct world *w)
{
	return find_flow(w, NULL);
}

/* The only flow. */
static inline struct xct_flow_info only_flow(struct world *w)
{
	struct xct_engine_stats stats;

	xct_engine_stats(w->eng, &stats);
	assert_int_equal(1, stats.flows);
	return any_flow(w);
}

static inline uint64_t counted(struct world *w, enum xct_reason reason)
{
	struct xct_engine_stats stats;

	xct_engine_stats(w->eng, &stats);
	return stats.reason_packets[reason];
}

static inline uint32_t flows(struct world *w)
{
	struct xct_engine_stats stats;

	xct_engine_stats(w->eng, &stats);
	return stats.flows;
}

#define MASQUERADE "nat: [{name: out, out: wan0, masquerade: yes}]\n"

#define FORWARD_ALL "nat: [{in: lan0, dst: 203.0.113.6, dnat: 198.51.100.9}]\n"

#endif
