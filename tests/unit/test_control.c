/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket's server: how it treats its clients. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/server.h"

static time_t clock_offset; /* seconds that tests have let pass */

/* Takes the C library's place. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += clock_offset;
	return rc;
}

static int setup_now(void **state)
{
	clock_offset = 0;
	return setup(state);
}

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
		{ XCT_FRAME_MAGIC, 0, XCT_REQ_END, 0 },
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
		struct xct_frame frame = {
			XCT_FRAME_MAGIC, (uint32_t)random() % 5000,
			(uint16_t)(random() % (XCT_REQ_RESTORE + 2)), 0
		};
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
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_now, teardown)
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
		TEST(request_may_come_in_single_bytes),
		TEST(requests_sent_ahead_are_answered_in_order),
		TEST(socket_is_taken_over_only_from_the_dead),
		TEST(group_of_the_socket_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
