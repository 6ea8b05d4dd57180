/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rewriting packets.
 *
 * Theory of operation: what a mangled verdict returns is trusted by the kernel
 * as it is (it marks the packet CHECKSUM_NONE), so the bytes must be right in
 * three cases. A complete checksum is updated by difference: a wrong one stays
 * wrong, which hides no damage. An unfinished one (CSUMNOTREADY) of a packet
 * that fits the wire is computed. An unfinished one of a packet that the kernel
 * will segment must hold the sum of the pseudo header, not complemented: that
 * is updated for the addresses alone.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/engine/csum.h"
#include "daemon/engine/edit.h"
#include "daemon/engine/l4.h"

static uint8_t *addr_at(const struct xct_pkt *pkt, enum xct_half half)
{
	if (pkt->family == AF_INET)
		return pkt->c.data + (half == XCT_HALF_SRC ? 12 : 16);
	return pkt->c.data + (half == XCT_HALF_SRC ? 8 : 24);
}

/* Write one address; its change is added to @delta. */
static void put_addr(struct xct_pkt *pkt, enum xct_half half,
		     const struct xct_addr *to, uint32_t *delta)
{
	size_t len = xct_addr_len(pkt->family);
	uint8_t *at = addr_at(pkt, half);

	xct_csum_delta_addr(delta, len, at, to->b);
	memcpy(at, to->b, len);
}

/* Write the addresses of @halves and mend the IPv4 header's checksum. Returns
 * their difference, which pseudo headers share. */
static uint32_t put_addrs(struct xct_pkt *pkt, const struct xct_tuple *target,
			  unsigned int halves)
{
	uint32_t delta = 0;
	xct_be16 check;

	if (halves & XCT_HALF_SRC)
		put_addr(pkt, XCT_HALF_SRC, &target->src, &delta);
	if (halves & XCT_HALF_DST)
		put_addr(pkt, XCT_HALF_DST, &target->dst, &delta);
	if (pkt->family == AF_INET) {
		memcpy(&check, pkt->c.data + 10, 2);
		check = xct_csum_apply(check, delta);
		memcpy(pkt->c.data + 10, &check, 2);
	}
	return delta;
}

static uint16_t l4_sum(const struct xct_pkt *pkt, const struct xct_l4_ops *ops)
{
	struct xct_addr src, dst;
	uint64_t sum = xct_csum_sum(pkt->l4, pkt->l4_len);

	if (ops->csum_pseudo) {
		xct_pkt_addrs(pkt, &src, &dst);
		sum += xct_csum_pseudo(pkt->family, &src, &dst, pkt->proto,
				       pkt->l4_len);
	}
	return xct_csum_fold(sum);
}

bool xct_csum_is_right(const struct xct_pkt *pkt)
{
	const struct xct_l4_ops *ops = xct_l4(pkt->family, pkt->proto);
	xct_be16 check;

	if (!ops->csum_off || pkt->is_truncated || pkt->is_fragment ||
	    pkt->l4_have < ops->csum_off + 2u)
		return true; /* nothing that could be said */
	memcpy(&check, pkt->l4 + ops->csum_off, 2);
	if (ops->csum_zero_none && !check && pkt->family == AF_INET)
		return true;
	return l4_sum(pkt, ops) == 0xffff;
}

static void compute_csum(struct xct_pkt *pkt, const struct xct_l4_ops *ops)
{
	xct_be16 check = 0;

	memcpy(pkt->l4 + ops->csum_off, &check, 2);
	check = (xct_be16)~l4_sum(pkt, ops);
	if (ops->csum_zero_none && !check)
		check = 0xffff;
	memcpy(pkt->l4 + ops->csum_off, &check, 2);
}

static void update_csum(struct xct_pkt *pkt, const struct xct_l4_ops *ops,
			uint32_t addr_delta, uint32_t port_delta)
{
	uint32_t delta = port_delta + (ops->csum_pseudo ? addr_delta : 0);
	xct_be16 check;

	memcpy(&check, pkt->l4 + ops->csum_off, 2);
	if (ops->csum_zero_none && !check)
		return;
	check = xct_csum_apply(check, delta);
	if (ops->csum_zero_none && !check)
		check = 0xffff;
	memcpy(pkt->l4 + ops->csum_off, &check, 2);
}

/* The pseudo header's sum, in wait of segmentation. */
static void update_partial_csum(struct xct_pkt *pkt,
				const struct xct_l4_ops *ops,
				uint32_t addr_delta)
{
	xct_be16 sum;

	memcpy(&sum, pkt->l4 + ops->csum_off, 2);
	sum = xct_csum_fold((uint64_t)sum + addr_delta);
	memcpy(pkt->l4 + ops->csum_off, &sum, 2);
}

static uint32_t put_ports(struct xct_pkt *pkt, const struct xct_l4_ops *ops,
			  const struct xct_tuple *target, unsigned int halves)
{
	uint32_t delta = 0;

	if (!ops->rewrite)
		return 0;
	if (halves & XCT_HALF_SRC)
		ops->rewrite(pkt->l4, target, true, &delta);
	if (halves & XCT_HALF_DST)
		ops->rewrite(pkt->l4, target, false, &delta);
	return delta;
}

bool xct_edit(struct xct_pkt *pkt, const struct xct_meta *meta,
	      const struct xct_tuple *target, unsigned int halves)
{
	const struct xct_l4_ops *ops = xct_l4(pkt->family, pkt->proto);
	uint32_t addr_delta, port_delta;

	/* The kernel replaces the packet by what we return. */
	if (pkt->is_truncated)
		return false;
	addr_delta = put_addrs(pkt, target, halves);
	port_delta = put_ports(pkt, ops, target, halves);
	if (!ops->csum_off || pkt->l4_have < ops->csum_off + 2u)
		return true;
	if (!meta->csum_partial)
		update_csum(pkt, ops, addr_delta, port_delta);
	else if (meta->is_gso)
		update_partial_csum(pkt, ops, addr_delta);
	else
		compute_csum(pkt, ops);
	return true;
}

void xct_edit_quoted(struct xct_pkt *quoted, const struct xct_tuple *inner,
		     unsigned int halves)
{
	const struct xct_l4_ops *ops = xct_l4(quoted->family, quoted->proto);
	uint32_t addr_delta = put_addrs(quoted, inner, halves), port_delta;

	/* The first 8 bytes, which hold ports and ids, are known to be there;
	 * a TCP checksum further on may not be. */
	port_delta = put_ports(quoted, ops, inner, halves);
	if (ops->csum_off && quoted->l4_have >= ops->csum_off + 2u)
		update_csum(quoted, ops, addr_delta, port_delta);
}

bool xct_edit_icmp_error(struct xct_pkt *pkt, struct xct_pkt *quoted,
			 const struct xct_tuple *outer,
			 unsigned int outer_halves,
			 const struct xct_tuple *inner,
			 unsigned int inner_halves)
{
	if (pkt->is_truncated)
		return false;
	xct_edit_quoted(quoted, inner, inner_halves);
	(void)put_addrs(pkt, outer, outer_halves);
	compute_csum(pkt, xct_l4(pkt->family, pkt->proto));
	return true;
}
