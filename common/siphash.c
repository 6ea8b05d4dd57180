/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash-1-3: one round for each word of the message, three to finish.
 *
 * The message is always whole 64-bit words, so the last block holds nothing
 * but the message's length in bytes (modulo 256) in its top byte.
 */
#include "common/siphash.h"

static inline uint64_t rotl(uint64_t v, unsigned int n)
{
	return v << n | v >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);

	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

static inline void absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

uint64_t xct_siphash(const struct xct_siphash_key *key, const uint64_t *words,
		     size_t n)
{
	/* The initial state is the text "somepseudorandomlygeneratedbytes". */
	uint64_t v[4] = {
		key->k[0] ^ UINT64_C(0x736f6d6570736575),
		key->k[1] ^ UINT64_C(0x646f72616e646f6d),
		key->k[0] ^ UINT64_C(0x6c7967656e657261),
		key->k[1] ^ UINT64_C(0x7465646279746573),
	};
	size_t i;

	for (i = 0; i < n; i++)
		absorb(v, words[i]);
	absorb(v, (uint64_t)n * 8 << 56);

	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
