/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket's server: a real socket in a temporary directory, a real
 * epoll loop, and an engine that only holds numbered flows.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/control.h"
#include "daemon/loop.h"

#define FLOWS	 100000
#define NOBODY	 65534
#define TEXT_LEN 600000 /* more than two frames */

static time_t clock_offset; /* seconds that tests have let pass */

/* Takes the C library's place. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += clock_offset;
	return rc;
}

struct server {
	char dir[64];
	char path[80];
	int epoll_fd;
	int listen_fd;
	struct xct_control *ctl;
	struct xct_control_ops ops;

	uint32_t n_flows;
	bool is_deleted[FLOWS];
	unsigned int walks, reloads, updates, creates;
	uint32_t mark;
	bool reload_fails;
};

/* ------------------------------------------------------- what ops stand for */

static void fake_settle(void *ctx)
{
	(void)ctx; /* nothing is on its way */
}

/* What an update asks for is noted, not done. */
static bool fake_walk(void *ctx, enum xct_walk walk, uint32_t *cursor,
		      const struct xct_flow_update *update, uint32_t max,
		      bool (*fn)(void *arg, const struct xct_flow_info *info),
		      void *arg)
{
	const struct xct_flow_filter *filter = &update->filter;
	struct server *s = ctx;
	struct xct_flow_info info;

	s->walks++;
	if (walk == XCT_WALK_UPDATE) {
		s->updates++;
		s->mark = update->change.mark;
	}
	assert_in_range(max, 1, 1024);
	for (; *cursor < s->n_flows && max > 0; max--) {
		uint32_t i = (*cursor)++;

		memset(&info, 0, sizeof(info));
		info.id = i + 1;
		if (s->is_deleted[i] ||
		    (filter->fields & XCT_FILTER_ID && filter->id != info.id))
			continue;
		s->is_deleted[i] = walk == XCT_WALK_DELETE;
		if (!fn(arg, &info))
			return true;
	}
	return *cursor < s->n_flows;
}

static int fake_create(void *ctx, const struct xct_flow_create *req)
{
	struct server *s = ctx;

	s->creates++;
	return req->change.mark ? -(int)req->change.mark : 0;
}

static bool fake_save(void *ctx, uint32_t *cursor, uint32_t max,
		      bool (*fn)(void *arg, const struct xct_saved_flow *saved),
		      void *arg)
{
	struct server *s = ctx;
	struct xct_saved_flow saved = { .id = 0 };

	assert_in_range(max, 1, 1024);
	for (; *cursor < s->n_flows && max > 0; max--) {
		saved.id = ++*cursor;
		if (!fn(arg, &saved))
			return true;
	}
	return *cursor < s->n_flows;
}

/* Flows with an odd id are there already. */
static void fake_restore(void *ctx, const struct xct_saved_flow *flows,
			 size_t n, uint32_t results[static XCT_RESTORED_COUNT])
{
	struct server *s = ctx;

	for (size_t i = 0; i < n; i++)
		results[flows[i].id % 2 ? XCT_RESTORED_EXISTS
					: XCT_RESTORED_LOADED]++;
	s->creates += (unsigned int)n;
}

static void fake_written(void *ctx, const struct xct_frame_written *written)
{
	struct server *s = ctx;

	s->mark = written->error;
}

static uint32_t fake_count(void *ctx)
{
	const struct server *s = ctx;
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n_flows; i++)
		n += !s->is_deleted[i];
	return n;
}

static char *fake_stats(void *ctx)
{
	(void)ctx;
	return strdup("{\"flows\": 1}");
}

static char *fake_rules(void *ctx)
{
	char *text = malloc(TEXT_LEN + 1);

	(void)ctx;
	assert_non_null(text);
	for (size_t i = 0; i < TEXT_LEN; i++)
		text[i] = (char)('a' + i % 23);
	text[TEXT_LEN] = '\0';
	return text;
}

static char *fake_status(void *ctx)
{
	(void)ctx;
	return NULL; /* no memory */
}

static char *fake_hooks(void *ctx)
{
	(void)ctx;
	return strdup("*raw\n");
}

/* Its own standard error will do for a descriptor. */
static int fake_takeover(void *ctx,
			 bool (*fn)(void *arg, const char *name, int fd),
			 void *arg)
{
	(void)ctx;
	(void)fn(arg, "xct-flows", STDERR_FILENO);
	return 0;
}

static void fake_leave(void *ctx)
{
	(void)ctx;
}

static bool fake_reload(void *ctx, char **text)
{
	struct server *s = ctx;

	s->reloads++;
	*text = s->reload_fails ? strdup("rules.yaml:1:1: no\n") : NULL;
	return !s->reload_fails;
}

/* ----------------------------------------------------------------- fixture */

static int setup(void **state)
{
	struct server *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	clock_offset = 0;
	strcpy(s->dir, "/tmp/xct-control-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	assert_int_equal(chmod(s->dir, 0755), 0);
	snprintf(s->path, sizeof(s->path), "%s/sock", s->dir);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->listen_fd = xct_control_listen(s->path, "");
	assert_true(s->listen_fd >= 0);
	s->n_flows = 3;
	s->ops = (struct xct_control_ops){ .settle = fake_settle,
					   .walk = fake_walk,
					   .create = fake_create,
					   .save = fake_save,
					   .restore = fake_restore,
					   .written = fake_written,
					   .count = fake_count,
					   .stats = fake_stats,
					   .rules = fake_rules,
					   .status = fake_status,
					   .hooks = fake_hooks,
					   .reload = fake_reload,
					   .takeover = fake_takeover,
					   .leave = fake_leave,
					   .ctx = s };
	s->ctl = xct_control_new(s->epoll_fd, s->listen_fd, &s->ops);
	assert_non_null(s->ctl);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct server *s = *state;

	xct_control_free(s->ctl);
	close(s->listen_fd);
	close(s->epoll_fd);
	unlink(s->path);
	rmdir(s->dir);
	free(s);
	return 0;
}

/* One turn of the main loop: false if there was nothing to do. */
static bool turn(struct server *s)
{
	struct epoll_event ev[8];
	int n = epoll_wait(s->epoll_fd, ev, 8, 0);

	for (int i = 0; i < n; i++) {
		struct xct_poll *p = ev[i].data.ptr;

		p->ready(p, ev[i].events);
	}
	return n > 0;
}

/* Turn until nothing is left to do: a server that spins never gets there. */
static void settle(struct server *s)
{
	for (int i = 0; turn(s); i++)
		assert_in_range(i, 0, 10000);
}

static int dial(const struct server *s)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sun.sun_path, s->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

/* A successor asks as it always did. */
static uint32_t magic_of(uint16_t type)
{
	return type == XCT_REQ_TAKEOVER || type == XCT_REQ_LEAVE
		       ? 0x58435402
		       : XCT_FRAME_MAGIC;
}

static void ask(int fd, uint16_t type, const void *payload, uint32_t len)
{
	struct xct_frame frame = { .magic = magic_of(type),
				   .len = len,
				   .type = type };

	assert_int_equal(send(fd, &frame, sizeof(frame), 0), sizeof(frame));
	if (len)
		assert_int_equal(send(fd, payload, len, 0), len);
}

static void ask_flows(int fd, uint16_t type, uint64_t id)
{
	struct xct_flow_filter filter = { 0 };

	filter.fields = id ? XCT_FILTER_ID : 0;
	filter.id = id;
	ask(fd, type, &filter, sizeof(filter));
}

/* Read exactly @len bytes while the server runs. False at the end. */
static bool read_all(struct server *s, int fd, void *buf, size_t len)
{
	size_t have = 0;

	for (int idle = 0; have < len;) {
		ssize_t n = recv(fd, (char *)buf + have, len - have, 0);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return false;
		if (n > 0)
			have += (size_t)n;
		else if (turn(s))
			idle = 0;
		else
			assert_in_range(++idle, 0, 3); /* else it hangs */
	}
	return true;
}

struct reply {
	struct xct_frame_end end;
	unsigned int frames;
	uint64_t first_id, last_id, flows; /* must rise */
	char *text;
	size_t text_len;
	uint16_t text_type;
};

/* Read one whole answer; the text is freed by the caller. */
static struct reply reply_to(struct server *s, int fd)
{
	static uint8_t buf[XCT_FRAME_MAX];
	struct reply r = { 0 };
	struct xct_flow_info info;
	struct xct_frame frame;

	for (;; r.frames++) {
		assert_true(read_all(s, fd, &frame, sizeof(frame)));
		assert_int_equal(frame.magic, XCT_FRAME_MAGIC);
		assert_int_equal(frame.flags, 0);
		assert_in_range(frame.len, 1, XCT_FRAME_MAX);
		assert_true(read_all(s, fd, buf, frame.len));
		if (frame.type == XCT_RSP_END) {
			assert_int_equal(frame.len, sizeof(r.end));
			memcpy(&r.end, buf, sizeof(r.end));
			return r;
		}
		if (frame.type != XCT_RSP_FLOWS) {
			r.text_type = frame.type;
			r.text = realloc(r.text, r.text_len + frame.len + 1);
			assert_non_null(r.text);
			memcpy(r.text + r.text_len, buf, frame.len);
			r.text_len += frame.len;
			r.text[r.text_len] = '\0';
			continue;
		}
		assert_int_equal(frame.len % sizeof(info), 0);
		for (size_t i = 0; i < frame.len; i += sizeof(info)) {
			memcpy(&info, buf + i, sizeof(info));
			assert_true(info.id > r.last_id);
			r.last_id = info.id;
			if (r.flows++ == 0)
				r.first_id = info.id;
		}
	}
}

static void assert_is_closed(struct server *s, int fd)
{
	char c;

	settle(s);
	assert_false(read_all(s, fd, &c, 1));
	close(fd);
}

/* Somebody else is still served. */
static void assert_serves(struct server *s)
{
	int fd = dial(s);

	ask(fd, XCT_REQ_COUNT, NULL, 0);
	assert_int_equal(reply_to(s, fd).end.status, XCT_END_OK);
	close(fd);
	settle(s);
}

/* ------------------------------------------------------------------- tests */

static void flows_are_counted(void **state)
{
	struct server *s = *state;
	int fd = dial(s);
	struct reply r;

	ask(fd, XCT_REQ_COUNT, NULL, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.end.count, 3);
	assert_int_equal(r.frames, 0);
	close(fd);
}

static void large_dump_arrives_whole_in_frames(void **state)
{
	struct server *s = *state;
	int fd = dial(s);
	struct reply r;

	s->n_flows = FLOWS;
	ask_flows(fd, XCT_REQ_LIST, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.end.count, FLOWS);
	assert_int_equal(r.flows, FLOWS);
	assert_int_equal(r.last_id, FLOWS);
	assert_true(s->walks >= FLOWS / 1024);
	/* Frames are filled, not one per walk. */
	assert_true(r.frames <
		    4 * FLOWS * sizeof(struct xct_flow_info) / XCT_FRAME_MAX);

	/* One needle: many walks, one flow. */
	ask_flows(fd, XCT_REQ_LIST, FLOWS - 1);
	r = reply_to(s, fd);
	assert_int_equal(r.flows, 1);
	assert_int_equal(r.last_id, FLOWS - 1);
	assert_int_equal(fake_count(s), FLOWS);
	close(fd);
}

static void frame_is_filled_to_the_brim_and_not_beyond(void **state)
{
	struct server *s = *state;
	size_t half = XCT_FRAME_MAX / 2 / sizeof(struct xct_flow_info);
	size_t n_deleted = 1024 - (half - 1);
	int fd = dial(s);
	struct reply r;

	/* The first walks leave the frame just short of half full: one more. */
	memset(s->is_deleted, true, n_deleted);
	s->n_flows = 4096;
	ask_flows(fd, XCT_REQ_LIST, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.flows, 4096 - n_deleted);
	close(fd);
}

static void one_step_looks_at_part_of_the_table(void **state)
{
	struct server *s = *state;
	int fd = dial(s);

	s->n_flows = FLOWS;
	ask_flows(fd, XCT_REQ_LIST, FLOWS);
	while (!s->walks)
		assert_true(turn(s));
	assert_in_range(s->walks, 1, 64);
	close(fd);
}

static void slow_reader_stalls_nobody(void **state)
{
	struct server *s = *state;
	int slow = dial(s);
	struct reply r;

	s->n_flows = FLOWS;
	ask_flows(slow, XCT_REQ_LIST, 0);
	settle(s);
	assert_true(s->walks < FLOWS / 1024 / 2);
	assert_serves(s);
	settle(s);
	assert_true(s->walks < FLOWS / 1024 / 2);
	r = reply_to(s, slow);
	assert_int_equal(r.flows, FLOWS);
	close(slow);
}

static void reader_that_leaves_takes_its_dump_along(void **state)
{
	struct server *s = *state;
	int fd = dial(s);

	s->n_flows = FLOWS;
	ask_flows(fd, XCT_REQ_LIST, 0);
	settle(s);
	close(fd);
	settle(s);
	assert_true(s->walks < FLOWS / 1024 / 2);
	assert_serves(s);
}

static void reader_stuck_for_a_minute_is_dropped(void **state)
{
	struct server *s = *state;
	int stuck = dial(s), idle = dial(s);
	struct pollfd hangup = { .fd = stuck, .events = POLLRDHUP };
	char buf[4096];
	ssize_t n;

	s->n_flows = FLOWS;
	ask_flows(stuck, XCT_REQ_LIST, 0);
	settle(s);
	clock_offset = 59;
	assert_serves(s);
	assert_int_equal(poll(&hangup, 1, 0), 0);
	clock_offset = 61;
	assert_serves(s);
	do
		n = recv(stuck, buf, sizeof(buf), 0);
	while (n > 0);
	assert_int_equal(n, 0);
	close(stuck);

	/* One that asks for nothing takes nothing: it may stay. */
	ask(idle, XCT_REQ_COUNT, NULL, 0);
	assert_int_equal(reply_to(s, idle).end.count, FLOWS);
	close(idle);
}

static void client_beyond_the_limit_is_refused(void **state)
{
	struct server *s = *state;
	int fds[64], fd;

	for (int i = 0; i < 64; i++) {
		fds[i] = dial(s);
		settle(s);
	}
	assert_is_closed(s, dial(s));
	ask(fds[63], XCT_REQ_COUNT, NULL, 0);
	assert_int_equal(reply_to(s, fds[63]).end.count, 3);

	assert_int_equal(xct_control_counters(s->ctl)->refused, 1);

	/* A second later the one that was silent for longest has to go, and
	 * no other. */
	clock_offset = 2;
	ask(fds[0], XCT_REQ_COUNT, NULL, 0);
	assert_int_equal(reply_to(s, fds[0]).end.count, 3);
	fd = dial(s);
	ask(fd, XCT_REQ_COUNT, NULL, 0);
	assert_int_equal(reply_to(s, fd).end.count, 3);
	assert_is_closed(s, fds[1]);
	assert_int_equal(xct_control_counters(s->ctl)->dropped, 1);
	close(fd);
	for (int i = 0; i < 64; i++) {
		if (i == 1)
			continue;
		ask(fds[i], XCT_REQ_COUNT, NULL, 0);
		assert_int_equal(reply_to(s, fds[i]).end.count, 3);
		close(fds[i]);
	}
}

static void garbage_ends_the_connection(void **state)
{
	static const struct xct_frame bad[] = {
		{ XCT_FRAME_MAGIC + 1, 0, XCT_REQ_COUNT, 0 },
		{ 0, 0, 0, 0 },
		{ XCT_FRAME_MAGIC, 0, 0, 0 },
		{ XCT_FRAME_MAGIC, 0, XCT_REQ_RESTORE + 1, 0 },
		{ XCT_FRAME_MAGIC, 0, XCT_RSP_END, 0 },
		{ XCT_FRAME_MAGIC, 0, XCT_REQ_COUNT, 1 },
		{ XCT_FRAME_MAGIC, XCT_REQUEST_MAX + 1, XCT_REQ_LIST, 0 },
		{ XCT_FRAME_MAGIC, UINT32_MAX, XCT_REQ_LIST, 0 },
	};
	struct server *s = *state;

	for (size_t i = 0; i < XCT_ARRAY_SIZE(bad); i++) {
		int fd = dial(s);

		assert_int_equal(send(fd, &bad[i], sizeof(bad[i]), 0),
				 sizeof(bad[i]));
		assert_is_closed(s, fd);
	}
	assert_serves(s);
}

static void random_bytes_do_no_harm(void **state)
{
	struct server *s = *state;
	uint8_t buf[8192];

	srandom(1);
	for (int i = 0; i < 500; i++) {
		struct xct_frame frame = { XCT_FRAME_MAGIC,
					   (uint32_t)random() % 5000,
					   (uint16_t)(random() % 14), 0 };
		size_t len = (size_t)random() % sizeof(buf);
		int fd = dial(s);

		for (size_t j = 0; j < len; j++)
			buf[j] = (uint8_t)random();
		if (i % 4 && len >= sizeof(frame)) /* past the first check */
			memcpy(buf, &frame, sizeof(frame));
		(void)!send(fd, buf, len, MSG_NOSIGNAL);
		settle(s);
		close(fd);
		settle(s);
	}
	assert_serves(s);
}

static void payload_of_the_wrong_size_is_a_bad_request(void **state)
{
	static const uint8_t payload[XCT_REQUEST_MAX];
	static const struct {
		uint16_t type;
		uint32_t len;
	} bad[] = {
		{ XCT_REQ_LIST, 0 },
		{ XCT_REQ_LIST, sizeof(struct xct_flow_filter) - 1 },
		{ XCT_REQ_DELETE, sizeof(struct xct_flow_filter) + 1 },
		{ XCT_REQ_FLUSH, sizeof(struct xct_flow_filter) },
		{ XCT_REQ_COUNT, 1 },
		{ XCT_REQ_RELOAD, XCT_REQUEST_MAX },
		{ XCT_REQ_UPDATE, sizeof(struct xct_flow_filter) },
		{ XCT_REQ_UPDATE, sizeof(struct xct_flow_update) + 1 },
		{ XCT_REQ_CREATE, 0 },
		{ XCT_REQ_CREATE, sizeof(struct xct_flow_create) - 1 },
	};
	struct server *s = *state;
	int fd = dial(s);

	for (size_t i = 0; i < XCT_ARRAY_SIZE(bad); i++) {
		struct reply r;

		ask(fd, bad[i].type, payload, bad[i].len);
		r = reply_to(s, fd);
		assert_int_equal(r.end.status, XCT_END_BAD_REQUEST);
		assert_int_equal(r.frames, 0);
	}
	assert_int_equal(fake_count(s), 3);
	assert_int_equal(s->reloads + s->updates + s->creates, 0);
	close(fd);
}

static void request_may_come_in_single_bytes(void **state)
{
	struct server *s = *state;
	struct xct_frame frame = { XCT_FRAME_MAGIC, 0, XCT_REQ_COUNT, 0 };
	int fd = dial(s);

	for (size_t i = 0; i < sizeof(frame); i++) {
		assert_int_equal(send(fd, (char *)&frame + i, 1, 0), 1);
		settle(s);
	}
	assert_int_equal(reply_to(s, fd).end.count, 3);
	close(fd);
}

static void requests_sent_ahead_are_answered_in_order(void **state)
{
	struct server *s = *state;
	int fd = dial(s);

	for (uint64_t id = 1; id <= 3; id++)
		ask_flows(fd, XCT_REQ_LIST, id);
	ask(fd, XCT_REQ_COUNT, NULL, 0);
	ask(fd, XCT_REQ_LIST, NULL, 0);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(reply_to(s, fd).last_id, id);
	assert_int_equal(reply_to(s, fd).end.count, 3);
	assert_int_equal(reply_to(s, fd).end.status, XCT_END_BAD_REQUEST);
	assert_is_closed(s, fd);
}

static void long_text_is_split_into_frames(void **state)
{
	struct server *s = *state;
	char *want = fake_rules(s);
	int fd = dial(s);
	struct reply r;

	ask(fd, XCT_REQ_RULES, NULL, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.frames, 3);
	assert_int_equal(r.text_type, XCT_RSP_JSON);
	assert_int_equal(r.text_len, TEXT_LEN);
	assert_memory_equal(r.text, want, TEXT_LEN);
	free(r.text);
	free(want);

	ask(fd, XCT_REQ_HOOKS, NULL, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.text_type, XCT_RSP_TEXT);
	assert_string_equal(r.text, "*raw\n");
	free(r.text);

	ask(fd, XCT_REQ_STATS, NULL, 0);
	r = reply_to(s, fd);
	assert_string_equal(r.text, "{\"flows\": 1}");
	free(r.text);

	ask(fd, XCT_REQ_STATUS, NULL, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_FAILED);
	close(fd);
}

static void delete_shows_what_it_deleted(void **state)
{
	struct server *s = *state;
	int fd = dial(s);
	struct reply r;

	ask_flows(fd, XCT_REQ_DELETE, 2);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.end.count, 1);
	assert_int_equal(r.first_id, 2);
	assert_int_equal(fake_count(s), 2);
	ask_flows(fd, XCT_REQ_DELETE, 2);
	r = reply_to(s, fd);
	assert_int_equal(r.end.count, 0);
	assert_int_equal(r.frames, 0);
	close(fd);
}

static void flush_counts_and_shows_nothing(void **state)
{
	struct server *s = *state;
	int fd = dial(s);
	struct reply r;

	s->n_flows = FLOWS;
	ask(fd, XCT_REQ_FLUSH, NULL, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.end.count, FLOWS);
	assert_int_equal(r.frames, 0);
	assert_int_equal(fake_count(s), 0);
	close(fd);
}

static void a_snapshot_is_read_in_frames_of_whole_flows(void **state)
{
	struct xct_frame_written written = { .error = ENOSPC };
	struct server *s = *state;
	struct xct_saved_flow saved;
	int fd = dial(s);
	struct reply r;

	s->n_flows = FLOWS;
	ask(fd, XCT_REQ_SAVE, NULL, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.end.count, FLOWS);
	assert_int_equal(r.text_type, XCT_RSP_SAVED);
	assert_int_equal(r.text_len, FLOWS * sizeof(saved));
	for (uint32_t i = 0; i < FLOWS; i++) {
		memcpy(&saved, r.text + i * sizeof(saved), sizeof(saved));
		assert_int_equal(saved.id, i + 1);
	}
	free(r.text);
	ask(fd, XCT_REQ_WRITTEN, &written, sizeof(written));
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(s->mark, ENOSPC);
	close(fd);
}

static void restoring_says_what_became_of_each(void **state)
{
	struct xct_saved_flow flows[XCT_RESTORE_MAX] = { { .id = 0 } };
	uint32_t results[XCT_RESTORED_COUNT];
	struct server *s = *state;
	int fd = dial(s);
	struct reply r;

	for (size_t i = 0; i < XCT_RESTORE_MAX; i++)
		flows[i].id = i;
	ask(fd, XCT_REQ_RESTORE, flows, sizeof(flows));
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.end.count, XCT_RESTORE_MAX - XCT_RESTORE_MAX / 2);
	assert_int_equal(r.text_type, XCT_RSP_RESTORED);
	assert_int_equal(r.text_len, sizeof(results));
	memcpy(results, r.text, sizeof(results));
	assert_int_equal(results[XCT_RESTORED_EXISTS], XCT_RESTORE_MAX / 2);
	free(r.text);
	/* None at all, and one that is cut off. */
	ask(fd, XCT_REQ_RESTORE, NULL, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	free(r.text);
	ask(fd, XCT_REQ_RESTORE, flows, sizeof(flows) - 1);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_BAD_REQUEST);
	assert_int_equal(s->creates, XCT_RESTORE_MAX);
	close(fd);
}

static void update_shows_what_it_changed(void **state)
{
	struct xct_flow_update update = {
		.change = { .fields = XCT_CHANGE_MARK, .mark = 7 },
	};
	struct server *s = *state;
	int fd = dial(s);
	struct reply r;

	s->n_flows = FLOWS;
	ask(fd, XCT_REQ_UPDATE, &update, sizeof(update));
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.end.count, FLOWS);
	assert_int_equal(r.flows, FLOWS);
	assert_int_equal(s->mark, 7);
	/* What is no change is refused before a flow is looked at. */
	s->updates = 0;
	update.change.fields = XCT_CHANGE_TIMEOUT;
	ask(fd, XCT_REQ_UPDATE, &update, sizeof(update));
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_FAILED);
	assert_int_equal(r.end.error, EINVAL);
	update.change.fields = XCT_CHANGE_STATUS;
	update.change.status = XCT_STATUS_DYING;
	ask(fd, XCT_REQ_UPDATE, &update, sizeof(update));
	assert_int_equal(reply_to(s, fd).end.error, EBUSY);
	assert_int_equal(s->updates, 0);
	close(fd);
}

static void create_says_why_not(void **state)
{
	struct xct_flow_create req = { 0 };
	struct server *s = *state;
	int fd = dial(s);
	struct reply r;

	ask(fd, XCT_REQ_CREATE, &req, sizeof(req));
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.end.count, 1);
	req.change.mark = EEXIST;
	ask(fd, XCT_REQ_CREATE, &req, sizeof(req));
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_FAILED);
	assert_int_equal(r.end.error, EEXIST);
	assert_int_equal(r.end.count, 0);
	assert_int_equal(s->creates, 2);
	close(fd);
}

static void a_successor_is_given_descriptors_by_name(void **state)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct server *s = *state;
	struct {
		struct xct_frame frame;
		char name[9];
	} got;
	struct iovec iov = { &got, sizeof(got.frame) + sizeof(got.name) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd = dial(s), passed = -1;
	const struct cmsghdr *cmsg;

	ask(fd, XCT_REQ_TAKEOVER, NULL, 0);
	settle(s);
	assert_int_equal(recvmsg(fd, &msg, MSG_WAITALL), iov.iov_len);
	assert_int_equal(got.frame.magic, magic_of(XCT_REQ_TAKEOVER));
	assert_int_equal(got.frame.type, XCT_RSP_FD);
	assert_memory_equal(got.name, "xct-flows", sizeof(got.name));
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg)
		fail_msg("no descriptor came");
	else
		memcpy(&passed, CMSG_DATA(cmsg), sizeof(passed));
	assert_true(fcntl(passed, F_GETFD) >= 0);
	close(passed);
	close(fd);
}

static void reload_says_how_it_went(void **state)
{
	struct server *s = *state;
	int fd = dial(s);
	struct reply r;

	ask(fd, XCT_REQ_RELOAD, NULL, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.frames, 0);
	s->reload_fails = true;
	ask(fd, XCT_REQ_RELOAD, NULL, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_CONFIG);
	assert_string_equal(r.text, "rules.yaml:1:1: no\n");
	free(r.text);
	assert_int_equal(s->reloads, 2);
	close(fd);
}

/* What a user without rights is told. Runs in a process of its own. */
static int visit_as_nobody(const struct server *s)
{
	static const struct {
		uint16_t type;
		uint32_t len;
	} changes[] = {
		{ XCT_REQ_DELETE, sizeof(struct xct_flow_filter) },
		{ XCT_REQ_FLUSH, 0 },
		{ XCT_REQ_RELOAD, 0 },
		{ XCT_REQ_TAKEOVER, 0 },
		{ XCT_REQ_LEAVE, 0 },
		{ XCT_REQ_UPDATE, sizeof(struct xct_flow_update) },
		{ XCT_REQ_CREATE, sizeof(struct xct_flow_create) },
		{ XCT_REQ_SAVE, 0 },
		{ XCT_REQ_WRITTEN, sizeof(struct xct_frame_written) },
		{ XCT_REQ_RESTORE, sizeof(struct xct_saved_flow) },
	};
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const uint8_t payload[XCT_REQUEST_MAX] = { 0 };
	struct xct_frame frame = { XCT_FRAME_MAGIC, 0, XCT_REQ_COUNT, 0 };
	struct xct_frame_end end;
	char text[512];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sun.sun_path, s->path);
	if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 ||
	    setuid(NOBODY) < 0 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return 1;
	send(fd, &frame, sizeof(frame), 0);
	recv(fd, &frame, sizeof(frame), MSG_WAITALL);
	recv(fd, &end, sizeof(end), MSG_WAITALL);
	if (end.status != XCT_END_OK || end.count != 3)
		return 2;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(changes); i++) {
		frame.magic = magic_of(changes[i].type);
		frame.type = changes[i].type;
		frame.len = changes[i].len;
		send(fd, &frame, sizeof(frame), 0);
		send(fd, payload, frame.len, 0);
		recv(fd, &frame, sizeof(frame), MSG_WAITALL);
		if (frame.type != XCT_RSP_TEXT || frame.len >= sizeof(text))
			return 3;
		recv(fd, text, frame.len, MSG_WAITALL);
		text[frame.len] = '\0';
		if (!strstr(text, "root") || !strstr(text, "65534"))
			return 4;
		recv(fd, &frame, sizeof(frame), MSG_WAITALL);
		recv(fd, &end, sizeof(end), MSG_WAITALL);
		if (frame.type != XCT_RSP_END || end.status != XCT_END_DENIED)
			return 5;
	}
	return 0;
}

static void stranger_may_read_but_not_change(void **state)
{
	struct server *s = *state;
	int status = 0;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(s->path, 0666), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(visit_as_nobody(s));
	for (int i = 0; i < 5000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
		turn(s);
		usleep(1000);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(fake_count(s), 3);
	assert_int_equal(s->reloads, 0);
}

static void socket_is_taken_over_only_from_the_dead(void **state)
{
	struct server *s = *state;
	char path[100], longer[200];
	struct stat st;
	int fd;

	/* The fixture's server lives, even if nobody accepts. */
	assert_int_equal(xct_control_listen(s->path, ""), -EADDRINUSE);
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0660);

	/* A directory that is missing is made; a dead socket is replaced. */
	snprintf(path, sizeof(path), "%s/sub/sock", s->dir);
	fd = xct_control_listen(path, "no-such-group");
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(stat(path, &st), 0);
	fd = xct_control_listen(path, "");
	assert_true(fd >= 0);
	assert_int_equal(xct_control_listen(path, ""), -EADDRINUSE);
	close(fd);
	unlink(path);

	/* What is no socket is not touched. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(xct_control_listen(path, ""), -ENOTSOCK);
	assert_int_equal(unlink(path), 0);
	*strrchr(path, '/') = '\0';
	rmdir(path);

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(xct_control_listen(longer, ""), -ENAMETOOLONG);
}

static void group_of_the_socket_is_set(void **state)
{
	struct server *s = *state;
	const struct group *gr = getgrnam("daemon");
	struct stat st;
	char path[100];
	int fd;

	if (geteuid() != 0 || !gr)
		skip();
	snprintf(path, sizeof(path), "%s/other", s->dir);
	fd = xct_control_listen(path, "daemon");
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_gid, gr->gr_gid);
	assert_int_equal(st.st_mode, S_IFSOCK | 0660);
	close(fd);
	unlink(path);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(flows_are_counted),
		TEST(large_dump_arrives_whole_in_frames),
		TEST(frame_is_filled_to_the_brim_and_not_beyond),
		TEST(one_step_looks_at_part_of_the_table),
		TEST(slow_reader_stalls_nobody),
		TEST(reader_that_leaves_takes_its_dump_along),
		TEST(reader_stuck_for_a_minute_is_dropped),
		TEST(client_beyond_the_limit_is_refused),
		TEST(garbage_ends_the_connection),
		TEST(random_bytes_do_no_harm),
		TEST(payload_of_the_wrong_size_is_a_bad_request),
		TEST(request_may_come_in_single_bytes),
		TEST(requests_sent_ahead_are_answered_in_order),
		TEST(long_text_is_split_into_frames),
		TEST(delete_shows_what_it_deleted),
		TEST(flush_counts_and_shows_nothing),
		TEST(a_snapshot_is_read_in_frames_of_whole_flows),
		TEST(restoring_says_what_became_of_each),
		TEST(update_shows_what_it_changed),
		TEST(create_says_why_not),
		TEST(a_successor_is_given_descriptors_by_name),
		TEST(reload_says_how_it_went),
		TEST(stranger_may_read_but_not_change),
		TEST(socket_is_taken_over_only_from_the_dead),
		TEST(group_of_the_socket_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
