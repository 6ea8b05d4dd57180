/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Translating sequence numbers: see seqadj.h. */
#include "daemon/engine/seqadj.h"

#define HEADER_MIN 20
#define FLAG_ACK   0x10
#define OPT_END	   0
#define OPT_NOP	   1
#define OPT_SACK   5

static bool is_after(uint32_t a, uint32_t b)
{
	return (int32_t)(b - a) < 0;
}

void xct_seqadj_add(struct xct_seqadj *adjust, uint32_t seq, int32_t delta)
{
	/* At, or before, the last correction: it is sent again. */
	if (!delta ||
	    (adjust->before != adjust->after && !is_after(seq, adjust->pos)))
		return;
	adjust->pos = seq;
	adjust->before = adjust->after;
	adjust->after += delta;
}

uint32_t xct_seqadj_forth(const struct xct_seqadj *adjust, uint32_t seq)
{
	return seq + (uint32_t)(is_after(seq, adjust->pos) ? adjust->after
							   : adjust->before);
}

uint32_t xct_seqadj_back(const struct xct_seqadj *adjust, uint32_t ack)
{
	uint32_t sent = ack - (uint32_t)adjust->before;

	return is_after(sent, adjust->pos) ? ack - (uint32_t)adjust->after
					   : sent;
}

static void put_back(const struct xct_seqadj *adjust, uint8_t *at)
{
	xct_put_be32(at, xct_seqadj_back(adjust, xct_get_be32(at)));
}

void xct_seqadj_acks(const struct xct_seqadj *adjust, struct xct_pkt *pkt)
{
	uint8_t *at = pkt->l4 + HEADER_MIN;
	uint8_t *end = pkt->l4 + (pkt->l4[12] >> 4) * 4;

	if (!(pkt->l4[13] & FLAG_ACK))
		return;
	put_back(adjust, pkt->l4 + 8);
	while (at < end && *at != OPT_END) {
		if (*at == OPT_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return;
		if (*at == OPT_SACK && (at[1] - 2) % 8 == 0)
			for (int i = 2; i < at[1]; i += 4)
				put_back(adjust, at + i);
		at += at[1];
	}
}

void xct_seqadj_seq(const struct xct_seqadj *adjust, struct xct_pkt *pkt)
{
	xct_put_be32(pkt->l4 + 4,
		     xct_seqadj_forth(adjust, xct_get_be32(pkt->l4 + 4)));
}
