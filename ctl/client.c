/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests over the control socket. An answer of any length passes through one
 * buffer, frame by frame.
 */
#include "ctl/client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOOK_US 50000 /* between two looks at the service */

/* systemd tells an ExecReload= which process is to reload. If that one dies its
 * successor is started when we have left, and not before: nobody answers. */
static void follow_service(struct xct_client *client)
{
	const struct timeval timeout = { .tv_usec = LOOK_US };
	const char *pid = getenv("MAINPID");

	client->service = pid ? (pid_t)atol(pid) : 0;
	if (client->service > 0 &&
	    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
		       sizeof(timeout)))
		client->service = 0; /* then it is waited for */
}

static bool is_service_dead(const struct xct_client *client)
{
	return client->service > 0 && kill(client->service, 0) < 0 &&
	       errno == ESRCH;
}

int xct_client_open(struct xct_client *client, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path) + 1);

	client->payload = malloc(XCT_FRAME_MAX);
	if (!client->payload)
		return -ENOMEM;
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0) {
		ret = -errno;
		goto err_payload;
	}
	if (connect(client->fd, (const struct sockaddr *)&addr, sizeof(addr))) {
		ret = -errno;
		goto err_fd;
	}
	follow_service(client);
	return 0;

err_fd:
	(void)close(client->fd); /* nothing was written */
err_payload:
	free(client->payload);
	return ret;
}

void xct_client_close(struct xct_client *client)
{
	(void)close(client->fd); /* every answer was read or given up */
	free(client->payload);
}

static int send_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EPIPE) {
			return -ECONNRESET;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static int recv_all(const struct xct_client *client, void *data, size_t len)
{
	uint8_t *p = data;
	ssize_t n;

	while (len) {
		n = recv(client->fd, p, len, MSG_WAITALL);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n == 0) {
			return -ECONNRESET;
		} else if (errno == EAGAIN) {
			if (is_service_dead(client))
				return -ECONNRESET;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static int recv_frame(struct xct_client *client, struct xct_frame *frame)
{
	int ret = recv_all(client, frame, sizeof(*frame));

	if (ret)
		return ret;
	if (frame->magic != XCT_FRAME_MAGIC || frame->len > XCT_FRAME_MAX)
		return -EPROTO;
	return recv_all(client, client->payload, frame->len);
}

static bool is_data(const struct xct_frame *frame)
{
	switch (frame->type) {
	case XCT_RSP_FLOWS:
		return frame->len % sizeof(struct xct_flow_info) == 0;
	case XCT_RSP_EVENTS:
		return frame->len % sizeof(struct xct_flow_event) == 0;
	case XCT_RSP_EXPECTS:
		return frame->len % sizeof(struct xct_expect_info) == 0;
	case XCT_RSP_SAVED:
		return frame->len % sizeof(struct xct_saved_flow) == 0;
	case XCT_RSP_RESTORED:
	case XCT_RSP_JSON:
	case XCT_RSP_TEXT:
		return true;
	default:
		return false;
	}
}

int xct_client_request(struct xct_client *client, uint16_t type,
		       const void *payload, uint32_t len, xct_client_fn fn,
		       void *ctx, struct xct_frame_end *end)
{
	struct xct_frame frame = {
		.magic = XCT_FRAME_MAGIC,
		.len = len,
		.type = type,
	};
	int ret;

	ret = send_all(client->fd, &frame, sizeof(frame));
	if (!ret)
		ret = send_all(client->fd, payload, len);
	/* A closed connection may still hold the reason: read on. */
	if (ret && ret != -ECONNRESET)
		return ret;

	for (;;) {
		ret = recv_frame(client, &frame);
		if (ret)
			return ret;
		if (frame.type == XCT_RSP_END)
			break;
		if (!is_data(&frame))
			return -EPROTO;
		if (!fn(ctx, frame.type, client->payload, frame.len))
			return -ECANCELED;
	}
	if (frame.len != sizeof(*end))
		return -EPROTO;
	memcpy(end, client->payload, sizeof(*end));
	return 0;
}
