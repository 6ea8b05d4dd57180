/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client's end of the control socket (common/frame.h). */
#ifndef XCT_CTL_CLIENT_H
#define XCT_CTL_CLIENT_H

#include <sys/types.h>

#include "common/frame.h"

struct xct_client {
	int fd;
	pid_t service;	  /* that this is part of; 0: of none */
	uint8_t *payload; /* XCT_FRAME_MAX bytes, owned */
};

/* 0 or -errno of socket(2) or connect(2). */
int xct_client_open(struct xct_client *client, const char *path);
void xct_client_close(struct xct_client *client);

/* A frame of data has arrived; false: the rest is not wanted. */
typedef bool (*xct_client_fn)(void *ctx, uint16_t type, const void *payload,
			      uint32_t len);

/*
 * Send one request and hand all frames before END to @fn as they come. 0 with
 * @end filled in; -ECANCELED: @fn had enough; -EPROTO: not the protocol;
 * -ECONNRESET: xctd closed the connection; or another -errno. After any error
 * the connection can only be closed.
 */
int xct_client_request(struct xct_client *client, uint16_t type,
		       const void *payload, uint32_t len, xct_client_fn fn,
		       void *ctx, struct xct_frame_end *end);

#endif
