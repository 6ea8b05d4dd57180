/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Building RSTs and ICMP errors. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/engine/csum.h"
#include "daemon/engine/edit.h"
#include "daemon/engine/l4.h"
#include "daemon/engine/reply.h"

#define IPV4_HEADER_LEN	 20
#define IPV6_HEADER_LEN	 40
#define TCP_HEADER_LEN	 20
#define ICMP_HEADER_LEN	 8
#define REPLY_TTL	 64
#define IPV4_DF		 0x4000
#define IPV4_TOS_CONTROL 0xc0
#define IPV4_ERROR_MAX	 576  /* RFC 1812 4.3.2.3 */
#define IPV6_ERROR_MAX	 1280 /* RFC 4443 2.4 (c) */

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Type and code of the ICMP error that says what @reject means. */
struct icmp_code {
	uint8_t type[2]; /* IPv4, IPv6 */
	uint8_t code[2];
};

static const struct icmp_code icmp_codes[] = {
	[XCT_REJECT_AUTO] = { { 3, 1 }, { 3, 4 } },
	[XCT_REJECT_PORT] = { { 3, 1 }, { 3, 4 } },
	[XCT_REJECT_HOST] = { { 3, 1 }, { 1, 3 } },
	[XCT_REJECT_NET] = { { 3, 1 }, { 0, 0 } },
	[XCT_REJECT_ADMIN] = { { 3, 1 }, { 13, 1 } },
	[XCT_REJECT_PROTO] = { { 3, 1 }, { 2, 4 } },
};

/* Write the IP header of a packet of @len bytes in all. Returns its length. */
static uint16_t put_ip(uint8_t *buf, uint8_t family, const struct xct_addr *src,
		       const struct xct_addr *dst, uint8_t proto, uint16_t len)
{
	bool is_error = proto != IPPROTO_TCP;
	xct_be16 check;

	if (family == AF_INET) {
		memset(buf, 0, IPV4_HEADER_LEN);
		buf[0] = 0x45;
		xct_put_be16(buf + 2, len);
		/* As the kernel: errors go as internetwork control, and may be
		 * fragmented (RFC 1812 4.3.2.5). */
		buf[1] = is_error ? IPV4_TOS_CONTROL : 0;
		xct_put_be16(buf + 6, is_error ? 0 : IPV4_DF);
		buf[8] = REPLY_TTL;
		buf[9] = proto;
		memcpy(buf + 12, src->b, 4);
		memcpy(buf + 16, dst->b, 4);
		check = (xct_be16)~xct_csum_fold(
			xct_csum_sum(buf, IPV4_HEADER_LEN));
		memcpy(buf + 10, &check, 2);
		return IPV4_HEADER_LEN;
	}
	memset(buf, 0, IPV6_HEADER_LEN);
	buf[0] = 0x60;
	xct_put_be16(buf + 4, (uint16_t)(len - IPV6_HEADER_LEN));
	buf[6] = proto;
	buf[7] = REPLY_TTL;
	memcpy(buf + 8, src->b, 16);
	memcpy(buf + 24, dst->b, 16);
	return IPV6_HEADER_LEN;
}

static void put_l4_csum(uint8_t *l4, uint8_t csum_off, uint16_t l4_len,
			uint64_t pseudo)
{
	xct_be16 check =
		(xct_be16)~xct_csum_fold(pseudo + xct_csum_sum(l4, l4_len));

	memcpy(l4 + csum_off, &check, 2);
}

/* Numbers as RFC 9293 3.10.7.1 has them for a closed connection. */
static uint16_t build_rst(const struct xct_pkt *pkt,
			  const struct xct_tuple *orig, uint8_t *buf)
{
	uint16_t ip_len =
		pkt->family == AF_INET ? IPV4_HEADER_LEN : IPV6_HEADER_LEN;
	uint16_t len = (uint16_t)(ip_len + TCP_HEADER_LEN);
	const uint8_t *in = pkt->l4;
	uint8_t *tcp = buf + ip_len, flags;
	uint32_t seg_len;

	if (pkt->l4_have < TCP_HEADER_LEN)
		return 0;
	flags = in[13];
	if (flags & TCP_RST)
		return 0;
	(void)put_ip(buf, pkt->family, &orig->dst, &orig->src, IPPROTO_TCP,
		     len);
	memset(tcp, 0, TCP_HEADER_LEN);
	memcpy(tcp, &orig->dport, 2);
	memcpy(tcp + 2, &orig->sport, 2);
	tcp[12] = TCP_HEADER_LEN / 4 << 4;
	if (flags & TCP_ACK) {
		memcpy(tcp + 4, in + 8, 4); /* seq: what they acknowledged */
		tcp[13] = TCP_RST;
	} else {
		seg_len = pkt->l4_len - (uint32_t)(in[12] >> 4) * 4 +
			  !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
		xct_put_be32(tcp + 8, xct_get_be32(in + 4) + seg_len);
		tcp[13] = TCP_RST | TCP_ACK;
	}
	put_l4_csum(tcp, 16, TCP_HEADER_LEN,
		    xct_csum_pseudo(pkt->family,
				    tcp - 2 * xct_addr_len(pkt->family),
				    IPPROTO_TCP, TCP_HEADER_LEN));
	return len;
}

static uint16_t build_icmp(const struct xct_pkt *pkt,
			   const struct xct_tuple *orig, enum xct_reject reject,
			   const struct xct_addr *from, uint8_t *buf)
{
	bool is_v6 = pkt->family == AF_INET6;
	uint8_t proto = is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	uint16_t ip_len = is_v6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN;
	uint16_t room = (uint16_t)((is_v6 ? IPV6_ERROR_MAX : IPV4_ERROR_MAX) -
				   ip_len - ICMP_HEADER_LEN);
	uint16_t quote_len = pkt->c.len < room ? (uint16_t)pkt->c.len : room;
	uint16_t len = (uint16_t)(ip_len + ICMP_HEADER_LEN + quote_len);
	uint8_t *icmp = buf + ip_len;
	struct xct_pkt quoted;

	memset(icmp, 0, ICMP_HEADER_LEN);
	icmp[0] = icmp_codes[reject].type[is_v6];
	icmp[1] = icmp_codes[reject].code[is_v6];
	memcpy(icmp + ICMP_HEADER_LEN, pkt->c.data, quote_len);
	/* The sender must know its packet again. */
	if (xct_pkt_parse(&quoted, icmp + ICMP_HEADER_LEN, quote_len, true) ==
	    XCT_REASON_NONE)
		xct_edit_quoted(&quoted, orig, XCT_HALF_SRC | XCT_HALF_DST);
	(void)put_ip(buf, pkt->family, from, &orig->src, proto, len);
	put_l4_csum(icmp, 2, (uint16_t)(ICMP_HEADER_LEN + quote_len),
		    is_v6 ? xct_csum_pseudo(AF_INET6,
					    icmp - 2 * xct_addr_len(AF_INET6),
					    proto, ICMP_HEADER_LEN + quote_len)
			  : 0);
	return len;
}

/* RFC 1122 3.2.2: no errors about multicast or broadcast. */
static bool is_unicast(uint8_t family, const struct xct_addr *addr)
{
	if (xct_addr_is_zero(addr))
		return false;
	return family == AF_INET ? addr->b[0] < 224 : addr->b[0] != 0xff;
}

uint16_t xct_reply_build(const struct xct_pkt *pkt,
			 const struct xct_tuple *orig, enum xct_reject reject,
			 const struct xct_addr *from, uint8_t *buf,
			 uint16_t size)
{
	bool is_tcp = pkt->proto == IPPROTO_TCP;

	if (size < IPV6_ERROR_MAX || pkt->is_fragment ||
	    !is_unicast(orig->family, &orig->src) ||
	    !is_unicast(orig->family, &orig->dst))
		return 0;
	if (reject == XCT_REJECT_TCP_RESET ||
	    (reject == XCT_REJECT_AUTO && is_tcp))
		return is_tcp ? build_rst(pkt, orig, buf) : 0;
	if (pkt->family == AF_INET6 && xct_addr_is_zero(from))
		return 0;
	return build_icmp(pkt, orig, reject, from, buf);
}
