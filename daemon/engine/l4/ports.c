/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading, swapping and rewriting the two ports a header begins with. */
#include "daemon/engine/l4/ports.h"

#include "daemon/engine/csum.h"

#define SPORT_OFF 0
#define DPORT_OFF 2

bool xct_ports_key(const struct xct_pkt *pkt, struct xct_tuple *t)
{
	/* An error may quote no more than this. */
	if (pkt->l4_have < 4)
		return false;
	memcpy(&t->sport, pkt->l4 + SPORT_OFF, sizeof(t->sport));
	memcpy(&t->dport, pkt->l4 + DPORT_OFF, sizeof(t->dport));
	return true;
}

bool xct_ports_invert(const struct xct_tuple *t, struct xct_tuple *inverse)
{
	inverse->sport = t->dport;
	inverse->dport = t->sport;
	return true;
}

uint64_t xct_ports_rewrite(uint8_t *l4, const struct xct_tuple *t,
			   bool is_source)
{
	uint8_t *field = l4 + (is_source ? SPORT_OFF : DPORT_OFF);
	xct_be16 from, to = is_source ? t->sport : t->dport;

	memcpy(&from, field, sizeof(from));
	memcpy(field, &to, sizeof(to));
	return xct_csum_diff16(from, to);
}
