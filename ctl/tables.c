/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about conntrack's other tables: expectations, and two that are always
 * empty. */
#include "ctl/tables.h"

#include <stdio.h>
#include <string.h>

#include "ctl/expect.h"

static const char *const table_names[XCT_TABLES] = {
	[XCT_TABLE_CONNTRACK] = "conntrack",
	[XCT_TABLE_EXPECT] = "expect",
	[XCT_TABLE_DYING] = "dying",
	[XCT_TABLE_UNCONFIRMED] = "unconfirmed",
};

enum xct_ctl_table xct_table_find(const char *word)
{
	unsigned int table;

	for (table = 0; table < XCT_TABLES; table++)
		if (strncmp(table_names[table], word, strlen(word)) == 0)
			break;
	return table;
}

static enum xct_exit list_flows(const struct xct_ctl *ctl)
{
	(void)ctl;
	xct_ctl_say("0 flow entries have been shown.");
	return XCT_EXIT_OK;
}

#define OPTIONS_EXPECTATION                                         \
	(XCT_OPTION_BIT(ORIG_SRC) | XCT_OPTION_BIT(ORIG_DST) |      \
	 XCT_OPTION_BIT(REPLY_SRC) | XCT_OPTION_BIT(REPLY_DST) |    \
	 XCT_OPTION_BIT(PROTO) | XCT_OPTION_BIT(ORIG_SPORT) |       \
	 XCT_OPTION_BIT(ORIG_DPORT) | XCT_OPTION_BIT(REPLY_SPORT) | \
	 XCT_OPTION_BIT(REPLY_DPORT))
#define OUTPUTS_EXPECTATION                                       \
	(XCT_OUTPUT_EXTENDED | XCT_OUTPUT_ID | XCT_OUTPUT_XML |   \
	 XCT_OUTPUT_SAVE | XCT_OUTPUT_LABELS | XCT_OUTPUT_OTHER | \
	 XCT_OUTPUT_JSON | XCT_OUTPUT_NDJSON)

/* clang-format off */
static const struct xct_command expect_commands[] = {
	{ .letter = 'L', .run = xct_ctl_expect_list,
	  .rules = { XCT_OPTION_BIT(OUTPUT) | XCT_OPTION_BIT(FAMILY),
		     OUTPUTS_EXPECTATION, XCT_QUERY_FILTER } },
	{ .letter = 'G', .run = xct_ctl_expect_get,
	  .rules = { OPTIONS_EXPECTATION, 0, XCT_QUERY_GET } },
	{ .letter = 'D', .run = xct_ctl_expect_delete,
	  .rules = { OPTIONS_EXPECTATION, 0, XCT_QUERY_GET } },
	{ .letter = 'E', .run = xct_ctl_expect_events,
	  .rules = { XCT_OPTION_BIT(OUTPUT) | XCT_OPTION_BIT(BUFFER_SIZE),
		     OUTPUTS_EXPECTATION | XCT_OUTPUT_TIMESTAMP |
		     XCT_OUTPUT_SEQ, XCT_QUERY_FILTER } },
	{ .letter = 'F', .run = xct_ctl_expect_flush },
	{ .letter = 'C', .run = xct_ctl_expect_count },
	{ .letter = 'S', .run = xct_ctl_expect_stats },
};
/* clang-format on */

static const struct xct_command *
find_expect_command(const struct xct_command *command)
{
	for (size_t i = 0; i < XCT_ARRAY_SIZE(expect_commands); i++)
		if (expect_commands[i].letter == command->letter)
			return &expect_commands[i];
	xct_ctl_say("Can't do --%s on expectations", command->old_name);
	return NULL;
}

const struct xct_command *xct_table_command(enum xct_ctl_table table,
					    const struct xct_command *command)
{
	static struct xct_command list;

	if (table == XCT_TABLE_CONNTRACK || command->letter == 'V')
		return command;
	if (table == XCT_TABLE_EXPECT)
		return find_expect_command(command);
	if (command->letter != 'L') {
		xct_ctl_say("Can't do that command with tables `dying' and "
			    "`unconfirmed'");
		return NULL;
	}
	list = *command;
	list.run = list_flows;
	return &list;
}
