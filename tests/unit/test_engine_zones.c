/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zones: a gateway with one more interface inside, lan1. */
#include "tests/unit/by_hand.h"

#define LAN1 4

static unsigned int names; /* asked for */
static const char *lan0;   /* its name */

static bool ifname(void *ctx, uint32_t ifindex, char name[static XCT_IFNAMSIZ])
{
	(void)ctx;
	names++;
	strcpy(name,
	       ifindex == LAN ? lan0 : (ifindex == LAN1 ? "lan1" : "wan0"));
	return ifindex >= LAN && ifindex <= LAN1;
}

static int setup_zones(void **state)
{
	struct world *w;

	(void)setup(state);
	w = *state;
	names = 0;
	lan0 = "lan0";
	w->cfg.host.ifname = ifname;
	attach(w);
	return 0;
}

#define ZONES                                                          \
	"zones:\n  - {in: lan0, zone: 10}\n  - {in: lan1, zone: 20}\n" \
	"nat:\n  - {in: lan0, out: wan0, snat: 203.0.113.10}\n"        \
	"  - {in: lan1, out: wan0, snat: 203.0.113.20}\n"

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
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_FRESH);
	assert_memory_equal(p.data + 12, addr("203.0.113.10").b, 4);
	make_udp(&p, "10.0.0.2", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN1, WAN, XCT_STAGE_FRESH);
	assert_memory_equal(p.data + 12, addr("203.0.113.20").b, 4);
	assert_int_equal(flows(w), 2);

	make_udp(&p, "192.0.2.9", "203.0.113.20");
	send_udp(w, &p, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	assert_memory_equal(p.data + 16, addr("10.0.0.2").b, 4);
	info = find_flow(w, &twenty);
	assert_int_equal(info.packets[XCT_DIR_REPLY], 1);
	assert_int_equal(info.tuple[XCT_DIR_REPLY].zone, 0);
	info = find_flow(w, &ten);
	assert_int_equal(info.packets[XCT_DIR_REPLY], 0);
	assert_int_equal(flows(w), 2);
}

/* Between zones: the answer is met where the packet went. */
static void both_ends_may_be_in_zones(void **state)
{
	struct world *w = *state;
	struct xct_flow_info info;
	struct packet p;

	use_rules(w, "zones:\n  - {in: lan*, zone: 7}\n");
	make_udp(&p, "10.0.0.2", "10.1.0.2");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, LAN1, XCT_STAGE_FRESH);
	info = any_flow(w);
	assert_int_equal(xct_flow_info_zone(&info), 7);
	make_udp(&p, "10.1.0.2", "10.0.0.2");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN1, LAN, XCT_STAGE_FRESH);
	assert_int_equal(flows(w), 1);
	/* What this host itself sends is in the zone that it leaves by. */
	make_udp(&p, "10.1.0.1", "10.1.0.2");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, 0, LAN1, XCT_STAGE_FRESH);
	make_udp(&p, "10.1.0.2", "10.1.0.1");
	send_udp(w, &p, XCT_HOOK_INPUT, LAN1, 0, XCT_STAGE_FRESH);
	assert_int_equal(flows(w), 2);
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
	send_udp(w, &p, XCT_HOOK_PREROUTING, LAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(w->res.stage, XCT_STAGE_ROUTED);
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_ROUTED);
	assert_memory_equal(p.data + 12, addr("203.0.113.10").b, 4);
	make_udp(&p, "192.0.2.9", "203.0.113.10");
	send_udp(w, &p, XCT_HOOK_PREROUTING, WAN, 0, XCT_STAGE_FRESH);
	assert_int_equal(w->res.stage, XCT_STAGE_ROUTED);
	send_udp(w, &p, XCT_HOOK_POSTROUTING, WAN, LAN, XCT_STAGE_ROUTED);
	assert_memory_equal(p.data + 12, addr("203.0.113.7").b, 4);
	assert_memory_equal(p.data + 16, addr("10.0.0.2").b, 4);
	assert_int_equal(flows(w), 1);
}

static void an_interface_is_named_once(void **state)
{
	struct world *w = *state;
	unsigned int before;
	struct packet p;

	make_udp(&p, "10.0.0.2", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_FRESH);
	assert_int_equal(names, 0); /* no zones, no names */
	use_rules(w, "zones:\n  - {in: lan0, zone: 10}\n");
	make_udp(&p, "10.0.0.3", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_FRESH);
	before = names;
	for (int i = 0; i < 10; i++)
		send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN,
			 XCT_STAGE_FRESH);
	assert_int_equal(names, before);
	/* Another name is another zone, once the engine has been told. */
	lan0 = "elsewhere";
	xct_engine_forget_interfaces(w->eng);
	make_udp(&p, "10.0.0.2", "192.0.2.9");
	send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN, XCT_STAGE_FRESH);
	assert_int_equal(flows(w), 2); /* the first one, of zone 0 */
	assert_true(names > before);
}

static void other_rules_are_other_zones(void **state)
{
	struct world *w = *state;
	struct packet p;

	for (int i = 0; i < 2; i++) {
		use_rules(w, i == 0 ? "zones: [{in: lan0, zone: 10}]\n"
				    : "zones: [{in: lan0, zone: 20}]\n");
		make_udp(&p, "10.0.0.2", "192.0.2.9");
		send_udp(w, &p, XCT_HOOK_POSTROUTING, LAN, WAN,
			 XCT_STAGE_FRESH);
		assert_int_equal(flows(w), i + 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_zones, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_address_in_two_zones_is_two_flows),
		TEST(both_ends_may_be_in_zones),
		TEST(a_routed_packet_keeps_its_zone),
		TEST(an_interface_is_named_once),
		TEST(other_rules_are_other_zones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
