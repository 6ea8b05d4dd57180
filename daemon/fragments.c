/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel makes of IPv6 fragments.
 *
 * Theory of operation
 *
 * Of each packet that is not whole yet there is what the kernel has to know of
 * it: which parts are there, as runs of fragments that came one behind the
 * other, and where the end is. RFC 5722 has the whole packet given up as soon
 * as two fragments overlap. One that lies within a run is a duplicate and
 * ignored; a duplicate of two runs that touch is taken for an overlap, as the
 * kernel does it.
 *
 * Memory and time are bounded: a packet has one of WAYS places, where it makes
 * the oldest go if it has to, and RUNS runs. What is lost so is counted.
 */
#include "daemon/fragments.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"

#define SETS	   256
#define WAYS	   8
#define RUNS	   48
#define TIMEOUT_MS 60000 /* the kernel's, where nobody has changed it */
#define HEADER_LEN 40
#define PACKET_MAX 65535

struct run {
	uint16_t begin;
	uint16_t end;
};

struct key {
	uint8_t addrs[32];
	uint32_t id;
	uint32_t ifindex;
};

struct datagram {
	struct key key;
	xct_msec began;	 /* 0: a free place */
	uint32_t have;	 /* bytes */
	uint32_t end;	 /* as far as it is known */
	uint32_t before; /* bytes of headers that are not fragmented */
	bool has_first;
	bool has_last;
	uint8_t ecn;	/* bit N: congestion field N was there */
	uint8_t n_runs; /* in order of what they hold */
	struct run runs[RUNS];
};

struct xct_fragments {
	struct xct_siphash_key key;
	struct datagram sets[SETS][WAYS];
};

/* One fragment, as its headers have it. */
struct piece {
	struct key key;
	uint32_t total; /* bytes of the packet that carries it */
	uint32_t off;	/* of the fragment header in it */
	uint32_t begin;
	uint32_t end;
	bool is_last;
	uint8_t ecn;
};

struct xct_fragments *xct_fragments_new(const struct xct_siphash_key *key)
{
	struct xct_fragments *fragments = calloc(1, sizeof(*fragments));

	if (fragments)
		fragments->key = *key;
	return fragments;
}

void xct_fragments_free(struct xct_fragments *fragments)
{
	free(fragments);
}

/* ------------------------------------------------------------- the headers */

/* Go from the header @proto at @off over those that a fragment header may
 * follow. False: they go beyond what we have. */
static bool skip_headers(const struct xct_cursor *c, uint8_t *proto,
			 uint32_t *off)
{
	const uint8_t *ext;

	while (*proto == IPPROTO_HOPOPTS || *proto == IPPROTO_ROUTING ||
	       *proto == IPPROTO_DSTOPTS || *proto == IPPROTO_AH) {
		ext = xct_cursor_at(c, *off, 2);
		if (!ext)
			return false;
		*off += *proto == IPPROTO_AH ? (ext[1] + 2u) * 4
					     : (ext[1] + 1u) * 8;
		*proto = ext[0];
	}
	return true;
}

static bool read_piece(const struct xct_cursor *c, uint32_t ifindex,
		       struct piece *piece)
{
	const uint8_t *ip = xct_cursor_at(c, 0, HEADER_LEN), *frag;
	uint8_t proto;

	if (!ip)
		return false;
	proto = ip[6];
	piece->off = HEADER_LEN;
	if (!skip_headers(c, &proto, &piece->off) || proto != IPPROTO_FRAGMENT)
		return false;
	frag = xct_cursor_at(c, piece->off, 8);
	if (!frag)
		return false;
	memcpy(piece->key.addrs, ip + 8, sizeof(piece->key.addrs));
	piece->key.id = xct_get_be32(frag + 4);
	piece->key.ifindex = ifindex;
	piece->total = HEADER_LEN + xct_get_be16(ip + 4);
	piece->begin = xct_get_be16(frag + 2) & 0xfff8u;
	/* Less than nothing, where the headers go beyond the packet, is more
	 * than any packet has. */
	piece->end = piece->begin + piece->total - piece->off - 8;
	piece->is_last = !(frag[3] & 1);
	piece->ecn = (uint8_t)(1 << (ip[1] >> 4 & 3));
	return true;
}

/* Does the first fragment hold all headers, up to the transport's (RFC 8200,
 * 4.5)? */
static bool has_headers(const struct xct_cursor *c, const struct piece *piece)
{
	uint8_t proto = c->data[piece->off];
	uint32_t off = piece->off + 8;

	if (piece->begin > 0 || !skip_headers(c, &proto, &off))
		return true;
	switch (proto) {
	case IPPROTO_TCP:
		return off + 20 <= piece->total;
	case IPPROTO_UDP:
	case IPPROTO_ICMPV6:
		return off + 8 <= piece->total;
	case IPPROTO_NONE:
		return true;
	default:
		return off + 1 <= piece->total;
	}
}

/* ------------------------------------------------------------- the packets */

static struct datagram *find(struct xct_fragments *fragments,
			     const struct key *key, xct_msec now,
			     struct xct_fragment_counts *counts)
{
	uint64_t words[sizeof(*key) / sizeof(uint64_t)];
	struct datagram *set, *oldest;

	memcpy(words, key, sizeof(words));
	set = fragments->sets[xct_siphash(&fragments->key, words,
					  XCT_ARRAY_SIZE(words)) %
			      SETS];
	oldest = set;
	for (struct datagram *d = set; d < set + WAYS; d++) {
		if (d->began && now - d->began >= TIMEOUT_MS)
			d->began = 0;
		if (d->began && memcmp(&d->key, key, sizeof(*key)) == 0)
			return d;
		if (d->began < oldest->began)
			oldest = d;
	}
	counts->unknown += oldest->began != 0;
	memset(oldest, 0, offsetof(struct datagram, runs));
	oldest->key = *key;
	oldest->began = now;
	return oldest;
}

/* Does @piece fit what is known of the end? */
static bool fits(struct datagram *d, const struct piece *piece)
{
	if (piece->is_last) {
		if (piece->end < d->end ||
		    (d->has_last && piece->end != d->end))
			return false;
		d->has_last = true;
	} else if (piece->end > d->end && d->has_last) {
		return false;
	}
	if (piece->end > d->end)
		d->end = piece->end;
	return piece->end > piece->begin;
}

enum added { ADDED, DUPLICATE, OVERLAP, NO_ROOM };

static enum added add(struct datagram *d, const struct piece *piece)
{
	struct run *run = d->runs, *stop = d->runs + d->n_runs;

	while (run < stop && run->end <= piece->begin)
		run++;
	if (run < stop && run->begin < piece->end)
		return piece->begin >= run->begin && piece->end <= run->end
			       ? DUPLICATE
			       : OVERLAP;
	d->have += piece->end - piece->begin;
	/* Only the last run grows, as in the kernel. */
	if (run == stop && d->n_runs && stop[-1].end == piece->begin) {
		stop[-1].end = (uint16_t)piece->end;
		return ADDED;
	}
	if (d->n_runs == RUNS)
		return NO_ROOM;
	memmove(run + 1, run, (size_t)(stop - run) * sizeof(*run));
	*run = (struct run){ .begin = (uint16_t)piece->begin,
			     .end = (uint16_t)piece->end };
	d->n_runs++;
	return ADDED;
}

/* RFC 3168, 5.3: none or all of them can carry congestion marks, and those that
 * were marked on the way must have been able to. */
static bool is_ecn_sound(uint8_t ecn)
{
	const uint8_t not_ect = 1 << 0;

	return !(ecn & not_ect) || ecn == not_ect;
}

static void complete(struct datagram *d, struct xct_fragment_counts *counts)
{
	bool is_sound =
		is_ecn_sound(d->ecn) && d->before + d->end <= PACKET_MAX;

	counts->whole += is_sound;
	counts->malformed += !is_sound;
	d->began = 0;
}

void xct_fragments_put(struct xct_fragments *fragments, uint8_t *packet,
		       uint32_t len, uint32_t ifindex, xct_msec now,
		       struct xct_fragment_counts *counts)
{
	const struct xct_cursor c = { .data = packet, .len = len };
	struct datagram *d;
	struct piece piece;

	counts->fragments++;
	if (!read_piece(&c, ifindex, &piece)) {
		counts->unknown++;
		return;
	}
	if (piece.total == HEADER_LEN || !has_headers(&c, &piece))
		return; /* passed on */
	if (piece.end > PACKET_MAX) {
		counts->malformed++;
		return;
	}
	d = find(fragments, &piece.key, now, counts);
	if (!piece.is_last && piece.end % 8) {
		d->began = 0; /* given up, and passed on */
		return;
	}
	if (!fits(d, &piece)) {
		counts->malformed++;
		return;
	}
	switch (add(d, &piece)) {
	case DUPLICATE:
		return;
	case OVERLAP:
		counts->overlapping++;
		d->began = 0;
		return;
	case NO_ROOM:
		counts->unknown++;
		d->began = 0;
		return;
	case ADDED:
		break;
	}
	d->ecn |= piece.ecn;
	if (piece.begin == 0) {
		d->has_first = true;
		d->before = piece.off - HEADER_LEN;
	}
	if (d->has_first && d->has_last && d->have == d->end)
		complete(d, counts);
}
