/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's beginning and end. What it does in between is in run.c, serve.c
 * and the workers; the theory of operation is in daemon.h.
 *
 * Starting is a list of steps, each of which says for itself why it failed;
 * stopping undoes in reverse whatever has been started, so it serves for a
 * start that failed half way as well.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/cgroup.h"
#include "daemon/clock.h"
#include "daemon/host.h"
#include "daemon/log.h"
#include "daemon/restore.h"
#include "daemon/run.h"
#include "daemon/sd.h"
#include "daemon/service.h"
#include "daemon/serve.h"
#include "daemon/takeover.h"

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

/* ------------------------------------------------------------- starting */

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
	if (d->config->settings.queue_first + d->config->settings.workers >
	    UINT16_MAX + 1) {
		xct_log(LOG_ERR,
			"%u queues from number %u on; expected the last to be "
			"at most %u: see --queue and --workers",
			d->config->settings.workers,
			d->config->settings.queue_first, UINT16_MAX);
		return XCT_EXIT_USAGE;
	}
	d->generation = 1;
	d->loaded_at = time(NULL);
	d->started_ms = d->loaded_ms = xct_clock_now();
	return XCT_EXIT_OK;
}

/* All but the flows: the process, queues' buffers, iptables while it runs. */
#define PROCESS_SIZE (8u << 20)

/* A cgroup refuses nothing: the kernel would kill xctd while it starts, or when
 * the table fills, and again and again. */
static enum xct_exit check_cgroup(struct xct_daemon *d)
{
	uint32_t max_flows = d->config->settings.table_size;
	uint64_t size = (uint64_t)xct_region_size(max_flows) +
			xct_engine_work_size(max_flows) + PROCESS_SIZE;
	struct xct_cgroup_limit limit;

	xct_cgroup_memory_limit(&limit, "/proc/self/cgroup",
				"/proc/self/mountinfo");
	if (size <= limit.bytes)
		return XCT_EXIT_OK;
	xct_log(LOG_ERR,
		"\"table-size: %u\" needs %" PRIu64 " MB, and the cgroup "
		"allows %" PRIu64 " MB (%s): set a smaller one, or let xctd "
		"have more (MemoryMax=)",
		max_flows, (size >> 20) + 1, limit.bytes >> 20, limit.file);
	return XCT_EXIT_FAILED;
}

static enum xct_exit probe_capabilities(struct xct_daemon *d)
{
	(void)d; /* of the process */
	return xct_probe_capabilities();
}

static enum xct_exit begin_takeover(struct xct_daemon *d)
{
	const char *path = d->options.socket_path;

	d->predecessor = xct_takeover_begin(path, xct_kept_note, &d->kept);
	if (d->predecessor == -ENOENT || d->predecessor == -ECONNREFUSED) {
		xct_log(LOG_ERR,
			"no xctd answers on %s to take over from: start "
			"without --takeover, or say where with -s",
			path);
		return XCT_EXIT_FAILED;
	}
	if (d->predecessor == -EBUSY) {
		xct_log(LOG_ERR,
			"the xctd that answers on %s is a service, and goes "
			"on: its manager has its flows and queues, and would "
			"start another one; use \"systemctl restart xctd\", "
			"which loses nothing either",
			path);
		return XCT_EXIT_RUNNING;
	}
	if (d->predecessor < 0)
		return xct_probe_failed("take over from the xctd that runs",
					-d->predecessor);
	if (xct_kept_is_usable(&d->kept))
		return XCT_EXIT_OK;
	xct_log(LOG_ERR,
		"the xctd that runs has flows of a layout that this one does "
		"not know, and goes on: keep them with \"xctctl list -o "
		"save\", stop it, start this one, and use \"xctctl "
		"load-entries\"");
	return XCT_EXIT_RUNNING;
}

static enum xct_exit start_kept(struct xct_daemon *d)
{
	int ret;

	if (d->options.is_takeover)
		return begin_takeover(d);
	ret = xct_sd_take_fds(xct_kept_note, &d->kept);
	if (ret < 0)
		return xct_probe_failed("take over what systemd has kept",
					-ret);
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
	d->listen_fd =
		xct_control_listen(path, d->config->settings.control_group);
	if (d->listen_fd < 0)
		return xct_probe_socket_error(path, d->listen_fd);
	d->owns_socket = true;
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
		return xct_probe_failed("have the xctd that runs leave", -ret);
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
		d->clock.back_ms = last - now;
		xct_region_set_back(d->memory.region, d->memory.max_flows,
				    last - now);
	}
	*d->memory.clock = now;
}

/* The memory for 4 million flows takes two seconds to get, on a slow and busy
 * machine ten; adopting them takes less. */
#define START_SECONDS	 20
#define FLOWS_PER_SECOND 400000

static void log_adoption(const struct xct_daemon *d,
			 const struct xct_attach_report *report, xct_msec took)
{
	char from[32] = "";

	if (d->kept.layout != XCT_REGION_VERSION)
		snprintf(from, sizeof(from), " from layout %u", d->kept.layout);
	xct_log(LOG_INFO,
		"%u flows adopted%s in %u ms (%u were over, %u of addresses "
		"that are gone, %u torn)",
		report->adopted, from, (unsigned int)took, report->expired,
		report->gone, report->torn);
}

static enum xct_exit start_engine(struct xct_daemon *d)
{
	uint32_t max_flows = d->config->settings.table_size;
	struct xct_attach_report report;
	struct xct_engine_config cfg;
	xct_msec begin = xct_clock_now();
	bool is_new;
	int ret;

	xct_sd_starting(START_SECONDS + max_flows / FLOWS_PER_SECOND);
	if (getrandom(&d->seed, sizeof(d->seed), 0) != sizeof(d->seed))
		return xct_probe_failed("get random numbers", errno);
	d->events = xct_events_new();
	if (!d->events)
		return xct_probe_failed("allocate memory for events", ENOMEM);
	ret = xct_kept_memory(&d->kept, max_flows, &d->memory, &is_new);
	if (ret < 0)
		return no_memory(max_flows, -ret);
	d->work_size = xct_engine_work_size(max_flows);
	d->work = map_work(d->work_size);
	if (!d->work)
		return no_memory(max_flows, errno);
	set_clock_back(d, begin);
	xct_masq_begin(d);

	xct_host_engine_config(d, d->config, &cfg);
	ret = xct_engine_attach(&d->engine, d->memory.region, d->work,
				max_flows, &cfg, begin, &report);
	if (ret < 0)
		return xct_probe_failed("start the engine", -ret);
	if (!report.was_new)
		log_adoption(d, &report, xct_clock_now() - begin);
	xct_engine_set_ruleset(d->engine, &d->config->ruleset);
	/* Kept with all flows or not at all: one that dies in between leaves
	 * the file, or these, to the next. */
	xct_restore_begin(d, is_new);
	if (d->options.is_kept && is_new)
		xct_kept_put_memory(&d->kept, &d->memory);
	return XCT_EXIT_OK;
}

/* With the lock held. */
static void links_changed(void *ctx)
{
	struct xct_daemon *d = ctx;

	xct_engine_forget_interfaces(d->engine);
}

static enum xct_exit start_netdev(struct xct_daemon *d)
{
	const struct xct_netdev_ops ops = { .addr_gone = xct_masq_addr_gone,
					    .links_changed = links_changed,
					    .ctx = d };
	int ret;

	ret = xct_netdev_new(&d->netdev, &ops);
	if (ret < 0)
		return xct_probe_failed("read the table of interfaces", -ret);
	if (!xct_run_follow_links(d))
		return xct_probe_failed("follow the table of interfaces",
					errno);
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
		return xct_probe_failed("set the mark of raw sockets", -ret);
	d->env =
		(struct xct_worker_env){ .engine = d->engine,
					 .lock = &d->lock,
					 .raw = &d->raw,
					 .mark_mask = settings->mark_mask,
					 .busy_poll_us = settings->busy_poll_us,
					 .failed_fd = d->failed.fd,
					 .has_begun = &d->has_begun,
					 .is_early = &d->is_early };
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
	return ret < 0 ? xct_probe_failed("start the workers", -ret)
		       : XCT_EXIT_OK;
}

static enum xct_exit start_feed(struct xct_daemon *d)
{
	d->feed = xct_feed_new(d->epoll_fd, d->engine, &d->lock);
	return d->feed ? XCT_EXIT_OK
		       : xct_probe_failed("follow the flows", errno);
}

static enum xct_exit lock_hooks(struct xct_daemon *d)
{
	if (d->config->settings.hooks == XCT_HOOKS_MANUAL)
		return XCT_EXIT_OK;
	d->hooks_lock = xct_hooks_lock();
	if (d->hooks_lock >= 0)
		return XCT_EXIT_OK;
	if (d->hooks_lock != -EADDRINUSE)
		return xct_probe_failed("lock the hooks", -d->hooks_lock);
	xct_log(LOG_ERR, "another xctd manages the hooks of this network "
			 "namespace: stop it, or set \"hooks: manual\" in one "
			 "of the two configurations");
	return XCT_EXIT_RUNNING;
}

static enum xct_exit start_hooks(struct xct_daemon *d)
{
	enum xct_exit result;
	char *error = NULL;
	bool is_told;
	int ret;

	d->hooks = xct_hooks_new();
	if (!d->hooks)
		return xct_probe_failed("plan the hooks", ENOMEM);
	if (d->config->settings.hooks == XCT_HOOKS_MANUAL)
		return XCT_EXIT_OK;
	ret = xct_kept_hooks(&d->kept, d->hooks);
	if (ret < 0)
		return xct_probe_failed("plan the hooks", ENOMEM);
	is_told = ret > 0;
	/* First, so that nothing is missed. */
	xct_hookwatch_open(&d->hookwatch);
	if (d->hookwatch.fd >= 0 && !xct_run_follow_rules(d))
		return xct_probe_failed("follow the rules of nf_tables", errno);
	/* Flows that are there already were made by rules of before. */
	if (!is_told && xct_serve_count(d) > 0 && xct_hooks_widen(d->hooks) < 0)
		return xct_probe_failed("plan the hooks", ENOMEM);
	ret = xct_masq_install_hooks(d, d->config, &error);
	if (ret == 0) {
		if (d->options.is_kept)
			xct_kept_put_hooks(d->hooks);
		if (!xct_hooks_can_defrag(d->hooks))
			xct_log(LOG_WARNING,
				"this kernel cannot put fragments together for "
				"xctd, and fragments are invalid: it has "
				"neither of the matches socket and conntrack, "
				"nor the target TPROXY");
		xct_run_watch_fragments(d);
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
		start_kept,	    start_config,    check_cgroup,
		probe_capabilities, xct_run_start,   start_raw,
		start_socket,	    start_netdev,    finish_takeover,
		start_engine,	    start_workers,   lock_hooks,
		start_feed,	    xct_serve_start, start_hooks,
	};
	enum xct_exit result = XCT_EXIT_OK;

	d->options = *options;
	xct_lock_init(&d->lock);
	d->memory.fd = d->epoll_fd = d->listen_fd = d->hooks_lock = -1;
	d->predecessor = -1;
	xct_kept_init(&d->kept);
	d->signals.fd = d->timer.fd = d->failed.fd = d->noticed.fd = -1;
	d->raw.fd4 = d->raw.fd6 = d->hookwatch.fd = d->fragwatch.fd = -1;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(steps); i++) {
		result = steps[i](d);
		if (result != XCT_EXIT_OK) {
			(void)xct_daemon_stop(d); /* it failed anyway */
			return result;
		}
	}
	xct_kept_forget(&d->kept, &d->config->settings);
	xct_restore_done(d);
	d->has_started = true;
	log_ready(d);
	xct_run_tell_status(d, xct_clock_now());
	xct_sd_ready();
	d->is_ready = true;
	if (d->options.is_kept && !d->is_config_kept)
		xct_kept_put_rules(d->config);
	return XCT_EXIT_OK;
}

/* ------------------------------------------------------------- stopping */

void xct_daemon_stop_workers(struct xct_daemon *d)
{
	while (d->n_workers > 0)
		xct_worker_stop(d->workers[--d->n_workers], d->has_successor);
}

bool xct_daemon_stop(struct xct_daemon *d)
{
	/* Is nobody to take the flows over? */
	bool is_over = d->has_started && !d->has_successor &&
		       (!d->options.is_kept || xct_service_is_stopped());
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
	xct_daemon_stop_workers(d);
	/* Its chain takes with it what waits in any queue. */
	xct_fragwatch_close(&d->fragwatch);
	if (is_over)
		is_clean &= xct_restore_save(d);
	if (d->events && d->netdev)
		xct_events_log(d->events, &d->lock, xct_host_ifname, d,
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
	close_fd(d->noticed.fd);
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
