/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The successor's side of a takeover.
 *
 * Theory of operation: two steps, so that nothing is lost if the successor
 * cannot start. First the running xctd hands out duplicates of its descriptors
 * (XCT_REQ_TAKEOVER) and goes on. Only when the successor has everything else
 * that it needs does it have the other one leave (XCT_REQ_LEAVE): that one
 * stops its workers, answers, and exits without taking its hooks away. What
 * arrives in between waits in the queues.
 */
#include "daemon/takeover.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/frame.h"

#define TIMEOUT_S 10

static int request(int fd, uint16_t type)
{
	const struct xct_frame frame = { .magic = XCT_FRAME_MAGIC_TAKEOVER,
					 .type = type };

	if (send(fd, &frame, sizeof(frame), MSG_NOSIGNAL) != sizeof(frame))
		return -errno;
	return 0;
}

/* Read a frame of at most @size payload bytes, and the descriptor that comes
 * with it (-1: none). The payload's length or -errno. */
static int read_frame(int fd, struct xct_frame *frame, void *payload,
		      size_t size, int *passed)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { frame, sizeof(*frame) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	const struct cmsghdr *cmsg;
	ssize_t n = recvmsg(fd, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	*passed = -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(passed, CMSG_DATA(cmsg), sizeof(*passed));
	if (n != sizeof(*frame) || frame->magic != XCT_FRAME_MAGIC_TAKEOVER ||
	    frame->len > size)
		return -EPROTO;
	if (frame->len > 0 &&
	    recv(fd, payload, frame->len, MSG_WAITALL) != (ssize_t)frame->len)
		return -EPROTO;
	return (int)frame->len;
}

/* The end of an answer: 0, or why it is not what was asked for. */
static int end_of(const struct xct_frame *frame,
		  const struct xct_frame_end *end)
{
	if (frame->type != XCT_RSP_END || frame->len != sizeof(*end))
		return -EPROTO;
	if (end->status == XCT_END_DENIED)
		return -EPERM;
	if (end->status == XCT_END_FAILED && end->error)
		return -(int)end->error;
	return end->status == XCT_END_OK ? 0 : -EPROTO;
}

static int connect_to(const char *path)
{
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) <
		    0 ||
	    connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		err = -errno;
		(void)close(fd); /* nothing to lose */
		return err;
	}
	return fd;
}

int xct_takeover_begin(const char *path,
		       void (*fn)(void *ctx, const char *name, int fd),
		       void *ctx)
{
	union {
		struct xct_frame_end end;
		char text[1024]; /* a name, or why not */
	} payload;
	struct xct_frame frame;
	int fd = connect_to(path), passed, ret;

	if (fd < 0)
		return fd;
	ret = request(fd, XCT_REQ_TAKEOVER);
	while (ret >= 0) {
		ret = read_frame(fd, &frame, &payload, sizeof(payload) - 1,
				 &passed);
		if (ret < 0 || frame.type == XCT_RSP_END)
			break;
		if (passed < 0)
			continue; /* a text: the end says it too */
		payload.text[frame.len] = '\0';
		fn(ctx, payload.text, passed);
	}
	if (ret >= 0)
		ret = end_of(&frame, &payload.end);
	if (ret < 0) {
		(void)close(fd); /* it goes on without us */
		return ret;
	}
	return fd;
}

int xct_takeover_finish(int fd)
{
	struct xct_frame_end end;
	struct xct_frame frame;
	int passed, ret;

	ret = request(fd, XCT_REQ_LEAVE);
	if (ret == 0)
		ret = read_frame(fd, &frame, &end, sizeof(end), &passed);
	if (ret >= 0)
		ret = end_of(&frame, &end);
	(void)close(fd); /* all is said */
	return ret;
}
