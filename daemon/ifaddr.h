/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This host's addresses, and which of them a connection leaves with. */
#ifndef XCT_DAEMON_IFADDR_H
#define XCT_DAEMON_IFADDR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/addr.h"

struct xct_ifaddr {
	struct xct_addr local;
	struct xct_addr net; /* the peer's address, on point-to-point links */
	uint32_t ifindex;
	uint32_t flags; /* IFA_F_* */
	uint8_t family;
	uint8_t prefix_len;
	uint8_t scope; /* RT_SCOPE_* */
	bool is_seen;  /* by the dump that is going on */
};

#define XCT_IFADDRS_MAX 16

/* Addresses of one family, each once. */
struct xct_ifaddr_set {
	struct xct_addr addrs[XCT_IFADDRS_MAX];
	size_t n;
	bool is_short; /* there are more of them, or it is not known */
};

/* May it be the source towards anywhere? */
bool xct_ifaddr_is_global(const struct xct_ifaddr *a);

/* Can other hosts send to it, beyond its own link also? */
bool xct_ifaddr_is_reachable(const struct xct_ifaddr *a);

/* Of the @n addresses those of @family that are reachable. */
void xct_ifaddr_collect(const struct xct_ifaddr *addrs, size_t n,
			uint8_t family, struct xct_ifaddr_set *set);

bool xct_ifaddr_set_has(const struct xct_ifaddr_set *set,
			const struct xct_addr *addr);

/* Of the @n addresses, in the kernel's order, the one that a connection to @dst
 * through @ifindex leaves with. NULL if there is none. Without @dst the first
 * of the interface. @next_hop: where a packet to @dst goes first, a gateway or
 * @dst itself; asked only where that makes a difference. */
const struct xct_ifaddr *
xct_ifaddr_choose4(const struct xct_ifaddr *addrs, size_t n, uint32_t ifindex,
		   const struct xct_addr *dst,
		   struct xct_addr (*next_hop)(void *ctx, uint32_t ifindex,
					       const struct xct_addr *dst),
		   void *ctx);

/* The same. Without @dst, or for one that only this link knows, it is one of
 * the interface. */
const struct xct_ifaddr *xct_ifaddr_choose6(const struct xct_ifaddr *addrs,
					    size_t n, uint32_t ifindex,
					    const struct xct_addr *dst);

#endif
