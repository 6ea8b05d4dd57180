/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012;
 * the 1-3 variant is the one the kernel calls hsiphash on 64 bits). Keyed, so
 * that nobody outside can choose tuples that fall into one bucket.
 */
#ifndef XCT_COMMON_SIPHASH_H
#define XCT_COMMON_SIPHASH_H

#include "common/types.h"

struct xct_siphash_key {
	uint64_t k[2];
};

/* Hash @n 64-bit words. */
uint64_t xct_siphash(const struct xct_siphash_key *key, const uint64_t *words,
		     size_t n);

#endif
