/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon as a whole: what main.c starts, has run and stops.
 *
 * Theory of operation
 *
 * The main thread runs an epoll loop (signals, a timer, the control socket,
 * interfaces, workers that gave up) and is the only one to touch struct
 * xct_daemon. It shares with the workers the engine, the interface table and
 * the ruleset: whoever uses one of these holds .lock, and never waits for
 * anything else while holding it. Long work on the flow table is done in
 * slices, the lock released in between.
 */
#ifndef XCT_DAEMON_DAEMON_H
#define XCT_DAEMON_DAEMON_H

#include <time.h>

#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/events.h"
#include "daemon/fill.h"
#include "daemon/fragwatch.h"
#include "daemon/hooks.h"
#include "daemon/hookwatch.h"
#include "daemon/kept.h"
#include "daemon/lock.h"
#include "daemon/loop.h"
#include "daemon/masq.h"
#include "daemon/memory.h"
#include "daemon/netdev.h"
#include "daemon/probe.h"
#include "daemon/restore.h"
#include "daemon/worker.h"

struct xct_options {
	const char *config_path;
	const char *socket_path;
	int queue;	  /* first queue; -1: as configured */
	int workers;	  /* 0: automatic; -1: as configured */
	bool is_kept;	  /* systemd keeps flows and queues across a restart */
	bool is_takeover; /* from the xctd at socket_path */
};

/* What clocks have done that they should not. */
struct xct_clock_counts {
	int64_t wall_ahead_ms; /* of the time since boot, when last looked at */
	uint64_t jumps;	       /* of the wall clock, since the start */
	xct_msec back_ms; /* that a predecessor's flows had to be set back */
};

struct xct_daemon {
	struct xct_options options;
	struct xct_lock lock; /* of engine, netdev, ruleset, events, masq */

	struct xct_config *config; /* in force; rules: under the lock */
	bool is_config_kept;	 /* that of before, the file is not in order */
	unsigned int generation; /* of config: 1, then 1 more a reload */
	time_t loaded_at;	 /* of config; wall clock, to be shown */
	xct_msec loaded_ms;	 /* the same by the daemon's clock */
	xct_msec started_ms;

	struct xct_engine *engine;
	struct xct_memory memory; /* flows, and packets in work */
	void *work;		  /* the engine's working memory */
	size_t work_size;
	struct xct_kept kept; /* of a predecessor, until taken into use */

	struct xct_netdev *netdev;
	struct xct_hooks *hooks;
	struct xct_hookwatch hookwatch;
	struct xct_fragwatch fragwatch;
	struct xct_events *events;
	struct xct_rawsend raw;
	struct xct_worker_env env;
	struct xct_worker *workers[XCT_WORKERS_MAX];
	unsigned int n_workers;
	struct xct_control *control;
	struct xct_feed *feed; /* what happens to flows, told to clients */

	struct xct_masquerade masq;
	struct xct_restore_counts restore;
	bool has_begun; /* a batch, since the netdev has caught up */

	int hooks_lock; /* whoever holds it manages this namespace's hooks */
	int epoll_fd;
	int listen_fd;
	bool has_started;     /* all of it */
	bool owns_socket;     /* made here, so removed here */
	bool has_successor;   /* leave hooks, queues and socket as they are */
	int predecessor;      /* to be told to leave; -1: none */
	bool is_ready;	      /* has started as a whole */
	bool is_over;	      /* leave the main loop */
	enum xct_exit result; /* and exit with this */

	struct xct_siphash_key seed; /* of the engine's hash */
	struct xct_poll signals;
	struct xct_poll timer;
	struct xct_poll failed;	 /* workers that gave up */
	struct xct_poll noticed; /* something, by a worker */
	bool is_early;		 /* see struct xct_worker_env; under the lock */
	struct xct_poll links;
	struct xct_poll addrs;
	struct xct_poll rules; /* nf_tables' */
	struct xct_poll fragments;

	struct xct_fill fill; /* of the flow table */
	struct xct_clock_counts clock;

	xct_msec watchdog_ms; /* between signs of life; 0: none are wanted */
	xct_msec alive_ms;    /* when the last one was given */
	xct_msec status_ms;   /* when STATUS= was sent last */
	xct_msec backlog_ms;  /* when queued packets were waited for in vain */
	xct_msec retained_ms; /* when retained hooks were looked at last */
	xct_msec widened_ms;  /* when hooks were last said to be too narrow */
};

/* Start everything. XCT_EXIT_OK, or why not: then that has been logged and all
 * that was started is stopped. @daemon is all zero before. */
enum xct_exit xct_daemon_start(struct xct_daemon *daemon,
			       const struct xct_options *options);

/* Stop: hooks first, then what still waits in the queues is handled. False if
 * hooks are left behind, or flows could not be saved: that has been logged. */
bool xct_daemon_stop(struct xct_daemon *daemon);

/* With a successor, without handling what still waits. */
void xct_daemon_stop_workers(struct xct_daemon *daemon);

/* As xct_config_load(), with what the command line says applied. */
struct xct_config *xct_daemon_load(const struct xct_options *options,
				   struct xct_messages *messages);

#endif
