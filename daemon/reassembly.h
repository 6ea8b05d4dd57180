/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What became of fragments: the kernel puts them together before all hooks
 * (hooks.c sees to that), so it has the numbers.
 */
#ifndef XCT_DAEMON_REASSEMBLY_H
#define XCT_DAEMON_REASSEMBLY_H

#include "common/types.h"

struct xct_reassembly {
	uint64_t fragments; /* that came */
	uint64_t whole;	    /* packets put together */
	uint64_t failed;    /* given up: overlaps, no room, too old */
	uint64_t memory;    /* bytes that incomplete packets hold now */

	/* Given up because they were too old. */
	uint64_t failed_ipv6;
};

/* The numbers of this network namespace; all but the last for IPv4. Of IPv6
 * fragments put together before the hooks the kernel counts no more: see
 * fragwatch.h. */
void xct_reassembly_read(struct xct_reassembly *numbers);

#endif
