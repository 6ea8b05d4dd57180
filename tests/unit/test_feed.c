/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events of flows: what the engine tells, the ring, its readers, and clients of
 * the control socket that follow. Real engine, feed, socket and epoll loop.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/clock.h"
#include "daemon/control.h"
#include "daemon/feed.h"
#include "daemon/loop.h"
#include "tests/unit/engine.h"
#include "tests/unit/packets.h"

#define LAN	  2
#define WAN	  4
#define MAX_FLOWS 64
#define ROOM	  1000

struct world {
	struct xct_engine *eng;
	struct xct_engine_config cfg;
	struct xct_config *config;
	void *region;
	void *work;
	xct_msec now;
	struct xct_lock lock;
	int epoll_fd;
	struct xct_feed *feed;
	struct xct_feed_reader reader;
	struct xct_flow_event events[ROOM];
};

/* -------------------------------------------------------------- fixture */

static void be_ready(struct xct_feed_reader *reader)
{
	(void)reader;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct xct_attach_report report;

	assert_non_null(w);
	engine_defaults(&w->cfg);
	w->region = engine_room(xct_region_size(MAX_FLOWS));
	w->work = engine_room(xct_engine_work_size(MAX_FLOWS));
	w->now = xct_clock_now();
	assert_int_equal(xct_engine_attach(&w->eng, w->region, w->work,
					   MAX_FLOWS, &w->cfg, w->now, &report),
			 0);
	xct_lock_init(&w->lock);
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->feed = xct_feed_new(w->epoll_fd, w->eng, &w->lock);
	assert_non_null(w->feed);
	w->reader.ready = be_ready;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	xct_feed_leave(&w->reader);
	xct_feed_free(w->feed);
	close(w->epoll_fd);
	xct_lock_fini(&w->lock);
	xct_config_free(w->config);
	free(w->region);
	free(w->work);
	free(w);
	return 0;
}

static void use_rules(struct world *w, const char *yaml)
{
	engine_use_rules(w->eng, &w->config, yaml);
}

static int join_as(struct world *w, struct xct_feed_reader *reader,
		   uint32_t types, uint32_t mark)
{
	struct xct_flow_follow follow = { .types = types };

	if (mark) {
		follow.filter.fields = XCT_FILTER_MARK;
		follow.filter.mark = mark;
		follow.filter.mark_mask = UINT32_MAX;
	}
	reader->ready = be_ready;
	return xct_feed_join(w->feed, reader, &follow);
}

static void join(struct world *w)
{
	assert_int_equal(join_as(w, &w->reader, UINT32_MAX, 0), 0);
}

/* Flow number @n (at most 255): 10.0.0.n:1000 -> 192.0.2.9:53. */
static int create(struct world *w, uint8_t n)
{
	struct xct_flow_create req = {
		.change = { .fields = XCT_CHANGE_TIMEOUT | XCT_CHANGE_MARK,
			    .timeout_s = 100,
			    .mark = n,
			    .mark_mask = UINT32_MAX },
	};
	struct xct_tuple *t = &req.tuple[XCT_DIR_ORIG];

	assert_true(xct_addr_parse("10.0.0.0", &t->family, &t->src));
	assert_true(xct_addr_parse("192.0.2.9", &t->family, &t->dst));
	t->src.b[3] = n;
	t->sport = xct_hton16(1000);
	t->dport = xct_hton16(53);
	t->proto = IPPROTO_UDP;
	return xct_engine_create(w->eng, &req, w->now);
}

static bool see(void *ctx, const struct xct_flow_info *info)
{
	(void)ctx;
	(void)info;
	return true;
}

static void delete_all(struct world *w)
{
	uint32_t cursor = 0;

	(void)xct_engine_delete(w->eng, &cursor, w->now, NULL, MAX_FLOWS, NULL,
				NULL);
}

/* Change every flow's mark @n times: as many events for each. */
static void change(struct world *w, uint32_t n)
{
	struct xct_flow_update update = {
		.change = { .fields = XCT_CHANGE_MARK, .mark = 1 << 8 },
	};

	update.change.mark_mask = 0; /* mark ^= 256 */
	while (n--) {
		uint32_t cursor = 0;

		(void)xct_engine_update(w->eng, &cursor, w->now, &update,
					MAX_FLOWS, see, NULL);
	}
}

static uint32_t take(struct world *w)
{
	return xct_feed_read(&w->reader, w->events, ROOM);
}

static struct xct_feed_stats stats_of(const struct world *w)
{
	struct xct_feed_stats stats;

	xct_feed_stats(w->feed, &stats);
	return stats;
}

/* ------------------------------------------------------- ring and readers */

static void nothing_is_written_while_nobody_reads(void **state)
{
	struct world *w = *state;

	assert_int_equal(create(w, 1), 0);
	assert_int_equal(stats_of(w).events, 0);
	join(w);
	assert_int_equal(take(w), 0); /* that was before */
	change(w, 1);
	assert_int_equal(take(w), 1);
	xct_feed_leave(&w->reader);
	change(w, 1);
	assert_int_equal(stats_of(w).events, 1);
	assert_int_equal(stats_of(w).readers, 0);
}

static void events_come_once_in_order_and_numbered(void **state)
{
	static const uint8_t types[] = { XCT_FLOW_NEW, XCT_FLOW_UPDATE,
					 XCT_FLOW_UPDATE, XCT_FLOW_DESTROY };
	struct world *w = *state;

	join(w);
	assert_int_equal(create(w, 1), 0);
	change(w, 2);
	delete_all(w);
	assert_int_equal(take(w), 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(w->events[i].seq, i + 1);
		assert_int_equal(w->events[i].type, types[i]);
		assert_int_equal(w->events[i].flow.id, 1);
	}
	assert_int_equal(w->events[1].flow.mark, 257);
	assert_int_equal(w->events[2].flow.mark, 1);
	assert_int_equal(take(w), 0);
}

static void times_are_of_the_wall_clock(void **state)
{
	uint64_t before = (uint64_t)time(NULL) * 1000;
	struct world *w = *state;

	join(w);
	assert_int_equal(create(w, 1), 0);
	w->now += 5000;
	delete_all(w);
	assert_int_equal(take(w), 2);
	assert_in_range(w->events[0].time_ms, before - 1000, before + 60000);
	assert_in_range(w->events[1].time_ms - w->events[0].time_ms, 5000,
			5001);
	assert_int_equal(w->events[1].flow.age_ms, 5000);
	assert_int_equal(w->events[1].flow.start_ms,
			 w->events[1].time_ms - 5000);
}

/* @n events later: how many the reader misses, and gets, the marker aside. */
static void check_overtaken(struct world *w, uint32_t n, uint64_t missed,
			    uint64_t from)
{
	uint64_t seq = from;
	uint32_t got;

	change(w, n);
	got = take(w);
	if (missed) {
		assert_int_equal(w->events[0].type, XCT_FLOW_MISSED);
		assert_int_equal(w->events[0].missed, missed);
		assert_int_equal(w->events[0].seq, from);
		seq += missed;
	}
	for (uint32_t i = missed ? 1 : 0; got; got = take(w), i = 0)
		for (; i < got; i++) {
			assert_int_equal(w->events[i].type, XCT_FLOW_UPDATE);
			assert_int_equal(w->events[i].seq, seq++);
		}
	assert_int_equal(seq, from + n);
}

static void who_is_overtaken_is_told_how_many_are_missing(void **state)
{
	struct world *w = *state;
	uint64_t next = 2;

	join(w);
	assert_int_equal(create(w, 1), 0);
	assert_int_equal(take(w), 1);
	check_overtaken(w, XCT_FEED_SIZE, 0, next);
	next += XCT_FEED_SIZE;
	check_overtaken(w, XCT_FEED_SIZE + 1, 1, next);
	next += XCT_FEED_SIZE + 1;
	check_overtaken(w, 3 * XCT_FEED_SIZE + 77, 2 * XCT_FEED_SIZE + 77,
			next);
	assert_int_equal(stats_of(w).missed, 1 + 2 * XCT_FEED_SIZE + 77);
}

static void each_reader_has_its_own_place(void **state)
{
	struct xct_feed_reader slow = { .feed = NULL };
	struct world *w = *state;

	assert_int_equal(join_as(w, &slow, UINT32_MAX, 0), 0);
	join(w);
	assert_int_equal(create(w, 1), 0);
	for (int i = 0; i < XCT_FEED_SIZE / 100 + 1; i++) {
		change(w, 100);
		assert_int_equal(take(w), i ? 100 : 101);
	}
	assert_in_range(xct_feed_read(&slow, w->events, ROOM), 2, ROOM);
	assert_int_equal(w->events[0].type, XCT_FLOW_MISSED);
	xct_feed_leave(&slow);
	xct_feed_leave(&slow); /* does nothing */
	assert_int_equal(stats_of(w).readers, 1);
}

static void readers_get_what_they_asked_for(void **state)
{
	struct xct_feed_reader ends = { .feed = NULL };
	struct world *w = *state;

	assert_int_equal(join_as(w, &ends, 1u << XCT_FLOW_DESTROY, 0), 0);
	assert_int_equal(join_as(w, &w->reader, UINT32_MAX, 2), 0);
	assert_int_equal(create(w, 1), 0);
	assert_int_equal(create(w, 2), 0);
	delete_all(w);
	assert_int_equal(take(w), 2);
	assert_int_equal(w->events[0].flow.mark, 2);
	assert_int_equal(w->events[1].flow.mark, 2);
	assert_int_equal(xct_feed_read(&ends, w->events, ROOM), 2);
	assert_int_equal(w->events[1].type, XCT_FLOW_DESTROY);
	assert_int_equal(w->events[1].seq, 4);

	/* What was missed is told to them, too. */
	assert_int_equal(create(w, 1), 0);
	change(w, XCT_FEED_SIZE);
	assert_int_equal(xct_feed_read(&ends, w->events, ROOM), 1);
	assert_int_equal(w->events[0].missed, 1);
	xct_feed_leave(&ends);
}

static void there_is_a_limit_to_readers(void **state)
{
	struct xct_feed_reader readers[XCT_FEED_READERS];
	struct world *w = *state;

	memset(readers, 0, sizeof(readers));
	for (int i = 0; i < XCT_FEED_READERS; i++)
		assert_int_equal(join_as(w, &readers[i], UINT32_MAX, 0), 0);
	assert_int_equal(join_as(w, &w->reader, UINT32_MAX, 0), -EUSERS);
	xct_feed_leave(&readers[3]);
	join(w);
	for (int i = 0; i < XCT_FEED_READERS; i++)
		xct_feed_leave(&readers[i]);
}

static void what_a_client_does_bears_its_number(void **state)
{
	struct world *w = *state;

	join(w);
	xct_feed_set_author(77);
	assert_int_equal(create(w, 1), 0);
	xct_feed_set_author(0);
	delete_all(w);
	assert_int_equal(take(w), 2);
	assert_int_equal(w->events[0].portid, 77);
	assert_int_equal(w->events[1].portid, 0);
}

/* ------------------------------------------------------ what packets raise */

static void send_packet(struct world *w, enum xct_hook hook,
			enum xct_stage stage, struct packet *p)
{
	const struct xct_meta meta = {
		.hook = (uint8_t)hook,
		.in_if = LAN,
		.out_if = hook == XCT_HOOK_POSTROUTING ? WAN : 0,
		.stage = (uint8_t)stage,
	};
	struct xct_result res;

	xct_engine_packet(w->eng, p->data, p->len, &meta, w->now, &res);
}

static void tcp(struct world *w, bool is_reply, uint8_t flags, uint32_t seq,
		uint32_t ack)
{
	const char *ends[] = { "10.0.0.2", "192.0.2.9" };
	const uint16_t ports[] = { 1000, 80 };
	struct packet p;

	packet_tcp(&p, ends[is_reply], ports[is_reply], ends[!is_reply],
		   ports[!is_reply], flags, seq, ack, 0);
	send_packet(w, XCT_HOOK_POSTROUTING, XCT_STAGE_FRESH, &p);
}

static void a_packet_raises_one_event_or_none(void **state)
{
	static const struct {
		uint8_t type;
		uint8_t state;
		uint32_t status;
	} expected[] = {
		{ XCT_FLOW_NEW, XCT_TCP_SYN_SENT, 0 },
		{ XCT_FLOW_UPDATE, XCT_TCP_SYN_RECV, XCT_STATUS_SEEN_REPLY },
		{ XCT_FLOW_UPDATE, XCT_TCP_ESTABLISHED,
		  XCT_STATUS_SEEN_REPLY | XCT_STATUS_ASSURED },
		{ XCT_FLOW_UPDATE, XCT_TCP_CLOSE,
		  XCT_STATUS_SEEN_REPLY | XCT_STATUS_ASSURED },
		{ XCT_FLOW_DESTROY, XCT_TCP_CLOSE,
		  XCT_STATUS_SEEN_REPLY | XCT_STATUS_ASSURED },
	};
	struct world *w = *state;

	join(w);
	tcp(w, false, TCP_SYN, 100, 0);
	tcp(w, false, TCP_SYN, 100, 0); /* again: changes nothing */
	tcp(w, true, TCP_SYN | TCP_ACK, 500, 101);
	tcp(w, false, TCP_ACK, 101, 501);
	tcp(w, false, TCP_ACK, 101, 501);
	tcp(w, false, TCP_RST, 101, 501);
	w->now += 11000;
	(void)xct_engine_tick(w->eng, w->now, 100);
	assert_int_equal(take(w), XCT_ARRAY_SIZE(expected));
	for (uint32_t i = 0; i < XCT_ARRAY_SIZE(expected); i++) {
		assert_int_equal(w->events[i].type, expected[i].type);
		assert_int_equal(w->events[i].flow.state, expected[i].state);
		assert_int_equal(w->events[i].flow.status,
				 expected[i].status | XCT_STATUS_CONFIRMED);
		assert_true(w->events[i].parts & XCT_FLOW_PART_STATE);
	}
	assert_int_equal(w->events[4].flow.timeout_s, 0);
}

static void a_refused_connection_ends_unanswered(void **state)
{
	struct world *w = *state;

	join(w);
	tcp(w, false, TCP_SYN, 100, 0);
	tcp(w, true, TCP_RST | TCP_ACK, 0, 101);
	assert_int_equal(take(w), 2);
	assert_int_equal(w->events[1].type, XCT_FLOW_DESTROY);
	assert_int_equal(w->events[1].flow.status, XCT_STATUS_CONFIRMED);
	assert_int_equal(w->events[1].flow.packets[XCT_DIR_REPLY], 1);
}

static void what_is_not_accepted_was_never_there(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "filter: {forward: {default: drop}}\n"
		     "nat:\n- {dst: 203.0.113.1, proto: udp, dport: 53, "
		     "dnat: 192.0.2.9}\n");
	join(w);
	packet_udp(&p, "10.0.0.2", 1000, "203.0.113.1", 53, 4);
	send_packet(w, XCT_HOOK_PREROUTING, XCT_STAGE_FRESH, &p);
	send_packet(w, XCT_HOOK_POSTROUTING, XCT_STAGE_ROUTED, &p);
	packet_udp(&p, "10.0.0.2", 1000, "192.0.2.9", 53, 4);
	send_packet(w, XCT_HOOK_POSTROUTING, XCT_STAGE_FRESH, &p);
	assert_int_equal(take(w), 0);
}

static void a_translated_flow_begins_when_it_is_accepted(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "filter: {forward: {default: accept}}\n"
		     "nat:\n- {dst: 203.0.113.1, proto: udp, dport: 53, "
		     "dnat: 192.0.2.9}\n");
	join(w);
	packet_udp(&p, "10.0.0.2", 1000, "203.0.113.1", 53, 4);
	send_packet(w, XCT_HOOK_PREROUTING, XCT_STAGE_FRESH, &p);
	assert_int_equal(take(w), 0);
	send_packet(w, XCT_HOOK_POSTROUTING, XCT_STAGE_ROUTED, &p);
	packet_udp(&p, "192.0.2.9", 53, "10.0.0.2", 1000, 4);
	send_packet(w, XCT_HOOK_POSTROUTING, XCT_STAGE_FRESH, &p);
	assert_int_equal(take(w), 2);
	assert_int_equal(w->events[0].type, XCT_FLOW_NEW);
	assert_int_equal(w->events[1].type, XCT_FLOW_UPDATE);
	assert_false(w->events[1].parts & XCT_FLOW_PART_STATE);
}

static void eviction_and_reopening_are_ends(void **state)
{
	struct world *w = *state;

	join(w);
	for (int n = 1; n <= MAX_FLOWS; n++)
		assert_int_equal(create(w, (uint8_t)n), 0);
	assert_int_equal(take(w), MAX_FLOWS);
	assert_int_equal(create(w, MAX_FLOWS + 1), 0);
	assert_int_equal(take(w), 2);
	assert_int_equal(w->events[0].type, XCT_FLOW_DESTROY);
	assert_int_equal(w->events[1].type, XCT_FLOW_NEW);

	tcp(w, false, TCP_SYN, 100, 0);
	tcp(w, true, TCP_SYN | TCP_ACK, 500, 101);
	tcp(w, false, TCP_ACK, 101, 501);
	tcp(w, false, TCP_RST, 101, 501);
	(void)take(w);
	tcp(w, false, TCP_SYN, 9000, 0);
	assert_int_equal(take(w), 2);
	assert_int_equal(w->events[0].type, XCT_FLOW_DESTROY);
	assert_int_equal(w->events[0].flow.state, XCT_TCP_CLOSE);
	assert_int_equal(w->events[1].type, XCT_FLOW_NEW);
	assert_int_equal(w->events[1].flow.state, XCT_TCP_SYN_SENT);
}

/* ------------------------------------------------------ over the socket */

struct service {
	char path[64];
	int listen_fd;
	struct xct_control *control;
};

static uint32_t count(void *ctx)
{
	(void)ctx;
	return 7;
}

static void settle(void *ctx)
{
	(void)ctx; /* nothing is on its way */
}

static void serve(struct world *w, struct service *s)
{
	const struct xct_control_ops ops = { .settle = settle,
					     .count = count,
					     .feed = w->feed };

	snprintf(s->path, sizeof(s->path), "/tmp/xct-feed-%d.sock", getpid());
	s->listen_fd = xct_control_listen(s->path, "");
	assert_true(s->listen_fd >= 0);
	s->control = xct_control_new(w->epoll_fd, s->listen_fd, &ops);
	assert_non_null(s->control);
}

static void end_service(struct service *s)
{
	xct_control_free(s->control);
	close(s->listen_fd);
	unlink(s->path);
}

/* Turns of the main loop, until the feed's timer has come once more. */
static void turns(struct world *w)
{
	xct_msec until = xct_clock_now() + 50;
	struct epoll_event ev;

	while (xct_clock_now() < until)
		if (epoll_wait(w->epoll_fd, &ev, 1, 5) == 1) {
			struct xct_poll *p = ev.data.ptr;

			p->ready(p, ev.events);
		}
}

static int ask(struct world *w, const struct service *s, uint16_t type,
	       const void *payload, uint32_t len)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct xct_frame frame = { XCT_FRAME_MAGIC, len, type, 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sun.sun_path, s->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(send(fd, &frame, sizeof(frame), 0), sizeof(frame));
	if (len)
		assert_int_equal(send(fd, payload, len, 0), len);
	turns(w);
	return fd;
}

static int follow(struct world *w, const struct service *s)
{
	const struct xct_flow_follow all = { .types = UINT32_MAX };
	struct xct_frame frame;
	int fd = ask(w, s, XCT_REQ_EVENTS, &all, sizeof(all));

	assert_int_equal(recv(fd, &frame, sizeof(frame), 0), sizeof(frame));
	assert_int_equal(frame.type, XCT_RSP_EVENTS);
	assert_int_equal(frame.len, 0);
	return fd;
}

/* Read all that comes; returns how many events, and the sum of the missed. */
static uint64_t drain(struct world *w, int fd, uint64_t *missed)
{
	static uint8_t payload[XCT_FRAME_MAX];
	struct xct_flow_event event;
	struct xct_frame frame;
	uint64_t n = 0;

	for (*missed = 0; recv(fd, &frame, sizeof(frame), 0) > 0;) {
		assert_int_equal(frame.type, XCT_RSP_EVENTS);
		for (uint32_t got = 0; got < frame.len;) {
			ssize_t len =
				recv(fd, payload + got, frame.len - got, 0);

			if (len < 0)
				turns(w);
			else
				got += (uint32_t)len;
		}
		for (uint32_t at = 0; at < frame.len; at += sizeof(event)) {
			memcpy(&event, payload + at, sizeof(event));
			*missed += event.missed;
			n += event.type != XCT_FLOW_MISSED;
		}
		turns(w);
	}
	return n;
}

static void who_does_not_read_holds_nobody_up(void **state)
{
	struct world *w = *state;
	struct service s;
	uint64_t missed, got;
	struct xct_frame frames[2];
	int asleep, awake, other;

	serve(w, &s);
	assert_int_equal(create(w, 1), 0);
	asleep = follow(w, &s);
	awake = follow(w, &s);
	for (int i = 0; i < 4; i++) {
		change(w, XCT_FEED_SIZE / 2);
		turns(w);
		got = drain(w, awake, &missed);
		assert_int_equal(got, XCT_FEED_SIZE / 2);
		assert_int_equal(missed, 0);
	}
	other = ask(w, &s, XCT_REQ_COUNT, NULL, 0);
	assert_true(recv(other, frames, sizeof(frames), 0) > 0);
	got = drain(w, asleep, &missed);
	assert_in_range(got, XCT_FEED_SIZE, 2 * XCT_FEED_SIZE - 1);
	assert_int_equal(got + missed, 2 * XCT_FEED_SIZE);

	/* Both leave: one by closing, one by talking. */
	close(asleep);
	assert_int_equal(send(awake, "x", 1, 0), 1);
	turns(w);
	assert_int_equal(stats_of(w).readers, 0);
	close(awake);
	close(other);
	end_service(&s);
}

static void one_too_many_is_told_so(void **state)
{
	const struct xct_flow_follow all = { .types = UINT32_MAX };
	struct world *w = *state;
	struct xct_frame_end end;
	int fds[XCT_FEED_READERS], fd;
	struct xct_frame frame;
	struct service s;

	serve(w, &s);
	for (int i = 0; i < XCT_FEED_READERS; i++)
		fds[i] = follow(w, &s);
	fd = ask(w, &s, XCT_REQ_EVENTS, &all, sizeof(all));
	assert_int_equal(recv(fd, &frame, sizeof(frame), 0), sizeof(frame));
	assert_int_equal(frame.type, XCT_RSP_END);
	assert_int_equal(recv(fd, &end, sizeof(end), 0), sizeof(end));
	assert_int_equal(end.status, XCT_END_FAILED);
	assert_int_equal(end.error, EUSERS);
	close(fd);
	for (int i = 0; i < XCT_FEED_READERS; i++)
		close(fds[i]);
	end_service(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_written_while_nobody_reads),
		TEST(events_come_once_in_order_and_numbered),
		TEST(times_are_of_the_wall_clock),
		TEST(who_is_overtaken_is_told_how_many_are_missing),
		TEST(each_reader_has_its_own_place),
		TEST(readers_get_what_they_asked_for),
		TEST(there_is_a_limit_to_readers),
		TEST(what_a_client_does_bears_its_number),
		TEST(a_packet_raises_one_event_or_none),
		TEST(a_refused_connection_ends_unanswered),
		TEST(what_is_not_accepted_was_never_there),
		TEST(a_translated_flow_begins_when_it_is_accepted),
		TEST(eviction_and_reopening_are_ends),
		TEST(who_does_not_read_holds_nobody_up),
		TEST(one_too_many_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
