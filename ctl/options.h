/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside filter.c's job: reading options one by one (options.c); those whose
 * value is a list of words are in words.c.
 */
#ifndef XCT_CTL_OPTIONS_H
#define XCT_CTL_OPTIONS_H

#include "ctl/filter.h"

/* The kernel's, which no flow here ever has. */
#define XCT_STATUS_OFFLOAD    (1 << 14)
#define XCT_STATUS_HW_OFFLOAD (1 << 15)

/* Protocols that an option is for. */
enum xct_proto_class {
	XCT_ANY_PROTO,
	XCT_PORT_PROTOS,
	XCT_STATE_PROTOS,
	XCT_ICMP_ONLY,
	XCT_ICMPV6_ONLY,
	XCT_GRE_ONLY,
	XCT_SCTP_ONLY,
	XCT_DCCP_ONLY,
};

struct xct_option_row {
	const char *name; /* as messages call it */
	bool (*parse)(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg);
	size_t offset;	/* in struct xct_query, of what @parse sets */
	uint32_t field; /* enum xct_filter_field */
	enum xct_proto_class protos;
};

extern const struct xct_option_row xct_option_rows[XCT_OPTIONS];

/* Where @row stores its value; it takes part from now on. */
void *xct_option_field(struct xct_query *query,
		       const struct xct_option_row *row);

/* Say in query->error what is wrong. Returns false, for the caller to pass on.
 */
bool xct_query_fail(struct xct_query *query, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Read the options in @argv. Words that are none are moved behind them: the
 * index of the first is returned. -EINVAL: query->error says why. */
int xct_options_read(struct xct_query *query, int argc, char **argv);

#endif
