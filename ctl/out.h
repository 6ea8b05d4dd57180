/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buffered output and the formatting that a dump of a million flows needs:
 * each function writes at @p, without a final NUL, and returns the end.
 */
#ifndef XCT_CTL_OUT_H
#define XCT_CTL_OUT_H

#include <string.h>

#include "common/addr.h"

#define XCT_OUT_SIZE (64u * 1024)

struct xct_out {
	int fd;
	int error; /* errno of the first write that failed; the rest is lost */
	size_t len;
	char buf[XCT_OUT_SIZE];
};

void xct_out_init(struct xct_out *out, int fd);
void xct_out_flush(struct xct_out *out);

/* Room for @size more bytes, @size <= XCT_OUT_SIZE; then xct_out_commit(). */
static inline char *xct_out_reserve(struct xct_out *out, size_t size)
{
	if (out->len + size > sizeof(out->buf))
		xct_out_flush(out);
	return out->buf + out->len;
}

static inline void xct_out_commit(struct xct_out *out, const char *end)
{
	out->len = (size_t)(end - out->buf);
}

/* Of a string literal the compiler knows the length. */
static inline char *xct_put_str(char *p, const char *s)
{
	size_t len = strlen(s);

	memcpy(p, s, len);
	return p + len;
}

char *xct_put_uint(char *p, uint64_t value);
char *xct_put_hex(char *p, uint32_t value);

/* As inet_ntop(3), whose IPv6 is too slow for this; at most XCT_ADDRSTRLEN. */
char *xct_put_addr(char *p, uint8_t family, const struct xct_addr *addr);

#endif
