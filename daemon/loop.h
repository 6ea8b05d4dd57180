/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The main loop's convention: epoll's data.ptr points to one of these. */
#ifndef XCT_DAEMON_LOOP_H
#define XCT_DAEMON_LOOP_H

#include <stdint.h>

struct xct_poll {
	int fd;
	/* @events as epoll reported them. May free the struct it is part of. */
	void (*ready)(struct xct_poll *poll, uint32_t events);
};

#endif
