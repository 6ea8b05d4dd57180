/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command-line options, as conntrack(8) spells them, to a filter and an output
 * format. What differs from conntrack is written in xctctl(8), COMPATIBILITY.
 */
#ifndef XCT_CTL_FILTER_H
#define XCT_CTL_FILTER_H

#include "common/flow_event.h"

enum xct_option {
	/* in the order of the letters in options.c */
	XCT_OPTION_ORIG_SRC,
	XCT_OPTION_ORIG_DST,
	XCT_OPTION_REPLY_SRC,
	XCT_OPTION_REPLY_DST,
	XCT_OPTION_PROTO,
	XCT_OPTION_FAMILY,
	XCT_OPTION_STATUS,
	XCT_OPTION_MARK,
	XCT_OPTION_SRC_NAT,
	XCT_OPTION_DST_NAT,
	XCT_OPTION_ANY_NAT,
	XCT_OPTION_OUTPUT,
	XCT_OPTION_ZONE,
	XCT_OPTION_ID,
	XCT_OPTION_TIMEOUT,
	XCT_OPTION_LABEL,
	XCT_OPTION_SECMARK,
	XCT_OPTION_ZERO,
	XCT_OPTION_EVENT_MASK,
	XCT_OPTION_BUFFER_SIZE,
	/* these have no letter */
	XCT_OPTION_MASK_SRC,
	XCT_OPTION_MASK_DST,
	XCT_OPTION_ORIG_SPORT,
	XCT_OPTION_ORIG_DPORT,
	XCT_OPTION_REPLY_SPORT,
	XCT_OPTION_REPLY_DPORT,
	XCT_OPTION_STATE,
	XCT_OPTION_ICMP_TYPE,
	XCT_OPTION_ICMP_CODE,
	XCT_OPTION_ICMP_ID,
	XCT_OPTION_ICMPV6_TYPE,
	XCT_OPTION_ICMPV6_CODE,
	XCT_OPTION_ICMPV6_ID,
	XCT_OPTION_SRCKEY,
	XCT_OPTION_DSTKEY,
	XCT_OPTION_REPLY_SRCKEY,
	XCT_OPTION_REPLY_DSTKEY,
	XCT_OPTION_ORIG_VTAG,
	XCT_OPTION_REPLY_VTAG,
	XCT_OPTION_ORIG_ZONE,
	XCT_OPTION_REPLY_ZONE,
	XCT_OPTION_LABEL_ADD,
	XCT_OPTION_LABEL_DEL,
	XCT_OPTION_ROLE,
	XCT_OPTION_TUPLE_SRC,
	XCT_OPTION_TUPLE_DST,
	XCT_OPTIONS,
};

#define XCT_OPTION_BIT(name) (UINT64_C(1) << XCT_OPTION_##name)
#define XCT_OPTION_BITS_ALL  ((UINT64_C(1) << XCT_OPTIONS) - 1)

/* Output formats; none of them is plain text. */
enum xct_output {
	XCT_OUTPUT_EXTENDED = 1 << 0, /* a line starts with its family */
	XCT_OUTPUT_ID = 1 << 1,	      /* a line ends with the flow's id */
	XCT_OUTPUT_JSON = 1 << 2,
	XCT_OUTPUT_NDJSON = 1 << 3, /* one JSON object a line */
	XCT_OUTPUT_XML = 1 << 4,
	XCT_OUTPUT_SAVE = 1 << 5,	/* what -R loads again */
	XCT_OUTPUT_KTIMESTAMP = 1 << 6, /* when the flow began */
	XCT_OUTPUT_OTHER = 1 << 7,	/* adds nothing to a line */
	XCT_OUTPUT_TIMESTAMP = 1 << 8,	/* when an event came */
	XCT_OUTPUT_SEQ = 1 << 9,	/* the number of an event */
	XCT_OUTPUT_LABELS = 1 << 10,
};

/* What a command makes of its options. */
enum xct_query_kind {
	XCT_QUERY_FILTER,
	XCT_QUERY_GET,	  /* one flow: a whole original tuple is needed */
	XCT_QUERY_CREATE, /* query.create is filled in */
	XCT_QUERY_UPDATE, /* query.change is, and is no part of the filter */
};

/* What a command's options may be. */
struct xct_query_rules {
	uint64_t options; /* XCT_OPTION_BIT()s that are legal */
	uint16_t outputs; /* enum xct_output that are legal */
	enum xct_query_kind kind;
};

struct xct_query {
	struct xct_flow_filter filter;
	struct xct_addr_range mask_src; /* .first: the mask given */
	struct xct_addr_range mask_dst;
	struct xct_flow_change change;
	struct xct_flow_create create;
	const char *state;     /* borrowed from the command line */
	uint64_t options;      /* XCT_OPTION_BIT()s that were given */
	uint64_t beyond;       /* .. with labels that no flow can have */
	bool is_reply_partial; /* create: the kernel would not take it */
	uint16_t outputs;      /* enum xct_output */
	uint32_t events;       /* 1 << enum xct_flow_event_type; 0: all */
	uint32_t buffer;       /* -b, which there is nothing to set with */
	char error[192];       /* why parsing failed, without a newline */
};

/* A word of an option's value, and the bits that it stands for. */
struct xct_word {
	const char *name;
	uint32_t bits;
};

/* Names of enum xct_flow_status. */
#define XCT_STATUS_NAMES 10
extern const struct xct_word xct_status_names[XCT_STATUS_NAMES];

/*
 * Parse the options in @argv (argv[0] is skipped) into @query. Words that are
 * no options are left at the end of @argv; returns the index of the first one,
 * or, with query->error set, -EINVAL (wrong usage) or -EOPNOTSUPP (right usage,
 * but it cannot be done). Uses getopt: not reentrant.
 */
int xct_query_parse(struct xct_query *query,
		    const struct xct_query_rules *rules, int argc, char **argv);

#endif
