/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Internet checksum: in full (RFC 1071) and by difference (RFC 1624).
 *
 * Sums are of 16-bit words as they stand in memory: the one's complement sum
 * does not care about byte order, so nothing is swapped. A difference collects
 * what replacing fields changes and is applied once.
 */
#ifndef XCT_ENGINE_CSUM_H
#define XCT_ENGINE_CSUM_H

#include "common/addr.h"
#include "common/cursor.h"

static inline uint16_t xct_csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* @from is replaced by @to; both as they stand in the packet. */
static inline void xct_csum_delta16(uint32_t *delta, xct_be16 from, xct_be16 to)
{
	*delta += (uint16_t)~from;
	*delta += to;
}

/* The same for an address of @len (4 or 16) bytes. */
static inline void xct_csum_delta_addr(uint32_t *delta, size_t len,
				       const uint8_t *from, const uint8_t *to)
{
	xct_be16 a, b;

	for (size_t i = 0; i < len; i += 2) {
		memcpy(&a, from + i, 2);
		memcpy(&b, to + i, 2);
		xct_csum_delta16(delta, a, b);
	}
}

/* The checksum @check after @delta (RFC 1624, equation 3). */
static inline xct_be16 xct_csum_apply(xct_be16 check, uint32_t delta)
{
	return (xct_be16)~xct_csum_fold((uint64_t)(uint16_t)~check + delta);
}

/* The sum of @len bytes, not folded, not complemented. */
uint64_t xct_csum_sum(const uint8_t *data, uint32_t len);

/* The sum of the pseudo header of IPv4 (RFC 793) or IPv6 (RFC 8200 8.1). At
 * @addrs stand source and destination: the end of the header, as a rule. */
static inline uint64_t xct_csum_pseudo(uint8_t family, const uint8_t *addrs,
				       uint8_t proto, uint32_t l4_len)
{
	uint64_t sum, v4;

	if (family == AF_INET) {
		memcpy(&v4, addrs, sizeof(v4));
		sum = (v4 & 0xffffffff) + (v4 >> 32);
	} else {
		sum = xct_csum_sum(addrs, 32);
	}
	/* IPv4's 16-bit length and IPv6's 32-bit one give the same sum. */
	return sum + xct_hton16((uint16_t)(l4_len >> 16)) +
	       xct_hton16((uint16_t)l4_len) + xct_hton16(proto);
}

#endif
