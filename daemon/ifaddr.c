/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of this host's addresses a masqueraded connection leaves with.
 *
 * It is the one that the kernel's MASQUERADE takes. For IPv4: the first primary
 * address of the interface in whose network the next hop is, else the first
 * primary one, else that of another interface. Only where there is a choice is
 * the next hop asked for. For IPv6: the rules of RFC 6724 section 5 that do not
 * need the packet's socket: 2 (scope), 3 (not deprecated), 5 (outgoing
 * interface), 8 (longest prefix).
 */
#include "daemon/ifaddr.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

/* Scopes of IPv6 addresses (RFC 4291 section 2.7). */
enum { SCOPE6_LINK = 2, SCOPE6_SITE = 5, SCOPE6_GLOBAL = 14 };

static unsigned int scope6(const struct xct_addr *addr)
{
	static const struct xct_addr loopback = { .b[15] = 1 };

	if (addr->b[0] == 0xff)
		return addr->b[1] & 0xf;
	if ((addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0x80) ||
	    xct_addr_equal(addr, &loopback))
		return SCOPE6_LINK;
	if (addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0xc0)
		return SCOPE6_SITE;
	return SCOPE6_GLOBAL;
}

bool xct_ifaddr_is_global(const struct xct_ifaddr *a)
{
	if (a->family == AF_INET)
		return a->scope == RT_SCOPE_UNIVERSE &&
		       !(a->flags & IFA_F_SECONDARY);
	return scope6(&a->local) == SCOPE6_GLOBAL;
}

bool xct_ifaddr_is_reachable(const struct xct_ifaddr *a)
{
	if (a->family == AF_INET)
		return a->local.b[0] != 127 &&
		       (a->local.b[0] != 169 || a->local.b[1] != 254);
	return scope6(&a->local) != SCOPE6_LINK;
}

bool xct_ifaddr_set_has(const struct xct_ifaddr_set *set,
			const struct xct_addr *addr)
{
	for (size_t i = 0; i < set->n; i++)
		if (xct_addr_equal(&set->addrs[i], addr))
			return true;
	return false;
}

void xct_ifaddr_collect(const struct xct_ifaddr *addrs, size_t n,
			uint8_t family, struct xct_ifaddr_set *set)
{
	*set = (struct xct_ifaddr_set){ .n = 0 };
	for (size_t i = 0; i < n; i++) {
		const struct xct_ifaddr *a = &addrs[i];

		if (a->family != family || !xct_ifaddr_is_reachable(a) ||
		    xct_ifaddr_set_has(set, &a->local))
			continue;
		if (set->n < XCT_IFADDRS_MAX)
			set->addrs[set->n++] = a->local;
		else
			set->is_short = true;
	}
}

static bool is_global4(const struct xct_ifaddr *a)
{
	return a->family == AF_INET && xct_ifaddr_is_global(a);
}

static unsigned int common_prefix(const struct xct_addr *a,
				  const struct xct_addr *b, unsigned int max)
{
	unsigned int bit = 0;

	while (bit < max &&
	       !((a->b[bit / 8] ^ b->b[bit / 8]) >> (7 - bit % 8) & 1))
		bit++;
	return bit;
}

const struct xct_ifaddr *
xct_ifaddr_choose4(const struct xct_ifaddr *addrs, size_t n, uint32_t ifindex,
		   const struct xct_addr *dst,
		   struct xct_addr (*next_hop)(void *ctx, uint32_t ifindex,
					       const struct xct_addr *dst),
		   void *ctx)
{
	const struct xct_ifaddr *first = NULL, *other = NULL;
	unsigned int own = 0;
	struct xct_addr hop;

	for (size_t i = 0; i < n; i++) {
		const struct xct_ifaddr *a = &addrs[i];

		if (a->ifindex == ifindex && is_global4(a)) {
			if (own++ == 0)
				first = a;
		} else if (!other && is_global4(a)) {
			other = a;
		}
	}
	if (!dst || own == 1)
		return first;
	if (own == 0)
		return other;
	hop = next_hop(ctx, ifindex, dst);
	for (size_t i = 0; i < n; i++) {
		const struct xct_ifaddr *a = &addrs[i];

		if (a->ifindex == ifindex && is_global4(a) &&
		    common_prefix(&a->net, &hop, a->prefix_len) ==
			    a->prefix_len)
			return a;
	}
	return first;
}

static bool can_use6(const struct xct_ifaddr *a)
{
	if (a->family != AF_INET6 || a->flags & IFA_F_DADFAILED)
		return false;
	return !(a->flags & IFA_F_TENTATIVE) || a->flags & IFA_F_OPTIMISTIC;
}

/* The larger the better; the rules as digits, the first the most significant.
 * A scope that suffices beats one that does not; among those that do, the
 * smallest is best, among those that do not, the largest. */
static unsigned int score6(const struct xct_ifaddr *a, uint32_t ifindex,
			   const struct xct_addr *dst)
{
	unsigned int want = dst ? scope6(dst) : SCOPE6_GLOBAL;
	unsigned int have = scope6(&a->local);
	unsigned int score = have >= want ? 32 - have : have;

	score = score << 1 | !(a->flags & IFA_F_DEPRECATED);
	score = score << 1 | (a->ifindex == ifindex);
	score <<= 8;
	if (dst)
		score |= common_prefix(&a->local, dst, a->prefix_len);
	return score;
}

const struct xct_ifaddr *xct_ifaddr_choose6(const struct xct_ifaddr *addrs,
					    size_t n, uint32_t ifindex,
					    const struct xct_addr *dst)
{
	bool must_be_own =
		!dst || dst->b[0] == 0xff || scope6(dst) == SCOPE6_LINK;
	const struct xct_ifaddr *best = NULL;
	unsigned int best_score = 0;

	for (size_t i = 0; i < n; i++) {
		const struct xct_ifaddr *a = &addrs[i];
		unsigned int score;

		if (!can_use6(a) || (must_be_own && a->ifindex != ifindex))
			continue;
		score = score6(a, ifindex, dst);
		if (!best || score > best_score) {
			best = a;
			best_score = score;
		}
	}
	return best;
}
