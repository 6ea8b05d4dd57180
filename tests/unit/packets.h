/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets for unit tests: whole, with right checksums. */
#ifndef XCT_TESTS_PACKETS_H
#define XCT_TESTS_PACKETS_H

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/engine/csum.h"
#include "daemon/engine/edit.h"
#include "daemon/engine/l4.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10

struct packet {
	uint8_t data[2048];
	uint32_t len;
};

static inline void packet_ip(struct packet *p, const char *src, const char *dst,
			     uint8_t proto, const uint8_t *l4, uint32_t l4_len)
{
	struct xct_addr s, d;
	const struct xct_meta meta = { .csum_partial = true };
	const struct xct_tuple same_tuple = { .proto = proto };
	struct xct_pkt pkt;
	uint8_t family, same;
	uint32_t hl;
	xct_be16 check;

	memset(p, 0, sizeof(*p));
	(void)xct_addr_parse(src, &family, &s);
	(void)xct_addr_parse(dst, &same, &d);
	if (family == AF_INET) {
		hl = 20;
		p->data[0] = 0x45;
		xct_put_be16(p->data + 2, (uint16_t)(hl + l4_len));
		xct_put_be16(p->data + 4, 0x1234);
		p->data[8] = 64;
		p->data[9] = proto;
		memcpy(p->data + 12, s.b, 4);
		memcpy(p->data + 16, d.b, 4);
		check = (xct_be16)~xct_csum_fold(xct_csum_sum(p->data, 20));
		memcpy(p->data + 10, &check, 2);
	} else {
		hl = 40;
		p->data[0] = 0x60;
		xct_put_be16(p->data + 4, (uint16_t)l4_len);
		p->data[6] = proto;
		p->data[7] = 64;
		memcpy(p->data + 8, s.b, 16);
		memcpy(p->data + 24, d.b, 16);
	}
	memcpy(p->data + hl, l4, l4_len);
	p->len = hl + l4_len;
	/* Nothing to rewrite, but a checksum to compute. */
	if (xct_pkt_parse(&pkt, p->data, p->len, false) == XCT_REASON_NONE)
		(void)xct_edit(&pkt, &meta, &same_tuple, 0);
}

static inline void packet_tcp(struct packet *p, const char *src, uint16_t sport,
			      const char *dst, uint16_t dport, uint8_t flags,
			      uint32_t seq, uint32_t ack, uint32_t payload)
{
	uint8_t tcp[20 + 1400] = { 0 };

	xct_put_be16(tcp, sport);
	xct_put_be16(tcp + 2, dport);
	xct_put_be32(tcp + 4, seq);
	xct_put_be32(tcp + 8, ack);
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	xct_put_be16(tcp + 14, 65000);
	memset(tcp + 20, 'x', payload);
	packet_ip(p, src, dst, IPPROTO_TCP, tcp, 20 + payload);
}

static inline void packet_udp(struct packet *p, const char *src, uint16_t sport,
			      const char *dst, uint16_t dport, uint32_t payload)
{
	uint8_t udp[8 + 1400] = { 0 };

	xct_put_be16(udp, sport);
	xct_put_be16(udp + 2, dport);
	xct_put_be16(udp + 4, (uint16_t)(8 + payload));
	memset(udp + 8, 'y', payload);
	packet_ip(p, src, dst, IPPROTO_UDP, udp, 8 + payload);
}

/* Write the chunks that @text names (tests/tables/sctp.h) at @at; returns their
 * length, padding included. */
static inline uint32_t write_sctp_chunks(uint8_t *at, const char *text)
{
	static const struct {
		const char *name;
		uint8_t type;
		uint8_t len; /* as it says itself */
		uint8_t size;
	} kinds[] = {
		{ "DATA", 0, 17, 20 },	    { "INIT", 1, 20, 20 },
		{ "INITACK", 2, 20, 20 },   { "SACK", 3, 16, 16 },
		{ "HB", 4, 9, 12 },	    { "HBACK", 5, 9, 12 },
		{ "ABORT", 6, 4, 4 },	    { "SD", 7, 8, 8 },
		{ "SDACK", 8, 4, 4 },	    { "ERROR", 9, 8, 8 },
		{ "CE", 10, 7, 8 },	    { "CA", 11, 4, 4 },
		{ "SDC", 14, 4, 4 },	    { "EMPTY", 0, 0, 4 },
		{ "SHORT", 1, 20, 4 + 15 },
	};
	size_t i, word, name;
	uint32_t len = 0;

	for (; *text; text += word + (text[word] == ' ')) {
		word = strcspn(text, " ");
		name = strcspn(text, " =/");
		for (i = 0; i < XCT_ARRAY_SIZE(kinds); i++) {
			if (strlen(kinds[i].name) == name &&
			    strncmp(text, kinds[i].name, name) == 0)
				break;
		}
		if (i == XCT_ARRAY_SIZE(kinds))
			return 0; /* no chunks: nobody expects that */
		memset(at + len, 0, kinds[i].size);
		at[len] = kinds[i].type;
		at[len + 1] = text[name] == '/';
		at[len + 3] = kinds[i].len;
		if (text[name] == '=')
			xct_put_be32(at + len + 4,
				     (uint32_t)atoi(text + name + 1));
		len += kinds[i].size;
	}
	return len;
}

/* An SCTP packet without its IP header and checksum; returns its length. */
static inline uint32_t write_sctp(uint8_t *l4, uint16_t sport, uint16_t dport,
				  uint32_t vtag, const char *chunks)
{
	memset(l4, 0, 12);
	xct_put_be16(l4, sport);
	xct_put_be16(l4 + 2, dport);
	xct_put_be32(l4 + 4, vtag);
	return 12 + write_sctp_chunks(l4 + 12, chunks);
}

static inline void packet_sctp(struct packet *p, const char *src,
			       uint16_t sport, const char *dst, uint16_t dport,
			       uint32_t vtag, const char *chunks)
{
	uint8_t sctp[1400];

	packet_ip(p, src, dst, IPPROTO_SCTP, sctp,
		  write_sctp(sctp, sport, dport, vtag, chunks));
}

static inline void packet_echo(struct packet *p, const char *src,
			       const char *dst, bool is_reply, uint16_t id)
{
	bool v6 = strchr(src, ':') != NULL;
	uint8_t icmp[16] = { 0 };

	icmp[0] = v6 ? (is_reply ? 129 : 128) : (is_reply ? 0 : 8);
	xct_put_be16(icmp + 4, id);
	packet_ip(p, src, dst, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, icmp, 16);
}

/* An ICMP error (port unreachable) quoting the first @quote bytes of @about. */
static inline void packet_error(struct packet *p, const char *src,
				const char *dst, const struct packet *about,
				uint32_t quote)
{
	bool v6 = strchr(src, ':') != NULL;
	uint8_t icmp[8 + 1400] = { 0 };

	icmp[0] = v6 ? 1 : 3;
	icmp[1] = v6 ? 4 : 3;
	memcpy(icmp + 8, about->data, quote);
	packet_ip(p, src, dst, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, icmp,
		  8 + quote);
}

/* Are the IP header's and the transport's checksums right? */
static inline bool packet_is_sound(struct packet *p)
{
	struct xct_pkt pkt;

	if (xct_pkt_parse(&pkt, p->data, p->len, false) != XCT_REASON_NONE)
		return false;
	if (pkt.family == AF_INET &&
	    xct_csum_fold(xct_csum_sum(p->data, pkt.l4_off)) != 0xffff)
		return false;
	return xct_csum_is_right(&pkt);
}

#endif
