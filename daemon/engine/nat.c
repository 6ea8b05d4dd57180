/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Choosing addresses and ports.
 *
 * Theory of operation, with the kernel's rules (nf_nat_core): a source port is
 * kept if the resulting tuple is free. A socket that already has a translated
 * source keeps that one towards other destinations. Else the port is searched
 * from a random start within its class (1..511, 600..1023, 1024..65535), in
 * rounds that get shorter, so that no packet costs more than a few hundred
 * look-ups however full the range is.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/cursor.h"
#include "daemon/engine/l4.h"
#include "daemon/engine/nat.h"

#define ROUND_MAX  128 /* look-ups of the first round */
#define LAST_TRIES 32  /* of a round: closed connections give way */
#define ROUND_MIN  16  /* no round is shorter */

uint32_t xct_random_next(struct xct_random *rnd)
{
	rnd->counter++;
	return (uint32_t)xct_siphash(&rnd->key, &rnd->counter, 1);
}

/* Would a flow that leaves as @t answer to a tuple that is another's? */
static bool is_used(const struct xct_nat *nat, const struct xct_tuple *t)
{
	struct xct_tuple reply;

	return xct_tuple_invert(t, &reply) &&
	       xct_table_is_taken(nat->tbl, &reply, nat->flow);
}

/*
 * The same with the search nearly over: a closed TCP connection may give way
 * to a new one, if late segments of the old one cannot be taken for the new
 * one's, whose sequence numbers are higher. As the kernel does.
 */
static bool is_used_for_good(const struct xct_nat *nat,
			     const struct xct_tuple *t)
{
	const struct xct_tcp_track *now, *then;
	struct xct_tuple reply;
	struct xct_flow *old;
	enum xct_dir dir;

	if (!is_used(nat, t))
		return false;
	if (!nat->flow || t->proto != IPPROTO_TCP)
		return true;
	now = &nat->flow->track.tcp;
	if (now->state != XCT_TCP_SYN_SENT || !xct_tuple_invert(t, &reply))
		return true;
	old = xct_table_find(nat->tbl, &reply, &dir);
	if (!old || old == nat->flow || dir != XCT_DIR_REPLY ||
	    !(old->status & XCT_STATUS_SRC_NAT) ||
	    old->status & (XCT_STATUS_FIXED_TIMEOUT | XCT_STATUS_DYING))
		return true;
	then = &old->track.tcp;
	if (then->state < XCT_TCP_TIME_WAIT ||
	    (int32_t)(now->seen[0].end - then->seen[0].end) <= 0)
		return true;
	nat->evict(nat->ctx, old);
	return false;
}

/* The number that NAT may change: a port, or an ICMP id. NULL: none. */
static xct_be16 *variable_part(struct xct_tuple *t, bool is_source)
{
	if (xct_l4(t->family, t->proto)->has_ports)
		return is_source ? &t->sport : &t->dport;
	if (xct_l4(t->family, t->proto)->rewrite)
		return is_source ? &t->icmp_id : NULL;
	return NULL;
}

static bool has_ports_given(const struct xct_nat_range *range)
{
	return range->port_first != 0;
}

static bool port_in_range(const struct xct_nat_range *range, xct_be16 port)
{
	uint16_t p = xct_ntoh16(port);

	return p >= range->port_first && p <= range->port_last;
}

static bool source_in_range(const struct xct_nat_range *range,
			    struct xct_tuple *t)
{
	const xct_be16 *part = variable_part(t, true);

	if (range->addr.family &&
	    !xct_range_contains(&range->addr, t->family, &t->src))
		return false;
	return !has_ports_given(range) || !part || port_in_range(range, *part);
}

/*
 * Search a free number for @t, or take the last one tried. @t is changed in
 * any case. Returns whether the result is free.
 */
static bool search_number(const struct xct_nat *nat,
			  const struct xct_nat_range *range, bool is_source,
			  struct xct_tuple *t)
{
	xct_be16 *part = variable_part(t, is_source);
	uint32_t first, size, off, tries;

	if (!part)
		return !is_used(nat, t);
	if (has_ports_given(range)) {
		first = range->port_first;
		size = range->port_last - range->port_first + 1u;
	} else if (!is_source) {
		return !is_used(nat, t); /* a port not asked for stays */
	} else if (!xct_l4(t->family, t->proto)->has_ports) {
		first = 0; /* ICMP ids have no classes */
		size = 65536;
	} else if (xct_ntoh16(*part) < 512) {
		first = 1;
		size = 511;
	} else if (xct_ntoh16(*part) < 1024) {
		first = 600;
		size = 424;
	} else {
		first = 1024;
		size = 64512;
	}
	for (tries = size < ROUND_MAX ? size : ROUND_MAX;; tries /= 2) {
		off = xct_random_next(nat->rnd) & 0xffff;
		for (uint32_t i = 0; i < tries; i++, off++) {
			*part = xct_hton16((uint16_t)(first + off % size));
			if (tries - i > LAST_TRIES ? !is_used(nat, t)
						   : !is_used_for_good(nat, t))
				return true;
		}
		if (tries >= size || tries < ROUND_MIN)
			return false;
	}
}

/* The address of @range for this connection: the same for the same two hosts,
 * so that a server sees its client come from one place. */
static void pick_addr(const struct xct_table *tbl,
		      const struct xct_nat_range *range,
		      const struct xct_tuple *t, struct xct_addr *addr)
{
	uint64_t w[4] = { t->src.u64[0], t->src.u64[1], 0, 0 };
	uint64_t first, last;
	uint32_t len = (uint32_t)xct_addr_len(t->family), off;

	*addr = range->addr.first;
	if (xct_addr_equal(&range->addr.first, &range->addr.last))
		return;
	if (!range->is_persistent) {
		w[2] = t->dst.u64[0];
		w[3] = t->dst.u64[1];
	}
	/* Ranges vary in their last 64 bits at the most: what is above them is
	 * the first address's. */
	off = len > 8 ? len - 8 : 0;
	first = last = 0;
	for (uint32_t i = off; i < len; i++) {
		first = first << 8 | range->addr.first.b[i];
		last = last << 8 | range->addr.last.b[i];
	}
	if (memcmp(&range->addr.first, &range->addr.last, off))
		last = UINT64_MAX;
	if (last - first != UINT64_MAX)
		first += xct_siphash(&tbl->key, w, 4) % (last - first + 1);
	else
		first = xct_siphash(&tbl->key, w, 4);
	for (uint32_t i = len; i-- > off; first >>= 8)
		addr->b[i] = (uint8_t)first;
}

struct source_search {
	const struct xct_nat_range *range;
	struct xct_tuple candidate;
	const struct xct_flow *self;
};

/* Would what @flow's socket is translated to do here as well? */
static bool try_known_source(void *ctx, struct xct_flow *flow)
{
	struct source_search *search = ctx;
	struct xct_tuple leaving;

	if (flow == search->self ||
	    !xct_tuple_invert(&flow->tuple[XCT_DIR_REPLY], &leaving))
		return false;
	search->candidate.src = leaving.src;
	search->candidate.sport = leaving.sport;
	return source_in_range(search->range, &search->candidate);
}

bool xct_nat_source(const struct xct_nat *nat,
		    const struct xct_nat_range *range, struct xct_tuple *t)
{
	struct source_search search = { range, *t, nat->flow };
	struct xct_tuple sender = *t;
	const xct_be16 *part;

	sender.zone = nat->flow->tuple[XCT_DIR_ORIG].zone;
	if (!range->is_random) {
		if (source_in_range(range, t)) {
			if (!is_used(nat, t))
				return true;
		} else if (xct_table_find_source(nat->tbl, &sender,
						 try_known_source, &search) &&
			   !is_used(nat, &search.candidate)) {
			*t = search.candidate;
			return true;
		}
	}
	if (range->addr.family)
		pick_addr(nat->tbl, range, t, &t->src);
	part = variable_part(t, true);
	if (!range->is_random &&
	    (!has_ports_given(range) || !part || port_in_range(range, *part)) &&
	    !is_used(nat, t))
		return true;
	return search_number(nat, range, true, t);
}

void xct_nat_destination(const struct xct_nat *nat,
			 const struct xct_nat_range *range, struct xct_tuple *t)
{
	const xct_be16 *part = variable_part(t, false);

	if (range->addr.family)
		pick_addr(nat->tbl, range, t, &t->dst);
	if (!has_ports_given(range) || !part)
		return;
	if (!range->is_random && port_in_range(range, *part) &&
	    (range->port_first == range->port_last || !is_used(nat, t)))
		return;
	(void)search_number(nat, range, false, t);
}
