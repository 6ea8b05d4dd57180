/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Regions of older layouts, made by hand, become such of the present one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/engine/migrate.h"
#include "daemon/engine/table.h"
#include "daemon/engine/visit.h"
#include "tests/unit/engine.h"
#include "tests/unit/packets.h"

#define MAX_FLOWS 32
#define LAN	  2
#define WAN	  3

/* Where layout 4 has what, in bytes. */
#define V4_HEADER 64
#define V4_RECORD 232
#define V4_SIZE	  (V4_HEADER + MAX_FLOWS * V4_RECORD)
enum {
	V4_H_VERSION = 8,
	V4_H_RECORD_SIZE = 12,
	V4_H_MAX_FLOWS = 16,
	V4_H_N_USED = 20,
	V4_H_NEXT_ID = 24,
	V4_H_JOURNAL_ID = 32,
	V4_H_JOURNAL_PACKETS = 40,
	V4_H_JOURNAL_BYTES = 48,
	V4_H_JOURNAL_INDEX = 56,
	V4_H_JOURNAL_DIR = 60,
	V4_TUPLES = 0,
	V4_ID = 80,
	V4_EXPIRES = 88,
	V4_STATUS = 96,
	V4_PACKETS = 104,
	V4_BYTES = 120,
	V4_TRACK = 136,
	V4_CREATED = 192,
	V4_MARK = 200,
	V4_MASQ = 204,
	V4_LINKS = 208,
};

struct world {
	struct xct_engine *eng;
	struct xct_config *config;
	struct xct_engine_config cfg;
	struct xct_attach_report report;
	struct xct_result res;
	xct_msec now;
	void *region;
	void *work;
	void *copy; /* another region, blank */
	uint8_t *old;
};

static void attach(struct world *w, void *region)
{
	assert_int_equal(0,
			 xct_engine_attach(&w->eng, region, w->work, MAX_FLOWS,
					   &w->cfg, w->now, &w->report));
	xct_engine_set_ruleset(w->eng, &w->config->ruleset);
}

static int setup(void **state)
{
	static const char rules[] =
		"filter: {forward: {rules: [{proto: tcp, dport: 21, helper: ftp},\n"
		" {accept: yes, mark: 7}]}}\n"
		"nat:\n"
		"- {in: lan0, dst: 203.0.113.6, dnat: 198.51.100.9}\n"
		"- {out: wan0, masquerade: yes}\n";
	struct world *w = calloc(1, sizeof(*w));

	engine_defaults(&w->cfg);
	w->cfg.host = (struct xct_host_ops){ .ifname = engine_ifname,
					     .ifaddr = engine_ifaddr };
	w->region = engine_room(xct_region_size(MAX_FLOWS));
	w->copy = engine_room(xct_region_size(MAX_FLOWS));
	w->work = engine_room(xct_engine_work_size(MAX_FLOWS));
	w->old = engine_room(V4_SIZE);
	w->now = 500000000;
	w->config = engine_rules(rules);
	attach(w, w->region);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	xct_config_free(w->config);
	free(w->region);
	free(w->copy);
	free(w->work);
	free(w->old);
	free(w);
	return 0;
}

static void pass(struct world *w, struct packet *p, enum xct_hook hook,
		 uint32_t in, uint32_t out)
{
	const struct xct_meta meta = { .in_if = in,
				       .out_if = out,
				       .hook = (uint8_t)hook };

	xct_engine_packet(w->eng, p->data, p->len, &meta, w->now, &w->res);
	assert_int_equal(w->res.verdict, XCT_VERDICT_ACCEPT);
}

static void send_out(struct world *w, struct packet *p)
{
	pass(w, p, XCT_HOOK_POSTROUTING, LAN, WAN);
	w->now += 10;
}

static void send_back(struct world *w, struct packet *p)
{
	pass(w, p, XCT_HOOK_PREROUTING, WAN, 0);
	w->now += 10;
}

/* Flows of all kinds of tracks, both families; the last is not confirmed. */
static void make_flows(struct world *w)
{
	static const uint8_t esp[8] = { 1, 2, 3 };
	struct packet p;

	for (int i = 0; i < 2; i++) {
		packet_udp(&p, "10.0.0.2", 1000, "192.0.2.9", 53, 5);
		send_out(w, &p);
		packet_udp(&p, "192.0.2.9", 53, "203.0.113.1", 1000, 9);
		send_back(w, &p);
		w->now += 2500;
	}
	packet_tcp(&p, "10.0.0.2", 2000, "192.0.2.9", 80, TCP_SYN, 100, 0, 0);
	send_out(w, &p);
	packet_tcp(&p, "192.0.2.9", 80, "203.0.113.1", 2000, TCP_SYN | TCP_ACK,
		   900, 101, 0);
	send_back(w, &p);
	packet_tcp(&p, "10.0.0.2", 2000, "192.0.2.9", 80, TCP_ACK, 101, 901, 0);
	send_out(w, &p);
	packet_sctp(&p, "10.0.0.2", 3000, "192.0.2.9", 4000, 0, "INIT=77");
	send_out(w, &p);
	packet_echo(&p, "fd00::2", "fd00::9", false, 5);
	send_out(w, &p);
	packet_ip(&p, "10.0.0.2", "192.0.2.9", IPPROTO_ESP, esp, sizeof(esp));
	send_out(w, &p);
	packet_udp(&p, "10.0.0.2", 1000, "203.0.113.6", 53, 1);
	pass(w, &p, XCT_HOOK_PREROUTING, LAN, 0);
}

static void put(void *at, const void *from, size_t n)
{
	memcpy(at, from, n);
}

static void put32(uint8_t *at, uint32_t value)
{
	put(at, &value, sizeof(value));
}

static void put64(uint8_t *at, uint64_t value)
{
	put(at, &value, sizeof(value));
}

static uint8_t *record(struct world *w, uint32_t i)
{
	return w->old + V4_HEADER + i * V4_RECORD;
}

/* The region as layout 4 had it. */
static void make_old(struct world *w)
{
	const struct xct_region_header *header = w->region;
	const struct xct_flow *flows = xct_region_flows(w->region);
	const struct xct_flow_cold *cold =
		xct_region_cold(w->region, MAX_FLOWS);

	put(w->old, "xctflow\n", 8);
	put32(w->old + V4_H_VERSION, 4);
	put32(w->old + V4_H_RECORD_SIZE, V4_RECORD);
	put32(w->old + V4_H_MAX_FLOWS, MAX_FLOWS);
	put32(w->old + V4_H_N_USED, header->n_used);
	put64(w->old + V4_H_NEXT_ID, header->next_id);
	for (uint32_t i = 0; i < header->n_used; i++) {
		uint8_t *at = record(w, i);

		for (int dir = 0; dir < XCT_DIRS; dir++) {
			put(at + V4_TUPLES + 40 * dir,
			    &flows[i].side[dir].tuple, 40);
			put64(at + V4_PACKETS + 8 * dir,
			      flows[i].side[dir].packets);
			put64(at + V4_BYTES + 8 * dir,
			      flows[i].side[dir].bytes);
		}
		put64(at + V4_ID, flows[i].id);
		put64(at + V4_EXPIRES, flows[i].expires_at);
		/* It had no labels, whatever the bit was then. */
		put32(at + V4_STATUS, flows[i].status | XCT_STATUS_LABELS);
		put(at + V4_TRACK, &flows[i].track, 56);
		put64(at + V4_CREATED, cold[i].created_at);
		put32(at + V4_MARK, cold[i].mark);
		put32(at + V4_MASQ, cold[i].masq_if);
		memset(at + V4_LINKS, 0xa5, V4_RECORD - V4_LINKS);
	}
}

/* All that is kept of record @i of @a is that of record @k of @b. */
static void assert_same_flow(void *a, uint32_t i, void *b, uint32_t k)
{
	struct xct_flow x = xct_region_flows(a)[i], y = xct_region_flows(b)[k];

	x.timer_tick = y.timer_tick = 0;
	assert_memory_equal(&x, &y, sizeof(x));
	assert_memory_equal(&xct_region_cold(a, MAX_FLOWS)[i],
			    &xct_region_cold(b, MAX_FLOWS)[k],
			    offsetof(struct xct_flow_cold, chain_next));
}

static void a_region_of_layout_4_becomes_one_of_this(void **state)
{
	const struct xct_region_header *header;
	struct world *w = *state;
	struct packet p;
	uint32_t n;

	make_flows(w);
	header = w->region;
	n = header->n_used;
	assert_int_equal(n, 6);
	make_old(w);
	assert_int_equal(xct_region_layout(w->old, V4_SIZE, MAX_FLOWS), 4);
	assert_int_equal(xct_region_copy(w->copy, MAX_FLOWS, w->old, MAX_FLOWS),
			 0);
	assert_int_equal(xct_region_layout(w->copy, xct_region_size(MAX_FLOWS),
					   MAX_FLOWS),
			 XCT_REGION_VERSION);
	header = w->copy;
	assert_int_equal(header->n_used, n);
	assert_int_equal(
		header->next_id,
		((const struct xct_region_header *)w->region)->next_id);
	for (uint32_t i = 0; i < n; i++)
		assert_same_flow(w->region, i, w->copy, i);

	/* And they go on: the server's data, to a masqueraded address; within
	 * the window alone. */
	attach(w, w->copy);
	assert_int_equal(w->report.adopted, n);
	assert_int_equal(w->report.torn, 0);
	packet_tcp(&p, "192.0.2.9", 80, "203.0.113.1", 2000, TCP_ACK, 901, 101,
		   50);
	pass(w, &p, XCT_HOOK_PREROUTING, WAN, 0);
	assert_int_equal(w->res.cls, XCT_CLASS_ESTABLISHED);
	assert_int_equal(p.data[16], 10);
	packet_tcp(&p, "192.0.2.9", 80, "203.0.113.1", 2000, TCP_ACK, 9000000,
		   101, 50);
	pass(w, &p, XCT_HOOK_PREROUTING, WAN, 0);
	assert_int_equal(w->res.reason, XCT_REASON_TCP_WINDOW_SEQ);
}

static void speak(struct world *w, uint32_t seq, const char *text)
{
	const struct xct_meta meta = { .in_if = LAN,
				       .out_if = WAN,
				       .hook = XCT_HOOK_POSTROUTING,
				       .room = 64,
				       .csum_unverified = true };
	uint8_t tcp[20 + 64] = { [12] = 5 << 4, [13] = TCP_ACK };
	size_t len = strlen(text);
	struct packet p;

	xct_put_be16(tcp, 2100);
	xct_put_be16(tcp + 2, 21);
	xct_put_be32(tcp + 4, seq);
	xct_put_be32(tcp + 8, 901);
	xct_put_be16(tcp + 14, 65000);
	memcpy(tcp + 20, text, len);
	packet_ip(&p, "10.0.0.2", "192.0.2.9", IPPROTO_TCP, tcp, 20 + len);
	xct_engine_packet(w->eng, p.data, p.len, &meta, w->now, &w->res);
	assert_int_equal(w->res.verdict, XCT_VERDICT_ACCEPT);
}

/* A connection that has announced port 51210 behind its masquerading. */
static void make_helped(struct world *w)
{
	struct packet p;

	packet_tcp(&p, "10.0.0.2", 2100, "192.0.2.9", 21, TCP_SYN, 100, 0, 0);
	send_out(w, &p);
	packet_tcp(&p, "192.0.2.9", 21, "203.0.113.1", 2100, TCP_SYN | TCP_ACK,
		   900, 101, 0);
	send_back(w, &p);
	speak(w, 101, "USER x\r\n");
	speak(w, 109, "PORT 10,0,0,2,200,10\r\n");
	assert_int_equal(w->res.cls, XCT_CLASS_ESTABLISHED);
}

static struct xct_engine_stats stats(struct world *w)
{
	struct xct_engine_stats stats;

	xct_engine_stats(w->eng, &stats);
	return stats;
}

/* What has been announced is what the server may come to. */
static void assert_is_expected(struct world *w)
{
	struct packet p;

	assert_int_equal(stats(w).expects, 1);
	packet_tcp(&p, "192.0.2.9", 20, "203.0.113.1", 51210, TCP_SYN, 1, 0, 0);
	pass(w, &p, XCT_HOOK_PREROUTING, WAN, 0);
	assert_int_equal(w->res.cls, XCT_CLASS_RELATED);
	assert_int_equal(p.data[16], 10);
}

/* Layout 5 ends where the helpers begin. */
static void a_region_of_layout_5_becomes_one_of_this(void **state)
{
	struct world *w = *state;
	struct xct_region_header *header = w->region;
	size_t size = xct_region_labels_offset(MAX_FLOWS) +
		      (MAX_FLOWS + 1) * sizeof(struct xct_labels);
	uint32_t n;

	make_flows(w);
	n = header->n_used;
	header->version = 5;
	/* What bits of today say, none said then. */
	for (uint32_t i = 0; i < n; i++)
		xct_region_flows(w->region)[i].status |=
			XCT_STATUS_HELPED | XCT_STATUS_FOLLOWS;
	assert_int_equal(xct_region_layout(w->region, size, MAX_FLOWS), 5);
	memset((char *)w->region + size, 0xa5,
	       xct_region_size(MAX_FLOWS) - size);
	assert_int_equal(
		xct_region_copy(w->copy, MAX_FLOWS, w->region, MAX_FLOWS), 0);
	attach(w, w->copy);
	assert_int_equal(w->report.adopted, n);
	assert_int_equal(w->report.torn, 0);
	assert_int_equal(stats(w).expects, 0);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(
			xct_region_flows(w->copy)[i].status &
				(XCT_STATUS_HELPED | XCT_STATUS_FOLLOWS),
			0);
}

static void a_table_of_another_size_keeps_its_helpers(void **state)
{
	struct world *w = *state;

	make_flows(w);
	make_helped(w);
	xct_region_flows(w->region)[0].id = 0; /* all move up */
	assert_int_equal(
		xct_region_copy(w->copy, MAX_FLOWS / 2, w->region, MAX_FLOWS),
		0);
	assert_int_equal(0, xct_engine_attach(&w->eng, w->copy, w->work,
					      MAX_FLOWS / 2, &w->cfg, w->now,
					      &w->report));
	xct_engine_set_ruleset(w->eng, &w->config->ruleset);
	assert_is_expected(w);
}

static void torn_records_of_layout_4_are_left_behind(void **state)
{
	struct world *w = *state;
	uint64_t none = 0;

	make_flows(w);
	make_old(w);
	put(record(w, 1) + V4_ID, &none, 8);
	/* Two that contradict each other: the table takes but one. */
	put(record(w, 3) + V4_TUPLES, record(w, 4) + V4_TUPLES, 80);
	assert_int_equal(xct_region_copy(w->copy, MAX_FLOWS, w->old, MAX_FLOWS),
			 0);
	assert_same_flow(w->region, 0, w->copy, 0);
	assert_same_flow(w->region, 2, w->copy, 1);
	attach(w, w->copy);
	assert_int_equal(w->report.adopted, 4);
	assert_int_equal(w->report.torn, 1);
}

static void the_journal_of_layout_4_puts_its_flow_back(void **state)
{
	struct world *w = *state;
	const struct xct_flow *flows = xct_region_flows(w->copy);
	const struct xct_journal *journal =
		&((const struct xct_region_header *)w->copy)->journal;
	uint64_t id;

	make_flows(w);
	make_old(w);
	id = xct_region_flows(w->region)[0].id;
	put64(w->old + V4_H_JOURNAL_ID, id);
	put64(w->old + V4_H_JOURNAL_PACKETS, 1);
	put64(w->old + V4_H_JOURNAL_BYTES, 37);
	put32(w->old + V4_H_JOURNAL_DIR, XCT_DIR_REPLY);
	(void)xct_region_copy(w->copy, MAX_FLOWS, w->old, MAX_FLOWS);
	assert_int_equal(flows[0].side[XCT_DIR_REPLY].packets, 2);
	attach(w, w->copy);
	assert_int_equal(flows[0].side[XCT_DIR_REPLY].packets, 1);
	assert_int_equal(flows[0].side[XCT_DIR_REPLY].bytes, 37);
	assert_int_equal(flows[0].side[XCT_DIR_ORIG].packets, 2);

	/* Where the record before it is left behind, it is another's number. */
	put64(record(w, 0) + V4_ID, 0);
	put64(w->old + V4_H_JOURNAL_ID, id + 1);
	put32(w->old + V4_H_JOURNAL_INDEX, 1);
	memset(w->copy, 0, xct_region_size(MAX_FLOWS));
	(void)xct_region_copy(w->copy, MAX_FLOWS, w->old, MAX_FLOWS);
	assert_int_equal(flows[0].id, id + 1);
	assert_int_equal(journal->number, 1);
	/* Of a flow that has ended, or of no record at all, it says nothing. */
	for (uint32_t index = 2; index < MAX_FLOWS + 2; index++) {
		put32(w->old + V4_H_JOURNAL_INDEX, index);
		memset(w->copy, 0, xct_region_size(MAX_FLOWS));
		(void)xct_region_copy(w->copy, MAX_FLOWS, w->old, MAX_FLOWS);
		assert_int_equal(journal->number, 0);
	}
}

static void what_does_not_fit_is_counted(void **state)
{
	struct world *w = *state;

	make_flows(w);
	make_old(w);
	assert_int_equal(xct_region_copy(w->copy, 2, w->old, MAX_FLOWS), 4);
	assert_int_equal(xct_region_layout(w->copy, xct_region_size(2), 2),
			 XCT_REGION_VERSION);
	assert_int_equal(((const struct xct_region_header *)w->copy)->n_used,
			 2);
}

/* The same copy makes a table of another size, of which nothing is lost. */
static void a_table_of_another_size_keeps_its_journal(void **state)
{
	struct world *w = *state;
	struct xct_region_header *header = w->region;
	const struct xct_flow *flow = &xct_region_flows(w->region)[1];
	const struct xct_flow *flows = xct_region_flows(w->copy);

	make_flows(w);
	xct_region_flows(w->region)[0].id = 0;
	header->journal = (struct xct_journal){ .number = 2,
						.expires_at = flow->expires_at,
						.status = flow->status,
						.track = flow->track,
						.packets = 9,
						.bytes = 99 };
	assert_int_equal(
		xct_region_copy(w->copy, MAX_FLOWS / 2, w->region, MAX_FLOWS),
		0);
	assert_int_equal(flows[0].id, 2);
	assert_int_equal(0, xct_engine_attach(&w->eng, w->copy, w->work,
					      MAX_FLOWS / 2, &w->cfg, w->now,
					      &w->report));
	assert_int_equal(w->report.adopted, 5);
	assert_int_equal(flows[0].side[XCT_DIR_ORIG].packets, 9);
	assert_int_equal(flows[0].side[XCT_DIR_ORIG].bytes, 99);
}

static void what_is_not_known_is_refused(void **state)
{
	struct world *w = *state;
	size_t size = xct_region_size(MAX_FLOWS);

	/* Blank: of this layout, if of its size. */
	assert_int_equal(xct_region_layout(w->copy, size, MAX_FLOWS),
			 XCT_REGION_VERSION);
	assert_int_equal(xct_region_layout(w->copy, size - 1, MAX_FLOWS), 0);
	assert_int_equal(xct_region_layout(w->copy, 63, 0), 0);
	assert_int_equal(xct_region_layout(w->region, size, MAX_FLOWS),
			 XCT_REGION_VERSION);
	assert_int_equal(xct_region_layout(w->region, size, MAX_FLOWS + 1), 0);

	make_flows(w);
	make_old(w);
#define REFUSED(change, back)                                              \
	do {                                                               \
		change;                                                    \
		assert_int_equal(                                          \
			xct_region_layout(w->old, V4_SIZE, MAX_FLOWS), 0); \
		back;                                                      \
		assert_int_equal(                                          \
			xct_region_layout(w->old, V4_SIZE, MAX_FLOWS), 4); \
	} while (0)
	REFUSED(w->old[0]++, w->old[0]--);
	REFUSED(w->old[V4_H_VERSION] = 3, w->old[V4_H_VERSION] = 4);
	REFUSED(w->old[V4_H_VERSION] = 5, w->old[V4_H_VERSION] = 4);
	REFUSED(w->old[V4_H_VERSION] = XCT_REGION_VERSION + 1,
		w->old[V4_H_VERSION] = 4);
	REFUSED(put32(w->old + V4_H_RECORD_SIZE, 231),
		put32(w->old + V4_H_RECORD_SIZE, 232));
	REFUSED(put32(w->old + V4_H_MAX_FLOWS, MAX_FLOWS - 1),
		put32(w->old + V4_H_MAX_FLOWS, MAX_FLOWS));
	REFUSED(put32(w->old + V4_H_N_USED, MAX_FLOWS + 1),
		put32(w->old + V4_H_N_USED, MAX_FLOWS));
	assert_int_equal(xct_region_layout(w->old, V4_SIZE - 1, MAX_FLOWS), 0);
	assert_int_equal(xct_region_layout(w->old, V4_SIZE + 1, MAX_FLOWS), 0);
	assert_int_equal(
		xct_region_layout(w->old, V4_SIZE - V4_RECORD, MAX_FLOWS - 1),
		0);
	/* Nor does the engine take it as it is, or touch it. */
	assert_int_equal(xct_engine_attach(&w->eng, w->old, w->work, MAX_FLOWS,
					   &w->cfg, w->now, &w->report),
			 -EINVAL);
	assert_int_equal(w->old[V4_H_VERSION], 4);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_region_of_layout_4_becomes_one_of_this),
		TEST(a_region_of_layout_5_becomes_one_of_this),
		TEST(a_table_of_another_size_keeps_its_helpers),
		TEST(torn_records_of_layout_4_are_left_behind),
		TEST(the_journal_of_layout_4_puts_its_flow_back),
		TEST(what_does_not_fit_is_counted),
		TEST(a_table_of_another_size_keeps_its_journal),
		TEST(what_is_not_known_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
