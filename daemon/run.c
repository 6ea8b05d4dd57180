/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The main loop: signals, interfaces, hooks that others have changed, and four
 * times a second all that is due.
 */
#include "daemon/run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/daemon.h"
#include "daemon/host.h"
#include "daemon/log.h"
#include "daemon/reload.h"
#include "daemon/sd.h"
#include "daemon/serve.h"

#define TICK_MS	    250
#define TICK_BUDGET 256	  /* flows expired before the lock is given back */
#define WALK_BUDGET 1024  /* records looked at before it is */
#define STATUS_MS   5000  /* between two STATUS= lines */
#define RETAINED_MS 30000 /* between two looks at hooks kept for old flows */
#define WORKER_MS   3000  /* a worker silent for longer hangs */
#define JUMP_MS	    1000  /* the wall clock has been set */

#define FROM_POLL(poll, member)                                 \
	((struct xct_daemon *)(void *)((char *)(poll)-offsetof( \
		struct xct_daemon, member)))

static bool watch(struct xct_daemon *d, struct xct_poll *poll, int fd,
		  void (*ready)(struct xct_poll *poll, uint32_t events))
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = poll };

	poll->fd = fd;
	poll->ready = ready;
	return fd >= 0 &&
	       epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void netdev_catch(struct xct_daemon *d)
{
	xct_lock_take(&d->lock);
	xct_netdev_catch(d->netdev);
	xct_lock_give(&d->lock);
	xct_masq_purge(d);
	xct_masq_follow(d, xct_clock_now());
}

static void links_ready(struct xct_poll *poll, uint32_t events)
{
	(void)events; /* whatever it is, catching up is the answer */
	netdev_catch(FROM_POLL(poll, links));
}

static void addrs_ready(struct xct_poll *poll, uint32_t events)
{
	(void)events; /* as above */
	netdev_catch(FROM_POLL(poll, addrs));
}

static void signals_ready(struct xct_poll *poll, uint32_t events)
{
	struct xct_daemon *d = FROM_POLL(poll, signals);
	struct signalfd_siginfo info;
	char *text;

	(void)events;
	if (read(poll->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		(void)xct_reload(d, &text); /* has been logged */
		free(text);
		return;
	}
	xct_log(LOG_INFO, "stopping: %s", strsignal((int)info.ssi_signo));
	d->is_over = true;
}

static void failed_ready(struct xct_poll *poll, uint32_t events)
{
	struct xct_daemon *d = FROM_POLL(poll, failed);

	(void)events;
	d->result = XCT_EXIT_FAILED;
	d->is_over = true;
}

static void expire(struct xct_daemon *d, xct_msec now)
{
	bool is_more;

	do {
		xct_lock_take(&d->lock);
		is_more = xct_engine_tick(d->engine, now, TICK_BUDGET);
		xct_lock_give_way(&d->lock);
	} while (is_more);
}

static void watch_fill(struct xct_daemon *d)
{
	struct xct_engine_stats stats;

	xct_lock_take(&d->lock);
	xct_engine_stats(d->engine, &stats);
	xct_lock_give(&d->lock);
	xct_fill_look(&d->fill, &stats);
}

static void noticed_ready(struct xct_poll *poll, uint32_t events)
{
	struct xct_daemon *d = FROM_POLL(poll, noticed);
	uint64_t times;

	(void)events;
	(void)!read(poll->fd, &times, sizeof(times)); /* only to wait again */
	watch_fill(d);
	xct_masq_follow(d, xct_clock_now());
}

/* Do all workers show life? */
static bool are_workers_alive(const struct xct_daemon *d, xct_msec now)
{
	for (unsigned int i = 0; i < d->n_workers; i++)
		if (xct_worker_seen_at(d->workers[i]) + WORKER_MS < now)
			return false;
	return true;
}

void xct_run_tell_status(struct xct_daemon *d, xct_msec now)
{
	d->status_ms = now;
	if (!xct_sd_is_notified())
		return;
	xct_sd_status("%u flows, generation %u of the rules%s",
		      xct_serve_count(d), d->generation,
		      d->is_config_kept ? "; the file is not in order, these "
					  "are of before"
					: "");
}

static void notify(struct xct_daemon *d, xct_msec now)
{
	if (d->watchdog_ms && now - d->alive_ms >= d->watchdog_ms / 2 &&
	    are_workers_alive(d, now)) {
		xct_sd_alive();
		d->alive_ms = now;
	}
	if (now - d->status_ms >= STATUS_MS)
		xct_run_tell_status(d, now);
}

/* A walk in search of flows that are translated by rules of before @age_ms. */
struct search {
	uint64_t age_ms;
	bool is_found;
};

static bool search_older(void *arg, const struct xct_flow_info *info)
{
	struct search *search = arg;

	search->is_found = info->age_ms >= search->age_ms;
	return !search->is_found;
}

void xct_run_widen_hooks(struct xct_daemon *d)
{
	char *error = NULL;
	int ret;

	if (!d->hooks)
		return; /* not started yet: that looks for itself */
	d->widened_ms = xct_clock_now();
	ret = xct_hooks_widen(d->hooks);
	if (ret > 0) {
		ret = xct_masq_install_hooks(d, d->config, &error);
		if (ret == 0 && d->options.is_kept)
			xct_kept_put_hooks(d->hooks);
	}
	if (ret < 0)
		xct_log(LOG_WARNING,
			"cannot widen the hooks: answers to flows that were "
			"translated by hand are dropped: %s",
			error ? error : strerror(-ret));
	free(error);
}

/* Hooks are kept for flows that older rules translated, or none; once the last
 * of those is gone they can go as well. */
static void drop_retained(struct xct_daemon *d, xct_msec now)
{
	const struct xct_flow_update translated = {
		.filter = { .fields = XCT_FILTER_ANY_NAT },
	};
	struct search search = { .age_ms = now - (d->widened_ms > d->loaded_ms
							  ? d->widened_ms
							  : d->loaded_ms) };
	uint32_t cursor = 0;
	char *error = NULL;
	bool is_more;

	if (now - d->retained_ms < RETAINED_MS)
		return;
	d->retained_ms = now;
	if (!xct_hooks_has_retained(d->hooks))
		return;
	do {
		is_more = xct_serve_walk(d, XCT_WALK_SHOW, &cursor, &translated,
					 WALK_BUDGET, search_older, &search);
	} while (is_more && !search.is_found);
	if (search.is_found)
		return;
	xct_hooks_forget(d->hooks);
	if (d->config->settings.hooks == XCT_HOOKS_MANUAL)
		return; /* only shown, for the operator to install */
	if (xct_masq_install_hooks(d, d->config, &error) != 0)
		xct_log(LOG_WARNING, "cannot narrow the hooks: %s",
			error ? error : "no memory");
	else
		xct_log(LOG_INFO, "hooks narrowed: no flow needs more");
	if (d->options.is_kept)
		xct_kept_put_hooks(d->hooks);
	free(error);
}

static void watch_hooks(struct xct_daemon *d)
{
	xct_hookwatch_look(&d->hookwatch, d->hooks, d->config, d->n_workers,
			   xct_clock_now());
}

static void rules_ready(struct xct_poll *poll, uint32_t events)
{
	struct xct_daemon *d = FROM_POLL(poll, rules);

	(void)events; /* an overrun shows in the next read */
	xct_hookwatch_read(&d->hookwatch);
	watch_hooks(d);
}

static void fragments_ready(struct xct_poll *poll, uint32_t events)
{
	struct xct_daemon *d = FROM_POLL(poll, fragments);

	(void)events; /* an overrun shows in what follows */
	xct_fragwatch_read(&d->fragwatch, xct_clock_now());
}

void xct_run_watch_fragments(struct xct_daemon *d)
{
	int kept_fd = d->kept.fragments_fd;

	if (d->config->settings.hooks != XCT_HOOKS_AUTO ||
	    !xct_hooks_can_defrag(d->hooks))
		return;
	d->kept.fragments_fd = -1;
	if (!xct_fragwatch_open(&d->fragwatch, kept_fd, &d->seed,
				xct_clock_now()))
		return;
	if (!watch(d, &d->fragments, d->fragwatch.fd, fragments_ready))
		xct_log(LOG_WARNING, "IPv6 fragments are not counted: %s",
			strerror(errno));
	else if (kept_fd < 0 && d->options.is_kept)
		xct_sd_keep(XCT_KEPT_FRAGS, d->fragwatch.fd);
}

/* Nothing here goes by the wall clock but what is shown: so that an odd time
 * there is no riddle. Time asleep is no jump, and setting it right bit by bit
 * is none either. */
static void watch_wall_clock(struct xct_daemon *d)
{
	xct_msec before = xct_clock_ms(CLOCK_BOOTTIME);
	int64_t ahead = (int64_t)(xct_clock_wall() - before), jump;

	if (xct_clock_ms(CLOCK_BOOTTIME) - before > JUMP_MS / 2)
		return; /* not looked at in one moment */
	jump = ahead - d->clock.wall_ahead_ms;
	d->clock.wall_ahead_ms = ahead;
	if (llabs(jump) < JUMP_MS)
		return;
	d->clock.jumps++;
	xct_log(LOG_INFO,
		"the wall clock has been set by %+" PRId64 " s: no timer goes "
		"by it",
		jump / 1000);
}

static void timer_ready(struct xct_poll *poll, uint32_t events)
{
	struct xct_daemon *d = FROM_POLL(poll, timer);
	xct_msec now = xct_clock_now();
	uint64_t ticks;

	(void)events;
	/* Only to make it wait again; how many ticks were missed is nothing
	 * to us. */
	(void)!read(poll->fd, &ticks, sizeof(ticks));
	*d->memory.clock = now;
	watch_wall_clock(d);
	expire(d, now);
	watch_fill(d);
	xct_masq_purge(d); /* what a worker has found */
	xct_masq_follow(d, now);
	xct_masq_settle(d, now);
	xct_events_log(d->events, &d->lock, xct_host_ifname, d, now);
	notify(d, now);
	drop_retained(d, now);
	watch_hooks(d);
	xct_run_watch_fragments(d);
}

enum xct_exit xct_run_start(struct xct_daemon *d)
{
	const struct itimerspec every = {
		.it_interval.tv_nsec = TICK_MS * 1000000L,
		.it_value.tv_nsec = TICK_MS * 1000000L,
	};
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	/* Before there is any other thread: they all inherit it. */
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll_fd < 0)
		return xct_probe_failed("make an epoll instance", errno);
	if (!watch(d, &d->signals,
		   signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK),
		   signals_ready))
		return xct_probe_failed("wait for signals", errno);
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (!watch(d, &d->timer, fd, timer_ready) ||
	    timerfd_settime(fd, 0, &every, NULL) < 0)
		return xct_probe_failed("make a timer", errno);
	if (!watch(d, &d->failed, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		   failed_ready))
		return xct_probe_failed("make an eventfd", errno);
	if (!watch(d, &d->noticed, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		   noticed_ready))
		return xct_probe_failed("make an eventfd", errno);
	d->watchdog_ms = xct_sd_watchdog_ms();
	d->clock.wall_ahead_ms =
		(int64_t)(xct_clock_wall() - xct_clock_ms(CLOCK_BOOTTIME));
	return XCT_EXIT_OK;
}

bool xct_run_follow_links(struct xct_daemon *d)
{
	return watch(d, &d->links, xct_netdev_link_fd(d->netdev),
		     links_ready) &&
	       watch(d, &d->addrs, xct_netdev_addr_fd(d->netdev), addrs_ready);
}

bool xct_run_follow_rules(struct xct_daemon *d)
{
	return watch(d, &d->rules, d->hookwatch.fd, rules_ready);
}

enum xct_exit xct_run(struct xct_daemon *d)
{
	struct epoll_event event;

	while (!d->is_over) {
		/* One at a time: a handler may free other polls. */
		int n = epoll_wait(d->epoll_fd, &event, 1, -1);

		if (n > 0) {
			struct xct_poll *poll = event.data.ptr;

			poll->ready(poll, event.events);
		} else if (n < 0 && errno != EINTR) {
			xct_log(LOG_ERR, "cannot wait for events: %s",
				strerror(errno));
			return XCT_EXIT_FAILED;
		}
	}
	return d->result;
}
