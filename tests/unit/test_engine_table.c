/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engine's table: when it is full, as time goes by, and after a death. */
#include <errno.h>

#include "daemon/engine/table.h"
#include "tests/unit/gateway.h"

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

	open_tcp(w, 1000, 3);
	assert_int_equal(XCT_TCP_ESTABLISHED, only_flow(w).state);
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests_name("engine: table", tests, NULL, NULL);
}
