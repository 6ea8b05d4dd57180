/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Internet checksum: in full (RFC 1071) and by difference (RFC 1624).
 *
 * Sums are of 16-bit words as they stand in memory, or of wider ones, which add
 * up to the same: the one's complement sum does not care about byte order, so
 * nothing is swapped. Differences, what replacing a field adds to the sum, are
 * added up and applied once.
 */
#ifndef XCT_ENGINE_CSUM_H
#define XCT_ENGINE_CSUM_H

#include "common/addr.h"
#include "common/cursor.h"

static inline uint16_t xct_csum_fold(uint64_t sum)
{
	uint32_t half;

	/* Both halves to each other: in the upper one is the carry as well. */
	sum += sum << 32 | sum >> 32;
	half = (uint32_t)(sum >> 32);
	half += half << 16 | half >> 16;
	return (uint16_t)(half >> 16);
}

/* The difference, where @from is replaced by @to; both as they stand in the
 * packet. */
static inline uint64_t xct_csum_diff16(xct_be16 from, xct_be16 to)
{
	return (uint64_t)(uint16_t)~from + to;
}

static inline uint64_t xct_csum_diff32(xct_be32 from, xct_be32 to)
{
	return (uint64_t)~from + to;
}

/* The checksum @check after @diff (RFC 1624, equation 3). */
static inline xct_be16 xct_csum_apply(xct_be16 check, uint64_t diff)
{
	return (xct_be16)~xct_csum_fold((uint16_t)~check + diff);
}

/* The sum of @len bytes, not folded, not complemented. */
uint64_t xct_csum_sum(const uint8_t *data, uint32_t len);

/* The sum of the pseudo header of IPv4 (RFC 793) or IPv6 (RFC 8200 8.1). At
 * @addrs stand source and destination: the end of the header, as a rule. */
static inline uint64_t xct_csum_pseudo(uint8_t family, const uint8_t *addrs,
				       uint8_t proto, uint32_t l4_len)
{
	uint64_t sum = 0, v4;
	xct_be32 word;

	if (family == AF_INET) {
		memcpy(&v4, addrs, sizeof(v4));
		sum = (v4 & 0xffffffff) + (v4 >> 32);
	} else {
		for (int i = 0; i < 32; i += 4) {
			memcpy(&word, addrs + i, 4);
			sum += word;
		}
	}
	/* IPv4's 16-bit length and IPv6's 32-bit one give the same sum. */
	return sum + xct_hton32(l4_len) + xct_hton16(proto);
}

#endif
