/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What xctd and systemd tell each other, through libsystemd. */
#include "daemon/sd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/log.h"

static void notify(const char *state)
{
	int ret = sd_notify(0, state);

	if (ret < 0)
		xct_log(LOG_DEBUG, "cannot notify systemd: %s", strerror(-ret));
}

bool xct_sd_is_notified(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

void xct_sd_ready(void)
{
	notify("READY=1");
}

void xct_sd_reloading(void)
{
	struct timespec ts;
	char state[80];

	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
	notify(state);
}

void xct_sd_stopping(void)
{
	notify("STOPPING=1");
}

void xct_sd_status(const char *format, ...)
{
	char state[200] = "STATUS=";
	va_list ap;

	va_start(ap, format);
	vsnprintf(state + strlen(state), sizeof(state) - strlen(state), format,
		  ap);
	va_end(ap);
	notify(state);
}

void xct_sd_alive(void)
{
	notify("WATCHDOG=1");
}

uint64_t xct_sd_watchdog_ms(void)
{
	uint64_t usec;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return 0;
	return usec / 1000;
}

int xct_sd_listen_fd(void)
{
	int n = sd_listen_fds(1), fd = SD_LISTEN_FDS_START, flags;

	if (n < 0)
		return n;
	if (n == 0)
		return -ENOENT;
	for (int i = 1; i < n; i++)
		(void)close(fd + i); /* not ours to use, nothing to lose */
	if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0) {
		(void)close(fd); /* as above */
		return -EINVAL;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return fd;
}
