/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket's server, and clients of it: a real socket in a temporary
 * directory, a real epoll loop, and an engine that only holds numbered flows.
 */
#ifndef XCT_TESTS_SERVER_H
#define XCT_TESTS_SERVER_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/control.h"
#include "daemon/loop.h"

#define FLOWS	 100000
#define TEXT_LEN 600000 /* more than two frames */

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
	uint32_t n_expects;
};

/* ------------------------------------------------------- what ops stand for */

static inline void fake_settle(void *ctx)
{
	(void)ctx; /* nothing is on its way */
}

/* What an update asks for is noted, not done. */
static inline bool
fake_walk(void *ctx, enum xct_walk walk, uint32_t *cursor,
	  const struct xct_flow_update *update, uint32_t max,
	  bool (*fn)(void *arg, const struct xct_flow_info *info), void *arg)
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

static inline int fake_create(void *ctx, const struct xct_flow_create *req)
{
	struct server *s = ctx;

	s->creates++;
	return req->change.mark ? -(int)req->change.mark : 0;
}

static inline bool
fake_save(void *ctx, uint32_t *cursor, uint32_t max,
	  bool (*fn)(void *arg, const struct xct_saved_flow *saved), void *arg)
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
static inline void fake_restore(void *ctx, const struct xct_saved_flow *flows,
				size_t n,
				uint32_t results[static XCT_RESTORED_COUNT])
{
	struct server *s = ctx;

	for (size_t i = 0; i < n; i++)
		results[flows[i].id % 2 ? XCT_RESTORED_EXISTS
					: XCT_RESTORED_LOADED]++;
	s->creates += (unsigned int)n;
}

static inline void fake_written(void *ctx,
				const struct xct_frame_written *written)
{
	struct server *s = ctx;

	s->mark = written->error;
}

/* The first is expected at port 1, and so on. */
static inline bool fake_expects(void *ctx, uint32_t *cursor, uint32_t max,
				bool (*fn)(void *arg,
					   const struct xct_expect_info *info),
				void *arg)
{
	const struct server *s = ctx;

	assert_in_range(max, 1, 1024);
	for (; *cursor < s->n_expects && max > 0; max--) {
		const struct xct_expect_info info = {
			.tuple.dport = xct_hton16((uint16_t)++ * cursor),
		};

		if (!fn(arg, &info))
			return true;
	}
	return *cursor < s->n_expects;
}

/* The last alone can be given up, or all. */
static inline bool fake_unexpect(void *ctx, uint32_t *cursor,
				 const struct xct_tuple *tuple, uint32_t max,
				 uint64_t *n)
{
	struct server *s = ctx;

	(void)cursor;
	assert_in_range(max, 1, 1024);
	if (!tuple->family)
		*n += s->n_expects;
	else if (s->n_expects && tuple->dport == xct_hton16(s->n_expects))
		(*n)++;
	s->n_expects -= (uint32_t)*n;
	return false;
}

static inline uint32_t fake_count(void *ctx)
{
	const struct server *s = ctx;
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n_flows; i++)
		n += !s->is_deleted[i];
	return n;
}

static inline char *fake_stats(void *ctx)
{
	(void)ctx;
	return strdup("{\"flows\": 1}");
}

static inline char *fake_rules(void *ctx)
{
	char *text = malloc(TEXT_LEN + 1);

	(void)ctx;
	assert_non_null(text);
	for (size_t i = 0; i < TEXT_LEN; i++)
		text[i] = (char)('a' + i % 23);
	text[TEXT_LEN] = '\0';
	return text;
}

static inline char *fake_status(void *ctx)
{
	(void)ctx;
	return NULL; /* no memory */
}

static inline char *fake_hooks(void *ctx)
{
	(void)ctx;
	return strdup("*raw\n");
}

/* Its own standard error will do for a descriptor. */
static inline int fake_takeover(void *ctx,
				bool (*fn)(void *arg, const char *name, int fd),
				void *arg)
{
	(void)ctx;
	(void)fn(arg, "xct-flows", STDERR_FILENO);
	return 0;
}

static inline void fake_leave(void *ctx)
{
	(void)ctx;
}

static inline bool fake_reload(void *ctx, char **text)
{
	struct server *s = ctx;

	s->reloads++;
	*text = s->reload_fails ? strdup("rules.yaml:1:1: no\n") : NULL;
	return !s->reload_fails;
}

/* ----------------------------------------------------------------- fixture */

static inline int setup(void **state)
{
	struct server *s = calloc(1, sizeof(*s));

	assert_non_null(s);
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
					   .expects = fake_expects,
					   .unexpect = fake_unexpect,
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

static inline int teardown(void **state)
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
static inline bool turn(struct server *s)
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
static inline void settle(struct server *s)
{
	for (int i = 0; turn(s); i++)
		assert_in_range(i, 0, 10000);
}

static inline int dial(const struct server *s)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sun.sun_path, s->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

/* A successor asks as it always did. */
static inline uint32_t magic_of(uint16_t type)
{
	return type == XCT_REQ_TAKEOVER || type == XCT_REQ_LEAVE
		       ? 0x58435402
		       : XCT_FRAME_MAGIC;
}

static inline void ask(int fd, uint16_t type, const void *payload, uint32_t len)
{
	struct xct_frame frame = { .magic = magic_of(type),
				   .len = len,
				   .type = type };

	assert_int_equal(send(fd, &frame, sizeof(frame), 0), sizeof(frame));
	if (len)
		assert_int_equal(send(fd, payload, len, 0), len);
}

static inline void ask_flows(int fd, uint16_t type, uint64_t id)
{
	struct xct_flow_filter filter = { 0 };

	filter.fields = id ? XCT_FILTER_ID : 0;
	filter.id = id;
	ask(fd, type, &filter, sizeof(filter));
}

/* Read exactly @len bytes while the server runs. False at the end. */
static inline bool read_all(struct server *s, int fd, void *buf, size_t len)
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
static inline struct reply reply_to(struct server *s, int fd)
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

static inline void assert_is_closed(struct server *s, int fd)
{
	char c;

	settle(s);
	assert_false(read_all(s, fd, &c, 1));
	close(fd);
}

/* Somebody else is still served. */
static inline void assert_serves(struct server *s)
{
	int fd = dial(s);

	ask(fd, XCT_REQ_COUNT, NULL, 0);
	assert_int_equal(reply_to(s, fd).end.status, XCT_END_OK);
	close(fd);
	settle(s);
}

#endif
