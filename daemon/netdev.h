/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interfaces and their addresses: names through libnfnetlink's nlif table,
 * addresses through rtnetlink (libmnl), both following changes.
 *
 * Not thread safe: the caller holds the engine's lock for every call, since
 * the engine asks for names and addresses while it handles packets.
 */
#ifndef XCT_DAEMON_NETDEV_H
#define XCT_DAEMON_NETDEV_H

#include "daemon/engine/engine.h"
#include "daemon/ifaddr.h"

struct xct_netdev; /* opaque */

struct xct_netdev_ops {
	/* An address went away (or its interface did, or went down): flows
	 * masqueraded to it are dead. Called from xct_netdev_catch(). */
	void (*addr_gone)(void *ctx, uint32_t ifindex, uint8_t family,
			  const struct xct_addr *addr);
	/* Names may belong to other interfaces than before. Called from
	 * xct_netdev_catch() and xct_netdev_ifname(). */
	void (*links_changed)(void *ctx);
	void *ctx;
};

/* Opens the sockets and reads the tables. 0 or -errno. */
int xct_netdev_new(struct xct_netdev **nd, const struct xct_netdev_ops *ops);
void xct_netdev_free(struct xct_netdev *nd); /* NULL accepted */

/* The sockets to poll for reading; then call xct_netdev_catch(). */
int xct_netdev_link_fd(const struct xct_netdev *nd);
int xct_netdev_addr_fd(const struct xct_netdev *nd);

/* Read and apply what has changed; never blocks. An overrun (ENOBUFS) reads
 * the tables again, reporting what is gone. */
void xct_netdev_catch(struct xct_netdev *nd);

/*
 * Answers to what is masqueraded have to come by the hooks. So the addresses
 * that other hosts can send to are collected, of one family, ...
 */
void xct_netdev_collect(const struct xct_netdev *nd, uint8_t family,
			struct xct_ifaddr_set *set);

/* ... for the hooks to select, and when they do, @set is told here: those that
 * are not in it are early. NULL, as at first: the hooks select whatever address
 * there is. */
void xct_netdev_select(struct xct_netdev *nd, uint8_t family,
		       const struct xct_ifaddr_set *set);

/* Is this one early? Are there any? */
bool xct_netdev_is_early(const struct xct_netdev *nd, uint8_t family,
			 const struct xct_addr *addr);
bool xct_netdev_has_early(const struct xct_netdev *nd);

/* As struct xct_host_ops.ifname, .ifaddr and .is_local; @ctx is the struct
 * xct_netdev. A name that is not known yet is looked for again before giving
 * up. */
bool xct_netdev_ifname(void *ctx, uint32_t ifindex,
		       char name[static XCT_IFNAMSIZ]);
bool xct_netdev_ifaddr(void *ctx, uint32_t ifindex, uint8_t family,
		       const struct xct_addr *dst, struct xct_addr *addr);
bool xct_netdev_is_local(void *ctx, uint8_t family,
			 const struct xct_addr *addr);

/* As struct xct_host_ops.masq, of an interface that was there once. */
enum xct_masq xct_netdev_masq(struct xct_netdev *nd, uint32_t ifindex,
			      uint8_t family, const struct xct_addr *addr);

#endif
