/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A flow as one line, byte for byte as conntrack -L prints it: plain, as a
 * command that makes it again, or as XML. */
#ifndef XCT_CTL_LINE_H
#define XCT_CTL_LINE_H

#include "common/flow_info.h"

#define XCT_LINE_MAX 2048 /* no line is longer, newline included */

/* What a line's l4 part shows of a tuple. */
enum xct_l4_shape {
	XCT_L4_PORTS,
	XCT_L4_ICMP,
	XCT_L4_GRE,
	XCT_L4_NONE,
};

enum xct_l4_shape xct_l4_shape(uint8_t proto);

/* The protocol's name, or "unknown". */
const char *xct_line_proto(uint8_t proto);

/* The word for the flow's state; NULL: its protocol has none. */
const char *xct_line_state(const struct xct_flow_info *info);

/* Write @info at @p, with a newline, without a NUL; returns the end. @outputs:
 * of enum xct_output, EXTENDED, ID and KTIMESTAMP. */
char *xct_line_put(char *p, const struct xct_flow_info *info, uint8_t outputs);

/* The same for -o save, as conntrack's @command (a letter), and -o xml. */
char *xct_save_put(char *p, const struct xct_flow_info *info, char command);
char *xct_xml_put(char *p, const struct xct_flow_info *info);

/* Seconds that the wall clock has counted since the flow began. */
uint64_t xct_line_age(const struct xct_flow_info *info);

#endif
