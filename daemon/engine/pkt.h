/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet as the engine sees it: bytes, where its headers start, and the
 * tuple that names its connection. Nothing is copied; offsets count from the
 * first byte of the (outermost) IP header.
 */
#ifndef XCT_ENGINE_PKT_H
#define XCT_ENGINE_PKT_H

#include "common/cursor.h"
#include "common/names.h"
#include "common/tuple.h"

struct xct_pkt {
	struct xct_cursor c;   /* what was copied to us */
	uint32_t l3_len;       /* the packet's length by its IP header */
	uint16_t l4_off;       /* of the transport header */
	uint16_t l4_proto_off; /* of the byte that says proto (IPv6: the last
				  "next header" field) */
	uint32_t l4_len;       /* l3_len - l4_off: header and payload */
	uint8_t family;
	uint8_t proto;
	bool is_fragment;  /* any fragment, also the first */
	uint16_t frag_off; /* in bytes; 0 in the first */
	bool is_truncated; /* c.len < l3_len */
	uint8_t *l4;	   /* &c.data[l4_off], l4_have bytes of it */
	uint32_t l4_have;  /* bytes of the transport part in c */
};

/*
 * Find the headers of the IP packet in @data. @is_quoted: it stands inside an
 * ICMP error, may be cut short and its length field is not to be trusted
 * against @len. Returns XCT_REASON_NONE, or why it cannot be tracked.
 */
enum xct_reason xct_pkt_parse(struct xct_pkt *pkt, uint8_t *data, uint32_t len,
			      bool is_quoted);

/* The addresses of the IP header, without ports. */
void xct_pkt_addrs(const struct xct_pkt *pkt, struct xct_addr *src,
		   struct xct_addr *dst);

#endif
