/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding the headers of an IPv4 or IPv6 packet (RFC 791, RFC 8200). */
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/engine/pkt.h"

#define IPV6_HEADER_LEN	   40
#define IPV6_FRAG_OFF_MASK 0xfff8
#define IPV6_FRAG_MORE	   0x0001
#define IPV4_FRAG_OFF_MASK 0x1fff
#define IPV4_FRAG_MORE	   0x2000

static enum xct_reason parse_ipv4(struct xct_pkt *pkt, bool is_quoted)
{
	const uint8_t *ip = xct_cursor_at(&pkt->c, 0, 20);
	uint16_t frag;

	if (!ip)
		return XCT_REASON_IP_HEADER;
	pkt->family = AF_INET;
	pkt->l4_off = (uint16_t)((ip[0] & 0xf) * 4);
	pkt->l3_len = xct_get_be16(ip + 2);
	/* A GSO packet beyond 64 KiB (BIG TCP) says 0. */
	if (pkt->l3_len == 0 && !is_quoted)
		pkt->l3_len = pkt->c.len;
	if (pkt->l4_off < 20 || pkt->l3_len < pkt->l4_off ||
	    !xct_cursor_at(&pkt->c, 0, pkt->l4_off))
		return XCT_REASON_IP_HEADER;
	frag = xct_get_be16(ip + 6);
	pkt->is_fragment = frag & (IPV4_FRAG_OFF_MASK | IPV4_FRAG_MORE);
	pkt->frag_off = (uint16_t)((frag & IPV4_FRAG_OFF_MASK) * 8);
	pkt->proto = ip[9];
	return XCT_REASON_NONE;
}

/*
 * Walk the extension headers that the kernel's conntrack walks
 * (ipv6_skip_exthdr): hop-by-hop, routing, destination options, fragment and
 * authentication. Others (mobility, HIP) are transports to it, and to us.
 */
static enum xct_reason parse_ipv6(struct xct_pkt *pkt, bool is_quoted)
{
	const uint8_t *ip = xct_cursor_at(&pkt->c, 0, IPV6_HEADER_LEN);
	const uint8_t *ext;
	uint32_t off = IPV6_HEADER_LEN, ext_len;

	if (!ip)
		return XCT_REASON_IP_HEADER;
	pkt->family = AF_INET6;
	pkt->l3_len = IPV6_HEADER_LEN + xct_get_be16(ip + 4);
	/* A jumbo or a GSO packet beyond 64 KiB says 0. */
	if (pkt->l3_len == IPV6_HEADER_LEN && !is_quoted)
		pkt->l3_len = pkt->c.len;
	pkt->proto = ip[6];
	/* Each is of 8 bytes or more: this ends with the packet. */
	for (;;) {
		if (pkt->proto == IPPROTO_NONE)
			return XCT_REASON_EXT_HEADER;
		if (pkt->proto != IPPROTO_HOPOPTS &&
		    pkt->proto != IPPROTO_ROUTING &&
		    pkt->proto != IPPROTO_DSTOPTS &&
		    pkt->proto != IPPROTO_FRAGMENT && pkt->proto != IPPROTO_AH)
			break;
		ext = xct_cursor_at(&pkt->c, off,
				    pkt->proto == IPPROTO_FRAGMENT ? 4 : 2);
		if (!ext)
			return XCT_REASON_EXT_HEADER;
		if (pkt->proto == IPPROTO_FRAGMENT) {
			uint16_t frag = xct_get_be16(ext + 2);

			/* An atomic fragment (RFC 6946) is a whole packet. */
			pkt->is_fragment =
				frag & (IPV6_FRAG_OFF_MASK | IPV6_FRAG_MORE);
			pkt->frag_off = frag & IPV6_FRAG_OFF_MASK;
			ext_len = 8;
		} else if (pkt->proto == IPPROTO_AH) {
			ext_len = (ext[1] + 2u) * 4;
		} else {
			ext_len = (ext[1] + 1u) * 8;
		}
		pkt->proto = ext[0];
		off += ext_len;
		/* Behind a later fragment's header stands payload. */
		if (pkt->frag_off)
			break;
	}
	/* As the kernel has it, what goes beyond the packet hides a transport
	 * header from those who need one. */
	ext_len = pkt->c.len < pkt->l3_len ? pkt->c.len : pkt->l3_len;
	pkt->is_ext_cut = off > ext_len;
	pkt->l4_off = (uint16_t)(pkt->is_ext_cut ? ext_len : off);
	return XCT_REASON_NONE;
}

enum xct_reason xct_pkt_parse(struct xct_pkt *pkt, uint8_t *data, uint32_t len,
			      bool is_quoted)
{
	enum xct_reason reason;

	memset(pkt, 0, sizeof(*pkt));
	pkt->c.data = data;
	pkt->c.len = len;
	if (len < 1)
		return XCT_REASON_IP_HEADER;
	switch (data[0] >> 4) {
	case 4:
		reason = parse_ipv4(pkt, is_quoted);
		break;
	case 6:
		reason = parse_ipv6(pkt, is_quoted);
		break;
	default:
		reason = XCT_REASON_IP_HEADER;
		break;
	}
	if (reason != XCT_REASON_NONE)
		return reason;
	if (is_quoted)
		pkt->l3_len = pkt->c.len;
	pkt->is_truncated = pkt->c.len < pkt->l3_len;
	/* What stands behind the IP packet (link padding) is not its own. */
	if (pkt->c.len > pkt->l3_len)
		pkt->c.len = pkt->l3_len;
	pkt->l4_len = pkt->l3_len - pkt->l4_off;
	pkt->l4 = data + pkt->l4_off;
	pkt->l4_have = pkt->c.len - pkt->l4_off;
	if (pkt->frag_off)
		return XCT_REASON_IP_FRAGMENT;
	return XCT_REASON_NONE;
}
