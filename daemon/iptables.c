/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the programs of iptables. No shell is involved, and nothing is written
 * to the disk.
 */
#include "daemon/iptables.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/sd.h"

/* Seconds to wait for another user of iptables. */
#define LOCK_WAIT "10"
#define PATIENCE  12 /* seconds for one that may have to */

/* Find @name in PATH or where administrators' programs are. */
static bool find_program(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	char all[4096];
	char *save, *dir;

	snprintf(all, sizeof(all), "%s:/usr/sbin:/sbin", dirs ? dirs : "");
	for (dir = strtok_r(all, ":", &save); dir;
	     dir = strtok_r(NULL, ":", &save)) {
		int n = snprintf(path, size, "%s/%s", dir, name);

		if (n > 0 && (size_t)n < size && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* A file in memory holding @text ("": empty), at its start; or -errno. */
static int memory_file(const char *text)
{
	size_t len = strlen(text);
	int fd = memfd_create("xct-iptables", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = -errno;

			close(fd);
			return err;
		}
		text += n;
		len -= (size_t)n;
	}
	(void)lseek(fd, 0, SEEK_SET); /* memory files seek */
	return fd;
}

/* All of @fd as text; caller frees; NULL: no memory. */
static char *read_all(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = size < 0 ? NULL : malloc((size_t)size + 1);
	ssize_t n;

	if (!text)
		return NULL;
	n = pread(fd, text, (size_t)size, 0);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

/*
 * Wait for the end of @pid: its exit status, or -errno. It may take as long as
 * another user of iptables holds its lock; who waits for that does not hang,
 * and tells the service manager so. A program that never ends is no excuse.
 */
static int wait_for(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* -1: nobody is told */
	struct pollfd end = { .fd = fd, .events = POLLIN };
	int status;

	for (int s = 0; fd >= 0 && s < PATIENCE && poll(&end, 1, 1000) == 0;
	     s++)
		xct_sd_alive();
	if (fd >= 0)
		close(fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Start @argv with @fds as its stdin, stdout and stderr; its exit status, or
 * -errno. The child gets default signals: the daemon's blocked ones are not
 * for it. */
static int spawn_and_wait(const char *path, char *const argv[],
			  const int fds[static 3])
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, pipe_signal;
	pid_t pid;
	int err;

	sigemptyset(&none);
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	err = posix_spawn_file_actions_init(&actions);
	if (err)
		return -err;
	err = posix_spawnattr_init(&attr);
	if (err)
		goto err_actions;
	for (int i = 0; i < 3 && !err; i++)
		err = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	if (err)
		goto err_attr;
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipe_signal);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	err = posix_spawn(&pid, path, &actions, &attr, argv, environ);
err_attr:
	posix_spawnattr_destroy(&attr);
err_actions:
	posix_spawn_file_actions_destroy(&actions);
	return err ? -err : wait_for(pid);
}

/*
 * Run @argv (argv[0] is looked for) with @input on stdin. @out and @err get
 * what it wrote; caller frees; either may be NULL afterwards. Its exit status,
 * or -errno if it could not be run.
 */
static int run(char *const argv[], const char *input, char **out, char **err)
{
	int fds[3] = { -1, -1, -1 };
	char path[4096];
	int rc = 0;

	*out = NULL;
	*err = NULL;
	if (!find_program(argv[0], path, sizeof(path)))
		return -ENOENT;
	for (int i = 0; i < 3 && rc >= 0; i++)
		rc = fds[i] = memory_file(i == 0 ? input : "");
	if (rc >= 0)
		rc = spawn_and_wait(path, argv, fds);
	if (rc >= 0) {
		*out = read_all(fds[1]);
		*err = read_all(fds[2]);
	}
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return rc;
}

/* Line number @n, from 1, of @text, without its end. */
static const char *line_of(const char *text, unsigned int n, int *len)
{
	while (--n > 0 && *text)
		text = strchrnul(text, '\n') + (*strchrnul(text, '\n') != 0);
	*len = (int)(strchrnul(text, '\n') - text);
	return text;
}

/* What iptables wrote in @err, as one line; the number of the line it complains
 * about, or 0. */
static unsigned int read_complaint(char *err)
{
	const char *at = strstr(err, "line");
	size_t len = strlen(err);
	unsigned int line = 0;

	/* "line 5 failed", "line 5: RULE_APPEND failed", "at line: 5" */
	if (at && sscanf(at, "line%*1[: ]%u", &line) != 1)
		line = 0;
	while (len > 0 && err[len - 1] == '\n')
		err[--len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (err[i] == '\n')
			err[i] = ' ';
	return line;
}

/*
 * Say why running @name failed: @rc as run() returned it, @err what it wrote,
 * @input what it read, of which the line it complains about is shown. Returns
 * the -errno.
 */
static int explain(char **error, const char *name, int rc, char *err,
		   const char *input)
{
	int n, bad_len = 0;
	const char *bad = "";
	unsigned int line;

	if (rc == -ENOENT) {
		n = asprintf(error,
			     "%s: not found in PATH; install the package "
			     "iptables",
			     name);
	} else if (rc < 0 || !err) {
		rc = rc < 0 ? rc : -ENOMEM;
		n = asprintf(error, "%s: cannot run: %s", name, strerror(-rc));
	} else {
		line = read_complaint(err);
		if (line)
			bad = line_of(input, line, &bad_len);
		n = asprintf(
			error,
			"%s failed (status %d): %s%s%.*s%s; needed are "
			"CAP_NET_ADMIN%s and, in the kernel, the tables raw "
			"and mangle, the targets CT, NFQUEUE and MARK, "
			"the matches mark, addrtype, iprange and "
			"multiport",
			name, rc, err, bad_len ? ", at \"" : "", bad_len, bad,
			bad_len ? "\"" : "",
			strstr(err, "(legacy)")
				? ", for iptables-legacy also CAP_NET_RAW "
				  "and a writable /run/xtables.lock (see "
				  "xctd(8)),"
				: "");
		rc = strstr(err, "ermission denied") ||
				     strstr(err, "not permitted")
			     ? -EPERM
			     : -EIO;
	}
	if (n < 0)
		*error = NULL;
	return rc;
}

int xct_iptables_restore(int af, const char *text, char **error)
{
	char name[] = "ip6tables-restore", noflush[] = "--noflush";
	char wait[] = "-w", seconds[] = LOCK_WAIT;
	char *argv[] = { name, noflush, wait, seconds, NULL };
	char *out, *err;
	int rc;

	if (af == AF_INET)
		strcpy(name, "iptables-restore");
	rc = run(argv, text, &out, &err);
	if (rc)
		rc = explain(error, name, rc, err, text);
	free(out);
	free(err);
	return rc;
}

int xct_iptables_save(int af, const char *table, char **text, char **error)
{
	char name[] = "ip6tables-save", option[] = "-t", of[32];
	char *argv[] = { name, option, of, NULL };
	char *err;
	int rc;

	snprintf(of, sizeof(of), "%s", table);
	if (af == AF_INET)
		strcpy(name, "iptables-save");
	rc = run(argv, "", text, &err);
	if (rc)
		rc = explain(error, name, rc, err, "");
	else if (!*text)
		rc = -ENOMEM;
	free(err);
	return rc;
}
