/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What xctd and systemd tell each other. Everything here does nothing where
 * systemd did not start the process.
 */
#ifndef XCT_DAEMON_SD_H
#define XCT_DAEMON_SD_H

#include <stdbool.h>
#include <stdint.h>

/* Does somebody wait for notifications? */
bool xct_sd_is_notified(void);

void xct_sd_ready(void);
void xct_sd_reloading(void);
void xct_sd_stopping(void);
void xct_sd_status(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
void xct_sd_alive(void); /* WATCHDOG=1 */

/* How often xct_sd_alive() must be called, in milliseconds; 0: no watchdog. */
uint64_t xct_sd_watchdog_ms(void);

/* The listening socket that systemd opened for us, non-blocking and ours to
 * close; -ENOENT if it opened none, -EINVAL if it is not a unix stream socket,
 * or another -errno. Once only: afterwards it is forgotten. */
int xct_sd_listen_fd(void);

#endif
