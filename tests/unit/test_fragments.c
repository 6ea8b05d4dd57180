/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The reckoning of IPv6 fragments: that it stays within bounds, and says so.
 * That it is right is shown beside the kernel, in tests/netns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "daemon/fragments.h"

#define HEADERS 56 /* of IPv6, of the fragment, of UDP */

static struct xct_fragments *fragments;
static struct xct_fragment_counts counts;

static int setup(void **state)
{
	const struct xct_siphash_key key = { { 1, 2 } };

	(void)state;
	fragments = xct_fragments_new(&key);
	counts = (struct xct_fragment_counts){ 0 };
	return fragments ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	xct_fragments_free(fragments);
	return 0;
}

/* Eight bytes at @at of the packet with this @id. */
static void put(uint32_t id, uint16_t at, bool is_last, xct_msec now)
{
	uint8_t packet[HEADERS] = { 0x60 };

	xct_put_be16(packet + 4, HEADERS - 40);
	packet[6] = IPPROTO_FRAGMENT;
	packet[40] = IPPROTO_UDP;
	xct_put_be16(packet + 42, (uint16_t)(at | !is_last));
	xct_put_be32(packet + 44, id);
	xct_fragments_put(fragments, packet, sizeof(packet), 1, now, &counts);
}

static void what_does_not_come_is_forgotten_after_a_minute(void **state)
{
	(void)state;
	put(1, 0, false, 1000);
	put(1, 8, true, 60999);
	assert_int_equal(1, counts.whole);
	put(2, 0, false, 1000);
	put(2, 8, true, 61000);
	assert_int_equal(1, counts.whole);
	put(2, 0, false, 61001);
	assert_int_equal(2, counts.whole);
	assert_int_equal(0, counts.unknown);
}

static void a_flood_makes_the_oldest_go_and_that_is_counted(void **state)
{
	const uint32_t n = 10000;

	(void)state;
	for (uint32_t i = 0; i < n; i++)
		put(i, 0, false, 1000 + i);
	assert_in_range(counts.unknown, n - 2048, n - 1);
	put(n - 1, 8, true, 1000 + n);
	assert_int_equal(1, counts.whole);
	assert_int_equal(n + 1, counts.fragments);
}

static void a_packet_in_too_many_pieces_is_not_followed(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < 48; i++)
		put(1, (uint16_t)(16 * i), false, 1000);
	assert_int_equal(0, counts.unknown);
	put(1, 16 * 48, false, 1000);
	assert_int_equal(1, counts.unknown);
	put(1, 0, false, 1000); /* as if it were new */
	assert_int_equal(0, counts.overlapping);
}

static void whatever_comes_is_read_within_its_bounds(void **state)
{
	static const uint8_t protos[] = { IPPROTO_HOPOPTS,  IPPROTO_ROUTING,
					  IPPROTO_FRAGMENT, IPPROTO_AH,
					  IPPROTO_DSTOPTS,  IPPROTO_UDP,
					  IPPROTO_NONE,	    IPPROTO_TCP };
	uint32_t n = 200000;

	(void)state;
	srandom(1);
	while (n--) {
		uint32_t len = (uint32_t)random() % 96;
		uint8_t *packet = malloc(len ? len : 1);

		assert_non_null(packet);
		for (uint32_t i = 0; i < len; i++)
			packet[i] = i % 8 == 6 || i % 8 == 0
					    ? protos[random() % 8]
					    : (uint8_t)(random() & 7);
		xct_fragments_put(fragments, packet, len, 1, 1000, &counts);
		free(packet);
	}
	assert_int_equal(200000, counts.fragments);
	assert_true(counts.unknown > 0 && counts.malformed > 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_does_not_come_is_forgotten_after_a_minute),
		T(a_flood_makes_the_oldest_go_and_that_is_counted),
		T(a_packet_in_too_many_pieces_is_not_followed),
		T(whatever_comes_is_read_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
