/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An arena: many allocations of one lifetime, freed together. Everything comes
 * zeroed.
 */
#ifndef XCT_DAEMON_ARENA_H
#define XCT_DAEMON_ARENA_H

#include <stddef.h>

struct xct_arena; /* opaque */

struct xct_arena *xct_arena_new(void);	      /* NULL: no memory */
void xct_arena_free(struct xct_arena *arena); /* NULL accepted */

/* Aligned for any type. NULL: no memory. */
void *xct_arena_alloc(struct xct_arena *arena, size_t size);

/* @n elements of @size bytes, at least one. NULL: no memory, or too many. */
void *xct_arena_array(struct xct_arena *arena, size_t n, size_t size);

/* A copy of @len bytes of @text, NUL terminated. NULL: no memory. */
char *xct_arena_text(struct xct_arena *arena, const char *text, size_t len);

#endif
