/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows that outlive a stop: saved to a file and restored from one, by xctd
 * itself (settings: snapshot) or by a client of the control socket.
 */
#ifndef XCT_DAEMON_RESTORE_H
#define XCT_DAEMON_RESTORE_H

#include "common/frame.h"
#include "daemon/engine/engine.h"

struct xct_daemon;

struct xct_restore_counts {
	uint64_t written;      /* snapshots, since the start */
	uint64_t failed;       /* snapshots that could not be written */
	uint64_t damaged;      /* snapshots that were refused at the start */
	uint64_t clock_behind; /* snapshots read that were of the future */
	uint64_t flows[XCT_RESTORED_COUNT]; /* by what became of them */
	bool is_past; /* the file of the last stop has served its purpose */
};

/* As struct xct_control_ops.save, .restore and .written; @ctx is the struct
 * xct_daemon. */
bool xct_restore_walk(void *ctx, uint32_t *cursor, uint32_t max,
		      bool (*fn)(void *arg, const struct xct_saved_flow *saved),
		      void *arg);
void xct_restore_flows(void *ctx, const struct xct_saved_flow *flows, size_t n,
		       uint32_t results[static XCT_RESTORED_COUNT]);
void xct_restore_written(void *ctx, const struct xct_frame_written *written);

/* At a start: restore what the last stop has saved, if the memory @is_new. What
 * is wrong with the file is logged; it is no reason not to start. */
void xct_restore_begin(struct xct_daemon *d, bool is_new);

/* The start has succeeded: flows live on from here, and that file is of the
 * past. It goes, so that no later start takes it for the last stop's. */
void xct_restore_done(struct xct_daemon *d);

/* At a stop, when no packet comes any more. False: the flows are lost, which
 * has been said. */
bool xct_restore_save(struct xct_daemon *d);

#endif
