/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Internet checksum in full. */
#include "daemon/engine/csum.h"

uint64_t xct_csum_sum(const uint8_t *data, uint32_t len)
{
	uint64_t sum = 0, word;
	uint32_t half;
	uint16_t last = 0;

	/* 32 bits at a time into 64: no carry is lost below 16 GiB. */
	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&word, data, 8);
		sum += (word & 0xffffffff) + (word >> 32);
	}
	if (len >= 4) {
		memcpy(&half, data, 4);
		sum += half;
		data += 4;
		len -= 4;
	}
	if (len >= 2) {
		memcpy(&last, data, 2);
		sum += last;
		data += 2;
		len -= 2;
	}
	if (len) {
		last = 0;
		memcpy(&last, data, 1); /* padded with a zero byte */
		sum += last;
	}
	return sum;
}

uint64_t xct_csum_pseudo(uint8_t family, const struct xct_addr *src,
			 const struct xct_addr *dst, uint8_t proto,
			 uint32_t l4_len)
{
	uint32_t alen = (uint32_t)xct_addr_len(family);
	uint8_t tail[8];

	/* IPv4's 16-bit length and IPv6's 32-bit one give the same sum. */
	xct_put_be32(tail, l4_len);
	xct_put_be32(tail + 4, proto);
	return xct_csum_sum(src->b, alen) + xct_csum_sum(dst->b, alen) +
	       xct_csum_sum(tail, sizeof(tail));
}
