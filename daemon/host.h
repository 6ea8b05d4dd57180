/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the engine asks of the process it is in: names, addresses, an ear. */
#ifndef XCT_DAEMON_HOST_H
#define XCT_DAEMON_HOST_H

#include "daemon/config.h"
#include "daemon/engine/engine.h"

struct xct_daemon;

/* What the engine of @daemon is told of @config. */
void xct_host_engine_config(struct xct_daemon *daemon,
			    const struct xct_config *config,
			    struct xct_engine_config *cfg);

/* As struct xct_host_ops.ifname; @ctx is the struct xct_daemon. */
bool xct_host_ifname(void *ctx, uint32_t ifindex,
		     char name[static XCT_IFNAMSIZ]);

#endif
