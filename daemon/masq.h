/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Masqueraded flows end with the address they were given, as in the kernel.
 * Those that come from a snapshot may be there before it: while a host boots
 * they wait for their interface, by its name. The names are kept beside the
 * flows, whose successors go on waiting.
 *
 * Answers to them have to come by the hooks, which name this host's addresses.
 * The first packet that leaves with a new one waits until they do.
 */
#ifndef XCT_DAEMON_MASQ_H
#define XCT_DAEMON_MASQ_H

#include "daemon/config.h"
#include "daemon/memory.h"

#define XCT_GONE_MAX 64

/* In place of an index, until the address is there: that of a name in
 * memory.names[]. */
#define XCT_IF_AWAITED 0x80000000u

struct xct_daemon;

/* An address that flows may have been masqueraded to, and that is gone. */
struct xct_gone {
	struct xct_addr addr;
	uint32_t ifindex;
	uint8_t family;
};

struct xct_masquerade {
	struct xct_gone gone[XCT_GONE_MAX]; /* to purge; under the lock */
	unsigned int n_gone;
	uint32_t ifindex[XCT_AWAITED_MAX]; /* of memory.names[]; 0: none yet */
	unsigned int n_names; /* they, and the names, are under the lock */
	xct_msec restored_ms; /* flows were, last; 0: all have settled */
	xct_msec settled_ms;  /* when they were looked at last */
	xct_msec followed_ms; /* when new addresses had them changed, last */
	bool has_failed;      /* hooks were to name new ones, and do not */
};

/* As struct xct_netdev_ops.addr_gone; @ctx is the struct xct_daemon. */
void xct_masq_addr_gone(void *ctx, uint32_t ifindex, uint8_t family,
			const struct xct_addr *addr);

/* Before anything else: there is memory, in which flows may wait. */
void xct_masq_begin(struct xct_daemon *d);

/* Find out which of the interfaces named by snapshots are there: the next two
 * do not ask the kernel again. With the lock held. */
void xct_masq_look(struct xct_daemon *d);

/* As struct xct_host_ops.ifindex and .masq; @ctx is the same. */
uint32_t xct_masq_ifindex(void *ctx, const char name[static XCT_IFNAMSIZ]);
enum xct_masq xct_masq_judge(void *ctx, uint32_t *ifindex, uint8_t family,
			     const struct xct_addr *addr);

/* The name of an interface that is awaited. False if @ifindex is another's. */
bool xct_masq_awaited_name(const struct xct_daemon *d, uint32_t ifindex,
			   char name[static XCT_IFNAMSIZ]);

/* End the flows of addresses that are gone. */
void xct_masq_purge(struct xct_daemon *d);

/* Install the hooks, as xct_hooks_install(), so that they name the addresses
 * that there are. */
int xct_masq_install_hooks(struct xct_daemon *d,
			   const struct xct_config *config, char **error);

/* Do that again if there are new addresses. */
void xct_masq_follow(struct xct_daemon *d, xct_msec now);

/* Flows have been restored: some of them may wait for their address. */
void xct_masq_restored(struct xct_daemon *d, xct_msec now);

/* Look after those that wait, from time to time. */
void xct_masq_settle(struct xct_daemon *d, xct_msec now);

#endif
