/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loaded into xctd by a test, to have happen what happens seldom:
 *
 *   XCT_DIE=read           die when it is about to read packets
 *   XCT_DIE=before|after   die at the first answer to packets, just before or
 *                          just after the kernel has got it
 *   XCT_DIE=keep|kept      die when systemd is to keep the flows, just before or
 *                          just after it has them
 *   XCT_DIE=ready          die just before saying so
 *   XCT_REALTIME=SECONDS   what the wall clock is ahead (or, < 0, behind), or
 *                          the absolute path of a file that says so
 *   XCT_MONOTONIC=SECONDS  the same for the other clocks
 *   XCT_NO_TMPFILE=1       have the file system know no O_TMPFILE
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static int is_answer(const struct msghdr *msg)
{
	const struct nlmsghdr *nlh;

	if (msg->msg_iovlen == 0 || msg->msg_iov[0].iov_len < sizeof(*nlh) ||
	    msg->msg_namelen != sizeof(struct sockaddr_nl))
		return 0;
	nlh = msg->msg_iov[0].iov_base;
	return nlh->nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT);
}

/* What systemd is told. */
static int is_said(const struct msghdr *msg, const char *text)
{
	const struct iovec *iov = msg->msg_iov;

	return msg->msg_iovlen > 0 &&
	       memmem(iov->iov_base, iov->iov_len, text, strlen(text));
}

/* Should it die before, or after, @msg? */
static int is_end(const struct msghdr *msg, const char *die, int is_after)
{
	int is_keep = is_said(msg, "FDSTORE=1\nFDNAME=xct-flows");

	if (!die)
		return 0;
	if (strcmp(die, is_after ? "after" : "before") == 0)
		return is_answer(msg);
	if (strcmp(die, is_after ? "kept" : "keep") == 0)
		return is_keep;
	return !is_after && strcmp(die, "ready") == 0 &&
	       is_said(msg, "READY=1");
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t (*real)(int, const struct msghdr *, int) = next("sendmsg");
	const char *die = getenv("XCT_DIE");
	ssize_t ret;

	if (is_end(msg, die, 0))
		kill(getpid(), SIGKILL);
	ret = real(fd, msg, flags);
	if (is_end(msg, die, 1))
		kill(getpid(), SIGKILL);
	return ret;
}

int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags,
	     struct timespec *timeout)
{
	int (*real)(int, struct mmsghdr *, unsigned int, int,
		    struct timespec *) = next("recvmmsg");
	const char *die = getenv("XCT_DIE");
	char byte;

	if (!die || strcmp(die, "read") != 0)
		return real(fd, msgs, n, flags, timeout);
	/* It waits for them in here. */
	if (recv(fd, &byte, 1, MSG_PEEK) < 0)
		return -1;
	kill(getpid(), SIGKILL);
	return 0;
}

int open(const char *path, int flags, ...)
{
	int (*real)(const char *, int, ...) = next("open");
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t); /* read by nobody if it is not there */
	va_end(ap);
	if ((flags & O_TMPFILE) == O_TMPFILE && getenv("XCT_NO_TMPFILE")) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return real(path, flags, mode);
}

static long shift(const char *name)
{
	const char *text = getenv(name);
	char buf[24] = "";
	int fd;

	if (!text || *text != '/')
		return text ? atol(text) : 0;
	fd = open(text, O_RDONLY);
	(void)!read(fd, buf, sizeof(buf) - 1);
	close(fd);
	return atol(buf);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int (*real)(clockid_t, struct timespec *) = next("clock_gettime");
	int ret = real(id, ts);

	ts->tv_sec +=
		shift(id == CLOCK_REALTIME ? "XCT_REALTIME" : "XCT_MONOTONIC");
	return ret;
}

time_t time(time_t *out)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (out)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
