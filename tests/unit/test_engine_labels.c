/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Labels: given by hand and by rules, and the memory that they take. */
#include "tests/unit/by_hand.h"

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
				keep_info, &info);
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
	info = any_flow(w);
	assert_true(has_labels(&info, web.bits[0], 1));
	assert_int_equal(info.status, XCT_STATUS_CONFIRMED);
	assert_true(change_labels(w, XCT_CHANGE_LABEL_ADD, &first));
	info = any_flow(w);
	assert_true(has_labels(&info, web.bits[0] | 1, 1));
	filter.labels = (struct xct_labels){ { 1, 1 } };
	assert_int_not_equal(find_flow(w, &filter).id, 0);
	filter.labels.bits[1] = 3;
	assert_int_equal(find_flow(w, &filter).id, 0);
	assert_true(change_labels(w, XCT_CHANGE_LABEL_DEL, &web));
	info = any_flow(w);
	assert_true(has_labels(&info, 1, 0));
	/* conntrack -U says so, whether or not there is less now. */
	assert_true(change_labels(w, XCT_CHANGE_LABEL_DEL, &web));
	assert_true(change_labels(w, XCT_CHANGE_LABEL_DEL, &first));
	assert_false(change_labels(w, XCT_CHANGE_LABEL_DEL, &first));
	info = any_flow(w);
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
	info = any_flow(w);
	assert_true(has_labels(&info, 0, 0));
	attach(w);
	assert_int_equal(flows(w), MAX_FLOWS);
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
	info = any_flow(w);
	assert_true(has_labels(&info, web.bits[0], 1));
	(void)xct_engine_delete(w->eng, &cursor, w->now, NULL, MAX_FLOWS, NULL,
				NULL);
	assert_int_equal(create(w, &req), 0);
	info = any_flow(w);
	assert_true(has_labels(&info, 0, 0));
	/* Nor does one that was deleted have them after a death. */
	attach(w);
	info = any_flow(w);
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
		struct xct_flow_info info = find_flow(w, &filter);

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
	send_udp(w, &p, XCT_HOOK_PREROUTING, LAN, 0, XCT_STAGE_FRESH);
	attach(w); /* xctd has died */
	xct_engine_set_ruleset(w->eng, &w->config->ruleset);
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_ROUTED);
	info = any_flow(w);
	assert_true(has_labels(&info, 1 << 3 | 1 << 4, 3));
	assert_int_equal(flows(w), 1);
}

static void rules_give_labels(void **state)
{
	const struct xct_meta out = { .in_if = LAN,
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
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_FRESH);
	info = any_flow(w);
	assert_true(has_labels(&info, 0x21, UINT64_C(1) << 63 | 1 << 6));
	use_rules(w, "{}\n");
	make_udp(&p, "10.0.0.4", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_FRESH);
	assert_int_equal(flows(w), 2);
	info = any_flow(w);
	assert_true(has_labels(&info, 0, 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(labels_are_added_removed_and_asked_for),
		TEST(only_flows_with_labels_touch_their_memory),
		TEST(a_record_that_is_used_again_has_lost_its_labels),
		TEST(a_table_of_another_size_has_the_same_labels),
		TEST(a_flow_keeps_the_labels_of_the_rule_that_routed_it),
		TEST(rules_give_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
