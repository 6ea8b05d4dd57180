/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps before and after xctd under systemd.
 *
 * Theory of operation
 *
 * Flows and queues survive xctd in the hands of systemd, so packets wait while
 * it is away. If it fails to start again and again they would wait, and then be
 * dropped, whatever "on-failure" says. So the step after each end counts the
 * lives that ended before xctd was ready. From LOOP in a row on it gives the
 * queues up: the kernel then does with packets what the hooks ask for, which is
 * what the configuration in force said: pass or drop. Flows stay with systemd.
 * The step before the start waits longer from time to time. An xctd that does
 * start has all from then on; one that was ready has answered what waited.
 *
 * The count is a small file that only these steps write. It is gone after a
 * stop. A stop or restart that was asked for is no failure.
 *
 * xctd, which may not ask systemd, is told in the same way: of a restart, after
 * which another one adopts its flows, the step before the stop leaves a file.
 */
#include "daemon/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/nfq_info.h"
#include "daemon/sd.h"

#define LIVES_PATH   "/run/xct/lives"
#define RESTART_PATH "/run/xct/restart"
#define LOOP	     8	 /* failed starts in a row */
#define PAUSE_MS     100 /* after the second one; doubled for each in a loop */
#define PAUSE_MAX    5000

/* ------------------------------------------------------------- the record */

void xct_lives_read(struct xct_lives *lives)
{
	FILE *f = fopen(LIVES_PATH, "re");

	*lives = (struct xct_lives){ 0 };
	if (!f)
		return;
	if (fscanf(f, "starts %u failed %u end %31[^\n]", &lives->starts,
		   &lives->failed, lives->end) < 2)
		*lives = (struct xct_lives){ 0 };
	(void)fclose(f); /* only read */
}

/* As a whole or not at all; xctd, which has no rights here, reads it. */
static enum xct_exit lives_write(const struct xct_lives *lives)
{
	static const char path[] = LIVES_PATH ".new";
	FILE *f = fopen(path, "we");
	bool is_written = false;

	if (f) {
		fprintf(f, "starts %u\nfailed %u\nend %s\n", lives->starts,
			lives->failed, lives->end);
		is_written = fchmod(fileno(f), 0644) == 0;
		is_written &= fclose(f) == 0 && rename(path, LIVES_PATH) == 0;
	}
	if (!is_written)
		xct_log(LOG_WARNING, "cannot write %s: %s", LIVES_PATH,
			strerror(errno));
	return is_written ? XCT_EXIT_OK : XCT_EXIT_FAILED;
}

/* --------------------------------------------------------- before the start */

static void remove_file(const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT)
		xct_log(LOG_WARNING, "cannot remove %s: %s", path,
			strerror(errno));
}

/* Have systemd hand @fd over to xctd, in place of that of an earlier start. */
static void hand_over(const char *name, int fd)
{
	if (fd < 0)
		return;
	xct_sd_forget(name);
	xct_sd_keep(name, fd);
}

static enum xct_exit hand_over_all(void)
{
	struct xct_rawsend raw;
	int ret = xct_rawsend_open(&raw), info;

	if (ret < 0)
		return xct_probe_raw_error(ret);
	hand_over(XCT_KEPT_RAW4, raw.fd4);
	hand_over(XCT_KEPT_RAW6, raw.fd6);
	xct_rawsend_close(&raw);
	info = xct_nfq_open_info();
	if (info < 0)
		return xct_probe_queue_error(
			0, info == -ENOENT ? -EPROTONOSUPPORT : info);
	hand_over(XCT_KEPT_INFO, info);
	(void)close(info); /* only read */
	return XCT_EXIT_OK;
}

/* After a single failure at once, in a loop ever later. */
static void pause_after(unsigned int failed)
{
	unsigned int ms = PAUSE_MS;
	struct timespec ts;

	if (failed < 2)
		return;
	for (; failed >= LOOP && ms < PAUSE_MAX; failed--)
		ms *= 2;
	if (ms > PAUSE_MAX)
		ms = PAUSE_MAX;
	ts = (struct timespec){ .tv_sec = ms / 1000,
				.tv_nsec = ms % 1000 * 1000000L };
	/* A signal ends this process, or is none of its business. */
	(void)nanosleep(&ts, NULL);
}

enum xct_exit xct_service_pre_start(void)
{
	struct xct_lives lives;

	xct_lives_read(&lives);
	if (lives.failed >= LOOP)
		xct_sd_status("crash loop: %u failed starts in a row, the last "
			      "%s; queues given up",
			      lives.failed, lives.end);
	remove_file(RESTART_PATH);
	pause_after(lives.failed);
	lives.starts++;
	(void)lives_write(&lives); /* at worst, deaths are not counted */
	return hand_over_all();
}

/* ----------------------------------------------------------- before a stop */

enum xct_exit xct_service_pre_stop(void)
{
	int fd;

	if (xct_sd_how_ended() != XCT_SD_RESTARTED)
		return XCT_EXIT_OK;
	fd = open(RESTART_PATH, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		xct_log(LOG_WARNING, "cannot write %s: %s", RESTART_PATH,
			strerror(errno));
		return XCT_EXIT_FAILED;
	}
	(void)close(fd); /* nothing is in it */
	return XCT_EXIT_OK;
}

bool xct_service_is_stopped(void)
{
	return access(RESTART_PATH, F_OK) < 0 &&
	       xct_sd_how_ended() == XCT_SD_STOPPED;
}

/* ----------------------------------------------------------- after the end */

enum xct_exit xct_service_unhook(const struct xct_options *options)
{
	struct xct_messages messages = { 0 };
	struct xct_config *config = xct_daemon_load(options, &messages);
	bool is_manual = config && config->settings.hooks == XCT_HOOKS_MANUAL;
	struct xct_hooks *hooks;
	char *error = NULL;
	int lock, err;

	xct_messages_fini(&messages);
	xct_config_free(config);
	if (is_manual)
		return XCT_EXIT_OK;
	lock = xct_hooks_lock();
	if (lock == -EADDRINUSE) {
		xct_log(LOG_ERR, "the hooks are those of an xctd that runs: "
				 "stop it, which takes them away");
		return XCT_EXIT_RUNNING;
	}
	hooks = xct_hooks_new();
	err = hooks ? xct_hooks_remove(hooks, &error) : -ENOMEM;
	if (err)
		xct_log(LOG_ERR, "cannot remove the hooks: %s",
			error ? error : "no memory");
	free(error);
	xct_hooks_free(hooks);
	if (lock >= 0)
		(void)close(lock); /* nothing is unwritten */
	return err ? XCT_EXIT_FAILED : XCT_EXIT_OK;
}

static const char *from_systemd(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "unknown";
}

static void forget_queue(void *arg, uint16_t number,
			 const struct xct_nfq_info *info)
{
	(void)arg;
	(void)info;
	xct_kept_forget_queue(number);
}

static void note_death(struct xct_lives *lives, enum xct_sd_end end)
{
	lives->failed = end == XCT_SD_NOT_READY ? lives->failed + 1 : 0;
	snprintf(lives->end, sizeof(lives->end), "%s %s",
		 from_systemd("EXIT_CODE"), from_systemd("EXIT_STATUS"));
	xct_log(LOG_WARNING, "xctd has ended %s (%s, %s): start %u follows",
		lives->failed ? "before it was ready" : "unasked",
		from_systemd("SERVICE_RESULT"), lives->end, lives->starts + 1);
	if (lives->failed < LOOP)
		return;
	/* Those of others are not kept under such names. */
	xct_nfq_each(forget_queue, NULL);
	xct_log(LOG_ERR,
		"crash loop, %u failed starts in a row: the queues are given "
		"up, packets pass or not as \"on-failure\" said; flows are "
		"kept",
		lives->failed);
}

enum xct_exit xct_service_post_stop(const struct xct_options *options)
{
	enum xct_sd_end end = xct_sd_how_ended();
	struct xct_lives lives;

	/* The unit of the socket runs this too, and knows of stops only. */
	if (end != XCT_SD_STOPPED && !getenv("SERVICE_RESULT"))
		return XCT_EXIT_OK;
	if (end != XCT_SD_STOPPED) {
		xct_lives_read(&lives);
		if (end == XCT_SD_RESTARTED) {
			lives.failed = 0;
			strcpy(lives.end, "restart");
			/* Whoever asks for that wants the file's rules. */
			xct_sd_forget(XCT_KEPT_RULES);
		} else {
			note_death(&lives, end);
		}
		return lives_write(&lives);
	}
	remove_file(LIVES_PATH);
	remove_file(RESTART_PATH);
	return xct_service_unhook(options);
}
