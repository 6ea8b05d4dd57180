/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serves xctctl over a unix stream socket.
 *
 * Theory of operation
 *
 * Each client has one request in work at most, and one output buffer. An event
 * on its descriptor takes one step: send what is in the buffer; if it is empty
 * go on with the request in work, or read the next one, until the buffer holds
 * something; send again. Then the main loop has its turn, so a long dump, even
 * to a client that reads as fast as it can, delays nothing else by more than
 * one step. A client is polled for writing while it has work or output, for
 * reading only when it has neither: it may send requests ahead, and they wait
 * in its input buffer and then in the kernel's.
 *
 * A client that follows events goes on with that until it leaves. It has nothing
 * to ask meanwhile, so it is polled for reading, which tells its end, and for
 * writing when the feed has something for it.
 *
 * All memory is the client's struct and the text of a JSON or TEXT answer,
 * which is sent from where it is. Half-read or never-read answers are bounded
 * in time: a client that reads nothing for CLIENT_TIMEOUT is dropped; and if
 * every place is taken, a new client gets that of the one that has been silent
 * for the longest time, if it has been so for CLIENT_GRACE. That is looked at
 * whenever some client does something, since then time passes too; without any
 * there is nobody whose place it could take. Another client than the one whose
 * event is handled may not be freed (the main loop may hold its next event
 * already): it is shut down, and freed when it hears of that.
 *
 * Who could connect may read: that is for the socket's mode and group to say.
 * Changes are for root and the user that xctd runs as.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/control.h"
#include "daemon/loop.h"

#define CLIENTS_MAX    64
#define CLIENT_TIMEOUT (60 * 1000) /* ms */
#define CLIENT_GRACE   1000	   /* ms */
#define WALK_RECORDS   256	   /* looked at under one hold of the lock */
#define WALK_CALLS     64	   /* in one step */

/* The end of an answer always fits behind a full frame. */
#define FRAME_SIZE sizeof(struct xct_frame)
#define END_SIZE   (FRAME_SIZE + sizeof(struct xct_frame_end))
#define OUT_SIZE   (FRAME_SIZE + XCT_FRAME_MAX + END_SIZE)
#define EVENTS_MAX (XCT_FRAME_MAX / sizeof(struct xct_flow_event))

enum work { WORK_NONE, WORK_WALK, WORK_TEXT, WORK_FOLLOW };

struct client {
	struct xct_poll poll; /* first: what epoll's data.ptr points to */
	struct xct_control *ctl;
	struct client *next;
	uid_t uid;
	pid_t pid;
	bool is_eof;	/* it will send no more */
	bool is_shut;	/* and will be freed when it hears of that */
	xct_msec alive; /* when it last could be read or written */

	/* The request in work, or answered last. */
	enum work work;
	uint16_t type;
	struct xct_frame_end end; /* of its answer */

	/* .. if it walks over the flows */
	uint32_t cursor;
	struct xct_flow_update update; /* LIST, DELETE: only its filter */
	xct_msec wall_ms;	       /* of this step, since 1970 */

	/* .. if it follows events */
	struct xct_feed_reader reader;

	/* .. if its answer is a text, from malloc */
	char *text;
	size_t text_len, text_off;
	uint16_t text_type;

	size_t in_len;
	size_t out_len, out_off;
	uint8_t in[FRAME_SIZE + XCT_REQUEST_MAX];
	uint8_t out[OUT_SIZE];
};

struct xct_control {
	struct xct_poll poll; /* of the listening socket */
	int epoll_fd;
	struct xct_control_ops ops;
	struct client *clients;
	unsigned int n_clients;
	struct xct_control_counters counters;
	struct xct_flow_event events[EVENTS_MAX]; /* on their way */
};

/* ----------------------------------------------------------------- output */

/* The magic of a request of @type, and of what answers it. */
static uint32_t magic_of(uint16_t type)
{
	return type == XCT_REQ_TAKEOVER || type == XCT_REQ_LEAVE
		       ? XCT_FRAME_MAGIC_TAKEOVER
		       : XCT_FRAME_MAGIC;
}

static void put_header(const struct client *c, uint8_t *at, uint16_t type,
		       size_t len)
{
	const struct xct_frame frame = { .magic = magic_of(c->type),
					 .len = (uint32_t)len,
					 .type = type };

	memcpy(at, &frame, sizeof(frame));
}

/* Close the answer: nothing of the request is left after this. */
static void put_end(struct client *c)
{
	assert(c->out_len + END_SIZE <= OUT_SIZE);
	put_header(c, c->out + c->out_len, XCT_RSP_END, sizeof(c->end));
	memcpy(c->out + c->out_len + FRAME_SIZE, &c->end, sizeof(c->end));
	c->out_len += END_SIZE;
	free(c->text);
	c->text = NULL;
	c->work = WORK_NONE;
}

/* Send what is there. False if the client is gone. */
static bool send_output(struct client *c)
{
	while (c->out_off < c->out_len) {
		ssize_t n = send(c->poll.fd, c->out + c->out_off,
				 c->out_len - c->out_off,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		c->out_off += (size_t)n;
	}
	c->out_off = c->out_len = 0;
	return true;
}

/* ------------------------------------------------------ requests: the walks */

/* A flow that was found. The buffer has room for it: only with room for
 * another one the walk goes on. */
static bool put_flow(void *arg, const struct xct_flow_info *info)
{
	struct client *c = arg;
	struct xct_flow_info told;

	c->end.count++;
	if (c->type == XCT_REQ_FLUSH)
		return true;
	told = *info;
	told.start_ms = c->wall_ms - info->age_ms;
	memcpy(c->out + c->out_len, &told, sizeof(told));
	c->out_len += sizeof(*info);
	return c->out_len + sizeof(*info) + END_SIZE <= OUT_SIZE;
}

/* The same for a snapshot. */
static bool put_saved(void *arg, const struct xct_saved_flow *saved)
{
	struct client *c = arg;

	c->end.count++;
	memcpy(c->out + c->out_len, saved, sizeof(*saved));
	c->out_len += sizeof(*saved);
	return c->out_len + sizeof(*saved) + END_SIZE <= OUT_SIZE;
}

/* Look at some records more. False: those were the last. */
static bool walk_on(struct client *c)
{
	const struct xct_control_ops *ops = &c->ctl->ops;
	enum xct_walk walk = XCT_WALK_DELETE;

	switch (c->type) {
	case XCT_REQ_SAVE:
		return ops->save(ops->ctx, &c->cursor, WALK_RECORDS, put_saved,
				 c);
	case XCT_REQ_UPDATE:
		walk = XCT_WALK_UPDATE;
		break;
	case XCT_REQ_LIST:
		walk = XCT_WALK_SHOW;
		break;
	}
	return ops->walk(ops->ctx, walk, &c->cursor, &c->update, WALK_RECORDS,
			 put_flow, c);
}

/* One step of a dump: a frame of flows, perhaps the last. */
static void work_walk(struct client *c)
{
	bool has_more = true;

	c->wall_ms = xct_clock_wall();
	c->out_len = FRAME_SIZE;
	for (int i = 0; i < WALK_CALLS && has_more; i++) {
		if (c->out_len >= OUT_SIZE / 2)
			break;
		has_more = walk_on(c);
	}
	if (c->out_len > FRAME_SIZE)
		put_header(c, c->out,
			   c->type == XCT_REQ_SAVE ? XCT_RSP_SAVED
						   : XCT_RSP_FLOWS,
			   c->out_len - FRAME_SIZE);
	else
		c->out_len = 0;
	if (!has_more)
		put_end(c);
}

/* ------------------------------------------------------ requests: the texts */

/* One step of an answer that is text: one frame of it. */
static void work_text(struct client *c)
{
	size_t len = c->text_len - c->text_off;

	if (len > XCT_FRAME_MAX)
		len = XCT_FRAME_MAX;
	if (len > 0) {
		put_header(c, c->out, c->text_type, len);
		memcpy(c->out + FRAME_SIZE, c->text + c->text_off, len);
		c->out_len = FRAME_SIZE + len;
		c->text_off += len;
	}
	if (c->text_off == c->text_len)
		put_end(c);
}

/* Answer with @text, from malloc; NULL: there was no memory for it. */
static void answer(struct client *c, uint16_t type, char *text,
		   enum xct_end_status status)
{
	if (!text && status == XCT_END_OK)
		status = XCT_END_FAILED;
	c->work = WORK_TEXT;
	c->text = text;
	c->text_len = text ? strlen(text) : 0;
	c->text_off = 0;
	c->text_type = type;
	c->end.status = (uint32_t)status;
}

static void deny(struct client *c)
{
	char *text = NULL;

	if (asprintf(&text,
		     "only root, or the user that xctd runs as (uid %u), may "
		     "change anything; this is uid %u\n",
		     (unsigned int)geteuid(), (unsigned int)c->uid) < 0)
		text = NULL;
	answer(c, XCT_RSP_TEXT, text, XCT_END_DENIED);
}

static void reload(struct client *c)
{
	const struct xct_control_ops *ops = &c->ctl->ops;
	char *text = NULL;
	bool is_new = ops->reload(ops->ctx, &text);

	answer(c, XCT_RSP_TEXT, text ? text : strdup(""),
	       is_new ? XCT_END_OK : XCT_END_CONFIG);
}

/* ------------------------------------------------------ requests: the flows */

/* End the answer of a request that was not (@error: why) or need not be worked
 * on. */
static void end_entry(struct client *c, int error)
{
	if (error < 0) {
		c->end.status = XCT_END_FAILED;
		c->end.error = (uint32_t)-error;
	}
	put_end(c);
}

static void create(struct client *c, const uint8_t *payload)
{
	const struct xct_control_ops *ops = &c->ctl->ops;
	struct xct_flow_create req;
	int ret;

	memcpy(&req, payload, sizeof(req));
	ret = ops->create(ops->ctx, &req);
	c->end.count = ret == 0;
	end_entry(c, ret);
}

/* Begin to go through the table. */
static void walk(struct client *c, const struct xct_frame *frame,
		 const uint8_t *payload)
{
	const struct xct_flow_update *update = &c->update;
	int proto = -1;
	int ret = 0;

	c->work = WORK_WALK;
	c->cursor = 0;
	memset(&c->update, 0, sizeof(c->update));
	memcpy(&c->update, payload, frame->len);
	if (update->filter.fields & XCT_FILTER_PROTO)
		proto = update->filter.proto;
	if (c->type == XCT_REQ_UPDATE)
		ret = xct_flow_change_check(&update->change, proto);
	if (ret < 0)
		end_entry(c, ret);
}

static void restore(struct client *c, const uint8_t *payload, size_t len)
{
	const struct xct_control_ops *ops = &c->ctl->ops;
	struct xct_saved_flow flows[XCT_RESTORE_MAX];
	uint32_t results[XCT_RESTORED_COUNT] = { 0 };

	memcpy(flows, payload, len);
	ops->restore(ops->ctx, flows, len / sizeof(*flows), results);
	put_header(c, c->out, XCT_RSP_RESTORED, sizeof(results));
	memcpy(c->out + FRAME_SIZE, results, sizeof(results));
	c->out_len = FRAME_SIZE + sizeof(results);
	c->end.count = results[XCT_RESTORED_LOADED];
	put_end(c);
}

static void note_written(struct client *c, const uint8_t *payload)
{
	const struct xct_control_ops *ops = &c->ctl->ops;
	struct xct_frame_written written;

	memcpy(&written, payload, sizeof(written));
	ops->written(ops->ctx, &written);
	put_end(c);
}

/* At once, and not through the buffer: a descriptor goes with its bytes. There
 * is room: nothing else is on its way to a client that asks for this. */
static bool send_fd(void *arg, const char *name, int fd)
{
	struct client *c = arg;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	uint8_t header[FRAME_SIZE];
	char *text = strdupa(name); /* iovec has no const */
	struct iovec iov[] = { { header, FRAME_SIZE }, { text, strlen(text) } };
	struct msghdr msg = { .msg_iov = iov,
			      .msg_iovlen = XCT_ARRAY_SIZE(iov),
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	put_header(c, header, XCT_RSP_FD, iov[1].iov_len);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(c->poll.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) ==
	    (ssize_t)(iov[0].iov_len + iov[1].iov_len))
		return true;
	c->end.status = XCT_END_FAILED;
	return false;
}

/* ----------------------------------------------------- requests: the events */

#define FROM_READER(r) \
	((struct client *)(void *)((char *)(r)-offsetof(struct client, reader)))

static void feed_ready(struct xct_feed_reader *reader)
{
	struct client *c = FROM_READER(reader);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT,
				  .data.ptr = &c->poll };

	/* It is registered, and this allocates nothing. */
	(void)epoll_ctl(c->ctl->epoll_fd, EPOLL_CTL_MOD, c->poll.fd, &ev);
}

/* Begin to follow; an empty frame says that it has begun. */
static void follow(struct client *c, const uint8_t *payload)
{
	struct xct_feed *feed = c->ctl->ops.feed;
	struct xct_flow_follow request;
	int ret;

	memcpy(&request, payload, sizeof(request));
	c->reader = (struct xct_feed_reader){ .ready = feed_ready };
	ret = feed ? xct_feed_join(feed, &c->reader, &request) : -ENOSYS;
	if (ret < 0) {
		end_entry(c, ret);
		return;
	}
	c->work = WORK_FOLLOW;
	put_header(c, c->out, XCT_RSP_EVENTS, 0);
	c->out_len = FRAME_SIZE;
}

/* One step of following: a frame of events, if there are any. */
static void work_follow(struct client *c)
{
	/* Where it is: FRAME_SIZE is no multiple of what these align to. */
	struct xct_flow_event *events = c->ctl->events;
	uint32_t n;

	if (c->out_len > 0)
		return; /* it has only just begun */
	n = xct_feed_read(&c->reader, events, EVENTS_MAX);
	if (n == 0)
		return;
	put_header(c, c->out, XCT_RSP_EVENTS, n * sizeof(*events));
	memcpy(c->out + FRAME_SIZE, events, n * sizeof(*events));
	c->out_len = FRAME_SIZE + n * sizeof(*events);
}

/* --------------------------------------------------------------- requests */

/* What a request carries. */
static size_t payload_size(uint16_t type)
{
	switch (type) {
	case XCT_REQ_LIST:
	case XCT_REQ_DELETE:
		return sizeof(struct xct_flow_filter);
	case XCT_REQ_UPDATE:
		return sizeof(struct xct_flow_update);
	case XCT_REQ_CREATE:
		return sizeof(struct xct_flow_create);
	case XCT_REQ_EVENTS:
		return sizeof(struct xct_flow_follow);
	case XCT_REQ_WRITTEN:
		return sizeof(struct xct_frame_written);
	default:
		return 0;
	}
}

/* Has a request of @type that many bytes? */
static bool is_payload_size(uint16_t type, size_t len)
{
	if (type == XCT_REQ_RESTORE)
		return len % sizeof(struct xct_saved_flow) == 0;
	return len == payload_size(type);
}

static bool is_change(uint16_t type)
{
	return type == XCT_REQ_DELETE || type == XCT_REQ_FLUSH ||
	       type == XCT_REQ_RELOAD || type == XCT_REQ_UPDATE ||
	       type == XCT_REQ_CREATE || type == XCT_REQ_TAKEOVER ||
	       type == XCT_REQ_LEAVE || type == XCT_REQ_SAVE ||
	       type == XCT_REQ_WRITTEN || type == XCT_REQ_RESTORE;
}

/* Is it about what packets have done? */
static bool is_about_flows(uint16_t type)
{
	return type == XCT_REQ_LIST || type == XCT_REQ_COUNT ||
	       type == XCT_REQ_DELETE || type == XCT_REQ_FLUSH ||
	       type == XCT_REQ_UPDATE || type == XCT_REQ_SAVE ||
	       type == XCT_REQ_STATS || type == XCT_REQ_RULES;
}

static bool may_change(const struct client *c)
{
	return c->uid == 0 || c->uid == geteuid();
}

/* Start to work on a request whose frame is right. */
static void start(struct client *c, const struct xct_frame *frame,
		  const uint8_t *payload)
{
	const struct xct_control_ops *ops = &c->ctl->ops;

	c->type = frame->type;
	c->end = (struct xct_frame_end){ .status = XCT_END_OK };
	if (!is_payload_size(frame->type, frame->len)) {
		c->end.status = XCT_END_BAD_REQUEST;
		put_end(c);
		return;
	}
	if (is_change(frame->type) && !may_change(c)) {
		deny(c);
		return;
	}
	if (is_about_flows(frame->type))
		ops->settle(ops->ctx);
	switch (frame->type) {
	case XCT_REQ_LIST:
	case XCT_REQ_DELETE:
	case XCT_REQ_FLUSH:
	case XCT_REQ_UPDATE:
	case XCT_REQ_SAVE:
		walk(c, frame, payload);
		break;
	case XCT_REQ_CREATE:
		create(c, payload);
		break;
	case XCT_REQ_RESTORE:
		restore(c, payload, frame->len);
		break;
	case XCT_REQ_WRITTEN:
		note_written(c, payload);
		break;
	case XCT_REQ_COUNT:
		c->end.count = ops->count(ops->ctx);
		put_end(c);
		break;
	case XCT_REQ_STATS:
		answer(c, XCT_RSP_JSON, ops->stats(ops->ctx), XCT_END_OK);
		break;
	case XCT_REQ_RULES:
		answer(c, XCT_RSP_JSON, ops->rules(ops->ctx), XCT_END_OK);
		break;
	case XCT_REQ_STATUS:
		answer(c, XCT_RSP_JSON, ops->status(ops->ctx), XCT_END_OK);
		break;
	case XCT_REQ_HOOKS:
		answer(c, XCT_RSP_TEXT, ops->hooks(ops->ctx), XCT_END_OK);
		break;
	case XCT_REQ_RELOAD:
		reload(c);
		break;
	case XCT_REQ_TAKEOVER:
		end_entry(c, ops->takeover(ops->ctx, send_fd, c));
		break;
	case XCT_REQ_LEAVE:
		ops->leave(ops->ctx);
		put_end(c);
		break;
	case XCT_REQ_EVENTS:
		follow(c, payload);
		break;
	}
}

/* Read more of a request. False if the client is gone. */
static bool receive(struct client *c)
{
	ssize_t n = recv(c->poll.fd, c->in + c->in_len,
			 sizeof(c->in) - c->in_len, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->is_eof = n == 0;
	c->in_len += (size_t)n;
	return true;
}

enum input { INPUT_PARTIAL, INPUT_WHOLE, INPUT_GARBAGE };

/* What the input buffer starts with; @frame is its header. */
static enum input look_at_input(const struct client *c, struct xct_frame *frame)
{
	if (c->in_len < FRAME_SIZE)
		return INPUT_PARTIAL;
	memcpy(frame, c->in, FRAME_SIZE);
	if (frame->magic != magic_of(frame->type) || frame->flags != 0 ||
	    frame->type < XCT_REQ_LIST || frame->type > XCT_REQ_RESTORE ||
	    frame->len > XCT_REQUEST_MAX)
		return INPUT_GARBAGE;
	return c->in_len < FRAME_SIZE + frame->len ? INPUT_PARTIAL
						   : INPUT_WHOLE;
}

/* Take the next request, if it is there. False for garbage, or if there will
 * be none. */
static bool next_request(struct client *c)
{
	struct xct_frame frame;
	enum input input = look_at_input(c, &frame);
	size_t len;

	if (input == INPUT_PARTIAL) {
		if (c->is_eof || !receive(c))
			return false;
		input = look_at_input(c, &frame);
	}
	if (input == INPUT_PARTIAL)
		return !c->is_eof;
	if (input == INPUT_GARBAGE)
		return false;
	start(c, &frame, c->in + FRAME_SIZE);
	len = FRAME_SIZE + frame.len;
	memmove(c->in, c->in + len, c->in_len - len);
	c->in_len -= len;
	return true;
}

/* ---------------------------------------------------------------- clients */

static void client_free(struct client *c)
{
	struct client **link = &c->ctl->clients;

	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	c->ctl->n_clients--;
	xct_feed_leave(&c->reader);
	close(c->poll.fd); /* also ends epoll's interest */
	free(c->text);
	free(c);
}

/* Does it follow events, and has read all there were? */
static bool is_waiting(const struct client *c)
{
	return c->work == WORK_FOLLOW && c->out_len == 0;
}

/* Has it an answer to get? */
static bool is_busy(const struct client *c)
{
	return (c->work != WORK_NONE || c->out_len > 0) && !is_waiting(c);
}

static void client_shut(struct client *c)
{
	shutdown(c->poll.fd, SHUT_RDWR);
	c->is_shut = true;
	c->ctl->counters.dropped++;
}

/* Shut down clients that take no answers. Who follows events may be slow: it
 * misses some. */
static void drop_stuck(struct xct_control *ctl)
{
	xct_msec now = xct_clock_now();

	for (struct client *c = ctl->clients; c; c = c->next)
		if (now - c->alive >= CLIENT_TIMEOUT && is_busy(c) &&
		    c->work != WORK_FOLLOW && !c->is_shut)
			client_shut(c);
}

/* Have a place become free soon. False: none will. */
static bool make_room(struct xct_control *ctl)
{
	struct client *longest = NULL;

	for (struct client *c = ctl->clients; c; c = c->next) {
		if (c->is_shut)
			return true;
		if (!is_waiting(c) && (!longest || c->alive <= longest->alive))
			longest = c;
	}
	if (!longest || xct_clock_now() - longest->alive < CLIENT_GRACE)
		return false;
	client_shut(longest);
	return true;
}

/* Ask epoll for what the client needs next. */
static bool client_arm(struct client *c)
{
	struct epoll_event ev = { .data.ptr = &c->poll };
	struct xct_frame frame;

	if (is_waiting(c) ||
	    (!is_busy(c) && look_at_input(c, &frame) == INPUT_PARTIAL &&
	     !c->is_eof))
		ev.events = EPOLLIN;
	else
		ev.events = EPOLLOUT;
	return epoll_ctl(c->ctl->epoll_fd, EPOLL_CTL_MOD, c->poll.fd, &ev) == 0;
}

/* Who follows events has nothing to say but that it leaves. */
static bool is_silent(const struct client *c)
{
	uint8_t byte;

	return recv(c->poll.fd, &byte, sizeof(byte), MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EINTR);
}

/* One step. False if the client is to be ended. */
static bool client_step(struct client *c)
{
	if (!send_output(c) || (c->work == WORK_FOLLOW && !is_silent(c)))
		return false;
	if (c->out_len == 0) {
		if (c->work == WORK_NONE && !next_request(c))
			return false;
		if (c->work == WORK_WALK)
			work_walk(c);
		else if (c->work == WORK_TEXT)
			work_text(c);
		else if (c->work == WORK_FOLLOW)
			work_follow(c);
		if (!send_output(c))
			return false;
	}
	return client_arm(c);
}

static void client_ready(struct xct_poll *poll, uint32_t events)
{
	struct client *c = (struct client *)poll;

	(void)events; /* errors show in the next read or write */
	c->alive = xct_clock_now();
	drop_stuck(c->ctl);
	xct_feed_set_author((uint32_t)c->pid);
	if (!client_step(c))
		client_free(c);
	xct_feed_set_author(0);
}

/* Takes @fd over. */
static void client_new(struct xct_control *ctl, int fd)
{
	struct client *c = malloc(sizeof(*c));
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct epoll_event ev = { .events = EPOLLIN };

	if (!c || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		goto err;
	/* The buffers need no zeros, and should take no memory unused. */
	memset(c, 0, offsetof(struct client, in));
	c->poll = (struct xct_poll){ .fd = fd, .ready = client_ready };
	c->ctl = ctl;
	c->uid = cred.uid;
	c->pid = cred.pid;
	c->alive = xct_clock_now();
	ev.data.ptr = &c->poll;
	if (epoll_ctl(ctl->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		goto err;
	c->next = ctl->clients;
	ctl->clients = c;
	ctl->n_clients++;
	return;
err:
	free(c);
	close(fd);
}

static void listener_ready(struct xct_poll *poll, uint32_t events)
{
	struct xct_control *ctl = (struct xct_control *)poll;
	int fd;

	(void)events;
	drop_stuck(ctl);
	/* A place that gets free serves who still waits: later, then. */
	if (ctl->n_clients >= CLIENTS_MAX && make_room(ctl))
		return;
	fd = accept4(poll->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return; /* it went away again */
	if (ctl->n_clients >= CLIENTS_MAX) {
		ctl->counters.refused++;
		close(fd);
	} else {
		client_new(ctl, fd);
	}
}

const struct xct_control_counters *
xct_control_counters(const struct xct_control *ctl)
{
	return &ctl->counters;
}

struct xct_control *xct_control_new(int epoll_fd, int listen_fd,
				    const struct xct_control_ops *ops)
{
	struct xct_control *ctl = calloc(1, sizeof(*ctl));
	struct epoll_event ev = { .events = EPOLLIN };

	if (!ctl)
		return NULL;
	ctl->poll =
		(struct xct_poll){ .fd = listen_fd, .ready = listener_ready };
	ctl->epoll_fd = epoll_fd;
	ctl->ops = *ops;
	ev.data.ptr = &ctl->poll;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &ev) < 0) {
		free(ctl);
		return NULL;
	}
	return ctl;
}

void xct_control_free(struct xct_control *ctl)
{
	if (!ctl)
		return;
	while (ctl->clients)
		client_free(ctl->clients);
	/* Fails if the caller has closed it: then it is out already. */
	(void)epoll_ctl(ctl->epoll_fd, EPOLL_CTL_DEL, ctl->poll.fd, NULL);
	free(ctl);
}
