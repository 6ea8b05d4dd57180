/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What clients of the control socket may ask of the daemon. */
#ifndef XCT_DAEMON_SERVE_H
#define XCT_DAEMON_SERVE_H

#include "daemon/control.h"
#include "daemon/probe.h"

struct xct_daemon;

/* Begin to serve them. */
enum xct_exit xct_serve_start(struct xct_daemon *daemon);

/* As struct xct_control_ops.walk and .count; @ctx is the struct xct_daemon. */
bool xct_serve_walk(void *ctx, enum xct_walk walk, uint32_t *cursor,
		    const struct xct_flow_update *update, uint32_t max,
		    bool (*fn)(void *arg, const struct xct_flow_info *info),
		    void *arg);
uint32_t xct_serve_count(void *ctx);

#endif
