/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading, writing and comparing addresses and ranges of addresses. */
#include "common/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert(XCT_ADDRSTRLEN == INET6_ADDRSTRLEN, "as inet_ntop() wants it");

bool xct_addr_is_zero(const struct xct_addr *a)
{
	return a->u64[0] == 0 && a->u64[1] == 0;
}

bool xct_addr_parse(const char *s, uint8_t *family, struct xct_addr *addr)
{
	struct xct_addr parsed = { .u64 = { 0 } };

	if (inet_pton(AF_INET, s, parsed.b) == 1)
		*family = AF_INET;
	else if (inet_pton(AF_INET6, s, parsed.b) == 1)
		*family = AF_INET6;
	else
		return false;
	*addr = parsed;
	return true;
}

const char *xct_addr_format(uint8_t family, const struct xct_addr *addr,
			    char buf[static XCT_ADDRSTRLEN])
{
	const char *text = inet_ntop(family, addr->b, buf, XCT_ADDRSTRLEN);

	assert(text); /* fails only for a family that is none */
	return text;
}

bool xct_range_from_prefix(uint8_t family, const struct xct_addr *addr,
			   unsigned int prefix_len,
			   struct xct_addr_range *range)
{
	size_t i, len = xct_addr_len(family);

	if (prefix_len > len * 8)
		return false;

	*range = (struct xct_addr_range){ .family = family };
	for (i = 0; i < len; i++) {
		unsigned int bits = prefix_len < 8 ? prefix_len : 8;
		uint8_t host = (uint8_t)(0xff >> bits);

		range->first.b[i] = addr->b[i] & (uint8_t)~host;
		range->last.b[i] = addr->b[i] | host;
		prefix_len -= bits;
	}
	return true;
}

/* A decimal number of one to three digits and nothing else. */
static bool prefix_len_parse(const char *s, unsigned int *prefix_len)
{
	size_t i, len = strlen(s);

	if (len < 1 || len > 3)
		return false;

	*prefix_len = 0;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		*prefix_len = *prefix_len * 10 + (unsigned int)(s[i] - '0');
	}
	return true;
}

bool xct_range_parse(const char *s, struct xct_addr_range *range)
{
	size_t first_len = strcspn(s, "/-");
	char first_text[XCT_ADDRSTRLEN];
	struct xct_addr first, last;
	uint8_t family, last_family;
	unsigned int prefix_len;

	if (first_len >= sizeof(first_text))
		return false;
	memcpy(first_text, s, first_len);
	first_text[first_len] = '\0';
	if (!xct_addr_parse(first_text, &family, &first))
		return false;

	switch (s[first_len]) {
	case '/':
		return prefix_len_parse(s + first_len + 1, &prefix_len) &&
		       xct_range_from_prefix(family, &first, prefix_len, range);
	case '-':
		if (!xct_addr_parse(s + first_len + 1, &last_family, &last) ||
		    last_family != family ||
		    xct_addr_cmp(family, &first, &last) > 0)
			return false;
		break;
	default:
		last = first;
	}
	*range = (struct xct_addr_range){ first, last, family };
	return true;
}

bool xct_range_contains(const struct xct_addr_range *range, uint8_t family,
			const struct xct_addr *addr)
{
	return family == range->family &&
	       xct_addr_cmp(family, &range->first, addr) <= 0 &&
	       xct_addr_cmp(family, addr, &range->last) <= 0;
}
