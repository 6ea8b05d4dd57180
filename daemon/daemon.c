/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon as a whole: what main.c starts, keeps going and stops. The theory
 * of operation is in daemon.h.
 *
 * Starting is a list of steps, each of which says for itself why it failed;
 * stopping undoes in reverse whatever has been started, so it serves for a
 * start that failed half way as well.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/reload.h"
#include "daemon/report.h"
#include "daemon/restore.h"
#include "daemon/sd.h"
#include "daemon/takeover.h"

#define TICK_MS	    250
#define TICK_BUDGET 256	  /* flows expired before the lock is given back */
#define WALK_BUDGET 1024  /* records looked at before it is */
#define STATUS_MS   5000  /* between two STATUS= lines */
#define RETAINED_MS 30000 /* between two looks at hooks kept for old flows */
#define WORKER_MS   3000  /* a worker silent for longer hangs */

#define FROM_POLL(poll, member)                                 \
	((struct xct_daemon *)(void *)((char *)(poll)-offsetof( \
		struct xct_daemon, member)))

/* The command line comes first. */
static void apply_options(struct xct_config *config,
			  const struct xct_options *options)
{
	if (options->queue >= 0)
		config->settings.queue_first = (uint16_t)options->queue;
	if (options->workers >= 0)
		config->settings.workers = (uint16_t)options->workers;
}

struct xct_config *xct_daemon_load(const struct xct_options *options,
				   struct xct_messages *messages)
{
	struct xct_config *config;

	config = xct_config_load(options->config_path, messages);
	if (config)
		apply_options(config, options);
	return config;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd); /* none of them has anything unwritten */
}

/* ------------------------------------------- what the engine asks for */

/* A NEW connection is judged by what interfaces are now, not by what they were
 * when the main loop last looked: the first one of a batch catches up. */
static void catch_up(struct xct_daemon *d)
{
	if (d->has_begun)
		xct_netdev_catch(d->netdev);
	d->has_begun = false;
}

static bool host_ifname(void *ctx, uint32_t ifindex,
			char name[static XCT_IFNAMSIZ])
{
	struct xct_daemon *d = ctx;

	if (ifindex & XCT_IF_AWAITED)
		return xct_masq_awaited_name(d, ifindex, name);
	catch_up(d);
	return xct_netdev_ifname(d->netdev, ifindex, name);
}

static bool host_ifaddr(void *ctx, uint32_t ifindex, uint8_t family,
			const struct xct_addr *dst, struct xct_addr *addr)
{
	struct xct_daemon *d = ctx;

	catch_up(d);
	return xct_netdev_ifaddr(d->netdev, ifindex, family, dst, addr);
}

static bool host_is_local(void *ctx, uint8_t family,
			  const struct xct_addr *addr)
{
	struct xct_daemon *d = ctx;

	catch_up(d);
	return xct_netdev_is_local(d->netdev, family, addr);
}

static void host_event(void *ctx, const struct xct_event *event)
{
	struct xct_daemon *d = ctx;

	xct_events_put(d->events, event);
}

void xct_daemon_engine_config(struct xct_daemon *d,
			      const struct xct_config *config,
			      struct xct_engine_config *cfg)
{
	*cfg = (struct xct_engine_config){
		.l4 = config->settings.l4,
		.host = { .ifname = host_ifname,
			  .ifaddr = host_ifaddr,
			  .is_local = host_is_local,
			  .ifindex = xct_masq_ifindex,
			  .masq = xct_masq_judge,
			  .event = host_event,
			  .ctx = d },
		.seed = d->seed,
		.accounting = config->settings.accounting,
		.timestamps = config->settings.timestamps,
	};
}

/* -------------------------------------------- interfaces and addresses */

/* With the lock held. */
static void links_changed(void *ctx)
{
	struct xct_daemon *d = ctx;

	xct_engine_forget_interfaces(d->engine);
}

static void netdev_catch(struct xct_daemon *d)
{
	xct_lock_take(&d->lock);
	xct_netdev_catch(d->netdev);
	xct_lock_give(&d->lock);
	xct_masq_purge(d);
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

/* ------------------------------------------------- the control socket */

static bool
control_walk(void *ctx, uint32_t *cursor, const struct xct_flow_filter *filter,
	     uint32_t max, bool is_delete,
	     bool (*fn)(void *arg, const struct xct_flow_info *info), void *arg)
{
	struct xct_daemon *d = ctx;
	xct_msec now = xct_clock_now();
	bool is_more;

	xct_lock_take(&d->lock);
	is_more = is_delete ? xct_engine_delete(d->engine, cursor, now, filter,
						max, fn, arg)
			    : xct_engine_walk(d->engine, cursor, now, filter,
					      max, fn, arg);
	xct_lock_give(&d->lock);
	return is_more;
}

static bool control_update(void *ctx, uint32_t *cursor,
			   const struct xct_flow_update *update, uint32_t max,
			   bool (*fn)(void *arg,
				      const struct xct_flow_info *info),
			   void *arg)
{
	struct xct_daemon *d = ctx;
	xct_msec now = xct_clock_now();
	bool is_more;

	xct_lock_take(&d->lock);
	is_more =
		xct_engine_update(d->engine, cursor, now, update, max, fn, arg);
	xct_lock_give(&d->lock);
	return is_more;
}

static int control_create(void *ctx, const struct xct_flow_create *req)
{
	struct xct_daemon *d = ctx;
	int ret;

	xct_lock_take(&d->lock);
	ret = xct_engine_create(d->engine, req, xct_clock_now());
	xct_lock_give(&d->lock);
	return ret;
}

static uint32_t count_flows(struct xct_daemon *d)
{
	struct xct_engine_stats stats;

	xct_lock_take(&d->lock);
	xct_engine_stats(d->engine, &stats);
	xct_lock_give(&d->lock);
	return stats.flows;
}

static uint32_t control_count(void *ctx)
{
	return count_flows(ctx);
}

static char *control_stats(void *ctx)
{
	return xct_report_stats(ctx);
}

static char *control_rules(void *ctx)
{
	return xct_report_rules(ctx);
}

static char *control_status(void *ctx)
{
	return xct_report_status(ctx);
}

static char *control_hooks(void *ctx)
{
	return xct_report_hooks(ctx);
}

static bool control_reload(void *ctx, char **text)
{
	return xct_reload(ctx, text);
}

static void stop_workers(struct xct_daemon *d)
{
	while (d->n_workers > 0)
		xct_worker_stop(d->workers[--d->n_workers], d->has_successor);
}

static void control_takeover(void *ctx,
			     bool (*fn)(void *arg, const char *name, int fd),
			     void *arg)
{
	struct xct_daemon *d = ctx;
	char name[32];

	if (!fn(arg, XCT_KEPT_MEMORY, d->memory.fd) ||
	    !fn(arg, XCT_KEPT_SOCKET, d->listen_fd) ||
	    !fn(arg, XCT_KEPT_RAW4, d->raw.fd4) ||
	    (d->raw.fd6 >= 0 && !fn(arg, XCT_KEPT_RAW6, d->raw.fd6)))
		return;
	for (unsigned int i = 0; i < d->n_workers; i++) {
		const struct xct_nfq *nfq = xct_worker_nfq(d->workers[i]);

		snprintf(name, sizeof(name), XCT_KEPT_QUEUE "%u",
			 xct_nfq_number(nfq));
		if (!fn(arg, name, xct_nfq_fd(nfq)))
			return;
	}
}

static void control_leave(void *ctx)
{
	struct xct_daemon *d = ctx;

	xct_log(LOG_INFO, "leaving: another xctd takes over");
	d->has_successor = true;
	stop_workers(d);
	close_fd(d->hooks_lock);
	d->hooks_lock = -1;
	d->is_over = true;
}

/* ------------------------------------------------------- the main loop */

static bool watch(struct xct_daemon *d, struct xct_poll *poll, int fd,
		  void (*ready)(struct xct_poll *poll, uint32_t events))
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = poll };

	poll->fd = fd;
	poll->ready = ready;
	return fd >= 0 &&
	       epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
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
		xct_lock_give(&d->lock);
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

/* Do all workers show life? */
static bool are_workers_alive(const struct xct_daemon *d, xct_msec now)
{
	for (unsigned int i = 0; i < d->n_workers; i++)
		if (xct_worker_seen_at(d->workers[i]) + WORKER_MS < now)
			return false;
	return true;
}

static void tell_status(struct xct_daemon *d, xct_msec now)
{
	d->status_ms = now;
	if (!xct_sd_is_notified())
		return;
	xct_sd_status("%u flows, generation %u of the rules%s", count_flows(d),
		      d->generation,
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
		tell_status(d, now);
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

/* Hooks are kept on reload for flows that the old rules translated; once the
 * last of those is gone they can go as well. */
static void drop_retained(struct xct_daemon *d, xct_msec now)
{
	struct xct_flow_filter filter = { .fields = XCT_FILTER_ANY_NAT };
	struct search search = { .age_ms = now - d->loaded_ms };
	uint32_t cursor = 0;
	char *error = NULL;
	bool is_more;

	if (now - d->retained_ms < RETAINED_MS)
		return;
	d->retained_ms = now;
	if (!xct_hooks_has_retained(d->hooks))
		return;
	do {
		is_more = control_walk(d, &cursor, &filter, WALK_BUDGET, false,
				       search_older, &search);
	} while (is_more && !search.is_found);
	if (search.is_found)
		return;
	xct_hooks_forget(d->hooks);
	if (xct_hooks_install(d->hooks, d->config, d->n_workers, &error) != 0)
		xct_log(LOG_WARNING, "cannot narrow the hooks: %s",
			error ? error : "no memory");
	else
		xct_log(LOG_INFO, "hooks narrowed: no flow needs more");
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
	expire(d, now);
	watch_fill(d);
	xct_masq_purge(d); /* what a worker has found */
	xct_masq_settle(d, now);
	xct_events_log(d->events, &d->lock, host_ifname, d, now);
	notify(d, now);
	drop_retained(d, now);
	watch_hooks(d);
}

enum xct_exit xct_daemon_run(struct xct_daemon *d)
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

/* ------------------------------------------------------------- starting */

static enum xct_exit failed(const char *what, int error)
{
	xct_log(LOG_ERR, "cannot %s: %s", what, strerror(error));
	return XCT_EXIT_FAILED;
}

/* After a crash: the configuration that was in force, if systemd has it. */
static void load_kept(struct xct_daemon *d)
{
	struct xct_messages messages = { 0 }; /* have been said before */

	d->config = xct_kept_rules(&d->kept, d->options.config_path, &messages);
	xct_messages_fini(&messages);
	if (!d->config)
		return;
	apply_options(d->config, &d->options);
	d->is_config_kept = true;
	xct_log(LOG_ERR,
		"%s is not in order: going on with the rules of before the "
		"crash; mend it and reload",
		d->options.config_path);
}

static enum xct_exit start_config(struct xct_daemon *d)
{
	struct xct_messages messages = { 0 };

	d->config = xct_daemon_load(&d->options, &messages);
	if (messages.text)
		xct_log_lines(d->config ? LOG_WARNING : LOG_ERR, messages.text);
	xct_messages_fini(&messages);
	if (!d->config)
		load_kept(d);
	if (!d->config)
		return XCT_EXIT_CONFIG;
	d->generation = 1;
	d->loaded_at = time(NULL);
	d->started_ms = d->loaded_ms = xct_clock_now();
	return XCT_EXIT_OK;
}

static enum xct_exit probe_capabilities(struct xct_daemon *d)
{
	(void)d; /* of the process */
	return xct_probe_capabilities();
}

/* Make the directory of @path; that it is there already is fine, and if it is
 * missing still, the socket cannot be made either. */
static void make_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[256];

	if (slash && slash != path &&
	    snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path) <
		    (int)sizeof(dir))
		(void)mkdir(dir, 0755);
}

static enum xct_exit start_kept(struct xct_daemon *d)
{
	int ret;

	if (d->options.is_takeover) {
		d->predecessor = xct_takeover_begin(d->options.socket_path,
						    xct_kept_note, &d->kept);
		if (d->predecessor < 0)
			return failed("take over from the xctd that runs",
				      -d->predecessor);
		return XCT_EXIT_OK;
	}
	ret = xct_sd_take_fds(xct_kept_note, &d->kept);
	if (ret < 0)
		return failed("take over what systemd has kept", -ret);
	return XCT_EXIT_OK;
}

static enum xct_exit start_raw(struct xct_daemon *d)
{
	int ret = xct_kept_raw(&d->kept, &d->raw);

	return ret < 0 ? xct_probe_raw_error(ret) : XCT_EXIT_OK;
}

static enum xct_exit start_socket(struct xct_daemon *d)
{
	const char *path = d->options.socket_path;

	d->listen_fd = d->kept.listen_fd;
	d->kept.listen_fd = -1;
	if (d->listen_fd >= 0) {
		d->owns_socket = d->options.is_takeover;
		return XCT_EXIT_OK;
	}
	make_directory(path);
	d->listen_fd =
		xct_control_listen(path, d->config->settings.control_group);
	if (d->listen_fd < 0)
		return xct_probe_socket_error(path, d->listen_fd);
	d->owns_socket = true;
	return XCT_EXIT_OK;
}

static enum xct_exit start_loop(struct xct_daemon *d)
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
		return failed("make an epoll instance", errno);
	if (!watch(d, &d->signals,
		   signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK),
		   signals_ready))
		return failed("wait for signals", errno);
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (!watch(d, &d->timer, fd, timer_ready) ||
	    timerfd_settime(fd, 0, &every, NULL) < 0)
		return failed("make a timer", errno);
	if (!watch(d, &d->failed, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		   failed_ready))
		return failed("make an eventfd", errno);
	d->watchdog_ms = xct_sd_watchdog_ms();
	return XCT_EXIT_OK;
}

static void *map_work(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* Huge pages are a matter of speed only: they may be refused. */
	(void)madvise(memory, size, MADV_HUGEPAGE);
	return memory;
}

/* The last moment at which a takeover can fail harmlessly: from here on the
 * predecessor touches nothing. */
static enum xct_exit finish_takeover(struct xct_daemon *d)
{
	int ret;

	if (d->predecessor < 0)
		return XCT_EXIT_OK;
	ret = xct_takeover_finish(d->predecessor);
	d->predecessor = -1;
	if (ret < 0)
		return failed("have the xctd that runs leave", -ret);
	return XCT_EXIT_OK;
}

static enum xct_exit no_memory(uint32_t max_flows, int error)
{
	size_t size =
		xct_region_size(max_flows) + xct_engine_work_size(max_flows);

	xct_log(LOG_ERR,
		"cannot get memory for the flows: %s; \"table-size: %u\" needs "
		"%zu MB: set a smaller one, or let xctd have more (ulimit -v, "
		"LimitAS=)",
		strerror(error), max_flows, (size >> 20) + 1);
	return XCT_EXIT_FAILED;
}

/* The clock of a predecessor was ahead (in another time namespace, say): its
 * flows would live on for as long. Going on from its last sign of life, they
 * have left what they had then. */
static void set_clock_back(struct xct_daemon *d, xct_msec now)
{
	xct_msec last = *d->memory.clock;

	if (last > now) {
		xct_log(LOG_WARNING,
			"the clock is %" PRIu64 " s behind that of an earlier "
			"xctd: its flows are set back",
			(last - now) / 1000);
		xct_region_set_back(d->memory.region, d->memory.max_flows,
				    last - now);
	}
	*d->memory.clock = now;
}

static enum xct_exit start_engine(struct xct_daemon *d)
{
	uint32_t max_flows = d->config->settings.table_size;
	struct xct_attach_report report;
	struct xct_engine_config cfg;
	xct_msec begin = xct_clock_now();
	bool is_new;
	int ret;

	if (getrandom(&d->seed, sizeof(d->seed), 0) != sizeof(d->seed))
		return failed("get random numbers", errno);
	d->events = xct_events_new();
	if (!d->events)
		return failed("allocate memory for events", ENOMEM);
	ret = xct_kept_memory(&d->kept, max_flows, &d->memory, &is_new);
	if (ret < 0)
		return no_memory(max_flows, -ret);
	d->work_size = xct_engine_work_size(max_flows);
	d->work = map_work(d->work_size);
	if (!d->work)
		return no_memory(max_flows, errno);
	set_clock_back(d, begin);

	xct_daemon_engine_config(d, d->config, &cfg);
	ret = xct_engine_attach(&d->engine, d->memory.region, d->work,
				max_flows, &cfg, begin, &report);
	if (ret == -EINVAL) {
		xct_log(LOG_WARNING, "the flows of an earlier xctd are of "
				     "another version: starting without");
		xct_memory_free(&d->memory);
		is_new = true;
		ret = xct_memory_new(&d->memory, max_flows);
		if (ret == 0)
			ret = xct_engine_attach(&d->engine, d->memory.region,
						d->work, max_flows, &cfg, begin,
						&report);
	}
	if (ret < 0)
		return failed("start the engine", -ret);
	if (!report.was_new)
		xct_log(LOG_INFO,
			"%u flows adopted in %u ms (%u were over, %u of "
			"addresses that are gone, %u torn)",
			report.adopted, (unsigned int)(xct_clock_now() - begin),
			report.expired, report.gone, report.torn);
	if (d->options.is_kept && is_new) {
		/* In place of one that could not be used, if there was one. */
		xct_sd_forget(XCT_KEPT_MEMORY);
		xct_sd_keep(XCT_KEPT_MEMORY, d->memory.fd);
	}
	xct_engine_set_ruleset(d->engine, &d->config->ruleset);
	xct_restore_begin(d, is_new);
	return XCT_EXIT_OK;
}

static enum xct_exit start_netdev(struct xct_daemon *d)
{
	const struct xct_netdev_ops ops = { .addr_gone = xct_masq_addr_gone,
					    .links_changed = links_changed,
					    .ctx = d };
	int ret;

	ret = xct_netdev_new(&d->netdev, &ops);
	if (ret < 0)
		return failed("read the table of interfaces", -ret);
	if (!watch(d, &d->links, xct_netdev_link_fd(d->netdev), links_ready) ||
	    !watch(d, &d->addrs, xct_netdev_addr_fd(d->netdev), addrs_ready))
		return failed("follow the table of interfaces", errno);
	return XCT_EXIT_OK;
}

/* How many queues: as said, or one a processor; no more than there are
 * numbers. */
static unsigned int choose_workers(const struct xct_settings *settings)
{
	unsigned int n = settings->workers;
	unsigned int room = UINT16_MAX + 1u - settings->queue_first;
	cpu_set_t cpus;

	if (n == 0)
		n = sched_getaffinity(0, sizeof(cpus), &cpus) == 0
			    ? (unsigned int)CPU_COUNT(&cpus)
			    : 1;
	if (n > XCT_WORKERS_MAX)
		n = XCT_WORKERS_MAX;
	return n < room ? n : room;
}

/* Open a queue, going on where a predecessor has left it. */
static int open_queue(struct xct_daemon *d, struct xct_nfq **nfq,
		      uint16_t number)
{
	const struct xct_settings *settings = &d->config->settings;
	char name[32];
	int ret;

	ret = xct_kept_queue(&d->kept, number, settings->queue_length,
			     settings->fail_open, nfq);
	if (ret == 0)
		return 0; /* and goes on being kept */
	ret = xct_nfq_open(nfq, number, settings->queue_length,
			   settings->fail_open);
	snprintf(name, sizeof(name), XCT_KEPT_QUEUE "%u", number);
	if (ret == 0 && d->options.is_kept)
		xct_sd_keep(name, xct_nfq_fd(*nfq));
	return ret;
}

static enum xct_exit start_workers(struct xct_daemon *d)
{
	const struct xct_settings *settings = &d->config->settings;
	unsigned int n = choose_workers(settings);
	struct xct_nfq *nfqs[XCT_WORKERS_MAX];
	unsigned int bound = 0;
	int ret;

	ret = xct_rawsend_set_mark(
		&d->raw,
		(uint32_t)XCT_STAGE_DONE << __builtin_ctz(settings->mark_mask));
	if (ret < 0)
		return failed("set the mark of raw sockets", -ret);
	d->env =
		(struct xct_worker_env){ .engine = d->engine,
					 .lock = &d->lock,
					 .raw = &d->raw,
					 .mark_mask = settings->mark_mask,
					 .busy_poll_us = settings->busy_poll_us,
					 .failed_fd = d->failed.fd,
					 .has_begun = &d->has_begun };
	/* All or none: no packet is taken before every queue is ours. */
	while (bound < n) {
		uint16_t number = (uint16_t)(settings->queue_first + bound);

		ret = open_queue(d, &nfqs[bound], number);
		if (ret < 0) {
			while (bound > 0)
				xct_nfq_close(nfqs[--bound]);
			return xct_probe_queue_error(number, ret);
		}
		bound++;
	}
	for (unsigned int i = 0; i < n; i++) {
		if (ret == 0)
			ret = xct_worker_start(&d->workers[i], nfqs[i],
					       &d->memory.pending[i], &d->env);
		else
			xct_nfq_close(nfqs[i]);
		if (ret == 0)
			d->n_workers++;
	}
	if (ret == 0)
		xct_kept_forget(&d->kept);
	return ret < 0 ? failed("start the workers", -ret) : XCT_EXIT_OK;
}

static enum xct_exit start_feed(struct xct_daemon *d)
{
	d->feed = xct_feed_new(d->epoll_fd, d->engine, &d->lock);
	return d->feed ? XCT_EXIT_OK : failed("follow the flows", errno);
}

static enum xct_exit start_control(struct xct_daemon *d)
{
	const struct xct_control_ops ops = {
		.walk = control_walk,
		.update = control_update,
		.create = control_create,
		.save = xct_restore_walk,
		.restore = xct_restore_flows,
		.written = xct_restore_written,
		.count = control_count,
		.stats = control_stats,
		.rules = control_rules,
		.status = control_status,
		.hooks = control_hooks,
		.reload = control_reload,
		.takeover = control_takeover,
		.leave = control_leave,
		.feed = d->feed,
		.ctx = d,
	};

	d->control = xct_control_new(d->epoll_fd, d->listen_fd, &ops);
	if (!d->control)
		return failed("serve the control socket", ENOMEM);
	return XCT_EXIT_OK;
}

/*
 * Two daemons would change, and at last remove, each other's hooks. An abstract
 * socket's name is unique in a network namespace, as hooks are, and goes with
 * the process.
 */
static enum xct_exit lock_hooks(struct xct_daemon *d)
{
	static const char name[] = "\0xctd-hooks";
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len =
		offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1;

	if (d->config->settings.hooks == XCT_HOOKS_MANUAL)
		return XCT_EXIT_OK;
	memcpy(addr.sun_path, name, sizeof(name) - 1);
	d->hooks_lock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (d->hooks_lock < 0)
		return failed("make a socket", errno);
	if (bind(d->hooks_lock, (const struct sockaddr *)&addr, len) == 0)
		return XCT_EXIT_OK;
	if (errno != EADDRINUSE)
		return failed("lock the hooks", errno);
	xct_log(LOG_ERR, "another xctd manages the hooks of this network "
			 "namespace: stop it, or set \"hooks: manual\" in one "
			 "of the two configurations");
	return XCT_EXIT_RUNNING;
}

static enum xct_exit start_hooks(struct xct_daemon *d)
{
	enum xct_exit result;
	char *error = NULL;
	int ret;

	d->hooks = xct_hooks_new();
	if (!d->hooks)
		return failed("plan the hooks", ENOMEM);
	if (d->config->settings.hooks == XCT_HOOKS_MANUAL)
		return XCT_EXIT_OK;
	/* First, so that nothing is missed. */
	xct_hookwatch_open(&d->hookwatch);
	if (d->hookwatch.fd >= 0 &&
	    !watch(d, &d->rules, d->hookwatch.fd, rules_ready))
		return failed("follow the rules of nf_tables", errno);
	ret = xct_hooks_install(d->hooks, d->config, d->n_workers, &error);
	if (ret == 0) {
		if (!xct_hooks_can_defrag(d->hooks))
			xct_log(LOG_WARNING,
				"this kernel cannot put fragments together for "
				"xctd, and fragments are invalid: it has "
				"neither of the matches socket and conntrack, "
				"nor the target TPROXY");
		return XCT_EXIT_OK;
	}
	result = xct_probe_hooks_error(ret, error);
	free(error);
	xct_hooks_free(d->hooks);
	d->hooks = NULL; /* nothing is installed: nothing to remove */
	return result;
}

static void log_ready(const struct xct_daemon *d)
{
	const struct xct_settings *settings = &d->config->settings;
	const struct xct_ruleset *rs = &d->config->ruleset;
	uint32_t n_filter = 0;

	for (int i = 0; i < XCT_CHAINS; i++)
		n_filter += rs->chain[i].n;
	xct_log(LOG_INFO,
		"ready: %s, %u nat and %u filter rules, queues %u to %u, "
		"hooks %s, fail %s, room for %u flows, socket %s",
		d->options.config_path,
		/* Every rule and every default has one counter. */
		rs->n_hits - n_filter - XCT_CHAINS, n_filter,
		settings->queue_first, settings->queue_first + d->n_workers - 1,
		settings->hooks == XCT_HOOKS_AUTO ? "auto" : "manual",
		settings->fail_open ? "open" : "closed", settings->table_size,
		d->owns_socket ? d->options.socket_path : "of systemd");
}

enum xct_exit xct_daemon_start(struct xct_daemon *d,
			       const struct xct_options *options)
{
	static enum xct_exit (*const steps[])(struct xct_daemon *) = {
		start_kept,    start_config,	probe_capabilities,
		start_loop,    start_raw,	start_socket,
		start_netdev,  finish_takeover, start_engine,
		start_workers, lock_hooks,	start_feed,
		start_control, start_hooks,
	};
	enum xct_exit result = XCT_EXIT_OK;

	d->options = *options;
	xct_lock_init(&d->lock);
	d->memory.fd = d->epoll_fd = d->listen_fd = d->hooks_lock = -1;
	d->predecessor = -1;
	xct_kept_init(&d->kept);
	d->signals.fd = d->timer.fd = d->failed.fd = -1;
	d->raw.fd4 = d->raw.fd6 = d->hookwatch.fd = -1;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(steps); i++) {
		result = steps[i](d);
		if (result != XCT_EXIT_OK) {
			(void)xct_daemon_stop(d); /* it failed anyway */
			return result;
		}
	}
	xct_restore_done(d);
	d->has_started = true;
	log_ready(d);
	tell_status(d, xct_clock_now());
	xct_sd_ready();
	d->is_ready = true;
	if (d->options.is_kept && !d->is_config_kept)
		xct_kept_put_rules(d->config);
	return XCT_EXIT_OK;
}

/* ------------------------------------------------------------- stopping */

bool xct_daemon_stop(struct xct_daemon *d)
{
	/* Is nobody to take the flows over? */
	bool is_over =
		d->has_started && !d->has_successor &&
		(!d->options.is_kept || xct_sd_how_ended() == XCT_SD_STOPPED);
	bool is_clean = true;
	char *error = NULL;

	/* A start that fails is none to stop. */
	if (d->is_ready)
		xct_sd_stopping();
	/* With a successor in sight the hooks stay, and what they queue waits
	 * for it. */
	d->has_successor |= d->options.is_kept;
	if (d->hooks && !d->has_successor &&
	    d->config->settings.hooks == XCT_HOOKS_AUTO &&
	    xct_hooks_remove(d->hooks, &error) != 0) {
		xct_log(LOG_ERR, "cannot remove the hooks: %s",
			error ? error : "no memory");
		is_clean = false;
	}
	free(error);
	xct_hooks_free(d->hooks);
	xct_hookwatch_close(&d->hookwatch);
	stop_workers(d);
	if (is_over)
		xct_restore_save(d);
	if (d->events && d->netdev)
		xct_events_log(d->events, &d->lock, host_ifname, d,
			       xct_clock_now());
	xct_control_free(d->control);
	xct_feed_free(d->feed);
	xct_rawsend_close(&d->raw);
	xct_netdev_free(d->netdev);
	xct_events_free(d->events);
	if (d->work)
		munmap(d->work, d->work_size);
	xct_memory_free(&d->memory);
	xct_kept_close(&d->kept);
	close_fd(d->predecessor);
	close_fd(d->hooks_lock);
	close_fd(d->signals.fd);
	close_fd(d->timer.fd);
	close_fd(d->failed.fd);
	close_fd(d->epoll_fd);
	close_fd(d->listen_fd);
	if (d->owns_socket && !d->has_successor &&
	    unlink(d->options.socket_path) < 0)
		xct_log(LOG_WARNING, "cannot remove %s: %s",
			d->options.socket_path, strerror(errno));
	xct_config_free(d->config);
	xct_lock_fini(&d->lock);
	return is_clean;
}
