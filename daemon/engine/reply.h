/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packets that tell a sender its connection was rejected: a TCP RST
 * (RFC 9293 3.10.7.1), or an ICMP or ICMPv6 error (RFC 792, RFC 4443).
 */
#ifndef XCT_ENGINE_REPLY_H
#define XCT_ENGINE_REPLY_H

#include "daemon/engine/pkt.h"
#include "daemon/engine/rule.h"

/*
 * Answer @pkt, the first packet of a connection whose tuple was @orig when it
 * was sent (it may be translated by now). @from: the address of ours that an
 * ICMP error comes from; all zero lets the kernel choose (IPv4 only). Returns
 * the bytes written to @buf, or 0 where nobody may be answered: to RSTs, to
 * fragments, to multicast and broadcast.
 */
uint16_t xct_reply_build(const struct xct_pkt *pkt,
			 const struct xct_tuple *orig, enum xct_reject reject,
			 const struct xct_addr *from, uint8_t *buf,
			 uint16_t size);

#endif
