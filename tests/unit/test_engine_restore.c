/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows that are saved from one engine and restored into another, whose clock
 * began anew.
 *
 * Interfaces: lan0 (2), wan0 (4); what is called ppp0 is yet to come.
 */
#include <stdlib.h>

#include "daemon/engine/visit.h"
#include "tests/unit/engine.h"
#include "tests/unit/packets.h"

#define LAN	  2
#define WAN	  4
#define PPP	  (1u << 31) /* awaited; 7 once it is there */
#define MAX_FLOWS 64

struct world {
	struct xct_engine *eng;
	struct xct_engine_config cfg;
	struct xct_config *config;
	void *region;
	void *work;
	struct xct_result res;
	struct xct_attach_report report;
	xct_msec now;
	bool has_ppp;
	bool is_gone; /* the address of whatever is there */
};

static bool host_ifname(void *ctx, uint32_t ifindex,
			char name[static XCT_IFNAMSIZ])
{
	(void)ctx;
	strcpy(name, ifindex == LAN   ? "lan0"
		     : ifindex == WAN ? "wan0"
				      : "ppp0");
	return true;
}

static uint32_t host_ifindex(void *ctx, const char name[static XCT_IFNAMSIZ])
{
	(void)ctx;
	if (strcmp(name, "ppp0") == 0)
		return PPP;
	return strcmp(name, "wan0") == 0 ? WAN : 0;
}

static enum xct_masq host_masq(void *ctx, uint32_t *ifindex, uint8_t family,
			       const struct xct_addr *addr)
{
	const struct world *w = ctx;

	(void)family;
	(void)addr;
	if (*ifindex == PPP && !w->has_ppp)
		return XCT_MASQ_AWAITED;
	if (*ifindex == PPP)
		*ifindex = 7;
	return w->is_gone ? XCT_MASQ_GONE : XCT_MASQ_THERE;
}

static void attach(struct world *w)
{
	assert_int_equal(0, xct_engine_attach(&w->eng, w->region, w->work,
					      MAX_FLOWS, &w->cfg, w->now,
					      &w->report));
	if (w->config)
		xct_engine_set_ruleset(w->eng, &w->config->ruleset);
}

static int setup(void **state)
{
	static const char rules[] = "nat: [{out: wan0, masquerade: yes}]\n";
	struct world *w = calloc(1, sizeof(*w));

	engine_defaults(&w->cfg);
	w->cfg.host = (struct xct_host_ops){ .ifname = host_ifname,
					     .ifaddr = engine_ifaddr,
					     .ifindex = host_ifindex,
					     .masq = host_masq,
					     .ctx = w };
	w->region = engine_room(xct_region_size(MAX_FLOWS));
	w->work = engine_room(xct_engine_work_size(MAX_FLOWS));
	w->now = 500000000;
	w->config = engine_rules(rules);
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

/* A host that has just booted: no flows, another clock. */
static void reboot(struct world *w)
{
	memset(w->region, 0, xct_region_size(MAX_FLOWS));
	w->now = 1000;
	attach(w);
}

static void pass(struct world *w, struct packet *p, uint32_t in, uint32_t out,
		 enum xct_hook hook, enum xct_stage stage)
{
	const struct xct_meta meta = { .in_if = in,
				       .out_if = out,
				       .hook = (uint8_t)hook,
				       .stage = (uint8_t)stage };

	xct_engine_packet(w->eng, p->data, p->len, &meta, w->now, &w->res);
	assert_int_equal(w->res.verdict, XCT_VERDICT_ACCEPT);
}

static void send_out(struct world *w, struct packet *p)
{
	pass(w, p, LAN, WAN, XCT_HOOK_POSTROUTING, XCT_STAGE_FRESH);
}

static void send_back(struct world *w, struct packet *p)
{
	pass(w, p, WAN, 0, XCT_HOOK_PREROUTING, XCT_STAGE_FRESH);
	if (w->res.stage == XCT_STAGE_ROUTED)
		pass(w, p, WAN, LAN, XCT_HOOK_POSTROUTING, XCT_STAGE_ROUTED);
}

/* Five, of as many kinds: UDP, two pings, TCP, and one without ports. */
static void make_flows(struct world *w)
{
	static const uint8_t udp[8] = { 0x03, 0xe8, 0, 53, 0, 8 };
	static const uint8_t answer[8] = { 0, 53, 0x03, 0xe8, 0, 8 };
	static const uint8_t echo[8] = { 8, 0, 0, 0, 0, 9 };
	struct packet p;

	for (int i = 0; i < 2; i++) {
		packet_ip(&p, "10.0.0.2", "192.0.2.9", IPPROTO_UDP, udp, 8);
		send_out(w, &p);
		packet_ip(&p, "192.0.2.9", "203.0.113.1", IPPROTO_UDP, answer,
			  8);
		send_back(w, &p);
		w->now += 1500;
	}
	packet_ip(&p, "10.0.0.2", "192.0.2.9", IPPROTO_ICMP, echo, 8);
	send_out(w, &p);
	/* Another client, the same id: it is translated. */
	packet_ip(&p, "10.0.0.3", "192.0.2.9", IPPROTO_ICMP, echo, 8);
	send_out(w, &p);
	packet_tcp(&p, "10.0.0.2", 2000, "192.0.2.9", 80, TCP_SYN, 100, 0, 0);
	send_out(w, &p);
	packet_tcp(&p, "192.0.2.9", 80, "203.0.113.1", 2000, TCP_SYN | TCP_ACK,
		   900, 101, 0);
	send_back(w, &p);
	packet_tcp(&p, "10.0.0.2", 2000, "192.0.2.9", 80, TCP_ACK, 101, 901, 0);
	send_out(w, &p);
	packet_ip(&p, "10.0.0.2", "192.0.2.9", IPPROTO_ESP, udp, 8);
	send_out(w, &p);
}

struct saved {
	struct xct_saved_flow flows[MAX_FLOWS];
	size_t n;
};

static bool take_saved(void *ctx, const struct xct_saved_flow *flow)
{
	struct saved *saved = ctx;

	saved->flows[saved->n++] = *flow;
	return true;
}

static int compare(const void *a, const void *b)
{
	const struct xct_saved_flow *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static struct saved save(struct world *w)
{
	struct saved saved = { .n = 0 };
	uint32_t cursor = 0;

	while (xct_engine_save(w->eng, &cursor, w->now, 7, take_saved, &saved))
		;
	qsort(saved.flows, saved.n, sizeof(saved.flows[0]), compare);
	return saved;
}

static enum xct_restored restore(struct world *w,
				 const struct xct_saved_flow *flow)
{
	return xct_engine_restore(w->eng, flow, w->now);
}

static void restore_all(struct world *w, const struct saved *saved)
{
	for (size_t i = 0; i < saved->n; i++)
		assert_int_equal(restore(w, &saved->flows[i]),
				 XCT_RESTORED_LOADED);
}

static uint32_t count(const struct world *w)
{
	struct xct_engine_stats stats;

	xct_engine_stats(w->eng, &stats);
	return stats.flows;
}

static void flows_come_back_as_they_were(void **state)
{
	struct saved before, after;
	struct world *w = *state;

	make_flows(w);
	before = save(w);
	assert_int_equal(before.n, 5);
	reboot(w);
	restore_all(w, &before);
	assert_int_equal(count(w), 5);
	after = save(w);
	assert_memory_equal(&after, &before, sizeof(after));
	/* They are older than the clock. */
	w->now += 7;
	assert_int_equal(save(w).flows[0].age_ms, before.flows[0].age_ms + 7);
	/* And survive xctd like any others. */
	attach(w);
	assert_int_equal(w->report.adopted, 5);
}

static void a_restored_connection_goes_on(void **state)
{
	struct saved before;
	struct world *w = *state;
	struct packet p;

	make_flows(w);
	before = save(w);
	reboot(w);
	restore_all(w, &before);
	/* Data of the server, to the masqueraded address. */
	packet_tcp(&p, "192.0.2.9", 80, "203.0.113.1", 2000, TCP_ACK, 901, 101,
		   500);
	send_back(w, &p);
	assert_int_equal(w->res.cls, XCT_CLASS_ESTABLISHED);
	assert_int_equal(p.data[16], 10);
	/* Its windows are as strict as they were. */
	packet_tcp(&p, "192.0.2.9", 80, "203.0.113.1", 2000, TCP_ACK, 9000000,
		   101, 500);
	pass(w, &p, WAN, 0, XCT_HOOK_PREROUTING, XCT_STAGE_FRESH);
	assert_int_equal(w->res.reason, XCT_REASON_TCP_WINDOW_SEQ);
	assert_int_equal(count(w), 5);
}

/* Longer than by hand, where the kernel's limit holds. */
static void the_longest_timeout_comes_back(void **state)
{
	struct world *w = *state;
	xct_msec longest = XCT_L4_TIMEOUT_MAX * UINT64_C(1000);
	struct saved s;

	make_flows(w);
	s = save(w);
	reboot(w);
	s.flows[0].left_ms = longest + 1;
	assert_int_equal(restore(w, &s.flows[0]), XCT_RESTORED_REFUSED);
	s.flows[0].left_ms = longest;
	assert_int_equal(restore(w, &s.flows[0]), XCT_RESTORED_LOADED);
	/* The wheel counts as far. */
	w->now += longest - 1;
	while (xct_engine_tick(w->eng, w->now, 64))
		;
	assert_int_equal(count(w), 1);
	w->now += 1000;
	while (xct_engine_tick(w->eng, w->now, 64))
		;
	assert_int_equal(count(w), 0);
}

static void ids_are_kept_where_nobody_has_had_them(void **state)
{
	struct saved before, after;
	struct world *w = *state;

	make_flows(w);
	before = save(w);
	for (size_t i = 0; i < before.n; i++)
		before.flows[i].id += 100 * i;
	reboot(w);
	restore_all(w, &before);
	after = save(w);
	for (size_t i = 0; i < after.n; i++)
		assert_int_equal(after.flows[i].id, before.flows[i].id);
	/* Here, those numbers were given already. */
	(void)xct_engine_delete(w->eng, &(uint32_t){ 0 }, w->now, NULL,
				MAX_FLOWS, NULL, NULL);
	restore_all(w, &before);
	assert_true(save(w).flows[0].id > before.flows[4].id);
}

static void a_live_flow_is_worth_more(void **state)
{
	struct saved before;
	struct world *w = *state;
	struct xct_saved_flow flow;

	make_flows(w);
	before = save(w);
	for (size_t i = 0; i < before.n; i++)
		assert_int_equal(restore(w, &before.flows[i]),
				 XCT_RESTORED_EXISTS);
	/* Only its reply tuple is another's. */
	flow = before.flows[0];
	flow.tuple[XCT_DIR_ORIG].src.b[3] = 77;
	assert_int_equal(restore(w, &flow), XCT_RESTORED_EXISTS);
	flow = before.flows[0];
	flow.tuple[XCT_DIR_ORIG].src.b[3] = 77;
	flow.tuple[XCT_DIR_REPLY].dport = 1;
	while (restore(w, &flow) == XCT_RESTORED_LOADED) {
		flow.tuple[XCT_DIR_ORIG].sport++;
		flow.tuple[XCT_DIR_REPLY].dport++;
	}
	assert_int_equal(restore(w, &flow), XCT_RESTORED_FULL);
	assert_int_equal(count(w), MAX_FLOWS);
	assert_int_equal(restore(w, &before.flows[1]), XCT_RESTORED_EXISTS);
}

static void what_can_be_no_flow_is_refused(void **state)
{
	struct world *w = *state;
	struct saved s;
	struct xct_saved_flow f;
	const struct xct_saved_flow *udp = &s.flows[0], *icmp = &s.flows[1];
	const struct xct_saved_flow *tcp = &s.flows[3], *esp = &s.flows[4];
	struct xct_tcp_track t;

#define REFUSED(base, change)                                           \
	do {                                                            \
		f = *(base);                                            \
		change;                                                 \
		assert_int_equal(restore(w, &f), XCT_RESTORED_REFUSED); \
	} while (0)
#define TRACK(change) \
	(memcpy(&t, f.track, sizeof(t)), change, memcpy(f.track, &t, sizeof(t)))

	make_flows(w);
	s = save(w);
	reboot(w);
	REFUSED(udp, f.id = 0);
	REFUSED(udp, f.id = UINT64_MAX);
	REFUSED(udp, f.age_ms = UINT64_MAX);
	REFUSED(udp, f.left_ms = UINT64_MAX);
	REFUSED(udp, f.status |= 1 << 6);
	REFUSED(udp, f.help.helper = XCT_HELPER_FTP);
	REFUSED(udp, f.help.n_lines[0] = 1);
	REFUSED(udp, f.status |= XCT_STATUS_DYING);
	REFUSED(udp, f.tuple[0].family = 0);
	REFUSED(udp, f.tuple[1].family = AF_INET6);
	REFUSED(udp, f.tuple[1].proto = IPPROTO_TCP);
	REFUSED(udp, f.tuple[0].src.b[9] = 1);
	REFUSED(udp, f.tuple[1].dst.b[4] = 1);
	REFUSED(udp, f.track[7] = 1); /* a stream, but not for long years */
	REFUSED(udp, memset(f.masq_if, 'x', sizeof(f.masq_if)));
	REFUSED(icmp, f.tuple[0].icmp_type = 3);
	REFUSED(icmp, f.tuple[1].icmp_code = 3);
	REFUSED(icmp, f.track[0] = 1);
	REFUSED(esp, f.tuple[0].sport = 1);
	REFUSED(esp, f.tuple[1].dport = 1);
	REFUSED(tcp, TRACK(t.state = XCT_TCP_STATES));
	REFUSED(tcp, TRACK(t.last_index = 99));
	REFUSED(tcp, TRACK(t.last_dir = 2));
	REFUSED(tcp, TRACK(t.last_wscale = 15));
	REFUSED(tcp, TRACK(t.seen[0].scale = 32));
	REFUSED(tcp, TRACK(t.seen[1].scale = 15));
	assert_int_equal(count(w), 0);
	f = *udp;
	f.left_ms = 0;
	assert_int_equal(restore(w, &f), XCT_RESTORED_EXPIRED);
#undef TRACK
#undef REFUSED
}

static void masquerading_waits_for_its_interface(void **state)
{
	struct world *w = *state;
	struct saved s;
	uint32_t cursor = 0, n = 0;

	make_flows(w);
	s = save(w);
	for (size_t i = 0; i < s.n; i++)
		assert_string_equal(s.flows[i].masq_if, "wan0");
	strcpy(s.flows[0].masq_if, "ppp0");
	strcpy(s.flows[1].masq_if, "eth9"); /* there is no room for its name */
	reboot(w);
	assert_int_equal(restore(w, &s.flows[0]), XCT_RESTORED_LOADED);
	assert_int_equal(restore(w, &s.flows[1]), XCT_RESTORED_GONE);
	assert_int_equal(restore(w, &s.flows[2]), XCT_RESTORED_LOADED);
	while (xct_engine_settle(w->eng, &cursor, w->now, 5, &n))
		;
	assert_int_equal(n, 1);
	assert_int_equal(count(w), 2);
	assert_string_equal(save(w).flows[0].masq_if, "ppp0");

	/* It comes, with the address; later that goes. */
	w->has_ppp = true;
	n = cursor = 0;
	while (xct_engine_settle(w->eng, &cursor, w->now, 5, &n))
		;
	assert_int_equal(n, 0);
	assert_int_equal(count(w), 2);
	assert_int_equal(w->eng->table.cold[0].masq_if, 7);
	w->is_gone = true;
	assert_int_equal(restore(w, &s.flows[3]), XCT_RESTORED_GONE);
	n = cursor = 0;
	while (xct_engine_settle(w->eng, &cursor, w->now, 5, &n))
		;
	assert_int_equal(count(w), 0);
}

/* An address went away while xctd did not look. */
static void a_start_ends_flows_of_addresses_that_are_gone(void **state)
{
	struct world *w = *state;

	make_flows(w);
	assert_int_equal(count(w), 5);
	w->is_gone = true;
	attach(w);
	assert_int_equal(w->report.gone, 5);
	assert_int_equal(w->report.torn, 0);
	assert_int_equal(count(w), 0);
}

/* A flow that is nearly right: one that is, with some bytes changed. */
static void random_flows_leave_the_table_whole(void **state)
{
	struct world *w = *state;
	unsigned int fates[XCT_RESTORED_COUNT] = { 0 };
	struct saved s;
	struct packet p;

	make_flows(w);
	s = save(w);
	srandom(11);
	for (int i = 0; i < 60000; i++) {
		struct xct_saved_flow f = s.flows[random() % (long)s.n];
		uint8_t *bytes = (uint8_t *)&f;

		for (long n = random() % 4; n > 0; n--)
			bytes[random() % (long)sizeof(f)] =
				(uint8_t)(random() % 4 ? random() % 12
						       : random());
		if (random() % 3 == 0)
			memcpy(f.track, s.flows[random() % (long)s.n].track,
			       sizeof(f.track));
		if (random() % 100 == 0)
			f.left_ms = 0;
		fates[restore(w, &f)]++;
		packet_tcp(&p, "10.0.0.2", 2000, "192.0.2.9", 80,
			   (uint8_t)(random() % 64), (uint32_t)random(),
			   (uint32_t)random(), 10);
		xct_engine_packet(
			w->eng, p.data, p.len,
			&(struct xct_meta){ .in_if = LAN,
					    .out_if = WAN,
					    .hook = XCT_HOOK_POSTROUTING },
			w->now, &w->res);
		if (i % 50 == 0)
			(void)xct_engine_delete(w->eng, &(uint32_t){ 0 },
						w->now, NULL, MAX_FLOWS, NULL,
						NULL);
		w->now += (xct_msec)random() % 500;
		while (xct_engine_tick(w->eng, w->now, 10))
			;
		if (i % 1000 == 0) {
			attach(w); /* whatever contradicts itself is torn */
			assert_int_equal(w->report.torn, 0);
		}
	}
	for (int i = 0; i < XCT_RESTORED_COUNT; i++)
		if (i != XCT_RESTORED_FULL)
			assert_true(fates[i] > 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(flows_come_back_as_they_were),
		TEST(a_restored_connection_goes_on),
		TEST(the_longest_timeout_comes_back),
		TEST(ids_are_kept_where_nobody_has_had_them),
		TEST(a_live_flow_is_worth_more),
		TEST(what_can_be_no_flow_is_refused),
		TEST(masquerading_waits_for_its_interface),
		TEST(a_start_ends_flows_of_addresses_that_are_gone),
		TEST(random_flows_leave_the_table_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
