/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saving and restoring flows; the file that bridges a reboot. */
#include "daemon/restore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/run.h"
#include "daemon/sd.h"

#define BATCH 1024 /* records looked at, or flows written, at a time */

/* ------------------------------------------------- for the control socket */

bool xct_restore_walk(void *ctx, uint32_t *cursor, uint32_t max,
		      bool (*fn)(void *arg, const struct xct_saved_flow *saved),
		      void *arg)
{
	struct xct_daemon *d = ctx;
	bool is_more;

	xct_lock_take(&d->lock);
	is_more = xct_engine_save(d->engine, cursor, xct_clock_now(), max, fn,
				  arg);
	xct_lock_give_way(&d->lock);
	return is_more;
}

void xct_restore_flows(void *ctx, const struct xct_saved_flow *flows, size_t n,
		       uint32_t results[static XCT_RESTORED_COUNT])
{
	struct xct_daemon *d = ctx;
	xct_msec now = xct_clock_now();

	xct_lock_take(&d->lock);
	xct_netdev_catch(d->netdev);
	xct_masq_look(d);
	for (size_t i = 0; i < n; i++) {
		enum xct_restored result =
			xct_engine_restore(d->engine, &flows[i], now);

		results[result]++;
		d->restore.flows[result]++;
	}
	xct_lock_give_way(&d->lock);
	if (results[XCT_RESTORED_LOADED])
		xct_run_widen_hooks(d);
	xct_masq_restored(d, now);
}

void xct_restore_written(void *ctx, const struct xct_frame_written *written)
{
	struct xct_daemon *d = ctx;

	if (written->error == 0) {
		d->restore.written++;
		xct_log(LOG_INFO, "%" PRIu64 " flows saved by a client",
			written->n);
	} else {
		d->restore.failed++;
		xct_log(LOG_WARNING, "a client could not save the flows: %s",
			strerror((int)written->error));
	}
}

/* --------------------------------------------------- at a start and a stop */

/* Is there something at @path that no snapshot has been, such as a device? It
 * is not to be read, for that may not end, nor moved or removed. */
static bool is_other_file(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* Out of the way of the next stop, but there to be looked into. */
static void set_aside(struct xct_daemon *d, const char *path, const char *why)
{
	char aside[PATH_MAX];
	bool is_aside;

	d->restore.damaged++;
	snprintf(aside, sizeof(aside), "%s.damaged", path);
	is_aside = rename(path, aside) == 0;
	xct_log(LOG_WARNING, "%s: %s: starting without its flows%s%s", path,
		why, is_aside ? "; it is kept as " : "", is_aside ? aside : "");
}

static void log_restored(const char *path, const uint32_t *results,
			 size_t expired, unsigned int ms)
{
	xct_log(LOG_INFO,
		"%s: %u flows restored in %u ms (%zu were over, %u of "
		"addresses that are gone, %u refused, %u without room)",
		path, results[XCT_RESTORED_LOADED], ms, expired,
		results[XCT_RESTORED_GONE], results[XCT_RESTORED_REFUSED],
		results[XCT_RESTORED_FULL]);
}

void xct_restore_begin(struct xct_daemon *d, bool is_new)
{
	const char *path = d->config->settings.snapshot, *why;
	uint32_t results[XCT_RESTORED_COUNT] = { 0 };
	xct_msec begin = xct_clock_now(), wall = xct_clock_wall();
	struct xct_snapshot snapshot;
	size_t expired;
	int error;

	d->restore.is_past = !is_new;
	if (!path[0] || !is_new)
		return;
	if (is_other_file(path)) {
		xct_log(LOG_WARNING,
			"%s: it is no regular file: starting without its flows",
			path);
		return;
	}
	if (!xct_snapshot_read(&snapshot, path, &why, &error)) {
		if (!error)
			set_aside(d, path, why);
		else if (error != ENOENT)
			xct_log(LOG_WARNING,
				"%s: %s: starting without its flows", path,
				why);
		return;
	}
	if (wall < snapshot.saved_ms) {
		d->restore.clock_behind++;
		xct_log(LOG_WARNING,
			"%s: the clock is %" PRIu64 " s behind the time it was "
			"saved: its flows have the time left that they had",
			path, (snapshot.saved_ms - wall) / 1000);
	}
	expired = xct_snapshot_advance(&snapshot, wall);
	d->restore.flows[XCT_RESTORED_EXPIRED] += expired;
	xct_restore_flows(d, snapshot.flows, snapshot.n, results);
	xct_snapshot_free(&snapshot);
	log_restored(path, results, expired + results[XCT_RESTORED_EXPIRED],
		     (unsigned int)(xct_clock_now() - begin));
	d->restore.is_past = true;
}

void xct_restore_done(struct xct_daemon *d)
{
	const char *path = d->config->settings.snapshot;

	if (path[0] && d->restore.is_past && !is_other_file(path) &&
	    unlink(path) < 0 && errno != ENOENT)
		xct_log(LOG_WARNING,
			"cannot remove %s, which is of the past: %s", path,
			strerror(errno));
}

/* Flows on their way to the file. */
struct batch {
	struct xct_snapshot_writer writer;
	struct xct_saved_flow flows[BATCH];
	size_t n;
};

static bool take(void *arg, const struct xct_saved_flow *saved)
{
	struct batch *batch = arg;

	batch->flows[batch->n++] = *saved;
	return true;
}

static int write_flows(struct xct_daemon *d, struct batch *batch,
		       const char *path)
{
	uint32_t cursor = 0;
	bool is_more;
	int ret;

	ret = xct_snapshot_open(&batch->writer, path, xct_clock_wall());
	do {
		if (ret)
			return ret;
		batch->n = 0;
		is_more = xct_restore_walk(d, &cursor, BATCH, take, batch);
		ret = xct_snapshot_put(&batch->writer, batch->flows, batch->n);
	} while (is_more);
	return ret ? ret : xct_snapshot_close(&batch->writer);
}

bool xct_restore_save(struct xct_daemon *d)
{
	static struct batch batch; /* too large for the stack */
	const char *path = d->config->settings.snapshot, *why;
	int ret;

	if (!path[0])
		return true;
	ret = write_flows(d, &batch, path);
	if (ret == 0) {
		xct_log(LOG_INFO, "%s: %" PRIu64 " flows saved", path,
			batch.writer.n);
		return true;
	}
	xct_snapshot_abort(&batch.writer);
	why = ret == -ENOTSUP ? "it is no regular file" : strerror(-ret);
	xct_log(LOG_ERR, "%s: cannot save the flows, they are lost: %s", path,
		why);
	xct_sd_status("the flows are lost: cannot save them to %s: %s", path,
		      why);
	return false;
}
