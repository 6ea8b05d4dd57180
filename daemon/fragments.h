/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of IPv6 fragments that the kernel puts together before conntrack
 * would see them: it says nothing of those that it refuses, so they are told
 * apart by its own rules.
 */
#ifndef XCT_DAEMON_FRAGMENTS_H
#define XCT_DAEMON_FRAGMENTS_H

#include "common/siphash.h"

struct xct_fragment_counts {
	uint64_t fragments;   /* that came */
	uint64_t whole;	      /* packets put together */
	uint64_t overlapping; /* packets given up: fragments overlap */
	/* Fragments refused: empty, beyond the end of their packet or of 64
	 * KiB; and packets whose congestion marks do not fit each other. */
	uint64_t malformed;
	uint64_t unknown; /* fragments not seen, packets not followed */
};

struct xct_fragments;

/* With memory for a fixed number of packets. NULL: there is none. */
struct xct_fragments *xct_fragments_new(const struct xct_siphash_key *key);
void xct_fragments_free(struct xct_fragments *fragments);

/* A fragment has come in by @ifindex: @len bytes of it, from the IPv6 header
 * on. What the kernel passes on as it is, since its length is no multiple of 8
 * or the first fragment lacks a header, is an INVALID packet and counted so. */
void xct_fragments_put(struct xct_fragments *fragments, uint8_t *packet,
		       uint32_t len, uint32_t ifindex, xct_msec now,
		       struct xct_fragment_counts *counts);

#endif
