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
#define ROUND_MIN  16  /* the first that is shorter is the last */

uint32_t xct_random_next(struct xct_random *rnd)
{
	rnd->counter++;
	return (uint32_t)xct_siphash(&rnd->key, &rnd->counter, 1);
}

/* Would a flow that leaves as @t answer to a tuple that is another's? One that
 * is over, and waits for its last packet or the error about it, gives way. */
static bool is_used(const struct xct_nat *nat, const struct xct_tuple *t)
{
	struct xct_tuple reply;
	struct xct_flow *old;
	enum xct_dir dir;

	if (!xct_tuple_invert(t, &reply) ||
	    !xct_table_is_taken(nat->tbl, &reply, nat->flow))
		return false;
	old = xct_table_find(nat->tbl, &reply, &dir);
	if (!old || old == nat->flow || !(old->status & XCT_STATUS_DYING))
		return true;
	nat->evict(nat->ctx, old);
	return false;
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
	if (xct_l4(t->proto)->has_ports)
		return is_source ? &t->sport : &t->dport;
	if (xct_l4(t->proto)->rewrite)
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
	} else if (!xct_l4(t->proto)->has_ports) {
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

static uint32_t rotate(uint32_t v, unsigned int bits)
{
	return v << bits | v >> (32 - bits);
}

/* Bob Jenkins' lookup3 of the four words of an address (the kernel: jhash2). */
static uint32_t hash_addr(const struct xct_addr *addr, uint32_t initial)
{
	uint32_t a, b, c;

	a = b = c = 0xdeadbeef + (4 << 2) + initial;
	a += addr->be32[0];
	b += addr->be32[1];
	c += addr->be32[2];
	a = (a - c) ^ rotate(c, 4);
	c += b;
	b = (b - a) ^ rotate(a, 6);
	a += c;
	c = (c - b) ^ rotate(b, 8);
	b += a;
	a = (a - c) ^ rotate(c, 16);
	c += b;
	b = (b - a) ^ rotate(a, 19);
	a += c;
	c = (c - b) ^ rotate(b, 4);
	b += a;

	a += addr->be32[3];
	c = (c ^ b) - rotate(b, 14);
	a = (a ^ c) - rotate(c, 11);
	b = (b ^ a) - rotate(a, 25);
	c = (c ^ b) - rotate(b, 16);
	a = (a ^ c) - rotate(c, 4);
	b = (b ^ a) - rotate(a, 14);
	c = (c ^ b) - rotate(b, 24);
	return c;
}

/*
 * The address of @range for this connection. As the kernel does it, and without
 * a secret: the same two hosts always get the same one, also after a restart,
 * so that a server sees its client come from one place.
 */
static void pick_addr(const struct xct_nat_range *range,
		      const struct xct_tuple *t, struct xct_addr *addr)
{
	unsigned int words = (unsigned int)xct_addr_len(t->family) / 4;
	struct xct_addr dst = t->dst; /* @addr is a part of @t */
	bool is_below_last = false;
	uint32_t hash;

	if (xct_addr_equal(&range->addr.first, &range->addr.last)) {
		*addr = range->addr.first;
		return;
	}
	hash = hash_addr(&t->src, range->is_persistent
					  ? 0
					  : dst.be32[words - 1] ^ t->zone);
	*addr = range->addr.first;
	for (unsigned int i = 0; i < words; i++) {
		uint32_t first = xct_get_be32(&range->addr.first.b[4 * i]);
		uint32_t last = xct_get_be32(&range->addr.last.b[4 * i]);
		uint32_t span = last - first + 1;

		/* Once a word is smaller than the last address's, those after
		 * it can have any value. */
		if (is_below_last) {
			first = 0;
			span = UINT32_MAX;
		}
		first += (uint32_t)((uint64_t)hash * span >> 32);
		xct_put_be32(&addr->b[4 * i], first);
		is_below_last |= first != last;
		if (!range->is_persistent)
			hash ^= dst.be32[i];
	}
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
	    !xct_tuple_invert(&flow->side[XCT_DIR_REPLY].tuple, &leaving))
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

	sender.zone = nat->flow->side[XCT_DIR_ORIG].tuple.zone;
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
		pick_addr(range, t, &t->src);
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
		pick_addr(range, t, &t->dst);
	if (!has_ports_given(range) || !part)
		return;
	if (!range->is_random && port_in_range(range, *part) &&
	    (range->port_first == range->port_last || !is_used(nat, t)))
		return;
	(void)search_number(nat, range, false, t);
}
