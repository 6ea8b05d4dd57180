/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A dictionary: open addressing, at most half full, FNV-1a as the hash. Keys
 * come from a file that only the administrator can write, so the hash needs no
 * secret.
 */
#include <errno.h>
#include <string.h>

#include "daemon/dict.h"

#define FIRST_SIZE 64u

struct xct_dict_entry {
	const void *key;
	size_t len;
	uint64_t hash;
	void *value; /* NULL: the entry is free */
};

static uint64_t hash_bytes(const void *key, size_t len)
{
	const uint8_t *bytes = key;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 32;
}

/* The entry that holds the key, or the free one where it would go. */
static struct xct_dict_entry *find(const struct xct_dict *dict, const void *key,
				   size_t len, uint64_t hash)
{
	uint32_t mask = dict->size - 1;

	for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
		struct xct_dict_entry *entry = &dict->entries[i];

		if (!entry->value)
			return entry;
		if (entry->hash == hash && entry->len == len &&
		    memcmp(entry->key, key, len) == 0)
			return entry;
	}
}

void *xct_dict_get(const struct xct_dict *dict, const void *key, size_t len)
{
	if (dict->n == 0)
		return NULL;
	return find(dict, key, len, hash_bytes(key, len))->value;
}

static int grow(struct xct_dict *dict)
{
	struct xct_dict bigger = *dict;

	bigger.size = dict->size ? dict->size * 2 : FIRST_SIZE;
	bigger.entries = xct_arena_array(dict->arena, bigger.size,
					 sizeof(*bigger.entries));
	if (!bigger.entries)
		return -ENOMEM;

	for (uint32_t i = 0; i < dict->size; i++) {
		const struct xct_dict_entry *old = &dict->entries[i];

		if (old->value)
			*find(&bigger, old->key, old->len, old->hash) = *old;
	}
	*dict = bigger;
	return 0;
}

int xct_dict_add(struct xct_dict *dict, const void *key, size_t len,
		 void *value)
{
	uint64_t hash = hash_bytes(key, len);
	struct xct_dict_entry *entry;

	if (dict->n >= dict->size / 2 && grow(dict) < 0)
		return -ENOMEM;

	entry = find(dict, key, len, hash);
	entry->key = key;
	entry->len = len;
	entry->hash = hash;
	entry->value = value;
	dict->n++;
	return 0;
}
