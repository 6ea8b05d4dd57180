/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounds-checked view of bytes: the only way the engine reads a packet.
 * Reading past the end gives NULL or false, never a fault.
 */
#ifndef XCT_COMMON_CURSOR_H
#define XCT_COMMON_CURSOR_H

#include <string.h>

#include "common/types.h"

struct xct_cursor {
	uint8_t *data; /* borrowed */
	uint32_t len;
};

/* The @n bytes at @off, or NULL if they are not all there. */
static inline uint8_t *xct_cursor_at(const struct xct_cursor *c, uint32_t off,
				     uint32_t n)
{
	if (off > c->len || n > c->len - off)
		return NULL;
	return c->data + off;
}

/* Unaligned accesses in network byte order. */
static inline uint16_t xct_get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t xct_get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static inline void xct_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void xct_put_be32(uint8_t *p, uint32_t v)
{
	xct_put_be16(p, (uint16_t)(v >> 16));
	xct_put_be16(p + 2, (uint16_t)v);
}

/* Host-order value of a big-endian field and back, usable in constants. */
static inline uint16_t xct_ntoh16(xct_be16 v)
{
	uint8_t b[2];

	memcpy(b, &v, sizeof(b));
	return xct_get_be16(b);
}

static inline xct_be16 xct_hton16(uint16_t v)
{
	xct_be16 be;
	uint8_t b[2];

	xct_put_be16(b, v);
	memcpy(&be, b, sizeof(be));
	return be;
}

static inline xct_be32 xct_hton32(uint32_t v)
{
	xct_be32 be;
	uint8_t b[4];

	xct_put_be32(b, v);
	memcpy(&be, b, sizeof(be));
	return be;
}

#endif
