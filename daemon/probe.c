/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why xctd cannot start, and what to do about it. */
#include "daemon/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/nfq_info.h"

enum xct_exit xct_probe_failed(const char *what, int error)
{
	xct_log(LOG_ERR, "cannot %s: %s", what, strerror(error));
	return XCT_EXIT_FAILED;
}

enum xct_exit xct_probe_capabilities(void)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &hdr, data) < 0) {
		xct_log(LOG_ERR, "cannot read my capabilities: %s",
			strerror(errno));
		return XCT_EXIT_FAILED;
	}
	if (data[CAP_NET_ADMIN / 32].effective >> CAP_NET_ADMIN % 32 & 1)
		return XCT_EXIT_OK;
	xct_log(LOG_ERR,
		"CAP_NET_ADMIN is missing, needed to bind NFQUEUE "
		"queues: run xctd as root, or give it this capability");
	return XCT_EXIT_CAPABILITY;
}

enum xct_exit xct_probe_raw_error(int error)
{
	if (error != -EPERM) {
		xct_log(LOG_ERR, "cannot open raw sockets: %s",
			strerror(-error));
		return XCT_EXIT_FAILED;
	}
	xct_log(LOG_ERR,
		"CAP_NET_RAW is missing, needed to answer rejected packets: "
		"run xctd as root, give it this capability, or start it by "
		"the unit file, which has the raw sockets opened for it");
	return XCT_EXIT_CAPABILITY;
}

enum xct_exit xct_probe_socket_error(const char *path, int error)
{
	if (error == -EADDRINUSE) {
		xct_log(LOG_ERR,
			"an xctd already runs and answers on %s: stop it "
			"first, or choose another socket with -s",
			path);
		return XCT_EXIT_RUNNING;
	}
	xct_log(LOG_ERR, "cannot open the control socket %s: %s", path,
		strerror(-error));
	return XCT_EXIT_FAILED;
}

/* " (process 17, suricata)": a port id is the id of a process more often than
 * not, and only a hint where it is not. */
static void describe_owner(uint32_t portid, char *buf, size_t size)
{
	char path[64], comm[32] = "";
	FILE *f;

	buf[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/comm", portid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(comm, sizeof(comm), f)) {
		comm[strcspn(comm, "\n")] = '\0';
		snprintf(buf, size, " (process %" PRIu32 ", %s)", portid, comm);
	}
	(void)fclose(f); /* only read */
}

enum xct_exit xct_probe_queue_error(uint16_t queue, int error)
{
	struct xct_nfq_info info = { 0 };
	char owner[80] = "";

	switch (error) {
	case -EBUSY:
		if (xct_nfq_info(queue, &info))
			describe_owner(info.portid, owner, sizeof(owner));
		xct_log(LOG_ERR,
			"queue %u is in use by port id %" PRIu32 "%s: stop "
			"that program, or choose other queues with --queue",
			queue, info.portid, owner);
		return XCT_EXIT_QUEUE;
	case -EPROTONOSUPPORT:
		xct_log(LOG_ERR, "this kernel has no NFQUEUE: load the module "
				 "nfnetlink_queue, or use a kernel with "
				 "CONFIG_NETFILTER_NETLINK_QUEUE");
		return XCT_EXIT_MISSING;
	case -EPERM:
		xct_log(LOG_ERR,
			"binding queue %u is not permitted: CAP_NET_ADMIN is "
			"missing in this network namespace",
			queue);
		return XCT_EXIT_CAPABILITY;
	default:
		xct_log(LOG_ERR, "cannot bind queue %u: %s", queue,
			strerror(-error));
		return XCT_EXIT_FAILED;
	}
}

enum xct_exit xct_probe_hooks_error(int error, const char *text)
{
	xct_log(LOG_ERR, "cannot install the hooks: %s",
		text ? text : strerror(-error));
	switch (error) {
	case -ENOMEM:
		return XCT_EXIT_FAILED;
	case -EPERM:
		return XCT_EXIT_CAPABILITY;
	default:
		return XCT_EXIT_MISSING;
	}
}
