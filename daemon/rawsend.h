/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends the packets that the engine answers with (TCP RST, ICMP errors): whole
 * IP packets, marked so that xctd's own hooks let them pass.
 */
#ifndef XCT_DAEMON_RAWSEND_H
#define XCT_DAEMON_RAWSEND_H

#include "common/types.h"

struct xct_rawsend {
	int fd4; /* -1: not open */
	int fd6; /* -1: this host has no IPv6 */
};

/* Only this needs CAP_NET_RAW: it may be done by another process. 0 or -errno;
 * on failure there is nothing to close. */
int xct_rawsend_open(struct xct_rawsend *raw);

/* Have all that is sent carry @mark. 0 or -errno. */
int xct_rawsend_set_mark(const struct xct_rawsend *raw, uint32_t mark);

void xct_rawsend_close(struct xct_rawsend *raw);

/* Send @len bytes from the IP header on, never waiting. @ifindex is the
 * interface that a link-local destination belongs to. 0 or -errno. */
int xct_rawsend_send(const struct xct_rawsend *raw, const uint8_t *packet,
		     size_t len, uint32_t ifindex);

#endif
