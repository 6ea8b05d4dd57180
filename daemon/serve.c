/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What clients of the control socket may ask of the daemon. */
#include "daemon/serve.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/backlog.h"
#include "daemon/clock.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/reload.h"
#include "daemon/report.h"
#include "daemon/run.h"

static void settle(void *ctx)
{
	struct xct_daemon *d = ctx;

	xct_backlog_wait(d->workers, d->n_workers, &d->backlog_ms);
}

bool xct_serve_walk(void *ctx, enum xct_walk walk, uint32_t *cursor,
		    const struct xct_flow_update *update, uint32_t max,
		    bool (*fn)(void *arg, const struct xct_flow_info *info),
		    void *arg)
{
	struct xct_daemon *d = ctx;
	xct_msec now = xct_clock_now();
	bool is_more = false;

	xct_lock_take(&d->lock);
	switch (walk) {
	case XCT_WALK_SHOW:
		is_more = xct_engine_walk(d->engine, cursor, now,
					  &update->filter, max, fn, arg);
		break;
	case XCT_WALK_DELETE:
		is_more = xct_engine_delete(d->engine, cursor, now,
					    &update->filter, max, fn, arg);
		break;
	case XCT_WALK_UPDATE:
		is_more = xct_engine_update(d->engine, cursor, now, update, max,
					    fn, arg);
		break;
	}
	xct_lock_give_way(&d->lock);
	return is_more;
}

static bool expects(void *ctx, uint32_t *cursor, uint32_t max,
		    bool (*fn)(void *arg, const struct xct_expect_info *info),
		    void *arg)
{
	struct xct_daemon *d = ctx;
	bool is_more;

	xct_lock_take(&d->lock);
	is_more = xct_engine_expects(d->engine, cursor, xct_clock_now(), max,
				     fn, arg);
	xct_lock_give_way(&d->lock);
	return is_more;
}

static bool unexpect(void *ctx, uint32_t *cursor, const struct xct_tuple *tuple,
		     uint32_t max, uint64_t *count)
{
	struct xct_daemon *d = ctx;
	bool is_more;

	xct_lock_take(&d->lock);
	is_more = xct_engine_unexpect(d->engine, cursor, xct_clock_now(), tuple,
				      max, count);
	xct_lock_give_way(&d->lock);
	return is_more;
}

static int create(void *ctx, const struct xct_flow_create *req)
{
	struct xct_daemon *d = ctx;
	int ret;

	xct_lock_take(&d->lock);
	ret = xct_engine_create(d->engine, req, xct_clock_now());
	xct_lock_give(&d->lock);
	if (ret == 0 && req->fields)
		xct_run_widen_hooks(d);
	return ret;
}

uint32_t xct_serve_count(void *ctx)
{
	struct xct_daemon *d = ctx;
	struct xct_engine_stats stats;

	xct_lock_take(&d->lock);
	xct_engine_stats(d->engine, &stats);
	xct_lock_give(&d->lock);
	return stats.flows;
}

static char *stats(void *ctx)
{
	return xct_report_stats(ctx);
}

static char *rules(void *ctx)
{
	return xct_report_rules(ctx);
}

static char *status(void *ctx)
{
	return xct_report_status(ctx);
}

static char *hooks(void *ctx)
{
	return xct_report_hooks(ctx);
}

static bool reload(void *ctx, char **text)
{
	return xct_reload(ctx, text);
}

static bool hand_over(struct xct_daemon *d, int hooks_fd,
		      bool (*fn)(void *arg, const char *name, int fd),
		      void *arg)
{
	char name[32];

	if (!fn(arg, XCT_KEPT_MEMORY, d->memory.fd) ||
	    !fn(arg, XCT_KEPT_SOCKET, d->listen_fd) ||
	    !fn(arg, XCT_KEPT_RAW4, d->raw.fd4) ||
	    (d->raw.fd6 >= 0 && !fn(arg, XCT_KEPT_RAW6, d->raw.fd6)) ||
	    /* What manual hooks select is not known. */
	    (d->config->settings.hooks == XCT_HOOKS_AUTO &&
	     !fn(arg, XCT_KEPT_HOOKS, hooks_fd)) ||
	    (d->fragwatch.fd >= 0 && !fn(arg, XCT_KEPT_FRAGS, d->fragwatch.fd)))
		return false;
	for (unsigned int i = 0; i < d->n_workers; i++) {
		const struct xct_nfq *nfq = xct_worker_nfq(d->workers[i]);

		snprintf(name, sizeof(name), XCT_KEPT_QUEUE "%u",
			 xct_nfq_number(nfq));
		if (!fn(arg, name, xct_nfq_fd(nfq)))
			return false;
	}
	return true;
}

static int takeover(void *ctx, bool (*fn)(void *arg, const char *name, int fd),
		    void *arg)
{
	struct xct_daemon *d = ctx;
	int hooks_fd;

	/* Its manager would miss it, and start another beside the new one. */
	if (d->options.is_kept)
		return -EBUSY;
	hooks_fd = xct_kept_hooks_file(d->hooks);
	if (hooks_fd < 0)
		return -ENOMEM;
	/* If it fails the end of the answer says so. */
	(void)hand_over(d, hooks_fd, fn, arg);
	(void)close(hooks_fd); /* the other side has it */
	return 0;
}

static void leave(void *ctx)
{
	struct xct_daemon *d = ctx;

	xct_log(LOG_INFO, "leaving: another xctd takes over");
	d->has_successor = true;
	xct_daemon_stop_workers(d);
	if (d->hooks_lock >= 0)
		(void)close(d->hooks_lock); /* nothing is unwritten */
	d->hooks_lock = -1;
	d->is_over = true;
}

enum xct_exit xct_serve_start(struct xct_daemon *d)
{
	const struct xct_control_ops ops = {
		.settle = settle,
		.walk = xct_serve_walk,
		.create = create,
		.expects = expects,
		.unexpect = unexpect,
		.save = xct_restore_walk,
		.restore = xct_restore_flows,
		.written = xct_restore_written,
		.count = xct_serve_count,
		.stats = stats,
		.rules = rules,
		.status = status,
		.hooks = hooks,
		.reload = reload,
		.takeover = takeover,
		.leave = leave,
		.feed = d->feed,
		.ctx = d,
	};

	d->control = xct_control_new(d->epoll_fd, d->listen_fd, &ops);
	if (!d->control)
		return xct_probe_failed("serve the control socket", ENOMEM);
	return XCT_EXIT_OK;
}
