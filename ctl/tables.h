/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conntrack's other tables. Two of them are always empty here: a flow that ends
 * is gone at once, and one that is not confirmed yet is shown to nobody. The
 * current kernel's are empty as well.
 */
#ifndef XCT_CTL_TABLES_H
#define XCT_CTL_TABLES_H

#include "ctl/ctl.h"

enum xct_ctl_table {
	XCT_TABLE_CONNTRACK,
	XCT_TABLE_EXPECT,
	XCT_TABLE_DYING,
	XCT_TABLE_UNCONFIRMED,
	XCT_TABLES,
};

/* The table that @word is the beginning of; XCT_TABLES: of none. */
enum xct_ctl_table xct_table_find(const char *word);

/* What conntrack's @command is when it is about @table, until the next call.
 * NULL: it cannot be; that has been said. */
const struct xct_command *xct_table_command(enum xct_ctl_table table,
					    const struct xct_command *command);

#endif
