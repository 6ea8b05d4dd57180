/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking over from an xctd that runs: flows, queues and control socket change
 * hands over the control socket, and no packet is lost. For hosts where no
 * systemd keeps them.
 */
#ifndef XCT_DAEMON_TAKEOVER_H
#define XCT_DAEMON_TAKEOVER_H

/*
 * Ask the xctd at @path for its descriptors; @fn is called for each with its
 * name, and has it from then on, as in xct_sd_take_fds(). The xctd goes on
 * meanwhile. Returns a descriptor for xct_takeover_finish(), or -errno; -EBUSY:
 * it is for its service manager to start another.
 */
int xct_takeover_begin(const char *path,
		       void (*fn)(void *ctx, const char *name, int fd),
		       void *ctx);

/* Have it leave: when this returns 0 it has stopped touching what it gave away,
 * and will exit. Closes @fd in any case. Or -errno: it has not left. */
int xct_takeover_finish(int fd);

#endif
