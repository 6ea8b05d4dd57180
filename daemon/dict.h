/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A dictionary from bytes to pointers; entries are never removed. */
#ifndef XCT_DAEMON_DICT_H
#define XCT_DAEMON_DICT_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/arena.h"

struct xct_dict {
	struct xct_arena *arena; /* its memory; borrowed, set by the owner */
	struct xct_dict_entry *entries;
	uint32_t n;
	uint32_t size; /* 0 or a power of two */
};

/* NULL if there is none. */
void *xct_dict_get(const struct xct_dict *dict, const void *key, size_t len);

/* Add @value (not NULL) under a key that is not there yet; the key's bytes are
 * borrowed for the life of the dictionary. 0 or -ENOMEM. */
int xct_dict_add(struct xct_dict *dict, const void *key, size_t len,
		 void *value);

#endif
