/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What xctd and systemd tell each other, through libsystemd. */
#include "daemon/sd.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
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

void xct_sd_starting(unsigned int seconds)
{
	char state[48];

	snprintf(state, sizeof(state), "EXTEND_TIMEOUT_USEC=%u000000", seconds);
	notify(state);
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

int xct_sd_take_fds(void (*fn)(void *ctx, const char *name, int fd), void *ctx)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		fn(ctx, names[i], fd);
		free(names[i]);
	}
	free(names);
	return n < 0 ? n : 0;
}

bool xct_sd_is_listening(int fd)
{
	return sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) > 0;
}

void xct_sd_keep(const char *name, int fd)
{
	char state[128];
	int ret;

	/* FDPOLL=0: an overrun of the socket is no reason to close it. */
	snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	ret = sd_pid_notify_with_fds(0, 0, state, &fd, 1);
	if (ret < 0)
		xct_log(LOG_WARNING, "cannot have %s kept by systemd: %s", name,
			strerror(-ret));
}

void xct_sd_forget(const char *name)
{
	char state[128];

	snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	notify(state);
}

#define SYSTEMD	     "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

/* The type of the job of the unit at @path ("stop", "restart"); caller frees.
 * NULL: there is none, or nobody tells. */
static char *job_type(sd_bus *bus, const char *path)
{
	sd_bus_message *job = NULL;
	char *type = NULL;
	uint32_t id = 0;

	if (sd_bus_get_property(bus, SYSTEMD, path, SYSTEMD ".Unit", "Job",
				NULL, &job, "(uo)") >= 0 &&
	    sd_bus_message_read(job, "(uo)", &id, &path) >= 0 && id != 0)
		(void)sd_bus_get_property_string(bus, SYSTEMD, path,
						 SYSTEMD ".Job", "JobType",
						 NULL, &type);
	sd_bus_message_unref(job);
	return type;
}

/* Has the unit at @path been active since it was started last? */
static bool was_active(sd_bus *bus, const char *path)
{
	uint64_t started = 0, active = 0;

	/* Where this fails both are 0. */
	(void)sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Unit",
					  "InactiveExitTimestampMonotonic",
					  NULL, 't', &started);
	(void)sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Unit",
					  "ActiveEnterTimestampMonotonic", NULL,
					  't', &active);
	return active > started;
}

static enum xct_sd_end ask_how_ended(sd_bus *bus, const char *path)
{
	enum xct_sd_end end = XCT_SD_DIED;
	char *type = job_type(bus, path);

	if (type && strcmp(type, "stop") == 0)
		end = XCT_SD_STOPPED;
	else if (type && strstr(type, "restart"))
		end = XCT_SD_RESTARTED;
	else if (!was_active(bus, path))
		end = XCT_SD_NOT_READY;
	free(type);
	return end;
}

enum xct_sd_end xct_sd_how_ended(void)
{
	const char *result = getenv("SERVICE_RESULT"), *path;
	enum xct_sd_end end = XCT_SD_DIED;
	sd_bus_message *unit = NULL;
	sd_bus *bus = NULL;

	/* Directly: there need not be a D-Bus daemon. */
	if (sd_bus_new(&bus) >= 0 &&
	    sd_bus_set_address(bus, "unix:path=/run/systemd/private") >= 0 &&
	    sd_bus_start(bus) >= 0 &&
	    sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager",
			       "GetUnitByPID", NULL, &unit, "u",
			       (uint32_t)getpid()) >= 0 &&
	    sd_bus_message_read(unit, "o", &path) >= 0)
		end = ask_how_ended(bus, path);
	else if (!result || strcmp(result, "success") == 0)
		end = XCT_SD_STOPPED;
	sd_bus_message_unref(unit);
	sd_bus_unref(bus);
	return end;
}
