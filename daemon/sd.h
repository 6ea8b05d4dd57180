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

/* Starting may take so much longer, from now on, than the unit allows. */
void xct_sd_starting(unsigned int seconds);
void xct_sd_ready(void);
void xct_sd_reloading(void);
void xct_sd_stopping(void);
void xct_sd_status(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
void xct_sd_alive(void); /* WATCHDOG=1 */

/* How often xct_sd_alive() must be called, in milliseconds; 0: no watchdog. */
uint64_t xct_sd_watchdog_ms(void);

/*
 * The descriptors that systemd hands over: the control socket that it opened,
 * and what an earlier xctd had it keep. @fn is called for each with its name,
 * and has it from then on. Once only: afterwards they are forgotten. 0 or
 * -errno.
 */
int xct_sd_take_fds(void (*fn)(void *ctx, const char *name, int fd), void *ctx);

/* Is @fd a listening unix stream socket? */
bool xct_sd_is_listening(int fd);

/* Have systemd keep a duplicate of @fd under @name until the unit is stopped,
 * or no longer keep what has that name. */
void xct_sd_keep(const char *name, int fd);
void xct_sd_forget(const char *name);

/* Asked by a process that systemd runs after the service has ended, or by xctd
 * when it ends: was that asked for? Where systemd does not say, the service's
 * result does. */
enum xct_sd_end {
	XCT_SD_DIED,	  /* no: it will be started again */
	XCT_SD_NOT_READY, /* no, nor has it become ready: it will be too */
	XCT_SD_RESTARTED, /* yes, and it will be too */
	XCT_SD_STOPPED,	  /* yes, for good */
};
enum xct_sd_end xct_sd_how_ended(void);

#endif
