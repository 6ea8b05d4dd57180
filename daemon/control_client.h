/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the control socket's server: a client, between control.c, which talks
 * with it, and control_request.c, which does what it asks. Nobody else includes
 * this.
 */
#ifndef XCT_DAEMON_CONTROL_CLIENT_H
#define XCT_DAEMON_CONTROL_CLIENT_H

#include "daemon/control.h"
#include "daemon/loop.h"

/* The end of an answer always fits behind a full frame. */
#define XCT_FRAME_SIZE	  sizeof(struct xct_frame)
#define XCT_END_SIZE	  (XCT_FRAME_SIZE + sizeof(struct xct_frame_end))
#define XCT_CLIENT_OUT	  (XCT_FRAME_SIZE + XCT_FRAME_MAX + XCT_END_SIZE)
#define XCT_CLIENT_EVENTS (XCT_FRAME_MAX / sizeof(struct xct_flow_event))

enum xct_control_work {
	XCT_WORK_NONE,
	XCT_WORK_WALK,
	XCT_WORK_TEXT,
	XCT_WORK_FOLLOW
};

struct xct_control_client {
	struct xct_poll poll; /* first: what epoll's data.ptr points to */
	struct xct_control *ctl;
	struct xct_control_client *next;
	uid_t uid;
	pid_t pid;
	bool is_eof;	/* it will send no more */
	bool is_shut;	/* and will be freed when it hears of that */
	xct_msec alive; /* when it last could be read or written */

	/* The request in work, or answered last. */
	enum xct_control_work work;
	uint16_t type;
	struct xct_frame_end end; /* of its answer */

	/* .. if it walks over the flows */
	uint32_t cursor;
	struct xct_flow_update update; /* LIST, DELETE: only its filter */
	struct xct_tuple tuple;	       /* of UNEXPECT */
	xct_msec wall_ms;	       /* of this step, since 1970 */

	/* .. if it follows events */
	struct xct_feed_reader reader;

	/* .. if its answer is a text, from malloc */
	char *text;
	size_t text_len, text_off;
	uint16_t text_type;

	size_t in_len;
	size_t out_len, out_off;
	uint8_t in[XCT_FRAME_SIZE + XCT_REQUEST_MAX];
	uint8_t out[XCT_CLIENT_OUT];
};

struct xct_control {
	struct xct_poll poll; /* of the listening socket */
	int epoll_fd;
	struct xct_control_ops ops;
	struct xct_control_client *clients;
	unsigned int n_clients;
	struct xct_control_counters counters;
	struct xct_flow_event events[XCT_CLIENT_EVENTS]; /* on their way */
};

/* Is this the header of a request? */
bool xct_control_is_request(const struct xct_frame *frame);

/* Start to work on a request, whose header is one; @payload is as long as that
 * says. What it answers at once is in the output buffer, which was empty. */
void xct_control_start_request(struct xct_control_client *c,
			       const struct xct_frame *frame,
			       const uint8_t *payload);

/* One step of the request in work, if there is one: the next frame of its
 * answer is in the output buffer, which was empty, and perhaps its end. */
void xct_control_work_on(struct xct_control_client *c);

#endif
