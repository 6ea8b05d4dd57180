/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process dies with a packet in the engine: after each instruction.
 *
 * A child handles the packet, one instruction at a time. Whenever it has
 * changed the region, a successor takes a copy of that, has the packet offered
 * again, and must then have what the packet leaves behind where nobody dies.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/config.h"
#include "daemon/engine/table.h"
#include "daemon/engine/visit.h"
#include "tests/unit/engine.h"
#include "tests/unit/packets.h"

#define MAX_FLOWS 4
#define LAN	  2
#define WAN	  3

struct world {
	struct xct_config *config;
	struct xct_engine_config cfg;
	xct_msec now;
	size_t size;  /* of a region */
	void *region; /* shared with the child */
	void *seen;   /* what it was when it was looked at last */
	void *copy;   /* a successor's */
	void *work;
	struct xct_engine *eng;
	struct packet out; /* what left it last */
};

/* A packet where it is met. */
struct met {
	struct packet p;
	struct xct_meta meta;
};

/* What is told of the flows, of what is expected, and what left. */
struct told {
	struct xct_flow_info flows[MAX_FLOWS];
	struct xct_expect_info expects[MAX_FLOWS];
	uint32_t n;
	uint32_t n_expects;
};

static void attach(struct world *w, void *region)
{
	struct xct_attach_report report;

	assert_int_equal(0,
			 xct_engine_attach(&w->eng, region, w->work, MAX_FLOWS,
					   &w->cfg, w->now, &report));
	assert_int_equal(report.torn, 0);
	xct_engine_set_ruleset(w->eng, &w->config->ruleset);
}

static int setup(void **state)
{
	static const char rules[] =
		"filter: {forward: {rules: [{proto: tcp, dport: 21, "
		"helper: ftp}]}}\n"
		"nat:\n"
		"- {in: wan0, dst: 203.0.113.6, dnat: 10.0.0.6}\n"
		"- {out: wan0, masquerade: yes}\n";
	struct world *w = calloc(1, sizeof(*w));

	engine_defaults(&w->cfg);
	w->cfg.host = (struct xct_host_ops){ .ifname = engine_ifname,
					     .ifaddr = engine_ifaddr };
	w->size = (xct_region_size(MAX_FLOWS) + 63) & ~(size_t)63;
	w->region = mmap(NULL, w->size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	w->seen = engine_room(w->size);
	w->copy = engine_room(w->size);
	w->work = engine_room(xct_engine_work_size(MAX_FLOWS));
	w->now = 500000000;
	w->config = engine_rules(rules);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	xct_config_free(w->config);
	munmap(w->region, w->size);
	free(w->seen);
	free(w->copy);
	free(w->work);
	free(w);
	return 0;
}

static void handle(struct world *w, const struct met *met)
{
	struct xct_result res;

	w->out = met->p;
	xct_engine_packet(w->eng, w->out.data, w->out.len, &met->meta, w->now,
			  &res);
	assert_int_equal(res.verdict, XCT_VERDICT_ACCEPT);
}

static bool note_flow(void *ctx, const struct xct_flow_info *info)
{
	struct told *told = ctx;

	told->flows[told->n] = *info;
	told->flows[told->n++].id = 0; /* may be another */
	return true;
}

static bool note_expect(void *ctx, const struct xct_expect_info *info)
{
	struct told *told = ctx;

	told->expects[told->n_expects++] = *info;
	return true;
}

static struct told tell(struct world *w)
{
	struct told told = { .n = 0 };
	uint32_t cursor = 0;

	while (xct_engine_walk(w->eng, &cursor, w->now, NULL, 8, note_flow,
			       &told))
		;
	cursor = 0;
	while (xct_engine_expects(w->eng, &cursor, w->now, 8, note_expect,
				  &told))
		;
	return told;
}

/* A successor of what is in the shared region now; @is_done: the packet was
 * through. It must tell @expected. */
static void succeed(struct world *w, const struct met *met, bool is_done,
		    const struct told *expected, const struct packet *out)
{
	struct told told;

	memcpy(w->copy, w->region, w->size);
	attach(w, w->copy);
	if (!is_done) {
		handle(w, met);
		assert_memory_equal(w->out.data, out->data, sizeof(out->data));
	}
	told = tell(w);
	assert_int_equal(told.n, expected->n);
	assert_memory_equal(&told, expected, sizeof(told));
}

/* In the child: stops before the packet, and after it. */
static _Noreturn void handle_and_exit(struct world *w, const struct met *met)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(errno == EPERM ? 77 : 1);
	raise(SIGSTOP);
	handle(w, met);
	raise(SIGSTOP);
	_exit(0);
}

/* Handle @met by a process that may die at any time. */
static void die_with(struct world *w, const struct met *met)
{
	const struct xct_journal *journal =
		&((const struct xct_region_header *)w->region)->journal;
	bool was_noted = false, is_done = false;
	unsigned int n_looks = 0;
	struct told expected;
	struct packet out;
	int status;
	pid_t pid;

	memcpy(w->copy, w->region, w->size);
	attach(w, w->copy);
	handle(w, met);
	expected = tell(w);
	out = w->out;

	attach(w, w->region);
	memcpy(w->seen, w->region, w->size);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		handle_and_exit(w, met);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip(); /* nobody may be traced here */
	assert_true(WIFSTOPPED(status));
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			break;
		if (!memcmp(w->seen, w->region, w->size))
			continue;
		memcpy(w->seen, w->region, w->size);
		is_done = was_noted && !journal->number;
		was_noted |= journal->number != 0;
		succeed(w, met, is_done, &expected, &out);
		n_looks++;
	}
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(is_done);
	assert_true(n_looks >= 4);
	attach(w, w->region);
}

static struct met outbound(void)
{
	return (struct met){ .meta = { .hook = XCT_HOOK_POSTROUTING,
				       .in_if = LAN,
				       .out_if = WAN } };
}

static struct met inbound(void)
{
	return (struct met){ .meta = { .hook = XCT_HOOK_PREROUTING,
				       .in_if = WAN } };
}

/* Its first packet makes the flow; an answer after two seconds, and what
 * follows it, make it a stream: the answer alone does not. */
static void each_packet_of_a_translated_flow_counts_once(void **state)
{
	struct met query = outbound(), answer = inbound();
	struct world *w = *state;

	packet_udp(&query.p, "10.0.0.2", 1000, "198.51.100.9", 53, 10);
	packet_udp(&answer.p, "198.51.100.9", 53, "203.0.113.1", 1000, 20);
	die_with(w, &query);
	w->now += 2500;
	die_with(w, &answer);
	assert_false(tell(w).flows[0].status & XCT_STATUS_ASSURED);
	die_with(w, &query);
	assert_true(tell(w).flows[0].status & XCT_STATUS_ASSURED);
	assert_int_equal(tell(w).flows[0].packets[XCT_DIR_ORIG], 2);
	assert_int_equal(tell(w).flows[0].packets[XCT_DIR_REPLY], 1);
}

/* When a flow may become a stream, its first packet has said. */
static void a_short_exchange_is_no_stream(void **state)
{
	struct met query = outbound(), answer = inbound();
	struct world *w = *state;

	packet_udp(&query.p, "10.0.0.2", 1000, "198.51.100.9", 53, 10);
	packet_udp(&answer.p, "198.51.100.9", 53, "203.0.113.1", 1000, 20);
	die_with(w, &query);
	w->now += 1000;
	die_with(w, &answer);
	die_with(w, &query);
	assert_false(tell(w).flows[0].status & XCT_STATUS_ASSURED);
}

/* What is answered at all is a stream with the next packet. */
static void an_answer_that_comes_again_is_one_answer(void **state)
{
	static const uint8_t key[8] = { 0 };
	struct met ask = outbound(), answer = inbound();
	struct world *w = *state;

	packet_ip(&ask.p, "10.0.0.2", "198.51.100.9", IPPROTO_GRE, key, 8);
	packet_ip(&answer.p, "198.51.100.9", "203.0.113.1", IPPROTO_GRE, key,
		  8);
	die_with(w, &ask);
	die_with(w, &answer);
	assert_false(tell(w).flows[0].status & XCT_STATUS_ASSURED);
	die_with(w, &ask);
	assert_true(tell(w).flows[0].status & XCT_STATUS_ASSURED);
}

static void segment(struct world *w, bool is_reply, uint8_t flags, uint32_t seq,
		    uint32_t ack)
{
	struct met met = is_reply ? inbound() : outbound();

	if (is_reply)
		packet_tcp(&met.p, "198.51.100.9", 80, "203.0.113.1", 2000,
			   flags, seq, ack, 0);
	else
		packet_tcp(&met.p, "10.0.0.2", 2000, "198.51.100.9", 80, flags,
			   seq, ack, 0);
	die_with(w, &met);
}

/* To the tracker what comes again is a segment that is sent again. */
static void a_connection_is_opened_and_closed(void **state)
{
	struct world *w = *state;

	segment(w, false, TCP_SYN, 100, 0);
	segment(w, true, TCP_SYN | TCP_ACK, 900, 101);
	segment(w, false, TCP_ACK, 101, 901);
	assert_int_equal(tell(w).flows[0].state, XCT_TCP_ESTABLISHED);
	segment(w, false, TCP_FIN | TCP_ACK, 101, 901);
	segment(w, true, TCP_FIN | TCP_ACK, 901, 102);
	segment(w, false, TCP_ACK, 102, 902);
	assert_int_equal(tell(w).flows[0].state, XCT_TCP_TIME_WAIT);
	assert_int_equal(tell(w).flows[0].packets[XCT_DIR_ORIG], 4);
	assert_int_equal(tell(w).flows[0].packets[XCT_DIR_REPLY], 2);
}

static void chunks(struct world *w, bool is_reply, uint32_t vtag,
		   const char *text)
{
	struct met met = is_reply ? inbound() : outbound();

	if (is_reply)
		packet_sctp(&met.p, "198.51.100.9", 80, "203.0.113.1", 2000,
			    vtag, text);
	else
		packet_sctp(&met.p, "10.0.0.2", 2000, "198.51.100.9", 80, vtag,
			    text);
	die_with(w, &met);
}

/* The same: its chunks are those of a state that it has left. */
static void an_association_is_opened_and_closed(void **state)
{
	struct world *w = *state;

	chunks(w, false, 0, "INIT=1");
	chunks(w, true, 1, "INITACK=2");
	chunks(w, false, 2, "CE");
	chunks(w, true, 1, "CA");
	assert_int_equal(tell(w).flows[0].state, XCT_SCTP_ESTABLISHED);
	chunks(w, false, 2, "SD");
	chunks(w, true, 1, "SDACK");
	chunks(w, false, 2, "SDC");
	assert_int_equal(tell(w).flows[0].state, XCT_SCTP_CLOSED);
	assert_int_equal(tell(w).flows[0].packets[XCT_DIR_ORIG], 4);
	assert_int_equal(tell(w).flows[0].packets[XCT_DIR_REPLY], 3);
}

static void line(struct world *w, bool is_reply, uint32_t seq, uint32_t ack,
		 const char *text)
{
	struct met met = is_reply ? inbound() : outbound();
	uint8_t tcp[20 + 64] = { [12] = 5 << 4, [13] = TCP_ACK };
	size_t len = strlen(text);

	met.meta.room = 64;
	met.meta.csum_unverified = true;
	xct_put_be16(tcp, is_reply ? 21 : 2000);
	xct_put_be16(tcp + 2, is_reply ? 2000 : 21);
	xct_put_be32(tcp + 4, seq);
	xct_put_be32(tcp + 8, ack);
	xct_put_be16(tcp + 14, 65000);
	memcpy(tcp + 20, text, len);
	packet_ip(&met.p, is_reply ? "198.51.100.9" : "10.0.0.2",
		  is_reply ? "203.0.113.1" : "198.51.100.9", IPPROTO_TCP, tcp,
		  20 + (uint32_t)len);
	die_with(w, &met);
}

/* What is announced with another length shifts what follows once only, and
 * what comes of it is one connection. */
static void what_a_helper_writes_is_written_once(void **state)
{
	static const char port[] = "PORT 10,0,0,2,200,10\r\n";
	struct met met = outbound();
	struct world *w = *state;

	packet_tcp(&met.p, "10.0.0.2", 2000, "198.51.100.9", 21, TCP_SYN, 100,
		   0, 0);
	die_with(w, &met);
	met = inbound();
	packet_tcp(&met.p, "198.51.100.9", 21, "203.0.113.1", 2000,
		   TCP_SYN | TCP_ACK, 900, 101, 0);
	die_with(w, &met);
	line(w, false, 101, 901, "USER x\r\n");
	line(w, true, 901, 109, "230 come in\r\n");
	line(w, false, 109, 914, port);
	assert_non_null(
		memmem(w->out.data, w->out.len + 3, "203,0,113,1,200,10", 18));
	assert_int_equal(tell(w).n_expects, 1);
	line(w, true, 914, 134, "200 fine\r\n");
	assert_int_equal(xct_get_be32(w->out.data + 28), 131);

	/* Another replaces it. */
	line(w, false, 131, 924, "PORT 10,0,0,2,200,11\r\n");
	assert_int_equal(xct_get_be32(w->out.data + 24), 134);
	assert_int_equal(tell(w).n_expects, 1);
	met = inbound();
	packet_tcp(&met.p, "198.51.100.9", 20, "203.0.113.1", 51211, TCP_SYN,
		   5000, 0, 0);
	die_with(w, &met);
	assert_int_equal(tell(w).n_expects, 0);
	assert_int_equal(w->out.data[16], 10);
	met.p = w->out;
	met.meta = (struct xct_meta){ .hook = XCT_HOOK_POSTROUTING,
				      .in_if = WAN,
				      .out_if = LAN,
				      .stage = XCT_STAGE_ROUTED };
	handle(w, &met);
	assert_int_equal(tell(w).n, 2);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_packet_of_a_translated_flow_counts_once),
		TEST(a_short_exchange_is_no_stream),
		TEST(an_answer_that_comes_again_is_one_answer),
		TEST(a_connection_is_opened_and_closed),
		TEST(an_association_is_opened_and_closed),
		TEST(what_a_helper_writes_is_written_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
