/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watches over the hooks: a firewall whose hooks another program has flushed
 * lets everything through, and nobody notices.
 */
#ifndef XCT_DAEMON_HOOKWATCH_H
#define XCT_DAEMON_HOOKWATCH_H

#include "daemon/config.h"
#include "daemon/hooks.h"

struct xct_hookwatch {
	int fd;		     /* to poll for reading; -1: nobody tells */
	bool is_doubtful;    /* something of ours may have gone */
	xct_msec looked_at;  /* when the hooks were last looked at */
	uint64_t n_restored; /* how often they had to be put back */
};

/* Never fails: without notifications the hooks are looked at now and then. */
void xct_hookwatch_open(struct xct_hookwatch *watch);
void xct_hookwatch_close(struct xct_hookwatch *watch);

/* Read what is there; never blocks. Then call xct_hookwatch_look(). */
void xct_hookwatch_read(struct xct_hookwatch *watch);

/* If it is time to: look, and put back what is missing. */
void xct_hookwatch_look(struct xct_hookwatch *watch, struct xct_hooks *hooks,
			const struct xct_config *config, unsigned int workers,
			xct_msec now);

#endif
