/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses, names, hashing, and choosing flows by a filter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "common/cursor.h"
#include "common/flow_info.h"
#include "common/names.h"
#include "common/siphash.h"

static struct xct_addr addr(const char *text)
{
	struct xct_addr a;
	uint8_t family;

	assert_true(xct_addr_parse(text, &family, &a));
	return a;
}

static void addresses_are_read_and_written_as_text(void **state)
{
	static const char *const same[] = {
		"0.0.0.0",
		"192.0.2.1",
		"255.255.255.255",
		"::",
		"2001:db8::1",
		"::ffff:192.0.2.1",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	};
	static const char *const wrong[] = {
		"",	      "192.0.2",      "192.0.2.256", "192.0.2.1 ",
		" 192.0.2.1", "192.0.2.1/24", "2001:db8:::", "fe80::1%eth0",
		"localhost",  "1::2::3",
	};
	char buf[XCT_ADDRSTRLEN];
	struct xct_addr a;
	uint8_t family;
	size_t i;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(same); i++) {
		assert_true(xct_addr_parse(same[i], &family, &a));
		assert_int_equal(family,
				 strchr(same[i], ':') ? AF_INET6 : AF_INET);
		assert_string_equal(xct_addr_format(family, &a, buf), same[i]);
	}
	family = 77;
	memset(&a, 0x77, sizeof(a));
	for (i = 0; i < XCT_ARRAY_SIZE(wrong); i++)
		assert_false(xct_addr_parse(wrong[i], &family, &a));
	assert_int_equal(family, 77);
	assert_int_equal(a.b[0], 0x77);
}

static void an_ipv4_address_leaves_the_rest_zero(void **state)
{
	struct xct_addr a;
	uint8_t family;

	(void)state;
	memset(&a, 0xff, sizeof(a));
	assert_true(xct_addr_parse("192.0.2.1", &family, &a));
	assert_int_equal(a.be32[1], 0);
	assert_int_equal(a.u64[1], 0);
	assert_false(xct_addr_is_zero(&a));
	a = addr("0.0.0.0");
	assert_true(xct_addr_is_zero(&a));
	assert_int_equal(xct_addr_len(AF_INET), 4);
	assert_int_equal(xct_addr_len(AF_INET6), 16);
}

static void addresses_are_ordered_as_numbers(void **state)
{
	struct xct_addr low = addr("1.0.0.255"), high = addr("2.0.0.0");
	struct xct_addr low6 = addr("::ff"), high6 = addr("::1:0");

	(void)state;
	assert_true(xct_addr_cmp(AF_INET, &low, &high) < 0);
	assert_true(xct_addr_cmp(AF_INET, &high, &low) > 0);
	assert_int_equal(xct_addr_cmp(AF_INET, &low, &low), 0);
	assert_true(xct_addr_cmp(AF_INET6, &low6, &high6) < 0);
}

static void ranges_are_read_from_prefixes_addresses_and_pairs(void **state)
{
	static const struct {
		const char *text, *first, *last;
	} rows[] = {
		{ "10.1.2.3/8", "10.0.0.0", "10.255.255.255" },
		{ "0.0.0.0/0", "0.0.0.0", "255.255.255.255" },
		{ "192.0.2.77/31", "192.0.2.76", "192.0.2.77" },
		{ "192.0.2.77/32", "192.0.2.77", "192.0.2.77" },
		{ "192.0.2.1", "192.0.2.1", "192.0.2.1" },
		{ "192.0.2.1-192.0.2.9", "192.0.2.1", "192.0.2.9" },
		{ "2001:db8::5/33",
		  "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff" },
		{ "::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
		{ "::1/128", "::1", "::1" },
		{ "2001:db8::1-2001:db8::f", "2001:db8::1", "2001:db8::f" },
	};
	static const char *const wrong[] = {
		"",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/8 ",
		"10.0.0.0/0008",
		"10.0.0.0/8/8",
		"::/129",
		"10.0.0.9-10.0.0.1",
		"10.0.0.1-",
		"10.0.0.1-::1",
		"10.0.0.1-10.0.0.2-10.0.0.3",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa/8",
	};
	struct xct_addr_range range;
	char buf[XCT_ADDRSTRLEN];
	size_t i;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(rows); i++) {
		assert_true(xct_range_parse(rows[i].text, &range));
		assert_string_equal(
			xct_addr_format(range.family, &range.first, buf),
			rows[i].first);
		assert_string_equal(
			xct_addr_format(range.family, &range.last, buf),
			rows[i].last);
	}
	for (i = 0; i < XCT_ARRAY_SIZE(wrong); i++)
		assert_false(xct_range_parse(wrong[i], &range));
}

static void a_range_contains_its_ends_and_its_family_only(void **state)
{
	struct xct_addr first = addr("10.0.0.5"), last = addr("10.0.0.9");
	struct xct_addr below = addr("10.0.0.4"), above = addr("10.0.0.10");
	struct xct_addr_range range;

	(void)state;
	assert_true(xct_range_parse("10.0.0.5-10.0.0.9", &range));
	assert_true(xct_range_contains(&range, AF_INET, &first));
	assert_true(xct_range_contains(&range, AF_INET, &last));
	assert_false(xct_range_contains(&range, AF_INET, &below));
	assert_false(xct_range_contains(&range, AF_INET, &above));
	assert_false(xct_range_contains(&range, AF_INET6, &first));
}

/* Computed with another implementation (hash() of CPython, which is this
 * function over bytes, with the keys of PYTHONHASHSEED 0 and 1). */
static void siphash_gives_the_known_values(void **state)
{
	const struct xct_siphash_key zero = { { 0, 0 } };
	const struct xct_siphash_key one = { { UINT64_C(0xaed66ce184be2329),
					       UINT64_C(0xebe9bbf1f1499052) } };
	const uint64_t words[] = { 1, 2, 3, 4, 5 };

	(void)state;
	assert_true(xct_siphash(&zero, words, 1) ==
		    UINT64_C(0x1e9f734161d62dd9));
	assert_true(xct_siphash(&zero, words, 2) ==
		    UINT64_C(0xfb058313e6201d48));
	assert_true(xct_siphash(&zero, words, 5) ==
		    UINT64_C(0x0ac1337336f43ed3));
	assert_true(xct_siphash(&one, words, 3) ==
		    UINT64_C(0xf561da130e1bdeaf));
	assert_true(xct_siphash_tail(&zero, words, 1, UINT64_C(0x060504030201),
				     6) == UINT64_C(0x9aa0d7dc116b7575));
	assert_true(xct_siphash_tail(&zero, words, 2, UINT64_C(0x0504030201),
				     5) == UINT64_C(0xd80db099b21dd43a));
	assert_true(xct_siphash_tail(&one, words, 4, UINT64_C(0x060504030201),
				     6) == UINT64_C(0xd648f0659be9b052));
}

static void names_and_numbers_go_both_ways(void **state)
{
	unsigned int i, n = 0;

	(void)state;
	for (i = 0; i < 256; i++) {
		const char *name = xct_proto_name((uint8_t)i);

		if (!name)
			continue;
		assert_int_equal(xct_proto_from_name(name), i);
		n++;
	}
	assert_int_equal(n, 8);
	assert_string_equal(xct_proto_name(58), "icmpv6");
	assert_null(xct_proto_name(50));
	assert_int_equal(xct_proto_from_name("UDPlite"), 136);
	assert_int_equal(xct_proto_from_name("tc"), -1);
	assert_int_equal(xct_proto_from_name(""), -1);

	for (i = 0; i < XCT_TCP_STATES; i++)
		assert_int_equal(
			xct_state_from_name(
				IPPROTO_TCP,
				xct_state_name(IPPROTO_TCP, (uint8_t)i)),
			i);
	assert_string_equal(xct_state_name(IPPROTO_TCP, 9), "SYN_SENT2");
	assert_int_equal(xct_state_from_name(IPPROTO_TCP, "time_wait"), 7);
	assert_int_equal(xct_state_from_name(IPPROTO_TCP, "LISTEN"), -1);
	assert_null(xct_state_name(IPPROTO_TCP, XCT_TCP_STATES));
	for (i = 0; i < XCT_SCTP_STATES; i++)
		assert_int_equal(
			xct_state_from_name(
				IPPROTO_SCTP,
				xct_state_name(IPPROTO_SCTP, (uint8_t)i)),
			i);
	assert_int_equal(xct_state_from_name(IPPROTO_SCTP, "established"), 4);
	assert_null(xct_state_name(IPPROTO_SCTP, XCT_SCTP_STATES));
	assert_null(xct_state_name(IPPROTO_UDP, 0));
	assert_int_equal(xct_state_from_name(IPPROTO_UDP, "NONE"), -1);

	for (i = 0; i < XCT_CLASSES; i++)
		assert_non_null(xct_class_name((enum xct_class)i));
	assert_null(xct_class_name(XCT_CLASSES));
	for (i = 0; i < XCT_REASON_COUNT; i++) {
		assert_non_null(xct_reason_name((enum xct_reason)i));
		assert_non_null(xct_reason_text((enum xct_reason)i));
	}
	assert_null(xct_reason_name(XCT_REASON_COUNT));
	assert_null(xct_reason_text(XCT_REASON_COUNT));
	for (i = 0; i < XCT_CELLS; i++) {
		struct xct_cell cell = xct_cell_at(i);

		assert_int_equal(xct_cell_index(&cell), i);
		assert_non_null(xct_packet_name(cell.proto, cell.packet));
		assert_non_null(xct_state_name(cell.proto, cell.state));
		assert_non_null(xct_dir_name(cell.dir));
	}
	assert_null(xct_packet_name(IPPROTO_UDP, 0));
	assert_null(xct_packet_name(IPPROTO_TCP, XCT_TCP_PACKETS));
	assert_null(xct_packet_name(IPPROTO_SCTP, XCT_SCTP_PACKETS));
	assert_null(xct_dir_name(XCT_DIRS));
	assert_string_equal(xct_reason_name(XCT_REASON_TCP_WINDOW_ACK),
			    "tcp-window-ack");
}

/* A web connection behind a gateway: 10.0.0.2:1234 -> 192.0.2.1:80, seen by
 * the server as 198.51.100.1:40000 and answered by 10.9.9.9:8080. */
static struct xct_flow_info web_flow(void)
{
	return (struct xct_flow_info){
		.id = 42,
		.tuple = {
			{ .src = addr("10.0.0.2"), .dst = addr("192.0.2.1"),
			  .sport = xct_hton16(1234), .dport = xct_hton16(80),
			  .proto = IPPROTO_TCP, .family = AF_INET,
			  .zone = 3 },
			{ .src = addr("10.9.9.9"), .dst = addr("198.51.100.1"),
			  .sport = xct_hton16(8080),
			  .dport = xct_hton16(40000),
			  .proto = IPPROTO_TCP, .family = AF_INET,
			  .zone = 3 },
		},
		.status = XCT_STATUS_SEEN_REPLY | XCT_STATUS_CONFIRMED,
		.mark = 0x12,
		.state = XCT_TCP_ESTABLISHED,
	};
}

static struct xct_addr_range range(const char *text)
{
	struct xct_addr_range r;

	assert_true(xct_range_parse(text, &r));
	return r;
}

/* Each condition of a filter holds for the flow in @yes, not in @no. */
static void every_filter_field_chooses(void **state)
{
	const struct xct_flow_info info = web_flow();
	struct xct_flow_filter yes = {
		.status = XCT_STATUS_SEEN_REPLY,
		.mark = 0x10,
		.mark_mask = 0xf0,
		.id = 42,
		.orig_src = range("10.0.0.0/8"),
		.orig_dst = range("192.0.2.1"),
		.reply_src = range("10.9.9.9"),
		.reply_dst = range("198.51.100.0/24"),
		.nat_src = range("198.51.100.1"),
		.nat_dst = range("10.9.9.0/24"),
		.orig_sport = xct_hton16(1234),
		.orig_dport = xct_hton16(80),
		.reply_sport = xct_hton16(8080),
		.reply_dport = xct_hton16(40000),
		.zone = 3,
		.family = AF_INET,
		.proto = IPPROTO_TCP,
		.state = XCT_TCP_ESTABLISHED,
	};
	struct xct_flow_filter no = {
		.status = XCT_STATUS_SEEN_REPLY | XCT_STATUS_ASSURED,
		.mark = 0x20,
		.mark_mask = 0xf0,
		.id = 43,
		.orig_src = range("11.0.0.0/8"),
		.orig_dst = range("::/0"),
		.reply_src = range("10.9.9.8"),
		.reply_dst = range("198.51.101.0/24"),
		.nat_src = range("198.51.100.2"),
		.nat_dst = range("10.9.8.0/24"),
		.family = AF_INET6,
		.proto = IPPROTO_UDP,
		.state = XCT_TCP_CLOSE,
	};
	const uint32_t either =
		XCT_FILTER_FAMILY | XCT_FILTER_PROTO | XCT_FILTER_ORIG_SRC |
		XCT_FILTER_ORIG_DST | XCT_FILTER_REPLY_SRC |
		XCT_FILTER_REPLY_DST | XCT_FILTER_ORIG_SPORT |
		XCT_FILTER_ORIG_DPORT | XCT_FILTER_REPLY_SPORT |
		XCT_FILTER_REPLY_DPORT | XCT_FILTER_STATE | XCT_FILTER_STATUS |
		XCT_FILTER_MARK | XCT_FILTER_SRC_NAT_IP |
		XCT_FILTER_DST_NAT_IP | XCT_FILTER_ZONE | XCT_FILTER_ID;
	uint32_t bit;

	(void)state;
	for (bit = 1; bit <= XCT_FILTER_ID; bit <<= 1) {
		yes.fields = no.fields = bit;
		if (!(either & bit))
			continue;
		assert_true(xct_flow_filter_match(&yes, &info));
		assert_false(xct_flow_filter_match(&no, &info));
	}
	yes.fields = either;
	assert_true(xct_flow_filter_match(&yes, &info));
	no.fields = 0;
	assert_true(xct_flow_filter_match(&no, &info));
	no.fields = XCT_FILTER_UNSET;
	no.status_unset = XCT_STATUS_SEEN_REPLY;
	assert_false(xct_flow_filter_match(&no, &info));
	no.status_unset = XCT_STATUS_ASSURED;
	assert_true(xct_flow_filter_match(&no, &info));
	no.fields = XCT_FILTER_ICMP_TYPE;
	assert_false(xct_flow_filter_match(&no, &info));
}

/* A mask may have holes: 10.0.0.2 is 10.x.0.y where x and y are not asked. */
static void masks_compare_the_bits_they_have(void **state)
{
	const struct xct_flow_info info = web_flow();
	struct xct_flow_filter f = {
		.fields = XCT_FILTER_ORIG_SRC_MASK | XCT_FILTER_ORIG_DST_MASK,
		.orig_src = range("10.77.0.9"),
		.orig_src_mask = addr("255.0.255.0"),
		.orig_dst = range("192.0.2.1"),
		.orig_dst_mask = addr("255.255.255.255"),
	};

	(void)state;
	assert_true(xct_flow_filter_match(&f, &info));
	f.orig_src_mask = addr("255.0.255.255");
	assert_false(xct_flow_filter_match(&f, &info));
	f.orig_src = range("10.77.0.2");
	assert_true(xct_flow_filter_match(&f, &info));
	f.orig_dst = range("192.0.2.0");
	assert_false(xct_flow_filter_match(&f, &info));
	f.fields = XCT_FILTER_ORIG_DST_MASK;
	f.orig_dst = range("::");
	f.orig_dst_mask = addr("::");
	assert_false(xct_flow_filter_match(&f, &info));
}

/* An address and a port that it was translated to; either may be right. */
static void a_translated_port_is_asked_for(void **state)
{
	struct xct_flow_info info = web_flow();
	struct xct_flow_filter f = {
		.fields = XCT_FILTER_SRC_NAT_IP | XCT_FILTER_SRC_NAT_PORT |
			  XCT_FILTER_DST_NAT_IP | XCT_FILTER_DST_NAT_PORT,
		.nat_src = range("198.51.100.1"),
		.nat_sport = xct_hton16(40000),
		.nat_dst = range("10.9.9.9"),
		.nat_dport = xct_hton16(8080),
	};

	(void)state;
	assert_true(xct_flow_filter_match(&f, &info));
	f.nat_dport = xct_hton16(8081);
	assert_false(xct_flow_filter_match(&f, &info));
	f.fields |= XCT_FILTER_ANY_NAT;
	assert_true(xct_flow_filter_match(&f, &info));
	/* A port that stayed the same was not translated to. */
	info.tuple[XCT_DIR_ORIG].sport = xct_hton16(40000);
	assert_false(xct_flow_filter_match(&f, &info));
}

/* A zone is that of both directions, or each direction has one. */
static void zones_are_chosen_by_direction(void **state)
{
	struct xct_flow_info info = web_flow();
	struct xct_flow_filter both = { .fields = XCT_FILTER_ZONE, .zone = 3 };
	struct xct_flow_filter orig = { .fields = XCT_FILTER_ORIG_ZONE,
					.orig_zone = 3 };
	struct xct_flow_filter reply = { .fields = XCT_FILTER_REPLY_ZONE,
					 .reply_zone = 4 };

	(void)state;
	assert_true(xct_flow_filter_match(&both, &info));
	assert_false(xct_flow_filter_match(&orig, &info));
	info.tuple[XCT_DIR_REPLY].zone = 4;
	assert_false(xct_flow_filter_match(&both, &info));
	assert_true(xct_flow_filter_match(&orig, &info));
	assert_true(xct_flow_filter_match(&reply, &info));
	both.zone = 0;
	assert_true(xct_flow_filter_match(&both, &info));
}

static void filters_tell_translated_flows(void **state)
{
	struct xct_flow_filter src = { .fields = XCT_FILTER_SRC_NAT };
	struct xct_flow_filter dst = { .fields = XCT_FILTER_DST_NAT };
	struct xct_flow_filter any = { .fields = XCT_FILTER_ANY_NAT };
	struct xct_flow_info info = web_flow();
	struct xct_tuple *orig = &info.tuple[XCT_DIR_ORIG];
	struct xct_tuple *reply = &info.tuple[XCT_DIR_REPLY];

	(void)state;
	assert_true(xct_flow_filter_match(&src, &info));
	assert_true(xct_flow_filter_match(&dst, &info));

	/* only the destination's port is translated */
	reply->src = orig->dst;
	reply->dst = orig->src;
	reply->dport = orig->sport;
	assert_false(xct_flow_filter_match(&src, &info));
	assert_true(xct_flow_filter_match(&dst, &info));
	assert_true(xct_flow_filter_match(&any, &info));

	reply->sport = orig->dport;
	assert_false(xct_flow_filter_match(&dst, &info));
	assert_false(xct_flow_filter_match(&any, &info));

	/* nor is a ping, whose type differs both ways, until its id does */
	orig->proto = reply->proto = IPPROTO_ICMP;
	orig->icmp_type = 8;
	orig->icmp_code = reply->icmp_type = reply->icmp_code = 0;
	reply->icmp_id = orig->icmp_id;
	assert_false(xct_flow_filter_match(&any, &info));
	reply->icmp_id ^= 1;
	assert_true(xct_flow_filter_match(&src, &info));
	assert_false(xct_flow_filter_match(&dst, &info));
}

static void filters_by_icmp_and_port_choose_their_protocols_only(void **state)
{
	struct xct_flow_info info = web_flow();
	struct xct_tuple *orig = &info.tuple[XCT_DIR_ORIG];
	struct xct_flow_filter by_type = { .fields = XCT_FILTER_ICMP_TYPE |
						     XCT_FILTER_ICMP_CODE |
						     XCT_FILTER_ICMP_ID,
					   .icmp_type = 8,
					   .icmp_id = xct_hton16(1234) };
	struct xct_flow_filter by_port = { .fields = XCT_FILTER_ORIG_SPORT,
					   .orig_sport = xct_hton16(1234) };
	struct xct_flow_filter by_state = { .fields = XCT_FILTER_STATE,
					    .state = XCT_TCP_ESTABLISHED };

	(void)state;
	orig->icmp_type = 8;
	orig->icmp_code = 0;
	assert_false(xct_flow_filter_match(&by_type, &info));
	assert_true(xct_flow_filter_match(&by_port, &info));
	assert_true(xct_flow_filter_match(&by_state, &info));

	orig->proto = IPPROTO_ICMP;
	assert_true(xct_flow_filter_match(&by_type, &info));
	assert_false(xct_flow_filter_match(&by_port, &info));
	assert_false(xct_flow_filter_match(&by_state, &info));
	orig->icmp_code = 1;
	assert_false(xct_flow_filter_match(&by_type, &info));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_and_written_as_text),
		cmocka_unit_test(an_ipv4_address_leaves_the_rest_zero),
		cmocka_unit_test(addresses_are_ordered_as_numbers),
		cmocka_unit_test(
			ranges_are_read_from_prefixes_addresses_and_pairs),
		cmocka_unit_test(a_range_contains_its_ends_and_its_family_only),
		cmocka_unit_test(siphash_gives_the_known_values),
		cmocka_unit_test(names_and_numbers_go_both_ways),
		cmocka_unit_test(every_filter_field_chooses),
		cmocka_unit_test(masks_compare_the_bits_they_have),
		cmocka_unit_test(a_translated_port_is_asked_for),
		cmocka_unit_test(zones_are_chosen_by_direction),
		cmocka_unit_test(filters_tell_translated_flows),
		cmocka_unit_test(
			filters_by_icmp_and_port_choose_their_protocols_only),
	};

	return cmocka_run_group_tests_name("common", tests, NULL, NULL);
}
