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
 * A client that follows events goes on with that until it leaves. It has
 * nothing to ask meanwhile, so it is polled for reading, which tells its end,
 * and for writing when the feed has something for it.
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
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/control_client.h"

#define CLIENTS_MAX    64
#define CLIENT_TIMEOUT (60 * 1000) /* ms */
#define CLIENT_GRACE   1000	   /* ms */

/* -------------------------------------------------------- output and input */

/* Send what is there. False if the client is gone. */
static bool send_output(struct xct_control_client *c)
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

/* Read more of a request. False if the client is gone. */
static bool receive(struct xct_control_client *c)
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
static enum input look_at_input(const struct xct_control_client *c,
				struct xct_frame *frame)
{
	if (c->in_len < XCT_FRAME_SIZE)
		return INPUT_PARTIAL;
	memcpy(frame, c->in, XCT_FRAME_SIZE);
	if (!xct_control_is_request(frame))
		return INPUT_GARBAGE;
	return c->in_len < XCT_FRAME_SIZE + frame->len ? INPUT_PARTIAL
						       : INPUT_WHOLE;
}

/* Take the next request, if it is there. False for garbage, or if there will
 * be none. */
static bool next_request(struct xct_control_client *c)
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
	xct_control_start_request(c, &frame, c->in + XCT_FRAME_SIZE);
	len = XCT_FRAME_SIZE + frame.len;
	memmove(c->in, c->in + len, c->in_len - len);
	c->in_len -= len;
	return true;
}

/* ---------------------------------------------------------------- clients */

static void client_free(struct xct_control_client *c)
{
	struct xct_control_client **link = &c->ctl->clients;

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
static bool is_waiting(const struct xct_control_client *c)
{
	return c->work == XCT_WORK_FOLLOW && c->out_len == 0;
}

/* Has it an answer to get? */
static bool is_busy(const struct xct_control_client *c)
{
	return (c->work != XCT_WORK_NONE || c->out_len > 0) && !is_waiting(c);
}

static void client_shut(struct xct_control_client *c)
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

	for (struct xct_control_client *c = ctl->clients; c; c = c->next)
		if (now - c->alive >= CLIENT_TIMEOUT && is_busy(c) &&
		    c->work != XCT_WORK_FOLLOW && !c->is_shut)
			client_shut(c);
}

/* Have a place become free soon. False: none will. */
static bool make_room(struct xct_control *ctl)
{
	struct xct_control_client *longest = NULL;

	for (struct xct_control_client *c = ctl->clients; c; c = c->next) {
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
static bool client_arm(struct xct_control_client *c)
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
static bool is_silent(const struct xct_control_client *c)
{
	uint8_t byte;

	return recv(c->poll.fd, &byte, sizeof(byte), MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EINTR);
}

/* One step. False if the client is to be ended. */
static bool client_step(struct xct_control_client *c)
{
	if (!send_output(c) || (c->work == XCT_WORK_FOLLOW && !is_silent(c)))
		return false;
	if (c->out_len == 0) {
		if (c->work == XCT_WORK_NONE && !next_request(c))
			return false;
		xct_control_work_on(c);
		if (!send_output(c))
			return false;
	}
	return client_arm(c);
}

static void client_ready(struct xct_poll *poll, uint32_t events)
{
	struct xct_control_client *c = (struct xct_control_client *)poll;

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
	struct xct_control_client *c = malloc(sizeof(*c));
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct epoll_event ev = { .events = EPOLLIN };

	if (!c || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		goto err;
	/* The buffers need no zeros, and should take no memory unused. */
	memset(c, 0, offsetof(struct xct_control_client, in));
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
