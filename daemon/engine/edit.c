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

/* Write one address of @len bytes. Returns the difference. */
static inline uint64_t put_addr(uint8_t *at, size_t len,
				const struct xct_addr *to)
{
	uint64_t diff = 0;
	xct_be32 from;

	for (size_t i = 0; i < len / 4; i++, at += 4) {
		memcpy(&from, at, 4);
		memcpy(at, &to->be32[i], 4);
		diff += xct_csum_diff32(from, to->be32[i]);
	}
	return diff;
}

/* Write the addresses of @halves and mend the IPv4 header's checksum. Returns
 * their difference, which pseudo headers share. */
static inline uint64_t put_addrs(struct xct_pkt *pkt,
				 const struct xct_tuple *target,
				 unsigned int halves)
{
	size_t len = xct_addr_len(pkt->family);
	uint8_t *at = xct_pkt_addrs_at(pkt);
	uint64_t diff = 0;
	xct_be16 check;

	if (halves & XCT_HALF_SRC)
		diff += put_addr(at, len, &target->src);
	if (halves & XCT_HALF_DST)
		diff += put_addr(at + len, len, &target->dst);
	if (pkt->family == AF_INET) {
		memcpy(&check, pkt->c.data + 10, 2);
		check = xct_csum_apply(check, diff);
		memcpy(pkt->c.data + 10, &check, 2);
	}
	return diff;
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
static inline uint16_t l4_sum(const struct xct_pkt *pkt,
			      const struct xct_l4_ops *ops, uint8_t proto)
{
	uint64_t sum = 0;

	if (ops->csum != XCT_CSUM_PLAIN)
		sum = xct_csum_pseudo(pkt->family, xct_pkt_addrs_at(pkt), proto,
				      pkt->l4_len);
	return xct_csum_fold(sum + xct_csum_sum(pkt->l4, coverage(pkt, ops)));
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

static inline void update_csum(struct xct_pkt *pkt,
			       const struct xct_l4_ops *ops, uint64_t addr_diff,
			       uint64_t port_diff)
{
	uint64_t diff = port_diff;
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
		diff += addr_diff;
	check = avoid_zero(ops, xct_csum_apply(check, diff));
	memcpy(pkt->l4 + ops->csum_off, &check, 2);
}

/* The pseudo header's sum, in wait of segmentation. */
static void update_partial_csum(struct xct_pkt *pkt,
				const struct xct_l4_ops *ops,
				uint64_t addr_diff)
{
	xct_be16 sum;

	memcpy(&sum, pkt->l4 + ops->csum_off, 2);
	sum = xct_csum_fold(sum + addr_diff);
	memcpy(pkt->l4 + ops->csum_off, &sum, 2);
}

static inline uint64_t put_ports(struct xct_pkt *pkt,
				 const struct xct_l4_ops *ops,
				 const struct xct_tuple *target,
				 unsigned int halves)
{
	uint64_t diff = 0;

	if (!ops->rewrite)
		return 0;
	if (halves & XCT_HALF_SRC)
		diff += ops->rewrite(pkt->l4, target, true);
	if (halves & XCT_HALF_DST)
		diff += ops->rewrite(pkt->l4, target, false);
	return diff;
}

bool xct_edit(struct xct_pkt *pkt, const struct xct_meta *meta,
	      const struct xct_tuple *target, unsigned int halves)
{
	const struct xct_l4_ops *ops = xct_l4(pkt->proto);
	uint64_t addr_diff, port_diff;

	/* The kernel replaces the packet by what we return. */
	if (pkt->is_truncated)
		return false;
	addr_diff = put_addrs(pkt, target, halves);
	port_diff = put_ports(pkt, ops, target, halves);
	if (!has_csum(pkt, ops))
		return true;
	if (!meta->csum_partial)
		update_csum(pkt, ops, addr_diff, port_diff);
	else if (meta->is_gso && ops->csum != XCT_CSUM_CRC32C)
		update_partial_csum(pkt, ops, addr_diff);
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

	if (!meta->csum_partial) {
		update_csum(pkt, ops, 0,
			    xct_csum_diff16(before, xct_edit_sum(pkt)));
	} else if (meta->is_gso) {
		update_partial_csum(
			pkt, ops,
			xct_csum_diff16(xct_hton16((uint16_t)len),
					xct_hton16((uint16_t)pkt->l4_len)));
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

	memcpy(&from, at, 2);
	xct_put_be16(at, len);
	if (pkt->family == AF_INET) {
		memcpy(&check, pkt->c.data + 10, 2);
		check = xct_csum_apply(check, xct_csum_diff16(from, to));
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
	uint64_t addr_diff = put_addrs(quoted, inner, halves), port_diff;

	/* The first 8 bytes, which hold ports and ids, are known to be there;
	 * a TCP checksum further on may not be, and as the kernel does it is
	 * only looked for in a whole header. */
	port_diff = put_ports(quoted, ops, inner, halves);
	if (has_csum(quoted, ops) &&
	    (quoted->proto != IPPROTO_TCP || quoted->l4_have >= 20))
		update_csum(quoted, ops, addr_diff, port_diff);
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
