/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why xctd cannot start: one exit code a cause, and one sentence that says what
 * to do. Documented in xctd(8).
 */
#ifndef XCT_DAEMON_PROBE_H
#define XCT_DAEMON_PROBE_H

#include "common/types.h"

enum xct_exit {
	XCT_EXIT_OK = 0,
	XCT_EXIT_FAILED = 1,	 /* at run time */
	XCT_EXIT_USAGE = 2,	 /* wrong options */
	XCT_EXIT_RUNNING = 3,	 /* another xctd is in the way */
	XCT_EXIT_CONFIG = 4,	 /* the configuration is wrong */
	XCT_EXIT_QUEUE = 5,	 /* a queue belongs to another program */
	XCT_EXIT_CAPABILITY = 6, /* CAP_NET_ADMIN or CAP_NET_RAW is missing */
	XCT_EXIT_MISSING = 7,	 /* the kernel or iptables lacks something */
};

/* Each of these logs its sentence if it does not return XCT_EXIT_OK. */

/* "cannot @what: ", and @error (an errno). XCT_EXIT_FAILED. */
enum xct_exit xct_probe_failed(const char *what, int error);

/* May this process do what xctd does? */
enum xct_exit xct_probe_capabilities(void);

/* Why xct_rawsend_open() failed with @error (-errno). */
enum xct_exit xct_probe_raw_error(int error);

/* Why xct_control_listen(@path) failed with @error (-errno). */
enum xct_exit xct_probe_socket_error(const char *path, int error);

/* Why xct_nfq_open(@queue) failed with @error (-errno). */
enum xct_exit xct_probe_queue_error(uint16_t queue, int error);

/* Why the hooks could not be installed: @error (-errno) and what the installer
 * said, or NULL. */
enum xct_exit xct_probe_hooks_error(int error, const char *text);

#endif
