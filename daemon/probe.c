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
#include "daemon/nfq.h"

static bool has_capability(const struct __user_cap_data_struct *data, int cap)
{
	return data[cap / 32].effective >> (cap % 32) & 1;
}

enum xct_exit xct_probe_capabilities(void)
{
	struct __user_cap_header_struct hdr = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	static const struct {
		int cap;
		const char *name;
		const char *use;
	} needed[] = {
		{ CAP_NET_ADMIN, "CAP_NET_ADMIN", "to bind NFQUEUE queues" },
		{ CAP_NET_RAW, "CAP_NET_RAW", "to answer rejected packets" },
	};

	if (syscall(SYS_capget, &hdr, data) < 0) {
		xct_log(LOG_ERR, "cannot read my capabilities: %s",
			strerror(errno));
		return XCT_EXIT_FAILED;
	}
	for (size_t i = 0; i < XCT_ARRAY_SIZE(needed); i++) {
		if (has_capability(data, needed[i].cap))
			continue;
		xct_log(LOG_ERR,
			"%s is missing, needed %s: run xctd as root, or give "
			"it both CAP_NET_ADMIN and CAP_NET_RAW",
			needed[i].name, needed[i].use);
		return XCT_EXIT_CAPABILITY;
	}
	return XCT_EXIT_OK;
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
