/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the daemon: to the journal with priorities and fields where
 * stderr is the journal (JOURNAL_STREAM), else to stderr as text lines.
 * err: the operator must act; warning: degraded; info: life cycle; debug.
 */
#ifndef XCT_DAEMON_LOG_H
#define XCT_DAEMON_LOG_H

#include <syslog.h> /* LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG */

#include "daemon/engine/engine.h"

void xct_log_init(int max_priority);

void xct_log(int priority, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A warning that somebody may want to be woken by: it has a MESSAGE_ID. */
void xct_log_alarm(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* Log each line of @text on its own. */
void xct_log_lines(int priority, const char *text);

/* What the engine reported; each type has a limit of its own. */
void xct_log_event(const struct xct_event *event, const char *in_name,
		   const char *out_name, xct_msec now);

/* Say how many of each type were left out by the limit, and @more before they
 * came here; at most every ten seconds. To be called every now and then. */
void xct_log_left_out(const uint64_t more[static XCT_EVENT_TYPES],
		      xct_msec now);

#endif
