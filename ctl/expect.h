/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Expectations: as conntrack prints them, and the commands about them. */
#ifndef XCT_CTL_EXPECT_H
#define XCT_CTL_EXPECT_H

#include "ctl/ctl.h"

#define XCT_EXPECT_MAX_LEN 1024 /* no expectation takes more, in any form */

#define XCT_EXPECT_XML_BEGIN \
	"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<expect>\n"
#define XCT_EXPECT_XML_END "</expect>\n"

/* Write @info at @p, without a NUL; return the end. A line ends with a newline,
 * XML as well; @type: of the event, NULL: none. JSON has no newline. */
char *xct_expect_put_line(char *p, const struct xct_expect_info *info);
char *xct_expect_put_xml(char *p, const struct xct_expect_info *info,
			 const char *type);
char *xct_expect_put_json(char *p, const struct xct_expect_info *info);

enum xct_exit xct_ctl_expect_list(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_expect_get(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_expect_delete(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_expect_flush(const struct xct_ctl *ctl);
enum xct_exit xct_ctl_expect_count(const struct xct_ctl *ctl);

#endif
