/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What clients of the control socket ask for: requests are checked and begun,
 * and worked on step by step, each of which fills the client's output buffer
 * with a frame at most.
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
#include "daemon/control_client.h"

#define WALK_RECORDS 256 /* looked at under one hold of the lock */
#define WALK_CALLS   64	 /* in one step */

/* ----------------------------------------------------------------- output */

/* The magic of a request of @type, and of what answers it. */
static uint32_t magic_of(uint16_t type)
{
	return type == XCT_REQ_TAKEOVER || type == XCT_REQ_LEAVE
		       ? XCT_FRAME_MAGIC_TAKEOVER
		       : XCT_FRAME_MAGIC;
}

static void put_header(const struct xct_control_client *c, uint8_t *at,
		       uint16_t type, size_t len)
{
	const struct xct_frame frame = { .magic = magic_of(c->type),
					 .len = (uint32_t)len,
					 .type = type };

	memcpy(at, &frame, sizeof(frame));
}

/* Close the answer: nothing of the request is left after this. */
static void put_end(struct xct_control_client *c)
{
	assert(c->out_len + XCT_END_SIZE <= XCT_CLIENT_OUT);
	put_header(c, c->out + c->out_len, XCT_RSP_END, sizeof(c->end));
	memcpy(c->out + c->out_len + XCT_FRAME_SIZE, &c->end, sizeof(c->end));
	c->out_len += XCT_END_SIZE;
	free(c->text);
	c->text = NULL;
	c->work = XCT_WORK_NONE;
}

/* ---------------------------------------------------------------- the walks */

/* A flow that was found. The buffer has room for it: only with room for
 * another one the walk goes on. */
static bool put_flow(void *arg, const struct xct_flow_info *info)
{
	struct xct_control_client *c = arg;
	struct xct_flow_info told;

	c->end.count++;
	if (c->type == XCT_REQ_FLUSH)
		return true;
	told = *info;
	told.start_ms = c->wall_ms - info->age_ms;
	memcpy(c->out + c->out_len, &told, sizeof(told));
	c->out_len += sizeof(*info);
	return c->out_len + sizeof(*info) + XCT_END_SIZE <= XCT_CLIENT_OUT;
}

/* The same for a snapshot. */
static bool put_saved(void *arg, const struct xct_saved_flow *saved)
{
	struct xct_control_client *c = arg;

	c->end.count++;
	memcpy(c->out + c->out_len, saved, sizeof(*saved));
	c->out_len += sizeof(*saved);
	return c->out_len + sizeof(*saved) + XCT_END_SIZE <= XCT_CLIENT_OUT;
}

static bool put_expect(void *arg, const struct xct_expect_info *info)
{
	struct xct_control_client *c = arg;

	c->end.count++;
	memcpy(c->out + c->out_len, info, sizeof(*info));
	c->out_len += sizeof(*info);
	return c->out_len + sizeof(*info) + XCT_END_SIZE <= XCT_CLIENT_OUT;
}

/* Look at some records more. False: those were the last. */
static bool walk_on(struct xct_control_client *c)
{
	const struct xct_control_ops *ops = &c->ctl->ops;
	enum xct_walk walk = XCT_WALK_DELETE;

	switch (c->type) {
	case XCT_REQ_SAVE:
		return ops->save(ops->ctx, &c->cursor, WALK_RECORDS, put_saved,
				 c);
	case XCT_REQ_EXPECTS:
		return ops->expects(ops->ctx, &c->cursor, WALK_RECORDS,
				    put_expect, c);
	case XCT_REQ_UNEXPECT:
		return ops->unexpect(ops->ctx, &c->cursor, &c->tuple,
				     WALK_RECORDS, &c->end.count);
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

/* What carries what a walk of this @type shows. */
static uint16_t frame_of(uint16_t type)
{
	switch (type) {
	case XCT_REQ_SAVE:
		return XCT_RSP_SAVED;
	case XCT_REQ_EXPECTS:
		return XCT_RSP_EXPECTS;
	default:
		return XCT_RSP_FLOWS;
	}
}

/* One step of a dump: a frame of flows, perhaps the last. */
static void work_walk(struct xct_control_client *c)
{
	bool has_more = true;

	c->wall_ms = xct_clock_wall();
	c->out_len = XCT_FRAME_SIZE;
	for (int i = 0; i < WALK_CALLS && has_more; i++) {
		if (c->out_len >= XCT_CLIENT_OUT / 2)
			break;
		has_more = walk_on(c);
	}
	if (c->out_len > XCT_FRAME_SIZE)
		put_header(c, c->out, frame_of(c->type),
			   c->out_len - XCT_FRAME_SIZE);
	else
		c->out_len = 0;
	if (!has_more)
		put_end(c);
}

/* ---------------------------------------------------------------- the texts */

/* One step of an answer that is text: one frame of it. */
static void work_text(struct xct_control_client *c)
{
	size_t len = c->text_len - c->text_off;

	if (len > XCT_FRAME_MAX)
		len = XCT_FRAME_MAX;
	if (len > 0) {
		put_header(c, c->out, c->text_type, len);
		memcpy(c->out + XCT_FRAME_SIZE, c->text + c->text_off, len);
		c->out_len = XCT_FRAME_SIZE + len;
		c->text_off += len;
	}
	if (c->text_off == c->text_len)
		put_end(c);
}

/* Answer with @text, from malloc; NULL: there was no memory for it. */
static void answer(struct xct_control_client *c, uint16_t type, char *text,
		   enum xct_end_status status)
{
	if (!text && status == XCT_END_OK)
		status = XCT_END_FAILED;
	c->work = XCT_WORK_TEXT;
	c->text = text;
	c->text_len = text ? strlen(text) : 0;
	c->text_off = 0;
	c->text_type = type;
	c->end.status = (uint32_t)status;
}

static void deny(struct xct_control_client *c)
{
	char *text = NULL;

	if (asprintf(&text,
		     "only root, or the user that xctd runs as (uid %u), may "
		     "change anything; this is uid %u\n",
		     (unsigned int)geteuid(), (unsigned int)c->uid) < 0)
		text = NULL;
	answer(c, XCT_RSP_TEXT, text, XCT_END_DENIED);
}

static void reload(struct xct_control_client *c)
{
	const struct xct_control_ops *ops = &c->ctl->ops;
	char *text = NULL;
	bool is_new = ops->reload(ops->ctx, &text);

	answer(c, XCT_RSP_TEXT, text ? text : strdup(""),
	       is_new ? XCT_END_OK : XCT_END_CONFIG);
}

/* ---------------------------------------------------------------- the flows */

/* End the answer of a request that was not (@error: why) or need not be worked
 * on. */
static void end_entry(struct xct_control_client *c, int error)
{
	if (error < 0) {
		c->end.status = XCT_END_FAILED;
		c->end.error = (uint32_t)-error;
	}
	put_end(c);
}

static void create(struct xct_control_client *c, const uint8_t *payload)
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
static void walk(struct xct_control_client *c, const struct xct_frame *frame,
		 const uint8_t *payload)
{
	const struct xct_flow_update *update = &c->update;
	int proto = -1;
	int ret = 0;

	c->work = XCT_WORK_WALK;
	c->cursor = 0;
	memset(&c->update, 0, sizeof(c->update));
	if (c->type == XCT_REQ_UNEXPECT)
		memcpy(&c->tuple, payload, sizeof(c->tuple));
	else
		memcpy(&c->update, payload, frame->len);
	if (update->filter.fields & XCT_FILTER_PROTO)
		proto = update->filter.proto;
	if (c->type == XCT_REQ_UPDATE)
		ret = xct_flow_change_check(&update->change, proto);
	if (ret < 0)
		end_entry(c, ret);
}

static void restore(struct xct_control_client *c, const uint8_t *payload,
		    size_t len)
{
	const struct xct_control_ops *ops = &c->ctl->ops;
	struct xct_saved_flow flows[XCT_RESTORE_MAX];
	uint32_t results[XCT_RESTORED_COUNT] = { 0 };

	memcpy(flows, payload, len);
	ops->restore(ops->ctx, flows, len / sizeof(*flows), results);
	put_header(c, c->out, XCT_RSP_RESTORED, sizeof(results));
	memcpy(c->out + XCT_FRAME_SIZE, results, sizeof(results));
	c->out_len = XCT_FRAME_SIZE + sizeof(results);
	c->end.count = results[XCT_RESTORED_LOADED];
	put_end(c);
}

static void note_written(struct xct_control_client *c, const uint8_t *payload)
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
	struct xct_control_client *c = arg;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = { 0 };
	uint8_t header[XCT_FRAME_SIZE];
	char *text = strdupa(name); /* iovec has no const */
	struct iovec iov[] = { { header, XCT_FRAME_SIZE },
			       { text, strlen(text) } };
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

/* --------------------------------------------------------------- the events */

#define FROM_READER(r)                                               \
	((struct xct_control_client *)(void *)((char *)(r)-offsetof( \
		struct xct_control_client, reader)))

static void feed_ready(struct xct_feed_reader *reader)
{
	struct xct_control_client *c = FROM_READER(reader);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT,
				  .data.ptr = &c->poll };

	/* It is registered, and this allocates nothing. */
	(void)epoll_ctl(c->ctl->epoll_fd, EPOLL_CTL_MOD, c->poll.fd, &ev);
}

/* Begin to follow; an empty frame says that it has begun. */
static void follow(struct xct_control_client *c, const uint8_t *payload)
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
	c->work = XCT_WORK_FOLLOW;
	put_header(c, c->out, XCT_RSP_EVENTS, 0);
	c->out_len = XCT_FRAME_SIZE;
}

/* One step of following: a frame of events, if there are any. */
static void work_follow(struct xct_control_client *c)
{
	/* Where it is: XCT_FRAME_SIZE is no multiple of what these align to. */
	struct xct_flow_event *events = c->ctl->events;
	uint32_t n;

	if (c->out_len > 0)
		return; /* it has only just begun */
	n = xct_feed_read(&c->reader, events, XCT_CLIENT_EVENTS);
	if (n == 0)
		return;
	put_header(c, c->out, XCT_RSP_EVENTS, n * sizeof(*events));
	memcpy(c->out + XCT_FRAME_SIZE, events, n * sizeof(*events));
	c->out_len = XCT_FRAME_SIZE + n * sizeof(*events);
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
	case XCT_REQ_UNEXPECT:
		return sizeof(struct xct_tuple);
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
	       type == XCT_REQ_WRITTEN || type == XCT_REQ_RESTORE ||
	       type == XCT_REQ_UNEXPECT;
}

/* Is it about what packets have done? */
static bool is_about_flows(uint16_t type)
{
	return type == XCT_REQ_LIST || type == XCT_REQ_COUNT ||
	       type == XCT_REQ_DELETE || type == XCT_REQ_FLUSH ||
	       type == XCT_REQ_UPDATE || type == XCT_REQ_SAVE ||
	       type == XCT_REQ_STATS || type == XCT_REQ_RULES ||
	       type == XCT_REQ_EXPECTS || type == XCT_REQ_UNEXPECT;
}

static bool may_change(const struct xct_control_client *c)
{
	return c->uid == 0 || c->uid == geteuid();
}

void xct_control_start_request(struct xct_control_client *c,
			       const struct xct_frame *frame,
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
	case XCT_REQ_EXPECTS:
	case XCT_REQ_UNEXPECT:
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

bool xct_control_is_request(const struct xct_frame *frame)
{
	return frame->magic == magic_of(frame->type) && frame->flags == 0 &&
	       frame->type >= XCT_REQ_LIST && frame->type < XCT_REQ_END &&
	       frame->len <= XCT_REQUEST_MAX;
}

void xct_control_work_on(struct xct_control_client *c)
{
	switch (c->work) {
	case XCT_WORK_NONE:
		break;
	case XCT_WORK_WALK:
		work_walk(c);
		break;
	case XCT_WORK_TEXT:
		work_text(c);
		break;
	case XCT_WORK_FOLLOW:
		work_follow(c);
		break;
	}
}
