/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An arena: a list of blocks. Objects are cut from the front of the newest
 * block; large ones get a block of their own, put behind it.
 */
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/arena.h"

#define BLOCK_SIZE (64u * 1024)
#define LARGE_SIZE (BLOCK_SIZE / 4)

struct block {
	struct block *next;
	size_t len;
	size_t size;
	alignas(max_align_t) char data[];
};

struct xct_arena {
	struct block *first; /* the only one that is cut from */
};

static struct block *block_new(size_t size)
{
	struct block *block;

	if (size > SIZE_MAX - sizeof(*block))
		return NULL;

	block = calloc(1, sizeof(*block) + size);
	if (block)
		block->size = size;
	return block;
}

struct xct_arena *xct_arena_new(void)
{
	struct xct_arena *arena = calloc(1, sizeof(*arena));

	if (!arena)
		return NULL;

	arena->first = block_new(BLOCK_SIZE);
	if (!arena->first) {
		free(arena);
		return NULL;
	}
	return arena;
}

void xct_arena_free(struct xct_arena *arena)
{
	struct block *next;

	if (!arena)
		return;

	for (struct block *block = arena->first; block; block = next) {
		next = block->next;
		free(block);
	}
	free(arena);
}

static void *alloc_large(struct xct_arena *arena, size_t size)
{
	struct block *block = block_new(size);

	if (!block)
		return NULL;

	block->next = arena->first->next;
	arena->first->next = block;
	block->len = size;
	return block->data;
}

static void *alloc_aligned(struct xct_arena *arena, size_t size, size_t align)
{
	struct block *block = arena->first;
	size_t start = (block->len + align - 1) & ~(align - 1);

	if (size > LARGE_SIZE)
		return alloc_large(arena, size);

	if (start > block->size || size > block->size - start) {
		block = block_new(BLOCK_SIZE);
		if (!block)
			return NULL;
		block->next = arena->first;
		arena->first = block;
		start = 0;
	}
	block->len = start + size;
	return block->data + start;
}

void *xct_arena_alloc(struct xct_arena *arena, size_t size)
{
	return alloc_aligned(arena, size, alignof(max_align_t));
}

void *xct_arena_array(struct xct_arena *arena, size_t n, size_t size)
{
	if (n > SIZE_MAX / size)
		return NULL;
	return xct_arena_alloc(arena, (n ? n : 1) * size);
}

char *xct_arena_text(struct xct_arena *arena, const char *text, size_t len)
{
	char *copy = alloc_aligned(arena, len + 1, 1);

	if (copy)
		memcpy(copy, text, len);
	return copy;
}
