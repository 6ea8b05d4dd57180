/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables behind names.h, and looking names up in them. */
#include "common/names.h"

#include <netinet/in.h>
#include <strings.h>

static const char *const proto_names[UINT8_MAX + 1] = {
	[IPPROTO_ICMP] = "icmp", [IPPROTO_TCP] = "tcp",
	[IPPROTO_UDP] = "udp",	 [IPPROTO_DCCP] = "dccp",
	[IPPROTO_GRE] = "gre",	 [IPPROTO_ICMPV6] = "icmpv6",
	[IPPROTO_SCTP] = "sctp", [IPPROTO_UDPLITE] = "udplite",
};

static const char *const tcp_state_names[] = {
	[XCT_TCP_NONE] = "NONE",	 [XCT_TCP_SYN_SENT] = "SYN_SENT",
	[XCT_TCP_SYN_RECV] = "SYN_RECV", [XCT_TCP_ESTABLISHED] = "ESTABLISHED",
	[XCT_TCP_FIN_WAIT] = "FIN_WAIT", [XCT_TCP_CLOSE_WAIT] = "CLOSE_WAIT",
	[XCT_TCP_LAST_ACK] = "LAST_ACK", [XCT_TCP_TIME_WAIT] = "TIME_WAIT",
	[XCT_TCP_CLOSE] = "CLOSE",	 [XCT_TCP_SYN_SENT2] = "SYN_SENT2",
};

_Static_assert(XCT_ARRAY_SIZE(tcp_state_names) == XCT_TCP_STATES,
	       "every TCP state has a name");

static const char *const sctp_state_names[] = {
	[XCT_SCTP_NONE] = "NONE",
	[XCT_SCTP_CLOSED] = "CLOSED",
	[XCT_SCTP_COOKIE_WAIT] = "COOKIE_WAIT",
	[XCT_SCTP_COOKIE_ECHOED] = "COOKIE_ECHOED",
	[XCT_SCTP_ESTABLISHED] = "ESTABLISHED",
	[XCT_SCTP_SHUTDOWN_SENT] = "SHUTDOWN_SENT",
	[XCT_SCTP_SHUTDOWN_RECD] = "SHUTDOWN_RECD",
	[XCT_SCTP_SHUTDOWN_ACK_SENT] = "SHUTDOWN_ACK_SENT",
	[XCT_SCTP_HEARTBEAT_SENT] = "HEARTBEAT_SENT",
};

_Static_assert(XCT_ARRAY_SIZE(sctp_state_names) == XCT_SCTP_STATES,
	       "every SCTP state has a name");

static const char *const tcp_packet_names[] = {
	[XCT_TCP_PACKET_NONE] = "segment without flags",
	[XCT_TCP_PACKET_SYN] = "SYN",
	[XCT_TCP_PACKET_SYNACK] = "SYN-ACK",
	[XCT_TCP_PACKET_FIN] = "FIN",
	[XCT_TCP_PACKET_ACK] = "ACK",
	[XCT_TCP_PACKET_RST] = "RST",
};

_Static_assert(XCT_ARRAY_SIZE(tcp_packet_names) == XCT_TCP_PACKETS,
	       "every kind of segment has a name");

static const char *const sctp_packet_names[] = {
	[XCT_SCTP_PACKET_INIT] = "INIT",
	[XCT_SCTP_PACKET_INIT_ACK] = "INIT ACK",
	[XCT_SCTP_PACKET_COOKIE_ECHO] = "COOKIE ECHO",
	[XCT_SCTP_PACKET_COOKIE_ACK] = "COOKIE ACK",
	[XCT_SCTP_PACKET_HEARTBEAT] = "HEARTBEAT",
	[XCT_SCTP_PACKET_HEARTBEAT_ACK] = "HEARTBEAT ACK",
	[XCT_SCTP_PACKET_SHUTDOWN] = "SHUTDOWN",
	[XCT_SCTP_PACKET_SHUTDOWN_ACK] = "SHUTDOWN ACK",
	[XCT_SCTP_PACKET_SHUTDOWN_COMPLETE] = "SHUTDOWN COMPLETE",
	[XCT_SCTP_PACKET_ABORT] = "ABORT",
	[XCT_SCTP_PACKET_ERROR] = "ERROR",
	[XCT_SCTP_PACKET_DATA] = "DATA",
};

_Static_assert(XCT_ARRAY_SIZE(sctp_packet_names) == XCT_SCTP_PACKETS,
	       "every kind of chunk has a name");

static const char *const dir_names[XCT_DIRS] = {
	[XCT_DIR_ORIG] = "original",
	[XCT_DIR_REPLY] = "reply",
};

static const char *const class_names[] = {
	[XCT_CLASS_NEW] = "NEW",
	[XCT_CLASS_ESTABLISHED] = "ESTABLISHED",
	[XCT_CLASS_RELATED] = "RELATED",
	[XCT_CLASS_INVALID] = "INVALID",
	[XCT_CLASS_UNTRACKED] = "UNTRACKED",
};

_Static_assert(XCT_ARRAY_SIZE(class_names) == XCT_CLASSES,
	       "every class has a name");

static const char *const helper_names[XCT_HELPERS] = {
	[XCT_HELPER_FTP] = "ftp",
};

static const struct {
	const char *name;
	const char *text;
} reasons[] = {
#define X(sym, name, text) [XCT_REASON_##sym] = { name, text },
	XCT_REASONS(X)
#undef X
};

/* The entry of @names (@n long, with holes) that is @name; -1: none is. */
static int find_name(const char *const *names, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (names[i] && strcasecmp(names[i], name) == 0)
			return (int)i;
	}
	return -1;
}

const char *xct_proto_name(uint8_t proto)
{
	return proto_names[proto];
}

/* The names of the states of @proto, of which there are *@n. */
static const char *const *state_names(uint8_t proto, size_t *n)
{
	switch (proto) {
	case IPPROTO_TCP:
		*n = XCT_TCP_STATES;
		return tcp_state_names;
	case IPPROTO_SCTP:
		*n = XCT_SCTP_STATES;
		return sctp_state_names;
	default:
		*n = 0;
		return NULL;
	}
}

const char *xct_state_name(uint8_t proto, uint8_t state)
{
	size_t n;
	const char *const *names = state_names(proto, &n);

	return state < n ? names[state] : NULL;
}

const char *xct_helper_name(uint8_t id)
{
	return id < XCT_HELPERS ? helper_names[id] : NULL;
}

const char *xct_class_name(enum xct_class cls)
{
	return (unsigned int)cls < XCT_CLASSES ? class_names[cls] : NULL;
}

const char *xct_reason_name(enum xct_reason reason)
{
	return (unsigned int)reason < XCT_REASON_COUNT ? reasons[reason].name
						       : NULL;
}

const char *xct_reason_text(enum xct_reason reason)
{
	return (unsigned int)reason < XCT_REASON_COUNT ? reasons[reason].text
						       : NULL;
}

int xct_proto_from_name(const char *name)
{
	return find_name(proto_names, XCT_ARRAY_SIZE(proto_names), name);
}

int xct_helper_from_name(const char *name)
{
	return find_name(helper_names, XCT_HELPERS, name);
}

int xct_state_from_name(uint8_t proto, const char *name)
{
	size_t n;
	const char *const *names = state_names(proto, &n);

	return find_name(names, n, name);
}

const char *xct_packet_name(uint8_t proto, uint8_t packet)
{
	if (proto == IPPROTO_TCP && packet < XCT_TCP_PACKETS)
		return tcp_packet_names[packet];
	if (proto == IPPROTO_SCTP && packet < XCT_SCTP_PACKETS)
		return sctp_packet_names[packet];
	return NULL;
}

const char *xct_dir_name(uint8_t dir)
{
	return dir < XCT_DIRS ? dir_names[dir] : NULL;
}

unsigned int xct_cell_index(const struct xct_cell *cell)
{
	unsigned int row = cell->state * XCT_DIRS + cell->dir;

	if (cell->proto == IPPROTO_TCP)
		return row * XCT_TCP_PACKETS + cell->packet;
	return XCT_TCP_CELLS + row * XCT_SCTP_PACKETS + cell->packet;
}

struct xct_cell xct_cell_at(unsigned int index)
{
	bool is_tcp = index < XCT_TCP_CELLS;
	unsigned int packets = is_tcp ? XCT_TCP_PACKETS : XCT_SCTP_PACKETS;
	unsigned int left = is_tcp ? index : index - XCT_TCP_CELLS;

	return (struct xct_cell){
		.proto = is_tcp ? IPPROTO_TCP : IPPROTO_SCTP,
		.state = (uint8_t)(left / packets / XCT_DIRS),
		.dir = (uint8_t)(left / packets % XCT_DIRS),
		.packet = (uint8_t)(left % packets),
	};
}
