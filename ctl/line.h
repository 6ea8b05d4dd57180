/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A flow as one line, byte for byte as conntrack -L prints it: plain, as a
 * command that makes it again, or as XML. */
#ifndef XCT_CTL_LINE_H
#define XCT_CTL_LINE_H

#include "common/flow_info.h"

#define XCT_LINE_MAX 2048 /* no line is longer, but for labels; with newline */

/* The protocol's name, or "unknown". */
const char *xct_line_proto(uint8_t proto);

/* The word for the flow's state; NULL: its protocol has none. */
const char *xct_line_state(const struct xct_flow_info *info);

/* What a line says besides the tuples: an entry of the table has it all, an
 * event what conntrack is told by the kernel. */
enum xct_line_part {
	XCT_LINE_TIMEOUT = 1 << 0,
	XCT_LINE_STATE = 1 << 1,
	XCT_LINE_COUNTERS = 1 << 2, /* if they are kept */
	XCT_LINE_MARK = 1 << 3,
	XCT_LINE_AGE = 1 << 4,	/* if it is kept */
	XCT_LINE_STOP = 1 << 5, /* when it ended, with AGE and KTIMESTAMP */
	XCT_LINE_USE = 1 << 6,
	XCT_LINE_HELPER = 1 << 7,
};

#define XCT_LINE_ENTRY (0xffu & ~(unsigned int)XCT_LINE_STOP)

/* Write @info at @p, with a newline, without a NUL; returns the end. @outputs:
 * of enum xct_output, EXTENDED, ID and KTIMESTAMP. @names: of the labels, NULL
 * if they are not shown; they take xct_ctl_labels_room() more. */
char *xct_line_put(char *p, const struct xct_flow_info *info, uint16_t outputs,
		   unsigned int parts, const struct xct_label_names *names);

/* The same for -o save, where @command is the letter of the command. */
char *xct_save_put(char *p, const struct xct_flow_info *info, char command,
		   unsigned int parts);

/* The same for -o xml: a document's begin and end, and a flow, to which an
 * event gives its @type and, if it is to be told, the time. */
#define XCT_XML_BEGIN \
	"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<conntrack>\n"
#define XCT_XML_END "</conntrack>\n"
char *xct_xml_put(char *p, const struct xct_flow_info *info, const char *type,
		  const uint64_t *when_ms, unsigned int parts,
		  const struct xct_label_names *names);

/* Seconds that the wall clock has counted since the flow began. */
uint64_t xct_line_age(const struct xct_flow_info *info);

#endif
