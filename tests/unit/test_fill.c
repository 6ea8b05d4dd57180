/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the flow table is said to be nearly full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/fill.h"
#include "daemon/log.h"

static void it_is_said_at_90_and_taken_back_below_80_per_cent(void **state)
{
	static const struct {
		uint32_t used;
		bool is_nearly_full;
	} rows[] = {
		{ 0, false },  { 899, false }, { 900, true },  { 1000, true },
		{ 899, true }, { 800, true },  { 799, false }, { 899, false },
		{ 900, true }, { 0, false },
	};
	struct xct_fill fill = { .is_nearly_full = false };

	(void)state;
	xct_log_init(LOG_ERR);
	for (size_t i = 0; i < XCT_ARRAY_SIZE(rows); i++) {
		const struct xct_engine_stats stats = { .used_flows =
								rows[i].used,
							.max_flows = 1000 };

		xct_fill_look(&fill, &stats);
		assert_int_equal(rows[i].is_nearly_full, fill.is_nearly_full);
	}
}

static void what_was_noted_is_said_however_full_it_is_by_then(void **state)
{
	const struct xct_engine_stats full = { .used_flows = 1000,
					       .max_flows = 1000 };
	const struct xct_engine_stats calm = { .used_flows = 700,
					       .max_flows = 1000 };
	struct xct_fill fill = { .is_nearly_full = false };

	(void)state;
	assert_true(xct_fill_note(&fill, 900));
	assert_false(xct_fill_note(&fill, 900)); /* somebody is on the way */
	xct_fill_look(&fill, &full);
	assert_true(fill.is_nearly_full);
	assert_false(xct_fill_note(&fill, 900)); /* it is known */
	xct_fill_look(&fill, &calm);
	assert_false(fill.is_nearly_full);
	assert_true(xct_fill_note(&fill, 900));
	xct_fill_look(&fill, &calm); /* it was so for a moment */
	assert_true(fill.is_nearly_full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			it_is_said_at_90_and_taken_back_below_80_per_cent),
		cmocka_unit_test(
			what_was_noted_is_said_however_full_it_is_by_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
