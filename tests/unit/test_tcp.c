/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The TCP tracker, driven by the tables of tests/tables/tcp.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "daemon/engine/l4.h"

#define START 1000000 /* the clock's first reading, in milliseconds */

enum expected {
	OK = XCT_L4_OK,
	IGNORE = XCT_L4_IGNORE,
	REOPEN = XCT_L4_REOPEN,
	END = XCT_L4_CLOSE,
	BAD = 100, /* XCT_L4_INVALID, plus the reason */
	BAD_SEQ = BAD + XCT_REASON_TCP_WINDOW_SEQ,
	BAD_ACK = BAD + XCT_REASON_TCP_WINDOW_ACK,
	BAD_STATE = BAD + XCT_REASON_TCP_STATE,
	BAD_RST = BAD + XCT_REASON_TCP_RST,
	BAD_OPEN = BAD + XCT_REASON_TCP_NOT_OPEN,
};

/* Short names of states, for the table. */
enum {
	NONE = XCT_TCP_NONE,
	SYN_SENT = XCT_TCP_SYN_SENT,
	SYN_RECV = XCT_TCP_SYN_RECV,
	ESTABLISHED = XCT_TCP_ESTABLISHED,
	FIN_WAIT = XCT_TCP_FIN_WAIT,
	CLOSE_WAIT = XCT_TCP_CLOSE_WAIT,
	LAST_ACK = XCT_TCP_LAST_ACK,
	TIME_WAIT = XCT_TCP_TIME_WAIT,
	CLOSE = XCT_TCP_CLOSE,
	SYN_SENT2 = XCT_TCP_SYN_SENT2,
};

/* What differs from the defaults in a case. */
enum {
	STRICT = 1 << 0,
	LIBERAL = 1 << 1,
	IGNORE_RST = 1 << 2,
	MAX_RETRANS_1 = 1 << 3,
	FIXED_TIMEOUT = 1 << 4,
	UNACK_60 = 1 << 5,
};

struct tcp_row {
	char dir;
	const char *flags;
	uint32_t seq;
	uint32_t ack;
	uint16_t win;
	uint16_t len;
	const char *options;
	enum expected verdict;
	uint8_t state;
	bool is_assured;
	uint32_t seconds;
};

struct tcp_case {
	const char *sentence;
	unsigned int setup;
	struct tcp_row rows[16]; /* until dir is 0 */
};

#include "tests/tables/tcp.h"

/* What the engine would be around the tracker. */
struct world {
	struct xct_l4_config cfg;
	struct xct_flow flow;
	uint32_t status; /* of a new flow */
	bool has_flow;
	bool is_swapped; /* '<' is the original direction */
	xct_msec now;
	enum xct_reason reason;
};

static void world_init(struct world *w, unsigned int setup)
{
	memset(w, 0, sizeof(*w));
	w->now = START;
	xct_l4_config_default(&w->cfg);
	w->cfg.tcp_loose = !(setup & STRICT);
	w->cfg.tcp_liberal = setup & LIBERAL;
	w->cfg.tcp_ignore_invalid_rst = setup & IGNORE_RST;
	if (setup & MAX_RETRANS_1)
		w->cfg.tcp_max_retrans = 1;
	if (setup & UNACK_60)
		w->cfg.tcp[XCT_TCP_TIMEOUT_UNACK] = 60;
	if (setup & FIXED_TIMEOUT)
		w->status = XCT_STATUS_FIXED_TIMEOUT;
}

static uint8_t flags_of(const char *text)
{
	static const char letters[] = "FSRPAUEC";
	uint8_t flags = 0;

	for (; *text; text++) {
		const char *at = strchr(letters, *text);

		assert_non_null(at);
		flags |= (uint8_t)(1 << (at - letters));
	}
	return flags;
}

/* Write the options that @text asks for; returns their length, padded. */
static size_t write_options(const char *text, uint8_t *out)
{
	size_t len = 0;
	char *end;

	while (*text) {
		switch (*text++) {
		case 'w':
			out[len++] = 3;
			out[len++] = 3;
			out[len++] = (uint8_t)strtoul(text, &end, 10);
			text = end;
			break;
		case 's':
			out[len++] = 4;
			out[len++] = 2;
			break;
		case 'k':
			out[len++] = 5;
			out[len++] = 10;
			xct_put_be32(out + len,
				     (uint32_t)strtoul(text, &end, 10));
			xct_put_be32(out + len + 4,
				     (uint32_t)strtoul(end + 1, &end, 10));
			len += 8;
			text = end;
			break;
		default:
			fail_msg("unknown option in the table");
		}
	}
	while (len % 4)
		out[len++] = 1;
	return len;
}

/* The segment of @row, in memory of exactly its header's size. */
static struct xct_pkt make_pkt(const struct tcp_row *row)
{
	uint8_t header[60] = { 0 };
	size_t len = 20 + write_options(row->options, header + 20);
	uint8_t *l4 = malloc(len);

	assert_non_null(l4);
	xct_put_be32(header + 4, row->seq);
	xct_put_be32(header + 8, row->ack);
	header[12] = (uint8_t)(len / 4 << 4);
	header[13] = flags_of(row->flags);
	xct_put_be16(header + 14, row->win);
	memcpy(l4, header, len);

	return (struct xct_pkt){
		.family = AF_INET,
		.proto = IPPROTO_TCP,
		.l4 = l4,
		.l4_have = (uint32_t)len,
		.l4_len = (uint32_t)len + row->len,
	};
}

/* Offer @pkt to the tracker as the engine does. */
static enum xct_l4_verdict offer(struct world *w, const struct xct_pkt *pkt,
				 bool is_from_other)
{
	struct xct_l4_ctx ctx = { .cfg = &w->cfg, .pkt = pkt, .now = w->now };
	bool is_new = !w->has_flow;
	enum xct_l4_verdict v;

	assert_int_equal(xct_l4_tcp.check(pkt), XCT_REASON_NONE);
	if (is_new) {
		memset(&w->flow, 0, sizeof(w->flow));
		w->flow.status = w->status;
		w->flow.expires_at = w->now + 77000;
		w->is_swapped = is_from_other;
		v = xct_l4_tcp.open(&ctx, &w->flow);
		w->reason = ctx.reason;
		if (v != XCT_L4_OK)
			return v;
		w->has_flow = true;
	}

	ctx.dir = is_from_other == w->is_swapped ? XCT_DIR_ORIG : XCT_DIR_REPLY;
	v = xct_l4_tcp.update(&ctx, &w->flow);
	w->reason = ctx.reason;
	if ((v == XCT_L4_OK || v == XCT_L4_IGNORE) && ctx.dir == XCT_DIR_REPLY)
		w->flow.status |= XCT_STATUS_SEEN_REPLY;
	if (v == XCT_L4_REOPEN || (v == XCT_L4_INVALID && is_new))
		w->has_flow = false;
	return v;
}

static enum expected as_expected(const struct world *w, enum xct_l4_verdict v)
{
	return v == XCT_L4_INVALID ? BAD + (enum expected)w->reason
				   : (enum expected)v;
}

/* Play one row; false, and a message, if it went otherwise. */
static bool play(struct world *w, const struct tcp_row *row)
{
	enum expected got = row->verdict;
	bool is_other = row->dir == '<';
	uint32_t seconds = 0;
	struct xct_pkt pkt;

	if (row->dir == '+') {
		w->now += row->seq;
	} else {
		pkt = make_pkt(row);
		got = as_expected(w, offer(w, &pkt, is_other));
		if (got == REOPEN)
			assert_int_equal(offer(w, &pkt, is_other), XCT_L4_OK);
		free(pkt.l4);
	}

	if (w->has_flow)
		seconds = (uint32_t)((w->flow.expires_at - w->now) / 1000);
	if (got == row->verdict && w->flow.track.tcp.state == row->state &&
	    !(w->flow.status & XCT_STATUS_ASSURED) == !row->is_assured &&
	    seconds == row->seconds)
		return true;
	print_error("%c %s %u: verdict %d (want %d), %s (want %s), "
		    "assured %d (want %d), %us (want %us)\n",
		    row->dir, row->flags, row->seq, got, row->verdict,
		    xct_state_name(IPPROTO_TCP, w->flow.track.tcp.state),
		    xct_state_name(IPPROTO_TCP, row->state),
		    !!(w->flow.status & XCT_STATUS_ASSURED), row->is_assured,
		    seconds, row->seconds);
	return false;
}

static void tcp_connections_go_as_their_sentences_say(void **state)
{
	unsigned int failures = 0;
	size_t i, k;

	(void)state;
	for (i = 0; i < XCT_ARRAY_SIZE(tcp_cases); i++) {
		const struct tcp_case *c = &tcp_cases[i];
		struct world w;

		world_init(&w, c->setup);
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

/* A segment of @dir with the right numbers: @next are those each end sends
 * next. The first SYN of an end, and what repeats it, has one less. */
static struct tcp_row next_segment(uint32_t next[2], char dir,
				   const char *flags, bool is_opening)
{
	bool is_other = dir == '<', is_syn = flags[0] == 'S';
	struct tcp_row row = {
		.dir = dir,
		.flags = flags,
		.seq = next[is_other] - (is_syn && is_opening ? 1 : 0),
		.ack = strchr(flags, 'A') ? next[!is_other] : 0,
		.win = 8192,
		.options = "",
	};

	if (flags[0] == 'F')
		next[is_other]++;
	return row;
}

/* Bring @w into the state called @name. */
static void walk_to(struct world *w, const char *name, uint32_t next[2])
{
	size_t i, k;

	for (i = 0; strcmp(tcp_paths[i].state, name) != 0; i++)
		assert_true(i + 1 < XCT_ARRAY_SIZE(tcp_paths));

	world_init(w, 0);
	for (k = 0; tcp_paths[i].path[k]; k++) {
		const char *step = tcp_paths[i].path[k];
		struct tcp_row row =
			next_segment(next, step[0], step + 1, true);
		struct xct_pkt pkt = make_pkt(&row);

		(void)offer(w, &pkt, step[0] == '<');
		free(pkt.l4);
	}
	assert_string_equal(
		xct_state_name(IPPROTO_TCP, w->flow.track.tcp.state), name);
}

/* What a segment does in the state @name, as the table says it. */
static const char *transition(const char *name, char dir, const char *flags)
{
	uint32_t next[2] = { 1001, 5001 };
	struct xct_l4_ctx ctx = { .dir = dir == '<' };
	struct tcp_row row;
	struct xct_pkt pkt;
	enum xct_l4_verdict v;
	struct world w;
	uint8_t before;

	walk_to(&w, name, next);
	before = w.flow.track.tcp.state;
	row = next_segment(next, dir, flags,
			   before == XCT_TCP_NONE ||
				   before == XCT_TCP_SYN_SENT ||
				   before == XCT_TCP_SYN_RECV ||
				   before == XCT_TCP_SYN_SENT2);
	pkt = make_pkt(&row);
	ctx.cfg = &w.cfg;
	ctx.pkt = &pkt;
	ctx.now = w.now;
	if (before == XCT_TCP_NONE && ctx.dir == XCT_DIR_ORIG)
		(void)xct_l4_tcp.open(&ctx, &w.flow);
	v = xct_l4_tcp.update(&ctx, &w.flow);
	free(pkt.l4);

	if (v == XCT_L4_INVALID || v == XCT_L4_REOPEN)
		assert_int_equal(w.flow.track.tcp.state, before);
	if (v == XCT_L4_INVALID)
		return "-";
	if (v == XCT_L4_REOPEN)
		return "reopen";
	/* A SYN before any answer moves the state, though it does not count. */
	if (v == XCT_L4_IGNORE &&
	    !(before == XCT_TCP_SYN_SENT && strcmp(flags, "S") == 0))
		return "ignored";
	return xct_state_name(IPPROTO_TCP, w.flow.track.tcp.state);
}

static void tcp_every_cell_of_the_state_table_is_as_written(void **state)
{
	static const char *const kinds[] = { "S", "SA", "FA", "A", "R" };
	char name[16], cells[5][16], dir;
	unsigned int failures = 0;
	size_t i, k;

	(void)state;
	assert_int_equal(XCT_ARRAY_SIZE(tcp_transitions),
			 XCT_TCP_STATES * XCT_DIRS);
	for (i = 0; i < XCT_ARRAY_SIZE(tcp_transitions); i++) {
		assert_int_equal(sscanf(tcp_transitions[i],
					"%15s %c %15s %15s %15s %15s %15s",
					name, &dir, cells[0], cells[1],
					cells[2], cells[3], cells[4]),
				 7);
		for (k = 0; k < XCT_ARRAY_SIZE(kinds); k++) {
			const char *got = transition(name, dir, kinds[k]);

			if (strcmp(got, cells[k]) == 0)
				continue;
			print_error("%s %c%s: %s (want %s)\n", name, dir,
				    kinds[k], got, cells[k]);
			failures++;
		}
	}
	assert_int_equal(failures, 0);
}

static void tcp_only_possible_flags_pass_the_check(void **state)
{
	static const char *const possible[] = {
		"S", "SU", "SA", "R", "RA", "FA", "FAU", "A", "AU",
	};
	const unsigned int do_not_care = 0x08 | 0x40 | 0x80; /* PSH ECE CWR */
	struct tcp_row row = { .flags = "", .options = "" };
	struct xct_pkt pkt = make_pkt(&row);
	unsigned int flags;
	size_t i;

	(void)state;
	for (flags = 0; flags < 256; flags++) {
		enum xct_reason want = XCT_REASON_TCP_FLAGS;

		for (i = 0; i < XCT_ARRAY_SIZE(possible); i++) {
			if ((flags & ~do_not_care) == flags_of(possible[i]))
				want = XCT_REASON_NONE;
		}
		pkt.l4[13] = (uint8_t)flags;
		assert_int_equal(xct_l4_tcp.check(&pkt), want);
	}
	free(pkt.l4);
}

static void tcp_a_header_cut_short_fails_the_check(void **state)
{
	struct tcp_row row = { .flags = "A", .options = "k1-2" };
	struct xct_pkt pkt = make_pkt(&row), shorter;
	uint32_t words;

	(void)state;
	assert_int_equal(pkt.l4_have, 32);
	assert_int_equal(xct_l4_tcp.check(&pkt), XCT_REASON_NONE);
	for (shorter = pkt; shorter.l4_have--;)
		assert_int_equal(xct_l4_tcp.check(&shorter),
				 XCT_REASON_L4_SHORT);
	for (shorter = pkt; shorter.l4_len--;)
		assert_int_equal(xct_l4_tcp.check(&shorter),
				 XCT_REASON_L4_SHORT);
	for (words = 0; words < 16; words++) {
		pkt.l4[12] = (uint8_t)(words << 4);
		assert_int_equal(xct_l4_tcp.check(&pkt),
				 words >= 5 && words <= 8
					 ? XCT_REASON_NONE
					 : XCT_REASON_L4_SHORT);
	}
	free(pkt.l4);
}

/* Under AddressSanitizer: options of any content stay inside the header. */
static void tcp_options_of_any_bytes_are_read_inside_the_header(void **state)
{
	static const char *const kinds[] = { "S", "SA", "A", "FA", "R" };
	static const char *const room[] = { "", "w1", "k1-2", "sk1-2k3-4k5-6" };
	uint32_t random = 1;
	struct world w;
	unsigned int i;
	size_t k;

	(void)state;
	world_init(&w, 0);
	for (i = 0; i < 20000; i++) {
		struct tcp_row row = { .flags = kinds[i % 5],
				       .options = room[i / 5 % 4],
				       .seq = i % 7,
				       .ack = i % 5 };
		struct xct_pkt pkt = make_pkt(&row);

		for (k = 20; k < pkt.l4_have; k++) {
			random = random * 1664525 + 1013904223;
			pkt.l4[k] = (uint8_t)((random >> 24) % 12);
		}
		(void)offer(&w, &pkt, random >> 31);
		free(pkt.l4);
	}
}

static void tcp_flows_that_close_may_be_evicted(void **state)
{
	uint8_t s;

	(void)state;
	for (s = XCT_TCP_NONE; s < XCT_TCP_STATES; s++) {
		struct xct_flow flow = { .track.tcp.state = s };

		assert_int_equal(xct_l4_tcp.can_evict(&flow),
				 s >= XCT_TCP_FIN_WAIT && s <= XCT_TCP_CLOSE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_connections_go_as_their_sentences_say),
		cmocka_unit_test(
			tcp_every_cell_of_the_state_table_is_as_written),
		cmocka_unit_test(tcp_only_possible_flags_pass_the_check),
		cmocka_unit_test(tcp_a_header_cut_short_fails_the_check),
		cmocka_unit_test(
			tcp_options_of_any_bytes_are_read_inside_the_header),
		cmocka_unit_test(tcp_flows_that_close_may_be_evicted),
	};

	return cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
}
