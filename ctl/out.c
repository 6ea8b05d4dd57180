/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buffered output, and numbers and addresses as text without printf. */
#include "ctl/out.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cursor.h"

void xct_out_init(struct xct_out *out, int fd)
{
	out->fd = fd;
	out->error = 0;
	out->len = 0;
}

void xct_out_flush(struct xct_out *out)
{
	size_t done = 0;
	ssize_t n;

	while (done < out->len && !out->error) {
		n = write(out->fd, out->buf + done, out->len - done);
		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			out->error = errno;
	}
	out->len = 0;
}

char *xct_put_uint(char *p, uint64_t value)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	memcpy(p, digits + i, sizeof(digits) - i);
	return p + sizeof(digits) - i;
}

char *xct_put_hex(char *p, uint32_t value)
{
	int shift = 28;

	while (shift > 0 && !(value >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		*p++ = "0123456789abcdef"[value >> shift & 0xf];
	return p;
}

static char *put_ipv4(char *p, const uint8_t *b)
{
	int i;

	for (i = 0; i < 4; i++) {
		if (i)
			*p++ = '.';
		p = xct_put_uint(p, b[i]);
	}
	return p;
}

/* The first of the longest runs of zero words; *@len < 2: none counts. */
static int find_zeros(const uint16_t *words, int *len)
{
	int best = -1, run = 0, i;

	*len = 1;
	for (i = 0; i < 8; i++) {
		run = words[i] ? 0 : run + 1;
		if (run > *len) {
			*len = run;
			best = i + 1 - run;
		}
	}
	return best;
}

static char *put_ipv6(char *p, const uint8_t *b)
{
	uint16_t words[8];
	int zeros, zeros_len, i;

	for (i = 0; i < 8; i++)
		words[i] = xct_get_be16(b + 2 * i);
	zeros = find_zeros(words, &zeros_len);

	for (i = 0; i < 8; i++) {
		if (i == zeros) {
			p = xct_put_str(p, "::");
			i += zeros_len - 1;
			continue;
		}
		/* IPv4-mapped (::ffff:a.b.c.d) and IPv4-compatible. */
		if (i == 6 && zeros == 0 &&
		    (zeros_len == 6 || (zeros_len == 5 && words[5] == 0xffff)))
			return put_ipv4(p, b + 12);
		p = xct_put_hex(p, words[i]);
		if (i < 7 && i + 1 != zeros)
			*p++ = ':';
	}
	return p;
}

char *xct_put_addr(char *p, uint8_t family, const struct xct_addr *addr)
{
	return family == AF_INET ? put_ipv4(p, addr->b) : put_ipv6(p, addr->b);
}
