/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TCP connections whose payload was given another length: from there on, what
 * one end sends and what the other acknowledges are numbers of two spaces.
 *
 * Theory of operation (nf_conntrack_seqadj): each direction has one correction,
 * a sequence number as sent, with the difference up to it and after it. One is
 * enough: the next change of length comes when the one before is acknowledged,
 * and what is sent again from before it is changed alike. Sequence numbers are
 * told apart as they were sent; an acknowledgement as it would be without the
 * difference before the correction.
 *
 * Trackers, and helpers, see a segment as its sender's numbers have it: what it
 * acknowledges is translated back before, its sequence number forth after them.
 */
#ifndef XCT_ENGINE_SEQADJ_H
#define XCT_ENGINE_SEQADJ_H

#include "daemon/engine/flow.h"
#include "daemon/engine/pkt.h"

/* The bytes from @seq on, as sent, have become @delta more. */
void xct_seqadj_add(struct xct_seqadj *adjust, uint32_t seq, int32_t delta);

/* What one end has sent as @seq, the other end has got as this. */
uint32_t xct_seqadj_forth(const struct xct_seqadj *adjust, uint32_t seq);

/* What one end acknowledges by @ack, the other end has sent as this. */
uint32_t xct_seqadj_back(const struct xct_seqadj *adjust, uint32_t ack);

static inline bool xct_seqadj_is_any(const struct xct_seqadj *adjust)
{
	return adjust->before || adjust->after;
}

/* Translate the acknowledgements, selective ones (RFC 2018) as well, of a
 * segment whose header is sound. @adjust: of the other direction. */
void xct_seqadj_acks(const struct xct_seqadj *adjust, struct xct_pkt *pkt);

/* Translate its sequence number. @adjust: of its own direction. */
void xct_seqadj_seq(const struct xct_seqadj *adjust, struct xct_pkt *pkt);

#endif
