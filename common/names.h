/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one table between enumerators and their names: protocols, states,
 * reasons, classes, verdicts. Names are those conntrack(8) and the kernel use.
 */
#ifndef XCT_COMMON_NAMES_H
#define XCT_COMMON_NAMES_H

#include "common/types.h"

/* States of a tracked TCP connection, numbered as enum tcp_conntrack. */
enum xct_tcp_state {
	XCT_TCP_NONE,
	XCT_TCP_SYN_SENT,
	XCT_TCP_SYN_RECV,
	XCT_TCP_ESTABLISHED,
	XCT_TCP_FIN_WAIT,
	XCT_TCP_CLOSE_WAIT,
	XCT_TCP_LAST_ACK,
	XCT_TCP_TIME_WAIT,
	XCT_TCP_CLOSE,
	XCT_TCP_SYN_SENT2, /* simultaneous open */
	XCT_TCP_STATES,
};

/* States of a tracked SCTP association, numbered as enum sctp_conntrack. */
enum xct_sctp_state {
	XCT_SCTP_NONE,
	XCT_SCTP_CLOSED, /* also: an INIT has been seen */
	XCT_SCTP_COOKIE_WAIT,
	XCT_SCTP_COOKIE_ECHOED,
	XCT_SCTP_ESTABLISHED,
	XCT_SCTP_SHUTDOWN_SENT,
	XCT_SCTP_SHUTDOWN_RECD,
	XCT_SCTP_SHUTDOWN_ACK_SENT,
	XCT_SCTP_HEARTBEAT_SENT,
	XCT_SCTP_STATES,
};

/* What a TCP segment wants, judged by its most significant flag. */
enum xct_tcp_packet {
	XCT_TCP_PACKET_NONE, /* none of these flags */
	XCT_TCP_PACKET_SYN,
	XCT_TCP_PACKET_SYNACK,
	XCT_TCP_PACKET_FIN,
	XCT_TCP_PACKET_ACK,
	XCT_TCP_PACKET_RST,
	XCT_TCP_PACKETS,
};

/* Chunks of SCTP that control an association. */
enum xct_sctp_packet {
	XCT_SCTP_PACKET_INIT,
	XCT_SCTP_PACKET_INIT_ACK,
	XCT_SCTP_PACKET_COOKIE_ECHO,
	XCT_SCTP_PACKET_COOKIE_ACK,
	XCT_SCTP_PACKET_HEARTBEAT,
	XCT_SCTP_PACKET_HEARTBEAT_ACK,
	XCT_SCTP_PACKET_SHUTDOWN,
	XCT_SCTP_PACKET_SHUTDOWN_ACK,
	XCT_SCTP_PACKET_SHUTDOWN_COMPLETE,
	XCT_SCTP_PACKET_ABORT,
	XCT_SCTP_PACKET_ERROR,
	XCT_SCTP_PACKET_DATA, /* and all others */
	XCT_SCTP_PACKETS,
};

/* A cell of a protocol's state table: which packet, of which direction, in
 * which state. */
struct xct_cell {
	uint8_t proto; /* TCP or SCTP; 0: no cell */
	uint8_t state;
	uint8_t dir;
	uint8_t packet;
};

#define XCT_TCP_CELLS  (XCT_TCP_STATES * XCT_DIRS * XCT_TCP_PACKETS)
#define XCT_SCTP_CELLS (XCT_SCTP_STATES * XCT_DIRS * XCT_SCTP_PACKETS)
#define XCT_CELLS      (XCT_TCP_CELLS + XCT_SCTP_CELLS)

/* What a packet is to its connection (ctinfo, or "state" in a rule). */
enum xct_class {
	XCT_CLASS_NEW,
	XCT_CLASS_ESTABLISHED,
	XCT_CLASS_RELATED,
	XCT_CLASS_INVALID,
	XCT_CLASS_UNTRACKED, /* neighbour discovery: passed, never tracked */
	XCT_CLASSES,
};

/* What reads in a connection which others its ends agree on. */
enum xct_helper_id {
	XCT_HELPER_NONE,
	XCT_HELPER_FTP,
	XCT_HELPERS,
};

/*
 * Why a packet was called INVALID, or was dropped. Each has a counter.
 * X(enumerator, name, what it means)
 */
#define XCT_REASONS(X)                                                         \
	X(NONE, "none", "nothing to report")                                   \
	X(IP_HEADER, "ip-header", "IP header short or malformed")              \
	X(IP_FRAGMENT, "ip-fragment", "fragment that nobody reassembled")      \
	X(EXT_HEADER, "ext-header", "IPv6 extension header malformed")         \
	X(L4_SHORT, "l4-short", "transport header cut short or malformed")     \
	X(CSUM_TCP, "checksum-tcp", "TCP checksum wrong")                      \
	X(CSUM_UDP, "checksum-udp", "UDP checksum wrong")                      \
	X(CSUM_UDPLITE, "checksum-udplite", "UDP-Lite checksum wrong")         \
	X(CSUM_SCTP, "checksum-sctp", "SCTP checksum (CRC32c) wrong")          \
	X(CSUM_ICMP, "checksum-icmp", "ICMP checksum wrong")                   \
	X(CSUM_ICMPV6, "checksum-icmpv6", "ICMPv6 checksum wrong")             \
	X(TCP_FLAGS, "tcp-flags", "impossible combination of TCP flags")       \
	X(TCP_NOT_OPEN, "tcp-not-open", "TCP segment that opens no flow")      \
	X(TCP_STATE, "tcp-state", "TCP segment impossible in this state")      \
	X(TCP_WINDOW_SEQ, "tcp-window-seq",                                    \
	  "TCP data above the window that its receiver has offered")           \
	X(TCP_WINDOW_ACK, "tcp-window-ack",                                    \
	  "TCP ACK of data that the other end has not sent yet")               \
	X(TCP_RST, "tcp-rst",                                                  \
	  "TCP RST below what was acknowledged: late, or forged")              \
	X(SCTP_CHUNKS, "sctp-chunks", "SCTP chunks malformed or ill-assorted") \
	X(SCTP_NOT_OPEN, "sctp-not-open", "SCTP packet that opens no flow")    \
	X(SCTP_STATE, "sctp-state", "SCTP chunk impossible in this state")     \
	X(SCTP_VTAG, "sctp-vtag", "SCTP verification tag of another flow")     \
	X(GRE_PROTOCOL, "gre-protocol", "GRE version 1 with other than PPP")   \
	X(ICMP_TYPE, "icmp-type", "ICMP type unknown, or an answer unasked")   \
	X(ICMP_UNRELATED, "icmp-unrelated", "ICMP error about no known flow")  \
	X(ICMP_QUOTE, "icmp-quote", "ICMP error quoting a malformed packet")   \
	X(ICMP_REDIRECT, "icmp-redirect", "ICMP redirect for a NATed flow")    \
	X(RULE, "rule", "a filter rule said drop")                             \
	X(REJECT, "reject", "a filter rule said reject")                       \
	X(DEFAULT, "default", "the default of the chain said drop")            \
	X(INVALID, "invalid", "INVALID, and the policy drops those")           \
	X(TABLE_FULL, "table-full", "flow table full, nothing to evict")       \
	X(NAT_EXHAUSTED, "nat-exhausted", "no free port for the translation")  \
	X(NAT_HEADER, "nat-header", "header that NAT can make nothing of")     \
	X(NAT_NO_ADDR, "nat-no-addr", "interface has no address to use")       \
	X(TRUNCATED, "truncated", "copy of the packet too short to rewrite")   \
	X(FLOW_GONE, "flow-gone", "flow vanished between two hooks")           \
	X(HOOK, "hook", "queued at a hook that is none of ours")               \
	X(LATE_HOOK, "late-hook", "destination to translate, seen too late")   \
	X(HELPER, "helper",                                                    \
	  "announcement that its helper cannot make sense of")                 \
	X(EXPECT, "expect", "announced connection that cannot be expected")

enum xct_reason {
#define X(sym, name, text) XCT_REASON_##sym,
	XCT_REASONS(X)
#undef X
		XCT_REASON_COUNT
};

/* NULL for a number that has no name. */
const char *xct_proto_name(uint8_t proto);
const char *xct_helper_name(uint8_t id);
const char *xct_class_name(enum xct_class cls);
const char *xct_reason_name(enum xct_reason reason);
const char *xct_reason_text(enum xct_reason reason);

/* The word for what a packet wants, as in struct xct_cell. NULL: there is none.
 */
const char *xct_packet_name(uint8_t proto, uint8_t packet);
const char *xct_dir_name(uint8_t dir);

/* Cells numbered from 0 to XCT_CELLS - 1, and back. */
unsigned int xct_cell_index(const struct xct_cell *cell);
struct xct_cell xct_cell_at(unsigned int index);

/* The word for a state of a flow of @proto. NULL if its flows have none. */
const char *xct_state_name(uint8_t proto, uint8_t state);

/* -1 for a name that has no number. Case is ignored. */
int xct_proto_from_name(const char *name);
int xct_helper_from_name(const char *name);
int xct_state_from_name(uint8_t proto, const char *name);

#endif
