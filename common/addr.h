/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IPv4 and IPv6 addresses, prefixes and ranges.
 *
 * A family is AF_INET or AF_INET6, kept in one byte. An IPv4 address occupies
 * the first four bytes and the other twelve are zero, so that two addresses of
 * one family can be compared as 16 bytes. Everything is in network byte order.
 */
#ifndef XCT_COMMON_ADDR_H
#define XCT_COMMON_ADDR_H

#include <sys/socket.h>

#include "common/cursor.h"

#define XCT_ADDRSTRLEN 46 /* INET6_ADDRSTRLEN */
#define XCT_IFNAMSIZ   16 /* IFNAMSIZ */

struct xct_addr {
	union {
		uint8_t b[16];
		xct_be32 be32[4];
		uint64_t u64[2]; /* for comparing and hashing only */
	};
};

/* Addresses first..last, both included. */
struct xct_addr_range {
	struct xct_addr first;
	struct xct_addr last;
	uint8_t family;
};

static inline bool xct_addr_equal(const struct xct_addr *a,
				  const struct xct_addr *b)
{
	return a->u64[0] == b->u64[0] && a->u64[1] == b->u64[1];
}

bool xct_addr_is_zero(const struct xct_addr *a);

/* Bytes in an address of @family: 4 or 16. */
static inline size_t xct_addr_len(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

/* Order as numbers: <0, 0, >0. Both must be of @family. */
static inline int xct_addr_cmp(uint8_t family, const struct xct_addr *a,
			       const struct xct_addr *b)
{
	uint32_t x, y;

	if (family != AF_INET)
		return memcmp(a->b, b->b, sizeof(a->b));
	x = xct_get_be32(a->b);
	y = xct_get_be32(b->b);
	return (x > y) - (x < y);
}

/* Read "192.0.2.1" or "2001:db8::1", all of @s. False if it is neither. */
bool xct_addr_parse(const char *s, uint8_t *family, struct xct_addr *addr);

/* Write @addr as text; returns @buf. */
const char *xct_addr_format(uint8_t family, const struct xct_addr *addr,
			    char buf[static XCT_ADDRSTRLEN]);

/* The range a prefix covers; host bits in @addr are cleared. False if
 * @prefix_len is too long for the family. */
bool xct_range_from_prefix(uint8_t family, const struct xct_addr *addr,
			   unsigned int prefix_len,
			   struct xct_addr_range *range);

/* Read "10.0.0.0/8", "10.0.0.1" or "10.0.0.1-10.0.0.9" (both ends of one
 * family, in order). False if @s is none of them. */
bool xct_range_parse(const char *s, struct xct_addr_range *range);

bool xct_range_contains(const struct xct_addr_range *range, uint8_t family,
			const struct xct_addr *addr);

#endif
