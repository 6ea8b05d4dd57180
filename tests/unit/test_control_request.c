/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What clients of the control socket ask for, and what they are told. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/server.h"

#define NOBODY 65534

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
		{ XCT_REQ_EXPECTS, 1 },
		{ XCT_REQ_UNEXPECT, sizeof(struct xct_tuple) - 1 },
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

static void expectations_are_listed_and_given_up(void **state)
{
	struct xct_tuple tuple = { .family = AF_INET };
	struct xct_expect_info info;
	struct server *s = *state;
	int fd = dial(s);
	struct reply r;

	s->n_expects = 5000;
	ask(fd, XCT_REQ_EXPECTS, NULL, 0);
	r = reply_to(s, fd);
	assert_int_equal(r.end.status, XCT_END_OK);
	assert_int_equal(r.end.count, 5000);
	assert_int_equal(r.text_type, XCT_RSP_EXPECTS);
	assert_int_equal(r.text_len, 5000 * sizeof(info));
	for (uint32_t i = 0; i < 5000; i++) {
		memcpy(&info, r.text + i * sizeof(info), sizeof(info));
		assert_int_equal(info.tuple.dport,
				 xct_hton16((uint16_t)(i + 1)));
	}
	free(r.text);

	tuple.dport = xct_hton16(5000);
	for (uint32_t n = 1; n <= 1; n--) {
		ask(fd, XCT_REQ_UNEXPECT, &tuple, sizeof(tuple));
		r = reply_to(s, fd);
		assert_int_equal(r.end.status, XCT_END_OK);
		assert_int_equal(r.end.count, n);
		assert_int_equal(s->n_expects, 4999);
	}
	memset(&tuple, 0, sizeof(tuple));
	ask(fd, XCT_REQ_UNEXPECT, &tuple, sizeof(tuple));
	r = reply_to(s, fd);
	assert_int_equal(r.end.count, 4999);
	assert_int_equal(s->n_expects, 0);
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
		{ XCT_REQ_UNEXPECT, sizeof(struct xct_tuple) },
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

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(payload_of_the_wrong_size_is_a_bad_request),
		TEST(long_text_is_split_into_frames),
		TEST(delete_shows_what_it_deleted),
		TEST(flush_counts_and_shows_nothing),
		TEST(a_snapshot_is_read_in_frames_of_whole_flows),
		TEST(restoring_says_what_became_of_each),
		TEST(update_shows_what_it_changed),
		TEST(create_says_why_not),
		TEST(expectations_are_listed_and_given_up),
		TEST(a_successor_is_given_descriptors_by_name),
		TEST(reload_says_how_it_went),
		TEST(stranger_may_read_but_not_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
