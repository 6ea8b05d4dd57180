/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks at IPv6 fragments before the kernel puts them together: what it refuses
 * then, it neither counts nor shows to anybody.
 */
#ifndef XCT_DAEMON_FRAGWATCH_H
#define XCT_DAEMON_FRAGWATCH_H

#include "daemon/fragments.h"

struct xct_fragwatch {
	int fd; /* to poll for reading; -1: nothing is seen */
	struct xct_fragments *fragments;
	struct xct_fragment_counts counts;
	uint32_t next_seq;
	bool is_adopted; /* then what comes first has any number */
	xct_msec tried_at;
	bool has_begun; /* counts are those since */
};

/*
 * Begin, if it is time to try, with the socket @kept_fd of a predecessor (-1:
 * there is none), which is ours then; why not is logged at level debug. True:
 * there is a new .fd.
 */
bool xct_fragwatch_open(struct xct_fragwatch *watch, int kept_fd,
			const struct xct_siphash_key *key, xct_msec now);

/* Unless somebody else has the socket too, nothing is left in the kernel; a
 * base chain goes, and with it what waits in the queues of the namespace. */
void xct_fragwatch_close(struct xct_fragwatch *watch);

/* Read some of what is there; never blocks. */
void xct_fragwatch_read(struct xct_fragwatch *watch, xct_msec now);

#endif
