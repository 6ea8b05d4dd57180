/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012;
 * the 1-3 variant is the one the kernel calls hsiphash on 64 bits). Keyed, so
 * that nobody outside can choose tuples that fall into one place.
 *
 * The message is whole 64-bit words and less than one more, a tail, whose block
 * also holds the message's length in bytes (modulo 256), in its top byte.
 */
#ifndef XCT_COMMON_SIPHASH_H
#define XCT_COMMON_SIPHASH_H

#include "common/types.h"

struct xct_siphash_key {
	uint64_t k[2];
};

static inline uint64_t xct_sip_rotl(uint64_t v, unsigned int n)
{
	return v << n | v >> (64 - n);
}

static inline void xct_sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = xct_sip_rotl(v[1], 13) ^ v[0];
	v[3] = xct_sip_rotl(v[3], 16) ^ v[2];
	v[0] = xct_sip_rotl(v[0], 32);

	v[2] += v[1];
	v[0] += v[3];
	v[1] = xct_sip_rotl(v[1], 17) ^ v[2];
	v[3] = xct_sip_rotl(v[3], 21) ^ v[0];
	v[2] = xct_sip_rotl(v[2], 32);
}

static inline void xct_sip_absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	xct_sip_round(v);
	v[0] ^= word;
}

/* Hash @n 64-bit words and, behind them, the lower @len bytes of @tail, the
 * others of which are 0. Inline and unrolled: where @n is known, no word and
 * nothing of the state need be in memory. */
static inline uint64_t xct_siphash_tail(const struct xct_siphash_key *key,
					const uint64_t *words, size_t n,
					uint64_t tail, size_t len)
{
	/* The initial state is the text "somepseudorandomlygeneratedbytes". */
	uint64_t v[4] = {
		key->k[0] ^ UINT64_C(0x736f6d6570736575),
		key->k[1] ^ UINT64_C(0x646f72616e646f6d),
		key->k[0] ^ UINT64_C(0x6c7967656e657261),
		key->k[1] ^ UINT64_C(0x7465646279746573),
	};
	size_t i;

#pragma GCC unroll 8
	for (i = 0; i < n; i++)
		xct_sip_absorb(v, words[i]);
	xct_sip_absorb(v, (uint64_t)(n * 8 + len) << 56 | tail);

	v[2] ^= 0xff;
#pragma GCC unroll 3
	for (i = 0; i < 3; i++)
		xct_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static inline uint64_t xct_siphash(const struct xct_siphash_key *key,
				   const uint64_t *words, size_t n)
{
	return xct_siphash_tail(key, words, n, 0, 0);
}

#endif
