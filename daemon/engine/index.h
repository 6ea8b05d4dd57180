/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An index: from hashes to references, in memory of the caller's.
 *
 * Theory of operation: open addressing with linear probing. An entry's home is
 * a cache line, the one that its hash scaled to the index's size says, so homes
 * are in the order of hashes; and entries are kept in that order, the newest of
 * equal ones first. Between a home and what belongs there no slot is empty. So
 * a search counts the lower hashes of its line, without a branch that depends
 * on them, and seldom goes on to the next line; only for an equal hash a record
 * need be looked at. What a removal leaves is closed by what follows: there are
 * no tombstones.
 *
 * Behind the last home there is room for what is pushed beyond it. Hashes are
 * keyed: with five entries to six homes, more than XCT_INDEX_TAIL entries would
 * pile up there by a chance of 1e-48.
 */
#ifndef XCT_ENGINE_INDEX_H
#define XCT_ENGINE_INDEX_H

#include <assert.h>
#include <string.h>

#include "common/types.h"

#define XCT_INDEX_LINE 8	  /* slots of a cache line */
#define XCT_INDEX_TAIL 256	  /* in whole lines */
#define XCT_INDEX_NONE UINT32_MAX /* no reference */

struct xct_index_slot {
	uint32_t hash; /* UINT32_MAX where the slot is empty */
	uint32_t ref;  /* XCT_INDEX_NONE where it is */
};

struct xct_index {
	struct xct_index_slot *slots; /* xct_index_slots() of them, behind a
					 line that is always empty */
	uint32_t homes;		      /* lines */
};

/* Homes for @n entries; slots with those behind, the last line of which stays
 * empty; and what they take. */
static inline uint32_t xct_index_homes(uint32_t n)
{
	return (n + n / 5 + XCT_INDEX_LINE - 1) / XCT_INDEX_LINE;
}

static inline size_t xct_index_slots(uint32_t n)
{
	return ((size_t)xct_index_homes(n) + 1) * XCT_INDEX_LINE +
	       XCT_INDEX_TAIL;
}

static inline size_t xct_index_bytes(uint32_t n)
{
	return (XCT_INDEX_LINE + xct_index_slots(n)) *
	       sizeof(struct xct_index_slot);
}

/* Start an empty index for at most @n entries in @memory, which is aligned to a
 * cache line. */
static inline void xct_index_init(struct xct_index *index, void *memory,
				  uint32_t n)
{
	index->slots = (struct xct_index_slot *)memory + XCT_INDEX_LINE;
	index->homes = xct_index_homes(n);
	memset(memory, 0xff, xct_index_bytes(n));
}

static inline struct xct_index_slot *
xct_index_home(const struct xct_index *index, uint32_t hash)
{
	return &index->slots[((uint64_t)hash * index->homes >> 32) *
			     XCT_INDEX_LINE];
}

/* The first slot that may hold @hash: if any does, this one and perhaps those
 * after it do. Else its hash is another, or its reference is NONE. */
static inline struct xct_index_slot *
xct_index_find(const struct xct_index *index, uint32_t hash)
{
	struct xct_index_slot *slot = xct_index_home(index, hash);
	unsigned int n_lower;

	do {
		n_lower = 0;
#pragma GCC unroll 8
		for (int i = 0; i < XCT_INDEX_LINE; i++)
			n_lower += slot[i].hash < hash;
		slot += n_lower;
	} while (n_lower == XCT_INDEX_LINE);
	return slot;
}

/* Is @slot, after entries have come and gone, the first of @hash? */
static inline bool xct_index_is_first(const struct xct_index_slot *slot,
				      uint32_t hash)
{
	return slot->hash == hash && slot->ref != XCT_INDEX_NONE &&
	       slot[-1].hash != hash;
}

/* Go through the references of @hash; @slot is a struct xct_index_slot *. */
#define xct_index_for_each(index, slot, h)          \
	for ((slot) = xct_index_find((index), (h)); \
	     (slot)->hash == (h) && (slot)->ref != XCT_INDEX_NONE; (slot)++)

static inline void xct_index_add(struct xct_index *index, uint32_t hash,
				 uint32_t ref)
{
	struct xct_index_slot *at = xct_index_find(index, hash), *end = at;

	while (end->ref != XCT_INDEX_NONE)
		end++;
	/* What stays empty ends every search. */
	assert(end < index->slots + (size_t)index->homes * XCT_INDEX_LINE +
			     XCT_INDEX_TAIL);
	memmove(at + 1, at, (size_t)(end - at) * sizeof(*at));
	*at = (struct xct_index_slot){ hash, ref };
}

/* @ref is there under @hash. */
static inline void xct_index_remove(struct xct_index *index, uint32_t hash,
				    uint32_t ref)
{
	struct xct_index_slot *at = xct_index_find(index, hash), *end;

	for (; at->ref != ref; at++)
		assert(at->hash == hash && at->ref != XCT_INDEX_NONE);
	/* What follows moves up, until one that is at home already. */
	end = at + 1;
	while (end->ref != XCT_INDEX_NONE &&
	       xct_index_home(index, end->hash) < end)
		end++;
	memmove(at, at + 1, (size_t)(end - at - 1) * sizeof(*at));
	memset(end - 1, 0xff, sizeof(*end));
}

#endif
