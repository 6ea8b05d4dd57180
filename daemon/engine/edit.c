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
 *
 * SCTP's CRC32c is computed anew in any case. Its packets never come here to be
 * segmented: the kernel does that before it queues them.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/crc32c.h"
#include "daemon/engine/csum.h"
#include "daemon/engine/edit.h"
#include "daemon/engine/l4.h"

/* Write one address; its change is added to @delta. */
static void put_addr(struct xct_pkt *pkt, enum xct_half half,
		     const struct xct_addr *to, uint32_t *delta)
{
	size_t len = xct_addr_len(pkt->family);
	uint8_t *at = xct_pkt_addrs_at(pkt);

	if (half == XCT_HALF_DST)
		at += len;

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

/* Is the checksum among the bytes that we have? */
static bool has_csum(const struct xct_pkt *pkt, const struct xct_l4_ops *ops)
{
	uint32_t len = ops->csum == XCT_CSUM_CRC32C ? 4 : 2;

	return ops->csum != XCT_CSUM_NONE &&
	       pkt->l4_have >= ops->csum_off + len;
}

/* Bytes of the transport part that the checksum covers. */
static uint32_t coverage(const struct xct_pkt *pkt,
			 const struct xct_l4_ops *ops)
{
	uint32_t len;

	if (ops->csum != XCT_CSUM_UDPLITE)
		return pkt->l4_len;
	len = xct_get_be16(pkt->l4 + 4);
	return len && len < pkt->l4_len ? len : pkt->l4_len;
}

/* The Internet checksum's sum; @proto is what the pseudo header says. */
static uint16_t l4_sum(const struct xct_pkt *pkt, const struct xct_l4_ops *ops,
		       uint8_t proto)
{
	uint64_t sum = xct_csum_sum(pkt->l4, coverage(pkt, ops));

	if (ops->csum != XCT_CSUM_PLAIN)
		sum += xct_csum_pseudo(pkt->family, xct_pkt_addrs_at(pkt),
				       proto, pkt->l4_len);
	return xct_csum_fold(sum);
}

/* CRC32c of the bytes that we have, as if the checksum were zero. */
static uint32_t l4_crc(const struct xct_pkt *pkt, const struct xct_l4_ops *ops)
{
	static const uint8_t zero[4];
	uint32_t end = ops->csum_off + 4u, crc = XCT_CRC32C_INIT;

	crc = xct_crc32c(crc, pkt->l4, ops->csum_off);
	crc = xct_crc32c(crc, zero, sizeof(zero));
	return ~xct_crc32c(crc, pkt->l4 + end, pkt->l4_have - end);
}

/* A CRC goes out with its low byte first. */
static void put_crc(uint8_t *at, uint32_t crc)
{
	for (int i = 0; i < 4; i++, crc >>= 8)
		at[i] = (uint8_t)crc;
}

static XCT_APART bool is_crc_right(const struct xct_pkt *pkt,
				   const struct xct_l4_ops *ops)
{
	uint8_t crc[4];

	put_crc(crc, l4_crc(pkt, ops));
	return memcmp(pkt->l4 + ops->csum_off, crc, sizeof(crc)) == 0;
}

bool xct_csum_is_right(const struct xct_pkt *pkt)
{
	const struct xct_l4_ops *ops = xct_l4(pkt->proto);
	const uint8_t *at = pkt->l4 + ops->csum_off;
	uint8_t proto = pkt->proto;

	if (!has_csum(pkt, ops) || pkt->is_truncated || pkt->is_fragment)
		return true; /* nothing that could be said */

	switch (ops->csum) {
	case XCT_CSUM_CRC32C:
		return is_crc_right(pkt, ops);
	case XCT_CSUM_UDP:
		if (!at[0] && !at[1])
			return true;
		break;
	case XCT_CSUM_UDPLITE:
		/* The kernel takes UDP's number here, and so refuses what is
		 * right by RFC 3828 3.2. To be told from it would be worse. */
		proto = IPPROTO_UDP;
		break;
	default:
		break;
	}
	return l4_sum(pkt, ops, proto) == 0xffff;
}

/* Of UDP and UDP-Lite 0 is no checksum, but its other form is. */
static xct_be16 avoid_zero(const struct xct_l4_ops *ops, xct_be16 check)
{
	if (!check &&
	    (ops->csum == XCT_CSUM_UDP || ops->csum == XCT_CSUM_UDPLITE))
		return 0xffff;
	return check;
}

static void compute_csum(struct xct_pkt *pkt, const struct xct_l4_ops *ops)
{
	uint8_t *at = pkt->l4 + ops->csum_off;
	xct_be16 check = 0;

	if (ops->csum == XCT_CSUM_CRC32C) {
		put_crc(at, l4_crc(pkt, ops));
		return;
	}
	memcpy(at, &check, 2);
	check = avoid_zero(ops, (xct_be16)~l4_sum(pkt, ops, pkt->proto));
	memcpy(at, &check, 2);
}

static void update_csum(struct xct_pkt *pkt, const struct xct_l4_ops *ops,
			uint32_t addr_delta, uint32_t port_delta)
{
	uint32_t delta = port_delta;
	xct_be16 check;

	/* As the kernel: it finds no fault with what it has rewritten. */
	if (ops->csum == XCT_CSUM_CRC32C) {
		compute_csum(pkt, ops);
		return;
	}
	memcpy(&check, pkt->l4 + ops->csum_off, 2);
	if (ops->csum == XCT_CSUM_UDP && !check)
		return;
	if (ops->csum != XCT_CSUM_PLAIN)
		delta += addr_delta;
	check = avoid_zero(ops, xct_csum_apply(check, delta));
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
	const struct xct_l4_ops *ops = xct_l4(pkt->proto);
	uint32_t addr_delta, port_delta;

	/* The kernel replaces the packet by what we return. */
	if (pkt->is_truncated)
		return false;
	addr_delta = put_addrs(pkt, target, halves);
	port_delta = put_ports(pkt, ops, target, halves);
	if (!has_csum(pkt, ops))
		return true;
	if (!meta->csum_partial)
		update_csum(pkt, ops, addr_delta, port_delta);
	else if (meta->is_gso && ops->csum != XCT_CSUM_CRC32C)
		update_partial_csum(pkt, ops, addr_delta);
	else
		compute_csum(pkt, ops);
	return true;
}

uint16_t xct_edit_sum(const struct xct_pkt *pkt)
{
	return l4_sum(pkt, xct_l4(pkt->proto), pkt->proto);
}

void xct_edit_mend(struct xct_pkt *pkt, const struct xct_meta *meta,
		   uint16_t before, uint32_t len)
{
	const struct xct_l4_ops *ops = xct_l4(pkt->proto);
	uint32_t delta = 0;

	if (!meta->csum_partial) {
		xct_csum_delta16(&delta, before, xct_edit_sum(pkt));
		update_csum(pkt, ops, 0, delta);
	} else if (meta->is_gso) {
		xct_csum_delta16(&delta, xct_hton16((uint16_t)len),
				 xct_hton16((uint16_t)pkt->l4_len));
		update_partial_csum(pkt, ops, delta);
	} else {
		compute_csum(pkt, ops);
	}
}

/* The packet has become @delta bytes longer. */
static void resize(struct xct_pkt *pkt, int32_t delta)
{
	uint8_t *at = pkt->c.data + (pkt->family == AF_INET ? 2 : 4);
	uint16_t len = (uint16_t)(xct_get_be16(at) + delta);
	xct_be16 from, to = xct_hton16(len), check;
	uint32_t change = 0;

	memcpy(&from, at, 2);
	xct_put_be16(at, len);
	if (pkt->family == AF_INET) {
		xct_csum_delta16(&change, from, to);
		memcpy(&check, pkt->c.data + 10, 2);
		check = xct_csum_apply(check, change);
		memcpy(pkt->c.data + 10, &check, 2);
	}
	pkt->c.len += (uint32_t)delta;
	pkt->l3_len += (uint32_t)delta;
	pkt->l4_len += (uint32_t)delta;
	pkt->l4_have += (uint32_t)delta;
}

bool xct_edit_splice(struct xct_pkt *pkt, const struct xct_meta *meta,
		     uint32_t off, uint32_t len, const char *text,
		     uint32_t text_len)
{
	uint8_t *at = pkt->l4 + off;

	if (text_len > len && text_len - len > meta->room)
		return false;
	memmove(at + text_len, at + len, pkt->l4_len - off - len);
	memcpy(at, text, text_len);
	if (text_len != len)
		resize(pkt, (int32_t)(text_len - len));
	return true;
}

void xct_edit_quoted(struct xct_pkt *quoted, const struct xct_tuple *inner,
		     unsigned int halves)
{
	const struct xct_l4_ops *ops = xct_l4(quoted->proto);
	uint32_t addr_delta = put_addrs(quoted, inner, halves), port_delta;

	/* The first 8 bytes, which hold ports and ids, are known to be there;
	 * a TCP checksum further on may not be, and as the kernel does it is
	 * only looked for in a whole header. */
	port_delta = put_ports(quoted, ops, inner, halves);
	if (has_csum(quoted, ops) &&
	    (quoted->proto != IPPROTO_TCP || quoted->l4_have >= 20))
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
	compute_csum(pkt, xct_l4(pkt->proto));
	return true;
}
