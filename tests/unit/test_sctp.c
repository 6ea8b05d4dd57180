/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SCTP tracker, driven by the tables of tests/tables/sctp.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "common/crc32c.h"
#include "tests/unit/packets.h"

#define START 1000000 /* the clock's first reading, in milliseconds */

enum expected {
	OK = XCT_L4_OK,
	IGNORE = XCT_L4_IGNORE,
	BAD = 100, /* XCT_L4_INVALID, plus the reason */
	BAD_CHUNKS = BAD + XCT_REASON_SCTP_CHUNKS,
	BAD_OPEN = BAD + XCT_REASON_SCTP_NOT_OPEN,
	BAD_STATE = BAD + XCT_REASON_SCTP_STATE,
	BAD_VTAG = BAD + XCT_REASON_SCTP_VTAG,
};

/* Short names of states, for the table. */
enum {
	NONE = XCT_SCTP_NONE,
	CLOSED = XCT_SCTP_CLOSED,
	COOKIE_WAIT = XCT_SCTP_COOKIE_WAIT,
	COOKIE_ECHOED = XCT_SCTP_COOKIE_ECHOED,
	ESTABLISHED = XCT_SCTP_ESTABLISHED,
	SHUTDOWN_SENT = XCT_SCTP_SHUTDOWN_SENT,
	SHUTDOWN_RECD = XCT_SCTP_SHUTDOWN_RECD,
	SHUTDOWN_ACK_SENT = XCT_SCTP_SHUTDOWN_ACK_SENT,
	HEARTBEAT_SENT = XCT_SCTP_HEARTBEAT_SENT,
};

struct sctp_row {
	char dir;
	uint32_t vtag;
	const char *chunks;
	enum expected verdict;
	uint8_t state;
	bool is_assured;
	uint32_t seconds;
};

struct sctp_case {
	const char *sentence;
	struct sctp_row rows[12]; /* until dir is 0 */
};

#include "tests/tables/sctp.h"

/* What the engine would be around the tracker. */
struct world {
	struct xct_l4_config cfg;
	struct xct_flow flow;
	bool has_flow;
	xct_msec now;
	enum xct_reason reason;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->now = START;
	xct_l4_config_default(&w->cfg);
}

/* Offer @pkt to the tracker as the engine does. */
static enum xct_l4_verdict offer(struct world *w, const struct xct_pkt *pkt,
				 enum xct_dir dir)
{
	struct xct_l4_ctx ctx = { .cfg = &w->cfg, .pkt = pkt, .now = w->now };
	struct xct_flow draft = { .expires_at = 0 };
	struct xct_flow *flow = w->has_flow ? &w->flow : &draft;
	enum xct_l4_verdict v = XCT_L4_OK;

	w->reason = xct_l4_sctp.check(pkt);
	if (w->reason != XCT_REASON_NONE)
		return XCT_L4_INVALID;
	if (w->has_flow)
		ctx.dir = dir;
	else
		v = xct_l4_sctp.open(&ctx, &draft);
	if (v == XCT_L4_OK)
		v = xct_l4_sctp.update(&ctx, flow);
	w->reason = ctx.reason;
	if (v == XCT_L4_INVALID)
		return v;

	if (!w->has_flow) {
		w->flow = draft;
		w->flow.status |= XCT_STATUS_CONFIRMED;
		w->has_flow = true;
	}
	if (ctx.dir == XCT_DIR_REPLY)
		w->flow.status |= XCT_STATUS_SEEN_REPLY;
	return v;
}

/* A packet in memory of exactly its size. */
static struct xct_pkt make_pkt(const uint8_t *l4, uint32_t len)
{
	uint8_t *copy = malloc(len);

	assert_non_null(copy);
	memcpy(copy, l4, len);
	return (struct xct_pkt){
		.family = AF_INET,
		.proto = IPPROTO_SCTP,
		.l4 = copy,
		.l4_have = len,
		.l4_len = len,
	};
}

static enum xct_l4_verdict offer_chunks(struct world *w, enum xct_dir dir,
					uint32_t vtag, const char *chunks)
{
	uint8_t l4[1024];
	struct xct_pkt pkt = make_pkt(l4, write_sctp(l4, 1, 2, vtag, chunks));
	enum xct_l4_verdict v = offer(w, &pkt, dir);

	free(pkt.l4);
	return v;
}

/* Play one row; false, and a message, if it went otherwise. */
static bool play(struct world *w, const struct sctp_row *row)
{
	enum expected got = row->verdict;
	enum xct_l4_verdict v;
	uint32_t seconds = 0;

	if (row->dir == '+') {
		w->now += row->vtag;
	} else {
		v = offer_chunks(w,
				 row->dir == '<' ? XCT_DIR_REPLY : XCT_DIR_ORIG,
				 row->vtag, row->chunks);
		got = v == XCT_L4_INVALID ? BAD + (enum expected)w->reason
					  : (enum expected)v;
	}
	if (w->has_flow)
		seconds = (uint32_t)((w->flow.expires_at - w->now) / 1000);
	if (got == row->verdict && w->flow.track.sctp.state == row->state &&
	    !(w->flow.status & XCT_STATUS_ASSURED) == !row->is_assured &&
	    seconds == row->seconds)
		return true;
	print_error("%c %u %s: verdict %d (want %d), %s (want %s), "
		    "assured %d (want %d), %us (want %us)\n",
		    row->dir, row->vtag, row->chunks, got, row->verdict,
		    xct_state_name(IPPROTO_SCTP, w->flow.track.sctp.state),
		    xct_state_name(IPPROTO_SCTP, row->state),
		    !!(w->flow.status & XCT_STATUS_ASSURED), row->is_assured,
		    seconds, row->seconds);
	return false;
}

static void sctp_associations_go_as_their_sentences_say(void **state)
{
	unsigned int failures = 0;
	size_t i, k;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(sctp_cases); i++) {
		const struct sctp_case *c = &sctp_cases[i];
		struct world w;

		world_init(&w);
		for (k = 0; k < XCT_ARRAY_SIZE(c->rows) && c->rows[k].dir;
		     k++) {
			if (play(&w, &c->rows[k]))
				continue;
			print_error("row %zu of: %s\n", k + 1, c->sentence);
			failures++;
			break;
		}
	}
	assert_int_equal(failures, 0);
}

/* What @chunk does in a flow in @from: a state's two letters, or "-". */
static const char *transition(uint8_t from, enum xct_dir dir, const char *chunk)
{
	static const char *const letters[] = { "NO", "CL", "CW", "CE", "ES",
					       "SS", "SR", "SA", "HS" };
	bool is_init = strncmp(chunk, "INIT=", 5) == 0;
	struct world w;

	world_init(&w);
	w.has_flow = true;
	w.flow.status = XCT_STATUS_CONFIRMED | XCT_STATUS_SEEN_REPLY;
	w.flow.track.sctp.state = from;
	w.flow.track.sctp.vtag[XCT_DIR_ORIG] = 5;
	w.flow.track.sctp.vtag[XCT_DIR_REPLY] = 5;
	if (offer_chunks(&w, dir, is_init ? 0 : 5, chunk) == XCT_L4_INVALID) {
		assert_int_equal(w.reason, XCT_REASON_SCTP_STATE);
		assert_int_equal(w.flow.track.sctp.state, from);
		return "-";
	}
	return letters[w.flow.track.sctp.state];
}

static void sctp_every_cell_of_the_state_table_is_as_written(void **state)
{
	static const char *const chunks[] = { "INIT=5", "INITACK=5", "CE",
					      "CA",	"HB",	     "HBACK",
					      "SD",	"SDACK",     "SDC",
					      "ABORT",	"ERROR",     "DATA" };
	char name[24], dir, want[4];
	unsigned int failures = 0;
	int skip, used;
	size_t i, k;

	(void)state;
	/* Of NONE only the first packet knows. */
	assert_int_equal(XCT_ARRAY_SIZE(sctp_transitions),
			 (XCT_SCTP_STATES - 1) * XCT_DIRS);
	for (i = 0; i < XCT_ARRAY_SIZE(sctp_transitions); i++) {
		const char *at = sctp_transitions[i];

		assert_int_equal(sscanf(at, "%23s %c%n", name, &dir, &skip), 2);
		for (at += skip, k = 0; k < XCT_ARRAY_SIZE(chunks);
		     at += used, k++) {
			int from = xct_state_from_name(IPPROTO_SCTP, name);
			const char *got;

			assert_true(from > 0);
			assert_int_equal(sscanf(at, "%3s%n", want, &used), 1);
			got = transition((uint8_t)from, dir == '<', chunks[k]);
			if (strcmp(got, want) == 0)
				continue;
			print_error("%s %c%s: %s (want %s)\n", name, dir,
				    chunks[k], got, want);
			failures++;
		}
	}
	assert_int_equal(failures, 0);
}

static void sctp_a_header_cut_short_fails_the_check(void **state)
{
	uint8_t l4[64];
	struct xct_pkt pkt = make_pkt(l4, write_sctp(l4, 1, 2, 0, "DATA"));

	(void)state;
	assert_int_equal(xct_l4_sctp.check(&pkt), XCT_REASON_NONE);
	/* A chunk's header is enough, its length may say more. */
	pkt.l4_have = pkt.l4_len = 16;
	assert_int_equal(xct_l4_sctp.check(&pkt), XCT_REASON_NONE);
	while (pkt.l4_have-- > 12)
		assert_int_equal(xct_l4_sctp.check(&pkt),
				 XCT_REASON_SCTP_CHUNKS);
	for (pkt.l4_have = 12; pkt.l4_have--;)
		assert_int_equal(xct_l4_sctp.check(&pkt), XCT_REASON_L4_SHORT);
	free(pkt.l4);
}

static void sctp_flows_that_close_may_be_evicted(void **state)
{
	uint8_t s;

	(void)state;
	for (s = XCT_SCTP_NONE; s < XCT_SCTP_STATES; s++) {
		struct xct_flow flow = { .track.sctp.state = s };

		assert_int_equal(xct_l4_sctp.can_evict(&flow),
				 s >= XCT_SCTP_SHUTDOWN_SENT &&
					 s <= XCT_SCTP_SHUTDOWN_ACK_SENT);
	}
}

/* Under AddressSanitizer: any list of chunks is read inside the packet, and the
 * state stays one of the table's. */
static void sctp_chunks_of_any_bytes_are_read_inside_the_packet(void **state)
{
	uint32_t random = 1, len, k;
	struct world w;
	unsigned int i;

	(void)state;
	world_init(&w);
	for (i = 0; i < 100000; i++) {
		uint8_t l4[96];
		struct xct_pkt pkt;

		if (i % 16 == 0)
			w.has_flow = false;
		random = random * 1664525 + 1013904223;
		len = (random >> 16) % sizeof(l4);
		for (k = 0; k < sizeof(l4); k++) {
			random = random * 1664525 + 1013904223;
			/* Types, tags and lengths that often make sense. */
			l4[k] = (uint8_t)((random >> 24) % (k % 4 ? 24 : 16));
			if (k >= 12 && k % 4 == 2)
				l4[k] = random >> 31 && k % 8 ? 0xff : 0;
			if (k < 12)
				l4[k] = k == 7 ? l4[k] % 3 : 0;
		}
		pkt = make_pkt(l4, len);
		(void)offer(&w, &pkt, i & 1);
		assert_true(w.flow.track.sctp.state < XCT_SCTP_STATES);
		free(pkt.l4);
	}
}

static void crc32c_is_that_of_the_standard(void **state)
{
	/* RFC 3720 B.4, and the polynomial's catalogue value. */
	static const struct {
		uint32_t crc;
		uint8_t first;
		int8_t step;
	} rows[] = {
		{ 0x8a9136aa, 0, 0 },
		{ 0x62a8ab43, 0xff, 0 },
		{ 0x46dd794e, 0, 1 },
		{ 0x113fdb5c, 31, -1 },
	};
	const uint8_t digits[] = "123456789";
	uint8_t data[32];
	uint32_t cut, i;
	size_t k;

	(void)state;
	assert_int_equal(~xct_crc32c(XCT_CRC32C_INIT, digits, 9), 0xe3069283);
	for (k = 0; k < XCT_ARRAY_SIZE(rows); k++) {
		for (i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)(rows[k].first +
					    rows[k].step * (int)i);
		/* In one piece and in two, whatever their alignment. */
		for (cut = 0; cut <= sizeof(data); cut++) {
			uint32_t crc = xct_crc32c(XCT_CRC32C_INIT, data, cut);

			crc = xct_crc32c(crc, data + cut,
					 (uint32_t)sizeof(data) - cut);
			assert_int_equal(~crc, rows[k].crc);
		}
	}
}

static void sctp_checksum_covers_every_bit(void **state)
{
	uint8_t from[4];
	struct packet p;
	uint32_t bit;

	(void)state;
	packet_sctp(&p, "10.0.0.2", 7, "198.51.100.9", 8, 0, "INIT=1");
	assert_true(packet_is_sound(&p));
	for (bit = 20 * 8; bit < p.len * 8; bit++) {
		p.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(packet_is_sound(&p));
		p.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* The addresses are not covered: these are sent to and fro. */
	memcpy(from, p.data + 12, 4);
	memcpy(p.data + 12, p.data + 16, 4);
	memcpy(p.data + 16, from, 4);
	assert_true(packet_is_sound(&p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sctp_associations_go_as_their_sentences_say),
		cmocka_unit_test(
			sctp_every_cell_of_the_state_table_is_as_written),
		cmocka_unit_test(sctp_a_header_cut_short_fails_the_check),
		cmocka_unit_test(sctp_flows_that_close_may_be_evicted),
		cmocka_unit_test(
			sctp_chunks_of_any_bytes_are_read_inside_the_packet),
		cmocka_unit_test(crc32c_is_that_of_the_standard),
		cmocka_unit_test(sctp_checksum_covers_every_bit),
	};

	return cmocka_run_group_tests_name("sctp", tests, NULL, NULL);
}
