/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rewriting packets: addresses, ports and the checksums that cover them.
 */
#ifndef XCT_ENGINE_EDIT_H
#define XCT_ENGINE_EDIT_H

#include "daemon/engine/pkt.h"

/* Which half of a packet is rewritten. */
enum xct_half { XCT_HALF_SRC = 1, XCT_HALF_DST = 2 };

/*
 * Give the packet the halves of @target (enum xct_half, or'ed). How checksums
 * are kept right depends on @meta: complete ones are updated (RFC 1624),
 * unfinished ones computed, those of packets still to be segmented keep the
 * pseudo header's sum. False if the copy is too short: nothing was changed.
 */
bool xct_edit(struct xct_pkt *pkt, const struct xct_meta *meta,
	      const struct xct_tuple *target, unsigned int halves);

/* The same for an ICMP error: the outer header gets the addresses of @outer,
 * the packet it quotes (@quoted, within @pkt) those and the ports of @inner.
 * The ICMP checksum is computed anew. */
bool xct_edit_icmp_error(struct xct_pkt *pkt, struct xct_pkt *quoted,
			 const struct xct_tuple *outer,
			 unsigned int outer_halves,
			 const struct xct_tuple *inner,
			 unsigned int inner_halves);

/* Rewrite a quoted packet: never fails, checksums beyond its end are let be. */
void xct_edit_quoted(struct xct_pkt *quoted, const struct xct_tuple *inner,
		     unsigned int halves);

/*
 * Other changes of the transport part of a whole packet, whose header is sound:
 * take the sum of it, change it, then have the checksum mended by the difference,
 * as above. @before: the sum, when it was @len bytes.
 */
uint16_t xct_edit_sum(const struct xct_pkt *pkt);
void xct_edit_mend(struct xct_pkt *pkt, const struct xct_meta *meta,
		   uint16_t before, uint32_t len);

/* Put @text in place of the @len bytes at @off of the transport part, before it
 * is mended. False: there is no room for it. */
bool xct_edit_splice(struct xct_pkt *pkt, const struct xct_meta *meta,
		     uint32_t off, uint32_t len, const char *text,
		     uint32_t text_len);

/* Does the transport checksum of a whole packet hold? */
bool xct_csum_is_right(const struct xct_pkt *pkt);

#endif
