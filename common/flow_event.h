/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens to flows, as told to those who follow it (xctctl events). Not
 * to be confused with struct xct_event, which is for the log.
 *
 * Both structs travel over the control socket as they are, see flow_info.h.
 */
#ifndef XCT_COMMON_FLOW_EVENT_H
#define XCT_COMMON_FLOW_EVENT_H

#include "common/flow_info.h"

enum xct_flow_event_type {
	XCT_FLOW_NEW,	    /* confirmed: by its first packet, or by hand */
	XCT_FLOW_UPDATE,    /* its state, status or mark is another */
	XCT_FLOW_DESTROY,   /* over, for whatever reason */
	XCT_FLOW_MISSED,    /* .missed events were overwritten unread */
	XCT_EXPECT_NEW,	    /* a connection is expected */
	XCT_EXPECT_DESTROY, /* no more: it has come, or will not */
	XCT_FLOW_EVENTS,
};

/* What has changed, where conntrack's output depends on it. */
enum xct_flow_event_part {
	XCT_FLOW_PART_STATE = 1 << 0,
	XCT_FLOW_PART_MARK = 1 << 1,
	XCT_FLOW_PART_LABELS = 1 << 2,
};

struct xct_flow_event {
	uint64_t seq;	  /* 1 more an event; of MISSED: of the first one */
	uint64_t time_ms; /* since 1970; in the ring: of the engine's clock */
	uint64_t missed;
	uint32_t portid; /* process that did it by hand; 0: nobody did */
	uint8_t type;	 /* enum xct_flow_event_type */
	uint8_t parts;	 /* enum xct_flow_event_part */
	union {
		/* As it is after it, but for labels that are no part of it;
		 * nothing of MISSED. */
		struct xct_flow_info flow;
		struct xct_expect_info expect; /* of EXPECT_* */
	};
};

#define XCT_FLOW_ALL \
	(1u << XCT_FLOW_NEW | 1u << XCT_FLOW_UPDATE | 1u << XCT_FLOW_DESTROY)
#define XCT_EXPECT_EVENTS (1u << XCT_EXPECT_NEW | 1u << XCT_EXPECT_DESTROY)

/* Who wants to know what. MISSED is told in any case. */
struct xct_flow_follow {
	uint32_t types;		       /* 1 << enum xct_flow_event_type */
	struct xct_flow_filter filter; /* of flows */
};

#endif
