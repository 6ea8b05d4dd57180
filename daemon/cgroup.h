/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the cgroups that this process is in let it have. Whoever asks for more
 * is not refused: the kernel kills it when it uses what it got.
 */
#ifndef XCT_DAEMON_CGROUP_H
#define XCT_DAEMON_CGROUP_H

#include <limits.h>
#include <stdint.h>

struct xct_cgroup_limit {
	uint64_t bytes;	     /* UINT64_MAX: none is set, or can be seen */
	char file[PATH_MAX]; /* that says so */
};

/* The lowest limit on memory from the own cgroup up to the root, as far as it
 * is mounted here. @cgroup and @mountinfo are files as in /proc/self. */
void xct_cgroup_memory_limit(struct xct_cgroup_limit *limit, const char *cgroup,
			     const char *mountinfo);

#endif
