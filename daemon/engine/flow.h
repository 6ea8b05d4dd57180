/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record of one connection. Records are the only thing that outlives the
 * process, so there are no pointers in them: flows refer to each other by
 * index. A change of this layout changes XCT_REGION_VERSION, and the old one
 * goes to migrate.c.
 *
 * Times are milliseconds of the clock that the caller of the engine passes in.
 */
#ifndef XCT_ENGINE_FLOW_H
#define XCT_ENGINE_FLOW_H

#include "common/flow_info.h"
#include "common/names.h"

#define XCT_REGION_VERSION 6

#define XCT_FLOW_NONE UINT32_MAX /* no flow: end of a list */

/* The chains that a translated flow is in (table.h). */
enum xct_chained {
	XCT_CHAINED_ROUTED, /* by its tuple between the two hooks of a packet
			       that needs both: destination translated,
			       source not yet */
	XCT_CHAINED_SOURCE, /* by source address, port and protocol as sent:
			       which flows of this socket are translated */
	XCT_CHAINED,
};

/* One end of a TCP connection: the limits of valid sequence numbers. See the
 * theory of operation in l4/tcp.c. Packed: with the padding of two of them a
 * record would be 8 bytes longer. */
struct __attribute__((packed, aligned(2))) xct_tcp_end {
	uint32_t end;	 /* highest seq + len sent */
	uint32_t maxend; /* highest seq + len the peer's window allows */
	uint32_t maxwin; /* largest window seen, scaled */
	uint32_t maxack; /* highest ACK sent */
	uint8_t scale;
	uint8_t flags; /* enum xct_tcp_end_flags */
};

struct xct_tcp_track {
	struct xct_tcp_end seen[XCT_DIRS];
	uint32_t last_seq;
	uint32_t last_ack;
	uint32_t last_end;
	uint16_t last_win; /* unscaled */
	uint8_t last_dir;
	uint8_t last_index; /* kind of the last segment */
	uint8_t last_wscale;
	uint8_t last_flags;
	uint8_t retrans; /* segments seen again without an answer */
	uint8_t state;	 /* enum xct_tcp_state */
};

struct xct_udp_track {
	xct_msec stream_at; /* traffic both ways after this is a stream */
};

/* See the theory of operation in l4/sctp.c. */
struct xct_sctp_track {
	uint32_t vtag[XCT_DIRS]; /* of packets in this direction; 0: unknown */
	bool init[XCT_DIRS];	 /* an INIT of this direction is outstanding */
	uint8_t last_dir;
	uint8_t flags;
	uint8_t state; /* enum xct_sctp_state */
};

union xct_track {
	struct xct_tcp_track tcp;
	struct xct_udp_track udp;
	struct xct_sctp_track sctp;
};

/* Of a flow's status, and nobody's business but the engine's: a packet has
 * changed what is told of the flow, but has not gone on yet; the hooks queue
 * packets of direction @dir before routing, so that they are tracked there; the
 * flow has labels, or a helper, which stand behind the records (table.h); it was
 * expected, and the source that its master has chosen for it stands in its reply
 * tuple. */
#define XCT_STATUS_NEWS		  (UINT32_C(1) << 30)
#define XCT_STATUS_NEWS_STATE	  (UINT32_C(1) << 31) /* .. its state */
#define XCT_STATUS_MET_EARLY(dir) (UINT32_C(1) << (28 + (dir)))
#define XCT_STATUS_LABELS	  (UINT32_C(1) << 27)
#define XCT_STATUS_HELPED	  (UINT32_C(1) << 26)
#define XCT_STATUS_FOLLOWS	  (UINT32_C(1) << 25)
#define XCT_STATUS_PRIVATE	  (UINT32_C(127) << 25)

/* A direction of a connection, and what has gone that way. */
struct xct_flow_side {
	struct xct_tuple tuple;
	uint64_t packets;
	uint64_t bytes;
};

/*
 * Three cache lines, of which a hit needs the first and that of its direction;
 * a translated packet both directions' (the tuples are each other's target),
 * TCP the end of its track. What a hit does not need is not here but in
 * struct xct_flow_cold.
 */
struct xct_flow {
	xct_msec expires_at;
	uint32_t status;     /* enum xct_flow_status, XCT_STATUS_PRIVATE */
	uint32_t timer_tick; /* when the timer wheel will look at it */
	union xct_track track;
	struct xct_flow_side side[XCT_DIRS];
	uint64_t id; /* 0: the record is free, or was torn mid-write */
};

/* The rest of a record, with the same index in an array of its own. */
struct xct_flow_cold {
	xct_msec created_at; /* may be before the clock began: xct_flow_age() */
	uint32_t mark;
	uint32_t masq_if; /* index of the masquerading interface, or 0 */
	/* Links: rebuilt on attach, never trusted before. */
	uint32_t chain_next[XCT_CHAINED];
	uint32_t chain_prev[XCT_CHAINED]; /* XCT_FLOW_NONE: the first */
	uint32_t timer_next; /* of a free record: the next free one */
	uint32_t timer_prev;
};

/* Sequence numbers that one end sends, and that reach the other changed by
 * .before; those above .pos by .after. */
struct xct_seqadj {
	uint32_t pos; /* as sent */
	int32_t before;
	int32_t after;
};

#define XCT_HELP_LINES 2 /* ends of lines that are remembered */

/* What the helper of a flow knows: see helper.h; of what it expects, expect.h. */
struct xct_help {
	xct_msec expires_at; /* of the expectation */
	struct xct_seqadj adjust[XCT_DIRS];
	uint32_t line[XCT_DIRS][XCT_HELP_LINES]; /* where one begins */
	uint8_t n_lines[XCT_DIRS];
	uint8_t helper;	    /* enum xct_helper_id */
	uint8_t expects;    /* 0: nothing; else 1 + direction announced in */
	xct_be16 port;	    /* that is expected */
	xct_be16 port_said; /* and the one that was announced before NAT */
	/* Neighbours in the list of expectations: rebuilt on attach. */
	uint32_t next;
	uint32_t prev;
};

_Static_assert(sizeof(struct xct_help) == 64,
	       "a line, of the few that need it");

#define XCT_CACHE_LINE 64

_Static_assert(sizeof(struct xct_flow) == 3 * XCT_CACHE_LINE &&
		       offsetof(struct xct_flow, track) +
				       sizeof(struct xct_udp_track) <=
			       XCT_CACHE_LINE &&
		       offsetof(struct xct_flow, side[XCT_DIR_REPLY]) ==
			       2 * XCT_CACHE_LINE,
	       "a hit needs two lines");
/* With its share of the indexes a flow takes less than 256 bytes. */
_Static_assert(sizeof(struct xct_flow_cold) == 40, "the layout of a region");

/* How old it is at @now. A flow of a snapshot may be older than the clock, so
 * @created_at has wrapped; one of another thread's batch may be of the next
 * millisecond. */
static inline xct_msec xct_flow_age(const struct xct_flow_cold *cold,
				    xct_msec now)
{
	xct_msec age = now - cold->created_at;

	return (int64_t)age > 0 ? age : 0;
}

#endif
