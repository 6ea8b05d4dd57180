/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The index of the flow table, beside a plain list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/engine/index.h"

#define ROOM 240

/* Newest first. */
struct list {
	struct xct_index_slot entries[ROOM];
	uint32_t n;
};

static void list_add(struct list *list, uint32_t hash, uint32_t ref)
{
	memmove(&list->entries[1], &list->entries[0],
		list->n * sizeof(list->entries[0]));
	list->entries[0] = (struct xct_index_slot){ hash, ref };
	list->n++;
}

static void list_remove(struct list *list, uint32_t i)
{
	list->n--;
	memmove(&list->entries[i], &list->entries[i + 1],
		(list->n - i) * sizeof(list->entries[0]));
}

/* The references of @hash are those of the list, in its order. */
static void assert_same(const struct xct_index *index, const struct list *list,
			uint32_t hash)
{
	const struct xct_index_slot *slot;
	uint32_t i = 0;

	xct_index_for_each(index, slot, hash) {
		while (i < list->n && list->entries[i].hash != hash)
			i++;
		assert_true(i < list->n);
		assert_int_equal(list->entries[i].ref, slot->ref);
		i++;
	}
	for (; i < list->n; i++)
		assert_int_not_equal(hash, list->entries[i].hash);
}

/* Hashes below @range, from @base on: they fill it evenly, or pile up. */
static void drive(uint32_t base, uint32_t range)
{
	struct list list = { .n = 0 };
	struct xct_index index;
	void *memory = aligned_alloc(64, xct_index_bytes(ROOM));
	const struct xct_index_slot *seen = NULL;
	uint32_t next_ref = 0, seen_hash = 0;

	assert_non_null(memory);
	srand(1);
	xct_index_init(&index, memory, ROOM);
	for (int step = 0; step < 20000; step++) {
		uint32_t hash =
			base +
			((uint32_t)rand() << 8 ^ (uint32_t)rand()) % range;
		bool grows = step / 1000 % 2 == 0;

		if (list.n < ROOM && (rand() % 4 == 0) != grows) {
			xct_index_add(&index, hash, next_ref);
			list_add(&list, hash, next_ref++);
		} else if (list.n) {
			uint32_t i = (uint32_t)rand() % list.n;

			hash = list.entries[i].hash;
			xct_index_remove(&index, hash, list.entries[i].ref);
			list_remove(&list, i);
		}
		assert_same(&index, &list, hash);
		/* Where one was seen it may be still, or nothing is said. */
		if (seen && xct_index_is_first(seen, seen_hash))
			assert_ptr_equal(seen,
					 xct_index_find(&index, seen_hash));
		if (step % 3 == 0) {
			seen = xct_index_find(&index, hash);
			seen_hash = hash;
		}
		if (step % 100 == 0)
			for (uint32_t i = 0; i < list.n; i++)
				assert_same(&index, &list,
					    list.entries[i].hash);
	}
	while (list.n) {
		list.n--;
		xct_index_remove(&index, list.entries[list.n].hash,
				 list.entries[list.n].ref);
	}
	for (uint32_t i = 0; i < xct_index_slots(ROOM); i++)
		assert_int_equal(XCT_INDEX_NONE, index.slots[i].ref);
	free(memory);
}

static void an_index_holds_what_a_list_does(void **state)
{
	(void)state;
	drive(0, UINT32_MAX);		       /* everywhere */
	drive(0, 3);			       /* nearly all equal */
	drive(UINT32_MAX / 2, 40000000);       /* in a few places */
	drive(UINT32_MAX - 2, 3);	       /* behind the last home */
	drive(UINT32_MAX - 9999999, 10000000); /* about there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_index_holds_what_a_list_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
