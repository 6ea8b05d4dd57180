/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel says of queues: /proc/net/netfilter/nfnetlink_queue. */
#include "daemon/nfq_info.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter/nfnetlink_queue.h>

/* For root alone to open: others are given it. -1: opened where it is read. */
static int info_fd = -1;

/* Have the kernel load what makes the file: a command that does no more. */
static void load_module(void)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct mnl_socket *nl =
		mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct nlmsghdr *nlh;

	if (!nl)
		return;
	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, 0);
	nfq_nlmsg_cfg_put_cmd(nlh, AF_INET, NFQNL_CFG_CMD_PF_BIND);
	/* Whether it worked is seen by the file. */
	(void)mnl_socket_sendto(nl, nlh, nlh->nlmsg_len);
	(void)mnl_socket_close(nl); /* nothing to lose */
}

int xct_nfq_open_info(void)
{
	/* Through self: where only processes are in /proc, it is there. */
	static const char path[] = "/proc/self/net/netfilter/nfnetlink_queue";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		load_module();
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

void xct_nfq_use_info(int fd)
{
	if (info_fd >= 0)
		(void)close(info_fd); /* only read */
	info_fd = fd;
}

/* The file from its beginning; NULL: it cannot be read. */
static FILE *read_info(void)
{
	int fd = info_fd < 0 ? xct_nfq_open_info()
			     : fcntl(info_fd, F_DUPFD_CLOEXEC, 0);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (f)
		rewind(f);
	else if (fd >= 0)
		(void)close(fd); /* only read */
	return f;
}

static bool read_line(FILE *f, uint16_t *number, struct xct_nfq_info *info)
{
	unsigned int mode, range;

	return fscanf(f,
		      "%" SCNu16 " %" SCNu32 " %" SCNu32 " %u %u %" SCNu64
		      " %" SCNu64 " %" SCNu32 "%*[^\n]",
		      number, &info->portid, &info->waiting, &mode, &range,
		      &info->dropped, &info->user_dropped, &info->last_id) == 8;
}

bool xct_nfq_info(uint16_t number, struct xct_nfq_info *info)
{
	FILE *f = read_info();
	bool is_found = false;
	uint16_t queue;

	if (!f)
		return false;
	while (!is_found && read_line(f, &queue, info))
		is_found = queue == number;
	(void)fclose(f); /* only read */
	return is_found;
}

void xct_nfq_each(void (*fn)(void *arg, uint16_t number,
			     const struct xct_nfq_info *info),
		  void *arg)
{
	struct xct_nfq_info info;
	FILE *f = read_info();
	uint16_t queue;

	if (!f)
		return;
	while (read_line(f, &queue, &info))
		fn(arg, queue, &info);
	(void)fclose(f); /* only read */
}
